package postgres

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/safepoint-db/safepoint/internal/archive"
)

// minStatisticsVersion is the first server that takes the planner's statistics as statements.
const minStatisticsVersion = 180000

// listStatistics are the statements that make the planner's statistics of every table, materialized view and index with
// expressions, as far as our user may see them, and in which order. Columns of an index have no names that last.
const listStatistics = `WITH relation AS (
  SELECT c.oid, n.nspname, c.relname, c.relkind IN ('i', 'I') AS index, c.relpages, c.reltuples, c.relallvisible, c.relallfrozen,
    pg_catalog.format('(''version'', %s::pg_catalog.int4, ''schemaname'', %%L, ''relname'', %%L', n.nspname, c.relname) AS head
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind IN ('r', 'p', 'm', 'i', 'I') AND c.relpersistence <> 't' AND ` + userSchemas + ` AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
    WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid AND d.deptype = 'e'))
SELECT statement FROM (
  SELECT r.nspname, r.relname, 0 AS place, false AS inherited, 'SELECT * FROM pg_catalog.pg_restore_relation_stats' || r.head
    || pg_catalog.format(', ''relpages'', %%L::pg_catalog.int4, ''reltuples'', %%L::pg_catalog.float4, ''relallvisible'', %%L::pg_catalog.int4, ''relallfrozen'', %%L::pg_catalog.int4);',
      r.relpages, r.reltuples, r.relallvisible, r.relallfrozen) AS statement
  FROM relation r WHERE NOT r.index
  UNION ALL
  SELECT r.nspname, r.relname, a.attnum, s.inherited, 'SELECT * FROM pg_catalog.pg_restore_attribute_stats' || r.head
    || CASE WHEN r.index THEN pg_catalog.format(', ''attnum'', %%L::pg_catalog.int2', a.attnum) ELSE pg_catalog.format(', ''attname'', %%L', a.attname) END
    || pg_catalog.format(', ''inherited'', %%L::pg_catalog.bool', s.inherited)
    || (SELECT pg_catalog.string_agg(pg_catalog.format(', %%L, %%L::pg_catalog.%%s', v.name, v.value, v.type), '' ORDER BY v.place) FROM (VALUES
      (1, 'null_frac', s.null_frac::pg_catalog.text, 'float4'), (2, 'avg_width', s.avg_width::pg_catalog.text, 'int4'), (3, 'n_distinct', s.n_distinct::pg_catalog.text, 'float4'),
      (4, 'most_common_vals', s.most_common_vals::pg_catalog.text, 'text'), (5, 'most_common_freqs', s.most_common_freqs::pg_catalog.text, 'float4[]'),
      (6, 'histogram_bounds', s.histogram_bounds::pg_catalog.text, 'text'), (7, 'correlation', s.correlation::pg_catalog.text, 'float4'),
      (8, 'most_common_elems', s.most_common_elems::pg_catalog.text, 'text'), (9, 'most_common_elem_freqs', s.most_common_elem_freqs::pg_catalog.text, 'float4[]'),
      (10, 'elem_count_histogram', s.elem_count_histogram::pg_catalog.text, 'float4[]'), (11, 'range_length_histogram', s.range_length_histogram::pg_catalog.text, 'text'),
      (12, 'range_empty_frac', s.range_empty_frac::pg_catalog.text, 'float4'), (13, 'range_bounds_histogram', s.range_bounds_histogram::pg_catalog.text, 'text')
    ) v(place, name, value, type) WHERE v.value IS NOT NULL) || ');'
  FROM relation r JOIN pg_catalog.pg_stats s ON s.schemaname = r.nspname AND s.tablename = r.relname
  JOIN pg_catalog.pg_attribute a ON a.attrelid = r.oid AND a.attname = s.attname AND a.attnum > 0) t
ORDER BY nspname, relname, place, inherited`

// statistics writes the planner's statistics behind everything else, where the server has statements for them. They
// are of the dump's snapshot, as rows are.
func (d *dumper) statistics(ctx context.Context) error {
	num, err := versionNum(ctx, d.lead)
	if err != nil || num < minStatisticsVersion {
		return err
	}
	rows, err := d.lead.Query(ctx, fmt.Sprintf(listStatistics, fmt.Sprint(num)))
	if err != nil {
		return fmt.Errorf("read the planner's statistics: %w", err)
	}
	b := batch{emit: d.write, entry: archive.Entry{Section: archive.PostData, Kind: kindStatistics}}
	var statement string
	_, err = pgx.ForEachRow(rows, []any{&statement}, func() error {
		d.bytes.Add(int64(len(statement)) + 1)
		if err := b.add([]byte(statement+"\n"), ""); err != nil || !b.full() {
			return err
		}
		return b.flush()
	})
	if err != nil {
		return fmt.Errorf("read the planner's statistics: %w", err)
	}
	return b.flush()
}

// statistics executes a frame of the planner's statistics, as the login, which owns all tables until the load's end. They
// are no content: what the server does not take is left to ANALYZE, and so is all of them where it knows no such statements.
func (l *loader) statistics(ctx context.Context, s *loadSession, f io.Reader, e archive.Entry) error {
	sql, err := readStatements(f, e)
	if err != nil {
		return err
	}
	var list []string
	other := ""
	if err := checkScript(sql, func(statement []byte) {
		list = append(list, string(statement))
		if v := l.priv.of(statement); !isStatistics(v) {
			other = v.what
		}
	}); err != nil {
		return unfit("A part of it is not statements: %v.", err)
	}
	switch {
	case other != "":
		return unfit("A part that should be statistics holds %s.", other)
	case l.priv.login == nil || l.version < minStatisticsVersion:
		list = nil
	}
	if err := s.conn.Exec(ctx, strings.Join(list, "\n")).Close(); state(err) != "" {
		for _, statement := range list {
			if err := s.conn.Exec(ctx, statement).Close(); err != nil && state(err) == "" {
				return err
			}
		}
	} else if err != nil {
		return err
	}
	l.tell(func() { l.at.Table = ""; l.at.Bytes += e.RawLength })
	return nil
}

func isStatistics(v verdict) bool { return strings.HasPrefix(v.what, "SELECT pg_restore_") }
