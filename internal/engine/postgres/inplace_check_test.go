package postgres

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/archive"
	"github.com/safepoint-db/safepoint/internal/engine"
	"github.com/safepoint-db/safepoint/internal/pgserver"
	"github.com/safepoint-db/safepoint/internal/pgtest"
)

// TestInPlaceLocks compares the locks that the preflight reckons with with those that a restore in place takes, and has
// it refuse where the server has no room for them.
func TestInPlaceLocks(t *testing.T) {
	const room = 64 * 20
	c := pgtest.Start(t, pgserver.Options{Settings: map[string]string{"max_locks_per_transaction": "64", "max_connections": "20"}})
	live := tenant(t, c)
	pgtest.Exec(t, live, tenantSchema)
	r, _ := dumpFile(t, live)
	reckoned := func(r *archive.Reader) int64 {
		conn, err := connect(t.Context(), live)
		if err != nil {
			t.Fatal(err)
		}
		defer hangUp(conn)
		f := &preflight{t: live, conn: conn}
		made, err := f.vetInPlace(t.Context(), r, kept{})
		if err != nil {
			t.Fatal(err)
		}
		var dropped int64
		if err := conn.QueryRow(t.Context(), locksOf).Scan(&dropped); err != nil {
			t.Fatal(err)
		}
		return made + dropped + locksOfCatalogs
	}
	need := reckoned(r)
	p := mustPrepare(t, live)
	x := begun(t, live, &p).(*inPlace)
	if err := x.Load(t.Context(), r, engine.LoadOptions{}); err != nil {
		t.Fatal(err)
	}
	var held int64
	if err := x.conn.QueryRow(t.Context(), "SELECT count(DISTINCT (locktype, database, relation, classid, objid)) FROM pg_catalog.pg_locks WHERE pid = pg_catalog.pg_backend_pid()").Scan(&held); err != nil {
		t.Fatal(err)
	}
	x.Close()
	if need < held || need > 3*held {
		t.Errorf("%d locks are reckoned with, and %d are taken", need, held)
	}
	t.Logf("%d locks are reckoned with, and %d are taken", need, held)

	var many strings.Builder
	for i := range 400 {
		fmt.Fprintf(&many, "CREATE TABLE t%d (id serial PRIMARY KEY, v text);", i)
	}
	pgtest.Exec(t, live, many.String())
	found := findingsOf(t, live, nil)
	if slices.ContainsFunc(found, func(f engine.Finding) bool { return f.Blocker }) {
		t.Errorf("without a backup nothing is known of locks: %+v", found)
	}
	wantFinding(t, live, r, safepoint.CodeBlocked, fmt.Sprintf("has room for %d (max_locks_per_transaction 64 × (max_connections 20 + max_prepared_transactions 0))", room))
}

func findingsOf(t *testing.T, live engine.Target, r *archive.Reader) []engine.Finding {
	t.Helper()
	found, err := Engine{}.CanRestore(t.Context(), live, r)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// TestInPlaceRefusals names what a tenant could not drop, or not make again, and what to grant.
func TestInPlaceRefusals(t *testing.T) {
	c := pgtest.Shared(t)
	for name, refused := range map[string]struct{ super, code, message, hint string }{
		"table of another":   {"CREATE TABLE public.theirs (a int)", "privilege", "public.theirs of ", "REASSIGN OWNED BY"},
		"function":           {"CREATE FUNCTION public.f() RETURNS int LANGUAGE sql AS 'SELECT 1'", "privilege", "public.f() of", "REASSIGN OWNED BY"},
		"large object":       {"SELECT lo_create(77)", "privilege", "large object 77", "OWNER TO"},
		"event trigger":      {"CREATE FUNCTION pg_temp.nothing() RETURNS int LANGUAGE sql AS 'SELECT 1'; CREATE SCHEMA e; CREATE FUNCTION e.t() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'; CREATE EVENT TRIGGER watch ON ddl_command_end EXECUTE FUNCTION e.t()", "privilege", "watch", "superuser drop them"},
		"publication":        {"CREATE PUBLICATION everything FOR ALL TABLES", "privilege", "everything", "superuser drop them"},
		"default privileges": {"ALTER DEFAULT PRIVILEGES FOR ROLE tenant_reader GRANT SELECT ON TABLES TO tenant", "privilege", "tenant_reader", "GRANT these roles"},
		"hidden rows":        {"CREATE TABLE public.h (a int); ALTER TABLE public.h OWNER TO tenant; ALTER TABLE public.h ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY", "privilege", "Row security", "BYPASSRLS"},
	} {
		t.Run(name, func(t *testing.T) {
			live := tenant(t, c)
			pgtest.Exec(t, c.Target(live.Name), refused.super)
			for _, f := range findingsOf(t, live, nil) {
				if f.Blocker && f.Code == safepoint.Code(refused.code) && strings.Contains(f.Message, refused.message) && strings.Contains(f.Hint, refused.hint) {
					return
				}
			}
			t.Errorf("found %+v", findingsOf(t, live, nil))
		})
	}
	for name, refused := range map[string]struct{ super, message, hint string }{
		"owner": {"CREATE SCHEMA s; CREATE TABLE s.t (a int); ALTER TABLE s.t OWNER TO tenant_reader", "belong to ", "GRANT"},
		"what only a superuser makes": {"CREATE FUNCTION public.hit(int) RETURNS int LANGUAGE internal AS 'int4abs'; CREATE OPERATOR CLASS public.oc FOR TYPE int USING btree AS FUNCTION 1 btint4cmp(int, int); CREATE EVENT TRIGGER w ON ddl_command_end EXECUTE FUNCTION public.et()",
			"CREATE OPERATOR CLASS", "superuser"},
		"forced row security": {"CREATE TABLE public.h (a int); ALTER TABLE public.h FORCE ROW LEVEL SECURITY", "FORCE ROW LEVEL", "BYPASSRLS"},
		"unknown file":        {"", "unknown origin", "CREATEDB"},
	} {
		t.Run("backup with "+name, func(t *testing.T) {
			source := pgtest.Create(t, c)
			pgtest.Exec(t, source, "CREATE FUNCTION public.et() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';"+refused.super)
			r, _ := dumpFile(t, source)
			if name == "unknown file" {
				r = dumpUnsigned(t, source)
			}
			live := tenant(t, c)
			for _, f := range findingsOf(t, live, r) {
				if f.Blocker && strings.Contains(f.Message, refused.message) && strings.Contains(f.Hint, refused.hint) {
					return
				}
			}
			t.Errorf("found %+v", findingsOf(t, live, r))
		})
	}
}

// TestInPlaceLeavesWhatIsNotTheTenants has the schema public belong to a superuser, and an extension that only one can make.
func TestInPlaceLeavesWhatIsNotTheTenants(t *testing.T) {
	c := pgtest.Shared(t)
	live := tenant(t, c)
	super := c.Target(live.Name)
	pgtest.Exec(t, super, "ALTER SCHEMA public OWNER TO postgres; GRANT ALL ON SCHEMA public TO tenant; CREATE SCHEMA ext; GRANT USAGE ON SCHEMA ext TO tenant; CREATE EXTENSION pageinspect SCHEMA ext; CREATE EXTENSION citext SCHEMA ext")
	pgtest.Exec(t, live, "CREATE TABLE t (v ext.citext); INSERT INTO t VALUES ('a')")
	old := everything(t, c, live)
	r, _ := dumpFile(t, live)
	pgtest.Exec(t, live, "DROP TABLE t; CREATE TABLE u (v int)")
	for _, f := range findingsOf(t, live, r) {
		if f.Blocker {
			t.Errorf("%+v", f)
		}
	}
	p := mustPrepare(t, live)
	x := begun(t, live, &p)
	mustReplace(t, x, r)
	if err := x.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	x.Close()
	wantEqualLines(t, "restored", everything(t, c, live), old)
}

func dumpUnsigned(t *testing.T, source engine.Target) *archive.Reader {
	t.Helper()
	var b bytes.Buffer
	w := archive.NewWriter(&b, archive.Header{}, nil)
	if err := (Engine{}).Dump(t.Context(), source, w, engine.DumpOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Close(); err != nil {
		t.Fatal(err)
	}
	r, err := archive.Open(bytes.NewReader(b.Bytes()), int64(b.Len()), archive.Trust{Unsigned: true})
	if err != nil {
		t.Fatal(err)
	}
	return r
}
