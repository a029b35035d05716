package measure

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/safepoint-db/safepoint/internal/api/wire"
	"github.com/safepoint-db/safepoint/internal/app"
	"github.com/safepoint-db/safepoint/internal/client"
	"github.com/safepoint-db/safepoint/internal/pgserver"
	"github.com/safepoint-db/safepoint/internal/pgtest"
	"github.com/safepoint-db/safepoint/internal/server"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

// limit is the memory that a server may take, whatever the database's size: DESIGN.md section 7.
const limit = 128 << 20

func TestBackupAndRestore(t *testing.T) {
	scale, err := strconv.Atoi(os.Getenv("SAFEPOINT_MEASURE"))
	if err != nil {
		t.Skip("measures only on demand: make measure SCALE=75, or SAFEPOINT_MEASURE=75 go test -v ./internal/measure")
	}
	ctx := context.Background()
	cluster := pgtest.Start(t, pgserver.Options{Settings: map[string]string{"shared_buffers": "512MB", "max_wal_size": "4GB"}})
	target := pgtest.CreateNamed(t, cluster, "bench")
	if out, err := cluster.Tool(ctx, "pgbench", "bench", "-i", "-q", "-s", strconv.Itoa(scale)).CombinedOutput(); err != nil {
		t.Fatalf("pgbench: %v\n%s", err, out)
	}
	size, _ := strconv.ParseInt(pgtest.Query(t, target, `SELECT pg_database_size('bench')`)[0], 10, 64)

	data := filepath.Join(t.TempDir(), "data")
	token := setUp(t, data)
	p := start(t, data)
	c, err := client.New(client.Config{URL: "http://" + p.addr, Token: token})
	if err != nil {
		t.Fatal(err)
	}
	db, err := c.CreateDatabase(ctx, wire.DatabaseInput{Name: "bench", Engine: "postgres", Host: target.Host, Port: target.Port, User: target.User, DBName: "bench", TLS: "disable"})
	if err != nil {
		t.Fatal(err)
	}
	op, err := c.StartBackup(ctx, db.ID)
	if err != nil {
		t.Fatal(err)
	}
	b := p.follow(t, c, op.ID)
	if op, err = c.StartRestore(ctx, b.ID, wire.RestoreInput{Confirm: "bench"}); err != nil {
		t.Fatal(err)
	}
	r := p.follow(t, c, op.ID)
	undo, err := c.StartUndo(ctx, r.ID)
	if err != nil {
		t.Fatal(err)
	}
	u := p.follow(t, c, undo.ID)
	own, children := p.peaks(t)
	journal, err := c.Journal(ctx, r.ID)
	if err != nil {
		t.Fatal(err)
	}

	t.Logf("database %s on disk, %s of SQL, file %s", mib(size), mib(b.RawSize), mib(b.Size))
	t.Logf("backup %.1f s, restore %.1f s (halted %.1f s, safety backup included), undo %.2f s", b.DurationSeconds, r.DurationSeconds, r.ResumedAt.Sub(r.HaltedAt).Seconds(), u.DurationSeconds)
	for _, e := range journal {
		t.Logf("  %s %-7s %-6s %s", e.At.Format("15:04:05.000"), e.Step, e.Event, e.Detail)
	}
	t.Logf("peak memory: server %s; largest of its pg_dump and pg_restore %s", mib(own), mib(children))
	if own > limit {
		t.Errorf("the server took %s, more than %s", mib(own), mib(limit))
	}
}

func mib(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }

func setUp(t *testing.T, data string) (token string) {
	t.Helper()
	ctx := context.Background()
	s, err := server.Open(ctx, server.Config{DataDir: data, Addr: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	session, err := s.App.Setup(ctx, app.Setup{Code: s.SetupCode(), Email: "measure@example.com", Name: "Measure",
		Password: "correct horse battery", Organization: "Measure", TimeZone: "UTC"}, "127.0.0.1", "measure")
	if err != nil {
		t.Fatal(err)
	}
	by, err := s.App.Session(ctx, session, "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	if _, token, err = s.App.CreateToken(ctx, by, "measure", 0); err != nil {
		t.Fatal(err)
	}
	return token
}

// process is the server under measurement.
type process struct {
	addr string
	cmd  *exec.Cmd

	mu       sync.Mutex
	children int64 // largest peak of a child seen
}

func start(t *testing.T, data string) *process {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "safepoint")
	build := exec.Command("go", "build", "-o", bin, "../../cmd/safepoint")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &process{addr: l.Addr().String()}
	l.Close()
	p.cmd = exec.Command(bin, "serve", "--data", data, "--addr", p.addr)
	p.cmd.Stdout, p.cmd.Stderr = os.Stderr, os.Stderr
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(20 * time.Second); ; {
		conn, err := net.Dial("tcp", p.addr)
		if err == nil {
			conn.Close()
			break
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Millisecond) // between two looks, for an event of another process
	}
	watching, stop := context.WithCancel(context.Background())
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		p.watchChildren(watching)
	}()
	t.Cleanup(func() {
		stop()
		<-watched
		p.cmd.Process.Kill()
		p.cmd.Wait()
	})
	return p
}

// follow waits until an operation succeeded.
func (p *process) follow(t *testing.T, c *client.Client, id string) wire.Operation {
	t.Helper()
	op, err := c.Wait(context.Background(), id, 100*time.Millisecond, nil)
	if err != nil || op.Status != "succeeded" {
		t.Fatalf("%s %s: %v, %+v", op.Type, op.Status, err, op.Failure)
	}
	own, _ := p.peaks(t)
	t.Logf("after the %s (%s): peak %s", op.Type, op.Trigger, mib(own))
	return op
}

// peaks are the highest resident sizes of the server and of its largest child, in bytes.
func (p *process) peaks(t *testing.T) (own, children int64) {
	t.Helper()
	own = peak(p.cmd.Process.Pid)
	if own == 0 {
		t.Fatal("the server's memory cannot be read")
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return own, p.children
}

func (p *process) watchChildren(ctx context.Context) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", p.cmd.Process.Pid))
		for _, task := range tasks {
			pids, _ := os.ReadFile(task)
			for _, pid := range strings.Fields(string(pids)) {
				n, _ := strconv.Atoi(pid)
				p.mu.Lock()
				p.children = max(p.children, peak(n))
				p.mu.Unlock()
			}
		}
	}
}

// peak reads VmHWM, the kernel's highest count of a process's resident memory, in bytes; 0 if it is gone.
func peak(pid int) int64 {
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kb, _ := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			return kb << 10
		}
	}
	return 0
}
