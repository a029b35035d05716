package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/safepoint-db/safepoint/internal/archive"
)

// sliceBytes is the amount of COPY text after which a table's next slice begins.
const sliceBytes = 16 << 20

// data writes what the data section holds: rows of all tables, then values of sequences, then large objects.
// Tables are read one after the other. This is the place for workers on the same snapshot, each with a slice.
func (d *dumper) data(ctx context.Context, list []table) error {
	list, err := inOrder(ctx, d.rows, list)
	if err != nil {
		return err
	}
	for _, t := range list {
		if t.partitioned {
			continue
		}
		if err := d.table(ctx, t); err != nil {
			return err
		}
	}
	d.at.Table = ""
	if err := d.sequences(ctx); err != nil {
		return err
	}
	return d.largeObjects(ctx)
}

func (d *dumper) table(ctx context.Context, t table) error {
	d.at.Table = readable(t.schema + "." + t.name)
	d.report(d.at)
	c := &copier{d: d, t: t}
	tag, err := d.rows.PgConn().CopyTo(ctx, c, "COPY "+t.copySource()+" TO STDOUT")
	switch {
	case c.err != nil: // ours, not the server's
		return c.err
	case err != nil:
		return fmt.Errorf("read table %s: %w", t, err)
	}
	if err := c.endSlice(); err != nil {
		return err
	}
	sum := c.digest.Digest()
	if sum.Rows != tag.RowsAffected() {
		return fmt.Errorf("read table %s: %d rows came, the server speaks of %d", t, sum.Rows, tag.RowsAffected())
	}
	d.prints[readable(t.String())] = sum
	d.at.Tables++
	d.report(d.at)
	return nil
}

// copier takes the rows of one table as the server sends them, one a call, and writes them in slices.
type copier struct {
	d      *dumper
	t      table
	digest archive.Digester
	frame  *archive.FrameWriter
	slice  int
	told   int64
	err    error
}

func (c *copier) Write(row []byte) (int, error) {
	c.err = c.write(row)
	return len(row), c.err
}

func (c *copier) write(row []byte) error {
	last := len(row) - 1
	if last < 0 || row[last] != '\n' {
		return errors.New("the server sent a row without its end")
	}
	if c.frame == nil {
		if err := c.beginSlice(); err != nil {
			return err
		}
	}
	c.digest.Add(row[:last])
	if _, err := c.frame.Write(row); err != nil {
		return err
	}
	c.frame.Rows++
	c.d.at.Bytes += int64(len(row))
	if c.d.at.Bytes-c.told > 1<<20 {
		c.told = c.d.at.Bytes
		c.d.report(c.d.at)
	}
	if c.frame.Len() >= sliceBytes {
		return c.endSlice()
	}
	return nil
}

func (c *copier) beginSlice() error {
	columns := make([]string, len(c.t.columns))
	for i, name := range c.t.columns {
		columns[i] = readable(name)
	}
	f, err := c.d.w.Frame(archive.Entry{Section: archive.Data, Kind: kindCopy, Schema: readable(c.t.schema), Table: readable(c.t.name), Columns: columns, Slice: c.slice})
	if err != nil {
		return err
	}
	c.frame = f
	c.slice++
	_, err = f.Write([]byte("COPY " + c.t.copyTarget() + " FROM stdin;\n"))
	return err
}

func (c *copier) endSlice() error {
	if c.frame == nil {
		return nil
	}
	if _, err := c.frame.Write([]byte("\\.\n")); err != nil {
		return err
	}
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
func (d *dumper) sequences(ctx context.Context) error {
	rows, err := d.rows.Query(ctx, listSequences)
	if err != nil {
		return fmt.Errorf("list sequences: %w", err)
	}
	type name struct{ Schema, Name string }
	names, err := pgx.CollectRows(rows, pgx.RowToStructByPos[name])
	if err != nil {
		return fmt.Errorf("list sequences: %w", err)
	}
	b := batch{w: d.w, entry: archive.Entry{Section: archive.Data, Kind: kindSequences}}
	for part := range slices.Chunk(names, 100) {
		queries := make([]string, len(part))
		for i, n := range part {
			queries[i] = fmt.Sprintf("SELECT %d, last_value, is_called FROM %s", i, qualified(n.Schema, n.Name))
		}
		rows, err := d.rows.Query(ctx, strings.Join(queries, " UNION ALL "))
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
