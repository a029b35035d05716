// Package pgbouncer halts the users of a pool by pausing it on PgBouncer's admin console, and resumes it.
//
// PAUSE waits until running transactions have ended and then holds clients back without an error: for them a restore
// is a query that takes longer. Where no pool is named, every pool that PgBouncer knows of at that moment is paused;
// one that a "*" entry makes later is not, so name the pool where there is such an entry.
package pgbouncer

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/egress"
	"github.com/safepoint-db/safepoint/internal/halt"
)

const (
	console        = "pgbouncer" // the admin console's database
	defaultTimeout = time.Minute
	defaultPort    = 6432
)

// Halter pauses one pool, or all of one PgBouncer. It is safe for concurrent use.
type Halter struct {
	service  safepoint.Service
	password string
}

var _ halt.Halter = (*Halter)(nil)

// New makes the halter of s. Its User must be one of PgBouncer's admin_users. It connects to nothing. What is wrong
// with s is a *safepoint.Error on the field "host", "port" or "user".
func New(s safepoint.Service, password string) (*Halter, error) {
	if s.Port == 0 {
		s.Port = defaultPort
	}
	if s.Timeout <= 0 {
		s.Timeout = defaultTimeout
	}
	switch {
	case s.Host == "":
		return nil, safepoint.Invalid("host", "Enter PgBouncer's host name, its address, or the folder of its Unix socket.")
	case s.Port < 1 || s.Port > 65535:
		return nil, safepoint.Invalid("port", "Enter a port from 1 to 65535.")
	case s.User == "":
		return nil, safepoint.Invalid("user", "Enter one of PgBouncer's admin_users.")
	}
	return &Halter{service: s, password: password}, nil
}

// Probe implements halt.Halter.
func (h *Halter) Probe(ctx context.Context) (halt.Status, error) {
	var st halt.Status
	err := h.session(ctx, func(ctx context.Context, c *pgconn.PgConn) error {
		pools, err := h.pools(ctx, c)
		if err != nil {
			return err
		}
		paused := 0
		var names []string
		for _, p := range pools {
			if p.paused {
				paused++
				names = append(names, p.name)
			}
		}
		switch {
		case len(pools) == 0 && h.service.DBName != "":
			st = halt.Status{Condition: halt.Unknown, Detail: "PgBouncer has not seen this pool in use yet."}
		case len(pools) > 0 && paused == len(pools):
			st = halt.Status{Condition: halt.Halted}
		case paused > 0:
			st = halt.Status{Condition: halt.Running, Detail: fmt.Sprintf("%d of %d pools are paused.", paused, len(pools)), Prior: halt.Parts(names)}
		default:
			st = halt.Status{Condition: halt.Running}
		}
		return nil
	})
	if err != nil {
		if errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ENOENT) {
			return halt.Status{Condition: halt.Down, Detail: "Nothing listens at PgBouncer's address."}, nil
		}
		return halt.Status{Condition: halt.Unknown}, err
	}
	return st, nil
}

// Halt implements halt.Halter. If a pool does not come to rest in time, those paused here are resumed at once.
func (h *Halter) Halt(ctx context.Context, _ halt.Request) error {
	var ours []string
	err := h.session(ctx, func(ctx context.Context, c *pgconn.PgConn) error {
		pools, err := h.pools(ctx, c)
		if err != nil {
			return err
		}
		if len(pools) == 0 && h.service.DBName != "" {
			pools = []pool{{name: h.service.DBName}} // of a "*" entry, or unknown: PAUSE says which
		}
		for _, p := range pools {
			if p.paused {
				continue
			}
			ours = append(ours, p.name)
			if err := h.command(ctx, c, "PAUSE", p.name); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		return nil
	}
	// A PAUSE that was waited for in vain still holds clients back. ctx may have ended: this must be done all the same.
	back := h.sessionFor(context.WithoutCancel(ctx), cleanup, func(ctx context.Context, c *pgconn.PgConn) error {
		return h.resume(ctx, c, func(p pool) bool { return slices.Contains(ours, p.name) })
	})
	if len(ours) > 0 && back != nil {
		return errors.Join(err, back)
	}
	return err
}

// Resume implements halt.Halter. Its Prior names the pools that somebody else had paused before: they stay paused. Every
// other one is resumed, also one that was made since the probe.
func (h *Halter) Resume(ctx context.Context, r halt.Request) error {
	before, _ := halt.RanBefore(r.Prior)
	return h.session(ctx, func(ctx context.Context, c *pgconn.PgConn) error {
		return h.resume(ctx, c, func(p pool) bool { return !slices.Contains(before, p.name) })
	})
}

// resume resumes the paused pools that which selects, all of them even if one fails, and looks whether they are.
func (h *Halter) resume(ctx context.Context, c *pgconn.PgConn, which func(pool) bool) error {
	pools, err := h.pools(ctx, c)
	if err != nil {
		return err
	}
	var failed error
	for _, p := range pools {
		if p.paused && which(p) {
			failed = errors.Join(failed, h.command(ctx, c, "RESUME", p.name))
		}
	}
	if failed == nil {
		return nil
	}
	// Somebody else may have been quicker.
	pools, err = h.pools(ctx, c)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(pools, func(p pool) bool { return p.paused && which(p) }) {
		return failed
	}
	return nil
}

// pool is one line of SHOW DATABASES.
type pool struct {
	name   string
	paused bool
}

// pools lists the pools that this service is about.
func (h *Halter) pools(ctx context.Context, c *pgconn.PgConn) ([]pool, error) {
	results, err := c.Exec(ctx, "SHOW DATABASES").ReadAll()
	if err != nil {
		return nil, h.refused("list its pools", err)
	}
	var pools []pool
	for _, r := range results {
		name, paused := -1, -1
		for i, f := range r.FieldDescriptions {
			switch f.Name {
			case "name":
				name = i
			case "paused":
				paused = i
			}
		}
		if name < 0 || paused < 0 {
			return nil, safepoint.Errorf(safepoint.CodeHalt, "%s does not answer as PgBouncer's admin console does.", h.service.Name).
				WithHint("Check the host and the port.")
		}
		for _, row := range r.Rows {
			p := pool{string(row[name]), string(row[paused]) != "0"}
			if p.name != console && (h.service.DBName == "" || p.name == h.service.DBName) {
				pools = append(pools, p)
			}
		}
	}
	return pools, nil
}

// command runs PAUSE or RESUME for one pool.
func (h *Halter) command(ctx context.Context, c *pgconn.PgConn, verb, name string) error {
	if strings.ContainsRune(name, 0) {
		return safepoint.Errorf(safepoint.CodeHalt, "%s has no pool with this name.", h.service.Name)
	}
	_, err := c.Exec(ctx, verb+" "+quote(name)).ReadAll()
	if err != nil {
		return h.refused(fmt.Sprintf("%s the pool %s", strings.ToLower(verb), halt.OneLine(name)), err)
	}
	return nil
}

// quote makes an identifier of any name.
func quote(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// cleanup is kept of a service's timeout to take back what did not work out.
const cleanup = time.Second

// session connects to the console, runs fn and disconnects, all within the service's timeout.
func (h *Halter) session(ctx context.Context, fn func(context.Context, *pgconn.PgConn) error) error {
	return h.sessionFor(ctx, max(h.service.Timeout-cleanup, h.service.Timeout/2), fn)
}

func (h *Halter) sessionFor(ctx context.Context, limit time.Duration, fn func(context.Context, *pgconn.PgConn) error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	c, err := h.connect(ctx)
	if err == nil {
		defer func() {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanup)
			defer cancel()
			c.Close(ctx)
		}()
		err = fn(ctx, c)
	}
	var plain *safepoint.Error
	switch {
	case err == nil:
		return nil
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return safepoint.Errorf(safepoint.CodeHalt, "%s did not do it within %s.", h.service.Name, halt.Seconds(h.service.Timeout)).
			WithHint("A transaction may be open that does not end, or a client holds a session in session pooling. Give it more time, or end it.").WithCause(err)
	case ctx.Err() != nil:
		return safepoint.Errorf(safepoint.CodeHalt, "The command to %s was stopped.", h.service.Name).WithCause(err)
	case errors.As(err, &plain):
		return err
	}
	return h.unreachable(err)
}

// config says how to reach the console. Nothing of it comes from a string made of input; what pgconn takes from the
// server's environment is overwritten.
func (h *Halter) config() (*pgconn.Config, error) {
	cfg, err := pgconn.ParseConfig("host=localhost sslmode=disable")
	if err != nil {
		return nil, safepoint.Errorf(safepoint.CodeInternal, "The environment of this server disturbs its PostgreSQL client.").
			WithHint("Start Safepoint without PG… variables in its environment.").WithCause(err)
	}
	s := h.service
	cfg.Host, cfg.Port, cfg.User, cfg.Password, cfg.Database = s.Host, uint16(s.Port), s.User, h.password, console
	cfg.TLSConfig, cfg.Fallbacks = nil, nil
	cfg.SSLNegotiation, cfg.SSLCertMode, cfg.ChannelBinding, cfg.RequireAuth = "postgres", "disable", "prefer", ""
	cfg.MinProtocolVersion, cfg.MaxProtocolVersion = "3.0", "3.0"
	cfg.KerberosSrvName, cfg.KerberosSpn = "", ""
	cfg.ConnectTimeout, cfg.ValidateConnect, cfg.AfterConnect = 0, nil, nil // the session has a limit of its own
	cfg.RuntimeParams = map[string]string{"application_name": "safepoint"}
	cfg.DialFunc = egress.Dialer(5 * time.Second).DialContext
	if !strings.HasPrefix(s.Host, "/") {
		// A service has no TLS settings: encrypt where PgBouncer offers it. The password is never sent in the clear
		// with SCRAM, and what else is said holds no secret.
		cfg.TLSConfig = &tls.Config{InsecureSkipVerify: true, ServerName: s.Host} //nolint:gosec // see above
		cfg.Fallbacks = []*pgconn.FallbackConfig{{Host: s.Host, Port: uint16(s.Port)}}
	}
	return cfg, nil
}

func (h *Halter) connect(ctx context.Context) (*pgconn.PgConn, error) {
	cfg, err := h.config()
	if err != nil {
		return nil, err
	}
	return pgconn.ConnectConfig(ctx, cfg)
}

// refused is about what PgBouncer answered to a command.
func (h *Halter) refused(act string, err error) error {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return safepoint.Errorf(safepoint.CodeHalt, "%s did not %s: %s.", h.service.Name, act, halt.OneLine(pg.Message)).WithCause(err)
	}
	return h.unreachable(err)
}

// unreachable says in words why there was no session, or why it broke.
func (h *Halter) unreachable(err error) error {
	var pg *pgconn.PgError
	var dns *net.DNSError
	var forbidden *egress.RefusedError
	name, at := h.service.Name, fmt.Sprintf("%s, port %d", h.service.Host, h.service.Port)
	e := safepoint.Errorf(safepoint.CodeUnreachable, "%s could not be reached at %s.", name, at).WithHint("Check that PgBouncer runs and that its address is right.")
	switch {
	case errors.As(err, &pg):
		e = safepoint.Errorf(safepoint.CodeUnreachable, "%s refused %s: %s.", name, h.service.User, halt.OneLine(pg.Message)).
			WithHint("Check the user, who must be in PgBouncer's admin_users, and the password.")
	case errors.As(err, &forbidden):
		e = safepoint.Errorf(safepoint.CodeUnreachable, "%s is at %s, an address to which nothing is sent.", name, forbidden.Address)
	case errors.As(err, &dns) && !dns.IsTimeout:
		e = safepoint.Errorf(safepoint.CodeUnreachable, "%s could not be reached: the host name %s was not found.", name, h.service.Host)
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ENOENT):
		e = safepoint.Errorf(safepoint.CodeUnreachable, "%s could not be reached: nothing listens at %s.", name, at).
			WithHint("Check that PgBouncer runs and that the port is right.")
	}
	return e.WithCause(err)
}
