package postgres

import (
	"errors"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/pgtest"
)

// TestRowTooLarge names the table, the column and the row. That the server says so of a row of more than 1 GB is shown by
// internal/bench's TestRowsTooLarge, which needs one.
func TestRowTooLarge(t *testing.T) {
	source := pgtest.Create(t, pgtest.Shared(t))
	pgtest.Exec(t, source, `CREATE SCHEMA "odd S"; CREATE TABLE "odd S"."files ""1""" (id int, name text, gone bytea, "the Body" bytea, doc jsonb);
ALTER TABLE "odd S"."files ""1""" DROP gone;
INSERT INTO "odd S"."files ""1""" SELECT i, repeat('n', 3000), convert_to(repeat('b', 40 * i), 'UTF8'), '{}' FROM generate_series(1, 50) i;
INSERT INTO "odd S"."files ""1""" VALUES (0, repeat('n', 300000), convert_to(repeat('b', 200000), 'UTF8')), (99, NULL, NULL);
CREATE TABLE narrow (a int)`)
	conn, err := connect(t.Context(), source)
	if err != nil {
		t.Fatal(err)
	}
	defer hangUp(conn)
	find := func(name string) table {
		var found table
		err := conn.QueryRow(t.Context(), "SELECT c.oid, nspname::text, relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace WHERE relname = $1", name).
			Scan(&found.oid, &found.schema, &found.name)
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	large := &readError{find(`files "1"`), &pgconn.PgError{Code: stateInternal, Message: "invalid memory alloc request size 1200000003"}}
	// The text is longer, but bytea doubles.
	wantRefusal(t, tooLarge(t.Context(), conn, fmt.Errorf("dump: %w", large)), safepoint.CodeBlocked, `odd S.files "1"`, "the Body", "200000 bytes")

	narrow := &readError{find("narrow"), &pgconn.PgError{Code: stateLimitExceeded, Message: "out of memory"}}
	wantRefusal(t, tooLarge(t.Context(), conn, narrow), safepoint.CodeBlocked, "public.narrow")

	for _, other := range []error{nil, errors.New("other"), &pgconn.PgError{Code: stateLimitExceeded}, &readError{find("narrow"), &pgconn.PgError{Code: stateInternal, Message: "other"}}} {
		if got := tooLarge(t.Context(), conn, other); got != other {
			t.Errorf("%v became %v", other, got)
		}
	}
}
