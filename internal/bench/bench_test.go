package bench

import (
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/safepoint-db/safepoint/internal/pgserver"
	"github.com/safepoint-db/safepoint/internal/pgtest"
)

// TestMain lets this program be the `bench` of the contenders' commands.
func TestMain(m *testing.M) {
	if ok, err := Helper(context.Background(), os.Args[1:]); ok {
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	code := pgtest.Main(m)
	if built != "" {
		os.RemoveAll(built)
	}
	os.Exit(code)
}

// TestRun carries the whole benchmark out on a small database: every command works, every load of ours is compared
// with its source, and the report holds all of it.
func TestRun(t *testing.T) {
	pgtest.Shared(t) // skips where PostgreSQL is missing
	dir, err := os.MkdirTemp("/var/tmp", "safepoint-bench-test-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	r, err := Run(t.Context(), Config{Size: 0.002, Reps: 1, RepsLoad: 1, Tables: 30, Pure: true, WorkDir: dir, Module: "../.."})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range r.Contenders {
		wall, peak, size := r.of(c.Phase, c.Key, "wall"), r.of(c.Phase, c.Key, "peak"), r.of(c.Phase, c.Key, "size")
		if wall.N != 1 || wall.Median <= 0 || peak.Median <= 0 || (c.Output != "") != (size.Median > 0) {
			t.Errorf("%s %s: %d runs, %.3f s, peak %.0f, size %.0f", c.Phase, c.Key, wall.N, wall.Median, peak.Median, size.Median)
		}
		if c.Checks && c.Phase == Load && !strings.Contains(strings.Join(r.Equal, ";"), c.Name) {
			t.Errorf("what %s loaded was not compared with the source", c.Name)
		}
	}
	path, err := WriteReport(filepath.Join(dir, "report"), r)
	if err != nil {
		t.Fatal(err)
	}
	page := read(t, path)
	for _, c := range r.Contenders {
		if !strings.Contains(page, c.Command) {
			t.Errorf("the report does not say %s", c.Command)
		}
	}
	wellFormed(t, read(t, strings.TrimSuffix(path, ".md")+".svg"))
	lines := strings.Split(strings.TrimSpace(read(t, strings.TrimSuffix(path, ".md")+".jsonl")), "\n")
	if len(lines) != len(r.Rows)+1 {
		t.Errorf("%d lines of JSON for %d rows and the machine", len(lines), len(r.Rows))
	}
	var row Row
	if err := json.Unmarshal([]byte(lines[1]), &row); err != nil || row.Wall != r.Rows[0].Wall {
		t.Errorf("the first row reads %+v, %v", row, err)
	}
}

// TestCheckFindsDifferences shows that a load which changed one value, or lost one sequence's place, is found.
func TestCheckFindsDifferences(t *testing.T) {
	c := pgtest.Shared(t)
	b := &bench{cluster: c}
	one, two := pgtest.Create(t, c), pgtest.Create(t, c)
	const make = `CREATE TABLE t (a int, b text); INSERT INTO t SELECT i, md5(i::text) FROM generate_series(1, 500) i; CREATE SEQUENCE s; SELECT lo_from_bytea(4242, 'large')`
	pgtest.Exec(t, one, make)
	pgtest.Exec(t, two, make)
	content := func(name string) string {
		t.Helper()
		s, err := b.content(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	want := content(one.Name)
	if got := content(two.Name); got != want {
		t.Fatalf("equal databases differ:\n%s\n%s", want, got)
	}
	for _, change := range []string{"UPDATE t SET b = b || ' ' WHERE a = 77", "SELECT setval('s', 5)", "SELECT lo_put(4242, 0, 'L')", "COMMENT ON TABLE t IS 'changed'"} {
		before := content(two.Name)
		pgtest.Exec(t, two, change)
		if content(two.Name) == before {
			t.Errorf("not noticed: %s", change)
		}
	}
}

// TestUsage measures work whose cost is known.
func TestUsage(t *testing.T) {
	c := pgtest.Start(t, pgserver.Options{})
	b := &bench{cluster: c}
	env := append(os.Environ(), "PGHOST="+c.Socket, fmt.Sprintf("PGPORT=%d", c.Port), "PGUSER="+c.User, "PGDATABASE=postgres", "PATH="+c.BinDir+":"+os.Getenv("PATH"))
	u, err := run(t.Context(), b.cluster, t.TempDir(), `{ head -c 64M /dev/zero; sleep 0.3; } | tail -c 64M >/dev/null`, "", env)
	if err != nil {
		t.Fatal(err)
	}
	if u.PeakOf != "tail" || u.Peak < 64<<20 || u.Peak > 80<<20 || u.PeakTree < u.Peak || u.Wall < 0.3 {
		t.Errorf("64 MiB in tail are measured as %+v", u)
	}
	before := time.Now()
	u, err = run(t.Context(), b.cluster, t.TempDir(), `psql -XAtc "SELECT count(sqrt(i)) FROM generate_series(1, 3000000) i"`, "psql", env)
	if err != nil {
		t.Fatal(err)
	}
	if u.ServerCPU < 0.1 || u.ServerCPU > 2*time.Since(before).Seconds() || u.ClientCPU > u.ServerCPU || u.PeakOf != "psql" {
		t.Errorf("work of the server is measured as %+v", u)
	}
	if _, err = run(t.Context(), b.cluster, t.TempDir(), `false | cat; echo hidden >&2; false | true`, "", env); err == nil || !strings.Contains(err.Error(), "hidden") {
		t.Errorf("a pipeline whose first part fails gives %v", err)
	}
}

func TestSpread(t *testing.T) {
	for _, c := range []struct {
		values           []float64
		median, min, max float64
	}{
		{[]float64{3}, 3, 3, 3}, {[]float64{5, 1}, 3, 1, 5}, {[]float64{9, 2, 4}, 4, 2, 9}, {[]float64{4, 1, 3, 2}, 2.5, 1, 4},
	} {
		if s := spread(c.values); s.Median != c.median || s.Min != c.min || s.Max != c.max || s.N != len(c.values) {
			t.Errorf("%v: %+v", c.values, s)
		}
	}
	if s := spread(nil); s.N != 0 || !math.IsNaN(s.Median) {
		t.Errorf("nothing: %+v", s)
	}
}

// TestVerdicts judges by medians of times, and by the worst run of memory.
func TestVerdicts(t *testing.T) {
	r := &Result{Contenders: contenders(2, false)}
	add := func(key string, wall float64, peak int64) {
		r.Rows = append(r.Rows, Row{Contender: key, Phase: Dump, Usage: Usage{Wall: wall, ClientCPU: wall, Peak: peak}, Size: 100})
	}
	add("ours", 7, 100<<20)
	add("ours", 99, 129<<20)
	add("ours", 7, 100<<20)
	add("zstd", 10, 0)
	add("zstd", 10, 0)
	got := map[string]bool{}
	for _, v := range r.verdicts() {
		got[v.What] = v.Met
	}
	want := map[string]bool{"dump, wall": true, "dump, CPU": true, "dump, size": true, "dump, peak memory": false}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("verdicts: %v, want %v", got, want)
	}
}

// TestReportOfUnfinishedRun says in the page and in its name that the run did not come to its end.
func TestReportOfUnfinishedRun(t *testing.T) {
	r := &Result{Contenders: contenders(2, false), Config: Config{Only: "dump,load,tables"}, Machine: Machine{Commit: "abc"}, Unfinished: "load ours: it broke"}
	r.Rows = []Row{{Contender: "ours", Phase: Dump, Usage: Usage{Wall: 1}}}
	path, err := WriteReport(t.TempDir(), r)
	if err != nil {
		t.Fatal(err)
	}
	if page := read(t, path); !strings.HasSuffix(path, "-abc-unfinished.md") || !strings.Contains(page, "it broke") {
		t.Errorf("%s: %s", path, page)
	}
}

func TestGoalsNameContenders(t *testing.T) {
	for _, cgo := range []bool{false, true} {
		known := map[string]bool{}
		for _, c := range contenders(2, cgo) {
			id := string(c.Phase) + " " + c.Key
			if known[id] {
				t.Errorf("two contenders are %s", id)
			}
			known[id] = true
		}
		for _, g := range goals(cgo) {
			if !known[string(g.Phase)+" "+g.Ours] || g.Peer != "" && !known[string(g.Phase)+" "+g.Peer] {
				t.Errorf("goal %+v: no such contender (cgo %t)", g, cgo)
			}
		}
	}
}

func wellFormed(t *testing.T, svg string) {
	t.Helper()
	for d := xml.NewDecoder(strings.NewReader(svg)); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatalf("the plot is not well-formed: %v", err)
		}
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
