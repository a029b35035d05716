package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/safepoint-db/safepoint/internal/engine"
)

var _ engine.Counter = Engine{}

// Nothing in it waits for a table's lock. The statistics know the rows since a table was last analyzed; before that the
// catalog may know more, from CREATE INDEX or from before a crash, which empties the statistics.
const estimateRows = `
SELECT c.oid, n.nspname::text, c.relname::text,
  x.oid IS NULL AND pg_catalog.has_schema_privilege(n.oid, 'USAGE') AND pg_catalog.has_table_privilege(c.oid, 'SELECT')
    AND NOT pg_catalog.row_security_active(c.oid),
  coalesce(s.last_vacuum, s.last_autovacuum, s.last_analyze, s.last_autoanalyze) IS NOT NULL,
  coalesce(s.n_live_tup, 0), coalesce(s.n_tup_ins + s.n_tup_upd + s.n_tup_del, 0) > 0, c.reltuples::float8::bigint
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace ` + configOfExtension + `
LEFT JOIN pg_catalog.pg_stat_all_tables s ON s.relid = c.oid
WHERE ` + isTable + ` AND c.relkind <> 'p'
ORDER BY 2, 3`

// isVoid says of tables whether they have no page, and so no row.
const isVoid = `SELECT w, pg_catalog.pg_relation_size(w::pg_catalog.regclass) = 0 FROM unnest($1::pg_catalog.oid[]) w`

// Census takes the server's own estimates. See engine.Counter.
func (e Engine) Census(ctx context.Context, t engine.Target) ([]engine.TableCount, error) {
	conn, err := connectContent(ctx, t)
	if err != nil {
		return nil, err
	}
	defer hangUp(conn)
	counts, err := census(ctx, conn)
	return counts, explain(ctx, t, err)
}

func census(ctx context.Context, conn *pgx.Conn) ([]engine.TableCount, error) {
	rows, err := conn.Query(ctx, estimateRows)
	if err != nil {
		return nil, fmt.Errorf("estimate rows: %w", err)
	}
	var counts []engine.TableCount
	blank := map[uint32]int{} // nobody wrote to them as far as the statistics know: they may be empty
	var oid uint32
	var schema, name string
	var visible, analyzed, written bool
	var live, catalog int64
	_, err = pgx.ForEachRow(rows, []any{&oid, &schema, &name, &visible, &analyzed, &live, &written, &catalog}, func() error {
		count := engine.TableCount{Name: qualified(schema, name)}
		switch {
		case !visible:
		case analyzed:
			count.Rows, count.Known = live, true
		case written || catalog > 0:
			count.Rows, count.Known = max(live, catalog), true
		default:
			blank[oid] = len(counts)
		}
		counts = append(counts, count)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("estimate rows: %w", err)
	}
	findVoid(ctx, conn, blank, counts)
	return counts, nil
}

// findVoid counts the tables that have no page. One that somebody has locked is not waited for: then they stay unknown.
func findVoid(ctx context.Context, conn *pgx.Conn, blank map[uint32]int, counts []engine.TableCount) {
	if len(blank) == 0 || script(ctx, conn, "SET lock_timeout = '200ms'") != nil {
		return
	}
	oids := make([]uint32, 0, len(blank))
	for oid := range blank {
		oids = append(oids, oid)
	}
	rows, err := conn.Query(ctx, isVoid, oids)
	if err != nil {
		return
	}
	var oid uint32
	var void *bool
	var known []int
	if _, err := pgx.ForEachRow(rows, []any{&oid, &void}, func() error {
		if void != nil && *void {
			known = append(known, blank[oid])
		}
		return nil
	}); err != nil {
		return
	}
	for _, i := range known {
		counts[i].Known, counts[i].Exact = true, true
	}
}
