package pgbouncer

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/halt"
	"github.com/safepoint-db/safepoint/internal/halt/halttest"
	"github.com/safepoint-db/safepoint/internal/pgtest"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

const password = "t0ps3cret"

const poolName = "Shop-1" // must be quoted on the console

// bouncer is a real PgBouncer in front of a real PostgreSQL, on a Unix socket, with a pool per name.
type bouncer struct {
	dir   string
	pools []string
}

func startBouncer(t *testing.T, pools ...string) *bouncer {
	t.Helper()
	bin, err := exec.LookPath("pgbouncer")
	if err != nil {
		bin, err = exec.LookPath("/usr/sbin/pgbouncer")
	}
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("pgbouncer is not installed")
		}
		t.Skip("pgbouncer is not installed: apt-get install pgbouncer")
	}
	cluster := pgtest.Shared(t)
	dir, err := os.MkdirTemp("/tmp", "pgb") // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })

	ini := "[databases]\n"
	for _, p := range pools {
		ini += fmt.Sprintf("%s = host=%s port=%d dbname=postgres user=%s\n", p, cluster.Socket, cluster.Target("").Port, cluster.User)
	}
	ini += fmt.Sprintf(`[pgbouncer]
listen_addr =
listen_port = 6432
unix_socket_dir = %s
auth_type = scram-sha-256
auth_file = %s/users
admin_users = admin
pool_mode = transaction
server_login_retry = 0.2
`, dir, dir)
	write(t, filepath.Join(dir, "ini"), ini)
	write(t, filepath.Join(dir, "users"), fmt.Sprintf("\"admin\" %q\n\"app\" \"app\"\n", password))
	cmd := exec.Command(bin, filepath.Join(dir, "ini"))
	cmd.SysProcAttr = &syscall.SysProcAttr{}
	if os.Geteuid() == 0 { // PgBouncer refuses to run as root
		u, err := user.Lookup("postgres")
		if err != nil {
			t.Fatal(err)
		}
		uid, gid := atoi(t, u.Uid), atoi(t, u.Gid)
		if err := os.Chown(dir, uid, gid); err != nil {
			t.Fatal(err)
		}
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	}
	var log strings.Builder
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { cmd.Wait(); close(ended) }()
	t.Cleanup(func() {
		cmd.Process.Kill()
		<-ended
		if t.Failed() {
			t.Logf("pgbouncer: %s", log.String())
		}
	})
	b := &bouncer{dir, pools}
	deadline := time.Now().Add(20 * time.Second)
	for {
		c, err := net.Dial("unix", filepath.Join(dir, ".s.PGSQL.6432"))
		if err == nil {
			c.Close()
			return b
		}
		select {
		case <-ended:
			t.Fatalf("pgbouncer did not start: %v", cmd.ProcessState)
		case <-time.After(5 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatalf("pgbouncer did not start: %v", err)
		}
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func atoi(t *testing.T, s string) int {
	t.Helper()
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func (b *bouncer) service(pool string, timeout time.Duration) safepoint.Service {
	return safepoint.Service{Name: "App pool", Kind: safepoint.ServicePgBouncer, Host: b.dir, Port: 6432, User: "admin", DBName: pool, Timeout: timeout}
}

func halter(t *testing.T, s safepoint.Service) *Halter {
	t.Helper()
	h, err := New(s, password)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// connect is a client of the application.
func (b *bouncer) connect(ctx context.Context, pool string) (*pgx.Conn, error) {
	cfg, err := pgx.ParseConfig("host=localhost user=app password=app dbname=x sslmode=disable")
	if err != nil {
		return nil, err
	}
	cfg.Host, cfg.Port, cfg.Database = b.dir, 6432, pool
	cfg.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol
	return pgx.ConnectConfig(ctx, cfg)
}

func (b *bouncer) works(ctx context.Context, pool string) error {
	c, err := b.connect(ctx, pool)
	if err != nil {
		return err
	}
	defer c.Close(context.WithoutCancel(ctx))
	_, err = c.Exec(ctx, "SELECT 1")
	return err
}

func TestHalter(t *testing.T) {
	for name, pool := range map[string]string{"one pool": poolName, "all pools": ""} {
		t.Run(name, func(t *testing.T) {
			halttest.Run(t, func(t *testing.T) halttest.Service {
				b := startBouncer(t, poolName, "other")
				return halttest.Service{
					Name: "App pool", Secret: password,
					New:   func(t *testing.T, timeout time.Duration) halt.Halter { return halter(t, b.service(pool, timeout)) },
					Works: func(ctx context.Context) error { return b.works(ctx, poolName) },
					Stick: func(t *testing.T) func() {
						c, err := b.connect(t.Context(), poolName)
						if err != nil {
							t.Fatal(err)
						}
						if _, err := c.Exec(t.Context(), "BEGIN; SELECT 1"); err != nil {
							t.Fatal(err)
						}
						return func() { c.Close(context.Background()) }
					},
					Gone: func(t *testing.T, timeout time.Duration) halt.Halter {
						s := b.service(pool, timeout)
						s.Port = 1
						return halter(t, s)
					},
				}
			})
		})
	}
}

// What the server's environment says of PostgreSQL is not for the console.
func TestEnvironment(t *testing.T) {
	b := startBouncer(t, poolName)
	for name, value := range map[string]string{
		"PGTARGETSESSIONATTRS": "read-write", "PGREQUIREAUTH": "none", "PGCHANNELBINDING": "require", "PGOPTIONS": "-c search_path=x",
		"PGHOST": "127.0.0.1", "PGPORT": "1", "PGUSER": "nobody", "PGPASSWORD": "wrong", "PGAPPNAME": "other", "PGSSLMODE": "require",
	} {
		t.Setenv(name, value)
	}
	if st, err := halter(t, b.service(poolName, 20*time.Second)).Probe(t.Context()); err != nil || st.Condition == halt.Unknown && st.Detail == "" {
		t.Errorf("%+v, %v", st, err)
	}
	t.Setenv("PGSERVICE", "nowhere")
	_, err := halter(t, b.service(poolName, 20*time.Second)).Probe(t.Context())
	if u := safepoint.UserError(err); err == nil || !strings.Contains(u.Hint, "PG…") {
		t.Errorf("%v, %q", err, u.Hint)
	}
}

// One pool is paused, its neighbour goes on; a pool paused by somebody else stays paused when a halt fails.
func TestNeighbours(t *testing.T) {
	b := startBouncer(t, "shop", "other")
	ctx := t.Context()
	if err := halter(t, b.service("shop", 20*time.Second)).Halt(ctx, halt.Request{}); err != nil {
		t.Fatal(err)
	}
	if err := b.works(ctx, "other"); err != nil {
		t.Errorf("the neighbour was paused: %v", err)
	}
	all := halter(t, b.service("", 2*time.Second))
	if st, err := all.Probe(ctx); err != nil || st.Condition != halt.Running || st.Detail != "1 of 2 pools are paused." {
		t.Errorf("%+v %v", st, err)
	}
	c, err := b.connect(ctx, "other")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(context.Background())
	if _, err := c.Exec(ctx, "BEGIN; SELECT 1"); err != nil {
		t.Fatal(err)
	}
	if err := all.Halt(ctx, halt.Request{}); err == nil {
		t.Fatal("halted beside an open transaction")
	}
	if st, err := halter(t, b.service("other", 20*time.Second)).Probe(ctx); err != nil || st.Condition != halt.Running {
		t.Errorf("the failed halt left it %+v %v", st, err)
	}
	if st, err := halter(t, b.service("shop", 20*time.Second)).Probe(ctx); err != nil || st.Condition != halt.Halted {
		t.Errorf("the failed halt resumed what was not its own: %+v %v", st, err)
	}
}

// A pool that somebody else had paused before stays paused.
func TestPausedBefore(t *testing.T) {
	b := startBouncer(t, "shop", "other")
	ctx := t.Context()
	if err := halter(t, b.service("shop", 20*time.Second)).Halt(ctx, halt.Request{}); err != nil {
		t.Fatal(err)
	}
	all := halter(t, b.service("", 20*time.Second))
	st, err := all.Probe(ctx)
	if err != nil {
		t.Fatal(err)
	}
	r := halt.Request{Prior: st.Prior}
	if err := errors.Join(all.Halt(ctx, r), all.Resume(ctx, r)); err != nil {
		t.Fatal(err)
	}
	if st, err := all.Probe(ctx); err != nil || st.Prior != halt.Parts([]string{"shop"}) {
		t.Errorf("%+v, %v", st, err)
	}
	if err := b.works(ctx, "other"); err != nil {
		t.Error(err)
	}
	if err := all.Resume(ctx, halt.Request{}); err != nil {
		t.Fatal(err)
	}
	if err := b.works(ctx, "shop"); err != nil {
		t.Errorf("without anybody's memory, not all are resumed: %v", err)
	}
}

func TestErrors(t *testing.T) {
	b := startBouncer(t, "shop")
	for name, test := range map[string]struct {
		change func(*safepoint.Service) string
		want   string
	}{
		"password": {func(*safepoint.Service) string { return "wr0ng" }, "App pool refused admin: SASL authentication failed."},
		"no admin": {func(s *safepoint.Service) string { s.User = "app"; return "app" }, "App pool refused app: "},
		"no pool":  {func(s *safepoint.Service) string { s.DBName = `no"such; RESUME`; return password }, `App pool did not pause the pool no"such; RESUME: no such database: no"such; RESUME.`},
		"host":     {func(s *safepoint.Service) string { s.Host = "169.254.169.254"; return password }, "App pool is at 169.254.169.254, an address to which nothing is sent."},
		"refused":  {func(s *safepoint.Service) string { s.Host, s.Port = "127.0.0.1", 1; return password }, "App pool could not be reached: nothing listens at 127.0.0.1, port 1."},
	} {
		t.Run(name, func(t *testing.T) {
			s := b.service("shop", 20*time.Second)
			key := test.change(&s)
			h, err := New(s, key)
			if err != nil {
				t.Fatal(err)
			}
			err = h.Halt(t.Context(), halt.Request{})
			if err == nil || !strings.HasPrefix(safepoint.UserError(err).Message, test.want) || strings.Contains(err.Error(), key) && key != "app" {
				t.Errorf("got  %v\nwant %s", err, test.want)
			}
		})
	}
	for field, s := range map[string]safepoint.Service{"host": {User: "a"}, "port": {Host: "h", User: "a", Port: 70000}, "user": {Host: "h"}} {
		if _, err := New(s, ""); safepoint.ErrorCode(err) != safepoint.CodeInvalid || safepoint.UserError(err).Field != field {
			t.Errorf("%s: %v", field, err)
		}
	}
}
