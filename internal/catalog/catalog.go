// Package catalog keeps the metadata: organizations, users, databases, schedules, operations, journals, audit.
//
// It stores and finds; it decides nothing that needs a role or a rule. Every query about an organization's things
// takes the organization's ID and answers CodeNotFound for those of another; what takes the ID of an operation alone, or
// looks across organizations, is for the program itself, which has that ID from a row and never from a request. Secrets
// go in and come out sealed (see Seal): the file alone gives none away. Its SQL is SQLite's: lists of a million rows are
// read through its row numbers, triggers and index of words (migration 00015).
package catalog

import (
	"cmp"
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"time"

	"github.com/pressly/goose/v3"
	_ "modernc.org/sqlite" // the catalog's driver

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/fault"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Catalog is an open catalog. It is safe for concurrent use.
type Catalog struct {
	db pool
	// Now is the clock; tests replace it.
	Now    func() time.Time
	limits limits
}

// Open opens or creates the catalog in the SQLite file at path and brings its schema up to date. One of a newer version of
// this program is CodeVersion, and stays as it is.
// Commits survive a power cut: the file is in WAL mode with synchronous=FULL. SQLite writes nothing but it and its -wal and -shm
// beside it: what it sorts, and what takes back half a statement, is in memory.
func Open(ctx context.Context, path string) (*Catalog, error) {
	return open(ctx, path, (*Catalog).migrate)
}

// OpenWriter opens a catalog that is there, also while a server uses it, and leaves its schema as it is. One of another
// version of this program is CodeVersion, none at all CodeNotFound.
func OpenWriter(ctx context.Context, path string) (*Catalog, error) {
	if err := exists(path); err != nil {
		return nil, err
	}
	return open(ctx, path, (*Catalog).sameSchema)
}

func open(ctx context.Context, path string, schema func(*Catalog, context.Context) error) (*Catalog, error) {
	q := url.Values{
		"_txlock": {"immediate"},
		"_pragma": {"busy_timeout(10000)", "journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(1)", "secure_delete(1)", "cache_size(-8000)", "temp_store(memory)"},
	}
	db, err := sql.Open("sqlite", "file:"+(&url.URL{Path: path}).EscapedPath()+"?"+q.Encode())
	if err != nil {
		return nil, fmt.Errorf("open catalog: %w", err)
	}
	// A connection has pages of the file in memory: one that is closed after use would read them again.
	db.SetMaxOpenConns(8)
	db.SetMaxIdleConns(8)
	c := &Catalog{db: newPool(db), Now: time.Now, limits: searchLimits}
	if err := schema(c, ctx); err != nil {
		db.Close()
		return nil, fmt.Errorf("open catalog: %w", err)
	}
	return c, nil
}

// Close closes the catalog.
func (c *Catalog) Close() error { return c.db.Close() }

func (c *Catalog) migrate(ctx context.Context) error {
	dir, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	p, err := goose.NewProvider(goose.DialectSQLite3, c.db.DB, dir, goose.WithAllowOutofOrder(true))
	if err != nil {
		return err
	}
	have, err := p.GetDBVersion(ctx)
	if err != nil {
		return err
	}
	if ours := newest(p); have > ours {
		return safepoint.Errorf(safepoint.CodeVersion, "The catalog is that of a newer Safepoint (schema %d, this program has %d).", have, ours).
			WithHint("Start the newer program again, or put the data directory back as it was before it.")
	}
	_, err = p.Up(ctx)
	return err
}

// newest is the version of a program's newest migration.
func newest(p *goose.Provider) int64 {
	sources := p.ListSources()
	return sources[len(sources)-1].Version
}

// tx runs fn in one transaction and commits it, or rolls it back if fn fails. Where the disk was full fn may run again.
func (c *Catalog) tx(ctx context.Context, fn func(*transaction) error) error {
	return c.db.reserve.try(func() error {
		before, after := fault.Call("catalog")
		if before != nil {
			return before
		}
		err := c.db.write(ctx, func() error { return c.once(ctx, fn) })
		return inWords(cmp.Or(err, after))
	})
}

func (c *Catalog) once(ctx context.Context, fn func(*transaction) error) error {
	tx, err := c.db.begin(ctx)
	if err != nil {
		return err
	}
	defer tx.keep(ctx)
	defer tx.Rollback()
	if err := fn(tx); err != nil {
		return err
	}
	return tx.Commit()
}

func toMillis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func fromMillis(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

// OpenReader opens the catalog for reading only, also while a server uses it, and changes nothing, not even its schema.
// One of another version of this program is CodeVersion, none at all CodeNotFound. Methods that write fail.
func OpenReader(ctx context.Context, path string) (*Catalog, error) {
	if err := exists(path); err != nil {
		return nil, err
	}
	q := url.Values{"mode": {"ro"}, "_pragma": {"busy_timeout(2000)", "query_only(1)"}}
	db, err := sql.Open("sqlite", "file:"+(&url.URL{Path: path}).EscapedPath()+"?"+q.Encode())
	if err != nil {
		return nil, fmt.Errorf("open catalog: %w", err)
	}
	db.SetMaxOpenConns(2)
	c := &Catalog{db: newPool(db), Now: time.Now, limits: searchLimits}
	if err := c.sameSchema(ctx); err != nil {
		db.Close()
		return nil, fmt.Errorf("open catalog: %w", err)
	}
	return c, nil
}

func exists(path string) error {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return safepoint.Errorf(safepoint.CodeNotFound, "There is no catalog at %s.", path).WithHint("Check the data directory.")
	}
	return nil
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
	want := newest(p)
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
