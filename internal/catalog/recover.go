package catalog

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/safepoint-db/safepoint"
)

// What is put into a catalog from backup files, after the one that knew them was lost. Everything keeps the identifiers
// it had: adding it again adds nothing.

// RecoverOrganization stores o under its own ID unless it is there, and says whether it did. It has no member: the first
// admin of the installation becomes its admin, or adminID, unless that is "".
func (c *Catalog) RecoverOrganization(ctx context.Context, o safepoint.Organization, adminID string) (added bool, err error) {
	err = c.tx(ctx, func(tx *transaction) error {
		n, err := affected(tx.ExecContext(ctx, `INSERT INTO organizations (id, name, time_zone, undo_window_ms, created_at) VALUES ($1, $2, $3, $4, $5)
			ON CONFLICT (id) DO NOTHING`, o.ID, o.Name, o.TimeZone, o.UndoWindow.Milliseconds(), toMillis(c.Now())))
		added = n > 0
		if err != nil || !added || adminID == "" {
			return err
		}
		return c.makeAdmin(ctx, tx, o.ID, adminID)
	})
	return added, wrap("recover organization", err)
}

func (c *Catalog) makeAdmin(ctx context.Context, tx *transaction, orgID, userID string) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO members (organization_id, user_id, role, created_at) VALUES ($1, $2, 'admin', $3)
		ON CONFLICT (organization_id, user_id) DO NOTHING`, orgID, userID, toMillis(c.Now()))
	return err
}

// RecoverDatabase stores d, without a connection, under its own ID unless it is there or was removed, and says whether
// it did. Where its name is taken it gets its ID behind it.
func (c *Catalog) RecoverDatabase(ctx context.Context, d safepoint.Database) (added bool, err error) {
	err = c.tx(ctx, func(tx *transaction) error {
		var taken bool
		err := tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM databases WHERE organization_id = $1 AND name = $2 AND removed_at = 0 AND id <> $3)`,
			d.OrganizationID, d.Name, d.ID).Scan(&taken)
		if err != nil {
			return err
		}
		if taken {
			d.Name += " " + d.ID
		}
		n, err := affected(tx.ExecContext(ctx, `INSERT INTO databases (id, organization_id, name, engine, dbname, server_version, created_at, created_by, created_by_name)
			VALUES ($1, $2, $3, $4, $5, $6, $7, '', $8) ON CONFLICT (id) DO NOTHING`,
			d.ID, d.OrganizationID, d.Name, string(d.Engine), d.DBName, d.ServerVersion, toMillis(c.Now()), d.CreatedByName))
		added = n > 0
		return err
	})
	return added, wrap("recover database", err)
}

// HomeOf returns the ID of the organization that has, or had, a database, "" if no database has this ID.
func (c *Catalog) HomeOf(ctx context.Context, databaseID string) (string, error) {
	var id string
	err := c.db.QueryRowContext(ctx, `SELECT organization_id FROM databases WHERE id = $1`, databaseID).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return id, wrap("look for a database", err)
}

// RecoverBackup stores a backup that ended well under its own ID unless that is there, and says whether it did. One that
// a person deleted stays deleted.
func (c *Catalog) RecoverBackup(ctx context.Context, op safepoint.Operation) (added bool, err error) {
	if op.Type != safepoint.TypeBackup || op.Status != safepoint.StatusSucceeded || op.StorageKey == "" {
		return false, fmt.Errorf("recover backup: %s is none", op.ID)
	}
	err = c.tx(ctx, func(tx *transaction) error {
		var there bool
		err := tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM operations WHERE id = $1)`, op.ID).Scan(&there)
		if err != nil || there {
			return err
		}
		if !op.DueAt.IsZero() { // another entry may hold its due time: the schedule itself is lost
			op.ScheduleID = ""
		}
		added = true
		return insertOperation(ctx, tx, op, job{})
	})
	if err != nil {
		added = false
	}
	return added, wrap("recover backup", err)
}

// adopt makes userID the admin of every organization that has no member, and gives the name and time zone of o to the
// one that is called like it, else to the oldest; it is returned. ok is false if there is none.
func (c *Catalog) adopt(ctx context.Context, tx *transaction, o safepoint.Organization, userID string) (_ safepoint.Organization, ok bool, err error) {
	lost, err := collect(ctx, tx, scanOrganization, `SELECT `+organizationColumns+` FROM organizations o
		WHERE NOT EXISTS (SELECT 1 FROM members m WHERE m.organization_id = o.id) ORDER BY lower(o.name) <> lower($1), o.created_at, o.id`, o.Name)
	if err != nil || len(lost) == 0 {
		return o, false, err
	}
	o.ID, o.CreatedAt = lost[0].ID, lost[0].CreatedAt
	_, err = tx.ExecContext(ctx, `UPDATE organizations SET name = $2, time_zone = $3, undo_window_ms = $4 WHERE id = $1`,
		o.ID, o.Name, o.TimeZone, o.UndoWindow.Milliseconds())
	for i, l := range lost {
		if err == nil {
			_, err = tx.ExecContext(ctx, `INSERT INTO members (organization_id, user_id, role, created_at) VALUES ($1, $2, 'admin', $3)`,
				l.ID, userID, toMillis(c.Now().Add(time.Duration(i)*time.Millisecond)))
		}
	}
	return o, true, err
}
