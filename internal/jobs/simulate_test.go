package jobs_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/catalog"
	"github.com/safepoint-db/safepoint/internal/jobs"
	"github.com/safepoint-db/safepoint/internal/soak"
)

var (
	schedules = flag.Int("schedules", 5, "schedules to simulate on a real catalog")
	years     = flag.Int("years", 2, "for how long")
	seed      = flag.Uint64("seed", 1, "of the first history")
	report    = flag.String("report", "", "page to write figures into")
)

// simulation is a clock that people set wrong, a server that is off at times, and what its looks at the schedules saw.
type simulation struct {
	*bench
	random *rand.Rand
	all    []*simulated
	real   time.Time     // what a right clock would say
	skew   time.Duration // how wrong the server's is
	count
}

// count is what histories came to.
type count struct {
	due, ran, away, waited, wrong int // due times: run, missed while the server was away or while an earlier run waited, or neither
	looks, absences, jumps        int
}

func (c *count) add(o count) {
	c.due, c.ran, c.away, c.waited, c.wrong = c.due+o.due, c.ran+o.ran, c.away+o.away, c.waited+o.waited, c.wrong+o.wrong
	c.looks, c.absences, c.jumps = c.looks+o.looks, c.absences+o.absences, c.jumps+o.jumps
}

// simulated is one schedule, and what looks at it saw.
type simulated struct {
	safepoint.Schedule
	latest map[time.Time]bool // due times that were the latest at a look; true: and no clock had said before that they are long past
	ahead  time.Time          // the latest that a clock said, unless that was taken back
	last   time.Time          // of the looks
	dealt  map[time.Time]bool // due times that a clock which was set back started from
}

// together is how many schedules live through one history, with a catalog of their own.
const together = 50

// TestYears runs schedules of every interval for years on real catalogs, with the real scheduler: the server is off for
// minutes to 30 days, and its clock jumps by an hour, a day or a year, ahead and back, and stays wrong for a while. After
// it, each due time has one operation: a run or a missed one, as the looks that there were say.
func TestYears(t *testing.T) {
	began := time.Now()
	var mu sync.Mutex
	var sum count
	t.Run("histories", func(t *testing.T) {
		for n := 0; n < *schedules; n += together {
			t.Run(fmt.Sprint(n), func(t *testing.T) {
				t.Parallel()
				s := &simulation{bench: newBench(t), random: rand.New(rand.NewPCG(*seed, uint64(n)))}
				s.fill(min(together, *schedules-n))
				s.live()
				mu.Lock()
				defer mu.Unlock()
				sum.add(s.count)
			})
		}
	})
	t.Logf("%d schedules over %d years: %+v, in %s", *schedules, *years, sum, time.Since(began).Round(time.Second))
	if sum.ran < sum.due/3 || sum.away == 0 {
		t.Errorf("this simulates too little: %+v", sum)
	}
	if *report != "" {
		write(t, sum, time.Since(began))
	}
}

// live lives through the years.
func (s *simulation) live() {
	s.real = s.clock.Now()
	end := s.real.AddDate(*years, 0, 0)
	runner := s.newRunner()
	for s.real.Before(end) {
		s.look(runner)
		step := time.Duration(s.random.Int64N(int64(12 * time.Hour)))
		switch n := s.random.IntN(1000); {
		case n < 8: // off
			step += time.Duration(s.random.Int64N(int64(30 * 24 * time.Hour)))
			s.reopen()
			runner = s.newRunner()
			s.absences++
		case n < 12: // restarted
			step = time.Duration(s.random.Int64N(int64(10 * time.Minute)))
			runner = s.newRunner()
			s.absences++
		case n < 17: // a clock that is wrong from now on
			by := []time.Duration{time.Hour, time.Hour, 24 * time.Hour, 24 * time.Hour, 365 * 24 * time.Hour}[n-12]
			if s.random.IntN(2) == 0 {
				by = -by
			}
			s.skew = by
			s.jumps++
		case n < 80 && s.skew != 0: // and right again
			s.skew = 0
			s.jumps++
		}
		s.real = s.real.Add(step)
	}
	s.real, s.skew = end, 0
	s.look(runner)
	s.check(end)
}

// fill makes the schedules, each of a database of its own.
func (s *simulation) fill(many int) {
	for n := range many {
		org, db, id := "org_a", fmt.Sprint("db_s", n), fmt.Sprint("sch_", n)
		s.sql(`INSERT INTO databases (id, organization_id, name, engine, created_at, created_by, created_by_name) VALUES ($1, $2, $1, 'sqlite', 1, '', '')`, db, org)
		interval := safepoint.Intervals[n%len(safepoint.Intervals)]
		anchor := s.clock.Now().Add(time.Duration(s.random.Int64N(int64(interval)))).Truncate(time.Millisecond)
		s.sql(`INSERT INTO schedules (id, organization_id, database_id, name, interval_ms, anchor, created_at, created_by, created_by_name, enabled_at)
			VALUES ($1, $2, $3, $1, $4, $5, 1, '', '', $5)`, id, org, db, time.Duration(interval).Milliseconds(), anchor.UnixMilli())
		s.all = append(s.all, &simulated{
			Schedule: safepoint.Schedule{ID: id, OrganizationID: org, IsActive: true, Interval: interval, Anchor: anchor.UTC(), EnabledAt: anchor},
			latest:   map[time.Time]bool{}, dealt: map[time.Time]bool{},
		})
	}
}

func (s *simulation) newRunner() *jobs.Runner {
	return jobs.New(jobs.Config{Store: s.catalog, Worker: s.worker, Clock: s.clock})
}

// reopen is a restart of the whole process: the catalog is closed and opened again.
func (s *simulation) reopen() {
	s.t.Helper()
	s.ok(s.catalog.Close())
	c, err := catalog.Open(s.ctx, s.path)
	s.ok(err)
	c.Now = s.clock.Now
	s.catalog = c
	s.t.Cleanup(func() { c.Close() })
}

// look has the scheduler look, and most of the time has everything run that is queued.
func (s *simulation) look(runner *jobs.Runner) {
	s.t.Helper()
	now := s.real.Add(s.skew)
	s.clock.Jump(now.Sub(s.clock.Now()))
	if s.random.IntN(2) == 0 { // housekeeping comes before the look, or after it
		s.keepTime()
		defer s.keepTime()
	}
	runner.QueueDue(s.ctx)
	s.looks++
	for _, sch := range s.all {
		sch.saw(now)
	}
	if s.random.IntN(8) == 0 {
		return // they wait
	}
	if *schedules > together { // the workers' part, in one statement: millions of claims would take hours
		s.sql(`UPDATE operations SET status = 'succeeded', started_at = $1, finished_at = $1 WHERE status = 'queued'`, now.UnixMilli())
		return
	}
	for {
		c, err := s.catalog.ClaimNext(s.ctx, runner.Node(), lease)
		s.ok(err)
		if c == nil {
			return
		}
		op := c.Operation
		op.Status = safepoint.StatusSucceeded
		s.ok(s.catalog.Finish(s.ctx, *c, op))
	}
}

// saw keeps what a look at a time finds.
func (sch *simulated) saw(now time.Time) {
	interval := time.Duration(sch.Interval)
	back := now.Before(sch.last)
	if back { // what a clock ahead of time found to be due, and missed, is taken back
		for due := range sch.latest {
			if due.After(now) {
				sch.latest[due] = false
			}
		}
	}
	if sch.ahead.After(now.Add(2 * interval)) {
		sch.ahead = now
	}
	if due, ok := sch.LastDue(now); ok {
		// The first look of a clock that was set back starts from its latest due time, which has been dealt with.
		if back {
			sch.dealt[due] = true
		}
		sch.latest[due] = sch.latest[due] || !sch.dealt[due] && sch.ahead.Before(due.Add(interval))
	}
	if now.After(sch.ahead) {
		sch.ahead = now
	}
	sch.last = now
}

// check compares what the catalog holds with what the looks say.
func (s *simulation) check(end time.Time) {
	s.t.Helper()
	complain := func(format string, args ...any) {
		if s.wrong++; s.wrong <= 10 {
			s.t.Errorf(format, args...)
		}
	}
	for _, sch := range s.all {
		ops, err := s.catalog.ScheduleRuns(s.ctx, sch.OrganizationID, sch.ID, time.UnixMilli(1))
		s.ok(err)
		at := sch.Anchor
		for _, op := range ops {
			if op.DueAt.After(end) {
				break // of a clock that ran ahead to beyond the end
			}
			for ; at.Before(op.DueAt); at = at.Add(time.Duration(sch.Interval)) {
				complain("%s, every %s: nothing is known of %v", sch.ID, sch.Interval, at)
				s.due++
			}
			if !op.DueAt.Equal(at) {
				complain("%s, every %s: %v is there twice, or is no due time", sch.ID, sch.Interval, op.DueAt)
				continue
			}
			at = at.Add(time.Duration(sch.Interval))
			s.due++
			inTime, latest := sch.latest[op.DueAt]
			switch busy := op.Failure != nil && strings.Contains(op.Failure.Message, "still waiting"); {
			case op.Status != safepoint.StatusMissed:
				s.ran++
				if !latest {
					complain("%s: %v was run, though no look found it to be the latest", sch.ID, op.DueAt)
				}
			case busy:
				s.waited++
			default:
				s.away++
				if latest && inTime {
					complain("%s: %v is missed, though a look found it due in time", sch.ID, op.DueAt)
				}
			}
		}
		for ; !at.After(end); at = at.Add(time.Duration(sch.Interval)) {
			complain("%s, every %s: nothing is known of %v", sch.ID, sch.Interval, at)
			s.due++
		}
	}
}

func write(t *testing.T, sum count, took time.Duration) {
	t.Helper()
	enough := *schedules >= 1000 && *years >= 10
	r := soak.Report{
		Command: fmt.Sprintf("make reliability SCHEDULES=%d", *schedules), Took: took, Head: []string{"What", "Goal", "Figure", ""},
		Rows: [][]string{
			{"schedules, over years", "1,000 over 10", fmt.Sprintf("%d over %d", *schedules, *years), met(enough)},
			{"due times that are not exactly one of run or missed", "0", fmt.Sprintf("%d of %d", sum.wrong, sum.due), met(sum.wrong == 0)},
			{"run; missed while the server was away; missed while an earlier run waited", "", fmt.Sprintf("%d; %d; %d", sum.ran, sum.away, sum.waited), ""},
			{"looks at the schedules; absences of minutes to 30 days; jumps of the clock by an hour, a day or a year, either way", "", fmt.Sprintf("%d; %d; %d", sum.looks, sum.absences, sum.jumps), ""},
		},
		Notes: []string{fmt.Sprintf("Seed %d. The real scheduler on real catalogs (SQLite), %d schedules to each, with a clock of the test's; runs end at once. "+
			"Intervals are absolute times: no change of the clocks on walls, in any zone, moves a due time (`TestNoDriftOverClockChanges`).", *seed, together)},
	}
	if err := r.Write(*report, "schedules"); err != nil {
		t.Fatal(err)
	}
	if !enough {
		t.Error("the goal is 1,000 schedules over 10 years")
	}
}

func met(yes bool) string {
	if yes {
		return "met"
	}
	return "**missed**"
}

// tempDir is where a catalog lies: in memory, where that can be, for simulations that commit millions of times.
func tempDir(t *testing.T) string {
	dir, err := os.MkdirTemp("/dev/shm", "safepoint-jobs-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}
