package app

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/jobs"
)

// ledger keeps a restore's books in the catalog. Nothing is written once another process has the operation.
type ledger struct {
	*App
	claim jobs.Claim
	lost  *atomic.Bool
}

func (l ledger) Append(ctx context.Context, entries ...safepoint.JournalEntry) error {
	return l.noticed(l.Catalog.AppendHeld(ctx, l.claim, entries...))
}

func (l ledger) Entries(ctx context.Context) ([]safepoint.JournalEntry, error) {
	return l.Catalog.Journal(ctx, l.claim.Operation.ID)
}

func (l ledger) Save(ctx context.Context, op safepoint.Operation) error {
	if err := l.noticed(l.Catalog.SaveOperation(ctx, l.claim, op)); err != nil {
		return err
	}
	l.changed(op.OrganizationID, "operation", op.ID)
	return nil
}

// noticed notices at once, and not at the next heartbeat, that the operation is somebody else's by now.
func (l ledger) noticed(err error) error {
	if safepoint.ErrorCode(err) == safepoint.CodeConflict {
		l.lost.Store(true)
	}
	return err
}

func (l ledger) CancelAsked(ctx context.Context) (bool, error) {
	if err := l.noticed(l.Catalog.Holds(ctx, l.claim)); err != nil {
		return false, err
	}
	op, err := l.Catalog.Current(ctx, l.claim)
	return op.CancelAsked, err
}

func (l ledger) SetHalted(ctx context.Context, op safepoint.Operation, until time.Time) error {
	reason := "Restoring " + op.DatabaseName
	if op.Trigger == safepoint.TriggerUndo {
		reason = "Undoing the restore of " + op.DatabaseName
	}
	if err := l.Catalog.SetHaltedHeld(ctx, l.claim, op.OrganizationID, reason, until); err != nil {
		return err
	}
	l.changed(op.OrganizationID, "state", op.OrganizationID)
	return nil
}

func (l ledger) ClearHalted(ctx context.Context, op safepoint.Operation) error {
	if err := l.noticed(l.Catalog.ClearHaltedHeld(ctx, l.claim, op.OrganizationID)); err != nil {
		return err
	}
	l.changed(op.OrganizationID, "state", op.OrganizationID)
	l.Wake()
	return nil
}
