package catalog

import (
	"context"
	"time"

	"github.com/safepoint-db/safepoint"
)

const userColumns = `id, email, name, theme, language, hours, created_at, password_hash`

// credentials is a user with the hash of the password; "" until an invitation is accepted.
type credentials struct {
	safepoint.User
	hash string
}

func scanUser(row scanner) (credentials, error) {
	var u credentials
	var created int64
	err := row.Scan(&u.ID, &u.Email, &u.Name, &u.Theme, &u.Language, &u.Hours, &created, &u.hash)
	u.CreatedAt = fromMillis(created)
	return u, err
}

// User returns one user and the hash of the password, "" until the invitation is accepted.
func (c *Catalog) User(ctx context.Context, id string) (safepoint.User, string, error) {
	u, err := scanUser(c.db.QueryRowContext(ctx, `SELECT `+userColumns+` FROM users WHERE id = $1`, id))
	return u.User, u.hash, absent(err, "user")
}

// UserByEmail finds a user by address, which must be lower case. See User.
func (c *Catalog) UserByEmail(ctx context.Context, email string) (safepoint.User, string, error) {
	u, err := scanUser(c.db.QueryRowContext(ctx, `SELECT `+userColumns+` FROM users WHERE email = $1`, email))
	return u.User, u.hash, absent(err, "user")
}

// AnyUser says whether there is an account at all.
func (c *Catalog) AnyUser(ctx context.Context) (bool, error) {
	var any bool
	err := c.db.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM users WHERE password_hash <> '')`).Scan(&any)
	return any, wrap("look for an account", err)
}

// CreateUser stores u, giving it an ID and a time. An empty hash is a user who has not chosen a password yet.
func (c *Catalog) CreateUser(ctx context.Context, u safepoint.User, hash string) (safepoint.User, error) {
	return c.createUser(ctx, c.db, u, hash)
}

func (c *Catalog) createUser(ctx context.Context, q execer, u safepoint.User, hash string) (safepoint.User, error) {
	u.ID = safepoint.NewID(safepoint.UserPrefix)
	u.CreatedAt = c.Now().UTC().Truncate(time.Millisecond)
	if u.Theme == "" {
		u.Theme = "system"
	}
	if u.Hours == "" {
		u.Hours = "24"
	}
	_, err := q.ExecContext(ctx, `INSERT INTO users (id, email, name, password_hash, theme, language, hours, created_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`, u.ID, u.Email, u.Name, hash, u.Theme, u.Language, u.Hours, toMillis(u.CreatedAt))
	if isDuplicate(err) {
		return u, safepoint.Invalid("email", "Another user has the address %s.", u.Email)
	}
	return u, wrap("store user", err)
}

// SetPassword stores a new hash and ends every session and unused link of the user but the session kept
// (its hash; "" keeps none).
func (c *Catalog) SetPassword(ctx context.Context, userID, hash, keep string) error {
	return c.tx(ctx, func(tx *transaction) error { return setPassword(ctx, tx, userID, hash, keep) })
}

// ResetPassword is SetPassword that keeps no session, and removes the user's passkeys.
func (c *Catalog) ResetPassword(ctx context.Context, userID, hash string) error {
	return c.tx(ctx, func(tx *transaction) error {
		if err := setPassword(ctx, tx, userID, hash, ""); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `DELETE FROM passkeys WHERE user_id = $1`, userID)
		return wrap("remove passkeys", err)
	})
}

func setPassword(ctx context.Context, tx *transaction, userID, hash, keep string) error {
	r, err := tx.ExecContext(ctx, `UPDATE users SET password_hash = $1 WHERE id = $2`, hash, userID)
	if err := changed(r, err, "user"); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, `DELETE FROM sessions WHERE user_id = $1 AND token_hash <> $2`, userID, keep); err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `DELETE FROM links WHERE user_id = $1`, userID)
	return err
}

// UpgradePassword replaces a hash by a stronger one of the same password. Sessions stay.
func (c *Catalog) UpgradePassword(ctx context.Context, userID, old, hash string) error {
	_, err := c.db.ExecContext(ctx, `UPDATE users SET password_hash = $1 WHERE id = $2 AND password_hash = $3`, hash, userID, old)
	return wrap("store password", err)
}

// SetDisplay stores how a user wants to read the console.
func (c *Catalog) SetDisplay(ctx context.Context, userID string, d safepoint.Display) error {
	r, err := c.db.ExecContext(ctx, `UPDATE users SET theme = $1, language = $2, hours = $3 WHERE id = $4`, d.Theme, d.Language, d.Hours, userID)
	return changed(r, err, "user")
}

// Kinds of one-time links.
const (
	LinkSignIn = "signin"
	LinkInvite = "invite"
)

// CreateLink stores the hash of a one-time link. An earlier invitation of the same user ends.
func (c *Catalog) CreateLink(ctx context.Context, hash, kind, userID string, until time.Time) error {
	return c.tx(ctx, func(tx *transaction) error {
		if _, err := tx.ExecContext(ctx, `DELETE FROM links WHERE expires_at <= $1 OR (user_id = $2 AND kind = $3 AND kind = 'invite')`,
			toMillis(c.Now()), userID, kind); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO links (token_hash, kind, user_id, expires_at) VALUES ($1, $2, $3, $4)`,
			hash, kind, userID, toMillis(until))
		return err
	})
}

// LinkUser is whose link this is, without using it up. A used, expired or unknown one is CodeNotFound.
func (c *Catalog) LinkUser(ctx context.Context, hash, kind string) (safepoint.User, error) {
	u, err := scanUser(c.db.QueryRowContext(ctx, `SELECT `+userColumns+` FROM users WHERE id =
		(SELECT user_id FROM links WHERE token_hash = $1 AND kind = $2 AND expires_at > $3)`, hash, kind, toMillis(c.Now())))
	return u.User, absent(err, "link")
}

// UseLink uses a link up and returns whose it was. Of two who try at once, one gets CodeNotFound.
func (c *Catalog) UseLink(ctx context.Context, hash, kind string) (safepoint.User, error) {
	var u credentials
	err := c.tx(ctx, func(tx *transaction) error {
		var err error
		u, err = useLink(ctx, tx, hash, kind, c.Now())
		return err
	})
	return u.User, err
}

func useLink(ctx context.Context, tx *transaction, hash, kind string, now time.Time) (credentials, error) {
	var userID string
	err := tx.QueryRowContext(ctx, `DELETE FROM links WHERE token_hash = $1 AND kind = $2 AND expires_at > $3 RETURNING user_id`,
		hash, kind, toMillis(now)).Scan(&userID)
	if err != nil {
		return credentials{}, absent(err, "link")
	}
	return scanUser(tx.QueryRowContext(ctx, `SELECT `+userColumns+` FROM users WHERE id = $1`, userID))
}

// AcceptInvite uses an invitation up and stores the name and password hash its user chose.
func (c *Catalog) AcceptInvite(ctx context.Context, linkHash, name, passwordHash string) (safepoint.User, error) {
	var u credentials
	err := c.tx(ctx, func(tx *transaction) error {
		var err error
		if u, err = useLink(ctx, tx, linkHash, LinkInvite, c.Now()); err != nil {
			return err
		}
		if u.hash != "" {
			return notFound("link") // somebody who has a password signs in with it
		}
		u.Name = name
		_, err = tx.ExecContext(ctx, `UPDATE users SET name = $1, password_hash = $2 WHERE id = $3`, name, passwordHash, u.ID)
		return err
	})
	return u.User, err
}
