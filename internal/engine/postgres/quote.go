package postgres

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// ident quotes a name as an SQL identifier, always.
func ident(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// qualified quotes a schema's object.
func qualified(schema, name string) string { return ident(schema) + "." + ident(name) }

// literal quotes a value as an SQL string that means the same whatever standard_conforming_strings says.
func literal(s string) string {
	quoted := "'" + strings.ReplaceAll(s, "'", "''") + "'"
	if strings.Contains(s, `\`) {
		return " E" + strings.ReplaceAll(quoted, `\`, `\\`)
	}
	return quoted
}

// readable is a name for the table of contents, which is JSON: bytes that are not UTF-8 (names in a database of
// another encoding) become \xNN, always the same way.
func readable(name string) string {
	if utf8.ValidString(name) {
		return name
	}
	var b strings.Builder
	for i := 0; i < len(name); {
		r, n := utf8.DecodeRuneInString(name[i:])
		if r == utf8.RuneError && n == 1 {
			fmt.Fprintf(&b, `\x%02x`, name[i])
		} else {
			b.WriteString(name[i : i+n])
		}
		i += n
	}
	return b.String()
}
