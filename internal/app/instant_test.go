package app

import (
	"context"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/engine"
	"github.com/safepoint-db/safepoint/internal/jobs"
	"github.com/safepoint-db/safepoint/internal/storage"
)

// moody is a storage that takes new files only when it wants to.
type moody struct {
	storage.Storage
	create func(ctx context.Context) error
}

func (m moody) Create(ctx context.Context, key string) (storage.Upload, error) {
	if err := m.create(ctx); err != nil {
		return nil, err
	}
	return m.Storage.Create(ctx, key)
}

func (w *world) operation(id string) safepoint.Operation {
	w.t.Helper()
	op, err := w.Catalog.Operation(w.ctx, w.admin.OrganizationID, id)
	w.ok(err)
	return op
}

// startInstant makes a backup, writes one more row, and queues an instant restore.
func (w *world) startInstant(d safepoint.Database) safepoint.Operation {
	w.t.Helper()
	b := w.workBackup(d)
	w.order(d)
	r, err := w.StartRestore(w.ctx, w.admin, b.ID, RestoreInput{Confirm: d.Name, Mode: safepoint.RestoreInstant})
	w.ok(err)
	return r
}

// fillDisk has no backup stored until free is called.
func (w *world) fillDisk() (free func()) {
	healthy := w.Storage
	w.Storage = moody{healthy, func(context.Context) error { return safepoint.Errorf(safepoint.CodeSpace, "The disk is full.") }}
	return func() { w.Storage = healthy }
}

// workFull does the next operation while the disk of the backups is full.
func (w *world) workFull() safepoint.Operation {
	w.t.Helper()
	defer w.fillDisk()()
	return w.work()
}

// What an instant restore set aside is kept, beyond the time to undo it, until there is a safety backup of it.
func TestInstantRestoreWithoutItsSafetyBackup(t *testing.T) {
	w := newWorld(t)
	d := w.shop("shop")
	r := w.startInstant(d)
	free := w.fillDisk()
	if r = w.work(); r.Status != safepoint.StatusSucceeded || !r.Unguarded() || r.SafetyFailure == nil || r.SafetyFailure.Code != safepoint.CodeSpace {
		t.Fatalf("ended %s: %+v", r.Status, r)
	}
	if got := w.sqlite(d.Path, "SELECT count(*) FROM orders"); got != 2 {
		t.Errorf("the restored database has %d orders", got)
	}
	aside := filepath.Join(filepath.Dir(d.Path), engine.AsideName(r.ID)+".sqlite")
	kept := func(want bool) {
		t.Helper()
		if _, err := os.Stat(aside); (err == nil) != want {
			t.Fatalf("the set-aside file: %v, want it kept %v", err, want)
		}
	}
	w.Housekeep(w.ctx)
	if running, err := w.Catalog.Running(w.ctx, d.OrganizationID); err != nil || len(running) > 0 {
		t.Errorf("tried again at once: %v, %v", running, err)
	}
	w.pass(25 * time.Hour)
	w.Housekeep(w.ctx) // queues the next try, and must not drop what is the only copy
	kept(true)
	w.refused(w.RemoveDatabase(w.ctx, w.admin, d.ID), safepoint.CodeConflict, "")
	again := w.work()
	if again.Trigger != safepoint.TriggerSafety || again.Status != safepoint.StatusFailed || again.RestoreID != r.ID {
		t.Fatalf("the second try: %+v", again)
	}
	free()
	w.pass(2 * time.Minute)
	w.Housekeep(w.ctx)
	if again = w.work(); again.Status != safepoint.StatusSucceeded || again.Rows != 3 {
		t.Fatalf("the third try ended %s with %d rows: %+v", again.Status, again.Rows, again.Failure)
	}
	kept(true)
	w.Housekeep(w.ctx)
	if r = w.operation(r.ID); r.SafetyID != again.ID || r.SafetyFailure != nil || r.Unguarded() {
		t.Errorf("the restore says %+v", r)
	}
	w.Housekeep(w.ctx) // now the time to undo it is over indeed
	kept(false)
	if r = w.operation(r.ID); !r.UndoUntil.IsZero() {
		t.Errorf("the restore can still be undone: %+v", r)
	}
}

// The database of a server that is gone for good can be removed though a restore of it has no safety backup, once its name is
// typed; not while the server answers.
func TestRemoveLostDatabase(t *testing.T) {
	w := newWorld(t)
	d := w.shop("shop")
	r := w.startInstant(d)
	if r := w.workFull(); !r.Unguarded() {
		t.Fatalf("ended %s: %+v", r.Status, r)
	}
	err := w.RemoveDatabase(w.ctx, w.admin, d.ID)
	w.refused(err, safepoint.CodeConflict, "can be undone until")
	if field := safepoint.UserError(err).Field; field != FieldGone {
		t.Errorf("the refusal names the field %q", field)
	}
	w.refused(w.RemoveLostDatabase(w.ctx, w.admin, d.ID, d.Name), safepoint.CodeConflict, "answers")
	folder := filepath.Dir(d.Path)
	w.ok(os.Rename(folder, folder+".gone"))
	w.refused(w.RemoveLostDatabase(w.ctx, w.admin, d.ID, "Shop"), safepoint.CodeInvalid, "type the database's name")
	w.ok(w.RemoveLostDatabase(w.ctx, w.admin, d.ID, d.Name))
	w.audited(w.admin, "Ines Marlow|database.remove|"+d.Name+"|succeeded")
	w.pass(time.Hour)
	w.Housekeep(w.ctx)
	if running, err := w.Catalog.Running(w.ctx, d.OrganizationID); err != nil || len(running) > 0 {
		t.Errorf("its safety backup is still tried: %v, %v", running, err)
	}
	if r = w.operation(r.ID); r.Unguarded() || !r.UndoUntil.IsZero() {
		t.Errorf("the restore says %+v", r)
	}
}

// An undo works as soon as services run again: the safety backup that is under way makes way for it.
func TestUndoWhileTheSafetyBackupIsMade(t *testing.T) {
	w := newWorld(t)
	d := w.shop("shop")
	r := w.startInstant(d)
	_, err := w.StartUndo(w.ctx, w.admin, r.ID)
	w.refused(err, safepoint.CodeConflict, "changed nothing")
	healthy := w.Storage
	asked := make(chan struct{})
	w.Storage = moody{healthy, func(ctx context.Context) error { close(asked); <-ctx.Done(); return context.Cause(ctx) }}
	c := w.claim()
	ctx, cancel := context.WithCancelCause(w.ctx)
	defer cancel(nil)
	ended := make(chan safepoint.Operation, 1)
	go func() { ended <- w.Work(ctx, c, func(safepoint.Progress) {}) }()
	<-asked
	if now := w.operation(r.ID); !now.CanYield() {
		t.Fatalf("it is in step %s, resumed at %v", now.Step, now.ResumedAt)
	}
	_, err = w.Cancel(w.ctx, w.admin, r.ID)
	w.refused(err, safepoint.CodeConflict, "Too late")
	undo, err := w.StartUndo(w.ctx, w.admin, r.ID)
	w.ok(err)
	stop, err := w.Catalog.Beat(w.ctx, c, safepoint.Progress{}, time.Minute)
	w.ok(err)
	if !stop {
		t.Fatal("the restore is not asked to end")
	}
	if next, err := w.Catalog.ClaimNext(w.ctx, "test/1", time.Minute); err != nil || next != nil {
		t.Fatalf("the undo began beside the restore: %v, %v", next, err)
	}
	cancel(jobs.ErrCancelled)
	op := <-ended
	w.ok(w.Catalog.Finish(w.ctx, c, op))
	if op.Status != safepoint.StatusSucceeded || !op.Unguarded() || op.SafetyFailure.Code != safepoint.CodeCancelled {
		t.Fatalf("the restore ended %s: %+v", op.Status, op)
	}
	w.Storage = healthy
	w.pass(time.Hour)
	w.Housekeep(w.ctx) // makes no safety backup while the undo waits
	if done := w.work(); done.ID != undo.ID || done.Status != safepoint.StatusSucceeded {
		t.Fatalf("the undo ended %s: %+v", done.Status, done.Failure)
	}
	if got := w.sqlite(d.Path, "SELECT count(*) FROM orders"); got != 3 {
		t.Errorf("the database has %d orders after the undo", got)
	}
	w.Housekeep(w.ctx)
	if running, err := w.Catalog.Running(w.ctx, d.OrganizationID); err != nil || len(running) > 0 || w.operation(r.ID).Unguarded() {
		t.Errorf("a safety backup is still wanted: %v, %v", running, err)
	}
}

// unguarded is a restore that ended without a safety backup. Another try at it is queued.
func (w *world) unguarded(d safepoint.Database) (restore safepoint.Operation) {
	w.t.Helper()
	w.startInstant(d)
	restore = w.workFull()
	w.pass(2 * time.Minute)
	w.Housekeep(w.ctx)
	return restore
}

// A process that died right after the safety backup was listed does not make a second one; one that died while a later try
// was made tries again.
func TestSafetyBackupAfterACrash(t *testing.T) {
	w := newWorld(t)
	d := w.shop("shop")
	r := w.unguarded(d)
	c := w.claim() // by a process that dies
	if mine, err := w.Catalog.Orphans(w.ctx, c.Node, time.Minute); err != nil || len(mine) > 0 {
		t.Fatalf("a safety backup that this process makes is taken from it: %v, %v", mine, err)
	}
	orphans, err := w.Catalog.Orphans(w.ctx, "test/2", time.Minute)
	w.ok(err)
	if len(orphans) != 1 {
		t.Fatalf("orphans: %v", orphans)
	}
	w.finish(orphans[0], w.Recover(w.ctx, orphans[0]), safepoint.StatusFailed)
	w.pass(5 * time.Minute)
	w.Housekeep(w.ctx)
	made := w.work()
	if made.Status != safepoint.StatusSucceeded {
		t.Fatalf("ended %s: %+v", made.Status, made.Failure)
	}
	work := &work{App: w.App, claim: jobs.Claim{Operation: r}, db: d}
	if id, err := work.safety(w.ctx, nil, nil); err != nil || id != made.ID {
		t.Errorf("a second safety backup: %s, %v", id, err)
	}
}

// Set-aside databases that somebody dropped are looked for no more.
func TestSetAsideThatIsGone(t *testing.T) {
	w := newWorld(t)
	d := w.shop("shop")
	w.startInstant(d)
	r := w.workFull()
	w.ok(os.Remove(filepath.Join(filepath.Dir(d.Path), engine.AsideName(r.ID)+".sqlite")))
	w.pass(2 * time.Minute)
	w.Housekeep(w.ctx)
	if op := w.work(); op.Status != safepoint.StatusFailed || op.Failure.Code != safepoint.CodeConflict {
		t.Errorf("ended %s: %+v", op.Status, op.Failure)
	}
	if r = w.operation(r.ID); r.Unguarded() || r.SafetyFailure == nil || r.SafetyFailure.Code != safepoint.CodeConflict {
		t.Errorf("the restore says %+v", r)
	}
}

// Only what the server itself says is gone is given up. A folder that is not there for a moment, a connection that leads
// elsewhere, or a process that was overtaken, says nothing of it: the way back stays open and the backup is tried again.
func TestSetAsideThatIsOutOfReach(t *testing.T) {
	w := newWorld(t)
	d := w.shop("shop")
	w.startInstant(d)
	r := w.workFull()
	folder := filepath.Dir(d.Path)
	again := func() jobs.Claim {
		t.Helper()
		w.pass(2 * time.Hour)
		w.Housekeep(w.ctx)
		return w.claim()
	}
	open := func(when string) {
		t.Helper()
		if r = w.operation(r.ID); !r.Unguarded() || r.UndoUntil.IsZero() {
			t.Fatalf("%s the set-aside database was given up: %+v", when, r)
		}
	}

	c := again()
	w.ok(os.Rename(folder, folder+".away"))
	w.ok(os.Mkdir(folder, 0o700)) // as where a disk is not mounted
	w.finish(c, w.Work(w.ctx, c, func(safepoint.Progress) {}), safepoint.StatusFailed)
	w.ok(os.Remove(folder))
	w.ok(os.Rename(folder+".away", folder))
	open("out of reach,")

	c = again()
	taken, err := w.Catalog.Orphans(w.ctx, "test/2", time.Minute)
	w.ok(err)
	w.Work(w.ctx, c, func(safepoint.Progress) {}) // it stood still meanwhile
	before := *r.SafetyFailure
	open("by a process that was overtaken,")
	if !reflect.DeepEqual(*r.SafetyFailure, before) {
		t.Errorf("who was overtaken wrote %+v", r.SafetyFailure)
	}
	w.finish(taken[0], w.Recover(w.ctx, taken[0]), safepoint.StatusFailed)

	c = again()
	if op := w.Work(w.ctx, c, func(safepoint.Progress) {}); op.Status != safepoint.StatusSucceeded || op.Rows != 3 {
		t.Errorf("within reach again, the safety backup ended %s: %+v", op.Status, op.Failure)
	}
}

// A safety backup that a person deleted before it was put on its restore is none: another is made before what was set
// aside goes. And a clock that ran ahead when a try failed does not put off the next for as long.
func TestSafetyBackupThatIsGone(t *testing.T) {
	w := newWorld(t)
	d := w.shop("shop")
	w.startInstant(d)
	r := w.workFull()
	w.pass(25 * time.Hour)
	w.Housekeep(w.ctx)
	made := w.work()
	w.ok(w.DeleteBackup(w.ctx, w.admin, made.ID, made.Name))
	w.Housekeep(w.ctx)
	w.Housekeep(w.ctx)
	aside := filepath.Join(filepath.Dir(d.Path), engine.AsideName(r.ID)+".sqlite")
	if _, err := os.Stat(aside); err != nil || !w.operation(r.ID).Unguarded() {
		t.Fatalf("the only copy: %v", err)
	}
	w.pass(365 * 24 * time.Hour)
	if failed := w.workFull(); failed.Status != safepoint.StatusFailed {
		t.Fatalf("ended %s", failed.Status)
	}
	w.pass(-365 * 24 * time.Hour)
	w.Housekeep(w.ctx)
	if again := w.work(); again.Status != safepoint.StatusSucceeded || again.Rows != 3 {
		t.Errorf("ended %s: %+v", again.Status, again.Failure)
	}
}

// A safety backup that fails is tried again after a minute, also where the storage has not let go of what is left of it.
func TestSafetyBackupWaitsForItsTurn(t *testing.T) {
	w := newWorld(t)
	r := w.unguarded(w.shop("shop"))
	healthy, removes := w.Storage, false
	w.Storage = stubborn{healthy, &removes}
	if again := w.work(); again.Status != safepoint.StatusFailed || again.RestoreID != r.ID {
		t.Fatalf("ended %s: %+v", again.Status, again)
	}
	queued := func() int {
		page, err := w.Operations(w.ctx, w.admin, safepoint.OperationFilter{Status: safepoint.StatusQueued})
		w.ok(err)
		return len(page.Operations)
	}
	for range 5 { // what housekeeping does comes in any order
		if w.Housekeep(w.ctx); queued() != 0 {
			t.Fatal("it is tried again at once")
		}
	}
	w.Storage = healthy
	w.pass(3 * time.Minute)
	if w.Housekeep(w.ctx); queued() != 1 {
		t.Error("it is not tried again")
	}
}

// How a restore goes about it is its database's choice unless it is asked for another; the preview tells both.
func TestModeOfARestore(t *testing.T) {
	w := newWorld(t)
	d := w.shop("shop")
	b := w.workBackup(d)
	_, err := w.StartRestore(w.ctx, w.admin, b.ID, RestoreInput{Confirm: "shop", Mode: "fast"})
	w.refused(err, safepoint.CodeInvalid, "guarded or instant")
	p, err := w.PreviewRestore(w.ctx, w.admin, b.ID)
	w.ok(err)
	if p.Mode != safepoint.RestoreGuarded || len(p.Modes) != 2 || p.HaltTimes[safepoint.RestoreInstant] != 0 {
		t.Errorf("at first: %s of %v, %v", p.Mode, p.Modes, p.HaltTimes)
	}
	in := DatabaseInput{Name: "shop", URL: "sqlite://" + d.Path, InstantSwitch: ptr(true)}
	d, err = w.UpdateDatabase(w.ctx, w.admin, d.ID, in)
	w.ok(err)
	in.InstantSwitch = nil // keeps it
	d, err = w.UpdateDatabase(w.ctx, w.admin, d.ID, in)
	w.ok(err)
	if !d.InstantSwitch {
		t.Error("an update that says nothing of it changed the mode")
	}
	_, err = w.StartRestore(w.ctx, w.admin, b.ID, RestoreInput{Confirm: "shop"})
	w.ok(err)
	r := w.work()
	if r.Mode != safepoint.RestoreInstant || r.Status != safepoint.StatusSucceeded || r.SafetyID == "" || r.HaltTime() != r.ResumedAt.Sub(r.HaltedAt) {
		t.Errorf("the restore: %+v", r)
	}
	_, err = w.StartRestore(w.ctx, w.admin, b.ID, RestoreInput{Confirm: "shop", Mode: safepoint.RestoreGuarded})
	w.ok(err)
	if r = w.work(); r.Mode != safepoint.RestoreGuarded {
		t.Errorf("asked for a guarded restore, got %q", r.Mode)
	}
	w.sql(`UPDATE operations SET resumed_at = halted_at + CASE mode WHEN 'instant' THEN 200 ELSE 4000 END WHERE halted_at > 0`)
	p, err = w.PreviewRestore(w.ctx, w.admin, b.ID)
	w.ok(err)
	if p.Mode != safepoint.RestoreInstant || p.HaltTimes[safepoint.RestoreInstant] != 200*time.Millisecond || p.HaltTimes[safepoint.RestoreGuarded] != 4*time.Second {
		t.Errorf("then: %s, %v", p.Mode, p.HaltTimes)
	}
}

// An instant restore that ended before its safety backup was tried, as one that another process had to end, is not left
// without one for a minute.
func TestSafetyBackupIsTriedAtOnce(t *testing.T) {
	w := newWorld(t)
	op := safepoint.Operation{Type: safepoint.TypeRestore, Mode: safepoint.RestoreInstant, Status: safepoint.StatusSucceeded, Switched: true, UndoUntil: w.Now().Add(time.Hour)}
	if w.Ended(w.ctx, op); !w.isUntidy() {
		t.Error("nobody looks after it before the minute is over")
	}
	for what, change := range map[string]func(*safepoint.Operation){
		"one that is guarded":                      func(o *safepoint.Operation) { o.SafetyID = "op_safety" },
		"one whose safety backup failed":           func(o *safepoint.Operation) { o.SafetyFailure = &safepoint.Failure{Code: safepoint.CodeSpace} },
		"one that makes its safety backup now":     func(o *safepoint.Operation) { o.Status = safepoint.StatusRunning },
		"one that did not get as far as to switch": func(o *safepoint.Operation) { o.Switched = false },
	} {
		other := op
		change(&other)
		if w.Ended(w.ctx, other); w.isUntidy() {
			t.Errorf("%s has the house tidied", what)
		}
	}
}
