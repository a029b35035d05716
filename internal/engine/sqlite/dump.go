package sqlite

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"time"
	"unicode"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/archive"
	"github.com/safepoint-db/safepoint/internal/engine"
)

// Sizes of what a dump writes. Statements stay far below what any SQLite reads, frames small enough to be held.
const (
	statementSize = 64 << 10
	statementRows = 500
	frameSize     = 4 << 20
	largestValue  = 450_000_000 // bytes: a statement of any SQLite has at most 1,000,000,000, and a byte takes two
)

// properties are what an archive says of a SQLite database beyond its schema and rows.
type properties struct {
	PageSize      int64  `json:"page_size"`
	PageCount     int64  `json:"page_count"`
	Encoding      string `json:"encoding"`
	AutoVacuum    int64  `json:"auto_vacuum"`
	UserVersion   int64  `json:"user_version"`
	ApplicationID int64  `json:"application_id"`
	JournalMode   string `json:"journal_mode"`
	// ForeignKeyViolations is how many rows broke a foreign key already, -1 if SQLite could not tell.
	ForeignKeyViolations int64 `json:"foreign_key_violations"`
	// NotCarried names tables of planner samples that are left for ANALYZE to make anew.
	NotCarried []string `json:"not_carried,omitempty"`
}

func (p properties) wide() bool { return p.Encoding != "" && p.Encoding != "UTF-8" }

func readProperties(c *conn) (properties, error) {
	var p properties
	for pragma, to := range map[string]*int64{
		"page_size": &p.PageSize, "page_count": &p.PageCount, "auto_vacuum": &p.AutoVacuum,
		"user_version": &p.UserVersion, "application_id": &p.ApplicationID,
	} {
		n, err := c.int("PRAGMA main." + pragma)
		if err != nil {
			return p, err
		}
		*to = n
	}
	var err error
	if p.Encoding, err = c.text("PRAGMA encoding"); err != nil {
		return p, err
	}
	c.bigEndian = p.Encoding == "UTF-16be"
	p.JournalMode, err = c.text("PRAGMA main.journal_mode")
	return p, err
}

// Dump writes the whole file, as of one moment, under one read transaction.
func (e *Engine) Dump(ctx context.Context, t engine.Target, w *archive.Writer, opt engine.DumpOptions) error {
	c, path, err := e.read(ctx, t)
	if err != nil {
		return err
	}
	defer c.close()
	return plainWords(dump(c, path, w, opt), path)
}

// dump writes what the transaction that is open on c sees.
func dump(c *conn, path string, w *archive.Writer, opt engine.DumpOptions) error {
	return dumpOf(c, path, "", w, opt)
}

// dumpOf is dump of a file that stands for the one at path, whose journal mode it does not have.
func dumpOf(c *conn, path, journalMode string, w *archive.Writer, opt engine.DumpOptions) error {
	now := opt.Now
	if now == nil {
		now = time.Now
	}
	all, err := readSchema(c) // the first read: the moment is fixed here
	if err != nil {
		return err
	}
	at := now()
	if err := rehearse(c.ctx, all); err != nil {
		return err
	}
	p, err := readProperties(c)
	if err != nil {
		return err
	}
	if p.ForeignKeyViolations, err = foreignKeyViolations(c); err != nil {
		return err
	}
	p.NotCarried = all.leftOut
	if journalMode != "" {
		p.JournalMode = journalMode
	}
	if err := describe(w, path, p, at); err != nil {
		return err
	}
	d := &dumper{c: c, w: w, p: p, all: all, report: opt.Report}
	d.progress.TablesOf = all.counted()
	return d.run()
}

func describe(w *archive.Writer, path string, p properties, at time.Time) error {
	raw, err := json.Marshal(p)
	if err != nil {
		return fmt.Errorf("encode properties: %w", err)
	}
	h := w.Header()
	h.Engine = safepoint.SQLite
	h.ServerVersion, h.ServerVersionNum = version()
	h.Encoding = p.Encoding
	h.Properties = raw
	if h.Database == "" {
		h.Database = filepath.Base(path)
	}
	if h.Tool == "" {
		h.Tool = "safepoint"
	}
	if h.CreatedAt.IsZero() {
		h.CreatedAt = at.UTC()
	}
	w.SetHeader(h)
	return nil
}

// foreignKeyViolations counts rows that break a foreign key, -1 if a foreign key itself is not valid.
func foreignKeyViolations(c *conn) (int64, error) {
	n, err := c.int("SELECT count(*) FROM pragma_foreign_key_check")
	if err != nil && resultCode(err) == resultError {
		return -1, nil // "foreign key mismatch": its parent has no such unique columns
	}
	return n, err
}

// dumper writes one archive.
type dumper struct {
	c        *conn
	w        *archive.Writer
	p        properties
	all      *schema
	report   engine.Report
	progress engine.Progress

	print archive.Fingerprint
	notes []string // what the script says of itself

	// The table that is being written.
	entry     archive.Entry
	frame     *archive.FrameWriter // nil before its first statement
	digest    *archive.Digester
	statement []byte // being built, of rows rows
	rows      int
	pending   int64  // rows that the frame does not count yet
	row       []byte // as it is hashed
}

func (d *dumper) run() error {
	d.print = archive.Fingerprint{}
	if err := d.preData(); err != nil {
		return err
	}
	for _, t := range d.all.tables {
		if err := d.table(t); err != nil {
			return fmt.Errorf("table %s: %w", quote(t.name), err)
		}
	}
	if err := d.postData(); err != nil {
		return err
	}
	d.w.SetFingerprint(d.print)
	return nil
}

// part is one statement, or a few, and the object they make.
type part struct{ object, sql string }

// preData writes what a new file must be told before its first page exists, and then the tables.
func (d *dumper) preData() error {
	notes := ""
	for _, note := range d.notes {
		notes += "-- " + strings.Map(visible, note) + "\n"
	}
	parts := []part{{"", fmt.Sprintf("-- SQLite database, written by Safepoint. Restore: zstd -dc FILE | sqlite3 -bail NEW.db\n%s"+
		"PRAGMA page_size=%d;\nPRAGMA encoding='%s';\nPRAGMA auto_vacuum=%d;\nPRAGMA user_version=%d;\nPRAGMA application_id=%d;\n"+
		"PRAGMA foreign_keys=OFF;\nPRAGMA ignore_check_constraints=ON;\nBEGIN TRANSACTION;\n",
		notes, d.p.PageSize, d.p.Encoding, d.p.AutoVacuum, d.p.UserVersion, d.p.ApplicationID)}}
	for _, t := range d.all.tables {
		parts = append(parts, part{t.name, t.creates(d.all.sequenced)})
	}
	return d.ddl(archive.PreData, parts)
}

// visible keeps a comment on its line.
func visible(c rune) rune {
	if unicode.IsControl(c) {
		return ' '
	}
	return c
}

// creates are the statements that make the table, still without rows.
func (t table) creates(sequenced bool) string {
	switch t.kind {
	case sequence:
		if sequenced {
			return "" // it comes with the first AUTOINCREMENT table
		}
		return "CREATE TABLE \"safepoint_sequence\"(a INTEGER PRIMARY KEY AUTOINCREMENT);\nDROP TABLE \"safepoint_sequence\";\n"
	case stat1:
		return ""
	}
	script := terminated(t.sql)
	for _, option := range t.config {
		script += fmt.Sprintf("INSERT INTO %s(%s,rank) VALUES(%s,%s);\n", quote(t.name), quote(t.name), quoted(nil, []byte(option[0])), option[1])
	}
	return script
}

// postData writes what depends on rows.
func (d *dumper) postData() error {
	var parts []part
	for _, objects := range [][]object{d.all.indexes, d.all.views, d.all.triggers} {
		for _, o := range objects {
			parts = append(parts, part{o.name, terminated(o.sql)})
		}
	}
	for _, t := range d.all.tables {
		if t.kind == external {
			parts = append(parts, part{"", fmt.Sprintf("INSERT INTO %s(%s) VALUES('rebuild');\n", quote(t.name), quote(t.name))})
		}
	}
	return d.ddl(archive.PostData, append(parts, part{"", "COMMIT;\n"}))
}

// ddl writes parts into as many frames as they need.
func (d *dumper) ddl(section archive.Section, parts []part) error {
	for len(parts) > 0 {
		var script []byte
		var objects []string
		for len(parts) > 0 && len(script) < frameSize {
			if parts[0].object != "" && parts[0].sql != "" {
				objects = append(objects, parts[0].object)
			}
			script = append(script, parts[0].sql...)
			parts = parts[1:]
		}
		frame, err := d.w.Frame(archive.Entry{Section: section, Kind: "ddl", Objects: objects})
		if err != nil {
			return err
		}
		if _, err := frame.Write(script); err != nil {
			return err
		}
		if err := frame.Close(); err != nil {
			return err
		}
	}
	return nil
}

// terminated adds the semicolon to a statement of sqlite_schema, where a comment at its end cannot hide it.
func terminated(sql string) string {
	if last := sql[strings.LastIndexByte(sql, '\n')+1:]; strings.Contains(last, "--") {
		return sql + "\n;\n"
	}
	return sql + ";\n"
}

// table writes the rows of t, in slices, and takes its digest on the way.
func (d *dumper) table(t table) error {
	d.progress.Table = t.name
	if t.counts() {
		defer func() { d.progress.Tables++ }()
	}
	if !t.carriesRows() {
		return nil
	}
	d.entry = archive.Entry{Section: archive.Data, Kind: "rows", Table: t.name, Columns: t.columns}
	d.digest = &archive.Digester{}
	d.statement, d.rows, d.pending = d.statement[:0], 0, 0
	switch t.kind {
	case sequence:
		d.statement = append(d.statement, "DELETE FROM sqlite_sequence;\n"...)
	case stat1:
		d.statement = append(d.statement, "ANALYZE sqlite_schema;\nDELETE FROM sqlite_stat1;\n"...)
	}
	head := t.inserts()
	err := d.c.each(func(s *stmt) error { return d.insert(s, head) }, t.selects())
	if err == nil {
		err = d.flush()
	}
	if err == nil {
		err = d.endSlice()
	}
	d.print[quote(t.name)] = d.digest.Digest()
	return err
}

// insert adds the row that s stands on to the statement, and to the digest.
func (d *dumper) insert(s *stmt, head string) error {
	if d.rows == 0 {
		d.statement = append(d.statement, head...)
	} else {
		d.statement = append(d.statement, ',')
	}
	wide := d.p.wide()
	d.row = d.row[:0]
	before := len(d.statement)
	d.statement = append(d.statement, "\n("...)
	for i := range s.columns() {
		if i > 0 {
			d.statement = append(d.statement, ',')
		}
		d.row = canonical(d.row, s, i, wide)
		if len(d.row) > largestValue {
			return safepoint.Errorf(safepoint.CodeBlocked, "Row %d of table %s is larger than %d MB, more than an SQL statement can carry.",
				d.digest.Digest().Rows+1, quote(d.entry.Table), largestValue/1_000_000)
		}
		d.statement = literal(d.statement, s, i, wide)
	}
	d.statement = append(d.statement, ')')
	d.digest.Add(d.row)
	d.rows++
	d.pending++
	d.progress.Bytes += int64(len(d.statement) - before)
	if d.rows < statementRows && len(d.statement) < statementSize {
		return nil
	}
	return d.flush()
}

// flush ends the statement and writes it, and ends the slice where it has grown enough.
func (d *dumper) flush() error {
	if d.rows > 0 {
		d.statement = append(d.statement, ";\n"...)
	}
	if len(d.statement) == 0 {
		return nil
	}
	if d.frame == nil {
		var err error
		if d.frame, err = d.w.Frame(d.entry); err != nil {
			return err
		}
	}
	_, err := d.frame.Write(d.statement)
	d.frame.Rows += d.pending
	d.statement, d.rows, d.pending = d.statement[:0], 0, 0
	if cap(d.statement)+cap(d.row) > 2*frameSize {
		d.statement, d.row = nil, nil // what a huge value needed is not kept
	}
	if err != nil || d.frame.Len() < frameSize {
		return err
	}
	return d.endSlice()
}

func (d *dumper) endSlice() error {
	if d.report != nil {
		d.report(d.progress)
	}
	if d.frame == nil {
		return nil
	}
	err := d.frame.Close()
	d.frame = nil
	d.entry.Slice++
	return err
}
