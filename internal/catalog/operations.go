package catalog

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/safepoint-db/safepoint"
)

// CreateOperation stores a queued operation and returns it as stored. Its ID is made if empty; CreatedAt is now.
//
// In the same transaction it looks for what stands in the way, and names the first of it with CodeConflict: for a
// restore or an undo any other restore of the organization, queued or running; for a backup another backup of the same
// database. A backup asked for while a restore runs is stored and waits, and so is a restore while a backup runs.
// The source of a restore must be a backup that is kept, that of an undo a restore that can still be undone. While the
// disk is so full that the reserve was given up, nothing is begun: CodeSpace.
func (c *Catalog) CreateOperation(ctx context.Context, op safepoint.Operation, asked ...safepoint.AuditEntry) (safepoint.Operation, error) {
	if op.ID == "" {
		op.ID = safepoint.NewID(safepoint.OperationPrefix)
	}
	op.Status = safepoint.StatusQueued
	op.CreatedAt = c.Now()
	if err := c.db.reserve.mayBegin(); err != nil {
		return safepoint.Operation{}, err
	}
	err := c.tx(ctx, func(tx *transaction) error {
		if err := c.refuseConflict(ctx, tx, op); err != nil {
			return err
		}
		if err := c.refuseSource(ctx, tx, op); err != nil {
			return err
		}
		if err := c.yield(ctx, tx, op); err != nil {
			return err
		}
		if err := insertOperation(ctx, tx, op, job{}); err != nil {
			return err
		}
		for _, line := range asked {
			line.ObjectID = op.ID
			if _, err := c.addAudit(ctx, tx, line); err != nil {
				return err
			}
		}
		var err error
		op, err = operationByID(ctx, tx, op.ID)
		return err
	})
	if err != nil {
		return safepoint.Operation{}, fmt.Errorf("create operation: %w", err)
	}
	return op, nil
}

// Operation is one operation of the organization, also a deleted one.
func (c *Catalog) Operation(ctx context.Context, orgID, id string) (safepoint.Operation, error) {
	op, err := operationByID(ctx, c.db, id)
	if err == nil && op.OrganizationID != orgID {
		err = notFound("operation")
	}
	if err != nil {
		return safepoint.Operation{}, fmt.Errorf("read operation: %w", err)
	}
	return op, nil
}

// AnyOperation is one operation of any organization. For the program itself.
func (c *Catalog) AnyOperation(ctx context.Context, id string) (safepoint.Operation, error) {
	op, err := operationByID(ctx, c.db, id)
	if err != nil {
		return safepoint.Operation{}, fmt.Errorf("read operation: %w", err)
	}
	return op, nil
}

// Running returns the queued and running operations of the organization, oldest first.
func (c *Catalog) Running(ctx context.Context, orgID string) ([]safepoint.Operation, error) {
	return c.operations(ctx, `WHERE status IN ('queued','running') AND organization_id = $1 ORDER BY created_at, id`, orgID)
}

// ScheduleRuns returns the runs of a schedule that were due at or after since, oldest first: also missed and deleted ones.
func (c *Catalog) ScheduleRuns(ctx context.Context, orgID, scheduleID string, since time.Time) ([]safepoint.Operation, error) {
	return c.operations(ctx, `WHERE schedule_id = $1 AND schedule_id <> '' AND due_at >= $2 AND organization_id = $3 ORDER BY due_at`,
		scheduleID, toMillis(since), orgID)
}

func operations(ctx context.Context, q querier, where string, args ...any) ([]safepoint.Operation, error) {
	return collect(ctx, q, scanOperation, `SELECT `+operationColumns+` FROM operations `+where, args...)
}

// LastRestore returns the newest succeeded restore of a database, nil if there is none. An undo is none, nor is one into a new database.
func (c *Catalog) LastRestore(ctx context.Context, orgID, databaseID string) (*safepoint.Operation, error) {
	return c.first(ctx, `WHERE type = 'restore' AND organization_id = $1 AND database_id = $2 AND status = 'succeeded' AND triggered_by <> 'undo' AND new_name = ''
		ORDER BY created_at DESC, id DESC LIMIT 1`, orgID, databaseID)
}

// LastHalts returns the newest restores of a database of a mode that halted and resumed, at most n, newest first.
func (c *Catalog) LastHalts(ctx context.Context, orgID, databaseID string, m safepoint.RestoreMode, n int) ([]safepoint.Operation, error) {
	return c.operations(ctx, `WHERE type = 'restore' AND organization_id = $1 AND database_id = $2 AND status = 'succeeded' AND triggered_by <> 'undo'
		AND halted_at > 0 AND resumed_at > 0 AND coalesce(nullif(mode, ''), 'guarded') = $3
		ORDER BY created_at DESC, id DESC LIMIT $4`, orgID, databaseID, string(m), n)
}

// OperationsByID returns those of the organization's operations that are named, by ID. "" names none.
func (c *Catalog) OperationsByID(ctx context.Context, orgID string, ids ...string) (map[string]*safepoint.Operation, error) {
	byID := map[string]*safepoint.Operation{}
	ids = slices.Compact(slices.Sorted(slices.Values(ids)))
	if len(ids) > 0 && ids[0] == "" {
		ids = ids[1:]
	}
	for some := range slices.Chunk(ids, 10_000) { // a statement has at most 32,766 arguments
		args := []any{orgID}
		for _, id := range some {
			args = append(args, id)
		}
		ops, err := c.operations(ctx, `WHERE coalesce(organization_id, '') = $1 AND id IN (`+placeholdersFrom(2, len(some))+`)`, args...)
		if err != nil {
			return nil, err
		}
		for i := range ops {
			byID[ops[i].ID] = &ops[i]
		}
	}
	return byID, nil
}
