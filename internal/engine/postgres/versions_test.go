package postgres

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/engine"
	"github.com/safepoint-db/safepoint/internal/engine/enginetest"
	"github.com/safepoint-db/safepoint/internal/pgserver"
	"github.com/safepoint-db/safepoint/internal/pgtest"
)

// everyVersion is an engine that finds a pg_dump for each of the servers.
func everyVersion() Engine { return Engine{Programs: pgserver.ToolDirs(), Jobs: 2} }

// TestZooOfEveryVersion takes one of everything that a version knows through both ways back.
func TestZooOfEveryVersion(t *testing.T) {
	for _, major := range pgtest.Versions() {
		t.Run(strconv.Itoa(major), func(t *testing.T) {
			c := pgtest.SharedVersion(t, major)
			roles(t, c, "zoo_owner", "zoo_reader")
			source := pgtest.Create(t, c)
			runScript(t, c, source.Name, strings.NewReader(zoo(t, major)))
			r, file := dumpFileOf(t, everyVersion(), source)
			if got := r.Header().ServerVersionNum / 10000; got != major {
				t.Errorf("the archive says it is of PostgreSQL %d", got)
			}
			bothWays(t, c, source, r, file, sameExtras(source))
		})
	}
}

// TestNotNullNames loads partitions, which name what they have of their parent, and other tables that name theirs as the server
// names a NOT NULL, and has them not take the name from it.
func TestNotNullNames(t *testing.T) {
	const newest = 18
	if !slices.Contains(pgtest.Versions(), newest) {
		t.Skip("PostgreSQL 18, the first that gives names to NOT NULL, is not installed")
	}
	c := pgtest.SharedVersion(t, newest)
	source := pgtest.Create(t, c)
	var wide []string
	for i := range 500 {
		wide = append(wide, fmt.Sprintf("c%d int NOT NULL", i))
	}
	var sql strings.Builder
	before := func(name string) { // so long that what other batches hold is made before the table whose name comes next
		for i := range perBatch - 1 {
			fmt.Fprintf(&sql, "CREATE TABLE \"%s-%d\" (%s);\n", name, i, strings.Join(wide, ", "))
		}
	}
	for start, parent := range map[string]string{"event": "events", "longer": "longer_than_what_the_server_keeps_of_a_name", "größe": "größe_größe_größe_größe_größe_größe"} {
		before(start)
		fmt.Fprintf(&sql, "CREATE TABLE %q (a_column_with_a_name_that_is_long_too int NOT NULL, at int NOT NULL) PARTITION BY LIST (at);\n", parent)
		for i := range 12 {
			fmt.Fprintf(&sql, "CREATE TABLE \"%s_%d\" PARTITION OF %q FOR VALUES IN (%d);\n", parent, i, parent, i)
		}
	}
	before("order")
	fmt.Fprintln(&sql, "CREATE TABLE orders (at int NOT NULL);")
	for i := range 12 {
		fmt.Fprintf(&sql, "CREATE TABLE orders_%d (at int, CONSTRAINT orders_at_not_null CHECK (at > 0));\n", i)
	}
	runScript(t, c, source.Name, strings.NewReader(sql.String()))
	r, _ := dumpFileOf(t, everyVersion(), source)
	copied := pgtest.Create(t, c)
	mustLoad(t, copied, r)
	wantSame(t, c, source, copied, r)
}

var versioned = regexp.MustCompile(`(?s)--# (from|before) (\d+)\n(.*?)--# end\n`)

// zoo is testdata/zoo.sql for a major version.
func zoo(t *testing.T, major int) string {
	t.Helper()
	script, err := os.ReadFile("testdata/zoo.sql")
	if err != nil {
		t.Fatal(err)
	}
	return versioned.ReplaceAllStringFunc(string(script), func(block string) string {
		m := versioned.FindStringSubmatch(block)
		if n, _ := strconv.Atoi(m[2]); (major >= n) == (m[1] == "from") {
			return m[3]
		}
		return ""
	})
}

// TestConformanceOfEveryVersion runs the suite on every version; without SAFEPOINT_FIDELITY only what touches the
// server's own ways of dumping, locking, renaming and dropping, for the whole takes minutes.
func TestConformanceOfEveryVersion(t *testing.T) {
	only := []string{"RoundTrip", "Cycle"}
	if fidelity() {
		only = nil
	}
	for _, major := range pgtest.Versions() {
		c := pgtest.SharedVersion(t, major)
		for name, h := range map[string]enginetest.Harness{"superuser": harness(c, everyVersion()), "owner": ownersHarness(t, c, everyVersion())} {
			h.Only = only
			t.Run(fmt.Sprintf("%d as %s", major, name), func(t *testing.T) { enginetest.Run(t, h) })
		}
	}
}

// fidelity says that the long tests of what a dump and load carry are to be run: make fidelity.
func fidelity() bool { return os.Getenv("SAFEPOINT_FIDELITY") != "" }

// TestSchemaPublicBefore15 keeps what was granted and revoked on it, whatever version wrote the definitions.
func TestSchemaPublicBefore15(t *testing.T) {
	c := pgtest.SharedVersion(t, 14)
	newer := pgtest.SharedVersion(t, 16)
	roles(t, c, "zoo_owner")
	roles(t, newer, "zoo_owner")
	const look = "SELECT (SELECT string_agg(a::text, ' ' ORDER BY a::text) FROM unnest(nspacl) a) || ' of ' || nspowner::regrole FROM pg_namespace WHERE nspname = 'public'"
	for _, sql := range []string{"", "REVOKE CREATE ON SCHEMA public FROM PUBLIC", "REVOKE USAGE ON SCHEMA public FROM PUBLIC", "REVOKE ALL ON SCHEMA public FROM PUBLIC",
		"ALTER SCHEMA public OWNER TO zoo_owner", "REVOKE CREATE ON SCHEMA public FROM PUBLIC; ALTER SCHEMA public OWNER TO zoo_owner; GRANT CREATE ON SCHEMA public TO zoo_owner WITH GRANT OPTION"} {
		source := pgtest.Create(t, c)
		pgtest.Exec(t, source, sql)
		r, _ := dumpFileOf(t, everyVersion(), source)
		copied, later := pgtest.Create(t, c), pgtest.Create(t, newer)
		mustLoad(t, copied, r)
		if got, want := pgtest.Query(t, copied, look), pgtest.Query(t, source, look); !slices.Equal(got, want) {
			t.Errorf("%s: %s, want %s", sql, got, want)
		}
		mustLoad(t, later, r)
		const everybody = "SELECT coalesce(string_agg(privilege_type, ',' ORDER BY privilege_type), '') FROM pg_namespace, aclexplode(nspacl) WHERE nspname = 'public' AND grantee = 0"
		want := pgtest.Query(t, source, everybody)
		if sql == "" {
			want = []string{"CREATE,USAGE"}
		}
		if got := pgtest.Query(t, later, everybody); !slices.Equal(got, want) {
			t.Errorf("%s: on a newer server everybody may %s, want %s", sql, got, want)
		}
	}
}

// TestAcrossVersions restores an older server's archive into a newer one, and refuses the reverse unless asked.
func TestAcrossVersions(t *testing.T) {
	for _, pair := range [][2]int{{13, 15}, {14, 16}, {15, 17}, {13, 18}, {17, 18}} {
		t.Run(fmt.Sprintf("%d to %d", pair[0], pair[1]), func(t *testing.T) {
			older, newer := pgtest.SharedVersion(t, pair[0]), pgtest.SharedVersion(t, pair[1])
			for _, c := range []*pgserver.Cluster{older, newer} {
				roles(t, c, "zoo_owner", "zoo_reader")
			}
			source, copied := pgtest.Create(t, older), pgtest.Create(t, newer)
			runScript(t, older, source.Name, strings.NewReader(zoo(t, pair[0])))
			r, file := dumpFileOf(t, everyVersion(), source)
			if found, err := everyVersion().CanRestore(t.Context(), copied, r); err != nil || slices.ContainsFunc(found, func(f engine.Finding) bool { return f.Blocker }) {
				t.Errorf("preflight: %v %v", found, err)
			}
			mustLoad(t, copied, r)
			wantSameRows(t, source, copied)
			sameExtras(source)(t, copied)
			prints, err := Engine{}.Digest(t.Context(), copied, nil)
			if err == nil {
				err = r.Fingerprint().Compare(prints)
			}
			if err != nil {
				t.Error(err)
			}
			psqlRestore(t, newer, file, pgtest.Create(t, newer).Name)
		})
	}
	newer, older := pgtest.SharedVersion(t, 18), pgtest.SharedVersion(t, 15)
	source, target := pgtest.Create(t, newer), pgtest.Create(t, older)
	pgtest.Exec(t, source, "CREATE TABLE plain (a int PRIMARY KEY, b text NOT NULL); INSERT INTO plain SELECT i, i FROM generate_series(1, 100) i")
	r, _ := dumpFileOf(t, everyVersion(), source)
	wantFinding(t, target, r, safepoint.CodeVersion, "an older server need not understand it")
	err := everyVersion().Load(t.Context(), target, r, engine.LoadOptions{})
	wantRefusal(t, err, safepoint.CodeVersion, "the server is 15.")
	if info, err := everyVersion().Inspect(t.Context(), target); err != nil || !info.Empty {
		t.Errorf("the refused load left something: %+v, %v", info, err)
	}
	if err := everyVersion().Load(t.Context(), target, r, engine.LoadOptions{AllowOlderServer: true}); err != nil {
		t.Fatalf("asked for nevertheless: %v", err)
	}
	wantSameRows(t, source, target)
	pgtest.Exec(t, source, "CREATE TABLE since_18 (a int, b int GENERATED ALWAYS AS (a * 2) VIRTUAL)")
	r, _ = dumpFileOf(t, everyVersion(), source)
	err = everyVersion().Load(t.Context(), pgtest.Create(t, older), r, engine.LoadOptions{AllowOlderServer: true})
	if err == nil || !strings.Contains(safepoint.UserError(err).Message, "since_18") {
		t.Errorf("what the older server does not know: %v", err)
	}
}

// TestTheFittingPgDump chooses among folders of several versions.
func TestTheFittingPgDump(t *testing.T) {
	e := everyVersion()
	for server, want := range map[int]int{13: 15, 14: 15, 15: 15, 16: 17, 17: 17, 18: 18} {
		got, err := e.findTool(t.Context(), server*10000)
		if err != nil || got.major != want {
			t.Errorf("for %d: %v, %v; want %d", server, got, err, want)
		}
	}
	named := Engine{Programs: []string{t.TempDir(), toolOf(t, 18).dir}}
	if got, err := named.findTool(t.Context(), 150000); err != nil || got.major != 18 {
		t.Errorf("the folder that was named holds 18, and %v was taken (%v)", got, err)
	}
	if got, err := (Engine{Programs: []string{toolOf(t, 15).dir}}).findTool(t.Context(), 190000); err == nil {
		t.Errorf("%v for a server of 19", got)
	} else if told := safepoint.UserError(err); !strings.Contains(told.Message, "the newest pg_dump on this machine is 15.") || !strings.Contains(told.Hint, "--pg-bin") || !strings.Contains(told.Hint, toolOf(t, 15).dir) {
		t.Errorf("%s %s", told.Message, told.Hint)
	}
	// A pg_dump that is newer than the server, by as much as there is, writes what the server reads.
	for _, major := range []int{13, 16} {
		c := pgtest.SharedVersion(t, major)
		roles(t, c, "zoo_owner", "zoo_reader")
		source := pgtest.Create(t, c)
		runScript(t, c, source.Name, strings.NewReader(zoo(t, major)))
		r, file := dumpFileOf(t, Engine{Programs: []string{toolOf(t, 18).dir}}, source)
		bothWays(t, c, source, r, file, sameExtras(source))
	}
}

func toolOf(t *testing.T, major int) tool {
	t.Helper()
	got, err := everyVersion().findTool(t.Context(), major*10000)
	if err != nil || got.major != major {
		t.Skipf("pg_dump %d is not installed: scripts/postgres-versions (%v)", major, err)
	}
	return got
}

func TestClassifyAggregates(t *testing.T) {
	for sql, want := range map[string]rights{
		"CREATE AGGREGATE public.a(numeric) (\n    SFUNC = numeric_mul,\n    STYPE = numeric,\n    INITCOND = '1'\n);":                           asLogin,
		"CREATE AGGREGATE public.a(numeric) (\n    SFUNC = numeric_avg_accum,\n    STYPE = internal,\n    FINALFUNC = numeric_avg\n);":           ours,
		"CREATE AGGREGATE public.a(int) (SFUNC = int4pl, STYPE = integer, MSFUNC = f, MINVFUNC = g, MSTYPE = internal, INITCOND = 'STYPE = x');": ours,
	} {
		if got := classify([]byte(sql), false).rights; got != want {
			t.Errorf("%s: %v, want %v", sql, got, want)
		}
		if got := classify([]byte(sql), true).rights; want == ours && got != refused {
			t.Errorf("%s in a file of unknown origin: %v", sql, got)
		}
	}
}

// TestPlannerStatistics restores them where the server has statements for them. The rows have changed since they were made, so that
// those that ANALYZE would make are others.
func TestPlannerStatistics(t *testing.T) {
	c := pgtest.SharedVersion(t, 18)
	source := pgtest.Create(t, c)
	pgtest.Exec(t, source, `CREATE SCHEMA s;
CREATE TABLE s."odd %s '\" (id int PRIMARY KEY, kind text, tags text[], span int4range, gone int, part numeric) WITH (autovacuum_enabled = off);
ALTER TABLE s."odd %s '\" DROP gone;
INSERT INTO s."odd %s '\" SELECT i, CASE WHEN i % 3 = 0 THEN 'it''s \ %s' ELSE 'k' || i END, ARRAY['a', 'b' || i % 5], int4range(i, i + i % 7), i / 7.0 FROM generate_series(1, 2000) i;
CREATE INDEX of_an_expression ON s."odd %s '\" (lower(kind));
CREATE TABLE s.parts (k int, v text) PARTITION BY LIST (k);
CREATE TABLE s.one PARTITION OF s.parts FOR VALUES IN (1) WITH (autovacuum_enabled = off);
CREATE TABLE s.two PARTITION OF s.parts FOR VALUES IN (2) WITH (autovacuum_enabled = off);
INSERT INTO s.parts SELECT 1 + i % 2, i FROM generate_series(1, 500) i;
CREATE MATERIALIZED VIEW s.seen AS SELECT kind, count(*) AS n FROM s."odd %s '\" GROUP BY kind;
CREATE TABLE s.correlated (a int, b int) WITH (autovacuum_enabled = off);
CREATE STATISTICS s.both_columns ON a, b FROM s.correlated;
INSERT INTO s.correlated SELECT i % 10, i % 10 FROM generate_series(1, 1000) i;
ANALYZE;
CREATE TABLE s.never (a int) WITH (autovacuum_enabled = off);
INSERT INTO s.never SELECT generate_series(1, 100);
DELETE FROM s."odd %s '\" WHERE id > 1000; INSERT INTO s.parts SELECT 1, 'since' FROM generate_series(1, 500)`)
	const told = `SELECT tablename, attname, inherited, null_frac, avg_width, n_distinct, most_common_vals, most_common_freqs, histogram_bounds, correlation,
most_common_elems, most_common_elem_freqs, elem_count_histogram, range_length_histogram, range_empty_frac, range_bounds_histogram
FROM pg_stats WHERE schemaname = 's' AND tablename NOT IN ('correlated', 'never', 'seen') ORDER BY 1, 2, 3`
	want := fmt.Sprint(pgtest.Query(t, source, told))
	if strings.Count(want, "of_an_expression") != 1 || !strings.Contains(want, "parts") {
		t.Fatalf("the source has no statistics of an index or of a partitioned table: %s", want)
	}
	r, file := dumpFileOf(t, everyVersion(), source)

	loaded := pgtest.Create(t, c)
	mustLoad(t, loaded, r)
	if got := fmt.Sprint(pgtest.Query(t, loaded, told)); got != want {
		t.Errorf("loaded:\n%s\nwant:\n%s", got, want)
	}
	const pages = `SELECT relname, relpages, reltuples FROM pg_class WHERE relnamespace = 's'::regnamespace AND relname IN ('one', 'two', 'parts') ORDER BY 1`
	if got, want := pgtest.Query(t, loaded, pages), pgtest.Query(t, source, pages); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("loaded %v, want %v", got, want)
	}
	const made = `SELECT (SELECT count(*) FROM pg_stats WHERE schemaname = 's' AND tablename = 'never'),
(SELECT count(*) FROM pg_stats_ext WHERE schemaname = 's' AND dependencies IS NOT NULL), (SELECT count(*) FROM pg_stats WHERE tablename = 'seen')`
	if got := fmt.Sprint(pgtest.Query(t, loaded, made)); got != fmt.Sprint(pgtest.Query(t, loaded, "SELECT 1, 1, 2")) {
		t.Errorf("ANALYZE was to make what is not carried: %s", got)
	}

	copied := pgtest.Create(t, c)
	psqlRestore(t, c, file, copied.Name)
	if got := fmt.Sprint(pgtest.Query(t, copied, told)); got != want {
		t.Errorf("with psql:\n%s\nwant:\n%s", got, want)
	}

	picked := pick(t, r, []string{"s.parts"}, engine.Selection{})
	alone := pgtest.Create(t, c)
	mustLoad(t, alone, picked.Reader)
	if got := pgtest.Query(t, alone, "SELECT reltuples FROM pg_class WHERE oid = 's.one'::regclass"); fmt.Sprint(got) != fmt.Sprint(pgtest.Query(t, alone, "SELECT 750::real")) {
		t.Errorf("chosen tables are analyzed: %v", got)
	}
}
