package postgres

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/archive"
	"github.com/safepoint-db/safepoint/internal/engine"
	"github.com/safepoint-db/safepoint/internal/engine/enginetest"
	"github.com/safepoint-db/safepoint/internal/pgserver"
	"github.com/safepoint-db/safepoint/internal/pgtest"
)

// TestConformanceAsOwner runs the cycle as a user who is not a superuser: owner of the database, CREATEDB, and
// pg_signal_backend.
func TestConformanceAsOwner(t *testing.T) {
	enginetest.Run(t, ownersHarness(t, pgtest.Shared(t), Engine{}))
}

func ownersHarness(t *testing.T, c *pgserver.Cluster, e Engine) enginetest.Harness {
	pgtest.Exec(t, c.Target("postgres"), `DO $$ BEGIN CREATE ROLE shop_owner LOGIN CREATEDB PASSWORD 'owner''s secret'; GRANT pg_signal_backend TO shop_owner;
EXCEPTION WHEN duplicate_object THEN NULL; END $$`)
	h := harness(c, e)
	superNew := h.New
	h.New = func(t *testing.T, name string) engine.Target {
		target := superNew(t, name)
		pgtest.Exec(t, c.Target("postgres"), "ALTER DATABASE "+pgtest.Quote(target.Name)+" OWNER TO shop_owner")
		owner := c.TCPTarget(target.Name)
		owner.User, owner.Password = "shop_owner", "owner's secret"
		return owner
	}
	h.Names = h.Names[:2]
	return h
}

// staged is a restore whose staging is loaded. The live table says "new", the archive "old".
func staged(t *testing.T, live engine.Target) engine.Plan {
	t.Helper()
	pgtest.Exec(t, live, "CREATE TABLE IF NOT EXISTS t (v text); TRUNCATE t; INSERT INTO t VALUES ('old')")
	r, _ := dumpFile(t, live)
	pgtest.Exec(t, live, "UPDATE t SET v = 'new'")
	p, err := Engine{}.Prepare(t.Context(), live, safepoint.NewID(safepoint.OperationPrefix))
	if err != nil {
		t.Fatal(err)
	}
	if p, err = (Engine{}).Stage(t.Context(), live, p, r.Header()); err != nil {
		t.Fatal(err)
	}
	mustLoad(t, Engine{}.StagingTarget(live, p), r)
	t.Cleanup(func() { dropLeftovers(t, pgtest.Shared(t)) })
	return p
}

func mustGate(t *testing.T, live engine.Target, p *engine.Plan) engine.Gate {
	t.Helper()
	g, err := Engine{}.Gate(t.Context(), live, *p, func(saved engine.Plan) error { *p = saved; return nil })
	if err != nil {
		t.Fatalf("gate: %v", err)
	}
	t.Cleanup(func() { g.Close() })
	return g
}

func mustOpen(t *testing.T, live engine.Target, p engine.Plan) {
	t.Helper()
	if err := (Engine{}).Open(t.Context(), live, p); err != nil {
		t.Fatalf("open: %v", err)
	}
}

// hanging is all that hangs on the database called name, as one text.
func hanging(t *testing.T, c *pgserver.Cluster, name string) string {
	t.Helper()
	return strings.Join(pgtest.Query(t, c.Target("postgres"), `SELECT concat_ws(E'\n', pg_get_userbyid(datdba), datallowconn, datconnlimit, datistemplate, shobj_description(oid, 'pg_database'),
  (SELECT string_agg(a::text, ' ' ORDER BY a::text) FROM unnest(coalesce(datacl, acldefault('d', datdba))) a),
  (SELECT string_agg(setrole::regrole || ' ' || setconfig::text, ' ' ORDER BY setrole::regrole::text) FROM pg_db_role_setting WHERE setdatabase = d.oid))
FROM pg_database d WHERE datname = $1`, name), "\n")
}

func TestSwitchCarriesWhatHangsOnTheDatabase(t *testing.T) {
	c := pgtest.Shared(t)
	roles(t, c, "zoo_owner", "zoo_reader")
	live := pgtest.Create(t, c)
	q := pgtest.Quote(live.Name)
	for _, sql := range []string{
		"ALTER DATABASE " + q + " OWNER TO zoo_owner", "REVOKE ALL ON DATABASE " + q + " FROM PUBLIC", "GRANT CONNECT ON DATABASE " + q + " TO zoo_reader WITH GRANT OPTION",
		"ALTER DATABASE " + q + " CONNECTION LIMIT 17", "COMMENT ON DATABASE " + q + ` IS 'the shop''s; with \ a backslash'`,
		"ALTER DATABASE " + q + ` SET search_path TO "$user", public, "odd, ""name"`, "ALTER DATABASE " + q + " SET work_mem TO '7MB'", "ALTER DATABASE " + q + ` SET "app.user" TO 'a ''b'' \c'`,
		"ALTER ROLE zoo_reader IN DATABASE " + q + " SET statement_timeout TO '3s'", "ALTER DATABASE " + q + " SET temp_tablespaces TO ''",
	} {
		pgtest.Exec(t, c.Target("postgres"), sql)
	}
	want := hanging(t, c, live.Name)
	p := staged(t, live)
	g := mustGate(t, live, &p)
	if err := g.Switch(t.Context()); err != nil {
		t.Fatalf("switch: %v", err)
	}
	g.Close()
	mustOpen(t, live, p)
	if got := hanging(t, c, live.Name); got != want {
		t.Errorf("after the switch:\n%s\nwant:\n%s", got, want)
	}
	if got := hanging(t, c, p.AsideName); !strings.Contains(got, "\n0\n") || !strings.Contains(got, "role=aside") {
		t.Errorf("the set-aside database:\n%s", got)
	}
	for range 2 {
		if err := (Engine{}).SwitchBack(t.Context(), live, p); err != nil {
			t.Fatalf("switch back: %v", err)
		}
	}
	if got := hanging(t, c, live.Name); got != want {
		t.Errorf("after the switch back:\n%s\nwant:\n%s", got, want)
	}
}

func TestSwitchRefusesAfterSomebodyOpenedTheGate(t *testing.T) {
	c := pgtest.Shared(t)
	live := pgtest.Create(t, c)
	p := staged(t, live)
	g := mustGate(t, live, &p)
	allow := func(yes string) {
		pgtest.Exec(t, c.Target("postgres"), "ALTER DATABASE "+pgtest.Quote(live.Name)+" ALLOW_CONNECTIONS "+yes)
	}
	allow("true")
	pgtest.Exec(t, live, "UPDATE t SET v = 'written through the gate'")
	allow("false")
	if err := g.Switch(t.Context()); safepoint.ErrorCode(err) != safepoint.CodeConflict {
		t.Fatalf("switch: %v, want a conflict", err)
	}
	g.Close()
	mustOpen(t, live, p)
	if got := pgtest.Query(t, live, "SELECT v FROM t"); got[0] != "written through the gate" {
		t.Errorf("live holds %q", got)
	}
}

// A gate is held for as long as its safety backup takes, also by sessions that say nothing meanwhile.
func TestGateOutlivesTheServersTimeouts(t *testing.T) {
	c := pgtest.Start(t, pgserver.Options{Settings: map[string]string{"idle_session_timeout": "200ms", "idle_in_transaction_session_timeout": "200ms"}})
	live := pgtest.Create(t, c)
	p := staged(t, live)
	g := mustGate(t, live, &p)
	pgtest.Query(t, c.Target("postgres"), "SELECT pg_sleep(0.5)")
	var file bytes.Buffer
	w := archive.NewWriter(&file, archive.Header{}, nil)
	if err := g.Dump(t.Context(), w, engine.DumpOptions{}); err != nil {
		t.Errorf("dump: %v", err)
	}
	if err := g.Switch(t.Context()); err != nil {
		t.Errorf("switch: %v", err)
	}
}

func TestGateNamesPreparedTransactions(t *testing.T) {
	c := pgtest.Start(t, pgserver.Options{Settings: map[string]string{"max_prepared_transactions": "5"}})
	live := pgtest.Create(t, c)
	pgtest.Exec(t, live, "CREATE TABLE t (v text)")
	p, err := Engine{}.Prepare(t.Context(), live, "op_prepared000000001")
	if err != nil {
		t.Fatal(err)
	}
	pgtest.Exec(t, live, "BEGIN; INSERT INTO t VALUES ('x'); PREPARE TRANSACTION 'my gid'")
	wantFinding(t, live, nil, safepoint.CodeBlocked, "my gid")
	if _, err := (Engine{}).Gate(t.Context(), live, p, func(engine.Plan) error { return nil }); safepoint.ErrorCode(err) != safepoint.CodeBlocked || !strings.Contains(err.Error(), "my gid") {
		t.Errorf("gate: %v", err)
	}
	pgtest.Exec(t, live, "COMMIT PREPARED 'my gid'")
}

func wantFinding(t *testing.T, live engine.Target, r *archive.Reader, code safepoint.Code, text string) {
	t.Helper()
	found, err := Engine{}.CanRestore(t.Context(), live, r)
	if err != nil {
		t.Fatalf("CanRestore: %v", err)
	}
	for _, f := range found {
		if f.Blocker && f.Code == code && strings.Contains(f.Message, text) && f.Hint != "" {
			return
		}
	}
	t.Errorf("CanRestore found %+v, want a blocker %s about %q", found, code, text)
}

// TestGateEndsSessionsOfOthers has a client in the middle of a transaction and one in the middle of a statement.
func TestGateEndsSessionsOfOthers(t *testing.T) {
	c := pgtest.Shared(t)
	live := pgtest.Create(t, c)
	p := staged(t, live)
	idle, err := c.Connect(t.Context(), live.Name)
	if err != nil {
		t.Fatal(err)
	}
	defer idle.Close(context.Background())
	if _, err := idle.Exec(t.Context(), "BEGIN; UPDATE t SET v = 'not committed'"); err != nil {
		t.Fatal(err)
	}
	busy, err := c.Connect(t.Context(), live.Name)
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close(context.Background())
	slept := make(chan error, 1)
	go func() { _, err := busy.Exec(context.Background(), "SELECT pg_sleep(60)"); slept <- err }()
	began := time.Now()
	g := mustGate(t, live, &p)
	t.Logf("the gate closed in %v", time.Since(began))
	if err := <-slept; state(err) != stateAdminShutdown {
		t.Errorf("the busy session ended with %v", err)
	}
	if _, err := idle.Exec(t.Context(), "COMMIT"); err == nil {
		t.Error("a transaction was committed through the gate")
	}
	began = time.Now()
	if err := g.Switch(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Logf("the switch took %v", time.Since(began))
	g.Close()
	mustOpen(t, live, p)
}

// TestSwitchWhoseAnswerIsLost cuts the line at every stage of sending the switch. Whatever the error says, Probe knows
// once the database is open, and the database under the live name is exactly one of the two. That the server may go
// through with a switch after its sender is gone, package soak shows.
func TestSwitchWhoseAnswerIsLost(t *testing.T) {
	c := pgtest.Shared(t)
	for _, cut := range []string{"before", "after"} {
		for range 3 {
			direct := pgtest.Create(t, c)
			p := staged(t, direct)
			line := newLine(t, c.Socket, c.Port)
			through := direct
			through.Host, through.Port = "127.0.0.1", line.port()
			g := mustGate(t, through, &p)
			if cut == "before" {
				line.cutBeforeCommit.Store(true)
			} else {
				line.cutAfterCommit.Store(true)
			}
			err := g.Switch(t.Context())
			if err == nil || safepoint.ErrorCode(err) == safepoint.CodeConflict {
				t.Fatalf("cut %s: switch says %v", cut, err)
			}
			g.Close()
			mustOpen(t, direct, p) // from now on a switch that is still on its way is refused
			at, err := Engine{}.Probe(t.Context(), direct, p)
			if err != nil {
				t.Fatal(err)
			}
			want := map[engine.Position]string{engine.Before: "new", engine.After: "old"}[at]
			if got := pgtest.Query(t, direct, "SELECT v FROM t"); got[0] != want {
				t.Errorf("cut %s: probe says %s, the database %q", cut, at, got)
			}
			if cut == "before" && at != engine.Before {
				t.Errorf("switched although the message never arrived")
			}
		}
	}
}

// line is a connection to the server that can be cut around the switch's message.
type line struct {
	net.Listener
	cutBeforeCommit, cutAfterCommit atomic.Bool
}

func newLine(t *testing.T, socket string, port int) *line {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	line := &line{Listener: l}
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("unix", socket+"/.s.PGSQL."+itoa(port))
			if err != nil {
				client.Close()
				continue
			}
			go line.pass(client, server)
			go func() { // answers
				buf := make([]byte, 64<<10)
				for {
					n, err := server.Read(buf)
					if err != nil {
						client.Close()
						return
					}
					client.Write(buf[:n])
				}
			}()
		}
	}()
	return line
}

func (l *line) port() int { return l.Addr().(*net.TCPAddr).Port }

// pass hands on what the client sends. The switch's message is recognised by its last words.
func (l *line) pass(client, server net.Conn) {
	defer client.Close()
	defer server.Close()
	buf := make([]byte, 64<<10)
	for {
		n, err := client.Read(buf)
		if err != nil {
			return
		}
		isSwitch := bytes.Contains(buf[:n], []byte("RENAME TO")) && bytes.Contains(buf[:n], []byte("COMMIT;"))
		if isSwitch && l.cutBeforeCommit.Load() {
			return
		}
		cut := isSwitch && l.cutAfterCommit.Load()
		if cut {
			client.Close() // first, or a quick answer would still get through
		}
		server.Write(buf[:n])
		if cut {
			return // the server's own connection closes too: it may notice before or after it has gone through with the message
		}
	}
}

func itoa(n int) string { b, _ := json.Marshal(n); return string(b) }

func TestDropsLeaveWhatSomebodyRenamed(t *testing.T) {
	c := pgtest.Shared(t)
	live := pgtest.Create(t, c)
	p := staged(t, live)
	g := mustGate(t, live, &p)
	if err := g.Switch(t.Context()); err != nil {
		t.Fatal(err)
	}
	g.Close()
	mustOpen(t, live, p)
	if err := (Engine{}).DropStaging(t.Context(), live, p); safepoint.ErrorCode(err) != safepoint.CodeNeedsOperator {
		t.Errorf("DropStaging of what is live now: %v", err)
	}
	pgtest.Exec(t, c.Target("postgres"), "ALTER DATABASE "+pgtest.Quote(p.AsideName)+" RENAME TO kept_by_hand")
	t.Cleanup(func() { c.Exec(context.Background(), "postgres", "DROP DATABASE kept_by_hand") })
	if err := (Engine{}).DropAside(t.Context(), live, p); safepoint.ErrorCode(err) != safepoint.CodeNeedsOperator {
		t.Errorf("DropAside of a renamed database: %v", err)
	}
	if err := (Engine{}).SwitchBack(t.Context(), live, p); err == nil {
		t.Error("switched back to a database that somebody renamed")
	}
	pgtest.Exec(t, c.Target("postgres"), "ALTER DATABASE kept_by_hand RENAME TO "+pgtest.Quote(p.AsideName)+"; COMMENT ON DATABASE "+pgtest.Quote(p.AsideName)+" IS 'mine'")
	if err := (Engine{}).DropAside(t.Context(), live, p); safepoint.ErrorCode(err) != safepoint.CodeNeedsOperator {
		t.Errorf("DropAside of a database without its mark: %v", err)
	}
	if got := pgtest.Query(t, live, "SELECT v FROM t"); got[0] != "old" {
		t.Errorf("live holds %q", got)
	}
}

// TestDropAgainAfterInterruptedDrop makes the state that a crash in DROP DATABASE leaves.
func TestDropAgainAfterInterruptedDrop(t *testing.T) {
	c := pgtest.Shared(t)
	live := pgtest.Create(t, c)
	p := staged(t, live)
	pgtest.Exec(t, c.Target("postgres"), "UPDATE pg_database SET datconnlimit = -2 WHERE datname = '"+p.StagingName+"'")
	for range 2 {
		if err := (Engine{}).DropStaging(t.Context(), live, p); err != nil {
			t.Errorf("drop: %v", err)
		}
	}
	if got := pgtest.Query(t, c.Target("postgres"), "SELECT 1 FROM pg_database WHERE datname = $1", p.StagingName); len(got) != 0 {
		t.Error("it is still there")
	}
}

func TestTwoRestoresOfOneDatabase(t *testing.T) {
	live := pgtest.Create(t, pgtest.Shared(t))
	p := staged(t, live)
	g := mustGate(t, live, &p)
	second := p
	second.OperationID = "op_second0000000001"
	_, err := Engine{}.Gate(t.Context(), live, second, func(engine.Plan) error { return errors.New("must not be asked") })
	if safepoint.ErrorCode(err) != safepoint.CodeConflict {
		t.Errorf("the second gate: %v", err)
	}
	g.Close()
	mustOpen(t, live, p)
}
