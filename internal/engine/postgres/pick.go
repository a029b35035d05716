package postgres

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/safepoint-db/safepoint/internal/archive"
	"github.com/safepoint-db/safepoint/internal/engine"
	"github.com/safepoint-db/safepoint/internal/sqlscript"
)

// Pick takes tables out of an archive, with what their definitions name. See engine.Picker, and docs/decisions/0007.
func (e Engine) Pick(ctx context.Context, r *archive.Reader, s engine.Selection) (engine.Picked, error) {
	if err := ofPostgres(r.Header()); err != nil {
		return engine.Picked{}, err
	}
	p := newPicker(r, s)
	err := p.each(ctx, func(n int, section archive.Section, statement []byte) error {
		p.learn(statement)
		return nil
	})
	if err != nil {
		return engine.Picked{}, err
	}
	if err := p.choose(); err != nil {
		return engine.Picked{}, err
	}
	p.decide()
	reader, err := p.write(ctx)
	return engine.Picked{Reader: reader, Tables: p.chosenNames(), Notes: p.notes}, err
}

// picker is one selection on its way. Statements are numbered through all frames of statements outside the data section.
type picker struct {
	r *archive.Reader
	s engine.Selection

	facts  []statementFacts
	makes  map[tableName][]int // statements that make a name
	about  map[tableName][]int // statements whose subject it is
	needs  map[tableName]bool  // names that come along
	chosen map[tableName]bool  // tables that come with their rows and all that belongs to them
	take   []bool              // statements
	parts  map[partName]bool   // triggers, rules, policies and foreign keys that stay behind
	queue  []tableName         // of names that came along, still to be looked at

	brought map[string]bool // schemas with extensions that came along and have tables
	notes   []string
}

type partName struct {
	table tableName
	part  string
}

func newPicker(r *archive.Reader, s engine.Selection) *picker {
	return &picker{
		r: r, s: s, makes: map[tableName][]int{}, about: map[tableName][]int{},
		needs: map[tableName]bool{}, chosen: map[tableName]bool{}, parts: map[partName]bool{}, brought: map[string]bool{},
	}
}

// each calls do with every statement outside the data section. It is good until do returns.
func (p *picker) each(ctx context.Context, do func(n int, section archive.Section, statement []byte) error) error {
	n := 0
	for i, e := range p.r.Entries() {
		if e.Section == archive.Data || e.Kind != kindDDL {
			continue
		}
		err := p.statements(ctx, i, func(statement []byte) error {
			n++
			return do(n-1, e.Section, statement)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// statements calls do with every statement of a frame.
func (p *picker) statements(ctx context.Context, i int, do func(statement []byte) error) error {
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	f, err := p.r.Frame(i)
	if err != nil {
		return err
	}
	defer f.Close()
	s := sqlscript.New(f)
	for {
		statement, meta, err := s.Next()
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			return unfit("A part of it is not statements: %v.", err)
		case meta:
			return unfit("A part of it holds a command for a client program.")
		}
		if err := do(statement); err != nil {
			return err
		}
	}
}

func (p *picker) learn(statement []byte) {
	f := understand(statement)
	n := len(p.facts)
	p.facts = append(p.facts, f)
	if f.role == makesRole {
		p.makes[f.subject] = append(p.makes[f.subject], n)
	}
	for _, name := range f.also {
		p.makes[name] = append(p.makes[name], n)
	}
	p.about[f.subject] = append(p.about[f.subject], n)
	if f.role == attachRole || f.role == partRole && f.target.name != "" {
		p.about[f.target] = append(p.about[f.target], n)
	}
}

// tables are all tables of the archive that hold rows, and those whose rows are in their partitions, in their order.
func (p *picker) tables() []tableName {
	var list []tableName
	seen := map[tableName]bool{}
	add := func(name tableName) {
		if !seen[name] {
			seen[name] = true
			list = append(list, name)
		}
	}
	for _, f := range p.facts {
		if f.role == makesRole && f.kind == "TABLE" {
			add(f.subject)
		}
	}
	for _, name := range p.withRows() {
		add(name)
	}
	return list
}

// withRows are the tables whose rows the archive holds or would hold, in byte order.
func (p *picker) withRows() []tableName {
	var list []tableName
	for quoted := range p.r.Fingerprint() {
		if name, ok := nameIn(quoted); ok {
			list = append(list, name)
		}
	}
	for _, e := range p.r.Entries() {
		if e.Section == archive.Data && e.Table != "" {
			list = append(list, tableName{e.Schema, e.Table})
		}
	}
	slices.SortFunc(list, func(a, b tableName) int {
		return cmp.Or(strings.Compare(a.schema, b.schema), strings.Compare(a.name, b.name))
	})
	return slices.Compact(list)
}

// choose finds the tables that the selection means. A partitioned table comes with its partitions.
func (p *picker) choose() error {
	all := p.tables()
	for _, pattern := range p.s.Tables {
		fits := false
		for _, t := range all {
			if pattern.Match(t.schema, t.name) {
				fits, p.chosen[t] = true, true
			}
		}
		if !fits {
			return engine.Unmatched(pattern, p.r.Header().Database)
		}
	}
	var partitions func(t tableName)
	partitions = func(t tableName) {
		for _, n := range p.about[t] {
			if f := p.facts[n]; f.role == attachRole && f.subject == t && !p.chosen[f.target] && p.isTable(f.target) {
				p.chosen[f.target] = true
				partitions(f.target)
			}
		}
	}
	for _, t := range all {
		if p.chosen[t] {
			partitions(t)
		}
	}
	return nil
}

func (p *picker) isTable(name tableName) bool {
	return slices.ContainsFunc(p.makes[name], func(n int) bool {
		return p.facts[n].kind == "TABLE" || p.facts[n].kind == "FOREIGN TABLE"
	})
}

func (p *picker) chosenNames() []string {
	var names []string
	for _, t := range p.tables() {
		if p.chosen[t] {
			names = append(names, qualified(t.schema, t.name))
		}
	}
	return names
}

func (p *picker) note(format string, args ...any) {
	p.notes = append(p.notes, strings.Map(func(c rune) rune {
		if unicode.IsControl(c) {
			return ' '
		}
		return c
	}, fmt.Sprintf(format, args...)))
}

func (t tableName) String() string { return t.schema + "." + t.name }

// write makes the archive of what was decided.
func (p *picker) write(ctx context.Context) (*archive.Reader, error) {
	w := p.r.Derive(p.r.Header())
	b := batch{emit: func(e archive.Entry, sql []byte) error { return writeFrame(w.Writer, e, sql) }}
	var settings sessionSettings
	turn := func(section archive.Section) error {
		if b.entry.Section == section {
			return nil
		}
		if err := settings.back(&b); err != nil {
			return err
		}
		if err := b.flush(); err != nil {
			return err
		}
		b.entry = archive.Entry{Section: section, Kind: kindDDL}
		return nil
	}
	if err := turn(archive.PreData); err != nil {
		return nil, err
	}
	preamble, rows := true, false
	err := p.each(ctx, func(n int, section archive.Section, statement []byte) error {
		if p.facts[n].role == settingRole {
			settings.note(statement)
			return nil
		}
		if preamble {
			preamble = false
			if err := p.preamble(&b, &settings); err != nil {
				return err
			}
		}
		if section == archive.PostData && !rows {
			rows = true
			if err := p.rows(ctx, w, &b, turn); err != nil {
				return err
			}
		}
		if !p.take[n] {
			return nil
		}
		if err := turn(section); err != nil {
			return err
		}
		if err := settings.make(&b); err != nil {
			return err
		}
		statement = append(bytes.TrimLeft(statement, "\n"), '\n', '\n')
		if err := b.add(statement, describe(statement)); err != nil {
			return err
		}
		if b.full() {
			return b.flush()
		}
		return nil
	})
	if err == nil && preamble {
		err = p.preamble(&b, &settings)
	}
	if err == nil && !rows {
		err = p.rows(ctx, w, &b, turn)
	}
	if err == nil {
		err = turn("")
	}
	if err != nil {
		return nil, err
	}
	w.SetFingerprint(p.fingerprint())
	return w.Open()
}

func writeFrame(w *archive.Writer, e archive.Entry, sql []byte) error {
	f, err := w.Frame(e)
	if err != nil {
		return err
	}
	if _, err := f.Write(sql); err != nil {
		return err
	}
	return f.Close()
}

// preamble writes what the script begins with: what this is, what it lacks, and the settings it is read under.
func (p *picker) preamble(b *batch, s *sessionSettings) error {
	var text strings.Builder
	fmt.Fprintf(&text, "-- Chosen tables of a PostgreSQL database, taken by Safepoint out of its backup of %s.\n",
		p.r.Header().CreatedAt.UTC().Format("2006-01-02 15:04:05 MST"))
	for _, note := range p.notes {
		if p.r.Header().Encoding != "UTF8" { // the server reads comments, too
			note = strings.Map(func(c rune) rune {
				if c >= utf8.RuneSelf {
					return '?'
				}
				return c
			}, note)
		}
		text.WriteString("-- " + note + "\n")
	}
	text.WriteString("\n")
	if err := b.add([]byte(text.String()), ""); err != nil {
		return err
	}
	if err := s.make(b); err != nil {
		return err
	}
	return b.add([]byte("\n"), "")
}

// rows takes over the chosen tables' frames, and writes where their sequences stand.
func (p *picker) rows(ctx context.Context, w *archive.Derived, b *batch, turn func(archive.Section) error) error {
	if p.s.SchemaOnly {
		return nil
	}
	if err := turn(archive.Data); err != nil {
		return err
	}
	var sequences []int
	for i, e := range p.r.Entries() {
		switch {
		case e.Section == archive.Data && e.Table != "":
			if !p.chosen[tableName{e.Schema, e.Table}] {
				continue
			}
			if err := w.Keep(i); err != nil {
				return err
			}
		case e.Kind == kindSequences, e.Section == archive.Data && e.Kind == kindDDL: // a foreign dump has them among others
			sequences = append(sequences, i)
		}
	}
	b.entry.Kind = kindSequences
	for _, i := range sequences {
		err := p.statements(ctx, i, func(statement []byte) error {
			refs := references(tokens(statement))
			if len(refs) < 2 || refs[0].tableName != (tableName{"pg_catalog", "setval"}) {
				return nil
			}
			name := refs[1].tableName
			if !p.needs[name] && !(p.brought[name.schema] && len(p.makes[name]) == 0) {
				return nil
			}
			return b.add(append(bytes.TrimSpace(statement), '\n'), "SEQUENCE SET "+qualified(name.schema, name.name))
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// fingerprint is what a load of the chosen tables must give: tables that only others need are there, and empty.
func (p *picker) fingerprint() archive.Fingerprint {
	all, of := p.r.Fingerprint(), archive.Fingerprint{}
	if len(all) == 0 {
		return nil // a foreign dump has none
	}
	for _, t := range p.withRows() {
		name := qualified(t.schema, t.name)
		if d, known := all[name]; known && p.chosen[t] && !p.s.SchemaOnly {
			of[name] = d
		}
	}
	for n, f := range p.facts {
		name := qualified(f.subject.schema, f.subject.name)
		if _, there := of[name]; p.take[n] && f.rows && !there {
			of[name] = (&archive.Digester{}).Digest()
		}
	}
	return of
}

// sessionSettings are those that a script has made so far, and those that have been written of them.
type sessionSettings struct {
	names   []string
	wanted  map[string]string // statements
	written map[string]string
}

const sessionUser = "SESSION AUTHORIZATION"

func (s *sessionSettings) note(statement []byte) {
	text := strings.TrimSpace(string(withoutComments(statement)))
	name, reset := text, false
	switch words := strings.Fields(text); {
	case strings.HasPrefix(text, "SELECT pg_catalog.set_config("):
		name = "search_path"
	case strings.HasPrefix(text, "SET "+sessionUser), strings.HasPrefix(text, "RESET "+sessionUser):
		name, reset = sessionUser, strings.HasPrefix(text, "RESET")
	case len(words) > 1:
		name = words[1]
	}
	if s.wanted == nil {
		s.wanted, s.written = map[string]string{}, map[string]string{}
	}
	if !slices.Contains(s.names, name) {
		s.names = append(s.names, name)
	}
	if s.wanted[name] = text; reset && s.written[name] == "" {
		s.wanted[name] = ""
	}
}

// make writes the settings that hold by now and were not written yet.
func (s *sessionSettings) make(b *batch) error {
	for _, name := range s.names {
		if text := s.wanted[name]; text != s.written[name] {
			if err := b.add([]byte(text+"\n"), ""); err != nil {
				return err
			}
			s.written[name] = text
		}
	}
	return nil
}

// back ends what was done as another user.
func (s *sessionSettings) back(b *batch) error {
	if user := s.written[sessionUser]; strings.HasPrefix(user, "SET") {
		s.written[sessionUser] = "RESET " + sessionUser + ";"
		s.wanted[sessionUser] = s.written[sessionUser]
		return b.add([]byte(s.wanted[sessionUser]+"\n"), "")
	}
	return nil
}

var _ engine.Picker = Engine{}
