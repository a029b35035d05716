package catalog

import (
	"context"
	"time"
)

// Session is a signed-in browser. Its token is only kept as a hash.
type Session struct {
	TokenHash      string // hex SHA-256
	UserID         string
	OrganizationID string // the one looked at; "" if the user is in none
	CreatedAt      time.Time
	UsedAt         time.Time
	PasswordAt     time.Time // when the password was last entered, or a passkey used
	IP, Agent      string
	PasskeyID      string // the passkey that began it, "" for none
}

const sessionColumns = `token_hash, user_id, organization_id, created_at, used_at, password_at, ip, agent, passkey_id`

func scanSession(row scanner) (Session, error) {
	var s Session
	var created, used, password int64
	err := row.Scan(&s.TokenHash, &s.UserID, &s.OrganizationID, &created, &used, &password, &s.IP, &s.Agent, &s.PasskeyID)
	s.CreatedAt, s.UsedAt, s.PasswordAt = fromMillis(created), fromMillis(used), fromMillis(password)
	return s, err
}

// CreateSession stores s as given. One that a passkey began is CodeNotFound if that is not there any more.
func (c *Catalog) CreateSession(ctx context.Context, s Session) error {
	r, err := c.db.ExecContext(ctx, `INSERT INTO sessions (`+sessionColumns+`)
		SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9 WHERE $9 = '' OR EXISTS (SELECT 1 FROM passkeys WHERE id = $9 AND user_id = $2)`,
		s.TokenHash, s.UserID, s.OrganizationID, toMillis(s.CreatedAt), toMillis(s.UsedAt), toMillis(s.PasswordAt), s.IP, s.Agent, s.PasskeyID)
	return changed(r, err, "passkey")
}

// Session returns the session with a token's hash, whether or not it is still good.
func (c *Catalog) Session(ctx context.Context, tokenHash string) (Session, error) {
	s, err := scanSession(c.db.QueryRowContext(ctx, `SELECT `+sessionColumns+` FROM sessions WHERE token_hash = $1`, tokenHash))
	return s, absent(err, "session")
}

// TouchSession notes that a session was used at a time.
func (c *Catalog) TouchSession(ctx context.Context, tokenHash string, at time.Time) error {
	_, err := c.db.ExecContext(ctx, `UPDATE sessions SET used_at = $1 WHERE token_hash = $2`, toMillis(at), tokenHash)
	return wrap("record use of a session", err)
}

// ReenterSession notes that the password was entered again, or a passkey used, at a time.
func (c *Catalog) ReenterSession(ctx context.Context, tokenHash, userID string, at time.Time) error {
	r, err := c.db.ExecContext(ctx, `UPDATE sessions SET password_at = $1, used_at = $1 WHERE token_hash = $2 AND user_id = $3`,
		toMillis(at), tokenHash, userID)
	return changed(r, err, "session")
}

// SetSessionOrganization changes which organization a session of a user looks at.
func (c *Catalog) SetSessionOrganization(ctx context.Context, tokenHash, userID, orgID string) error {
	r, err := c.db.ExecContext(ctx, `UPDATE sessions SET organization_id = $1 WHERE token_hash = $2 AND user_id = $3`, orgID, tokenHash, userID)
	return changed(r, err, "session")
}

// DeleteSession ends a session. One that is not there is no error.
func (c *Catalog) DeleteSession(ctx context.Context, tokenHash string) error {
	_, err := c.db.ExecContext(ctx, `DELETE FROM sessions WHERE token_hash = $1`, tokenHash)
	return wrap("end session", err)
}

// Sessions returns the sessions of a user, the one used last first.
func (c *Catalog) Sessions(ctx context.Context, userID string) ([]Session, error) {
	list, err := collect(ctx, c.db, scanSession, `SELECT `+sessionColumns+` FROM sessions WHERE user_id = $1 ORDER BY used_at DESC, token_hash`, userID)
	return list, wrap("list sessions", err)
}

// DeleteOtherSessions ends every session of a user but one, and says how many.
func (c *Catalog) DeleteOtherSessions(ctx context.Context, userID, keep string) (int, error) {
	n, err := c.exec(ctx, `DELETE FROM sessions WHERE user_id = $1 AND token_hash <> $2`, userID, keep)
	return int(n), wrap("end sessions", err)
}

// DeleteOldSessions removes sessions last used before idle or made before absolute.
func (c *Catalog) DeleteOldSessions(ctx context.Context, idle, absolute time.Time) error {
	_, err := c.db.ExecContext(ctx, `DELETE FROM sessions WHERE used_at < $1 OR created_at < $2`, toMillis(idle), toMillis(absolute))
	return wrap("end old sessions", err)
}
