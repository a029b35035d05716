package postgres

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/safepoint-db/safepoint/internal/archive"
	"github.com/safepoint-db/safepoint/internal/engine"
	"github.com/safepoint-db/safepoint/internal/pgserver"
	"github.com/safepoint-db/safepoint/internal/pgtest"
)

// TestSchemaZoo takes a database with one of everything through both ways back: psql, and our own load.
func TestSchemaZoo(t *testing.T) {
	c := pgtest.Shared(t)
	roles(t, c, "zoo_owner", "zoo_reader")
	source := pgtest.Create(t, c)
	runScript(t, c, source.Name, strings.NewReader(zoo(t, major(t, c))))
	r, file := dumpFile(t, source)
	for _, table := range []string{`"public"."events_2026_a"`, `"public"."no_columns"`, `"public"."only_generated"`, `"Odd ""schema"" 'x' \y;"."T;""able"`, `"app"."secrets"`} {
		if r.Fingerprint()[table].Rows == 0 {
			t.Errorf("%s is not in the fingerprint, or empty", table)
		}
	}
	if _, there := r.Fingerprint()[`"public"."events"`]; there {
		t.Error("the root of partitions was read: rows are twice in the archive")
	}
	bothWays(t, c, source, r, file, sameExtras(source))
}

// sameExtras compares what neither definitions nor the fingerprint hold: sequences, large objects, views' content.
func sameExtras(source engine.Target) func(*testing.T, engine.Target) {
	return func(t *testing.T, copied engine.Target) {
		t.Helper()
		for _, sql := range []string{
			"SELECT last_value || ' ' || is_called FROM public.never_called", "SELECT last_value || ' ' || is_called FROM public.far",
			"SELECT last_value || ' ' || is_called FROM public.not_yet", "SELECT last_value || ' ' || is_called FROM app.customers_id_seq",
			"SELECT last_value || ' ' || is_called FROM public.types_id_seq",
			"SELECT md5(lo_get(424242)) || md5(lo_get(424243)) || md5(lo_get(424244))", "SELECT string_agg(m::text, ',' ORDER BY oid) FROM pg_largeobject_metadata m",
			"SELECT obj_description(424244, 'pg_largeobject')", "SELECT n || ' ' || max FROM app.mv", "SELECT relispopulated FROM pg_class WHERE relname = 'mv_empty'",
			"SELECT count(*) FROM public.events_2026_a", "SELECT count(*) FROM ONLY public.base", "SELECT md5(string_agg(t::text, '|' ORDER BY id)) FROM public.types t",
			"SELECT nextval('public.never_called')",
		} {
			want, got := pgtest.Query(t, source, sql), pgtest.Query(t, copied, sql)
			if !slices.Equal(got, want) {
				t.Errorf("%s: %q, want %q", sql, got, want)
			}
			if strings.Contains(sql, "nextval") {
				pgtest.Exec(t, source, "SELECT setval('public.never_called', 42, false)")
			}
		}
	}
}

func TestChinook(t *testing.T) {
	for _, name := range []string{"Chinook_PostgreSql.sql", "Chinook_PostgreSql_SerialPKs.sql"} {
		t.Run(name, func(t *testing.T) {
			c := pgtest.Shared(t)
			source := chinookDatabase(t, c, name)
			r, file := dumpFile(t, source)
			if sum := r.Summary(); sum.Tables != 11 || sum.Rows < 15000 {
				t.Errorf("summary: %+v", sum)
			}
			bothWays(t, c, source, r, file, func(*testing.T, engine.Target) {})
		})
	}
}

// chinookDatabase makes the sample database.
func chinookDatabase(t *testing.T, c *pgserver.Cluster, name string) engine.Target {
	t.Helper()
	script, err := os.ReadFile(filepath.Join("../../../../shared/data/chinook", name))
	if err != nil {
		t.Skipf("the Chinook sample database is not at ../shared/data/chinook beside the repository (github.com/lerocha/chinook-database has it): %v", err)
	}
	source := pgtest.Create(t, c)
	// The script makes and enters a database of its own first; ours is there already.
	var lines []string
	for line := range strings.Lines(strings.TrimPrefix(string(script), "\ufeff")) {
		if !strings.Contains(line, "DATABASE") && !strings.HasPrefix(line, `\c`) {
			lines = append(lines, line)
		}
	}
	runScript(t, c, source.Name, strings.NewReader(strings.Join(lines, "")))
	return source
}

// TestExtensionConfiguration is an extension whose tables hold rows that are the user's.
func TestExtensionConfiguration(t *testing.T) {
	c := pgtest.Shared(t)
	source := pgtest.Create(t, c)
	if len(pgtest.Query(t, source, "SELECT 1 FROM pg_available_extensions WHERE name = 'safepoint_test'")) == 0 {
		installTestExtension(t, c)
	}
	pgtest.Exec(t, source, `CREATE SCHEMA ext; CREATE EXTENSION safepoint_test SCHEMA ext;
INSERT INTO ext.config VALUES (10, 'mine', true); INSERT INTO ext.detail VALUES (10, 'refers'); SELECT nextval('ext.counter')`)
	r, file := dumpFile(t, source)
	if got := r.Fingerprint()[`"ext"."config"`].Rows; got != 1 {
		t.Errorf("%d configuration rows, want the user's one", got)
	}
	bothWays(t, c, source, r, file, func(t *testing.T, copied engine.Target) {
		if got := pgtest.Query(t, copied, "SELECT string_agg(name, ',' ORDER BY id) FROM ext.config"); got[0] != "built in,mine" {
			t.Errorf("config holds %q", got)
		}
		if got := pgtest.Query(t, copied, "SELECT last_value || ' ' || is_called FROM ext.counter"); got[0] != "1 true" {
			t.Errorf("counter stands at %q", got)
		}
	})
}

// installTestExtension puts an extension where the server looks for them, which needs root.
func installTestExtension(t *testing.T, c *pgserver.Cluster) {
	t.Helper()
	out, err := c.Tool(t.Context(), "pg_config", "", "--sharedir").Output()
	if err != nil {
		t.Skipf("pg_config is not installed beside the server: %v", err)
	}
	dir := filepath.Join(strings.TrimSpace(string(out)), "extension")
	for name, content := range map[string]string{
		"safepoint_test.control": "default_version = '1.0'\nrelocatable = false\n",
		"safepoint_test--1.0.sql": `CREATE TABLE @extschema@.detail (config int, note text);
CREATE TABLE @extschema@.config (id int PRIMARY KEY, name text, users boolean);
ALTER TABLE @extschema@.detail ADD FOREIGN KEY (config) REFERENCES @extschema@.config;
CREATE SEQUENCE @extschema@.counter;
INSERT INTO @extschema@.config VALUES (1, 'built in', false);
SELECT pg_extension_config_dump('@extschema@.config', 'WHERE users');
SELECT pg_extension_config_dump('@extschema@.detail', '');
SELECT pg_extension_config_dump('@extschema@.counter', '');
`} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Skipf("an extension with configuration tables cannot be installed for this test (run it as root): %v", err)
		}
		t.Cleanup(func() { os.Remove(path) })
	}
}

// TestOtherEncodings dumps databases whose names and rows are not UTF-8.
func TestOtherEncodings(t *testing.T) {
	c := pgtest.Shared(t)
	for _, encoding := range []string{"LATIN1", "EUC_JP", "SQL_ASCII"} {
		t.Run(encoding, func(t *testing.T) {
			create := func(name string) engine.Target {
				c.Exec(t.Context(), "postgres", "DROP DATABASE IF EXISTS "+name)
				pgtest.Exec(t, c.Target("postgres"), "CREATE DATABASE "+name+" TEMPLATE template0 ENCODING '"+encoding+"' LOCALE 'C'")
				t.Cleanup(func() { c.Exec(context.Background(), "postgres", "DROP DATABASE "+name+" WITH (FORCE)") })
				return c.Target(name)
			}
			text := map[string]string{"LATIN1": "caf\xe9", "EUC_JP": "\xc6\xfc\xcb\xdc", "SQL_ASCII": "\xff\xfe\x80"}[encoding]
			source := create("enc_source")
			script := "SET client_encoding = '" + encoding + "'; CREATE TABLE \"t" + text + "\" (\"c" + text + "\" text); INSERT INTO \"t" + text + "\" VALUES ('" + text + "'), ('\\\\'); CREATE SEQUENCE \"s" + text + "\";"
			runScript(t, c, source.Name, strings.NewReader(script))
			r, file := dumpFile(t, source)
			if r.Header().Encoding != encoding || r.Summary().Rows != 2 {
				t.Errorf("%+v %+v", r.Header(), r.Summary())
			}
			for name, fill := range map[string]func(engine.Target){
				"enc_psql": func(to engine.Target) { psqlRestore(t, c, file, to.Name) },
				"enc_load": func(to engine.Target) { mustLoad(t, to, r) },
			} {
				copied := create(name)
				fill(copied)
				wantSame(t, c, source, copied, r)
			}
			if err := (Engine{}).Load(t.Context(), pgtest.Create(t, c), r, engine.LoadOptions{}); err == nil {
				t.Error("loaded into a database of another encoding")
			}
		})
	}
}

// major is a cluster's major version.
func major(t *testing.T, c *pgserver.Cluster) int {
	t.Helper()
	n, err := strconv.Atoi(pgtest.Query(t, c.Target("postgres"), "SELECT current_setting('server_version_num')::int / 10000")[0])
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func roles(t *testing.T, c *pgserver.Cluster, names ...string) {
	t.Helper()
	for _, name := range names {
		pgtest.Exec(t, c.Target("postgres"), "DO $$ BEGIN CREATE ROLE "+name+" LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$")
	}
}

// dumpFile dumps into a file, verifies it, and opens it as it stands on disk.
func dumpFile(t *testing.T, source engine.Target) (*archive.Reader, string) {
	t.Helper()
	return dumpFileOf(t, Engine{}, source)
}

func dumpFileOf(t *testing.T, e Engine, source engine.Target) (*archive.Reader, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "backup.sql.zst")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	w := archive.NewWriter(f, archive.Header{Tool: "test"}, key)
	if err := e.Dump(t.Context(), source, w, engine.DumpOptions{}); err != nil {
		t.Fatalf("dump: %v", err)
	}
	sum, err := w.Close()
	if err != nil {
		t.Fatal(err)
	}
	r, err := archive.Open(f, sum.Size, archive.Trust{Keys: []ed25519.PublicKey{key.Public().(ed25519.PublicKey)}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Verify(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	return r, path
}

// bothWays restores with psql and with Load, and compares all that can be with the source.
func bothWays(t *testing.T, c *pgserver.Cluster, source engine.Target, r *archive.Reader, file string, more func(*testing.T, engine.Target)) {
	t.Helper()
	t.Run("psql", func(t *testing.T) {
		copied := pgtest.Create(t, c)
		psqlRestore(t, c, file, copied.Name)
		wantSame(t, c, source, copied, r)
		more(t, copied)
	})
	t.Run("load", func(t *testing.T) {
		copied := pgtest.Create(t, c)
		mustLoad(t, copied, r)
		wantSame(t, c, source, copied, r)
		more(t, copied)
	})
}

func mustLoad(t *testing.T, to engine.Target, r *archive.Reader) {
	t.Helper()
	if err := (Engine{}).Load(t.Context(), to, r, engine.LoadOptions{}); err != nil {
		t.Fatalf("load: %v", err)
	}
}

// wantSame compares definitions, as pg_dump writes them, and rows.
func wantSame(t *testing.T, c *pgserver.Cluster, source, copied engine.Target, r *archive.Reader) {
	t.Helper()
	got, err := Engine{}.Digest(t.Context(), copied, nil)
	if err != nil {
		t.Fatalf("digest: %v", err)
	}
	if err := r.Fingerprint().Compare(got); err != nil {
		t.Error(err)
	}
	a, b := definitions(t, c, source.Name), definitions(t, c, copied.Name)
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			t.Fatalf("definitions differ in line %d:\n- %s\n+ %s", i+1, a[i], b[i])
		}
	}
	if len(a) != len(b) {
		t.Fatalf("definitions have %d lines and %d", len(a), len(b))
	}
}

func definitions(t *testing.T, c *pgserver.Cluster, database string) []string {
	t.Helper()
	cmd := c.Tool(t.Context(), "pg_dump", database, "--schema-only", "--blobs")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("pg_dump: %v", err)
	}
	lines := strings.Split(string(out), "\n")
	return slices.DeleteFunc(lines, func(l string) bool {
		return strings.HasPrefix(l, `\restrict`) || strings.HasPrefix(l, `\unrestrict`)
	})
}

// psqlRestore does what the README promises: zstd -dc FILE | psql -v ON_ERROR_STOP=1 DATABASE.
func psqlRestore(t *testing.T, c *pgserver.Cluster, file, database string) {
	t.Helper()
	if path, err := exec.LookPath("zstd"); err == nil {
		var sql, said bytes.Buffer
		cmd := exec.CommandContext(t.Context(), path, "-dc", file)
		cmd.Stdout, cmd.Stderr = &sql, &said
		if err := cmd.Run(); err != nil {
			t.Fatalf("zstd: %v: %s", err, &said)
		}
		runScript(t, c, database, &sql)
		return
	}
	t.Log("the zstd program is not installed (apt-get install zstd): the library decompresses instead")
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	d, err := zstd.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	runScript(t, c, database, d)
}

func runFile(t *testing.T, c *pgserver.Cluster, database, path string) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	runScript(t, c, database, f)
}

func runScript(t *testing.T, c *pgserver.Cluster, database string, sql io.Reader) {
	t.Helper()
	cmd := c.Tool(t.Context(), "psql", database, "-X", "-q", "-v", "ON_ERROR_STOP=1", "-o", os.DevNull)
	cmd.Stdin = sql
	var said bytes.Buffer
	cmd.Stderr = &said
	if err := cmd.Run(); err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			t.Fatalf("psql: %v: %s", err, &said)
		}
		t.Fatal(err)
	}
}
