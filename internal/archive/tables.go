package archive

import (
	"maps"
	"slices"
	"strings"
)

// Table is one table of an archive, from its table of contents alone.
type Table struct {
	Name      string // quoted, as in the fingerprint: `"app"."orders"`
	Rows      int64
	RawLength int64 // bytes of SQL that are its rows
	Length    int64 // bytes of the file that hold them
}

// Tables are those whose rows the archive holds, and the empty ones, by name. What an engine keeps for itself in a
// table (SQLite's "sqlite_…") is not among them.
func (r *Reader) Tables() []Table {
	all := map[string]*Table{}
	at := func(name string) *Table {
		if all[name] == nil {
			all[name] = &Table{Name: name}
		}
		return all[name]
	}
	for name, digest := range r.toc.fingerprint {
		at(name).Rows = digest.Rows
	}
	for _, e := range r.Entries() {
		if e.Table == "" {
			continue
		}
		name := quoteName(e.Table)
		if e.Schema != "" {
			name = quoteName(e.Schema) + "." + name
		}
		t := at(name)
		if _, known := r.toc.fingerprint[name]; !known {
			t.Rows += e.Rows
		}
		t.RawLength += e.RawLength
		t.Length += e.Length
	}
	list := make([]Table, 0, len(all))
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if !kept(name) {
			list = append(list, *all[name])
		}
	}
	return list
}

// kept says that an engine keeps the table for itself.
func kept(name string) bool { return strings.HasPrefix(name, `"sqlite_`) }

// summarize fills in how much there is for a person to count: the table of contents counts what an engine keeps too.
func summarize(s Summary, end tocEnd, f Fingerprint) Summary {
	s.Tables, s.Rows = end.Tables, end.Rows
	for name, digest := range f {
		if kept(name) {
			s.Tables, s.Rows = s.Tables-1, s.Rows-digest.Rows
		}
	}
	return s
}

// Count is how many tables and rows there are for a person to count, as Summary has them.
func (f Fingerprint) Count() (tables int, rows int64) {
	for name, digest := range f {
		if !kept(name) {
			tables, rows = tables+1, rows+digest.Rows
		}
	}
	return tables, rows
}

func quoteName(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// Plain is the table's name without the quotes that nobody needs to read it: app.orders, app."odd.name".
func (t Table) Plain() string {
	var b strings.Builder
	for rest := t.Name; rest != ""; {
		end := 1
		for end < len(rest) && rest[end] != '"' || strings.HasPrefix(rest[min(end, len(rest)):], `""`) {
			if rest[end] == '"' {
				end++
			}
			end++
		}
		part := rest[1:min(end, len(rest))]
		if strings.ContainsFunc(part, oddInName) || part == "" {
			part = rest[:min(end+1, len(rest))]
		}
		b.WriteString(part)
		rest = rest[min(end+1, len(rest)):]
		if strings.HasPrefix(rest, ".") {
			b.WriteByte('.')
			rest = rest[1:]
		}
	}
	return b.String()
}

// oddInName says that a name with c in it is read more safely in its quotes.
func oddInName(c rune) bool {
	return !(c == '_' || c == '$' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c > 0xa0 && c != 0xfffd)
}
