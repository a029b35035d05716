package catalog

import (
	"testing"
	"time"

	"github.com/safepoint-db/safepoint"
)

// keepTime looks at the clock, elapsed after the last look, and says by how much windows are to be moved.
func (f *fixture) keepTime(elapsed, want time.Duration) {
	f.t.Helper()
	moved, err := f.KeepTime(f.ctx, elapsed)
	f.ok(err)
	if moved != want {
		f.t.Errorf("windows were moved by %s, want %s", moved, want)
	}
}

// ended is a restore that can be undone for a week.
func (f *fixture) ended(id string) {
	f.t.Helper()
	f.sql(`INSERT INTO operations (id, organization_id, database_id, database_name, engine, type, triggered_by, status, name, created_at, finished_at, switched, undo_until, place)
		VALUES ($1, 'org_a', 'db_1', 'shop', 'sqlite', 'restore', 'manual', 'succeeded', $1, $2, $2, 1, $3, $4)`,
		id, toMillis(f.now), toMillis(f.now.Add(7*24*time.Hour)), f.now.UnixNano())
}

func (f *fixture) left(id string) time.Duration {
	f.t.Helper()
	op, err := f.AnyOperation(f.ctx, id)
	f.ok(err)
	return op.UndoUntil.Sub(f.now)
}

// A clock that leaps a year ahead, and is put right again, takes nothing from an undo window; days that pass do.
func TestWindowsOutlastLeapsOfTheClock(t *testing.T) {
	const day, year = 24 * time.Hour, 365 * 24 * time.Hour
	f := newFixture(t)
	f.keepTime(0, 0)
	f.ended("op_before")
	f.now = f.now.Add(2 * day)
	f.keepTime(2*day, 0)
	f.wantLeft("op_before", 5*day)

	f.now = f.now.Add(year)
	f.ended("op_since") // before anybody noticed
	f.now = f.now.Add(time.Minute)
	f.keepTime(time.Minute, year)
	f.wantLeft("op_before", 5*day-time.Minute)
	f.wantLeft("op_since", 7*day-time.Minute)
	if expired, err := f.ExpiredUndo(f.ctx, f.now); err != nil || len(expired) > 0 {
		t.Errorf("a leap ended the windows of %v, %v", expired, err)
	}

	f.now = f.now.Add(day - year) // a day passes, and somebody puts the clock right
	f.ended("op_right")
	f.keepTime(day, -year)
	f.wantLeft("op_before", 4*day-time.Minute)
	f.wantLeft("op_since", 6*day-time.Minute)
	f.wantLeft("op_right", 7*day)

	f.now = f.now.Add(5 * day) // while the server was not there: nobody knows how long that was
	f.keepTime(0, 5*day)
	f.wantLeft("op_before", 4*day-time.Minute)
	f.now = f.now.Add(5 * day)
	f.keepTime(5*day, 0)
	expired, err := f.ExpiredUndo(f.ctx, f.now)
	f.ok(err)
	if len(expired) != 1 || expired[0].ID != "op_before" {
		t.Errorf("after its days the window has not passed: %+v", expired)
	}
}

func (f *fixture) wantLeft(id string, want time.Duration) {
	f.t.Helper()
	if got := f.left(id); got != want {
		f.t.Errorf("%s can be undone for %s, want %s", id, got, want)
	}
}

// A clock that is set back to a wrong year takes no missed run away; each is there once when its time has come again.
func TestMissedRunsOutlastAClockSetBack(t *testing.T) {
	f := newFixture(t)
	t0, step := f.now, 8*time.Hour
	f.keepTime(0, 0)
	f.record(f.schedule(), true, t0)
	f.finish(f.claim(f.runs()[0].ID), safepoint.StatusSucceeded)
	look := func() {
		s := f.schedule()
		if run, missed := s.Due(s.Done, f.now); !run.IsZero() {
			f.record(s, true, run, missed...)
		}
	}
	f.now = t0.Add(300 * step)
	f.keepTime(300*step, 0)
	look()
	before := len(f.runs())
	f.now = t0.Add(step + time.Minute)
	look()
	f.keepTime(0, step+time.Minute-300*step)
	look()
	if got := len(f.runs()); got != before {
		t.Errorf("of %d runs %d are left", before, got)
	}
	f.now = t0.Add(2*step + time.Minute)
	look()
	times := map[time.Time]int{}
	for _, op := range f.runs() {
		times[op.DueAt]++
	}
	if times[t0.Add(2*step)] != 1 {
		t.Errorf("the due time that came again has %d operations", times[t0.Add(2*step)])
	}
}
