package postgres

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// properties are what hangs on a database and not on what is in it. An archive's header carries them for people and
// for the preflight; a switch gives those of the live database to the restored one.
type properties struct {
	Owner            string      `json:"owner"`
	Grants           []grant     `json:"grants"` // all of them, the owner's too
	Settings         []setting   `json:"settings,omitempty"`
	Comment          string      `json:"comment,omitempty"`
	ConnectionLimit  int         `json:"connection_limit"` // -1 is none
	AllowConnections bool        `json:"allow_connections"`
	IsTemplate       bool        `json:"is_template,omitempty"`
	Tablespace       string      `json:"tablespace"`
	Owners           []string    `json:"owners,omitempty"`      // roles that own something inside
	Roles            []string    `json:"roles,omitempty"`       // other roles that are named inside
	Tablespaces      []string    `json:"tablespaces,omitempty"` // others than the database's own, used inside
	Extensions       []extension `json:"extensions,omitempty"`

	locale locale // has its place in the archive's header
}

type grant struct {
	Grantee   string `json:"grantee"` // "" is PUBLIC
	Privilege string `json:"privilege"`
	Grantable bool   `json:"grantable,omitempty"`
}

// setting is one of ALTER DATABASE … SET or ALTER ROLE … IN DATABASE … SET.
type setting struct {
	Role  string `json:"role,omitempty"` // "" is everyone
	Name  string `json:"name"`
	Value string `json:"value"`
}

type extension struct {
	Name    string `json:"name"`
	Version string `json:"version"`
}

// locale is what CREATE DATABASE must be told.
type locale struct {
	Encoding, Collate, CType, Provider, Locale string
}

// catalogRow is a row of pg_database as JSON, whose columns differ from version to version.
type catalogRow struct {
	OID          string `json:"oid"`
	Name         string `json:"datname"`
	Collate      string `json:"datcollate"`
	CType        string `json:"datctype"`
	IsTemplate   bool   `json:"datistemplate"`
	AllowConn    bool   `json:"datallowconn"`
	ConnLimit    int    `json:"datconnlimit"`
	Provider     string `json:"datlocprovider"` // from 15
	ICULocale    string `json:"daticulocale"`   // 15 and 16
	Locale       string `json:"datlocale"`      // from 17
	EncodingName string `json:"encoding_name"`
	Owner        string `json:"owner_name"`
	Tablespace   string `json:"tablespace_name"`
	Comment      string `json:"comment"`
	XMin         string `json:"row_version"` // changes with every ALTER DATABASE and GRANT ON DATABASE
}

const selectDatabase = `SELECT pg_catalog.to_jsonb(d) || pg_catalog.jsonb_build_object(
  'encoding_name', pg_catalog.pg_encoding_to_char(d.encoding),
  'owner_name', pg_catalog.pg_get_userbyid(d.datdba),
  'tablespace_name', (SELECT s.spcname FROM pg_catalog.pg_tablespace s WHERE s.oid = d.dattablespace),
  'comment', coalesce(pg_catalog.shobj_description(d.oid, 'pg_database'), ''),
  'row_version', d.xmin::text)
FROM pg_catalog.pg_database d WHERE `

func scanDatabase(row pgx.Row) (catalogRow, error) {
	var raw []byte
	var c catalogRow
	if err := row.Scan(&raw); err != nil {
		return c, err
	}
	return c, json.Unmarshal(raw, &c)
}

func (c catalogRow) locale() locale {
	l := locale{Encoding: c.EncodingName, Collate: c.Collate, CType: c.CType, Provider: "libc"}
	switch c.Provider {
	case "i":
		l.Provider, l.Locale = "icu", c.ICULocale+c.Locale // one of them is there
	case "b":
		l.Provider, l.Locale = "builtin", c.Locale
	}
	return l
}

// captureDatabase reads what hangs on the database of that OID. It may run in any database of the server.
func captureDatabase(ctx context.Context, conn *pgx.Conn, oid string) (properties, error) {
	c, err := scanDatabase(conn.QueryRow(ctx, selectDatabase+"d.oid = $1::text::oid", oid))
	if err != nil {
		return properties{}, fmt.Errorf("read the database's properties: %w", err)
	}
	p := properties{
		Owner: c.Owner, Comment: c.Comment, ConnectionLimit: c.ConnLimit, AllowConnections: c.AllowConn,
		IsTemplate: c.IsTemplate, Tablespace: c.Tablespace, locale: c.locale(),
	}
	rows, err := conn.Query(ctx, `SELECT CASE a.grantee WHEN 0 THEN '' ELSE pg_catalog.pg_get_userbyid(a.grantee)::text END, a.privilege_type, a.is_grantable
FROM pg_catalog.pg_database d, pg_catalog.aclexplode(coalesce(d.datacl, pg_catalog.acldefault('d', d.datdba))) a
WHERE d.oid = $1::text::oid ORDER BY 1, 2, 3`, oid)
	if err == nil {
		p.Grants, err = pgx.CollectRows(rows, pgx.RowToStructByPos[grant])
	}
	if err != nil {
		return properties{}, fmt.Errorf("read the database's grants: %w", err)
	}
	rows, err = conn.Query(ctx, `SELECT coalesce(r.rolname::text, ''), pg_catalog.split_part(c, '=', 1), pg_catalog.substr(c, pg_catalog.strpos(c, '=') + 1)
FROM pg_catalog.pg_db_role_setting s LEFT JOIN pg_catalog.pg_roles r ON r.oid = s.setrole, pg_catalog.unnest(s.setconfig) WITH ORDINALITY AS u (c, n)
WHERE s.setdatabase = $1::text::oid ORDER BY 1, n`, oid)
	if err == nil {
		p.Settings, err = pgx.CollectRows(rows, pgx.RowToStructByPos[setting])
	}
	if err != nil {
		return properties{}, fmt.Errorf("read the database's settings: %w", err)
	}
	return p, nil
}

// captureContent is captureDatabase of the present database, and what its content asks of a server.
func captureContent(ctx context.Context, conn *pgx.Conn) (properties, error) {
	var oid string
	if err := conn.QueryRow(ctx, `SELECT oid::text FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()`).Scan(&oid); err != nil {
		return properties{}, fmt.Errorf("read the database's identity: %w", err)
	}
	p, err := captureDatabase(ctx, conn, oid)
	if err != nil {
		return p, err
	}
	lists := []struct {
		dst *[]string
		sql string
	}{
		{&p.Owners, listOwners},
		{&p.Roles, listRoles},
		{&p.Tablespaces, `SELECT DISTINCT s.spcname::text FROM pg_catalog.pg_class c JOIN pg_catalog.pg_tablespace s ON s.oid = c.reltablespace
WHERE s.spcname <> 'pg_global' ORDER BY 1`},
	}
	for _, l := range lists {
		rows, err := conn.Query(ctx, l.sql)
		if err == nil {
			*l.dst, err = pgx.CollectRows(rows, pgx.RowTo[string])
		}
		if err != nil {
			return p, fmt.Errorf("read what the database asks of a server: %w", err)
		}
		for i, name := range *l.dst {
			(*l.dst)[i] = readable(name)
		}
	}
	rows, err := conn.Query(ctx, `SELECT extname::text, extversion FROM pg_catalog.pg_extension WHERE extname <> 'plpgsql' ORDER BY 1`)
	if err == nil {
		p.Extensions, err = pgx.CollectRows(rows, pgx.RowToStructByPos[extension])
	}
	if err != nil {
		return p, fmt.Errorf("list extensions: %w", err)
	}
	return p, nil
}

// The bootstrap superuser is in no row of pg_shdepend: objects are asked for their owners directly. Nobody sets those of
// what an extension made: they belong to whom CREATE EXTENSION gives them.
var listOwners = `SELECT DISTINCT pg_catalog.pg_get_userbyid(o)::text FROM (
  SELECT c.relowner FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE ` + userSchemas + ` AND ` + notOfExtensionAs("pg_class", "c.oid") + `
  UNION SELECT p.proowner FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace WHERE ` + userSchemas + ` AND ` + notOfExtensionAs("pg_proc", "p.oid") + `
  UNION SELECT t.typowner FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace WHERE ` + userSchemas + ` AND t.typelem = 0 AND ` + notOfExtensionAs("pg_type", "t.oid") + `
  UNION SELECT n.nspowner FROM pg_catalog.pg_namespace n WHERE ` + userSchemas + ` AND NOT (n.nspname = 'public' AND n.nspowner = 10) AND ` + notOfExtensionAs("pg_namespace", "n.oid") + `
  UNION SELECT d.refobjid FROM pg_catalog.pg_shdepend d WHERE d.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass AND d.deptype = 'o'
    AND d.dbid = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
) AS owners (o) WHERE pg_catalog.pg_get_userbyid(o) !~ '^pg_' ORDER BY 1`

const listRoles = `SELECT DISTINCT r.rolname::text FROM pg_catalog.pg_shdepend d JOIN pg_catalog.pg_roles r ON r.oid = d.refobjid
WHERE d.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass AND d.deptype <> 'o' AND r.rolname !~ '^pg_'
  AND d.dbid = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()) ORDER BY 1`
