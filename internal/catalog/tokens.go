package catalog

import (
	"context"
	"time"

	"github.com/safepoint-db/safepoint"
)

const tokenColumns = `t.id, t.organization_id, t.user_id, u.name, t.name, t.created_at, t.expires_at, t.last_used_at, t.password_at`

// tokenRow is a token and when its maker had last entered the password.
type tokenRow struct {
	safepoint.Token
	passwordAt time.Time
}

func scanToken(row scanner) (tokenRow, error) {
	var t tokenRow
	var created, expires, used, password int64
	err := row.Scan(&t.ID, &t.OrganizationID, &t.UserID, &t.UserName, &t.Name, &created, &expires, &used, &password)
	t.CreatedAt, t.ExpiresAt, t.LastUsedAt, t.passwordAt = fromMillis(created), fromMillis(expires), fromMillis(used), fromMillis(password)
	return t, err
}

// CreateToken stores t, giving it an ID and a time, with the hash of its secret.
// passwordAt is when its maker had last entered the password.
func (c *Catalog) CreateToken(ctx context.Context, t safepoint.Token, secretHash string, passwordAt time.Time) (safepoint.Token, error) {
	t.ID = safepoint.NewID(safepoint.TokenPrefix)
	t.CreatedAt = c.Now().UTC().Truncate(time.Millisecond)
	_, err := c.db.ExecContext(ctx, `INSERT INTO tokens (id, organization_id, user_id, name, secret_hash, created_at, expires_at, password_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
		t.ID, t.OrganizationID, t.UserID, t.Name, secretHash, toMillis(t.CreatedAt), toMillis(t.ExpiresAt), toMillis(passwordAt))
	return t, wrap("store token", err)
}

// TokenBySecret finds a token by its secret's hash, whether or not it expired, and when its maker had last entered
// the password.
func (c *Catalog) TokenBySecret(ctx context.Context, secretHash string) (safepoint.Token, time.Time, error) {
	t, err := scanToken(c.db.QueryRowContext(ctx, `SELECT `+tokenColumns+` FROM tokens t JOIN users u ON u.id = t.user_id
		WHERE t.secret_hash = $1`, secretHash))
	return t.Token, t.passwordAt, absent(err, "token")
}

// Tokens returns a user's tokens in an organization, newest first.
func (c *Catalog) Tokens(ctx context.Context, orgID, userID string) ([]safepoint.Token, error) {
	list, err := collect(ctx, c.db, func(row scanner) (safepoint.Token, error) {
		t, err := scanToken(row)
		return t.Token, err
	}, `SELECT `+tokenColumns+` FROM tokens t JOIN users u ON u.id = t.user_id
		WHERE t.organization_id = $1 AND t.user_id = $2 ORDER BY t.created_at DESC, t.id`, orgID, userID)
	return list, wrap("list tokens", err)
}

// TouchToken notes that a token was used at a time.
func (c *Catalog) TouchToken(ctx context.Context, id string, at time.Time) error {
	_, err := c.db.ExecContext(ctx, `UPDATE tokens SET last_used_at = $1 WHERE id = $2`, toMillis(at), id)
	return wrap("record use of a token", err)
}

// RevokeToken removes a user's token and returns what it was.
func (c *Catalog) RevokeToken(ctx context.Context, orgID, userID, id string) (safepoint.Token, error) {
	t := safepoint.Token{ID: id, OrganizationID: orgID, UserID: userID}
	err := c.tx(ctx, func(tx *transaction) error {
		return tx.QueryRowContext(ctx, `DELETE FROM tokens WHERE id = $1 AND organization_id = $2 AND user_id = $3 RETURNING name`,
			id, orgID, userID).Scan(&t.Name)
	})
	return t, absent(err, "token")
}
