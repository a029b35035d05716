package catalog

import (
	"context"
	"time"

	"github.com/safepoint-db/safepoint"
)

const databaseColumns = `id, organization_id, name, engine, host, port, username, dbname, tls, ca_cert, path,
	sealed_password IS NOT NULL, server_version, created_at, created_by, created_by_name, version, instant_switch`

func scanDatabase(row scanner) (safepoint.Database, error) {
	var d safepoint.Database
	var created int64
	err := row.Scan(&d.ID, &d.OrganizationID, &d.Name, &d.Engine, &d.Host, &d.Port, &d.User, &d.DBName, &d.TLS, &d.CACert, &d.Path,
		&d.HasPassword, &d.ServerVersion, &created, &d.CreatedBy, &d.CreatedByName, &d.Version, &d.InstantSwitch)
	d.CreatedAt = fromMillis(created)
	return d, err
}

// CreateDatabase stores d, giving it a time and version 1. Its ID is the caller's: the password is sealed for it.
func (c *Catalog) CreateDatabase(ctx context.Context, d safepoint.Database, sealedPassword []byte) (safepoint.Database, error) {
	d.CreatedAt, d.Version, d.HasPassword = c.Now().UTC().Truncate(time.Millisecond), 1, sealedPassword != nil
	_, err := c.db.ExecContext(ctx, `INSERT INTO databases (id, organization_id, name, engine, host, port, username, dbname, tls, ca_cert, path,
		sealed_password, server_version, created_at, created_by, created_by_name, instant_switch)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)`,
		d.ID, d.OrganizationID, d.Name, d.Engine, d.Host, d.Port, d.User, d.DBName, d.TLS, d.CACert, d.Path,
		sealedPassword, d.ServerVersion, toMillis(d.CreatedAt), d.CreatedBy, d.CreatedByName, toInt(d.InstantSwitch))
	return d, nameTaken(err, "database", d.Name)
}

// Database returns one database of the organization. A removed one is not found.
func (c *Catalog) Database(ctx context.Context, orgID, id string) (safepoint.Database, error) {
	return database(ctx, c.db, orgID, id)
}

func database(ctx context.Context, q querier, orgID, id string) (safepoint.Database, error) {
	d, err := scanDatabase(q.QueryRowContext(ctx, `SELECT `+databaseColumns+` FROM databases
		WHERE organization_id = $1 AND id = $2 AND removed_at = 0`, orgID, id))
	return d, absent(err, "database")
}

// Databases returns the databases of the organization by name.
func (c *Catalog) Databases(ctx context.Context, orgID string) ([]safepoint.Database, error) {
	list, err := collect(ctx, c.db, scanDatabase, `SELECT `+databaseColumns+` FROM databases
		WHERE organization_id = $1 AND removed_at = 0 ORDER BY lower(name), id`, orgID)
	return list, wrap("list databases", err)
}

// DatabasePassword returns a database's password as sealed, nil if it has none.
func (c *Catalog) DatabasePassword(ctx context.Context, orgID, id string) ([]byte, error) {
	var sealed []byte
	err := c.db.QueryRowContext(ctx, `SELECT sealed_password FROM databases WHERE organization_id = $1 AND id = $2 AND removed_at = 0`,
		orgID, id).Scan(&sealed)
	return sealed, absent(err, "database")
}

// UpdateDatabase stores how d is called and reached, unless d.Version is neither 0 nor the stored one, or a restore of
// it is queued or runs. One that asked for a person goes on with what is stored then: the password may be why it asked.
// byName is who changes it. A nil password removes it.
func (c *Catalog) UpdateDatabase(ctx context.Context, d safepoint.Database, sealedPassword []byte, byName string) (safepoint.Database, error) {
	err := c.tx(ctx, func(tx *transaction) error {
		err := c.checkVersion(ctx, tx, "databases", "database", d.OrganizationID, d.ID, d.Version)
		if err != nil {
			return err
		}
		if err := c.refuseWhile(ctx, tx, d.OrganizationID, `type = 'restore' AND needs_operator = 0 AND database_id = $2`, d.ID, safepoint.Errorf(safepoint.CodeConflict, "A restore needs this database as it is.")); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `UPDATE databases SET name = $1, host = $2, port = $3, username = $4, dbname = $5, tls = $6,
			ca_cert = $7, path = $8, sealed_password = $9, updated_by_name = $10, updated_at = $11, instant_switch = $12,
			version = version + 1 WHERE organization_id = $13 AND id = $14`,
			d.Name, d.Host, d.Port, d.User, d.DBName, d.TLS, d.CACert, d.Path, sealedPassword, byName, toMillis(c.Now()), toInt(d.InstantSwitch), d.OrganizationID, d.ID)
		if err != nil {
			return nameTaken(err, "database", d.Name)
		}
		d, err = database(ctx, tx, d.OrganizationID, d.ID)
		return err
	})
	return d, err
}

// SetServerVersion notes the server version a database was last seen with. It is no edit.
func (c *Catalog) SetServerVersion(ctx context.Context, orgID, id, version string) error {
	_, err := c.db.ExecContext(ctx, `UPDATE databases SET server_version = $1 WHERE organization_id = $2 AND id = $3 AND server_version <> $1`,
		version, orgID, id)
	return wrap("record server version", err)
}

// RemoveDatabase takes a database off the list, with its disabled schedules, and forgets its password. Its backups
// stay listed. It fails with CodeConflict, saying why, while an active schedule backs it up, something is queued or
// runs on it, or a restore of it can still be undone.
func (c *Catalog) RemoveDatabase(ctx context.Context, orgID, id string) error {
	return c.removeDatabase(ctx, orgID, id, func(tx *transaction) error { return c.refuseUndoable(ctx, tx, orgID, id) })
}

// RemoveLostDatabase is RemoveDatabase of one whose server is gone for good: no restore of it can be undone any more, and
// what these set aside is neither dropped nor backed up by anybody. It returns those restores.
func (c *Catalog) RemoveLostDatabase(ctx context.Context, orgID, id string) (givenUp []safepoint.Operation, err error) {
	err = c.removeDatabase(ctx, orgID, id, func(tx *transaction) error {
		if givenUp, err = stillAside(ctx, tx, orgID, id); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `UPDATE operations SET undo_until = 0 WHERE organization_id = $1 AND database_id = $2`, orgID, id)
		return err
	})
	return givenUp, err
}

func (c *Catalog) removeDatabase(ctx context.Context, orgID, id string, settle func(*transaction) error) error {
	return c.tx(ctx, func(tx *transaction) error {
		if _, err := database(ctx, tx, orgID, id); err != nil {
			return err
		}
		active, err := collect(ctx, tx, scanSchedule, `SELECT `+scheduleColumns+` FROM schedules
			WHERE organization_id = $1 AND database_id = $2 AND is_active = 1 ORDER BY name LIMIT 1`, orgID, id)
		if err != nil {
			return err
		}
		if len(active) > 0 {
			return safepoint.Errorf(safepoint.CodeConflict, "The schedule %s backs up this database.", active[0].Name).
				WithHint("Disable the schedule first.")
		}
		if err := c.refuseWhile(ctx, tx, orgID, `database_id = $2`, id, safepoint.Errorf(safepoint.CodeConflict, "This database is in use.")); err != nil {
			return err
		}
		if err := settle(tx); err != nil {
			return err
		}
		now := toMillis(c.Now())
		if _, err := tx.ExecContext(ctx, `UPDATE schedules SET removed_at = $1 WHERE organization_id = $2 AND database_id = $3 AND removed_at = 0`, now, orgID, id); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `UPDATE databases SET removed_at = $1, sealed_password = NULL WHERE organization_id = $2 AND id = $3`, now, orgID, id)
		return err
	})
}

// stillAside are the restores of a database of which something is kept on its server, the one that is kept longest first.
func stillAside(ctx context.Context, tx *transaction, orgID, id string) ([]safepoint.Operation, error) {
	return operations(ctx, tx, `WHERE organization_id = $1 AND database_id = $2 AND undo_until > 0 ORDER BY undo_until DESC`, orgID, id)
}

// refuseUndoable fails while the set-aside copy of a restore of the database waits for an undo: dropping it needs the
// connection.
func (c *Catalog) refuseUndoable(ctx context.Context, tx *transaction, orgID, id string) error {
	kept, err := stillAside(ctx, tx, orgID, id)
	if err != nil || len(kept) == 0 {
		return err
	}
	zone, err := timeZone(ctx, tx, orgID)
	if err != nil {
		return err
	}
	refusal := safepoint.Errorf(safepoint.CodeConflict, "A restore of this database can be undone until %s.", clock(kept[0].UndoUntil, c.Now().In(zone))).
		WithHint("Its earlier state is kept beside it until then, and removing that needs this connection. Remove the database afterwards.")
	if !kept[0].UndoUntil.After(c.Now()) {
		refusal = safepoint.Errorf(safepoint.CodeConflict, "What a restore of this database set aside is still on its server.").
			WithHint("Safepoint removes it, after a safety backup where there is none yet, as soon as the server lets it. Remove the database afterwards.")
	}
	refusal.Field = FieldGone
	return refusal
}

// FieldGone is the field of a refusal to remove a database that its name confirms, if its server is gone for good.
const FieldGone = "gone"

// refuseWhile fails with CodeConflict, naming the first, while an operation of the organization that the condition
// selects (with arg as $2) is queued or runs.
func (c *Catalog) refuseWhile(ctx context.Context, tx *transaction, orgID, condition, arg string, why *safepoint.Error) error {
	open, err := operations(ctx, tx, `WHERE organization_id = $1 AND status IN ('queued','running') AND (`+condition+`) ORDER BY created_at LIMIT 1`, orgID, arg)
	if err != nil || len(open) == 0 {
		return err
	}
	zone, err := timeZone(ctx, tx, orgID)
	if err != nil {
		return err
	}
	return safepoint.Errorf(safepoint.CodeConflict, "%s %s", why.Quoted(), underWay(open[0], c.Now().In(zone)).Quoted()).
		WithHint("Wait until it has ended, or cancel it first.")
}

// checkVersion fails with CodeConflict if the row is not of this version any more (0 does not check), and with
// CodeNotFound if it is not there. table is ours, never a user's.
func (c *Catalog) checkVersion(ctx context.Context, tx *transaction, table, what, orgID, id string, version int) error {
	var stored int
	var by string
	var at int64
	err := tx.QueryRowContext(ctx, `SELECT version, updated_by_name, updated_at FROM `+table+` WHERE organization_id = $1 AND id = $2`, orgID, id).
		Scan(&stored, &by, &at)
	switch {
	case err != nil:
		return absent(err, what)
	case version != 0 && version != stored:
		return c.editConflict(ctx, tx, orgID, what, by, fromMillis(at))
	}
	return nil
}
