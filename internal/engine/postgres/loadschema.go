package postgres

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/archive"
	"github.com/safepoint-db/safepoint/internal/engine"
	"github.com/safepoint-db/safepoint/internal/sqlscript"
)

// LoadSchema loads chosen tables into a new schema of a database that holds others, and compares their rows before
// anything of it can be seen: all in one transaction. See engine.SchemaLoader.
func (e Engine) LoadSchema(ctx context.Context, t engine.Target, r *archive.Reader, schema string, opt engine.LoadOptions) error {
	if err := ofPostgres(r.Header()); err != nil {
		return err
	}
	if ofUnknownOrigin(r) && !e.Unknown.Trusted {
		return safepoint.Errorf(safepoint.CodeBlocked, "A file of unknown origin is not loaded into a database that holds something.").
			WithHint("Name the key that signed it (--key), say that you vouch for the file (--trusted), or load it into an empty database.")
	}
	m, err := newMove(ctx, r, schema)
	if err != nil {
		return err
	}
	conn, err := connectContent(ctx, t)
	if err != nil {
		return err
	}
	defer hangUp(conn) // without a COMMIT nothing has happened
	if err := mayRead(ctx, conn, r.Header(), opt); err != nil {
		return explain(ctx, t, err)
	}
	if err := m.mayRun(ctx, conn, t, e.Unknown.Trusted); err != nil {
		return explain(ctx, t, err)
	}
	l := &loader{r: r, report: opt.Report, lead: &loadSession{conn: conn.PgConn()}, frames: map[tableName]int{}}
	if opt.Report == nil {
		l.report = func(engine.Progress) {}
	}
	return explain(ctx, t, m.load(ctx, l, conn, t))
}

// move gives what an archive makes another schema.
type move struct {
	schema string
	names  map[tableName]bool // with the schemas that they had
	code   bool               // it makes functions
}

// newMove lists what the archive's statements make. Two names that would become one are refused.
func newMove(ctx context.Context, r *archive.Reader, schema string) (*move, error) {
	m := &move{schema: schema, names: map[tableName]bool{}}
	p := newPicker(r, engine.Selection{})
	if err := p.each(ctx, func(_ int, _ archive.Section, statement []byte) error {
		p.learn(statement)
		if r := read(statement); r.is("CREATE") {
			r.is("OR", "REPLACE")
			_, routine := r.oneOf("FUNCTION", "PROCEDURE", "AGGREGATE")
			m.code = m.code || routine
		}
		return nil
	}); err != nil {
		return nil, err
	}
	from := map[string]string{}
	for name := range p.makes {
		if name.schema == "" {
			continue
		}
		m.names[name] = true
		if other, there := from[name.name]; there && other != name.schema {
			return nil, safepoint.Errorf(safepoint.CodeConflict, "Both %s.%s and %s.%s are needed, and one schema holds one of that name.", other, name.name, name.schema, name.name).
				WithHint("Load the tables of each schema into a schema of its own, or all of them into an empty database.")
		}
		from[name.name] = name.schema
	}
	return m, nil
}

// mayRun refuses to have a superuser run functions of the file beside what is live: here is no load login. Whoever could
// make a function in the source would be a superuser in the target.
func (m *move) mayRun(ctx context.Context, conn *pgx.Conn, t engine.Target, trusted bool) error {
	if !m.code || trusted {
		return nil
	}
	var super bool
	if err := conn.QueryRow(ctx, "SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user").Scan(&super); err != nil {
		return fmt.Errorf("look at the user's rights: %w", err)
	}
	if !super {
		return nil
	}
	return safepoint.Errorf(safepoint.CodeBlocked, "What was chosen brings functions, and %s is a superuser: they would run with all its rights beside what is live.", t.User).
		WithHint("Connect as a user that is no superuser, load into an empty database, or say that you vouch for the functions (--trusted).")
}

func (m *move) load(ctx context.Context, l *loader, conn *pgx.Conn, t engine.Target) error {
	if encoding := conn.PgConn().ParameterStatus("server_encoding"); encoding != l.r.Header().Encoding {
		return safepoint.Errorf(safepoint.CodeBlocked, "The database %s is encoded in %s, the backup in %s.", t.Name, encoding, l.r.Header().Encoding).
			WithHint("Load into a database of the same encoding.")
	}
	err := script(ctx, conn, "BEGIN; CREATE SCHEMA "+ident(m.schema))
	switch state(err) {
	case "42P06":
		return safepoint.Errorf(safepoint.CodeConflict, "There is a schema called %s in %s already.", m.schema, t.Name).WithHint("Choose another name. Nothing was changed.")
	case "42939":
		return safepoint.Invalid("schema", "A schema's name may not begin with pg_.")
	}
	if err != nil {
		return err
	}
	for i, e := range l.r.Entries() {
		if err := m.frame(ctx, l, conn, i, e); err != nil {
			return &frameError{entry: e, err: err}
		}
	}
	if err := m.compare(ctx, conn, l); err != nil {
		return err
	}
	return script(ctx, conn, "COMMIT")
}

func (m *move) frame(ctx context.Context, l *loader, conn *pgx.Conn, i int, e archive.Entry) error {
	f, err := l.r.Frame(i)
	if err != nil {
		return err
	}
	defer f.Close()
	if e.Kind == kindCopy {
		return l.copyAs(ctx, l.lead, f, e, func(statement []byte) ([]byte, error) { return m.rewrite(statement), nil })
	}
	s := sqlscript.New(f)
	for {
		statement, meta, err := s.Next()
		switch {
		case err == io.EOF:
			return nil
		case err != nil || meta:
			return unfit("A part of it is not statements.")
		}
		facts := understand(statement)
		if facts.subject.schema == "" && facts.role != settingRole && e.Section != archive.Data {
			continue // schemas and extensions: the new schema is there, and what else is needed must be
		}
		if err := script(ctx, conn, string(m.rewrite(statement))); err != nil {
			return err
		}
	}
}

// rewrite puts the new schema in the place of the old one, wherever a statement names something that was moved.
func (m *move) rewrite(statement []byte) []byte {
	var out bytes.Buffer
	at := 0
	for _, ref := range references(tokens(statement)) {
		if !m.names[ref.tableName] {
			continue
		}
		out.Write(statement[at:ref.schema.From])
		if at = ref.schema.To; ref.schema.Kind == sqlscript.String {
			parts := tokens([]byte(ref.schema.value))
			out.WriteString(strings.TrimLeft(literal(ident(m.schema)+ref.schema.value[parts[0].To:]), " "))
		} else {
			out.WriteString(ident(m.schema))
		}
	}
	out.Write(statement[at:])
	return out.Bytes()
}

// compare reads the new schema's tables within the transaction that made them.
func (m *move) compare(ctx context.Context, conn *pgx.Conn, l *loader) error {
	if err := script(ctx, conn, contentSettings(conn.PgConn())); err != nil {
		return err
	}
	list, err := tables(ctx, conn)
	if err != nil {
		return err
	}
	d := newDigestion(l.report)
	for _, t := range list {
		if t.schema != m.schema || t.partitioned {
			continue
		}
		if err := d.read(ctx, conn, []slice{{table: &t, last: true}}); err != nil {
			return err
		}
	}
	want := archive.Fingerprint{}
	for name, digest := range l.r.Fingerprint() {
		if old, ok := nameIn(name); ok {
			want[qualified(readable(m.schema), old.name)] = digest
		}
	}
	return want.Compare(d.fingerprint())
}

var _ engine.SchemaLoader = Engine{}
