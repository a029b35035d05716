package soak

import (
	"context"
	"database/sql"
	"flag"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite" // the till's driver

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/api/wire"
	"github.com/safepoint-db/safepoint/internal/archive"
	"github.com/safepoint-db/safepoint/internal/client"
	"github.com/safepoint-db/safepoint/internal/engine"
	"github.com/safepoint-db/safepoint/internal/kinds"
	"github.com/safepoint-db/safepoint/internal/pgserver"
	"github.com/safepoint-db/safepoint/internal/pgtest"
)

var rounds = flag.Int("rounds", 1, "how often each fault point is met, on each engine")

// shop is one database with its till, behind one server.
type shop struct {
	t      *testing.T
	kind   string
	engine engine.Engine
	target engine.Target
	open   func() (*sql.DB, error)
	till   *till
	proc   *process
	api    *client.Client
	db     wire.Database
	backup wire.Operation // holds the old content
	fresh  int            // scratch databases made
	make   func(name string) engine.Target
	old    []string // what the backup holds
	known  []string // leftovers that are allowed: set-aside databases of restores that succeeded
}

func TestKill(t *testing.T) {
	for _, kind := range []string{"sqlite", "postgres"} {
		t.Run(kind, func(t *testing.T) {
			s := openShop(t, kind)
			runs := 0
			for round := range *rounds {
				for _, p := range slices.Concat(points["restore"], points["restore "+kind]) {
					runs++
					s.run(t, fmt.Sprintf("restore %s %d", p, round), func(t *testing.T) { s.killDuringRestore(t, p, safepoint.RestoreGuarded) })
				}
				for _, p := range met("instant", kind) {
					runs++
					s.run(t, fmt.Sprintf("instant %s %d", p, round), func(t *testing.T) { s.killDuringRestore(t, p, safepoint.RestoreInstant) })
				}
				for _, p := range slices.Concat(points["undo"], points["undo "+kind]) {
					runs++
					s.run(t, fmt.Sprintf("undo %s %d", p, round), func(t *testing.T) { s.killDuringUndo(t, p) })
				}
				for _, p := range slices.Concat(points["found"], points["found "+kind]) {
					runs++
					s.run(t, fmt.Sprintf("found %s %d", p, round), func(t *testing.T) { s.killDuringFound(t, p) })
				}
				for _, p := range points["backup"] {
					runs++
					s.run(t, fmt.Sprintf("backup %s %d", p, round), func(t *testing.T) { s.killDuringBackup(t, p) })
				}
			}
			t.Logf("%s: %d runs", kind, runs)
		})
	}
}

func (s *shop) run(t *testing.T, name string, f func(t *testing.T)) {
	t.Run(name, func(t *testing.T) {
		f(t)
		if t.Failed() {
			t.Logf("the server's log:\n%s", s.proc.log.String())
		}
	})
}

// old and new content are told apart by a row and by a table, so that a mixture shows.
const (
	makeOld = `CREATE TABLE orders (id BIGINT PRIMARY KEY, note TEXT); CREATE TABLE edition (v INTEGER);
		INSERT INTO edition VALUES (1); INSERT INTO orders SELECT value, 'old' FROM %s`
	makeNew = `UPDATE edition SET v = 2; CREATE TABLE IF NOT EXISTS late (v INTEGER); DELETE FROM late; INSERT INTO late VALUES (2)`
)

func openShop(t *testing.T, kind string) *shop {
	s := &shop{t: t, kind: kind}
	dir := t.TempDir()
	series := "generate_series(1, 2000) AS g(value)"
	switch kind {
	case "sqlite":
		series = "(WITH RECURSIVE g(value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM g WHERE value < 2000) SELECT value FROM g)"
		s.make = func(name string) engine.Target {
			return engine.Target{Engine: safepoint.SQLite, Path: filepath.Join(dir, name+".db")}
		}
		s.open = func() (*sql.DB, error) { return openSQLite(s.target.Path) }
	case "tenant":
		s.kind, kind = "postgres", "postgres"
		s.make = tenant(t)
		s.open = func() (*sql.DB, error) { return openPostgres(s.target) }
	case "postgres":
		cluster := pgtest.Start(t, pgserver.Options{})
		s.make = func(name string) engine.Target { return pgtest.CreateNamed(t, cluster, name) }
		s.open = func() (*sql.DB, error) { return openPostgres(s.target) }
	}
	e, _ := kinds.Engine(safepoint.Engine(kind))
	s.engine, s.target = e, s.make("shop")
	db, err := s.open()
	if err != nil {
		t.Fatal(err)
	}
	execute(t, db, fmt.Sprintf(makeOld, series))
	s.till = startTill(t, s.open)

	data := filepath.Join(dir, "data")
	token := setUp(t, data)
	s.proc = newProcess(t, data)
	s.proc.start(t, "")
	t.Cleanup(func() { s.proc.kill() })
	s.api = s.proc.client(t, token)
	s.connect(t)
	s.backup = s.wait(t, must[wire.Operation](t)(s.api.StartBackup(context.Background(), s.db.ID)).ID)
	if s.backup.Status != "succeeded" {
		t.Fatalf("the first backup ended %s: %+v", s.backup.Status, s.backup.Failure)
	}
	s.old = content(t, s.loadBackup(t, s.backup.ID))
	execute(t, db, makeNew)
	db.Close()
	return s
}

// connect tells the server of the database and of the till.
func (s *shop) connect(t *testing.T) {
	ctx := context.Background()
	in := wire.DatabaseInput{Name: "shop", Engine: s.kind, Path: s.target.Path}
	if s.kind == "postgres" {
		in = wire.DatabaseInput{Name: "shop", Engine: s.kind, Host: s.target.Host, Port: s.target.Port, User: s.target.User, DBName: s.target.Name, TLS: string(safepoint.TLSDisable)}
	}
	s.db = must[wire.Database](t)(s.api.CreateDatabase(ctx, in))
	svc := must[wire.Service](t)(s.api.CreateService(ctx, wire.ServiceInput{
		Name: "till", Kind: "webhook", HaltURL: s.till.http.URL + "/halt", ResumeURL: s.till.http.URL + "/resume", HealthURL: s.till.http.URL + "/health",
	}))
	s.till.secret = svc.Secret
}

// killDuringRestore starts a restore, which kills the server at point, starts the server again and judges.
func (s *shop) killDuringRestore(t *testing.T, point string, mode safepoint.RestoreMode) {
	s.till.forget()
	s.till.sells(t)
	op := s.dieDuring(t, point, safepoint.TypeRestore, func(ctx context.Context) (wire.Operation, error) {
		return s.api.StartRestore(ctx, s.backup.ID, wire.RestoreInput{Confirm: "shop", Mode: string(mode)})
	})
	s.judge(t, op)
	if op.Status == "succeeded" {
		if op.SafetyID == "" {
			t.Errorf("there is no safety backup: %+v", op.SafetyFailure)
		}
		s.goBack(t, op)
	}
}

// killDuringUndo restores in peace, then kills the server during the undo, and undoes in peace if that failed.
func (s *shop) killDuringUndo(t *testing.T, point string) {
	s.till.forget()
	s.till.sells(t)
	restored := s.wait(t, must[wire.Operation](t)(s.api.StartRestore(context.Background(), s.backup.ID, wire.RestoreInput{Confirm: "shop"})).ID)
	s.judge(t, restored)
	undo := s.dieDuring(t, point, safepoint.TypeRestore, func(ctx context.Context) (wire.Operation, error) {
		return s.api.StartUndo(ctx, restored.ID)
	})
	s.afterEnd(t, undo)
	want := 1
	if undo.Status == "succeeded" {
		want = 2
	}
	if got := s.edition(t, s.target); got != want {
		t.Fatalf("the undo ended %s, and the live database is edition %d", undo.Status, got)
	}
	if undo.Status != "succeeded" {
		s.goBack(t, restored)
	}
	s.known = s.leftovers(t)
}

// killDuringBackup checks that an unfinished backup is never listed as good and leaves no file.
func (s *shop) killDuringBackup(t *testing.T, point string) {
	op := s.dieDuring(t, point, safepoint.TypeBackup, func(ctx context.Context) (wire.Operation, error) {
		return s.api.StartBackup(ctx, s.db.ID)
	})
	if op.Status != "succeeded" && (op.Status != "failed" || op.Failure == nil || op.Failure.Message == "") {
		t.Errorf("the killed backup ended %s: %+v", op.Status, op.Failure)
	}
	s.checkFiles(t)
}

// dieDuring starts an operation, which kills the server at point, starts the server again and returns the operation as
// it ended. The point may be met before the call was answered: the operation is then the one that the list has gained,
// for it is recorded before anything of it is done.
func (s *shop) dieDuring(t *testing.T, point string, kind safepoint.OperationType, start func(context.Context) (wire.Operation, error)) wire.Operation {
	t.Helper()
	before := s.newest(t, kind)
	s.restart(t, point+"=kill")
	op, err := start(context.Background())
	if err != nil && safepoint.ErrorCode(err) != safepoint.CodeUnreachable {
		t.Fatal(err)
	}
	s.awaitDeath(t)
	s.restart(t, "")
	began := time.Now()
	if err != nil {
		if op = s.newest(t, kind); op.ID == before.ID {
			t.Fatalf("the server died at %s (%v), and no operation was recorded", point, err)
		}
	}
	op = s.wait(t, op.ID)
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("it took %s to end after the start", took)
	}
	return op
}

// newest is the database's last operation of a type; its ID is "" where there is none.
func (s *shop) newest(t *testing.T, kind safepoint.OperationType) wire.Operation {
	t.Helper()
	page := must[wire.OperationPage](t)(s.api.Operations(context.Background(), safepoint.OperationFilter{Type: kind, DatabaseID: s.db.ID, Limit: 1}))
	if len(page.Items) == 0 {
		return wire.Operation{}
	}
	return page.Items[0]
}

// goBack undoes a restore, and checks that the new content is back.
func (s *shop) goBack(t *testing.T, restored wire.Operation) {
	undo := s.wait(t, must[wire.Operation](t)(s.api.StartUndo(context.Background(), restored.ID)).ID)
	if undo.Status != "succeeded" {
		t.Fatalf("undo ended %s: %+v", undo.Status, undo.Failure)
	}
	if got := s.edition(t, s.target); got != 2 {
		t.Fatalf("after the undo the live database is edition %d", got)
	}
	s.till.sells(t)
	s.known = s.leftovers(t)
}

// judge checks every promise after a restore has ended.
func (s *shop) judge(t *testing.T, op wire.Operation) {
	t.Helper()
	s.afterEnd(t, op)
	want := 2
	if op.Status == "succeeded" {
		want = 1
	}
	if got := s.edition(t, s.target); got != want {
		t.Errorf("the restore ended %s in step %s (%+v), and the live database is edition %d", op.Status, op.Step, op.Failure, got)
	}
	extra := s.leftovers(t)
	extra = slices.DeleteFunc(extra, func(name string) bool {
		return slices.Contains(s.known, name) || op.Status == "succeeded" && strings.Contains(name, engine.AsideName(op.ID))
	})
	if len(extra) > 0 {
		t.Errorf("left over: %v", extra)
	}
	s.checkFiles(t)
	s.checkOrders(t, op)
}

// afterEnd checks what holds after every operation: it ended with a reason, and the service sells again.
func (s *shop) afterEnd(t *testing.T, op wire.Operation) {
	t.Helper()
	if op.Status != "succeeded" && (op.Status != "failed" || op.Failure == nil || op.Failure.Message == "") {
		t.Errorf("ended %s without a reason: %+v", op.Status, op.Failure)
	}
	if len(op.Attention) > 0 || op.NeedsOperator {
		t.Errorf("a person is asked for: attention %v, %+v", op.Attention, op.Failure)
	}
	if st := must[wire.State](t)(s.api.State(context.Background())); st.State != "operating" {
		t.Errorf("the organization is %s", st.State)
	}
	s.till.sells(t)
}

// checkOrders finds every acknowledged order in the live database or in the safety backup.
func (s *shop) checkOrders(t *testing.T, op wire.Operation) {
	t.Helper()
	have := map[int64]bool{}
	acknowledged := s.till.acknowledged()
	collect(t, s.open, have)
	if op.SafetyID != "" {
		target := s.loadBackup(t, op.SafetyID)
		collect(t, func() (*sql.DB, error) { return openTarget(target) }, have)
	}
	missing := 0
	for _, id := range acknowledged {
		if !have[id] {
			missing++
		}
	}
	if missing > 0 {
		t.Errorf("%d of %d acknowledged orders are neither in the live database nor in the safety backup", missing, len(acknowledged))
	}
}

// loadBackup loads a stored backup into a scratch database.
func (s *shop) loadBackup(t *testing.T, id string) engine.Target {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(s.proc.data, "backups", "*", "*", "*."+id+".sql.zst"))
	if err != nil || len(found) != 1 {
		t.Fatalf("the backup %s has %d files (%v)", id, len(found), err)
	}
	f, err := os.Open(found[0])
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	r, err := archive.Open(f, st.Size(), archive.Trust{Unsigned: true})
	if err != nil {
		t.Fatal(err)
	}
	s.fresh++
	target := s.make(fmt.Sprintf("scratch%d", s.fresh))
	if err := s.engine.Load(context.Background(), target, r, engine.LoadOptions{}); err != nil {
		t.Fatalf("load the backup: %v", err)
	}
	return target
}

// checkFiles compares the storage with the list: every succeeded backup has its whole file, and there are no others.
func (s *shop) checkFiles(t *testing.T) {
	t.Helper()
	page := must[wire.OperationPage](t)(s.api.Operations(context.Background(), safepoint.OperationFilter{Type: safepoint.TypeBackup, Status: safepoint.StatusSucceeded, Limit: 200}))
	files := map[string]bool{}
	root := filepath.Join(s.proc.data, "backups")
	err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.Contains(d.Name(), ".sql") {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		st, err := f.Stat()
		if err != nil {
			return err
		}
		r, err := archive.Open(f, st.Size(), archive.Trust{Unsigned: true})
		if err == nil {
			_, err = r.Verify(context.Background(), nil)
		}
		if err != nil {
			t.Errorf("%s: %v", d.Name(), err)
			return nil
		}
		files[r.Header().OperationID] = true
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, op := range page.Items {
		if !files[op.ID] {
			t.Errorf("%s is listed as succeeded and has no file", op.Name)
		}
		delete(files, op.ID)
	}
	if page.Next == "" && len(files) > 0 {
		t.Errorf("files of no listed backup: %v", files)
	}
}

func (s *shop) restart(t *testing.T, fault string) {
	t.Helper()
	s.proc.kill()
	s.proc.start(t, fault)
}

func (s *shop) awaitDeath(t *testing.T) {
	t.Helper()
	select {
	case <-s.proc.dead:
	case <-time.After(60 * time.Second):
		t.Fatal("the fault point was never met")
	}
}

func (s *shop) wait(t *testing.T, id string) wire.Operation {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	op, err := s.api.Wait(ctx, id, 50*time.Millisecond, nil)
	if err != nil {
		t.Fatalf("wait for %s: %v (now %s, step %s)\n%s", id, err, op.Status, op.Step, s.proc.log.String())
	}
	return op
}

func (s *shop) leftovers(t *testing.T) []string {
	t.Helper()
	return must[[]string](t)(s.engine.Leftovers(context.Background(), s.target))
}

// edition is 1 for the old content, 2 for the new one, and 0 for anything mixed.
func (s *shop) edition(t *testing.T, target engine.Target) int {
	t.Helper()
	db, err := openTarget(target)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var v, rows int
	if err := db.QueryRow(`SELECT v FROM edition`).Scan(&v); err != nil {
		t.Fatalf("the live database cannot be read: %v", err)
	}
	late := db.QueryRow(`SELECT count(*) FROM late`).Scan(&rows) == nil
	if late != (v == 2) {
		return 0
	}
	return v
}

func openTarget(t engine.Target) (*sql.DB, error) {
	if t.Engine == safepoint.SQLite {
		return openSQLite(t.Path)
	}
	return openPostgres(t)
}

func openSQLite(path string) (*sql.DB, error) {
	q := url.Values{"_pragma": {"busy_timeout(5000)", "journal_mode(WAL)"}}
	db, err := sql.Open("sqlite", "file:"+path+"?"+q.Encode())
	if err == nil {
		db.SetMaxOpenConns(1)
	}
	return db, err
}

func openPostgres(t engine.Target) (*sql.DB, error) {
	cfg, err := pgx.ParseConfig("sslmode=disable")
	if err != nil {
		return nil, err
	}
	cfg.Host, cfg.Port, cfg.User, cfg.Password, cfg.Database = t.Host, uint16(t.Port), t.User, t.Password, t.Name
	db := stdlib.OpenDB(*cfg)
	db.SetMaxOpenConns(1)
	return db, nil
}

func collect(t *testing.T, open func() (*sql.DB, error), into map[int64]bool) {
	t.Helper()
	db, err := open()
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	rows, err := db.Query(`SELECT id FROM orders`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			t.Fatal(err)
		}
		into[id] = true
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
}

func execute(t *testing.T, db *sql.DB, statements string) {
	t.Helper()
	for _, q := range strings.Split(statements, ";") {
		if _, err := db.Exec(q); err != nil {
			t.Fatalf("%s: %v", q, err)
		}
	}
}

// must unwraps a result whose error ends the test.
func must[T any](t *testing.T) func(T, error) T {
	t.Helper()
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}
