package postgres

import (
	"strings"

	"github.com/safepoint-db/safepoint/internal/sqlscript"
)

// ownedKinds can be given to another owner; ALTER kind name OWNER TO role.
var ownedKinds = []string{
	"AGGREGATE", "COLLATION", "CONVERSION", "DOMAIN", "FUNCTION", "PROCEDURE", "INDEX", "MATERIALIZED VIEW", "SCHEMA", "SEQUENCE", "STATISTICS",
	"TABLE ONLY", "TABLE", "TEXT SEARCH CONFIGURATION", "TEXT SEARCH DICTIONARY", "TYPE", "VIEW", "LARGE OBJECT",
	"OPERATOR CLASS", "OPERATOR FAMILY", "OPERATOR",
	"EVENT TRIGGER", "FOREIGN DATA WRAPPER", "FOREIGN TABLE", "SERVER", "PUBLICATION", "SUBSCRIPTION", "PROCEDURAL LANGUAGE", "LANGUAGE",
}

func (c *classifier) alter() verdict {
	if c.is("DEFAULT", "PRIVILEGES") {
		return c.defaultPrivileges()
	}
	kind, ok := c.oneOf(ownedKinds...)
	if !ok {
		if c.is("POLICY") || c.is("TRIGGER") || c.is("RULE") {
			return verdict{rights: asLogin, what: "ALTER"}
		}
		return refuse("", noPart)
	}
	what := "ALTER " + kind
	name := *c.reader
	if v, ok := c.owner(kind); ok {
		return v
	}
	*c.reader = name
	switch kind {
	case "EVENT TRIGGER":
		return c.special(oursLast, what)
	case "FOREIGN DATA WRAPPER", "SERVER", "OPERATOR FAMILY":
		return c.special(ours, what)
	case "PUBLICATION":
		return c.publication(what)
	case "SUBSCRIPTION", "LANGUAGE", "PROCEDURAL LANGUAGE", "LARGE OBJECT", "OPERATOR CLASS":
		return refuse("", noPart)
	}
	return verdict{rights: asLogin, what: what}
}

// owner is ALTER kind name[(arguments)] [USING method] OWNER TO role, and nothing else.
func (c *classifier) owner(kind string) (verdict, bool) {
	what := "ALTER " + kind + " … OWNER TO"
	schema := ""
	switch kind {
	case "LARGE OBJECT":
		if c.at.Kind != sqlscript.Number {
			return verdict{}, false
		}
		c.step()
		schema = "large objects have none"
	case "OPERATOR":
		var ok bool
		if schema, ok = c.operator(); !ok {
			return verdict{}, false
		}
	default:
		c.is("IF", "EXISTS")
		var ok bool
		var name string
		if schema, name, ok = c.qualified(); !ok || !c.brackets() {
			return verdict{}, false
		}
		if kind == "SCHEMA" {
			schema = name
		}
		if c.is("USING") {
			if _, ok := c.name(); !ok {
				return verdict{}, false
			}
		}
	}
	if !c.is("OWNER", "TO") {
		return verdict{}, false
	}
	quoted := c.at.Kind == sqlscript.Name
	role, ok := c.name()
	switch {
	case !ok || !c.ends():
		return refuse(what, "it is not written as pg_dump writes it"), true
	case !quoted && (role == "current_user" || role == "session_user" || role == "current_role"):
		return refuse(what, "it names no role"), true
	}
	v := verdict{rights: oursLater, what: what, gives: role, early: true}
	switch kind {
	case "EVENT TRIGGER":
		v = c.special(oursLast, what)
	case "FOREIGN DATA WRAPPER", "SERVER", "FOREIGN TABLE", "SUBSCRIPTION", "OPERATOR CLASS", "OPERATOR FAMILY", "LANGUAGE", "PROCEDURAL LANGUAGE":
		v = c.special(oursLater, what)
	case "PUBLICATION", "LARGE OBJECT":
	default:
		if c.unknown && systemSchema(schema) {
			return refuse(what, "it names something that this file did not make, or without its schema"), true
		}
	}
	return v, true
}

// operator passes over schema.=~=(left, right), with a schema that is no keyword.
func (c *classifier) operator() (schema string, ok bool) {
	if c.at.Kind == sqlscript.Word || c.at.Kind == sqlscript.Name {
		if schema, ok = c.name(); !ok || !c.sign(".") {
			return "", false
		}
	}
	if c.at.Kind != sqlscript.Operator {
		return "", false
	}
	c.step()
	return schema, c.atSign("(") && c.brackets()
}

// systemSchema says that a name in it is the server's own, or may be.
func systemSchema(schema string) bool {
	return schema == "" || schema == "information_schema" || strings.HasPrefix(schema, "pg_")
}

// defaultPrivileges is ALTER DEFAULT PRIVILEGES FOR ROLE role [IN SCHEMA schema] GRANT … or REVOKE ….
func (c *classifier) defaultPrivileges() verdict {
	const what = "ALTER DEFAULT PRIVILEGES"
	if !c.is("FOR", "ROLE") && !c.is("FOR", "USER") {
		return refuse(what, "it names no role")
	}
	role, ok := c.name()
	if next := c.at; !ok || next.Kind != sqlscript.Word || next.Text != "IN" && next.Text != "GRANT" && next.Text != "REVOKE" || !c.plainWords() {
		return refuse(what, "it is not written as pg_dump writes it")
	}
	return verdict{rights: oursLater, what: what, gives: role}
}

// plainWords says that only words, names, commas, dots and brackets follow, to the end.
func (c *classifier) plainWords() bool {
	for ; c.at.Kind != sqlscript.End; c.step() {
		switch c.at.Kind {
		case sqlscript.Word, sqlscript.Name, sqlscript.Number:
		case sqlscript.Sign:
			if !strings.Contains(",.()[];", c.at.Text) {
				return false
			}
		default:
			return false
		}
	}
	return true
}

// grantKinds are what rights are given to inside a database. One without a word is a table.
var grantKinds = []string{
	"TABLE", "SEQUENCE", "FUNCTION", "PROCEDURE", "ROUTINE", "SCHEMA", "TYPE", "DOMAIN", "LARGE OBJECT", "LANGUAGE", "FOREIGN DATA WRAPPER", "FOREIGN SERVER",
	"ALL TABLES IN SCHEMA", "ALL SEQUENCES IN SCHEMA", "ALL FUNCTIONS IN SCHEMA", "ALL PROCEDURES IN SCHEMA", "ALL ROUTINES IN SCHEMA",
}

// grant is GRANT or REVOKE … ON something of this database.
func (c *classifier) grant(verb string) verdict {
	if all := *c.reader; !(&classifier{reader: &all}).plainWords() {
		return refuse(verb, "it is not written as pg_dump writes it")
	}
	for c.at.Kind != sqlscript.End && !c.word("ON") {
		c.step()
	}
	if !c.is("ON") {
		return refuse(verb+" of a role", noPart)
	}
	if _, ok := c.oneOf("DATABASE", "TABLESPACE", "PARAMETER"); ok {
		return refuse(verb+" ON "+"DATABASE, TABLESPACE or PARAMETER", noPart)
	}
	kind, ok := c.oneOf(grantKinds...)
	if !ok {
		kind = "TABLE"
	}
	what := verb + " ON " + kind
	v := verdict{rights: oursLater, what: what, early: true}
	if !c.unknown {
		return v
	}
	switch kind {
	case "LANGUAGE", "FOREIGN DATA WRAPPER", "FOREIGN SERVER":
		return c.special(oursLater, what)
	case "LARGE OBJECT":
		return v
	}
	schemas := strings.HasSuffix(kind, "SCHEMA")
	for {
		schema, name, ok := c.qualified()
		if schemas {
			schema = name
		}
		switch {
		case !ok || systemSchema(schema):
			return refuse(what, "it names something that this file did not make, or without its schema")
		case !c.brackets():
			return refuse(what, "it is not written as pg_dump writes it")
		case !c.sign(","):
			return v
		}
	}
}
