package jobs

import (
	"sync"
	"time"

	"github.com/safepoint-db/safepoint"
)

const (
	rateOver   = 10 * time.Second // a rate is of the last seconds
	etaAfter   = 10 * time.Second // before that, and before etaPercent, a guess would be worse than none
	etaPercent = 5
	etaStep    = 60 // seconds
)

// tracker turns what a worker reports into progress that a person can follow.
type tracker struct {
	mu      sync.Mutex
	started time.Time
	last    safepoint.Progress
	fresh   bool // last has changed since it was taken
	samples []sample
	eta     int64 // the time left that was told last, in seconds
}

type sample struct {
	at    time.Time
	bytes int64
}

// report is quick: it is called for every few rows.
func (t *tracker) report(p safepoint.Progress) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if p.Phase != t.last.Phase {
		t.samples = t.samples[:0] // bytes begin again
	}
	p.Percent = min(max(p.Percent, t.last.Percent, 0), 100)
	t.last, t.fresh = p, true
}

// take returns the progress as of now, and whether it is news.
func (t *tracker) take(now time.Time) (safepoint.Progress, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	p, fresh := t.last, t.fresh
	t.fresh = false
	if p.Phase == "" {
		return p, fresh
	}
	p.At = now
	for len(t.samples) > 1 && now.Sub(t.samples[1].at) >= rateOver {
		t.samples = t.samples[1:]
	}
	if len(t.samples) > 0 {
		first := t.samples[0]
		if d := now.Sub(first.at); d > 0 && p.Bytes >= first.bytes {
			p.Rate = int64(float64(p.Bytes-first.bytes) / d.Seconds())
		}
	}
	t.samples = append(t.samples, sample{now, p.Bytes})
	p.SecondsETA = 0
	if ran := now.Sub(t.started); ran >= etaAfter && p.Percent >= etaPercent {
		p.SecondsETA = int64(ran.Seconds() * float64(100-p.Percent) / float64(p.Percent))
		if t.eta > 0 { // what is shown in minutes never goes up by more than one of them at once
			p.SecondsETA = min(p.SecondsETA, t.eta+etaStep)
		}
		t.eta = p.SecondsETA
	}
	return p, fresh
}
