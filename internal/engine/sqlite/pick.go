package sqlite

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/safepoint-db/safepoint/internal/archive"
	"github.com/safepoint-db/safepoint/internal/engine"
)

// Pick takes tables out of an archive, with their indexes and triggers. The archive's definitions are made in memory,
// under the same authorizer as Load, and read back: no statement has to be understood. See engine.Picker.
func (e *Engine) Pick(ctx context.Context, r *archive.Reader, s engine.Selection) (engine.Picked, error) {
	p, err := archiveProperties(r.Header())
	if err != nil {
		return engine.Picked{}, err
	}
	c, err := openFile(ctx, ":memory:", create, 0)
	if err != nil {
		return engine.Picked{}, err
	}
	defer c.close()
	c.restrict(allowed)
	for i, entry := range r.Entries() {
		if entry.Kind == "ddl" || entry.Table == "sqlite_sequence" {
			if err := loadFrame(c, r, i, entry.RawLength); err != nil {
				return engine.Picked{}, fmt.Errorf("part %d of the archive (%s): %w", i+1, label(entry), err)
			}
		}
	}
	c.allow = nil
	all, err := readSchema(c)
	if err != nil {
		return engine.Picked{}, err
	}
	k := &picker{c: c, r: r, s: s, p: p, all: all, chosen: map[string]bool{}}
	return k.pick()
}

// picker is one selection on its way.
type picker struct {
	c      *conn
	r      *archive.Reader
	s      engine.Selection
	p      properties
	all    *schema
	chosen map[string]bool
	notes  []string
}

func (k *picker) note(format string, args ...any) {
	k.notes = append(k.notes, fmt.Sprintf(format, args...))
}

func (k *picker) pick() (engine.Picked, error) {
	var picked engine.Picked
	for _, pattern := range k.s.Tables {
		fits := false
		for _, t := range k.all.tables {
			if t.kind != sequence && t.kind != stat1 && pattern.Match("main", t.name) {
				fits, k.chosen[t.name] = true, true
			}
		}
		if !fits {
			return picked, engine.Unmatched(pattern, k.r.Header().Database)
		}
	}
	k.contents()
	for _, t := range k.all.tables {
		if k.chosen[t.name] {
			picked.Tables = append(picked.Tables, quote(t.name))
		}
	}
	if err := k.narrow(); err != nil {
		return picked, err
	}
	if err := k.foreignKeys(); err != nil {
		return picked, err
	}
	var err error
	picked.Reader, err = k.write()
	picked.Notes = k.notes
	return picked, err
}

// contents chooses the tables whose rows a chosen search index is about: it is made anew from them.
func (k *picker) contents() {
	for _, t := range k.all.tables {
		m := contentOption.FindStringSubmatch(t.sql)
		if !k.chosen[t.name] || t.kind != external || m == nil {
			continue
		}
		for _, of := range k.all.tables {
			if strings.EqualFold(of.name, strings.Trim(m[1], `'"`)) && !k.chosen[of.name] {
				k.chosen[of.name] = true
				k.note("Taken along: %s, which the search index %s is about.", of.name, t.name)
			}
		}
	}
}

// narrow leaves in the schema what belongs to the chosen tables. Sequence values of others are dropped.
func (k *picker) narrow() error {
	other := func(table string) bool { return !k.chosen[table] }
	sequenced := false
	k.all.tables = slices.DeleteFunc(k.all.tables, func(t table) bool { return t.kind != sequence && other(t.name) })
	for _, t := range k.all.tables {
		sequenced = sequenced || t.kind == plain && autoincrement.MatchString(t.sql)
	}
	k.all.sequenced = sequenced
	k.all.tables = slices.DeleteFunc(k.all.tables, func(t table) bool { return t.kind == sequence && !sequenced })
	if sequenced {
		var names []string
		for name := range k.chosen {
			names = append(names, name)
		}
		list, err := json.Marshal(names)
		if err != nil {
			return err
		}
		if err := k.c.each(func(*stmt) error { return nil }, "DELETE FROM sqlite_sequence WHERE name NOT IN (SELECT value FROM json_each(?))", string(list)); err != nil {
			return err
		}
	}
	k.all.indexes = slices.DeleteFunc(k.all.indexes, func(o object) bool { return other(o.table) })
	if n := len(k.all.views); n > 0 {
		k.note("Left out: %d views. Only the whole backup holds them.", n)
	}
	k.all.views = nil
	var kept []object
	for _, o := range k.all.triggers {
		switch {
		case other(o.table):
		case k.mentions(o):
			k.note("Left out: trigger %s of %s, because it names a table that was not chosen.", o.name, o.table)
		default:
			kept = append(kept, o)
		}
	}
	k.all.triggers = kept
	return nil
}

var name = regexp.MustCompile(`[\p{L}\p{N}_$]+`)

// mentions says that a trigger names, or seems to name, a table or view that will not be there.
func (k *picker) mentions(o object) bool {
	lower := strings.ToLower(o.sql)
	words := map[string]bool{}
	for _, w := range name.FindAllString(lower, -1) {
		words[w] = true
	}
	gone := false
	err := k.c.each(func(s *stmt) error {
		other := strings.ToLower(s.text(0))
		odd := name.FindString(other) != other
		if !k.chosen[s.text(0)] && (words[other] || odd && strings.Contains(lower, other)) {
			gone = true
		}
		return nil
	}, "SELECT name FROM main.sqlite_schema WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'")
	return err != nil || gone
}

// foreignKeys names those that lead out of what was chosen: they are part of a table's own statement.
func (k *picker) foreignKeys() error {
	for _, t := range k.all.tables {
		if t.kind != plain {
			continue
		}
		err := k.c.each(func(s *stmt) error {
			to := s.text(0)
			for chosen := range k.chosen {
				if strings.EqualFold(chosen, to) {
					return nil
				}
			}
			k.note("The foreign key of %s leads to %s, which was not chosen.", t.name, to)
			k.p.ForeignKeyViolations = -1 // every row breaks it
			return nil
		}, "SELECT DISTINCT \"table\" FROM pragma_foreign_key_list(?)", t.name)
		if err != nil {
			return err
		}
	}
	return nil
}

// write makes the archive of what is left.
func (k *picker) write() (*archive.Reader, error) {
	h := k.r.Header()
	raw, err := json.Marshal(k.p)
	if err != nil {
		return nil, fmt.Errorf("encode properties: %w", err)
	}
	h.Properties = raw
	w := k.r.Derive(h)
	d := &dumper{c: k.c, w: w.Writer, p: k.p, all: k.all, print: archive.Fingerprint{}, notes: k.notes}
	if !k.s.DataOnly {
		if err := d.preData(); err != nil {
			return nil, err
		}
	} else if err := d.ddl(archive.PreData, []part{{"", "PRAGMA foreign_keys=OFF;\nBEGIN TRANSACTION;\n"}}); err != nil {
		return nil, err
	}
	for _, t := range k.all.tables {
		if err := k.rows(w, d, t); err != nil {
			return nil, err
		}
	}
	if k.s.DataOnly {
		err = d.ddl(archive.PostData, []part{{"", "COMMIT;\n"}})
	} else {
		err = d.postData()
	}
	if err != nil {
		return nil, err
	}
	w.SetFingerprint(d.print)
	return w.Open()
}

// rows takes a table's frames over. Sequence values, of which only some were chosen, are written anew.
func (k *picker) rows(w *archive.Derived, d *dumper, t table) error {
	switch {
	case !t.carriesRows():
		return nil
	case t.kind == sequence && !k.s.SchemaOnly && !k.s.DataOnly:
		return d.table(t)
	case t.kind == sequence:
		d.print[quote(t.name)] = (&archive.Digester{}).Digest()
		return nil
	case k.s.SchemaOnly:
		d.print[quote(t.name)] = (&archive.Digester{}).Digest()
		return nil
	}
	for i, e := range k.r.Entries() {
		if e.Table == t.name && e.Section == archive.Data {
			if err := w.Keep(i); err != nil {
				return err
			}
		}
	}
	if digest, known := k.r.Fingerprint()[quote(t.name)]; known {
		d.print[quote(t.name)] = digest
	}
	return nil
}

var _ engine.Picker = (*Engine)(nil)
