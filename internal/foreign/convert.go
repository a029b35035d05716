package foreign

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/archive"
	"github.com/safepoint-db/safepoint/internal/sqlscript"
)

const (
	// batchBytes and batchStatements bound a frame of statements, which is sent to the server as one message.
	batchBytes      = 1 << 20
	batchStatements = 200
	// maxPending bounds the statements that are held in memory until it is clear whether rows follow them.
	maxPending = 16 << 20
)

// Kinds of frames, as in docs/format.md; kindData only for the time being: statements about rows that are no INSERTs.
const (
	kindDDL  = "ddl"
	kindCopy = "copy"
	kindRows = "rows"
	kindData = "data"
)

// converter reads a script from front to back.
type converter struct {
	ctx  context.Context
	src  *source
	scan *sqlscript.Scanner
	w    *archive.Writer
	opt  Options
	out  Contents

	section archive.Section
	frame   batch   // that is being filled
	pending []batch // whole frames behind the last rows: post-data, unless rows follow

	blob       *blob  // that is being written
	key        string // of \restrict
	searchPath string // the schema of a name without one
	created    bool   // something was made, or rows were loaded
	began      bool   // pg_dump's heading was read
	complete   bool   // and its closing words
	program    string // "pg_dump 14.2"
	notes      map[string]int
	noteOrder  []string
	owners     map[string]bool
	roles      map[string]bool
	bytes      int64
}

// batch is a frame of statements.
type batch struct {
	sql   bytes.Buffer
	count int
	entry archive.Entry
}

func newConverter(ctx context.Context, src *source, w *archive.Writer, opt Options) *converter {
	c := &converter{ctx: ctx, src: src, w: w, opt: opt, section: archive.PreData, searchPath: "public", notes: map[string]int{}, owners: map[string]bool{}, roles: map[string]bool{}}
	c.out.Encoding, c.out.Statements = "UTF8", map[string]int{}
	c.scan = sqlscript.New(skipMark(src))
	c.scan.MaxStatement = opt.Limits.Statement
	return c
}

// preamble sets what a session of psql has and one of Safepoint has not.
const preamble = `-- Converted by Safepoint.
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SET search_path = "$user", public;
`

func (c *converter) run() error {
	c.frame.sql.WriteString(preamble)
	for {
		piece, meta, err := c.scan.Next()
		switch {
		case err == io.EOF:
			c.comments(c.scan.Rest())
			return c.end()
		case err != nil:
			return err
		}
		c.read(len(piece))
		n := sqlscript.Blanks(piece)
		bare := piece[n:]
		c.comments(piece[:n])
		if meta {
			err = c.meta(bare)
		} else {
			err = c.statement(piece, bare)
		}
		if err != nil && (!c.opt.Look || !errors.Is(err, errLine)) {
			return err
		}
		if err != nil && len(c.out.Refused) < MaxRefused {
			c.out.Refused = append(c.out.Refused, safepoint.UserError(err).Message)
		}
	}
}

// read counts bytes of SQL and reports.
func (c *converter) read(n int) {
	const every = 1 << 20
	before := c.bytes / every
	if c.bytes += int64(n); c.bytes/every != before && c.opt.Report != nil {
		c.opt.Report(c.src.done())
	}
}

var (
	dumpedFrom = regexp.MustCompile(`(?m)^-- Dumped from database version (\d+[.\d]*\S*)`)
	dumpedBy   = regexp.MustCompile(`(?m)^-- Dumped by (pg_dump) version (\d+[.\d]*\S*)`)
)

// comments looks for what pg_dump says of itself.
func (c *converter) comments(b []byte) {
	if !bytes.Contains(b, []byte("-- ")) {
		return
	}
	b = bytes.ReplaceAll(b, []byte("\r\n"), []byte("\n"))
	c.complete = c.complete || bytes.Contains(b, []byte("-- PostgreSQL database dump complete\n"))
	c.began = c.began || bytes.Contains(b, []byte("-- PostgreSQL database dump\n"))
	if m := dumpedFrom.FindSubmatch(b); m != nil && c.out.ServerVersion == "" {
		c.out.ServerVersion = string(m[1])
	}
	if m := dumpedBy.FindSubmatch(b); m != nil && c.program == "" {
		c.program = string(m[1]) + " " + string(m[2])
	}
}

// end writes what is left.
func (c *converter) end() error {
	if c.began && !c.complete {
		return refuse(hintDamaged, "The dump has been cut off: it lacks the words with which pg_dump ends.")
	}
	if c.key != "" {
		return refuse(hintDamaged, `The dump has been cut off: it begins with \restrict and does not end with \unrestrict.`)
	}
	if len(c.out.Statements) == 0 && len(c.out.Tables) == 0 && !c.began {
		return refuse("Look where the dump was made for what went wrong.", "The file holds no statement.")
	}
	if err := c.flush(); err != nil {
		return err
	}
	if c.section == archive.Data {
		c.section = archive.PostData
	}
	if err := c.settle(); err != nil {
		return err
	}
	c.out.Tables = mergeTables(c.out.Tables)
	c.out.Owners, c.out.Roles = slices.Sorted(maps.Keys(c.owners)), slices.Sorted(maps.Keys(c.roles))
	slices.Sort(c.out.Extensions)
	c.out.Extensions = slices.Compact(c.out.Extensions)
	c.out.SQL = c.bytes
	c.out.Origin = origin(c.program, c.src.container)
	for _, note := range c.noteOrder {
		if n := c.notes[note]; n > 1 {
			note += fmt.Sprintf(" (%d times)", n)
		}
		c.out.Notes = append(c.out.Notes, note)
	}
	return nil
}

// origin is "pg_dump 14.2, plain SQL in gzip".
func origin(program string, container format) string {
	made := cmp.Or(program, "an unknown program")
	switch container {
	case plain:
		return made + ", plain SQL"
	case custom, folder:
		return made + ", " + string(container)
	case tarred:
		return made + ", tar format"
	}
	return made + ", plain SQL in " + string(container)
}

// emit puts a statement into the frame at hand.
func (c *converter) emit(piece []byte, s statement, bare []byte) error {
	rows := s.verb == "INSERT"
	switch {
	case s.beginsRows(), s.rows() && c.section == archive.Data:
		if err := c.beginRows(); err != nil {
			return err
		}
		if !rows && c.frame.entry.Kind != kindData {
			if err := c.flush(); err != nil {
				return err
			}
			c.frame.entry.Kind = kindData
		}
	case c.frame.entry.Kind == kindData && s.transaction():
	case c.frame.data(), s.kind == "BEGIN", s.alone(bare):
		if err := c.flush(); err != nil {
			return err
		}
	}
	if rows {
		if err := c.intoTable(s); err != nil {
			return err
		}
	}
	b := &c.frame
	if b.sql.Len() > 0 && b.sql.Len()+len(piece) > batchBytes {
		if err := c.flush(); err != nil {
			return err
		}
		if rows {
			c.startTable(s)
		} else if s.rows() && c.section == archive.Data {
			c.frame.entry.Kind = kindData
		}
	}
	b.sql.Write(bytes.TrimLeft(piece, "\r\n"))
	b.sql.WriteByte('\n')
	b.count++
	if label := s.label(); label != "" {
		b.entry.Objects = append(b.entry.Objects, label)
	}
	if b.count >= batchStatements && !rows || b.sql.Len() >= batchBytes || s.alone(bare) {
		return c.flush()
	}
	return nil
}

// intoTable sees to it that the frame at hand holds INSERTs into the statement's table, and counts its rows.
func (c *converter) intoTable(s statement) error {
	schema := cmp.Or(s.schema, c.searchPath)
	e := &c.frame.entry
	if e.Kind != kindRows || e.Schema != schema || e.Table != s.name {
		if err := c.flush(); err != nil {
			return err
		}
		c.startTable(s)
		if n := len(c.out.Tables); n == 0 || c.out.Tables[n-1].Schema != schema || c.out.Tables[n-1].Name != s.name {
			c.out.Tables = append(c.out.Tables, Table{Schema: schema, Name: s.name})
		}
	}
	n := int64(max(1, c.scan.Groups()))
	e.Rows += n
	c.out.Tables[len(c.out.Tables)-1].Rows += n
	c.out.Rows += n
	return nil
}

func (c *converter) startTable(s statement) {
	c.frame.entry.Kind, c.frame.entry.Schema, c.frame.entry.Table = kindRows, cmp.Or(s.schema, c.searchPath), s.name
}

// beginRows enters the data section, or stays in it: what was held back belongs there, too.
func (c *converter) beginRows() error {
	c.created = true
	if c.section == archive.PreData {
		if err := c.flush(); err != nil {
			return err
		}
		c.section = archive.Data
		return nil
	}
	if c.frame.entry.Kind != kindRows && c.frame.sql.Len() > 0 && !c.frame.data() {
		if err := c.flush(); err != nil {
			return err
		}
	}
	return c.settle()
}

// data says whether the frame at hand is about rows already.
func (b *batch) data() bool { return b.entry.Kind == kindRows || b.entry.Kind == kindData }

// flush ends the frame at hand. Behind the first rows it is held back, until it is clear whether more follow.
func (c *converter) flush() error {
	if c.frame.sql.Len() == 0 {
		c.frame.entry = archive.Entry{}
		return nil
	}
	b := c.frame
	c.frame = batch{}
	if c.section != archive.Data || b.data() {
		if err := c.settle(); err != nil {
			return err
		}
		return c.write(b)
	}
	c.pending = append(c.pending, b)
	held := 0
	for _, p := range c.pending {
		held += p.sql.Len()
	}
	if held > maxPending { // that is a post-data section. Rows that come after it stay in their place
		c.section = archive.PostData
		return c.settle()
	}
	return nil
}

// settle writes what was held back.
func (c *converter) settle() error {
	for _, b := range c.pending {
		if err := c.write(b); err != nil {
			return err
		}
	}
	c.pending = nil
	return nil
}

// write puts a batch at the archive's end as one frame.
func (c *converter) write(b batch) error {
	e := b.entry
	e.Section = c.section
	if e.Kind != kindRows {
		e.Kind = kindDDL
	}
	f, err := c.w.Frame(e)
	if err != nil {
		return err
	}
	if _, err := f.Write(b.sql.Bytes()); err != nil {
		return err
	}
	return f.Close()
}

// note says what was left out; the same words are counted.
func (c *converter) note(p safepoint.Phrase) {
	text := p.String()
	if c.notes[text]++; c.notes[text] == 1 && len(c.noteOrder) < 100 {
		c.noteOrder = append(c.noteOrder, text)
	}
}

// explain words what went wrong in reading.
func (c *converter) explain(err error) error {
	var known *safepoint.Error
	switch {
	case errors.As(err, &known):
		return err
	case errors.Is(err, sqlscript.ErrStatementTooLong):
		return refuse("If that is right for this dump, raise the limit: --max-statement with safepoint load and convert, --foreign-max-statement with serve. Or make the dump without --inserts.",
			"A statement that ends behind line %d is longer than %s: that is the limit on one.", c.scan.Here(), safepoint.Bytes(c.opt.Limits.Statement))
	case err == io.ErrUnexpectedEOF:
		return refuse(hintDamaged, "The dump has been cut off: it ends within a statement, on line %d.", c.scan.Here())
	}
	return c.src.broken(err)
}

// versionNum is a version as PostgreSQL counts it: "14.2" is 140002, "9.6.24" 90624. 0 is unknown.
func versionNum(version string) int {
	parts := strings.FieldsFunc(version, func(r rune) bool { return r < '0' || r > '9' })
	n := func(i int) int {
		if i >= len(parts) {
			return 0
		}
		v, _ := strconv.Atoi(parts[i])
		return v
	}
	if n(0) < 10 {
		return n(0)*10000 + n(1)*100 + n(2)
	}
	return n(0)*10000 + n(1)
}
