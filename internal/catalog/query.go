package catalog

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/fault"
)

// scanner is a *sql.Row or *sql.Rows.
type scanner interface{ Scan(dest ...any) error }

// extra scans the columns that stand behind those of another scan.
type extra struct {
	scanner
	more []any
}

func (e extra) Scan(dest ...any) error { return e.scanner.Scan(append(dest, e.more...)...) }

// execer is what *sql.DB and *sql.Tx have in common for writing.
type execer interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

// pool is the catalog's connections. What is written through it says in words that the disk is full, and what is read
// through it is compiled once per connection: for the short queries of a page that is most of their time.
type pool struct {
	*sql.DB
	watch    func(query string)
	prepared *prepared
	reserve  *Reserve // nil: none
}

// prepared are compiled queries by their text.
type prepared struct {
	mu      sync.RWMutex
	byQuery map[string]*sql.Stmt
}

const (
	maxPrepared  = 256 // how many are kept: more than the program has
	maxArguments = 12  // of a query that is kept: with more it is one for a list of IDs, and another one for each length
)

// statement is the compiled query, nil where it is not kept.
func (p pool) statement(ctx context.Context, query string, args int) *sql.Stmt {
	if p.prepared == nil || args > maxArguments {
		return nil
	}
	p.prepared.mu.RLock()
	s, n := p.prepared.byQuery[query], len(p.prepared.byQuery)
	p.prepared.mu.RUnlock()
	if s != nil || n >= maxPrepared {
		return s
	}
	s, err := p.DB.PrepareContext(ctx, query)
	if err != nil {
		return nil // whoever asked runs it, and gets the error
	}
	p.prepared.mu.Lock()
	defer p.prepared.mu.Unlock()
	if first := p.prepared.byQuery[query]; first != nil {
		s.Close()
		return first
	}
	p.prepared.byQuery[query] = s
	return s
}

// Watch has fn told of every statement that a list or a page is read with, from now on. For tests, before the catalog is
// used by others: they count statements, and ask how SQLite carries them out.
func (c *Catalog) Watch(fn func(query string)) { c.db.watch = fn }

func (p pool) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	if p.watch != nil {
		p.watch(query)
	}
	if s := p.statement(ctx, query, len(args)); s != nil {
		return s.QueryContext(ctx, args...)
	}
	return p.DB.QueryContext(ctx, query, args...)
}

func (p pool) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	if p.watch != nil {
		p.watch(query)
	}
	if s := p.statement(ctx, query, len(args)); s != nil {
		return s.QueryRowContext(ctx, args...)
	}
	return p.DB.QueryRowContext(ctx, query, args...)
}

func (p pool) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	var res sql.Result
	err := p.reserve.try(func() (err error) {
		before, after := fault.Call("catalog")
		if before != nil {
			return before
		}
		res, err = p.DB.ExecContext(ctx, query, args...)
		return full(cmp.Or(err, after))
	})
	return res, err
}

// full turns a disk without room into words; other errors pass.
func full(err error) error {
	if !isFull(err) {
		return err
	}
	return diskFull(err)
}

// collect runs a query and reads every row of it with scan.
func collect[T any](ctx context.Context, q querier, scan func(scanner) (T, error), query string, args ...any) ([]T, error) {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []T
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, err
		}
		all = append(all, v)
	}
	return all, rows.Err()
}

// absent turns "no rows" into CodeNotFound about a thing such as "schedule", and says of other errors what was read. What
// belongs to another organization gives the same answer as what never was.
func absent(err error, what string) error {
	if errors.Is(err, sql.ErrNoRows) {
		return notFound(what)
	}
	return wrap("read "+what, err)
}

// nouns are what notFound and the like are asked about.
var _ = []safepoint.Noun{
	"backup", "database", "link", "member", "notice", "operation", "organization", "passkey", "recipient", "schedule", "service", "session", "token", "user",
}

func notFound(what string) *safepoint.Error {
	return safepoint.Errorf(safepoint.CodeNotFound, "This %s is not here.", safepoint.Noun(what)).
		WithHint("It may have been removed: see the audit log.")
}

// changed returns CodeNotFound about what if no row was touched.
func changed(r sql.Result, err error, what string) error {
	n, err := affected(r, err)
	if err == nil && n == 0 {
		return notFound(what)
	}
	return wrap("change "+what, err)
}

// isDuplicate says whether err is the violation of a unique index.
func isDuplicate(err error) bool {
	var e *sqlite.Error
	return errors.As(err, &e) && e.Code() == sqlite3.SQLITE_CONSTRAINT_UNIQUE
}

// nameTaken turns the violation of a unique index on a name into words, and says of other errors what was stored.
func nameTaken(err error, what, name string) error {
	if isDuplicate(err) {
		return safepoint.Invalid("name", "Another %s is called %s.", safepoint.Noun(what), name)
	}
	return wrap("store "+what, err)
}

// editConflict is the answer to an edit that started from an older version of a thing.
func (c *Catalog) editConflict(ctx context.Context, q querier, orgID, what, by string, at time.Time) error {
	zone, err := timeZone(ctx, q, orgID)
	if err != nil {
		return err
	}
	if by == "" {
		by = "Somebody"
	}
	return safepoint.Errorf(safepoint.CodeConflict, "This %s changed while you were editing. %s saved it at %s.",
		safepoint.Noun(what), by, clock(at, c.Now().In(zone))).
		WithHint("Reload to see what it is now, then make your change again.")
}

// querier is what *sql.DB and *sql.Tx have in common for reading.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

func placeholders(n int) string { return placeholdersFrom(1, n) }

// placeholdersFrom are n placeholders, the first of which has a number.
func placeholdersFrom(first, n int) string {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "$%d", first+i)
	}
	return b.String()
}

func toInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// exec runs one statement and returns how many rows it changed.
func (c *Catalog) exec(ctx context.Context, query string, args ...any) (int64, error) {
	return affected(c.db.ExecContext(ctx, query, args...))
}

func affected(res sql.Result, err error) (int64, error) {
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

// wrap adds the act to err, if there is one.
func wrap(act string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", act, err)
}
