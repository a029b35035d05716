package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/fault"
	"github.com/safepoint-db/safepoint/internal/restore"
)

// Housekeep ends what was begun and lets go of what is no longer kept: deletions and tests of services that a crash cut
// short, safety backups that instant restores could not make, and databases whose undo window has passed; and it merges
// what lists are searched by. A server calls
// it at its start, before it claims any operation, every minute, and when Untidy says so. again says that something could
// not be done now, and is worth another try soon.
func (a *App) Housekeep(ctx context.Context) (again bool) {
	for what, do := range map[string]func(context.Context) error{
		"end deletions": a.endDeletions, "end tests of services": a.endTests, "end lines of the audit log": a.endActs, "make safety backups": a.queueSafety,
		"drop expired databases": a.dropExpired, "keep a reserve on the disk": a.keepReserve,
		"merge the indices of words": a.mergeWords,
	} {
		if err := do(ctx); err != nil {
			a.Log.WarnContext(ctx, "housekeeping", "what", what, "error", err)
			again = true
		}
	}
	return again
}

// keepReserve makes the catalog's reserve again after it was needed. That there is no room for it yet is no failure: the
// storage's notices tell of a disk that is almost full.
func (a *App) keepReserve(context.Context) error {
	if err := a.Catalog.FillReserve(); safepoint.ErrorCode(err) != safepoint.CodeSpace {
		return err
	}
	return nil
}

// mergeWords keeps searches quick. On a full disk it waits for room, which notices ask for.
func (a *App) mergeWords(ctx context.Context) error {
	if err := a.Catalog.MergeWords(ctx); safepoint.ErrorCode(err) != safepoint.CodeSpace {
		return err
	}
	return nil
}

// Untidy receives when something was left for Housekeep that should not wait a minute.
func (a *App) Untidy() <-chan struct{} { return a.untidy }

func (a *App) tidySoon() {
	select {
	case a.untidy <- struct{}{}:
	default: // it is known already
	}
}

// Ended is told of each operation whose end was stored: a safety backup that was tried again goes on its restore at once, and
// that of an instant restore which ended before it could try is made at once.
func (a *App) Ended(ctx context.Context, op safepoint.Operation) {
	if op.Status.Ended() && op.Unguarded() && op.SafetyFailure == nil {
		a.tidySoon()
	}
	if op.Trigger != safepoint.TriggerSafety || op.Status != safepoint.StatusSucceeded || op.SourceID == "" {
		return
	}
	if err := a.Catalog.SetSafety(ctx, op.RestoreID, op.ID, nil); err != nil {
		a.Log.WarnContext(ctx, "a safety backup was not recorded on its restore", "operation", op.RestoreID, "error", err)
		a.tidySoon()
		return
	}
	a.changed(op.OrganizationID, "operation", op.RestoreID)
}

// SweepStorage removes what unfinished backups and tests of the storage left. Only for the start, when none is under way.
func (a *App) SweepStorage(ctx context.Context) error {
	n, err := a.Storage.Sweep(ctx)
	if err != nil {
		return fmt.Errorf("sweep storage: %w", err)
	}
	if n > 0 {
		a.Log.InfoContext(ctx, "removed unfinished files from the storage", "count", n)
	}
	if err := a.sweepTests(ctx); err != nil {
		return fmt.Errorf("sweep storage: %w", err)
	}
	return nil
}

// endDeletions removes every file that is to go. One that cannot be removed does not keep the others.
func (a *App) endDeletions(ctx context.Context) error {
	ops, err := a.Catalog.Deleting(ctx)
	if err != nil {
		return err
	}
	var failed []error
	for _, op := range ops {
		failed = append(failed, a.deleteFile(ctx, op))
	}
	return errors.Join(failed...)
}

// dropExpired drops set-aside databases, and after an undo the undone one, whose window has passed. One server that
// does not answer must not keep those of another.
func (a *App) dropExpired(ctx context.Context) error {
	if err := a.KeepTime(ctx); err != nil {
		return err // a clock that nobody has looked at ends no window
	}
	ops, err := a.Catalog.ExpiredUndo(ctx, a.Now())
	if err != nil {
		return err
	}
	for _, op := range ops {
		if err := a.dropKept(ctx, op); err != nil {
			a.Log.WarnContext(ctx, "a database whose undo window passed was not dropped", "operation", op.ID, "error", err)
		}
	}
	return nil
}

// KeepTime looks whether the machine's clock leapt, and has undo windows last as long as they did: see catalog.KeepTime.
// A server calls it at its start, before it runs anything.
func (a *App) KeepTime(ctx context.Context) error {
	a.timeMu.Lock()
	defer a.timeMu.Unlock()
	now, elapsed := a.Elapsed(), time.Duration(0) // at first: how long the server was not there nobody knows
	if a.looked {
		elapsed = now - a.kept
	}
	moved, err := a.Catalog.KeepTime(ctx, elapsed)
	if err != nil {
		return err
	}
	a.kept, a.looked = now, true
	if moved != 0 {
		a.Log.WarnContext(ctx, "the clock is not where it should be, or Safepoint was away: undo windows were moved as far", "by", moved.String())
	}
	return nil
}

// errUnknownKept is said of a restore whose journal holds no plan.
var errUnknownKept = safepoint.Errorf(safepoint.CodeInternal, "Nothing is known of what this restore kept.")

func (a *App) dropKept(ctx context.Context, op safepoint.Operation) error {
	if op.Unguarded() {
		return safepoint.Errorf(safepoint.CodeConflict, "What this restore set aside has no safety backup yet.")
	}
	entries, err := a.Catalog.Journal(ctx, op.ID)
	if err != nil {
		return err
	}
	plan, err := restore.PlanOf(entries)
	if err != nil {
		return err
	}
	if plan == nil {
		return errUnknownKept
	}
	e, target, err := a.reachOf(ctx, op)
	if err != nil {
		return err
	}
	if err := restore.Clean(ctx, e, target, *plan, op.Trigger == safepoint.TriggerUndo); err != nil {
		return err
	}
	fault.Point("clean.recorded")
	a.changed(op.OrganizationID, "operation", op.ID)
	return a.Catalog.ClearUndo(ctx, op.ID)
}
