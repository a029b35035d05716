package sqlite

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/archive"
	"github.com/safepoint-db/safepoint/internal/engine"
	"github.com/safepoint-db/safepoint/internal/fault"
)

// Prepare records which file is live, by device and inode.
func (e *Engine) Prepare(ctx context.Context, t engine.Target, operation string) (engine.Plan, error) {
	info, err := e.Inspect(ctx, t)
	if err != nil {
		return engine.Plan{}, err
	}
	path, err := e.find(t)
	if err != nil {
		return engine.Plan{}, err
	}
	if !operationID.MatchString(operation) {
		return engine.Plan{}, safepoint.Invalid("operation_id", "An operation's ID has letters, digits and _ only.")
	}
	raw, err := json.Marshal(live{Path: path})
	if err != nil {
		return engine.Plan{}, err
	}
	return engine.Plan{
		OperationID: operation,
		LiveID:      info.DatabaseID,
		StagingName: engine.StagingName(operation),
		AsideName:   engine.AsideName(operation),
		Engine:      raw,
	}, nil
}

// Stage makes the empty staging file beside the live one, with the archive's encoding and with the page size of the
// live file: that is the live file's own property, as its journal mode is, and cannot change under open handles.
func (e *Engine) Stage(ctx context.Context, t engine.Target, p engine.Plan, h archive.Header) (engine.Plan, error) {
	archived, err := archiveProperties(h)
	if err != nil {
		return p, err
	}
	at, err := placesOf(p)
	if err != nil {
		return p, err
	}
	if err := sameLive(at, p); err != nil {
		return p, err
	}
	m, err := readMarker(at, p)
	if err != nil {
		return p, err
	}
	if m == nil {
		m = &marker{OperationID: p.OperationID, LiveID: p.LiveID, State: staged}
	}
	if m.State != staged {
		return p, safepoint.Errorf(safepoint.CodeConflict, "This restore has switched already; it cannot be staged again.")
	}
	pageSize, err := e.pageSize(ctx, at.live)
	if err != nil {
		return p, err
	}
	pruneMarkers(at, p.LiveID)
	if err := e.makeStaging(at, m); err != nil {
		return p, plainWords(err, at.staging)
	}
	fault.Point("sqlite.stage.made")
	c, err := openFile(ctx, at.staging, readWrite, 0)
	if err != nil {
		return p, plainWords(err, at.staging)
	}
	defer c.close()
	if archived.Encoding == "" {
		archived.Encoding = "UTF-8"
	}
	// Setting the version, to what it is, makes the first page, which fixes the others.
	err = c.exec(fmt.Sprintf("PRAGMA page_size=%d; PRAGMA encoding='%s'; PRAGMA auto_vacuum=%d; PRAGMA user_version=0",
		pageSize, archived.Encoding, archived.AutoVacuum))
	if err == nil {
		err = c.close()
	}
	if err == nil {
		err = syncFile(at.staging)
	}
	if err != nil {
		return p, plainWords(err, at.staging)
	}
	p.StagingID = m.stagingID()
	return p, nil
}

func (e *Engine) pageSize(ctx context.Context, path string) (int64, error) {
	c, err := e.open(ctx, path, readOnly)
	if err != nil {
		return 0, err
	}
	defer c.close()
	n, err := c.int("PRAGMA page_size")
	return n, plainWords(err, path)
}

// makeStaging puts a new, empty file in the place of an earlier staging file. The earlier one goes after the new one has
// an inode, so that no two stagings of a plan share one.
func (e *Engine) makeStaging(at places, m *marker) error {
	earlier := m.stagingID()
	if _, err := os.Lstat(at.staging); err == nil {
		if id, err := identity(at.staging); err != nil || id != earlier {
			return notOurs(at.staging)
		}
		spare := at.staging + ".old"
		if err := removeFile(spare); err != nil {
			return err
		}
		if err := os.Rename(at.staging, spare); err != nil {
			return err
		}
		if err := removeFile(at.staging); err != nil {
			return err
		}
		defer removeFile(spare)
	}
	return m.create(at, at.staging, func(id string) { m.StagingIDs = append(m.StagingIDs, id) })
}

// StagingTarget is the staging file.
func (e *Engine) StagingTarget(t engine.Target, p engine.Plan) engine.Target {
	t.Path = ""
	if at, err := placesOf(p); err == nil {
		t.Path = at.staging
	}
	return t
}

// sameLive refuses if another file stands at the live path than when the restore began.
func sameLive(at places, p engine.Plan) error {
	id, err := identity(at.live)
	if err == nil && id == p.LiveID {
		return nil
	}
	return safepoint.Errorf(safepoint.CodeConflict, "%s is not the file it was when the restore began.", filepath.Base(at.live)).
		WithHint("Somebody replaced or moved it. Start the restore again.").WithCause(err)
}

// DropStaging removes the staging file and, unless there was a switch, what an unfinished one or a way back left.
func (e *Engine) DropStaging(ctx context.Context, t engine.Target, p engine.Plan) error {
	at, m, err := e.toDrop(ctx, t, p)
	if err != nil {
		return err
	}
	if p.StagingID == p.LiveID || m != nil && p.StagingID != "" && !slices.Contains(m.StagingIDs, p.StagingID) {
		return notOurs(at.staging)
	}
	if m == nil {
		return drop(at.staging, p.StagingID)
	}
	removeFile(at.staging + ".old") // an earlier staging, if a crash left it
	if err := drop(at.staging, m.stagingID()); err != nil {
		return err
	}
	if m.State != switched {
		removeFile(at.aside + ".new") // if a crash came before the marker told of it
	}
	if m.State != switched && m.AsideID != "" {
		if err := drop(at.aside, m.AsideID); err != nil {
			return err
		}
	}
	return forget(at, m)
}

// DropAside removes the set-aside file and, after a switch, what is left of staging.
func (e *Engine) DropAside(ctx context.Context, t engine.Target, p engine.Plan) error {
	at, m, err := e.toDrop(ctx, t, p)
	if err != nil {
		return err
	}
	if m == nil {
		return drop(at.aside, "")
	}
	if err := drop(at.aside, m.AsideID); err != nil {
		return err
	}
	if m.State == switched {
		if err := drop(at.staging, m.stagingID()); err != nil {
			return err
		}
	}
	return forget(at, m)
}

// toDrop reads the marker, and settles first which content is live if a crash left that open: once the files are gone
// nothing else could tell. What the target leads to is not dropped: somebody let it point there instead of taking the
// restore back.
func (e *Engine) toDrop(ctx context.Context, t engine.Target, p engine.Plan) (places, *marker, error) {
	at, err := placesOf(p)
	if err != nil {
		return at, nil, err
	}
	if path, err := e.find(t); err == nil && (path == at.staging || path == at.aside) {
		return at, nil, safepoint.Errorf(safepoint.CodeNeedsOperator, "%s is what this connection leads to, and may be in use as the live database.", filepath.Base(path)).
			WithHint("Nothing was removed. Let the connection point at the live database again, or remove the file by hand.")
	}
	m, err := readMarker(at, p)
	if err != nil || m == nil {
		return at, nil, err
	}
	return at, m, e.settle(ctx, at, m)
}

// settle finds out, where a crash came in the middle of a copy into the live file, whether the copy was committed, and
// writes it down. It is CodeNeedsOperator if that cannot be told.
func (e *Engine) settle(ctx context.Context, at places, m *marker) error {
	var position engine.Position
	var err error
	became := map[engine.Position]state{engine.Before: staged, engine.After: switched}
	switch m.State {
	case switching:
		position, err = e.side(ctx, at, m, engine.Before, engine.After)
	case returning:
		became[engine.Before] = returned
		position, err = e.side(ctx, at, m, engine.After, engine.Before)
	default:
		return nil
	}
	if err != nil {
		return err
	}
	settled, ok := became[position]
	if !ok {
		return safepoint.Errorf(safepoint.CodeNeedsOperator, "It cannot be told which database %s holds, the earlier or the restored one. Nothing was removed.", filepath.Base(at.live)).
			WithHint("Look at it and at the files in its folder.")
	}
	m.State = settled
	return m.write(at)
}

// forget removes the marker of a restore that never switched, once its files are gone.
func forget(at places, m *marker) error {
	if m == nil || m.State != staged {
		return nil
	}
	for _, path := range []string{at.staging, at.aside} {
		if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
			return nil
		}
	}
	if err := os.Remove(at.marker); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove the restore's marker: %w", err)
	}
	return syncFolder(filepath.Dir(at.marker))
}

// Leftovers lists the names of staging and set-aside files in the target's folder.
func (e *Engine) Leftovers(ctx context.Context, t engine.Target) ([]string, error) {
	path, err := e.find(t)
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		return nil, noPermission(filepath.Dir(t.Path), "list", err)
	}
	var names []string
	for _, entry := range entries {
		name, ok := strings.CutSuffix(entry.Name(), suffix)
		if ok && strings.HasPrefix(name, "safepoint_") && (strings.HasSuffix(name, "_staging") || strings.HasSuffix(name, "_aside")) {
			names = append(names, name)
		}
	}
	return names, nil
}
