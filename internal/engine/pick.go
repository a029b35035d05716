package engine

import (
	"context"
	"fmt"
	"strings"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/archive"
)

// Selection says which tables are taken out of an archive, and what of them.
type Selection struct {
	Tables       []Pattern
	SchemaOnly   bool // definitions without rows
	DataOnly     bool // rows without definitions
	Triggers     bool // also triggers whose functions nothing else needs, with those functions
	NoOwner      bool // leave owners to whoever loads
	NoPrivileges bool // leave grants out
}

// Picked is what was taken out of an archive.
type Picked struct {
	// Reader is an archive of the chosen tables alone, with their fingerprint. It reads from the one they came from.
	Reader *archive.Reader
	Tables []string // that were chosen, quoted as in a fingerprint, in the script's order
	Notes  []string // what was left out or taken along, and why, for people
}

// Picker is an engine that can take tables out of an archive. It reads the archive's definitions, never rows.
// A pattern that fits no table is CodeNotFound, and names it.
type Picker interface {
	Pick(ctx context.Context, r *archive.Reader, s Selection) (Picked, error)
}

// Pattern is a table's name in which "*" stands for anything and "?" for one character: "app.orders", "app.*".
// A name without a schema is looked for in all of them. Double quotes keep a name with dots, stars or quotes as it is.
type Pattern struct {
	text          string
	schema, table []rune // wild cards are anyRun and anyOne; a nil schema fits every one
}

const (
	anyRun rune = -1
	anyOne rune = -2
)

// ParsePattern reads a pattern.
func ParsePattern(text string) (Pattern, error) {
	p := Pattern{text: text}
	parts, err := patternParts(text)
	if err != nil {
		return p, safepoint.Invalid("table", "%q is not the name of a table: %v.", text, err).
			WithHint(`Write schema.table, such as app.orders or app.*; a name with a dot in quotes: app."odd.name".`)
	}
	if p.table = parts[len(parts)-1]; len(parts) == 2 {
		p.schema = parts[0]
	}
	return p, nil
}

// ParsePatterns reads several. None is CodeInvalid.
func ParsePatterns(texts []string) ([]Pattern, error) {
	if len(texts) == 0 {
		return nil, safepoint.Invalid("table", "No table was chosen.").WithHint("Name at least one, such as app.orders or app.*.")
	}
	patterns := make([]Pattern, len(texts))
	for i, text := range texts {
		var err error
		if patterns[i], err = ParsePattern(text); err != nil {
			return nil, err
		}
	}
	return patterns, nil
}

func patternParts(text string) ([][]rune, error) {
	parts, quoted := [][]rune{nil}, false
	runes := []rune(text)
	for i := 0; i < len(runes); i++ {
		last := &parts[len(parts)-1]
		switch c := runes[i]; {
		case c == '"' && quoted && i+1 < len(runes) && runes[i+1] == '"':
			*last = append(*last, c)
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
			*last = append(*last, c)
		case c == '.':
			parts = append(parts, nil)
		case c == '*':
			*last = append(*last, anyRun)
		case c == '?':
			*last = append(*last, anyOne)
		default:
			*last = append(*last, c)
		}
	}
	switch {
	case quoted:
		return nil, fmt.Errorf("a quote has no end")
	case len(parts) > 2:
		return nil, fmt.Errorf("it has more than two parts")
	}
	for _, part := range parts {
		if len(part) == 0 {
			return nil, fmt.Errorf("a part of it is empty")
		}
	}
	return parts, nil
}

func (p Pattern) String() string { return p.text }

// Match says whether the pattern means this table. Upper and lower case differ.
func (p Pattern) Match(schema, table string) bool {
	return (p.schema == nil || wild(p.schema, []rune(schema))) && wild(p.table, []rune(table))
}

func wild(pattern, name []rune) bool {
	star, retry := -1, 0
	i, j := 0, 0
	for j < len(name) {
		switch {
		case i < len(pattern) && pattern[i] == anyRun:
			star, retry = i, j
			i++
		case i < len(pattern) && (pattern[i] == anyOne || pattern[i] == name[j]):
			i++
			j++
		case star >= 0:
			retry++
			i, j = star+1, retry
		default:
			return false
		}
	}
	for i < len(pattern) && pattern[i] == anyRun {
		i++
	}
	return i == len(pattern)
}

// Unmatched is the refusal of patterns that fit no table of an archive.
func Unmatched(p Pattern, database string) error {
	return safepoint.Errorf(safepoint.CodeNotFound, "No table of this backup of %s fits %q.", database, strings.ToValidUTF8(p.text, "?")).
		WithHint("Upper and lower case differ. \"safepoint inspect FILE --tables\" lists the tables.")
}

// SchemaLoader is an engine that can load chosen tables into a new schema of a database that holds others.
type SchemaLoader interface {
	// LoadSchema loads an archive made by Pick, without owners and grants, and compares the rows with its fingerprint.
	// It does all of it, or nothing. CodeConflict: the schema is there already, or two tables would have one name.
	LoadSchema(ctx context.Context, t Target, r *archive.Reader, schema string, opt LoadOptions) error
}
