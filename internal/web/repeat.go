package web

import (
	"context"
	"sync"
	"time"
)

// repeats makes a form that is sent twice, by a second press or a reload, do what it does once. Each form carries a word
// of its own; what was answered to it is answered again.
type repeats struct {
	mu   sync.Mutex
	sent map[string]*sending
}

// sending is one form's way to its answer.
type sending struct {
	at       time.Time
	answered chan struct{} // closed when to is known
	to       redirect      // "" if the form was refused: it may be sent again
}

// remembered is how long a form's answer is known.
const remembered = 10 * time.Minute

// once is what do answers, or what it answered before to the same word.
func (r *repeats) once(ctx context.Context, word string, now time.Time, do func() (reply, error)) (reply, error) {
	for {
		r.mu.Lock()
		before, again := r.sent[word]
		if !again {
			mine := &sending{at: now, answered: make(chan struct{})}
			r.remember(word, mine)
			r.mu.Unlock()
			return r.first(word, mine, do)
		}
		r.mu.Unlock()
		select {
		case <-before.answered:
			if before.to != "" {
				return before.to, nil
			}
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (r *repeats) first(word string, mine *sending, do func() (reply, error)) (answer reply, err error) {
	defer func() {
		mine.to, _ = answer.(redirect)
		r.mu.Lock()
		defer r.mu.Unlock()
		if mine.to == "" {
			delete(r.sent, word)
		}
		close(mine.answered)
	}()
	return do()
}

// remember keeps a form, and forgets those that are old. The caller holds the lock.
func (r *repeats) remember(word string, mine *sending) {
	for w, s := range r.sent {
		if mine.at.Sub(s.at) > remembered {
			delete(r.sent, w)
		}
	}
	if r.sent == nil {
		r.sent = map[string]*sending{}
	}
	r.sent[word] = mine
}
