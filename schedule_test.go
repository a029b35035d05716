package safepoint

import (
	"archive/zip"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var t0 = time.Date(2026, 1, 1, 6, 0, 0, 0, time.UTC)

func every(i Interval) Schedule {
	return Schedule{IsActive: true, Interval: i, Anchor: t0, EnabledAt: t0}
}

func TestDue(t *testing.T) {
	slot := func(n int) time.Time { return t0.Add(time.Duration(n) * 8 * time.Hour) }
	none := time.Time{}
	for name, test := range map[string]struct {
		change    func(*Schedule)
		done, now time.Time
		run       time.Time
		missed    []time.Time
	}{
		"before the first":            {now: t0.Add(-1), run: none},
		"the first":                   {now: t0, run: t0},
		"late":                        {now: slot(1).Add(-1), run: t0},
		"done":                        {done: t0, now: slot(1).Add(-1), run: none},
		"the next":                    {done: t0, now: slot(1), run: slot(1)},
		"down over three":             {done: t0, now: slot(4).Add(time.Hour), run: slot(4), missed: []time.Time{slot(1), slot(2), slot(3)}},
		"down from the start":         {now: slot(2), run: slot(2), missed: []time.Time{t0, slot(1)}},
		"disabled":                    {change: func(s *Schedule) { s.IsActive = false }, done: t0, now: slot(5), run: none},
		"enabled again, not yet":      {change: func(s *Schedule) { s.EnabledAt = slot(5).Add(1) }, done: t0, now: slot(6).Add(-1), run: none},
		"enabled again":               {change: func(s *Schedule) { s.EnabledAt = slot(5).Add(1) }, done: t0, now: slot(6), run: slot(6)},
		"enabled at a due time":       {change: func(s *Schedule) { s.EnabledAt = slot(5) }, done: t0, now: slot(6), run: slot(6), missed: []time.Time{slot(5)}},
		"starts in a week":            {change: func(s *Schedule) { s.Anchor = slot(21) }, now: slot(20), run: none},
		"interval became longer":      {change: func(s *Schedule) { s.Interval = Every3Days }, done: slot(2), now: slot(9), run: slot(9)},
		"interval became shorter":     {change: func(s *Schedule) { s.Interval = Every8Hours }, done: t0, now: t0.Add(25 * time.Hour), run: slot(3), missed: []time.Time{slot(1), slot(2)}},
		"clock set back an hour":      {done: slot(3), now: slot(3).Add(-time.Hour), run: none},
		"clock set back an interval":  {done: slot(3), now: slot(2), run: none},
		"clock had run a year ahead":  {done: slot(1095), now: slot(3).Add(time.Hour), run: slot(3)},
		"clock starts before enabled": {change: func(s *Schedule) { s.EnabledAt = slot(900) }, done: slot(1095), now: slot(3), run: none},
		"clock starts in 1970":        {done: slot(3), now: time.Unix(0, 0), run: none},
	} {
		t.Run(name, func(t *testing.T) {
			s := every(Every8Hours)
			if test.change != nil {
				test.change(&s)
			}
			run, missed := s.Due(test.done, test.now)
			if !run.Equal(test.run) || fmt.Sprint(missed) != fmt.Sprint(test.missed) {
				t.Errorf("run %v, missed %v; want %v, %v", run, missed, test.run, test.missed)
			}
		})
	}
}

// Runs are an interval apart in absolute time, whatever clocks on walls do.
func TestNoDriftOverClockChanges(t *testing.T) {
	for _, zone := range zones(t) {
		loc, err := time.LoadLocation(zone)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range Intervals {
			s := every(i)
			s.Anchor = time.Date(2026, 3, 1, 2, 30, 0, 0, loc)
			at := s.Anchor
			for at.Year() < 2028 {
				next := s.NextRun(at)
				if next.Sub(at) != time.Duration(i) || !s.NextRun(at.In(time.UTC)).Equal(next) || !s.NextRun(next.Add(-1)).Equal(next) {
					t.Fatalf("%s, %s: %v after %v", zone, i, next, at)
				}
				if last, ok := s.LastDue(next.Add(-1)); !ok || !last.Equal(at) {
					t.Fatalf("%s, %s: last due %v before %v", zone, i, last, next)
				}
				at = next
			}
		}
	}
}

// zones are all the time zones that there are.
func zones(t *testing.T) []string {
	t.Helper()
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	file, err := zip.OpenReader(filepath.Join(strings.TrimSpace(string(root)), "lib", "time", "zoneinfo.zip"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var names []string
	for _, f := range file.File {
		if !f.FileInfo().IsDir() {
			names = append(names, f.Name)
		}
	}
	if len(names) < 400 {
		t.Fatalf("there are only %d zones", len(names))
	}
	return names
}

// A thousand schedules over ten years of restarts, long absences and clocks that jump both ways: each due time is dealt
// with, as exactly one of run and missed, and the latest one of every look is run.
func TestEachDueTimeOnce(t *testing.T) {
	r := rand.New(rand.NewPCG(2026, 11))
	end := t0.AddDate(10, 0, 0)
	slots := 0
	for n := range 1000 {
		s := every(Intervals[n%len(Intervals)])
		s.Anchor = t0.Add(time.Duration(r.Int64N(int64(time.Duration(s.Interval)))))
		s.EnabledAt = s.Anchor
		step := time.Duration(s.Interval)
		seen := map[time.Time]string{} // as the catalog's unique key: the first word stays
		var done time.Time
		look := func(now time.Time) {
			run, missed := s.Due(done, now)
			if run.IsZero() {
				if last, ok := s.LastDue(now); ok && seen[last] == "" {
					t.Fatalf("schedule %d: %v is not dealt with at %v", n, last, now)
				}
				return
			}
			if run.After(now) || now.Sub(run) >= step {
				t.Fatalf("schedule %d: ran %v at %v", n, run, now)
			}
			if run.Before(done) { // as RecordDue takes back what a clock ahead of time has called missed
				for at, word := range seen {
					if word == "missed" && at.After(run) {
						delete(seen, at)
					}
				}
			}
			for _, m := range missed {
				if !m.Before(run) || done.After(m) || m.Equal(done) {
					t.Fatalf("schedule %d: missed %v with run %v after %v", n, m, run, done)
				}
				if seen[m] == "" {
					seen[m] = "missed"
				}
			}
			if seen[run] == "" {
				seen[run] = "run"
			}
			done = run
		}
		skew := time.Duration(0)
		for now := t0; now.Before(end); {
			look(now.Add(skew))
			switch r.IntN(300) {
			case 0, 4: // off for up to 30 days
				now = now.Add(time.Duration(r.Int64N(int64(30 * 24 * time.Hour))))
			case 3, 5, 6: // a clock that stays wrong, by an hour, a day, or now and then a year
				skew = []time.Duration{time.Hour, -time.Hour, 24 * time.Hour, -24 * time.Hour}[r.IntN(4)]
				if r.IntN(20) == 0 {
					skew *= 365
				}
			case 7, 8, 9, 10, 11, 12:
				skew = 0
			case 1: // set back a little
				look(now.Add(-time.Duration(r.Int64N(int64(2 * time.Hour)))))
			case 2: // a wrong clock for a moment
				look(now.Add(time.Duration(r.Int64N(int64(100 * 24 * time.Hour)))))
			default:
				now = now.Add(time.Duration(r.Int64N(int64(step))))
			}
		}
		look(end)
		for at := s.Anchor; !at.After(end); at = at.Add(step) {
			slots++
			if seen[at] == "" {
				t.Fatalf("schedule %d, every %s: %v is neither run nor missed", n, s.Interval, at)
			}
		}
	}
	t.Logf("%d due times", slots)
}

func TestIntervalWords(t *testing.T) {
	want := []string{"8 hours 8h", "12 hours 12h", "24 hours 24h", "3 days 3d", "7 days 7d"}
	for n, i := range Intervals {
		if got := i.String() + " " + i.Slug(); got != want[n] {
			t.Errorf("%s, want %s", got, want[n])
		}
		for _, word := range []string{i.String(), i.Slug()} {
			if got, err := ParseInterval(word); err != nil || got != i {
				t.Errorf("%q: %v %v", word, got, err)
			}
		}
	}
	for _, bad := range []string{"", "8", "1h", "8H", "168h"} {
		if _, err := ParseInterval(bad); ErrorCode(err) != CodeInvalid {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
