package restore

import (
	"context"
	"fmt"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/engine"
	"github.com/safepoint-db/safepoint/internal/fault"
)

// Recover ends a restore or undo that an earlier process left running: forward if the switch took place, back if not.
// It believes the server, not the journal, about where the switch stands. j is what Run was given.
func Recover(ctx context.Context, j Job) safepoint.Operation {
	r := newRun(j)
	defer r.flush(context.WithoutCancel(ctx))
	note := "The server started again. Looking how far the restore got."
	if r.Operation.Failure != nil { // a try before this one could not end it
		note = "Looking again how far the restore got."
	}
	r.Operation.Failure = nil
	entries, err := r.Ledger.Entries(ctx)
	if err == nil {
		r.rec, err = lastRecord(entries)
	}
	if err != nil {
		return r.unread(ctx, err)
	}
	if n := len(entries); n == 0 || entries[n-1].Detail != note { // a long outage needs no line a minute
		r.tell(ctx, safepoint.JournalRecovering, "", note)
	}
	fault.Point("restore.recover.read")
	return r.wayBack(ctx, r.why())
}

// why is what made the restore go back: what was written down when it did, else that its process died.
func (r *run) why() error {
	if f := r.rec.Failure; f != nil {
		return f.Failed()
	}
	return interrupted(r.Operation)
}

func interrupted(op safepoint.Operation) error {
	where := "before its first step"
	if op.Step != safepoint.StepNone {
		where = "during step " + op.Step.String()
	}
	return safepoint.Errorf(safepoint.CodeInterrupted, "The server stopped %s. %s is as it was before.", where, op.DatabaseName).
		WithHint("Start the restore again.")
}

// checkUndo makes sure that there is still a way back.
func (r *run) checkUndo(ctx context.Context) error {
	r.rec.Plan, r.rec.Undo = r.Undo, true
	if err := r.enter(ctx, safepoint.StepCheck, "Look whether the earlier database is still there."); err != nil {
		return err
	}
	fault.Point("restore.undo.check")
	at, err := r.Engine.Probe(ctx, r.Target, *r.Undo)
	if err != nil {
		return err
	}
	if at != engine.After {
		return safepoint.Errorf(safepoint.CodeConflict, "This restore cannot be undone: %s is no longer the database that it restored.", r.Operation.DatabaseName).
			WithHint("Restore its safety backup instead: it is listed in DB Logs.")
	}
	return r.done(ctx, "The earlier database is there.")
}

// switchBack puts the earlier database back. What was live until now is kept beside it for the rest of the undo window.
func (r *run) switchBack(ctx context.Context) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	ctx = context.WithoutCancel(ctx)
	if err := r.enter(ctx, safepoint.StepSwitch, "Put the earlier database back in its place."); err != nil {
		return err
	}
	if err := r.stillWanted(ctx); err != nil {
		return err
	}
	if err := fault.Point("restore.undo.intent"); err != nil {
		return err
	}
	err := r.Engine.SwitchBack(ctx, r.Target, *r.rec.Plan)
	if ferr := fault.Point("restore.undo.sent"); err == nil {
		err = ferr
	}
	if err != nil {
		after, perr := r.probeAfter(ctx)
		if perr != nil {
			return perr
		}
		if !after {
			return err
		}
	}
	fault.Point("restore.undo.confirmed")
	r.Operation.Switched, r.switched = true, true
	return r.done(ctx, "The earlier database is live again.")
}

// Clean destroys what a restore kept for its undo window: the set-aside database or, after an undo, the restored one.
// It is idempotent, and drops nothing whose identity does not agree.
func Clean(ctx context.Context, e engine.Engine, t engine.Target, p engine.Plan, undone bool) error {
	drop := e.DropAside
	if undone {
		drop = e.DropStaging
	}
	fault.Point("clean.drop.before")
	if err := drop(ctx, t, p); err != nil {
		return fmt.Errorf("clean up after restore %s: %w", p.OperationID, err)
	}
	fault.Point("clean.drop.done")
	return nil
}
