package postgres

import (
	"bytes"
	"context"
	"crypto/ed25519"
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

// tenant is a database whose owner may do nothing else on the server: no CREATEDB, no CREATEROLE, no pg_signal_backend.
func tenant(t *testing.T, c *pgserver.Cluster) engine.Target {
	t.Helper()
	roles(t, c, "tenant", "tenant_reader")
	super := pgtest.Create(t, c)
	pgtest.Exec(t, c.Target("postgres"), "ALTER DATABASE "+pgtest.Quote(super.Name)+" OWNER TO tenant")
	live := super
	live.User = "tenant"
	return live
}

const tenantSchema = `
CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE DOMAIN positive AS int CHECK (VALUE > 0); CREATE SEQUENCE alone START 7;
CREATE FUNCTION twice(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 2 * $1'; CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.note := ''touched''; RETURN NEW; END';
CREATE AGGREGATE total(int) (SFUNC = int4pl, STYPE = int, INITCOND = '0'); CREATE OPERATOR public.@@@ (LEFTARG = int, RIGHTARG = int, FUNCTION = int4pl);
CREATE TABLE customers (id serial PRIMARY KEY, name text NOT NULL, m mood, n positive);
CREATE TABLE orders (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, customer int NOT NULL REFERENCES customers, note text, d int GENERATED ALWAYS AS (1 + 1) STORED);
CREATE INDEX ON orders (twice(customer)); CREATE STATISTICS st ON customer, note FROM orders;
CREATE TRIGGER touch BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION touch();
CREATE VIEW named AS SELECT o.id, c.name FROM orders o JOIN customers c ON c.id = o.customer; CREATE MATERIALIZED VIEW counts AS SELECT count(*) AS n FROM orders;
CREATE SCHEMA app; CREATE TABLE app.events (at date, what text) PARTITION BY RANGE (at); CREATE TABLE app.events_2026 PARTITION OF app.events FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
INSERT INTO customers (name, m, n) SELECT 'name ' || i, 'ok', i FROM generate_series(1, 500) i; INSERT INTO orders (customer) SELECT 1 + i % 500 FROM generate_series(1, 5000) i;
INSERT INTO app.events VALUES ('2026-05-05', 'x'); REFRESH MATERIALIZED VIEW counts; SELECT nextval('alone');
GRANT SELECT ON customers TO tenant_reader; GRANT USAGE ON SCHEMA public TO tenant_reader; ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO tenant_reader; ALTER DEFAULT PRIVILEGES IN SCHEMA public REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
ALTER TABLE customers ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON customers FOR SELECT TO tenant_reader USING (id < 10); CREATE PUBLICATION pub FOR TABLE customers;
COMMENT ON TABLE customers IS 'who buys'; COMMENT ON SCHEMA public IS 'ours'; SELECT lo_from_bytea(4711, 'large');
SELECT lo_from_bytea(4710, convert_to(repeat('long ', 100000), 'UTF8')); GRANT SELECT ON LARGE OBJECT 4710 TO PUBLIC; REVOKE UPDATE ON LARGE OBJECT 4710 FROM CURRENT_USER; CREATE EXTENSION pg_trgm; CREATE INDEX ON customers USING gin (name gin_trgm_ops);
CREATE TABLE empty (a int, b text DEFAULT 'x;y'); CREATE UNLOGGED TABLE scratch (a int); INSERT INTO scratch VALUES (1)`

// change makes a tenant's database another one, in everything that a restore must take back.
const tenantChange = `
DROP VIEW named; DROP TABLE app.events; CREATE TABLE later (a int); INSERT INTO later VALUES (1); CREATE SCHEMA more; CREATE TABLE more.t (a int); UPDATE customers SET name = 'changed';
DELETE FROM orders WHERE id > 100; SELECT setval('alone', 99); SELECT lo_put(4711, 0, 'LARGE'); SELECT lo_unlink(4710); SELECT lo_create(4712); CREATE FUNCTION more.f() RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE TYPE extra AS (a int); ALTER TYPE mood ADD VALUE 'happy'; REVOKE ALL ON customers FROM tenant_reader; GRANT CREATE ON SCHEMA public TO tenant_reader; COMMENT ON SCHEMA public IS 'other';
ALTER DEFAULT PRIVILEGES GRANT ALL ON SEQUENCES TO tenant_reader; ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT INSERT ON TABLES TO tenant_reader; CREATE PUBLICATION pub2 FOR TABLE later; CREATE EXTENSION hstore; CREATE DOMAIN word AS text;
CREATE TEXT SEARCH CONFIGURATION tsc (COPY = simple); CREATE COLLATION co FROM "C"`

func mustPrepare(t *testing.T, live engine.Target) engine.Plan {
	t.Helper()
	p, err := Engine{}.Prepare(t.Context(), live, safepoint.NewID(safepoint.OperationPrefix))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// begun begins a restore in place of live; the plan is what a journal holds.
func begun(t *testing.T, live engine.Target, p *engine.Plan) engine.InPlace {
	t.Helper()
	x, err := Engine{}.BeginInPlace(t.Context(), live, *p, func(saved engine.Plan) error { *p = saved; return nil })
	if err != nil {
		t.Fatalf("begin: %v", err)
	}
	t.Cleanup(func() { x.Close() })
	return x
}

func wantOutcome(t *testing.T, live engine.Target, p engine.Plan, want engine.Position) {
	t.Helper()
	got, err := Engine{}.InPlaceOutcome(t.Context(), live, p)
	if err != nil || got != want {
		t.Fatalf("outcome %q (%v), want %q", got, err, want)
	}
}

// everything is a database's definitions and rows, large objects and sequences.
func everything(t *testing.T, c *pgserver.Cluster, live engine.Target) []string {
	t.Helper()
	cmd := c.Tool(t.Context(), "pg_dump", live.Name, "--blobs")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("pg_dump: %v", err)
	}
	lines := strings.Split(string(out), "\n")
	return slices.DeleteFunc(lines, func(l string) bool {
		return strings.HasPrefix(l, `\restrict`) || strings.HasPrefix(l, `\unrestrict`)
	})
}

func wantEqualLines(t *testing.T, what string, got, want []string) {
	t.Helper()
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			t.Fatalf("%s: line %d is\n+ %s\nwant\n- %s", what, i+1, got[i], want[i])
		}
	}
	if len(got) != len(want) {
		t.Fatalf("%s: %d lines, want %d", what, len(got), len(want))
	}
}

func mustReplace(t *testing.T, x engine.InPlace, r *archive.Reader) {
	t.Helper()
	if err := x.Load(t.Context(), r, engine.LoadOptions{}); err != nil {
		t.Fatalf("load: %v", err)
	}
	got, err := x.Digest(t.Context(), nil)
	if err != nil {
		t.Fatalf("digest: %v", err)
	}
	if err := r.Fingerprint().Compare(got); err != nil {
		t.Fatal(err)
	}
}

func TestInPlaceRoundTrip(t *testing.T) {
	c := pgtest.Shared(t)
	live := tenant(t, c)
	pgtest.Exec(t, live, tenantSchema)
	old := everything(t, c, live)
	r, _ := dumpFile(t, live)
	pgtest.Exec(t, live, tenantChange)
	changed := everything(t, c, live)

	found, err := Engine{}.CanRestore(t.Context(), live, r)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range found {
		t.Logf("%+v", f)
		if f.Blocker {
			t.Errorf("blocked: %s", f.Message)
		}
	}
	if len(found) == 0 || !found[0].InPlace {
		t.Errorf("nothing says that the restore is done in place: %+v", found)
	}

	p := mustPrepare(t, live)
	x := begun(t, live, &p)
	safety := dumpOfFunc(t, x.Dump)
	mustReplace(t, x, r)
	if got := pgtest.Query(t, c.Target(live.Name), "SELECT count(*) FROM pg_class WHERE relname = 'later'"); got[0] != "1" {
		t.Error("others see the transaction before it is committed")
	}
	if err := x.Commit(t.Context()); err != nil {
		t.Fatalf("commit: %v", err)
	}
	x.Close()
	wantOutcome(t, live, p, engine.After)
	wantEqualLines(t, "restored", everything(t, c, live), old)

	// And back, by way of the safety backup.
	p = mustPrepare(t, live)
	x = begun(t, live, &p)
	mustReplace(t, x, safety)
	if err := x.Commit(t.Context()); err != nil {
		t.Fatalf("commit: %v", err)
	}
	x.Close()
	wantEqualLines(t, "restored from the safety backup", everything(t, c, live), changed)
}

// dumpOfFunc is the archive that a dump writes, signed as dumpFile's is.
func dumpOfFunc(t *testing.T, dump func(context.Context, *archive.Writer, engine.DumpOptions) error) *archive.Reader {
	t.Helper()
	var b bytes.Buffer
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	w := archive.NewWriter(&b, archive.Header{Tool: "test"}, key)
	if err := dump(t.Context(), w, engine.DumpOptions{}); err != nil {
		t.Fatalf("dump: %v", err)
	}
	if _, err := w.Close(); err != nil {
		t.Fatal(err)
	}
	r, err := archive.Open(bytes.NewReader(b.Bytes()), int64(b.Len()), archive.Trust{Keys: []ed25519.PublicKey{key.Public().(ed25519.PublicKey)}})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// alterArchive is an archive with one text in its statements exchanged for another of the same length, signed anew.
func alterArchive(t *testing.T, r *archive.Reader, from, to string) *archive.Reader {
	t.Helper()
	done := false
	altered := dumpOfFunc(t, func(_ context.Context, w *archive.Writer, _ engine.DumpOptions) error {
		w.SetHeader(r.Header())
		w.SetFingerprint(r.Fingerprint())
		for i, e := range r.Entries() {
			f, err := r.Frame(i)
			if err != nil {
				return err
			}
			b, err := io.ReadAll(f)
			f.Close()
			if err != nil {
				return err
			}
			done = done || bytes.Contains(b, []byte(from))
			out, err := w.Frame(archive.Entry{Section: e.Section, Kind: e.Kind, Schema: e.Schema, Table: e.Table, Rows: e.Rows, Objects: e.Objects})
			if err != nil {
				return err
			}
			if _, err := out.Write(bytes.ReplaceAll(b, []byte(from), []byte(to))); err != nil {
				return err
			}
			if err := out.Close(); err != nil {
				return err
			}
		}
		return nil
	})
	if !done {
		t.Fatalf("the archive does not hold %q", from)
	}
	return altered
}
