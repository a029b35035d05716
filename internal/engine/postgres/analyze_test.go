package postgres

import (
	"testing"

	"github.com/safepoint-db/safepoint/internal/engine"
	"github.com/safepoint-db/safepoint/internal/pgtest"
)

// TestEveryTableIsAnalyzed looks for a table, a partition or a partitioned table about which a load tells the planner nothing.
func TestEveryTableIsAnalyzed(t *testing.T) {
	c := pgtest.Shared(t)
	source, target := pgtest.Create(t, c), pgtest.Create(t, c)
	pgtest.Exec(t, source, `CREATE SCHEMA a;
CREATE TABLE a.plain AS SELECT i FROM generate_series(1, 1000) i;
CREATE TABLE a.parent (i int);
CREATE TABLE a.child () INHERITS (a.parent);
INSERT INTO a.parent VALUES (1); INSERT INTO a.child VALUES (2);
CREATE TABLE a.parts (k int, i int) PARTITION BY LIST (k);
CREATE TABLE a.one PARTITION OF a.parts FOR VALUES IN (1);
CREATE TABLE a.two PARTITION OF a.parts FOR VALUES IN (2) PARTITION BY LIST (i);
CREATE TABLE a.deep PARTITION OF a.two FOR VALUES IN (1, 2, 3);
INSERT INTO a.parts VALUES (1, 1), (1, 2), (2, 3), (2, 1);
CREATE MATERIALIZED VIEW a.seen AS SELECT * FROM a.plain`)
	r := dumpJobs(t, source, 2, nil)
	if err := (Engine{Jobs: 2, Unknown: engine.UnknownOrigin{Trusted: true}}).Load(t.Context(), target, r, engine.LoadOptions{}); err != nil {
		t.Fatal(err)
	}
	left := pgtest.Query(t, target, `SELECT c.relname FROM pg_class c WHERE relnamespace = 'a'::regnamespace AND relkind IN ('r', 'p', 'm')
AND NOT EXISTS (SELECT FROM pg_statistic s WHERE s.starelid = c.oid) ORDER BY 1`)
	if len(left) > 0 {
		t.Errorf("no statistics of %v", left)
	}
}
