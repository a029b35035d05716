package catalog

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/jobs"
)

// What a process writes about an operation that it carries out goes through here: in the same transaction it is made
// sure that the operation is still its own. A process that was overtaken while it stood still gets CodeConflict, and
// has changed nothing.

// AppendHeld is AppendJournal for the holder of claim.
func (c *Catalog) AppendHeld(ctx context.Context, claim jobs.Claim, entries ...safepoint.JournalEntry) error {
	return wrap("append journal", c.held(ctx, claim, func(tx *transaction) error { return c.appendJournal(ctx, tx, entries) }))
}

// SetHaltedHeld is SetHalted for the holder of claim.
func (c *Catalog) SetHaltedHeld(ctx context.Context, claim jobs.Claim, orgID, reason string, until time.Time) error {
	return c.held(ctx, claim, func(tx *transaction) error { return c.setHalted(ctx, tx, orgID, claim.Operation.ID, reason, until) })
}

// ClearHaltedHeld is ClearHalted for the holder of claim.
func (c *Catalog) ClearHaltedHeld(ctx context.Context, claim jobs.Claim, orgID string) error {
	return c.held(ctx, claim, func(tx *transaction) error { return c.clearHalted(ctx, tx, orgID, claim.Operation.ID) })
}

// held runs do in a transaction in which claim holds.
func (c *Catalog) held(ctx context.Context, claim jobs.Claim, do func(*transaction) error) error {
	return c.tx(ctx, func(tx *transaction) error {
		if err := holds(ctx, tx, claim); err != nil {
			return err
		}
		return do(tx)
	})
}

// Holds fails with CodeConflict if claim was lost.
func (c *Catalog) Holds(ctx context.Context, claim jobs.Claim) error {
	return wrap("look whose the operation is", holds(ctx, c.db, claim))
}

func holds(ctx context.Context, q querier, claim jobs.Claim) error {
	var one int
	err := q.QueryRowContext(ctx, `SELECT 1 FROM operations WHERE id = $1 AND fence = $2 AND status = 'running'`,
		claim.Operation.ID, claim.Fence).Scan(&one)
	if errors.Is(err, sql.ErrNoRows) {
		return errLost
	}
	return err
}
