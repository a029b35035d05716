package e2e

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/api/wire"
	"github.com/safepoint-db/safepoint/internal/app"
	"github.com/safepoint-db/safepoint/internal/client"
	"github.com/safepoint-db/safepoint/internal/pgtest"
	"github.com/safepoint-db/safepoint/internal/server"
)

func TestMain(m *testing.M) {
	code := pgtest.Main(m)
	if bin, err := program(); code == 0 || err == nil {
		os.RemoveAll(filepath.Dir(bin))
	}
	os.Exit(code)
}

// program builds the safepoint program, once.
var program = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "safepoint-e2e-")
	if err != nil {
		return "", err
	}
	bin := filepath.Join(dir, "safepoint")
	out, err := exec.Command("go", "build", "-o", bin, "../../cmd/safepoint").CombinedOutput()
	if err != nil {
		return "", errors.Join(fmt.Errorf("build safepoint: %w\n%s", err, out), os.RemoveAll(dir))
	}
	return bin, nil
})

const (
	email    = "rahel@harbor.example"
	password = "seven tugboats at anchor"
)

// bench is a running server with an admin, an API client and, once openTill was called, a service.
type bench struct {
	*server.Server
	t     *testing.T
	data  string
	cfg   server.Config
	token string
	api   *client.Client
	log   *syncBuffer
	seen  *recorder // every answer of the API
	stop  func() error
	till  *till
}

// start runs a server in the test's process. A cfg with the DataDir of an earlier bench needs that one's token.
func start(t *testing.T, cfg server.Config, token string) *bench {
	t.Helper()
	b := &bench{t: t, log: &syncBuffer{}, token: token}
	cfg.DataDir = cmp.Or(cfg.DataDir, filepath.Join(t.TempDir(), "data"))
	cfg.Addr, cfg.Version = "127.0.0.1:0", "test"
	cfg.Log = slog.New(slog.NewJSONHandler(b.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	b.cfg, b.data = cfg, cfg.DataDir
	ctx, cancel := context.WithCancel(context.Background())
	s, err := server.Open(ctx, cfg)
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	b.Server = s
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	b.stop = sync.OnceValue(func() error {
		cancel()
		return errors.Join(<-ended, s.Close())
	})
	t.Cleanup(func() {
		if err := b.stop(); err != nil {
			t.Errorf("stop the server: %v", err)
		}
		if t.Failed() {
			t.Logf("the server's log, without requests:\n%s", b.log.without(`"msg":"request"`))
		}
	})
	b.signIn()
	return b
}

// signIn makes the first admin and a token, unless there is one.
func (b *bench) signIn() {
	b.t.Helper()
	if b.token == "" {
		ctx := b.t.Context()
		session, err := b.App.Setup(ctx, app.Setup{
			Code: b.SetupCode(), Email: email, Name: "Rahel", Password: password, Organization: "Harbor", TimeZone: "UTC",
		}, "127.0.0.1", "e2e")
		b.must(err)
		actor, err := b.App.Session(ctx, session, "127.0.0.1")
		b.must(err)
		_, b.token, err = b.App.CreateToken(ctx, actor, "e2e", 0)
		b.must(err)
	}
	b.seen = &recorder{next: http.DefaultTransport.(*http.Transport).Clone()}
	b.t.Cleanup(b.seen.next.(*http.Transport).CloseIdleConnections)
	var err error
	b.api, err = client.New(client.Config{URL: "http://" + b.Addr(), Token: b.token, HTTP: &http.Client{Transport: b.seen}})
	b.must(err)
}

func (b *bench) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

// openTill adds a service that the server's restores halt and resume.
func (b *bench) openTill() {
	b.t.Helper()
	b.till = startTill(b.t)
	svc := must(b.api.CreateService(b.t.Context(), wire.ServiceInput{
		Name: "till", Kind: "webhook", HaltURL: b.till.URL + "/halt", ResumeURL: b.till.URL + "/resume", HealthURL: b.till.URL + "/health",
	}))(b.t)
	b.till.setSecret(svc.Secret)
}

// wait waits for the end of an operation.
func (b *bench) wait(id string) wire.Operation {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), 90*time.Second)
	defer cancel()
	op, err := b.api.Wait(ctx, id, 20*time.Millisecond, nil)
	if err != nil {
		b.t.Fatalf("wait for %s: %v (%s %s, step %q)", id, err, op.Type, op.Status, op.Step)
	}
	return op
}

// reaches waits until an operation is as condition says.
func (b *bench) reaches(id, what string, condition func(wire.Operation) bool) {
	b.t.Helper()
	eventually(b.t, what, func() bool { return condition(must(b.api.Operation(b.t.Context(), id))(b.t)) })
}

func (b *bench) operations(f safepoint.OperationFilter) []wire.Operation {
	b.t.Helper()
	f.Limit = 200
	return must(b.api.Operations(b.t.Context(), f))(b.t).Items
}

// answers checks that the console and the API are there for people.
func (b *bench) answers() {
	b.t.Helper()
	for path, status := range map[string]int{"/healthz": 200, "/signin": 200, "/openapi.json": 200, "/api/v1/me": 401} {
		resp, err := b.seen.RoundTrip(must(http.NewRequestWithContext(b.t.Context(), http.MethodGet, "http://"+b.Addr()+path, nil))(b.t))
		b.must(err)
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if resp.StatusCode != status {
			b.t.Errorf("%s answers %d", path, resp.StatusCode)
		}
	}
}

// must unwraps a result whose error ends the test: must(f())(t).
func must[T any](v T, err error) func(t testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(60 * time.Second); !condition(); {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain: %s", what)
		}
		<-time.After(10 * time.Millisecond)
	}
}

// wantRefusal checks an API's error: its code, and that its text is for people and names things.
func wantRefusal(t *testing.T, err error, code safepoint.Code, words ...string) {
	t.Helper()
	var e *safepoint.Error
	if !errors.As(err, &e) {
		t.Errorf("refused with %v, want an error with code %s", err, code)
		return
	}
	wantWords(t, &wire.Failure{Code: string(e.Code), Message: e.Message, Hint: e.Hint}, code, words...)
}

// wantFailed checks how an operation failed.
func wantFailed(t *testing.T, op wire.Operation, code safepoint.Code, words ...string) {
	t.Helper()
	status := "failed"
	if code == safepoint.CodeCancelled {
		status = "cancelled"
	}
	if op.Status != status || op.Failure == nil {
		t.Errorf("%s of %s ended %s (%+v), want %s", op.Type, op.DatabaseName, op.Status, op.Failure, status)
		return
	}
	wantWords(t, op.Failure, code, words...)
}

// machine are words that nobody should read who is not a programmer.
var machine = []string{"%!", "EOF", "context canceled", "context deadline", "syscall", "errno", "dial tcp", "dial unix", "read tcp",
	"goroutine", "0x", "<nil>", "sql:", "SQLITE_", "no such file", "input/output", "Something broke"}

func wantWords(t *testing.T, f *wire.Failure, code safepoint.Code, words ...string) {
	t.Helper()
	text := f.Message + " " + f.Hint
	t.Logf("%s: %s", f.Code, text)
	if f.Code != string(code) {
		t.Errorf("code %s, want %s: %s", f.Code, code, text)
	}
	for _, w := range words {
		if !strings.Contains(text, w) {
			t.Errorf("%q does not name %q", text, w)
		}
	}
	for _, w := range machine {
		if strings.Contains(text, w) {
			t.Errorf("%q speaks of %q", text, w)
		}
	}
	if !strings.HasSuffix(strings.TrimSuffix(f.Message, ")"), ".") || f.Hint == "" && code != safepoint.CodeCancelled {
		t.Errorf("%q (hint %q) is not a sentence with a way out", f.Message, f.Hint)
	}
}

// syncBuffer collects a log.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func (s *syncBuffer) without(word string) string {
	var kept strings.Builder
	for line := range strings.Lines(s.String()) {
		if !strings.Contains(line, word) {
			kept.WriteString(line)
		}
	}
	return kept.String()
}

// recorder keeps the head and the first MiB of the body of every answer.
type recorder struct {
	next http.RoundTripper
	mu   sync.Mutex
	text bytes.Buffer
}

func (r *recorder) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := r.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	fmt.Fprintf(&r.text, "\n%s %s %s\n", req.Method, req.URL.Path, resp.Status)
	resp.Header.Write(&r.text)
	resp.Body = &tee{ReadCloser: resp.Body, to: r, left: 1 << 20}
	return resp, nil
}

func (r *recorder) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.String()
}

type tee struct {
	io.ReadCloser
	to   *recorder
	left int
}

func (t *tee) Read(p []byte) (int, error) {
	n, err := t.ReadCloser.Read(p)
	t.to.mu.Lock()
	defer t.to.mu.Unlock()
	keep := min(n, t.left)
	t.to.text.Write(p[:keep])
	t.left -= keep
	return n, err
}
