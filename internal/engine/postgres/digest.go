package postgres

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/jackc/pgx/v5"
	"github.com/safepoint-db/safepoint/internal/archive"
	"github.com/safepoint-db/safepoint/internal/engine"
	"golang.org/x/sync/errgroup"
)

// Digest recomputes a database's fingerprint: every table, read as a dump reads it. See engine.Engine.
func (e Engine) Digest(ctx context.Context, t engine.Target, report engine.Report) (archive.Fingerprint, error) {
	lead, err := connectContent(ctx, t)
	if err != nil {
		return nil, err
	}
	conns := []*pgx.Conn{lead}
	defer func() { hangUpAll(conns) }()
	if jobs := e.jobs(); jobs > 1 {
		more, err := openWorkers(ctx, t, jobs-1)
		if err != nil {
			return nil, err
		}
		conns = append(conns, more...)
	}
	d := newDigestion(report)
	if err := d.run(ctx, t, conns); err != nil {
		return nil, explain(ctx, t, err)
	}
	return d.fingerprint(), nil
}

// digestion is one digest on its way.
type digestion struct {
	mu     sync.Mutex // held while reporting, too
	report engine.Report
	at     engine.Progress
	prints archive.Fingerprint          // of tables that were read at once
	sums   map[string]*archive.Digester // of those that are read in slices
}

// newDigestion makes one that reports to report, which may be nil.
func newDigestion(report engine.Report) *digestion {
	if report == nil {
		report = func(engine.Progress) {}
	}
	return &digestion{report: report, prints: archive.Fingerprint{}, sums: map[string]*archive.Digester{}}
}

// fingerprint is what was read.
func (d *digestion) fingerprint() archive.Fingerprint {
	for name, sum := range d.sums {
		d.prints[name] = sum.Digest()
	}
	return d.prints
}

// run reads all tables in a snapshot of the first session.
func (d *digestion) run(ctx context.Context, t engine.Target, conns []*pgx.Conn) error {
	lead := conns[0]
	if err := script(ctx, lead, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"); err != nil {
		return err
	}
	list, err := tables(ctx, lead)
	if err != nil {
		return err
	}
	if err := unreadableOrNil(t.User, list); err != nil {
		return err
	}
	pieces, err := shareOut(ctx, lead, list)
	if err != nil {
		return err
	}
	if len(conns) > 1 {
		snapshot, err := exportSnapshot(ctx, lead)
		if err != nil {
			return err
		}
		for _, conn := range conns[1:] {
			if err := enter(ctx, conn, snapshot); err != nil {
				return err
			}
		}
	}
	if err := script(ctx, lead, readPlan); err != nil {
		return err
	}
	for _, t := range list {
		if !t.partitioned {
			d.at.TablesOf++
		}
	}
	var next atomic.Int64
	group, ctx := errgroup.WithContext(ctx)
	for _, conn := range conns {
		group.Go(func() error {
			for i := next.Add(1) - 1; i < int64(len(pieces)); i = next.Add(1) - 1 {
				if err := d.read(ctx, conn, pieces[i]); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return group.Wait()
}

func (d *digestion) read(ctx context.Context, conn *pgx.Conn, piece []slice) error {
	sql := ""
	for _, s := range piece {
		sql += "COPY " + s.source() + " TO STDOUT;\n"
	}
	h := &hasher{d: d, piece: piece}
	if err := copyOut(ctx, conn.PgConn(), sql, h); err != nil {
		return fmt.Errorf("read table %s: %w", piece[max(h.next-1, 0)].table, err)
	}
	if h.next != len(piece) {
		return fmt.Errorf("read table %s: nothing came", piece[h.next].table)
	}
	return nil
}

// hasher takes the rows of a piece, one slice after the other.
type hasher struct {
	d     *digestion
	piece []slice
	next  int // slice that begins next
	sum   archive.Digester
	bytes int64 // that were not reported yet
}

func (h *hasher) begin() (*archive.Digester, error) {
	if h.next == len(h.piece) {
		return nil, errTooManyTables
	}
	h.sum = archive.Digester{}
	h.next++
	return &h.sum, nil
}

func (h *hasher) text(run []byte, _ int64) error {
	if h.bytes += int64(len(run)); h.bytes > 1<<20 {
		h.d.mu.Lock()
		defer h.d.mu.Unlock()
		h.tell()
	}
	return nil
}

// tell reports. The caller holds the lock.
func (h *hasher) tell() {
	t := h.piece[h.next-1].table
	h.d.at.Table = readable(t.schema + "." + t.name)
	h.d.at.Bytes += h.bytes
	h.bytes = 0
	h.d.report(h.d.at)
}

func (h *hasher) end(int64) error {
	s := h.piece[h.next-1]
	name := readable(s.table.String())
	h.d.mu.Lock()
	defer h.d.mu.Unlock()
	if s.whole() {
		h.d.prints[name] = h.sum.Digest()
	} else {
		if h.d.sums[name] == nil {
			h.d.sums[name] = &archive.Digester{}
		}
		h.d.sums[name].Merge(&h.sum)
	}
	if s.last {
		h.d.at.Tables++
	}
	h.tell()
	return nil
}
