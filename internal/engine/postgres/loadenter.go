package postgres

import (
	"context"
	"crypto/rand"
	"errors"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/engine"
)

// enter looks at every statement of the backup, and opens the sessions that will execute them: those of a login made for
// this load, or, where there can be none, our own user's. done ends them, and discards the login of a load that failed.
func (e Engine) enter(ctx context.Context, l *loader, own *pgx.Conn, t engine.Target, plan *engine.Plan) (done func(), err error) {
	l.priv = &privileges{own: own.PgConn(), unknown: ofUnknownOrigin(l.r) && !e.Unknown.Trusted}
	l.jobs = e.jobs()
	found, err := l.vet(ctx)
	if err == nil {
		err = l.priv.admit(ctx, own, found, e.Unknown, plan)
	}
	if err != nil {
		return nil, err
	}
	var sessions []*pgx.Conn
	temp := int64(0)
	if l.priv.unknown {
		temp = maxDisk(e.Unknown, l.r)
	}
	login, err := makeLogin(ctx, own, t, operationOf(plan), l.tablespaces(), e.loaders(), temp)
	var none *noLoginError
	switch {
	case err == nil:
		l.priv.login, sessions = login, login.open
		done = func() { login.discard(ctx) }
		err := script(ctx, own, "SET check_function_bodies = off; SET synchronous_commit = off; SET lock_timeout = 0")
		if err != nil {
			done()
			return nil, err
		}
	case errors.As(err, &none) && l.priv.unknown:
		return nil, safepoint.Errorf(safepoint.CodeBlocked, "A file of unknown origin is only executed with few rights, and %s.", none.why).
			WithHint("%s Or say that you vouch for the file (--trusted).", none.hint).WithCause(err)
	case errors.As(err, &none):
		more, err := openWorkers(ctx, t, e.loaders()-1)
		if err != nil {
			return nil, err
		}
		sessions = append([]*pgx.Conn{own}, more...)
		done = func() { hangUpAll(more) }
	default:
		return nil, err
	}
	l.lead = &loadSession{conn: sessions[0].PgConn()}
	for _, c := range sessions[1:] {
		l.others = append(l.others, &loadSession{conn: c.PgConn()})
	}
	return done, nil
}

// operationOf names what the load login is for.
func operationOf(plan *engine.Plan) string {
	if plan != nil {
		return plan.OperationID
	}
	return engine.ByHand + strings.ToLower(rand.Text()[:13])
}

// tablespaces are those that the backup uses, as its header says.
func (l *loader) tablespaces() []string {
	if l.priv.unknown {
		return nil
	}
	asks, _ := asked(l.r.Header()) // mayRead has said if it cannot be read
	return asks.Tablespaces
}
