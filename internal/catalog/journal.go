package catalog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/safepoint-db/safepoint"
)

func (c *Catalog) appendJournal(ctx context.Context, tx *transaction, entries []safepoint.JournalEntry) error {
	for _, e := range entries {
		if len(e.State) > 0 && !json.Valid(e.State) {
			return errors.New("state is not JSON")
		}
		if e.At.IsZero() {
			e.At = c.Now()
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO journal (operation_id, seq, at, step, event, kind, service_id, detail, state)
			VALUES ($1, (SELECT coalesce(max(seq), 0) + 1 FROM journal WHERE operation_id = $1), $2, $3, $4, $5, $6, $7, $8)`,
			e.OperationID, toMillis(e.At), int(e.Step), e.Event, string(e.Kind), e.ServiceID, e.Detail, e.State)
		if err != nil {
			return err
		}
	}
	return nil
}

// Journal returns an operation's journal, oldest entry first.
func (c *Catalog) Journal(ctx context.Context, operationID string) ([]safepoint.JournalEntry, error) {
	entries, err := collect(ctx, c.db, func(row scanner) (e safepoint.JournalEntry, err error) {
		var at int64
		err = row.Scan(&e.OperationID, &e.Seq, &at, &e.Step, &e.Event, &e.Kind, &e.ServiceID, &e.Detail, &e.State)
		e.At = fromMillis(at)
		return e, err
	}, `SELECT operation_id, seq, at, step, event, kind, service_id, detail, state FROM journal WHERE operation_id = $1 ORDER BY seq`, operationID)
	return entries, wrap("read journal", err)
}

func (c *Catalog) setHalted(ctx context.Context, q execer, orgID, operationID, reason string, until time.Time) error {
	n, err := affected(q.ExecContext(ctx, `UPDATE organizations SET
			state_since = CASE WHEN halted_since = 0 THEN $2 ELSE state_since END,
			halted_since = CASE WHEN halted_since = 0 THEN $2 ELSE halted_since END,
			halted_by = $3, halted_reason = $4, halted_until = $5
		WHERE id = $1 AND halted_by IN ('', $3)`, orgID, toMillis(c.Now()), operationID, reason, toMillis(until)))
	if err != nil {
		return fmt.Errorf("record halt: %w", err)
	}
	if n == 0 {
		return fmt.Errorf("record halt: %w", safepoint.Errorf(safepoint.CodeConflict, "Another restore has halted this organization."))
	}
	return nil
}

func (c *Catalog) clearHalted(ctx context.Context, q execer, orgID, operationID string) error {
	_, err := q.ExecContext(ctx, `UPDATE organizations SET state_since = $3, halted_since = 0, halted_by = '', halted_reason = '', halted_until = 0
		WHERE id = $1 AND halted_by = $2 AND halted_by <> ''`, orgID, operationID, toMillis(c.Now()))
	if err != nil {
		return fmt.Errorf("record resume: %w", err)
	}
	return nil
}

// State says whether the organization is halted. Attention is that of the newest restore that halted anything, and
// OperationID that restore, or while halted the one that halts.
func (c *Catalog) State(ctx context.Context, orgID string) (safepoint.OrganizationState, error) {
	s := safepoint.OrganizationState{State: safepoint.StateOperating}
	var haltedSince, until, since int64
	err := c.db.QueryRowContext(ctx, `SELECT halted_since, halted_by, halted_reason, halted_until, state_since FROM organizations WHERE id = $1`, orgID).
		Scan(&haltedSince, &s.OperationID, &s.Reason, &until, &since)
	if err != nil {
		return s, fmt.Errorf("read state: %w", absent(err, "organization"))
	}
	s.Since, s.Until = fromMillis(since), fromMillis(until)
	if haltedSince > 0 {
		s.State = safepoint.StateHalted
	}
	// A later restore halts and resumes every service anew, so only the newest one's list still says anything.
	which, arg := `WHERE organization_id = $1 AND type = 'restore' AND (halted_at > 0 OR attention <> '[]')
		ORDER BY created_at DESC, id DESC LIMIT 1`, orgID
	if s.OperationID != "" {
		which, arg = `WHERE id = $1`, s.OperationID
	}
	newest, err := c.operations(ctx, which, arg)
	if err != nil {
		return s, fmt.Errorf("read state: %w", err)
	}
	if len(newest) > 0 && len(newest[0].Attention) > 0 {
		s.Attention = newest[0].Attention
		if s.OperationID == "" {
			s.OperationID = newest[0].ID
		}
	}
	return s, nil
}

// Settle records that a person has resumed the services of a restore that ended, but for those left. Once none is left,
// it halts its organization no longer; and it needs nobody any more, unless its database is still not open.
func (c *Catalog) Settle(ctx context.Context, orgID, operationID string, left []string, open bool) error {
	return wrap("settle restore", c.tx(ctx, func(tx *transaction) error {
		n, err := affected(tx.ExecContext(ctx, `UPDATE operations SET attention = $3, needs_operator = CASE WHEN $4 THEN 0 ELSE needs_operator END
			WHERE id = $1 AND organization_id = $2 AND status NOT IN ('queued','running')`, operationID, orgID, namesJSON(left), len(left) == 0 && open))
		if err != nil || n == 0 || len(left) > 0 {
			return err
		}
		return c.clearHalted(ctx, tx, orgID, operationID)
	}))
}

// renameAttention keeps a service that needs a person on the lists of those under its new name.
func renameAttention(ctx context.Context, tx *transaction, orgID, from, to string) error {
	if from == to {
		return nil
	}
	restores, err := operations(ctx, tx, `WHERE organization_id = $1 AND type = 'restore' AND attention <> '[]'`, orgID)
	if err != nil {
		return err
	}
	for _, op := range restores {
		i := slices.Index(op.Attention, from)
		if i < 0 {
			continue
		}
		op.Attention[i] = to
		if _, err := tx.ExecContext(ctx, `UPDATE operations SET attention = $2 WHERE id = $1`, op.ID, namesJSON(op.Attention)); err != nil {
			return err
		}
	}
	return nil
}

// setUndone records that undoID went back behind the restore: there is nothing to undo any more.
func setUndone(ctx context.Context, q execer, restoreID, undoID string) error {
	_, err := q.ExecContext(ctx, `UPDATE operations SET undone_by = $2, undo_until = 0 WHERE id = $1`, restoreID, undoID)
	return wrap("record undo", err)
}

// unguarded selects what safepoint.Operation.Unguarded is true of.
const unguarded = `type = 'restore' AND triggered_by <> 'undo' AND mode = 'instant' AND switched = 1 AND safety_id = ''
	AND undone_by = '' AND undo_until > 0`

// Unguarded returns the ended restores whose set-aside database has no safety backup yet, oldest first; not those that an
// undo is going back to, or whose safety backup is under way, right now.
func (c *Catalog) Unguarded(ctx context.Context) ([]safepoint.Operation, error) {
	return c.operations(ctx, `WHERE `+unguarded+` AND status NOT IN ('queued','running')
		AND NOT EXISTS (SELECT 1 FROM operations u WHERE u.source_id = operations.id AND u.status IN ('queued','running'))
		ORDER BY created_at, id`)
}

// SetSafety records that the safety backup of an instant restore that has ended was made, or why not.
func (c *Catalog) SetSafety(ctx context.Context, restoreID, safetyID string, failure *safepoint.Failure) error {
	_, err := c.exec(ctx, `UPDATE operations SET safety_id = $2, safety_failure = $3 WHERE id = $1 AND safety_id = ''`,
		restoreID, safetyID, failureJSON(failure))
	return wrap("record safety backup", err)
}

// SafetyTries returns the backups that were begun of what a restore set aside, newest first, however they ended; but not
// those that a person has deleted since. Failed ones of which a file may still have to be removed are among them.
func (c *Catalog) SafetyTries(ctx context.Context, restoreID string) ([]safepoint.Operation, error) {
	return c.operations(ctx, `WHERE restore_id = $1 AND restore_id <> '' AND type = 'backup'
		AND NOT (status = 'succeeded' AND (deleting_at > 0 OR deleted_at > 0)) ORDER BY rowid DESC`, restoreID)
}

// ExpiredUndo returns the ended restores whose undo window has passed and whose set-aside database is still there,
// oldest first; not those that an undo is going back to right now, nor those that are unguarded. ClearUndo follows once
// it is dropped.
func (c *Catalog) ExpiredUndo(ctx context.Context, now time.Time) ([]safepoint.Operation, error) {
	return c.operations(ctx, `WHERE type = 'restore' AND undo_until > 0 AND undo_until <= $1 AND status NOT IN ('queued','running')
		AND NOT (`+unguarded+`)
		AND NOT EXISTS (SELECT 1 FROM operations u WHERE u.source_id = operations.id AND u.status IN ('queued','running'))
		ORDER BY undo_until, id`, toMillis(now))
}

// ClearUndo records that the set-aside database of a restore is gone.
func (c *Catalog) ClearUndo(ctx context.Context, operationID string) error {
	_, err := c.exec(ctx, `UPDATE operations SET undo_until = 0 WHERE id = $1`, operationID)
	if err != nil {
		return fmt.Errorf("record end of undo: %w", err)
	}
	return nil
}
