package postgres

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
)

// wholeTable is how many bytes of rows make it worth while to load a table in a transaction of its own.
const wholeTable = 4 << 20

// division is who loads which rows.
type division struct {
	ordered []int // frames of tables that refer to one another, to be executed before all others

	mu    sync.Mutex
	units []unit // the largest first
	giant []unit // the frames of a table that is more than one session's share
	again []unit // that come last, for the rows that they look up: some were refused without them
}

// unit is what one session loads: frames in their order.
type unit struct {
	frames []int
	weight int64 // bytes of SQL
	table  bool  // they are all of one table's rows
	frozen bool  // and are written so
}

// divide gives each table to one session, which waits for no other's extension of the same file and can freeze its
// rows. Only a table that is more than a session's fair share is loaded by several. What is not rows stays in its order,
// except for large objects, of which each numbered part is whole: unless all are made by our own session anyway. Tables
// that look into others come last.
func (l *loader) divide(from, to int, bound, looking map[tableName]bool) *division {
	d := &division{units: make([]unit, 1, 1+to-from)} // the first is of what is not rows
	numbers := make([]int, 0, to-from)                // of frames that are all of their table
	tables := map[tableName]int{}                     // units of the others
	large := map[int]int{}                            // units of large objects
	total := int64(0)
	for i := from; i < to; i++ {
		e := l.r.Entry(i)
		name := tableName{e.Schema, e.Table}
		at := 0
		switch {
		case e.Kind == kindCopy && bound[name]:
			d.ordered = append(d.ordered, i)
			continue
		case e.Kind == kindCopy && l.frames[name] < 2:
			numbers = append(numbers, i)
			d.units = append(d.units, unit{frames: numbers[len(numbers)-1 : len(numbers) : len(numbers)], weight: e.RawLength, table: true})
			total += e.RawLength
			continue
		case e.Kind == kindCopy:
			if at = tables[name]; at == 0 {
				at = len(d.units)
				tables[name], d.units = at, append(d.units, unit{table: true})
			}
		case e.Kind == kindLargeObjects && l.priv.login == nil:
			if at = large[e.Slice]; at == 0 {
				at = len(d.units)
				large[e.Slice], d.units = at, append(d.units, unit{})
			}
		}
		u := &d.units[at]
		u.frames, u.weight = append(u.frames, i), u.weight+e.RawLength
		total += e.RawLength
	}
	share := total / int64(max(1, min(l.jobs, len(l.workers()))))
	units := d.units[:0]
	for _, u := range d.units {
		u.frozen = u.table && u.weight >= wholeTable
		switch {
		case u.table && len(looking) > 0 && looking[l.tableOf(u)]:
			d.again = append(d.again, u)
		case u.table && u.weight > share+share/4:
			for _, i := range u.frames {
				d.giant = append(d.giant, unit{frames: []int{i}})
			}
		case len(u.frames) > 0:
			units = append(units, u)
		}
	}
	d.units = units
	slices.SortStableFunc(d.units, func(a, b unit) int { return cmp.Compare(b.weight, a.weight) })
	return d
}

// tableOf is the table whose rows a unit holds.
func (l *loader) tableOf(u unit) tableName {
	e := l.r.Entry(u.frames[0])
	return tableName{e.Schema, e.Table}
}

// take is the next work of a session. The lead begins with the giant table, all others end with it.
func (d *division) take(lead bool) (u unit, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	from := &d.units
	if len(d.units) == 0 || lead && len(d.giant) > 0 {
		from = &d.giant
	}
	if len(*from) == 0 {
		return unit{}, false
	}
	u, *from = (*from)[0], (*from)[1:]
	return u, true
}

// putOff keeps what is left of a unit until all others are loaded.
func (d *division) putOff(u unit) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.again = append(d.again, u)
}

// inOrder gives what was put off as the archive has it.
func (d *division) inOrder() []unit {
	slices.SortFunc(d.again, func(a, b unit) int { return cmp.Compare(a.frames[0], b.frames[0]) })
	return d.again
}

// unit executes its frames, and returns those that are left if it fails. Rows of a whole table are written as frozen, where it
// is empty until then: no later scan has to mark them as committed and to write each page once more for that, and no vacuum
// has to freeze them. The server allows it in the transaction that truncated the table.
func (l *loader) unit(ctx context.Context, s *loadSession, u unit) (left unit, err error) {
	f, as := &freezing{s: s}, rewriting(asItStands)
	if u.frozen {
		as = func(statement []byte) ([]byte, error) { return f.statement(ctx, statement) }
	}
	left = u
	for n, i := range u.frames {
		if err := l.frameAs(ctx, s, i, as); err != nil {
			if f.began {
				s.conn.Exec(ctx, "ROLLBACK").Close() // if it fails, so does whatever is executed next
				return u, err
			}
			left.frames = u.frames[n:]
			return left, err
		}
	}
	return left, f.end(ctx)
}

// freezing is the transaction that loads one table.
type freezing struct {
	s     *loadSession
	table string // as the statement names it; "" before the first
	began bool
}

var fromStdin = []byte(" FROM stdin;")

// statement is the COPY that freezes, or the one it was given where the table holds rows already, an extension's. It
// begins the transaction.
func (f *freezing) statement(ctx context.Context, statement []byte) ([]byte, error) {
	r := read(statement)
	if !r.is("COPY") {
		return statement, nil
	}
	from := r.at.From
	if _, ok := r.table(); !ok {
		return statement, nil
	}
	table := string(bytes.TrimSpace(statement[from:r.at.From]))
	if f.table == "" {
		f.table = table
		if err := f.begin(ctx); err != nil {
			return nil, err
		}
	}
	if !f.began || table != f.table {
		return statement, nil
	}
	return append(bytes.TrimSuffix(bytes.Clone(statement), fromStdin), " FROM stdin WITH (FREEZE);"...), nil
}

func (f *freezing) begin(ctx context.Context) error {
	size := f.s.conn.ExecParams(ctx, "SELECT pg_catalog.pg_relation_size($1::pg_catalog.text::pg_catalog.regclass)", [][]byte{[]byte(f.table)}, nil, nil, nil).Read()
	if size.Err != nil {
		return size.Err
	}
	if len(size.Rows) != 1 || string(size.Rows[0][0]) != "0" {
		return nil
	}
	f.began = true
	return f.s.conn.Exec(ctx, "BEGIN; TRUNCATE ONLY "+f.table).Close()
}

// end commits what was begun.
func (f *freezing) end(ctx context.Context) error {
	if !f.began {
		return nil
	}
	if err := f.s.conn.Exec(ctx, "COMMIT").Close(); err != nil {
		return fmt.Errorf("commit the rows of %s: %w", f.table, err)
	}
	return nil
}
