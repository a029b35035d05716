package catalog

import (
	"context"
	"slices"
	"time"

	"github.com/safepoint-db/safepoint"
)

const scheduleColumns = `id, organization_id, database_id, name, description, is_active, interval_ms, anchor,
	created_at, created_by, created_by_name, disabled_at, disabled_by_name, enabled_at, version, updated_by_name, updated_at, done_until,
	last_run, last_status, last_good`

// Schedule is a schedule with who changed it last, and how far its due times have been dealt with.
type Schedule struct {
	safepoint.Schedule
	Done      time.Time // zero: none yet
	UpdatedBy string    // "" if nobody did
	UpdatedAt time.Time

	LastRun    string           // its newest run that ended, "" if there is none
	LastStatus safepoint.Status // how that ended
	LastGood   string           // its newest run that succeeded, "" if there is none
}

func scanSchedule(row scanner) (Schedule, error) {
	var s Schedule
	var interval, anchor, created, disabled, enabled, updated, done int64
	err := row.Scan(&s.ID, &s.OrganizationID, &s.DatabaseID, &s.Name, &s.Description, &s.IsActive, &interval, &anchor,
		&created, &s.CreatedBy, &s.CreatedByName, &disabled, &s.DisabledByName, &enabled, &s.Version, &s.UpdatedBy, &updated, &done,
		&s.LastRun, &s.LastStatus, &s.LastGood)
	s.Interval = safepoint.Interval(time.Duration(interval) * time.Millisecond)
	s.Anchor, s.CreatedAt, s.DisabledAt = fromMillis(anchor), fromMillis(created), fromMillis(disabled)
	s.EnabledAt, s.UpdatedAt, s.Done = fromMillis(enabled), fromMillis(updated), fromMillis(done)
	return s, err
}

// CreateSchedule stores s, active, giving it an ID, times and version 1. A zero anchor is now.
func (c *Catalog) CreateSchedule(ctx context.Context, s safepoint.Schedule) (safepoint.Schedule, error) {
	err := c.tx(ctx, func(tx *transaction) error {
		if _, err := database(ctx, tx, s.OrganizationID, s.DatabaseID); err != nil {
			return err
		}
		now := toMillis(c.Now())
		anchor := toMillis(s.Anchor)
		if anchor == 0 {
			anchor = now
		}
		s.ID = safepoint.NewID(safepoint.SchedulePrefix)
		_, err := tx.ExecContext(ctx, `INSERT INTO schedules (id, organization_id, database_id, name, description, is_active, interval_ms, anchor,
			created_at, created_by, created_by_name, enabled_at) VALUES ($1, $2, $3, $4, $5, 1, $6, $7, $8, $9, $10, $8)`,
			s.ID, s.OrganizationID, s.DatabaseID, s.Name, s.Description, time.Duration(s.Interval).Milliseconds(), anchor,
			now, s.CreatedBy, s.CreatedByName)
		if err != nil {
			return nameTaken(err, "schedule", s.Name)
		}
		stored, err := schedule(ctx, tx, s.OrganizationID, s.ID)
		s = stored.Schedule
		return err
	})
	return s, err
}

// Schedule returns one schedule of the organization.
func (c *Catalog) Schedule(ctx context.Context, orgID, id string) (Schedule, error) {
	return schedule(ctx, c.db, orgID, id)
}

func schedule(ctx context.Context, q querier, orgID, id string) (Schedule, error) {
	s, err := scanSchedule(q.QueryRowContext(ctx, `SELECT `+scheduleColumns+` FROM schedules
		WHERE organization_id = $1 AND id = $2 AND removed_at = 0`, orgID, id))
	return s, absent(err, "schedule")
}

// SchedulePlans returns the schedules of the organization, of some databases if any are named, active ones first, then by
// name: what each is called, when it runs and how it stands. Nothing else of them is filled in, for there may be a thousand
// of which a page shows a few.
func (c *Catalog) SchedulePlans(ctx context.Context, orgID string, databaseIDs ...string) ([]Schedule, error) {
	only, args := "", []any{orgID}
	if len(databaseIDs) > 0 {
		only = ` AND database_id IN (` + placeholdersFrom(2, len(databaseIDs)) + `)`
		for _, id := range databaseIDs {
			args = append(args, id)
		}
	}
	list, err := collect(ctx, c.db, func(row scanner) (Schedule, error) {
		s := Schedule{Schedule: safepoint.Schedule{OrganizationID: orgID}}
		var interval, anchor, enabled, updated, done int64
		err := row.Scan(&s.ID, &s.DatabaseID, &s.Name, &s.IsActive, &interval, &anchor, &enabled, &updated, &done, &s.LastRun, &s.LastStatus, &s.LastGood)
		s.Interval = safepoint.Interval(time.Duration(interval) * time.Millisecond)
		s.Anchor, s.EnabledAt, s.UpdatedAt, s.Done = fromMillis(anchor), fromMillis(enabled), fromMillis(updated), fromMillis(done)
		return s, err
	}, `SELECT id, database_id, name, is_active, interval_ms, anchor, enabled_at, updated_at, done_until, last_run, last_status, last_good FROM schedules
		WHERE organization_id = $1 AND removed_at = 0`+only+` ORDER BY is_active DESC, lower(name), id`, args...)
	return list, wrap("list schedules", err)
}

// SchedulesByID returns those of some IDs that are there, by ID.
func (c *Catalog) SchedulesByID(ctx context.Context, orgID string, ids ...string) (map[string]Schedule, error) {
	byID := map[string]Schedule{}
	for some := range slices.Chunk(ids, 10_000) { // a statement has at most 32,766 arguments
		args := []any{orgID}
		for _, id := range some {
			args = append(args, id)
		}
		list, err := collect(ctx, c.db, scanSchedule, `SELECT `+scheduleColumns+` FROM schedules
			WHERE coalesce(organization_id, '') = $1 AND removed_at = 0 AND id IN (`+placeholdersFrom(2, len(some))+`)`, args...)
		if err != nil {
			return nil, wrap("list schedules", err)
		}
		for _, s := range list {
			byID[s.ID] = s
		}
	}
	return byID, nil
}

// DatabaseSchedules returns the schedules of one database, in the same order.
func (c *Catalog) DatabaseSchedules(ctx context.Context, orgID, databaseID string) ([]Schedule, error) {
	list, err := collect(ctx, c.db, scanSchedule, `SELECT `+scheduleColumns+` FROM schedules
		WHERE organization_id = $1 AND database_id = $2 AND removed_at = 0 ORDER BY is_active DESC, lower(name), id`, orgID, databaseID)
	return list, wrap("list schedules", err)
}

// UpdateSchedule stores name, description and interval of s, unless s.Version is neither 0 nor the stored one.
// byName is who changes it. With a new interval, times of it that have passed are not made up for.
func (c *Catalog) UpdateSchedule(ctx context.Context, s safepoint.Schedule, byName string) (safepoint.Schedule, error) {
	err := c.tx(ctx, func(tx *transaction) error {
		old, err := schedule(ctx, tx, s.OrganizationID, s.ID)
		if err != nil {
			return err
		}
		if s.Version != 0 && s.Version != old.Version {
			return c.editConflict(ctx, tx, s.OrganizationID, "schedule", old.UpdatedBy, old.UpdatedAt)
		}
		now := c.Now()
		done := int64(0)
		if old.Interval != s.Interval {
			old.Interval = s.Interval
			if last, ok := old.LastDue(now); ok {
				done = toMillis(last)
			}
		}
		_, err = tx.ExecContext(ctx, `UPDATE schedules SET name = $1, description = $2, interval_ms = $3, updated_by_name = $4, updated_at = $5,
			done_until = CASE WHEN done_until < $6 THEN $6 ELSE done_until END, version = version + 1 WHERE organization_id = $7 AND id = $8`,
			s.Name, s.Description, time.Duration(s.Interval).Milliseconds(), byName, toMillis(now), done, s.OrganizationID, s.ID)
		if err != nil {
			return nameTaken(err, "schedule", s.Name)
		}
		stored, err := schedule(ctx, tx, s.OrganizationID, s.ID)
		s = stored.Schedule
		return err
	})
	return s, err
}

// DisableSchedule makes a schedule inactive: nothing of it is due any more. It says false, changing nothing, if it
// was inactive already.
func (c *Catalog) DisableSchedule(ctx context.Context, orgID, id, byName string) (safepoint.Schedule, bool, error) {
	return c.setActive(ctx, orgID, id, `UPDATE schedules SET is_active = 0, disabled_at = $3, disabled_by_name = $4,
		updated_at = $3, updated_by_name = $4, version = version + 1 WHERE organization_id = $1 AND id = $2 AND is_active = 1 AND removed_at = 0`,
		orgID, id, toMillis(c.Now()), byName)
}

// EnableSchedule makes a schedule active from now on. runNow moves its anchor to now, so that a run is due at once.
// It says false, changing nothing, if it was active already.
func (c *Catalog) EnableSchedule(ctx context.Context, orgID, id, byName string, runNow bool) (safepoint.Schedule, bool, error) {
	return c.setActive(ctx, orgID, id, `UPDATE schedules SET is_active = 1, disabled_at = 0, disabled_by_name = '', enabled_at = $3,
		anchor = CASE WHEN $5 THEN $3 ELSE anchor END, updated_at = $3, updated_by_name = $4, version = version + 1
		WHERE organization_id = $1 AND id = $2 AND is_active = 0 AND removed_at = 0`,
		orgID, id, toMillis(c.Now()), byName, runNow)
}

func (c *Catalog) setActive(ctx context.Context, orgID, id, update string, args ...any) (s safepoint.Schedule, changed bool, err error) {
	err = c.tx(ctx, func(tx *transaction) error {
		r, err := tx.ExecContext(ctx, update, args...)
		if err != nil {
			return err
		}
		n, err := r.RowsAffected()
		if err != nil {
			return err
		}
		changed = n > 0
		stored, err := schedule(ctx, tx, orgID, id)
		s = stored.Schedule
		return err
	})
	return s, changed, err
}

// RunsSince returns the runs of some schedules of the organization that were due at or after since, by schedule, each
// oldest first. Of each run only what a strip shows is filled in: IDs, status, times and size.
func (c *Catalog) RunsSince(ctx context.Context, orgID string, since time.Time, scheduleIDs ...string) (map[string][]safepoint.Operation, error) {
	bySchedule := map[string][]safepoint.Operation{}
	if len(scheduleIDs) == 0 {
		return bySchedule, nil
	}
	args := []any{orgID, toMillis(since)}
	for _, id := range scheduleIDs {
		args = append(args, id)
	}
	runs, err := collect(ctx, c.db, func(row scanner) (safepoint.Operation, error) {
		op := safepoint.Operation{OrganizationID: orgID, Type: safepoint.TypeBackup, Trigger: safepoint.TriggerScheduled}
		var due, created, started, finished int64
		err := row.Scan(&op.ScheduleID, &op.Status, &op.ID, &due, &created, &started, &finished, &op.Size)
		op.DueAt, op.CreatedAt, op.StartedAt, op.FinishedAt = fromMillis(due), fromMillis(created), fromMillis(started), fromMillis(finished)
		return op, err
	}, `SELECT schedule_id, status, id, due_at, created_at, started_at, finished_at, size FROM operations
		WHERE schedule_id <> '' AND coalesce(organization_id, '') = $1 AND due_at >= $2 AND schedule_id IN (`+placeholdersFrom(3, len(scheduleIDs))+`)
		ORDER BY schedule_id, due_at`, args...)
	for _, op := range runs {
		bySchedule[op.ScheduleID] = append(bySchedule[op.ScheduleID], op)
	}
	return bySchedule, wrap("list the runs of schedules", err)
}
