package sqlite

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/archive"
	"github.com/safepoint-db/safepoint/internal/engine"
	"github.com/safepoint-db/safepoint/internal/fault"
)

// Probe reads from the marker which content is live. Only if a crash came in the middle of a copy does it have to find
// out from the content itself.
func (e *Engine) Probe(ctx context.Context, t engine.Target, p engine.Plan) (engine.Position, error) {
	at, err := placesOf(p)
	if err != nil {
		return engine.Unknown, err
	}
	if _, err := e.find(t); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return engine.Unknown, err
	}
	here := e.stillThere(t, at, p)
	m, err := readMarker(at, p)
	if safepoint.ErrorCode(err) == safepoint.CodeNeedsOperator {
		return engine.Unknown, nil
	}
	if err != nil {
		return engine.Unknown, err
	}
	if here != nil {
		return astray(m), nil
	}
	if m == nil {
		return engine.Before, nil
	}
	switch m.State {
	case staged, returned:
		return engine.Before, nil
	case switched:
		return engine.After, nil
	case switching:
		return e.side(ctx, at, m, engine.Before, engine.After)
	case returning:
		return e.side(ctx, at, m, engine.After, engine.Before)
	}
	return engine.Unknown, nil
}

// astray is the position where another file, or none, stands at the live path: as far as the marker beside it tells. In the
// middle of a copy it does not, and without a marker the folder may be another one.
func astray(m *marker) engine.Position {
	switch {
	case m == nil:
	case m.State == staged, m.State == returned:
		return engine.BeforeAstray
	case m.State == switched:
		return engine.AfterAstray
	}
	return engine.Unknown
}

// side finds out whether a copy into the live file was committed: from is the position if it was not, to if it was. The
// copy is all or nothing, and adds one to the schema version. Where somebody else's DDL may have added it, tables that
// are as in only one of the two files decide.
func (e *Engine) side(ctx context.Context, at places, m *marker, from, to engine.Position) (engine.Position, error) {
	c, err := e.snapshot(ctx, at.live)
	if err != nil {
		return engine.Unknown, err
	}
	defer c.close()
	cookie, err := c.int("PRAGMA main.schema_version")
	if err != nil {
		return engine.Unknown, plainWords(err, at.live)
	}
	if cookie == m.Cookie {
		return from, nil
	}
	now, err := fingerprint(c, nil)
	if err != nil {
		return engine.Unknown, plainWords(err, at.live)
	}
	was, err := e.fingerprintOf(ctx, at, from)
	if err != nil {
		return engine.Unknown, err
	}
	is, err := e.fingerprintOf(ctx, at, to)
	if err != nil {
		return engine.Unknown, err
	}
	asWas, asIs := alike(now, was, is)
	switch {
	case asIs > asWas:
		return to, nil
	case asWas > asIs:
		return from, nil
	case cookie == m.Cookie+1:
		return to, nil
	}
	return engine.Unknown, nil
}

// fingerprintOf is the fingerprint of the file that holds the content of a position; nil if it is not there.
func (e *Engine) fingerprintOf(ctx context.Context, at places, position engine.Position) (archive.Fingerprint, error) {
	path := at.aside
	if position == engine.After {
		path = at.staging
	}
	print, err := e.Digest(ctx, engine.Target{Engine: safepoint.SQLite, Path: path}, nil)
	if safepoint.ErrorCode(err) == safepoint.CodeName {
		return nil, nil
	}
	return print, err
}

// alike counts the tables that now has exactly as only one of the other two has them.
func alike(now, was, is archive.Fingerprint) (asWas, asIs int) {
	for name, digest := range now {
		w, hasW := was[name]
		i, hasI := is[name]
		likeWas, likeIs := hasW && w == digest, hasI && i == digest
		switch {
		case likeWas && !likeIs:
			asWas++
		case likeIs && !likeWas:
			asIs++
		}
	}
	return asWas, asIs
}

// SwitchBack keeps what is live as the staging file, so that nothing written since the switch is lost, and copies the
// set-aside file into the live one.
func (e *Engine) SwitchBack(ctx context.Context, t engine.Target, p engine.Plan) error {
	at, err := placesOf(p)
	if err != nil {
		return err
	}
	position, err := e.Probe(ctx, t, p)
	if err != nil {
		return err
	}
	switch position {
	case engine.BeforeAstray, engine.AfterAstray:
		return safepoint.Errorf(safepoint.CodeConflict, "%s is not the file any more that this restore worked on.", filepath.Base(at.live)).
			WithHint("Somebody replaced, moved or removed it. Nothing was changed.")
	case engine.Unknown:
		return safepoint.Errorf(safepoint.CodeNeedsOperator, "%s is neither the database before the restore nor the restored one.", filepath.Base(at.live)).
			WithHint("Nothing was changed. Look at the files in its folder.")
	}
	m, err := readMarker(at, p)
	if err != nil {
		return err
	}
	if position == engine.Before {
		return e.settleReturn(at, m)
	}
	if id, err := identity(at.aside); err != nil || id != m.AsideID {
		return safepoint.Errorf(safepoint.CodeNeedsOperator, "%s, which holds the earlier database, is gone or was replaced.", filepath.Base(at.aside)).
			WithHint("Restore the safety backup instead.").WithCause(err)
	}
	const tries = 3 // while somebody writes in the moment that the lock changes hands
	for try := 1; ; try++ {
		err := e.returnAside(ctx, at, p, m)
		if err == nil {
			return e.settleReturn(at, m)
		}
		if try == tries || safepoint.ErrorCode(err) != safepoint.CodeConflict {
			return err
		}
	}
}

// returnAside is one try of SwitchBack.
func (e *Engine) returnAside(ctx context.Context, at places, p engine.Plan, m *marker) error {
	c, err := e.lockLive(ctx, at, p)
	if err != nil {
		return err
	}
	defer c.close()
	m.State = switched
	if err := e.makeStaging(at, m); err != nil {
		return plainWords(err, at.staging)
	}
	if err := e.copyFile(ctx, at.live, at.staging); err != nil {
		return err
	}
	fault.Point("sqlite.switchback.kept")
	if m.Cookie, err = c.int("PRAGMA main.schema_version"); err != nil {
		return plainWords(err, at.live)
	}
	m.State = returning
	if err := m.write(at); err != nil {
		return err
	}
	fault.Point("sqlite.switchback.marked")
	err = e.replaceContent(c, at.live, at.aside)
	if safepoint.ErrorCode(err) == safepoint.CodeConflict {
		m.State = switched
		m.write(at) // if this fails, Probe finds out from the content
	}
	return err
}

// settleReturn writes down that the earlier database is live, and removes the copy of it.
func (e *Engine) settleReturn(at places, m *marker) error {
	if m == nil || m.State != returning && m.State != returned {
		return nil
	}
	fault.Point("sqlite.switchback.copied")
	m.State = returned
	if err := m.write(at); err != nil {
		return err
	}
	if _, err := os.Lstat(at.aside); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	fault.Point("sqlite.switchback.written")
	return drop(at.aside, m.AsideID)
}
