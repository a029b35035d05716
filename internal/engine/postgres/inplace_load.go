package postgres

import (
	"bytes"
	"context"
	"fmt"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/archive"
	"github.com/safepoint-db/safepoint/internal/engine"
)

// Load drops what is there and loads the archive, all in the transaction. See engine.InPlace.
func (x *inPlace) Load(ctx context.Context, r *archive.Reader, opt engine.LoadOptions) error {
	if err := ofPostgres(r.Header()); err != nil {
		return err
	}
	if ofUnknownOrigin(r) && !x.engine.Unknown.Trusted {
		return unknownInPlace()
	}
	x.leave()
	l := &loader{r: r, report: opt.Report, lead: &loadSession{conn: x.conn.PgConn()}, frames: map[tableName]int{}, priv: &privileges{own: x.conn.PgConn()}}
	if opt.Report == nil {
		l.report = func(engine.Progress) {}
	}
	if err := x.replace(ctx, l); err != nil {
		return l.explain(ctx, x.target, err)
	}
	return nil
}

func unknownInPlace() *safepoint.Error {
	return safepoint.Errorf(safepoint.CodeBlocked, "A file of unknown origin is only executed by a login with few rights in a database of its own, and the restore would be done in place.").
		WithHint("Give the user CREATEDB and CREATEROLE, name the key that signed the file (--key), or say that you vouch for it (--trusted).")
}

func (x *inPlace) replace(ctx context.Context, l *loader) error {
	if _, err := l.vet(ctx); err != nil {
		return err
	}
	if err := x.lock(ctx, "ACCESS EXCLUSIVE"); err != nil {
		return err
	}
	if err := x.unwritten(ctx, append(x.unlockable, largeObjectTable)); err != nil {
		return err
	}
	now, err := x.unlocked(ctx)
	if err != nil {
		return err
	}
	if now != x.before {
		return safepoint.Errorf(safepoint.CodeConflict, "Somebody changed something in %s after the safety backup was made: a sequence, a function or the like.", x.target.Name).
			WithHint("Nothing was replaced. Halt what still uses the database, and start the restore again.")
	}
	asks, err := asked(l.r.Header())
	if err != nil {
		return err
	}
	if err := x.drop(ctx, asks); err != nil {
		return x.overtaken(err)
	}
	// The planner's settings of a load; its sessions' memory is this one's alone.
	if err := script(ctx, x.conn, loadSettings(1)); err != nil {
		return err
	}
	l.at.TablesOf = l.r.Summary().Tables
	l.frames = l.cut()
	l.tell(func() {})
	x.loaded = newLargeSum()
	for i, e := range l.r.Entries() {
		if err := x.frame(ctx, l, i, e); err != nil {
			return &frameError{entry: e, err: x.overtaken(err)}
		}
	}
	x.loaded.end()
	l.tell(func() { l.at.Table, l.at.Tables = "", l.at.TablesOf })
	return x.analyze(ctx)
}

// frame executes one frame. Each statement is sent by itself, so that none can bring another with it that ends the
// transaction; rows are frozen as they come, so that whoever looks with an older snapshot sees all of them, not none.
func (x *inPlace) frame(ctx context.Context, l *loader, i int, e archive.Entry) error {
	f, err := l.r.Frame(i)
	if err != nil {
		return err
	}
	defer f.Close()
	switch e.Kind {
	case kindCopy:
		plain, err := x.plain(ctx, e)
		if err != nil {
			return err
		}
		return l.copyAs(ctx, l.lead, f, e, func(statement []byte) ([]byte, error) {
			if plain {
				return statement, nil
			}
			return append(bytes.TrimSuffix(statement, []byte(";")), " WITH (FREEZE);"...), nil
		})
	case kindDDL, kindSequences, kindLargeObjects:
	case kindStatistics: // none of it may fail here; ANALYZE makes them anew
		l.tell(func() { l.at.Table = ""; l.at.Bytes += e.RawLength })
		return nil
	default:
		return unfit("It holds a part of kind %q.", e.Kind)
	}
	sql, err := readStatements(f, e)
	if err != nil {
		return err
	}
	var batch []string
	size := 0
	var failed error
	flush := func() {
		if failed == nil && len(batch) > 0 {
			failed = l.priv.pipeline(ctx, batch)
		}
		batch, size = nil, 0
	}
	err = checkScript(sql, func(statement []byte) {
		if e.Kind == kindLargeObjects {
			x.loaded.statement(statement)
		}
		if v := l.priv.of(statement); v.rights == refused {
			failed = refusal(v)
		} else if v.rights == passedOver || x.kept.leaves(statement) {
			return
		}
		batch, size = append(batch, string(statement)), size+len(statement)
		if len(batch) >= batchStatements || size >= batchBytes {
			flush()
		}
	})
	if err != nil {
		return unfit("A part of it is not statements: %v.", err)
	}
	if flush(); failed != nil {
		return failed
	}
	l.tell(func() { l.at.Table = ""; l.at.Bytes += e.RawLength })
	return nil
}

// analyze makes the planner's statistics in the transaction: they make the first queries quick. Nothing may fail here
// that would not be worth the whole load, so each try can be taken back alone.
func (x *inPlace) analyze(ctx context.Context) error {
	if err := script(ctx, x.conn, contentSettings(x.conn.PgConn())); err != nil {
		return err
	}
	groups, err := column(ctx, x.conn, listAnalyzed+groupAnalyzed)
	if err != nil {
		return fmt.Errorf("list tables: %w", err)
	}
	for _, g := range groups {
		if err := script(ctx, x.conn, "SAVEPOINT safepoint_analyze"); err != nil {
			return err
		}
		err := script(ctx, x.conn, "ANALYZE "+g)
		if err != nil && state(err) == "" {
			return err
		}
		end := "RELEASE SAVEPOINT safepoint_analyze"
		if err != nil {
			end = "ROLLBACK TO SAVEPOINT safepoint_analyze; " + end
		}
		if err := script(ctx, x.conn, end); err != nil {
			return err
		}
	}
	return nil
}

// Digest reads, in the transaction, what was loaded. See engine.InPlace.
func (x *inPlace) Digest(ctx context.Context, report engine.Report) (archive.Fingerprint, error) {
	d := newDigestion(report)
	if err := x.digest(ctx, d); err != nil {
		return nil, explain(ctx, x.target, err)
	}
	return d.fingerprint(), nil
}

func (x *inPlace) digest(ctx context.Context, d *digestion) error {
	if err := script(ctx, x.conn, contentSettings(x.conn.PgConn())); err != nil {
		return err
	}
	list, err := tables(ctx, x.conn)
	if err != nil {
		return err
	}
	if err := unreadableOrNil(x.target.User, list); err != nil {
		return err
	}
	pieces, err := shareOut(ctx, x.conn, list)
	if err != nil {
		return err
	}
	if err := script(ctx, x.conn, readPlan); err != nil {
		return err
	}
	for _, t := range list {
		if !t.partitioned {
			d.at.TablesOf++
		}
	}
	for _, piece := range pieces {
		if err := d.read(ctx, x.conn, piece); err != nil {
			return err
		}
	}
	if err := x.alone(ctx); err != nil {
		return err
	}
	return x.stillSame(ctx)
}

// alone makes sure that nobody else made anything in the database meanwhile that would now stand beside the backup's
// content: all that is there and is the user's is of our transaction, or stays.
func (x *inPlace) alone(ctx context.Context) error {
	var other *string
	err := x.conn.QueryRow(ctx, `SELECT (SELECT pg_catalog.min(i.type || ' ' || i.identity) FROM `+ownedObjects+`
    AND (SELECT c.xmin FROM pg_catalog.pg_class c WHERE c.oid = o.oid AND o.class = 'pg_catalog.pg_class'::pg_catalog.regclass
      UNION ALL SELECT p.xmin FROM pg_catalog.pg_proc p WHERE p.oid = o.oid AND o.class = 'pg_catalog.pg_proc'::pg_catalog.regclass)
      <> pg_catalog.xid($1::text::xid8))`, x.mark.XID).Scan(&other)
	if err != nil {
		return fmt.Errorf("look for what others made meanwhile: %w", err)
	}
	if other != nil {
		return safepoint.Errorf(safepoint.CodeConflict, "Somebody made something in %s while the backup was loaded: %s.", x.target.Name, *other).
			WithHint("Nothing was replaced. Halt what still uses the database, and start the restore again.")
	}
	return nil
}
