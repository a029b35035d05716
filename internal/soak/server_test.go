package soak

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/safepoint-db/safepoint/internal/app"
	"github.com/safepoint-db/safepoint/internal/client"
	"github.com/safepoint-db/safepoint/internal/server"
)

// buildFaulty builds the program with its fault points, once.
var buildFaulty = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "safepoint-soak-")
	if err != nil {
		return "", err
	}
	bin := filepath.Join(dir, "safepoint")
	// With make's own tags, or Go compiles everything once more.
	out, err := exec.Command("go", "build", "-tags", "faultpoints,netgo,osusergo", "-o", bin, "../../cmd/safepoint").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build with fault points: %w\n%s", err, out)
	}
	return bin, nil
})

// process is a server of its own, which can be killed, stopped and made to fail.
type process struct {
	bin, data, addr, faults string
	env                     []string
	cmd                     *exec.Cmd
	pid                     atomic.Int64
	log                     journal
	dead                    chan struct{}
	nth                     int
}

// journal is what a process printed since it was started last, and all that it ever printed for whoever looks for secrets.
type journal struct {
	mu  sync.Mutex
	now bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.now.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.now.String()
}

func (j *journal) reset() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.now.Reset()
}

// setUp makes a data directory with an admin and two organizations, and returns an API token for each.
func setUp(t *testing.T, data string) (token, otherToken string) {
	t.Helper()
	ctx := context.Background()
	s, err := server.Open(ctx, server.Config{DataDir: data, Addr: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	session, err := s.App.Setup(ctx, app.Setup{
		Code: s.SetupCode(), Email: "soak@example.com", Name: "Soak", Password: "correct horse battery",
		Organization: "Soak", TimeZone: "UTC",
	}, "127.0.0.1", "soak")
	if err != nil {
		t.Fatal(err)
	}
	newToken := func() string {
		actor, err := s.App.Session(ctx, session, "127.0.0.1")
		if err != nil {
			t.Fatal(err)
		}
		_, secret, err := s.App.CreateToken(ctx, actor, "soak", 0)
		if err != nil {
			t.Fatal(err)
		}
		return secret
	}
	token = newToken()
	actor, err := s.App.Session(ctx, session, "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	other, err := s.App.CreateOrganization(ctx, actor, "Other", "UTC")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.App.SwitchOrganization(ctx, actor, session, other.ID); err != nil {
		t.Fatal(err)
	}
	return token, newToken()
}

func newProcess(t *testing.T, data string) *process {
	t.Helper()
	bin, err := buildFaulty()
	if err != nil {
		t.Fatal(err)
	}
	return &process{bin: bin, data: data, addr: freeAddr(t), faults: data + ".fault"}
}

func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// arm chooses the fault that strikes next, "" for none.
func (p *process) arm(t *testing.T, spec string) {
	t.Helper()
	os.Remove(p.faults + ".met")
	if spec == "" {
		os.Remove(p.faults)
		return
	}
	p.nth++
	temp := p.faults + ".new"
	if err := os.WriteFile(temp, fmt.Appendf(nil, "%s#%d", spec, p.nth), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(temp, p.faults); err != nil {
		t.Fatal(err)
	}
}

// met says whether the fault has struck.
func (p *process) met() bool {
	_, err := os.Stat(p.faults + ".met")
	return err == nil
}

// launch runs the server.
func (p *process) launch(t *testing.T) {
	t.Helper()
	p.log.reset()
	p.cmd = exec.Command(p.bin, "serve", "--data", p.data, "--addr", p.addr)
	p.cmd.Env = append(append(os.Environ(), "SAFEPOINT_FAULT_FILE="+p.faults), p.env...)
	p.cmd.Stdout, p.cmd.Stderr = &p.log, &p.log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	dead := make(chan struct{})
	p.dead = dead
	started := make(chan error)
	go runOnThread(p.cmd, started, dead)
	if err := <-started; err != nil {
		t.Fatal(err)
	}
	p.pid.Store(int64(p.cmd.Process.Pid))
}

// start launches the server and waits until it answers, or is dead because the fault was met at once.
func (p *process) start(t *testing.T) {
	t.Helper()
	p.launch(t)
	for deadline := time.Now().Add(20 * time.Second); ; {
		resp, err := http.Get("http://" + p.addr + "/healthz")
		if err == nil {
			resp.Body.Close()
			return
		}
		select {
		case <-p.dead:
			return
		case <-time.After(5 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatalf("the server does not answer:\n%s", p.log.String())
		}
	}
}

// kill ends the server as a power cut would, unless it is dead already.
func (p *process) kill() {
	p.cmd.Process.Kill()
	<-p.dead
}

// state is the process's as in /proc: "T" is stopped, "" is none.
func (p *process) state() string {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(p.cmd.Process.Pid) + "/stat")
	if err != nil {
		return ""
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	return rest[:1]
}

// resume lets a stopped server go on.
func (p *process) resume() { p.cmd.Process.Signal(syscall.SIGCONT) }

// client connects anew for each call: a connection to a process that was killed must not cost the next one a call.
func (p *process) client(t *testing.T, token string) *client.Client {
	t.Helper()
	c, err := client.New(client.Config{URL: "http://" + p.addr, Token: token, HTTP: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}})
	if err != nil {
		t.Fatal(err)
	}
	return c
}
