package postgres

import (
	"regexp"
	"strings"

	"github.com/safepoint-db/safepoint/internal/sqlscript"
)

// set is one of the settings that pg_dump makes for its script.
func (c *classifier) set(verb string) verdict {
	if c.is("SESSION", "AUTHORIZATION") {
		what := verb + " SESSION AUTHORIZATION"
		if c.unknown {
			return refuse(what, "it would act as another role")
		}
		if verb == "SET" {
			if c.word("DEFAULT") {
				return refuse(what, noPart)
			}
			if _, ok := c.name(); !ok && c.at.Kind == sqlscript.String {
				c.step()
			}
		}
		if !c.ends() {
			return refuse(what, "it is not written as pg_dump writes it")
		}
		return verdict{rights: oursLater, what: what}
	}
	if verb != "SET" {
		return refuse(verb, noPart)
	}
	name, ok := c.name()
	what := "SET " + name
	allowed, known := settingsOfScripts[name]
	if !ok || !known {
		return refuse(what, "a backup has no need of that setting")
	}
	if !c.sign("=") && !c.is("TO") {
		return refuse(what, "it is not written as pg_dump writes it")
	}
	value := strings.ToLower(strings.Trim(c.at.Text, "'"))
	if allowed != nil && (c.at.Kind != sqlscript.Word && c.at.Kind != sqlscript.String || !allowed(value)) {
		return refuse(what, "to "+value)
	}
	for c.step(); c.sign(","); c.step() {
		if allowed != nil {
			return refuse(what, "it is not written as pg_dump writes it")
		}
	}
	if !c.ends() {
		return refuse(what, "it is not written as pg_dump writes it")
	}
	return verdict{rights: makesSetting, what: what, early: true}
}

// settingsOfScripts are those that a script may make, with what they may be: any value, or those for which the function
// says so. They are the login's own, and none of them lets it do more.
var settingsOfScripts = map[string]func(value string) bool{
	"statement_timeout": nil, "lock_timeout": nil, "idle_in_transaction_session_timeout": nil, "idle_session_timeout": nil, "transaction_timeout": nil,
	"check_function_bodies": nil, "xmloption": nil, "client_min_messages": nil, "row_security": nil, "escape_string_warning": nil,
	"default_tablespace": nil, "default_with_oids": nil, "default_table_access_method": nil, "default_toast_compression": nil, "search_path": nil,
	"bytea_output": nil, "datestyle": nil, "intervalstyle": nil, "extra_float_digits": nil, "timezone": nil, "synchronous_commit": nil,
	"restrict_nonsystem_relation_kind": nil, "lc_monetary": nil, "quote_all_identifiers": nil,
	// Our reading of quotes stands on these.
	"standard_conforming_strings": func(v string) bool { return v == "on" },
	// In all others a backslash or a quote may be half of a letter.
	"client_encoding": func(v string) bool { return serverEncoding.MatchString(v) },
}

// serverEncoding knows the names of encodings in which no byte of a longer letter is ASCII: those that servers use inside.
// Servers take any other sign between letters and digits for nothing ("S-JIS" is SJIS), so what is not listed is refused.
var serverEncoding = regexp.MustCompile(`^(sql_?ascii|utf-?8|unicode|latin-?([1-9]|10)|iso[-_]?8859[-_]?(1|2|3|4|5|6|7|8|9|10|13|14|15|16)|win-?(866|874|125[0-8])|windows-?(866|874|125[0-8])|abc|alt|tcvn5712|vscii|koi8-?[ru]?|euc_?(cn|jp|kr|tw|jis_2004)|mule_?internal)$`)

// selects are the functions by which pg_dump sets what is not rows.
func (c *classifier) selects() verdict {
	if c.sign("*") && !c.is("FROM") {
		return refuse("", noPart)
	}
	schema, name, ok := c.qualified()
	if !ok || schema != "" && schema != "pg_catalog" || c.at.Text != "(" {
		return refuse("", noPart)
	}
	what := "SELECT " + name
	constants := c.constants()
	switch name {
	case "set_config":
		if len(constants) == 3 && constants[0] == "'search_path'" && c.ends() {
			return verdict{rights: makesSetting, what: what, early: true}
		}
	case "setval", "lo_create", "lo_from_bytea", "lo_put", "lo_open", "lowrite", "lo_close":
		if constants != nil && c.ends() {
			return verdict{rights: ours, what: what, early: true}
		}
	case "pg_restore_relation_stats", "pg_restore_attribute_stats", "pg_restore_extended_stats":
		return verdict{rights: asLogin, what: what}
	}
	return refuse("", noPart)
}

// constants reads (…) that holds literals only. It returns nil for anything else.
func (c *classifier) constants() []string {
	if !c.sign("(") {
		return nil
	}
	list := []string{}
	for {
		c.sign("-")
		switch {
		case c.at.Kind == sqlscript.String || c.at.Kind == sqlscript.Number:
		case c.word("TRUE"), c.word("FALSE"):
		default:
			return nil
		}
		list = append(list, c.at.Text)
		c.step()
		if c.sign(":") { // '…'::regclass
			if _, _, ok := c.castTo(); !ok {
				return nil
			}
		}
		switch {
		case c.sign(")"):
			return list
		case !c.sign(","):
			return nil
		}
	}
}

func (c *classifier) castTo() (schema, name string, ok bool) {
	if !c.sign(":") {
		return "", "", false
	}
	schema, name, ok = c.qualified()
	return schema, name, ok && (schema == "" || schema == "pg_catalog")
}
