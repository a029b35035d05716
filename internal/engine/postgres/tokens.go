package postgres

import (
	"strings"

	"github.com/safepoint-db/safepoint/internal/sqlscript"
)

// token is one of a statement, with what it means: see sqlscript.Token.Value.
type token struct {
	sqlscript.Token
	value string
}

// tokens cuts a statement. Numbers are left out.
func tokens(sql []byte) []token {
	var out []token
	list := sqlscript.Tokens(sql)
	for t := list.Next(); t.Kind != sqlscript.End; t = list.Next() {
		if t.Kind != sqlscript.Number {
			out = append(out, token{t, t.Value()})
		}
	}
	return out
}

// reference is a schema's object that a statement names.
type reference struct {
	tableName
	schema token // its schema, or the string that holds the whole name
}

// references finds the names with a schema in a statement: pg_dump writes every name so that is not PostgreSQL's own.
// Of a.b.c it takes a.b. In strings it looks where they are read as a name: 'a.b'::regclass, and setval('a.b', …).
func references(list []token) []reference {
	var out []reference
	for i := 0; i < len(list); i++ {
		switch t := list[i]; {
		case t.isName() && i+2 < len(list) && list[i+1].is(".") && (list[i+2].isName() || list[i+2].Kind == sqlscript.Operator):
			out = append(out, reference{tableName{readable(t.value), readable(list[i+2].value)}, t})
			for i += 2; i+2 < len(list) && list[i+1].is(".") && list[i+2].isName(); i += 2 {
			}
		case t.Kind == sqlscript.String && readAsName(list, i):
			if name, ok := nameIn(t.value); ok {
				out = append(out, reference{name, t})
			}
		}
	}
	return out
}

func (t token) isName() bool { return t.Kind == sqlscript.Word || t.Kind == sqlscript.Name }

func (t token) is(text string) bool { return t.Kind == sqlscript.Sign && t.Text == text }

// readAsName says that the string at i is the name of something.
func readAsName(list []token, i int) bool {
	if i >= 2 && list[i-1].is("(") && list[i-2].Kind == sqlscript.Word && list[i-2].value == "setval" {
		return true
	}
	rest := list[i+1:]
	if len(rest) < 3 || !rest[0].is(":") || !rest[1].is(":") {
		return false
	}
	rest = rest[2:]
	if len(rest) > 2 && rest[0].value == "pg_catalog" && rest[1].is(".") {
		rest = rest[2:]
	}
	return rest[0].Kind == sqlscript.Word && strings.HasPrefix(rest[0].value, "reg")
}

// nameIn reads a name with its schema from the beginning of a string.
func nameIn(text string) (tableName, bool) {
	list := tokens([]byte(text))
	if len(list) < 3 || !list[0].isName() || !list[1].is(".") || !list[2].isName() {
		return tableName{}, false
	}
	return tableName{readable(list[0].value), readable(list[2].value)}, true
}
