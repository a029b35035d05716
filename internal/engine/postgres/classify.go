package postgres

import (
	"fmt"
	"strings"

	"github.com/safepoint-db/safepoint/internal/sqlscript"
)

// rights says with which rights, and when, a statement of a backup is executed.
type rights int

const (
	refused      rights = iota
	asLogin             // by the load login, at its place
	ours                // by our own session, at its place: others need what it makes
	oursLater           // by our own session, after everything was loaded and indexed: owners, grants, comments
	oursLast            // by our own session, after nothing belongs to the load login any more: it would fire
	refresh             // by the load login, and if that may not, by our own session when the owner is known
	makesSetting        // it makes a setting of the session
	passedOver          // BEGIN and COMMIT: how statements are grouped is ours to say
)

// verdict is what classify says of one statement.
type verdict struct {
	rights rights
	what   string // "CREATE FUNCTION", for people
	why    string // it is refused, "" if the server would not be asked either way
	code   bool   // it makes something that runs later, with its owner's rights
	gives  string // the role that it makes an owner, or whose future objects it grants
	made   string // of a foreign table, quoted: to be handed over to the load login at once
	server string // of a foreign table that the load login makes, which must be let use it
	only   string // the extension it makes
	early  bool   // an extension may still be made after it: nothing that its script could call is there
}

// classify reads a statement as far as needed to know what it is. Everything that pg_dump writes is known; what is not
// is refused. Statements of a file of unknown origin may make nothing that needs a superuser.
func classify(statement []byte, unknown bool) verdict {
	c := &classifier{reader: read(statement), unknown: unknown}
	v := c.statement()
	if v.what == "" {
		v.what = excerpt(statement)
	}
	return v
}

func excerpt(statement []byte) string {
	return fmt.Sprintf("%.60s", strings.Join(strings.Fields(string(withoutComments(statement))), " "))
}

type classifier struct {
	*reader
	unknown bool
}

// special is for what only a superuser can make, or what reaches out of the database.
func (c *classifier) special(r rights, what string) verdict {
	if c.unknown {
		return verdict{what: what, why: what + " needs a superuser, and nobody vouches for this file"}
	}
	return verdict{rights: r, what: what}
}

func refuse(what, why string) verdict { return verdict{what: what, why: why} }

const noPart = "it is no part of a backup of one database"

func (c *classifier) statement() verdict {
	verb := c.at.Text
	if c.at.Kind != sqlscript.Word {
		return refuse("", noPart)
	}
	c.step()
	switch verb {
	case "CREATE":
		return c.create()
	case "ALTER":
		return c.alter()
	case "COMMENT":
		return c.comment()
	case "GRANT", "REVOKE":
		return c.grant(verb)
	case "SET", "RESET":
		return c.set(verb)
	case "SELECT":
		return c.selects()
	case "SECURITY":
		if c.is("LABEL") {
			if c.is("FOR") {
				c.step()
			}
			if c.is("ON", "EVENT", "TRIGGER") {
				return c.special(oursLast, "SECURITY LABEL")
			}
			return c.special(oursLater, "SECURITY LABEL")
		}
	case "REFRESH":
		if c.is("MATERIALIZED", "VIEW") {
			return verdict{rights: refresh, what: "REFRESH MATERIALIZED VIEW", code: true}
		}
	case "BEGIN", "COMMIT":
		if c.ends() {
			return verdict{rights: passedOver, what: verb, early: true}
		}
	case "INSERT":
		if c.is("INTO") {
			return verdict{rights: asLogin, what: "INSERT"}
		}
	case "DROP":
		return c.drop()
	}
	return refuse("", noPart)
}

// plainKinds are objects that whoever may create in a schema can make, and owns then.
var plainKinds = []string{
	"AGGREGATE", "COLLATION", "CONVERSION", "DOMAIN", "INDEX", "UNIQUE INDEX", "POLICY", "RULE", "SCHEMA", "SEQUENCE", "STATISTICS", "TABLE",
	"TEXT SEARCH CONFIGURATION", "TEXT SEARCH DICTIONARY", "TRIGGER", "CONSTRAINT TRIGGER", "UNLOGGED TABLE", "UNLOGGED SEQUENCE", "VIEW", "RECURSIVE VIEW",
	"MATERIALIZED VIEW", "FUNCTION", "PROCEDURE", "TYPE", "OPERATOR",
}

// specialKinds need a superuser, or lead out of the database.
var specialKinds = []string{
	"ACCESS METHOD", "FOREIGN DATA WRAPPER", "SERVER", "USER MAPPING", "TRUSTED PROCEDURAL LANGUAGE", "TRUSTED LANGUAGE",
	"PROCEDURAL LANGUAGE", "LANGUAGE", "OPERATOR CLASS", "OPERATOR FAMILY", "TEXT SEARCH PARSER", "TEXT SEARCH TEMPLATE", "TRANSFORM",
}

func (c *classifier) create() verdict {
	c.is("OR", "REPLACE")
	if kind, ok := c.oneOf(specialKinds...); ok {
		v := c.special(ours, "CREATE "+kind)
		v.early = strings.HasSuffix(kind, "LANGUAGE")
		return v
	}
	switch {
	case c.is("CAST"):
		if c.unknown { // the server lets the owner of a type do it with a function
			return verdict{rights: asLogin, what: "CREATE CAST", code: true}
		}
		return verdict{rights: ours, what: "CREATE CAST"}
	case c.is("EVENT", "TRIGGER"):
		return c.special(oursLast, "CREATE EVENT TRIGGER")
	case c.is("EXTENSION"):
		return c.extension()
	case c.is("FOREIGN", "TABLE"):
		return c.foreignTable()
	case c.is("PUBLICATION"):
		return c.publication("CREATE PUBLICATION")
	case c.is("SUBSCRIPTION"):
		return c.subscription()
	}
	kind, ok := c.oneOf(plainKinds...)
	if !ok {
		return refuse("", noPart)
	}
	v := verdict{rights: asLogin, what: "CREATE " + kind}
	switch kind {
	case "FUNCTION", "PROCEDURE":
		return c.routine(v)
	case "TYPE":
		return c.typeOf(v)
	case "AGGREGATE":
		return c.aggregate(v)
	case "MATERIALIZED VIEW", "STATISTICS", "OPERATOR":
		v.code = true
	case "SCHEMA":
		_, ok := c.name()
		v.early = ok && c.ends()
	case "COLLATION":
		v.early = true
	}
	return v
}

// extension is CREATE EXTENSION [IF NOT EXISTS] name [WITH SCHEMA name].
func (c *classifier) extension() verdict {
	c.is("IF", "NOT", "EXISTS")
	name, ok := c.name()
	if ok && (c.is("WITH", "SCHEMA") || c.is("SCHEMA")) {
		_, ok = c.name()
	}
	if !ok || !c.ends() {
		return refuse("CREATE EXTENSION", "it asks for more than a name and a schema")
	}
	return verdict{rights: ours, what: "CREATE EXTENSION " + name, only: name, early: true}
}

// foreignTable may not have bounds as a partition: they are expressions, which would be computed with our rights.
func (c *classifier) foreignTable() verdict {
	v := c.special(ours, "CREATE FOREIGN TABLE")
	schema, name, ok := c.qualified()
	if !ok || schema == "" || c.is("PARTITION") {
		return refuse(v.what, "it is not written as pg_dump writes it")
	}
	if defaults := *c.reader; v.rights == ours && defaults.castsToOwn() { // they would be read with our rights, too
		server, ok := c.server()
		if !ok {
			return refuse(v.what, "it is not written as pg_dump writes it")
		}
		return verdict{rights: asLogin, what: v.what, server: server}
	}
	v.made = qualified(schema, name)
	return v
}

// server is the one of a foreign table, of which the columns come next.
func (c *classifier) server() (string, bool) {
	for ; !c.over(); c.step() {
		switch {
		case c.atSign("("):
			if !c.list() {
				return "", false
			}
		case c.is("SERVER"):
			return c.name()
		}
	}
	return "", false
}

func (c *classifier) publication(what string) verdict {
	if c.unknown {
		return verdict{rights: asLogin, what: what}
	}
	return verdict{rights: oursLater, what: what}
}

// subscription must be one that does not connect, which leaves it disabled.
func (c *classifier) subscription() verdict {
	v := c.special(oursLater, "CREATE SUBSCRIPTION")
	quiet := false
	for ; c.at.Kind != sqlscript.End; c.step() {
		switch {
		case c.at.Kind == sqlscript.Odd:
			return refuse(v.what, "it is not written as pg_dump writes it")
		case c.is("CONNECT"):
			quiet = c.sign("=") && c.is("FALSE")
		case c.word("ENABLED"), c.word("CREATE_SLOT"):
			return refuse(v.what, "it would begin to connect")
		}
	}
	if !quiet {
		return refuse(v.what, "it would connect to another server")
	}
	return v
}

// unsafeLanguages are those known to be for superusers only. Others like them are found out by trying.
var unsafeLanguages = map[string]bool{"c": true, "internal": true, "plpython3u": true, "plpythonu": true, "plperlu": true, "pltclu": true}

// routine looks for what makes a function one of a superuser.
func (c *classifier) routine(v verdict) verdict {
	v.code = true
	for last := ""; c.at.Kind != sqlscript.End; {
		if c.at.Kind == sqlscript.Odd {
			return verdict{rights: asLogin, what: v.what, code: true} // the login's rights are what bounds it
		}
		if c.atSign("(") && !c.list() {
			return v
		}
		switch word := c.at.Text; {
		case c.at.Kind != sqlscript.Word:
			last = ""
		case last == "LANGUAGE" && unsafeLanguages[strings.ToLower(word)]:
			return c.unsafe(v, "in the language "+strings.ToLower(word))
		case word == "LEAKPROOF" && last != "NOT", word == "SUPPORT":
			return c.unsafe(v, "that is "+word)
		case word == "BEGIN" && last != "AS":
			return v // a body follows
		default:
			last = word
		}
		if c.at.Kind == sqlscript.Name && last == "LANGUAGE" && unsafeLanguages[c.at.Text] {
			return c.unsafe(v, "in the language "+c.at.Text)
		}
		c.step()
	}
	return v
}

// aggregate is one whose state is the server's own (STYPE = internal) where only a superuser can make it.
func (c *classifier) aggregate(v verdict) verdict {
	v.code = true
	internal, foreign, begins := false, false, false
	for !c.over() {
		begins = begins || c.word("INITCOND") || c.word("MINITCOND")
		if !c.is("STYPE") && !c.is("MSTYPE") {
			c.step()
			continue
		}
		if !c.sign("=") {
			continue
		}
		schema, name, _ := c.qualified()
		internal = internal || schema == "" && name == "internal"
		foreign = foreign || schema != "" && schema != "pg_catalog"
	}
	if internal && !(foreign && begins) { // a beginning is read as its type, whose CHECK runs
		return c.unsafe(v, "whose state is the server's own")
	}
	return v
}

func (c *classifier) unsafe(v verdict, how string) verdict {
	u := c.special(ours, v.what+" "+how)
	u.code = true
	return u
}

// list passes over (…) of any content and what follows directly.
func (c *classifier) list() bool {
	for depth := 0; ; c.step() {
		switch {
		case c.over():
			return false
		case c.atSign("("):
			depth++
		case c.atSign(")"):
			if depth--; depth == 0 {
				return true
			}
		}
	}
}

// typeOf tells types that anyone can make from base types and what is made for them.
func (c *classifier) typeOf(v verdict) verdict {
	if _, _, ok := c.qualified(); !ok {
		return refuse(v.what, "it has no name")
	}
	if !c.is("AS") {
		return c.special(ours, "CREATE TYPE of its own representation")
	}
	if c.is("RANGE") {
		for ; !c.over(); c.step() {
			if c.word("CANONICAL") {
				return c.special(ours, "CREATE TYPE … CANONICAL") // as is the shell that was made before
			}
		}
	}
	return v
}

// drop is what pg_dump --clean writes.
func (c *classifier) drop() verdict {
	if kind, ok := c.oneOf(append([]string{"FOREIGN TABLE", "EXTENSION", "PUBLICATION"}, plainKinds...)...); ok {
		return verdict{rights: asLogin, what: "DROP " + kind, early: true}
	}
	return refuse("", noPart)
}

// comment is COMMENT ON … IS '…'. It runs nothing.
func (c *classifier) comment() verdict {
	if !c.is("ON") || c.at.Kind != sqlscript.Word {
		return refuse("COMMENT", noPart)
	}
	what, when := "COMMENT ON "+c.at.Text, oursLater
	if c.is("EVENT", "TRIGGER") {
		when = oursLast // it is not there before
	}
	if _, ok := c.oneOf("DATABASE", "ROLE", "TABLESPACE"); ok {
		return refuse(what, noPart)
	}
	for c.at.Kind != sqlscript.End {
		if c.at.Kind == sqlscript.Odd || c.at.Kind == sqlscript.String {
			break
		}
		if c.is("IS") && (c.at.Kind == sqlscript.String || c.word("NULL")) {
			if c.step(); c.ends() {
				return verdict{rights: when, what: what, early: true}
			}
			break
		}
		if !c.word("IS") {
			c.step()
		}
	}
	return refuse(what, "it is not written as pg_dump writes it")
}
