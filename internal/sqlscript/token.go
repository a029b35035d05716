package sqlscript

import (
	"bytes"
	"strings"
)

// Token is a word, a name, a string, a number or a sign of one statement.
type Token struct {
	Kind     Kind
	Text     string // as it stands
	From, To int    // in the statement
}

// Kind is what a token is.
type Kind byte

const (
	End      Kind = iota // nothing is left
	Word                 // a keyword, or a name without quotes
	Name                 // a name in quotes
	String               // '…', E'…', $$…$$
	Number               // also a parameter, $1
	Sign                 // one byte of what else there is, such as a dot
	Odd                  // what dumps hardly hold: U&"…", B'…', and quotes or comments without an end
	Operator             // one or several of +-*/<>=~!@#%^&|`?
)

// Tokenizer reads one statement, as Scanner.Next gives it out, the way the server does. Blanks and comments are left out.
// It assumes standard_conforming_strings = on.
type Tokenizer struct {
	sql []byte
	at  int
}

// Tokens begins to read a statement.
func Tokens(statement []byte) Tokenizer { return Tokenizer{sql: statement} }

// Next is the next token, of kind End after the last.
func (t *Tokenizer) Next() Token {
	blank, ended := blanks(t.sql[t.at:])
	t.at += blank
	from := t.at
	kind, n := End, 0
	switch rest := t.sql[from:]; {
	case !ended:
		kind, n = Odd, len(rest)
	case len(rest) > 0:
		kind, n = first(rest)
	}
	t.at += n
	return Token{kind, string(t.sql[from:t.at]), from, t.at}
}

// Blanks is how many bytes of blanks and comments a piece of a script begins with.
func Blanks(piece []byte) int {
	n, ended := blanks(piece)
	if !ended {
		return len(piece)
	}
	return n
}

// blanks is Blanks; it stops before a comment that has no end.
func blanks(b []byte) (n int, ended bool) {
	for n < len(b) {
		rest := b[n:]
		switch {
		case isBlank(rest[0]):
			n++
		case bytes.HasPrefix(rest, []byte("--")):
			end := bytes.IndexAny(rest, "\r\n")
			if end < 0 {
				return len(b), true
			}
			n += end
		case bytes.HasPrefix(rest, []byte("/*")):
			end := blockLength(rest)
			if end < 0 {
				return n, false
			}
			n += end
		default:
			return n, true
		}
	}
	return n, true
}

func isBlank(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }

// blockLength is that of the comment, which may hold others, at b's beginning; -1 if it has no end.
func blockLength(b []byte) int {
	for depth, i := 1, 2; i+1 < len(b); i++ {
		switch {
		case b[i] == '*' && b[i+1] == '/':
			i++
			if depth--; depth == 0 {
				return i + 1
			}
		case b[i] == '/' && b[i+1] == '*':
			depth, i = depth+1, i+1
		}
	}
	return -1
}

// first is the kind and length of the token at b's beginning.
func first(b []byte) (Kind, int) {
	switch c := b[0]; {
	case isWordStart(c):
		return wordOrPrefix(b)
	case c >= '0' && c <= '9':
		return Number, numberLength(b, 1)
	case c == '\'':
		return quotedAs(String, b, 0, false)
	case c == '"':
		return quotedAs(Name, b, 0, false)
	case c == '$':
		return dollarQuoted(b)
	}
	if n := operatorLength(b); n > 0 {
		return Operator, n
	}
	return Sign, 1
}

// wordOrPrefix tells a word from the letter before a string of another form.
func wordOrPrefix(b []byte) (Kind, int) {
	n := 1
	for n < len(b) && IsWordPart(b[n]) {
		n++
	}
	if n > 1 || n == len(b) {
		return Word, n
	}
	switch c, next := b[0]|0x20, b[1]; {
	case c == 'e' && next == '\'':
		return quotedAs(String, b, 1, true)
	case (c == 'b' || c == 'x' || c == 'n') && next == '\'':
		return quotedAs(Odd, b, 1, false)
	case c == 'u' && next == '&' && len(b) > 2 && (b[2] == '\'' || b[2] == '"'):
		return quotedAs(Odd, b, 2, false)
	}
	return Word, n
}

// quotedAs reads from the quote at i.
func quotedAs(kind Kind, b []byte, i int, escapes bool) (Kind, int) {
	quote := b[i]
	for i++; i < len(b); i++ {
		switch c := b[i]; {
		case c == '\\' && escapes:
			i++
		case c == quote && i+1 < len(b) && b[i+1] == quote:
			i++
		case c == quote:
			return kind, i + 1
		}
	}
	return Odd, len(b)
}

// numberLength is how much of b is a number of which n bytes are known.
func numberLength(b []byte, n int) int {
	isDigit := func(i int) bool { return i < len(b) && b[i] >= '0' && b[i] <= '9' }
	for isDigit(n) || n < len(b) && b[n] == '.' {
		n++
	}
	switch {
	case n == len(b) || b[n]|0x20 != 'e':
	case isDigit(n + 1):
		return numberLength(b, n+1)
	case n+1 < len(b) && (b[n+1] == '+' || b[n+1] == '-') && isDigit(n+2):
		return numberLength(b, n+2)
	}
	return n
}

func dollarQuoted(b []byte) (Kind, int) {
	if digits := len(b) - 1 - len(bytes.TrimLeft(b[1:], "0123456789")); digits > 0 {
		return Number, 1 + digits
	}
	n := 1
	for n < len(b) && IsWordPart(b[n]) && b[n] != '$' {
		n++
	}
	if n == len(b) || b[n] != '$' {
		return Sign, 1
	}
	tag := b[:n+1]
	end := bytes.Index(b[n+1:], tag)
	if end < 0 {
		return Odd, len(b)
	}
	return String, len(tag) + end + len(tag)
}

// operatorLength is that of the operator at b's beginning: a comment ends it.
func operatorLength(b []byte) int {
	n := 0
	for n < len(b) && strings.IndexByte("+-*/<>=~!@#%^&|`?", b[n]) >= 0 && !bytes.HasPrefix(b[n:], []byte("--")) && !bytes.HasPrefix(b[n:], []byte("/*")) {
		n++
	}
	return n
}

// Value is what a token means: a name or a string without its quotes. All others are as they stand, a word too, which
// the server takes in lower case where it is a name.
func (t Token) Value() string {
	switch {
	case t.Kind == Name:
		return strings.ReplaceAll(t.Text[1:len(t.Text)-1], `""`, `"`)
	case t.Kind != String:
		return t.Text
	case t.Text[0] == '$':
		n := strings.IndexByte(t.Text[1:], '$') + 2
		return t.Text[n : len(t.Text)-n]
	case t.Text[0] != '\'':
		return unescaped(t.Text[2 : len(t.Text)-1])
	}
	return strings.ReplaceAll(t.Text[1:len(t.Text)-1], "''", "'")
}

// unescaped is what stands in E'…'. Escapes of several characters, which no name is written with, are not read.
func unescaped(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if (s[i] == '\\' || s[i] == '\'') && i+1 < len(s) {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
