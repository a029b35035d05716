package foreign

import (
	"bytes"
	"slices"
	"strings"
)

// objectTypes are what CREATE, ALTER, DROP and COMMENT ON are about, longer ones before their beginnings.
var objectTypes = [][]string{
	{"ACCESS", "METHOD"}, {"AGGREGATE"}, {"CAST"}, {"COLLATION"}, {"COLUMN"}, {"CONSTRAINT"}, {"CONVERSION"}, {"DATABASE"},
	{"DEFAULT", "PRIVILEGES"}, {"DOMAIN"}, {"EVENT", "TRIGGER"}, {"EXTENSION"}, {"FOREIGN", "DATA", "WRAPPER"}, {"FOREIGN", "TABLE"},
	{"FUNCTION"}, {"GROUP"}, {"INDEX"}, {"LANGUAGE"}, {"LARGE", "OBJECT"}, {"MATERIALIZED", "VIEW"}, {"OPERATOR", "CLASS"},
	{"OPERATOR", "FAMILY"}, {"OPERATOR"}, {"POLICY"}, {"PROCEDURE"}, {"PUBLICATION"}, {"ROLE"}, {"ROUTINE"}, {"RULE"}, {"SCHEMA"},
	{"SEQUENCE"}, {"SERVER"}, {"STATISTICS"}, {"SUBSCRIPTION"}, {"SYSTEM"}, {"TABLE"}, {"TABLESPACE"}, {"TEXT", "SEARCH", "CONFIGURATION"},
	{"TEXT", "SEARCH", "DICTIONARY"}, {"TEXT", "SEARCH", "PARSER"}, {"TEXT", "SEARCH", "TEMPLATE"}, {"TRANSFORM"}, {"TRIGGER"}, {"TYPE"},
	{"USER", "MAPPING"}, {"USER"}, {"VIEW"},
}

// modifiers may stand between a statement's verb and what it is about.
var modifiers = []string{"OR", "REPLACE", "GLOBAL", "LOCAL", "TEMP", "TEMPORARY", "UNLOGGED", "UNIQUE", "RECURSIVE", "TRUSTED", "PROCEDURAL", "DEFAULT"}

// codeTypes are what a database runs by itself later, or what reaches out of it.
var codeTypes = []string{"FUNCTION", "PROCEDURE", "AGGREGATE", "TRIGGER", "EVENT TRIGGER", "RULE", "LANGUAGE", "EXTENSION", "OPERATOR", "CAST",
	"TRANSFORM", "POLICY", "FOREIGN DATA WRAPPER", "SERVER", "USER MAPPING", "FOREIGN TABLE", "PUBLICATION", "SUBSCRIPTION", "ACCESS METHOD"}

// subject says what kind of thing a CREATE, ALTER, DROP or COMMENT ON is about, and which tokens follow. "" is unknown.
func subject(ts []token) (kind string, rest []token) {
	ts = ts[1:]
	if at(ts, 0).is("ON") {
		ts = ts[1:]
	}
	if are(ts, "CONSTRAINT", "TRIGGER") {
		return "TRIGGER", ts[2:]
	}
	for {
		for _, t := range objectTypes {
			if are(ts, t...) {
				return strings.Join(t, " "), existence(ts[len(t):])
			}
		}
		if len(ts) == 0 || !slices.ContainsFunc(modifiers, ts[0].is) {
			return "", ts
		}
		ts = ts[1:]
	}
}

// existence passes over IF [NOT] EXISTS, CONCURRENTLY and ONLY.
func existence(ts []token) []token {
	for len(ts) > 0 && (ts[0].is("IF") || ts[0].is("NOT") || ts[0].is("EXISTS") || ts[0].is("CONCURRENTLY") || ts[0].is("ONLY")) {
		ts = ts[1:]
	}
	return ts
}

// statement is what a statement turned out to be.
type statement struct {
	ts     []token
	verb   string  // "CREATE", in capitals
	kind   string  // "CREATE TABLE", for counting; "SELECT setval"
	object string  // "TABLE" with CREATE, ALTER, DROP and COMMENT
	rest   []token // what follows the object's type
	schema string
	name   string
	call   string // SELECT: the function called
}

// understand reads a statement's beginning.
func understand(bare []byte) statement {
	s := statement{ts: tokens(bare)}
	if len(s.ts) == 0 || s.ts[0].kind != 'w' {
		s.kind = "other"
		return s
	}
	s.verb = strings.ToUpper(s.ts[0].text)
	s.kind = s.verb
	switch s.verb {
	case "CREATE", "ALTER", "DROP", "COMMENT":
		if s.object, s.rest = subject(s.ts); s.object == "" {
			return s
		}
		s.kind += " " + s.object
		if s.object == "INDEX" && at(s.rest, 0).is("ON") {
			return s
		}
		s.schema, s.name, _ = qualified(s.rest)
	case "SELECT":
		schema, name, n := qualified(s.ts[1:])
		if n > 0 && at(s.ts, 1+n).kind == '(' && (schema == "" || schema == "pg_catalog") {
			s.call = name
			s.kind += " " + name
		}
	case "INSERT":
		s.schema, s.name, _ = qualified(s.ts[min(2, len(s.ts)):])
	case "START":
		s.kind = "BEGIN"
	case "SET", "RESET", "GRANT", "REVOKE", "UPDATE", "DELETE", "TRUNCATE", "COPY", "BEGIN", "COMMIT", "END", "ROLLBACK", "DO", "CALL",
		"LOCK", "ANALYZE", "VACUUM", "REFRESH", "SECURITY", "IMPORT", "REASSIGN", "CLUSTER", "REINDEX", "WITH", "VALUES", "NOTIFY", "LISTEN", "LOAD":
	default:
		s.kind = "other"
	}
	return s
}

// label is what a CREATE makes, for people: "TABLE public.orders".
func (s statement) label() string {
	switch {
	case s.verb != "CREATE" || s.name == "":
		return ""
	case s.schema != "":
		return s.object + " " + s.schema + "." + s.name
	}
	return s.object + " " + s.name
}

// rows says whether the statement is about rows, and not about what holds them.
func (s statement) rows() bool {
	return s.verb == "INSERT" || s.largeObject() || s.call == "setval" || s.object == "LARGE OBJECT"
}

// beginsRows says whether such a statement comes behind all that must be there before rows. pg_dump has written setval and
// lo_create before that.
func (s statement) beginsRows() bool {
	return s.verb == "INSERT" || slices.Contains([]string{"lo_open", "lowrite", "lo_put", "lo_from_bytea"}, s.call)
}

func (s statement) transaction() bool {
	return s.kind == "BEGIN" || s.kind == "COMMIT" || s.kind == "END"
}

func (s statement) largeObject() bool {
	return strings.HasPrefix(s.call, "lo_") || s.call == "lowrite" || s.call == "loread"
}

// alone says whether the server takes the statement only as the one statement of its message.
func (s statement) alone(bare []byte) bool {
	switch s.kind {
	case "VACUUM", "REINDEX", "CLUSTER":
		return true
	}
	return (s.object == "INDEX" || s.kind == "REFRESH") && bytes.Contains(bytes.ToUpper(bare[:min(200, len(bare))]), []byte("CONCURRENTLY"))
}

// dropsBefore says whether the statement takes away what an empty database does not have, as pg_dump --clean begins.
func (s statement) dropsBefore() bool {
	if s.verb == "DROP" || s.verb == "SELECT" && s.has("lo_unlink") {
		return true
	}
	return s.verb == "ALTER" && slices.ContainsFunc(s.rest, func(t token) bool { return t.is("DROP") })
}

// setting reads SET name = value, in lower case, and the value's tokens.
func (s statement) setting() (name string, value []token) {
	ts := s.ts[1:]
	if at(ts, 0).is("SESSION") || at(ts, 0).is("LOCAL") {
		ts = ts[1:]
	}
	if len(ts) == 0 {
		return "", nil
	}
	name = lower(ts[0].text)
	ts = ts[1:]
	if at(ts, 0).kind == '=' || at(ts, 0).is("TO") {
		ts = ts[1:]
	}
	if n := len(ts); n > 0 && ts[n-1].kind == ';' {
		ts = ts[:n-1]
	}
	return name, ts
}
