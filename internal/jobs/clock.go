package jobs

import "time"

// Clock tells the time and wakes sleepers. Tests drive their own.
type Clock interface {
	Now() time.Time
	// After sends on c once d has passed. stop releases what a caller no longer waits for.
	After(d time.Duration) (c <-chan time.Time, stop func())
}

// systemClock waits by the monotonic clock: setting the wall clock neither shortens nor prolongs a wait.
type systemClock struct{}

func (systemClock) Now() time.Time { return time.Now() }

func (systemClock) After(d time.Duration) (<-chan time.Time, func()) {
	t := time.NewTimer(d)
	return t.C, func() { t.Stop() }
}
