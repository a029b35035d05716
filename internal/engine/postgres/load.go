package postgres

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/archive"
	"github.com/safepoint-db/safepoint/internal/engine"
)

// loadSettings make loading quick. The script's own settings come on top, in the same session, and stay to its end.
const loadSettings = `SET synchronous_commit = off;
SET maintenance_work_mem = '128MB';
SET max_parallel_maintenance_workers = 2;
SET default_transaction_read_only = off;
`

// maxDDLFrame bounds a frame of statements, which is held in memory. Ours are about a megabyte.
const maxDDLFrame = 768 << 20

// Load executes an archive in an empty database, frame by frame in one session. See engine.Engine.
// Frames of rows are independent of one another: this is the place for more sessions.
func (Engine) Load(ctx context.Context, t engine.Target, r *archive.Reader, report engine.Report) error {
	if err := ofPostgres(r.Header()); err != nil {
		return err
	}
	conn, err := connectContent(ctx, t)
	if err != nil {
		return err
	}
	defer hangUp(conn)
	if err := mayLoad(ctx, conn, t, r.Header()); err != nil {
		return explain(ctx, t, err)
	}
	l := &loader{conn: conn.PgConn(), r: r, report: report}
	if report == nil {
		l.report = func(engine.Progress) {}
	}
	if err := l.run(ctx); err != nil {
		return explainLoad(ctx, t, err)
	}
	return nil
}

func ofPostgres(h archive.Header) error {
	if h.Engine == safepoint.PostgreSQL {
		return nil
	}
	return safepoint.Errorf(safepoint.CodeArchive, "This is a backup of a %s database. It cannot be restored into PostgreSQL.", h.Engine.Label()).
		WithHint("Choose a backup of a PostgreSQL database.")
}

// mayLoad refuses a target that holds something already, or that would read the text in another encoding.
func mayLoad(ctx context.Context, conn *pgx.Conn, t engine.Target, h archive.Header) error {
	is, err := empty(ctx, conn)
	if err != nil {
		return err
	}
	if !is {
		return safepoint.Errorf(safepoint.CodeBlocked, "The database %s is not empty.", t.Name).
			WithHint("Load into a new database, or restore with a staging database and a switch.")
	}
	if encoding := conn.PgConn().ParameterStatus("server_encoding"); encoding != h.Encoding {
		return safepoint.Errorf(safepoint.CodeBlocked, "The database %s is encoded in %s, the backup in %s.", t.Name, encoding, h.Encoding).
			WithHint("CREATE DATABASE … TEMPLATE template0 ENCODING '%s' makes one that fits.", h.Encoding)
	}
	return nil
}

type loader struct {
	conn   *pgconn.PgConn
	r      *archive.Reader
	report engine.Report
	at     engine.Progress
	seen   map[string]bool // tables begun
}

func (l *loader) run(ctx context.Context) error {
	if err := l.conn.Exec(ctx, loadSettings).Close(); err != nil {
		return err
	}
	l.at.TablesOf = l.r.Summary().Tables
	l.seen = map[string]bool{}
	l.report(l.at)
	for i, e := range l.r.Entries() {
		if err := l.frame(ctx, i, e); err != nil {
			return &frameError{entry: e, err: err}
		}
		if e.Section != archive.Data || e.Kind != kindCopy {
			l.at.Bytes += e.RawLength
		}
		l.report(l.at)
	}
	l.at.Table, l.at.Tables = "", l.at.TablesOf
	l.report(l.at)
	// Statistics make the first queries quick. Where a user's function keeps the server from making them, all is
	// there nevertheless, and autovacuum will try again.
	if err := l.conn.Exec(ctx, "SET lock_timeout = 0; ANALYZE").Close(); state(err) == "" {
		return err
	}
	return ctx.Err()
}

// frameError says which part of an archive could not be loaded.
type frameError struct {
	entry archive.Entry
	err   error
}

func (e *frameError) Error() string { return e.what() + ": " + e.err.Error() }
func (e *frameError) Unwrap() error { return e.err }

func (e *frameError) what() string {
	switch {
	case e.entry.Table != "":
		return "rows of " + e.entry.Schema + "." + e.entry.Table
	case len(e.entry.Objects) > 0:
		return string(e.entry.Section) + " (" + capped(e.entry.Objects) + ")"
	}
	return string(e.entry.Section)
}

// explainLoad adds to the server's words which part of the backup they are about.
func explainLoad(ctx context.Context, t engine.Target, err error) error {
	told := explain(ctx, t, err)
	var frame *frameError
	var known *safepoint.Error
	if ctx.Err() == nil && errors.As(err, &frame) && errors.As(told, &known) && state(err) != "" {
		c := *known
		c.Message = fmt.Sprintf("The backup could not be loaded: %s. (In %s.)", trimDot(c.Message), frame.what())
		return &c
	}
	return told
}

func trimDot(s string) string {
	if n := len(s) - 1; n >= 0 && s[n] == '.' {
		return s[:n]
	}
	return s
}

func (l *loader) frame(ctx context.Context, i int, e archive.Entry) error {
	f, err := l.r.Frame(i)
	if err != nil {
		return err
	}
	defer f.Close()
	switch e.Kind {
	case kindCopy:
		return l.copy(ctx, f, e)
	case kindDDL, kindSequences, kindLargeObjects:
		return l.statements(ctx, f, e)
	}
	return unfit("It holds a part of kind %q.", e.Kind)
}

// unfit refuses an archive that this program did not write, or not this version of it.
func unfit(format string, args ...any) error {
	return safepoint.Errorf(safepoint.CodeArchive, "The backup cannot be loaded. "+format, args...).
		WithHint("It may come from a newer version of Safepoint. Nothing live was changed.")
}

// statements sends a frame as one message. Lines for a client program are refused: there is none.
func (l *loader) statements(ctx context.Context, f io.Reader, e archive.Entry) error {
	if e.RawLength > maxDDLFrame {
		return unfit("A part of %d bytes of statements is too long.", e.RawLength)
	}
	sql, err := io.ReadAll(f)
	if err != nil {
		return err
	}
	if err := checkScript(sql); err != nil {
		return unfit("A part of it is not statements: %v.", err)
	}
	l.at.Table = ""
	return l.conn.Exec(ctx, string(sql)).Close()
}

// copy streams one COPY block.
func (l *loader) copy(ctx context.Context, f io.Reader, e archive.Entry) error {
	s := newScanner(f)
	statement, meta, err := s.next()
	if err != nil || meta || !bytes.HasPrefix(statement, []byte("COPY ")) || !bytes.HasSuffix(statement, []byte(" FROM stdin;")) {
		return unfit("A part that should be rows does not begin with COPY … FROM stdin.")
	}
	if key := e.Schema + "." + e.Table; !l.seen[key] {
		if len(l.seen) > 0 {
			l.at.Tables = len(l.seen)
		}
		l.seen[key] = true
		l.at.Table = key
		l.report(l.at)
	}
	rows := &copyBlock{r: s.r, report: func(n int) {
		l.at.Bytes += int64(n)
		l.report(l.at)
	}}
	if c, err := s.r.ReadByte(); err != nil || c != '\n' {
		return unfit("A part that should be rows has none.")
	}
	tag, err := l.conn.CopyFrom(ctx, rows, string(statement))
	switch {
	case rows.err != nil && rows.err != io.EOF:
		return rows.err
	case err != nil:
		return err
	case tag.RowsAffected() != e.Rows:
		return safepoint.Errorf(safepoint.CodeMismatch, "Of %s.%s %d rows were loaded, and %d are in the backup.", e.Schema, e.Table, tag.RowsAffected(), e.Rows).
			WithHint("Nothing live was changed. Try again; if it stays so, restore another backup.")
	}
	return nil
}

// copyBlock reads rows up to the mark that ends them, which must be the last thing in the frame. The mark's three
// bytes are held back until more comes.
type copyBlock struct {
	r      *bufio.Reader
	report func(int)
	began  bool // something was handed on
	nl     bool // and it ended with a newline
	told   int
	err    error
}

const endMark = "\\.\n"

func (c *copyBlock) Read(p []byte) (int, error) {
	if c.err != nil {
		return 0, c.err
	}
	n, err := c.read(p)
	if n > 0 {
		c.began, c.nl = true, p[n-1] == '\n'
		if c.told += n; c.told > 1<<20 || err != nil {
			c.report(c.told)
			c.told = 0
		}
	}
	if err != nil {
		if n == 0 && c.told > 0 {
			c.report(c.told)
			c.told = 0
		}
		c.err = err
	}
	return n, err
}

func (c *copyBlock) read(p []byte) (int, error) {
	ahead, err := c.r.Peek(len(endMark) + 1)
	switch {
	case err == io.EOF && string(ahead) == endMark && (!c.began || c.nl):
		return 0, io.EOF
	case err == io.EOF:
		return 0, unfit("A part that should be rows lacks its end.")
	case err != nil:
		return 0, err
	}
	// More than the mark is there: all that is buffered except the length of a mark can be handed on.
	return c.r.Read(p[:min(len(p), c.r.Buffered()-len(endMark))])
}
