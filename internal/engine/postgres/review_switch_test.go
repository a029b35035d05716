package postgres

import (
	"strconv"
	"syscall"
	"testing"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/engine"
	"github.com/safepoint-db/safepoint/internal/pgserver"
	"github.com/safepoint-db/safepoint/internal/pgtest"
)

// A switch that was confirmed stands, whatever becomes of the server then: also where it is set to confirm a commit
// before that is on its disk.
func TestSwitchOutlivesACrash(t *testing.T) {
	c := pgtest.Start(t, pgserver.Options{Settings: map[string]string{
		"synchronous_commit": "off", "autovacuum": "off",
	}})
	live := pgtest.Create(t, c)
	p := staged(t, live)
	s := mustPoise(t, live, &p)
	lazily(t, c)
	if err := s.Switch(t.Context()); err != nil {
		t.Fatalf("switch: %v", err)
	}
	restarted(t, c)
	if at, err := (Engine{}).Probe(t.Context(), live, p); err != nil || at != engine.After {
		t.Errorf("after the crash the switch stands at %s, %v", at, err)
	}
	lazily(t, c)
	if err := (Engine{}).SwitchBack(t.Context(), live, p); err != nil {
		t.Fatalf("switch back: %v", err)
	}
	restarted(t, c)
	if at, err := (Engine{}).Probe(t.Context(), live, p); err != nil || at != engine.Before {
		t.Errorf("after the crash the way back stands at %s, %v", at, err)
	}
}

// lazily has all that was done brought to disk, and nothing of what comes but by those who wait for it.
func lazily(t *testing.T, c *pgserver.Cluster) {
	t.Helper()
	pgtest.Exec(t, c.Target("postgres"), "CHECKPOINT")
	for _, text := range pgtest.Query(t, c.Target("postgres"), "SELECT pid::text FROM pg_stat_activity WHERE backend_type IN ('walwriter', 'background writer', 'checkpointer')") {
		pid, err := strconv.Atoi(text)
		if err == nil {
			err = syscall.Kill(pid, syscall.SIGSTOP)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func restarted(t *testing.T, c *pgserver.Cluster) {
	t.Helper()
	if err := c.Crash(); err != nil {
		t.Fatal(err)
	}
	if err := c.Launch(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// A switch that waits at its server while recovery opens the database is refused when it goes on, also where the server
// lets a transaction see only what was there when it began.
func TestLateSwitchSeesTheDatabaseAsItIs(t *testing.T) {
	c := pgtest.Start(t, pgserver.Options{Settings: map[string]string{"default_transaction_isolation": "repeatable read"}})
	live := pgtest.Create(t, c)
	p := staged(t, live)
	s := mustPoise(t, live, &p)
	holder, err := maintenance(t.Context(), live)
	if err != nil {
		t.Fatal(err)
	}
	defer hangUp(holder)
	key := advisoryKey(switchClass, p.LiveID)
	if _, err := holder.Exec(t.Context(), "SELECT pg_advisory_lock_shared($1)", key); err != nil {
		t.Fatal(err)
	}
	late := make(chan error, 1)
	go func() { late <- s.Switch(t.Context()) }()
	eventually(t, "the switch waits", func() bool {
		return pgtest.Query(t, c.Target("postgres"), "SELECT count(*)::text FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")[0] == "1"
	})
	mustOpen(t, live, p)
	if _, err := holder.Exec(t.Context(), "SELECT pg_advisory_unlock_shared($1)", key); err != nil {
		t.Fatal(err)
	}
	if err := <-late; safepoint.ErrorCode(err) != safepoint.CodeConflict {
		t.Errorf("the late switch says %v", err)
	}
	if at, err := (Engine{}).Probe(t.Context(), live, p); err != nil || at != engine.Before {
		t.Errorf("the switch stands at %s, %v", at, err)
	}
}

// A standby may be behind: what it says of a switch is believed as little as the silence of a server.
func TestStandbyIsNotBelieved(t *testing.T) {
	c := pgtest.Start(t, pgserver.Options{})
	live := pgtest.Create(t, c)
	p := staged(t, live)
	if err := c.Stop(); err != nil {
		t.Fatal(err)
	}
	standby := pgtest.Start(t, pgserver.Options{Template: c.DataDir, Files: map[string][]byte{"standby.signal": nil}})
	if err := c.Launch(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := mustGate(t, live, &p).Switch(t.Context()); err != nil {
		t.Fatalf("switch: %v", err)
	}
	there := standby.Target(live.Name)
	if at, err := (Engine{}).Probe(t.Context(), there, p); err == nil {
		t.Errorf("the standby, which has not heard of the switch, is believed that it stands at %s", at)
	}
	if err := (Engine{}).Open(t.Context(), there, p); err == nil {
		t.Error("the database was opened on a standby")
	}
	if err := (Engine{}).SwitchBack(t.Context(), there, p); err == nil {
		t.Error("the way back was taken on a standby")
	}
	if err := (Engine{}).DropAside(t.Context(), there, p); err == nil {
		t.Error("the set-aside database counts as dropped by a look at a standby")
	}
	if at, err := (Engine{}).Probe(t.Context(), live, p); err != nil || at != engine.After {
		t.Errorf("the primary says %s, %v", at, err)
	}
}

// A set-aside database that somebody made the live one by its own name, by pointing the connection at it, is nobody's to
// drop: neither is the restored one that an undo kept.
func TestWhatIsLiveIsNotDropped(t *testing.T) {
	c := pgtest.Shared(t)
	live := pgtest.Create(t, c)
	p := staged(t, live)
	there := c.Target(p.StagingName)
	if err := (Engine{}).DropStaging(t.Context(), there, p); safepoint.ErrorCode(err) != safepoint.CodeNeedsOperator {
		t.Errorf("drop staging: %v", err)
	}
	if err := mustPoise(t, live, &p).Switch(t.Context()); err != nil {
		t.Fatalf("switch: %v", err)
	}
	there.Name = p.AsideName
	if err := (Engine{}).DropAside(t.Context(), there, p); safepoint.ErrorCode(err) != safepoint.CodeNeedsOperator {
		t.Errorf("drop aside: %v", err)
	}
	if got := pgtest.Query(t, c.Target(p.AsideName), "SELECT v FROM t"); len(got) != 1 || got[0] != "new" {
		t.Errorf("it holds %v", got)
	}
}
