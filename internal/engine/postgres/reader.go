package postgres

import (
	"strings"

	"github.com/safepoint-db/safepoint/internal/sqlscript"
)

// reader goes through a statement token by token. What it may look at is all that decides with which rights the
// statement is executed.
type reader struct {
	tokens sqlscript.Tokenizer
	at     sqlscript.Token // a word in capitals, a name as it is meant, everything else as it stands
}

func read(statement []byte) *reader {
	r := &reader{tokens: sqlscript.Tokens(statement)}
	r.step()
	return r
}

func (r *reader) step() {
	if r.at = r.tokens.Next(); r.at.Kind == sqlscript.Odd {
		r.tokens = sqlscript.Tokenizer{} // nothing more is read
	}
	switch r.at.Kind {
	case sqlscript.Word:
		r.at.Text = upper(r.at.Text)
	case sqlscript.Name:
		r.at.Text = r.at.Value()
	}
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

// over says that there is nothing more to read, or nothing that is understood.
func (r *reader) over() bool { return r.at.Kind == sqlscript.End || r.at.Kind == sqlscript.Odd }

// word says that the next token is this keyword.
func (r *reader) word(keyword string) bool {
	return r.at.Kind == sqlscript.Word && r.at.Text == keyword
}

// is passes over keywords, or over nothing if they do not follow.
func (r *reader) is(keywords ...string) bool {
	from := *r
	for _, k := range keywords {
		if !r.word(k) {
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
	if !r.atSign(c) {
		return false
	}
	r.step()
	return true
}

// atSign says that the next token is this sign, or this operator.
func (r *reader) atSign(c string) bool {
	return (r.at.Kind == sqlscript.Sign || r.at.Kind == sqlscript.Operator) && r.at.Text == c
}

// name passes over one identifier and gives it as the server takes it.
func (r *reader) name() (string, bool) {
	switch r.at.Kind {
	case sqlscript.Name:
	case sqlscript.Word:
		r.at.Text = strings.ToLower(r.at.Text)
	default:
		return "", false
	}
	name := r.at.Text
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
	if !r.atSign("(") {
		return true
	}
	for depth := 0; ; {
		switch {
		case r.over() || r.at.Kind == sqlscript.String:
			return false
		case r.atSign("("):
			depth++
		case r.atSign(")"):
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
	for !r.over() {
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
	return r.at.Kind == sqlscript.Odd
}

// ends says that nothing but the semicolon is left.
func (r *reader) ends() bool {
	r.sign(";")
	return r.at.Kind == sqlscript.End
}
