package postgres

import (
	"bytes"
	"flag"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/safepoint-db/safepoint/internal/archive"
	"github.com/safepoint-db/safepoint/internal/engine"
	"github.com/safepoint-db/safepoint/internal/pgserver"
	"github.com/safepoint-db/safepoint/internal/pgtest"
)

// TestPickZoo takes each table of the zoo out alone, and some together, and loads them with psql and with Load.
func TestPickZoo(t *testing.T) {
	c := pgtest.Shared(t)
	roles(t, c, "zoo_owner", "zoo_reader")
	source := pgtest.Create(t, c)
	runScript(t, c, source.Name, strings.NewReader(zoo(t, major(t, c))))
	r, _ := dumpFile(t, source)
	choices := [][]string{{"*"}, {"app.*"}, {"app.orders", "customers"}, {"events"}, {"public.events_2026"}, {"hashed?"}, {"public.base", "child"}}
	for name := range r.Fingerprint() {
		choices = append(choices, []string{name})
	}
	for _, tables := range choices {
		t.Run(strings.Join(tables, ","), func(t *testing.T) {
			wantPicked(t, c, r, tables, engine.Selection{})
		})
	}
	t.Run("triggers", func(t *testing.T) {
		wantPicked(t, c, r, []string{"app.*"}, engine.Selection{Triggers: true, NoOwner: true, NoPrivileges: true})
	})
	t.Run("schema only", func(t *testing.T) {
		wantPicked(t, c, r, []string{"*"}, engine.Selection{SchemaOnly: true})
	})
}

func TestPickChinook(t *testing.T) {
	c := pgtest.Shared(t)
	source := chinookDatabase(t, c, "Chinook_PostgreSql_SerialPKs.sql")
	r, _ := dumpFile(t, source)
	for name := range r.Fingerprint() {
		t.Run(name, func(t *testing.T) { wantPicked(t, c, r, []string{name}, engine.Selection{}) })
	}
}

// wantPicked loads chosen tables into empty databases and compares their rows with those that were backed up.
func wantPicked(t *testing.T, c *pgserver.Cluster, r *archive.Reader, tables []string, s engine.Selection) {
	t.Helper()
	picked := pick(t, r, tables, s)
	if _, err := picked.Reader.Verify(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	for how, load := range map[string]func(to engine.Target){
		"psql": func(to engine.Target) { runScript(t, c, to.Name, bytes.NewReader(scriptOf(t, picked.Reader))) },
		"load": func(to engine.Target) { mustLoad(t, to, picked.Reader) },
	} {
		to := pgtest.Create(t, c)
		load(to)
		got, err := Engine{}.Digest(t.Context(), to, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := picked.Reader.Fingerprint().Compare(got); err != nil {
			t.Errorf("%s: %v", how, err)
		}
		if s.SchemaOnly {
			continue
		}
		for _, name := range picked.Tables {
			if want, there := r.Fingerprint()[name]; there && got[name] != want {
				t.Errorf("%s: %s is %+v, and was %+v", how, name, got[name], want)
			}
		}
	}
}

func pick(t *testing.T, r *archive.Reader, tables []string, s engine.Selection) engine.Picked {
	t.Helper()
	var err error
	if s.Tables, err = engine.ParsePatterns(tables); err != nil {
		t.Fatal(err)
	}
	picked, err := Engine{}.Pick(t.Context(), r, s)
	if err != nil {
		t.Fatal(err)
	}
	return picked
}

func scriptOf(t *testing.T, r *archive.Reader) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := r.WriteSQL(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

var update = flag.Bool("update", false, "write the golden files anew")

// TestPickGolden holds extracts that a person can read.
func TestPickGolden(t *testing.T) {
	c := pgtest.Shared(t)
	roles(t, c, "zoo_owner", "zoo_reader")
	source := pgtest.Create(t, c)
	runFile(t, c, source.Name, "testdata/pick.sql")
	r, _ := dumpFile(t, source)
	info, err := Engine{}.Inspect(t.Context(), source)
	if err != nil {
		t.Fatal(err)
	}
	of15 := info.ServerVersionNum/10000 == 15 && strings.Contains(info.Tool, " 15.") // others word some statements otherwise
	for name, test := range map[string]struct {
		tables []string
		s      engine.Selection
	}{
		"orders":          {[]string{"app.orders"}, engine.Selection{}},
		"orders-data":     {[]string{"app.orders"}, engine.Selection{DataOnly: true}},
		"both-schema":     {[]string{"orders", "customers"}, engine.Selection{SchemaOnly: true, NoOwner: true, NoPrivileges: true}},
		"triggers":        {[]string{"customers"}, engine.Selection{Triggers: true}},
		"partitioned":     {[]string{"events"}, engine.Selection{NoOwner: true}},
		"odd":             {[]string{`"Odd ""schema"";".*`}, engine.Selection{}},
		"one-partition":   {[]string{"events_2025"}, engine.Selection{NoOwner: true}},
		"needs-extension": {[]string{"bookings"}, engine.Selection{NoOwner: true}},
	} {
		t.Run(name, func(t *testing.T) {
			picked := pick(t, r, test.tables, test.s)
			got := string(scriptOf(t, picked.Reader))
			got = takenAt.ReplaceAllString(got, "backup of (when).")
			path := filepath.Join("testdata/pick", name+".sql")
			if *update {
				if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if of15 && got != string(want) {
				t.Errorf("the extract differs from %s; run with -update and read the diff\n%s", path, got)
			}
			if !test.s.DataOnly {
				wantPicked(t, c, r, test.tables, test.s)
			}
		})
	}
}

var takenAt = regexp.MustCompile(`backup of \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC\.`)

// TestPickReadsItsPart counts what is read of a file in which the chosen table is a small part.
func TestPickReadsItsPart(t *testing.T) {
	c := pgtest.Shared(t)
	source := pgtest.Create(t, c)
	pgtest.Exec(t, source, `CREATE TABLE small (id int PRIMARY KEY, t text); INSERT INTO small SELECT i, 'row ' || i FROM generate_series(1, 100) i;
CREATE TABLE big AS SELECT i, md5(i::text) || md5((-i)::text) AS noise FROM generate_series(1, 60000) i`)
	_, path := dumpFile(t, source)
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	counted := &countingAt{r: f}
	r, err := archive.Open(counted, info.Size(), archive.Trust{Unsigned: true})
	if err != nil {
		t.Fatal(err)
	}
	sql := scriptOf(t, pick(t, r, []string{"small"}, engine.Selection{}).Reader)
	if bytes.Count(sql, []byte("\trow ")) != 100 {
		t.Errorf("the script is %s", sql)
	}
	if counted.n > 64<<10 || info.Size() < 1<<20 {
		t.Errorf("%d of %d bytes were read", counted.n, info.Size())
	}
	t.Logf("%d of %d bytes were read", counted.n, info.Size())
}

// countingAt counts the bytes that are read.
type countingAt struct {
	r io.ReaderAt
	n int64
}

func (c *countingAt) ReadAt(p []byte, off int64) (int, error) {
	n, err := c.r.ReadAt(p, off)
	c.n += int64(n)
	return n, err
}
