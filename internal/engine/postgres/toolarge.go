package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/safepoint-db/safepoint"
)

// readError is what went wrong while the rows of a table were read.
type readError struct {
	table table
	err   error
}

func (e *readError) Error() string { return fmt.Sprintf("read table %s: %v", e.table, e.err) }
func (e *readError) Unwrap() error { return e.err }

const (
	stateLimitExceeded = "54000"
	stateInternal      = "XX000"
)

// lookForRow bounds the search for a row that could not be read. Without it, the table alone is named.
const lookForRow = 30 * time.Second

// tooLarge names the row if err says that the server could not send one: as text, which doubles bytea, a row can have
// 1 GB at most, and a table can hold more. conn is outside of a transaction. Any other error is returned as it is.
func tooLarge(ctx context.Context, conn *pgx.Conn, err error) error {
	var read *readError
	var pg *pgconn.PgError
	if !errors.As(err, &read) || !errors.As(err, &pg) {
		return err
	}
	if pg.Code != stateLimitExceeded && !(pg.Code == stateInternal && strings.Contains(pg.Message, "alloc request size")) {
		return err
	}
	name := read.table.schema + "." + read.table.name
	ctx, cancel := context.WithTimeout(ctx, lookForRow)
	defer cancel()
	column, size, at, lookErr := largestRow(ctx, conn, read.table)
	if lookErr != nil || column == "" {
		return safepoint.Errorf(safepoint.CodeBlocked, "A row of the table %s is too large: PostgreSQL cannot send more than 1 GB for one row.", name).
			WithHint("pg_dump cannot back it up either. Split the row's largest value, or keep it as a large object; bytea counts twice.").WithCause(err)
	}
	return rowTooLarge(read.table, column, size, at).WithCause(err)
}

// rowTooLarge says so of the row at a place, for a dump as for its preflight.
func rowTooLarge(t table, column string, size int64, at string) *safepoint.Error {
	return safepoint.Errorf(safepoint.CodeBlocked, "A row of the table %s.%s is too large: its column %s holds %d bytes, and PostgreSQL cannot send more than 1 GB for one row.", t.schema, t.name, column, size).
		WithHint("pg_dump cannot back it up either. Split the value, or keep it as a large object; bytea counts twice. The row: SELECT * FROM %s WHERE ctid = '%s'.", t, at)
}

// largestRow finds the row of a table that is longest as text, and its longest column with the bytes it holds. Values
// kept out of line are not read for that, so those that are compressed and not text or bytea count as they are stored.
func largestRow(ctx context.Context, conn *pgx.Conn, t table) (column string, size int64, at string, err error) {
	rows, err := conn.Query(ctx, `SELECT a.attname::text, t.typname = 'bytea', t.typname IN ('bytea', 'text', 'varchar', 'bpchar')
FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped AND a.attlen = -1 ORDER BY a.attnum`, pgx.QueryExecModeExec, t.oid)
	if err != nil {
		return "", 0, "", err
	}
	var names, sizes, weights []string
	var name string
	var doubled, plain bool
	if _, err := pgx.ForEachRow(rows, []any{&name, &doubled, &plain}, func() error {
		length := "pg_catalog.pg_column_size(" + ident(name) + ")::int8"
		if plain {
			length = "pg_catalog.octet_length(" + ident(name) + ")::int8"
		}
		length = "coalesce(" + length + ", 0)"
		names, sizes = append(names, name), append(sizes, length)
		if doubled {
			length = "2 * " + length
		}
		weights = append(weights, length)
		return nil
	}); err != nil || len(names) == 0 {
		return "", 0, "", err
	}
	var held, weight []int64
	err = conn.QueryRow(ctx, fmt.Sprintf("SELECT ctid::text, ARRAY[%s], ARRAY[%s] FROM ONLY %s ORDER BY %s DESC LIMIT 1",
		strings.Join(sizes, ", "), strings.Join(weights, ", "), t, strings.Join(weights, " + ")), pgx.QueryExecModeExec).Scan(&at, &held, &weight)
	if err != nil {
		return "", 0, "", err
	}
	widest := 0
	for i := range weight {
		if weight[i] > weight[widest] {
			widest = i
		}
	}
	return names[widest], held[widest], at, nil
}
