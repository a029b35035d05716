package sqlite

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/safepoint-db/safepoint"
)

// kind is how a table keeps its rows, and so how they are carried.
type kind int

const (
	plain    kind = iota // an ordinary table: INSERT of every stored column, and of the rowid
	indexed              // a virtual table that keeps what is inserted: FTS5, R-Tree, Geopoly
	external             // an FTS5 index on another table's rows: rebuilt from them
	derived              // a virtual table without anything of its own: fts5vocab, dbstat
	sequence             // sqlite_sequence
	stat1                // sqlite_stat1
)

// table is one table whose rows are carried.
type table struct {
	name    string
	kind    kind
	columns []string // that a row is inserted with, in order; the first is the rowid's name where rowid is set
	rowid   bool
	sql     string
	config  [][2]string // FTS5: options set after creation
}

// object is one line of sqlite_schema.
type object struct{ kind, name, table, sql string }

// schema is everything in a database, in the order it was made.
type schema struct {
	tables    []table  // with their rows
	indexes   []object // that were made by a statement of their own
	views     []object
	triggers  []object
	leftOut   []string // planner samples, which are not carried: ANALYZE makes them anew
	sequenced bool     // some table is AUTOINCREMENT
}

// readSchema reads the whole schema within the transaction that is open on c. An error names what cannot be carried.
func readSchema(c *conn) (*schema, error) {
	objects, listed, err := readObjects(c)
	if err != nil {
		return nil, err
	}
	all := &schema{}
	for _, o := range objects {
		if err := all.add(c, o, listed[o.name]); err != nil {
			return nil, err
		}
	}
	// Sequence values and statistics come after the tables they are about.
	slices.SortStableFunc(all.tables, func(a, b table) int { return a.last() - b.last() })
	return all, nil
}

// readObjects reads what there is, in the order it was made, and what the library says of the tables by name.
func readObjects(c *conn) (objects []object, listed map[string]listing, err error) {
	listed = map[string]listing{}
	err = c.each(func(s *stmt) error { listed[s.text(0)] = listing{s.text(1), s.int(2) != 0}; return nil },
		`SELECT name, type, wr FROM pragma_table_list WHERE schema = 'main'`)
	if err != nil {
		return nil, nil, err
	}
	err = c.each(func(s *stmt) error {
		objects = append(objects, object{s.text(0), s.text(1), s.text(2), s.text(3)})
		return nil
	}, `SELECT type, name, tbl_name, sql FROM main.sqlite_schema ORDER BY rowid`)
	return objects, listed, err
}

// counted is the number of tables without those that SQLite keeps for itself.
func (s *schema) counted() (n int) {
	for _, t := range s.tables {
		if t.counts() {
			n++
		}
	}
	return n
}

func (t table) counts() bool { return t.kind != sequence && t.kind != stat1 }

func (t table) last() int {
	switch t.kind {
	case sequence:
		return 1
	case stat1:
		return 2
	}
	return 0
}

// listing is what the library says of a table: "table", "view", "shadow" or "virtual", and whether it has no rowid.
type listing struct {
	kind         string
	withoutRowid bool
}

func (s *schema) add(c *conn, o object, l listing) error {
	lower := strings.ToLower(o.name)
	switch {
	case o.kind == "index" && o.sql != "":
		s.indexes = append(s.indexes, o)
	case o.kind == "view":
		s.views = append(s.views, o)
	case o.kind == "trigger":
		s.triggers = append(s.triggers, o)
	case o.kind != "table" || l.kind == "shadow":
		// an index made by a constraint, or a table that a virtual table keeps for itself
	case lower == "sqlite_sequence":
		s.tables = append(s.tables, table{name: o.name, kind: sequence, columns: []string{"name", "seq"}})
	case lower == "sqlite_stat1":
		s.tables = append(s.tables, table{name: o.name, kind: stat1, columns: []string{"tbl", "idx", "stat"}})
	case strings.HasPrefix(lower, "sqlite_stat"):
		s.leftOut = append(s.leftOut, o.name)
	case l.kind == "virtual":
		t, err := virtualTable(c, o)
		if err != nil {
			return err
		}
		s.tables = append(s.tables, t)
	default:
		t, err := plainTable(c, o, l.withoutRowid)
		if err != nil {
			return fmt.Errorf("read the columns of table %s: %w", quote(o.name), err)
		}
		s.sequenced = s.sequenced || autoincrement.MatchString(o.sql)
		s.tables = append(s.tables, t)
	}
	return nil
}

var (
	// autoincrement errs on the side of yes, inside a comment for example: then sqlite_sequence is not made by force,
	// and a table that lacks it shows when the archive is verified.
	autoincrement = regexp.MustCompile(`(?i)\bautoincrement\b`)
	moduleName    = regexp.MustCompile("(?is)\\busing\\s+[\"'`\\[]?(\\w+)")
	contentOption = regexp.MustCompile(`(?is)[(,]\s*content\s*=\s*('(?:[^']|'')*'|"(?:[^"]|"")*"|[^,)\s]*)`)
)

func plainTable(c *conn, o object, withoutRowid bool) (table, error) {
	t := table{name: o.name, kind: plain, sql: o.sql}
	taken := map[string]bool{}
	var keys []string // names and types of the primary key's columns
	err := c.each(func(s *stmt) error {
		name, typ, pk, hidden := s.text(0), s.text(1), s.int(2), s.int(3)
		taken[strings.ToLower(name)] = true
		if pk > 0 {
			keys = append(keys, strings.ToUpper(typ))
		}
		if hidden == 0 { // 2 and 3 are generated columns, which nobody may insert
			t.columns = append(t.columns, name)
		}
		return nil
	}, `SELECT name, type, pk, hidden FROM pragma_table_xinfo(?)`, o.name)
	if err != nil || withoutRowid {
		return t, err
	}
	// A lone INTEGER PRIMARY KEY is the rowid itself, unless it has an index of its own (INTEGER PRIMARY KEY DESC).
	own, err := c.int(`SELECT count(*) FROM pragma_index_list(?) WHERE origin = 'pk'`, o.name)
	if err != nil || len(keys) == 1 && keys[0] == "INTEGER" && own == 0 {
		return t, err
	}
	for _, name := range []string{"rowid", "_rowid_", "oid"} {
		if !taken[name] {
			t.rowid = true
			t.columns = slices.Insert(t.columns, 0, name)
			break
		}
	}
	return t, nil
}

// virtualTable finds out how a virtual table's rows are carried.
func virtualTable(c *conn, o object) (table, error) {
	t := table{name: o.name, sql: o.sql}
	module := ""
	if m := moduleName.FindStringSubmatch(o.sql); m != nil {
		module = strings.ToLower(m[1])
	}
	switch module {
	case "rtree", "rtree_i32":
		t.kind = indexed
	case "geopoly":
		t.kind, t.rowid, t.columns = indexed, true, []string{"rowid"}
	case "fts5":
		t.kind, t.rowid, t.columns = indexed, true, []string{"rowid"}
		if m := contentOption.FindStringSubmatch(o.sql); m != nil {
			if strings.Trim(m[1], `'"`) == "" {
				return t, safepoint.Errorf(safepoint.CodeBlocked, "Table %s is a search index without its text (FTS5 with content=''), which nobody can read back.", quote(o.name)).
					WithHint("Drop the index before the backup, or give it its content.")
			}
			t.kind = external
		}
		if err := readFTSConfig(c, &t); err != nil {
			return t, fmt.Errorf("read the options of table %s: %w", quote(o.name), err)
		}
	case "fts5vocab", "dbstat":
		t.kind = derived
		return t, nil
	default:
		return t, safepoint.Errorf(safepoint.CodeBlocked, "Table %s is a virtual table of the kind %q, which Safepoint cannot read.", quote(o.name), module).
			WithHint("FTS5, R-Tree and Geopoly tables can be backed up. Drop the table, or move it to a file of its own.")
	}
	err := c.each(func(s *stmt) error {
		if s.int(1) == 0 {
			t.columns = append(t.columns, s.text(0))
		}
		return nil
	}, `SELECT name, hidden FROM pragma_table_xinfo(?)`, o.name)
	if err != nil {
		return t, fmt.Errorf("read the columns of table %s: %w", quote(o.name), err)
	}
	return t, nil
}

func readFTSConfig(c *conn, t *table) error {
	return c.each(func(s *stmt) error {
		if option := s.text(0); option != "version" {
			t.config = append(t.config, [2]string{option, string(literal(nil, s, 1, false))})
		}
		return nil
	}, `SELECT k, v FROM `+quote(t.name+"_config")+` ORDER BY k`)
}

// carriesRows says whether the table's rows are written and fingerprinted.
func (t table) carriesRows() bool { return t.kind != external && t.kind != derived }

// selects is the query for every row, in the order of columns.
func (t table) selects() string {
	var b strings.Builder
	b.WriteString("SELECT ")
	t.list(&b)
	b.WriteString(" FROM main.")
	b.WriteString(quote(t.name))
	if t.kind == plain {
		b.WriteString(" NOT INDEXED") // in the order of the rows themselves
	}
	return b.String()
}

// inserts is the start of a statement that inserts rows, up to and with VALUES.
func (t table) inserts() string {
	var b strings.Builder
	b.WriteString("INSERT INTO ")
	b.WriteString(quote(t.name))
	b.WriteByte('(')
	t.list(&b)
	b.WriteString(") VALUES")
	return b.String()
}

func (t table) list(b *strings.Builder) {
	for i, name := range t.columns {
		if i > 0 {
			b.WriteByte(',')
		}
		if i == 0 && t.rowid {
			b.WriteString(name) // quoted it could be taken for a text
			continue
		}
		b.WriteString(quote(name))
	}
}

// quote makes an identifier of any name.
func quote(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }
