package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/archive"
	"github.com/safepoint-db/safepoint/internal/engine"
	"github.com/safepoint-db/safepoint/internal/fault"
)

var _ engine.InstantSwitcher = Engine{}

// poised is a switch of a database that nobody has closed.
type poised struct {
	*gate           // of which only begin's admin session, plan and properties are used: it is never shut
	self     string // the user
	settings string // of the live database, as asOf reads them
	helper   *pgx.Conn
}

// Poise opens the sessions of a switch and captures what it needs. See engine.InstantSwitcher.
func (e Engine) Poise(ctx context.Context, t engine.Target, p engine.Plan, save func(engine.Plan) error) (engine.Poised, error) {
	s := &poised{gate: &gate{target: t, plan: p, engine: e}}
	if err := s.begin(ctx, save); err != nil {
		s.Close()
		return nil, explain(ctx, t, err)
	}
	return s, nil
}

func (s *poised) begin(ctx context.Context, save func(engine.Plan) error) (err error) {
	if s.admin, err = maintenance(ctx, s.target); err != nil {
		return err
	}
	if s.helper, err = maintenance(ctx, s.target); err != nil {
		return err
	}
	if err := lockRestore(ctx, s.admin, s.plan.LiveID); err != nil {
		return err
	}
	live, err := s.findLive(ctx)
	if err != nil {
		return err
	}
	if !live.AllowConn {
		return safepoint.Errorf(safepoint.CodeBlocked, "The database %s lets nobody in.", s.target.Name).
			WithHint("An operator closed it: ALTER DATABASE … ALLOW_CONNECTIONS true opens it.")
	}
	if err := nothingAttached(ctx, s.admin, s.target.Name); err != nil {
		return err
	}
	if s.self, err = selfName(ctx, s.admin); err != nil {
		return err
	}
	if err := s.admin.QueryRow(ctx, "SELECT "+settingsOf("$1")+", xmin::text FROM pg_database WHERE oid::text = $1", s.plan.LiveID).Scan(&s.settings, &s.closed); err != nil {
		return fmt.Errorf("read the database's settings: %w", err)
	}
	if err := s.capture(ctx, live); err != nil {
		return err
	}
	c, err := capturedIn(s.plan)
	if err != nil {
		return err
	}
	c.Instant = true
	if s.plan.Engine, err = json.Marshal(c); err != nil {
		return err
	}
	if err := save(s.plan); err != nil {
		return fmt.Errorf("write the journal: %w", err)
	}
	return nil
}

// settingsOf is the SQL of one text that holds all settings of the database of that OID.
func settingsOf(oid string) string {
	return "coalesce((SELECT string_agg(setrole::text || ' ' || setconfig::text, ' ' ORDER BY setrole) FROM pg_db_role_setting WHERE setdatabase::text = " + oid + "), '')"
}

// Switch makes staging live. See engine.Poised.
func (s *poised) Switch(ctx context.Context) error {
	if s.admin == nil {
		return safepoint.Errorf(safepoint.CodeConflict, "The switch is not ready any more.").WithHint("Start the restore again.")
	}
	check := checkIdentities(
		identity{oid: s.plan.LiveID, name: s.target.Name, rowVersion: s.closed, settings: &s.settings},
		identity{oid: s.plan.StagingID, name: s.plan.StagingName, operation: s.plan.OperationID, role: roleStaging},
	)
	message := beginSwitch(s.plan) + check + doorway(s.plan.LiveID, s.plan.StagingID) + check +
		refuseAttached(s.plan.LiveID, preparedIn, slotsIn, subscribed) + s.renames(s.self) + "COMMIT;\n"
	err := whileEnding(ctx, s.helper, s.plan.LiveID, func() error { return atOnce(ctx, s.admin, message, fault.Named("postgres.instant")) })
	if state(err) == stateAttached && !s.admin.IsClosed() {
		return whatIsAttached(ctx, s.admin, s.target.Name, nothingAttached, err)
	}
	if code := state(err); (code == stateObjectInUse || code == statePrivilege) && !s.admin.IsClosed() {
		return whoStays(ctx, s.admin, s.plan.LiveID, []int32{}, err)
	}
	return explainSwitch(ctx, s.target, err)
}

// Close ends our own sessions.
func (s *poised) Close() error {
	hangUp(s.helper)
	s.helper = nil
	return s.gate.Close()
}

// doorway ends all sessions in the databases of those OIDs, and waits a little until they are gone.
//
// New sessions must wait meanwhile: one that gets in again is ended a second time, or has looked the name up before the
// rename and is told afterwards that its database was renamed. Only a lock on pg_database keeps a session waiting before
// it looks its database up, so that it then finds the right one; only a superuser may take it. It is not waited for
// where somebody keeps it for long (a dump does), for everyone who connects to the server queues behind us. Where it
// cannot be had, sessions that get in again are ended by whileEnding, once the rename holds them off.
//
// It stands between two checks of identities: nobody's sessions are ended in a database that is another one by now, and
// nothing is renamed that became another one meanwhile.
func doorway(oids ...string) string {
	list := ""
	for _, oid := range oids {
		list += ", " + literal(oid)
	}
	return `DO $safepoint$
DECLARE
  shut boolean := false;
  others int;
BEGIN
  FOR i IN 1..5 LOOP
    EXIT WHEN NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user);
    PERFORM pg_stat_clear_snapshot();
    EXIT WHEN EXISTS (SELECT FROM pg_locks l JOIN pg_stat_get_activity(NULL) a ON a.pid = l.pid
      WHERE l.relation = 'pg_database'::regclass AND l.granted AND a.xact_start < clock_timestamp() - interval '1 second');
    BEGIN
      PERFORM set_config('lock_timeout', '40ms', true);
      LOCK TABLE pg_database IN ACCESS EXCLUSIVE MODE;
      shut := true;
      EXIT;
    EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
      PERFORM pg_sleep(0.005);
    END;
  END LOOP;
  PERFORM set_config('lock_timeout', '5s', true);
  FOR i IN 1..(CASE WHEN shut THEN 1000 ELSE 25 END) LOOP
    PERFORM pg_stat_clear_snapshot();
    SELECT count(pg_terminate_backend(pid)) INTO others FROM pg_stat_get_activity(NULL)
      WHERE datid::text IN (` + list[2:] + `) AND usesysid IS NOT NULL AND pid <> pg_backend_pid();
    PERFORM pg_sleep(0.002);
    EXIT WHEN others = 0;
  END LOOP;
  IF shut AND others > 0 THEN
    RAISE EXCEPTION USING ERRCODE = '` + stateObjectInUse + `', MESSAGE = 'sessions do not end';
  END IF;
END $safepoint$;
`
}

// whileEnding carries out a switch, and meanwhile ends sessions that got into the database that it moves away.
func whileEnding(ctx context.Context, helper *pgx.Conn, oid string, do func() error) error {
	quit, quiet := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(quiet)
		for wait := time.NewTimer(100 * time.Millisecond); ; wait.Reset(20 * time.Millisecond) {
			select {
			case <-quit:
				wait.Stop()
				return
			case <-wait.C:
			}
			// Not by the view: it reads pg_database, which the switch may hold locked.
			_, err := helper.Exec(ctx, `SELECT count(pg_terminate_backend(pid)) FROM pg_stat_get_activity(NULL)
				WHERE datid::text = $1 AND usesysid IS NOT NULL AND pid <> pg_backend_pid()`, oid)
			if err != nil && helper.IsClosed() {
				return // the switch waits for those sessions by itself
			}
		}
	}()
	err := do()
	close(quit)
	<-quiet
	return err
}

// DumpAside dumps the set-aside database. See engine.InstantSwitcher.
func (e Engine) DumpAside(ctx context.Context, t engine.Target, p engine.Plan, w *archive.Writer, opt engine.DumpOptions) error {
	c, err := capturedIn(p)
	if err != nil {
		return err
	}
	admin, err := maintenance(ctx, t)
	if err != nil {
		return err
	}
	defer hangUp(admin)
	if err := sameServer(ctx, admin, t, p, safepoint.CodeConflict); err != nil {
		return explain(ctx, t, err)
	}
	aside, ok, err := byOID(ctx, admin, p.LiveID)
	if err != nil {
		return explain(ctx, t, err)
	}
	if !ok || c.Live == nil || aside.Name != p.AsideName || !hasMarker(aside.Comment, p.OperationID, roleAside) {
		gone := safepoint.Errorf(safepoint.CodeConflict, "The set-aside database %s is not there.", p.AsideName).
			WithHint("Somebody renamed or dropped it, or the restore was undone.")
		if !ok || aside.Name == t.Name {
			gone = gone.WithCause(engine.ErrAsideGone)
		}
		return gone
	}
	var super bool
	if err := admin.QueryRow(ctx, "SELECT rolsuper FROM pg_roles WHERE rolname = current_user").Scan(&super); err != nil {
		return explain(ctx, t, fmt.Errorf("look what this role may do: %w", err))
	}
	there := t
	there.Name = p.AsideName
	if !super { // its limit of 0 sessions holds for us too
		if err := e.letOwnerIn(ctx, admin, p); err != nil {
			return explain(ctx, t, err)
		}
		defer shutAside(context.WithoutCancel(ctx), admin, p)
	}
	s, err := e.openSessions(ctx, there)
	if err != nil {
		return err
	}
	defer s.close()
	s.was = &formerly{name: t.Name, live: *c.Live}
	return s.dump(ctx, there, w, opt)
}

// formerly is what the set-aside database was while it was live.
type formerly struct {
	name string
	live properties
}

// restore gives p back what a switch took from it.
func (f *formerly) restore(p *properties) {
	p.Owner, p.Grants, p.Settings, p.Comment = f.live.Owner, f.live.Grants, f.live.Settings, f.live.Comment
	p.ConnectionLimit, p.AllowConnections, p.IsTemplate = f.live.ConnectionLimit, f.live.AllowConnections, f.live.IsTemplate
}

// letOwnerIn opens the set-aside database to its owner alone, for as many sessions as a dump needs. What is revoked for
// that stays revoked: SwitchBack gives it back.
func (e Engine) letOwnerIn(ctx context.Context, admin *pgx.Conn, p engine.Plan) error {
	now, err := captureDatabase(ctx, admin, p.LiveID)
	if err != nil {
		return err
	}
	message := "BEGIN;\n" + checkIdentities(identity{oid: p.LiveID, name: p.AsideName, operation: p.OperationID, role: roleAside})
	for _, g := range now.Grants {
		if g.Privilege == "CONNECT" && g.Grantee != now.Owner {
			message += "REVOKE CONNECT ON DATABASE " + ident(p.AsideName) + " FROM " + grantee(g) + " CASCADE;\n"
		}
	}
	message += "ALTER DATABASE " + ident(p.AsideName) + " CONNECTION LIMIT " + strconv.Itoa(e.jobs()+4) + ";\nCOMMIT;\n"
	if err := script(ctx, admin, message); err != nil {
		script(context.WithoutCancel(ctx), admin, "ROLLBACK")
		if state(err) == stateIdentity {
			return explainSwitch(ctx, engine.Target{}, err)
		}
		return fmt.Errorf("open the set-aside database to its owner: %w", err)
	}
	return nil
}

// shutAside lets nobody but superusers into the set-aside database. A crash before it leaves its owner able to get in.
func shutAside(ctx context.Context, admin *pgx.Conn, p engine.Plan) {
	ctx, cancel := context.WithTimeout(ctx, closeTimeout)
	defer cancel()
	script(ctx, admin, "BEGIN;\n"+checkIdentities(identity{oid: p.LiveID, name: p.AsideName, operation: p.OperationID, role: roleAside})+
		"ALTER DATABASE "+ident(p.AsideName)+" CONNECTION LIMIT 0;\nCOMMIT;\n")
}
