package postgres

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/safepoint-db/safepoint/internal/archive"
)

// frameSize is the amount of COPY text, in bytes, after which a slice goes on in its next frame.
const frameSize = 32 << 20

// piece is a part of the data section that one session reads.
type piece struct {
	slices []slice                                        // of tables, or
	other  func(context.Context, *pgx.Conn, *piece) error // something else
	number int                                            // of something else that is cut into several
	prints []archive.Digester                             // of each slice, when it is read
	frames chan *archive.Frame                            // as they are begun; closed after the last
	left   bool                                           // to the lead, because others queue for a lock. Set before frames is closed
}

// waitingFrames bounds the frames of one piece that wait. A worker that has more waits for the piece's turn.
const waitingFrames = batchTables

// tableName is a table as an entry names it.
type tableName struct{ schema, name string }

func newPiece() *piece { return &piece{frames: make(chan *archive.Frame, waitingFrames)} }

// plan says what the data section holds, in its order: rows of all tables, then values of sequences, then large objects.
func (d *dumper) plan(ctx context.Context, list []table) ([]*piece, error) {
	list, err := inOrder(ctx, d.lead, list)
	if err != nil {
		return nil, err
	}
	for _, t := range list {
		if !t.partitioned {
			d.at.TablesOf++
		}
	}
	shared, err := shareOut(ctx, d.lead, list)
	if err != nil {
		return nil, err
	}
	var pieces []*piece
	for _, slices := range shared {
		p := newPiece()
		p.slices, p.prints = slices, make([]archive.Digester, len(slices))
		pieces = append(pieces, p)
	}
	sequences := newPiece()
	sequences.other = d.sequences
	large, err := d.planLarge(ctx)
	if err != nil {
		return nil, err
	}
	pieces = append(append(pieces, sequences), large...)
	if len(d.workers) == 0 {
		for _, p := range pieces {
			p.left = true
			close(p.frames)
		}
	}
	return pieces, nil
}

// data writes the pieces as they come, in their order. What was left to the lead is read now.
func (d *dumper) data(ctx context.Context, pieces []*piece) error {
	numbers := map[tableName]int{} // of slices, of tables that are begun
	sums := map[uint32]*archive.Digester{}
	for _, p := range pieces {
		if err := d.receive(ctx, p, numbers); err != nil {
			return err
		}
		if p.left {
			if err := d.readHere(ctx, p, numbers); err != nil {
				return err
			}
		}
		for i, s := range p.slices {
			sum := sums[s.table.oid]
			if sum == nil {
				sum = &archive.Digester{}
				sums[s.table.oid] = sum
			}
			sum.Merge(&p.prints[i])
			if s.last {
				d.prints[readable(s.table.String())] = sum.Digest()
				delete(sums, s.table.oid)
				delete(numbers, tableName{readable(s.table.schema), readable(s.table.name)})
				d.at.Tables++
			}
		}
		d.at.Table = ""
		d.tell()
	}
	return nil
}

// readHere reads a piece that was left to the lead, which has its locks since before anybody queued for them.
func (d *dumper) readHere(ctx context.Context, p *piece, numbers map[tableName]int) error {
	p.frames, p.left = make(chan *archive.Frame, waitingFrames), false
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	read := make(chan error, 1)
	go func() {
		err := d.read(ctx, d.lead, p, false)
		if err != nil {
			d.frames.Fail(err) // or the last frame would be waited for
		}
		read <- err
	}()
	received := d.receive(ctx, p, numbers)
	if received != nil {
		cancel()
	}
	if err := <-read; err != nil {
		return err
	}
	return received
}

// receive writes the frames of a piece.
func (d *dumper) receive(ctx context.Context, p *piece, numbers map[tableName]int) error {
	for {
		var f *archive.Frame
		select {
		case <-ctx.Done():
			return ctx.Err()
		case f = <-p.frames:
		}
		if f == nil {
			return nil
		}
		e := f.Entry()
		if e.Table == "" {
			d.at.Table = ""
		} else {
			d.at.Table = e.Schema + "." + e.Table
		}
		d.tell()
		name, number := tableName{e.Schema, e.Table}, p.number
		if e.Table != "" {
			number = numbers[name]
			numbers[name]++
		}
		if err := d.w.Append(f, number); err != nil {
			return err
		}
		d.tell()
	}
}

// read reads one piece in a session. A worker asks for locks without waiting, and leaves the piece to the lead where
// somebody queues for one; it lets go of them afterwards.
func (d *dumper) read(ctx context.Context, conn *pgx.Conn, p *piece, worker bool) error {
	defer close(p.frames)
	if p.other != nil {
		return p.other(ctx, conn, p)
	}
	c := &copier{ctx: ctx, d: d, p: p}
	names, copies := make([]string, len(p.slices)), ""
	for i, s := range p.slices {
		names[i] = "ONLY " + s.table.String()
		copies += "COPY " + s.source() + " TO STDOUT;\n"
	}
	if worker {
		copies = "SAVEPOINT piece; LOCK TABLE " + strings.Join(names, ", ") + " IN ACCESS SHARE MODE NOWAIT;\n" + copies + "ROLLBACK TO piece; RELEASE piece"
	}
	err := copyOut(ctx, conn.PgConn(), copies, c)
	switch {
	case worker && c.next == 0 && state(err) == stateLockNotAvailable:
		p.left = true
		return script(ctx, conn, "ROLLBACK TO piece; RELEASE piece")
	case err != nil:
		return &readError{*p.slices[max(c.next-1, 0)].table, err}
	case c.next != len(p.slices):
		return fmt.Errorf("read table %s: nothing came", p.slices[c.next].table)
	}
	return nil
}

// frame begins a frame of a piece. It waits while too many of the piece's wait already.
func (d *dumper) frame(ctx context.Context, p *piece, e archive.Entry) (*archive.Frame, error) {
	f := d.frames.Frame(e)
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case p.frames <- f:
		return f, nil
	}
}

// emitter writes statements as frames of a piece.
func (d *dumper) emitter(ctx context.Context, p *piece) func(archive.Entry, []byte) error {
	return func(e archive.Entry, sql []byte) error {
		f, err := d.frame(ctx, p, e)
		if err != nil {
			return err
		}
		if _, err := f.Write(sql); err != nil {
			return err
		}
		return f.Close()
	}
}

// copier takes the rows of a piece's slices, one slice after the other, and writes them in frames.
type copier struct {
	ctx   context.Context
	d     *dumper
	p     *piece
	next  int // slice that begins next
	frame *archive.Frame
	told  int64 // bytes of the frame that were counted in d.bytes
}

func (c *copier) begin() (*archive.Digester, error) {
	if c.next == len(c.p.slices) {
		return nil, errTooManyTables
	}
	c.next++
	return &c.p.prints[c.next-1], nil
}

func (c *copier) text(run []byte, whole int64) error {
	if c.frame == nil {
		if err := c.beginFrame(); err != nil {
			return err
		}
	}
	if _, err := c.frame.Write(run); err != nil {
		return err
	}
	c.frame.Rows += whole
	n := c.frame.Len()
	c.d.bytes.Add(n - c.told)
	c.told = n
	if whole > 0 && n >= frameSize {
		return c.endFrame()
	}
	return nil
}

func (c *copier) end(int64) error { return c.endFrame() }

func (c *copier) beginFrame() error {
	t := c.p.slices[c.next-1].table
	columns := t.columns
	if slices.ContainsFunc(columns, func(name string) bool { return readable(name) != name }) {
		columns = slices.Clone(columns)
		for i, name := range columns {
			columns[i] = readable(name)
		}
	}
	f, err := c.d.frame(c.ctx, c.p, archive.Entry{Section: archive.Data, Kind: kindCopy, Schema: readable(t.schema), Table: readable(t.name), Columns: columns})
	if err != nil {
		return err
	}
	c.frame, c.told = f, 0
	_, err = f.Write([]byte("COPY " + t.copyTarget() + " FROM stdin;\n"))
	return err
}

func (c *copier) endFrame() error {
	if c.frame == nil {
		return nil
	}
	if _, err := c.frame.Write([]byte("\\.\n")); err != nil {
		return err
	}
	c.d.bytes.Add(c.frame.Len() - c.told)
	err := c.frame.Close()
	c.frame = nil
	return err
}

// inOrder puts configuration tables of extensions behind those they refer to: the extension has made their foreign
// keys before their rows are loaded. All other foreign keys are made after the rows.
func inOrder(ctx context.Context, conn *pgx.Conn, list []table) ([]table, error) {
	rows, err := conn.Query(ctx, `SELECT conrelid, confrelid FROM pg_catalog.pg_constraint WHERE contype = 'f' AND conrelid <> confrelid
  AND conrelid IN (SELECT unnest(extconfig) FROM pg_catalog.pg_extension)`)
	if err != nil {
		return nil, fmt.Errorf("list foreign keys of extensions: %w", err)
	}
	refers := map[uint32][]uint32{}
	var from, to uint32
	if _, err := pgx.ForEachRow(rows, []any{&from, &to}, func() error { refers[from] = append(refers[from], to); return nil }); err != nil {
		return nil, fmt.Errorf("list foreign keys of extensions: %w", err)
	}
	if len(refers) == 0 {
		return list, nil
	}
	ordered := make([]table, 0, len(list))
	placed := map[uint32]bool{}
	var place func(t table)
	place = func(t table) {
		if placed[t.oid] {
			return
		}
		placed[t.oid] = true
		for _, oid := range refers[t.oid] {
			if i := slices.IndexFunc(list, func(o table) bool { return o.oid == oid }); i >= 0 {
				place(list[i])
			}
		}
		ordered = append(ordered, t)
	}
	for _, t := range list {
		place(t)
	}
	return ordered, nil
}

const listSequences = `SELECT n.nspname::text, c.relname::text
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace ` + configOfExtension + `
WHERE c.relkind = 'S' AND c.relpersistence <> 't' AND ` + userSchemas + ` AND ` + notOfExtension + ` ORDER BY 1, 2`

// sequences writes where each sequence stands. That heeds no snapshot: it may be a little ahead of the rows, which
// leaves a gap in numbers and never gives one twice.
func (d *dumper) sequences(ctx context.Context, conn *pgx.Conn, p *piece) error {
	rows, err := conn.Query(ctx, listSequences)
	if err != nil {
		return fmt.Errorf("list sequences: %w", err)
	}
	type name struct{ Schema, Name string }
	names, err := pgx.CollectRows(rows, pgx.RowToStructByPos[name])
	if err != nil {
		return fmt.Errorf("list sequences: %w", err)
	}
	b := batch{emit: d.emitter(ctx, p), entry: archive.Entry{Section: archive.Data, Kind: kindSequences}}
	for part := range slices.Chunk(names, 100) {
		queries := make([]string, len(part))
		for i, n := range part {
			queries[i] = fmt.Sprintf("SELECT %d, last_value, is_called FROM %s", i, qualified(n.Schema, n.Name))
		}
		rows, err := conn.Query(ctx, strings.Join(queries, " UNION ALL "))
		if err != nil {
			return fmt.Errorf("read sequences: %w", err)
		}
		var i int
		var last int64
		var called bool
		_, err = pgx.ForEachRow(rows, []any{&i, &last, &called}, func() error {
			q := qualified(part[i].Schema, part[i].Name)
			return b.add(fmt.Appendf(nil, "SELECT pg_catalog.setval(%s, %d, %t);\n", literal(q), last, called), readable("SEQUENCE SET "+q))
		})
		if err != nil {
			return fmt.Errorf("read sequences: %w", err)
		}
		if err := b.flush(); err != nil {
			return err
		}
	}
	return nil
}
