package postgres

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/archive"
	"github.com/safepoint-db/safepoint/internal/engine"
	"github.com/safepoint-db/safepoint/internal/fault"
)

// rehearse makes, renames and drops an empty database as the restore will: the one sure way to know that encoding,
// locale and rights are there.
func (f *preflight) rehearse(ctx context.Context, h archive.Header, unknown bool) error {
	if err := sweepRehearsals(ctx, f.admin, f.t); err != nil {
		return explain(ctx, f.t, err)
	}
	id := safepoint.OperationPrefix + rehearsal + strings.ToLower(rand.Text()[:11])
	name, renamed := engine.StagingName(id), engine.AsideName(id)
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
		defer cancel()
		for _, n := range []string{name, renamed} {
			script(ctx, f.admin, "DROP DATABASE IF EXISTS "+ident(n)+" WITH (FORCE)")
		}
		dropLogin(ctx, f.admin, id)
	}()
	h = asLive(h, f.live.locale)
	if err := script(ctx, f.admin, createDatabase(name, h, f.num, f.live.Tablespace)); err != nil {
		return f.refused(ctx, err, fmt.Sprintf("An empty database with the backup's encoding (%s) and locale (%s) could not be made", h.Encoding, cmpLocale(h)))
	}
	if err := script(ctx, f.admin, fmt.Sprintf("COMMENT ON DATABASE %s IS %s", ident(name), literal(marker(id, roleStaging)))); err != nil {
		return explain(ctx, f.t, err)
	}
	fault.Point("postgres.rehearsed")
	if err := f.login(ctx, id, name, unknown); err != nil {
		return f.refused(ctx, err, "A login for the load could not be made")
	}
	rename := rename(name, renamed)
	if f.live.Owner != f.t.User {
		rename += fmt.Sprintf("ALTER DATABASE %s OWNER TO %s;", ident(renamed), ident(f.live.Owner))
	}
	if err := script(ctx, f.admin, rename); err != nil {
		return f.refused(ctx, err, "A database could not be renamed and handed over to "+f.live.Owner)
	}
	return nil
}

// rehearsal is what the IDs of rehearsals have instead of an operation's.
const rehearsal = "_check"

// sweepRehearsals drops what a rehearsal left whose process or connection died, unless one is under way: each holds a lock.
func sweepRehearsals(ctx context.Context, conn *pgx.Conn, t engine.Target) error {
	key := advisoryKey(rehearsalClass, "0")
	var alone bool
	if err := conn.QueryRow(ctx, fmt.Sprintf("SELECT pg_catalog.pg_try_advisory_lock(%d)", key)).Scan(&alone); err != nil {
		return fmt.Errorf("look for rehearsals: %w", err)
	}
	if alone {
		rows, err := conn.Query(ctx, "SELECT datname::text FROM pg_catalog.pg_database WHERE starts_with(datname::text, $1)", "safepoint_"+safepoint.OperationPrefix+rehearsal)
		var left []string
		if err == nil {
			left, err = pgx.CollectRows(rows, pgx.RowTo[string])
		}
		if err != nil {
			return fmt.Errorf("look for rehearsals: %w", err)
		}
		for _, name := range left {
			dropRehearsal(ctx, conn, t, name)
		}
	}
	// The shared lock is taken before the other is given back: two do not sweep at once. It goes with the session.
	take := fmt.Sprintf("SELECT pg_catalog.pg_advisory_lock_shared(%d)", key)
	if alone {
		take += fmt.Sprintf("; SELECT pg_catalog.pg_advisory_unlock(%d)", key)
	}
	if err := script(ctx, conn, take); err != nil {
		return fmt.Errorf("hold a rehearsal's lock: %w", err)
	}
	return nil
}

// dropRehearsal drops what bears our mark, or none and holds nothing: the process may have died before it was marked. What
// cannot be dropped, as it is another user's, is his.
func dropRehearsal(ctx context.Context, conn *pgx.Conn, t engine.Target, name string) {
	id, _, ok := engine.ParseLeftover(name)
	there, is, err := byName(ctx, conn, name)
	if !ok || !is || err != nil {
		return
	}
	if !hasMarker(there.Comment, id, roleStaging) {
		if fine, err := abandoned(ctx, conn, t, engine.Plan{OperationID: id}, there); !fine || err != nil {
			return
		}
	}
	script(ctx, conn, "DROP DATABASE IF EXISTS "+ident(name)+" WITH (FORCE)")
	dropLogin(ctx, conn, id)
}

// login tries whether the backup can be executed by a login with few rights.
func (f *preflight) login(ctx context.Context, operationID, database string, unknown bool) error {
	there := f.t
	there.Name = database
	own, err := connect(ctx, there)
	if err != nil {
		return err
	}
	defer hangUp(own)
	login, err := makeLogin(ctx, own, there, operationID, nil, 1, 0)
	var none *noLoginError
	if !errors.As(err, &none) {
		if err == nil {
			login.discard(ctx)
		}
		return err
	}
	if unknown {
		f.blocker(safepoint.CodePrivilege, none.hint, "A file of unknown origin is only executed with few rights, and %s.", none.why)
		return nil
	}
	f.warning(safepoint.CodePrivilege, none.hint, "What the backup's functions do while it is loaded they do with the rights of the user %s, for %s.", f.t.User, none.why)
	return nil
}

func cmpLocale(h archive.Header) string {
	if h.Locale != "" {
		return h.Locale
	}
	return h.Collate
}

// refused takes what the server refused as a blocker, and returns any other error.
func (f *preflight) refused(ctx context.Context, err error, what string) error {
	if state(err) == "" || ctx.Err() != nil {
		return err
	}
	told := safepoint.UserError(explain(ctx, f.t, err))
	f.block(safepoint.Errorf(told.Code, "%s: %s", what, told.Quoted()).HintedAs(told))
	return nil
}
