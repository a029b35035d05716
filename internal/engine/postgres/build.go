package postgres

import "slices"

// build says what a statement makes: an index or a key of one table, or a foreign key between two.
type build struct {
	tables  []string // quoted
	alone   bool     // it bears no other at work on its tables
	foreign bool
	whole   bool // its first table is partitioned, and all partitions get it, too
	slow    bool // it takes several times as long as most of the same rows do
}

// slowMethods are those of indexes that take several times as long as a B-tree.
var slowMethods = []string{"gin", "gist", "spgist"}

// parseBuild knows the statements of pg_dump that make indexes and keys. All others are not for it to judge.
func parseBuild(statement []byte) (b build, ok bool) {
	r := read(statement)
	switch {
	case r.is("CREATE"):
		r.is("UNIQUE")
		if !r.is("INDEX") || !r.passName() || !r.is("ON") {
			return b, false
		}
		r.is("ONLY")
		t, ok := r.table()
		b.tables = []string{t}
		if !ok || !r.is("USING") {
			return b, false
		}
		method, ok := r.name()
		b.slow = slices.Contains(slowMethods, method)
		return b, ok
	case r.is("ALTER", "TABLE"):
		only := r.is("ONLY")
		t, ok := r.table()
		if !ok || !r.is("ADD", "CONSTRAINT") || !r.passName() {
			return b, false
		}
		b.tables, b.alone = []string{t}, true
		if r.is("PRIMARY", "KEY") || r.is("UNIQUE") || r.is("EXCLUDE") {
			return b, true
		}
		if !r.is("FOREIGN", "KEY") || !r.names() || !r.is("REFERENCES") {
			return b, false
		}
		b.foreign, b.whole = true, !only
		other, ok := r.table()
		if other != t {
			b.tables = append(b.tables, other)
		}
		return b, ok
	}
	return b, false
}

// belongsToBuild knows what pg_dump writes about an index or key right after it.
func belongsToBuild(statement []byte) bool {
	r := read(statement)
	switch {
	case r.is("COMMENT", "ON"):
		return r.is("INDEX") || r.is("CONSTRAINT")
	case r.is("ALTER", "TABLE"):
		r.is("ONLY")
		if _, ok := r.table(); !ok {
			return false
		}
		return r.is("CLUSTER", "ON") || r.is("REPLICA", "IDENTITY")
	}
	return false
}

func (r *reader) passName() bool {
	_, ok := r.name()
	return ok
}

// table passes over schema.name and gives it as the table of contents has it, quoted.
func (r *reader) table() (string, bool) {
	schema, name, ok := r.qualified()
	return qualified(readable(schema), readable(name)), ok && schema != ""
}

// names passes over names in parentheses.
func (r *reader) names() bool {
	if !r.sign("(") || !r.passName() {
		return false
	}
	for r.sign(",") {
		if !r.passName() {
			return false
		}
	}
	return r.sign(")")
}
