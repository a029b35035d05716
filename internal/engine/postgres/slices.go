package postgres

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
)

const (
	// sliceSize is how much of a table, in bytes on disk, is read as one slice.
	sliceSize = 16 << 20
	// batchTables bounds the tables that are asked for in one message, sliceSize how much they hold together.
	batchTables = 100
	// minSliceVersion is the first server that goes straight to a range of pages.
	minSliceVersion = 140000
)

// slice is what one COPY reads: a range of a table's pages, or the whole table.
type slice struct {
	table    *table
	from, to uint32 // pages; to 0 is open-ended. Both 0 is the whole table
	last     bool   // of its table
}

// whole says that it is all of its table.
func (s slice) whole() bool { return s.from == 0 && s.to == 0 }

// source is what COPY … TO takes.
func (s slice) source() string {
	if s.whole() {
		return s.table.copySource()
	}
	where := fmt.Sprintf("ctid >= '(%d,0)'::pg_catalog.tid", s.from)
	if s.to > 0 {
		where += fmt.Sprintf(" AND ctid < '(%d,0)'::pg_catalog.tid", s.to)
	}
	return "(SELECT " + quotedList(s.table.columns) + " FROM ONLY " + s.table.String() + " WHERE " + where + ")"
}

// extent is how big a table is, in bytes on disk.
type extent struct {
	heap, toast int64
	paged       bool // rows are found by page
}

// extents measures tables. They must be locked: it waits for nobody then, and no page that the snapshot sees can go.
// Rows that come later are on later pages, or the snapshot does not see them.
func extents(ctx context.Context, conn *pgx.Conn, list []table) (map[uint32]extent, int64, error) {
	oids := make([]uint32, len(list))
	for i, t := range list {
		oids[i] = t.oid
	}
	var page int64
	if err := conn.QueryRow(ctx, "SELECT pg_catalog.current_setting('block_size')::int").Scan(&page); err != nil {
		return nil, 0, fmt.Errorf("measure tables: %w", err)
	}
	rows, err := conn.Query(ctx, `SELECT c.oid, coalesce(pg_catalog.pg_relation_size(c.oid), 0),
  CASE c.reltoastrelid WHEN 0 THEN 0 ELSE coalesce(pg_catalog.pg_relation_size(c.reltoastrelid), 0) END,
  c.relam = (SELECT oid FROM pg_catalog.pg_am WHERE amname = 'heap')
FROM pg_catalog.pg_class c WHERE c.oid = ANY ($1::oid[]) AND c.relkind = 'r'`, oids)
	if err != nil {
		return nil, 0, fmt.Errorf("measure tables: %w", err)
	}
	sizes := make(map[uint32]extent, len(list))
	var oid uint32
	var e extent
	_, err = pgx.ForEachRow(rows, []any{&oid, &e.heap, &e.toast, &e.paged}, func() error { sizes[oid] = e; return nil })
	if err != nil {
		return nil, 0, fmt.Errorf("measure tables: %w", err)
	}
	return sizes, page, nil
}

// share cuts the reading of tables into pieces of work, in the order in which they are to be written: slices of big
// tables first, the biggest first, and then the others in their order, several in one piece.
func share(list []table, sizes map[uint32]extent, page int64) [][]slice {
	var big []*table
	var pieces [][]slice
	var small []slice
	held := int64(0)
	flush := func() {
		if len(small) > 0 {
			pieces = append(pieces, small)
		}
		small, held = nil, 0
	}
	for i := range list {
		t := &list[i]
		if t.partitioned {
			continue
		}
		e := sizes[t.oid]
		if e.weight() > sliceSize && e.heap > page && e.paged && !t.config && len(t.columns) > 0 {
			big = append(big, t)
			continue
		}
		if len(small) == batchTables || held+e.weight() > sliceSize {
			flush()
		}
		small = append(small, slice{table: t, last: true})
		held += e.weight()
	}
	flush()
	slices.SortStableFunc(big, func(a, b *table) int { return int(min(1, max(-1, sizes[b.oid].weight()-sizes[a.oid].weight()))) })
	var cut [][]slice
	for _, t := range big {
		for _, s := range cutTable(t, sizes[t.oid], page) {
			cut = append(cut, []slice{s})
		}
	}
	return append(cut, pieces...)
}

// weight is about how much text a table's rows make: what is stored out of line is compressed, or binary.
func (e extent) weight() int64 { return e.heap + 2*e.toast }

func cutTable(t *table, e extent, page int64) []slice {
	pages := (e.heap + page - 1) / page
	n := min(pages, (e.weight()+sliceSize-1)/sliceSize)
	each := (pages + n - 1) / n
	var cut []slice
	for from := int64(0); from < pages; from += each {
		cut = append(cut, slice{table: t, from: uint32(from), to: uint32(from + each)})
	}
	last := &cut[len(cut)-1]
	last.to, last.last = 0, true // whatever was added since
	return cut
}

// shareOut is share for tables that are locked.
func shareOut(ctx context.Context, conn *pgx.Conn, list []table) ([][]slice, error) {
	num, err := versionNum(ctx, conn)
	if err != nil {
		return nil, err
	}
	sizes, page, err := extents(ctx, conn, list)
	if err != nil {
		return nil, err
	}
	if num < minSliceVersion {
		for oid, e := range sizes {
			e.paged = false
			sizes[oid] = e
		}
	}
	return share(list, sizes, page), nil
}
