package postgres

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/safepoint-db/safepoint/internal/archive"
	"github.com/safepoint-db/safepoint/internal/sqlscript"
)

// privileges executes each statement of a backup with the rights that classify gives it.
type privileges struct {
	login   *loadLogin // nil: everything is executed, in its order, as our own user
	unknown bool       // nobody vouches for the file
	owner   string     // of what the file gives to no role that is fit for it; "" is our own user
	unfit   map[string]bool

	mu     sync.Mutex
	own    *pgconn.PgConn
	denied []string // REFRESH …: the login was not let
}

func (p *privileges) of(statement []byte) verdict { return classify(statement, p.unknown) }

// statements executes the statements of a frame. Those of the login that follow one another are sent as one message.
func (l *loader) execute(ctx context.Context, s *loadSession, sql []byte, e archive.Entry) error {
	if l.priv.login == nil {
		return s.conn.Exec(ctx, string(sql)).Close()
	}
	x := &execution{l: l, s: s}
	var failed error
	err := checkScript(sql, func(statement []byte) {
		if failed == nil {
			failed = x.statement(ctx, statement, e)
		}
	})
	if failed == nil && err == nil {
		failed = x.flush(ctx)
	}
	if failed == nil && err != nil {
		return unfit("A part of it is not statements: %v.", err)
	}
	return failed
}

// execution collects statements with the same rights.
type execution struct {
	l     *loader
	s     *loadSession
	login []byte   // for the login
	own   []string // for our own session
}

func (x *execution) statement(ctx context.Context, statement []byte, e archive.Entry) error {
	v := x.l.priv.of(statement)
	switch {
	case v.rights == refused:
		return refusal(v)
	case v.rights == passedOver, v.rights == oursLast:
		return nil
	case v.rights == oursLater && e.Section != archive.Data:
		return nil
	case x.l.priv.passOver(v):
		return nil
	case v.rights == refresh:
		if err := x.flush(ctx); err != nil {
			return err
		}
		return x.l.refresh(ctx, x.s, string(statement))
	case v.rights == ours || v.rights == oursLater:
		if err := x.flushLogin(ctx); err != nil {
			return err
		}
		x.own = append(x.own, string(statement))
		if v.made != "" {
			x.own = append(x.own, "ALTER FOREIGN TABLE "+v.made+" OWNER TO "+ident(x.l.priv.login.name))
		}
		return nil
	}
	if v.server != "" {
		if err := x.flushLogin(ctx); err != nil {
			return err
		}
		x.own = append(x.own, "GRANT USAGE ON FOREIGN SERVER "+ident(v.server)+" TO "+ident(x.l.priv.login.name))
	}
	if len(x.own) > 0 {
		if err := x.flushOwn(ctx); err != nil {
			return err
		}
	}
	if v.rights == makesSetting && v.what == "SET client_encoding" {
		if err := x.l.priv.alone(ctx, []string{string(statement)}); err != nil {
			return err
		}
	}
	x.login = append(append(x.login, statement...), '\n')
	return nil
}

func (x *execution) flush(ctx context.Context) error {
	if err := x.flushLogin(ctx); err != nil {
		return err
	}
	return x.flushOwn(ctx)
}

func (x *execution) flushOwn(ctx context.Context) error {
	own := x.own
	x.own = nil
	return x.l.priv.alone(ctx, own)
}

func (x *execution) flushLogin(ctx context.Context) error {
	sql := x.login
	x.login = nil
	if len(sql) == 0 {
		return nil
	}
	err := x.s.conn.Exec(ctx, string(sql)).Close()
	if state(err) != statePrivilege || x.l.priv.unknown {
		return err
	}
	return x.l.oneByOne(ctx, x.s, sql)
}

// oneByOne executes statements of which the server refused one for want of rights, and had undone the others. A
// function in a language for superusers, or with a setting of theirs, is made by our own session: making one runs
// nothing of it.
func (l *loader) oneByOne(ctx context.Context, s *loadSession, sql []byte) error {
	var failed error
	err := checkScript(sql, func(statement []byte) {
		if failed != nil {
			return
		}
		failed = s.conn.Exec(ctx, string(statement)).Close()
		if r := read(statement); state(failed) == statePrivilege && r.is("CREATE") {
			// What a literal of the backup's own type runs when it is read may have refused it only to be executed by us.
			if _, ok := r.oneOf("FUNCTION", "PROCEDURE", "OR REPLACE FUNCTION", "OR REPLACE PROCEDURE"); ok && !r.castsToOwn() {
				failed = l.priv.alone(ctx, []string{string(statement)})
			}
		}
	})
	if failed == nil {
		return err
	}
	return failed
}

// refresh fills a materialized view as the login, which owns it, or leaves it for when its owner does.
func (l *loader) refresh(ctx context.Context, s *loadSession, statement string) error {
	err := s.conn.Exec(ctx, statement).Close()
	if state(err) == statePrivilege || state(err) == stateNotInState && len(l.priv.denied) > 0 { // it reads one that is not filled yet
		l.priv.denied = append(l.priv.denied, statement)
		return nil
	}
	return err
}

// alone executes statements in our own session. Each is sent by itself in a way that lets the server take no more than
// one statement: what classify saw is all that is executed, whatever else our reading of quotes might have missed.
func (p *privileges) alone(ctx context.Context, statements []string) error {
	if len(statements) == 0 {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.pipeline(ctx, statements); err != nil {
		return &ownError{err}
	}
	return nil
}

// ownError is what our own session was told, and not the login's.
type ownError struct{ err error }

func (e *ownError) Error() string { return e.err.Error() }
func (e *ownError) Unwrap() error { return e.err }

func (p *privileges) pipeline(ctx context.Context, statements []string) error {
	pipeline := p.own.StartPipeline(ctx)
	for _, s := range statements {
		pipeline.SendQueryParams(s, nil, nil, nil, nil)
	}
	if err := pipeline.Sync(); err != nil {
		pipeline.Close()
		return err
	}
	var first error
	for {
		results, err := pipeline.GetResults()
		if err == nil {
			switch r := results.(type) {
			case *pgconn.ResultReader:
				_, err = r.Close()
			case *pgconn.PipelineSync, nil:
				if err := pipeline.Close(); first == nil {
					first = err
				}
				return first
			}
		}
		if err != nil && first == nil {
			first = err
			if state(err) == "" {
				pipeline.Close()
				return err
			}
		}
	}
}

// refusal says what a backup may not hold.
func refusal(v verdict) error {
	return unfit("It holds a statement that is not executed (%s): %s.", v.what, v.why)
}

// eachStatement reads all statements of the archive that are not rows and stand in a part that is wanted, in their order.
func (l *loader) eachStatement(ctx context.Context, wanted func(archive.Entry) bool, do func(e archive.Entry, number int, statement []byte) error) error {
	for i, e := range l.r.Entries() {
		if e.Kind == kindCopy || !wanted(e) || ctx.Err() != nil {
			continue
		}
		if err := l.statementsOf(i, e, do); err != nil {
			return &frameError{entry: e, err: err}
		}
	}
	return ctx.Err()
}

func everyEntry(archive.Entry) bool { return true }

func (l *loader) statementsOf(i int, e archive.Entry, do func(e archive.Entry, number int, statement []byte) error) error {
	f, err := l.r.Frame(i)
	if err != nil {
		return err
	}
	defer f.Close()
	s := sqlscript.New(f)
	if l.priv.unknown {
		if e.RawLength > maxUnknownFrame {
			return unfit("A part of %d bytes of statements is too long for a file of unknown origin.", e.RawLength)
		}
		s.MaxStatement = maxUnknownFrame
	}
	for n := 1; ; n++ {
		statement, meta, err := s.Next()
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			return unfit("A part of it is not statements: %v.", err)
		case meta:
			line := strings.TrimSpace(string(statement[bytes.LastIndexByte(statement[:max(0, len(statement)-1)], '\n')+1:]))
			return unfit("Statement %d of a part is a command for a client program: %.40q.", n, line)
		}
		if err := do(e, n, statement); err != nil {
			return err
		}
	}
}

// later executes what was put off: owners, grants and comments.
func (l *loader) later(ctx context.Context, want rights) error {
	var batch []string
	size := 0
	flush := func() error {
		err := l.priv.alone(ctx, batch)
		batch, size = batch[:0], 0
		return err
	}
	// What stands among rows was executed at its place.
	wanted := func(e archive.Entry) bool {
		return e.Kind != kindStatistics && (e.Section != archive.Data || want == oursLast && e.Kind == kindDDL)
	}
	err := l.eachStatement(ctx, wanted, func(_ archive.Entry, _ int, statement []byte) error {
		v := l.priv.of(statement)
		if v.rights != want || l.priv.passOver(v) {
			return nil
		}
		batch, size = append(batch, string(statement)), size+len(statement)
		if len(batch) >= batchStatements || size >= batchBytes {
			return flush()
		}
		return nil
	})
	if err != nil {
		return err
	}
	return flush()
}

// passOver says that a statement of a file of unknown origin would give something to a role that may own none of it.
func (p *privileges) passOver(v verdict) bool { return p.unknown && v.gives != "" && p.unfit[v.gives] }

// settle is the end of a load: all that the login made gets its owner, and the login is dropped.
func (l *loader) settle(ctx context.Context) error {
	p := l.priv
	if p.login == nil {
		return nil
	}
	if err := p.login.end(ctx); err != nil {
		return err
	}
	if err := l.later(ctx, oursLater); err != nil {
		return err
	}
	if err := p.reassign(ctx); err != nil {
		return err
	}
	if err := p.alone(ctx, p.denied); err != nil {
		return err
	}
	if err := p.login.drop(ctx); err != nil {
		return err
	}
	return l.later(ctx, oursLast)
}

// listOwned are relations that the login still owns and that are not part of another, in their owner's order of making.
const listOwned = `SELECT CASE c.relkind WHEN 'S' THEN 'SEQUENCE ' WHEN 'v' THEN 'VIEW ' WHEN 'm' THEN 'MATERIALIZED VIEW ' WHEN 'f' THEN 'FOREIGN TABLE ' ELSE 'TABLE ' END
  || pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname)
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relowner = (SELECT oid FROM pg_catalog.pg_roles WHERE rolname = $1::text::name) AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid AND d.deptype IN ('a', 'i') AND c.relkind = 'S')
LIMIT $2`

// reassign gives what the file gave to nobody to its owner: relations in batches, for each needs locks, then the rest.
func (p *privileges) reassign(ctx context.Context) error {
	to := "CURRENT_USER"
	if p.owner != "" {
		to = ident(p.owner)
	}
	for {
		rows := p.own.ExecParams(ctx, listOwned, [][]byte{[]byte(p.login.name), fmt.Append(nil, batchStatements)}, []uint32{25, 23}, nil, nil).Read()
		if rows.Err != nil {
			return fmt.Errorf("list what has no owner: %w", rows.Err)
		}
		if len(rows.Rows) == 0 {
			break
		}
		statements := make([]string, len(rows.Rows))
		for i, row := range rows.Rows {
			statements[i] = "ALTER " + string(row[0]) + " OWNER TO " + to
		}
		if err := p.again(ctx, statements); err != nil {
			return fmt.Errorf("give what has no owner to one: %w", err)
		}
	}
	if err := p.again(ctx, []string{"REASSIGN OWNED BY " + ident(p.login.name) + " TO " + to}); err != nil {
		return fmt.Errorf("give what has no owner to one: %w", err)
	}
	return nil
}

// again is alone, repeated where autovacuum was in the way: while it analyzes a table, a function of one of its indexes may wait
// for a table that we have, and we for this one.
func (p *privileges) again(ctx context.Context, statements []string) error {
	const tries = 5
	for try := 1; ; try++ {
		if err := p.alone(ctx, statements); try == tries || state(err) != stateDeadlock {
			return err
		}
	}
}

// putsOff says that a statement outside the data section is not executed at its place.
func (p *privileges) putsOff(statement []byte) bool {
	if p.login == nil {
		return false
	}
	r := p.of(statement).rights
	return r == oursLater || r == oursLast
}
