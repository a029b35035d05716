package soak

import (
	"context"
	"database/sql"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	webhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// till is a service that takes orders: it writes one every few milliseconds, remembers which ones the database said
// were saved, and can be halted and resumed by signed webhooks.
type till struct {
	open   func() (*sql.DB, error)
	secret string
	http   *httptest.Server

	mu     sync.Mutex
	halted bool
	db     *sql.DB
	next   int64
	saved  []int64
	halts  int
	slow   time.Duration // how long it takes to halt, once
	errs   []error       // sales that the database refused
	fresh  chan struct{} // signalled at each order saved

	stop func()
	done chan struct{}
}

func startTill(t *testing.T, open func() (*sql.DB, error)) *till {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	s := &till{open: open, fresh: make(chan struct{}, 1), stop: cancel, done: make(chan struct{}), next: 1_000_000}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /halt", s.signed(func() { s.setHalted(true) }))
	mux.HandleFunc("POST /resume", s.signed(func() { s.setHalted(false) }))
	mux.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.halted {
			w.WriteHeader(http.StatusServiceUnavailable)
			io.WriteString(w, `{"condition":"halted"}`)
			return
		}
		io.WriteString(w, `{"condition":"running"}`)
	})
	s.http = httptest.NewServer(mux)
	go s.sell(ctx)
	t.Cleanup(func() {
		cancel()
		<-s.done
		s.http.Close()
	})
	return s
}

func (s *till) signed(do func()) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		wh, err := webhooks.NewWebhook(s.secret)
		if err == nil {
			err = wh.Verify(body, r.Header)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusUnauthorized)
			return
		}
		do()
	}
}

// setHalted returns when no order is being written any more, and the connections are closed.
func (s *till) setHalted(halted bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.halted = halted
	if halted {
		<-time.After(s.slow)
		s.slow = 0
		s.halts++
	}
	if halted && s.db != nil {
		s.db.Close()
		s.db = nil
	}
}

func (s *till) sell(ctx context.Context) {
	defer close(s.done)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			s.setHalted(true)
			return
		case <-tick.C:
			s.sellOne(ctx)
		}
	}
}

func (s *till) sellOne(ctx context.Context) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.halted {
		return
	}
	if s.db == nil {
		db, err := s.open()
		if err != nil {
			return
		}
		s.db = db
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	s.next++
	if _, err := s.db.ExecContext(ctx, `INSERT INTO orders (id, note) VALUES ($1, 'sold')`, s.next); err != nil {
		if ctx.Err() == nil { // else it was only slow
			s.errs = append(s.errs, err)
		}
		return // not acknowledged: it may or may not be there
	}
	s.saved = append(s.saved, s.next)
	select {
	case s.fresh <- struct{}{}:
	default:
	}
}

// acknowledged is every order that the database said was saved, oldest first.
func (s *till) acknowledged() []int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]int64(nil), s.saved...)
}

// forget drops what was noted so far: an undo takes orders back on purpose.
func (s *till) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.saved, s.errs, s.halts = nil, nil, 0
}

// soldOn checks that since forget the service was never halted, and no order of it refused.
func (s *till) soldOn(t *testing.T) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.halts > 0 || len(s.errs) > 0 {
		t.Errorf("the service was halted %d times, and its orders were refused: %v", s.halts, s.errs)
	}
}

// sells waits until another order is saved.
func (s *till) sells(t *testing.T) {
	t.Helper()
	select {
	case <-s.fresh:
	default:
	}
	select {
	case <-s.fresh:
	case <-time.After(10 * time.Second):
		t.Error("the service no longer sells")
	}
}
