package catalog

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/safepoint-db/safepoint"
)

// refuseConflict names the first queued or running operation that op must not be added to.
func (c *Catalog) refuseConflict(ctx context.Context, tx *transaction, op safepoint.Operation) error {
	where, undone := `type = 'backup' AND triggered_by <> 'safety' AND database_id = $2`, ""
	if op.Type == safepoint.TypeRestore {
		where = `type = 'restore' AND $2 <> ''`
	}
	if op.Trigger == safepoint.TriggerUndo {
		undone = op.SourceID
	}
	first, err := scanOperation(tx.QueryRowContext(ctx, `SELECT `+operationColumns+` FROM operations
		WHERE status IN ('queued','running') AND organization_id = $1 AND `+where+`
			AND NOT ($3 <> '' AND `+yields+`)
		ORDER BY type DESC, created_at, id LIMIT 1`, op.OrganizationID, op.DatabaseID, undone))
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	zone, err := timeZone(ctx, tx, op.OrganizationID)
	if err != nil {
		return err
	}
	return underWay(first, c.Now().In(zone)).
		WithHint("Wait until it has ended, or cancel it first.")
}

// yields selects what makes way for an undo of the restore $3: the restore itself while safepoint.Operation.CanYield is
// true of it, and the making of its safety backup.
const yields = `(restore_id = $3 OR id = $3 AND status = 'running' AND resumed_at > 0 AND ` + unguarded + `)`

// yield ends what makes way for an undo: what the undo makes live again needs no safety backup.
func (c *Catalog) yield(ctx context.Context, tx *transaction, op safepoint.Operation) error {
	if op.Trigger != safepoint.TriggerUndo {
		return nil
	}
	stops, err := operations(ctx, tx, `WHERE status IN ('queued','running') AND organization_id = $1 AND database_id = $2 AND `+yields,
		op.OrganizationID, op.DatabaseID, op.SourceID)
	if err != nil {
		return err
	}
	for _, s := range stops {
		if s.Status == safepoint.StatusQueued {
			err = c.cancelQueued(ctx, tx, s.ID, safepoint.Errorf(safepoint.CodeCancelled, "Cancelled, because the restore is undone."))
		} else {
			_, err = tx.ExecContext(ctx, `UPDATE operations SET cancel_asked = 1 WHERE id = $1`, s.ID)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// UnderWay says of a queued or running operation, in the time zone of its organization, who does what since when.
func (c *Catalog) UnderWay(ctx context.Context, op safepoint.Operation) (*safepoint.Error, error) {
	zone, err := timeZone(ctx, c.db, op.OrganizationID)
	if err != nil {
		return nil, err
	}
	return underWay(op, c.Now().In(zone)), nil
}

// underWay says who does what since when.
func underWay(op safepoint.Operation, now time.Time) *safepoint.Error {
	who, db, waits := op.CreatedByName, op.DatabaseName, op.Status == safepoint.StatusQueued
	at := clock(op.StartedAt, now)
	if waits {
		at = clock(op.CreatedAt, now)
	}
	const code = safepoint.CodeConflict
	switch restores := op.Type == safepoint.TypeRestore; {
	case op.Trigger == safepoint.TriggerUndo && waits:
		return safepoint.Errorf(code, "%s asked for an undo of a restore of %s at %s, and it waits to start.", who, db, at)
	case op.Trigger == safepoint.TriggerUndo:
		return safepoint.Errorf(code, "%s started an undo of a restore of %s at %s, and it still runs.", who, db, at)
	case restores && waits:
		return safepoint.Errorf(code, "%s asked for a restore of %s at %s, and it waits to start.", who, db, at)
	case restores:
		return safepoint.Errorf(code, "%s started a restore of %s at %s, and it still runs.", who, db, at)
	case who == "" && waits:
		return safepoint.Errorf(code, "The schedule asked for a backup of %s at %s, and it waits to start.", db, at)
	case who == "":
		return safepoint.Errorf(code, "The schedule started a backup of %s at %s, and it still runs.", db, at)
	case waits:
		return safepoint.Errorf(code, "%s asked for a backup of %s at %s, and it waits to start.", who, db, at)
	}
	return safepoint.Errorf(code, "%s started a backup of %s at %s, and it still runs.", who, db, at)
}

// clock writes t in now's zone, with the day where it is not today.
func clock(t, now time.Time) string {
	t = t.In(now.Location())
	if t.YearDay() == now.YearDay() && t.Year() == now.Year() {
		return t.Format("15:04 MST")
	}
	return t.Format("15:04 MST on 2 January 2006")
}

func timeZone(ctx context.Context, q querier, orgID string) (*time.Location, error) {
	var name string
	err := q.QueryRowContext(ctx, `SELECT time_zone FROM organizations WHERE id = $1`, orgID).Scan(&name)
	if err != nil {
		return nil, absent(err, "organization")
	}
	zone, err := time.LoadLocation(name)
	if err != nil {
		return time.UTC, nil //nolint:nilerr // a zone this machine does not know only changes how a time is written
	}
	return zone, nil
}

// refuseSource checks that what a restore reads, or an undo goes back to, is there and stays there.
func (c *Catalog) refuseSource(ctx context.Context, tx *transaction, op safepoint.Operation) error {
	if op.Type != safepoint.TypeRestore || op.SourceID == "" {
		return nil
	}
	var kind, status, undoneBy string
	var deleting, deleted, undoUntil int64
	err := tx.QueryRowContext(ctx, `SELECT type, status, deleting_at, deleted_at, undo_until, undone_by
		FROM operations WHERE id = $1 AND organization_id = $2`, op.SourceID, op.OrganizationID).
		Scan(&kind, &status, &deleting, &deleted, &undoUntil, &undoneBy)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return notFound("backup")
	case err != nil:
		return err
	case op.Trigger == safepoint.TriggerUndo:
		if err := refuseTaken(ctx, tx, op); err != nil {
			return err
		}
		src, err := operationByID(ctx, tx, op.SourceID)
		if err != nil {
			return err
		}
		over := undoUntil <= toMillis(c.Now()) && !src.Unguarded() // one without a safety backup is kept longer
		if kind != string(safepoint.TypeRestore) || undoneBy != "" || undoUntil == 0 || over {
			return safepoint.Errorf(safepoint.CodeConflict, "This restore can no longer be undone.").
				WithHint("Restore its safety backup instead: it is listed in DB Logs.")
		}
	case kind != string(safepoint.TypeBackup) || status != string(safepoint.StatusSucceeded):
		return safepoint.Errorf(safepoint.CodeConflict, "This is not a finished backup, so it cannot be restored.")
	case deleting > 0 || deleted > 0:
		return safepoint.Errorf(safepoint.CodeConflict, "This backup is deleted, so it cannot be restored.")
	}
	return nil
}

// RefuseTaken refuses to undo a restore whose place another has taken since.
func (c *Catalog) RefuseTaken(ctx context.Context, orgID, restoreID string) error {
	return refuseTaken(ctx, c.db, safepoint.Operation{OrganizationID: orgID, SourceID: restoreID})
}

// refuseTaken also goes with the request itself, for a person's look at the restore may be older than that. Later is what was
// asked for later, which is the order of rows: no clock that was set back changes it.
func refuseTaken(ctx context.Context, q querier, undo safepoint.Operation) error {
	var later string
	err := q.QueryRowContext(ctx, `SELECT l.name FROM operations l JOIN operations r ON r.id = $1
		WHERE l.organization_id = $2 AND l.database_id = r.database_id AND l.type = 'restore' AND l.triggered_by <> 'undo'
			AND l.switched = 1 AND l.undone_by = '' AND l.rowid > r.rowid
		ORDER BY l.rowid DESC LIMIT 1`, undo.SourceID, undo.OrganizationID).Scan(&later)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	return safepoint.Errorf(safepoint.CodeConflict, "A later restore, %s, has taken the place of this one.", later).
		WithHint("Undo that one first. The safety backup of this one is listed in DB Logs and can be restored like any other.")
}
