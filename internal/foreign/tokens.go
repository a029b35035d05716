package foreign

import (
	"strings"
	"unicode/utf8"

	"github.com/safepoint-db/safepoint/internal/sqlscript"
)

// token is a word, a name, a string or a sign of a statement.
type token struct {
	kind byte   // 'w' a word without quotes or a number, 'q' a name in quotes, 's' a string, or the sign itself
	text string // 'w': as it stands; 'q' and 's': without quotes
	from int    // where it begins in the statement
	end  int    // where it ends
}

// is says whether t is a keyword, given in capitals.
func (t token) is(keyword string) bool { return t.kind == 'w' && strings.EqualFold(t.text, keyword) }

// maxTokens is how far a statement is read to tell what it does.
const maxTokens = 24

// tokens reads the beginning of a statement.
func tokens(b []byte) []token {
	var out []token
	list := sqlscript.Tokens(b)
	for t := list.Next(); t.Kind != sqlscript.End && len(out) < maxTokens; t = list.Next() {
		kind := t.Text[0]
		switch t.Kind {
		case sqlscript.Word, sqlscript.Number:
			kind = 'w'
		case sqlscript.Name:
			kind = 'q'
		case sqlscript.String:
			kind = 's'
		}
		out = append(out, token{kind, t.Value(), t.From, t.To})
	}
	return out
}

// name is an identifier as the server has it: in lower case unless it was quoted, and readable whatever its encoding.
func (t token) name() string {
	s := t.text
	if t.kind == 'w' {
		s = lower(s)
	}
	if utf8.ValidString(s) {
		return s
	}
	var b strings.Builder
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		if r == utf8.RuneError && n == 1 {
			const hex = "0123456789abcdef"
			b.WriteString(`\x`)
			b.WriteByte(hex[s[0]>>4])
			b.WriteByte(hex[s[0]&15])
		} else {
			b.WriteString(s[:n])
		}
		s = s[n:]
	}
	return b.String()
}

// lower folds ASCII letters only, as the server does in a database of several bytes per character.
func lower(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}

// qualified reads name or schema.name at the beginning of ts, and returns how many tokens that were; 0 for no name.
func qualified(ts []token) (schema, name string, n int) {
	if len(ts) == 0 || ts[0].kind != 'w' && ts[0].kind != 'q' {
		return "", "", 0
	}
	if len(ts) >= 3 && ts[1].kind == '.' && (ts[2].kind == 'w' || ts[2].kind == 'q') {
		return ts[0].name(), ts[2].name(), 3
	}
	return "", ts[0].name(), 1
}

// at is the token at i, or none.
func at(ts []token, i int) token {
	if i < 0 || i >= len(ts) {
		return token{}
	}
	return ts[i]
}

// are says whether the keywords stand at the beginning of ts.
func are(ts []token, keywords ...string) bool {
	for i, k := range keywords {
		if !at(ts, i).is(k) {
			return false
		}
	}
	return true
}
