package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/archive"
	"github.com/safepoint-db/safepoint/internal/engine"
)

// sessions are what a dump needs inside the database. A gate opens them before it closes the door.
type sessions struct {
	rows *pgx.Conn // holds the snapshot and reads rows. Parallel dumps will want more of these on the same snapshot
	ddl  *relay    // lent to pg_dump
	tool tool
}

func openSessions(ctx context.Context, t engine.Target) (*sessions, error) {
	rows, err := connectContent(ctx, t)
	if err != nil {
		return nil, err
	}
	s := &sessions{rows: rows}
	num, err := versionNum(ctx, rows)
	if err == nil {
		s.tool, err = findTool(ctx, num)
	}
	if err == nil {
		s.ddl, err = newRelay(ctx, t)
	}
	if err != nil {
		s.close()
		return nil, explain(ctx, t, err)
	}
	return s, nil
}

func (s *sessions) close() {
	hangUp(s.rows)
	s.ddl.close()
}

// pids are the server's processes of the sessions.
func (s *sessions) pids() []int32 { return []int32{int32(s.rows.PgConn().PID()), int32(s.ddl.pid())} }

// Dump writes the database as it is at one moment. See engine.Engine.
func (Engine) Dump(ctx context.Context, t engine.Target, w *archive.Writer, opt engine.DumpOptions) error {
	s, err := openSessions(ctx, t)
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
	report engine.Report
	at     engine.Progress
	prints archive.Fingerprint
}

func (s *sessions) dump(ctx context.Context, t engine.Target, w *archive.Writer, opt engine.DumpOptions) error {
	d := &dumper{sessions: s, w: w, report: opt.Report, prints: archive.Fingerprint{}}
	if d.report == nil {
		d.report = func(engine.Progress) {}
	}
	now := time.Now
	if opt.Now != nil {
		now = opt.Now
	}
	err := d.run(ctx, t, now)
	if err != nil {
		// The transaction ends now, not when the session does: its locks keep others waiting.
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
		defer cancel()
		script(end, s.rows, "ROLLBACK")
		return explain(ctx, t, fmt.Errorf("dump: %w", err))
	}
	return nil
}

func (d *dumper) run(ctx context.Context, t engine.Target, now func() time.Time) error {
	list, err := lockTables(ctx, d.rows, t.User)
	if err != nil {
		return err
	}
	var snapshot string
	if err := d.rows.QueryRow(ctx, "SELECT pg_catalog.pg_export_snapshot()").Scan(&snapshot); err != nil {
		return fmt.Errorf("export the snapshot: %w", err)
	}
	if err := d.header(ctx, t, now()); err != nil {
		return err
	}
	for _, table := range list {
		if !table.partitioned {
			d.at.TablesOf++
		}
	}
	d.report(d.at)

	schema, err := d.schema(ctx, snapshot)
	if err != nil {
		return err
	}
	if err := d.preamble(); err != nil {
		return err
	}
	if err := d.section(ctx, schema, archive.PreData); err != nil {
		return err
	}
	if err := d.data(ctx, list); err != nil {
		return err
	}
	if err := d.section(ctx, schema, archive.PostData); err != nil {
		return err
	}
	d.w.SetFingerprint(d.prints)
	return script(ctx, d.rows, "COMMIT")
}

// header fills in what is known of the source.
func (d *dumper) header(ctx context.Context, t engine.Target, at time.Time) error {
	p, err := captureContent(ctx, d.rows)
	if err != nil {
		return err
	}
	properties, err := json.Marshal(p)
	if err != nil {
		return fmt.Errorf("record the database's properties: %w", err)
	}
	num, err := versionNum(ctx, d.rows)
	if err != nil {
		return err
	}
	h := d.w.Header()
	h.Engine, h.ServerVersion, h.ServerVersionNum = safepoint.PostgreSQL, version(d.rows), num
	h.Database, h.CreatedAt, h.Properties = t.Name, at, properties
	h.Encoding, h.Collate, h.CType = p.locale.Encoding, p.locale.Collate, p.locale.CType
	h.LocaleProvider, h.Locale = p.locale.Provider, p.locale.Locale
	d.w.SetHeader(h)
	return nil
}

// preamble is the first frame: the settings under which the script must be read, as psql or Load does.
func (d *dumper) preamble() error {
	b := batch{w: d.w, entry: archive.Entry{Section: archive.PreData, Kind: kindDDL}}
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

`, literal(d.rows.PgConn().ParameterStatus("server_encoding")))
	if err := b.add([]byte(settings), ""); err != nil {
		return err
	}
	return b.flush()
}
