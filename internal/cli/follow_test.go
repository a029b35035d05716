package cli

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/safepoint-db/safepoint/internal/api/wire"
	"github.com/safepoint-db/safepoint/internal/server"
)

// restartable is a server that can be stopped and started again at the same address.
type restartable struct {
	*server.Server
	dir, addr string
	stop      func()
	ended     chan error
}

func startRestartable(t *testing.T) *restartable {
	t.Helper()
	r := &restartable{dir: t.TempDir(), addr: "127.0.0.1:0"}
	r.start(t)
	t.Cleanup(func() { r.end(t) })
	return r
}

func (r *restartable) start(t *testing.T) {
	t.Helper()
	s, err := server.Open(context.Background(), server.Config{DataDir: r.dir, Addr: r.addr, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	r.Server, r.stop, r.ended = s, stop, make(chan error, 1)
	go func() { r.ended <- s.Run(ctx) }()
	u, err := url.Parse(s.URL())
	if err != nil {
		t.Fatal(err)
	}
	r.addr = u.Host
}

func (r *restartable) end(t *testing.T) {
	t.Helper()
	r.stop()
	if err := errors.Join(<-r.ended, r.Close()); err != nil {
		t.Error(err)
	}
}

// running is a command that has not ended.
type running struct {
	lines     chan string // its standard output
	said      *heard      // its standard error
	code      chan int
	interrupt func()
}

// heard is what was written so far.
type heard struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (h *heard) Write(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.buf.Write(p)
}

func (h *heard) String() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.buf.String()
}

func begin(t *testing.T, args ...string) *running {
	t.Helper()
	ctx, cancel := context.WithCancelCause(context.Background())
	out, in := io.Pipe()
	r := &running{lines: make(chan string, 100), said: &heard{}, code: make(chan int, 1), interrupt: func() { cancel(signalled{os.Interrupt}) }}
	go func() {
		r.code <- run(ctx, args, &Env{In: strings.NewReader(""), Out: in, Err: r.said})
		in.Close()
	}()
	go func() {
		defer close(r.lines)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			r.lines <- lines.Text()
		}
	}()
	t.Cleanup(r.interrupt)
	return r
}

// want waits for a line, the next one, that matches pattern.
func (r *running) want(t *testing.T, pattern string) string {
	t.Helper()
	select {
	case line := <-r.lines:
		if !regexp.MustCompile(pattern).MatchString(line) {
			t.Fatalf("printed %q, want %s; standard error: %s", line, pattern, r.said)
		}
		return line
	case <-time.After(time.Minute):
		t.Fatalf("no line like %s within a minute; standard error: %s", pattern, r.said)
	}
	return ""
}

// ends interrupts it, and wants it to end with the exit code of that and no complaint.
func (r *running) ends(t *testing.T) {
	t.Helper()
	r.interrupt()
	if code := <-r.code; code != exitInterrupted {
		t.Errorf("exit code %d", code)
	}
	if strings.Contains(r.said.String(), "interrupt") {
		t.Errorf("said: %s", r.said)
	}
}

// do runs a command to its end and returns what it printed.
func do(t *testing.T, args ...string) string {
	t.Helper()
	var out, said bytes.Buffer
	if code := run(t.Context(), args, &Env{In: strings.NewReader(""), Out: &out, Err: &said}); code != exitOK {
		t.Fatalf("safepoint %s: exit code %d: %s", strings.Join(args, " "), code, said.String())
	}
	return out.String()
}

// TestFollow follows DB Logs and the state of the services over a restart of the server, as lines and as JSON.
func TestFollow(t *testing.T) {
	s := startRestartable(t)
	token := firstAdmin(t, s.Server)
	on := func(args ...string) []string { return append(args, "--url", s.URL(), "--token", token) }
	shop := filepath.Join(t.TempDir(), "shop.db")
	if err := runSQL(shop, "CREATE TABLE orders (id INTEGER PRIMARY KEY)"); err != nil {
		t.Fatal(err)
	}
	do(t, on("database", "add", "shop", "sqlite://"+shop)...)
	backup := func() (o wire.Operation) {
		t.Helper()
		if err := json.Unmarshal([]byte(do(t, on("--json", "backup", "shop", "--wait")...)), &o); err != nil {
			t.Fatal(err)
		}
		return o
	}
	first := backup()

	logs := begin(t, on("logs", "--follow")...)
	restores := begin(t, on("logs", "--follow", "--type", "restore")...)
	ended := begin(t, on("logs", "--follow", "--json", "--status", "succeeded", "--text", "SHOP_")...)
	state := begin(t, on("state", "--follow")...)
	stateJSON := begin(t, on("state", "--follow", "--json")...)
	logs.want(t, first.ID+`  Backup +Manual +Succeeded  shop  took .*B$`)
	ended.want(t, `"id":"`+first.ID+`".*"status":"succeeded"`)
	state.want(t, "^operating$")
	stateJSON.want(t, `^{"state":"operating"}$`)

	untilEnd := func(id string) {
		t.Helper()
		for !strings.Contains(logs.want(t, id), "Succeeded") {
		}
	}
	second := backup()
	untilEnd(second.ID)
	ended.want(t, `"id":"`+second.ID+`".*"status":"succeeded"`)

	s.end(t)
	waitFor(t, func() bool {
		return strings.Contains(logs.said.String(), "Trying again") && strings.Contains(state.said.String(), "Trying again")
	})
	s.start(t)
	third := backup()
	untilEnd(third.ID)
	ended.want(t, `"id":"`+third.ID+`".*"status":"succeeded"`)
	waitFor(t, func() bool {
		return strings.Contains(logs.said.String(), "answers again") && strings.Contains(state.said.String(), "answers again")
	})

	for _, r := range []*running{logs, restores, ended, state, stateJSON} {
		r.ends(t)
		for line := range r.lines {
			t.Errorf("one more line: %s", line)
		}
	}
	if ended.said.String() != "" {
		t.Errorf("with --json: %s", ended.said)
	}

	// What no waiting mends ends it.
	refused := begin(t, "logs", "--follow", "--url", s.URL(), "--token", "sp_wrong")
	if code := <-refused.code; code != exitDenied {
		t.Errorf("with a wrong token: exit code %d", code)
	}
}

// waitFor waits until ok, asking again and again.
func waitFor(t *testing.T, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(time.Minute); !ok(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatal("waited a minute in vain")
		}
	}
}
