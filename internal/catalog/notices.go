package catalog

import (
	"context"
	"time"

	"github.com/safepoint-db/safepoint"
)

// Missed are runs of a schedule that did not happen.
type Missed struct {
	ScheduleID, Schedule string
	DatabaseID, Database string
	Runs                 int
	First, Last          time.Time // due times
	DismissedBy          string    // of those that were dealt with: who, and when
	DismissedAt          time.Time
}

// MissedRuns returns the missed runs of the organization's schedules that were due at or after since, as far as
// nobody has dealt with them.
func (c *Catalog) MissedRuns(ctx context.Context, orgID string, since time.Time) ([]Missed, error) {
	list, err := collect(ctx, c.db, func(row scanner) (m Missed, err error) {
		var first, last int64
		err = row.Scan(&m.ScheduleID, &m.Schedule, &m.DatabaseID, &m.Database, &m.Runs, &first, &last)
		m.First, m.Last = fromMillis(first), fromMillis(last)
		return m, err
	}, `SELECT s.id, s.name, d.id, d.name, count(*), min(o.due_at), max(o.due_at)
		FROM operations o JOIN schedules s ON s.id = o.schedule_id JOIN databases d ON d.id = s.database_id
		WHERE o.organization_id = $1 AND o.status = 'missed' AND o.created_at >= $2 AND o.due_at >= $2 AND s.organization_id = $1 AND s.removed_at = 0
		AND o.due_at > coalesce((SELECT max(x.until) FROM dismissals x WHERE x.organization_id = $1 AND x.schedule_id = s.id), 0)
		GROUP BY s.id, s.name, d.id, d.name ORDER BY max(o.due_at) DESC, s.id`, orgID, toMillis(since))
	return list, wrap("list missed runs", err)
}

// DismissMissed records that by has dealt with the missed runs m.
func (c *Catalog) DismissMissed(ctx context.Context, orgID string, m Missed, by safepoint.Actor) error {
	_, err := c.db.ExecContext(ctx, `INSERT INTO dismissals (organization_id, schedule_id, until, runs, at, by_id, by_name)
		VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING`,
		orgID, m.ScheduleID, toMillis(m.Last), m.Runs, toMillis(c.Now()), by.UserID, by.UserName)
	return wrap("dismiss missed runs", err)
}

// Dismissed returns what was dealt with at or after since, the latest first.
func (c *Catalog) Dismissed(ctx context.Context, orgID string, since time.Time) ([]Missed, error) {
	list, err := collect(ctx, c.db, func(row scanner) (m Missed, err error) {
		var until, at int64
		err = row.Scan(&m.ScheduleID, &m.Schedule, &m.DatabaseID, &m.Database, &m.Runs, &until, &at, &m.DismissedBy)
		m.Last, m.DismissedAt = fromMillis(until), fromMillis(at)
		return m, err
	}, `SELECT s.id, s.name, d.id, d.name, x.runs, x.until, x.at, x.by_name
		FROM dismissals x JOIN schedules s ON s.id = x.schedule_id JOIN databases d ON d.id = s.database_id
		WHERE x.organization_id = $1 AND x.at >= $2 ORDER BY x.at DESC, s.id`, orgID, toMillis(since))
	return list, wrap("list dismissed notices", err)
}

// Failing is an active schedule whose last run failed.
type Failing struct {
	Schedule string // its name
	Last     safepoint.Operation
	Runs     int       // in a row that did not succeed
	Since    time.Time // when the first of them was due
}

// Failing returns the active schedules of the organization whose last run failed.
func (c *Catalog) Failing(ctx context.Context, orgID string) ([]Failing, error) {
	type pointer struct {
		id, name string
		runs     int
		since    int64
	}
	found, err := collect(ctx, c.db, func(row scanner) (p pointer, err error) {
		return p, row.Scan(&p.id, &p.name, &p.runs, &p.since)
	}, `WITH bad AS (
			SELECT s.id AS schedule, s.name AS name, s.last_run AS op,
				coalesce((SELECT g.due_at FROM operations g WHERE g.id = s.last_good), 0) AS good
			FROM schedules s WHERE s.organization_id = $1 AND s.is_active = 1 AND s.removed_at = 0 AND s.last_status = 'failed')
		SELECT bad.op, bad.name, count(*), min(f.due_at) FROM bad
		JOIN operations f ON f.schedule_id = bad.schedule AND f.schedule_id <> '' AND f.due_at > bad.good AND f.status IN ('failed','missed')
		GROUP BY bad.op, bad.name ORDER BY min(f.due_at), bad.op`, orgID)
	if err != nil {
		return nil, wrap("list failing schedules", err)
	}
	ids := make([]string, len(found))
	for i, p := range found {
		ids[i] = p.id
	}
	last, err := c.OperationsByID(ctx, orgID, ids...)
	var failing []Failing
	for _, p := range found {
		if op := last[p.id]; op != nil {
			failing = append(failing, Failing{Schedule: p.name, Last: *op, Runs: p.runs, Since: fromMillis(p.since)})
		}
	}
	return failing, err
}

// Proven is a database's newest backup that was read again and found whole.
type Proven struct {
	ID       string
	At       time.Time     // the moment it stands for
	Verified time.Time     // when it was read again
	Took     time.Duration // to make
	Size     int64
}

// NewestProven returns, for each database of the organization that has one, the newest kept backup that is proven.
func (c *Catalog) NewestProven(ctx context.Context, orgID string) (map[string]Proven, error) {
	rows, err := c.db.QueryContext(ctx, `WITH newest AS (
			SELECT d.id AS db, (SELECT o.id FROM operations o WHERE o.organization_id = $1 AND o.database_id = d.id AND o.type = 'backup' AND o.status = 'succeeded'
				AND o.deleted_at = 0 AND o.deleting_at = 0 AND o.verified_at > 0 ORDER BY o.created_at DESC, o.id DESC LIMIT 1) AS op
			FROM databases d WHERE d.organization_id = $1 AND d.removed_at = 0)
		SELECT newest.db, o.id, o.created_at, o.started_at, o.finished_at, o.verified_at, o.size FROM newest JOIN operations o ON o.id = newest.op`, orgID)
	if err != nil {
		return nil, wrap("find proven backups", err)
	}
	defer rows.Close()
	proven := map[string]Proven{}
	for rows.Next() {
		var db string
		var p Proven
		var created, started, finished, verified int64
		if err := rows.Scan(&db, &p.ID, &created, &started, &finished, &verified, &p.Size); err != nil {
			return nil, wrap("find proven backups", err)
		}
		p.At, p.Verified = fromMillis(created), fromMillis(verified)
		if started > 0 {
			p.At, p.Took = fromMillis(started), time.Duration(max(finished-started, 0))*time.Millisecond
		}
		proven[db] = p
	}
	return proven, wrap("find proven backups", rows.Err())
}

// NeedPeople returns the restores of the organization for which no safe next step could be chosen, and the instant
// ones whose safety backup could not be made yet.
func (c *Catalog) NeedPeople(ctx context.Context, orgID string) (stuck, unguardedOnes []safepoint.Operation, err error) {
	if stuck, err = c.operations(ctx, `WHERE organization_id = $1 AND needs_operator = 1 ORDER BY created_at DESC, id`, orgID); err != nil {
		return nil, nil, err
	}
	unguardedOnes, err = c.operations(ctx, `WHERE organization_id = $1 AND `+unguarded+` AND safety_failure <> '' ORDER BY created_at DESC, id`, orgID)
	return stuck, unguardedOnes, err
}
