package postgres

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/engine"
	"github.com/safepoint-db/safepoint/internal/engine/enginetest"
	"github.com/safepoint-db/safepoint/internal/pgserver"
	"github.com/safepoint-db/safepoint/internal/pgtest"

	"github.com/jackc/pgx/v5"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

func TestConformance(t *testing.T) {
	enginetest.Run(t, harness(pgtest.Shared(t), Engine{}))
}

// harness runs the suite as the superuser over the Unix socket.
func harness(c *pgserver.Cluster, e Engine) enginetest.Harness {
	return enginetest.Harness{
		Engine: e,
		Also:   []string{"Counter", "Founder", "InPlacer", "InstantSwitcher", "Picker", "SchemaLoader", "Surveyor"},
		New: func(t *testing.T, name string) engine.Target {
			t.Cleanup(func() { dropLeftovers(t, c) })
			if name == "" {
				return pgtest.Create(t, c)
			}
			return pgtest.CreateNamed(t, c, name)
		},
		Connect: func(ctx context.Context, target engine.Target) (enginetest.Session, error) {
			ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
			defer cancel()
			conn, err := pgserver.Connect(ctx, target)
			if err != nil {
				return nil, err
			}
			return session{conn}, nil
		},
		Names:       []string{`my "shop" a=b; DROP`, "it's -x", "-d", "postgresql://evil/x", "host=evil dbname=x", "emoji 😀😀😀😀😀😀😀😀😀😀😀", "back\\slash", "new\nline", "$safepoint$"},
		Unreachable: func(t *testing.T) map[safepoint.Code]engine.Target { return unreachableTargets(t, c) },
		Exists: func(t *testing.T, target engine.Target, name string) bool {
			there := target
			there.Name = "postgres"
			return len(pgtest.Query(t, there, "SELECT 1 FROM pg_database WHERE datname = $1", name)) == 1
		},
		Named: func(t *testing.T, target engine.Target, name string) engine.Target {
			t.Cleanup(func() {
				c.Exec(context.Background(), "postgres", "DROP DATABASE IF EXISTS "+pgtest.Quote(name)+" WITH (FORCE)")
			})
			target.Name = name
			return target
		},
		Vacate: func(t *testing.T, target engine.Target) {
			gone := target.Name + " gone"
			t.Cleanup(func() {
				c.Exec(context.Background(), "postgres", "DROP DATABASE IF EXISTS "+pgtest.Quote(gone)+" WITH (FORCE)")
			})
			if err := c.Exec(t.Context(), "postgres", "ALTER DATABASE "+pgtest.Quote(target.Name)+" RENAME TO "+pgtest.Quote(gone)); err != nil {
				t.Fatal(err)
			}
		},
		Replace: func(t *testing.T, target engine.Target) { pgtest.CreateNamed(t, c, target.Name) },
		Foreign: func(t *testing.T, _ engine.Target, name string) { pgtest.CreateNamed(t, c, name) },
	}
}

// dropLeftovers removes what the restores of one test left. Tests of this package do not run beside one another.
func dropLeftovers(t *testing.T, c *pgserver.Cluster) {
	left, err := Engine{}.Leftovers(context.Background(), c.Target("postgres"))
	if err != nil {
		t.Error(err)
	}
	for _, name := range left {
		sql := "DROP DATABASE " + pgtest.Quote(name) + " WITH (FORCE)"
		if strings.HasSuffix(name, loginSuffix) {
			sql = "DROP ROLE " + pgtest.Quote(name)
		}
		if err := c.Exec(context.Background(), "postgres", sql); err != nil {
			t.Error(err)
		}
	}
}

func unreachableTargets(t *testing.T, c *pgserver.Cluster) map[safepoint.Code]engine.Target {
	good := pgtest.Create(t, c)
	base := c.TCPTarget(good.Name)
	name, refused, password, tls, noDatabase := base, base, base, base, base
	refused.Port = 1
	password.Password = "not-the-password"
	tls.TLS = safepoint.TLSVerifyFull
	name.Host = "no-such-host.invalid"
	noDatabase.Name = "no such database"
	return map[safepoint.Code]engine.Target{
		safepoint.CodeName: noDatabase, safepoint.CodeRefused: refused, safepoint.CodePassword: password, safepoint.CodeTLS: tls,
	}
}

// session is an ordinary client.
type session struct{ conn *pgx.Conn }

func (s session) Exec(ctx context.Context, sql string) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	_, err := s.conn.Exec(ctx, sql)
	return err
}

func (s session) Query(ctx context.Context, sql string) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	rows, err := s.conn.Query(ctx, sql)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []string
	for rows.Next() {
		out = append(out, string(rows.RawValues()[0]))
	}
	return out, rows.Err()
}

func (s session) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	s.conn.Close(ctx)
}
