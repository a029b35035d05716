package postgres

import (
	"slices"
	"strings"
)

// decide marks the statements to take. First everything that the chosen tables are made of and need, to the end; then
// what joins two things (foreign keys, triggers, rules, policies) where both ends have come along; then what is only
// about others: comments, owners and grants.
func (p *picker) decide() {
	p.take = make([]bool, len(p.facts))
	for _, t := range p.tables() {
		if p.chosen[t] {
			p.need(t)
		}
	}
	p.settle()
	p.configurations()
	for again := true; again; {
		again = false
		for n := range p.facts {
			if !p.take[n] && p.joins(n) {
				p.take[n], again = true, true
				p.needAll(p.facts[n].refs)
				p.settle()
			}
		}
	}
	p.stayBehind()
	for n, f := range p.facts {
		p.take[n] = p.take[n] || p.goesAlong(f)
	}
	if p.s.DataOnly {
		clear(p.take)
		p.notes = nil
	}
	for _, e := range p.r.Entries() {
		if e.Kind == kindLargeObjects {
			p.note("Left out: large objects. Only the whole backup holds them.")
			break
		}
	}
}

// configurations chooses the tables that extensions brought: they are there when an extension is, and their rows are one
// another's. Whose a table is only its schema tells, so all extensions of that schema come along.
func (p *picker) configurations() {
	for _, t := range p.withRows() {
		if p.isTable(t) {
			continue
		}
		of := func(f statementFacts) bool { return slices.Contains(f.refs, tableName{"", "SCHEMA " + t.schema}) }
		for n, f := range p.facts {
			p.brought[t.schema] = p.brought[t.schema] || f.kind == "EXTENSION" && p.take[n] && of(f)
		}
		if p.brought[t.schema] {
			p.chosen[t] = true
			p.extensions(of)
		}
	}
	p.settle()
}

func (p *picker) need(name tableName) {
	if !p.needs[name] {
		p.needs[name] = true
		p.queue = append(p.queue, name)
	}
}

func (p *picker) needAll(names []tableName) {
	for _, name := range names {
		p.need(name)
	}
}

// settle follows what is needed to its end.
func (p *picker) settle() {
	for len(p.queue) > 0 {
		name := p.queue[len(p.queue)-1]
		p.queue = p.queue[:len(p.queue)-1]
		makers := p.makes[name]
		switch {
		case name == anyExtension:
			p.extensions(func(statementFacts) bool { return true })
		case len(makers) == 0 && name.schema != "":
			// Nobody makes it: it may be an extension's.
			p.extensions(func(f statementFacts) bool { return slices.Contains(f.refs, tableName{"", "SCHEMA " + name.schema}) })
			continue
		}
		for _, n := range makers {
			p.takeAlong(n)
		}
		for _, n := range p.about[name] {
			if f := p.facts[n]; f.role == partRole && f.subject == name && f.part == "" {
				p.takeAlong(n)
			}
		}
		if name.schema != "" {
			p.need(tableName{"", "SCHEMA " + name.schema})
		}
	}
}

func (p *picker) extensions(are func(statementFacts) bool) {
	for n, f := range p.facts {
		if f.role == makesRole && f.kind == "EXTENSION" && are(f) {
			p.takeAlong(n)
		}
	}
}

func (p *picker) takeAlong(n int) {
	if p.take[n] {
		return
	}
	f := p.facts[n]
	p.take[n] = true
	p.need(f.subject)
	p.needAll(f.also)
	p.needAll(f.refs)
}

// there says that everything of names that the archive makes has come along.
func (p *picker) there(names []tableName) bool {
	return !slices.ContainsFunc(names, func(name tableName) bool { return len(p.makes[name]) > 0 && !p.needs[name] })
}

// joins says whether a statement that joins others comes along, by what has come so far.
func (p *picker) joins(n int) bool {
	f := p.facts[n]
	switch f.role {
	case foreignKeyRole:
		return p.chosen[f.subject] && p.chosen[f.target]
	case attachRole:
		if p.isTable(f.subject) {
			return p.chosen[f.subject] && p.chosen[f.target]
		}
		return p.needs[f.subject] && p.needs[f.target] // indexes
	case triggerRole:
		return p.chosen[f.subject] && (p.s.Triggers || p.there(f.refs))
	case ruleRole:
		return p.chosen[f.subject] && p.there(f.refs)
	case policyRole:
		return p.chosen[f.subject] && p.there(slices.DeleteFunc(slices.Clone(f.refs), func(name tableName) bool { return !p.isRelation(name) }))
	case riderRole:
		return len(f.refs) > 0 && p.there(f.refs) && slices.ContainsFunc(f.refs, func(name tableName) bool { return len(p.makes[name]) > 0 })
	}
	return false
}

func (p *picker) isRelation(name tableName) bool {
	return slices.ContainsFunc(p.makes[name], func(n int) bool {
		return slices.Contains([]string{"TABLE", "FOREIGN TABLE", "VIEW", "MATERIALIZED VIEW"}, p.facts[n].kind)
	})
}

// stayBehind names what belongs to a chosen table and was not taken.
func (p *picker) stayBehind() {
	unknown := 0
	for n, f := range p.facts {
		if p.take[n] {
			continue
		}
		part := strings.TrimPrefix(strings.TrimPrefix(strings.TrimPrefix(f.part, "CONSTRAINT "), "TRIGGER "), "RULE ")
		switch {
		case f.role == unknownRole && f.subject.name != "" && p.chosen[f.subject]:
			unknown++
		case f.role == foreignKeyRole && p.chosen[f.subject]:
			p.note("Left out: foreign key %s of %s, because %s was not chosen.", part, f.subject, f.target)
		case f.role == triggerRole && p.chosen[f.subject]:
			p.note("Left out: trigger %s of %s, because nothing else chosen needs its function %s.", part, f.subject, f.target)
		case f.role == ruleRole && p.chosen[f.subject]:
			p.note("Left out: rule %s of %s, because it is about what was not chosen.", part, f.subject)
		case f.role == policyRole && p.chosen[f.subject]:
			more := ""
			if f.kind == "RESTRICTIVE" {
				more = " It is a restrictive one: without it more rows can be seen."
			}
			p.note("Left out: row security policy %s of %s, because it reads what was not chosen.%s", strings.TrimPrefix(f.part, "POLICY "), f.subject, more)
		default:
			continue
		}
		p.parts[partName{f.subject, f.part}] = true
	}
	if unknown > 0 {
		p.note("Left out: %d statements about the chosen tables that are not understood here.", unknown)
	}
	for n, f := range p.facts {
		if p.take[n] && f.rows && !p.chosen[f.subject] {
			p.note("Taken along without rows: %s, because a chosen table is defined by it.", f.subject)
		}
	}
}

// goesAlong says whether a statement that is only about another comes along.
func (p *picker) goesAlong(f statementFacts) bool {
	if !p.needs[f.subject] || len(p.makes[f.subject]) == 0 && f.subject.schema != "" || p.parts[partName{f.subject, f.part}] {
		return false
	}
	switch f.role {
	case ownerRole:
		return !p.s.NoOwner
	case grantRole:
		return !p.s.NoPrivileges
	case partRole:
		return f.part == "" || p.chosen[f.subject] || strings.HasPrefix(f.part, "CONSTRAINT ")
	case toggleRole:
		return p.chosen[f.subject]
	}
	return false
}
