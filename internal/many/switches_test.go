package many

import (
	"context"
	"flag"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/api/wire"
	"github.com/safepoint-db/safepoint/internal/client"
	"github.com/safepoint-db/safepoint/internal/engine"
	"github.com/safepoint-db/safepoint/internal/pgserver"
	"github.com/safepoint-db/safepoint/internal/pgtest"
	"github.com/safepoint-db/safepoint/internal/soak"
)

var (
	switches  = flag.Int("switches", 4, "switches under 40 reconnecting clients")
	pgbouncer = flag.Int("pgbouncer", 1, "restores through PgBouncer under load")
	undos     = flag.Int("undos", 1, "restores that are undone")
	mode      = flag.String("mode", "instant", "of restores: guarded or instant")
	report    = flag.String("report", "", "page to write figures into; with it, a goal that is missed fails the test")
)

// market is a small database behind a server of its own, in two states that a marker tells apart.
type market struct {
	t       *testing.T
	cluster *pgserver.Cluster
	target  engine.Target
	api     *client.Client
	shop    wire.Database
	states  [3]wire.Operation // backups of the states 1 and 2
	began   time.Time
	halts   []time.Duration
	took    []time.Duration
}

func openMarket(t *testing.T) *market {
	t.Helper()
	m := &market{t: t, began: time.Now(), cluster: pgtest.Start(t, pgserver.Options{TCP: true, Settings: map[string]string{"max_connections": "200"}})}
	data := filepath.Join(t.TempDir(), "data")
	harbor, _ := setUp(t, data)
	p := newProcess(t, data)
	p.start(t)
	m.api = p.client(t, harbor)
	m.target = pgtest.CreateNamed(t, m.cluster, "shop")
	pgtest.Exec(t, m.target, `CREATE ROLE app LOGIN; CREATE TABLE pair_a (v int); CREATE TABLE pair_b (v int); CREATE TABLE hits (client int, turn int);
		CREATE TABLE orders (id int PRIMARY KEY, note text NOT NULL); INSERT INTO orders SELECT g, md5(g::text) FROM generate_series(1, 2000) g;
		INSERT INTO pair_a VALUES (1); INSERT INTO pair_b VALUES (1); GRANT ALL ON ALL TABLES IN SCHEMA public TO app`)
	c := m.cluster.TCPTarget("shop")
	m.shop = must(m.api.CreateDatabase(t.Context(), wire.DatabaseInput{Name: "shop", Engine: "postgres", Host: c.Host, Port: c.Port, User: c.User,
		Password: &c.Password, DBName: c.Name, TLS: string(safepoint.TLSDisable)}))(t)
	for v := 2; v >= 1; v-- { // 1 is live then
		pgtest.Exec(t, m.target, fmt.Sprintf("UPDATE pair_a SET v = %d; UPDATE pair_b SET v = %d", v, v))
		m.states[v] = m.ended(must(m.api.StartBackup(t.Context(), m.shop.ID))(t).ID)
	}
	return m
}

// ended waits for the end of an operation, which must be a success.
func (m *market) ended(id string) wire.Operation {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(m.t.Context(), 2*time.Minute)
	defer cancel()
	op := must(m.api.Wait(ctx, id, 5*time.Millisecond, nil))(m.t)
	if op.Status != "succeeded" {
		m.t.Fatalf("the %s %s ended %s in step %s: %+v", op.Trigger, op.Type, op.Status, op.Step, op.Failure)
	}
	return op
}

// restore puts a state in the place of the live one.
func (m *market) restore(state int) wire.Operation {
	m.t.Helper()
	op := m.ended(must(m.api.StartRestore(m.t.Context(), m.states[state].ID, wire.RestoreInput{Confirm: "shop", Mode: *mode}))(m.t).ID)
	if !op.Switched {
		m.t.Fatalf("nothing was switched: %+v", op)
	}
	m.timed(op)
	return op
}

// undo goes back to what a restore replaced.
func (m *market) undo(restore wire.Operation) wire.Operation {
	m.t.Helper()
	op := m.ended(must(m.api.StartUndo(m.t.Context(), restore.ID))(m.t).ID)
	m.timed(op)
	return op
}

func (m *market) timed(op wire.Operation) {
	m.halts = append(m.halts, op.ResumedAt.Sub(op.HaltedAt))
	if halted := m.halts[len(m.halts)-1]; halted > 300*time.Millisecond && *mode == "instant" {
		m.t.Logf("switch %d, of trigger %s, halted for %s", len(m.halts), op.Trigger, halted)
	}
	m.took = append(m.took, op.FinishedAt.Sub(op.StartedAt))
}

// TestSwitches switches under forty clients that connect again when their connection breaks: back and forth, by a
// restore and its undo in turn.
func TestSwitches(t *testing.T) {
	m := openMarket(t)
	c := startCrowd(t, 40, fmt.Sprintf("host=%s port=%d user=app dbname=shop", m.cluster.Socket, m.cluster.Port), 20*time.Millisecond)
	var last wire.Operation
	for i := range *switches {
		to := 2 - i%2
		c.begin(to)
		if to == 2 {
			last = m.restore(2)
		} else {
			m.undo(last)
		}
		c.settled(t)
	}
	c.end()
	saw := c.tally()
	clean(t, saw)
	if saw.MostErrors > 1 && *mode == "instant" {
		t.Errorf("one client met %d errors during one switch; the last was: %v", saw.MostErrors, saw.Sample)
	}
	m.report("switches", []goal{
		{"switches under 40 reconnecting clients", "500", fmt.Sprint(*switches), *switches >= 500},
		{"mixed or stale reads", "0", fmt.Sprintf("%d of %d", len(saw.Wrong), saw.Reads), len(saw.Wrong) == 0},
		{"errors of one client during one switch, at most", "1", fmt.Sprint(saw.MostErrors), saw.MostErrors <= 1},
		{"longest wait of any client during a switch, 99th percentile", "under 500 ms", spread(saw.Waits), percentile(saw.Waits, 0.99) < 500*time.Millisecond},
		{"services halted, 99th percentile", "under 500 ms", spread(m.halts), percentile(m.halts, 0.99) < 500*time.Millisecond},
	}, fmt.Sprintf("SWITCHES=%d", *switches))
}

// TestThroughPgBouncer restores under clients that work through PgBouncer in transaction mode. None of their requests fails.
func TestThroughPgBouncer(t *testing.T) {
	m := openMarket(t)
	port := startBouncer(t, m.cluster, "shop")
	secret := bouncerPassword
	must(m.api.CreateService(t.Context(), wire.ServiceInput{Name: "pool", Kind: "pgbouncer", Host: "127.0.0.1", Port: port, User: "admin", DBName: "shop", Secret: &secret}))(t)
	c := startCrowd(t, 40, fmt.Sprintf("host=127.0.0.1 port=%d user=app password=app dbname=shop sslmode=disable", port), 20*time.Millisecond)
	for i := range *pgbouncer {
		to := 2 - i%2
		c.begin(to)
		m.restore(to)
		c.settled(t)
	}
	c.end()
	saw := c.tally()
	clean(t, saw)
	if saw.Errors > 0 {
		t.Errorf("%d requests failed; the last with: %v", saw.Errors, saw.Sample)
	}
	m.report("pgbouncer", []goal{
		{"restores through PgBouncer, in transaction mode, under 40 clients", "100", fmt.Sprint(*pgbouncer), *pgbouncer >= 100},
		{"failed requests", "0", fmt.Sprintf("%d of %d", saw.Errors, saw.Reads+saw.Errors), saw.Errors == 0},
		{"mixed or stale reads", "0", fmt.Sprint(len(saw.Wrong)), len(saw.Wrong) == 0},
		{"services halted, median", "under 300 ms", spread(m.halts), percentile(m.halts, 0.5) < 300*time.Millisecond},
		{"longest wait of any client during a restore", "", spread(saw.Waits), true},
	}, fmt.Sprintf("PGBOUNCER=%d", *pgbouncer))
}

// TestUndos restores and undoes. What was written just before each restore is gone with it, and back after its undo.
func TestUndos(t *testing.T) {
	m := openMarket(t)
	var took, halts []time.Duration
	back := 0
	for i := range *undos {
		pgtest.Exec(t, m.target, fmt.Sprintf("INSERT INTO orders VALUES (%d, 'written last')", 1_000_000+i))
		restored := m.restore(2)
		if got := m.orders(); got != "2000/2" {
			t.Fatalf("after restore %d the database says %s", i+1, got)
		}
		undone := m.undo(restored)
		took, halts = append(took, undone.FinishedAt.Sub(undone.StartedAt)), append(halts, undone.ResumedAt.Sub(undone.HaltedAt))
		if got, want := m.orders(), fmt.Sprintf("%d/1", 2000+i+1); got == want {
			back++
		} else {
			t.Errorf("after undo %d the database says %s, want %s", i+1, got, want)
		}
	}
	m.report("undo", []goal{
		{"restores undone", "500", fmt.Sprint(*undos), *undos >= 500},
		{"back to the row written last", "all", fmt.Sprintf("%d of %d", back, *undos), back == *undos},
		{"an undo, from its start to its end", "under 1 s", spread(took), percentile(took, 1) < time.Second},
		{"services halted for it", "", spread(halts), true},
	}, fmt.Sprintf("UNDOS=%d", *undos))
}

// orders is how many orders there are, and what the marker says.
func (m *market) orders() string {
	m.t.Helper()
	return strings.Join(pgtest.Query(m.t, m.target, "SELECT count(*) || '/' || (SELECT v FROM pair_a) FROM orders"), "")
}

// clean fails the test for what no client may ever see.
func clean(t *testing.T, saw tally) {
	t.Helper()
	t.Logf("%d reads, %d errors, most of one client during one switch %d, longest waits %s", saw.Reads, saw.Errors, saw.MostErrors, spread(saw.Waits))
	for _, words := range saw.Wrong[:min(len(saw.Wrong), 10)] {
		t.Error(words)
	}
}

// goal is one line of a table: what was to be reached, and what was.
type goal struct {
	what, want, got string
	met             bool
}

// report logs a table, and with -report writes it into the page. Then a goal that was missed fails the test.
func (m *market) report(section string, goals []goal, counts string) {
	m.t.Helper()
	m.t.Logf("halted %s, took %s", spread(m.halts), spread(m.took))
	writeReport(m.t, section, goals, time.Since(m.began), "make reliability "+counts,
		"PostgreSQL "+m.states[1].ServerVersion+", restores of mode "+*mode+", a database of 2,000 rows; clients, PostgreSQL and Safepoint share the machine.")
}

func writeReport(t *testing.T, section string, goals []goal, took time.Duration, command string, notes ...string) {
	t.Helper()
	r := soak.Report{Command: command, Took: took, Head: []string{"What", "Goal", "Figure", ""}, Notes: notes}
	for _, g := range goals {
		met := "met"
		switch {
		case g.want == "":
			met = ""
		case !g.met:
			met = "**missed**"
		}
		r.Rows = append(r.Rows, []string{g.what, g.want, g.got, met})
		t.Logf("%s: %s (goal %s) %s", g.what, g.got, g.want, met)
		if *report != "" && !g.met {
			t.Errorf("missed: %s: %s, want %s", g.what, g.got, g.want)
		}
	}
	if *report != "" {
		ok(t, r.Write(*report, section))
	}
}

// spread is a sample in a few words.
func spread(sample []time.Duration) string {
	ms := func(d time.Duration) string { return fmt.Sprint(d.Milliseconds()) }
	return "median " + ms(percentile(sample, 0.5)) + ", 99th percentile " + ms(percentile(sample, 0.99)) + ", longest " + ms(percentile(sample, 1)) + " ms"
}
