package soak

import (
	"context"
	"database/sql"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	webhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// till is a service that takes orders: it writes one every few milliseconds, remembers which ones the database said
// were saved, and can be halted and resumed by signed webhooks. A till that never sold is one that a person had halted.
type till struct {
	open   func() (*sql.DB, error)
	secret string
	http   *httptest.Server
	every  time.Duration

	mu      sync.Mutex
	halted  bool
	db      *sql.DB
	next    int64
	saved   []order
	epoch   int // grows each time it is halted
	halts   int
	resumes int
	slow    time.Duration // how long it takes to halt, once
	errs    []error       // sales that the database refused
	fresh   chan struct{} // signalled at each order saved

	stop func()
	done chan struct{}
}

// order is one that the database said was saved.
type order struct {
	id    int64
	epoch int
}

// firstOrder is the lowest number of an order that a till takes; what the database holds below is its content.
const firstOrder = 1_000_000

func startTill(t *testing.T, every time.Duration, open func() (*sql.DB, error)) *till {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	s := &till{open: open, every: every, fresh: make(chan struct{}, 1), stop: cancel, done: make(chan struct{}), next: firstOrder}
	s.halted = open == nil
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
	if halted {
		<-time.After(s.slow)
		s.slow = 0
	}
	switch {
	case halted && !s.halted:
		s.halts, s.epoch = s.halts+1, s.epoch+1
	case !halted:
		s.resumes++
	}
	s.halted = halted
	if halted {
		s.hangUp()
	}
}

func (s *till) hangUp() {
	if s.db != nil {
		s.db.Close()
		s.db = nil
	}
}

func (s *till) sell(ctx context.Context) {
	defer close(s.done)
	tick := time.NewTicker(s.every)
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
	if s.halted || s.open == nil {
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
		s.hangUp()
		return // not acknowledged: it may or may not be there
	}
	s.saved = append(s.saved, order{s.next, s.epoch})
	select {
	case s.fresh <- struct{}{}:
	default:
	}
}

// acknowledged is every order that the database said was saved.
func (s *till) acknowledged() []order {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.saved)
}

// forget begins a new day: what was noted so far is dropped, and clean is called while nothing is sold.
func (s *till) forget(clean func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	clean()
	s.saved, s.errs, s.epoch, s.halts, s.resumes = nil, nil, 0, 0, 0
}

// counts are how often it was halted and resumed, and the orders that were refused, since forget.
func (s *till) counts() (halts, resumes int, refused []error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.halts, s.resumes, slices.Clone(s.errs)
}

// resumed waits until the till is not halted, and says whether it was not within d.
func (s *till) resumed(d time.Duration) bool {
	for until := time.Now().Add(d); ; time.Sleep(5 * time.Millisecond) {
		s.mu.Lock()
		halted := s.halted
		s.mu.Unlock()
		if !halted || time.Now().After(until) {
			return !halted
		}
	}
}

// selling waits until another order is saved, and says whether one was within d.
func (s *till) selling(d time.Duration) bool {
	select {
	case <-s.fresh:
	default:
	}
	select {
	case <-s.fresh:
		return true
	case <-time.After(d):
		return false
	}
}
