package catalog

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"time"

	"github.com/pressly/goose/v3"
	"io/fs"

	"github.com/safepoint-db/safepoint"
)

// OpenReader opens the catalog for reading only, also while a server uses it, and changes nothing, not even its schema.
// One of another version of this program is CodeVersion, none at all CodeNotFound. Methods that write fail.
func OpenReader(ctx context.Context, path string) (*Catalog, error) {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil, safepoint.Errorf(safepoint.CodeNotFound, "There is no catalog at %s.", path).WithHint("Check the data directory.")
	}
	q := url.Values{"mode": {"ro"}, "_pragma": {"busy_timeout(2000)", "query_only(1)"}}
	db, err := sql.Open("sqlite", "file:"+(&url.URL{Path: path}).EscapedPath()+"?"+q.Encode())
	if err != nil {
		return nil, fmt.Errorf("open catalog: %w", err)
	}
	db.SetMaxOpenConns(2)
	c := &Catalog{db: pool{DB: db}, Now: time.Now, limits: searchLimits}
	if err := c.sameSchema(ctx); err != nil {
		db.Close()
		return nil, fmt.Errorf("open catalog: %w", err)
	}
	return c, nil
}

// sameSchema refuses a catalog whose schema is not this program's.
func (c *Catalog) sameSchema(ctx context.Context) error {
	dir, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	p, err := goose.NewProvider(goose.DialectSQLite3, c.db.DB, dir)
	if err != nil {
		return err
	}
	sources := p.ListSources()
	want := sources[len(sources)-1].Version
	var have int64
	if err := c.db.QueryRowContext(ctx, `SELECT coalesce(max(version_id), 0) FROM goose_db_version WHERE is_applied = 1`).Scan(&have); err != nil {
		return err
	}
	if have != want {
		return safepoint.Errorf(safepoint.CodeVersion, "The catalog is that of another version of Safepoint (schema %d, this program has %d).", have, want).
			WithHint("Use the program that the server runs with; a newer one brings the catalog up to date when it is started as the server.")
	}
	return nil
}

// Pulse is the last sign of life of a restore that halts its organization. Two that are equal are one sign.
type Pulse struct {
	OperationID string
	Fence       int64
	LeaseUntil  int64 // milliseconds since 1970: each heartbeat moves it on
}

// HaltedPulses returns those of all organizations.
func (c *Catalog) HaltedPulses(ctx context.Context) ([]Pulse, error) {
	p, err := collect(ctx, c.db, func(row scanner) (p Pulse, err error) {
		return p, row.Scan(&p.OperationID, &p.Fence, &p.LeaseUntil)
	}, `SELECT o.id, o.fence, o.lease_until FROM operations o JOIN organizations g ON g.id = o.organization_id
		WHERE o.status = 'running' AND g.halted_since > 0 AND g.halted_by = o.id ORDER BY o.id`)
	return p, wrap("look for signs of life", err)
}
