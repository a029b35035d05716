package e2e

import (
	"database/sql"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	_ "modernc.org/sqlite" // what tests write with

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/api/wire"
	"github.com/safepoint-db/safepoint/internal/archive"
	"github.com/safepoint-db/safepoint/internal/engine"
	"github.com/safepoint-db/safepoint/internal/kinds"
	"github.com/safepoint-db/safepoint/internal/pgserver"
	"github.com/safepoint-db/safepoint/internal/pgtest"
)

// shop is one database behind a bench.
type shop struct {
	*bench
	wire.Database
	engine engine.Engine
	target engine.Target // how the test itself reaches it
}

// orders makes a table with rows rows of about 500 bytes that do not compress well.
func ordersSQLite(rows string) string {
	return `CREATE TABLE orders (id INTEGER PRIMARY KEY, note TEXT NOT NULL);
		INSERT INTO orders SELECT value, hex(randomblob(250)) FROM
			(WITH RECURSIVE g(value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM g WHERE value < ` + rows + `) SELECT value FROM g)`
}

const ordersPostgres = `CREATE TABLE orders (id bigint PRIMARY KEY, note text NOT NULL);
	INSERT INTO orders SELECT g, (SELECT string_agg(md5(g::text || '/' || i), '') FROM generate_series(1, 16) i) FROM generate_series(1, 12000) g`

// addSQLite makes a SQLite database and tells the server of it.
func (b *bench) addSQLite(name, statements string) *shop {
	b.t.Helper()
	path := filepath.Join(b.t.TempDir(), name+".db")
	executeSQLite(b.t, path, statements)
	s := &shop{bench: b, target: engine.Target{Engine: safepoint.SQLite, Path: path}}
	s.engine, _ = kinds.Engine(safepoint.SQLite)
	s.Database = must(b.api.CreateDatabase(b.t.Context(), wire.DatabaseInput{Name: name, Engine: "sqlite", Path: path}))(b.t)
	return s
}

// addPostgres makes a database in c and tells the server of it, as the superuser over TCP, through line if it is not nil.
func (b *bench) addPostgres(c *pgserver.Cluster, line *line, statements string) *shop {
	b.t.Helper()
	s := &shop{bench: b, target: pgtest.Create(b.t, c)}
	s.engine, _ = kinds.Engine(safepoint.PostgreSQL)
	pgtest.Exec(b.t, s.target, statements)
	in := postgresInput(c, s.target.Name)
	if line != nil {
		in.Port = line.port()
	}
	s.Database = must(b.api.CreateDatabase(b.t.Context(), in))(b.t)
	return s
}

func postgresInput(c *pgserver.Cluster, name string) wire.DatabaseInput {
	t := c.TCPTarget(name)
	return wire.DatabaseInput{Name: "shop", Engine: "postgres", Host: t.Host, Port: t.Port, User: t.User, Password: &t.Password,
		DBName: name, TLS: string(safepoint.TLSDisable)}
}

func executeSQLite(t testing.TB, path, statements string) {
	t.Helper()
	db := openSQLite(t, path)
	defer db.Close()
	if _, err := db.Exec(statements); err != nil {
		t.Fatalf("%v\nin: %.300s", err, statements)
	}
}

func openSQLite(t testing.TB, path string) *sql.DB {
	t.Helper()
	q := url.Values{"_pragma": {"busy_timeout(5000)", "journal_mode(WAL)"}}
	db := must(sql.Open("sqlite", "file:"+(&url.URL{Path: path}).EscapedPath()+"?"+q.Encode()))(t)
	db.SetMaxOpenConns(1)
	return db
}

// backup makes a backup that must succeed.
func (s *shop) backup() wire.Operation {
	s.t.Helper()
	op := s.wait(must(s.api.StartBackup(s.t.Context(), s.ID))(s.t).ID)
	if op.Status != "succeeded" {
		s.t.Fatalf("the backup ended %s: %+v", op.Status, op.Failure)
	}
	return op
}

// restore restores a backup, which must succeed.
func (s *shop) restore(backup wire.Operation) wire.Operation {
	s.t.Helper()
	op := s.wait(must(s.api.StartRestore(s.t.Context(), backup.ID, wire.RestoreInput{Confirm: s.Name}))(s.t).ID)
	if op.Status != "succeeded" || !op.Switched || op.SafetyID == "" {
		s.t.Fatalf("the restore ended %s: %+v", op.Status, op.Failure)
	}
	return op
}

func (s *shop) digest() archive.Fingerprint {
	s.t.Helper()
	return must(s.engine.Digest(s.t.Context(), s.target, nil))(s.t)
}

// file is where a backup's file lies.
func (b *bench) file(op wire.Operation) string {
	b.t.Helper()
	found := must(filepath.Glob(filepath.Join(b.data, "backups", "*", "*", "*."+op.ID+".sql.zst*")))(b.t)
	if len(found) != 1 {
		b.t.Fatalf("%s has %d files", op.Name, len(found))
	}
	return found[0]
}

// files are all files in the storage, whatever they are.
func (b *bench) files() []string {
	b.t.Helper()
	var all []string
	err := filepath.WalkDir(filepath.Join(b.data, "backups"), func(path string, d os.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			all = append(all, path)
		}
		return err
	})
	b.must(err)
	return all
}

// left are staging and set-aside databases of this server's operations.
func (s *shop) left() []string {
	s.t.Helper()
	ops := s.operations(safepoint.OperationFilter{Type: safepoint.TypeRestore})
	names := must(s.engine.Leftovers(s.t.Context(), s.target))(s.t)
	return slices.DeleteFunc(names, func(name string) bool { // others share the cluster
		return !slices.ContainsFunc(ops, func(op wire.Operation) bool { return strings.Contains(name, op.ID) })
	})
}

// unchanged remembers how everything is. What it returns checks that it still is so: the live database row for row, no
// staging, no file that was not there, services running as before and never halted, the organization operating.
func (s *shop) unchanged() func() {
	s.t.Helper()
	digest, files, left := s.digest(), s.files(), s.left()
	halts := s.till.haltCount()
	return func() {
		s.t.Helper()
		s.same(digest, files, left)
		if n := s.till.haltCount(); n != halts {
			s.t.Errorf("the service was halted %d times", n-halts)
		}
	}
}

// same is what unchanged checks, but for how often the service was halted.
func (s *shop) same(digest archive.Fingerprint, files, left []string) {
	s.t.Helper()
	if err := digest.Compare(s.digest()); err != nil {
		s.t.Errorf("the live database is not as it was: %v", err)
	}
	if now := s.files(); !slices.Equal(now, files) {
		s.t.Errorf("the storage holds %q, and held %q", now, files)
	}
	if now := s.left(); !slices.Equal(now, left) {
		s.t.Errorf("left over: %q", now)
	}
	s.working()
}

// working checks that the service runs, the organization operates and the server answers.
func (s *shop) working() {
	s.t.Helper()
	if s.till.isHalted() {
		s.t.Error("the service is still halted")
	}
	if st := must(s.api.State(s.t.Context()))(s.t); st.State != "operating" || len(st.Attention) > 0 {
		s.t.Errorf("the organization's state is %+v", st)
	}
	s.answers()
}
