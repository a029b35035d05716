package catalog

import (
	"context"
	"fmt"

	"github.com/safepoint-db/safepoint"
)

// kept selects backups that have a file. The index operations_kept has the same condition.
const kept = `type = 'backup' AND status = 'succeeded' AND deleted_at = 0 AND deleting_at = 0`

// LastMade returns the newest kept backup that was made of a database, nil if there is none: an uploaded one says
// nothing of what the database is like now.
func (c *Catalog) LastMade(ctx context.Context, orgID, databaseID string) (*safepoint.Operation, error) {
	return c.first(ctx, `WHERE database_id = $1 AND organization_id = $2 AND `+kept+` AND triggered_by <> 'upload'
		ORDER BY created_at DESC, id DESC LIMIT 1`, databaseID, orgID)
}

// BackupTotals sums up the organization's kept backups: the newest and the oldest (nil if there is none), how many,
// and their size in bytes.
func (c *Catalog) BackupTotals(ctx context.Context, orgID string) (newest, oldest *safepoint.Operation, count int, bytes int64, err error) {
	err = c.db.QueryRowContext(ctx, `SELECT coalesce(sum(n), 0), coalesce(sum(bytes), 0) FROM kept_counts WHERE organization_id = $1`, orgID).
		Scan(&count, &bytes)
	if err == nil && count > 0 {
		newest, err = c.first(ctx, `WHERE organization_id = $1 AND `+kept+` ORDER BY created_at DESC, id DESC LIMIT 1`, orgID)
	}
	if err == nil && count > 0 {
		oldest, err = c.first(ctx, `WHERE organization_id = $1 AND `+kept+` ORDER BY created_at ASC, id ASC LIMIT 1`, orgID)
	}
	if err != nil {
		return nil, nil, 0, 0, fmt.Errorf("sum up backups: %w", err)
	}
	return newest, oldest, count, bytes, nil
}

// NewestBackup returns the newest kept backup of a database but the one named, nil if there is none, and how many
// others there are.
func (c *Catalog) NewestBackup(ctx context.Context, orgID, databaseID, but string) (*safepoint.Operation, int, error) {
	const others = `organization_id = $1 AND database_id = $2 AND id <> $3 AND ` + kept
	newest, err := c.first(ctx, `WHERE `+others+` ORDER BY created_at DESC, id DESC LIMIT 1`, orgID, databaseID, but)
	if err != nil || newest == nil {
		return nil, 0, err
	}
	var n int
	err = c.db.QueryRowContext(ctx, `SELECT coalesce(sum(n), 0) - (SELECT count(*) FROM operations WHERE id = $3 AND organization_id = $1 AND database_id = $2 AND `+kept+`)
		FROM kept_counts WHERE organization_id = $1 AND database_id = $2`, orgID, databaseID, but).Scan(&n)
	return newest, n, wrap("count backups", err)
}

// Stored is how many backup files of a database are kept, and what they take.
type Stored struct {
	DatabaseID, Name string
	Removed          bool // the database itself is not there any more
	Backups          int
	Bytes            int64
}

// StoredByDatabase says what fills the storage: every database of the organization with backups, the largest first.
func (c *Catalog) StoredByDatabase(ctx context.Context, orgID string) ([]Stored, error) {
	list, err := collect(ctx, c.db, func(row scanner) (l Stored, err error) {
		return l, row.Scan(&l.DatabaseID, &l.Name, &l.Removed, &l.Backups, &l.Bytes)
	}, `SELECT k.database_id, d.name, d.removed_at > 0, k.n, k.bytes FROM kept_counts k JOIN databases d ON d.id = k.database_id
		WHERE k.organization_id = $1 AND k.n > 0 ORDER BY k.bytes DESC, d.name`, orgID)
	return list, wrap("sum up the backups of databases", err)
}
