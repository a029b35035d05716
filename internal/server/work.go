package server

import (
	"context"
	"sync"
	"time"
)

const (
	housekeepEvery = time.Minute     // what is no longer kept is let go
	tidyFirst      = 2 * time.Second // what could not be done is tried again, then after twice as long each time
)

// work runs operations until ctx ends, after what an earlier process left was ended or swept away.
func (s *Server) work(ctx context.Context) error {
	if err := s.App.SweepStorage(ctx); err != nil {
		s.log.Warn("storage was not swept", "error", err)
	}
	if err := s.App.KeepTime(ctx); err != nil {
		s.log.Warn("the clock was not compared with the last start", "error", err)
	}
	var house sync.WaitGroup
	house.Go(func() {
		again := tidyFirst
		for ctx.Err() == nil {
			wait := housekeepEvery
			if s.App.Housekeep(ctx) {
				wait, again = again, min(2*again, housekeepEvery)
			} else {
				again = tidyFirst
			}
			s.untilUntidy(ctx, wait)
		}
	})
	house.Go(func() { s.App.AskDatabases(ctx) })
	defer house.Wait()
	return s.jobs.Run(ctx)
}

// untilUntidy waits, or until shortly after something was left undone.
func (s *Server) untilUntidy(ctx context.Context, wait time.Duration) {
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return
	case <-t.C:
		return
	case <-s.App.Untidy():
	}
	t.Reset(min(wait, tidyFirst))
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// clock tells the time it was given, and waits by the system's.
type clock struct{ now func() time.Time }

func (c clock) Now() time.Time { return c.now() }

func (c clock) After(d time.Duration) (<-chan time.Time, func()) {
	t := time.NewTimer(d)
	return t.C, func() { t.Stop() }
}
