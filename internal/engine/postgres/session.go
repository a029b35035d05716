package postgres

import (
	"context"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"
	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/egress"
	"github.com/safepoint-db/safepoint/internal/engine"
)

const (
	dialTimeout  = 10 * time.Second // to connect and log in
	lockTimeout  = 10 * time.Second // to wait for another session's lock
	closeTimeout = 3 * time.Second
)

// blankConfig is the one thing pgx makes from a string. Whatever it took from the environment is overwritten.
var blankConfig = sync.OnceValues(func() (*pgx.ConnConfig, error) { return pgx.ParseConfig("host=localhost sslmode=disable") })

// config says how to reach a target. Everything in it comes from the target's fields: no name is ever interpreted.
func config(t engine.Target) (*pgx.ConnConfig, error) {
	blank, err := blankConfig()
	if err != nil {
		return nil, safepoint.Errorf(safepoint.CodeInternal, "The environment of this server disturbs its PostgreSQL client.").
			WithHint("Start Safepoint without PG… variables in its environment.").WithCause(err)
	}
	if t.Host == "" || t.Name == "" || t.Port < 1 || t.Port > 65535 {
		return nil, safepoint.Invalid("host", "Host, port and database are needed to reach a PostgreSQL server.")
	}
	tlsConf, err := tlsConfig(t)
	if err != nil {
		return nil, err
	}
	c := blank.Copy()
	c.Host, c.Port, c.User, c.Password, c.Database = t.Host, uint16(t.Port), t.User, t.Password, t.Name
	c.TLSConfig, c.Fallbacks = tlsConf, nil
	c.SSLNegotiation, c.SSLCertMode, c.ChannelBinding, c.RequireAuth = "postgres", "disable", "prefer", ""
	c.MinProtocolVersion, c.MaxProtocolVersion = "3.0", "3.0"
	c.KerberosSrvName, c.KerberosSpn = "", ""
	c.RuntimeParams = map[string]string{"application_name": "safepoint"}
	c.ConnectTimeout = dialTimeout
	c.ValidateConnect, c.AfterConnect = nil, nil
	dialer := egress.Dialer(dialTimeout)
	dialer.KeepAliveConfig = net.KeepAliveConfig{Enable: true, Idle: 30 * time.Second, Interval: 10 * time.Second, Count: 6}
	c.DialFunc = dialer.DialContext
	// A context that ends cancels what the server is doing, and gives up on the answer a little later.
	c.BuildContextWatcherHandler = func(conn *pgconn.PgConn) ctxwatch.Handler {
		return &pgconn.CancelRequestContextWatcherHandler{Conn: conn, DeadlineDelay: closeTimeout}
	}
	c.DefaultQueryExecMode = pgx.QueryExecModeExec // nothing is prepared: poolers and changing schemas are no matter
	c.StatementCacheCapacity, c.DescriptionCacheCapacity = 0, 0
	return c, nil
}

// connect opens a session. The caller ends it with hangUp.
func connect(ctx context.Context, t engine.Target) (*pgx.Conn, error) {
	c, err := config(t)
	if err != nil {
		return nil, err
	}
	conn, err := pgx.ConnectConfig(ctx, c)
	if err != nil {
		return nil, explainConnect(ctx, t, err)
	}
	// By default names are looked for in schemas in which others may create, too: an operator made there, such as
	// =(oid, integer), would be preferred to the server's own, and run with our rights.
	if err := script(ctx, conn, "SELECT pg_catalog.set_config('search_path', '', false)"); err != nil {
		hangUp(conn)
		return nil, explain(ctx, t, err)
	}
	return conn, nil
}

// connectContent opens a session that reads or writes a database's content: see contentSettings.
func connectContent(ctx context.Context, t engine.Target) (*pgx.Conn, error) {
	conn, err := connect(ctx, t)
	if err != nil {
		return nil, err
	}
	if err := script(ctx, conn, contentSettings(conn.PgConn())); err != nil {
		hangUp(conn)
		return nil, explain(ctx, t, err)
	}
	return conn, nil
}

// hangUp ends a session, whatever became of the context it was used with.
func hangUp(conn *pgx.Conn) {
	if conn == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	conn.Close(ctx)
}

// script runs statements as one simple-query message.
func script(ctx context.Context, conn *pgx.Conn, sql string) error {
	return conn.PgConn().Exec(ctx, sql).Close()
}

// stay lets a session live for as long as it is needed, also one that says nothing while a safety backup is stored, and
// lets its server notice soon that we are gone: a lock of a machine that died would keep out the next restore for hours.
// Not every server knows each of the timeouts.
const stay = `SELECT pg_catalog.set_config(name, '0', false) FROM pg_catalog.pg_settings WHERE name IN ('idle_session_timeout', 'transaction_timeout');
SET tcp_keepalives_idle = 30;
SET tcp_keepalives_interval = 10;
SET tcp_keepalives_count = 6;
`

// contentSettings makes text that is read the same by any server, at any place: what pg_dump sets and a little more.
// The client's encoding is the database's own, so that no conversion can fail or change a value.
func contentSettings(conn *pgconn.PgConn) string {
	return stay + fmt.Sprintf(`SET client_encoding = %s;
SET statement_timeout = 0;
SET lock_timeout = %d;
SET idle_in_transaction_session_timeout = 0;
SET standard_conforming_strings = on;
SET DateStyle = 'ISO, MDY';
SET IntervalStyle = 'postgres';
SET TimeZone = 'UTC';
SET extra_float_digits = 3;
SET bytea_output = 'hex';
SET lc_monetary = 'C';
SET xmloption = content;
SET quote_all_identifiers = off;
SET synchronize_seqscans = off;
SET row_security = off;
SELECT pg_catalog.set_config('search_path', '', false);
`, literal(conn.ParameterStatus("server_encoding")), lockTimeout.Milliseconds())
}
