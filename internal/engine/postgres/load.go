package postgres

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/archive"
	"github.com/safepoint-db/safepoint/internal/engine"
	"github.com/safepoint-db/safepoint/internal/fault"
	"github.com/safepoint-db/safepoint/internal/sqlscript"
)

// loadSettings make loading quick with so many sessions. The script's own settings come on top. How much memory an
// index may take to be sorted follows from what the operator gave the server for its buffers.
func loadSettings(jobs int) string {
	return fmt.Sprintf(`SET synchronous_commit = off;
SELECT pg_catalog.set_config('maintenance_work_mem', greatest(65536, least(1048576, setting::pg_catalog.int8 * 8 / %d))::pg_catalog.text || 'kB', false)
FROM pg_catalog.pg_settings WHERE name = 'shared_buffers';
SET max_parallel_maintenance_workers = %d;
SET default_transaction_read_only = off;
`, 2*max(2, jobs), max(0, 2-jobs))
}

// maxDDLFrame bounds a frame of statements, which is held in memory. Ours are about a megabyte.
const maxDDLFrame = 768 << 20

// maxUnknownFrame is maxDDLFrame for files that nobody vouches for: a few kilobytes of zstd make hundreds of megabytes.
const maxUnknownFrame = 96 << 20

// Load executes an archive in an empty database: definitions one after the other, rows and then indexes and
// constraints in several sessions. See engine.Engine.
func (e Engine) Load(ctx context.Context, t engine.Target, r *archive.Reader, opt engine.LoadOptions) error {
	if err := ofPostgres(r.Header()); err != nil {
		return err
	}
	conn, err := connectContent(ctx, t)
	if err != nil {
		return err
	}
	defer hangUp(conn)
	if err := mayLoad(ctx, conn, t, r.Header(), opt); err != nil {
		return explain(ctx, t, err)
	}
	l := &loader{r: r, report: opt.Report}
	if l.version, err = versionNum(ctx, conn); err != nil {
		return err
	}
	if opt.Report == nil {
		l.report = func(engine.Progress) {}
	}
	done, err := e.enter(ctx, l, conn, t, opt.Plan)
	if err == nil {
		defer done()
		err = l.watched(ctx, e.Unknown, t)
	}
	if err == nil && opt.Plan != nil {
		err = unsubscribe(ctx, conn)
	}
	if err == nil {
		err = l.giveProperties(ctx, t, opt)
	}
	if err == nil {
		err = settleOnDisk(ctx, conn)
	}
	return l.explain(ctx, t, err)
}

// settleOnDisk makes what was loaded survive a crash of the server. A load does not wait for the disk at each statement, so
// the last ones could be lost after they were compared, and before the database they are in becomes the live one. A
// synchronous commit that wrote anything waits for everything before it.
func settleOnDisk(ctx context.Context, conn *pgx.Conn) error {
	if err := script(ctx, conn, "SET synchronous_commit = on; SELECT pg_catalog.pg_logical_emit_message(true, 'safepoint', 'loaded')"); err != nil {
		return fmt.Errorf("wait for the disk: %w", err)
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

// mayRead refuses an archive that the server, or this program, need not understand.
func mayRead(ctx context.Context, conn *pgx.Conn, h archive.Header, opt engine.LoadOptions) error {
	num, err := versionNum(ctx, conn)
	if err != nil {
		return err
	}
	if old := tooOld(num, version(conn)); old != nil {
		return old
	}
	if older := olderServer(h, num, version(conn)); older != nil && !opt.AllowOlderServer {
		return older
	}
	_, err = asked(h)
	return err
}

// mayLoad refuses a target that holds something already, or that would read the text in another encoding.
func mayLoad(ctx context.Context, conn *pgx.Conn, t engine.Target, h archive.Header, opt engine.LoadOptions) error {
	if err := mayRead(ctx, conn, h, opt); err != nil {
		return err
	}
	is, err := empty(ctx, conn)
	if err != nil {
		return err
	}
	if !is {
		return safepoint.Errorf(safepoint.CodeBlocked, "The database %s is not empty.", t.Name).
			WithHint("Load into a new database, or restore with a staging database and a switch.")
	}
	// The server translates what a foreign script says of its own encoding.
	if encoding := conn.PgConn().ParameterStatus("server_encoding"); encoding != h.Encoding && !ofUnknownLocale(h) {
		return safepoint.Errorf(safepoint.CodeBlocked, "The database %s is encoded in %s, the backup in %s.", t.Name, encoding, h.Encoding).
			WithHint("CREATE DATABASE … TEMPLATE template0 ENCODING '%s' makes one that fits.", h.Encoding)
	}
	return nil
}

// loader is one load on its way.
type loader struct {
	lead   *loadSession
	others []*loadSession
	jobs   int // sessions that shall be at work at once; there are a few more
	priv   *privileges
	r      *archive.Reader

	version int // of the server, such as 180006

	mu     sync.Mutex // held while reporting, too
	report engine.Report
	at     engine.Progress
	frames map[tableName]int // still to be loaded, of tables that have more than one

	settings settings // that the script has made so far
}

// loadSession is a session of a load. One goroutine uses it at a time.
type loadSession struct {
	conn *pgconn.PgConn
	made string // the script's settings that were made in it
}

func (l *loader) sessions() []*loadSession { return append([]*loadSession{l.lead}, l.others...) }

// workers are the sessions that do what keeps a processor busy. The others only make what is small.
func (l *loader) workers() []*loadSession {
	all := l.sessions()
	return all[:min(len(all), max(1, l.jobs+l.jobs/2))]
}

func (l *loader) run(ctx context.Context) error {
	sessions := l.sessions()
	for _, s := range sessions {
		if err := s.conn.Exec(ctx, loadSettings(len(l.workers()))).Close(); err != nil {
			return err
		}
	}
	l.at.TablesOf = l.r.Summary().Tables
	l.frames = l.cut()
	l.tell(func() {})
	rows, post := 0, 0
	for i, e := range l.r.Entries() {
		switch e.Section {
		case archive.PreData:
			rows, post = i+1, i+1
		case archive.Data:
			post = i + 1
		}
	}
	fault.Point("postgres.load.entered")
	if err := l.preData(ctx, 0, rows); err != nil {
		return err
	}
	if err := l.priv.letIn(ctx); err != nil {
		return err
	}
	fault.Point("postgres.load.rows")
	if err := l.rows(ctx, rows, post); err != nil {
		return err
	}
	fault.Point("postgres.load.post")
	if err := l.postData(ctx, post, l.r.Len()); err != nil {
		return err
	}
	l.tell(func() { l.at.Table, l.at.Tables = "", l.at.TablesOf })
	if l.lead.conn.TxStatus() != 'I' {
		return unfit("Its script begins a transaction and does not end it.")
	}
	if err := l.analyze(ctx); err != nil {
		return err
	}
	return l.settle(ctx)
}

// cut counts the frames of the tables that have more than one.
func (l *loader) cut() map[tableName]int {
	frames := map[tableName]int{}
	for _, e := range l.r.Entries() {
		if e.Table != "" {
			frames[tableName{e.Schema, e.Table}]++
		}
	}
	several := map[tableName]int{} // the other is large where tables are many
	for name, n := range frames {
		if n > 1 {
			several[name] = n
		}
	}
	return several
}

// tell reports where the load is after change has noted it.
func (l *loader) tell(change func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change()
	l.report(l.at)
}

// inTurn executes frames one after the other in the lead.
func (l *loader) inTurn(ctx context.Context, from, to int) error {
	for i := from; i < to; i++ {
		if err := l.frame(ctx, l.lead, i); err != nil {
			return err
		}
	}
	return nil
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

// explain adds to the server's words which part of the backup they are about.
func (l *loader) explain(ctx context.Context, t engine.Target, err error) error {
	told := explain(ctx, t, err)
	var pg *pgconn.PgError
	var own *ownError
	if state(err) == statePrivilege && l.priv.login != nil && errors.As(err, &pg) && !errors.As(err, &own) {
		told = safepoint.Errorf(safepoint.CodePrivilege, "It asks for a right that no backup is given while it is loaded: %s.", pg.Message).
			WithHint("Functions that a table's rows or indexes call may only use what is in the backup itself.").WithCause(err)
	}
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

// rewriting is the COPY statement to be sent for the one that stands in a frame.
type rewriting func(statement []byte) ([]byte, error)

func asItStands(statement []byte) ([]byte, error) { return statement, nil }

// frame executes one frame in a session.
func (l *loader) frame(ctx context.Context, s *loadSession, i int) error {
	return l.frameAs(ctx, s, i, asItStands)
}

// frameAs is frame, with another COPY than the frame's.
func (l *loader) frameAs(ctx context.Context, s *loadSession, i int, as rewriting) error {
	e := l.r.Entry(i)
	f, err := l.r.Frame(i)
	if err != nil {
		return &frameError{entry: e, err: err}
	}
	defer f.Close()
	switch e.Kind {
	case kindCopy:
		err = l.copyAs(ctx, s, f, e, as)
	case kindDDL, kindSequences, kindLargeObjects, kindInserts:
		err = l.statements(ctx, s, f, e)
	case kindStatistics:
		err = l.statistics(ctx, s, f, e)
	default:
		err = unfit("It holds a part of kind %q.", e.Kind)
	}
	if err != nil {
		return &frameError{entry: e, err: err}
	}
	return nil
}

// unfit refuses an archive that this program did not write, or not this version of it.
func unfit(format string, args ...any) error {
	return safepoint.Errorf(safepoint.CodeArchive, "The backup cannot be loaded. %s", safepoint.Errorf(safepoint.CodeArchive, format, args...).Quoted()).
		WithHint("It may come from a newer version of Safepoint. Nothing live was changed.")
}

// statements sends a frame as one message. Lines for a client program are refused: there is none.
func (l *loader) statements(ctx context.Context, s *loadSession, f io.Reader, e archive.Entry) error {
	sql, err := readStatements(f, e)
	if err != nil {
		return err
	}
	note := l.settings.note
	if e.Section == archive.Data { // others may be at it; there are no settings in it
		note = func([]byte) {}
	}
	if err := checkScript(sql, note); err != nil {
		return unfit("A part of it is not statements: %v.", err)
	}
	l.tell(func() { l.at.Table = "" })
	if err := l.execute(ctx, s, sql, e); err != nil {
		return err
	}
	l.tell(func() { l.at.Bytes += e.RawLength })
	return nil
}

func readStatements(f io.Reader, e archive.Entry) ([]byte, error) {
	if e.RawLength > maxDDLFrame {
		return nil, unfit("A part of %d bytes of statements is too long.", e.RawLength)
	}
	return io.ReadAll(f)
}

// copyAs streams one COPY block.
func (l *loader) copyAs(ctx context.Context, to *loadSession, f io.Reader, e archive.Entry, as rewriting) error {
	s := sqlscript.New(f)
	statement, meta, err := s.Next()
	if err != nil || meta || !bytes.HasPrefix(statement, []byte("COPY ")) || !bytes.HasSuffix(statement, []byte(" FROM stdin;")) {
		return unfit("A part that should be rows does not begin with COPY … FROM stdin.")
	}
	l.tell(func() { l.at.Table = e.Schema + "." + e.Table })
	rows := &copyBlock{r: s.Reader(), report: func(n int) {
		l.tell(func() { l.at.Bytes += int64(n) })
	}}
	if c, err := s.Reader().ReadByte(); err != nil || c != '\n' {
		return unfit("A part that should be rows has none.")
	}
	if statement, err = as(statement); err != nil {
		return err
	}
	tag, err := to.conn.CopyFrom(ctx, rows, string(statement))
	switch {
	case rows.err != nil && rows.err != io.EOF:
		return rows.err
	case err != nil:
		return err
	case tag.RowsAffected() != e.Rows:
		return safepoint.Errorf(safepoint.CodeMismatch, "Of %s.%s %d rows were loaded, and %d are in the backup.", e.Schema, e.Table, tag.RowsAffected(), e.Rows).
			WithHint("Nothing live was changed. Try again; if it stays so, restore another backup.")
	}
	l.tell(func() {
		if name := (tableName{e.Schema, e.Table}); l.frames[name] > 1 {
			l.frames[name]--
			return
		}
		l.at.Tables++
	})
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
