package sqlite

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/archive"
	"github.com/safepoint-db/safepoint/internal/engine"
	"github.com/safepoint-db/safepoint/internal/fault"
)

// gate is the live file with its write lock held by us. Others may read what is in it.
type gate struct {
	e  *Engine
	at places
	p  engine.Plan
	c  *conn // with a write transaction open, until the switch; nil once closed
}

// Gate takes the live file's write lock and keeps it.
func (e *Engine) Gate(ctx context.Context, t engine.Target, p engine.Plan, save func(engine.Plan) error) (engine.Gate, error) {
	at, err := placesOf(p)
	if err != nil {
		return nil, err
	}
	if err := e.stillThere(t, at, p); err != nil {
		return nil, err
	}
	if err := save(p); err != nil {
		return nil, fmt.Errorf("record that the database is closed: %w", err)
	}
	c, err := e.lockLive(ctx, at, p)
	if err != nil {
		return nil, err
	}
	fault.Point("sqlite.gate.locked")
	return &gate{e: e, at: at, p: p, c: c}, nil
}

// stillThere refuses if the target leads to another file than the plan's.
func (e *Engine) stillThere(t engine.Target, at places, p engine.Plan) error {
	path, err := e.find(t)
	if err != nil {
		return err
	}
	if path != at.live {
		return safepoint.Errorf(safepoint.CodeConflict, "%s leads to another file than when the restore began.", t.Path).
			WithHint("Start the restore again.")
	}
	return sameLive(at, p)
}

// lockLive opens the live file and takes its write lock.
func (e *Engine) lockLive(ctx context.Context, at places, p engine.Plan) (*conn, error) {
	c, err := e.open(ctx, at.live, readWrite)
	if err != nil {
		return nil, err
	}
	err = plainWords(c.exec("BEGIN IMMEDIATE"), at.live)
	if err == nil {
		err = sameLive(at, p)
	}
	if err != nil {
		c.close()
		return nil, err
	}
	c.ctx = context.WithoutCancel(ctx) // the lock outlives the call that took it
	return c, nil
}

// Dump reads through the connection that holds the lock.
func (g *gate) Dump(ctx context.Context, w *archive.Writer, opt engine.DumpOptions) error {
	if g.c == nil {
		return errors.New("dump: the gate is closed")
	}
	held := g.c.ctx
	g.c.ctx = ctx
	defer func() { g.c.ctx = held }()
	return plainWords(dump(g.c, g.at.live, w, opt), g.at.live)
}

// Switch copies the live file to the set-aside one, and then staging into the live file, whose readers see it change in
// one step. Between the two the lock has to change hands; if anybody wrote in that moment nothing is changed.
func (g *gate) Switch(ctx context.Context) error {
	if g.c == nil {
		return errors.New("switch: the gate is closed")
	}
	m, err := readMarker(g.at, g.p)
	if err != nil {
		return err
	}
	if m == nil || m.State == switched || m.State == returning || !slices.Contains(m.StagingIDs, g.p.StagingID) {
		return safepoint.Errorf(safepoint.CodeConflict, "There is no staging file of this restore to switch to.")
	}
	if id, err := identity(g.at.staging); err != nil || id != m.stagingID() {
		return safepoint.Errorf(safepoint.CodeConflict, "%s is not the file that this restore staged.", filepath.Base(g.at.staging)).WithCause(err)
	}
	if err := sameLive(g.at, g.p); err != nil {
		return err
	}
	if m.State == switching { // a crash came in the middle of an earlier try
		if position, err := g.e.side(ctx, g.at, m, engine.Before, engine.After); err != nil || position != engine.Before {
			return safepoint.Errorf(safepoint.CodeConflict, "This restore has switched already.").WithCause(err)
		}
		m.State = staged
	}
	if err := g.setAside(ctx, m); err != nil {
		return err
	}
	if err := fault.Point("sqlite.switch.aside"); err != nil {
		return err
	}
	if m.Cookie, err = g.c.int("PRAGMA main.schema_version"); err != nil {
		return plainWords(err, g.at.live)
	}
	before := m.State
	m.State = switching
	if err := m.write(g.at); err != nil {
		return err
	}
	fault.Point("sqlite.switch.marked")
	if err := g.e.replaceContent(g.c, g.at.live, g.at.staging); err != nil {
		if safepoint.ErrorCode(err) == safepoint.CodeConflict {
			m.State = before
			m.write(g.at) // if this fails, Probe finds out from the content
		}
		return err
	}
	fault.Point("sqlite.switch.copied")
	m.State = switched
	if err := m.write(g.at); err != nil {
		return nil // the switch stands; Probe finds out from the content, for which it needs the staging file
	}
	fault.Point("sqlite.switch.written")
	drop(g.at.staging, m.stagingID()) // it is the live content now; what is left of it goes with the set-aside file
	return nil
}

// setAside makes the set-aside file: a copy of the live one as the lock keeps it.
func (g *gate) setAside(ctx context.Context, m *marker) error {
	if m.AsideID != "" {
		if err := drop(g.at.aside, m.AsideID); err != nil { // of a try that came to nothing
			return err
		}
	}
	if err := m.create(g.at, g.at.aside, func(id string) { m.AsideID = id }); err != nil {
		return plainWords(err, g.at.aside)
	}
	fault.Point("sqlite.switch.create")
	return g.e.copyFile(ctx, g.at.live, g.at.aside)
}

// Close releases the lock if it is still held.
func (g *gate) Close() error {
	if g.c == nil {
		return nil
	}
	err := g.c.close()
	g.c = nil
	return err
}

// Open opens nothing: a SQLite file is shut by a lock alone, which no process leaves behind. But where a crash came
// between a switch, or a switch back, and the marker that tells of it, the marker is brought up to date now, while the
// content still proves it, and the file that is a copy of the live one goes, also where the crash came just before that.
func (e *Engine) Open(ctx context.Context, t engine.Target, p engine.Plan) error {
	at, err := placesOf(p)
	if err != nil {
		return err
	}
	m, err := readMarker(at, p)
	if err != nil || m == nil {
		return err
	}
	if m.State == switching || m.State == returning {
		err = e.settle(ctx, at, m)
	}
	if safepoint.ErrorCode(err) == safepoint.CodeNeedsOperator {
		return nil // whoever asks Probe learns that a person must look
	}
	if err == nil { // what is left of either goes with the file that is kept
		switch m.State {
		case switched:
			drop(at.staging, m.stagingID())
		case returned:
			drop(at.aside, m.AsideID)
		}
	}
	return err
}

// copyFile copies the database at from into the empty file at to, as one file without a journal, and syncs it.
func (e *Engine) copyFile(ctx context.Context, from, to string) error {
	src, err := e.open(ctx, from, readOnly)
	if err != nil {
		return err
	}
	defer src.close()
	dst, err := openFile(ctx, to, readWrite, 0)
	if err != nil {
		return plainWords(err, to)
	}
	defer dst.close()
	if err := dst.exec("PRAGMA synchronous=OFF; PRAGMA journal_mode=MEMORY"); err != nil {
		return plainWords(err, to)
	}
	b, err := startBackup(src, dst)
	if err != nil {
		return plainWords(err, to)
	}
	defer b.finish()
	for done := false; !done; {
		if done, err = b.step(4096); err != nil {
			return plainWords(err, to)
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
	if err := b.finish(); err != nil {
		return plainWords(err, to)
	}
	if err := sameCopy(src, dst); err != nil {
		return plainWords(err, to)
	}
	if err := dst.exec("PRAGMA journal_mode=DELETE"); err != nil {
		return plainWords(err, to)
	}
	if err := dst.close(); err != nil {
		return plainWords(err, to)
	}
	return syncFile(to)
}

// sameCopy compares a copy with its source as far as that costs nothing.
func sameCopy(src, dst *conn) error {
	const sums = "SELECT (SELECT page_count FROM pragma_page_count) || ' pages, ' || (SELECT count(*) || ' objects' FROM main.sqlite_schema)"
	want, err := src.text(sums)
	if err != nil {
		return err
	}
	got, err := dst.text(sums)
	if err != nil {
		return err
	}
	if got != want {
		return safepoint.Errorf(safepoint.CodeMismatch, "The copy of the live file has %s instead of %s.", got, want)
	}
	return nil
}

// replaceContent puts the content of the file at from into the live file on c, which holds its write lock. The lock is
// released and taken again by the copy; if another connection wrote in between it answers CodeConflict. Until the copy
// commits, and so in every error, the live file is what it was.
func (e *Engine) replaceContent(c *conn, path, from string) error {
	src, err := openFile(c.ctx, from, readWrite, 0)
	if err != nil {
		return plainWords(err, from)
	}
	defer src.close()
	if err := src.exec("PRAGMA journal_mode=DELETE"); err != nil { // so that the live file keeps its own mode
		return plainWords(err, from)
	}
	if err := c.exec("ROLLBACK"); err != nil {
		return plainWords(err, path)
	}
	before, err := c.dataVersion()
	if err != nil {
		return plainWords(err, path)
	}
	b, err := startBackup(src, c)
	if err != nil {
		return plainWords(err, path)
	}
	defer b.finish()
	if _, err := b.step(0); err != nil { // takes the destination's lock, and waits for it
		if changed := plainWords(err, path); safepoint.ErrorCode(changed) == safepoint.CodeBlocked {
			return safepoint.Errorf(safepoint.CodeConflict, "%s", safepoint.UserError(changed).Quoted()).
				WithHint("Nothing was changed. %s", safepoint.UserError(changed).Hint).WithCause(err)
		}
		return plainWords(err, path)
	}
	after, err := c.dataVersion()
	if err != nil {
		return plainWords(err, path)
	}
	if after != before {
		return safepoint.Errorf(safepoint.CodeConflict, "Another program wrote to %s in the moment of the switch.", filepath.Base(path)).
			WithHint("Nothing was changed. Halt that program too, and start the restore again.")
	}
	if err := fault.Point("sqlite.switch.locked"); err != nil {
		return err
	}
	done, err := b.step(-1)
	if err != nil {
		return plainWords(err, path)
	}
	if !done {
		return fmt.Errorf("copy into %s: pages are left over", filepath.Base(path))
	}
	if err := b.finish(); err != nil {
		return plainWords(err, path)
	}
	c.exec("PRAGMA wal_checkpoint(PASSIVE)") // the copy made the WAL as large as the file; nothing depends on this
	return fault.Point("sqlite.switch.done")
}
