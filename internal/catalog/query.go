package catalog

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/safepoint-db/safepoint"
)

// scanner is a *sql.Row or *sql.Rows.
type scanner interface{ Scan(dest ...any) error }

// extra scans the columns that stand behind those of another scan.
type extra struct {
	scanner
	more []any
}

func (e extra) Scan(dest ...any) error { return e.scanner.Scan(append(dest, e.more...)...) }

// execer is what *sql.DB and *transaction have in common for writing.
type execer interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

// inWords says that a change failed because the disk has no room, or because another program has not let go of the file;
// other errors pass.
func inWords(err error) error {
	switch {
	case isFull(err):
		return diskFull(err)
	case isBusy(err):
		return safepoint.Errorf(safepoint.CodeUnreachable, "Another program holds Safepoint's own data, and nothing can be changed there until it lets go.").
			WithHint("Nothing was changed. Wait for the other program (a safepoint command with --data, or a copy being made of the data directory), then try again.").
			WithCause(err)
	}
	return err
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
	return isCode(err, sqlite3.SQLITE_CONSTRAINT_UNIQUE)
}

// isBusy says that another process had the lock of the file for as long as SQLite waits for it.
func isBusy(err error) bool {
	var e *sqlite.Error
	return errors.As(err, &e) && e.Code()&0xff == sqlite3.SQLITE_BUSY // the low byte says what, the rest why
}

func isCode(err error, code int) bool {
	var e *sqlite.Error
	return errors.As(err, &e) && e.Code() == code
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

// querier is what *sql.DB and *transaction have in common for reading.
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
