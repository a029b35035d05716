package restore

import (
	"context"
	"reflect"
	"slices"
	"testing"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/engine"
)

const newName = "shop_copy"

func (e modelEngine) CanFound(_ context.Context, _ engine.Target, name string) error {
	return e.w.call("CanFound", func() error {
		if e.w.databases[name] != nil {
			return safepoint.Errorf(safepoint.CodeConflict, "taken")
		}
		return nil
	})
}

func (e modelEngine) Found(_ context.Context, _ engine.Target, p engine.Plan, name string) error {
	return e.w.call("Found", func() error {
		staging := e.w.databases[p.StagingName]
		if staging == nil || e.w.databases[name] != nil {
			return safepoint.Errorf(safepoint.CodeConflict, "gone, or taken")
		}
		staging.marker = ""
		e.w.databases[name] = staging
		delete(e.w.databases, p.StagingName)
		return nil
	})
}

func (e modelEngine) Founded(_ context.Context, _ engine.Target, p engine.Plan, name string) (there bool, err error) {
	err = e.w.call("Founded", func() error {
		d := e.w.databases[name]
		there = d != nil && d.id == p.StagingID
		return nil
	})
	return there, err
}

func (w *world) foundJob(t *testing.T) Job {
	j := w.job(t)
	j.NewName = newName
	return j
}

// judgeFound checks that the live database and the services were left alone, and that the new database is there and
// right, or nothing is.
func judgeFound(t *testing.T, w *world, op safepoint.Operation) {
	t.Helper()
	live := w.databases[liveName]
	if !reflect.DeepEqual(live.content, oldContent) || !live.open || live.id != "live" {
		t.Errorf("the live database was changed: %+v", live)
	}
	for _, s := range w.services {
		if s.running != (s.name != "reports") {
			t.Errorf("%s was touched", s.name)
		}
	}
	undropped := op.NeedsOperator && op.Failure != nil
	switch d := w.databases[newName]; {
	case !op.Status.Ended() || (op.Status == safepoint.StatusSucceeded) != (op.Failure == nil):
		t.Errorf("no end with a reason: %+v", op)
	case op.Status == safepoint.StatusSucceeded && (d == nil || !reflect.DeepEqual(d.content, newContent)):
		t.Errorf("succeeded, but the new database is %+v", d)
	case op.Status != safepoint.StatusSucceeded && d != nil:
		t.Errorf("%s, but the new database is there", op.Status)
	}
	if w.databases[engine.StagingName("op_1")] != nil && !undropped {
		t.Error("staging is left over")
	}
	if len(w.safety) > 0 || w.halted || op.Switched || !op.UndoUntil.IsZero() {
		t.Errorf("a restore into a new database replaced something: %+v", op)
	}
}

func TestFound(t *testing.T) {
	w := newWorld()
	op := live(t, w, w.foundJob(t))
	if op.Status != safepoint.StatusSucceeded {
		t.Fatalf("status %s: %+v", op.Status, op.Failure)
	}
	judgeFound(t, w, op)

	w = newWorld()
	w.databases[newName] = &database{id: "somebody's", content: oldContent, open: true}
	op = live(t, w, w.foundJob(t))
	if op.Status != safepoint.StatusFailed || op.Failure.Code != safepoint.CodeConflict || w.databases[newName].id != "somebody's" {
		t.Errorf("over a database that was there: %s %+v", op.Status, op.Failure)
	}
}

// TestFoundEveryCallEveryFate lets each call fail or crash, and any two of them.
func TestFoundEveryCallEveryFate(t *testing.T) {
	everyFate(t, newWorld, (*world).foundJob, judgeFound)
}

// TestLateFound has the server give the name only some calls after its sender gave up or died.
func TestLateFound(t *testing.T) {
	clean := newWorld()
	live(t, clean, clean.foundJob(t))
	for _, how := range []fate{failLate, crashLate} {
		for delay := range 12 {
			w := newWorld()
			w.fates[slices.Index(clean.log, "Found")+1], w.delay = how, delay
			op := live(t, w, w.foundJob(t))
			judgeFound(t, w, op)
			if t.Failed() {
				t.Fatalf("the name %s, by %d calls: ended %s: %+v\ncalls: %v", how, delay, op.Status, op.Failure, w.log)
			}
		}
	}
}

func TestFoundCancelled(t *testing.T) {
	w := newWorld()
	w.cancelled = true
	op := live(t, w, w.foundJob(t))
	if op.Status != safepoint.StatusCancelled {
		t.Errorf("got %s: %+v", op.Status, op.Failure)
	}
	judgeFound(t, w, op)
}
