package postgres

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"
)

// rows executes the frames of the data section. Rows of tables that refer to one another already (an extension's, for
// all other foreign keys are made afterwards) come first, in their order; then all others beside one another.
func (l *loader) rows(ctx context.Context, from, to int) error {
	if !l.parallel() {
		return l.inTurn(ctx, from, to)
	}
	bound, err := l.bound(ctx)
	if err != nil {
		return err
	}
	looking, err := l.looking(ctx)
	if err != nil {
		return err
	}
	work := l.divide(from, to, bound, looking)
	for _, i := range work.ordered {
		if err := l.frame(ctx, l.lead, i); err != nil {
			return err
		}
	}
	err = l.together(ctx, l.workers(), func(ctx context.Context, s *loadSession) error {
		if err := l.settings.make(ctx, s); err != nil {
			return err
		}
		for u, ok := work.take(s == l.lead); ok; u, ok = work.take(s == l.lead) {
			left, err := l.unit(ctx, s, u)
			switch {
			case mayLackRows(err):
				work.putOff(left)
			case err != nil:
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return l.late(ctx, work.inOrder())
}

// late loads what was put off, again and again while something of it is loaded: a table may lack the rows of another one.
func (l *loader) late(ctx context.Context, units []unit) error {
	for len(units) > 0 {
		var refused []unit
		var first error
		loaded := false
		for _, u := range units {
			left, err := l.unit(ctx, l.lead, u)
			switch {
			case err == nil:
				loaded = true
			case !mayLackRows(err):
				return err
			default:
				loaded = loaded || len(left.frames) < len(u.frames)
				refused = append(refused, left)
				if first == nil {
					first = err
				}
			}
		}
		if !loaded {
			return first
		}
		units = refused
	}
	return nil
}

// mayLackRows says that rows may have been refused because others, in another table, are not there yet: by a check that reads
// them, which may raise what it likes, or wait for a table of which another session is loading rows. The server promises
// nothing for such a check, but psql loads it where the tables are in a good order. What no other rows can mend is not meant:
// text that is no value of its type, rights, a full disk, a session that is ended.
func mayLackRows(err error) bool {
	code := state(err)
	return code != "" && !slices.Contains([]string{"08", "0A", "22", "25", "28", "42", "53", "54", "55", "57", "58", "F0", "XX"}, code[:2])
}

// looking names the tables with stored columns that a function of the database itself computes, and not one in C. Whatever it
// says of itself, it may look into another table, and where that one has no rows yet it finds nothing, and nobody is told. Such
// tables come last. Before version 15 what a computed column needs was noted as what the column needs, and not its expression.
func (l *loader) looking(ctx context.Context) (map[tableName]bool, error) {
	return l.names(ctx, "look for computed columns", `SELECT DISTINCT n.nspname::text, c.relname::text
FROM pg_catalog.pg_attribute a
JOIN pg_catalog.pg_attrdef f ON f.adrelid = a.attrelid AND f.adnum = a.attnum
JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass AND d.objid = f.oid
	OR d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = a.attrelid AND d.objsubid = a.attnum
LEFT JOIN pg_catalog.pg_operator o ON d.refclassid = 'pg_catalog.pg_operator'::pg_catalog.regclass AND o.oid = d.refobjid
JOIN pg_catalog.pg_proc p ON p.oid = o.oprcode OR d.refclassid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND p.oid = d.refobjid
JOIN pg_catalog.pg_language l ON l.oid = p.prolang AND l.lanname NOT IN ('c', 'internal')
JOIN pg_catalog.pg_class c ON c.oid = a.attrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE a.attgenerated = 's'`)
}

// parallel says whether several sessions can do what the script says. A foreign one is executed in its own order.
func (l *loader) parallel() bool {
	return len(l.others) > 0 && !l.settings.unknown && l.r.Header().Foreign == ""
}

// together runs work in sessions at once.
func (l *loader) together(ctx context.Context, sessions []*loadSession, work func(context.Context, *loadSession) error) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, s := range sessions {
		group.Go(func() error { return work(ctx, s) })
	}
	return group.Wait()
}

// bound names the tables that have or are referred to by a foreign key.
func (l *loader) bound(ctx context.Context) (map[tableName]bool, error) {
	return l.names(ctx, "list foreign keys", `SELECT DISTINCT n.nspname::text, c.relname::text
FROM pg_catalog.pg_constraint f JOIN pg_catalog.pg_class c ON c.oid IN (f.conrelid, f.confrelid) JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE f.contype = 'f'`)
}

// names are the tables that a query names.
func (l *loader) names(ctx context.Context, what, query string) (map[tableName]bool, error) {
	r := l.lead.conn.ExecParams(ctx, query, nil, nil, nil, nil).Read()
	if r.Err != nil {
		return nil, fmt.Errorf("%s: %w", what, r.Err)
	}
	names := map[tableName]bool{}
	for _, row := range r.Rows {
		names[tableName{readable(string(row[0])), readable(string(row[1]))}] = true
	}
	return names, nil
}

// settings are what the script has set so far in the session that reads it from front to back. Whatever is executed in
// another session needs them there. One goroutine notes them, before others make them.
type settings struct {
	names   []string
	values  map[string]string // statements
	text    string
	unknown bool // something was set in a way that is not understood: other sessions will not do
}

var setStatement = regexp.MustCompile(`^SET ([A-Za-z_.]+) = ('(?:[^'\\]|'')*'|"[^"]+"|[A-Za-z0-9_]+)(, ?[A-Za-z0-9_]+)*;$`)

const setSearchPath = "SELECT pg_catalog.set_config('search_path', '', false);"

// note takes account of a statement of the script.
func (k *settings) note(statement []byte) {
	text := strings.TrimSpace(string(withoutComments(statement)))
	name := ""
	switch m := setStatement.FindStringSubmatch(text); {
	case m != nil && !strings.EqualFold(m[1], "role"):
		name = m[1]
	case text == setSearchPath:
		name = "search_path"
	case strings.HasPrefix(text, "SET "), strings.HasPrefix(text, "RESET "), strings.HasPrefix(text, "SELECT pg_catalog.set_config("):
		k.unknown = true
		return
	default:
		return
	}
	if k.values == nil {
		k.values = map[string]string{}
	}
	if _, known := k.values[name]; !known {
		k.names = append(k.names, name)
	}
	if k.values[name] == text {
		return
	}
	k.values[name] = text
	var b strings.Builder
	for _, name := range k.names {
		b.WriteString(k.values[name] + "\n")
	}
	k.text = b.String()
}

// make makes the settings in a session that has not made them yet.
func (k *settings) make(ctx context.Context, s *loadSession) error { return s.set(ctx, k.text) }

func (s *loadSession) set(ctx context.Context, text string) error {
	if s.made == text {
		return nil
	}
	if err := s.conn.Exec(ctx, text).Close(); err != nil {
		return fmt.Errorf("make the script's settings: %w", err)
	}
	s.made = text
	return nil
}
