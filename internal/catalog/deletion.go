package catalog

import (
	"context"
	"errors"
	"fmt"

	"github.com/safepoint-db/safepoint"
)

// MarkDeleting records the intent to delete a backup's file, before the file goes. It fails with CodeConflict while a
// restore reads the backup, or while the restore that made it as its safety backup runs, and for every call but the
// first: of many at once, one deletes. From then on no restore of it is accepted. Where it is the last backup of its
// database that is kept, and last does not say that this is wanted, it fails with ErrLast: of two backups that are
// deleted at once, one is the last. The line of the audit log is written with it: no deletion is without who asked for it.
func (c *Catalog) MarkDeleting(ctx context.Context, orgID, id string, last bool, line safepoint.AuditEntry) error {
	err := c.tx(ctx, func(tx *transaction) error {
		op, err := operationByID(ctx, tx, id)
		switch {
		case err != nil:
			return err
		case op.OrganizationID != orgID || !op.DeletedAt.IsZero():
			return notFound("operation")
		case op.Type != safepoint.TypeBackup || op.Status != safepoint.StatusSucceeded:
			return safepoint.Errorf(safepoint.CodeConflict, "This is not a finished backup, so it has no file to delete.")
		}
		var marked int64
		if err := tx.QueryRowContext(ctx, `SELECT deleting_at FROM operations WHERE id = $1`, id).Scan(&marked); err != nil {
			return err
		}
		zone, err := timeZone(ctx, tx, orgID)
		if err != nil {
			return err
		}
		if marked > 0 {
			now := c.Now().In(zone)
			return safepoint.Errorf(safepoint.CodeConflict, "This backup is being deleted: that was asked for at %s.", clock(fromMillis(marked), now)).
				WithHint("There is nothing left to do. Safepoint goes on until its file is gone.")
		}
		users, err := operations(ctx, tx, `WHERE status IN ('queued','running') AND organization_id = $1 AND (source_id = $2 OR id = $3 OR safety_id = $2)
			ORDER BY created_at LIMIT 1`, orgID, id, op.RestoreID)
		if err != nil {
			return err
		}
		if len(users) > 0 {
			return safepoint.Errorf(safepoint.CodeConflict, "This backup is in use. %s", underWay(users[0], c.Now().In(zone)).Quoted()).
				WithHint("Delete it once the restore has ended.")
		}
		var others bool
		err = tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM operations WHERE organization_id = $1 AND database_id = $2 AND id <> $3 AND `+kept+`)`,
			orgID, op.DatabaseID, id).Scan(&others)
		if err != nil {
			return err
		}
		if !others && !last {
			return ErrLast
		}
		if _, err := tx.ExecContext(ctx, `UPDATE operations SET deleting_at = $2 WHERE id = $1`, id, toMillis(c.Now())); err != nil {
			return err
		}
		_, err = c.addAudit(ctx, tx, line)
		return err
	})
	if err != nil {
		return fmt.Errorf("mark for deletion: %w", err)
	}
	return nil
}

// ErrLast says that a backup is the last of its database.
var ErrLast = errors.New("this is the last backup of its database")

// DeletionBegun says whether somebody asked to delete a backup.
func (c *Catalog) DeletionBegun(ctx context.Context, id string) (bool, error) {
	var at int64
	err := c.db.QueryRowContext(ctx, `SELECT deleting_at FROM operations WHERE id = $1`, id).Scan(&at)
	return at > 0, wrap("look for a deletion", err)
}

// MarkLeft records that a backup that does not succeed may have left a file: Deleting returns it then.
func (c *Catalog) MarkLeft(ctx context.Context, id string) error {
	_, err := c.exec(ctx, `UPDATE operations SET deleting_at = $2 WHERE id = $1 AND status <> 'succeeded' AND storage_key <> ''`, id, toMillis(c.Now()))
	return wrap("mark for removal", err)
}

// MarkDeleted records that the file is gone for good, in the audit log too. A backup that never succeeded stays in DB Logs.
func (c *Catalog) MarkDeleted(ctx context.Context, id string) error {
	err := c.tx(ctx, func(tx *transaction) error {
		_, err := tx.ExecContext(ctx, `UPDATE operations SET deleted_at = iif(status = 'succeeded', $2, 0), deleting_at = iif(status = 'succeeded', deleting_at, 0)
			WHERE id = $1 AND deleting_at > 0 AND deleted_at = 0`, id, toMillis(c.Now()))
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `UPDATE audit SET outcome = 'succeeded' WHERE object_id = $1 AND action = 'backup.delete' AND outcome = ''`, id)
		return err
	})
	return wrap("record deletion", err)
}

// Deleting returns the backups whose deletion was begun and not ended: a crash lies between. Delete their files again.
func (c *Catalog) Deleting(ctx context.Context) ([]safepoint.Operation, error) {
	return c.operations(ctx, `WHERE deleting_at > 0 AND deleted_at = 0 ORDER BY deleting_at, id`)
}
