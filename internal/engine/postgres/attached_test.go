package postgres

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/engine"
	"github.com/safepoint-db/safepoint/internal/pgserver"
	"github.com/safepoint-db/safepoint/internal/pgtest"
)

func logical(t *testing.T) *pgserver.Cluster {
	return pgtest.Start(t, pgserver.Options{TCP: true, Settings: map[string]string{"wal_level": "logical", "max_wal_senders": "4", "max_replication_slots": "4"}})
}

// TestSlots has a logical slot stand in the way of a restore, also one that is made while it runs, and of a drop.
func TestSlots(t *testing.T) {
	c := logical(t)
	live := pgtest.Create(t, c)
	p := staged(t, live)
	pgtest.Exec(t, live, "SELECT pg_create_logical_replication_slot('my_slot', 'test_decoding')")
	wantFinding(t, live, nil, safepoint.CodeBlocked, "my_slot")
	_, err := Engine{}.Gate(t.Context(), live, p, func(engine.Plan) error { t.Error("asked the journal"); return nil })
	wantRefusal(t, err, safepoint.CodeBlocked, "my_slot", "lost when that is dropped")
	_, err = Engine{}.Poise(t.Context(), live, p, func(engine.Plan) error { t.Error("asked the journal"); return nil })
	wantRefusal(t, err, safepoint.CodeBlocked, "my_slot")
	pgtest.Exec(t, live, "SELECT pg_drop_replication_slot('my_slot')")

	g := mustGate(t, live, &p)
	if err := g.Switch(t.Context()); err != nil {
		t.Fatal(err)
	}
	g.Close()
	mustOpen(t, live, p)
	aside := live
	aside.Name = p.AsideName
	pgtest.Exec(t, aside, "SELECT pg_create_logical_replication_slot('late_slot', 'test_decoding')")
	for range 2 {
		err := Engine{}.DropAside(t.Context(), live, p)
		wantRefusal(t, err, safepoint.CodeNeedsOperator, "late_slot", p.AsideName)
		if hint := safepoint.UserError(err).Hint; !strings.Contains(hint, "pg_drop_replication_slot('late_slot')") {
			t.Errorf("hint: %s", hint)
		}
	}
	pgtest.Exec(t, c.Target("postgres"), "SELECT pg_drop_replication_slot('late_slot')")
	if err := (Engine{}).DropAside(t.Context(), live, p); err != nil {
		t.Errorf("with the slot gone: %v", err)
	}
}

// TestSubscriptionInABackup restores a database that subscribes to another. The copy never connects, and can be dropped.
func TestSubscriptionInABackup(t *testing.T) {
	c := logical(t)
	publisher := pgtest.Create(t, c)
	pgtest.Exec(t, publisher, "CREATE TABLE t (v int PRIMARY KEY); CREATE PUBLICATION pub FOR TABLE t")
	pgtest.Exec(t, publisher, "SELECT pg_create_logical_replication_slot('feed', 'pgoutput')")
	live := pgtest.Create(t, c)
	pgtest.Exec(t, live, "CREATE TABLE t (v int PRIMARY KEY); CREATE SUBSCRIPTION sub CONNECTION 'host="+c.Socket+" port="+itoa(c.Port)+" user="+c.User+" dbname="+publisher.Name+"' PUBLICATION pub WITH (create_slot = false, slot_name = feed)")
	pgtest.Exec(t, publisher, "INSERT INTO t VALUES (1)")
	waitFor(t, func() bool { return pgtest.Query(t, live, "SELECT count(*) FROM t")[0] == "1" })
	r, _ := dumpFile(t, live)
	wantFinding(t, live, nil, safepoint.CodeBlocked, "sub")
	found := findingsOf(t, live, r)
	if !strings.Contains(found[len(found)-1].Message+found[max(0, len(found)-2)].Message, "disabled and without a slot") {
		t.Errorf("nothing is said of the backup's subscription: %+v", found)
	}
	p := mustPrepare(t, live)
	p, err := Engine{}.Stage(t.Context(), live, p, r.Header())
	if err != nil {
		t.Fatal(err)
	}
	staging := Engine{}.StagingTarget(live, p)
	if err := (Engine{}).Load(t.Context(), staging, r, engine.LoadOptions{Plan: &p}); err != nil {
		t.Fatal(err)
	}
	if got := pgtest.Query(t, staging, "SELECT subname || ' ' || subenabled || ' ' || coalesce(subslotname, 'none') FROM pg_subscription WHERE subdbid = (SELECT oid FROM pg_database WHERE datname = current_database())"); len(got) != 1 || got[0] != "sub false none" {
		t.Errorf("staging has %q", got)
	}
	if err := (Engine{}).DropStaging(t.Context(), live, p); err != nil {
		t.Errorf("drop staging: %v", err)
	}
	pgtest.Exec(t, publisher, "INSERT INTO t VALUES (2)")
	waitFor(t, func() bool { return pgtest.Query(t, live, "SELECT count(*) FROM t")[0] == "2" })
	pgtest.Exec(t, live, "DROP SUBSCRIPTION sub")
}

// TestStandby has a second server follow, whose readers go on reading the earlier database after a switch.
func TestStandby(t *testing.T) {
	c := pgtest.Start(t, pgserver.Options{TCP: true, Settings: map[string]string{"wal_level": "replica", "max_wal_senders": "4", "hot_standby": "on"}})
	live := pgtest.Create(t, c)
	for _, f := range findingsOf(t, live, nil) {
		t.Errorf("without a standby: %+v", f)
	}
	dir, err := os.MkdirTemp("/tmp", "sp") // not t.TempDir, which the server's user may not enter
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	base := filepath.Join(dir, "base")
	if out, err := c.Tool(t.Context(), "pg_basebackup", "", "-D", base, "-R", "-X", "stream", "-c", "fast").CombinedOutput(); err != nil {
		t.Fatalf("pg_basebackup: %v: %s", err, out)
	}
	if out, err := exec.CommandContext(t.Context(), "chown", "-R", "--reference="+filepath.Join(c.Dir, "data"), base).CombinedOutput(); err != nil {
		t.Fatalf("chown: %v: %s", err, out)
	}
	standby := pgtest.Start(t, pgserver.Options{Template: base})
	waitFor(t, func() bool {
		return len(pgtest.Query(t, c.Target("postgres"), "SELECT 1 FROM pg_stat_replication WHERE state = 'streaming'")) == 1
	})
	owner := tenant(t, c) // sees it, too
	pgtest.Exec(t, c.Target("postgres"), "ALTER ROLE tenant CREATEDB")
	for _, who := range []engine.Target{live, owner} {
		said := false
		for _, f := range findingsOf(t, who, nil) {
			said = said || !f.Blocker && strings.Contains(f.Message, "1 standbys follow") && strings.Contains(f.Message, "go on reading the earlier database")
		}
		if !said {
			t.Errorf("%s is told %+v", who.User, findingsOf(t, who, nil))
		}
	}

	p := staged(t, live)
	waitFor(t, func() bool {
		conn, err := standby.Connect(t.Context(), live.Name)
		if err != nil {
			return false
		}
		defer conn.Close(context.Background())
		var v string
		return conn.QueryRow(t.Context(), "SELECT v FROM t").Scan(&v) == nil && v == "new"
	})
	reader, err := standby.Connect(t.Context(), live.Name)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close(context.Background())
	g := mustGate(t, live, &p)
	if err := g.Switch(t.Context()); err != nil {
		t.Fatal(err)
	}
	g.Close()
	mustOpen(t, live, p)
	waitFor(t, func() bool {
		conn, err := standby.Connect(t.Context(), live.Name)
		if err != nil {
			return false
		}
		defer conn.Close(context.Background())
		var v string
		return conn.QueryRow(t.Context(), "SELECT v FROM t").Scan(&v) == nil && v == "old"
	})
	var v string
	if err := reader.QueryRow(t.Context(), "SELECT v FROM t").Scan(&v); err != nil || v != "new" {
		t.Errorf("the reader on the standby, of whom the warning speaks, reads %q (%v)", v, err)
	}
}

// TestRenamedInTheMiddle has somebody rename, and then drop, the live database while its copy is being made.
func TestRenamedInTheMiddle(t *testing.T) {
	c := pgtest.Shared(t)
	live := pgtest.Create(t, c)
	p := staged(t, live)
	moved := live
	moved.Name = live.Name + "_moved"
	pgtest.Exec(t, c.Target("postgres"), "ALTER DATABASE "+pgtest.Quote(live.Name)+" RENAME TO "+pgtest.Quote(moved.Name))
	t.Cleanup(func() { c.Exec(context.Background(), "postgres", "DROP DATABASE IF EXISTS "+pgtest.Quote(moved.Name)) })
	gate := func() error {
		_, err := Engine{}.Gate(t.Context(), live, p, func(engine.Plan) error { t.Error("asked the journal"); return nil })
		return err
	}
	wantRefusal(t, gate(), safepoint.CodeConflict, "not the database any more")
	pgtest.Exec(t, c.Target("postgres"), "CREATE DATABASE "+pgtest.Quote(live.Name)) // another one takes its name
	wantRefusal(t, gate(), safepoint.CodeConflict, "not the database any more")
	wantPositionOf(t, live, p, engine.BeforeAstray)
	if err := (Engine{}).DropAside(t.Context(), live, p); err == nil {
		t.Log("nothing was set aside, nothing is dropped")
	}
	if got := pgtest.Query(t, moved, "SELECT v FROM t"); got[0] != "new" {
		t.Errorf("the renamed database holds %q", got)
	}
	if err := (Engine{}).DropStaging(t.Context(), live, p); err != nil {
		t.Errorf("drop staging: %v", err)
	}
	if got := pgtest.Query(t, c.Target("postgres"), "SELECT datname FROM pg_database WHERE datname IN ($1, $2) ORDER BY 1", live.Name, moved.Name); len(got) != 2 {
		t.Errorf("left are %v", got)
	}
}

func wantPositionOf(t *testing.T, live engine.Target, p engine.Plan, want engine.Position) {
	t.Helper()
	if at, err := (Engine{}).Probe(t.Context(), live, p); err != nil || at != want {
		t.Errorf("probe says %s (%v), want %s", at, err, want)
	}
}

// TestInterruptedDrops meets databases whose drop was interrupted: ours are dropped again, those of others are not.
func TestInterruptedDrops(t *testing.T) {
	c := pgtest.Shared(t)
	interrupt := func(name string) {
		pgtest.Exec(t, c.Target("postgres"), "UPDATE pg_database SET datconnlimit = -2 WHERE datname = '"+name+"'")
	}
	exists := func(name string) bool {
		return len(pgtest.Query(t, c.Target("postgres"), "SELECT 1 FROM pg_database WHERE datname = $1", name)) > 0
	}
	live := pgtest.Create(t, c)
	p := staged(t, live)
	r, _ := dumpFile(t, live)
	interrupt(p.StagingName)
	left, err := Engine{}.Leftovers(t.Context(), live)
	if err != nil || !strings.Contains(strings.Join(left, " "), p.StagingName) {
		t.Errorf("leftovers: %v, %v", left, err)
	}
	before := p.StagingID
	if p, err = (Engine{}).Stage(t.Context(), live, p, r.Header()); err != nil || p.StagingID == before {
		t.Fatalf("stage over an interrupted drop: %v, %v", p, err)
	}
	mustLoad(t, Engine{}.StagingTarget(live, p), r)
	g := mustGate(t, live, &p)
	if err := g.Switch(t.Context()); err != nil {
		t.Fatal(err)
	}
	g.Close()
	mustOpen(t, live, p)
	interrupt(p.AsideName)
	for range 2 {
		if err := (Engine{}).DropAside(t.Context(), live, p); err != nil {
			t.Errorf("drop aside: %v", err)
		}
	}
	if exists(p.AsideName) {
		t.Error("the set-aside database is still there")
	}

	// One of the same name, by other hands.
	other := mustPrepare(t, live)
	pgtest.CreateNamed(t, c, other.StagingName)
	pgtest.Exec(t, c.Target("postgres"), "COMMENT ON DATABASE "+pgtest.Quote(other.StagingName)+" IS 'mine'")
	interrupt(other.StagingName)
	wantRefusal(t, Engine{}.DropStaging(t.Context(), live, other), safepoint.CodeNeedsOperator, other.StagingName)
	if !exists(other.StagingName) {
		t.Error("a database of somebody else was dropped")
	}
}

// TestLongestName restores a database whose name has as many bytes as one can have.
func TestLongestName(t *testing.T) {
	id := safepoint.NewID(safepoint.OperationPrefix)
	for _, name := range []string{engine.StagingName(id), engine.AsideName(id), loginName(id)} {
		if len(name) > 63 {
			t.Errorf("%s has %d bytes; the server would cut it off", name, len(name))
		}
	}
	c := pgtest.Shared(t)
	live := pgtest.CreateNamed(t, c, strings.Repeat("é", 31)+"x")
	if len(live.Name) != 63 {
		t.Fatal(len(live.Name))
	}
	p := staged(t, live)
	g := mustGate(t, live, &p)
	if err := g.Switch(t.Context()); err != nil {
		t.Fatal(err)
	}
	g.Close()
	mustOpen(t, live, p)
	if got := pgtest.Query(t, live, "SELECT v FROM t"); got[0] != "old" {
		t.Errorf("it holds %q", got)
	}
	longer := live
	longer.Name += "y"
	if _, err := (Engine{}).Prepare(t.Context(), longer, id); err == nil {
		t.Error("a name that the server cuts off was taken for the database")
	}
}

// TestLowPrivileges has an owner with CREATEDB meet sessions that he may not end. The restore stops, names one and what
// to grant, and everybody is let in again.
func TestLowPrivileges(t *testing.T) {
	c := pgtest.Shared(t)
	pgtest.Exec(t, c.Target("postgres"), "DO $$ BEGIN CREATE ROLE low_owner LOGIN CREATEDB; CREATE ROLE low_other LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$; REVOKE pg_signal_backend FROM low_owner")
	super := pgtest.Create(t, c)
	pgtest.Exec(t, c.Target("postgres"), "ALTER DATABASE "+pgtest.Quote(super.Name)+" OWNER TO low_owner")
	live := super
	live.User = "low_owner"
	p := staged(t, live)
	warned := false
	for _, f := range findingsOf(t, live, nil) {
		warned = warned || strings.Contains(f.Hint, "GRANT pg_signal_backend")
	}
	if !warned {
		t.Error("nothing warns of sessions that cannot be ended")
	}
	for _, who := range []string{"low_other", c.User} {
		as := live
		as.User = who
		holder, err := pgserver.Connect(t.Context(), as)
		if err != nil {
			t.Fatal(err)
		}
		if who == c.User { // also for one who may end others
			pgtest.Exec(t, c.Target("postgres"), "GRANT pg_signal_backend TO low_owner")
		}
		_, err = Engine{}.Gate(t.Context(), live, p, func(saved engine.Plan) error { p = saved; return nil })
		wantRefusal(t, err, safepoint.CodePrivilege, who)
		if hint := safepoint.UserError(err).Hint; !strings.Contains(hint, "pg_signal_backend") {
			t.Errorf("hint: %s", hint)
		}
		if err := holder.Ping(t.Context()); err != nil {
			t.Errorf("the session of %s was ended: %v", who, err)
		}
		holder.Close(context.Background())
		if got := pgtest.Query(t, live, "SELECT datallowconn FROM pg_database WHERE datname = current_database()"); got[0] != "t" {
			t.Error("the database is still shut")
		}
	}
	g := mustGate(t, live, &p)
	if err := g.Switch(t.Context()); err != nil {
		t.Fatal(err)
	}
	g.Close()
	mustOpen(t, live, p)
}

// TestDiskIsLookedAt says what is known of the server's disk, and what is not.
func TestDiskIsLookedAt(t *testing.T) {
	c := pgtest.Shared(t)
	live := pgtest.Create(t, c)
	pgtest.Exec(t, live, "CREATE TABLE t (v text); INSERT INTO t VALUES ('x')")
	r, _ := dumpFile(t, live)
	about := func(who engine.Target) string {
		for _, f := range findingsOf(t, who, r) {
			if f.Code == safepoint.CodeSpace {
				return f.Message
			}
		}
		return ""
	}
	if got := about(live); got != "" && os.Geteuid() == 0 {
		t.Errorf("a superuser on this machine is told %q", got)
	}
	roles(t, c, "tenant")
	pgtest.Exec(t, c.Target("postgres"), "ALTER DATABASE "+pgtest.Quote(live.Name)+" OWNER TO tenant")
	plain := live
	plain.User = "tenant"
	if got := about(plain); !strings.Contains(got, "not known from here") {
		t.Errorf("a tenant is told %q", got)
	}
}
