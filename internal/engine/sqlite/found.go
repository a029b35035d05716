package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/engine"
	"github.com/safepoint-db/safepoint/internal/fault"
)

// CanFound looks whether the name is free in the live file's folder. See engine.Founder.
func (e *Engine) CanFound(_ context.Context, t engine.Target, name string) error {
	path, err := e.find(t)
	if err != nil {
		return err
	}
	switch {
	case name == "" || len(name) > 200 || name != filepath.Base(name) || strings.ContainsAny(name, "/\\\x00") || strings.HasPrefix(name, "."):
		return safepoint.Invalid("name", "The new file's name has no folder and does not begin with a dot, such as shop-copy.db.")
	case strings.HasSuffix(name, "-wal"), strings.HasSuffix(name, "-journal"), strings.HasSuffix(name, "-shm"):
		return safepoint.Invalid("name", "SQLite would take a file whose name ends in -wal, -journal or -shm for a part of another database, and remove it.")
	case strings.HasPrefix(name, "safepoint_"):
		return safepoint.Invalid("name", "Names that begin with safepoint_ are for files that a restore makes for a while.")
	}
	return free(filepath.Join(filepath.Dir(path), name))
}

// free refuses a path where a file is, or what SQLite would take for a part of one.
func free(path string) error {
	for _, suffix := range []string{"", "-wal", "-journal", "-shm"} {
		_, err := os.Lstat(path + suffix)
		switch {
		case err == nil:
			return safepoint.Errorf(safepoint.CodeConflict, "There is a file called %s already.", filepath.Base(path)+suffix).
				WithHint("Choose another name. Nothing was changed.")
		case !errors.Is(err, fs.ErrNotExist):
			return fmt.Errorf("look at %s: %w", filepath.Base(path), err)
		}
	}
	return nil
}

// Found gives the staging file a second name, which fails where there is one, and takes the first away. See
// engine.Founder.
func (e *Engine) Found(ctx context.Context, t engine.Target, p engine.Plan, name string) error {
	at, m, err := foundAt(p)
	if err != nil {
		return err
	}
	if err := e.CanFound(ctx, t, name); err != nil {
		return err
	}
	if id, err := identity(at.staging); err != nil || m == nil || m.State != staged || id != m.stagingID() || id != p.StagingID {
		return safepoint.Errorf(safepoint.CodeConflict, "The staging file is not as this restore left it.").
			WithHint("Nothing was changed. Start the restore again.").WithCause(err)
	}
	if err := e.settled(ctx, at.staging); err != nil {
		return plainWords(err, at.staging)
	}
	if info, err := os.Stat(at.live); err == nil { // whoever may use the live file may use the new one
		if owner, ok := info.Sys().(*syscall.Stat_t); ok {
			_ = os.Chown(at.staging, int(owner.Uid), int(owner.Gid)) // only root may give files away
		}
		if err := os.Chmod(at.staging, info.Mode().Perm()); err != nil {
			return fmt.Errorf("set the new file's mode: %w", err)
		}
	}
	path := filepath.Join(filepath.Dir(at.live), name)
	if err := os.Link(at.staging, path); err != nil {
		if errors.Is(err, fs.ErrExist) {
			err = errors.Join(free(path), err)
		}
		return fmt.Errorf("name the new file: %w", err)
	}
	if err := syncFolder(filepath.Dir(path)); err != nil {
		return err
	}
	if err := fault.Point("sqlite.found.linked"); err != nil {
		return err
	}
	_, err = e.Founded(ctx, t, p, name)
	return err
}

// settled leaves nothing of a file outside it: its WAL would not follow its name.
func (e *Engine) settled(ctx context.Context, path string) error {
	c, err := openFile(ctx, path, readWrite, 0)
	if err != nil {
		return err
	}
	defer c.close()
	if _, err := c.int("PRAGMA wal_checkpoint(TRUNCATE)"); err != nil {
		return err
	}
	if err := c.close(); err != nil {
		return err
	}
	for _, suffix := range []string{"-wal", "-journal"} {
		if info, err := os.Stat(path + suffix); err == nil && info.Size() > 0 {
			return safepoint.Errorf(safepoint.CodeBlocked, "%s is open in another program.", filepath.Base(path))
		}
	}
	return nil
}

// Founded compares identities, and takes the staging file's name away where the new one was given. See engine.Founder.
func (e *Engine) Founded(_ context.Context, _ engine.Target, p engine.Plan, name string) (bool, error) {
	at, m, err := foundAt(p)
	if err != nil {
		return false, err
	}
	id, err := identity(filepath.Join(filepath.Dir(at.live), name))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("look at %s: %w", name, err)
	case p.StagingID == "" || id != p.StagingID:
		return false, nil
	}
	if now, err := identity(at.staging); err == nil && now == id {
		if err := removeFile(at.staging); err != nil {
			return false, fmt.Errorf("take the staging file's name away: %w", err)
		}
	}
	return true, forget(at, m)
}

func foundAt(p engine.Plan) (places, *marker, error) {
	at, err := placesOf(p)
	if err != nil {
		return at, nil, err
	}
	m, err := readMarker(at, p)
	return at, m, err
}

var _ engine.Founder = (*Engine)(nil)
