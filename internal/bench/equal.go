package bench

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
)

// check compares what a contender has made with the source, by means that are not ours: pg_dump's schema, and counts
// and hashes of all rows that the server computes. What a dump made is loaded for that with psql.
func (b *bench) check(ctx context.Context, c Contender) error {
	if b.want == "" {
		want, err := b.content(ctx, source)
		if err != nil {
			return fmt.Errorf("read the source to compare with: %w", err)
		}
		b.want = want
	}
	if c.Phase == Dump {
		return nil // its file is loaded and checked by the loads
	}
	got, err := b.content(ctx, target)
	if err != nil {
		return fmt.Errorf("read what was loaded: %w", err)
	}
	if got != b.want {
		want, have := filepath.Join(b.dir, "content.want"), filepath.Join(b.dir, "content.got")
		os.WriteFile(want, []byte(b.want), 0o644)
		os.WriteFile(have, []byte(got), 0o644)
		return fmt.Errorf("what was loaded differs from the source: diff %s %s", want, have)
	}
	b.result.Equal = append(b.result.Equal, c.Name)
	return nil
}

// content describes all that a database holds.
func (b *bench) content(ctx context.Context, database string) (string, error) {
	schema, err := b.cluster.Tool(ctx, "pg_dump", database, "--schema-only").Output()
	if err != nil {
		return "", fmt.Errorf("pg_dump --schema-only: %w", err)
	}
	conn, err := b.cluster.Connect(ctx, database)
	if err != nil {
		return "", err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	var out strings.Builder
	for line := range strings.Lines(string(schema)) {
		if !strings.HasPrefix(line, `\restrict`) && !strings.HasPrefix(line, `\unrestrict`) { // random words
			out.WriteString(line)
		}
	}
	queries, err := hashes(ctx, conn)
	if err != nil {
		return "", err
	}
	for _, q := range queries {
		rows, err := conn.Query(ctx, q)
		if err != nil {
			return "", err
		}
		var name, count, hash string
		var found []string // in no order: the server may read several tables at once
		if _, err := pgx.ForEachRow(rows, []any{&name, &count, &hash}, func() error {
			found = append(found, fmt.Sprintf("%s: %s rows, %s\n", name, count, hash))
			return nil
		}); err != nil {
			return "", err
		}
		slices.Sort(found)
		out.WriteString(strings.Join(found, ""))
	}
	return out.String(), nil
}

// hashes are queries of name, number and hash: of each table's rows, all sequences, all large objects.
func hashes(ctx context.Context, conn *pgx.Conn) (queries []string, err error) {
	rows, err := conn.Query(ctx, `SELECT format('%I.%I', nspname, relname) FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
		WHERE relkind IN ('r', 'm') AND nspname !~ '^pg_|^information_schema$' ORDER BY 1`)
	if err != nil {
		return nil, err
	}
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, err
	}
	const together = 100
	for from := 0; from < len(tables); from += together {
		var parts []string
		for _, t := range tables[from:min(len(tables), from+together)] {
			parts = append(parts, fmt.Sprintf("SELECT %s, count(*)::text, coalesce(sum(hashtextextended(t::text, 0)::numeric), 0)::text FROM ONLY %s t", literal(t), t))
		}
		queries = append(queries, strings.Join(parts, " UNION ALL "))
	}
	return append(queries,
		"SELECT 'sequences', count(*)::text, coalesce(md5(string_agg(s::text, ';' ORDER BY schemaname, sequencename)), '') FROM pg_sequences s",
		"SELECT 'large objects', count(*)::text, coalesce(md5(string_agg(oid::text || md5(lo_get(oid)), ';' ORDER BY oid)), '') FROM pg_largeobject_metadata",
	), nil
}
