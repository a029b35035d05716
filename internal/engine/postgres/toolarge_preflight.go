package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/safepoint-db/safepoint"
)

// The server builds the text of a row in one piece of memory, of a gigabyte at most, and writes bytea as two digits for
// each byte. pg_dump stumbles over the same.
const (
	maxRowText = 1<<30 - 2
	// minToast is how much a table must hold out of line before it can have such a value: lz4 makes 255 bytes of one.
	minToast = maxRowText / 2 / 255
	// lookTimeout bounds the preflight's look. What it does not find in that time, the dump finds.
	lookTimeout = 5 * time.Second
)

// findTooBig looks for a row that makes more text than limit among tables with at least toast bytes out of line. The
// size of a value of these types is known without reading it. Values of other types are far smaller.
func findTooBig(ctx context.Context, conn *pgx.Conn, limit, toast int64) (*safepoint.Error, error) {
	rows, err := conn.Query(ctx, `SELECT n.nspname::text, c.relname::text, a.attname::text, pg_catalog.format_type(a.atttypid, NULL)
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace `+configOfExtension+`
JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
WHERE `+isTable+` AND c.relkind = 'r' AND c.reltoastrelid <> 0
  AND a.atttypid = ANY ('{bytea,text,varchar,bpchar}'::pg_catalog.regtype[]::pg_catalog.oid[])
  AND CASE WHEN pg_catalog.has_schema_privilege(n.oid, 'USAGE') AND pg_catalog.has_table_privilege(c.oid, 'SELECT')
    THEN pg_catalog.pg_relation_size(c.reltoastrelid) >= $1 ELSE false END
ORDER BY c.oid, a.attnum`, toast)
	if err != nil {
		return nil, fmt.Errorf("list columns with big values: %w", err)
	}
	columns, err := pgx.CollectRows(rows, pgx.RowToStructByPos[bigColumn])
	if err != nil {
		return nil, fmt.Errorf("list columns with big values: %w", err)
	}
	for from := 0; from < len(columns); {
		to := from
		for to < len(columns) && columns[to].Schema == columns[from].Schema && columns[to].Table == columns[from].Table {
			to++
		}
		if big, err := tooBigIn(ctx, conn, columns[from:to], limit); big != nil || err != nil {
			return big, err
		}
		from = to
	}
	return nil, nil
}

// bigColumn is one that may hold big values, and whose values' size is known without reading them.
type bigColumn struct{ Schema, Table, Name, Kind string }

// weight is how much text so many bytes make.
func (c bigColumn) weight(size int64) int64 {
	if c.Kind == "bytea" {
		return 2 * size
	}
	return size
}

// tooBigIn looks for such a row in the table of columns, nil if there is none.
func tooBigIn(ctx context.Context, conn *pgx.Conn, columns []bigColumn, limit int64) (*safepoint.Error, error) {
	t := table{schema: columns[0].Schema, name: columns[0].Table}
	found, into := make([]int64, len(columns)), make([]any, len(columns)+1)
	var at string
	into[len(columns)] = &at
	var sizes, texts []string
	for i, c := range columns {
		size := "coalesce(pg_catalog.octet_length(" + ident(c.Name) + ")::bigint, 0)"
		sizes = append(sizes, size)
		texts = append(texts, fmt.Sprintf("%d * %s", c.weight(1), size))
		into[i] = &found[i]
	}
	err := conn.QueryRow(ctx, "SELECT "+strings.Join(sizes, ", ")+", ctid::text FROM ONLY "+t.String()+" WHERE "+strings.Join(texts, " + ")+" > $1 LIMIT 1", limit).Scan(into...)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look for big values in %s: %w", t, err)
	}
	most := 0
	for i, c := range columns {
		if c.weight(found[i]) > columns[most].weight(found[most]) {
			most = i
		}
	}
	return rowTooLarge(t, columns[most].Name, found[most], at), nil
}

// tooBig adds to a preflight what findTooBig finds in a short time.
func (f *findings) tooBig(ctx context.Context, conn *pgx.Conn) error {
	err := script(ctx, conn, fmt.Sprintf("SET statement_timeout = %d", lookTimeout.Milliseconds()))
	if err != nil {
		return err
	}
	big, err := findTooBig(ctx, conn, maxRowText, minToast)
	switch {
	case state(err) == stateQueryCanceled && ctx.Err() == nil, state(err) == stateLockNotAvailable:
		err = nil
	case big != nil:
		f.add(big)
	}
	if err != nil {
		return err
	}
	return script(ctx, conn, "SET statement_timeout = 0")
}
