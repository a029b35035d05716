package postgres

import (
	"fmt"
	"slices"
	"testing"

	"github.com/safepoint-db/safepoint/internal/engine"
	"github.com/safepoint-db/safepoint/internal/pgtest"
)

// TestLoadFreezes loads a table that is more than a session's share, whole ones, small ones and a partition with an odd
// name. The whole ones must come out frozen, and all of them right.
func TestLoadFreezes(t *testing.T) {
	c := pgtest.Shared(t)
	source := pgtest.Create(t, c)
	rows := func(table string, megabytes int) string {
		return fmt.Sprintf("INSERT INTO %s SELECT i, repeat(md5(i::text), 32) FROM generate_series(1, %d) i;\n", table, megabytes*1024)
	}
	pgtest.Exec(t, source, `CREATE TABLE giant (id int PRIMARY KEY, v text); CREATE TABLE whole (LIKE giant INCLUDING ALL); CREATE TABLE small (LIKE giant);
CREATE TABLE parted (id int, v text) PARTITION BY RANGE (id);
CREATE TABLE "a ""part"" FROM stdin;" PARTITION OF parted DEFAULT;
`+rows("giant", 40)+rows("whole", 6)+rows("small", 1)+rows("parted", 5))
	r := dumpJobs(t, source, 2, nil)
	copied := pgtest.Create(t, c)
	if err := (Engine{Jobs: 2}).Load(t.Context(), copied, r, engine.LoadOptions{}); err != nil {
		t.Fatal(err)
	}
	wantSame(t, c, source, copied, r)
	pgtest.Exec(t, copied, "CREATE EXTENSION pg_visibility")
	frozen := pgtest.Query(t, copied, `SELECT relname::text FROM pg_class, pg_visibility_map_summary(oid) m
		WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace AND m.all_frozen = pg_relation_size(oid) / 8192 ORDER BY 1`)
	if want := []string{`a "part" FROM stdin;`, "whole"}; !slices.Equal(frozen, want) {
		t.Errorf("frozen are %q, want %q", frozen, want)
	}
}

// TestFreezingKeepsRows meets a table that holds rows before the backup's own: an extension made them.
func TestFreezingKeepsRows(t *testing.T) {
	target := pgtest.Create(t, pgtest.Shared(t))
	pgtest.Exec(t, target, "CREATE TABLE kept (id int); INSERT INTO kept VALUES (1)")
	conn, err := connectContent(t.Context(), target)
	if err != nil {
		t.Fatal(err)
	}
	defer hangUp(conn)
	f := &freezing{s: &loadSession{conn: conn.PgConn()}}
	given := `COPY "public"."kept" ("id") FROM stdin;`
	got, err := f.statement(t.Context(), []byte(given))
	if err != nil || string(got) != given {
		t.Errorf("%q, %v", got, err)
	}
	if err := f.end(t.Context()); err != nil {
		t.Error(err)
	}
	if n := pgtest.Query(t, target, "SELECT count(*)::text FROM kept"); n[0] != "1" {
		t.Errorf("%s rows are left", n[0])
	}
}
