package postgres

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/archive"
	"github.com/safepoint-db/safepoint/internal/engine"
	"github.com/safepoint-db/safepoint/internal/pgserver"
	"github.com/safepoint-db/safepoint/internal/pgtest"
)

// rowsOf sums up the rows of every table in a way of its own, by the server's text of whole rows and its md5, so that
// the fingerprint is not the only witness. Generated columns are compared too.
func rowsOf(t *testing.T, target engine.Target, views bool) map[string]string {
	t.Helper()
	conn, err := pgserver.Connect(t.Context(), target)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	rows, err := conn.Query(t.Context(), `SELECT format('%I.%I', n.nspname, c.relname), coalesce(string_agg(quote_ident(a.attname), ', ' ORDER BY a.attname), '')
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE (c.relkind = 'r' OR $1 AND c.relkind = 'm') AND c.relpersistence <> 't' AND (c.relkind = 'r' OR c.relispopulated) AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' GROUP BY c.oid, 1`, views)
	if err != nil {
		t.Fatal(err)
	}
	columns := map[string]string{}
	for rows.Next() {
		var name, list string
		if err := rows.Scan(&name, &list); err != nil {
			t.Fatal(err)
		}
		columns[name] = list
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	sums := map[string]string{}
	for name, list := range columns {
		value := "'-'"
		if list != "" {
			value = "ROW(" + list + ")::text" // of up to 1,664 columns
		}
		var sum string
		if err := conn.QueryRow(t.Context(), fmt.Sprintf(`SELECT count(*) || ' rows, ' || coalesce(sum(('x' || left(md5(%s), 15))::bit(60)::bigint), 0) FROM ONLY %s`, value, name)).Scan(&sum); err != nil {
			t.Fatalf("sum up %s: %v", name, err)
		}
		sums[name] = sum
	}
	return sums
}

// wantSameRows compares every row of two databases, and those of materialized views.
func wantSameRows(t *testing.T, source, copied engine.Target) {
	t.Helper()
	compareRows(t, rowsOf(t, source, true), rowsOf(t, copied, true))
}

func compareRows(t *testing.T, want, got map[string]string) {
	t.Helper()
	for name, sum := range want {
		if got[name] != sum {
			t.Errorf("%s holds %s, want %s", name, got[name], sum)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d tables, want %d", len(got), len(want))
	}
}

// TestColumnsAddedToParents has a child's columns in another order than a restored child would have them.
func TestColumnsAddedToParents(t *testing.T) {
	c := pgtest.Shared(t)
	source := pgtest.Create(t, c)
	pgtest.Exec(t, source, `CREATE TABLE p (a int); CREATE TABLE c (b text) INHERITS (p); ALTER TABLE p ADD d text, ADD "C" date;
INSERT INTO c VALUES (1, 'b', 'd', '2026-01-01'); CREATE TABLE gc (e int) INHERITS (c); INSERT INTO gc VALUES (2, 'x', NULL, NULL, 3)`)
	r, file := dumpFile(t, source)
	for name, fill := range map[string]func(engine.Target){
		"psql": func(to engine.Target) { psqlRestore(t, c, file, to.Name) },
		"load": func(to engine.Target) { mustLoad(t, to, r) },
	} {
		t.Run(name, func(t *testing.T) {
			copied := pgtest.Create(t, c)
			fill(copied)
			prints, err := Engine{}.Digest(t.Context(), copied, nil)
			if err != nil {
				t.Fatal(err)
			}
			if err := r.Fingerprint().Compare(prints); err != nil {
				t.Error(err)
			}
			order := "SELECT string_agg(attname, ',' ORDER BY attnum) FROM pg_attribute WHERE attrelid = 'c'::regclass AND attnum > 0"
			if a, b := pgtest.Query(t, source, order), pgtest.Query(t, copied, order); slices.Equal(a, b) {
				t.Errorf("columns are in the same order, %s: this tests nothing", a)
			}
			wantSameRows(t, source, copied)
		})
	}
}

// TestRowsTooLargeInThePreflight finds rows whose text no server can send: in the preflight, and where a dump meets one.
func TestRowsTooLargeInThePreflight(t *testing.T) {
	c := pgtest.Shared(t)
	source := pgtest.Create(t, c)
	pgtest.Exec(t, source, `CREATE SCHEMA "Big ones"; CREATE TABLE "Big ones"."files" (id int, "the name" text, "the data" bytea, more varchar);
INSERT INTO "Big ones".files SELECT i, 'x', convert_to(repeat(md5(i::text), 1000), 'SQL_ASCII'), NULL FROM generate_series(1, 100) i;
INSERT INTO "Big ones".files VALUES (7, 'y', convert_to(repeat(md5('7'), 40000), 'SQL_ASCII'), '');
CREATE TABLE small (a bytea); INSERT INTO small VALUES ('x')`)
	conn, err := connectContent(t.Context(), source)
	if err != nil {
		t.Fatal(err)
	}
	defer hangUp(conn)
	for limit, want := range map[int64]string{2*40000*32 + 1: "", 2 * 40000 * 32: "A row of the table Big ones.files is too large: its column the data holds 1280000 bytes"} {
		big, err := findTooBig(t.Context(), conn, limit, 0)
		switch {
		case err != nil:
			t.Error(err)
		case (big == nil) != (want == ""):
			t.Errorf("with a limit of %d: %+v", limit, big)
		case big != nil && !strings.HasPrefix(big.Message, want):
			t.Errorf("%s, want %s", big.Message, want)
		}
	}
	if !fidelity() {
		t.Skip("the rest makes a value of 600 MB: make fidelity")
	}
	pgtest.Exec(t, source, `INSERT INTO "Big ones".files (id, "the data") SELECT 8, convert_to(repeat('0123456789', 60000000), 'SQL_ASCII')`)
	found, err := Engine{}.CanDump(t.Context(), source)
	if err != nil || len(found) != 1 || found[0].Code != safepoint.CodeBlocked {
		t.Fatalf("preflight: %+v, %v", found, err)
	}
	err = Engine{}.Dump(t.Context(), source, archive.NewWriter(io.Discard, archive.Header{}, nil), engine.DumpOptions{})
	wantRefusal(t, err, safepoint.CodeBlocked, "its column the data holds 600000000 bytes")
	if told := safepoint.UserError(err).Message; told != found[0].Message {
		t.Errorf("the dump says %q, the preflight %q", told, found[0].Message)
	}
	// Half of it fits, and comes through.
	pgtest.Exec(t, source, `UPDATE "Big ones".files SET "the data" = substr("the data", 1, 300000000) WHERE id = 8`)
	r, _ := dumpFile(t, source)
	copied := pgtest.Create(t, c)
	mustLoad(t, copied, r)
	wantSameRows(t, source, copied)
}

// TestLoadGivesWhatHangsOnTheDatabase carries what plain dumps lose.
func TestLoadGivesWhatHangsOnTheDatabase(t *testing.T) {
	for _, major := range []int{13, 15, 18} {
		c := pgtest.SharedVersion(t, major)
		roles(t, c, "zoo_owner", "zoo_reader")
		source, copied, partly := pgtest.Create(t, c), pgtest.Create(t, c), pgtest.Create(t, c)
		name := pgtest.Quote(source.Name)
		pgtest.Exec(t, c.Target("postgres"), "DROP ROLE IF EXISTS soon_gone; CREATE ROLE soon_gone")
		pgtest.Exec(t, source, `CREATE TABLE t (a int);
ALTER DATABASE `+name+` SET search_path = "$user", public, 'odd, "one'; ALTER DATABASE `+name+` SET work_mem = '8MB'; ALTER DATABASE `+name+` SET app.mode = 'it''s "on"';
ALTER ROLE zoo_reader IN DATABASE `+name+` SET statement_timeout = '5s'; ALTER ROLE soon_gone IN DATABASE `+name+` SET work_mem = '1MB';
COMMENT ON DATABASE `+name+` IS 'The shop''s \ database'; REVOKE ALL ON DATABASE `+name+` FROM PUBLIC; GRANT CONNECT ON DATABASE `+name+` TO zoo_reader WITH GRANT OPTION;
ALTER DATABASE `+name+` CONNECTION LIMIT 7; ALTER DATABASE `+name+` OWNER TO zoo_owner`)
		r, _ := dumpFileOf(t, everyVersion(), source)
		looks := func(of engine.Target) string {
			return strings.Join(pgtest.Query(t, of, `SELECT concat_ws(' | ', datdba::regrole, datconnlimit, (SELECT string_agg(a::text, ' ' ORDER BY a::text) FROM unnest(datacl) a), shobj_description(oid, 'pg_database'),
 (SELECT string_agg(setrole::regrole || ' ' || setconfig::text, ' ' ORDER BY setrole::regrole::text) FROM pg_db_role_setting WHERE setdatabase = d.oid AND setrole::regrole::text <> 'soon_gone')) FROM pg_database d WHERE datname = current_database()`), "")
		}
		load := func(to engine.Target) (notes []string) {
			opt := engine.LoadOptions{Properties: true, Note: func(n string) { notes = append(notes, n) }}
			if err := (Engine{}).Load(t.Context(), to, r, opt); err != nil {
				t.Fatal(err)
			}
			return notes
		}
		if notes := load(copied); len(notes) != 0 || looks(copied) != looks(source) {
			t.Errorf("%d: %s\nwant %s\n%s", major, looks(copied), looks(source), notes)
		}
		pgtest.Exec(t, c.Target("postgres"), "DROP ROLE soon_gone")
		if notes := load(partly); len(notes) != 1 || !strings.Contains(notes[0], "soon_gone") || looks(partly) != looks(source) {
			t.Errorf("%d without a role: %s, notes %q", major, looks(partly), notes)
		}
	}
}
