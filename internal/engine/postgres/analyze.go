package postgres

import (
	"context"
	"fmt"
	"sync/atomic"
)

// listAnalyzed are the tables whose statistics the planner asks for, the biggest first: small ones many in a statement.
// Partitions are not among them: the server takes them with their partitioned table, a sample of each and one of all, which
// takes it several times as long as a table of their size.
const listAnalyzed = `SELECT pg_catalog.string_agg(name, ', ') FROM (
  SELECT name, pg_catalog.sum(CASE WHEN size > 1048576 THEN 100 ELSE 1 END) OVER (ORDER BY size DESC, oid) AS place FROM (
    SELECT c.oid, pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname) AS name,
      CASE c.relkind WHEN 'p' THEN (SELECT 4 * coalesce(pg_catalog.sum(pg_catalog.pg_relation_size(p.relid)), 0) FROM pg_catalog.pg_partition_tree(c.oid) p WHERE p.isleaf)
      ELSE pg_catalog.pg_relation_size(c.oid) END AS size
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'm', 'p') AND NOT c.relispartition AND c.relpersistence <> 't' AND ` + userSchemas + ` AND pg_catalog.pg_has_role(c.relowner, 'USAGE')`

const groupAnalyzed = `) t) t GROUP BY place / 100 ORDER BY place / 100`

// notAnalyzed are those of listAnalyzed of which the backup brought no statistics, or not those of several columns together.
const notAnalyzed = ` AND (NOT EXISTS (SELECT FROM pg_catalog.pg_stats s WHERE s.schemaname = n.nspname AND s.tablename = c.relname)
      OR EXISTS (SELECT FROM pg_catalog.pg_statistic_ext e WHERE e.stxrelid = c.oid))`

// analyze makes the planner's statistics, in all sessions: they make the first queries quick. Where a function of the
// backup keeps the server from making them, all is there nevertheless, and autovacuum will try again.
func (l *loader) analyze(ctx context.Context) error {
	var groups []string
	list := listAnalyzed + groupAnalyzed
	if l.version >= minStatisticsVersion {
		list = listAnalyzed + notAnalyzed + groupAnalyzed
	}
	rows := l.lead.conn.ExecParams(ctx, list, nil, nil, nil, nil).Read()
	if rows.Err != nil {
		return fmt.Errorf("list tables: %w", rows.Err)
	}
	for _, row := range rows.Rows {
		groups = append(groups, string(row[0]))
	}
	var next atomic.Int64
	return l.together(ctx, l.workers(), func(ctx context.Context, s *loadSession) error {
		if err := s.conn.Exec(ctx, "SET lock_timeout = 0").Close(); err != nil {
			return err
		}
		for i := next.Add(1) - 1; i < int64(len(groups)); i = next.Add(1) - 1 {
			if err := s.conn.Exec(ctx, "ANALYZE "+groups[i]).Close(); err != nil && state(err) == "" {
				return err
			}
		}
		return ctx.Err()
	})
}
