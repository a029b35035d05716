package gate_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/gate"
	"github.com/safepoint-db/safepoint/internal/halt"
	"github.com/safepoint-db/safepoint/internal/halt/halttest"
	"github.com/safepoint-db/safepoint/internal/halt/webhook"
)

// console is a state stream whose server can be taken away: what a gate does then. That it follows a real server is shown
// in internal/e2e.
type console struct {
	*httptest.Server
	mu      sync.Mutex
	state   string
	changed chan struct{}
	streams int
	refuse  int // a status; 0: none
}

func newConsole(t *testing.T) *console {
	t.Helper()
	c := &console{state: `{"state":"operating"}`, changed: make(chan struct{})}
	c.Server = httptest.NewServer(c)
	t.Cleanup(c.gone)
	return c
}

func (c *console) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	refuse := c.refuse
	c.mu.Unlock()
	switch {
	case refuse != 0 || r.Header.Get("Authorization") != "Bearer sp_viewer":
		http.Error(w, "no", max(refuse, http.StatusUnauthorized))
		return
	case r.URL.Path == "/api/v1/me":
		io.WriteString(w, `{"organization":{"id":"org_a"}}`)
		return
	case r.URL.Path != "/api/v1/organizations/org_a/state/events":
		http.NotFound(w, r)
		return
	}
	c.mu.Lock()
	c.streams++
	c.mu.Unlock()
	for {
		c.mu.Lock()
		state, changed := c.state, c.changed
		c.mu.Unlock()
		fmt.Fprintf(w, "event: state\ndata: %s\n\n", state)
		w.(http.Flusher).Flush()
		select {
		case <-r.Context().Done():
			return
		case <-changed:
		}
	}
}

func (c *console) set(state string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.state = state
	close(c.changed)
	c.changed = make(chan struct{})
}

// gone takes the server away.
func (c *console) gone() {
	c.CloseClientConnections()
	c.Close()
}

const halted = `{"state":"halted","since":"2026-11-22T14:16:00Z","reason":"Restoring <shop>","operation_id":"op_1"}`

func open(t *testing.T, cfg gate.Config) *gate.Gate {
	t.Helper()
	g, err := gate.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { g.Close() })
	return g
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(20 * time.Second); !is(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("not in time: %s", what)
		}
	}
}

func get(h http.Handler, accept string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header.Set("Accept", accept)
	h.ServeHTTP(w, r)
	return w
}

var sells = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "sold") })

// The gate follows the stream, and says to people, programs and clients what is going on.
func TestStream(t *testing.T) {
	c := newConsole(t)
	var hooks atomic.Int64
	g := open(t, gate.Config{URL: c.URL + "/", Token: "sp_viewer",
		OnHalt:   func(context.Context, gate.State) error { hooks.Add(1); return nil },
		OnResume: func(context.Context) error { hooks.Add(100); return nil }})
	app := g.Middleware(sells)
	if err := g.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	if w := get(app, ""); w.Code != 200 || w.Body.String() != "sold" {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	c.set(halted)
	eventually(t, "halted", func() bool { return get(app, "").Code == 503 })
	for accept, want := range map[string][]string{
		"text/html,*/*":    {"text/html; charset=utf-8", "Restoring &lt;shop&gt;", `http-equiv="refresh" content="5"`},
		"application/json": {"application/json", `"reason":"Restoring \u003cshop\u003e"`, `"retry_after_seconds":5`},
		"*/*":              {"text/plain; charset=utf-8", "Back in a moment. Restoring <shop>"},
	} {
		w := get(app, accept)
		all := w.Header().Get("Content-Type") + w.Body.String()
		for _, s := range want {
			if w.Code != 503 || w.Header().Get("Retry-After") != "5" || w.Header().Get("Cache-Control") != "no-store" || !strings.Contains(all, s) {
				t.Errorf("%s: %d %v %s, want %q", accept, w.Code, w.Header(), w.Body, s)
			}
		}
	}
	if s := g.State(); !s.Halted || s.OperationID != "op_1" || s.Reason != "Restoring <shop>" || s.Since.IsZero() || s.Heard.IsZero() {
		t.Errorf("%+v", s)
	}
	eventually(t, "the hook of the halt", func() bool { return hooks.Load() == 1 })
	waiting, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := g.Wait(waiting); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("waited: %v", err)
	}
	c.set(`{"state":"operating"}`)
	if err := g.Wait(t.Context()); err != nil || get(app, "").Code != 200 || hooks.Load() != 101 {
		t.Errorf("%v, hooks %d", err, hooks.Load())
	}
}

// Without the server, what it said last holds; it is found again when it is back.
func TestServerAway(t *testing.T) {
	c := newConsole(t)
	var log syncBuffer
	g := open(t, gate.Config{URL: c.URL, Token: "sp_viewer", OrganizationID: "org_a", Logger: slog.New(slog.NewTextHandler(&log, nil))})
	app := g.Middleware(sells)
	if err := g.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.mu.Lock()
	c.refuse = 503
	c.mu.Unlock()
	c.CloseClientConnections()
	eventually(t, "the loss is logged", func() bool { return strings.Contains(log.String(), "is not heard") })
	if w := get(app, ""); w.Code != 200 {
		t.Errorf("an application whose server is away answers %d", w.Code)
	}
	c.mu.Lock()
	c.refuse, c.state = 0, halted
	c.mu.Unlock()
	eventually(t, "halted, as the server says when it is back", func() bool { return get(app, "").Code == 503 })
	c.gone()
	eventually(t, "the loss is logged again", func() bool { return strings.Count(log.String(), "is not heard") >= 2 })
	if w := get(app, ""); w.Code != 503 {
		t.Errorf("a halt ended because the server is away: %d", w.Code)
	}
	if strings.Contains(log.String(), "sp_viewer") {
		t.Error("the token is in the log")
	}
}

func TestFailClosed(t *testing.T) {
	c := newConsole(t)
	c.gone()
	g := open(t, gate.Config{URL: c.URL, Token: "sp_viewer", FailClosedAfter: 100 * time.Millisecond})
	app := g.Middleware(sells)
	eventually(t, "closed", func() bool { return get(app, "").Code == 503 })
	if s := g.State(); !strings.Contains(s.Reason, "not been heard") {
		t.Errorf("%+v", s)
	}
	if w := get(open(t, gate.Config{URL: c.URL, Token: "sp_viewer"}).Middleware(sells), ""); w.Code != 200 {
		t.Errorf("open by default, and answers %d", w.Code)
	}
}

// shop is an application of one handler, told by webhook, whose requests can be held up.
type shop struct {
	*httptest.Server
	gate  *gate.Gate
	hold  atomic.Pointer[chan struct{}]
	began chan struct{}
}

const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo="

func newShop(t *testing.T, cfg gate.Config) *shop {
	t.Helper()
	s := &shop{gate: open(t, cfg), began: make(chan struct{}, 100)}
	hook, err := s.gate.WebhookHandler(secret)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/safepoint", hook)
	mux.Handle("/", s.gate.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if hold := s.hold.Load(); hold != nil && r.URL.Path == "/held" {
			s.began <- struct{}{}
			select {
			case <-*hold:
			case <-r.Context().Done():
				http.Error(w, context.Cause(r.Context()).Error(), http.StatusGatewayTimeout)
				return
			}
		}
		io.WriteString(w, "sold")
	})))
	s.Server = httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

func (s *shop) halter(t *testing.T, timeout time.Duration) halt.Halter {
	t.Helper()
	url := s.URL + "/safepoint"
	h, err := webhook.New(safepoint.Service{Name: "Storefront", Timeout: timeout, HaltURL: url, ResumeURL: url, HealthURL: url}, secret)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// held starts a request that stays under way until release is called; its answer is sent to the channel.
func (s *shop) held(t *testing.T) (release func(), answer <-chan string) {
	t.Helper()
	hold := make(chan struct{})
	s.hold.Store(&hold)
	got := make(chan string, 1)
	go func() {
		resp, err := http.Get(s.URL + "/held")
		if err != nil {
			got <- err.Error()
			return
		}
		defer resp.Body.Close()
		text, _ := io.ReadAll(resp.Body)
		got <- string(text)
	}()
	<-s.began
	return sync.OnceFunc(func() { close(hold) }), got
}

// Whatever Safepoint's own code expects of a service, an application behind a gate does.
func TestWebhook(t *testing.T) {
	halttest.Run(t, func(t *testing.T) halttest.Service {
		s := newShop(t, gate.Config{})
		return halttest.Service{
			Name: "Storefront",
			New:  func(t *testing.T, timeout time.Duration) halt.Halter { return s.halter(t, timeout) },
			Works: func(ctx context.Context) error {
				req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL, nil)
				if err != nil {
					return err
				}
				resp, err := http.DefaultClient.Do(req)
				if err != nil {
					return err
				}
				defer resp.Body.Close()
				if resp.StatusCode != 200 {
					return errors.New(resp.Status)
				}
				return nil
			},
			Stick: func(t *testing.T) func() {
				release, answer := s.held(t)
				return func() { release(); <-answer }
			},
			Gone: func(t *testing.T, timeout time.Duration) halt.Halter {
				dead := newShop(t, gate.Config{})
				dead.Close()
				return dead.halter(t, timeout)
			},
		}
	})
}

// A halt is answered when the last request has ended and the hook succeeded, not before.
func TestDrained(t *testing.T) {
	var fails atomic.Bool
	fails.Store(true)
	var s *shop
	called := make(chan gate.State, 100)
	s = newShop(t, gate.Config{OnHalt: func(_ context.Context, st gate.State) error {
		st.InFlight = s.gate.State().InFlight
		called <- st
		if fails.Swap(false) {
			return errors.New("the pool is not closed yet")
		}
		return nil
	}})
	release, answer := s.held(t)
	done := make(chan error, 1)
	go func() {
		done <- s.halter(t, 20*time.Second).Halt(t.Context(), halt.Request{OperationID: "op_1", Reason: "Restoring shop"})
	}()
	eventually(t, "closed for new requests", func() bool { return s.gate.State().Halted })
	select {
	case err := <-done:
		t.Fatalf("halted with a request under way: %v", err)
	case <-called:
		t.Fatal("the hook was called with a request under way")
	default:
	}
	release()
	if got := <-answer; got != "sold" {
		t.Errorf("the request under way got %q", got)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if st := <-called; st.InFlight != 0 || st.OperationID != "op_1" || len(called) != 1 {
		t.Errorf("the hook was called with %+v, and %d more times", st, len(called))
	}
}

// With Drain, what does not end by itself is ended.
func TestDrainEnds(t *testing.T) {
	s := newShop(t, gate.Config{Drain: 50 * time.Millisecond})
	release, answer := s.held(t)
	defer release()
	if err := s.halter(t, 20*time.Second).Halt(t.Context(), halt.Request{OperationID: "op_1"}); err != nil {
		t.Fatal(err)
	}
	if got := <-answer; !strings.Contains(got, gate.ErrHalted.Error()) {
		t.Errorf("it got %q", got)
	}
	if err := s.halter(t, 20*time.Second).Resume(t.Context(), halt.Request{OperationID: "op_1"}); err != nil {
		t.Fatal(err)
	}
	release, answer = s.held(t)
	release()
	if got := <-answer; got != "sold" {
		t.Errorf("after the resume it got %q", got)
	}
}

// What outlived a halt that was over before its Drain is ended by the next one.
func TestDrainEndsWhatIsOlder(t *testing.T) {
	c := newConsole(t)
	g := open(t, gate.Config{URL: c.URL, Token: "sp_viewer", Drain: 2 * time.Second})
	working, leave, err := g.Enter(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer leave()
	c.set(halted)
	eventually(t, "halted", func() bool { return g.State().Halted })
	c.set(`{"state":"operating"}`)
	eventually(t, "resumed", func() bool { return !g.State().Halted })
	c.set(halted)
	select {
	case <-working.Done():
	case <-time.After(20 * time.Second):
		t.Fatal("it goes on")
	}
	if cause := context.Cause(working); !errors.Is(cause, gate.ErrHalted) {
		t.Errorf("its cause is %v", cause)
	}
	leave()
	c.set(`{"state":"operating"}`)
	working, leave, err = g.Enter(t.Context())
	if err != nil || working.Err() != nil {
		t.Fatalf("after the halt: %v, %v", err, working)
	}
	leave()
}

// With Hold, a request that comes during a short halt is late, and not refused.
func TestHold(t *testing.T) {
	s := newShop(t, gate.Config{Hold: 20 * time.Second})
	h := s.halter(t, 20*time.Second)
	if err := h.Halt(t.Context(), halt.Request{OperationID: "op_1"}); err != nil {
		t.Fatal(err)
	}
	status := make(chan int, 1)
	go func() { status <- get(s.gate.Middleware(sells), "").Code }()
	select {
	case code := <-status:
		t.Fatalf("answered %d during the halt", code)
	case <-time.After(50 * time.Millisecond):
	}
	if err := h.Resume(t.Context(), halt.Request{OperationID: "op_1"}); err != nil {
		t.Fatal(err)
	}
	if code := <-status; code != 200 {
		t.Errorf("answered %d", code)
	}
}

// arriving is the context of a request, and halts the gate the moment that the gate first looks at it.
type arriving struct {
	context.Context
	halt func()
}

func (a arriving) Deadline() (time.Time, bool) {
	a.halt()
	return a.Context.Deadline()
}

// TestHoldFromTheFirstMoment: a request that found the gate open, and closed when it wanted to go through, waits as well.
func TestHoldFromTheFirstMoment(t *testing.T) {
	s := newShop(t, gate.Config{Hold: 20 * time.Second})
	h := s.halter(t, 20*time.Second)
	halted := make(chan error, 1)
	ctx := arriving{t.Context(), sync.OnceFunc(func() { halted <- h.Halt(t.Context(), halt.Request{OperationID: "op_1"}) })}
	status := make(chan int, 1)
	go func() {
		w := httptest.NewRecorder()
		s.gate.Middleware(sells).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil).WithContext(ctx))
		status <- w.Code
	}()
	if err := <-halted; err != nil {
		t.Fatal(err)
	}
	if err := h.Resume(t.Context(), halt.Request{OperationID: "op_1"}); err != nil {
		t.Fatal(err)
	}
	if code := <-status; code != http.StatusOK {
		t.Errorf("answered %d", code)
	}
}

// A restore resumes its services one after the other, and says that the organization operates only when all of them run.
// The application that was told to resume does so before.
func TestResumedBeforeTheOthers(t *testing.T) {
	c := newConsole(t)
	s := newShop(t, gate.Config{URL: c.URL, Token: "sp_viewer"})
	if err := s.gate.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	h, r := s.halter(t, 20*time.Second), halt.Request{OperationID: "op_1", Reason: "Restoring shop"}
	c.set(halted)
	eventually(t, "halted by the stream", func() bool { return s.gate.State().Halted })
	if err := h.Halt(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	if err := h.Resume(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	if st := s.gate.State(); st.Halted {
		t.Errorf("%+v", st)
	}
	c.set(`{"state":"operating"}`)
	c.set(strings.Replace(halted, "op_1", "op_2", 1))
	eventually(t, "halted by the next restore", func() bool { return s.gate.State().Halted })
}

// Work that is no request waits for the gate and is waited for.
func TestEnter(t *testing.T) {
	s := newShop(t, gate.Config{})
	_, leave, err := s.gate.Enter(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.halter(t, 20*time.Second).Halt(t.Context(), halt.Request{OperationID: "op_1"}) }()
	eventually(t, "closed", func() bool { return s.gate.State().Halted })
	leave()
	leave() // once counts
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := s.gate.Enter(ctx); err == nil {
		t.Error("work began during a halt")
	}
	if n := s.gate.State().InFlight; n != 0 {
		t.Errorf("%d under way", n)
	}
	waited := make(chan error, 1)
	go func() { waited <- s.gate.Wait(t.Context()) }()
	s.gate.Close()
	if err := <-waited; !errors.Is(err, gate.ErrClosed) {
		t.Errorf("waiting for a gate that was closed ended with %v", err)
	}
}

func TestRefusals(t *testing.T) {
	for _, cfg := range []gate.Config{{URL: "backup.example", Token: "x"}, {URL: "https://u:p@h", Token: "x"}, {URL: "https://h"}} {
		if _, err := gate.New(cfg); err == nil {
			t.Errorf("%+v was accepted", cfg)
		}
	}
	g := open(t, gate.Config{})
	for _, bad := range []string{"", "whsec_", "whsec_c2hvcnQ=", "not base64!"} {
		if _, err := g.WebhookHandler(bad); err == nil {
			t.Errorf("the secret %q was accepted", bad)
		}
	}
	hook, err := g.WebhookHandler(secret)
	if err != nil {
		t.Fatal(err)
	}
	for name, r := range map[string]*http.Request{
		"unsigned": httptest.NewRequest(http.MethodPost, "/", strings.NewReader(`{"type":"safepoint.halt"}`)),
		"a delete": httptest.NewRequest(http.MethodDelete, "/", nil),
	} {
		w := httptest.NewRecorder()
		hook.ServeHTTP(w, r)
		if w.Code != 401 && w.Code != 405 || g.State().Halted {
			t.Errorf("%s: %d, %+v", name, w.Code, g.State())
		}
	}
}

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
