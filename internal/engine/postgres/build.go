package postgres

import (
	"bytes"
	"strings"

	"github.com/safepoint-db/safepoint/internal/sqlscript"
)

// build says what a statement makes: an index or a key of one table, or a foreign key between two.
type build struct {
	tables  []string // quoted
	alone   bool     // it bears no other at work on its tables
	foreign bool
	slow    bool // it takes several times as long as most of the same rows do
}

// parseBuild knows the statements of pg_dump that make indexes and keys. All others are not for it to judge.
func parseBuild(statement []byte) (b build, ok bool) {
	w := words{rest: statement}
	switch {
	case w.are("CREATE"):
		w.are("UNIQUE")
		if !w.are("INDEX") || !w.name() || !w.are("ON") {
			return b, false
		}
		w.are("ONLY")
		t, ok := w.qualified()
		b.tables = []string{t}
		if !ok || !w.are("USING") || !w.name() {
			return b, false
		}
		b.slow = w.last == "gin" || w.last == "gist" || w.last == "spgist"
		return b, true
	case w.are("ALTER", "TABLE"):
		w.are("ONLY")
		t, ok := w.qualified()
		if !ok || !w.are("ADD", "CONSTRAINT") || !w.name() {
			return b, false
		}
		b.tables, b.alone = []string{t}, true
		if w.are("PRIMARY", "KEY") || w.are("UNIQUE") || w.are("EXCLUDE") {
			return b, true
		}
		if !w.are("FOREIGN", "KEY") || !w.list() || !w.are("REFERENCES") {
			return b, false
		}
		b.foreign = true
		other, ok := w.qualified()
		if other != t {
			b.tables = append(b.tables, other)
		}
		return b, ok
	}
	return b, false
}

// belongsToBuild knows what pg_dump writes about an index or key right after it.
func belongsToBuild(statement []byte) bool {
	w := words{rest: statement}
	switch {
	case w.are("COMMENT", "ON"):
		return w.are("INDEX") || w.are("CONSTRAINT")
	case w.are("ALTER", "TABLE"):
		w.are("ONLY")
		if _, ok := w.qualified(); !ok {
			return false
		}
		return w.are("CLUSTER", "ON") || w.are("REPLICA", "IDENTITY")
	}
	return false
}

// words reads a statement from its front.
type words struct {
	rest []byte
	last string // name
}

func (w *words) space() { w.rest = bytes.TrimLeft(w.rest, " \t\r\n") }

// are passes over keywords, in capitals and unquoted as pg_dump writes them, or over nothing if they do not follow.
func (w *words) are(keywords ...string) bool {
	from := w.rest
	for _, k := range keywords {
		w.space()
		rest, ok := bytes.CutPrefix(w.rest, []byte(k))
		if !ok || len(rest) > 0 && sqlscript.IsWordPart(rest[0]) {
			w.rest = from
			return false
		}
		w.rest = rest
	}
	return true
}

// name passes over an identifier.
func (w *words) name() bool {
	w.space()
	n := 0
	if len(w.rest) > 0 && w.rest[0] == '"' {
		var b strings.Builder
		for n = 1; ; n++ {
			if n == len(w.rest) {
				return false
			}
			if w.rest[n] == '"' {
				if n++; n == len(w.rest) || w.rest[n] != '"' {
					break
				}
			}
			b.WriteByte(w.rest[n])
		}
		w.last = b.String()
	} else {
		for n < len(w.rest) && sqlscript.IsWordPart(w.rest[n]) {
			n++
		}
		w.last = string(w.rest[:n])
	}
	w.rest = w.rest[n:]
	return n > 0
}

// qualified passes over schema.name and gives it as the table of contents has it, quoted.
func (w *words) qualified() (string, bool) {
	if !w.name() || len(w.rest) == 0 || w.rest[0] != '.' {
		return "", false
	}
	schema := w.last
	w.rest = w.rest[1:]
	if !w.name() {
		return "", false
	}
	return qualified(readable(schema), readable(w.last)), true
}

// list passes over names in parentheses.
func (w *words) list() bool {
	w.space()
	if len(w.rest) == 0 || w.rest[0] != '(' {
		return false
	}
	for {
		w.rest = w.rest[1:]
		if !w.name() || len(w.rest) == 0 {
			return false
		}
		switch w.rest[0] {
		case ',':
		case ')':
			w.rest = w.rest[1:]
			return true
		default:
			return false
		}
	}
}
