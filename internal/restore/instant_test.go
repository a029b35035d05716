package restore

import (
	"context"
	"slices"
	"testing"

	"github.com/safepoint-db/safepoint"
)

// In an instant restore nothing stands between the halt and the switch, and services resume before the safety backup.
func TestInstantOrder(t *testing.T) {
	w := newWorldOf(safepoint.RestoreInstant)
	op := live(t, w, w.job(t))
	judge(t, w, op)
	if op.Status != safepoint.StatusSucceeded || op.SafetyID == "" || op.SafetyFailure != nil {
		t.Fatalf("ended %s: %+v, safety backup %q, %+v", op.Status, op.Failure, op.SafetyID, op.SafetyFailure)
	}
	from, to := slices.Index(w.log, "Halt web"), slices.Index(w.log, "Resume web")
	want := []string{"Halt web", "CancelAsked", "Halt mail", "Save", "Append", "CancelAsked", "Gate.Switch", "Resume mail", "Resume web"}
	if got := w.log[from : to+1]; !slices.Equal(got, want) {
		t.Errorf("while services are halted: %v\nwant %v", got, want)
	}
	var told []string
	for i, e := range w.entries {
		if e.Seq != i+1 || i > 0 && e.At.Before(w.entries[i-1].At) {
			t.Errorf("entry %d is out of order: %+v", i, e)
		}
		told = append(told, e.Step.String()+" "+e.Event)
	}
	for _, need := range []string{"halt intent", "halt done", "switch intent", "switch done", "resume intent", "guard intent", "guard done", "clean done"} {
		i := slices.Index(told, need)
		if i < 0 {
			t.Fatalf("the journal does not tell of %q: %v", need, told)
		}
		told = told[i:]
	}
}

// A safety backup that fails ends an instant restore all the same: it says why, and keeps what was set aside. A server that
// stops meanwhile leaves it to the next start.
func TestInstantGuardFails(t *testing.T) {
	w := newWorldOf(safepoint.RestoreInstant)
	j := w.job(t)
	j.Guard = func(context.Context, DumpFunc) (string, error) {
		return "", safepoint.Errorf(safepoint.CodeSpace, "No room.")
	}
	op := live(t, w, j)
	judge(t, w, op)
	if op.Status != safepoint.StatusSucceeded || !op.Unguarded() || op.SafetyFailure.Code != safepoint.CodeSpace || op.UndoUntil.IsZero() {
		t.Errorf("ended %s: %+v", op.Status, op)
	}

	w = newWorldOf(safepoint.RestoreInstant)
	j = w.job(t)
	guard, stopping := j.Guard, false
	j.Stopping = func() bool { return stopping }
	j.Guard = func(context.Context, DumpFunc) (string, error) { stopping = true; return "", errInjected }
	if op = Run(t.Context(), j); op.Status != safepoint.StatusRunning || w.halted {
		t.Fatalf("ended %s, halted %v", op.Status, w.halted)
	}
	j.Operation, j.Guard, j.Stopping = op, guard, nil
	op = Recover(t.Context(), j)
	judge(t, w, op)
	if op.SafetyID == "" {
		t.Errorf("no safety backup after the next start: %+v", op)
	}
}

// An undo that was asked for while the safety backup is made ends it: what was set aside is to be live again.
func TestInstantYieldsToUndo(t *testing.T) {
	for _, crashed := range []bool{false, true} {
		w := newWorldOf(safepoint.RestoreInstant)
		j := w.job(t)
		ctx, cancel := context.WithCancelCause(t.Context())
		j.Guard = func(ctx context.Context, _ DumpFunc) (string, error) {
			w.cancelled = true
			if crashed {
				panic(crash{"guard"})
			}
			cancel(safepoint.Errorf(safepoint.CodeCancelled, "Cancelled by a person."))
			return "", context.Cause(ctx)
		}
		op, dead := attempt(func() safepoint.Operation { return Run(ctx, j) })
		if dead != crashed {
			t.Fatal("it did not crash as asked")
		}
		if crashed {
			j.Operation = w.row
			op = Recover(t.Context(), j)
		}
		judge(t, w, op)
		if op.Status != safepoint.StatusSucceeded || op.SafetyFailure == nil || op.SafetyFailure.Code != safepoint.CodeCancelled {
			t.Errorf("crashed %v: ended %s: %+v", crashed, op.Status, op.SafetyFailure)
		}
	}
}
