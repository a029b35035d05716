package many

import (
	"fmt"
	"math"
	"slices"

	"github.com/anishathalye/porcupine"
)

// witness looks for an order of single steps that explains a history, and returns the history with each call narrowed
// to a moment within it, in that order: what a checker that knows nothing of this model then confirms at once. In a
// burst most calls are refusals, which change nothing. Taking one as soon as it is true loses no order, and leaves only
// the few steps between which to choose; a general checker tries every order of the refusals, too, and does not end.
//
// ok is false if there is no such order, or none was found in a hundred thousand tries, where an honest history takes a few
// hundred; then the longest is returned, and what it could not place next.
func witness(history []porcupine.Operation) (found []porcupine.Operation, left []porcupine.Operation, ok bool) {
	w := &search{history: history, seen: map[string]bool{}}
	w.from(state{}, make([]bool, len(history)), nil)
	for i, h := range history {
		if !slices.Contains(w.longest, i) {
			left = append(left, h)
		}
	}
	// Moments are told apart: of calls that share one, a general checker would try every order.
	at, apart := int64(math.MinInt64), 2*int64(len(history)+1)
	for k, i := range w.longest {
		h := history[i]
		if at = max(at, h.Call); at > h.Return {
			panic("the search placed a call after it had returned")
		}
		h.Call, h.Return = at*apart+2*int64(k), at*apart+2*int64(k)+1
		found = append(found, h)
	}
	return found, left, len(left) == 0
}

type search struct {
	history []porcupine.Operation
	seen    map[string]bool // sets of placed calls with the state they led to
	longest []int
}

// from goes on from a state. placed says which calls are in the order already.
func (w *search) from(s state, placed []bool, order []int) bool {
	placed, order = slices.Clone(placed), slices.Clone(order)
	next := func() (open []int, all bool) { // what may be next: it began before anything else returned
		first := int64(math.MaxInt64)
		for i, h := range w.history {
			if !placed[i] {
				first = min(first, h.Return)
			}
		}
		for i, h := range w.history {
			if !placed[i] && h.Call <= first {
				open = append(open, i)
			}
		}
		return open, first == math.MaxInt64
	}
	open, all := next()
	for changed := true; changed; {
		changed = false
		for _, i := range open {
			h := w.history[i]
			if out := h.Output.(output); !out.OK && refusable(s, h.Input.(input), out) {
				placed[i], order, changed = true, append(order, i), true
			}
		}
		open, all = next()
	}
	if len(order) > len(w.longest) {
		w.longest = order
	}
	key := fmt.Sprint(s, placed)
	if all || w.seen[key] || len(w.seen) > 100_000 {
		return all
	}
	w.seen[key] = true
	for _, i := range open {
		h := w.history[i]
		if out := h.Output.(output); out.OK {
			if may, then := step(s, h.Input.(input), out); may {
				placed[i] = true
				if w.from(then, placed, append(order, i)) {
					return true
				}
				placed[i] = false
			}
		}
	}
	return false
}
