package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/catalog"
	"github.com/safepoint-db/safepoint/internal/encrypt"
	"github.com/safepoint-db/safepoint/internal/storage"
)

// recipients are whom a backup of an organization that starts now is encrypted for; none while encryption is off.
func (a *App) recipients(ctx context.Context, orgID string) ([]encrypt.Recipient, error) {
	enc, err := a.Catalog.Encryption(ctx, orgID)
	if err != nil {
		return nil, fmt.Errorf("find recipients: %w", err)
	}
	if !enc.On() {
		return nil, nil
	}
	var keys []string
	for _, r := range enc.Active() {
		keys = append(keys, r.PublicKey)
	}
	to, err := encrypt.ParseRecipients(keys)
	if err == nil && len(to) == 0 {
		err = safepoint.Errorf(safepoint.CodeInternal, "Encryption is on, and there is no recipient: the backup was not made.").
			WithHint("Add a recipient in the settings, or turn encryption off.")
	}
	return to, err
}

// hold keeps a file's key in memory for an operation that will need it. It is in no row, no journal and no log, and is
// gone with the process.
func (a *App) hold(operationID string, k encrypt.FileKey) {
	if k.IsZero() {
		return
	}
	a.heldMu.Lock()
	defer a.heldMu.Unlock()
	if a.held == nil {
		a.held = map[string]encrypt.FileKey{}
	}
	a.held[operationID] = k
}

func (a *App) heldKey(operationID string) encrypt.FileKey {
	a.heldMu.Lock()
	defer a.heldMu.Unlock()
	return a.held[operationID]
}

// letGo forgets a file's key: the operation has ended.
func (a *App) letGo(operationID string) {
	a.heldMu.Lock()
	defer a.heldMu.Unlock()
	delete(a.held, operationID)
	if a.Uploads.Dir != "" {
		if err := os.Remove(a.uploaded(operationID)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			a.Log.Warn("an uploaded file was not removed", "operation", operationID, "error", err)
		}
	}
}

// unlock finds the key of an encrypted backup's file: with the identities in keys (the text of an identity file) where
// there are any, else with those that the organization lets Safepoint keep.
func (a *App) unlock(ctx context.Context, file storage.File, op safepoint.Operation, keys string) (encrypt.FileKey, error) {
	if strings.TrimSpace(keys) != "" {
		ids, err := encrypt.ParseIdentities(keys)
		if err != nil {
			return encrypt.FileKey{}, err
		}
		k, err := encrypt.Unlock(file, file.Size(), ids)
		if safepoint.ErrorCode(err) == safepoint.CodeKey {
			return k, safepoint.Errorf(safepoint.CodeKey, "This key does not open the backup: it was made for %s.", shortAll(op.Recipients)).
				WithHint("Nothing was changed. Give the key of one of these recipients.").WithCause(err)
		}
		return k, err
	}
	ids, err := a.keptIdentities(ctx, op.OrganizationID)
	if err != nil {
		return encrypt.FileKey{}, err
	}
	if len(ids) > 0 {
		k, err := encrypt.Unlock(file, file.Size(), ids)
		if safepoint.ErrorCode(err) != safepoint.CodeKey {
			return k, err
		}
	}
	return encrypt.FileKey{}, keyNotHere(op)
}

// keyNotHere says that an encrypted backup needs a key that only a person has.
func keyNotHere(op safepoint.Operation) error {
	return safepoint.Errorf(safepoint.CodeKey, "This backup is encrypted for %s, and its key is not here.", shortAll(op.Recipients)).
		WithHint("Give the key when you restore it: Safepoint uses it for this restore and forgets it. Or download the file, and use it with safepoint and --identity KEY.")
}

// keptIdentities are the keys that the organization lets Safepoint keep.
func (a *App) keptIdentities(ctx context.Context, orgID string) ([]encrypt.Identity, error) {
	kept, err := a.Catalog.KeptIdentities(ctx, orgID)
	if err != nil {
		return nil, err
	}
	var ids []encrypt.Identity
	for _, k := range kept {
		secret, err := a.Keys.Unseal(catalog.RecipientPlace(orgID, k.RecipientID), k.Sealed)
		if err != nil {
			return nil, fmt.Errorf("open a kept key: %w", err)
		}
		one, err := encrypt.ParseIdentities(secret)
		if err != nil {
			return nil, fmt.Errorf("open the kept key of %s: %w", encrypt.Short(k.PublicKey), err)
		}
		ids = append(ids, one...)
	}
	return ids, nil
}

func shortAll(recipients []string) string {
	short := make([]string, len(recipients))
	for i, r := range recipients {
		short[i] = encrypt.Short(r)
	}
	if len(short) == 0 {
		return "somebody"
	}
	return strings.Join(short, " and ")
}
