package e2e

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/api/wire"
	"github.com/safepoint-db/safepoint/internal/archive"
	"github.com/safepoint-db/safepoint/internal/engine"
	"github.com/safepoint-db/safepoint/internal/kinds"
	"github.com/safepoint-db/safepoint/internal/pgserver"
	"github.com/safepoint-db/safepoint/internal/pgtest"
	"github.com/safepoint-db/safepoint/internal/server"
)

// diagnosis is what `safepoint doctor --json` prints.
type diagnosis struct {
	Server   string
	Findings []struct{ Severity, Code, Where, What, Next, Command, Fix, Subject string }
}

// codes are the findings that are more than information.
func (d diagnosis) codes() (all []string) {
	for _, f := range d.Findings {
		if f.Severity != "info" {
			all = append(all, f.Code)
		}
	}
	slices.Sort(all)
	return all
}

func (d diagnosis) want(t *testing.T, codes ...string) {
	t.Helper()
	if got := d.codes(); fmt.Sprint(got) != fmt.Sprint(codes) {
		t.Errorf("found %v, want %v:\n%+v", got, codes, d.Findings)
	}
	for _, f := range d.Findings {
		if f.Severity != "info" && f.Next == "" {
			t.Errorf("%s (%s) says nothing of what to do", f.Code, f.What)
		}
	}
}

func examine(t *testing.T, code int, args ...string) (d diagnosis) {
	t.Helper()
	safepointJSON(t, &d, code, append([]string{"doctor"}, args...)...)
	return d
}

// refused runs a command that ends with a code and prints nothing.
func refused(t *testing.T, code int, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), must(program())(t), args...)
	out, err := cmd.Output()
	if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) || exit.ExitCode() != code || len(out) > 0 {
		t.Errorf("safepoint %s: %v, want %d:\n%s", strings.Join(args, " "), err, code, out)
	}
}

// TestDoctorOfDataDirectory looks at a server's data directory while it runs and afterwards, and finds what is missing.
func TestDoctorOfDataDirectory(t *testing.T) {
	t.Parallel()
	b := start(t, server.Config{}, "")
	till := b.addSQLite("till", ordersSQLite("30"))
	first, second := till.backup(), till.backup()
	restored := till.restore(first)
	before := tree(t, filepath.Join(b.data, "backups"))
	d := examine(t, 0, "--data", b.data)
	if !strings.Contains(d.Server, fmt.Sprint(os.Getpid())) { // the bench's server is the test itself
		t.Errorf("the server is %q", d.Server)
	}
	kept := slices.ContainsFunc(d.Findings, func(f struct{ Severity, Code, Where, What, Next, Command, Fix, Subject string }) bool {
		return f.Code == "leftover.aside" && strings.Contains(f.What, restored.ID)
	})
	if !kept {
		t.Errorf("nothing is said of what is kept for the undo: %+v", d.Findings)
	}
	b.must(b.stop())
	if d := examine(t, 0, "--data", b.data); d.Server != "not running" {
		t.Errorf("the server is %q", d.Server)
	}
	if after := tree(t, filepath.Join(b.data, "backups")); after != before {
		t.Errorf("looking has changed something:\n%s\n%s", before, after)
	}
	b.must(os.Remove(b.file(first)))
	b.must(os.Truncate(b.file(second), 100))
	b.must(os.WriteFile(filepath.Join(b.data, "backups", "stray"), nil, 0o600))
	examine(t, 1, "--data", b.data).want(t, "storage.extra", "storage.missing", "storage.size")
	b.must(os.Remove(filepath.Join(b.data, "catalog.db")))
	examine(t, 1, "--data", b.data).want(t, "catalog.lost")
	b.must(os.Chmod(filepath.Join(b.data, "sealing.key"), 0o644))
	examine(t, 1, "--data", b.data).want(t, "catalog.lost", "keys.lost")
}

// TestDoctorWithoutCatalog puts a server in order from the server alone: what a restore left that was cut off.
func TestDoctorWithoutCatalog(t *testing.T) {
	t.Parallel()
	c := pgtest.Start(t, pgserver.Options{})
	live := pgtest.Create(t, c)
	e, _ := kinds.Engine(safepoint.PostgreSQL)
	pgtest.Exec(t, live, "CREATE TABLE orders (id int); INSERT INTO orders VALUES (1)")
	url := fmt.Sprintf("postgres://%s@/%s?host=%s&port=%d", live.User, live.Name, live.Host, live.Port)
	examine(t, 0, "--database", url)

	// A restore that was killed with the gate shut: its copy is there, and nobody gets in.
	ctx := t.Context()
	plan := must(e.Prepare(ctx, live, safepoint.NewID(safepoint.OperationPrefix)))(t)
	plan = must(e.Stage(ctx, live, plan, archive.Header{Engine: safepoint.PostgreSQL, Encoding: "UTF8"}))(t)
	gate := must(e.Gate(ctx, live, plan, func(p engine.Plan) error { plan = p; return nil }))(t)
	gate.Close()
	stranger := pgtest.CreateNamed(t, c, engine.StagingName("op_somebodyelses"))
	d := examine(t, 1, "--database", url)
	d.want(t, "database.shut", "leftover.staging", "leftover.staging")

	if d := examine(t, 1, "--database", url, "--fix", "open", "--fix", "discard", "--yes"); len(d.codes()) != 1 || !strings.Contains(d.Findings[0].What, stranger.Name) {
		t.Errorf("%+v", d.Findings)
	}
	pgtest.Exec(t, live, "INSERT INTO orders VALUES (2)")
	if names := must(e.Leftovers(ctx, live))(t); len(names) != 1 || names[0] != stranger.Name {
		t.Errorf("left: %v", names) // without a mark it is nobody's to drop
	}

	// Neither holds the live name: the earlier one gets it back, with its rows.
	pgtest.Exec(t, c.Target("postgres"), "ALTER DATABASE "+pgtest.Quote(live.Name)+" RENAME TO "+pgtest.Quote(engine.AsideName("op_lostandfound")))
	aside := engine.AsideName("op_lostandfound")
	examine(t, 1, "--database", url).want(t, "database.missing", "leftover.aside", "leftover.staging") // it has no mark
	pgtest.Exec(t, c.Target("postgres"), "COMMENT ON DATABASE "+pgtest.Quote(aside)+" IS 'safepoint operation=op_lostandfound role=aside: kept'")
	d = examine(t, 1, "--database", url)
	d.want(t, "database.set_aside", "leftover.aside", "leftover.staging")
	// Whoever owns a database can write the same on it: it is not offered.
	pgtest.CreateNamed(t, c, "payroll")
	pgtest.Exec(t, c.Target("postgres"), "COMMENT ON DATABASE payroll IS 'safepoint operation=op_mine role=aside: kept'")
	examine(t, 1, "--database", url).want(t, "database.set_aside", "leftover.aside", "leftover.aside", "leftover.staging")
	refused(t, 2, "doctor", "--database", url, "--fix", "put-back", "--yes")
	examine(t, 1, "--database", url, "--fix", "put-back="+aside, "--yes").want(t, "leftover.aside", "leftover.staging")
	pgtest.Exec(t, live, "INSERT INTO orders VALUES (3)")
}

// TestDoctorOfAKilledLoad: the login of a load by hand that was killed is found with what it had loaded, and dropped with it.
func TestDoctorOfAKilledLoad(t *testing.T) {
	t.Parallel()
	c := pgtest.Start(t, pgserver.Options{})
	source, target := pgtest.Create(t, c), pgtest.Create(t, c)
	// An index of it takes ten minutes to build, for a load login only.
	pgtest.Exec(t, source, `CREATE FUNCTION slowly(i int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS
		$$BEGIN IF current_user ~ '_load$' THEN PERFORM pg_sleep(600); END IF; RETURN i; END$$;
		CREATE TABLE orders (id int PRIMARY KEY); INSERT INTO orders SELECT generate_series(1, 100); CREATE INDEX ON orders (slowly(id))`)
	url := func(of engine.Target) string {
		return fmt.Sprintf("postgres://%s@/%s?host=%s&port=%d", of.User, of.Name, of.Host, of.Port)
	}
	file := filepath.Join(t.TempDir(), "shop.sql.zst")
	run := func(args ...string) *exec.Cmd {
		return exec.CommandContext(t.Context(), must(program())(t), args...)
	}
	if out, err := run("dump", "--from", url(source), "-o", file).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	loading := run("load", file, "--into", url(target), "--trusted")
	var said strings.Builder
	loading.Stdout, loading.Stderr = &said, &said
	if err := loading.Start(); err != nil {
		t.Fatal(err)
	}
	asleep := "SELECT usename::text FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND usename ~ '^safepoint_cli.*_load$'"
	var logins []string
	eventually(t, "the load builds its index", func() bool {
		logins = pgtest.Query(t, target, asleep)
		return len(logins) == 1
	})
	loading.Process.Kill()
	loading.Wait()
	d := examine(t, 1, "--database", url(target))
	d.want(t, "leftover.login")
	if f := d.Findings[0]; f.Fix != "" || !strings.Contains(f.What, "sessions are in it") {
		t.Errorf("a login that somebody works with: %+v", f)
	}
	pgtest.Exec(t, c.Target("postgres"), "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename ~ '_load$'")
	eventually(t, "the sessions of the load end", func() bool {
		return len(pgtest.Query(t, target, "SELECT 1 FROM pg_stat_activity WHERE usename ~ '_load$'")) == 0
	})
	d = examine(t, 1, "--database", url(target))
	d.want(t, "leftover.login")
	if f := d.Findings[0]; f.Fix != "discard" || f.Subject != logins[0] || !strings.Contains(f.What, "load by hand") || !strings.Contains(f.What, "still its own") {
		t.Errorf("the login of a load that was killed: %+v\n%s", f, said.String())
	}
	// What somebody made of it since is not dropped with it.
	pgtest.Exec(t, target, "CREATE VIEW mine AS SELECT id FROM orders")
	refused(t, 5, "doctor", "--database", url(target), "--fix", "discard", "--yes")
	pgtest.Exec(t, target, "DROP VIEW mine")
	examine(t, 0, "--database", url(target), "--fix", "discard", "--yes")
	if left := pgtest.Query(t, target, "SELECT rolname::text FROM pg_roles WHERE rolname ~ '_load$' UNION ALL SELECT relname FROM pg_class WHERE relname = 'orders'"); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

// TestDoctorKnowsWhoseItIs: what was set aside for one database is not given the name of another one that is missing.
func TestDoctorKnowsWhoseItIs(t *testing.T) {
	t.Parallel()
	b := start(t, server.Config{}, "")
	till := b.addSQLite("till", ordersSQLite("30"))
	folder := filepath.Dir(till.target.Path)
	books := filepath.Join(folder, "books.db")
	executeSQLite(t, books, ordersSQLite("10"))
	must(b.api.CreateDatabase(t.Context(), wire.DatabaseInput{Name: "books", Engine: "sqlite", Path: books}))(t)
	restored := till.restore(till.backup())
	b.must(b.stop())
	aside := engine.AsideName(restored.ID) + ".sqlite"
	b.must(os.Remove(books))
	examine(t, 1, "--data", b.data).want(t, "database.missing")
	b.must(os.Rename(till.target.Path, till.target.Path+".moved"))
	examine(t, 1, "--data", b.data).want(t, "database.missing", "database.set_aside")
	examine(t, 1, "--data", b.data, "--fix", "put-back="+aside, "--yes").want(t, "database.missing")
	if _, err := os.Stat(till.target.Path); err != nil {
		t.Errorf("the till was not put back: %v", err)
	}

	// Without the catalog nobody knows which of the two it was.
	b.must(os.Rename(till.target.Path, filepath.Join(folder, aside)))
	refused(t, 5, "doctor", "--database", "sqlite:"+till.target.Path, "--database", "sqlite:"+books, "--fix", "put-back="+aside, "--yes")
	if _, err := os.Stat(filepath.Join(folder, aside)); err != nil {
		t.Errorf("it was given a name all the same: %v", err)
	}
}
