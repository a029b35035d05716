package app

import (
	"context"
	"errors"
	"time"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/archive"
	"github.com/safepoint-db/safepoint/internal/backup"
	"github.com/safepoint-db/safepoint/internal/engine"
	"github.com/safepoint-db/safepoint/internal/fault"
	"github.com/safepoint-db/safepoint/internal/jobs"
	"github.com/safepoint-db/safepoint/internal/restore"
)

// safety makes the safety backup of a restore: an operation of its own in DB Logs.
func (w *work) safety(ctx context.Context, dump backup.DumpFunc, report func(safepoint.Progress)) (string, error) {
	parent := w.claim.Operation
	if parent.Mode == safepoint.RestoreInstant { // a crash may have come right after one was made
		if tries, err := w.Catalog.SafetyTries(ctx, parent.ID); err != nil {
			return "", err
		} else if len(tries) > 0 && tries[0].Status == safepoint.StatusSucceeded {
			return tries[0].ID, nil
		}
	}
	c, err := w.Catalog.InsertRunning(ctx, safepoint.Operation{
		OrganizationID: parent.OrganizationID, DatabaseID: parent.DatabaseID, DatabaseName: parent.DatabaseName, Engine: parent.Engine,
		Type: safepoint.TypeBackup, Trigger: safepoint.TriggerSafety, RestoreID: parent.ID,
		Name:      backup.FileName(w.db, w.Now(), safepoint.TriggerSafety),
		CreatedBy: parent.CreatedBy, CreatedByName: parent.CreatedByName,
	}, w.claim.Node, safetyLease)
	if err != nil {
		return "", err
	}
	w.changed(parent.OrganizationID, "operation", c.Operation.ID)
	fault.Point("safety.begun")
	op, err := w.makeBackup(ctx, c, dump, report)
	if err != nil {
		op = ended(op, err)
	} else {
		op.Status = safepoint.StatusSucceeded
	}
	op.FinishedAt = w.Now()
	if ferr := w.finishSafety(context.WithoutCancel(ctx), c, op); ferr != nil {
		return "", errors.Join(err, ferr)
	}
	fault.Point("safety.listed")
	w.changed(parent.OrganizationID, "operation", op.ID)
	if err != nil {
		e := safepoint.UserError(err)
		return "", safepoint.Errorf(e.Code, "The safety backup failed: %s", e.Quoted()).HintedAs(e).WithCause(err)
	}
	return op.ID, nil
}

// finishSafety tries a few times: what is not recorded here is looked for only once the restore has ended.
func (w *work) finishSafety(ctx context.Context, c jobs.Claim, op safepoint.Operation) (err error) {
	for wait := 50 * time.Millisecond; wait < time.Second; wait *= 4 {
		if err = w.Catalog.Finish(ctx, c, op); err == nil || safepoint.ErrorCode(err) == safepoint.CodeConflict {
			return err
		}
		<-time.After(wait)
	}
	return err
}

// safetyLease is only for show: a safety backup lives and dies with its restore.
const safetyLease = 24 * time.Hour

// roomForSafety refuses a restore for whose safety backup, of so many bytes, the storage has no room: before services
// are halted.
func (a *App) roomForSafety(ctx context.Context, expect int64) error {
	err := backup.Room(ctx, a.Storage, expect)
	if known := (*safepoint.Error)(nil); errors.As(err, &known) {
		return safepoint.Errorf(known.Code, "There is no room for the safety backup. %s", known.Quoted()).HintedAs(known).WithCause(err)
	}
	return err
}

// safetySize is how many bytes the safety backup of a restore of src may come to: as many as the newest backup of its
// database has, nil if there is none.
func safetySize(newest *safepoint.Operation, src safepoint.Operation) int64 {
	if newest == nil {
		return src.Size
	}
	return newest.Size
}

// queueSafety queues the safety backups that instant restores could not make, each again after a while: a minute after
// the first failure, twice as long after each further one, an hour at most. What it finds made it puts on its restore.
func (a *App) queueSafety(ctx context.Context) error {
	restores, err := a.Catalog.Unguarded(ctx)
	if err != nil {
		return err
	}
	for _, r := range restores {
		if err := a.queueSafetyOf(ctx, r); err != nil && safepoint.ErrorCode(err) != safepoint.CodeConflict { // a backup runs: later
			a.Log.WarnContext(ctx, "a safety backup was not queued", "operation", r.ID, "error", err)
		}
	}
	return nil
}

func (a *App) queueSafetyOf(ctx context.Context, r safepoint.Operation) error {
	tries, err := a.Catalog.SafetyTries(ctx, r.ID)
	if err != nil {
		return err
	}
	if len(tries) > 0 {
		last := tries[0]
		if last.Status == safepoint.StatusSucceeded {
			defer a.changed(r.OrganizationID, "operation", r.ID)
			return a.Catalog.SetSafety(ctx, r.ID, last.ID, nil)
		}
		wait := min(time.Minute<<min(len(tries)-1, 10), time.Hour)
		if since := a.Now().Sub(last.FinishedAt); since >= 0 && since < wait { // less than none: the clock was set back
			return nil
		}
	}
	d, err := a.Catalog.Database(ctx, r.OrganizationID, r.DatabaseID)
	if err != nil {
		return err
	}
	op, err := a.Catalog.CreateOperation(ctx, safepoint.Operation{
		OrganizationID: r.OrganizationID, DatabaseID: d.ID, DatabaseName: d.Name, Engine: d.Engine,
		Type: safepoint.TypeBackup, Trigger: safepoint.TriggerSafety, RestoreID: r.ID, SourceID: r.ID, // a source of its own: it outlives its restore
		Name: backup.FileName(d, a.Now(), safepoint.TriggerSafety), CreatedBy: r.CreatedBy, CreatedByName: r.CreatedByName,
	})
	if err != nil {
		return err
	}
	a.changed(op.OrganizationID, "operation", op.ID)
	a.Wake()
	return nil
}

// guardAgain makes the safety backup of a restore that ended without. Housekeeping puts it on the restore once it is
// listed. A set-aside database that is gone is looked for no more; one that is out of reach is. A process that was
// overtaken knows nothing of either.
func (w *work) guardAgain(ctx context.Context, report func(safepoint.Progress)) safepoint.Operation {
	op, err := w.backUpAside(ctx, report)
	if err == nil {
		op.Status = safepoint.StatusSucceeded
		return op
	}
	op = ended(op, err)
	always := context.WithoutCancel(ctx)
	if op.Status == safepoint.StatusFailed && w.Catalog.Holds(always, w.claim) == nil {
		if serr := w.Catalog.SetSafety(always, op.RestoreID, "", op.Failure); serr != nil {
			w.Log.ErrorContext(ctx, "why there is no safety backup was not recorded", "operation", op.RestoreID, "error", serr)
		}
		if errors.Is(err, engine.ErrAsideGone) {
			if cerr := w.Catalog.ClearUndo(always, op.RestoreID); cerr != nil {
				w.Log.ErrorContext(ctx, "that a set-aside database is gone was not recorded", "operation", op.RestoreID, "error", cerr)
			}
		}
		w.changed(op.OrganizationID, "operation", op.RestoreID)
	}
	return op
}

func (w *work) backUpAside(ctx context.Context, report func(safepoint.Progress)) (safepoint.Operation, error) {
	op := w.claim.Operation
	e, ok := w.engine.(engine.InstantSwitcher)
	if !ok {
		return op, safepoint.Errorf(safepoint.CodeInternal, "This program cannot read the set-aside database.")
	}
	entries, err := w.Catalog.Journal(ctx, op.RestoreID)
	if err != nil {
		return op, err
	}
	plan, err := restore.PlanOf(entries)
	if err != nil || plan == nil {
		return op, errors.Join(err, errUnknownKept)
	}
	return w.makeBackup(ctx, w.claim, func(ctx context.Context, aw *archive.Writer, opt engine.DumpOptions) error {
		return e.DumpAside(ctx, w.target, *plan, aw, opt)
	}, report)
}
