package app

import (
	"sync"
	"time"

	"github.com/safepoint-db/safepoint"
)

// throttle slows down whoever guesses. Each key (an account from one address, or an address) may fail a few times;
// then it waits, twice as long after each failure, up to a quarter of an hour. Nobody is locked out by what others
// do from elsewhere, and an hour of quiet forgets everything. The zero value is ready.
type throttle struct {
	mu   sync.Mutex
	keys map[string]*failures
}

type failures struct {
	n     int
	last  time.Time
	until time.Time // nothing is tried before
}

const (
	throttleMost   = 15 * time.Minute
	throttleForget = time.Hour
	throttleKeys   = 10_000 // more than these are tidied before another is added
)

// try counts an attempt as failed before it is made, so that many at once do not slip through, or refuses it with
// CodeTooMany. free is how many may fail without a wait. passed takes a successful attempt back.
func (t *throttle) try(now time.Time, key string, free int) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.keys == nil {
		t.keys = map[string]*failures{}
	}
	f := t.keys[key]
	if f == nil || now.Sub(f.last) > throttleForget {
		if len(t.keys) >= throttleKeys {
			t.tidy(now)
		}
		f = &failures{}
		t.keys[key] = f
	}
	if wait := f.until.Sub(now); wait > 0 {
		return safepoint.Errorf(safepoint.CodeTooMany, "Too many attempts. Try again in %s.", inWords(wait)).
			WithHint("If you forgot your password, ask an Organization Admin.")
	}
	f.n++
	f.last = now
	if f.n >= free {
		f.until = now.Add(min(time.Second<<min(f.n-free, 10), throttleMost))
	}
	return nil
}

// passed forgets the failures of a key.
func (t *throttle) passed(key string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.keys, key)
}

// tidy drops what is quiet; if that is too little, somebody is making keys up, and all but the slowest go.
func (t *throttle) tidy(now time.Time) {
	for key, f := range t.keys {
		if now.Sub(f.last) > throttleForget {
			delete(t.keys, key)
		}
	}
	if len(t.keys) < throttleKeys/2 {
		return
	}
	for key, f := range t.keys {
		if !f.until.After(now) {
			delete(t.keys, key)
		}
	}
}
