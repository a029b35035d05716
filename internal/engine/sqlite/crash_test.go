package sqlite

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/archive"
	"github.com/safepoint-db/safepoint/internal/engine"
)

// TestMain lets the test binary be the process that is killed in the middle of a switch.
func TestMain(m *testing.M) {
	if raw := os.Getenv("SAFEPOINT_TEST_SWITCH"); raw != "" {
		if err := switchAndBack(raw); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// order is what the process is told.
type order struct {
	Target engine.Target
	Plan   engine.Plan
	Back   bool
}

func switchAndBack(raw string) error {
	var o order
	if err := json.Unmarshal([]byte(raw), &o); err != nil {
		return err
	}
	e, ctx := &Engine{}, context.Background()
	if o.Back {
		fmt.Println("now")
		return e.SwitchBack(ctx, o.Target, o.Plan)
	}
	g, err := e.Gate(ctx, o.Target, o.Plan, func(engine.Plan) error { return nil })
	if err != nil {
		return err
	}
	fmt.Println("now")
	return g.Switch(ctx)
}

// rows makes a table of a few megabytes, all of one version.
func rows(t *testing.T, path, mode, version string, n int) {
	t.Helper()
	db := openSQL(t, path)
	for _, q := range []string{"PRAGMA journal_mode=" + mode, "CREATE TABLE big(id INTEGER PRIMARY KEY, version TEXT, filler TEXT)",
		fmt.Sprintf("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < %d) INSERT INTO big SELECT i, '%s', hex(randomblob(300)) FROM n", n, version),
		"CREATE INDEX big_filler ON big(filler)"} {
		if _, err := db.Exec(q); err != nil {
			t.Fatal(err)
		}
	}
	db.Close()
}

// TestKilledInSwitch kills a process at ever later moments of a switch, and of the way back, and looks each time whether
// the live file is exactly of one content, and whether Probe says which.
func TestKilledInSwitch(t *testing.T) {
	const rounds = 8
	for _, mode := range []string{"WAL", "DELETE"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			live := engine.Target{Engine: safepoint.SQLite, Path: filepath.Join(t.TempDir(), "live.db")}
			rows(t, live.Path, mode, "old", 4000)
			_, r := dumpFile(t, live)
			db := openSQL(t, live.Path)
			if _, err := db.Exec("UPDATE big SET version = 'new'; INSERT INTO big SELECT id+100000, version, filler FROM big WHERE id <= 1000"); err != nil {
				t.Fatal(err)
			}
			db.Close()
			e := &Engine{}
			prints := map[engine.Position]archive.Fingerprint{engine.After: r.Fingerprint()}
			var err error
			if prints[engine.Before], err = e.Digest(t.Context(), live, nil); err != nil {
				t.Fatal(err)
			}
			whole := map[bool]time.Duration{} // how long it takes when nobody kills it
			outcomes := map[string]int{}
			for round := range 2 * rounds {
				o := order{Target: live, Plan: prepared(t, e, live, r)}
				if o.Back = round%2 == 1; o.Back {
					if err := switchOnce(t, e, o); err != nil {
						t.Fatal(err)
					}
				}
				after := time.Duration(-1)
				if w, ok := whole[o.Back]; ok {
					after = w * time.Duration(round/2) / time.Duration(rounds)
				}
				took := killed(t, o, after)
				if _, ok := whole[o.Back]; !ok {
					whole[o.Back] = took
				}
				if round%4 < 2 { // recovery opens before it asks, or after
					if err := e.Open(t.Context(), live, o.Plan); err != nil {
						t.Fatal(err)
					}
				}
				at, err := e.Probe(t.Context(), live, o.Plan)
				if err != nil {
					t.Fatal(err)
				}
				outcomes[fmt.Sprintf("back=%v %s", o.Back, at)]++
				print, err := e.Digest(t.Context(), live, nil)
				if err != nil {
					t.Fatal(err)
				}
				if err := prints[at].Compare(print); err != nil {
					t.Fatalf("round %d: Probe says %s: %v", round, at, err)
				}
				if got := integrity(t, live.Path); got != "ok" {
					t.Fatalf("round %d: integrity_check: %s", round, got)
				}
				if got := query1(t, live.Path, "PRAGMA journal_mode"); got != map[string]string{"WAL": "wal", "DELETE": "delete"}[mode] {
					t.Errorf("round %d: the journal mode is now %s", round, got)
				}
				finish(t, e, live, o.Plan)
			}
			t.Logf("switch in %v, back in %v: %v", whole[false], whole[true], outcomes)
		})
	}
}

func prepared(t *testing.T, e *Engine, live engine.Target, r *archive.Reader) engine.Plan {
	t.Helper()
	p, err := e.Prepare(t.Context(), live, safepoint.NewID(safepoint.OperationPrefix))
	if err == nil {
		p, err = e.Stage(t.Context(), live, p, r.Header())
	}
	if err == nil {
		err = e.Load(t.Context(), e.StagingTarget(live, p), r, engine.LoadOptions{})
	}
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func switchOnce(t *testing.T, e *Engine, o order) error {
	g, err := e.Gate(t.Context(), o.Target, o.Plan, func(engine.Plan) error { return nil })
	if err != nil {
		return err
	}
	defer g.Close()
	return g.Switch(t.Context())
}

// killed runs a process that switches, and kills it some time after it said that it begins; never if after is negative.
func killed(t *testing.T, o order, after time.Duration) time.Duration {
	t.Helper()
	raw, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "SAFEPOINT_TEST_SWITCH="+string(raw))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 1)); err != nil {
		t.Fatalf("the process said nothing: %v", err)
	}
	began := time.Now()
	if after >= 0 {
		timer := time.AfterFunc(after, func() { cmd.Process.Kill() })
		defer timer.Stop()
	}
	if err := cmd.Wait(); err != nil && after < 0 {
		t.Fatalf("switch: %v", err)
	}
	return time.Since(began)
}

// finish brings the live file back to its own content, and removes what the restore made: nothing may be left.
func finish(t *testing.T, e *Engine, live engine.Target, p engine.Plan) {
	t.Helper()
	if err := e.SwitchBack(t.Context(), live, p); err != nil {
		t.Fatalf("switch back: %v", err)
	}
	if err := e.DropStaging(t.Context(), live, p); err != nil {
		t.Fatal(err)
	}
	if err := e.DropAside(t.Context(), live, p); err != nil {
		t.Fatal(err)
	}
	left, err := e.Leftovers(t.Context(), live)
	if err != nil || len(left) > 0 {
		t.Fatalf("left over: %v, %v", left, err)
	}
	if at, err := e.Probe(t.Context(), live, p); err != nil || at != engine.Before {
		t.Fatalf("in the end Probe says %s, %v", at, err)
	}
}

func integrity(t *testing.T, path string) string {
	t.Helper()
	return query1(t, path, "PRAGMA integrity_check")
}

func query1(t *testing.T, path, q string) string {
	t.Helper()
	c, err := (&Engine{}).open(t.Context(), path, readOnly)
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	got, err := c.text(q)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// TestNoAcknowledgedWriteIsLost has a client that nobody halts write through the whole of a restore: what it was told
// was saved is in the safety backup or in the live file.
func TestNoAcknowledgedWriteIsLost(t *testing.T) {
	for _, mode := range []string{"WAL", "DELETE"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			live := engine.Target{Engine: safepoint.SQLite, Path: filepath.Join(t.TempDir(), "live.db")}
			rows(t, live.Path, mode, "old", 2000)
			_, r := dumpFile(t, live)
			e := &Engine{}
			p := prepared(t, e, live, r)

			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			var saved []int64
			var wg sync.WaitGroup
			wrote := make(chan struct{}, 1)
			wg.Add(1)
			db := openSQL(t, live.Path)
			db.SetMaxOpenConns(1)
			go func() {
				defer wg.Done()
				for id := int64(1_000_000); ctx.Err() == nil; id++ {
					if _, err := db.Exec("INSERT INTO big VALUES(?, 'order', '')", id); err == nil {
						saved = append(saved, id)
						select {
						case wrote <- struct{}{}:
						default:
						}
					}
				}
			}()
			<-wrote
			var safety *archive.Reader
			conflicts := 0
			for switchedOver := false; !switchedOver; {
				g, err := e.Gate(t.Context(), live, p, func(engine.Plan) error { return nil })
				if err != nil {
					t.Fatal(err)
				}
				safety = dumpGate(t, g)
				switch err := g.Switch(t.Context()); {
				case err == nil:
					switchedOver = true
				case safepoint.ErrorCode(err) == safepoint.CodeConflict && conflicts < 50:
					conflicts++
				default:
					t.Fatal(err)
				}
				g.Close()
			}
			for drained := false; !drained; {
				select {
				case <-wrote:
				default:
					drained = true
				}
			}
			<-wrote // it goes on in the new content
			stop()
			wg.Wait()
			db.Close()

			backup := byLoad(t, safety)
			missing := 0
			for _, id := range saved {
				q := fmt.Sprintf("SELECT count(*) FROM big WHERE id=%d", id)
				if query1(t, live.Path, q) == "0" && query1(t, backup.Path, q) == "0" {
					missing++
				}
			}
			if missing > 0 || len(saved) < 2 {
				t.Errorf("%d of %d saved rows are neither in the live file nor in the safety backup", missing, len(saved))
			}
			t.Logf("%d rows saved, %d conflicts", len(saved), conflicts)
		})
	}
}
