package e2e

import (
	"bytes"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/api/wire"
	"github.com/safepoint-db/safepoint/internal/catalog"
	"github.com/safepoint-db/safepoint/internal/engine"
	"github.com/safepoint-db/safepoint/internal/pgserver"
	"github.com/safepoint-db/safepoint/internal/pgtest"
	"github.com/safepoint-db/safepoint/internal/server"
)

// chinook is one of the sample database's scripts.
func chinook(t *testing.T, name string) string {
	t.Helper()
	path := filepath.Join("../../../shared/data/chinook", name)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Skipf("the Chinook sample database is not at ../shared/data/chinook beside the repository (github.com/lerocha/chinook-database has it): %v", err)
	}
	return strings.TrimPrefix(string(text), "\ufeff")
}

// tool is a program that the test needs.
func tool(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	switch {
	case err == nil:
	case os.Getenv("CI") == "":
		t.Skipf("%s is not installed: apt-get install %s", name, name)
	default:
		t.Fatalf("%s is not installed: apt-get install %s", name, name)
	}
	return path
}

// TestChinookPostgres takes Chinook through the server, and its backup through everything that can read one.
func TestChinookPostgres(t *testing.T) {
	t.Parallel()
	for name, script := range map[string]string{"plain": "Chinook_PostgreSql.sql", "serial keys": "Chinook_PostgreSql_SerialPKs.sql"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			zstd, sql := tool(t, "zstd"), chinook(t, script)
			c := pgtest.Shared(t)
			b := start(t, server.Config{}, "")
			b.openTill()
			s := b.addPostgres(c, nil, "")
			var lines []string // without those that make and enter a database: ours is there
			for line := range strings.Lines(sql) {
				if !strings.Contains(line, "DATABASE") && !strings.HasPrefix(line, `\c`) {
					lines = append(lines, line)
				}
			}
			psql := c.Tool(t.Context(), "psql", s.target.Name, "-X", "-q", "-v", "ON_ERROR_STOP=1", "-o", os.DevNull)
			psql.Stdin = strings.NewReader(strings.Join(lines, ""))
			run(t, psql)
			schema, digest := definitions(t, c, s.target.Name), s.digest()
			same := func(how string, target engine.Target) {
				t.Helper()
				if err := digest.Compare(must(s.engine.Digest(t.Context(), target, nil))(t)); err != nil {
					t.Errorf("%s: %v", how, err)
				}
				if got := definitions(t, c, target.Name); !slices.Equal(got, schema) {
					t.Errorf("%s: pg_dump -s says\n%s\nand of the source\n%s", how, strings.Join(got, "\n"), strings.Join(schema, "\n"))
				}
			}

			op := s.backup()
			if op.Tables != 11 || op.Rows < 15_000 {
				t.Errorf("the backup has %d tables, %d rows", op.Tables, op.Rows)
			}
			file := b.download(op)
			copied := pgtest.Create(t, c)
			pipe(t, exec.CommandContext(t.Context(), zstd, "-dc", file),
				c.Tool(t.Context(), "psql", copied.Name, "-X", "-q", "-v", "ON_ERROR_STOP=1", "-o", os.DevNull))
			same("zstd | psql", copied)
			copied = pgtest.Create(t, c)
			b.load(file, postgresURL(copied))
			same("safepoint load", copied)

			pgtest.Exec(t, s.target, vandalize(s.target, t))
			if digest.Compare(s.digest()) == nil {
				t.Fatal("nothing was vandalized")
			}
			s.restore(op)
			same("restore", s.target)
			s.working()
		})
	}
}

// vandalize drops a third of the tables, empties another, and adds what was not there.
func vandalize(target engine.Target, t *testing.T) string {
	t.Helper()
	var sql strings.Builder
	tables := pgtest.Query(t, target, "SELECT oid::regclass::text FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace ORDER BY 1")
	for i, name := range tables {
		switch i % 3 {
		case 0:
			sql.WriteString("DROP TABLE " + name + " CASCADE;")
		case 1:
			sql.WriteString("DELETE FROM " + name + " WHERE ctid IN (SELECT ctid FROM " + name + " LIMIT 7);")
		}
	}
	return "SET session_replication_role = replica;" + sql.String() + "CREATE TABLE graffiti (x int); INSERT INTO graffiti VALUES (1)"
}

// TestChinookSQLite does the same with SQLite.
func TestChinookSQLite(t *testing.T) {
	t.Parallel()
	zstd, sqlite3, script := tool(t, "zstd"), tool(t, "sqlite3"), chinook(t, "Chinook_Sqlite.sql")
	b := start(t, server.Config{}, "")
	b.openTill()
	s := b.addSQLite("chinook", script)
	schemaOf := func(path string) string {
		t.Helper()
		return string(must(exec.CommandContext(t.Context(), sqlite3, path, ".schema").Output())(t))
	}
	schema, digest := schemaOf(s.target.Path), s.digest()
	same := func(how, path string) {
		t.Helper()
		if err := digest.Compare(must(s.engine.Digest(t.Context(), engine.Target{Engine: safepoint.SQLite, Path: path}, nil))(t)); err != nil {
			t.Errorf("%s: %v", how, err)
		}
		if got := schemaOf(path); got != schema {
			t.Errorf("%s: .schema says\n%s\nand of the source\n%s", how, got, schema)
		}
	}

	op := s.backup()
	if op.Tables != 11 || op.Rows < 15_000 {
		t.Errorf("the backup has %d tables, %d rows", op.Tables, op.Rows)
	}
	file := b.download(op)
	copied := filepath.Join(t.TempDir(), "piped.db")
	pipe(t, exec.CommandContext(t.Context(), zstd, "-dc", file), exec.CommandContext(t.Context(), sqlite3, "-bail", copied))
	same("zstd | sqlite3", copied)
	copied = filepath.Join(t.TempDir(), "loaded.db")
	b.load(file, "sqlite://"+copied)
	same("safepoint load", copied)

	executeSQLite(t, s.target.Path, `PRAGMA foreign_keys = 0; DROP TABLE Track; DROP TABLE Invoice; DELETE FROM Artist WHERE ArtistId % 3 = 0;
		UPDATE Customer SET Email = 'nobody'; CREATE TABLE graffiti (x); INSERT INTO graffiti VALUES (1)`)
	s.restore(op)
	same("restore", s.target.Path)
	s.working()
}

// download fetches a backup's file through the API and checks it against what the API says of it.
func (b *bench) download(op wire.Operation) string {
	b.t.Helper()
	f := must(b.api.Download(b.t.Context(), op.ID, 0))(b.t)
	defer f.Close()
	path := filepath.Join(b.t.TempDir(), op.Name)
	content := must(io.ReadAll(f))(b.t)
	if int64(len(content)) != op.Size {
		b.t.Fatalf("downloaded %d bytes of %d", len(content), op.Size)
	}
	if stored := must(os.ReadFile(b.file(op)))(b.t); !bytes.Equal(stored, content) {
		b.t.Fatal("the download is not what is stored")
	}
	b.must(os.WriteFile(path, content, 0o600))
	return path
}

// load runs the program, with no server, into an empty database. It must find the server's signature.
func (b *bench) load(file, into string) {
	b.t.Helper()
	bin := must(program())(b.t)
	cmd := exec.CommandContext(b.t.Context(), bin, "load", file, "--into", into, "--key", filepath.Join(b.data, catalog.SigningKeyFile), "--yes")
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + b.t.TempDir()}
	run(b.t, cmd)
}

func postgresURL(t engine.Target) string {
	q := url.Values{"host": {t.Host}, "port": {strconv.Itoa(t.Port)}, "sslmode": {"disable"}}
	return (&url.URL{Scheme: "postgres", User: url.User(t.User), Path: "/" + t.Name, RawQuery: q.Encode()}).String()
}

func run(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", cmd.Args, err, out)
	}
}

// pipe runs "from | to", and both must succeed.
func pipe(t *testing.T, from, to *exec.Cmd) {
	t.Helper()
	var fromSaid, toSaid bytes.Buffer
	from.Stderr, to.Stderr, to.Stdout = &fromSaid, &toSaid, &toSaid
	to.Stdin = must(from.StdoutPipe())(t)
	if err := from.Start(); err != nil {
		t.Fatal(err)
	}
	toErr := to.Run()
	fromErr := from.Wait()
	if toErr != nil || fromErr != nil || toSaid.Len() > 0 {
		t.Fatalf("%v | %v: %v, %v\n%s%s", from.Args, to.Args, fromErr, toErr, &fromSaid, &toSaid)
	}
}

// definitions is what "pg_dump -s" writes, without its random key.
func definitions(t *testing.T, c *pgserver.Cluster, database string) []string {
	t.Helper()
	lines := strings.Split(string(must(c.Tool(t.Context(), "pg_dump", database, "-s").Output())(t)), "\n")
	return slices.DeleteFunc(lines, func(l string) bool {
		return strings.HasPrefix(l, `\restrict`) || strings.HasPrefix(l, `\unrestrict`)
	})
}
