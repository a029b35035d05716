package app

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/engine"
)

// A clock that leaps to a wrong year drops nothing that was set aside, and the restore can still be undone; so it can once
// the clock was put right. A day that passes ends the window as ever.
func TestALeapOfTheClockDropsNothing(t *testing.T) {
	w := newWorld(t)
	d := w.shop("shop")
	w.Housekeep(w.ctx)
	r := w.startInstant(d)
	if r = w.work(); r.Status != safepoint.StatusSucceeded {
		t.Fatalf("ended %s: %+v", r.Status, r.Failure)
	}
	aside := filepath.Join(filepath.Dir(d.Path), engine.AsideName(r.ID)+".sqlite")
	w.pass(time.Hour)
	w.Housekeep(w.ctx)
	for _, leap := range []time.Duration{365 * 24 * time.Hour, -365 * 24 * time.Hour, -50 * 365 * 24 * time.Hour, 50 * 365 * 24 * time.Hour} {
		w.leap(leap)
		w.Housekeep(w.ctx)
		if _, err := os.Stat(aside); err != nil {
			t.Fatalf("after a leap of %s: %v", leap, err)
		}
		w.ok(w.undoable(w.ctx, w.operation(r.ID)))
	}
	w.pass(24 * time.Hour)
	w.Housekeep(w.ctx)
	if _, err := os.Stat(aside); !os.IsNotExist(err) {
		t.Errorf("after its window it is still there: %v", err)
	}
}

// Of two restores the later one can be undone, whatever the clock said when they were asked for.
func TestUndoGoesByTheOrderOfRestores(t *testing.T) {
	w := newWorld(t)
	d := w.shop("shop")
	first := w.startInstant(d)
	first = w.work()
	w.leap(-time.Hour)
	b := w.workBackup(d)
	_, err := w.StartRestore(w.ctx, w.admin, b.ID, RestoreInput{Confirm: d.Name})
	w.ok(err)
	second := w.work()
	if first.Status != safepoint.StatusSucceeded || second.Status != safepoint.StatusSucceeded || !second.CreatedAt.Before(first.CreatedAt) {
		t.Fatalf("%s %s, then %s %s", first.Status, first.CreatedAt, second.Status, second.CreatedAt)
	}
	_, err = w.StartUndo(w.ctx, w.admin, first.ID)
	w.refused(err, safepoint.CodeConflict, "A later restore")
	_, err = w.StartUndo(w.ctx, w.admin, second.ID)
	w.ok(err)
	if undo := w.work(); undo.Status != safepoint.StatusSucceeded {
		t.Fatalf("the undo of the later one: %+v", undo.Failure)
	}
	_, err = w.StartUndo(w.ctx, w.admin, first.ID)
	w.ok(err)
}
