package postgres

import (
	"strings"
	"testing"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/engine"
	"github.com/safepoint-db/safepoint/internal/pgtest"
)

// TestLoadSchema loads chosen tables beside those of the database they came from.
func TestLoadSchema(t *testing.T) {
	c := pgtest.Shared(t)
	roles(t, c, "zoo_owner", "zoo_reader")
	source := pgtest.Create(t, c)
	runFile(t, c, source.Name, "testdata/pick.sql")
	r, _ := dumpFile(t, source)
	before := definitions(t, c, source.Name)
	bare := engine.Selection{NoOwner: true, NoPrivileges: true}
	wantCode(t, Engine{}.LoadSchema(t.Context(), source, pick(t, r, []string{"app.orders", "app.customers"}, bare).Reader, "untrusted", engine.LoadOptions{}), safepoint.CodeBlocked)
	load := func(schema string, tables ...string) error {
		return Engine{Unknown: engine.UnknownOrigin{Trusted: true}}.LoadSchema(t.Context(), source, pick(t, r, tables, bare).Reader, schema, engine.LoadOptions{})
	}
	for schema, tables := range map[string][]string{
		`old "one"; --`: {"app.orders", "app.customers"}, "events": {"app.events"}, "odd": {`"Odd ""schema"";".*`}, "booked": {"bookings"},
	} {
		if err := load(schema, tables...); err != nil {
			t.Fatalf("%s: %v", schema, err)
		}
		wantCode(t, load(schema, tables...), safepoint.CodeConflict)
	}
	for sql, want := range map[string]string{
		`SELECT count(*) || ',' || sum(total) FROM "old ""one""; --".orders`:                                                                             "2,15.50",
		`SELECT confrelid::regclass::text FROM pg_constraint WHERE conname = 'orders_customer_fkey' AND conrelid = '"old ""one""; --".orders'::regclass`: `"old ""one""; --".customers`,
		`SELECT nextval('"old ""one""; --".customers_id_seq')`:                                                                                           "3",
		`SELECT pg_get_expr(adbin, adrelid) FROM pg_attrdef WHERE adrelid = '"old ""one""; --".customers'::regclass AND adnum = 1`:                       `nextval('"old ""one""; --".customers_id_seq'::regclass)`,
		`SELECT pg_typeof(mood)::text FROM "old ""one""; --".customers LIMIT 1`:                                                                          `"old ""one""; --".mood`,
		`SELECT count(*)::text FROM events.events_2025`:                                                                                                  "1",
		`SELECT count(*)::text FROM pg_inherits WHERE inhparent = 'events.events'::regclass`:                                                             "1",
		`SELECT relname::text FROM pg_class WHERE relnamespace = 'odd'::regnamespace AND relkind = 'r'`:                                                  `T.'able" --`,
		`SELECT nextval('app.customers_id_seq')`:                                                                                                         "3",
	} {
		if got := pgtest.Query(t, source, sql); len(got) != 1 || got[0] != want {
			t.Errorf("%s: %q, want %q", sql, got, want)
		}
	}

	// What fails leaves nothing behind.
	wantCode(t, load("pg_mine", "orders"), safepoint.CodeInvalid)
	pgtest.Exec(t, source, `CREATE TABLE public.orders (id int)`)
	both, _ := dumpFile(t, source)
	err := Engine{}.LoadSchema(t.Context(), source, pick(t, both, []string{"orders"}, bare).Reader, "twice", engine.LoadOptions{})
	wantCode(t, err, safepoint.CodeConflict)
	broken := pick(t, r, []string{"app.orders"}, engine.Selection{DataOnly: true}).Reader // there is no table for its rows
	if err := (Engine{}).LoadSchema(t.Context(), source, broken, "broken", engine.LoadOptions{}); err == nil {
		t.Error("rows without a table were loaded")
	}
	if got := pgtest.Query(t, source, `SELECT count(*)::text FROM pg_namespace WHERE nspname IN ('twice', 'broken', 'pg_mine')`); got[0] != "0" {
		t.Errorf("%s schemas are left", got[0])
	}
	for _, schema := range []string{`old "one"; --`, "events", "odd", "booked"} {
		pgtest.Exec(t, source, "DROP SCHEMA "+ident(schema)+" CASCADE")
	}
	pgtest.Exec(t, source, `DROP TABLE public.orders`)
	if after := definitions(t, c, source.Name); strings.Join(after, "\n") != strings.Join(before, "\n") {
		t.Error("what was there before was changed")
	}
}

func wantCode(t *testing.T, err error, code safepoint.Code) {
	t.Helper()
	if safepoint.ErrorCode(err) != code {
		t.Errorf("%q (%v), want %q", safepoint.ErrorCode(err), err, code)
	}
}
