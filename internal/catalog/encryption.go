package catalog

import (
	"context"
	"fmt"
	"time"

	"github.com/safepoint-db/safepoint"
)

const recipientColumns = `id, organization_id, name, public_key, sealed_identity IS NOT NULL, created_at, created_by_name, proven_at, retired_at`

func scanRecipient(row scanner) (safepoint.Recipient, error) {
	var r safepoint.Recipient
	var created, proven, retired int64
	err := row.Scan(&r.ID, &r.OrganizationID, &r.Name, &r.PublicKey, &r.Kept, &created, &r.CreatedByName, &proven, &retired)
	r.CreatedAt, r.ProvenAt, r.RetiredAt = fromMillis(created), fromMillis(proven), fromMillis(retired)
	return r, err
}

// Encryption is the organization's setting and its recipients, oldest first.
func (c *Catalog) Encryption(ctx context.Context, orgID string) (safepoint.Encryption, error) {
	var e safepoint.Encryption
	var since int64
	err := c.db.QueryRowContext(ctx, `SELECT encrypted_since FROM organizations WHERE id = $1`, orgID).Scan(&since)
	if err != nil {
		return e, absent(err, "organization")
	}
	e.Since = fromMillis(since)
	e.Recipients, err = collect(ctx, c.db, scanRecipient,
		`SELECT `+recipientColumns+` FROM recipients WHERE organization_id = $1 ORDER BY created_at, id`, orgID)
	if err != nil {
		return e, fmt.Errorf("list recipients: %w", err)
	}
	return e, nil
}

// Challenge is what proves that the secret key of a recipient is there.
type Challenge struct {
	Sealed   []byte // a word, encrypted for the recipient; nil once it was solved
	WordHash string
}

// AddRecipient stores r, whose ID is set, giving it a time. Nothing is encrypted for it before ProveRecipient. sealed is
// its secret key as Keys.Seal made it, nil if none is kept. A public key that is there already is a mistake in the field
// "public_key", unless it is not proven yet: then it is replaced.
func (c *Catalog) AddRecipient(ctx context.Context, r safepoint.Recipient, sealed []byte, ch Challenge) (safepoint.Recipient, error) {
	r.CreatedAt = c.Now().UTC().Truncate(time.Millisecond)
	r.Kept = len(sealed) > 0
	err := c.tx(ctx, func(tx *transaction) error {
		if _, err := tx.ExecContext(ctx, `DELETE FROM recipients WHERE organization_id = $1 AND public_key = $2 AND proven_at = 0`,
			r.OrganizationID, r.PublicKey); err != nil {
			return err
		}
		var there bool
		err := tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM recipients WHERE organization_id = $1 AND public_key = $2 AND retired_at = 0)`,
			r.OrganizationID, r.PublicKey).Scan(&there)
		if err != nil {
			return err
		}
		if there {
			return safepoint.Invalid("public_key", "Backups are made for this recipient already.")
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO recipients (id, organization_id, name, public_key, sealed_identity, challenge, word_hash, created_at, created_by_name)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
			r.ID, r.OrganizationID, r.Name, r.PublicKey, sealed, ch.Sealed, ch.WordHash, toMillis(r.CreatedAt), r.CreatedByName)
		return err
	})
	return r, err
}

// Recipient is one recipient with its challenge.
func (c *Catalog) Recipient(ctx context.Context, orgID, id string) (r safepoint.Recipient, ch Challenge, err error) {
	row := c.db.QueryRowContext(ctx, `SELECT `+recipientColumns+`, challenge, word_hash FROM recipients WHERE organization_id = $1 AND id = $2`, orgID, id)
	r, err = scanRecipient(extra{row, []any{&ch.Sealed, &ch.WordHash}})
	return r, ch, absent(err, "recipient")
}

// ProveRecipient records that the secret key of a recipient is there. New backups are encrypted for it from now on, and
// encryption is on.
func (c *Catalog) ProveRecipient(ctx context.Context, orgID, id string) error {
	return c.tx(ctx, func(tx *transaction) error {
		res, err := tx.ExecContext(ctx, `UPDATE recipients SET proven_at = $3, challenge = NULL, word_hash = ''
			WHERE organization_id = $1 AND id = $2 AND proven_at = 0 AND retired_at = 0`, orgID, id, toMillis(c.Now()))
		if err := changed(res, err, "recipient"); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `UPDATE organizations SET encrypted_since = $2 WHERE id = $1 AND encrypted_since = 0`, orgID, toMillis(c.Now()))
		return err
	})
}

// SetSealedIdentity keeps the sealed secret key of a recipient; nil forgets it.
func (c *Catalog) SetSealedIdentity(ctx context.Context, orgID, id string, sealed []byte) error {
	res, err := c.db.ExecContext(ctx, `UPDATE recipients SET sealed_identity = $3 WHERE organization_id = $1 AND id = $2`, orgID, id, sealed)
	if err := changed(res, err, "recipient"); err != nil || sealed != nil {
		return err
	}
	// The page that held it is overwritten (secure_delete), and the log of earlier pages is emptied: if somebody reads
	// the catalog just now, by a later checkpoint.
	_, err = c.db.ExecContext(ctx, `PRAGMA wal_checkpoint(TRUNCATE)`)
	return err
}

// RetireRecipient ends the use of a recipient for new backups; one that was never proven is forgotten. While encryption
// is on the last one stays: CodeConflict.
func (c *Catalog) RetireRecipient(ctx context.Context, orgID, id string) error {
	return c.tx(ctx, func(tx *transaction) error {
		r, err := scanRecipient(tx.QueryRowContext(ctx, `SELECT `+recipientColumns+` FROM recipients WHERE organization_id = $1 AND id = $2`, orgID, id))
		switch {
		case err != nil:
			return absent(err, "recipient")
		case !r.RetiredAt.IsZero():
			return safepoint.Errorf(safepoint.CodeConflict, "New backups are not made for this recipient any more.")
		case r.ProvenAt.IsZero():
			_, err = tx.ExecContext(ctx, `DELETE FROM recipients WHERE id = $1`, id)
			return err
		}
		if _, err = tx.ExecContext(ctx, `UPDATE recipients SET retired_at = $2 WHERE id = $1`, id, toMillis(c.Now())); err != nil {
			return err
		}
		return recipientLeft(ctx, tx, orgID)
	})
}

// recipientLeft refuses encryption that is on and for nobody.
func recipientLeft(ctx context.Context, tx *transaction, orgID string) error {
	var bad bool
	err := tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM organizations WHERE id = $1 AND encrypted_since > 0)
		AND NOT EXISTS (SELECT 1 FROM recipients WHERE organization_id = $1 AND proven_at > 0 AND retired_at = 0)`, orgID).Scan(&bad)
	if err == nil && bad {
		return safepoint.Errorf(safepoint.CodeConflict, "Encrypted backups need at least one recipient whose key was proven.").
			WithHint("Add and prove another one first, or turn encryption off.")
	}
	return err
}

// SetEncryption turns the encryption of new backups on or off. It needs a proven recipient to be turned on: CodeConflict.
func (c *Catalog) SetEncryption(ctx context.Context, orgID string, on bool) error {
	since := int64(0)
	if on {
		since = toMillis(c.Now())
	}
	return c.tx(ctx, func(tx *transaction) error {
		res, err := tx.ExecContext(ctx, `UPDATE organizations SET encrypted_since = CASE WHEN $2 > 0 AND encrypted_since > 0 THEN encrypted_since ELSE $2 END
			WHERE id = $1`, orgID, since)
		if err := changed(res, err, "organization"); err != nil {
			return err
		}
		return recipientLeft(ctx, tx, orgID)
	})
}

// KeptIdentity is the sealed secret key of a recipient.
type KeptIdentity struct {
	RecipientID, PublicKey string
	Sealed                 []byte
}

// KeptIdentities are the secret keys that the organization lets Safepoint keep, of retired recipients too.
func (c *Catalog) KeptIdentities(ctx context.Context, orgID string) ([]KeptIdentity, error) {
	kept, err := collect(ctx, c.db, func(row scanner) (k KeptIdentity, err error) {
		return k, row.Scan(&k.RecipientID, &k.PublicKey, &k.Sealed)
	}, `SELECT id, public_key, sealed_identity FROM recipients WHERE organization_id = $1 AND sealed_identity IS NOT NULL ORDER BY created_at, id`, orgID)
	if err != nil {
		return nil, fmt.Errorf("list kept keys: %w", err)
	}
	return kept, nil
}
