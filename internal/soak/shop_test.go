package soak

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite" // the till's driver

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/api/wire"
	"github.com/safepoint-db/safepoint/internal/client"
	"github.com/safepoint-db/safepoint/internal/engine"
	"github.com/safepoint-db/safepoint/internal/kinds"
	"github.com/safepoint-db/safepoint/internal/pgserver"
	"github.com/safepoint-db/safepoint/internal/pgtest"
)

// shop is one organization with its database and services behind one server, and a neighbour on the same servers that
// must never notice anything.
type shop struct {
	kind    string // of the engine
	tenant  bool
	small   string // where the small disk of the database is mounted
	dir     string // of everything but the PostgreSQL cluster
	engine  engine.Engine
	cluster *pgserver.Cluster // nil on SQLite
	proxy   *proxy            // between server and cluster; nil unless asked for
	target  engine.Target     // the live database, for us

	till   *till // sells all the time
	closed *till // was halted before anything began
	proc   *process
	watch  *watch

	api      *client.Client
	db       wire.Database
	backup   wire.Operation // holds the old content
	sold     map[int64]bool // orders that the backup holds
	old, new string         // digests of the two contents
	hull     string         // of the database as a whole: owner, grants, settings, limits

	other neighbour
	files map[string]int64 // backup files that were verified, by size
	rng   *rand.Rand
}

// neighbour is another organization, with a database on the same server and a service of its own.
type neighbour struct {
	target engine.Target
	till   *till
	api    *client.Client
	db     wire.Database
	digest string
}

// The two contents differ in rows, in columns and in tables, so that any mixture shows.
const (
	makeOld = `CREATE TABLE edition (v INTEGER); INSERT INTO edition VALUES (1);
		CREATE TABLE items (id BIGINT PRIMARY KEY, name TEXT NOT NULL, price INTEGER);
		INSERT INTO items SELECT value, 'item ' || value, value %% 97 FROM %[1]s;
		CREATE INDEX items_by_name ON items (name);
		CREATE VIEW cheap AS SELECT id, name FROM items WHERE price < 10;
		CREATE TABLE early (v INTEGER); INSERT INTO early VALUES (1);
		CREATE TABLE orders (id BIGINT PRIMARY KEY, note TEXT);
		INSERT INTO orders SELECT value, 'old' FROM %[1]s WHERE value <= 300`
	makeNew = `UPDATE edition SET v = 2; UPDATE items SET price = price + 1 WHERE id % 3 = 0;
		INSERT INTO items VALUES (5001, 'new item', 5);
		ALTER TABLE items ADD COLUMN color TEXT; DROP TABLE early; CREATE TABLE late (v INTEGER); INSERT INTO late VALUES (2)`
	makeOther = `CREATE TABLE ledger (id BIGINT PRIMARY KEY, amount INTEGER);
		INSERT INTO ledger SELECT value, value * 7 FROM %[1]s WHERE value <= 200;
		CREATE TABLE orders (id BIGINT PRIMARY KEY, note TEXT)`
)

// options say how a shop differs from the usual one.
type options struct {
	proxied bool     // the server reaches PostgreSQL through a proxy
	env     []string // of the server
	small   string   // what is on a small disk of its own: the "data" directory, its "backups", the database "server"'s files
}

func openShop(t *testing.T, kind string, opt options) *shop {
	t.Helper()
	tenant := kind == "tenant" // who may do nothing on the server but use his databases: restores are done in place
	if tenant {
		kind = "postgres"
	}
	s := &shop{kind: kind, tenant: tenant, dir: t.TempDir(), files: map[string]int64{}, rng: rand.New(rand.NewPCG(*seed, uint64(len(t.Name()))))}
	e, _ := kinds.Engine(safepoint.Engine(kind))
	s.engine = e
	if kind == "postgres" {
		s.makePostgres(t, opt)
	} else {
		s.makeSQLite(t, opt)
	}
	s.old = digest(t, s.target)
	s.till = startTill(t, 5*time.Millisecond, func() (*sql.DB, error) { return openAs(s.target, "till", tillPassword) })
	s.closed = startTill(t, time.Hour, nil)
	s.other.till = startTill(t, 50*time.Millisecond, func() (*sql.DB, error) { return openAs(s.other.target, "till", tillPassword) })

	data := filepath.Join(s.dir, "data")
	switch opt.small {
	case "data":
		smallDisk(t, data, 64)
	case "backups":
		smallDisk(t, filepath.Join(data, "backups"), 32)
	}
	token, otherToken := setUp(t, data)
	s.proc = newProcess(t, data)
	s.proc.env = opt.env
	s.watch = startWatch(t, func() int { return int(s.proc.pid.Load()) })
	s.watch.keep("the API token", token)
	s.watch.keep("the other API token", otherToken)
	s.watch.keep("the database's password", s.target.Password)
	s.proc.start(t)
	t.Cleanup(func() { s.proc.kill() })
	s.api, s.other.api = s.proc.client(t, token), s.proc.client(t, otherToken)
	s.connect(t)
	s.firstBackups(t)
	return s
}

const tillPassword = "till-8c1f2a"

func (s *shop) makeSQLite(t *testing.T, opt options) {
	folder := s.dir
	if opt.small == "server" {
		s.small = filepath.Join(s.dir, "small")
		smallDisk(t, s.small, 32)
		folder = s.small
	}
	s.target = engine.Target{Engine: safepoint.SQLite, Path: filepath.Join(folder, "shop.db")}
	s.other.target = engine.Target{Engine: safepoint.SQLite, Path: filepath.Join(s.dir, "other.db")}
	const series = "(WITH RECURSIVE g(value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM g WHERE value < 1500) SELECT value FROM g)"
	run(t, s.target, fmt.Sprintf(makeOld, series))
	run(t, s.other.target, fmt.Sprintf(makeOther, series))
}

func (s *shop) makePostgres(t *testing.T, opt options) {
	// Orders that were acknowledged survive kill -9 of the server's processes. What others commit need not, as on a server
	// that somebody made faster: Safepoint must ask for it.
	s.cluster = pgtest.Start(t, pgserver.Options{TCP: true, Settings: map[string]string{"synchronous_commit": "off", "max_wal_size": "64MB", "wal_writer_delay": "10s"}})
	admin := s.cluster.Target("postgres")
	password := "canary-" + strconv.FormatUint(rand.Uint64(), 36)
	rights, owner := "SUPERUSER", "shop_owner"
	if s.tenant {
		rights, owner = "NOSUPERUSER", "shopkeeper"
	}
	run(t, admin, "CREATE ROLE shopkeeper "+rights+" LOGIN PASSWORD '"+password+"'; CREATE ROLE shop_owner; CREATE ROLE till LOGIN PASSWORD '"+tillPassword+"'; "+
		"ALTER ROLE till SET synchronous_commit = on")
	const series = "generate_series(1, 1500) AS g(value)"
	for name, script := range map[string]string{"shop": makeOld, "other": makeOther} {
		at := ""
		if opt.small == "server" && name == "shop" {
			s.smallTablespace(t, admin)
			at = " TABLESPACE small"
		}
		run(t, admin, "CREATE DATABASE "+name+" TEMPLATE template0 OWNER "+owner+at)
		run(t, s.cluster.Target(name), "GRANT CREATE ON SCHEMA public TO "+owner+"; SET ROLE "+owner+";"+fmt.Sprintf(script, series)+"; GRANT SELECT, INSERT ON orders TO till")
		run(t, admin, "REVOKE ALL ON DATABASE "+name+" FROM PUBLIC; GRANT CONNECT ON DATABASE "+name+" TO till; ALTER DATABASE "+name+" CONNECTION LIMIT 40; "+
			"ALTER DATABASE "+name+" SET work_mem = '5MB'; COMMENT ON DATABASE "+name+" IS 'the "+name+"'")
	}
	s.target, s.other.target = s.cluster.TCPTarget("shop"), s.cluster.TCPTarget("other")
	s.target.User, s.target.Password = "shopkeeper", password
	s.other.target.User, s.other.target.Password = "shopkeeper", password
	if opt.proxied {
		s.proxy = startProxy(t, net.JoinHostPort(s.target.Host, strconv.Itoa(s.target.Port)))
	}
}

// smallTablespace is a small disk of PostgreSQL's.
func (s *shop) smallTablespace(t *testing.T, admin engine.Target) {
	s.small = filepath.Join(s.cluster.Dir, "small")
	smallDisk(t, s.small, 48)
	folder := filepath.Join(s.small, "space")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(s.cluster.DataDir)
	if err != nil {
		t.Fatal(err)
	}
	owner := info.Sys().(*syscall.Stat_t)
	for _, dir := range []string{s.small, folder} {
		if err := os.Chown(dir, int(owner.Uid), int(owner.Gid)); err != nil {
			t.Fatal(err)
		}
	}
	run(t, admin, "CREATE TABLESPACE small LOCATION '"+folder+"'")
}

// connect tells the server of the databases and of the services.
func (s *shop) connect(t *testing.T) {
	ctx := context.Background()
	input := func(name string, at engine.Target) wire.DatabaseInput {
		if s.kind == "sqlite" {
			return wire.DatabaseInput{Name: name, Engine: s.kind, Path: at.Path}
		}
		in := wire.DatabaseInput{Name: name, Engine: s.kind, Host: at.Host, Port: at.Port, User: at.User, Password: &at.Password, DBName: at.Name, TLS: string(safepoint.TLSDisable)}
		if s.proxy != nil {
			in.Port = s.proxy.port
		}
		return in
	}
	s.db = must[wire.Database](t)(s.api.CreateDatabase(ctx, input("shop", s.target)))
	s.other.db = must[wire.Database](t)(s.other.api.CreateDatabase(ctx, input("other", s.other.target)))
	service := func(api *client.Client, name string, of *till) {
		svc := must[wire.Service](t)(api.CreateService(ctx, wire.ServiceInput{
			Name: name, Kind: "webhook", HaltURL: of.http.URL + "/halt", ResumeURL: of.http.URL + "/resume", HealthURL: of.http.URL + "/health",
		}))
		of.secret = svc.Secret
		s.watch.keep("the secret of "+name, svc.Secret)
	}
	service(s.api, "till", s.till)
	service(s.api, "closed till", s.closed)
	service(s.other.api, "other till", s.other.till)
}

// firstBackups keeps the old content and the neighbour's, and makes the live database new.
func (s *shop) firstBackups(t *testing.T) {
	ctx := context.Background()
	s.backup = s.wait(t, s.api, must[wire.Operation](t)(s.api.StartBackup(ctx, s.db.ID)).ID)
	kept := s.wait(t, s.other.api, must[wire.Operation](t)(s.other.api.StartBackup(ctx, s.other.db.ID)).ID)
	for _, op := range []wire.Operation{s.backup, kept} {
		if op.Status != "succeeded" {
			t.Fatalf("the first backup ended %s: %+v\n%s", op.Status, op.Failure, s.proc.log.String())
		}
	}
	s.sold = s.ordersIn(t, s.backup.ID)
	s.renew(t)
	s.new = digest(t, s.target)
	if s.old == s.new {
		t.Fatal("the two contents cannot be told apart")
	}
	s.hull = s.hullOf(t, s.target)
	s.other.digest = digest(t, s.other.target) + s.hullOf(t, s.other.target)
	run(t, s.ours(s.target), "DELETE FROM orders WHERE id >= "+strconv.Itoa(firstOrder))
}

// renew makes the new content of the old.
func (s *shop) renew(t *testing.T) {
	t.Helper()
	script := makeNew
	if s.cluster != nil { // what is new belongs to whom the old belongs
		script = "SET ROLE " + when(s.tenant, "shopkeeper", "shop_owner") + ";" + makeNew
	}
	run(t, s.ours(s.target), script)
}

// wait waits until an operation has ended.
func (s *shop) wait(t *testing.T, api *client.Client, id string) wire.Operation {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 90*time.Second)
	defer cancel()
	op, err := api.Wait(ctx, id, 15*time.Millisecond, nil)
	if err != nil {
		t.Fatalf("wait for %s: %v (now %s, step %s, failure %+v)", id, err, op.Status, op.Step, op.Failure)
	}
	return op
}

// ours is a target as we reach it: past limits and rights.
func (s *shop) ours(t engine.Target) engine.Target {
	if s.cluster != nil {
		return s.cluster.Target(t.Name)
	}
	return t
}

func openTarget(t engine.Target) (*sql.DB, error) { return openAs(t, t.User, t.Password) }

func openAs(t engine.Target, user, password string) (*sql.DB, error) {
	if t.Engine == safepoint.SQLite {
		q := url.Values{"_pragma": {"busy_timeout(5000)", "journal_mode(WAL)"}}
		db, err := sql.Open("sqlite", "file:"+t.Path+"?"+q.Encode())
		if err == nil {
			db.SetMaxOpenConns(1)
		}
		return db, err
	}
	cfg, err := pgx.ParseConfig("sslmode=disable")
	if err != nil {
		return nil, err
	}
	cfg.Host, cfg.Port, cfg.User, cfg.Password, cfg.Database = t.Host, uint16(t.Port), user, password, t.Name
	cfg.ConnectTimeout = 5 * time.Second
	db := stdlib.OpenDB(*cfg)
	db.SetMaxOpenConns(1)
	return db, nil
}

// run executes statements, one after the other.
func run(t *testing.T, at engine.Target, statements string) {
	t.Helper()
	db, err := openTarget(at)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for q := range strings.SplitSeq(statements, ";") {
		if _, err := db.Exec(q); err != nil {
			t.Fatalf("%s: %v", strings.TrimSpace(q), err)
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
