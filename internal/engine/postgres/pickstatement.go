package postgres

import (
	"slices"
	"strings"

	"github.com/safepoint-db/safepoint/internal/sqlscript"
)

// role is what a statement is to the tables that are picked.
type role byte

const (
	unknownRole    role = iota
	settingRole         // SET: it holds for the statements after it
	makesRole           // makes its subject
	partRole            // belongs to its subject, and goes where that goes
	foreignKeyRole      // between its subject and target
	attachRole          // makes target a partition of its subject
	triggerRole
	toggleRole // switches a trigger or rule on or off: goes where that goes
	ruleRole   // belongs to its subject if all that it refers to is there
	policyRole
	riderRole // a cast: goes where all go that it is about
	ownerRole
	grantRole
	leftOutRole // never comes along: publications, event triggers, default privileges, large objects …
)

// statementFacts is what a statement is about.
type statementFacts struct {
	role    role
	kind    string    // with makesRole: "TABLE", "FUNCTION", "SCHEMA" …
	subject tableName // an object without a schema has "" for it, and its kind before its name
	also    []tableName
	target  tableName
	part    string // the trigger, rule, policy or constraint of the subject that it makes or is about
	refs    []tableName
	rows    bool // a table that holds rows itself
}

// withoutSchema are kinds of objects that have no schema, by the words of their statements.
var withoutSchema = [][]string{
	{"SCHEMA"}, {"EXTENSION"}, {"SERVER"}, {"FOREIGN", "DATA", "WRAPPER"}, {"FOREIGN", "SERVER"}, {"LANGUAGE"}, {"ACCESS", "METHOD"},
}

// withSchema are the others that tables may need.
var withSchema = [][]string{
	{"TABLE"}, {"FOREIGN", "TABLE"}, {"VIEW"}, {"MATERIALIZED", "VIEW"}, {"SEQUENCE"}, {"TYPE"}, {"DOMAIN"}, {"FUNCTION"}, {"PROCEDURE"},
	{"ROUTINE"}, {"AGGREGATE"}, {"OPERATOR", "CLASS"}, {"OPERATOR", "FAMILY"}, {"OPERATOR"}, {"COLLATION"}, {"CONVERSION"}, {"STATISTICS"},
	{"TEXT", "SEARCH", "CONFIGURATION"}, {"TEXT", "SEARCH", "DICTIONARY"}, {"TEXT", "SEARCH", "PARSER"}, {"TEXT", "SEARCH", "TEMPLATE"},
}

// never are kinds that never come along.
var never = [][]string{
	{"PUBLICATION"}, {"SUBSCRIPTION"}, {"EVENT", "TRIGGER"}, {"LARGE", "OBJECT"}, {"DATABASE"}, {"ROLE"}, {"USER", "MAPPING"},
	{"DEFAULT", "PRIVILEGES"}, {"TABLESPACE"}, {"SYSTEM"},
}

// reading reads a statement's tokens from the front.
type reading struct{ rest []token }

// are passes over keywords, in capitals as pg_dump writes them, if they follow.
func (r *reading) are(words ...string) bool {
	if len(r.rest) < len(words) {
		return false
	}
	for i, w := range words {
		if r.rest[i].Kind != sqlscript.Word || r.rest[i].Text != w {
			return false
		}
	}
	r.rest = r.rest[len(words):]
	return true
}

func (r *reading) any(kinds [][]string) string {
	for _, words := range kinds {
		if r.are(words...) {
			return strings.Join(words, " ")
		}
	}
	return ""
}

// name passes over a name without a schema.
func (r *reading) name() string {
	if len(r.rest) == 0 || !r.rest[0].isName() {
		return ""
	}
	name := readable(r.rest[0].value)
	r.rest = r.rest[1:]
	return name
}

// has says that words follow somewhere, outside parentheses.
func (r *reading) has(words ...string) bool {
	depth := 0
	for i, t := range r.rest {
		switch {
		case t.is("("):
			depth++
		case t.is(")"):
			depth--
		case depth == 0:
			if after := (reading{r.rest[i:]}); after.are(words...) {
				return true
			}
		}
	}
	return false
}

// after is the name after words, wherever they follow.
func (r *reading) after(words ...string) string {
	for i := range r.rest {
		if at := (reading{r.rest[i:]}); at.are(words...) {
			return at.name()
		}
	}
	return ""
}

// understand says what a statement of pg_dump is about. Comments before it are not looked at.
func understand(sql []byte) statementFacts {
	list := tokens(sql)
	var f statementFacts
	found := references(list)
	for _, ref := range found {
		if ref.tableName.schema != "pg_catalog" && !slices.Contains(f.refs, ref.tableName) {
			f.refs = append(f.refs, ref.tableName)
		}
	}
	if len(found) > 0 {
		f.subject = found[0].tableName
	}
	r := reading{list}
	switch {
	case r.are("SET"), r.are("RESET"), r.are("SELECT", "pg_catalog") && len(r.rest) > 1 && r.rest[1].value == "set_config":
		f.role = settingRole
	case r.are("CREATE"):
		f.create(&r)
	case r.are("ALTER"):
		f.alter(&r)
	case r.are("COMMENT", "ON"):
		f.about(&r, partRole)
	case r.are("SECURITY", "LABEL"):
		if r.are("FOR") {
			r.rest = r.rest[min(1, len(r.rest)):]
		}
		if r.are("ON") {
			f.about(&r, partRole)
		}
	case r.are("GRANT"), r.are("REVOKE"):
		for len(r.rest) > 0 && !r.are("ON") {
			r.rest = r.rest[1:]
		}
		f.about(&r, grantRole)
	case r.are("REFRESH"):
		f.role = leftOutRole
	case list != nil && list[0].value == "SELECT":
		f.role = leftOutRole // statistics
	}
	return f
}

// bare makes an object without a schema the subject.
func (f *statementFacts) bare(kind, name string) {
	if kind == "FOREIGN SERVER" {
		kind = "SERVER"
	}
	f.kind, f.subject = kind, tableName{"", kind + " " + name}
}

func (f *statementFacts) create(r *reading) {
	r.are("OR", "REPLACE")
	for _, word := range []string{"TRUSTED", "PROCEDURAL", "UNLOGGED", "CONSTRAINT", "UNIQUE", "RECURSIVE", "DEFAULT"} {
		r.are(word)
	}
	if r.any(never) != "" {
		f.role = leftOutRole
		return
	}
	if kind := r.any(withoutSchema); kind != "" {
		f.role = makesRole
		r.are("IF", "NOT", "EXISTS")
		f.bare(kind, r.name())
		f.wrappers(r)
		if schema := r.after("WITH", "SCHEMA"); kind == "EXTENSION" && schema != "" {
			f.refs = append(f.refs, tableName{"", "SCHEMA " + schema})
		}
		return
	}
	switch {
	case r.are("CAST"), r.are("TRANSFORM"):
		f.role = riderRole
	case r.are("INDEX"):
		f.role = partRole
		f.also = []tableName{{f.subject.schema, r.name()}}
		f.method(r)
	case r.are("TRIGGER"):
		f.role, f.part = triggerRole, "TRIGGER "+r.name()
		if n := len(f.refs); n > 0 {
			f.target = f.refs[n-1]
		}
	case r.are("RULE"):
		f.role, f.part = ruleRole, "RULE "+r.name()
	case r.are("POLICY"):
		f.role, f.part = policyRole, "POLICY "+r.name()
		if r.has("AS", "RESTRICTIVE") {
			f.kind = "RESTRICTIVE"
		}
	default:
		f.defines(r)
	}
}

// defines is CREATE of an object with a schema.
func (f *statementFacts) defines(r *reading) {
	f.kind = r.any(withSchema)
	if f.kind == "" || f.subject.name == "" {
		return
	}
	f.role = makesRole
	switch f.kind {
	case "TABLE":
		f.rows = !r.has("PARTITION", "BY")
	case "STATISTICS":
		// It belongs to the table after FROM.
		f.role, f.also = partRole, []tableName{f.subject}
		if n := len(f.refs); n > 1 {
			f.subject = f.refs[n-1]
		}
	case "TYPE":
		for i := range r.rest { // a range type makes a second one
			if at := (reading{r.rest[i:]}); at.are("multirange_type_name") && len(at.rest) > 3 && at.rest[1].isName() {
				f.also = append(f.also, tableName{readable(at.rest[1].value), readable(at.rest[3].value)})
			}
		}
	case "FOREIGN TABLE":
		f.wrappers(r)
	case "FUNCTION", "PROCEDURE":
		if language := r.after("LANGUAGE"); language != "" {
			f.refs = append(f.refs, tableName{"", "LANGUAGE " + language}, tableName{"", "EXTENSION " + language})
		}
	}
}

// wrappers adds the server or wrapper that a statement names.
func (f *statementFacts) wrappers(r *reading) {
	if server := r.after("SERVER"); server != "" {
		f.refs = append(f.refs, tableName{"", "SERVER " + server})
	}
	if wrapper := r.after("FOREIGN", "DATA", "WRAPPER"); wrapper != "" {
		f.refs = append(f.refs, tableName{"", "FOREIGN DATA WRAPPER " + wrapper})
	}
}

// builtIn are the index methods that PostgreSQL brings, each with the extension whose operator classes it uses without
// anybody naming them.
var builtIn = map[string]string{"btree": "", "hash": "", "gist": "btree_gist", "gin": "btree_gin", "spgist": "", "brin": ""}

// anyExtension stands for all extensions: an index method is not PostgreSQL's own, and nobody says whose it is.
var anyExtension = tableName{"", "EXTENSION"}

func (f *statementFacts) method(r *reading) {
	method := r.after("USING")
	extension, known := builtIn[method]
	switch {
	case method == "" || known && extension == "":
	case known:
		f.refs = append(f.refs, tableName{"", "EXTENSION " + extension})
	default:
		f.refs = append(f.refs, anyExtension)
	}
}

func (f *statementFacts) alter(r *reading) {
	if r.any(never) != "" {
		f.role = leftOutRole
		return
	}
	f.role = partRole
	if kind := r.any(withoutSchema); kind != "" {
		f.bare(kind, r.name())
	} else {
		index := r.are("INDEX")
		table := !index && r.any(withSchema) == "TABLE"
		switch {
		case f.subject.name == "":
			f.role = unknownRole
			return
		case index && r.has("ATTACH", "PARTITION") && len(f.refs) > 1:
			f.role, f.target = attachRole, f.refs[1]
			return
		case table:
			f.alterTable(r)
		case r.has("OWNED", "BY") && len(f.refs) > 1: // a sequence belongs to the table of its column
			f.subject, f.target = f.refs[1], f.refs[0]
		}
	}
	if r.has("OWNER", "TO") && f.role == partRole {
		f.role = ownerRole
	}
}

func (f *statementFacts) alterTable(r *reading) {
	switch {
	case r.has("ATTACH", "PARTITION") && len(f.refs) > 1:
		f.role, f.target = attachRole, f.refs[1]
	case r.has("FOREIGN", "KEY") && len(f.refs) > 0:
		f.role, f.target, f.part = foreignKeyRole, f.refs[len(f.refs)-1], "CONSTRAINT "+r.after("CONSTRAINT")
	case r.has("ADD", "CONSTRAINT"):
		f.also = []tableName{{f.subject.schema, r.after("CONSTRAINT")}} // its index
		f.method(r)
	case r.has("ADD", "GENERATED"):
		if len(f.refs) > 1 {
			f.also = f.refs[1:2]
		}
	default:
		for _, kind := range []string{"TRIGGER", "RULE"} {
			if r.has("DISABLE", kind) || r.has("ENABLE", kind) || r.has("ALWAYS", kind) || r.has("REPLICA", kind) {
				f.role, f.part = toggleRole, kind+" "+r.after(kind)
			}
		}
	}
}

// about is a comment, label or grant: it goes where its subject goes.
func (f *statementFacts) about(r *reading, as role) {
	f.role = as
	f.refs = nil
	if r.any(never) != "" {
		f.role = leftOutRole
		return
	}
	if kind := r.any(withoutSchema); kind != "" {
		f.bare(kind, r.name())
		return
	}
	if r.are("CAST") || r.are("TRANSFORM") {
		f.role = leftOutRole
		return
	}
	for _, kind := range []string{"TRIGGER", "RULE", "POLICY", "CONSTRAINT"} {
		if r.are(kind) {
			f.part = kind + " " + r.name()
			return
		}
	}
	if f.subject.name == "" {
		f.role = unknownRole
	}
}
