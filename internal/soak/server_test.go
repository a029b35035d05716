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
	"sync"
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
	out, err := exec.Command("go", "build", "-tags", "faultpoints", "-o", bin, "../../cmd/safepoint").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build with fault points: %w\n%s", err, out)
	}
	return bin, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if bin, err := buildFaulty(); err == nil {
		os.RemoveAll(filepath.Dir(bin))
	}
	os.Exit(code)
}

// process is a server of its own, which can be killed.
type process struct {
	bin, data, addr string
	cmd             *exec.Cmd
	log             bytes.Buffer
	dead            chan struct{}
}

// setUp makes a data directory with an admin and an organization, and returns an API token.
func setUp(t *testing.T, data string) string {
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

func newProcess(t *testing.T, data string) *process {
	t.Helper()
	bin, err := buildFaulty()
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return &process{bin: bin, data: data, addr: l.Addr().String()}
}

// start runs the server with a fault ("" for none) and waits until it answers.
func (p *process) start(t *testing.T, fault string) {
	t.Helper()
	p.log.Reset()
	p.cmd = exec.Command(p.bin, "serve", "--data", p.data, "--addr", p.addr)
	p.cmd.Env = append(os.Environ(), "SAFEPOINT_FAULT="+fault)
	p.cmd.Stdout, p.cmd.Stderr = &p.log, &p.log
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p.dead = make(chan struct{})
	go func(cmd *exec.Cmd, dead chan struct{}) {
		cmd.Wait()
		close(dead)
	}(p.cmd, p.dead)
	for deadline := time.Now().Add(20 * time.Second); ; {
		resp, err := http.Get("http://" + p.addr + "/healthz")
		if err == nil {
			resp.Body.Close()
			return
		}
		select {
		case <-p.dead:
			return // the fault was met at once
		case <-time.After(20 * time.Millisecond):
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

// client connects anew for each call: a connection to a process that was killed must not cost the next one a call.
func (p *process) client(t *testing.T, token string) *client.Client {
	t.Helper()
	c, err := client.New(client.Config{URL: "http://" + p.addr, Token: token, HTTP: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}})
	if err != nil {
		t.Fatal(err)
	}
	return c
}
