package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/archive"
	"github.com/safepoint-db/safepoint/internal/engine"
	"github.com/safepoint-db/safepoint/internal/fault"
)

const (
	drainTimeout = 15 * time.Second // for other sessions to end
	drainPoll    = 5 * time.Millisecond
)

// gate is a live database that lets nobody in, with our sessions inside.
type gate struct {
	target engine.Target
	plan   engine.Plan
	engine Engine
	live   properties // as found
	closed string     // row_version of the live database right after it was closed
	admin  *pgx.Conn  // in the maintenance database; holds the restore's lock
	inside *sessions  // nil once they are closed
}

// Gate closes the live database to everyone else. See engine.Engine.
func (e Engine) Gate(ctx context.Context, t engine.Target, p engine.Plan, save func(engine.Plan) error) (engine.Gate, error) {
	g := &gate{target: t, plan: p, engine: e}
	if err := g.begin(ctx, save); err != nil {
		g.Close()
		return nil, explain(ctx, t, err)
	}
	if err := g.shut(ctx); err != nil {
		g.Close()
		// What was shut for nothing is opened again, even if the caller has given up waiting.
		again, cancel := context.WithTimeout(context.WithoutCancel(ctx), dialTimeout)
		defer cancel()
		if oerr := e.Open(again, t, g.plan); oerr != nil {
			err = fmt.Errorf("%w (and the database could not be opened again: %w)", err, oerr)
		}
		return nil, explain(ctx, t, err)
	}
	return g, nil
}

// begin does everything that can be done with the door still open.
func (g *gate) begin(ctx context.Context, save func(engine.Plan) error) (err error) {
	if g.admin, err = maintenance(ctx, g.target); err != nil {
		return err
	}
	if err := lockRestore(ctx, g.admin, g.plan.LiveID); err != nil {
		return err
	}
	live, err := g.findLive(ctx)
	if err != nil {
		return err
	}
	if err := nothingAttached(ctx, g.admin, g.target.Name); err != nil {
		return err
	}
	if err := g.capture(ctx, live); err != nil {
		return err
	}
	if err := save(g.plan); err != nil {
		return fmt.Errorf("write the journal: %w", err)
	}
	if !live.AllowConn { // an earlier gate of ours, left by a crash: our own sessions must get in
		if err := allowConnections(ctx, g.admin, g.target.Name, true); err != nil {
			return err
		}
	}
	fault.Point("postgres.gate.inside")
	g.inside, err = g.engine.openSessions(ctx, g.target)
	return err
}

// findLive makes sure that server and database are the plan's.
func (g *gate) findLive(ctx context.Context) (catalogRow, error) {
	if err := sameServer(ctx, g.admin, g.target, g.plan, safepoint.CodeConflict); err != nil {
		return catalogRow{}, err
	}
	live, ok, err := byName(ctx, g.admin, g.target.Name)
	if err != nil {
		return live, err
	}
	if !ok || live.OID != g.plan.LiveID {
		return live, safepoint.Errorf(safepoint.CodeConflict, "%s is not the database any more that this restore began with.", g.target.Name).
			WithHint("Somebody renamed, dropped or restored it. Start the restore again.")
	}
	return live, nil
}

// capture puts into the plan what Open and Switch must put back. What an earlier gate captured stands while that
// gate is still closed: what is seen now is its doing.
func (g *gate) capture(ctx context.Context, live catalogRow) error {
	c, err := capturedIn(g.plan)
	if err != nil {
		return err
	}
	if !live.AllowConn && c.Live == nil {
		return safepoint.Errorf(safepoint.CodeBlocked, "The database %s lets nobody in.", g.target.Name).
			WithHint("An operator closed it: ALTER DATABASE … ALLOW_CONNECTIONS true opens it.")
	}
	now, err := captureDatabase(ctx, g.admin, live.OID)
	if err != nil {
		return err
	}
	if !live.AllowConn {
		now.AllowConnections = c.Live.AllowConnections
	}
	g.live, c.Live = now, &now
	g.plan.Engine, err = json.Marshal(c)
	return err
}

// shut lets no one in and waits until all others are gone.
func (g *gate) shut(ctx context.Context) error {
	if err := allowConnections(ctx, g.admin, g.target.Name, false); err != nil {
		return err
	}
	fault.Point("postgres.gate.shut")
	if err := drain(ctx, g.admin, g.plan.LiveID, g.inside.pids()); err != nil {
		return err
	}
	fault.Point("postgres.gate.drained")
	// What came between the look and the door's closing would be found by the switch, a safety backup later.
	if err := nothingAttached(ctx, g.admin, g.target.Name); err != nil {
		return err
	}
	live, err := g.findLive(ctx)
	g.closed = live.XMin
	return err
}

func allowConnections(ctx context.Context, admin *pgx.Conn, name string, allow bool) error {
	if err := script(ctx, admin, fmt.Sprintf("ALTER DATABASE %s WITH ALLOW_CONNECTIONS %t", ident(name), allow)); err != nil {
		return fmt.Errorf("change whom the database lets in: %w", err)
	}
	return nil
}

// Sessions of users in a database. Autovacuum has no user, and makes way by itself.
const othersIn = `FROM pg_stat_activity WHERE datid::text = $1 AND usesysid IS NOT NULL AND pid <> pg_backend_pid() AND pid <> ALL ($2::int[])`

// drain ends all sessions in a database but those in keep, and waits until they are gone.
func drain(ctx context.Context, admin *pgx.Conn, oid string, keep []int32) error {
	ctx, cancel := context.WithTimeout(ctx, drainTimeout)
	defer cancel()
	tick := time.NewTicker(drainPoll)
	defer tick.Stop()
	if keep == nil {
		keep = []int32{}
	}
	for {
		// Without a timeout: each call with one would wait for its own session.
		if _, err := admin.Exec(ctx, "SELECT pg_terminate_backend(pid) "+othersIn, oid, keep); err != nil {
			return whoStays(ctx, admin, oid, keep, err)
		}
		var left int
		if err := admin.QueryRow(ctx, "SELECT count(*) "+othersIn, oid, keep).Scan(&left); err != nil {
			return whoStays(ctx, admin, oid, keep, err)
		}
		if left == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return whoStays(ctx, admin, oid, keep, ctx.Err())
		case <-tick.C:
		}
	}
}

// whoStays names a session that could not be ended.
func whoStays(ctx context.Context, admin *pgx.Conn, oid string, keep []int32, cause error) error {
	ask, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	var who string
	err := admin.QueryRow(ask, "SELECT format('session %s of user %s', pid, usename) "+othersIn+" ORDER BY usename = current_user, pid LIMIT 1", oid, keep).Scan(&who)
	if err != nil {
		return fmt.Errorf("end other sessions: %w", cause)
	}
	if state(cause) == statePrivilege {
		return safepoint.Errorf(safepoint.CodePrivilege, "The %s could not be ended: the restore's user may not.", who).
			WithHint("GRANT pg_signal_backend to it. Sessions of superusers can only be ended by a superuser.").WithCause(cause)
	}
	return safepoint.Errorf(safepoint.CodeBlocked, "The %s did not end.", who).WithHint("End it by hand and try again.").WithCause(cause)
}

// Dump is Engine.Dump through the gate's own sessions.
func (g *gate) Dump(ctx context.Context, w *archive.Writer, opt engine.DumpOptions) error {
	if g.inside == nil {
		return safepoint.Errorf(safepoint.CodeConflict, "The database is not held shut any more.").WithHint("Start the restore again.")
	}
	return g.inside.dump(ctx, g.target, w, opt)
}

// Close ends our own sessions.
func (g *gate) Close() error {
	g.leave()
	hangUp(g.admin)
	g.admin = nil
	return nil
}

// leave ends the sessions inside the database.
func (g *gate) leave() {
	if g.inside != nil {
		g.inside.close()
		g.inside = nil
	}
}

// Open lets everyone in again. See engine.Engine.
func (Engine) Open(ctx context.Context, t engine.Target, p engine.Plan) error {
	c, err := capturedIn(p)
	if err != nil || c.Live == nil || !c.Live.AllowConnections {
		return err // no gate of this plan ever shut anything
	}
	conn, err := maintenance(ctx, t)
	if err != nil {
		return err
	}
	defer hangUp(conn)
	if err := sameServer(ctx, conn, t, p, safepoint.CodeNeedsOperator); err != nil {
		return explain(ctx, t, err)
	}
	return explain(ctx, t, open(ctx, conn, t, p, c.Instant))
}

// open acts on the databases of the plan only, by identity: on the one that holds the live name, and on the original
// if somebody renamed it while it was shut.
func open(ctx context.Context, conn *pgx.Conn, t engine.Target, p engine.Plan, instant bool) error {
	for _, oid := range []string{p.LiveID, p.StagingID} {
		c, ok, err := byOID(ctx, conn, oid)
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		mine := c.Name == t.Name || oid == p.LiveID && c.Name != p.AsideName
		switch {
		case mine && !c.AllowConn:
			if err := allowConnections(ctx, conn, c.Name, true); err != nil {
				return err
			}
		case mine && oid == p.LiveID && instant:
			// Nobody closed it; but an instant switch that is still on its way goes by this row as it was.
			if err := script(ctx, conn, fmt.Sprintf("ALTER DATABASE %s WITH CONNECTION LIMIT %d", ident(c.Name), c.ConnLimit)); err != nil {
				return err
			}
		case oid == p.LiveID && c.Name == p.AsideName:
			// It is so already; but a switch back that is still on its way goes by this row as it was.
			if err := script(ctx, conn, "ALTER DATABASE "+ident(c.Name)+" WITH CONNECTION LIMIT 0"); err != nil {
				return err
			}
		}
	}
	return nil
}
