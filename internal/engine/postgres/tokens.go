package postgres

import (
	"bytes"
	"strings"

	"github.com/safepoint-db/safepoint/internal/sqlscript"
)

// token is one of a statement: a word or quoted name, a string, an operator, or a single other character.
type token struct {
	kind     tokenKind
	text     string // a word or name as it is meant, a string's value, the characters of all others
	from, to int    // in the statement
}

type tokenKind byte

const (
	wordToken     tokenKind = iota // unquoted: a keyword or a name
	nameToken                      // quoted
	stringToken                    // of whatever form; the text is "" for a dollar-quoted one
	operatorToken                  // such as ||
	otherToken                     // one character, such as a dot
)

const operatorChars = "+-*/<>=~!@#%^&|`?"

// tokens cuts a statement that a scanner gave out. Comments and numbers are left out.
func tokens(sql []byte) []token {
	var out []token
	for i := 0; i < len(sql); {
		from := i
		switch c := sql[i]; {
		case c == '-' && bytes.HasPrefix(sql[i:], []byte("--")):
			i = endOfLine(sql, i)
			continue
		case c == '/' && bytes.HasPrefix(sql[i:], []byte("/*")):
			i = endOfBlock(sql, i)
			continue
		case startsWord(c):
			for i < len(sql) && sqlscript.IsWordPart(sql[i]) {
				i++
			}
			if i == from+1 && (c == 'E' || c == 'e') && i < len(sql) && sql[i] == '\'' {
				var text string
				text, i = quotedValue(sql, i, true)
				out = append(out, token{stringToken, text, from, i})
				continue
			}
			out = append(out, token{wordToken, string(sql[from:i]), from, i})
		case c == '"':
			var text string
			text, i = quotedValue(sql, i, false)
			out = append(out, token{nameToken, text, from, i})
		case c == '\'':
			var text string
			text, i = quotedValue(sql, i, false)
			out = append(out, token{stringToken, text, from, i})
		case c == '$':
			i = endOfDollar(sql, i)
			out = append(out, token{stringToken, "", from, i})
		case c >= '0' && c <= '9':
			for i < len(sql) && (sqlscript.IsWordPart(sql[i]) || sql[i] == '.') {
				i++
			}
		case strings.IndexByte(operatorChars, c) >= 0:
			for i < len(sql) && strings.IndexByte(operatorChars, sql[i]) >= 0 &&
				!bytes.HasPrefix(sql[i:], []byte("--")) && !bytes.HasPrefix(sql[i:], []byte("/*")) {
				i++
			}
			out = append(out, token{operatorToken, string(sql[from:i]), from, i})
		case c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v':
			i++
		default:
			i++
			out = append(out, token{otherToken, string(sql[from:i]), from, i})
		}
	}
	return out
}

func startsWord(c byte) bool { return sqlscript.IsWordPart(c) && c != '$' && (c < '0' || c > '9') }

func endOfLine(sql []byte, i int) int {
	if n := bytes.IndexByte(sql[i:], '\n'); n >= 0 {
		return i + n + 1
	}
	return len(sql)
}

func endOfBlock(sql []byte, i int) int {
	depth := 0
	for ; i < len(sql); i++ {
		switch {
		case bytes.HasPrefix(sql[i:], []byte("/*")):
			depth++
			i++
		case bytes.HasPrefix(sql[i:], []byte("*/")):
			depth--
			i++
			if depth == 0 {
				return i + 1
			}
		}
	}
	return i
}

// quotedValue reads from the opening quote at i, and returns where it ends.
func quotedValue(sql []byte, i int, escapes bool) (string, int) {
	quote := sql[i]
	var b strings.Builder
	for i++; i < len(sql); i++ {
		switch c := sql[i]; {
		case c == '\\' && escapes && i+1 < len(sql):
			i++
			b.WriteByte(sql[i])
		case c == quote && i+1 < len(sql) && sql[i+1] == quote:
			i++
			b.WriteByte(quote)
		case c == quote:
			return b.String(), i + 1
		default:
			b.WriteByte(c)
		}
	}
	return b.String(), i
}

func endOfDollar(sql []byte, i int) int {
	end := i + 1
	for end < len(sql) && sqlscript.IsWordPart(sql[end]) && sql[end] != '$' {
		end++
	}
	if end == len(sql) || sql[end] != '$' || end > i+1 && !startsWord(sql[i+1]) {
		return i + 1 // $1, or the sign alone
	}
	tag := sql[i : end+1]
	if n := bytes.Index(sql[end+1:], tag); n >= 0 {
		return end + 1 + n + len(tag)
	}
	return len(sql)
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
		case t.isName() && i+2 < len(list) && list[i+1].is(".") && (list[i+2].isName() || list[i+2].kind == operatorToken):
			out = append(out, reference{tableName{readable(t.text), readable(list[i+2].text)}, t})
			for i += 2; i+2 < len(list) && list[i+1].is(".") && list[i+2].isName(); i += 2 {
			}
		case t.kind == stringToken && t.text != "" && readAsName(list, i):
			if name, ok := nameIn(t.text); ok {
				out = append(out, reference{name, t})
			}
		}
	}
	return out
}

func (t token) isName() bool { return t.kind == wordToken || t.kind == nameToken }

func (t token) is(text string) bool { return t.kind == otherToken && t.text == text }

// readAsName says that the string at i is the name of something.
func readAsName(list []token, i int) bool {
	if i >= 2 && list[i-1].is("(") && list[i-2].kind == wordToken && list[i-2].text == "setval" {
		return true
	}
	rest := list[i+1:]
	if len(rest) < 3 || !rest[0].is(":") || !rest[1].is(":") {
		return false
	}
	rest = rest[2:]
	if len(rest) > 2 && rest[0].text == "pg_catalog" && rest[1].is(".") {
		rest = rest[2:]
	}
	return rest[0].kind == wordToken && strings.HasPrefix(rest[0].text, "reg")
}

// nameIn reads a name with its schema from the beginning of a string.
func nameIn(text string) (tableName, bool) {
	list := tokens([]byte(text))
	if len(list) < 3 || !list[0].isName() || !list[1].is(".") || !list[2].isName() {
		return tableName{}, false
	}
	return tableName{readable(list[0].text), readable(list[2].text)}, true
}
