package postgres

import (
	"bytes"
	"strings"

	"github.com/safepoint-db/safepoint/internal/sqlscript"
)

// lexeme is a word, a name, a string, a number or a sign of one statement.
type lexeme struct {
	kind lexemeKind
	text string // a word in capitals; a name as it is meant; everything else as it stands
}

type lexemeKind byte

const (
	endLexeme    lexemeKind = iota
	wordLexeme              // a keyword, or a name without quotes
	nameLexeme              // a name in quotes
	stringLexeme            // '…', E'…', $$…$$
	numberLexeme
	signLexeme // one byte of what else there is
	oddLexeme  // what pg_dump never writes: U&"…", B'…', an end inside quotes
)

// lexemes reads one statement as the server does, without its comments. It assumes standard_conforming_strings = on.
type lexemes struct{ rest []byte }

func (t *lexemes) take(n int) string {
	s := string(t.rest[:n])
	t.rest = t.rest[n:]
	return s
}

// odd gives up: nothing more is read.
func (t *lexemes) odd() lexeme {
	t.rest = nil
	return lexeme{kind: oddLexeme}
}

func (t *lexemes) next() lexeme {
	if !t.space() {
		return t.odd()
	}
	if len(t.rest) == 0 {
		return lexeme{}
	}
	c := t.rest[0]
	switch {
	case sqlscript.IsWordPart(c) && !(c >= '0' && c <= '9') && c != '$':
		return t.word()
	case c >= '0' && c <= '9':
		return lexeme{numberLexeme, t.take(numberLength(t.rest, 1))}
	case c == '\'':
		return t.quoted('\'', false)
	case c == '"':
		return t.quoted('"', false)
	case c == '$':
		return t.dollar()
	}
	return lexeme{signLexeme, t.take(1)}
}

// space passes over blanks and comments; false means a comment has no end.
func (t *lexemes) space() bool {
	for {
		t.rest = bytes.TrimLeft(t.rest, " \t\r\n\f\v")
		switch {
		case bytes.HasPrefix(t.rest, []byte("--")):
			end := bytes.IndexAny(t.rest, "\r\n")
			if end < 0 {
				end = len(t.rest)
			}
			t.rest = t.rest[end:]
		case bytes.HasPrefix(t.rest, []byte("/*")):
			if !t.block() {
				return false
			}
		default:
			return true
		}
	}
}

func (t *lexemes) block() bool {
	for depth, i := 1, 2; i+1 < len(t.rest); i++ {
		switch {
		case t.rest[i] == '*' && t.rest[i+1] == '/':
			i++
			if depth--; depth == 0 {
				t.rest = t.rest[i+1:]
				return true
			}
		case t.rest[i] == '/' && t.rest[i+1] == '*':
			depth, i = depth+1, i+1
		}
	}
	return false
}

func (t *lexemes) word() lexeme {
	n := 1
	for n < len(t.rest) && sqlscript.IsWordPart(t.rest[n]) {
		n++
	}
	if n == 1 && n < len(t.rest) {
		switch c, next := t.rest[0]|0x20, t.rest[1]; {
		case c == 'e' && next == '\'':
			t.rest = t.rest[1:]
			return t.quoted('\'', true)
		case (c == 'b' || c == 'x' || c == 'n') && next == '\'',
			c == 'u' && next == '&' && len(t.rest) > 2 && (t.rest[2] == '\'' || t.rest[2] == '"'):
			return t.odd()
		}
	}
	return lexeme{wordLexeme, upper(t.take(n))}
}

// upper makes capitals of ASCII letters only: no other byte is part of a keyword.
func upper(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' {
			return r - 'a' + 'A'
		}
		return r
	}, s)
}

func (t *lexemes) quoted(quote byte, escapes bool) lexeme {
	for i := 1; i < len(t.rest); i++ {
		switch c := t.rest[i]; {
		case c == '\\' && escapes:
			i++
		case c == quote && i+1 < len(t.rest) && t.rest[i+1] == quote:
			i++
		case c == quote:
			text := t.take(i + 1)
			if quote == '"' {
				return lexeme{nameLexeme, strings.ReplaceAll(text[1:len(text)-1], `""`, `"`)}
			}
			return lexeme{stringLexeme, text}
		}
	}
	return t.odd()
}

// numberLength is how much of rest is a number of which n bytes are known.
func numberLength(rest []byte, n int) int {
	isDigit := func(i int) bool { return i < len(rest) && rest[i] >= '0' && rest[i] <= '9' }
	for isDigit(n) || n < len(rest) && rest[n] == '.' {
		n++
	}
	switch {
	case n == len(rest) || rest[n]|0x20 != 'e':
	case isDigit(n + 1):
		return numberLength(rest, n+1)
	case n+1 < len(rest) && (rest[n+1] == '+' || rest[n+1] == '-') && isDigit(n+2):
		return numberLength(rest, n+2)
	}
	return n
}

func (t *lexemes) dollar() lexeme {
	if digits := len(t.rest) - 1 - len(bytes.TrimLeft(t.rest[1:], "0123456789")); digits > 0 {
		return lexeme{numberLexeme, t.take(1 + digits)}
	}
	n := 1
	for n < len(t.rest) && sqlscript.IsWordPart(t.rest[n]) && t.rest[n] != '$' {
		n++
	}
	if n == len(t.rest) || t.rest[n] != '$' {
		return lexeme{signLexeme, t.take(1)}
	}
	tag := t.rest[:n+1]
	end := bytes.Index(t.rest[n+1:], tag)
	if end < 0 {
		return t.odd()
	}
	return lexeme{stringLexeme, t.take(len(tag) + end + len(tag))}
}

// reader goes through a statement token by token. What it may look at is all that decides with which rights the
// statement is executed.
type reader struct {
	lexemes
	at lexeme
}

func readLexemes(statement []byte) *reader {
	r := &reader{lexemes: lexemes{statement}}
	r.step()
	return r
}

func (r *reader) step() { r.at = r.next() }

// is passes over keywords, or over nothing if they do not follow.
func (r *reader) is(keywords ...string) bool {
	from := *r
	for _, k := range keywords {
		if r.at.kind != wordLexeme || r.at.text != k {
			*r = from
			return false
		}
		r.step()
	}
	return true
}

// oneOf passes over the first list of words, each written "LIKE THIS", that follows.
func (r *reader) oneOf(lists ...string) (string, bool) {
	for _, list := range lists {
		if r.is(strings.Fields(list)...) {
			return list, true
		}
	}
	return "", false
}

func (r *reader) sign(c string) bool {
	if r.at.kind != signLexeme || r.at.text != c {
		return false
	}
	r.step()
	return true
}

// name passes over one identifier and gives it as the server takes it.
func (r *reader) name() (string, bool) {
	switch r.at.kind {
	case nameLexeme:
	case wordLexeme:
		r.at.text = strings.ToLower(r.at.text)
	default:
		return "", false
	}
	name := r.at.text
	r.step()
	return name, true
}

// qualified passes over a name of up to three parts, the first of which is then the database, and gives its schema, ""
// if it has none, and the last part.
func (r *reader) qualified() (schema, name string, ok bool) {
	if name, ok = r.name(); !ok {
		return "", "", false
	}
	for range 2 {
		if !r.sign(".") {
			break
		}
		schema = name
		if name, ok = r.name(); !ok {
			return "", "", false
		}
	}
	return schema, name, true
}

// brackets passes over (…), if it follows, in which there may be no string: false means there is one, or no end.
func (r *reader) brackets() bool {
	if r.at.kind != signLexeme || r.at.text != "(" {
		return true
	}
	for depth := 0; ; {
		switch {
		case r.at.kind == endLexeme || r.at.kind == oddLexeme || r.at.kind == stringLexeme:
			return false
		case r.at.kind == signLexeme && r.at.text == "(":
			depth++
		case r.at.kind == signLexeme && r.at.text == ")":
			if depth--; depth == 0 {
				r.step()
				return true
			}
		}
		r.step()
	}
}

// castsToOwn says that a literal may follow which the server reads as a type that the backup makes: …::schema.type. It
// does so when it takes the statement in, and a domain's CHECK, also of an array's or range's elements, runs then.
// pg_dump writes every literal so, and the schema of every type that is not the server's own.
func (r *reader) castsToOwn() bool {
	for r.at.kind != endLexeme && r.at.kind != oddLexeme {
		if !r.sign(":") {
			r.step()
			continue
		}
		if !r.sign(":") {
			continue
		}
		if schema, _, ok := r.qualified(); ok && schema != "" && schema != "pg_catalog" {
			return true
		}
	}
	return r.at.kind == oddLexeme
}

// ends says that nothing but the semicolon is left.
func (r *reader) ends() bool {
	r.sign(";")
	return r.at.kind == endLexeme
}
