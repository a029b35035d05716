package e2e

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	webhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// till is a service that only counts how often it was halted and resumed. A test may make its halt wait.
type till struct {
	*httptest.Server
	mu      sync.Mutex
	secret  string
	halted  bool
	halts   int
	onHalt  func(context.Context) // called before it halts
	refuses bool                  // to resume
}

func startTill(t *testing.T) *till {
	s := &till{}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /halt", s.signed(s.halt))
	mux.HandleFunc("POST /resume", s.signed(func(context.Context) bool { return s.resume() }))
	mux.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) {
		if s.isHalted() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	s.Server = httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

// signed answers a call that carries the secret's signature: 200 if do says that it is done.
func (s *till) signed(do func(context.Context) bool) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		s.mu.Lock()
		secret := s.secret
		s.mu.Unlock()
		wh, werr := webhooks.NewWebhook(secret)
		if err != nil || werr != nil || wh.Verify(body, r.Header) != nil {
			http.Error(w, "not signed", http.StatusUnauthorized)
			return
		}
		if !do(r.Context()) {
			http.Error(w, "not now", http.StatusForbidden)
		}
	}
}

func (s *till) halt(ctx context.Context) bool {
	s.mu.Lock()
	first := s.onHalt
	s.mu.Unlock()
	if first != nil {
		first(ctx)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if ctx.Err() != nil {
		return false // nobody waits for it any more
	}
	s.halted = true
	s.halts++
	return true
}

func (s *till) resume() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refuses {
		return false
	}
	s.halted = false
	return true
}

func (s *till) refuse(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refuses = on
}

func (s *till) setSecret(secret string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.secret = secret
}

func (s *till) isHalted() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.halted
}

func (s *till) haltCount() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.halts
}

func (s *till) beforeHalt(do func(context.Context)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.onHalt = do
}

// holdHalt makes the next halts wait. asked is closed when the first has begun; letGo ends the wait.
func (s *till) holdHalt(t *testing.T) (asked <-chan struct{}, letGo func()) {
	begun, free := make(chan struct{}), make(chan struct{})
	once := sync.OnceFunc(func() { close(begun) })
	letGo = sync.OnceFunc(func() {
		s.beforeHalt(nil)
		close(free)
	})
	s.beforeHalt(func(ctx context.Context) {
		once()
		select {
		case <-free:
		case <-ctx.Done():
		}
	})
	t.Cleanup(letGo)
	return begun, letGo
}

// within waits for a signal.
func within(t *testing.T, what string, signal <-chan struct{}) {
	t.Helper()
	select {
	case <-signal:
	case <-time.After(60 * time.Second):
		t.Fatalf("waited in vain: %s", what)
	}
}
