package postgres

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/safepoint-db/safepoint"
)

// mayEnd says which sessions of others our user may end; a is pg_stat_activity, r the session's role.
const mayEnd = `(NOT r.rolsuper AND (pg_catalog.pg_has_role(r.oid, 'USAGE') OR pg_catalog.pg_has_role('pg_signal_backend', 'USAGE')))`

// endOthers ends the sessions of others in the database, as far as our user may. They are not waited for: what they hold is.
func (x *inPlace) endOthers(ctx context.Context) error {
	_, err := x.side.Exec(ctx, `SELECT count(pg_catalog.pg_terminate_backend(a.pid)) FROM pg_catalog.pg_stat_activity a JOIN pg_catalog.pg_roles r ON r.oid = a.usesysid
WHERE a.datname = pg_catalog.current_database() AND a.pid <> ALL ($1::int[]) AND `+mayEnd, x.pids())
	if err != nil {
		return fmt.Errorf("end other sessions: %w", err)
	}
	return nil
}

// lockPatience is how long sessions that we may not end are waited for; a test does not wait as long.
var lockPatience = 20 * time.Second

const lockTry = "1s"

// lock locks every table. Where somebody holds one, he is ended if that is ours to do, and waited for if it is not.
func (x *inPlace) lock(ctx context.Context, mode string) error {
	for deadline := time.Now().Add(lockPatience); ; {
		if err := x.endOthers(ctx); err != nil {
			return err
		}
		batch, err := x.lockOnce(ctx, mode)
		switch state(err) {
		case stateLockNotAvailable, stateDeadlock:
		case "42P01", "3F000": // a table has gone
		default:
			return err
		}
		if time.Now().After(deadline) {
			oids := make([]uint32, len(batch))
			for i, t := range batch {
				oids[i] = t.oid
			}
			return x.whoHolds(ctx, oids, err)
		}
		if err := script(ctx, x.conn, "ROLLBACK TO SAVEPOINT safepoint_lock; RELEASE SAVEPOINT safepoint_lock"); err != nil {
			return err
		}
	}
}

// lockOnce locks all tables, or none of those that it has not locked yet.
func (x *inPlace) lockOnce(ctx context.Context, mode string) (batch []table, err error) {
	list, err := tables(ctx, x.conn)
	if err != nil {
		return nil, err
	}
	if err := x.lockable(ctx, &list); err != nil {
		return nil, err
	}
	if err := script(ctx, x.conn, "SAVEPOINT safepoint_lock; SET LOCAL lock_timeout = '"+lockTry+"'"); err != nil {
		return nil, err
	}
	for batch := range slices.Chunk(list, batchStatements) {
		names := make([]string, len(batch))
		for i, t := range batch {
			names[i] = "ONLY " + t.String()
		}
		if err := script(ctx, x.conn, "LOCK TABLE "+strings.Join(names, ", ")+" IN "+mode+" MODE"); err != nil {
			return batch, err
		}
	}
	return nil, script(ctx, x.conn, fmt.Sprintf("RELEASE SAVEPOINT safepoint_lock; SET LOCAL lock_timeout = %d", lockTimeout.Milliseconds()))
}

// lockable leaves out of a list of tables what our user may not lock: of an extension whose configuration he may not change.
func (x *inPlace) lockable(ctx context.Context, list *[]table) error {
	x.unlockable = nil
	var config []uint32
	for _, t := range *list {
		if t.config {
			config = append(config, t.oid)
		}
	}
	if config == nil {
		return nil
	}
	rows, err := x.conn.Query(ctx, "SELECT oid FROM pg_catalog.unnest($1::oid[]) oid WHERE NOT coalesce(pg_catalog.has_table_privilege(oid, 'UPDATE, DELETE, TRUNCATE'), false)", config)
	if err != nil {
		return fmt.Errorf("look at the user's rights: %w", err)
	}
	if x.unlockable, err = pgx.CollectRows(rows, pgx.RowTo[uint32]); err != nil {
		return fmt.Errorf("look at the user's rights: %w", err)
	}
	*list = slices.DeleteFunc(*list, func(t table) bool { return slices.Contains(x.unlockable, t.oid) })
	return nil
}

// whoHolds names the session that kept us from a table, and what to do about it.
func (x *inPlace) whoHolds(ctx context.Context, oids []uint32, cause error) error {
	var name, who string
	var may, super bool
	err := x.side.QueryRow(ctx, `SELECT l.relation::pg_catalog.regclass::text,
  pg_catalog.format('session %s of user %s (%s)', a.pid, a.usename, coalesce(nullif(a.application_name, ''), 'no name')), `+mayEnd+`, r.rolsuper
FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_stat_activity a USING (pid) JOIN pg_catalog.pg_roles r ON r.oid = a.usesysid
WHERE l.locktype = 'relation' AND l.granted AND l.relation = ANY ($1::oid[]) AND a.pid <> ALL ($2::int[]) AND a.datname = pg_catalog.current_database()
ORDER BY l.mode = 'AccessShareLock', l.pid LIMIT 1`, oids, x.pids()).Scan(&name, &who, &may, &super)
	if err != nil {
		return safepoint.Errorf(safepoint.CodeBlocked, "A table is locked by another session.").WithHint("Wait until it has finished, and try again.").WithCause(cause)
	}
	blocked := safepoint.Errorf(safepoint.CodeBlocked, "The table %s is held by %s.", name, who).WithCause(cause)
	switch {
	case may:
		return blocked.WithHint("It is ended and comes back. Halt the service it belongs to, and try again.")
	case super:
		return blocked.WithHint("Only a superuser can end it. End it by hand and try again.")
	}
	return blocked.WithHint("End it by hand, or let the restore do so: GRANT pg_signal_backend TO %s.", ident(x.target.User))
}

// unlocked sums up what no lock of ours protects: objects that are no tables, where sequences stand, and rows of
// extensions that our user may not change but a drop of the extension would take away. For the content of large objects
// see stillSame.
func (x *inPlace) unlocked(ctx context.Context) (sum string, err error) {
	var parts []string
	for _, catalog := range []string{
		"pg_namespace", "pg_class", "pg_proc", "pg_type", "pg_rewrite", "pg_operator", "pg_extension", "pg_publication", "pg_publication_rel",
		"pg_foreign_server", "pg_event_trigger", "pg_default_acl", "pg_largeobject_metadata", "pg_collation", "pg_statistic_ext", "pg_ts_config", "pg_ts_dict", "pg_cast",
	} {
		parts = append(parts, `(SELECT coalesce(pg_catalog.md5(pg_catalog.string_agg(o.oid || ':' || o.xmin, ',' ORDER BY o.oid)), '') FROM pg_catalog.`+catalog+` o`+
			map[string]string{"pg_class": " JOIN pg_catalog.pg_namespace n ON n.oid = o.relnamespace WHERE " + userSchemas}[catalog]+`)`)
	}
	parts = append(parts, `(SELECT coalesce(pg_catalog.md5(pg_catalog.string_agg(schemaname || '.' || sequencename || ' ' || coalesce(last_value, 0), ',' ORDER BY schemaname, sequencename)), '') FROM (
  SELECT n.nspname::text AS schemaname, c.relname::text AS sequencename, CASE WHEN pg_catalog.has_sequence_privilege(c.oid, 'USAGE, SELECT') THEN pg_catalog.pg_sequence_last_value(c.oid) END AS last_value
  FROM pg_catalog.pg_sequence q JOIN pg_catalog.pg_class c ON c.oid = q.seqrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.relpersistence <> 't') s)`)
	names, err := column(ctx, x.conn, "SELECT oid::pg_catalog.regclass::text FROM pg_catalog.unnest($1::oid[]) oid ORDER BY oid", x.unlockable)
	if err != nil {
		return "", fmt.Errorf("look at what no lock protects: %w", err)
	}
	for _, name := range names {
		parts = append(parts, "(SELECT coalesce(pg_catalog.md5(pg_catalog.string_agg(o.ctid || ':' || o.xmin, ',' ORDER BY o.ctid)), '') FROM ONLY "+name+" o)")
	}
	if err := x.conn.QueryRow(ctx, "SELECT "+strings.Join(parts, " || ")).Scan(&sum); err != nil {
		return "", fmt.Errorf("look at what no lock protects: %w", err)
	}
	return sum, nil
}
