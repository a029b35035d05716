package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/archive"
	"github.com/safepoint-db/safepoint/internal/engine"
	"golang.org/x/sync/errgroup"
)

// sessions are what a dump needs inside the database. A gate opens them before it closes the door.
type sessions struct {
	lead    *pgx.Conn   // holds the locks and the snapshot
	workers []*pgx.Conn // read rows in the lead's snapshot. None where the lead reads them itself
	ddl     *relay      // lent to pg_dump
	tool    tool
	was     *formerly // of a set-aside database: what the archive is to say of it; nil otherwise
	large   *largeSum // takes the content of large objects as it is read; nil where nobody asks
}

// openSessions opens the sessions of a dump with e's workers, or fewer if the server has no room for them.
func (e Engine) openSessions(ctx context.Context, t engine.Target) (*sessions, error) {
	lead, err := connectContent(ctx, t)
	if err != nil {
		return nil, err
	}
	s := &sessions{lead: lead}
	num, err := versionNum(ctx, lead)
	if err == nil {
		s.tool, err = e.findTool(ctx, num)
	}
	if err == nil {
		s.ddl, err = newRelay(ctx, t)
	}
	if jobs := e.jobs(); err == nil && jobs > 1 {
		s.workers, err = openWorkers(ctx, t, jobs)
	}
	if err != nil {
		s.close()
		return nil, explain(ctx, t, err)
	}
	return s, nil
}

func (s *sessions) close() {
	hangUp(s.lead)
	hangUpAll(s.workers)
	s.ddl.close()
}

// pids are the server's processes of the sessions.
func (s *sessions) pids() []int32 {
	pids := []int32{int32(s.lead.PgConn().PID()), int32(s.ddl.pid())}
	for _, w := range s.workers {
		pids = append(pids, int32(w.PgConn().PID()))
	}
	return pids
}

// Dump writes the database as it is at one moment. See engine.Engine.
func (e Engine) Dump(ctx context.Context, t engine.Target, w *archive.Writer, opt engine.DumpOptions) error {
	s, err := e.openSessions(ctx, t)
	if err != nil {
		return err
	}
	defer s.close()
	return s.dump(ctx, t, w, opt)
}

// dumper is one dump on its way.
type dumper struct {
	*sessions
	w      *archive.Writer
	frames *archive.Frames // that wait until the ones before them are written
	report engine.Report
	at     engine.Progress // of what is being written; Bytes is taken from bytes
	bytes  atomic.Int64    // of SQL, read so far
	prints archive.Fingerprint
	older  before15
}

// tell reports where the dump is. Only the goroutine that writes does so.
func (d *dumper) tell() {
	d.at.Bytes = d.bytes.Load()
	d.report(d.at)
}

// waitingBytes bounds the compressed frames that are held in memory until it is their turn.
const waitingBytes = 24 << 20

func (s *sessions) dump(ctx context.Context, t engine.Target, w *archive.Writer, opt engine.DumpOptions) error {
	d := &dumper{sessions: s, w: w, frames: archive.NewFrames(waitingBytes), report: opt.Report, prints: archive.Fingerprint{}}
	if d.report == nil {
		d.report = func(engine.Progress) {}
	}
	now := time.Now
	if opt.Now != nil {
		now = opt.Now
	}
	err := d.run(ctx, t, now)
	if err != nil {
		// The transactions end now, not when the sessions do: their locks keep others waiting.
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
		defer cancel()
		for _, conn := range append([]*pgx.Conn{s.lead}, s.workers...) {
			script(end, conn, "ROLLBACK")
		}
		s.ddl.conn.Exec(end, "ROLLBACK").Close()
		return explain(ctx, t, fmt.Errorf("dump: %w", tooLarge(ctx, s.lead, err)))
	}
	return nil
}

func (d *dumper) run(ctx context.Context, t engine.Target, now func() time.Time) error {
	list, err := lockTables(ctx, d.lead, d.ddl.conn, t.User)
	if err != nil {
		return err
	}
	snapshot, err := exportSnapshot(ctx, d.lead)
	if err != nil {
		return err
	}
	if err := d.ddl.conn.Exec(ctx, "SET TRANSACTION SNAPSHOT "+literal(snapshot)).Close(); err != nil {
		return fmt.Errorf("share the snapshot: %w", err)
	}
	if err := d.work(ctx, list, func(ctx context.Context) ([]*piece, error) { return d.prepare(ctx, t, now(), list, snapshot) }); err != nil {
		return err
	}
	if err := stillNamed(ctx, d.ddl.conn, list); err != nil {
		return err
	}
	d.w.SetFingerprint(d.prints)
	for _, w := range d.workers {
		if err := script(ctx, w, "COMMIT"); err != nil {
			return err
		}
	}
	return script(ctx, d.lead, "COMMIT")
}

// prepare says what is to be read, and gets the sessions ready for it.
func (d *dumper) prepare(ctx context.Context, t engine.Target, at time.Time, list []table, snapshot string) ([]*piece, error) {
	if err := d.header(ctx, t, at); err != nil {
		return nil, err
	}
	pieces, err := d.plan(ctx, list)
	if err != nil {
		return nil, err
	}
	if d.older, err = lookBefore15(ctx, d.lead); err != nil {
		return nil, err
	}
	for _, w := range d.workers {
		if err := enter(ctx, w, snapshot); err != nil {
			return nil, err
		}
	}
	if err := script(ctx, d.lead, readPlan); err != nil {
		return nil, err
	}
	d.tell()
	return pieces, nil
}

func exportSnapshot(ctx context.Context, conn *pgx.Conn) (snapshot string, err error) {
	if err := conn.QueryRow(ctx, "SELECT pg_catalog.pg_export_snapshot()").Scan(&snapshot); err != nil {
		return "", fmt.Errorf("export the snapshot: %w", err)
	}
	return snapshot, nil
}

// work reads definitions and rows beside one another, and writes both in their order. The definitions take longest where
// tables are many and small: they are begun before it is known what rows there are.
func (d *dumper) work(ctx context.Context, list []table, prepare func(context.Context) ([]*piece, error)) error {
	group, ctx := errgroup.WithContext(ctx)
	defer context.AfterFunc(ctx, func() { d.frames.Fail(context.Cause(ctx)) })()
	schema := make(chan string, 1)
	encoding, locked := d.lead.PgConn().ParameterStatus("server_encoding"), grants(list)
	group.Go(func() error {
		file, err := d.schema(ctx, encoding, locked)
		schema <- file
		return err
	})
	pieces, err := prepare(ctx)
	if err != nil {
		group.Go(func() error { return err }) // pg_dump ends, too
		return group.Wait()
	}
	var next atomic.Int64
	for _, conn := range d.workers {
		group.Go(func() error {
			for i := next.Add(1) - 1; i < int64(len(pieces)); i = next.Add(1) - 1 {
				if err := d.read(ctx, conn, pieces[i], true); err != nil {
					return err
				}
			}
			return nil
		})
	}
	group.Go(func() error {
		var file string
		select {
		case <-ctx.Done():
			return ctx.Err()
		case file = <-schema:
		}
		return d.assemble(ctx, file, pieces)
	})
	return group.Wait()
}

// assemble writes the archive's sections. A schema file that could not be made ends ctx.
func (d *dumper) assemble(ctx context.Context, schema string, pieces []*piece) error {
	if schema == "" {
		return context.Cause(ctx)
	}
	if err := d.preamble(); err != nil {
		return err
	}
	if err := d.section(ctx, schema, archive.PreData); err != nil {
		return err
	}
	if err := d.data(ctx, pieces); err != nil {
		return err
	}
	if err := d.section(ctx, schema, archive.PostData); err != nil {
		return err
	}
	return d.statistics(ctx)
}

// header fills in what is known of the source.
func (d *dumper) header(ctx context.Context, t engine.Target, at time.Time) error {
	p, err := captureContent(ctx, d.lead)
	if err != nil {
		return err
	}
	name := t.Name
	if d.was != nil {
		d.was.restore(&p)
		name = d.was.name
	}
	properties, err := json.Marshal(p)
	if err != nil {
		return fmt.Errorf("record the database's properties: %w", err)
	}
	num, err := versionNum(ctx, d.lead)
	if err != nil {
		return err
	}
	h := d.w.Header()
	h.Engine, h.ServerVersion, h.ServerVersionNum = safepoint.PostgreSQL, version(d.lead), num
	h.Database, h.CreatedAt, h.Properties = name, at, properties
	h.Encoding, h.Collate, h.CType = p.locale.Encoding, p.locale.Collate, p.locale.CType
	h.LocaleProvider, h.Locale = p.locale.Provider, p.locale.Locale
	d.w.SetHeader(h)
	return nil
}

// preamble is the first frame: the settings under which the script must be read, as psql or Load does.
func (d *dumper) preamble() error {
	b := batch{emit: d.write, entry: archive.Entry{Section: archive.PreData, Kind: kindDDL}}
	settings := fmt.Sprintf(`-- A backup of a PostgreSQL database, made by Safepoint.
-- Restore it with: zstd -dc FILE | psql -v ON_ERROR_STOP=1 DATABASE
SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET client_encoding = %s;
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;
SET DateStyle = 'ISO, MDY';
SET IntervalStyle = 'postgres';
SET TimeZone = 'UTC';
SET lc_monetary = 'C';

`, literal(d.lead.PgConn().ParameterStatus("server_encoding")))
	settings += d.older.base(d.tool)
	if err := b.add([]byte(settings), ""); err != nil {
		return err
	}
	return b.flush()
}
