package foreign

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

// inSchemas are kinds of objects whose names lie in a schema.
var inSchemas = []string{"TABLE", "SEQUENCE", "VIEW", "MATERIALIZED VIEW", "FOREIGN TABLE", "INDEX", "FUNCTION", "PROCEDURE", "AGGREGATE", "TYPE", "DOMAIN",
	"COLLATION", "CONVERSION", "STATISTICS", "OPERATOR CLASS", "OPERATOR FAMILY", "TEXT SEARCH CONFIGURATION", "TEXT SEARCH DICTIONARY"}

// qualify writes out the schema of names that pg_dump before 11 left to the search path, in statements that change what
// is there: a load executes some of them in a session that has none.
func (c *converter) qualify(s statement, bare []byte) []byte {
	if c.searchPath == "" || c.searchPath == "pg_catalog" {
		return bare
	}
	var places []int
	switch s.verb {
	case "ALTER", "COMMENT":
		if slices.Contains(inSchemas, s.object) && s.schema == "" && len(s.rest) > 0 {
			places = append(places, s.rest[0].from)
		}
		if i := slices.IndexFunc(s.ts, func(t token) bool { return t.is("OWNED") }); i > 0 && at(s.ts, i+1).is("BY") && !at(s.ts, i+2).is("NONE") {
			if _, _, n := qualified(s.ts[i+2:]); n == 3 && at(s.ts, i+5).kind != '.' {
				places = append(places, s.ts[i+2].from)
			}
		}
	case "GRANT", "REVOKE":
		i := slices.IndexFunc(s.ts, func(t token) bool { return t.is("ON") })
		if i < 0 {
			return bare
		}
		i++
		switch {
		case at(s.ts, i).is("TABLE"), at(s.ts, i).is("SEQUENCE"), at(s.ts, i).is("FUNCTION"), at(s.ts, i).is("TYPE"), at(s.ts, i).is("DOMAIN"):
			i++
		case slices.ContainsFunc([]string{"SCHEMA", "DATABASE", "LANGUAGE", "LARGE", "FOREIGN", "TABLESPACE", "ALL", "PARAMETER", "PROCEDURE", "ROUTINE"}, at(s.ts, i).is):
			return bare
		}
		if schema, _, n := qualified(s.ts[min(i, len(s.ts)):]); n == 1 && schema == "" {
			places = append(places, s.ts[i].from)
		}
	}
	if s.call == "setval" {
		if i := slices.IndexFunc(s.ts, func(t token) bool { return t.kind == 's' }); i > 0 {
			from := s.ts[i].from
			quote := bytes.IndexByte(bare[from:s.ts[i].end], '\'')
			if _, _, n := qualified(tokens([]byte(s.ts[i].text))); n == 1 && quote >= 0 {
				at := from + quote + 1
				return slices.Insert(slices.Clone(bare), at, []byte(strings.ReplaceAll(quoteName(c.searchPath)+".", "'", "''"))...)
			}
		}
	}
	slices.Sort(places)
	var out []byte
	from := 0
	for _, i := range places {
		out = append(append(out, bare[from:i]...), quoteName(c.searchPath)+"."...)
		from = i
	}
	return append(out, bare[from:]...)
}

func quoteName(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// blob is a large object whose content the script writes through a descriptor, which lives as long as a transaction. In
// an archive each piece says where it belongs, and a big object may take many frames.
type blob struct {
	oid  string
	at   int64
	open []byte // lo_open, until something is written
	raw  bool   // the script writes in a form that is not read here: it stays as it is
}

// largeObject turns what pg_dump writes of large objects into statements that stand alone. done says that there is
// nothing more to do about this one.
func (c *converter) largeObject(s statement, piece []byte) (out []byte, done bool) {
	literal := at(s.ts, len(s.ts)-3) // … 'x' ) ;
	switch s.call {
	case "lo_open":
		i := slices.IndexFunc(s.ts, func(t token) bool { return t.kind == '(' })
		c.blob = &blob{oid: at(s.ts, i+1).text, open: slices.Clone(piece)}
		if strings.Trim(c.blob.oid, "0123456789") != "" || c.blob.oid == "" {
			c.blob.raw = true
			return piece, false
		}
		return nil, true
	case "lowrite":
		b := c.blob
		if b == nil || b.raw {
			return piece, false
		}
		if literal.kind != 's' || !strings.HasPrefix(literal.text, `\x`) || len(literal.text)%2 != 0 {
			b.raw = true
			return append(append(b.open, '\n'), piece...), false
		}
		b.open = nil
		out = fmt.Appendf(nil, "SELECT pg_catalog.lo_put(%s, %d, '%s');", b.oid, b.at, literal.text)
		b.at += int64(len(literal.text)-2) / 2
		return out, false
	case "lo_close":
		b := c.blob
		c.blob = nil
		if b != nil && !b.raw {
			return nil, true
		}
	}
	return piece, false
}
