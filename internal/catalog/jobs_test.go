package catalog

import (
	"fmt"
	"testing"
	"time"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/jobs"
	"pgregory.net/rapid"
)

func (f *fixture) schedule() jobs.ScheduleState {
	f.t.Helper()
	states, err := f.ScheduleStates(f.ctx)
	f.ok(err)
	if len(states) != 1 {
		f.t.Fatalf("%d active schedules", len(states))
	}
	return states[0]
}

func (f *fixture) runs() []safepoint.Operation {
	f.t.Helper()
	runs, err := f.ScheduleRuns(f.ctx, "org_a", "sch_1", time.UnixMilli(1))
	f.ok(err)
	return runs
}

func (f *fixture) record(s jobs.ScheduleState, want bool, run time.Time, missed ...time.Time) {
	f.t.Helper()
	got, err := f.RecordDue(f.ctx, s, run, missed)
	f.ok(err)
	if got != want {
		f.t.Fatalf("recorded: %v, want %v", got, want)
	}
}

func TestRecordDue(t *testing.T) {
	f := newFixture(t)
	s, t0, step := f.schedule(), f.now, 8*time.Hour
	f.now = t0.Add(2*step + time.Minute)
	f.record(s, true, t0.Add(2*step), t0, t0.Add(step))
	f.record(s, false, t0.Add(2*step), t0, t0.Add(step)) // the other node
	s = f.schedule()
	if !s.Done.Equal(t0.Add(2 * step)) {
		t.Errorf("done %v", s.Done)
	}
	f.now = t0.Add(3 * step)
	f.record(s, true, t0.Add(3*step)) // while the one before waits
	runs := f.runs()
	for i, want := range []safepoint.Status{"missed", "missed", "queued", "missed"} {
		if runs[i].Status != want || !runs[i].DueAt.Equal(t0.Add(time.Duration(i)*step)) || runs[i].Trigger != safepoint.TriggerScheduled {
			t.Errorf("run %d: %+v", i, runs[i])
		}
	}
	if m := runs[3].Failure.Message; m != "The run due at 07:00 CET was still waiting to start when this one came due." {
		t.Error(m)
	}
	c := f.claim(runs[2].ID)
	if c.Operation.Name != "db_1_2026-11-23_060000-utc.sql.zst" {
		t.Errorf("called %s", c.Operation.Name)
	}
	f.now = t0.Add(4 * step)
	f.record(f.schedule(), true, t0.Add(4*step)) // while the one before runs: waits
	f.claim("")
	f.finish(c, safepoint.StatusSucceeded)
	s = f.schedule()

	f.sql(`UPDATE schedules SET version = 2`)
	f.record(s, false, t0.Add(5*step))
	s = f.schedule()
	f.sql(`UPDATE schedules SET is_active = 0`)
	f.record(s, false, t0.Add(5*step))
	f.claim("") // Disable stops the queued run too
	if last := f.runs()[4]; last.Status != safepoint.StatusCancelled || last.Failure.Message != errDisabled.Message {
		t.Errorf("after Disable: %+v", last)
	}
	if states, _ := f.ScheduleStates(f.ctx); len(states) != 0 {
		t.Errorf("disabled, listed: %v", states)
	}
}

func TestCancelQueuedRuns(t *testing.T) {
	f := newFixture(t)
	manual := f.create(backupOf("org_a", "db_2"))
	f.record(f.schedule(), true, f.now)
	ops, err := f.CancelQueuedRuns(f.ctx, "sch_1")
	f.ok(err)
	if len(ops) != 1 || ops[0].Status != safepoint.StatusCancelled || f.get(manual.ID).Status != safepoint.StatusQueued {
		t.Errorf("cancelled: %+v", ops)
	}
}

// A clock that ran ahead leaves no lasting harm: the missed runs of times that have not come are taken back.
func TestRecordDueAfterClockRanAhead(t *testing.T) {
	f := newFixture(t)
	t0, step := f.now, 8*time.Hour
	f.keepTime(0, 0)
	f.record(f.schedule(), true, t0)
	f.finish(f.claim(f.runs()[0].ID), safepoint.StatusSucceeded)
	f.now = t0.Add(1000 * step)
	s := f.schedule()
	run, missed := s.Due(s.Done, f.now)
	f.record(s, true, run, missed...)
	f.keepTime(time.Minute, 1000*step-time.Minute)
	f.now = t0.Add(step + time.Minute) // set right again
	s = f.schedule()
	run, missed = s.Due(s.Done, f.now)
	f.record(s, true, run, missed...)
	got := map[safepoint.Status]int{}
	for _, op := range f.runs() {
		got[op.Status]++
	}
	// The one due at step was wrongly called missed and stays so; the one made under the wrong clock waits.
	if want := (map[safepoint.Status]int{"succeeded": 1, "missed": 1, "queued": 1}); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%v, want %v", got, want)
	}
	f.finish(f.claim(f.list("org_a")[0].ID), safepoint.StatusSucceeded)
	f.now = t0.Add(2 * step)
	s = f.schedule()
	run, missed = s.Due(s.Done, f.now)
	f.record(s, true, run, missed...)
	if queued := f.list("org_a"); len(queued) != 1 || !queued[0].DueAt.Equal(f.now) {
		t.Errorf("the next due time does not run: %+v", queued)
	}
}

func TestFencing(t *testing.T) {
	f := newFixture(t)
	op := f.create(backupOf("org_a", "db_1"))
	old := f.claim(op.ID)
	if ops, err := f.Orphans(f.ctx, testNode, testLease); err != nil || len(ops) != 0 {
		t.Fatalf("our own: %v %v", ops, err)
	}
	if ops, err := f.Orphans(f.ctx, "there/1", testLease); err != nil || len(ops) != 0 {
		t.Fatalf("of a live node: %v %v", ops, err)
	}
	f.now = f.now.Add(testLease + time.Millisecond)
	taken, err := f.Orphans(f.ctx, "there/1", testLease)
	f.ok(err)
	if len(taken) != 1 || taken[0].Operation.ID != op.ID || taken[0].Fence != old.Fence+1 || taken[0].Node != "there/1" {
		t.Fatalf("taken over: %+v", taken)
	}
	_, err = f.Beat(f.ctx, old, safepoint.Progress{}, testLease)
	f.refused(err, safepoint.CodeConflict, "Another process")
	f.refused(f.SaveOperation(f.ctx, old, old.Operation), safepoint.CodeConflict, "Another process")
	end := old.Operation
	end.Status = safepoint.StatusSucceeded
	f.refused(f.Finish(f.ctx, old, end), safepoint.CodeConflict, "Another process")
	again, err := f.Orphans(f.ctx, "there/2", testLease) // that machine's next process knows at once
	f.ok(err)
	if len(again) != 1 {
		t.Fatalf("after a restart: %+v", again)
	}
	f.finish(again[0], safepoint.StatusFailed)
	f.finish(again[0], safepoint.StatusFailed) // the answer got lost
	end.Status = safepoint.StatusSucceeded
	f.refused(f.Finish(f.ctx, again[0], end), safepoint.CodeConflict, "Another process")
	end.Status = safepoint.StatusRunning
	if f.Finish(f.ctx, again[0], end) == nil {
		t.Error("finished as running")
	}
}

// A safety backup is as alive as its restore, and restores are recovered first.
func TestOrphansOfARestore(t *testing.T) {
	f := newFixture(t)
	src := f.kept("org_a", "db_1")
	rc := f.claim(f.create(restoreOf("org_a", "db_1", src.ID)).ID)
	safety := backupOf("org_a", "db_1")
	safety.Trigger, safety.RestoreID = safepoint.TriggerSafety, rc.Operation.ID
	_, err := f.InsertRunning(f.ctx, safety, testNode, 0)
	f.ok(err)
	f.now = f.now.Add(testLease / 2)
	if ops, _ := f.Orphans(f.ctx, "there/1", testLease); len(ops) != 0 {
		t.Errorf("taken from a live restore: %v", ops)
	}
	ops, err := f.Orphans(f.ctx, "here/2", testLease)
	f.ok(err)
	if len(ops) != 2 || ops[0].Operation.ID != rc.Operation.ID {
		t.Fatalf("orphans: %+v", ops)
	}
	f.finish(ops[0], safepoint.StatusFailed)
	stray, err := f.Orphans(f.ctx, "here/2", testLease)
	f.ok(err)
	if len(stray) != 1 || stray[0].Operation.ID != ops[1].Operation.ID {
		t.Errorf("a safety backup whose restore has ended blocks its database for ever: %+v", stray)
	}
}

func TestOrganizationsTakeTurns(t *testing.T) {
	f := newFixture(t)
	for i := range 4 {
		f.sql(`INSERT INTO databases (id, organization_id, name, engine, created_at, created_by, created_by_name) VALUES ($1, 'org_a', $1, 'sqlite', 1, '', '')`, fmt.Sprint("db_a", i))
		f.create(backupOf("org_a", fmt.Sprint("db_a", i)))
		f.now = f.now.Add(time.Second)
	}
	b := f.create(backupOf("org_b", "db_9"))
	first := f.claim(f.list("org_a")[0].ID)
	f.claim(b.ID) // though three of the other organization are older
	f.finish(first, safepoint.StatusSucceeded)
	f.claim(f.list("org_a")[0].ID)
}

// Whatever is asked for in whatever order, nothing runs that must not.
func TestExclusion(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		f := newFixture(t)
		running := map[string]jobs.Claim{}
		halted := ""
		orgOf := map[string]string{"db_1": "org_a", "db_2": "org_a", "db_9": "org_b"}
		for range rapid.IntRange(5, 40).Draw(rt, "steps") {
			f.now = f.now.Add(time.Second)
			db := rapid.SampledFrom([]string{"db_1", "db_2", "db_9"}).Draw(rt, "db")
			switch rapid.IntRange(0, 5).Draw(rt, "act") {
			case 0:
				f.CreateOperation(f.ctx, backupOf(orgOf[db], db))
			case 1:
				f.CreateOperation(f.ctx, restoreOf(orgOf[db], db, ""))
			case 2, 3:
				c, err := f.ClaimNext(f.ctx, testNode, testLease)
				if err != nil {
					rt.Fatal(err)
				}
				if c == nil {
					break
				}
				op := c.Operation
				if op.OrganizationID == "org_a" && halted != "" {
					rt.Fatalf("started while halted: %+v", op)
				}
				for _, r := range running {
					if r.Operation.DatabaseID == op.DatabaseID {
						rt.Fatalf("two on one database: %+v and %+v", r.Operation, op)
					}
					if r.Operation.Type == "restore" && op.Type == "restore" && r.Operation.OrganizationID == op.OrganizationID {
						rt.Fatal("two restores of one organization")
					}
				}
				running[op.ID] = *c
			case 4:
				for id, c := range running {
					if c.Operation.Type == "restore" && c.Operation.OrganizationID == "org_a" && halted == "" {
						f.ok(f.SetHaltedHeld(f.ctx, c, "org_a", "", time.Time{}))
						halted = id
					}
				}
			case 5:
				for id, c := range running {
					if id == halted {
						f.ok(f.ClearHaltedHeld(f.ctx, c, "org_a"))
						halted = ""
					}
					f.finish(c, safepoint.StatusSucceeded)
					delete(running, id)
					break
				}
			}
		}
	})
}
