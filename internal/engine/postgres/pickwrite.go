package postgres

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/safepoint-db/safepoint/internal/archive"
)

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
