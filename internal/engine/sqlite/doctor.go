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
	"time"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/engine"
)

var _ engine.Surveyor = (*Engine)(nil)

// folder is where a target's file is or should be, with symbolic links followed.
func folder(t engine.Target) (dir, file string, err error) {
	path, err := filepath.Abs(t.Path)
	if err == nil && t.Path == "" {
		err = fs.ErrNotExist
	}
	if err == nil {
		if real, rerr := filepath.EvalSymlinks(path); rerr == nil {
			path = real // else the file is not there
		}
		dir, err = filepath.EvalSymlinks(filepath.Dir(path))
	}
	if err != nil {
		return "", "", safepoint.Errorf(safepoint.CodeName, "There is no folder of %s on the machine that Safepoint runs on.", t.Path).
			WithHint("Check the path.").WithCause(err)
	}
	return dir, filepath.Base(path), nil
}

// Survey looks at the files beside the live one, and at the markers that say which restore made them. See
// engine.Surveyor.
func (e *Engine) Survey(_ context.Context, t engine.Target) (engine.Survey, error) {
	var s engine.Survey
	dir, file, err := folder(t)
	if err != nil {
		return s, err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return s, noPermission(dir, "list", err)
	}
	s.ServerVersion, _ = version()
	if id, err := identity(filepath.Join(dir, file)); err == nil {
		s.LiveID = id
	}
	for _, entry := range entries {
		l, ok := leftover(dir, entry.Name())
		if ok {
			s.Leftovers = append(s.Leftovers, l)
		}
	}
	return s, nil
}

// leftover reads what a file was to its restore. Its identity must be in the restore's marker: a name alone is no mark.
func leftover(dir, file string) (l engine.Leftover, ok bool) {
	name, ok := strings.CutSuffix(file, suffix)
	if !ok {
		return l, false
	}
	if l.OperationID, l.Role, ok = engine.ParseLeftover(name); !ok {
		return l, false
	}
	l.Name, l.Path = file, filepath.Join(dir, file)
	info, err := os.Lstat(l.Path)
	if err != nil || !info.Mode().IsRegular() {
		return l, err == nil
	}
	l.Size, l.CreatedAt = info.Size(), info.ModTime().UTC().Truncate(time.Second)
	if l.ID, err = identity(l.Path); err != nil {
		return l, false
	}
	m := anyMarker(dir, l.OperationID)
	l.Marked = m != nil && (l.Role == engine.RoleStaging && slices.Contains(m.StagingIDs, l.ID) || l.Role == engine.RoleAside && m.AsideID == l.ID)
	return l, true
}

// anyMarker reads the marker of an operation, nil if there is none that can be read.
func anyMarker(dir, operation string) *marker {
	raw, err := readSmall(filepath.Join(dir, ".safepoint_"+operation+".json"))
	m := &marker{}
	if err != nil || json.Unmarshal(raw, m) != nil || m.OperationID != operation {
		return nil
	}
	return m
}

// unchanged reads the leftover again, and refuses if it is not what it was.
func unchanged(l engine.Leftover) (engine.Leftover, bool, error) {
	if _, err := os.Lstat(l.Path); errors.Is(err, fs.ErrNotExist) {
		return l, false, nil
	}
	now, ok := leftover(filepath.Dir(l.Path), filepath.Base(l.Path))
	if !ok || now.ID != l.ID || now.Role != l.Role || now.OperationID != l.OperationID || !now.Marked {
		return l, false, notOurs(l.Path)
	}
	return now, true, nil
}

// Discard removes a staging file. See engine.Surveyor.
func (e *Engine) Discard(ctx context.Context, t engine.Target, l engine.Leftover) error {
	if err := engine.CheckDiscard(l); err != nil {
		return err
	}
	l, there, err := unchanged(l)
	if err != nil || !there {
		return err
	}
	dir := filepath.Dir(l.Path)
	if m := anyMarker(dir, l.OperationID); m != nil && (m.State == switching || m.State == returning) {
		return safepoint.Errorf(safepoint.CodeNeedsOperator, "The restore of operation %s was cut off in the middle of its switch: %s may be what tells which content is live.", l.OperationID, l.Name).
			WithHint("Start the server: it finds out by itself. Nothing was removed.")
	}
	c, err := openFile(ctx, l.Path, readWrite, 0)
	if err == nil {
		err = c.exec("BEGIN EXCLUSIVE") // fails where somebody works with it
		c.close()
	}
	if err := plainWords(err, l.Path); err != nil && safepoint.ErrorCode(err) == safepoint.CodeBlocked {
		return err
	}
	return drop(l.Path, l.ID)
}

// LetIn does nothing: a SQLite file is shut by a lock alone, which no process leaves behind. See engine.Surveyor.
func (e *Engine) LetIn(context.Context, engine.Target, engine.Leftover) error { return nil }

// PutBack gives the set-aside file the live file's name, where no file has it. See engine.Surveyor.
func (e *Engine) PutBack(ctx context.Context, t engine.Target, l engine.Leftover) error {
	if err := engine.CheckPutBack(l); err != nil {
		return err
	}
	dir, file, err := folder(t)
	if err != nil {
		return err
	}
	l, there, err := unchanged(l)
	if err == nil && (!there || filepath.Dir(l.Path) != dir) {
		err = safepoint.Errorf(safepoint.CodeNeedsOperator, "%s is not in the folder of %s any more.", l.Name, file).WithHint("Nothing was changed.")
	}
	if err != nil {
		return err
	}
	live := filepath.Join(dir, file)
	if id, err := identity(live); err != nil || id != l.ID { // else a crash came before the other name was gone
		if err := e.link(ctx, l.Path, live); err != nil {
			return err
		}
	}
	if err := os.Remove(l.Path); err != nil {
		return fmt.Errorf("take the set-aside name away: %w", err)
	}
	return syncFolder(dir)
}

// link gives the set-aside file the live file's name too, unless something has it.
func (e *Engine) link(ctx context.Context, aside, live string) error {
	held := func() error {
		if err := free(live); safepoint.ErrorCode(err) != safepoint.CodeConflict {
			return err
		}
		return safepoint.Errorf(safepoint.CodeConflict, "There is a file %s, or one that SQLite keeps beside it: nothing has to be put back.", filepath.Base(live)).
			WithHint("Nothing was changed. If it is not the database that should be live, move it away by hand first, with what SQLite keeps beside it.")
	}
	if err := held(); err != nil {
		return err
	}
	if err := e.settled(ctx, aside); err != nil { // as one file, with nothing of it in a journal beside it
		return plainWords(err, aside)
	}
	if err := os.Link(aside, live); err != nil {
		return fmt.Errorf("name the live file: %w", errors.Join(held(), err))
	}
	if err := syncFolder(filepath.Dir(live)); err != nil {
		return fmt.Errorf("name the live file: %w", err)
	}
	return nil
}
