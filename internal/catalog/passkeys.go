package catalog

import (
	"context"
	"strings"
	"time"

	"github.com/safepoint-db/safepoint"
)

// Passkey is a passkey with what its answers are checked against.
type Passkey struct {
	safepoint.Passkey
	CredentialID []byte // by which a device finds it
	PublicKey    []byte // in COSE's form
	SignCount    uint32
	Transports   []string
}

const passkeyColumns = `id, user_id, name, host, credential_id, public_key, sign_count, synced, transports, created_at, last_used_at, copied_at`

func scanPasskey(row scanner) (Passkey, error) {
	var p Passkey
	var transports string
	var created, used, copied int64
	err := row.Scan(&p.ID, &p.UserID, &p.Name, &p.Host, &p.CredentialID, &p.PublicKey, &p.SignCount, &p.Synced, &transports, &created, &used, &copied)
	p.CreatedAt, p.LastUsedAt, p.CopiedAt = fromMillis(created), fromMillis(used), fromMillis(copied)
	if transports != "" {
		p.Transports = strings.Split(transports, ",")
	}
	return p, err
}

// AddPasskey stores p, giving it an ID and a time, unless its user has most of them already: CodeConflict. One that somebody
// has already is CodeConflict too.
func (c *Catalog) AddPasskey(ctx context.Context, p Passkey, most int) (Passkey, error) {
	p.ID = safepoint.NewID(safepoint.PasskeyPrefix)
	p.CreatedAt = c.Now().UTC().Truncate(time.Millisecond)
	n, err := c.exec(ctx, `INSERT INTO passkeys (id, user_id, name, host, credential_id, public_key, sign_count, synced, transports, created_at)
		SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10 WHERE (SELECT count(*) FROM passkeys WHERE user_id = $2) < $11`,
		p.ID, p.UserID, p.Name, p.Host, p.CredentialID, p.PublicKey, p.SignCount, p.Synced, strings.Join(p.Transports, ","), toMillis(p.CreatedAt), most)
	if isDuplicate(err) {
		return p, safepoint.Errorf(safepoint.CodeConflict, "This passkey was added already.")
	}
	if err == nil && n == 0 {
		return p, safepoint.Errorf(safepoint.CodeConflict, "There can be %d passkeys.", most).WithHint("Remove one that you do not use.")
	}
	return p, wrap("store passkey", err)
}

// Passkeys returns a user's passkeys, oldest first.
func (c *Catalog) Passkeys(ctx context.Context, userID string) ([]Passkey, error) {
	list, err := collect(ctx, c.db, scanPasskey, `SELECT `+passkeyColumns+` FROM passkeys WHERE user_id = $1 ORDER BY created_at, id`, userID)
	return list, wrap("list passkeys", err)
}

// PasskeyByCredential finds a passkey by what a device calls it.
func (c *Catalog) PasskeyByCredential(ctx context.Context, credentialID []byte) (Passkey, error) {
	p, err := scanPasskey(c.db.QueryRowContext(ctx, `SELECT `+passkeyColumns+` FROM passkeys WHERE credential_id = $1`, credentialID))
	return p, absent(err, "passkey")
}

// UsePasskey notes that a passkey was used at a time, and how many signatures its device has counted: of several answers
// that come at once, the highest.
func (c *Catalog) UsePasskey(ctx context.Context, id string, count uint32, at time.Time) error {
	r, err := c.db.ExecContext(ctx, `UPDATE passkeys SET sign_count = CASE WHEN sign_count < $1 THEN $1 ELSE sign_count END, last_used_at = $2 WHERE id = $3`, count, toMillis(at), id)
	return changed(r, err, "passkey")
}

// DistrustPasskey notes that two devices may hold a passkey, since a time.
func (c *Catalog) DistrustPasskey(ctx context.Context, id string, at time.Time) error {
	_, err := c.db.ExecContext(ctx, `UPDATE passkeys SET copied_at = $1 WHERE id = $2`, toMillis(at), id)
	return wrap("distrust passkey", err)
}

// RenamePasskey gives a user's passkey another name, and returns what it was called.
func (c *Catalog) RenamePasskey(ctx context.Context, userID, id, name string) (old string, err error) {
	err = c.tx(ctx, func(tx *transaction) error {
		if err := tx.QueryRowContext(ctx, `SELECT name FROM passkeys WHERE id = $1 AND user_id = $2`, id, userID).Scan(&old); err != nil {
			return absent(err, "passkey")
		}
		_, err := tx.ExecContext(ctx, `UPDATE passkeys SET name = $1 WHERE id = $2`, name, id)
		return err
	})
	return old, wrap("rename passkey", err)
}

// RemovePasskey removes a user's passkey and every session that it began but the one kept (its hash; "" keeps none), and
// returns what it was called.
func (c *Catalog) RemovePasskey(ctx context.Context, userID, id, keep string) (name string, err error) {
	err = c.tx(ctx, func(tx *transaction) error {
		if err := tx.QueryRowContext(ctx, `DELETE FROM passkeys WHERE id = $1 AND user_id = $2 RETURNING name`, id, userID).Scan(&name); err != nil {
			return absent(err, "passkey")
		}
		_, err := tx.ExecContext(ctx, `DELETE FROM sessions WHERE passkey_id = $1 AND token_hash <> $2`, id, keep)
		return err
	})
	return name, wrap("remove passkey", err)
}
