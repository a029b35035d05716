package catalog

import (
	"context"
	"fmt"

	"github.com/safepoint-db/safepoint"
)

// AskCancel cancels a queued operation at once, and asks the worker of a running one to stop. It returns the
// operation as it then is, or CodeConflict where it is too late.
func (c *Catalog) AskCancel(ctx context.Context, orgID, id string) (safepoint.Operation, error) {
	var op safepoint.Operation
	err := c.tx(ctx, func(tx *transaction) (err error) {
		op, err = operationByID(ctx, tx, id)
		switch {
		case err != nil:
			return err
		case op.OrganizationID != orgID:
			return notFound("operation")
		case op.Status.Ended():
			return safepoint.Errorf(safepoint.CodeConflict, "It has ended already.")
		case op.Status == safepoint.StatusQueued:
			err = c.cancelQueued(ctx, tx, id, safepoint.Errorf(safepoint.CodeCancelled, "Cancelled before it started."))
		case op.Trigger == safepoint.TriggerSafety:
			return safepoint.Errorf(safepoint.CodeConflict, "This backup is part of a restore.").WithHint("Cancel the restore instead.")
		case op.Type == safepoint.TypeRestore && (op.Step >= safepoint.StepSwitch || op.Switched):
			return safepoint.Errorf(safepoint.CodeConflict, "Too late to cancel: the switch takes a few seconds.")
		default:
			_, err = tx.ExecContext(ctx, `UPDATE operations SET cancel_asked = 1 WHERE id = $1`, id)
		}
		if err == nil {
			op, err = operationByID(ctx, tx, id)
		}
		return err
	})
	if err != nil {
		return safepoint.Operation{}, fmt.Errorf("cancel operation: %w", err)
	}
	return op, nil
}

// CancelQueuedRuns cancels the queued runs of a schedule, and returns them: it was disabled.
func (c *Catalog) CancelQueuedRuns(ctx context.Context, scheduleID string) ([]safepoint.Operation, error) {
	var ops []safepoint.Operation
	err := c.tx(ctx, func(tx *transaction) error {
		ops = nil
		queued, err := operations(ctx, tx, `WHERE status = 'queued' AND schedule_id = $1 AND schedule_id <> '' ORDER BY due_at`, scheduleID)
		if err != nil {
			return err
		}
		for _, op := range queued {
			if err := c.cancelQueued(ctx, tx, op.ID, errDisabled); err != nil {
				return err
			}
			op, err = operationByID(ctx, tx, op.ID)
			if err != nil {
				return err
			}
			ops = append(ops, op)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("cancel queued runs: %w", err)
	}
	return ops, nil
}

var errDisabled = safepoint.Errorf(safepoint.CodeCancelled, "The schedule was disabled before this run started.")

// cancelQueued ends a queued operation, in the audit log too.
func (c *Catalog) cancelQueued(ctx context.Context, tx *transaction, id string, why *safepoint.Error) error {
	n, err := affected(tx.ExecContext(ctx, `UPDATE operations SET status = 'cancelled', cancel_asked = 1, finished_at = $2, failure = $3
		WHERE id = $1 AND status = 'queued'`, id, toMillis(c.Now()), toJSON(why.Failure())))
	if err != nil || n == 0 {
		return err
	}
	op, err := operationByID(ctx, tx, id)
	if err != nil {
		return err
	}
	return c.auditOperation(ctx, tx, op)
}

// cancelDisabled cancels queued runs of schedules that are disabled.
func (c *Catalog) cancelDisabled(ctx context.Context, tx *transaction) error {
	stale, err := operations(ctx, tx, `WHERE status = 'queued' AND schedule_id <> ''
		AND EXISTS (SELECT 1 FROM schedules s WHERE s.id = operations.schedule_id AND s.is_active = 0)`)
	if err != nil {
		return err
	}
	for _, op := range stale {
		if err := c.cancelQueued(ctx, tx, op.ID, errDisabled); err != nil {
			return err
		}
	}
	return nil
}
