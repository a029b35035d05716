package e2e

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/api/wire"
	"github.com/safepoint-db/safepoint/internal/pgtest"
	"github.com/safepoint-db/safepoint/internal/server"
)

// hand is a clock that only the test moves.
type hand struct{ ms atomic.Int64 }

func newHand() *hand {
	h := &hand{}
	h.ms.Store(time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC).UnixMilli())
	return h
}

func (h *hand) now() time.Time { return time.UnixMilli(h.ms.Load()).UTC() }

func (h *hand) move(d time.Duration) { h.ms.Add(d.Milliseconds()) }

// runs are a schedule's entries of DB Logs, newest first, once want of them have ended.
func (b *bench) runs(schedule string, want int) []wire.Operation {
	b.t.Helper()
	var ops []wire.Operation
	eventually(b.t, "the schedule's runs end", func() bool {
		ops = b.operations(safepoint.OperationFilter{ScheduleID: schedule})
		ended := 0
		for _, op := range ops {
			if op.Ended() {
				ended++
			}
		}
		return ended >= want
	})
	if len(ops) != want {
		b.t.Fatalf("%d runs, want %d: %+v", len(ops), want, ops)
	}
	return ops
}

// TestScheduledRuns lets a run come due, and others while the server is down.
func TestScheduledRuns(t *testing.T) {
	t.Parallel()
	clock := newHand()
	b := start(t, server.Config{Now: clock.now}, "")
	s := b.addSQLite("shop", ordersSQLite("10"))
	first := clock.now().Add(time.Hour)
	sched := must(b.api.CreateSchedule(t.Context(), wire.ScheduleInput{Name: "Nightly", Interval: "8h", DatabaseID: s.ID, FirstRun: first}))(t)
	if !sched.NextRun.Equal(first) {
		t.Errorf("the next run is %s, want %s", sched.NextRun, first)
	}
	clock.move(59 * time.Minute)
	b.App.Wake()
	b.runs(sched.ID, 0)
	clock.move(2 * time.Minute)
	b.App.Wake()
	op := b.runs(sched.ID, 1)[0]
	if op.Status != "succeeded" || op.Trigger != "scheduled" || !op.DueAt.Equal(first) || op.CreatedBy != "" || op.Size == 0 {
		t.Errorf("the run that came due: %+v", op)
	}
	b.must(b.stop())

	clock.move(3*8*time.Hour + time.Minute) // three come due
	b = start(t, server.Config{Now: clock.now, DataDir: b.data}, b.token)
	ops := b.runs(sched.ID, 4)
	for i, want := range []string{"succeeded", "missed", "missed", "succeeded"} {
		due := first.Add(time.Duration(3-i) * 8 * time.Hour)
		if ops[i].Status != want || !ops[i].DueAt.Equal(due) {
			t.Errorf("run %d is %s, due %s; want %s, due %s", i, ops[i].Status, ops[i].DueAt, want, due)
		}
		if want == "missed" && (ops[i].Failure == nil || ops[i].Size != 0) {
			t.Errorf("a missed run: %+v", ops[i])
		}
	}
	wantWords(t, ops[1].Failure, safepoint.CodeInterrupted, "not running when this backup was due")
	if missed := b.operations(safepoint.OperationFilter{Status: safepoint.StatusMissed}); len(missed) != 2 {
		t.Errorf("DB Logs lists %d missed runs", len(missed))
	}
	if all := must(b.api.Schedules(t.Context()))(t); len(all) != 1 || !all[0].NextRun.Equal(first.Add(4*8*time.Hour)) || all[0].LastGood == nil || all[0].LastGood.ID != ops[0].ID {
		t.Errorf("the card: %+v", all)
	}
}

// TestDisable disables a schedule whose run waits behind another backup, and enables it again.
func TestDisable(t *testing.T) {
	t.Parallel()
	clock := newHand()
	c := pgtest.Shared(t)
	line := newLine(t, c.Port)
	b := start(t, server.Config{Now: clock.now}, "")
	s := b.addPostgres(c, line, ordersPostgres)
	sched := must(b.api.CreateSchedule(t.Context(), wire.ScheduleInput{Name: "Nightly", Interval: "12h", DatabaseID: s.ID, FirstRun: clock.now().Add(time.Hour)}))(t)
	held := line.hold(1 << 20)
	manual := must(b.api.StartBackup(t.Context(), s.ID))(t)
	within(t, "a manual backup is in the middle of a table", held)

	clock.move(61 * time.Minute)
	b.App.Wake()
	eventually(t, "the run waits", func() bool {
		ops := b.operations(safepoint.OperationFilter{ScheduleID: sched.ID})
		return len(ops) == 1 && ops[0].Status == "queued"
	})
	off := must(b.api.DisableSchedule(t.Context(), sched.ID))(t)
	if off.IsActive || off.DisabledBy != "Rahel" || !off.NextRun.IsZero() {
		t.Errorf("disabled: %+v", off)
	}
	op := b.runs(sched.ID, 1)[0]
	if op.Status != "cancelled" || op.Failure == nil || op.Failure.Message != "The schedule was disabled before this run started." || !op.StartedAt.IsZero() {
		t.Errorf("the run that waited: %+v, %+v", op, op.Failure)
	}
	line.release()
	if op := b.wait(manual.ID); op.Status != "succeeded" { // it is not the schedule's
		t.Errorf("the manual backup ended %s: %+v", op.Status, op.Failure)
	}
	clock.move(5 * 12 * time.Hour)
	b.App.Wake()
	must(b.api.StartBackup(t.Context(), s.ID))(t)
	eventually(t, "all is done", func() bool {
		return len(b.operations(safepoint.OperationFilter{Status: safepoint.StatusSucceeded})) == 2
	})
	b.runs(sched.ID, 1) // nothing ran, and nothing is called missed, while it was disabled

	on := must(b.api.EnableSchedule(t.Context(), sched.ID))(t)
	if !on.IsActive || !on.NextRun.After(clock.now()) {
		t.Errorf("enabled: %+v", on)
	}
	clock.move(on.NextRun.Sub(clock.now()))
	b.App.Wake()
	if op := b.runs(sched.ID, 2)[0]; op.Status != "succeeded" || !op.DueAt.Equal(on.NextRun) {
		t.Errorf("after it was enabled again: %+v", op)
	}
}
