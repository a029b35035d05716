package catalog

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/safepoint-db/safepoint"
)

// SetSetupCode stores the hash of the one-time code with which the first admin is made; an earlier code ends.
func (c *Catalog) SetSetupCode(ctx context.Context, hash string, until time.Time) error {
	_, err := c.db.ExecContext(ctx, `INSERT INTO instance (id, setup_code_hash, setup_code_until, created_at) VALUES (1, $1, $2, $3)
		ON CONFLICT (id) DO UPDATE SET setup_code_hash = excluded.setup_code_hash, setup_code_until = excluded.setup_code_until`,
		hash, toMillis(until), toMillis(c.Now()))
	return wrap("store setup code", err)
}

// CheckSetupCode fails as Setup does with this code's hash, and uses nothing up.
func (c *Catalog) CheckSetupCode(ctx context.Context, codeHash string) error {
	return c.checkSetupCode(ctx, c.db, codeHash)
}

// Setup makes the first user an admin of the first organization, which is a recovered one where there are any (the user is
// admin of all of these), and uses the code up, all or nothing: of two who try at once, one wins and the other gets
// CodeConflict. A wrong or old code is CodeForbidden.
func (c *Catalog) Setup(ctx context.Context, codeHash string, u safepoint.User, passwordHash string, o safepoint.Organization) (safepoint.User, safepoint.Organization, error) {
	err := c.tx(ctx, func(tx *transaction) error {
		err := c.checkSetupCode(ctx, tx, codeHash)
		if err != nil {
			return err
		}
		if _, err = tx.ExecContext(ctx, `UPDATE instance SET setup_code_hash = '', setup_code_until = 0`); err != nil {
			return err
		}
		if u, err = c.createUser(ctx, tx, u, passwordHash); err != nil {
			return err
		}
		adopted, ok, err := c.adopt(ctx, tx, o, u.ID)
		if err != nil {
			return err
		}
		if ok {
			o = adopted
			return nil
		}
		o, err = c.createOrganization(ctx, tx, o, u.ID)
		return err
	})
	return u, o, err
}

func (c *Catalog) checkSetupCode(ctx context.Context, q querier, codeHash string) error {
	var any bool
	if err := q.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM users WHERE password_hash <> '')`).Scan(&any); err != nil {
		return err
	}
	if any {
		return safepoint.Errorf(safepoint.CodeConflict, "Safepoint is set up already.").WithHint("Sign in instead.")
	}
	var hash string
	var until int64
	err := q.QueryRowContext(ctx, `SELECT setup_code_hash, setup_code_until FROM instance`).Scan(&hash, &until)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	if hash == "" || hash != codeHash || until <= toMillis(c.Now()) {
		return safepoint.Errorf(safepoint.CodeForbidden, "This setup code is wrong, or older than 30 minutes.").
			WithHint("The server prints a new code each time it starts.")
	}
	return nil
}

// keyCheck returns what the catalog remembers of its keys, and whether any secret is sealed in it.
func (c *Catalog) keyCheck(ctx context.Context) (check, signing string, sealed bool, err error) {
	err = c.db.QueryRowContext(ctx, `SELECT key_check, signing_key FROM instance`).Scan(&check, &signing)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return "", "", false, err
	}
	err = c.db.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM databases WHERE sealed_password IS NOT NULL)
		OR EXISTS (SELECT 1 FROM services WHERE sealed_secret IS NOT NULL)
		OR EXISTS (SELECT 1 FROM recipients WHERE sealed_identity IS NOT NULL)`).Scan(&sealed)
	return check, signing, sealed, err
}

func (c *Catalog) setKeyCheck(ctx context.Context, check, signing string) error {
	_, err := c.db.ExecContext(ctx, `INSERT INTO instance (id, key_check, signing_key, created_at) VALUES (1, $1, $2, $3)
		ON CONFLICT (id) DO UPDATE SET key_check = excluded.key_check, signing_key = excluded.signing_key`,
		check, signing, toMillis(c.Now()))
	return err
}

// anyBackup says whether there is a kept backup file, which only the signing key's public half can tell from a forgery.
func (c *Catalog) anyBackup(ctx context.Context) (bool, error) {
	var any bool
	err := c.db.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM operations WHERE storage_key <> '' AND deleted_at = 0)`).Scan(&any)
	return any, err
}
