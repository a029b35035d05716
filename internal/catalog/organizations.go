package catalog

import (
	"cmp"
	"context"
	"time"

	"github.com/safepoint-db/safepoint"
)

const organizationColumns = `o.id, o.name, o.time_zone, o.language, o.undo_window_ms, o.session_idle_ms, o.guided, o.created_at`

func scanOrganization(row scanner) (safepoint.Organization, error) {
	var o safepoint.Organization
	var undo, idle, created int64
	err := row.Scan(&o.ID, &o.Name, &o.TimeZone, &o.Language, &undo, &idle, &o.Guided, &created)
	o.UndoWindow, o.SessionIdle = time.Duration(undo)*time.Millisecond, time.Duration(idle)*time.Millisecond
	o.CreatedAt = fromMillis(created)
	return o, err
}

// CreateOrganization stores o, giving it an ID and a time, with userID as its first admin.
func (c *Catalog) CreateOrganization(ctx context.Context, o safepoint.Organization, userID string) (safepoint.Organization, error) {
	err := c.tx(ctx, func(tx *transaction) error {
		var err error
		o, err = c.createOrganization(ctx, tx, o, userID)
		return err
	})
	return o, err
}

func (c *Catalog) createOrganization(ctx context.Context, tx *transaction, o safepoint.Organization, userID string) (safepoint.Organization, error) {
	o.ID = safepoint.NewID(safepoint.OrganizationPrefix)
	o.CreatedAt = c.Now().UTC().Truncate(time.Millisecond)
	_, err := tx.ExecContext(ctx, `INSERT INTO organizations (id, name, time_zone, language, undo_window_ms, session_idle_ms, created_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7)`,
		o.ID, o.Name, o.TimeZone, o.Language, o.UndoWindow.Milliseconds(), o.SessionIdle.Milliseconds(), toMillis(o.CreatedAt))
	if err != nil {
		return o, err
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO members (organization_id, user_id, role, created_at) VALUES ($1, $2, 'admin', $3)`,
		o.ID, userID, toMillis(o.CreatedAt))
	return o, err
}

// Organization returns one organization.
func (c *Catalog) Organization(ctx context.Context, id string) (safepoint.Organization, error) {
	o, err := scanOrganization(c.db.QueryRowContext(ctx, `SELECT `+organizationColumns+` FROM organizations o WHERE o.id = $1`, id))
	return o, absent(err, "organization")
}

// Organizations returns every organization, oldest first. It is for the program itself, never for a user.
func (c *Catalog) Organizations(ctx context.Context) ([]safepoint.Organization, error) {
	list, err := collect(ctx, c.db, scanOrganization, `SELECT `+organizationColumns+` FROM organizations o ORDER BY o.created_at, o.id`)
	return list, wrap("list organizations", err)
}

// UpdateOrganization stores the settings of o.
func (c *Catalog) UpdateOrganization(ctx context.Context, o safepoint.Organization) error {
	r, err := c.db.ExecContext(ctx, `UPDATE organizations SET name = $1, time_zone = $2, language = $3, undo_window_ms = $4, session_idle_ms = $5 WHERE id = $6`,
		o.Name, o.TimeZone, o.Language, o.UndoWindow.Milliseconds(), o.SessionIdle.Milliseconds(), o.ID)
	return changed(r, err, "organization")
}

// SetGuided notes that the guide through the first run was finished, or put away.
func (c *Catalog) SetGuided(ctx context.Context, id string) error {
	r, err := c.db.ExecContext(ctx, `UPDATE organizations SET guided = 1 WHERE id = $1`, id)
	return changed(r, err, "organization")
}

// Memberships returns the organizations of a user, oldest membership first.
func (c *Catalog) Memberships(ctx context.Context, userID string) ([]safepoint.Membership, error) {
	list, err := collect(ctx, c.db, func(row scanner) (m safepoint.Membership, err error) {
		m.Organization, err = scanOrganization(extra{row, []any{&m.Role}})
		return m, err
	}, `SELECT `+organizationColumns+`, m.role FROM members m JOIN organizations o ON o.id = m.organization_id
		WHERE m.user_id = $1 ORDER BY m.created_at, o.id`, userID)
	return list, wrap("list memberships", err)
}

const memberColumns = `m.organization_id, m.role, m.created_at, u.id, u.email, u.name, u.theme, u.created_at`

func scanMember(row scanner) (safepoint.Member, error) {
	var m safepoint.Member
	var since, created int64
	err := row.Scan(&m.OrganizationID, &m.Role, &since, &m.User.ID, &m.User.Email, &m.User.Name, &m.User.Theme, &created)
	m.CreatedAt, m.User.CreatedAt = fromMillis(since), fromMillis(created)
	return m, err
}

// Members returns the members of an organization by name.
func (c *Catalog) Members(ctx context.Context, orgID string) ([]safepoint.Member, error) {
	list, err := collect(ctx, c.db, scanMember, `SELECT `+memberColumns+` FROM members m JOIN users u ON u.id = m.user_id
		WHERE m.organization_id = $1 ORDER BY u.name, u.email`, orgID)
	return list, wrap("list members", err)
}

// Member returns one member of an organization.
func (c *Catalog) Member(ctx context.Context, orgID, userID string) (safepoint.Member, error) {
	return member(ctx, c.db, orgID, userID)
}

func member(ctx context.Context, q querier, orgID, userID string) (safepoint.Member, error) {
	m, err := scanMember(q.QueryRowContext(ctx, `SELECT `+memberColumns+` FROM members m JOIN users u ON u.id = m.user_id
		WHERE m.organization_id = $1 AND m.user_id = $2`, orgID, userID))
	return m, absent(err, "member")
}

// AddMember makes a user a member. A user who is one already is a mistake in the field "email".
func (c *Catalog) AddMember(ctx context.Context, orgID, userID string, role safepoint.Role) (safepoint.Member, error) {
	var m safepoint.Member
	err := c.tx(ctx, func(tx *transaction) error {
		r, err := tx.ExecContext(ctx, `INSERT INTO members (organization_id, user_id, role, created_at) VALUES ($1, $2, $3, $4)
			ON CONFLICT (organization_id, user_id) DO NOTHING`, orgID, userID, role, toMillis(c.Now()))
		if err != nil {
			return err
		}
		if m, err = member(ctx, tx, orgID, userID); err != nil {
			return err
		}
		if n, err := r.RowsAffected(); err != nil || n == 0 {
			return cmp.Or(err, error(safepoint.Invalid("email", "%s is a member already.", m.User.Email)))
		}
		return nil
	})
	return m, err
}

// SetRole changes what a member may do. The last admin stays one.
func (c *Catalog) SetRole(ctx context.Context, orgID, userID string, role safepoint.Role) error {
	return c.tx(ctx, func(tx *transaction) error {
		r, err := tx.ExecContext(ctx, `UPDATE members SET role = $1 WHERE organization_id = $2 AND user_id = $3`, role, orgID, userID)
		if err := changed(r, err, "member"); err != nil {
			return err
		}
		return adminLeft(ctx, tx, orgID)
	})
}

// RemoveMember ends a membership and the tokens that came with it. The last admin stays.
func (c *Catalog) RemoveMember(ctx context.Context, orgID, userID string) error {
	return c.tx(ctx, func(tx *transaction) error {
		r, err := tx.ExecContext(ctx, `DELETE FROM members WHERE organization_id = $1 AND user_id = $2`, orgID, userID)
		if err := changed(r, err, "member"); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `DELETE FROM tokens WHERE organization_id = $1 AND user_id = $2`, orgID, userID); err != nil {
			return err
		}
		return adminLeft(ctx, tx, orgID)
	})
}

// adminLeft refuses a change that leaves an organization without an admin who can sign in.
func adminLeft(ctx context.Context, tx *transaction, orgID string) error {
	var n int
	err := tx.QueryRowContext(ctx, `SELECT count(*) FROM members m JOIN users u ON u.id = m.user_id
		WHERE m.organization_id = $1 AND m.role = 'admin' AND u.password_hash <> ''`, orgID).Scan(&n)
	if err == nil && n == 0 {
		return safepoint.Errorf(safepoint.CodeConflict, "An organization keeps at least one admin.").
			WithHint("Make somebody else an admin first.")
	}
	return err
}
