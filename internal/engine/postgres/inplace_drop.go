package postgres

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/safepoint-db/safepoint/internal/archive"
)

// kept is what a restore in place leaves where it is, because the user may not drop it or could not make it again.
type kept struct {
	extensions map[string]bool // by name
	schemas    map[string]bool // true: it belongs to the user, who may change its grants and comment
}

// listSchemas are those of users, whether they belong to us, and whether they stay: public, those that belong to somebody
// else, and those that hold an extension that stays.
const listSchemas = `SELECT n.nspname::text, pg_catalog.pg_has_role(n.nspowner, 'USAGE'),
  n.nspname = 'public' OR NOT pg_catalog.pg_has_role(n.nspowner, 'USAGE')
    OR EXISTS (SELECT FROM pg_catalog.pg_extension e WHERE e.extnamespace = n.oid AND e.extname = ANY ($1::text[]))
    OR EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_namespace'::pg_catalog.regclass AND d.objid = n.oid AND d.deptype = 'e')
FROM pg_catalog.pg_namespace n WHERE ` + userSchemas + ` ORDER BY 1`

// lookKept decides what stays: an extension that the backup has in the same version, or that is not ours to drop.
func lookKept(ctx context.Context, conn *pgx.Conn, asks properties) (k kept, drop []string, err error) {
	k = kept{extensions: map[string]bool{}, schemas: map[string]bool{}}
	wanted := map[string]string{}
	for _, e := range asks.Extensions {
		wanted[e.Name] = e.Version
	}
	rows, err := conn.Query(ctx, `SELECT extname::text, extversion, pg_catalog.pg_has_role(extowner, 'USAGE') AND oid >= 16384 FROM pg_catalog.pg_extension ORDER BY 1`)
	if err != nil {
		return k, nil, fmt.Errorf("list extensions: %w", err)
	}
	var name, version string
	var ours bool
	var names []string
	_, err = pgx.ForEachRow(rows, []any{&name, &version, &ours}, func() error {
		if ours && wanted[name] != version {
			drop = append(drop, name)
			return nil
		}
		k.extensions[name] = true
		names = append(names, name)
		return nil
	})
	if err != nil {
		return k, nil, fmt.Errorf("list extensions: %w", err)
	}
	rows, err = conn.Query(ctx, listSchemas, names)
	if err != nil {
		return k, nil, fmt.Errorf("list schemas: %w", err)
	}
	var stays bool
	_, err = pgx.ForEachRow(rows, []any{&name, &ours, &stays}, func() error {
		if stays {
			k.schemas[name] = ours
		}
		return nil
	})
	if err != nil {
		return k, nil, fmt.Errorf("list schemas: %w", err)
	}
	return k, drop, nil
}

func (k kept) names() []string {
	names := make([]string, 0, len(k.schemas))
	for name := range k.schemas {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// ownedObjects are what users made in schemas, by catalog, with owner and schema. What belongs to another object as an
// integral part of it, or to an extension, goes with that.
const ownedObjects = `(
  SELECT 'pg_catalog.pg_class'::pg_catalog.regclass::oid AS class, oid, relowner AS owner, relnamespace AS namespace FROM pg_catalog.pg_class WHERE relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND relpersistence <> 't'
  UNION ALL SELECT 'pg_catalog.pg_proc'::pg_catalog.regclass, oid, proowner, pronamespace FROM pg_catalog.pg_proc
  UNION ALL SELECT 'pg_catalog.pg_type'::pg_catalog.regclass, t.oid, typowner, typnamespace FROM pg_catalog.pg_type t LEFT JOIN pg_catalog.pg_class c ON c.oid = t.typrelid WHERE coalesce(c.relkind = 'c', true)
  UNION ALL SELECT 'pg_catalog.pg_operator'::pg_catalog.regclass, oid, oprowner, oprnamespace FROM pg_catalog.pg_operator
  UNION ALL SELECT 'pg_catalog.pg_opclass'::pg_catalog.regclass, oid, opcowner, opcnamespace FROM pg_catalog.pg_opclass
  UNION ALL SELECT 'pg_catalog.pg_opfamily'::pg_catalog.regclass, oid, opfowner, opfnamespace FROM pg_catalog.pg_opfamily
  UNION ALL SELECT 'pg_catalog.pg_collation'::pg_catalog.regclass, oid, collowner, collnamespace FROM pg_catalog.pg_collation
  UNION ALL SELECT 'pg_catalog.pg_conversion'::pg_catalog.regclass, oid, conowner, connamespace FROM pg_catalog.pg_conversion
  UNION ALL SELECT 'pg_catalog.pg_statistic_ext'::pg_catalog.regclass, oid, stxowner, stxnamespace FROM pg_catalog.pg_statistic_ext
  UNION ALL SELECT 'pg_catalog.pg_ts_dict'::pg_catalog.regclass, oid, dictowner, dictnamespace FROM pg_catalog.pg_ts_dict
  UNION ALL SELECT 'pg_catalog.pg_ts_config'::pg_catalog.regclass, oid, cfgowner, cfgnamespace FROM pg_catalog.pg_ts_config
) o JOIN pg_catalog.pg_namespace n ON n.oid = o.namespace, pg_catalog.pg_identify_object(o.class, o.oid, 0) i
WHERE ` + userSchemas + ` AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = o.class AND d.objid = o.oid AND d.objsubid = 0 AND d.deptype IN ('i', 'e'))`

// listDrops are the statements that drop what is in schemas that stay, tables first: the rest often hangs on them.
const listDrops = `SELECT 'DROP ' || CASE WHEN i.type IN ('function', 'procedure', 'aggregate') THEN 'ROUTINE' WHEN i.type = 'statistics object' THEN 'STATISTICS' ELSE i.type END
  || ' IF EXISTS ' || i.identity || ' CASCADE'
FROM ` + ownedObjects + ` AND n.nspname = ANY ($1::text[])
ORDER BY o.class <> 'pg_catalog.pg_class'::pg_catalog.regclass, o.oid`

// drop empties the database of everything that a backup holds, but for what stays.
func (x *inPlace) drop(ctx context.Context, asks properties) error {
	k, extensions, err := lookKept(ctx, x.conn, asks)
	if err != nil {
		return err
	}
	x.kept = k
	own := &privileges{own: x.conn.PgConn()}
	run := func(sql string, args ...any) error {
		statements, err := column(ctx, x.conn, sql, args...)
		if err != nil {
			return fmt.Errorf("list what is to be dropped: %w", err)
		}
		for batch := range slices.Chunk(statements, batchStatements) {
			if err := own.pipeline(ctx, batch); err != nil {
				return fmt.Errorf("drop what the database holds: %w", err)
			}
		}
		return nil
	}
	steps := []struct {
		sql  string
		args []any
	}{
		{"SELECT 'DROP PUBLICATION ' || pg_catalog.quote_ident(pubname) FROM pg_catalog.pg_publication", nil},
		{`SELECT 'DROP SCHEMA ' || pg_catalog.quote_ident(n.nspname) || ' CASCADE' FROM pg_catalog.pg_namespace n WHERE ` + userSchemas + ` AND n.nspname <> ALL ($1::text[])`, []any{k.names()}},
		{listDrops, []any{k.names()}},
		{"SELECT 'DROP SERVER IF EXISTS ' || pg_catalog.quote_ident(srvname) || ' CASCADE' FROM pg_catalog.pg_foreign_server s WHERE " + notOfExtensionAs("pg_foreign_server", "s.oid"), nil},
		{"SELECT 'DROP EXTENSION IF EXISTS ' || pg_catalog.quote_ident(w) || ' CASCADE' FROM pg_catalog.unnest($1::text[]) w", []any{extensions}},
		{"SELECT 'SELECT pg_catalog.lo_unlink(' || oid || ')' FROM pg_catalog.pg_largeobject_metadata", nil},
		{resetDefaults, nil},
		{resetSchemas, []any{k.names()}},
		{`SELECT 'DELETE FROM ONLY ' || c.oid::pg_catalog.regclass || ' ' || u.condition FROM pg_catalog.pg_extension e,
  ROWS FROM (pg_catalog.unnest(e.extconfig), pg_catalog.unnest(e.extcondition)) AS u (oid, condition) JOIN pg_catalog.pg_class c ON c.oid = u.oid
WHERE c.relkind IN ('r', 'p') AND pg_catalog.has_table_privilege(c.oid, 'DELETE')`, nil},
	}
	for _, s := range steps {
		if err := run(s.sql, s.args...); err != nil {
			return err
		}
	}
	return nil
}

// notOfExtensionAs leaves out what an extension made, of any catalog.
func notOfExtensionAs(catalog, oid string) string {
	return "NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog." + catalog + "'::pg_catalog.regclass AND d.objid = " + oid + " AND d.deptype = 'e')"
}

// resetDefaults takes default privileges back to what they are before anybody changes them: the owner's and PUBLIC's
// own. Those of a schema that was dropped are gone with it.
const resetDefaults = `WITH d AS (
  SELECT x.*, 'ALTER DEFAULT PRIVILEGES FOR ROLE ' || pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(defaclrole))
    || coalesce(' IN SCHEMA ' || pg_catalog.quote_ident(n.nspname), '') AS begins,
    CASE defaclobjtype WHEN 'r' THEN 'TABLES' WHEN 'S' THEN 'SEQUENCES' WHEN 'f' THEN 'FUNCTIONS' WHEN 'T' THEN 'TYPES' WHEN 'n' THEN 'SCHEMAS' WHEN 'L' THEN 'LARGE OBJECTS' END AS kind
  FROM pg_catalog.pg_default_acl x LEFT JOIN pg_catalog.pg_namespace n ON n.oid = x.defaclnamespace
), revoke AS (
  SELECT DISTINCT 1 AS step, d.begins || ' REVOKE ALL ON ' || d.kind || ' FROM ' || CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(a.grantee)) END AS sql
  FROM d, pg_catalog.aclexplode(d.defaclacl) a
), again AS (
  SELECT 2, d.begins || ' GRANT ' || a.privilege_type || ' ON ' || d.kind || ' TO ' || CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(a.grantee)) END
  FROM d, pg_catalog.aclexplode(pg_catalog.acldefault(CASE d.defaclobjtype WHEN 'S' THEN 's' ELSE d.defaclobjtype END, d.defaclrole)) a WHERE d.defaclnamespace = 0
) SELECT sql FROM (SELECT * FROM revoke UNION ALL SELECT * FROM again) s ORDER BY step`

// resetSchemas takes the grants and the comment of schemas that stay, and are ours, back to what the server gave them.
const resetSchemas = `WITH s AS (
  SELECT n.oid, n.nspname, n.nspowner, coalesce(n.nspacl, pg_catalog.acldefault('n', n.nspowner)) AS acl,
    coalesce((SELECT p.initprivs FROM pg_catalog.pg_init_privs p WHERE p.objoid = n.oid AND p.classoid = 'pg_catalog.pg_namespace'::pg_catalog.regclass AND p.privtype = 'i'), pg_catalog.acldefault('n', n.nspowner)) AS first
  FROM pg_catalog.pg_namespace n WHERE n.nspname = ANY ($1::text[]) AND pg_catalog.pg_has_role(n.nspowner, 'USAGE')
), statements AS (
  SELECT DISTINCT 1 AS step, 'REVOKE ALL ON SCHEMA ' || pg_catalog.quote_ident(s.nspname) || ' FROM ' || CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(a.grantee)) END AS sql
  FROM s, pg_catalog.aclexplode(s.acl) a WHERE a.grantee <> s.nspowner
  UNION ALL SELECT DISTINCT 2, 'GRANT ' || a.privilege_type || ' ON SCHEMA ' || pg_catalog.quote_ident(s.nspname) || ' TO ' || CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(a.grantee)) END
  FROM s, pg_catalog.aclexplode(s.first) a WHERE a.grantee = 0
  UNION ALL SELECT 3, 'COMMENT ON SCHEMA ' || pg_catalog.quote_ident(s.nspname) || ' IS ' || CASE s.nspname WHEN 'public' THEN '''standard public schema''' ELSE 'NULL' END
  FROM s WHERE coalesce(pg_catalog.obj_description(s.oid, 'pg_namespace'), '') <> CASE s.nspname WHEN 'public' THEN 'standard public schema' ELSE '' END
) SELECT sql FROM statements ORDER BY step`

// column is the first column of a query, as text.
func column(ctx context.Context, conn *pgx.Conn, sql string, args ...any) ([]string, error) {
	rows, err := conn.Query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// leaves says that a statement is about what stays as it is, so that it is not executed.
func (k kept) leaves(statement []byte) bool {
	r := read(statement)
	switch {
	case r.is("CREATE", "EXTENSION"):
		r.is("IF", "NOT", "EXISTS")
		name, ok := r.name()
		return ok && k.extensions[name]
	case r.is("COMMENT", "ON", "EXTENSION"):
		name, ok := r.name()
		return ok && k.extensions[name]
	case r.is("CREATE", "SCHEMA"):
		name, ok := r.name()
		_, stays := k.schemas[name]
		return ok && stays
	case r.is("ALTER", "SCHEMA"), r.is("COMMENT", "ON", "SCHEMA"):
		name, ok := r.name()
		return ok && k.foreign(name)
	case r.is("GRANT"), r.is("REVOKE"):
		for !r.over() && !r.word("ON") {
			r.step()
		}
		if r.is("ON", "SCHEMA") {
			name, ok := r.name()
			return ok && k.foreign(name)
		}
	}
	return false
}

// foreign says that a schema stays and does not belong to us.
func (k kept) foreign(schema string) bool {
	ours, stays := k.schemas[schema]
	return stays && !ours
}

// plain says that the rows of an entry go into a table that was there before the transaction.
func (x *inPlace) plain(ctx context.Context, e archive.Entry) (bool, error) {
	var there bool
	err := x.conn.QueryRow(ctx, `SELECT count(*) > 0 FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid AND d.deptype = 'e'
WHERE n.nspname = $1::text::name AND c.relname = $2::text::name`, e.Schema, e.Table).Scan(&there)
	return there, err
}
