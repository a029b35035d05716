package catalog

import (
	"context"
	"time"

	"github.com/safepoint-db/safepoint"
)

// BackupRun is one backup of a database that has ended, or that did not happen.
type BackupRun struct {
	At     time.Time // when it was asked for or due
	Status safepoint.Status
	Took   time.Duration
	Size   int64
}

// BackupRuns returns the backups of a database since a moment that succeeded, failed or were missed, oldest first: also
// those whose files are gone.
func (c *Catalog) BackupRuns(ctx context.Context, orgID, databaseID string, since time.Time) ([]BackupRun, error) {
	list, err := collect(ctx, c.db, func(row scanner) (r BackupRun, err error) {
		var created, started, finished int64
		err = row.Scan(&created, &started, &finished, &r.Status, &r.Size)
		r.At = fromMillis(created)
		if started > 0 && finished > started {
			r.Took = time.Duration(finished-started) * time.Millisecond
		}
		return r, err
	}, `SELECT created_at, started_at, finished_at, status, size FROM operations
		WHERE database_id = $1 AND organization_id = $2 AND created_at >= $3 AND type = 'backup' AND triggered_by <> 'upload'
		AND status IN ('succeeded','failed','missed') ORDER BY created_at, id`, databaseID, orgID, toMillis(since))
	return list, wrap("list the backups of a database", err)
}

// RunCount is how many backups of a database ended in which way.
type RunCount struct{ Good, Failed, Missed int }

// RunCounts counts what BackupRuns returns, for each database of the organization that has any.
func (c *Catalog) RunCounts(ctx context.Context, orgID string, since time.Time) (map[string]RunCount, error) {
	type counted struct {
		databaseID string
		RunCount
	}
	// The databases come first, each is then looked up in the index that has all the rest.
	list, err := collect(ctx, c.db, func(row scanner) (n counted, err error) {
		return n, row.Scan(&n.databaseID, &n.Good, &n.Failed, &n.Missed)
	}, `SELECT d.id, sum(o.status = 'succeeded'), sum(o.status = 'failed'), sum(o.status = 'missed')
		FROM databases d CROSS JOIN operations o INDEXED BY operations_database ON o.database_id = d.id
		WHERE d.organization_id = $1 AND o.organization_id = $1 AND o.created_at >= $2 AND o.type = 'backup' AND o.triggered_by <> 'upload'
		GROUP BY d.id`, orgID, toMillis(since))
	counts := map[string]RunCount{}
	for _, n := range list {
		counts[n.databaseID] = n.RunCount
	}
	return counts, wrap("count the backups of databases", err)
}

// StorageDay is what one day of UTC did to the bytes of kept backups.
type StorageDay struct {
	Day      time.Time // its beginning
	Own, All int64     // added less removed: of the organization, and of all that share the storage
}

// StorageDays returns the days since a moment on which backups came or went, oldest first.
func (c *Catalog) StorageDays(ctx context.Context, orgID string, since time.Time) ([]StorageDay, error) {
	list, err := collect(ctx, c.db, func(row scanner) (d StorageDay, err error) {
		var n int64
		err = row.Scan(&n, &d.Own, &d.All)
		d.Day = fromMillis(n * msPerDay)
		return d, err
	}, `SELECT day, sum(CASE WHEN organization_id = $1 THEN bytes ELSE 0 END), sum(bytes) FROM storage_days
		WHERE day >= $2 GROUP BY day ORDER BY day`, orgID, toMillis(since)/msPerDay)
	return list, wrap("sum up days of the storage", err)
}
