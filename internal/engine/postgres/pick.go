package postgres

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"

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

var _ engine.Picker = Engine{}
