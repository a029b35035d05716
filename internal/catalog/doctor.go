package catalog

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/safepoint-db/safepoint"
)

// What follows looks across all organizations: it is for the operator of the machine, never for a user.

// QuickCheck asks SQLite whether the catalog's file is sound, and returns what it says if not.
func (c *Catalog) QuickCheck(ctx context.Context) (problem string, err error) {
	lines, err := collect(ctx, c.db, func(row scanner) (s string, err error) { return s, row.Scan(&s) }, `PRAGMA quick_check(5)`)
	if err != nil {
		return "", fmt.Errorf("check catalog: %w", err)
	}
	if len(lines) == 1 && lines[0] == "ok" {
		return "", nil
	}
	return strings.Join(lines, "; "), nil
}

// Unsettled returns the operations that wait for something: queued and running ones, those that need a person, and
// restores whose set-aside database is kept.
func (c *Catalog) Unsettled(ctx context.Context) ([]safepoint.Operation, error) {
	return c.operations(ctx, `WHERE status IN ('queued','running') OR needs_operator = 1 OR attention <> '[]' OR undo_until > 0 ORDER BY created_at, id`)
}

// Lease is until when the process that runs an operation has said that it lives; zero where none runs it.
func (c *Catalog) Lease(ctx context.Context, operationID string) (until time.Time, err error) {
	var ms int64
	err = c.db.QueryRowContext(ctx, `SELECT lease_until FROM operations WHERE id = $1`, operationID).Scan(&ms)
	return fromMillis(ms), wrap("read lease", err)
}

// Known returns an operation of any organization, and false where the catalog does not have it.
func (c *Catalog) Known(ctx context.Context, operationID string) (safepoint.Operation, bool, error) {
	ops, err := c.operations(ctx, `WHERE id = $1`, operationID)
	if err != nil || len(ops) == 0 {
		return safepoint.Operation{}, false, err
	}
	return ops[0], true, nil
}

// Halt is an organization that is halted.
type Halt struct {
	Organization safepoint.Organization
	Since        time.Time
	OperationID  string
}

// Halts returns the organizations that are halted.
func (c *Catalog) Halts(ctx context.Context) ([]Halt, error) {
	h, err := collect(ctx, c.db, func(row scanner) (h Halt, err error) {
		var since int64
		err = row.Scan(&h.Organization.ID, &h.Organization.Name, &since, &h.OperationID)
		h.Since = fromMillis(since)
		return h, err
	}, `SELECT id, name, halted_since, halted_by FROM organizations WHERE halted_since > 0 ORDER BY halted_since`)
	return h, wrap("list halts", err)
}

// AllDatabases returns the databases of all organizations.
func (c *Catalog) AllDatabases(ctx context.Context) ([]safepoint.Database, error) {
	d, err := collect(ctx, c.db, scanDatabase, `SELECT `+databaseColumns+` FROM databases WHERE removed_at = 0 ORDER BY organization_id, lower(name), id`)
	return d, wrap("list databases", err)
}

// StoredFile is a backup's file as the catalog knows it.
type StoredFile struct {
	Key         string
	Size        int64
	OperationID string
	Name        string
	Kept        bool // it should be there; else it is being made or deleted right now
}

// StoredFiles calls fn for every file that the storage may hold.
func (c *Catalog) StoredFiles(ctx context.Context, fn func(StoredFile)) error {
	rows, err := c.db.QueryContext(ctx, `SELECT storage_key, size, id, name, status = 'succeeded' AND deleting_at = 0 FROM operations
		WHERE storage_key <> '' AND deleted_at = 0 AND status IN ('running','succeeded')`)
	if err != nil {
		return wrap("list stored files", err)
	}
	defer rows.Close()
	for rows.Next() {
		var f StoredFile
		if err := rows.Scan(&f.Key, &f.Size, &f.OperationID, &f.Name, &f.Kept); err != nil {
			return wrap("list stored files", err)
		}
		fn(f)
	}
	return wrap("list stored files", rows.Err())
}

// ReadKeys reads the keys of a data directory, which must be there. It makes and changes nothing.
func ReadKeys(dir string) (*Keys, error) {
	k := &Keys{}
	if err := k.openSealing(filepath.Join(dir, SealingKeyFile), "", true); err != nil {
		return nil, fmt.Errorf("read sealing key: %w", err)
	}
	if err := k.openSigning(filepath.Join(dir, SigningKeyFile), anyKey, true); err != nil {
		return nil, fmt.Errorf("read signing key: %w", err)
	}
	var err error
	if k.trusted, err = readTrusted(dir); err != nil {
		return nil, fmt.Errorf("read trusted keys: %w", err)
	}
	return k, nil
}
