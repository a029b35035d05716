package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/engine"
)

var _ engine.Surveyor = Engine{}

// surveyDatabases finds by mark, by name, and by what is not as a server should leave a database.
const surveyDatabases = `SELECT d.oid::text, d.datname::text, d.datallowconn, d.datconnlimit, coalesce(pg_catalog.shobj_description(d.oid, 'pg_database'), ''),
  (SELECT count(*)::int FROM pg_catalog.pg_stat_activity a WHERE a.datid = d.oid AND a.usesysid IS NOT NULL AND a.pid <> pg_catalog.pg_backend_pid()),
  CASE WHEN d.datconnlimit <> -2 AND pg_catalog.has_database_privilege(d.oid, 'CONNECT') THEN pg_catalog.pg_database_size(d.oid) ELSE 0 END,
  pg_catalog.pg_get_userbyid(d.datdba)::text
FROM pg_catalog.pg_database d
WHERE d.datname ~ '^safepoint_op_[a-z0-9]+_(staging|aside)$' OR pg_catalog.starts_with(pg_catalog.shobj_description(d.oid, 'pg_database'), $1)
  OR NOT d.datallowconn AND d.datname <> 'template0' OR d.datconnlimit = -2
ORDER BY 2`

const surveyLogins = `SELECT r.oid::text, r.rolname::text, coalesce(pg_catalog.shobj_description(r.oid, 'pg_authid'), ''),
  (SELECT count(*)::int FROM pg_catalog.pg_stat_activity a WHERE a.usesysid = r.oid),
  (SELECT count(*)::int FROM pg_catalog.pg_shdepend s WHERE s.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass AND s.refobjid = r.oid AND s.deptype = 'o' AND s.dbid <> 0),
  ARRAY(SELECT DISTINCT d.datname::text FROM pg_catalog.pg_shdepend s JOIN pg_catalog.pg_database d ON d.oid = s.dbid
    WHERE s.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass AND s.refobjid = r.oid ORDER BY 1)
FROM pg_catalog.pg_roles r
WHERE r.rolname ~ '^safepoint_(op_|cli).*_load$' OR pg_catalog.starts_with(pg_catalog.shobj_description(r.oid, 'pg_authid'), $1) ORDER BY 2`

// Survey lists what restores left, and databases that are shut. See engine.Surveyor.
func (Engine) Survey(ctx context.Context, t engine.Target) (engine.Survey, error) {
	conn, err := maintenance(ctx, t)
	if err != nil {
		return engine.Survey{}, err
	}
	defer hangUp(conn)
	s, err := survey(ctx, conn, t)
	return s, explain(ctx, t, err)
}

func survey(ctx context.Context, conn *pgx.Conn, t engine.Target) (s engine.Survey, err error) {
	s.ServerVersion = version(conn)
	if s.ServerID, err = serverID(ctx, conn); err != nil {
		return s, err
	}
	live, is, err := byName(ctx, conn, t.Name)
	if err != nil {
		return s, err
	}
	if is {
		s.LiveID = live.OID
	}
	rows, err := conn.Query(ctx, surveyDatabases, markerPrefix)
	if err != nil {
		return s, err
	}
	databases, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (l engine.Leftover, err error) {
		var open bool
		var limit int
		var comment string
		err = row.Scan(&l.ID, &l.Name, &open, &limit, &comment, &l.Sessions, &l.Size, &l.Owner)
		l.Shut, l.Interrupted, l.ServerID = !open, limit == invalidDatabase, s.ServerID
		l.OperationID, l.Role, l.Marked = roleOf(l.Name, comment)
		return l, err
	})
	if err != nil {
		return s, err
	}
	for i := range databases {
		databases[i].CreatedAt = madeAt(ctx, conn, databases[i].ID)
	}
	if rows, err = conn.Query(ctx, surveyLogins, markerPrefix); err != nil {
		return s, err
	}
	logins, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (l engine.Leftover, err error) {
		var comment string
		err = row.Scan(&l.ID, &l.Name, &comment, &l.Sessions, &l.Owned, &l.Databases)
		l.Role, l.ServerID = engine.RoleLogin, s.ServerID
		l.OperationID = strings.TrimSuffix(strings.TrimPrefix(l.Name, loginPrefix), loginSuffix)
		l.Marked = l.Name == loginName(l.OperationID) && hasMarker(comment, l.OperationID, roleLoad)
		return l, err
	})
	s.Leftovers = append(databases, logins...)
	return s, err
}

// madeAt is when a database was made, which only those know who may look at the server's files; zero for others.
func madeAt(ctx context.Context, conn *pgx.Conn, oid string) time.Time {
	var made *time.Time
	err := conn.QueryRow(ctx, "SELECT f.modification FROM pg_catalog.pg_stat_file('base/' || $1::text || '/PG_VERSION', true) f", oid).Scan(&made)
	if err != nil || made == nil {
		return time.Time{}
	}
	return made.UTC()
}

// roleOf is what a database was to its restore. Its marker decides; a name without one only suggests.
func roleOf(name, comment string) (operationID string, role engine.Role, marked bool) {
	if rest, ok := strings.CutPrefix(comment, markerPrefix); ok {
		id, rest, _ := strings.Cut(rest, " role=")
		is, _, colon := strings.Cut(rest, ":")
		if colon && (is == roleStaging || is == roleAside) {
			return id, engine.Role(is), true
		}
	}
	operationID, role, _ = engine.ParseLeftover(name)
	return operationID, role, false
}

// Discard drops a staging database or a load login. See engine.Surveyor.
func (Engine) Discard(ctx context.Context, t engine.Target, l engine.Leftover) error {
	if l.Role == engine.RoleStaging && l.Interrupted && l.ID != "" {
		l.Marked = true // nothing but its drop is possible; that name and identity agree is checked below
	}
	if err := engine.CheckDiscard(l); err != nil {
		return err
	}
	conn, err := maintenance(ctx, t)
	if err != nil {
		return err
	}
	defer hangUp(conn)
	if err := sameServer(ctx, conn, t, engine.Plan{ServerID: l.ServerID}, safepoint.CodeNeedsOperator); err != nil {
		return explain(ctx, t, err)
	}
	if l.Role == engine.RoleLogin {
		if l.Sessions > 0 {
			return inUse(l.Name)
		}
		return explain(ctx, t, discardLogin(ctx, conn, t, l))
	}
	if l.Name != engine.StagingName(l.OperationID) {
		return safepoint.Errorf(safepoint.CodeNeedsOperator, "The staging database of operation %s is now called %s.", l.OperationID, l.Name).
			WithHint("Nothing was dropped. Somebody renamed it: look at what it is.")
	}
	is, err := mayDrop(ctx, conn, t, engine.Plan{OperationID: l.OperationID, ServerID: l.ServerID}, l.ID, l.Name, roleStaging)
	if err != nil || !is {
		return explain(ctx, t, err)
	}
	// Without FORCE: whoever is in it may be a restore that nobody told us of.
	err = script(ctx, conn, "DROP DATABASE "+ident(l.Name))
	switch state(err) {
	case stateObjectInUse:
		return inUse(l.Name)
	case stateNoDatabase:
		err = nil
	}
	if err == nil {
		err = dropLogin(ctx, conn, l.OperationID)
	}
	return explain(ctx, t, err)
}

// discardLogin drops a load login with what is its own in any database. Whatever somebody else made of that keeps it.
func discardLogin(ctx context.Context, conn *pgx.Conn, t engine.Target, l engine.Leftover) error {
	oid, is, err := findLogin(ctx, conn, l.OperationID)
	if err != nil || !is {
		return err
	}
	if oid != l.ID {
		return safepoint.Errorf(safepoint.CodeNeedsOperator, "The role %s is not the one that was looked at.", l.Name).WithHint("Nothing was dropped. Look again.")
	}
	for _, name := range l.Databases {
		there := t
		there.Name = name
		inside, err := connectContent(ctx, there)
		if err != nil {
			return fmt.Errorf("go into %s: %w", name, err)
		}
		err = script(ctx, inside, "DROP OWNED BY "+ident(l.Name))
		hangUp(inside)
		if pg := (*pgconn.PgError)(nil); errors.As(err, &pg) && pg.Code == stateDependentObjects {
			return safepoint.Errorf(safepoint.CodeBlocked, "In the database %s something else depends on what the role %s made.", name, l.Name).
				WithHint("Nothing was dropped there. Look at it, and drop it by hand: %s", pg.Detail).WithCause(err)
		}
		if err != nil {
			return fmt.Errorf("drop what is the load login's in %s: %w", name, err)
		}
	}
	return dropLogin(ctx, conn, l.OperationID)
}

func inUse(name string) error {
	return safepoint.Errorf(safepoint.CodeBlocked, "Somebody is working with %s: a restore may be under way.", name).
		WithHint("Nothing was dropped. Look at who it is: SELECT pid, usename, application_name, state FROM pg_stat_activity WHERE datname = %s OR usename = %s;", literal(name), literal(name))
}

// LetIn opens a database that lets nobody in. See engine.Surveyor.
func (Engine) LetIn(ctx context.Context, t engine.Target, l engine.Leftover) error {
	conn, err := maintenance(ctx, t)
	if err != nil {
		return err
	}
	defer hangUp(conn)
	err = sameServer(ctx, conn, t, engine.Plan{ServerID: l.ServerID}, safepoint.CodeNeedsOperator)
	if err == nil {
		err = script(ctx, conn, "BEGIN;\n"+checkIdentities(identity{oid: l.ID, name: l.Name})+
			fmt.Sprintf("ALTER DATABASE %s WITH ALLOW_CONNECTIONS true;\nCOMMIT;", ident(l.Name)))
	}
	return explainSwitch(ctx, t, err)
}

// PutBack gives a set-aside database the live name again. What only the restore's journal knows, its comment and its
// connection limit as they were, is left out: no comment, no limit. See engine.Surveyor.
func (Engine) PutBack(ctx context.Context, t engine.Target, l engine.Leftover) error {
	if err := engine.CheckPutBack(l); err != nil {
		return err
	}
	conn, err := maintenance(ctx, t)
	if err != nil {
		return err
	}
	defer hangUp(conn)
	return explainSwitch(ctx, t, putBack(ctx, conn, t, l))
}

func putBack(ctx context.Context, conn *pgx.Conn, t engine.Target, l engine.Leftover) error {
	if l.Name != engine.AsideName(l.OperationID) {
		return safepoint.Errorf(safepoint.CodeNeedsOperator, "%s carries the mark of operation %s, and not the name.", l.Name, l.OperationID).
			WithHint("Nothing was changed. Somebody renamed it: look at what it is.")
	}
	if err := sameServer(ctx, conn, t, engine.Plan{ServerID: l.ServerID}, safepoint.CodeNeedsOperator); err != nil {
		return err
	}
	if err := lockRestore(ctx, conn, l.ID); err != nil {
		return err
	}
	if err := waitForSwitch(ctx, conn, l.ID); err != nil {
		return err
	}
	holder, taken, err := byName(ctx, conn, t.Name)
	switch {
	case err != nil:
		return err
	case taken && holder.OID == l.ID:
		return nil
	case taken:
		return safepoint.Errorf(safepoint.CodeConflict, "There is a database called %s: nothing has to be put back.", t.Name).
			WithHint("Nothing was changed. If the database under this name is not the one that should be live, rename it by hand first.")
	}
	// Where somebody takes the name meanwhile the rename fails, and with it the whole.
	message := beginSwitch(engine.Plan{LiveID: l.ID}) + checkIdentities(
		identity{oid: l.ID, name: l.Name, operation: l.OperationID, role: roleAside},
	) + endSessions(l.ID) + rename(l.Name, t.Name) +
		fmt.Sprintf("COMMENT ON DATABASE %s IS NULL;\nALTER DATABASE %s WITH ALLOW_CONNECTIONS true CONNECTION LIMIT -1;\nCOMMIT;\n", ident(t.Name), ident(t.Name))
	return script(ctx, conn, message) // once: whoever asked for it asks again
}
