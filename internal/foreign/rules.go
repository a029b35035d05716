package foreign

import (
	"bytes"
	"slices"
	"strings"

	"github.com/safepoint-db/safepoint"
)

// meta treats a line for psql. Those with which pg_dump keeps psql from running commands of a dump are passed over, as
// psql does with the right key; there is no psql here, and every other one is refused.
func (c *converter) meta(bare []byte) error {
	line := c.scan.Line()
	if len(bare) == 0 || bare[0] != '\\' {
		return refuseLine(line, "Nothing was changed.", "it holds a command for psql within a statement")
	}
	fields := strings.Fields(string(bare[:min(len(bare), 300)]))
	command, argument := fields[0], ""
	if len(fields) > 1 {
		argument = fields[1]
	}
	switch {
	case command == `\restrict` && len(fields) == 2 && c.key == "":
		c.key = argument
		return nil
	case command == `\unrestrict` && len(fields) == 2 && c.key == argument && c.key != "":
		c.key = ""
		return nil
	}
	what, hint := `it holds a command for psql, `+shortened(command), "Safepoint runs no client program. Make the dump with pg_dump, without editing it."
	switch command {
	case `\restrict`, `\unrestrict`:
		what = `its ` + command + ` does not fit the one before`
	case `\connect`, `\c`:
		what = `it changes to another database with ` + command
		hint = "Make the dump of one database, without --create (-C); and with pg_dump instead of pg_dumpall."
	case `\!`:
		what = `it runs a program with \!`
	case `\i`, `\ir`, `\include`, `\include_relative`:
		what = `it reads another file with ` + command
		hint = "Put everything into one file, or make the dump with pg_dump."
	case `\copy`:
		what = `it reads a file or runs a program with \copy`
		hint = "Make the dump with pg_dump, which puts the rows into it."
	case `\.`:
		what = `it ends rows that did not begin`
		hint = hintDamaged
	}
	return refuseLine(line, hint, "%s", what)
}

func shortened(s string) string {
	if len(s) > 40 {
		return s[:40] + "…"
	}
	return s
}

// statement takes the next statement: into a frame, or leaves it out and says so, or refuses it.
func (c *converter) statement(piece, bare []byte) error {
	if bytes.IndexByte(piece, 0) >= 0 {
		return refuseLine(c.scan.Line(), "Choose a file that pg_dump made.", "it holds a zero byte")
	}
	if string(bare) == ";" {
		return nil
	}
	s := understand(bare)
	c.out.Statements[s.kind]++
	if s.verb == "COPY" {
		return c.copyOrRefuse(bare)
	}
	if why, hint := c.refused(s); why != "" {
		return refuseLine(c.scan.Line(), hint, "%s", why)
	}
	if s.verb == "SET" || s.call == "set_config" {
		keep, err := c.setting(s)
		if err != nil || !keep {
			return err
		}
	}
	if why := c.leftOut(s, bare); why.Sentence != "" {
		c.note(why)
		return nil
	}
	c.remember(s)
	if s.largeObject() {
		out, done := c.largeObject(s, piece)
		if done {
			return nil
		}
		return c.emit(out, s, bare)
	}
	if rewritten := c.qualify(s, bare); len(rewritten) != len(bare) {
		piece = append(slices.Clone(piece[:len(piece)-len(bare)]), rewritten...)
	}
	return c.emit(piece, s, bare)
}

func (c *converter) copyOrRefuse(bare []byte) error {
	if err := c.flush(); err != nil {
		return err
	}
	return c.copy(bare)
}

const (
	hintOneDatabase = "Make the dump of one database with pg_dump, without --create (-C); pg_dumpall writes the whole server."
	hintEncoding    = "Make the dump with pg_dump --encoding=UTF8."
)

// refused says why a statement has no place in the dump of one database, "" if it has.
func (c *converter) refused(s statement) (why, hint string) {
	switch s.verb {
	case "CREATE", "ALTER", "DROP":
		switch s.object {
		case "DATABASE":
			if s.verb == "ALTER" && s.has("OWNER") {
				return "", ""
			}
			return s.kind + " is about a whole database, not about what is in it", hintOneDatabase
		case "ROLE", "USER", "GROUP", "TABLESPACE", "SYSTEM":
			return s.kind + " is about the whole server", hintOneDatabase
		}
	case "SET":
		if name, value := s.setting(); name == "authorization" && !at(value, 0).is("DEFAULT") && !c.opt.NoOwner {
			return "SET SESSION AUTHORIZATION acts as another user", "Make the dump without --use-set-session-authorization, or load it without owners and rights: --no-owner."
		}
	case "LOAD":
		return "LOAD runs a library on the database server", "Nothing was changed."
	}
	return "", ""
}

func (s statement) has(keyword string) bool {
	return slices.ContainsFunc(s.ts, func(t token) bool { return t.is(keyword) })
}

// unsafeEncodings have characters whose second byte looks like a quote or a backslash: a script in one of them cannot
// be cut into statements without knowing all of its characters. No server uses them inside, only clients.
var unsafeEncodings = []string{"SJIS", "SHIFTJIS", "SHIFTJIS2004", "MSKANJI", "WIN932", "WINDOWS932", "BIG5", "WIN950", "WINDOWS950", "GBK", "WIN936", "WINDOWS936",
	"UHC", "WIN949", "WINDOWS949", "JOHAB", "GB18030"}

// setting takes account of a SET. keep says whether it goes into the archive.
func (c *converter) setting(s statement) (keep bool, err error) {
	name, value := "", []token(nil)
	if s.verb == "SET" {
		name, value = s.setting()
	} else { // SELECT pg_catalog.set_config('name', 'value', false)
		i := slices.IndexFunc(s.ts, func(t token) bool { return t.kind == '(' })
		name, value = lower(at(s.ts, i+1).text), s.ts[min(i+3, len(s.ts)):min(i+4, len(s.ts))]
	}
	first := at(value, 0)
	switch name {
	case "client_encoding", "names":
		return true, c.encoding(first.text)
	case "standard_conforming_strings":
		off := slices.Contains([]string{"off", "false", "no", "0", "of"}, lower(first.text))
		c.scan.OldStrings = off
		if off {
			c.note(safepoint.NewPhrase("Strings are written by the rules of servers before 9.1 (standard_conforming_strings = off): they are translated."))
		}
		return false, nil // the preamble's holds
	case "search_path":
		c.searchPath = first.name()
		if c.searchPath == "$user" && len(value) > 2 {
			c.searchPath = value[2].name()
		}
	case "default_with_oids":
		if lower(first.text) == "true" || lower(first.text) == "on" {
			c.note(safepoint.NewPhrase("Tables were made WITH OIDS, which PostgreSQL has no more since version 12: they are made without."))
		} else {
			c.note(safepoint.NewPhrase("SET default_with_oids is left out: PostgreSQL has it no more since version 12."))
		}
		return false, nil
	case "transaction_timeout":
		c.note(safepoint.NewPhrase("SET transaction_timeout is left out: servers before 17 do not know it."))
		return false, nil
	}
	return true, nil
}

func (c *converter) encoding(name string) error {
	plain := strings.Map(func(r rune) rune {
		if r == '-' || r == '_' || r == ' ' {
			return -1
		}
		return r
	}, strings.ToUpper(name))
	if slices.Contains(unsafeEncodings, plain) {
		return refuseLine(c.scan.Line(), hintEncoding, "the dump is encoded in %s, which cannot be read safely", shortened(name))
	}
	c.out.Encoding = token{kind: 'q', text: strings.ToUpper(name)}.name()
	return nil
}

// leftOut says why a statement is not needed, or cannot work, in a new database; the zero Phrase if it stays.
func (c *converter) leftOut(s statement, bare []byte) (why safepoint.Phrase) {
	switch {
	case !c.created && s.dropsBefore():
		return safepoint.NewPhrase("The dump begins by dropping what it makes (--clean): that is left out, a new database is empty.")
	case s.object == "LANGUAGE" && s.name == "plpgsql", s.object == "EXTENSION" && s.name == "plpgsql":
		return safepoint.NewPhrase("Statements about plpgsql are left out: every database has it.")
	case s.kind == "CREATE SCHEMA" && s.name == "public" && at(s.rest, 1).kind == ';':
		return safepoint.NewPhrase("CREATE SCHEMA public is left out: a new database has it.")
	case s.kind == "COMMENT SCHEMA" && s.name == "public" && (bytes.Contains(bare, []byte("'standard public schema'")) || bytes.Contains(bare, []byte("'Standard public schema'"))):
		return safepoint.NewPhrase("The standard comment on the schema public is left out.")
	case s.kind == "ALTER DATABASE":
		return safepoint.NewPhrase("The owner of the database is left out: it stays as it is.")
	case c.opt.NoOwner && (s.verb == "ALTER" && s.has("OWNER") || s.verb == "GRANT" || s.verb == "REVOKE" || s.object == "DEFAULT PRIVILEGES" || s.verb == "SET" && s.has("AUTHORIZATION")):
		return safepoint.NewPhrase("Owners and rights are left out, as was asked for.")
	}
	return why
}

// remember notes what a statement makes and whom it names, for people who decide whether to use the dump.
func (c *converter) remember(s statement) {
	switch s.verb {
	case "CREATE":
		c.created = true
		if s.object == "EXTENSION" && s.name != "" {
			c.out.Extensions = append(c.out.Extensions, s.name)
		}
		if slices.Contains(codeTypes, s.object) {
			c.code(Object{s.object, strings.TrimPrefix(s.label(), s.object+" ")})
		}
	case "DO":
		c.code(Object{"DO", ""})
	case "ALTER":
		if i := slices.IndexFunc(s.ts, func(t token) bool { return t.is("OWNER") }); i > 0 && at(s.ts, i+1).is("TO") {
			c.role(c.owners, at(s.ts, i+2))
		}
	case "GRANT", "REVOKE":
		for i, t := range s.ts {
			if i > 1 && (t.is("TO") || t.is("FROM")) {
				c.role(c.roles, at(s.ts, i+1))
			}
		}
	}
}

func (c *converter) code(o Object) {
	if c.out.CodeCount++; len(c.out.Code) < MaxCode {
		c.out.Code = append(c.out.Code, o)
	}
}

func (c *converter) role(known map[string]bool, t token) {
	if t.kind != 'w' && t.kind != 'q' || t.is("PUBLIC") || t.is("CURRENT_USER") || t.is("SESSION_USER") || t.is("CURRENT_ROLE") || len(known) >= 1000 {
		return
	}
	known[t.name()] = true
}
