package catalog

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/fault"
	"github.com/safepoint-db/safepoint/internal/jobs"
)

var _ jobs.Store = (*Catalog)(nil)

var errLost = safepoint.Errorf(safepoint.CodeConflict, "Another process has taken this operation over.")

// ScheduleStates implements jobs.Store. Schedules of removed databases are left out.
func (c *Catalog) ScheduleStates(ctx context.Context) ([]jobs.ScheduleState, error) {
	states, err := collect(ctx, c.db, func(row scanner) (s jobs.ScheduleState, err error) {
		var interval, anchor, done, enabled int64
		err = row.Scan(&s.ID, &s.OrganizationID, &s.DatabaseID, &s.Name, &interval, &anchor, &done, &enabled, &s.Version)
		s.IsActive, s.Interval = true, safepoint.Interval(time.Duration(interval)*time.Millisecond)
		s.Anchor, s.Done, s.EnabledAt = fromMillis(anchor), fromMillis(done), fromMillis(enabled)
		return s, err
	}, `SELECT s.id, s.organization_id, s.database_id, s.name, s.interval_ms, s.anchor, s.done_until, s.enabled_at, s.version
		FROM schedules s JOIN databases d ON d.id = s.database_id
		WHERE s.is_active = 1 AND s.interval_ms > 0 AND d.removed_at = 0 ORDER BY s.id`)
	return states, wrap("list schedules", err)
}

// RecordDue implements jobs.Store. One run of a schedule waits at most: while one is queued, the next is missed.
func (c *Catalog) RecordDue(ctx context.Context, s jobs.ScheduleState, run time.Time, missed []time.Time) (bool, error) {
	if run.IsZero() {
		return false, nil
	}
	if err := c.db.reserve.mayBegin(); err != nil {
		return false, err
	}
	recorded := false
	err := c.tx(ctx, func(tx *transaction) error {
		op := safepoint.Operation{
			OrganizationID: s.OrganizationID, DatabaseID: s.DatabaseID, ScheduleID: s.ID,
			Type: safepoint.TypeBackup, Trigger: safepoint.TriggerScheduled,
		}
		err := tx.QueryRowContext(ctx, `SELECT d.name, d.engine FROM schedules s JOIN databases d ON d.id = s.database_id
			WHERE s.id = $1 AND s.is_active = 1 AND s.version = $2 AND s.done_until = $3 AND d.removed_at = 0`,
			s.ID, s.Version, toMillis(s.Done)).Scan(&op.DatabaseName, &op.Engine)
		if errors.Is(err, sql.ErrNoRows) {
			return nil // disabled, edited, or another node was quicker
		}
		if err != nil {
			return err
		}
		if run.Before(s.Done) {
			if err := c.forgetAhead(ctx, tx, s.ID, run, s.Done); err != nil {
				return err
			}
		}
		for _, due := range missed {
			if err := c.insertMissed(ctx, tx, op, due, downFailure); err != nil {
				return err
			}
		}
		fault.Point("schedule.missed")
		if err := c.insertRun(ctx, tx, op, run); err != nil {
			return err
		}
		fault.Point("schedule.queued")
		_, err = tx.ExecContext(ctx, `UPDATE schedules SET done_until = $2 WHERE id = $1`, s.ID, toMillis(run))
		recorded = err == nil
		return err
	})
	if err != nil {
		return false, fmt.Errorf("record due run: %w", err)
	}
	return recorded, nil
}

// insertRun queues the run of a due time, or records it as missed if the schedule has one waiting already.
func (c *Catalog) insertRun(ctx context.Context, tx *transaction, op safepoint.Operation, due time.Time) error {
	// Where the clock was set back, what was missed comes due again.
	_, err := tx.ExecContext(ctx, `DELETE FROM operations WHERE schedule_id = $1 AND schedule_id <> '' AND due_at = $2 AND status = 'missed'`, op.ScheduleID, toMillis(due))
	if err != nil {
		return err
	}
	var waiting int64
	err = tx.QueryRowContext(ctx, `SELECT due_at FROM operations WHERE schedule_id = $1 AND status = 'queued' AND due_at <> $2 LIMIT 1`,
		op.ScheduleID, toMillis(due)).Scan(&waiting)
	if err == nil {
		zone, err := timeZone(ctx, tx, op.OrganizationID)
		if err != nil {
			return err
		}
		return c.insertMissed(ctx, tx, op, due, safepoint.Errorf(safepoint.CodeConflict,
			"The run due at %s was still waiting to start when this one came due.", clock(fromMillis(waiting), due.In(zone))).
			WithHint("Only one run of a schedule waits at a time. A longer interval may fit better.").Failure())
	}
	if !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	op.ID, op.Status, op.DueAt, op.CreatedAt = safepoint.NewID(safepoint.OperationPrefix), safepoint.StatusQueued, due, c.Now()
	return insertDue(ctx, tx, op)
}

var downFailure = safepoint.Errorf(safepoint.CodeInterrupted, "Safepoint was not running when this backup was due.").
	WithHint("The latest of the missed runs was made up for when Safepoint came back.").Failure()

// insertMissed records a due time that was not run. Its place in DB Logs is the time it was due.
func (c *Catalog) insertMissed(ctx context.Context, tx *transaction, op safepoint.Operation, due time.Time, why *safepoint.Failure) error {
	op.ID, op.Status, op.DueAt, op.CreatedAt = safepoint.NewID(safepoint.OperationPrefix), safepoint.StatusMissed, due, due
	op.FinishedAt, op.Failure = c.Now(), why
	return insertDue(ctx, tx, op)
}

// insertDue inserts a scheduled operation unless its due time has one: the index of due times is one of schedules' runs
// alone, and is only used where a query says so. It is called by its due time from the beginning.
func insertDue(ctx context.Context, tx *transaction, op safepoint.Operation) error {
	op.Name = safepoint.BackupFileName(op.DatabaseName, op.DueAt, op.Trigger)
	var n int
	err := tx.QueryRowContext(ctx, `SELECT count(*) FROM operations WHERE schedule_id = $1 AND schedule_id <> '' AND due_at = $2`, op.ScheduleID, toMillis(op.DueAt)).Scan(&n)
	if err != nil || n > 0 {
		return err
	}
	return insertOperation(ctx, tx, op, job{})
}

// ClaimNext implements jobs.Store. Organizations take turns: first those with the fewest operations running, then
// those that have waited longest since their last start; within one, the oldest goes first.
func (c *Catalog) ClaimNext(ctx context.Context, node string, lease time.Duration, only ...safepoint.OperationType) (*jobs.Claim, error) {
	types := only
	if len(types) == 0 {
		types = []safepoint.OperationType{safepoint.TypeBackup, safepoint.TypeRestore}
	}
	var any bool
	if err := c.db.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM operations WHERE status = 'queued')`).Scan(&any); err != nil || !any {
		return nil, wrap("claim operation", err)
	}
	var claim *jobs.Claim
	err := c.tx(ctx, func(tx *transaction) error {
		if err := c.cancelDisabled(ctx, tx); err != nil {
			return err
		}
		var id string
		err := tx.QueryRowContext(ctx, `SELECT o.id FROM operations o
			WHERE o.status = 'queued' AND o.type IN ($1, $2)
			AND NOT EXISTS (SELECT 1 FROM organizations g WHERE g.id = o.organization_id AND g.halted_since > 0)
			AND NOT EXISTS (SELECT 1 FROM operations r WHERE r.status = 'running' AND r.database_id = o.database_id)
			AND (o.type = 'backup' OR NOT EXISTS (SELECT 1 FROM operations r
				WHERE r.status = 'running' AND r.type = 'restore' AND r.organization_id = o.organization_id))
			ORDER BY (SELECT count(*) FROM operations r WHERE r.status = 'running' AND r.organization_id = o.organization_id),
				(SELECT max(s.started_at) FROM operations s WHERE s.organization_id = o.organization_id),
				o.created_at, o.due_at, o.rowid
			LIMIT 1`, string(types[0]), string(types[len(types)-1])).Scan(&id)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `UPDATE operations SET status = 'running', started_at = $2 WHERE id = $1`, id, toMillis(c.Now()))
		if err != nil {
			return err
		}
		claim, err = c.take(ctx, tx, id, node, lease)
		return err
	})
	return claim, wrap("claim operation", err)
}

// take gives a running operation to node, and raises its fence.
func (c *Catalog) take(ctx context.Context, tx *transaction, id, node string, lease time.Duration) (*jobs.Claim, error) {
	claim := jobs.Claim{Node: node}
	err := tx.QueryRowContext(ctx, `UPDATE operations SET node = $2, lease_until = $3, fence = fence + 1 WHERE id = $1 RETURNING fence`,
		id, node, toMillis(c.Now().Add(lease))).Scan(&claim.Fence)
	if err != nil {
		return nil, err
	}
	claim.Operation, err = operationByID(ctx, tx, id)
	return &claim, err
}

// InsertRunning stores an operation that its caller carries out right away, and claims it: a safety backup inside a
// restore. Its ID is made if empty.
func (c *Catalog) InsertRunning(ctx context.Context, op safepoint.Operation, node string, lease time.Duration) (jobs.Claim, error) {
	if op.ID == "" {
		op.ID = safepoint.NewID(safepoint.OperationPrefix)
	}
	now := c.Now()
	op.Status, op.CreatedAt, op.StartedAt = safepoint.StatusRunning, now, now
	var claim *jobs.Claim
	err := c.tx(ctx, func(tx *transaction) (err error) {
		if err := insertOperation(ctx, tx, op, job{}); err != nil {
			return err
		}
		claim, err = c.take(ctx, tx, op.ID, node, lease)
		return err
	})
	if err != nil {
		return jobs.Claim{}, wrap("start operation", err)
	}
	return *claim, nil
}

// Current implements jobs.Store.
func (c *Catalog) Current(ctx context.Context, claim jobs.Claim) (safepoint.Operation, error) {
	op, err := operationByID(ctx, c.db, claim.Operation.ID)
	return op, wrap("read operation", err)
}

// Beat implements jobs.Store.
func (c *Catalog) Beat(ctx context.Context, claim jobs.Claim, p safepoint.Progress, lease time.Duration) (cancel bool, err error) {
	err = c.db.write(ctx, func() error {
		return c.db.QueryRowContext(ctx, `UPDATE operations SET lease_until = $3, progress = $4
			WHERE id = $1 AND fence = $2 AND status = 'running' RETURNING cancel_asked`,
			claim.Operation.ID, claim.Fence, toMillis(c.Now().Add(lease)), progressJSON(p)).Scan(&cancel)
	})
	if errors.Is(err, sql.ErrNoRows) {
		err = errLost
	}
	return cancel, wrap("beat", inWords(err))
}

// SaveOperation stores what a running operation has learned: every field but its identity, its origin, its status
// and when it ended, its progress (Beat's), whether a person asked to cancel, and UndoneByID (of an undo's end).
// It fails with CodeConflict if the claim was lost.
func (c *Catalog) SaveOperation(ctx context.Context, claim jobs.Claim, op safepoint.Operation) error {
	return wrap("save operation", c.tx(ctx, func(tx *transaction) error { return saveFields(ctx, tx, claim, op) }))
}

func saveFields(ctx context.Context, tx *transaction, claim jobs.Claim, op safepoint.Operation) error {
	res, err := tx.ExecContext(ctx, `UPDATE operations SET
			name = $3, storage_key = $4, size = $5, raw_size = $6, sha256 = $7, verified_at = $8, tables = $9, row_count = $10,
			server_version = $11, source_name = $12, source_at = $13, safety_id = $14, step = $15, switched = $16,
			halted_at = $17, resumed_at = $18, service_count = $19, undo_until = $20, attention = $21, needs_operator = $22,
			failure = $23, recipients = $24, upload = $25, mode = $26, safety_failure = $27
		WHERE id = $1 AND fence = $2 AND status = 'running'`,
		claim.Operation.ID, claim.Fence,
		op.Name, op.StorageKey, op.Size, op.RawSize, op.SHA256, toMillis(op.VerifiedAt), op.Tables, op.Rows,
		op.ServerVersion, op.SourceName, toMillis(op.SourceAt), op.SafetyID, int(op.Step), toInt(op.Switched),
		toMillis(op.HaltedAt), toMillis(op.ResumedAt), op.Services, toMillis(op.UndoUntil), namesJSON(op.Attention), toInt(op.NeedsOperator),
		failureJSON(op.Failure), namesJSON(op.Recipients), uploadJSON(op.Upload), string(op.Mode), failureJSON(op.SafetyFailure))
	if err != nil {
		return err
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		return errors.Join(err, errLost)
	}
	return nil
}

// Finish implements jobs.Store. With the end goes what it means: the outcome in the audit log, and that the restore which an
// undo took back cannot be undone any more. Finishing again with the same claim and status is fine: the first answer may have got lost.
func (c *Catalog) Finish(ctx context.Context, claim jobs.Claim, op safepoint.Operation) error {
	if !op.Status.Ended() {
		return fmt.Errorf("finish operation: %q is not an end", op.Status)
	}
	if op.FinishedAt.IsZero() {
		op.FinishedAt = c.Now()
	}
	return wrap("finish operation", c.tx(ctx, func(tx *transaction) error {
		var status string
		var fence int64
		err := tx.QueryRowContext(ctx, `SELECT status, fence FROM operations WHERE id = $1`, claim.Operation.ID).Scan(&status, &fence)
		switch {
		case errors.Is(err, sql.ErrNoRows):
			return notFound("operation")
		case err != nil:
			return err
		case fence == claim.Fence && status == string(op.Status):
			return nil
		}
		if err := saveFields(ctx, tx, claim, op); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `UPDATE operations SET status = $2, finished_at = $3, node = '', lease_until = 0 WHERE id = $1`,
			claim.Operation.ID, string(op.Status), toMillis(op.FinishedAt))
		if err != nil {
			return err
		}
		if op, err = operationByID(ctx, tx, claim.Operation.ID); err != nil {
			return err
		}
		if op.Trigger == safepoint.TriggerUndo && op.Status == safepoint.StatusSucceeded {
			if err := setUndone(ctx, tx, op.SourceID, op.ID); err != nil {
				return err
			}
		}
		return c.auditOperation(ctx, tx, op)
	}))
}

// Orphans implements jobs.Store. A node's name is its machine's, "/", and a part that each process makes anew: so what
// a process of the same machine left is known at once, and what this process runs itself is never taken for an orphan.
// A safety backup lives as long as the restore that makes it, unless it is a job of its own (it has a source then): one
// whose restore has ended is nobody's, also if this process made it and could not store its end. Restores come first:
// services wait for them.
func (c *Catalog) Orphans(ctx context.Context, node string, lease time.Duration) ([]jobs.Claim, error) {
	machine, _, _ := strings.Cut(node, "/")
	var claims []jobs.Claim
	err := c.tx(ctx, func(tx *transaction) error {
		claims = nil
		type held struct {
			id, node string
			until    int64
			stray    bool
		}
		running, err := collect(ctx, tx, func(row scanner) (h held, err error) { return h, row.Scan(&h.id, &h.node, &h.until, &h.stray) },
			`SELECT o.id, coalesce(p.node, o.node), coalesce(p.lease_until, o.lease_until), o.restore_id <> '' AND o.source_id = '' AND p.id IS NULL
			FROM operations o LEFT JOIN operations p ON p.id = o.restore_id AND o.restore_id <> '' AND o.source_id = '' AND p.status = 'running'
			WHERE o.status = 'running' ORDER BY o.type DESC, o.created_at, o.id`)
		if err != nil {
			return err
		}
		for _, h := range running {
			same, _, _ := strings.Cut(h.node, "/")
			if !h.stray && (h.node == node || same != machine && h.until >= toMillis(c.Now())) {
				continue
			}
			claim, err := c.take(ctx, tx, h.id, node, lease)
			if err != nil {
				return err
			}
			claims = append(claims, *claim)
		}
		return nil
	})
	if err != nil {
		return nil, wrap("take over operations", err)
	}
	return claims, nil
}
