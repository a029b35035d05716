package web

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/event"
)

// liveApp is a sample whose restore moves on while a stream looks at it.
type liveApp struct {
	*fake
	mu    sync.Mutex
	op    safepoint.Operation
	ended bool
}

func (l *liveApp) set(change func()) {
	l.mu.Lock()
	change()
	l.mu.Unlock()
	l.hub.Publish(event.Event{OrganizationID: l.actor.OrganizationID, Kind: "operation", ID: l.op.ID})
}

func (l *liveApp) Operation(ctx context.Context, a safepoint.Actor, id string) (safepoint.Operation, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if id == l.op.ID {
		return l.op, nil
	}
	return l.fake.Operation(ctx, a, id)
}

func (l *liveApp) Session(ctx context.Context, session, ip string) (safepoint.Actor, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		session = ""
	}
	return l.fake.Session(ctx, session, ip)
}

type message struct{ name, data string }

// follow opens a stream on a real connection. The channel is closed when the stream ends.
func follow(t *testing.T, url, page string) <-chan message {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "GET", url+"/events?page="+page, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.AddCookie(&http.Cookie{Name: plainCookie, Value: "s-admin"})
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if ct := res.Header.Get("Content-Type"); res.StatusCode != 200 || !strings.HasPrefix(ct, "text/event-stream") {
		t.Fatalf("%d %s", res.StatusCode, ct)
	}
	out := make(chan message, 1000)
	go func() {
		defer close(out)
		defer res.Body.Close()
		var m message
		for sc := bufio.NewScanner(res.Body); sc.Scan(); {
			switch line := sc.Text(); {
			case line == "":
				out <- m
				m = message{}
			case strings.HasPrefix(line, "event: "):
				m.name = line[7:]
			case strings.HasPrefix(line, "data: "):
				m.data += line[6:] + "\n"
			}
		}
	}()
	return out
}

// wait takes messages until one of the name holds the words.
func wait(t *testing.T, in <-chan message, name, words string) message {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		select {
		case m, ok := <-in:
			if !ok {
				t.Fatalf("the stream ended before %s with %q", name, words)
			}
			if m.name == name && strings.Contains(m.data, words) {
				return m
			}
		case <-deadline:
			t.Fatalf("no %s with %q", name, words)
		}
	}
}

func liveServer(t *testing.T, l *liveApp, stopping chan struct{}) *httptest.Server {
	t.Helper()
	s, err := newServer(Config{App: l, Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return testNow }, Stopping: stopping})
	if err != nil {
		t.Fatal(err)
	}
	s.beat = 50 * time.Millisecond
	ts := httptest.NewUnstartedServer(secureHeaders(s.mux))
	ts.Config.WriteTimeout = 300 * time.Millisecond // a stream outlives the limit on pages
	ts.Start()
	t.Cleanup(ts.Close)
	return ts
}

func newLive() *liveApp {
	f := restoring(safepoint.StepStage, 30)
	return &liveApp{fake: f, op: f.ops[0]}
}

func TestStream(t *testing.T) {
	l := newLive()
	stopping := make(chan struct{})
	in := follow(t, liveServer(t, l, stopping).URL, "/restores/op_now")
	first := wait(t, in, "patch", "Step 2 of 8, restoring into staging")
	for _, piece := range []string{`id="live"`, `id="around"`, `id="clock"`, `data-title="30%`} {
		if !strings.Contains(first.data, piece) {
			t.Errorf("the first message has no %s", piece)
		}
	}
	wait(t, in, "beat", "15:14:00")
	l.set(func() { l.op.Step, l.op.Progress.Phase, l.op.Progress.Percent = safepoint.StepVerify, "verify", 55 })
	wait(t, in, "patch", "Step 3 of 8, verifying")
	wait(t, in, "say", "50 percent, Step 3 of 8, verifying")
	for range 10 { // half a second of beats: longer than the server's write limit
		wait(t, in, "beat", "")
	}
	l.set(func() { l.op.Status, l.op.FinishedAt, l.op.Switched = safepoint.StatusSucceeded, testNow, true })
	wait(t, in, "patch", "harbor_prod is back to")
	wait(t, in, "say", "harbor_prod is back to")
	close(stopping)
	ends(t, in)
}

func ends(t *testing.T, in <-chan message) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		select {
		case _, ok := <-in:
			if !ok {
				return
			}
		case <-deadline:
			t.Fatal("the stream did not end")
		}
	}
}

// TestStreamSignedOut: a stream ends with its session, and sends the browser to the page, which asks to sign in.
func TestStreamSignedOut(t *testing.T) {
	l := newLive()
	in := follow(t, liveServer(t, l, nil).URL, "/restores/op_now")
	wait(t, in, "patch", "")
	l.set(func() { l.ended = true })
	wait(t, in, "done", "/restores/op_now")
	ends(t, in)
}

// TestStreamOfManyPages: one connection follows what several tabs show. Each page gets what is its own, and a page that
// is not there ends alone.
func TestStreamOfManyPages(t *testing.T) {
	l := newLive()
	in := follow(t, liveServer(t, l, nil).URL, "/restores/op_now&page=/logs&page=/logs/op_gone&page=/backups&page=/logs")
	patches := map[string]int{}
	for range 4 {
		m := <-in
		page, _, _ := strings.Cut(m.data, "\n")
		patches[m.name+" "+page]++
	}
	if want := map[string]int{"patch /restores/op_now": 1, "patch /logs": 1, "patch /backups": 1, "done /logs/op_gone": 1}; !maps.Equal(patches, want) {
		t.Fatalf("got %v", patches)
	}
	wait(t, in, "beat", "15:14:00")
	l.set(func() { l.op.Step, l.op.Progress.Phase, l.op.Progress.Percent = safepoint.StepVerify, "verify", 55 })
	wait(t, in, "patch", "/restores/op_now\n")
	wait(t, in, "say", "/restores/op_now\nRestoring harbor_prod, 50 percent, Step 3 of 8, verifying")
}

// TestStreamBounds: a stream follows pages of this console, and not any number of them.
func TestStreamBounds(t *testing.T) {
	h := newTestServer(t, sample())
	many := "page=/backups"
	for i := range maxPages {
		many += fmt.Sprintf("&page=/logs/%d", i)
	}
	for query, status := range map[string]int{"": 422, many: 422, "page=https://x.example/backups": 404, "page=backups": 404, "page=/a%0Aevent:+x": 404} {
		if w := ask(h, "s-admin", "GET", "/events?"+query, nil); w.Code != status {
			t.Errorf("%.60s: %d, want %d", query, w.Code, status)
		}
	}
}

// TestStreamPages: every live page can be followed, and nothing else.
func TestStreamPages(t *testing.T) {
	url := liveServer(t, newLive(), nil).URL
	for _, route := range Routes() {
		if route.Method != "GET" {
			continue
		}
		page := target(route.Pattern)
		if strings.HasPrefix(page, "/events") {
			continue
		}
		in := follow(t, url, page)
		if route.Live {
			wait(t, in, "patch", `id="live"`)
		} else {
			wait(t, in, "done", page)
		}
	}
}
