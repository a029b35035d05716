package app

import (
	"context"
	"fmt"
	"io"
	"sync/atomic"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/archive"
	"github.com/safepoint-db/safepoint/internal/backup"
	"github.com/safepoint-db/safepoint/internal/engine"
	"github.com/safepoint-db/safepoint/internal/fault"
	"github.com/safepoint-db/safepoint/internal/jobs"
	"github.com/safepoint-db/safepoint/internal/restore"
)

// work is one claimed operation with what it takes to carry it out.
type work struct {
	*App
	claim  jobs.Claim
	engine engine.Engine
	target engine.Target
	db     safepoint.Database
	org    safepoint.Organization
}

// Work carries out a claimed operation and returns it as it ended; it is the jobs.Worker of a server.
func (a *App) Work(ctx context.Context, c jobs.Claim, report func(safepoint.Progress)) safepoint.Operation {
	return a.carryOut(ctx, c, func(w *work) safepoint.Operation {
		if err := w.prepare(ctx); err != nil {
			return ended(c.Operation, err)
		}
		if c.Operation.Trigger == safepoint.TriggerUpload && c.Operation.Upload != nil {
			return w.takeUpload(ctx, report)
		}
		if c.Operation.Trigger == safepoint.TriggerSafety {
			return w.guardAgain(ctx, report)
		}
		if c.Operation.Type == safepoint.TypeBackup {
			return w.backup(ctx, report)
		}
		j, err := w.restoreJob(ctx, report)
		if err != nil {
			return ended(c.Operation, err)
		}
		return restore.Run(ctx, j)
	})
}

// Recover brings an operation that was left running to its end. A restore whose database or services cannot be read
// from the catalog now comes back running, to be tried again: services may be halted, and staging may be there.
func (a *App) Recover(ctx context.Context, c jobs.Claim) safepoint.Operation {
	return a.carryOut(ctx, c, func(w *work) safepoint.Operation {
		if c.Operation.Type == safepoint.TypeBackup {
			return w.discard(ctx)
		}
		err := w.prepare(ctx)
		var j restore.Job
		if err == nil {
			j, err = w.restoreJob(ctx, nil)
		}
		if err != nil {
			return w.helpless(ctx, err)
		}
		return restore.Recover(ctx, j)
	})
}

// carryOut does it and closes the books. An operation that comes back running is recovered again, or by the next start.
func (a *App) carryOut(ctx context.Context, c jobs.Claim, do func(*work) safepoint.Operation) safepoint.Operation {
	op := do(&work{App: a, claim: c})
	if op.Failure != nil {
		a.Log.WarnContext(ctx, "operation did not succeed", "operation", op.ID, "type", op.Type, "status", op.Status, "code", op.Failure.Code, "reason", op.Failure.Message)
	}
	if op.Status.Ended() {
		a.letGo(op.ID)
	}
	return op
}

func (w *work) prepare(ctx context.Context) (err error) {
	op := w.claim.Operation
	if w.db, err = w.Catalog.Database(ctx, op.OrganizationID, op.DatabaseID); err != nil {
		return fmt.Errorf("find database: %w", err)
	}
	if w.org, err = w.Catalog.Organization(ctx, op.OrganizationID); err != nil {
		return fmt.Errorf("find organization: %w", err)
	}
	w.engine, w.target, err = w.reach(ctx, w.db)
	return err
}

// backup makes a scheduled or manual backup.
func (w *work) backup(ctx context.Context, report func(safepoint.Progress)) safepoint.Operation {
	op, err := w.makeBackup(ctx, w.claim, func(ctx context.Context, aw *archive.Writer, opt engine.DumpOptions) error {
		return w.engine.Dump(ctx, w.target, aw, opt)
	}, report)
	if err != nil {
		return ended(op, err)
	}
	op.Status = safepoint.StatusSucceeded
	return op
}

// makeBackup stores one backup under the claim's operation and returns the operation with what is known of its file.
func (w *work) makeBackup(ctx context.Context, c jobs.Claim, dump backup.DumpFunc, report func(safepoint.Progress)) (safepoint.Operation, error) {
	op := c.Operation
	to, err := w.recipients(ctx, op.OrganizationID)
	if err != nil {
		return op, err
	}
	if len(to) > 0 {
		op.Name = backup.EncryptedName(op.Name)
	}
	for _, r := range to {
		op.Recipients = append(op.Recipients, r.String())
	}
	op.StorageKey = backup.StorageKey(op)
	fault.Point("backup.named")
	if err := w.Catalog.SaveOperation(ctx, c, op); err != nil {
		return op, err
	}
	j := backup.Job{
		StorageKey: op.StorageKey, Storage: w.Storage, Dump: dump, Key: w.Keys.Signing(), Trust: w.trust(), Recipients: to, Now: w.Now,
		Header: archive.Header{Tool: "safepoint", OrganizationID: op.OrganizationID, DatabaseID: op.DatabaseID, OperationID: op.ID,
			Listed: &archive.Listed{
				Name: op.Name, Organization: w.org.Name, Database: op.DatabaseName, Trigger: op.Trigger, CreatedAt: op.CreatedAt, StartedAt: op.StartedAt,
				DueAt: op.DueAt, Schedule: op.ScheduleID, By: op.CreatedByName, RestoreID: op.RestoreID,
			}},
	}
	if op.Upload != nil {
		j.Expect = op.Upload.Size
	} else if last, err := w.Catalog.LastMade(ctx, op.OrganizationID, op.DatabaseID); err == nil && last != nil {
		j.Expect, j.ExpectRaw = last.Size, last.RawSize
	}
	res, err := backup.Run(ctx, j, report)
	if err != nil {
		w.Log.WarnContext(ctx, "a backup failed", "operation", op.ID, "error", err)
		w.leaveNothing(context.WithoutCancel(ctx), op)
		return op, err
	}
	res.Apply(&op)
	if op.Upload != nil { // it says nothing of the server
		return op, nil
	}
	if err := w.Catalog.SetServerVersion(ctx, op.OrganizationID, op.DatabaseID, res.ServerVersion); err != nil {
		w.Log.WarnContext(ctx, "server version was not recorded", "database", op.DatabaseID, "error", err)
	}
	return op, nil
}

// discard ends a backup whose process died. A file that may stand under its name was not checked: it goes.
func (w *work) discard(ctx context.Context) safepoint.Operation {
	op := w.claim.Operation
	if op.StorageKey != "" {
		if err := w.Storage.Delete(ctx, op.StorageKey); err != nil {
			w.Log.WarnContext(ctx, "unchecked backup file was not removed", "operation", op.ID, "error", err)
		}
	}
	if op.Upload != nil {
		return ended(op, safepoint.Errorf(safepoint.CodeInterrupted, "The server stopped while the uploaded file was checked.").
			WithHint("Upload it again."))
	}
	fault.Point("backup.discarded")
	return ended(op, safepoint.Errorf(safepoint.CodeInterrupted, "The server stopped while this backup was made.").
		WithHint("Nothing was lost but this backup. The next run of the schedule makes a new one, or start one now."))
}

// leaveNothing makes sure that a backup that failed leaves no file, which would be listed nowhere and fill the storage. What
// cannot be removed now housekeeping removes.
func (w *work) leaveNothing(ctx context.Context, op safepoint.Operation) {
	err := w.Storage.Delete(ctx, op.StorageKey)
	if err == nil {
		return
	}
	w.Log.WarnContext(ctx, "the file of a failed backup was not removed yet", "operation", op.ID, "error", err)
	if err := w.Catalog.MarkLeft(ctx, op.ID); err != nil {
		w.Log.ErrorContext(ctx, "nor was that recorded", "operation", op.ID, "error", err)
	}
	w.tidySoon()
}

// restoreJob turns the operation of a restore or an undo into values.
func (w *work) restoreJob(ctx context.Context, report func(safepoint.Progress)) (restore.Job, error) {
	op := w.claim.Operation
	if report == nil {
		report = func(safepoint.Progress) {}
	}
	books := ledger{App: w.App, claim: w.claim, lost: &atomic.Bool{}}
	j := restore.Job{
		Operation: op, Organization: w.org, Engine: w.engine, Target: w.target, Log: w.Log, Report: report, Now: w.Now,
		Ledger: books,
		Source: func(ctx context.Context) (*archive.Reader, io.Closer, error) {
			src, err := w.keptBackup(ctx, op.OrganizationID, op.SourceID)
			if err != nil {
				return nil, nil, err
			}
			r, file, err := w.openBackup(ctx, src, w.heldKey(op.ID))
			if err != nil {
				return nil, nil, err
			}
			if r, err = w.chosen(ctx, r, op); err != nil {
				file.Close()
				return nil, nil, err
			}
			return r, file, nil
		},
		Room: func(ctx context.Context) error {
			src, err := w.keptBackup(ctx, op.OrganizationID, op.SourceID)
			if err != nil {
				return err
			}
			newest, err := w.Catalog.LastMade(ctx, src.OrganizationID, src.DatabaseID)
			if err != nil {
				return err
			}
			return w.roomForSafety(ctx, safetySize(newest, src))
		},
		Guard: func(ctx context.Context, dump restore.DumpFunc) (string, error) {
			return w.safety(ctx, dump, func(p safepoint.Progress) { report(restore.GuardProgress(op.Mode, p)) })
		},
		Stopping: func() bool { return jobs.Stopping(ctx) }, Lost: func() bool { return books.lost.Load() || jobs.Lost(ctx) },
	}
	if j.NewName = op.NewName; j.NewName != "" {
		return j, nil
	}
	services, err := w.services(ctx, op.OrganizationID)
	if err != nil {
		return j, fmt.Errorf("list services: %w", err)
	}
	for _, s := range services {
		h, err := w.App.halter(ctx, s)
		if err != nil && s.Operator != nil {
			h, err = unusable{err}, nil // a file that it names is gone: the others are resumed all the same
		}
		if err != nil {
			return j, fmt.Errorf("service %s: %w", s.Name, err)
		}
		j.Services = append(j.Services, restore.Service{ID: s.ID, Name: s.Name, Halter: h})
	}
	if op.Trigger == safepoint.TriggerUndo {
		entries, err := w.Catalog.Journal(ctx, op.SourceID)
		if err != nil {
			return j, err
		}
		if j.Undo, err = restore.PlanOf(entries); err == nil && j.Undo == nil {
			err = safepoint.Errorf(safepoint.CodeConflict, "This restore made nothing that could be undone.")
		}
		if err != nil {
			return j, err
		}
	}
	return j, nil
}

// helpless leaves a restore that may have halted services, and whose database or services cannot be read from the
// catalog, to a later try, and asks for a person meanwhile. Only where they are gone for good it ends.
func (w *work) helpless(ctx context.Context, err error) safepoint.Operation {
	op := ended(w.claim.Operation, err)
	op.NeedsOperator = true
	if safepoint.ErrorCode(err) == safepoint.CodeNotFound {
		op.Failure.Code = safepoint.CodeNeedsOperator
		return op
	}
	op.Status = safepoint.StatusRunning
	if err := w.Catalog.SaveOperation(context.WithoutCancel(ctx), w.claim, op); err != nil {
		w.Log.ErrorContext(ctx, "operation was not stored", "operation", op.ID, "error", err)
	}
	w.changed(op.OrganizationID, "operation", op.ID)
	return op
}

// ended is op, ended by err.
func ended(op safepoint.Operation, err error) safepoint.Operation {
	u := safepoint.UserError(err)
	op.Status = safepoint.StatusFailed
	if u.Code == safepoint.CodeCancelled {
		op.Status = safepoint.StatusCancelled
	}
	op.Failure = u.Failure()
	return op
}
