package server

import (
	"context"
	"sync"
	"time"
)

// housekeepEvery is how often what is no longer kept is let go.
const housekeepEvery = time.Minute

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
		tick := time.NewTicker(housekeepEvery)
		defer tick.Stop()
		for ctx.Err() == nil {
			s.App.Housekeep(ctx)
			select {
			case <-ctx.Done():
			case <-tick.C:
			}
		}
	})
	defer house.Wait()
	return s.jobs.Run(ctx)
}

// clock tells the time it was given, and waits by the system's.
type clock struct{ now func() time.Time }

func (c clock) Now() time.Time { return c.now() }

func (c clock) After(d time.Duration) (<-chan time.Time, func()) {
	t := time.NewTimer(d)
	return t.C, func() { t.Stop() }
}
