package catalog

import (
	"context"
	"time"

	"github.com/safepoint-db/safepoint"
)

const serviceColumns = `id, organization_id, name, kind, position, timeout_ms, halt_url, resume_url, health_url,
	host, port, username, dbname, sealed_secret IS NOT NULL, created_at, version`

func scanService(row scanner) (safepoint.Service, error) {
	var s safepoint.Service
	var timeout, created int64
	err := row.Scan(&s.ID, &s.OrganizationID, &s.Name, &s.Kind, &s.Position, &timeout, &s.HaltURL, &s.ResumeURL, &s.HealthURL,
		&s.Host, &s.Port, &s.User, &s.DBName, &s.HasSecret, &created, &s.Version)
	s.Timeout, s.CreatedAt = time.Duration(timeout)*time.Millisecond, fromMillis(created)
	return s, err
}

// CreateService stores s as the last in the order, giving it a time and version 1. Its ID is the caller's: the secret
// is sealed for it. While a restore is queued or runs it fails with CodeConflict, as every change of services does:
// what a restore halts is what it resumes.
func (c *Catalog) CreateService(ctx context.Context, s safepoint.Service, sealedSecret []byte) (safepoint.Service, error) {
	err := c.tx(ctx, func(tx *transaction) error {
		if err := c.refuseDuringRestore(ctx, tx, s.OrganizationID); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO services (id, organization_id, name, kind, position, timeout_ms, halt_url, resume_url, health_url,
			host, port, username, dbname, sealed_secret, created_at) VALUES ($1, $2, $3, $4,
			(SELECT coalesce(max(position), 0) + 1 FROM services WHERE organization_id = $2), $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)`,
			s.ID, s.OrganizationID, s.Name, s.Kind, s.Timeout.Milliseconds(), s.HaltURL, s.ResumeURL, s.HealthURL,
			s.Host, s.Port, s.User, s.DBName, sealedSecret, toMillis(c.Now()))
		if err != nil {
			return nameTaken(err, "service", s.Name)
		}
		s, err = service(ctx, tx, s.OrganizationID, s.ID)
		return err
	})
	return s, err
}

// Service returns one service of the organization.
func (c *Catalog) Service(ctx context.Context, orgID, id string) (safepoint.Service, error) {
	return service(ctx, c.db, orgID, id)
}

func service(ctx context.Context, q querier, orgID, id string) (safepoint.Service, error) {
	s, err := scanService(q.QueryRowContext(ctx, `SELECT `+serviceColumns+` FROM services WHERE organization_id = $1 AND id = $2`, orgID, id))
	return s, absent(err, "service")
}

// Services returns the services of the organization in the order in which a restore halts them.
func (c *Catalog) Services(ctx context.Context, orgID string) ([]safepoint.Service, error) {
	list, err := collect(ctx, c.db, scanService, `SELECT `+serviceColumns+` FROM services WHERE organization_id = $1 ORDER BY position, id`, orgID)
	return list, wrap("list services", err)
}

// ServiceSecret returns a service's secret as sealed, nil if it has none.
func (c *Catalog) ServiceSecret(ctx context.Context, orgID, id string) ([]byte, error) {
	var sealed []byte
	err := c.db.QueryRowContext(ctx, `SELECT sealed_secret FROM services WHERE organization_id = $1 AND id = $2`, orgID, id).Scan(&sealed)
	return sealed, absent(err, "service")
}

// UpdateService stores s but for its kind and place, unless s.Version is neither 0 nor the stored one, or a restore of
// the organization is queued or runs and has not asked for a person. byName is who changes it. A nil secret removes it.
func (c *Catalog) UpdateService(ctx context.Context, s safepoint.Service, sealedSecret []byte, byName string) (safepoint.Service, error) {
	err := c.tx(ctx, func(tx *transaction) error {
		err := c.checkVersion(ctx, tx, "services", "service", s.OrganizationID, s.ID, s.Version)
		if err != nil {
			return err
		}
		if err := c.refuseAtWork(ctx, tx, s.OrganizationID); err != nil {
			return err
		}
		old, err := service(ctx, tx, s.OrganizationID, s.ID)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `UPDATE services SET name = $1, timeout_ms = $2, halt_url = $3, resume_url = $4, health_url = $5, host = $6,
			port = $7, username = $8, dbname = $9, sealed_secret = $10, updated_by_name = $11, updated_at = $12, version = version + 1
			WHERE organization_id = $13 AND id = $14`,
			s.Name, s.Timeout.Milliseconds(), s.HaltURL, s.ResumeURL, s.HealthURL, s.Host, s.Port, s.User, s.DBName, sealedSecret,
			byName, toMillis(c.Now()), s.OrganizationID, s.ID)
		if err != nil {
			return nameTaken(err, "service", s.Name)
		}
		if err := renameAttention(ctx, tx, s.OrganizationID, old.Name, s.Name); err != nil {
			return err
		}
		s, err = service(ctx, tx, s.OrganizationID, s.ID)
		return err
	})
	return s, err
}

// RemoveService removes a service.
func (c *Catalog) RemoveService(ctx context.Context, orgID, id string) error {
	return c.tx(ctx, func(tx *transaction) error {
		if _, err := service(ctx, tx, orgID, id); err != nil {
			return err
		}
		if err := c.refuseDuringRestore(ctx, tx, orgID); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `DELETE FROM services WHERE organization_id = $1 AND id = $2`, orgID, id)
		return err
	})
}

// OrderServices puts the services of the organization in the order of ids, which must name each of them once.
func (c *Catalog) OrderServices(ctx context.Context, orgID string, ids []string) error {
	return c.tx(ctx, func(tx *transaction) error {
		if err := c.refuseDuringRestore(ctx, tx, orgID); err != nil {
			return err
		}
		all, err := collect(ctx, tx, scanService, `SELECT `+serviceColumns+` FROM services WHERE organization_id = $1`, orgID)
		if err != nil {
			return err
		}
		left := map[string]bool{}
		for _, s := range all {
			left[s.ID] = true
		}
		for i, id := range ids {
			if !left[id] {
				return notFound("service")
			}
			delete(left, id)
			if _, err := tx.ExecContext(ctx, `UPDATE services SET position = $1 WHERE organization_id = $2 AND id = $3`, i+1, orgID, id); err != nil {
				return err
			}
		}
		if len(left) > 0 {
			return safepoint.Errorf(safepoint.CodeConflict, "The list of services changed while you were ordering it.").
				WithHint("Reload to see it as it is now.")
		}
		return nil
	})
}

// RestoreUnderWay fails with CodeConflict, naming it, while a restore of the organization is queued or runs.
func (c *Catalog) RestoreUnderWay(ctx context.Context, orgID string) error {
	return c.tx(ctx, func(tx *transaction) error { return c.refuseDuringRestore(ctx, tx, orgID) })
}

func (c *Catalog) refuseDuringRestore(ctx context.Context, tx *transaction, orgID string) error {
	return c.refuseWhile(ctx, tx, orgID, `type = $2`, string(safepoint.TypeRestore), safepoint.Errorf(safepoint.CodeConflict, "A restore needs the services as they are."))
}

// RestoreAtWork is RestoreUnderWay but for restores that asked for a person.
func (c *Catalog) RestoreAtWork(ctx context.Context, orgID string) error {
	return c.tx(ctx, func(tx *transaction) error { return c.refuseAtWork(ctx, tx, orgID) })
}

func (c *Catalog) refuseAtWork(ctx context.Context, tx *transaction, orgID string) error {
	return c.refuseWhile(ctx, tx, orgID, `type = $2 AND needs_operator = 0`, string(safepoint.TypeRestore), safepoint.Errorf(safepoint.CodeConflict, "A restore needs the services as they are."))
}
