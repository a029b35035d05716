package bench

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/safepoint-db/safepoint/internal/pgserver"
	"github.com/safepoint-db/safepoint/internal/pgtest"
)

// TestManyTables dumps and loads a database of many tiny tables and compares what was loaded. The memory of our process must not
// grow with them. SAFEPOINT_SCALE_TABLES=100000 shows it at scale, in about half an hour.
func TestManyTables(t *testing.T) {
	count := scaled(t, "SAFEPOINT_SCALE_TABLES", 120)
	var set map[string]string // of a cluster of its own
	if count > 1000 {
		set = settings(count)
	}
	s := newScale(t, set)
	if err := GenerateTables(t.Context(), s.cluster, source, count, t.Logf); err != nil {
		t.Fatal(err)
	}
	s.measure(t, "pg_dump -d "+source+" -f peer.sql", "pg_dump")
	s.measure(t, `./safepoint dump -q --sign-key `+keyFile+` --jobs 2 --from "`+urlOf(source)+`" -o ours.sql.zst`, "safepoint")
	s.load(t, "ours.sql.zst")
	want, err := s.content(t.Context(), source)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := s.content(t.Context(), target); err != nil || got != want {
		t.Errorf("what was loaded differs from the source (%d and %d bytes of content), %v", len(got), len(want), err)
	}
}

// TestLargeRows dumps and loads single values that are larger than our process may be. SAFEPOINT_SCALE_ROW=900 is what PostgreSQL can hold at
// most, in MB: text of that size, and bytea of half of it, which COPY's text format doubles.
func TestLargeRows(t *testing.T) {
	size := scaled(t, "SAFEPOINT_SCALE_ROW", 24)
	s := newScale(t, nil)
	pgtest.Exec(t, s.cluster.Target("postgres"), "CREATE DATABASE "+source+" TEMPLATE template0")
	for _, stmt := range []string{
		"CREATE TABLE large_text (id int PRIMARY KEY, body text)", "ALTER TABLE large_text ALTER body SET STORAGE EXTERNAL",
		"CREATE TABLE large_bytea (id int PRIMARY KEY, body bytea)", "ALTER TABLE large_bytea ALTER body SET STORAGE EXTERNAL",
		fmt.Sprintf("INSERT INTO large_text SELECT 1, repeat(md5('text'), %d)", size*1_000_000/32),
		fmt.Sprintf("INSERT INTO large_bytea SELECT 1, decode(repeat(md5('bytea'), %d), 'hex')", size*1_000_000/2/16),
	} {
		pgtest.Exec(t, s.cluster.Target(source), stmt)
	}
	s.measure(t, `./safepoint dump -q --sign-key `+keyFile+` --jobs 2 --from "`+urlOf(source)+`" -o ours.sql.zst`, "safepoint")
	s.load(t, "ours.sql.zst")
	const sum = "SELECT md5(body::bytea) FROM large_bytea UNION ALL SELECT md5(body) FROM large_text"
	want, got := pgtest.Query(t, s.cluster.Target(source), sum), pgtest.Query(t, s.cluster.Target(target), sum)
	if fmt.Sprint(want) != fmt.Sprint(got) {
		t.Errorf("loaded %v, want %v", got, want)
	}
}

// TestRowsTooLarge shows what becomes of a value that PostgreSQL keeps, and no COPY in text can carry: a refusal that names its table,
// and no file. It is a gigabyte of work for the server, so it runs where TestLargeRows is asked for at scale.
func TestRowsTooLarge(t *testing.T) {
	if scaled(t, "SAFEPOINT_SCALE_ROW", 0) == 0 {
		t.Skip("needs a value of 600 MB: SAFEPOINT_SCALE_ROW=900 go test -v ./internal/bench -run 'Rows'")
	}
	s := newScale(t, nil)
	pgtest.Exec(t, s.cluster.Target("postgres"), "CREATE DATABASE "+source+" TEMPLATE template0")
	for _, stmt := range []string{
		"CREATE TABLE fine (id int)", "CREATE TABLE too_large (id int PRIMARY KEY, body bytea)", "ALTER TABLE too_large ALTER body SET STORAGE EXTERNAL",
		"INSERT INTO too_large SELECT 1, half || half FROM (SELECT decode(repeat(md5('bytea'), 300000000 / 16), 'hex') half) x",
	} {
		pgtest.Exec(t, s.cluster.Target(source), stmt)
	}
	u, err := run(t.Context(), s.cluster, s.dir, `./safepoint dump -q --from "`+urlOf(source)+`" -o ours.sql.zst`, "safepoint", s.env)
	if err == nil || !strings.Contains(err.Error(), "too_large") {
		t.Errorf("a bytea of 600 MB gives %v", err)
	}
	t.Logf("refused after %.1f s: %v", u.Wall, err)
	if _, err := os.Stat(filepath.Join(s.dir, "ours.sql.zst")); err == nil {
		t.Error("a file was made of a dump that failed")
	}
}

// program builds ours once, with cgo where SAFEPOINT_SCALE_CGO is set.
var program = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("/var/tmp", "safepoint-build-")
	if err != nil {
		return "", err
	}
	built = dir
	build := exec.Command("go", "build", "-buildvcs=false", "-o", filepath.Join(dir, "safepoint"), "../../cmd/safepoint")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if os.Getenv("SAFEPOINT_SCALE_CGO") != "" {
		build.Env = append(os.Environ(), "CGO_ENABLED=1")
	}
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build: %w\n%s", err, out)
	}
	return filepath.Join(dir, "safepoint"), nil
})

var built string // folder that program made

// scale is a cluster and our program, to be measured from outside.
type scale struct{ *bench }

// newScale uses the shared cluster unless settings ask for one of its own.
func newScale(t *testing.T, settings map[string]string) scale {
	t.Helper()
	var c *pgserver.Cluster
	if settings == nil {
		c = pgtest.Shared(t)
		t.Cleanup(func() {
			for _, name := range []string{source, target} {
				pgtest.Exec(t, c.Target("postgres"), "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)")
			}
		})
	} else {
		c = pgtest.Start(t, pgserver.Options{Settings: settings})
	}
	dir, err := os.MkdirTemp("/var/tmp", "safepoint-scale-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	bin, err := program()
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Symlink(bin, filepath.Join(dir, "safepoint")), writeKey(filepath.Join(dir, keyFile))); err != nil {
		t.Fatal(err)
	}
	env := append(os.Environ(), "PATH="+c.BinDir+":"+os.Getenv("PATH"), "PGHOST="+c.Socket, fmt.Sprintf("PGPORT=%d", c.Port), "PGUSER="+c.User)
	return scale{&bench{cluster: c, dir: dir, env: env}}
}

// measure runs a command; the process named may take no more memory than peakLimit if it is ours.
func (s scale) measure(t *testing.T, command, process string) {
	t.Helper()
	u, err := run(t.Context(), s.cluster, s.dir, command, process, s.env)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%.70s…: %.1f s, client %.1f + server %.1f CPU-s, peak of %s %d MiB, of all its processes %d MiB, others' CPU %.0f %%",
		command, u.Wall, u.ClientCPU, u.ServerCPU, u.PeakOf, u.Peak>>20, u.PeakTree>>20, u.Foreign*100)
	if process == "safepoint" && u.Peak > peakLimit {
		t.Errorf("our process took %d MiB, more than %d", u.Peak>>20, peakLimit>>20)
	}
}

func (s scale) load(t *testing.T, file string) {
	t.Helper()
	pgtest.Exec(t, s.cluster.Target("postgres"), "CREATE DATABASE "+target+" TEMPLATE template0")
	s.measure(t, `./safepoint load -q --key `+keyFile+` --jobs 2 `+file+` --into "`+urlOf(target)+`"`, "safepoint")
}

// scaled is a number from the environment, or the small one that every run of the tests can afford.
func scaled(t *testing.T, name string, small int) int {
	t.Helper()
	if os.Getenv(name) == "" {
		return small
	}
	n, err := strconv.Atoi(os.Getenv(name))
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	t.Setenv("SAFEPOINT_PG_DIR", cmp.Or(os.Getenv("SAFEPOINT_PG_DIR"), "/var/tmp")) // what grows so large belongs on a disk
	return n
}
