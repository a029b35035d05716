package restore

import (
	"reflect"
	"testing"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/archive"
	"github.com/safepoint-db/safepoint/internal/engine"
)

// Somebody renames the live database at any moment of a restore, and the process may die right after: the restore goes
// back, or has switched, services run again, and what was renamed is left where it is.
func TestRenamedAtAnyCall(t *testing.T) {
	for _, mode := range modes {
		clean := newWorldOf(mode)
		live(t, clean, clean.job(t))
		for n := 1; n <= clean.calls; n++ {
			for _, how := range []fate{never, failBefore, failAfter, crashBefore, crashAfter} {
				w := newWorldOf(mode)
				w.moved, w.fates[n] = n, how
				op := live(t, w, w.job(t))
				judgeMoved(t, w, op, oldContent, newContent)
				if w.databases[engine.StagingName("op_1")] != nil {
					t.Error("staging is left over")
				}
				if t.Failed() {
					t.Fatalf("%s, renamed before call %d, %s, which %s: ended %s in step %s: %+v\ncalls: %v", mode, n, clean.log[n-1], how, op.Status, op.Step, op.Failure, w.log)
				}
			}
		}
	}
}

// The same in an undo.
func TestRenamedAtAnyCallOfAnUndo(t *testing.T) {
	clean, j := restoredWorld(t)
	live(t, clean, j)
	for n := 1; n <= clean.calls; n++ {
		for _, how := range []fate{never, failBefore, failAfter, crashBefore, crashAfter} {
			w, j := restoredWorld(t)
			w.moved, w.fates[n] = n, how
			op := live(t, w, j)
			judgeMoved(t, w, op, newContent, oldContent)
			if t.Failed() {
				t.Fatalf("renamed before call %d, %s, which %s: ended %s: %+v\ncalls: %v", n, clean.log[n-1], how, op.Status, op.Failure, w.log)
			}
		}
	}
}

func judgeMoved(t *testing.T, w *world, op safepoint.Operation, before, after archive.Fingerprint) {
	t.Helper()
	moved := w.databases[movedName]
	if moved == nil {
		return // its call did not come
	}
	want := before
	if op.Switched {
		want = after
	}
	if !reflect.DeepEqual(moved.content, want) || !moved.open {
		t.Errorf("ended %s, switched %v; what was renamed holds %v, open %v", op.Status, op.Switched, moved.content, moved.open)
	}
	if w.databases[liveName] != nil {
		t.Errorf("something took the name: %v", w.databases[liveName])
	}
	if !op.Status.Ended() || op.NeedsOperator || op.Status != safepoint.StatusSucceeded && op.Failure == nil {
		t.Errorf("no end with a reason: %+v", op)
	}
	if w.halted {
		t.Error("the organization is still halted")
	}
	for _, s := range w.services {
		if s.running != (s.name != "reports") && !contains(op.Attention, s.name) {
			t.Errorf("%s running is %v", s.name, s.running)
		}
	}
}
