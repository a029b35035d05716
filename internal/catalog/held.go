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

// AppendHeld adds entries to the journal of claim's operation, all or none, each with the next Seq, and At where it is
// zero. When it returns nil they survive a power cut. A State may be nil, or must be JSON.
func (c *Catalog) AppendHeld(ctx context.Context, claim jobs.Claim, entries ...safepoint.JournalEntry) error {
	return wrap("append journal", c.held(ctx, claim, func(tx *transaction) error { return c.appendJournal(ctx, tx, entries) }))
}

// SetHaltedHeld records, before the first service is halted, that the organization is halted by claim's restore. From then on
// nothing of it starts. Calling it again only changes reason and until (zero: not known); while another restore halts the
// organization it fails with CodeConflict.
func (c *Catalog) SetHaltedHeld(ctx context.Context, claim jobs.Claim, orgID, reason string, until time.Time) error {
	return c.held(ctx, claim, func(tx *transaction) error { return c.setHalted(ctx, tx, orgID, claim.Operation.ID, reason, until) })
}

// ClearHaltedHeld records that everything runs again. It changes nothing if claim's restore is not what halted the organization.
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
