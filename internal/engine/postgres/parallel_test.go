package postgres

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/safepoint-db/safepoint/internal/archive"
	"github.com/safepoint-db/safepoint/internal/engine"
	"github.com/safepoint-db/safepoint/internal/pgserver"
	"github.com/safepoint-db/safepoint/internal/pgtest"
	"go.uber.org/goleak"
)

// dumpJobs dumps with so many jobs, into memory.
func dumpJobs(t *testing.T, source engine.Target, jobs int, report engine.Report) *archive.Reader {
	t.Helper()
	var b bytes.Buffer
	w := archive.NewWriter(&b, archive.Header{}, nil)
	if err := (Engine{Jobs: jobs}).Dump(t.Context(), source, w, engine.DumpOptions{Report: report}); err != nil {
		t.Fatalf("dump with %d jobs: %v", jobs, err)
	}
	if _, err := w.Close(); err != nil {
		t.Fatal(err)
	}
	r, err := archive.Open(bytes.NewReader(b.Bytes()), int64(b.Len()), archive.Trust{Unsigned: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Verify(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	return r
}

// bigTable makes a table of about 60 MB, which is several slices.
const bigTable = `CREATE TABLE accounts (id bigint PRIMARY KEY, n bigint NOT NULL, pad text);
INSERT INTO accounts SELECT i, 0, repeat(md5(i::text), 8) FROM generate_series(1, 180000) i;
CREATE TABLE moves (id bigserial PRIMARY KEY);
`

// TestSlicesWhileRowsMove dumps in slices while rows are moved from page to page. Every transaction keeps the sum at
// zero, adds two accounts and notes itself: a slice that saw another moment, or a row twice or never, would show.
func TestSlicesWhileRowsMove(t *testing.T) {
	c := pgtest.Shared(t)
	source := pgtest.Create(t, c)
	pgtest.Exec(t, source, bigTable)
	var moved atomic.Int64
	ctx, stop := context.WithCancel(t.Context())
	busy := make(chan error, 2)
	for range cap(busy) {
		go func() {
			conn, err := pgserver.Connect(context.Background(), source)
			if err != nil {
				busy <- err
				return
			}
			defer conn.Close(context.Background())
			for ctx.Err() == nil {
				_, err := conn.Exec(context.Background(), `WITH m AS (INSERT INTO moves DEFAULT VALUES RETURNING id),
 two AS (INSERT INTO accounts SELECT 1000000 + 2 * id + k, 0, 'new' FROM m, generate_series(0, 1) k)
UPDATE accounts SET n = n + CASE WHEN id % 2 = 0 THEN 1 ELSE -1 END
 WHERE id IN (SELECT x + k FROM (SELECT 2 * (random() * 89000)::int + 1 AS x) r, generate_series(0, 1) k)`)
				if err != nil && state(err) != "40P01" {
					busy <- err
					return
				}
				moved.Add(1)
			}
			busy <- nil
		}()
	}
	waitFor(t, func() bool { return moved.Load() > 50 })
	before := moved.Load()
	r := dumpJobs(t, source, 3, nil)
	if moved.Load() == before {
		t.Error("nothing moved during the dump")
	}
	stop()
	for range cap(busy) {
		if err := <-busy; err != nil {
			t.Fatal(err)
		}
	}
	slices := 0
	for _, e := range r.Entries() {
		if e.Table == "accounts" {
			if e.Slice != slices {
				t.Errorf("slice %d stands at place %d", e.Slice, slices)
			}
			slices++
		}
	}
	if slices < 3 {
		t.Fatalf("the table is %d slices, too few for this test", slices)
	}
	copied := pgtest.Create(t, c)
	if err := (Engine{Jobs: 3}).Load(t.Context(), copied, r, engine.LoadOptions{}); err != nil { // a row that came twice breaks the key
		t.Fatal(err)
	}
	got := pgtest.Query(t, copied, "SELECT (count(*) - 180000 - 2 * (SELECT count(*) FROM moves))::text || ' ' || sum(n) FROM accounts")
	if got[0] != "0 0" {
		t.Errorf("accounts missing and sum: %s, want 0 0", got[0])
	}
	for _, jobs := range []int{1, 3} {
		print, err := Engine{Jobs: jobs}.Digest(t.Context(), copied, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Fingerprint().Compare(print); err != nil {
			t.Errorf("digest with %d jobs: %v", jobs, err)
		}
	}
}

// TestSameFramesHoweverManyJobs dumps an idle database again and again.
func TestSameFramesHoweverManyJobs(t *testing.T) {
	c := pgtest.Shared(t)
	source := pgtest.Create(t, c)
	pgtest.Exec(t, source, bigTable+`DO $$ BEGIN FOR i IN 1..250 LOOP EXECUTE format('CREATE TABLE tiny_%s (x int); INSERT INTO tiny_%s SELECT %s FROM generate_series(1, %s)', i, i, i, i % 3); END LOOP; END $$`)
	want := dumpJobs(t, source, 1, nil)
	for _, jobs := range []int{2, 4, 4} {
		got := dumpJobs(t, source, jobs, nil)
		if got.Len() != want.Len() {
			t.Fatalf("%d jobs make %d frames, want %d", jobs, got.Len(), want.Len())
		}
		for i, e := range got.Entries() {
			if !reflect.DeepEqual(e, want.Entry(i)) {
				t.Fatalf("%d jobs: frame %d is %+v, want %+v", jobs, i, e, want.Entry(i))
			}
		}
		if !reflect.DeepEqual(got.Fingerprint(), want.Fingerprint()) {
			t.Errorf("%d jobs: another fingerprint", jobs)
		}
	}
}

// TestLargeObjectsInParallel takes more large objects than one piece holds through both ways back.
func TestLargeObjectsInParallel(t *testing.T) {
	c := pgtest.Shared(t)
	roles(t, c, "zoo_owner", "zoo_reader", "lob_owner")
	pgtest.Exec(t, c.Target("postgres"), "ALTER ROLE lob_owner PASSWORD 'secret'; GRANT zoo_owner TO lob_owner")
	// Whoever may make no roles loads as himself, in all sessions.
	create := func() engine.Target {
		made := pgtest.Create(t, c)
		pgtest.Exec(t, c.Target("postgres"), "ALTER DATABASE "+pgtest.Quote(made.Name)+" OWNER TO lob_owner")
		own := c.TCPTarget(made.Name)
		own.User, own.Password = "lob_owner", "secret"
		return own
	}
	source := create()
	pgtest.Exec(t, source, fmt.Sprintf(`CREATE SCHEMA s; CREATE TABLE s.t (i int); INSERT INTO s.t VALUES (1);
DO $$ BEGIN FOR i IN 1..%d LOOP PERFORM lo_from_bytea(5000 + 3 * i, convert_to(repeat(md5(i::text), i %% 7), 'UTF8')); END LOOP; END $$;
SELECT lo_from_bytea(9, convert_to(repeat('0123456789abcdef', %d), 'UTF8'));
SELECT lo_from_bytea(10, convert_to(repeat('0123456789abcdef', %d), 'UTF8'));
SELECT lo_from_bytea(11, convert_to(repeat('0123456789abcdef', %d) || 'x', 'UTF8'));
SELECT lo_put(lo_create(4000000000), 1000000, 'behind a hole');
ALTER LARGE OBJECT 5300 OWNER TO zoo_owner; GRANT SELECT ON LARGE OBJECT 5303 TO zoo_reader; COMMENT ON LARGE OBJECT 5306 IS 'one';
REVOKE UPDATE ON LARGE OBJECT 5300 FROM zoo_owner; GRANT SELECT ON LARGE OBJECT 5300 TO PUBLIC; REVOKE UPDATE ON LARGE OBJECT 11 FROM CURRENT_USER;`,
		2*lobPiece, lobFirst/16, (lobFirst+lobChunk)/16, (lobFirst+2*lobChunk)/16))
	for _, jobs := range []int{1, 3} {
		r, path := dumpFileOf(t, Engine{Jobs: jobs}, source)
		slices := map[int]bool{}
		for _, e := range r.Entries() {
			if e.Kind == kindLargeObjects {
				slices[e.Slice] = true
			}
		}
		if len(slices) != 3 {
			t.Errorf("%d jobs dump %d pieces of large objects, want 3", jobs, len(slices))
		}
		copied, loaded, byOwner := pgtest.Create(t, c), pgtest.Create(t, c), create()
		psqlRestore(t, c, path, copied.Name)
		for _, into := range []engine.Target{loaded, byOwner} {
			if err := (Engine{Jobs: jobs}).Load(t.Context(), into, r, engine.LoadOptions{}); err != nil {
				t.Fatal(err)
			}
		}
		const look = `SELECT m.oid || ' ' || md5(lo_get(m.oid)) || ' ' || m.lomowner::regrole || ' ' || coalesce(m.lomacl::text, '') || coalesce(obj_description(m.oid, 'pg_largeobject'), '')
			FROM pg_largeobject_metadata m ORDER BY m.oid`
		want := pgtest.Query(t, source, look)
		for name, of := range map[string]engine.Target{"psql": copied, "load": loaded, "load by the owner": c.Target(byOwner.Name)} {
			if got := pgtest.Query(t, of, look); len(want) != 2*lobPiece+4 || !reflect.DeepEqual(got, want) {
				t.Errorf("%d jobs, %s: %d large objects, want %d, or others", jobs, name, len(got), len(want))
			}
		}
	}
}

// TestPiecesLeftToTheLead has somebody queue for a lock that the lead holds. Workers would wait behind; the lead does not.
func TestPiecesLeftToTheLead(t *testing.T) {
	c := pgtest.Shared(t)
	source := pgtest.Create(t, c)
	pgtest.Exec(t, source, bigTable+"INSERT INTO moves SELECT generate_series(1, 1000)")
	s, err := (Engine{Jobs: 2}).openSessions(t.Context(), source)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	list, err := lockTables(t.Context(), s.lead, nil, source.User)
	if err != nil {
		t.Fatal(err)
	}
	snapshot, err := exportSnapshot(t.Context(), s.lead)
	if err != nil {
		t.Fatal(err)
	}
	if err := enter(t.Context(), s.workers[0], snapshot); err != nil {
		t.Fatal(err)
	}
	truncated := make(chan error, 1)
	go func() { truncated <- c.Exec(context.Background(), source.Name, "TRUNCATE accounts") }()
	waitFor(t, func() bool {
		return len(pgtest.Query(t, c.Target("postgres"), "SELECT 1 FROM pg_locks WHERE NOT granted AND mode = 'AccessExclusiveLock'")) > 0
	})
	w := archive.NewWriter(&bytes.Buffer{}, archive.Header{}, nil)
	d := &dumper{sessions: s, w: w, frames: archive.NewFrames(waitingBytes), report: func(engine.Progress) {}, prints: archive.Fingerprint{}}
	pieces, err := d.plan(t.Context(), list)
	if err != nil {
		t.Fatal(err)
	}
	left := 0
	for _, p := range pieces {
		if err := d.read(t.Context(), s.workers[0], p, true); err != nil {
			t.Fatal(err)
		}
		if p.left {
			left++
		}
	}
	if left < 3 {
		t.Errorf("%d pieces were left to the lead, want every slice of accounts", left)
	}
	if err := d.data(t.Context(), pieces); err != nil {
		t.Fatal(err)
	}
	if got := d.prints[`"public"."accounts"`].Rows; got != 180000 {
		t.Errorf("%d accounts", got)
	}
	if got := d.prints[`"public"."moves"`].Rows; got != 1000 {
		t.Errorf("%d moves", got)
	}
	s.close()
	if err := <-truncated; err != nil {
		t.Error(err)
	}
}

// TestParallelDumpLeavesNothing ends dumps in the middle, in several ways.
func TestParallelDumpLeavesNothing(t *testing.T) {
	c := pgtest.Shared(t)
	source := pgtest.Create(t, c)
	pgtest.Exec(t, source, bigTable)
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	kill := func(func()) {
		pgtest.Query(t, c.Target("postgres"), "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1 AND query LIKE 'SAVEPOINT%'", source.Name)
	}
	for _, end := range []struct {
		name, at string // the table at which it comes, "" is before any
		stop     func(cancel func())
	}{
		{"cancelled at once", "", func(cancel func()) { cancel() }},
		{"cancelled among rows", "public.accounts", func(cancel func()) { cancel() }},
		{"workers ended", "public.accounts", kill},
	} {
		t.Run(end.name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			stopped := false
			err := Engine{Jobs: 3}.Dump(ctx, source, archive.NewWriter(&bytes.Buffer{}, archive.Header{}, nil), engine.DumpOptions{Report: func(p engine.Progress) {
				if p.TablesOf > 0 && p.Table == end.at && !stopped {
					stopped = true
					end.stop(cancel)
				}
			}})
			if !stopped || err == nil {
				t.Errorf("stopped: %v, error: %v", stopped, err)
			}
			waitFor(t, func() bool {
				return len(pgtest.Query(t, c.Target("postgres"), "SELECT 1 FROM pg_stat_activity WHERE datname = $1", source.Name)) == 0
			})
			if left := children(); left != "" {
				t.Errorf("children %s are left", left)
			}
		})
	}
}

// children are the pg_dump and pg_restore processes of this one.
func children() string {
	var found []string
	tasks, _ := filepath.Glob("/proc/self/task/*/children")
	for _, task := range tasks {
		pids, _ := os.ReadFile(task)
		for _, pid := range strings.Fields(string(pids)) {
			comm, _ := os.ReadFile(fmt.Sprintf("/proc/%s/comm", pid))
			if strings.HasPrefix(string(comm), "pg_") {
				found = append(found, pid)
			}
		}
	}
	return strings.Join(found, " ")
}

// TestParallelLoad loads what makes a load in several sessions hard: partitions, keys between them, indexes in another
// tablespace, comments, clustering and replica identity on indexes.
func TestParallelLoad(t *testing.T) {
	c := pgtest.Shared(t)
	source := pgtest.Create(t, c)
	pgtest.Exec(t, source, `CREATE TABLE part (id int, day int, v text, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
CREATE TABLE part_a PARTITION OF part FOR VALUES FROM (0) TO (10);
CREATE TABLE part_b PARTITION OF part FOR VALUES FROM (10) TO (20);
CREATE INDEX ON part (v);
INSERT INTO part SELECT i, i % 20, md5(i::text) FROM generate_series(1, 20000) i;
CREATE TABLE "Odd, ""one" (id int PRIMARY KEY, "the ref" int, day int, v text, UNIQUE (v, id), FOREIGN KEY ("the ref", day) REFERENCES part (id, day));
INSERT INTO "Odd, ""one" SELECT i, i, i % 20, 'x' || i FROM generate_series(1, 20000) i;
CREATE INDEX "odd, idx" ON "Odd, ""one" (lower(v)) WHERE id > 5;
COMMENT ON INDEX "odd, idx" IS 'kept; really';
ALTER TABLE "Odd, ""one" ALTER COLUMN v SET NOT NULL;
CREATE UNIQUE INDEX ident ON "Odd, ""one" (v, id);
ALTER TABLE "Odd, ""one" CLUSTER ON ident;
ALTER TABLE "Odd, ""one" REPLICA IDENTITY USING INDEX ident;
CREATE TABLE self (id int PRIMARY KEY, up int REFERENCES self, odd int REFERENCES "Odd, ""one", CONSTRAINT c EXCLUDE USING btree (id WITH =));
COMMENT ON CONSTRAINT c ON self IS 'a constraint';
INSERT INTO self SELECT i, nullif(i / 2, 0), i FROM generate_series(1, 5000) i;
SELECT lo_from_bytea(0, decode(repeat('ab', 3000000), 'hex'));
`)
	for i := range 30 {
		pgtest.Exec(t, source, fmt.Sprintf("CREATE TABLE many_%d (id int PRIMARY KEY, self int REFERENCES self, up int REFERENCES many_%d); CREATE INDEX ON many_%d (self)", i, max(i-1, 0), i))
	}
	r := dumpJobs(t, source, 4, nil)
	for _, jobs := range []int{1, 2, 5} {
		copied := pgtest.Create(t, c)
		if err := (Engine{Jobs: jobs}).Load(t.Context(), copied, r, engine.LoadOptions{}); err != nil {
			t.Fatalf("%d jobs: %v", jobs, err)
		}
		wantSame(t, c, source, copied, r)
	}
}

// TestForeignKeysInTheirOrder loads foreign keys of which the server makes others, which keep their names and parents only in
// the order of the definitions: rows and what else is at work would have them made in another one.
func TestForeignKeysInTheirOrder(t *testing.T) {
	c := pgtest.Shared(t)
	source := pgtest.Create(t, c)
	pgtest.Exec(t, source, `CREATE TABLE busy (i int);
CREATE TABLE one (i int PRIMARY KEY);
INSERT INTO one SELECT generate_series(1, 60000);
INSERT INTO busy SELECT 1 + i % 60000 FROM generate_series(1, 200000) i;
ALTER TABLE busy ADD FOREIGN KEY (i) REFERENCES one;
CREATE TABLE parts (i int PRIMARY KEY) PARTITION BY RANGE (i);
CREATE TABLE parts_a PARTITION OF parts FOR VALUES FROM (0) TO (100);
CREATE TABLE parts_b PARTITION OF parts FOR VALUES FROM (100) TO (200);
INSERT INTO parts SELECT generate_series(1, 150);
CREATE TABLE two (a int, pad text);
INSERT INTO two SELECT 1 + i % 100, 'text' FROM generate_series(1, 60000) i;
ALTER TABLE two ADD FOREIGN KEY (a) REFERENCES one;
ALTER TABLE two ADD CONSTRAINT z FOREIGN KEY (a) REFERENCES parts;
CREATE TABLE twice (i int, a int) PARTITION BY RANGE (i);
CREATE TABLE twice_a PARTITION OF twice FOR VALUES FROM (0) TO (100000);
INSERT INTO twice SELECT i, 1 FROM generate_series(1, 20000) i;
ALTER TABLE twice ADD CONSTRAINT a FOREIGN KEY (a) REFERENCES one;
ALTER TABLE twice_a ADD CONSTRAINT b FOREIGN KEY (a) REFERENCES one;`)
	r := dumpJobs(t, source, 2, nil)
	for _, jobs := range []int{2, 5} {
		copied := pgtest.Create(t, c)
		if err := (Engine{Jobs: jobs}).Load(t.Context(), copied, r, engine.LoadOptions{}); err != nil {
			t.Fatalf("%d jobs: %v", jobs, err)
		}
		wantSame(t, c, source, copied, r)
	}
}

// TestChecksThatReadOtherTables loads rows that a check lets in only after another table's rows, which psql executes first.
func TestChecksThatReadOtherTables(t *testing.T) {
	c := pgtest.Shared(t)
	source := pgtest.Create(t, c)
	pgtest.Exec(t, source, `CREATE TABLE known (i int);
INSERT INTO known SELECT generate_series(1, 50000);
CREATE FUNCTION is_known(int) RETURNS bool LANGUAGE sql AS 'SELECT EXISTS (SELECT FROM public.known)';
CREATE FUNCTION must_be_known(int) RETURNS bool LANGUAGE plpgsql AS 'BEGIN PERFORM FROM public.known; IF NOT FOUND THEN RAISE ''unknown''; END IF; RETURN true; END';
CREATE TABLE uses (i int CHECK (is_known(i)));
INSERT INTO uses VALUES (1);
CREATE TABLE uses_more (i int CHECK (is_known(i)), pad text);
CREATE TABLE uses_most (i int CHECK (must_be_known(i)), pad text);
INSERT INTO uses_more SELECT i, repeat('x', 50000) FROM generate_series(1, 86) i;
INSERT INTO uses_most TABLE uses_more;`)
	r, file := dumpFile(t, source)
	psqlRestore(t, c, file, pgtest.Create(t, c).Name)
	copied := pgtest.Create(t, c)
	if err := (Engine{Jobs: 2}).Load(t.Context(), copied, r, engine.LoadOptions{}); err != nil {
		t.Fatal(err)
	}
	wantSame(t, c, source, copied, r)
	pgtest.Exec(t, source, "TRUNCATE known, uses_more, uses_most")
	r, _ = dumpFile(t, source)
	if err := (Engine{Jobs: 2}).Load(t.Context(), pgtest.Create(t, c), r, engine.LoadOptions{}); err == nil {
		t.Error("rows that a check refuses were loaded")
	}
}

// TestChecksThatReadEachOther loads tables whose checks read the other one: whoever loads one has it locked, and waits for the
// other. One check raises what a foreign key would.
func TestChecksThatReadEachOther(t *testing.T) {
	c := pgtest.Shared(t)
	source := pgtest.Create(t, c)
	pgtest.Exec(t, source, `CREATE TABLE lefts (i int, pad text);
CREATE TABLE rights (i int, pad text);
CREATE FUNCTION not_right(int) RETURNS bool LANGUAGE plpgsql AS 'BEGIN RETURN NOT EXISTS (SELECT FROM public.rights r WHERE r.i = $1); END';
CREATE FUNCTION not_left(int) RETURNS bool LANGUAGE plpgsql AS 'BEGIN RETURN NOT EXISTS (SELECT FROM public.lefts r WHERE r.i = $1); END';
ALTER TABLE lefts ADD CHECK (not_right(i));
ALTER TABLE rights ADD CHECK (not_left(i));
INSERT INTO lefts SELECT i, repeat('x', 50000) FROM generate_series(1, 120) i;
INSERT INTO rights SELECT i, repeat('x', 50000) FROM generate_series(1001, 1120) i;
CREATE TABLE known AS SELECT 1 i;
CREATE FUNCTION must_be_known(int) RETURNS bool LANGUAGE plpgsql AS 'BEGIN PERFORM FROM public.known; IF NOT FOUND THEN RAISE ''unknown'' USING ERRCODE = ''foreign_key_violation''; END IF; RETURN true; END';
CREATE TABLE uses (i int CHECK (must_be_known(i)), pad text);
INSERT INTO uses TABLE lefts;`)
	r, file := dumpFile(t, source)
	psqlRestore(t, c, file, pgtest.Create(t, c).Name)
	for range 3 {
		copied := pgtest.Create(t, c)
		if err := (Engine{Jobs: 2}).Load(t.Context(), copied, r, engine.LoadOptions{}); err != nil {
			t.Fatal(err)
		}
		wantSame(t, c, source, copied, r)
	}
}

// TestChecksThatReadOneAnother loads a chain: a table's check reads one whose check reads a third, and the archive has the
// largest first, so that not even psql could load it. Sessions are too few to load the third before the others end.
func TestChecksThatReadOneAnother(t *testing.T) {
	c := pgtest.Shared(t)
	source, copied := pgtest.Create(t, c), pgtest.Create(t, c)
	pgtest.Exec(t, source, `CREATE TABLE a_tiny (i int); INSERT INTO a_tiny VALUES (1);
CREATE FUNCTION tiny() RETURNS bool LANGUAGE plpgsql AS 'BEGIN PERFORM FROM public.a_tiny; RETURN FOUND; END';
CREATE TABLE b_mid (i int CHECK (tiny()), pad text); INSERT INTO b_mid SELECT 1, repeat('x', 50000) FROM generate_series(1, 100) i;
CREATE FUNCTION mid() RETURNS bool LANGUAGE plpgsql AS 'BEGIN PERFORM FROM public.b_mid; RETURN FOUND; END';
CREATE TABLE c_big (i int CHECK (mid()), pad text);
INSERT INTO c_big SELECT 1, repeat('x', 50000) FROM generate_series(1, 600) i;`)
	for i := range 6 {
		pgtest.Exec(t, source, fmt.Sprintf("CREATE TABLE f%d AS SELECT 1, repeat('x', 50000) FROM generate_series(1, 200) i", i))
	}
	r, _ := dumpFile(t, source)
	if err := (Engine{Jobs: 2}).Load(t.Context(), copied, r, engine.LoadOptions{}); err != nil {
		t.Fatal(err)
	}
	wantSame(t, c, source, copied, r)
}

// TestComputedColumnsThatReadOtherTables loads tables with stored columns that a function looks up in another table, by way
// of an operator in one, on servers that note in two ways what a column needs.
func TestComputedColumnsThatReadOtherTables(t *testing.T) {
	for _, version := range []int{14, 18} {
		t.Run(strconv.Itoa(version), func(t *testing.T) {
			c := pgtest.SharedVersion(t, version)
			source, copied := pgtest.Create(t, c), pgtest.Create(t, c)
			pgtest.Exec(t, source, `CREATE TABLE a_rates (i int, rate int);
INSERT INTO a_rates VALUES (1, 7);
CREATE FUNCTION rate_of(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT rate FROM public.a_rates r WHERE r.i = $1';
CREATE OPERATOR public.@@@ (FUNCTION = rate_of, RIGHTARG = int);
CREATE TABLE b_prices (i int, pad text, rate int GENERATED ALWAYS AS (rate_of(i)) STORED);
CREATE TABLE c_prices (i int, pad text, rate int GENERATED ALWAYS AS (@@@ i) STORED);
INSERT INTO b_prices SELECT 1, repeat('x', 50000) FROM generate_series(1, 120) i;
CREATE TABLE d_prices (LIKE b_prices INCLUDING ALL); CREATE TABLE e_prices (LIKE c_prices INCLUDING ALL);
INSERT INTO c_prices (i, pad) SELECT i, pad FROM b_prices;
INSERT INTO d_prices (i, pad) SELECT i, pad FROM b_prices;
INSERT INTO e_prices (i, pad) SELECT i, pad FROM b_prices;`)
			e := everyVersion()
			r, _ := dumpFileOf(t, e, source)
			if err := e.Load(t.Context(), copied, r, engine.LoadOptions{}); err != nil {
				t.Fatal(err)
			}
			for _, table := range []string{"b_prices", "c_prices", "d_prices", "e_prices"} {
				if got := pgtest.Query(t, copied, "SELECT count(*) FILTER (WHERE rate = 7)::text FROM "+table)[0]; got != "120" {
					t.Errorf("%s of 120 rates of %s came back", got, table)
				}
			}
		})
	}
}

// TestIndexesInTablespaces loads indexes of which only the first is in a tablespace.
func TestIndexesInTablespaces(t *testing.T) {
	c := pgtest.Shared(t)
	runScript(t, c, "postgres", strings.NewReader("SET allow_in_place_tablespaces = on; CREATE TABLESPACE elsewhere LOCATION '';"))
	t.Cleanup(func() { c.Exec(context.Background(), "postgres", "DROP TABLESPACE elsewhere") })
	source, copied := pgtest.Create(t, c), pgtest.Create(t, c)
	pgtest.Exec(t, source, "CREATE TABLE a (i int, PRIMARY KEY (i) USING INDEX TABLESPACE elsewhere)")
	for i := range 20 {
		pgtest.Exec(t, source, fmt.Sprintf("CREATE TABLE b%d (i int PRIMARY KEY, j int); INSERT INTO b%[1]d SELECT i, i FROM generate_series(1, 5000) i", i))
	}
	pgtest.Exec(t, source, "CREATE MATERIALIZED VIEW made_after_a_key AS SELECT i, j FROM b0 GROUP BY i")
	r, _ := dumpFile(t, source)
	if err := (Engine{Jobs: 2}).Load(t.Context(), copied, r, engine.LoadOptions{}); err != nil {
		t.Fatal(err)
	}
	wantSame(t, c, source, copied, r)
}

// TestTypesOfTables loads tables of which one is called as the server calls the array type of another, made at the same moment.
func TestTypesOfTables(t *testing.T) {
	c := pgtest.Shared(t)
	source, copied := pgtest.Create(t, c), pgtest.Create(t, c)
	var sql strings.Builder
	fmt.Fprintln(&sql, "CREATE TABLE _a (i int);")
	for i := range perBatch - 1 { // so long that the next batch makes its table before this one is done
		fmt.Fprintf(&sql, "CREATE TABLE _b%d (c0 int", i)
		for n := range 500 {
			fmt.Fprintf(&sql, ", c%d int DEFAULT %d", n+1, n)
		}
		fmt.Fprintln(&sql, ");")
	}
	for i := range fewTables {
		fmt.Fprintf(&sql, "CREATE TABLE a%.*s (i int);\n", i, "bcdefghi")
	}
	runScript(t, c, source.Name, strings.NewReader(sql.String()))
	r, _ := dumpFile(t, source)
	if err := (Engine{Jobs: 2}).Load(t.Context(), copied, r, engine.LoadOptions{}); err != nil {
		t.Fatal(err)
	}
	wantSame(t, c, source, copied, r)
}

func TestParseBuild(t *testing.T) {
	for sql, want := range map[string]string{
		`CREATE INDEX i ON public.t USING btree (a);`:                                     `"public"."t"`,
		`CREATE UNIQUE INDEX "x ON y" ON ONLY "a""b"."C.d" USING gin (a);`:                `"a""b"."C.d" slow`,
		"ALTER TABLE ONLY public.t\n    ADD CONSTRAINT p PRIMARY KEY (a, b);":             `"public"."t" alone`,
		`ALTER TABLE ONLY p.t ADD CONSTRAINT u UNIQUE NULLS NOT DISTINCT (a);`:            `"p"."t" alone`,
		`ALTER TABLE ONLY p.t ADD CONSTRAINT f FOREIGN KEY (a, "b)") REFERENCES q.r(x);`:  `"p"."t" "q"."r" alone foreign`,
		`ALTER TABLE p.t ADD CONSTRAINT f FOREIGN KEY (a) REFERENCES p.t(x) ON DELETE X;`: `"p"."t" alone foreign`,
		`ALTER TABLE p.t ADD CONSTRAINT f CHECK (a > 1);`:                                 "",
		`CREATE INDEXES i ON public.t USING btree (a);`:                                   "",
		`CREATE TABLE t (a int);`:                                                         "",
		`ALTER TABLE p.t ENABLE ROW LEVEL SECURITY;`:                                      "",
		`CREATE TRIGGER x AFTER INSERT ON p.t EXECUTE FUNCTION p.f();`:                    "",
	} {
		b, ok := parseBuild([]byte(sql))
		got := ""
		if ok {
			got = strings.Join(b.tables, " ")
			if b.alone {
				got += " alone"
			}
			if b.foreign {
				got += " foreign"
			}
			if b.slow {
				got += " slow"
			}
		}
		if got != want {
			t.Errorf("%s: %q, want %q", sql, got, want)
		}
	}
}

// TestParallelLoadLeavesNothing ends loads in the middle.
func TestParallelLoadLeavesNothing(t *testing.T) {
	c := pgtest.Shared(t)
	source := pgtest.Create(t, c)
	pgtest.Exec(t, source, bigTable+"INSERT INTO moves SELECT generate_series(1, 1000); ALTER TABLE moves ADD one int; CREATE INDEX ON accounts (n); CREATE INDEX ON accounts (pad)")
	r := dumpJobs(t, source, 3, nil)
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	for name, bytes := range map[string]int64{"among rows": 8 << 20, "at indexes": r.Summary().RawSize - 5000} {
		t.Run(name, func(t *testing.T) {
			copied := pgtest.Create(t, c)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			err := Engine{Jobs: 3}.Load(ctx, copied, r, engine.LoadOptions{Report: func(p engine.Progress) {
				if p.Bytes > bytes {
					cancel()
				}
			}})
			if err == nil {
				t.Error("the load succeeded")
			}
			waitFor(t, func() bool {
				return len(pgtest.Query(t, c.Target("postgres"), "SELECT 1 FROM pg_stat_activity WHERE datname = $1", copied.Name)) == 0
			})
		})
	}
}
