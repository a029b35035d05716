package postgres

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/archive"
	"github.com/safepoint-db/safepoint/internal/engine"
)

// NeedsInPlace says why no copy can be built beside the live database. See engine.InPlacer.
func (Engine) NeedsInPlace(ctx context.Context, t engine.Target) (*engine.Finding, error) {
	conn, err := connect(ctx, t)
	if err != nil {
		return nil, err
	}
	defer hangUp(conn)
	why, err := needsInPlace(ctx, conn, t)
	return why, explain(ctx, t, err)
}

func needsInPlace(ctx context.Context, conn *pgx.Conn, t engine.Target) (*engine.Finding, error) {
	var super, createDB, owns, outside bool
	var self, owner string
	err := conn.QueryRow(ctx, `SELECT r.rolsuper, r.rolcreatedb, pg_catalog.pg_has_role(d.datdba, 'USAGE'), current_user::text, pg_catalog.pg_get_userbyid(d.datdba)::text,
  EXISTS (SELECT FROM pg_catalog.pg_database m WHERE m.datname IN ('postgres', 'template1') AND m.oid <> d.oid AND m.datallowconn AND pg_catalog.has_database_privilege(m.oid, 'CONNECT'))
FROM pg_catalog.pg_roles r, pg_catalog.pg_database d WHERE r.rolname = current_user AND d.datname = pg_catalog.current_database()`).
		Scan(&super, &createDB, &owns, &self, &owner, &outside)
	if err != nil {
		return nil, fmt.Errorf("look at the user's rights: %w", err)
	}
	var why, grant []string
	if !createDB && !super {
		why, grant = append(why, "may not create databases"), append(grant, fmt.Sprintf("ALTER ROLE %s CREATEDB", ident(self)))
	}
	if !owns && !super {
		why, grant = append(why, "does not own "+t.Name), append(grant, fmt.Sprintf("GRANT %s TO %s", ident(owner), ident(self)))
	}
	if !outside && !super {
		why, grant = append(why, "may enter no other database of the server"), append(grant, fmt.Sprintf("GRANT CONNECT ON DATABASE postgres TO %s", ident(self)))
	}
	if len(why) == 0 {
		return nil, nil
	}
	found := engine.Found(safepoint.Errorf(safepoint.CodePrivilege, "The user %s %s: the restore is done in place. Services stay halted while the whole backup is loaded into %s itself, in one transaction that changes nothing if anything fails. No earlier database is set aside, so there is no undo: the way back is the safety backup.",
		self, strings.Join(why, " and "), t.Name).WithHint("For a short halt and an undo, let a superuser run: %s.", strings.Join(grant, "; ")))
	found.InPlace = true
	return &found, nil
}

// insideLive is what of the live database a restore in place could not drop, or not make again.
func (f *preflight) insideLive(ctx context.Context) error {
	if err := f.conn.QueryRow(ctx, "SELECT 1 WHERE pg_catalog.pg_is_in_recovery()").Scan(new(int)); err == nil {
		f.blocker(safepoint.CodeBlocked, "Enter the primary server's address.", "The server is a standby: it takes no changes.")
		return nil
	}
	list, err := tables(ctx, f.conn)
	if err != nil {
		return err
	}
	if u := unreadable(f.t.User, list); u != nil {
		f.block(u)
	}
	checks := []struct {
		sql, hint, format string
	}{
		{`SELECT i.type || ' ' || i.identity || ' of ' || pg_catalog.pg_get_userbyid(o.owner) FROM ` + ownedObjects + ` AND NOT pg_catalog.pg_has_role(o.owner, 'USAGE') ORDER BY o.class <> 'pg_catalog.pg_class'::pg_catalog.regclass, 1`,
			"GRANT their owner's role to %[1]s, or hand them over: REASSIGN OWNED BY … TO %[1]s.", "The user %s may not drop what belongs to others in this database: %s."},
		{"SELECT 'large object ' || oid || ' of ' || pg_catalog.pg_get_userbyid(lomowner) FROM pg_catalog.pg_largeobject_metadata WHERE NOT pg_catalog.pg_has_role(lomowner, 'USAGE') ORDER BY oid LIMIT 1000",
			"GRANT their owner's role to %[1]s, or hand them over: ALTER LARGE OBJECT … OWNER TO %[1]s.", "The user %s may not drop what belongs to others in this database: %s."},
		{"SELECT evtname::text FROM pg_catalog.pg_event_trigger e WHERE " + notOfExtensionAs("pg_event_trigger", "e.oid") + " ORDER BY 1",
			"Let a superuser drop them before the restore and make them again after it, or give %s CREATEDB and the database: then none of this is needed.", "Event triggers would fire while %s replaces everything, and only a superuser can make them: %s."},
		{"SELECT pubname::text FROM pg_catalog.pg_publication p WHERE puballtables OR NOT pg_catalog.pg_has_role(pubowner, 'USAGE') ORDER BY 1",
			"Let a superuser drop them before the restore and make them again after it.", "Publications that %s could not make again: %s."},
		{"SELECT subname::text FROM pg_catalog.pg_subscription WHERE subdbid = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()) ORDER BY 1",
			"DROP SUBSCRIPTION first, and create it anew after the restore.", "The database subscribes to another, whose rows would arrive while %s replaces everything: %s."},
		{`SELECT 'foreign data wrapper ' || fdwname FROM pg_catalog.pg_foreign_data_wrapper w WHERE oid >= 16384 AND ` + notOfExtensionAs("pg_foreign_data_wrapper", "w.oid") + `
UNION ALL SELECT 'language ' || lanname FROM pg_catalog.pg_language l WHERE oid >= 16384 AND ` + notOfExtensionAs("pg_language", "l.oid") + `
UNION ALL SELECT 'access method ' || amname FROM pg_catalog.pg_am a WHERE oid >= 16384 AND ` + notOfExtensionAs("pg_am", "a.oid") + `
UNION ALL SELECT 'server ' || srvname FROM pg_catalog.pg_foreign_server s WHERE NOT pg_catalog.pg_has_role(srvowner, 'USAGE') AND ` + notOfExtensionAs("pg_foreign_server", "s.oid") + ` ORDER BY 1`,
			"Use a user that may create databases: a superuser, or the owner with CREATEDB (now: %s).", "Only a superuser can drop and make again, not %s: %s."},
		{`SELECT DISTINCT pg_catalog.pg_get_userbyid(defaclrole)::text FROM pg_catalog.pg_default_acl WHERE NOT pg_catalog.pg_has_role(defaclrole, 'USAGE') ORDER BY 1`,
			"GRANT these roles to %s.", "The user %s may not change the default privileges of %s."},
	}
	for _, c := range checks {
		names, err := column(ctx, f.conn, c.sql)
		if err != nil {
			return fmt.Errorf("look at what would be dropped: %w", err)
		}
		if len(names) > 0 {
			f.blocker(safepoint.CodePrivilege, fmt.Sprintf(c.hint, ident(f.t.User)), c.format, f.t.User, naming(names))
		}
	}
	return f.slotsInPlace(ctx)
}

// slotsInPlace warns of readers to whom the restore is a stream of changes like any other.
func (f *preflight) slotsInPlace(ctx context.Context) error {
	slots, err := slotsOf(ctx, f.conn, f.t.Name)
	if err != nil {
		return err
	}
	if len(slots) > 0 {
		f.warning(safepoint.CodeBlocked, "Let their readers take a new copy after the restore.",
			"Logical replication reads from %s: %s. Its readers are sent every restored row as a new one, and are not told that the earlier ones are gone.", f.t.Name, described(slots))
	}
	return nil
}

// archiveInPlace checks what the archive asks of a user who executes all of it himself, in a transaction.
func (f *preflight) archiveInPlace(ctx context.Context, r *archive.Reader, asks properties, k kept) error {
	h := r.Header()
	if f.unknown(r) {
		return f.add(unknownInPlace())
	}
	if encoding := f.conn.PgConn().ParameterStatus("server_encoding"); encoding != h.Encoding && !ofUnknownLocale(h) {
		f.blocker(safepoint.CodeBlocked, "Let a superuser make a database of that encoding, and restore into it.",
			"The backup is encoded in %s, and %s in %s. In place the database stays as it is.", h.Encoding, f.t.Name, encoding)
	}
	if h.Collate != "" && (h.Collate != f.live.locale.Collate || h.CType != f.live.locale.CType || h.Locale != f.live.locale.Locale) {
		f.warning(safepoint.CodeBlocked, "What is sorted by the database's locale may come in another order.", "The backup's locale is %s, and the database keeps its own, %s.", cmpLocale(h), f.live.locale.Collate)
	}
	if err := f.extensionsInPlace(ctx, asks, k); err != nil {
		return err
	}
	need, err := f.vetInPlace(ctx, r, k)
	if err != nil {
		return f.add(err)
	}
	return f.locks(ctx, need)
}

// extensionsInPlace refuses those that stay in another version than the backup's.
func (f *preflight) extensionsInPlace(ctx context.Context, asks properties, k kept) error {
	have := map[string]string{}
	rows, err := f.conn.Query(ctx, "SELECT extname::text, extversion FROM pg_catalog.pg_extension WHERE extname <> 'plpgsql'")
	if err != nil {
		return fmt.Errorf("list extensions: %w", err)
	}
	var name, version string
	if _, err := pgx.ForEachRow(rows, []any{&name, &version}, func() error { have[name] = version; return nil }); err != nil {
		return fmt.Errorf("list extensions: %w", err)
	}
	wanted := map[string]bool{}
	for _, e := range asks.Extensions {
		wanted[e.Name] = true
		if k.extensions[e.Name] && have[e.Name] != e.Version {
			f.blocker(safepoint.CodeVersion, fmt.Sprintf("Let a superuser run: ALTER EXTENSION %s UPDATE TO %s.", ident(e.Name), literal(e.Version)),
				"The extension %s is here in version %s, the backup was made with %s, and the user %s may not replace it.", e.Name, have[e.Name], e.Version, f.t.User)
		}
	}
	for name := range have {
		if k.extensions[name] && !wanted[name] {
			f.warning(safepoint.CodePrivilege, "DROP EXTENSION by its owner, if it is not wanted.", "The extension %s, which is not in the backup, stays: it does not belong to the user %s.", name, f.t.User)
		}
	}
	return nil
}

// locksOf is how many locks what is in the database takes while it is dropped: each relation, and each thing that hangs on one.
const locksOf = `SELECT (SELECT count(*) * 2 FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE ` + userSchemas + `)
  + (SELECT count(*) * 2 FROM pg_catalog.pg_class t JOIN pg_catalog.pg_class c ON t.reltoastrelid = c.oid JOIN pg_catalog.pg_namespace n ON n.oid = t.relnamespace WHERE ` + userSchemas + `)
  + (SELECT count(*) FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace WHERE ` + userSchemas + `)
  + (SELECT count(*) FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace WHERE ` + userSchemas + `)
  + (SELECT count(*) FROM pg_catalog.pg_constraint WHERE oid >= 16384) + (SELECT count(*) FROM pg_catalog.pg_attrdef)
  + (SELECT count(*) FROM pg_catalog.pg_trigger) + (SELECT count(*) FROM pg_catalog.pg_rewrite WHERE oid >= 16384) + (SELECT count(*) FROM pg_catalog.pg_policy)
  + (SELECT count(*) FROM pg_catalog.pg_largeobject_metadata)`

// locksOfCatalogs is how many the server's own catalogs and their indexes take.
const locksOfCatalogs = 128

// locks refuses where the server's lock table would not hold what one transaction drops and makes.
func (f *preflight) locks(ctx context.Context, made int64) error {
	var perTransaction, connections, prepared, dropped int64
	err := f.conn.QueryRow(ctx, `SELECT pg_catalog.current_setting('max_locks_per_transaction')::pg_catalog.int8, pg_catalog.current_setting('max_connections')::pg_catalog.int8,
  pg_catalog.current_setting('max_prepared_transactions')::pg_catalog.int8, (`+locksOf+`)`).Scan(&perTransaction, &connections, &prepared, &dropped)
	if err != nil {
		return fmt.Errorf("look at the server's lock table: %w", err)
	}
	room, need := perTransaction*(connections+prepared), dropped+made+locksOfCatalogs
	if need > room {
		f.blocker(safepoint.CodeBlocked, fmt.Sprintf("Set max_locks_per_transaction = %d in postgresql.conf and restart the server, or let the user %s create databases: ALTER ROLE %s CREATEDB.",
			(need*5/4)/(connections+prepared)+1, f.t.User, ident(f.t.User)),
			"In place, one transaction would need about %d locks (%d to drop what is there, %d to make what is in the backup), and the server has room for %d (max_locks_per_transaction %d × (max_connections %d + max_prepared_transactions %d)).",
			need, dropped, made, room, perTransaction, connections, prepared)
	}
	return nil
}

// vetInPlace looks at every statement: whether our user can execute it, in a transaction. It counts the locks that they take.
func (f *preflight) vetInPlace(ctx context.Context, r *archive.Reader, k kept) (locks int64, err error) {
	l := &loader{r: r, priv: &privileges{}}
	var super, foreign []string
	schemas, forced := false, false
	fills, gives := map[string]bool{}, map[string]bool{}
	err = l.eachStatement(ctx, everyEntry, func(_ archive.Entry, n int, statement []byte) error {
		v := l.priv.of(statement)
		if v.rights == refused {
			return unfit("Statement %d of a part is not executed (%s): %s.", n, v.what, v.why)
		}
		if k.leaves(statement) {
			if v.gives != "" || strings.HasPrefix(v.what, "GRANT") || strings.HasPrefix(v.what, "REVOKE") {
				foreign = append(foreign, v.what)
			}
			return nil
		}
		if needsSuperuser(statement, v) {
			super = append(super, v.what)
		}
		schemas = schemas || v.what == "CREATE SCHEMA" || v.only != ""
		forced = forced || v.what == "ALTER TABLE ONLY" && strings.Contains(string(statement), " FORCE ROW LEVEL SECURITY")
		if v.gives != "" {
			gives[v.gives] = true
		}
		if s := understand(statement).subject.schema; s != "" && strings.HasPrefix(v.what, "CREATE ") {
			fills[s] = true
		}
		locks += locksMade(v.what)
		return nil
	})
	if err != nil {
		return 0, err
	}
	if len(super) > 0 {
		f.blocker(safepoint.CodePrivilege, "Restore it with a superuser.", "The backup makes what only a superuser can: %s.", naming(distinct(super)))
	}
	if len(foreign) > 0 {
		f.warning(safepoint.CodePrivilege, fmt.Sprintf("To have them restored, too: ALTER SCHEMA … OWNER TO %s.", ident(f.t.User)),
			"Schemas that belong to others stay as they are, with their grants: %s.", naming(k.others()))
	}
	return locks, errors.Join(f.mayGive(ctx, gives), f.mayCreate(ctx, schemas, k, fills), f.forced(ctx, forced))
}

// needsSuperuser knows the statements that the server refuses to anyone else.
func needsSuperuser(statement []byte, v verdict) bool {
	switch v.what {
	case "CREATE SERVER", "CREATE USER MAPPING", "CREATE TRANSFORM", "CREATE FOREIGN TABLE", "CREATE CAST", "ALTER SERVER":
		return false // the owner of what they stand on may do it
	case "CREATE PUBLICATION":
		return strings.Contains(string(statement), " FOR ALL TABLES")
	}
	strict := classify(statement, true)
	return strict.rights == refused && strings.Contains(strict.why, "needs a superuser") && !strings.Contains(v.what, "OWNER TO") && !strings.HasPrefix(v.what, "GRANT") && !strings.HasPrefix(v.what, "REVOKE")
}

// locksMade is how many locks a statement leaves behind: a table also has what holds its long values.
func locksMade(what string) int64 {
	switch {
	case what == "CREATE TABLE", what == "CREATE UNLOGGED TABLE", what == "CREATE MATERIALIZED VIEW":
		return 4
	case strings.HasPrefix(what, "CREATE "), strings.HasPrefix(what, "ALTER TABLE"):
		return 1
	}
	return 0
}

// mayGive checks the right to hand over what the backup gives to others.
func (f *preflight) mayGive(ctx context.Context, gives map[string]bool) error {
	foreign, err := f.missing(ctx, slices.Sorted(maps.Keys(gives)), "SELECT 1 FROM pg_catalog.pg_roles WHERE rolname = w AND pg_catalog.pg_has_role(oid, 'USAGE')")
	if err == nil && len(foreign) > 0 {
		f.blocker(safepoint.CodePrivilege, fmt.Sprintf("GRANT %s TO %s.", ident(foreign[0]), ident(f.t.User)),
			"Objects in the backup belong to %s. The user %s may not hand anything over to them.", naming(foreign), f.t.User)
	}
	return err
}

// mayCreate checks the rights to make schemas and extensions, and objects in schemas that stay.
func (f *preflight) mayCreate(ctx context.Context, schemas bool, k kept, fills map[string]bool) error {
	var inDatabase bool
	if err := f.conn.QueryRow(ctx, "SELECT pg_catalog.has_database_privilege(pg_catalog.current_database(), 'CREATE')").Scan(&inDatabase); err != nil {
		return fmt.Errorf("look at the user's rights: %w", err)
	}
	if schemas && !inDatabase {
		f.blocker(safepoint.CodePrivilege, fmt.Sprintf("GRANT CREATE ON DATABASE %s TO %s.", ident(f.t.Name), ident(f.t.User)),
			"The backup makes schemas or extensions, and the user %s may not make any in %s.", f.t.User, f.t.Name)
	}
	stay := slices.DeleteFunc(k.names(), func(name string) bool { return !fills[name] })
	denied, err := column(ctx, f.conn, "SELECT w FROM pg_catalog.unnest($1::text[]) w WHERE NOT pg_catalog.has_schema_privilege(w, 'CREATE') ORDER BY 1", stay)
	if err != nil {
		return fmt.Errorf("look at the user's rights: %w", err)
	}
	if len(denied) > 0 {
		f.blocker(safepoint.CodePrivilege, fmt.Sprintf("GRANT CREATE, USAGE ON SCHEMA %s TO %s.", ident(denied[0]), ident(f.t.User)),
			"The user %s may not make anything in the schema %s.", f.t.User, naming(denied))
	}
	return nil
}

// forced refuses tables whose rows the user could not read again to compare them.
func (f *preflight) forced(ctx context.Context, is bool) error {
	if !is {
		return nil
	}
	var bypass bool
	if err := f.conn.QueryRow(ctx, "SELECT rolbypassrls OR rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user").Scan(&bypass); err != nil {
		return fmt.Errorf("look at the user's rights: %w", err)
	}
	if !bypass {
		f.blocker(safepoint.CodePrivilege, fmt.Sprintf("ALTER ROLE %s BYPASSRLS.", ident(f.t.User)),
			"The backup has tables with FORCE ROW LEVEL SECURITY, whose rows the user %s could not read to compare them.", f.t.User)
	}
	return nil
}

// others are the schemas that stay and belong to somebody else.
func (k kept) others() []string {
	var names []string
	for _, name := range k.names() {
		if k.foreign(name) {
			names = append(names, name)
		}
	}
	return names
}

func distinct(names []string) []string {
	seen := map[string]bool{}
	var out []string
	for _, n := range names {
		if !seen[n] {
			seen[n], out = true, append(out, n)
		}
	}
	return out
}
