package cli

import (
	"errors"
	"fmt"
	"net/url"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/safepoint-db/safepoint/internal/engine"
	"github.com/safepoint-db/safepoint/internal/pgtest"
)

// TestPostgres tells stories of backup files and a real PostgreSQL, over its Unix socket and over TCP. $SHOP and $EMPTY
// are the URLs of two databases, the second empty as is $BARE; $TCP is $SHOP over TCP as a user with a password; $NOTHERE is none. $TENANT belongs to a role
// that may not create databases.
func TestPostgres(t *testing.T) {
	c := pgtest.Shared(t)
	pgtest.Exec(t, c.Target("postgres"), `CREATE ROLE cli_reader LOGIN PASSWORD 'swordfish'; GRANT pg_read_all_data TO cli_reader; CREATE ROLE cli_tenant LOGIN`)
	testscript.Run(t, testscript.Params{
		Dir: "testdata/postgres", Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits, "flip": flip, "setjson": setJSON, "query": queryPostgres(t),
		},
		RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			shop, empty, bare := pgtest.Create(t, c), pgtest.Create(t, c), pgtest.Create(t, c)
			pgtest.Exec(t, shop, `CREATE TABLE orders (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, what text NOT NULL, at timestamptz DEFAULT now());
				INSERT INTO orders (what) SELECT 'order ' || n FROM generate_series(1, 500) n; CREATE INDEX ON orders (what);
				CREATE VIEW recent AS SELECT * FROM orders WHERE at > now() - interval '1 day'`)
			e.Values["shop"], e.Values["empty"], e.Values["bare"] = shop, empty, bare
			e.Setenv("SHOP", postgresURL(shop))
			e.Setenv("EMPTY", postgresURL(empty))
			e.Setenv("BARE", postgresURL(bare))
			tenant := pgtest.Create(t, c)
			pgtest.Exec(t, c.Target("postgres"), "ALTER DATABASE "+pgtest.Quote(tenant.Name)+" OWNER TO cli_tenant")
			tenant.User = "cli_tenant"
			e.Values["tenant"] = tenant
			e.Setenv("TENANT", postgresURL(tenant))
			tcp := c.TCPTarget(shop.Name)
			e.Setenv("TCP", fmt.Sprintf("postgres://cli_reader@%s:%d/%s", tcp.Host, tcp.Port, url.PathEscape(shop.Name)))
			shop.Name += "_nothere"
			e.Setenv("NOTHERE", postgresURL(shop))
			return nil
		},
	})
}

func postgresURL(t engine.Target) string {
	u := url.URL{Scheme: "postgres", User: url.User(t.User), Path: "/" + t.Name}
	q := url.Values{"host": {t.Host}, "port": {fmt.Sprint(t.Port)}}
	u.RawQuery = q.Encode()
	return u.String()
}

// queryPostgres prints the first column of a statement's rows: query shop|empty|bare STATEMENT WANT.
func queryPostgres(t *testing.T) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, neg bool, args []string) {
		target, ok := ts.Value(args[0]).(engine.Target)
		if neg || len(args) != 3 || !ok {
			ts.Check(errors.New("usage: query shop|empty|bare|tenant STATEMENT WANT"))
		}
		if got := fmt.Sprint(pgtest.Query(t, target, args[1])); got != args[2] {
			ts.Fatalf("%s: %s, want %s", args[1], got, args[2])
		}
	}
}
