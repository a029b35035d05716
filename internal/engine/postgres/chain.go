package postgres

import (
	"cmp"
	"context"
	"fmt"
	"slices"
)

// chain lets foreign keys of one table be made in their order, and returns the first of each table. With one that refers to a
// partitioned table the server makes others, under names that a later one may have. And what a partition has beside the same
// of its partitioned table must come after it, or the server takes the one for a part of the other.
func (l *loader) chain(ctx context.Context, jobs []*job) (first []*job, err error) {
	roots, err := l.roots(ctx, jobs)
	if err != nil {
		return nil, err
	}
	next := map[string]*job{}
	for _, j := range slices.Backward(jobs) {
		table := cmp.Or(roots[j.build.tables[0]], j.build.tables[0])
		if j.then = next[table]; j.then != nil {
			j.weight += j.then.weight
		}
		next[table] = j
	}
	for _, j := range jobs {
		if next[cmp.Or(roots[j.build.tables[0]], j.build.tables[0])] == j {
			first = append(first, j)
		}
	}
	return first, nil
}

// roots gives the partitioned tables of partitions, if any of the foreign keys is one of a partitioned table.
func (l *loader) roots(ctx context.Context, jobs []*job) (map[string]string, error) {
	if !slices.ContainsFunc(jobs, func(j *job) bool { return j.build.whole }) {
		return nil, nil
	}
	roots := map[string]string{}
	for _, j := range jobs {
		roots[j.build.tables[0]] = ""
	}
	rows := l.lead.conn.ExecParams(ctx, `SELECT n.nspname, c.relname, m.nspname, r.relname
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_class r ON r.oid = pg_catalog.pg_partition_root(c.oid) JOIN pg_catalog.pg_namespace m ON m.oid = r.relnamespace
WHERE c.relispartition AND c.relkind IN ('r', 'p')`, nil, nil, nil, nil)
	for rows.NextRow() {
		v := rows.Values()
		table := qualified(readable(string(v[0])), readable(string(v[1])))
		if _, wanted := roots[table]; wanted {
			roots[table] = qualified(readable(string(v[2])), readable(string(v[3])))
		}
	}
	if _, err := rows.Close(); err != nil {
		return nil, fmt.Errorf("list partitions: %w", err)
	}
	return roots, nil
}
