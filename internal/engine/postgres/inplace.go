package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/archive"
	"github.com/safepoint-db/safepoint/internal/engine"
	"github.com/safepoint-db/safepoint/internal/fault"
)

// inPlacePlan is what the journal keeps of a restore in place: by it the server says what became of the transaction.
type inPlacePlan struct {
	XID      string `json:"xid"`
	PID      int32  `json:"pid"`
	Started  string `json:"started"`  // when the session began, to tell its process from a later one of the same number
	Timeline string `json:"timeline"` // a server that took over may not have heard of the transaction, and give its number to another
}

// inPlace is a database whose content is replaced in one transaction.
type inPlace struct {
	engine     Engine
	target     engine.Target
	plan       engine.Plan
	mark       inPlacePlan
	conn       *pgx.Conn // holds the transaction
	side       *pgx.Conn // ends and looks at others meanwhile
	unlockable []uint32  // tables of extensions that our user may not lock
	inside     *sessions // of the safety backup; nil once they are closed
	before     string    // what no lock protects, as it was when the tables were locked
	saved      *largeSum // large objects as the safety backup holds them; nil without one
	loaded     *largeSum // and as the archive that was loaded does
	kept       kept
}

// BeginInPlace begins the transaction. See engine.InPlacer.
func (e Engine) BeginInPlace(ctx context.Context, t engine.Target, p engine.Plan, save func(engine.Plan) error) (engine.InPlace, error) {
	x := &inPlace{engine: e, target: t, plan: p}
	if err := x.begin(ctx, save); err != nil {
		x.Close()
		return nil, explain(ctx, t, err)
	}
	return x, nil
}

func (x *inPlace) begin(ctx context.Context, save func(engine.Plan) error) (err error) {
	if x.conn, err = connectContent(ctx, x.target); err != nil {
		return err
	}
	if x.side, err = connect(ctx, x.target); err != nil {
		return err
	}
	if err := script(ctx, x.side, stay+"SET statement_timeout = 0; SET synchronous_commit = on"); err != nil {
		return err
	}
	if err := x.identify(ctx); err != nil {
		return err
	}
	if err := lockRestore(ctx, x.side, x.plan.LiveID); err != nil {
		return err
	}
	if err := noPreparedTransactions(ctx, x.side, x.target.Name); err != nil {
		return err
	}
	if x.inside, err = x.engine.openSessions(ctx, x.target); err != nil {
		return err
	}
	if err := x.beginMarked(ctx, save); err != nil {
		return err
	}
	if err := x.lock(ctx, "EXCLUSIVE"); err != nil {
		return err
	}
	x.before, err = x.unlocked(ctx)
	return err
}

// identify makes sure that server and database are the plan's.
func (x *inPlace) identify(ctx context.Context) error {
	if err := sameServer(ctx, x.side, x.target, x.plan, safepoint.CodeConflict); err != nil {
		return err
	}
	live, ok, err := byName(ctx, x.side, x.target.Name)
	if err != nil {
		return err
	}
	if !ok || live.OID != x.plan.LiveID {
		return safepoint.Errorf(safepoint.CodeConflict, "%s is not the database any more that this restore began with.", x.target.Name).
			WithHint("Somebody renamed, dropped or restored it. Start the restore again.")
	}
	return nil
}

// beginMarked begins the transaction and has its number written down, by the server first and by us then. A number that
// is in no record of the server's log would be given to another transaction after a crash, whose fate we would take for
// that of ours: hence the message, which is such a record, and the commit beside it, which brings it to disk.
func (x *inPlace) beginMarked(ctx context.Context, save func(engine.Plan) error) error {
	if err := script(ctx, x.conn, "SET default_transaction_read_only = off; BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"); err != nil {
		return err
	}
	err := x.conn.QueryRow(ctx, `SELECT pg_catalog.pg_current_xact_id()::text, pg_catalog.pg_backend_pid(),
  (SELECT extract(epoch FROM backend_start)::text FROM pg_catalog.pg_stat_activity WHERE pid = pg_catalog.pg_backend_pid()), `+timeline).
		Scan(&x.mark.XID, &x.mark.PID, &x.mark.Started, &x.mark.Timeline)
	if err != nil {
		return fmt.Errorf("mark the transaction: %w", err)
	}
	const message = "SELECT pg_catalog.pg_logical_emit_message(true, 'safepoint', 'restore in place')"
	for _, conn := range []*pgx.Conn{x.conn, x.side} {
		if err := script(ctx, conn, message); err != nil {
			return fmt.Errorf("mark the transaction: %w", err)
		}
	}
	c, err := capturedIn(x.plan)
	if err != nil {
		return err
	}
	c.InPlace = &x.mark
	if x.plan.Engine, err = json.Marshal(c); err != nil {
		return err
	}
	if err := save(x.plan); err != nil {
		return fmt.Errorf("write the journal: %w", err)
	}
	return nil
}

// timeline is the server's history: another one after a standby took over.
const timeline = `pg_catalog.substr(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()), 1, 8)`

// pids are the server's processes of all our sessions.
func (x *inPlace) pids() []int32 {
	pids := []int32{int32(x.conn.PgConn().PID()), int32(x.side.PgConn().PID())}
	if x.inside != nil {
		pids = append(pids, x.inside.pids()...)
	}
	return pids
}

// Dump is Engine.Dump beside the transaction, whose locks let it read.
func (x *inPlace) Dump(ctx context.Context, w *archive.Writer, opt engine.DumpOptions) error {
	if x.inside == nil {
		return safepoint.Errorf(safepoint.CodeConflict, "The database is not held any more.").WithHint("Start the restore again.")
	}
	x.saved = nil
	x.inside.large = newLargeSum()
	if err := x.inside.dump(ctx, x.target, w, opt); err != nil {
		return err
	}
	x.saved = x.inside.large
	return nil
}

// Commit makes the new content live. See engine.InPlace.
func (x *inPlace) Commit(ctx context.Context) error {
	return explain(ctx, x.target, x.commit(ctx))
}

func (x *inPlace) commit(ctx context.Context) error {
	var same bool
	err := x.conn.QueryRow(ctx, "SELECT coalesce(pg_catalog.pg_current_xact_id_if_assigned()::text = $1, false)", x.mark.XID).Scan(&same)
	if err != nil {
		return err
	}
	if !same || x.conn.PgConn().TxStatus() != 'T' {
		return safepoint.Errorf(safepoint.CodeNeedsOperator, "The transaction of the restore was ended by something in the backup."). // which classify keeps from happening
																		WithHint("Look at the database before anything else: what it holds may be mixed. Restore the safety backup.")
	}
	if others, err := x.accompanied(ctx); err != nil {
		return err
	} else if others {
		if err := x.stillSame(ctx); safepoint.ErrorCode(err) == safepoint.CodeBlocked {
			refused := *safepoint.UserError(err)
			refused.Code = safepoint.CodeConflict // nothing was changed, as engine.InPlace says it
			return &refused
		} else if err != nil {
			return err
		}
	}
	if err := script(ctx, x.conn, "SET LOCAL synchronous_commit = on"); err != nil {
		return err
	}
	if err := fault.Point("postgres.inplace.before"); err != nil {
		return err
	}
	tag, err := x.conn.Exec(ctx, "COMMIT")
	if ferr := fault.Point("postgres.inplace.sent"); err == nil {
		err = ferr
	}
	if err == nil && tag.String() != "COMMIT" {
		return safepoint.Errorf(safepoint.CodeConflict, "The server rolled the restore back.").WithHint("Nothing was changed. The server's log may say why.")
	}
	return err
}

// Close ends our sessions.
func (x *inPlace) Close() error {
	x.leave()
	hangUp(x.conn)
	hangUp(x.side)
	x.conn, x.side = nil, nil
	return nil
}

// leave ends the sessions of the safety backup.
func (x *inPlace) leave() {
	if x.inside != nil {
		x.inside.close()
		x.inside = nil
	}
}

// outcomePatience is how long a transaction whose session was ended may take to be rolled back.
const outcomePatience = time.Minute

// InPlaceOutcome asks the server what became of the transaction. See engine.InPlacer.
func (Engine) InPlaceOutcome(ctx context.Context, t engine.Target, p engine.Plan) (engine.Position, error) {
	c, err := capturedIn(p)
	if err != nil || c.InPlace == nil {
		return engine.Before, err // nothing was begun
	}
	conn, err := connect(ctx, t)
	if safepoint.ErrorCode(err) == safepoint.CodeName && state(err) == stateNoDatabase {
		return engine.Unknown, nil
	}
	if err != nil {
		return engine.Unknown, err
	}
	defer hangUp(conn)
	err = sameServer(ctx, conn, t, p, safepoint.CodeNeedsOperator)
	if safepoint.ErrorCode(err) == safepoint.CodeNeedsOperator {
		return engine.Unknown, nil
	}
	if err != nil {
		return engine.Unknown, explain(ctx, t, err)
	}
	at, err := outcome(ctx, conn, *c.InPlace)
	return at, explain(ctx, t, err)
}

// outcome ends the transaction's session if it is still there, for its process is dead, and waits for the end.
func outcome(ctx context.Context, conn *pgx.Conn, m inPlacePlan) (engine.Position, error) {
	ctx, cancel := context.WithTimeout(ctx, outcomePatience)
	defer cancel()
	for {
		var now string
		var status *string
		err := conn.QueryRow(ctx, "SELECT "+timeline+", pg_catalog.pg_xact_status($1::text::xid8)", m.XID).Scan(&now, &status)
		switch {
		case state(err) == "22023": // it lies in the future: the server was put back to an earlier state
			return engine.Unknown, nil
		case err != nil:
			return engine.Unknown, fmt.Errorf("ask what became of the transaction: %w", err)
		case now != m.Timeline, status == nil:
			return engine.Unknown, nil
		case *status == "committed":
			return engine.After, nil
		case *status == "aborted":
			return engine.Before, nil
		}
		if _, err := conn.Exec(ctx, `SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity
WHERE pid = $1 AND extract(epoch FROM backend_start)::text = $2`, m.PID, m.Started); err != nil {
			return engine.Unknown, fmt.Errorf("end what is left of the transaction: %w", err)
		}
		select {
		case <-ctx.Done():
			return engine.Unknown, errors.New("the transaction of the restore does not end")
		case <-time.After(20 * time.Millisecond):
		}
	}
}

var _ engine.InPlacer = Engine{}
