package postgres

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/safepoint-db/safepoint/internal/engine"
	"github.com/safepoint-db/safepoint/internal/pgserver"
	"github.com/safepoint-db/safepoint/internal/pgtest"
)

// TestRegressionDatabase takes the database that PostgreSQL's own tests leave behind through both ways back. What
// pg_dump and psql make of it, copied once, is the measure: a few definitions are not written the same way twice.
func TestRegressionDatabase(t *testing.T) {
	if !fidelity() {
		t.Skip("takes minutes, and the sources of PostgreSQL: make fidelity")
	}
	out, err := exec.Command("../../../scripts/postgres-regression").Output()
	if err != nil {
		t.Fatalf("scripts/postgres-regression: %v", err)
	}
	c := pgtest.Start(t, pgserver.Options{BinDir: pgtest.Version(t, 15), Settings: map[string]string{"shared_buffers": "128MB", "max_prepared_transactions": "2"}})
	regress(t, c, strings.TrimSpace(string(out)))
	source := c.Target("regression")
	r, file := dumpFileOf(t, everyVersion(), source)
	t.Logf("%+v", r.Summary())

	reference := pgtest.Create(t, c)
	dump := c.Tool(t.Context(), "pg_dump", source.Name)
	var sql, said bytes.Buffer
	dump.Stdout, dump.Stderr = &sql, &said
	if err := dump.Run(); err != nil {
		t.Fatalf("pg_dump: %v: %s", err, &said)
	}
	runScript(t, c, reference.Name, &sql)
	want := definitions(t, c, reference.Name)

	for name, fill := range map[string]func(engine.Target){
		"psql": func(to engine.Target) { psqlRestore(t, c, file, to.Name) },
		"load": func(to engine.Target) { mustLoad(t, to, r) },
	} {
		t.Run(name, func(t *testing.T) {
			copied := pgtest.Create(t, c)
			fill(copied)
			prints, err := Engine{}.Digest(t.Context(), copied, nil)
			if err != nil {
				t.Fatal(err)
			}
			if err := r.Fingerprint().Compare(prints); err != nil {
				t.Error(err)
			}
			compareRows(t, rowsOf(t, source, false), rowsOf(t, copied, false))
			wantSameRows(t, reference, copied) // materialized views were not all fresh in the source
			if d := diff(t, want, definitions(t, c, copied.Name)); d != "" {
				t.Errorf("definitions differ from those of a copy by pg_dump and psql:\n%s", d)
			}
		})
	}
	t.Logf("definitions that pg_dump itself does not write the same way of its own copy:\n%s", diff(t, definitions(t, c, source.Name), want))
}

// regress runs PostgreSQL's own tests. Whether they pass does not matter: what they leave behind does.
func regress(t *testing.T, c *pgserver.Cluster, tests string) {
	t.Helper()
	out, err := os.MkdirTemp("/tmp", "sp-regress")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(out) })
	if err := os.Chmod(out, 0o777); err != nil {
		t.Fatal(err)
	}
	os.Mkdir(filepath.Join(out, "results"), 0o777)
	os.Chmod(filepath.Join(out, "results"), 0o777)
	cmd := c.Tool(t.Context(), "../lib/pgxs/src/test/regress/pg_regress", "postgres", "--inputdir="+tests, "--outputdir="+out, "--dlpath="+tests, "--bindir="+c.BinDir,
		"--schedule="+filepath.Join(tests, "parallel_schedule"), "--max-connections=4", "--host="+c.Socket, "--port="+c.Tool(t.Context(), "psql", "").Env[3][len("PGPORT="):], "--user="+c.User, "--dbname=regression")
	cmd.Dir = out
	said, err := cmd.CombinedOutput()
	lines := strings.Split(strings.TrimSpace(string(said)), "\n")
	t.Logf("pg_regress (%v): %s", err, strings.Join(lines[max(0, len(lines)-12):], "\n"))
	if n := pgtest.Query(t, c.Target("regression"), "SELECT count(*) >= 500 FROM pg_class WHERE relkind = 'r' AND oid >= 16384"); n[0] != "t" {
		t.Fatal("the regression database holds too little")
	}
}

// diff is what differs between two lists of lines, "" if nothing does.
func diff(t *testing.T, want, got []string) string {
	t.Helper()
	dir := t.TempDir()
	a, b := filepath.Join(dir, "want"), filepath.Join(dir, "got")
	for path, lines := range map[string][]string{a: want, b: got} {
		if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out, _ := exec.Command("diff", "-U3", a, b).Output()
	return string(out)
}
