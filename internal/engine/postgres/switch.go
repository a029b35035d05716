package postgres

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/engine"
	"github.com/safepoint-db/safepoint/internal/fault"
)

const (
	switchDeadline = 30 * time.Second // for tries that the server refused without changing anything
	switchPause    = 50 * time.Millisecond
)

// Switch makes staging live. See engine.Gate.
func (g *gate) Switch(ctx context.Context) error {
	if g.admin == nil {
		return safepoint.Errorf(safepoint.CodeConflict, "The database is not held shut any more.").WithHint("Start the restore again.")
	}
	g.leave()
	self, err := selfName(ctx, g.admin)
	if err != nil {
		return explain(ctx, g.target, err)
	}
	for _, oid := range []string{g.plan.LiveID, g.plan.StagingID} {
		// Our own sessions take a moment to go; waiting for it here spares the server a slower wait.
		if err := drain(ctx, g.admin, oid, nil); err != nil {
			return explain(ctx, g.target, err)
		}
	}
	err = atOnce(ctx, g.admin, g.message(self), fault.Named("postgres.switch"))
	if state(err) == stateAttached && !g.admin.IsClosed() {
		return whatIsAttached(ctx, g.admin, g.target.Name, nothingAttached, err)
	}
	return explainSwitch(ctx, g.target, err)
}

// message is the whole switch, sent as one, so that the server goes through with it or not at all, whatever becomes
// of us. Values are quoted into it: a message of several statements has no parameters.
func (g *gate) message(self string) string {
	live, staging := g.target.Name, g.plan.StagingName
	return beginSwitch(g.plan) + checkIdentities(
		identity{oid: g.plan.LiveID, name: live, rowVersion: g.closed, shut: true},
		identity{oid: g.plan.StagingID, name: staging, operation: g.plan.OperationID, role: roleStaging},
	) + endSessions(g.plan.LiveID, g.plan.StagingID) + refuseAttached(g.plan.LiveID, preparedIn, slotsIn, subscribed) + g.renames(self) + "COMMIT;\n"
}

// renames are the statements that change what the databases are called and what hangs on them. self is the user.
func (g *gate) renames(self string) string {
	live, staging, aside := g.target.Name, g.plan.StagingName, g.plan.AsideName
	return rename(live, aside) + rename(staging, live) + g.live.apply(live, self) +
		fmt.Sprintf("COMMENT ON DATABASE %s IS %s;\n", ident(aside), literal(marker(g.plan.OperationID, roleAside))) +
		// The set-aside database stays readable for a superuser; nobody else gets in.
		fmt.Sprintf("ALTER DATABASE %s WITH ALLOW_CONNECTIONS true CONNECTION LIMIT 0 IS_TEMPLATE false;\n", ident(aside))
}

// beginSwitch begins a switch's transaction. Should the sender freeze in the middle, the server lets go by itself.
// The lock is what probe waits for, and every statement after it must see what was committed before it was had, whatever
// isolation the server or the role is set to.
func beginSwitch(p engine.Plan) string {
	return fmt.Sprintf(`SET lock_timeout = '5s';
SET statement_timeout = '30s';
SET idle_in_transaction_session_timeout = '10s';
BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;
SELECT pg_advisory_xact_lock(%d);
`, advisoryKey(switchClass, p.LiveID))
}

// identity is a database as the plan knows it.
type identity struct {
	oid, name       string
	rowVersion      string  // "" is any
	settings        *string // as settingsOf reads them; nil is any
	shut            bool    // nobody may connect
	operation, role string  // of its marker; "" is any comment
}

// checkIdentities raises stateIdentity, which undoes the whole, unless every database is the plan's.
func checkIdentities(ids ...identity) string {
	check := " BEGIN\n"
	for _, id := range ids {
		condition := fmt.Sprintf("oid::text = %s AND datname = %s::text::name", literal(id.oid), literal(id.name))
		if id.rowVersion != "" {
			condition += fmt.Sprintf(" AND xmin::text = %s", literal(id.rowVersion))
		}
		if id.settings != nil {
			condition += fmt.Sprintf(" AND %s = %s", settingsOf("oid::text"), literal(*id.settings))
		}
		if id.shut {
			condition += " AND NOT datallowconn"
		}
		if id.role != "" {
			prefix := markerPrefix + id.operation + " role=" + id.role + ":"
			condition += fmt.Sprintf(" AND starts_with(shobj_description(oid, 'pg_database'), %s)", literal(prefix))
		}
		check += fmt.Sprintf("  IF NOT EXISTS (SELECT FROM pg_database WHERE %s) THEN\n    RAISE EXCEPTION USING ERRCODE = '%s', MESSAGE = %s;\n  END IF;\n",
			condition, stateIdentity, literal(id.name))
	}
	check += "END "
	tag := "$safepoint$"
	for strings.Contains(check, tag) { // a database may be called so
		tag = "$safepoint_" + rand.Text() + "$"
	}
	return "DO " + tag + check + tag + ";\n"
}

func endSessions(oids ...string) string {
	list := ""
	for _, oid := range oids {
		list += ", " + literal(oid)
	}
	return "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datid::text IN (" + list[2:] + ") AND usesysid IS NOT NULL AND pid <> pg_backend_pid();\n"
}

func rename(from, to string) string {
	return fmt.Sprintf("ALTER DATABASE %s RENAME TO %s;\n", ident(from), ident(to))
}

// atOnce sends a switch and tries again while the server refuses because somebody is still there.
func atOnce(ctx context.Context, admin *pgx.Conn, message, point string) error {
	deadline := time.Now().Add(switchDeadline)
	for {
		if err := fault.Point(point + ".before"); err != nil {
			return err
		}
		sent := admin.PgConn().Exec(ctx, message)
		faultErr := fault.Point(point + ".sent")
		err := sent.Close()
		if err == nil {
			return faultErr
		}
		if admin.IsClosed() || time.Now().After(deadline) {
			return err
		}
		if rerr := script(ctx, admin, "ROLLBACK"); rerr != nil {
			return err
		}
		switch state(err) {
		case stateObjectInUse, stateLockNotAvailable, stateQueryCanceled:
		default:
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(switchPause):
		}
	}
}

// explainSwitch tells a refusal, after which all is as before, from an outcome that only Probe knows.
func explainSwitch(ctx context.Context, t engine.Target, err error) error {
	switch state(err) {
	case stateIdentity:
		return safepoint.Errorf(safepoint.CodeConflict, "The databases on the server are not as this restore left them: somebody opened, renamed, dropped or changed one.").
			WithHint("Nothing was switched. Start the restore again.").WithCause(err)
	case stateDuplicateDatabase, stateNoDatabase:
		return safepoint.Errorf(safepoint.CodeConflict, "A name that the switch needs is taken, or gone: somebody renamed a database.").
			WithHint("Nothing was switched. Look at the databases on the server, and start the restore again.").WithCause(err)
	}
	return explain(ctx, t, err)
}

// Probe says where the switch stands. See engine.Engine.
func (Engine) Probe(ctx context.Context, t engine.Target, p engine.Plan) (engine.Position, error) {
	conn, err := maintenance(ctx, t)
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
	at, err := probe(ctx, conn, t, p)
	return at, explain(ctx, t, err)
}

// probe waits for a switch that a dead process sent and the server still works on.
func probe(ctx context.Context, conn *pgx.Conn, t engine.Target, p engine.Plan) (engine.Position, error) {
	if err := waitForSwitch(ctx, conn, p.LiveID); err != nil {
		return engine.Unknown, err
	}
	live, ok, err := byName(ctx, conn, t.Name)
	switch {
	case err != nil:
		return engine.Unknown, err
	case ok && live.OID == p.LiveID:
		return engine.Before, nil
	case ok && p.StagingID != "" && live.OID == p.StagingID:
		return engine.After, nil
	}
	return astray(ctx, conn, p)
}

// astray is the position of databases of which neither has the live name: a switch, and its way back, give both their
// names and marks in one transaction, so that one of them is enough. Only one may be where it belongs: else somebody
// has been at both.
func astray(ctx context.Context, conn *pgx.Conn, p engine.Plan) (engine.Position, error) {
	if p.StagingID == "" {
		return engine.Unknown, nil
	}
	staging, ok, err := byOID(ctx, conn, p.StagingID)
	if err != nil {
		return engine.Unknown, err
	}
	isStaging := ok && staging.Name == p.StagingName && hasMarker(staging.Comment, p.OperationID, roleStaging)
	original, ok, err := byOID(ctx, conn, p.LiveID)
	if err != nil {
		return engine.Unknown, err
	}
	isAside := ok && original.Name == p.AsideName && hasMarker(original.Comment, p.OperationID, roleAside)
	switch {
	case isStaging && !isAside:
		return engine.BeforeAstray, nil
	case isAside && !isStaging:
		return engine.AfterAstray, nil
	}
	return engine.Unknown, nil
}

// SwitchBack puts the set-aside database back under the live name. See engine.Engine.
func (Engine) SwitchBack(ctx context.Context, t engine.Target, p engine.Plan) error {
	c, err := capturedIn(p)
	if err != nil {
		return err
	}
	if c.Live == nil {
		return safepoint.Errorf(safepoint.CodeConflict, "This restore never switched, so there is nothing to take back.").WithHint("The database is as it was.")
	}
	conn, err := maintenance(ctx, t)
	if err != nil {
		return err
	}
	defer hangUp(conn)
	return explainSwitch(ctx, t, switchBack(ctx, conn, t, p, *c.Live))
}

func switchBack(ctx context.Context, conn *pgx.Conn, t engine.Target, p engine.Plan, live properties) error {
	if err := sameServer(ctx, conn, t, p, safepoint.CodeNeedsOperator); err != nil {
		return err
	}
	at, err := probe(ctx, conn, t, p)
	if err != nil || at == engine.Before {
		return err
	}
	if err := lockRestore(ctx, conn, p.LiveID); err != nil {
		return err
	}
	if err := noPreparedTransactions(ctx, conn, t.Name); err != nil {
		return err
	}
	aside, _, err := byOID(ctx, conn, p.LiveID)
	if err != nil {
		return err
	}
	revoked, err := live.missingGrants(ctx, conn, p.LiveID)
	if err != nil {
		return err
	}
	helper, err := maintenance(ctx, t)
	if err != nil {
		return err
	}
	defer hangUp(helper)
	// New sessions wait on the rename's lock meanwhile, and find the other database then: no gate is needed.
	check := checkIdentities(
		identity{oid: p.StagingID, name: t.Name},
		identity{oid: p.LiveID, name: p.AsideName, rowVersion: aside.XMin, operation: p.OperationID, role: roleAside},
	)
	message := beginSwitch(p) + check + doorway(p.LiveID, p.StagingID) + check + refuseAttached(p.StagingID, preparedIn) + rename(t.Name, p.StagingName) + rename(p.AsideName, t.Name) + live.limits(t.Name)
	for _, g := range revoked {
		message += g.statement(t.Name)
	}
	message += fmt.Sprintf("COMMENT ON DATABASE %s IS %s;\n", ident(p.StagingName), literal(marker(p.OperationID, roleStaging))) +
		fmt.Sprintf("REVOKE ALL ON DATABASE %s FROM PUBLIC;\n", ident(p.StagingName)) +
		fmt.Sprintf("ALTER DATABASE %s WITH ALLOW_CONNECTIONS true IS_TEMPLATE false;\n", ident(p.StagingName)) +
		"COMMIT;\n"
	err = whileEnding(ctx, helper, p.StagingID, func() error { return atOnce(ctx, conn, message, fault.Named("postgres.switchback")) })
	if state(err) == stateAttached && !conn.IsClosed() {
		return whatIsAttached(ctx, conn, t.Name, noPreparedTransactions, err)
	}
	return err
}

// waitForSwitch waits until no other session is in the middle of a switch: a process that died may have left one that
// its server still carries out. One that has not begun by then is not waited for: Open keeps it from changing anything.
func waitForSwitch(ctx context.Context, conn *pgx.Conn, liveID string) error {
	err := script(ctx, conn, "SET lock_timeout = '60s'")
	if err == nil {
		err = script(ctx, conn, fmt.Sprintf("SELECT pg_advisory_xact_lock_shared(%d)", advisoryKey(switchClass, liveID)))
	}
	if err != nil {
		return fmt.Errorf("wait for the end of a switch: %w", err)
	}
	return nil
}
