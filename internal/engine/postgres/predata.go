package postgres

import (
	"context"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/safepoint-db/safepoint/internal/archive"
)

// preData executes the pre-data section: in its order, except that tables of which none names another are made beside one
// another. For each table with values out of line the server makes an index, and waits until the disk has it.
func (l *loader) preData(ctx context.Context, from, to int) error {
	if l.priv.unknown || !l.parallel() {
		return l.inTurn(ctx, from, to)
	}
	p := &preData{l: l}
	p.begin()
	for i := from; i < to; i++ {
		if err := p.frame(ctx, i); err != nil {
			return &frameError{entry: l.r.Entry(i), err: err}
		}
	}
	return nil
}

// preData holds back statements of one frame until tables are made together.
type preData struct {
	l      *loader
	entry  archive.Entry
	run    []string
	table  []int              // places in run of tables that may be made before what stands before them
	names  map[tableName]bool // that run makes or changes
	starts map[string]bool    // of the names that the server gives to constraints of the tables in run
}

func (p *preData) begin() {
	p.run, p.table, p.names, p.starts = nil, nil, map[tableName]bool{}, map[string]bool{}
}

func (p *preData) frame(ctx context.Context, i int) error {
	e := p.l.r.Entry(i)
	f, err := p.l.r.Frame(i)
	if err != nil {
		return err
	}
	defer f.Close()
	if e.Kind != kindDDL {
		return p.l.statements(ctx, p.l.lead, f, e)
	}
	sql, err := readStatements(f, e)
	if err != nil {
		return err
	}
	p.entry = e
	p.l.tell(func() { p.l.at.Table = "" })
	var failed error
	if err := checkScript(sql, func(statement []byte) {
		if failed == nil {
			failed = p.statement(ctx, statement)
		}
	}); err != nil {
		return unfit("A part of it is not statements: %v.", err)
	}
	if failed == nil {
		failed = p.flush(ctx)
	}
	if failed == nil {
		p.l.tell(func() { p.l.at.Bytes += e.RawLength })
	}
	return failed
}

func (p *preData) statement(ctx context.Context, statement []byte) error {
	v := p.l.priv.of(statement)
	f := understand(statement)
	table := v.rights == asLogin && isPlainTable(statement)
	mayWait := table || p.l.priv.putsOff(statement) || f.waits(statement)
	if !mayWait || table && (slices.ContainsFunc(f.refs, func(name tableName) bool { return p.names[name] }) || p.takesName(statement)) {
		if err := p.flush(ctx); err != nil {
			return err
		}
	}
	p.l.settings.note(statement)
	if table {
		p.table = append(p.table, len(p.run))
		p.starts[f.subject.name+"_"] = true
	}
	p.run = append(p.run, string(statement))
	for _, name := range append(f.also, f.subject, f.target) {
		p.names[name] = true
	}
	if mayWait {
		return nil
	}
	return p.flush(ctx)
}

// takesName says that a table names a constraint as the server may name a NOT NULL of one that is held back: TABLE_COLUMN_not_null.
// From 18 on partitions do so. Made first, it would have the other's named otherwise. Where the server has to shorten that
// name, pg_dump writes it.
func (p *preData) takesName(statement []byte) bool {
	for r := read(statement); !r.over(); {
		if !r.is("CONSTRAINT") {
			r.step()
			continue
		}
		name, _ := r.name()
		if !strings.HasSuffix(strings.TrimRight(name, "0123456789"), "_not_null") {
			continue
		}
		for n := range len(name) {
			if p.starts[name[:n+1]] {
				return true
			}
		}
	}
	return false
}

// isPlainTable knows CREATE TABLE schema.name (…).
func isPlainTable(statement []byte) bool {
	r := read(statement)
	if !r.is("CREATE") {
		return false
	}
	r.is("UNLOGGED")
	if !r.is("TABLE") {
		return false
	}
	schema, _, ok := r.qualified()
	return ok && schema != "" && r.atSign("(")
}

// waits says that tables which do not name what a statement makes can be made before it.
func (f statementFacts) waits(statement []byte) bool {
	r := read(statement)
	switch {
	case r.is("CREATE"):
		_, ok := r.oneOf("SEQUENCE", "VIEW", "MATERIALIZED VIEW")
		return ok && f.role == makesRole
	case r.is("ALTER"):
		_, ok := r.oneOf("TABLE", "SEQUENCE", "VIEW", "MATERIALIZED VIEW")
		return ok && f.subject.name != ""
	}
	return f.role == grantRole || r.is("COMMENT", "ON")
}

const (
	fewTables = 8 // are made in turn
	perBatch  = 4 // tables in one message
)

// flush executes what was held back: first the tables together, and then all else in its order, with the tables that the
// server refused for what was not there yet.
func (p *preData) flush(ctx context.Context) error {
	run, tables := p.run, p.table
	p.begin()
	if len(tables) >= fewTables && p.l.parallel() {
		if err := p.together(ctx, run, tables); err != nil {
			return err
		}
	}
	rest := strings.Join(slices.DeleteFunc(run, func(s string) bool { return s == "" }), "\n")
	if rest == "" {
		return nil
	}
	return p.l.execute(ctx, p.l.lead, []byte(rest), p.entry)
}

// together makes tables, and empties their places in run.
func (p *preData) together(ctx context.Context, run []string, tables []int) error {
	batches := slices.Collect(slices.Chunk(tables, perBatch))
	var next atomic.Int64
	return p.l.together(ctx, p.l.sessions(), func(ctx context.Context, s *loadSession) error {
		if err := p.l.settings.make(ctx, s); err != nil {
			return err
		}
		for i := next.Add(1) - 1; i < int64(len(batches)); i = next.Add(1) - 1 {
			var sql strings.Builder
			for _, at := range batches[i] {
				sql.WriteString(run[at] + "\n")
			}
			switch err := s.conn.Exec(ctx, sql.String()).Close(); {
			case err == nil:
				for _, at := range batches[i] {
					run[at] = ""
				}
			case !mayTryAgain(err) && state(err) != stateUniqueViolation: // which is of the server's own names: no row is there yet
				return err
			}
		}
		return ctx.Err()
	})
}
