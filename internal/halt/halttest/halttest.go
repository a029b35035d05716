// Package halttest holds the behaviour every kind of halter must show, and runs it against a real service.
package halttest

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/halt"
)

// Service is a service under test. It runs.
type Service struct {
	// New makes another halter of it, as another process would.
	New func(t *testing.T, timeout time.Duration) halt.Halter
	// Works uses the service once, as its users do, and fails if it does not serve before ctx ends.
	Works func(ctx context.Context) error
	// Stick keeps it from coming to rest until the returned function is called.
	Stick func(t *testing.T) (unstick func())
	// Gone is a halter of a service that is not there.
	Gone func(t *testing.T, timeout time.Duration) halt.Halter

	Name   string // errors must hold it
	Secret string // and never this

	// Silent says that the service does not know why it is at rest: a halted one is halt.Down.
	Silent bool
}

const (
	patience = 20 * time.Second       // for what must happen
	brief    = 300 * time.Millisecond // for what must not
	slack    = 5 * time.Second        // over a timeout, on a busy machine

	maxPrior = 16 << 10 // bytes of a journal's entry
)

// Run runs every test, each on a service made by start.
func Run(t *testing.T, start func(t *testing.T) Service) {
	for name, test := range map[string]func(*testing.T, Service){
		"HaltAndResume":       haltAndResume,
		"HaltTwice":           haltTwice,
		"ResumeByNextProcess": resumeByNextProcess,
		"ResumeUnhalted":      resumeUnhalted,
		"HaltAtOnce":          haltAtOnce,
		"Stuck":               stuck,
		"Cancelled":           cancelled,
		"Gone":                gone,
	} {
		t.Run(name, func(t *testing.T) { test(t, start(t)) })
	}
}

var request = halt.Request{OperationID: "op_k3jq7w2mfz5xv4na", OrganizationID: "org_a", OrganizationName: "Harborline", Reason: "Restoring shop"}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func works(t *testing.T, s Service) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := s.Works(ctx); err != nil {
		t.Fatalf("the service does not work: %v", err)
	}
}

func rests(t *testing.T, s Service) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), brief)
	defer cancel()
	if s.Works(ctx) == nil {
		t.Fatal("the service works though it is halted")
	}
}

// probed checks what the service says of itself, and returns a request that remembers it.
func probed(t *testing.T, s Service, h halt.Halter, want halt.Condition) halt.Request {
	t.Helper()
	if want == halt.Halted && s.Silent {
		want = halt.Down
	}
	st, err := h.Probe(t.Context())
	if err != nil || st.Condition != want {
		t.Fatalf("probe: %+v, %v, want %s", st, err, want)
	}
	if len(st.Prior) > maxPrior || s.Secret != "" && strings.Contains(st.Prior+st.Detail, s.Secret) {
		t.Errorf("what it said of itself is too long or holds the secret: %+v", st)
	}
	r := request
	r.Prior = st.Prior
	return r
}

// refused checks an error for code, name and secret.
func refused(t *testing.T, s Service, err error, codes ...safepoint.Code) {
	t.Helper()
	if err == nil {
		t.Fatal("no error")
	}
	code := safepoint.ErrorCode(err)
	for _, c := range codes {
		if c == code {
			code = ""
		}
	}
	if code != "" || !strings.Contains(safepoint.UserError(err).Message, s.Name) {
		t.Errorf("unclear: %s: %v", code, err)
	}
	if s.Secret != "" && strings.Contains(err.Error()+safepoint.UserError(err).Hint, s.Secret) {
		t.Errorf("the error holds the secret: %v", err)
	}
}

func haltAndResume(t *testing.T, s Service) {
	h := s.New(t, patience)
	works(t, s)
	for range 2 {
		r := probed(t, s, h, halt.Running)
		ok(t, h.Halt(t.Context(), r))
		rests(t, s)
		probed(t, s, h, halt.Halted)
		ok(t, h.Resume(t.Context(), r))
		works(t, s)
	}
	probed(t, s, h, halt.Running)
}

func haltTwice(t *testing.T, s Service) {
	h := s.New(t, patience)
	r := probed(t, s, h, halt.Running)
	ok(t, h.Halt(t.Context(), r))
	ok(t, h.Halt(t.Context(), r))
	rests(t, s)
	ok(t, h.Resume(t.Context(), r))
	ok(t, h.Resume(t.Context(), r))
	works(t, s)
}

func resumeByNextProcess(t *testing.T, s Service) {
	first := s.New(t, patience)
	r := probed(t, s, first, halt.Running)
	ok(t, first.Halt(t.Context(), r))
	next := s.New(t, patience)
	probed(t, s, next, halt.Halted)
	rests(t, s)
	ok(t, next.Resume(t.Context(), r))
	works(t, s)
}

func resumeUnhalted(t *testing.T, s Service) {
	h := s.New(t, patience)
	ok(t, h.Resume(t.Context(), request))
	works(t, s)
	probed(t, s, h, halt.Running)
}

func haltAtOnce(t *testing.T, s Service) {
	var wg sync.WaitGroup
	r := probed(t, s, s.New(t, patience), halt.Running)
	for range 4 {
		wg.Go(func() {
			if err := s.New(t, patience).Halt(t.Context(), r); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	rests(t, s)
	ok(t, s.New(t, patience).Resume(t.Context(), r))
	works(t, s)
}

// What cannot come to rest in time is an error in time, and can be resumed.
func stuck(t *testing.T, s Service) {
	const timeout = time.Second
	unstick := s.Stick(t)
	start := time.Now()
	err := s.New(t, timeout).Halt(t.Context(), request)
	if took := time.Since(start); took > timeout+slack {
		t.Errorf("took %v", took)
	}
	refused(t, s, err, safepoint.CodeHalt, safepoint.CodeUnreachable)
	unstick()
	ok(t, s.New(t, patience).Resume(t.Context(), request))
	works(t, s)
}

func cancelled(t *testing.T, s Service) {
	unstick := s.Stick(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.New(t, time.Hour).Halt(ctx, request) }()
	cancel()
	select {
	case err := <-done:
		refused(t, s, err, safepoint.CodeHalt, safepoint.CodeUnreachable)
	case <-time.After(slack + patience):
		t.Fatal("a cancelled halt goes on")
	}
	unstick()
	ok(t, s.New(t, patience).Resume(t.Context(), request))
	works(t, s)
}

func gone(t *testing.T, s Service) {
	const timeout = 700 * time.Millisecond
	h := s.Gone(t, timeout)
	for verb, act := range map[string]func(context.Context, halt.Request) error{"halt": h.Halt, "resume": h.Resume} {
		start := time.Now()
		err := act(t.Context(), request)
		if took := time.Since(start); took > timeout+slack {
			t.Errorf("%s took %v", verb, took)
		}
		refused(t, s, err, safepoint.CodeUnreachable, safepoint.CodeHalt)
	}
	if st, err := h.Probe(t.Context()); err == nil && st.Condition != halt.Down || err != nil && st.Condition != halt.Unknown {
		t.Errorf("probe: %+v, %v", st, err)
	}
}
