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
	"golang.org/x/sys/unix"
	sqlite3 "modernc.org/sqlite/lib"
)

// Load executes an archive in a file that is empty or not there yet, statement by statement, under an authorizer that
// lets a script make tables, rows, indexes, views and triggers in this one file, and nothing else. A file that it made
// is removed again if it fails.
func (e *Engine) Load(ctx context.Context, t engine.Target, r *archive.Reader, opt engine.LoadOptions) (err error) {
	p, err := archiveProperties(r.Header())
	if err != nil {
		return err
	}
	path, made, err := e.findOrMake(t)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil && made {
			removeFile(path)
		}
	}()
	c, err := e.open(ctx, path, readWrite)
	if err != nil {
		return err
	}
	defer c.close()
	if objects, err := c.int("SELECT count(*) FROM main.sqlite_schema"); err != nil || objects > 0 {
		if err != nil {
			return plainWords(err, path)
		}
		return safepoint.Errorf(safepoint.CodeBlocked, "%s is not empty: it holds tables already.", filepath.Base(path)).
			WithHint("Name a file that does not exist yet, or replace the database by a restore.")
	}
	if err := load(c, r, p, opt.Report); err != nil {
		return plainWords(err, path)
	}
	if err := c.close(); err != nil {
		return plainWords(err, path)
	}
	return syncFile(path)
}

// findOrMake is find, for a file that need not exist.
func (e *Engine) findOrMake(t engine.Target) (path string, made bool, err error) {
	path, err = e.find(t)
	if safepoint.ErrorCode(err) != safepoint.CodeName || !errors.Is(err, fs.ErrNotExist) {
		return path, false, err
	}
	path, err = filepath.Abs(t.Path)
	if err == nil {
		var folder string
		if folder, err = filepath.EvalSymlinks(filepath.Dir(path)); err == nil {
			path = filepath.Join(folder, filepath.Base(path))
			err = makeFile(path)
		}
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", false, safepoint.Errorf(safepoint.CodeName, "There is no folder %s on the machine that Safepoint runs on.", filepath.Dir(t.Path)).WithCause(err)
	case errors.Is(err, fs.ErrPermission):
		return "", false, noPermission(filepath.Dir(t.Path), "write to", err)
	case err != nil:
		return "", false, fmt.Errorf("make %s: %w", t.Path, err)
	}
	return path, true, nil
}

// load executes the archive's frames and then checks what they made.
func load(c *conn, r *archive.Reader, p properties, report engine.Report) error {
	// The file is nobody's yet: if this fails it is thrown away, so its journal may stay in memory.
	err := c.exec("PRAGMA journal_mode=MEMORY; PRAGMA synchronous=OFF; PRAGMA locking_mode=EXCLUSIVE; PRAGMA cache_size=-8192; PRAGMA temp_store=FILE; PRAGMA foreign_keys=OFF")
	if err != nil {
		return err
	}
	c.restrict(allowed)
	progress := engine.Progress{TablesOf: r.Summary().Tables}
	seen := map[string]bool{}
	for i, entry := range r.Entries() {
		if err := c.ctx.Err(); err != nil {
			return context.Cause(c.ctx)
		}
		if entry.Table != "" && !seen[entry.Table] {
			seen[entry.Table] = true
			progress.Table, progress.Tables = entry.Table, min(len(seen)-1, progress.TablesOf)
		}
		if err := loadFrame(c, r, i, entry.RawLength); err != nil {
			return fmt.Errorf("part %d of the archive (%s): %w", i+1, label(entry), err)
		}
		if progress.Bytes += entry.RawLength; report != nil {
			report(progress)
		}
	}
	return check(c, p)
}

func label(e archive.Entry) string {
	if e.Table != "" {
		return "rows of " + e.Table
	}
	return string(e.Section)
}

// loadFrame executes the whole statements of one frame.
func loadFrame(c *conn, r *archive.Reader, i int, size int64) error {
	frame, err := r.Frame(i)
	if err != nil {
		return err
	}
	defer frame.Close()
	err = c.execFrom(frame, size)
	if code := resultCode(err); code == sqlite3.SQLITE_AUTH {
		return safepoint.Errorf(safepoint.CodeArchive, "The archive wants to do what a backup never does: %s.", err).
			WithHint("This file was not made by Safepoint, or was altered. Nothing was changed.")
	}
	return err
}

// allowed says whether a statement of an archive may do one thing. What is not named here is denied: attaching other
// files, and so VACUUM INTO, extensions, temporary objects, and all settings but those a dump begins with.
func allowed(action int32, arg1, arg2 string) bool {
	switch action {
	case sqlite3.SQLITE_CREATE_TABLE, sqlite3.SQLITE_CREATE_INDEX, sqlite3.SQLITE_CREATE_VIEW, sqlite3.SQLITE_CREATE_TRIGGER,
		sqlite3.SQLITE_INSERT, sqlite3.SQLITE_UPDATE, sqlite3.SQLITE_DELETE, sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ,
		sqlite3.SQLITE_RECURSIVE, sqlite3.SQLITE_TRANSACTION, sqlite3.SQLITE_SAVEPOINT, sqlite3.SQLITE_ANALYZE,
		sqlite3.SQLITE_REINDEX, sqlite3.SQLITE_DROP_TABLE:
		return true
	case sqlite3.SQLITE_CREATE_VTABLE:
		return slices.Contains([]string{"fts5", "fts5vocab", "rtree", "rtree_i32", "geopoly", "dbstat"}, strings.ToLower(arg2))
	case sqlite3.SQLITE_FUNCTION:
		return !strings.EqualFold(arg2, "load_extension")
	case sqlite3.SQLITE_PRAGMA:
		switch strings.ToLower(arg1) {
		case "page_size", "encoding", "auto_vacuum", "user_version", "application_id", "foreign_keys", "ignore_check_constraints":
			return true
		case "data_version": // FTS5 asks for it
			return arg2 == ""
		}
	}
	return false
}

// check makes sure that what was loaded is a sound database, with no more broken foreign keys than its source had.
func check(c *conn, p properties) error {
	c.allow = nil
	if sqlite3.Xsqlite3_get_autocommit(c.tls, c.db) == 0 {
		return safepoint.Errorf(safepoint.CodeArchive, "The archive's script ends inside a transaction.")
	}
	verdict, err := c.text("PRAGMA main.integrity_check(1)")
	if err != nil {
		return err
	}
	if verdict != "ok" {
		return safepoint.Errorf(safepoint.CodeMismatch, "What was restored is not a sound database: %s.", verdict)
	}
	n, err := foreignKeyViolations(c)
	if err != nil {
		return err
	}
	if p.ForeignKeyViolations >= 0 && n > p.ForeignKeyViolations {
		return safepoint.Errorf(safepoint.CodeMismatch, "%d restored rows break a foreign key; %d did in the database that was backed up.", n, p.ForeignKeyViolations)
	}
	mode := "DELETE"
	if p.JournalMode == "wal" {
		mode = "WAL"
	}
	return c.exec("PRAGMA locking_mode=NORMAL; PRAGMA synchronous=FULL; PRAGMA journal_mode=" + mode)
}

// archiveProperties are the properties in an archive's header. It is CodeArchive if the archive is another engine's.
func archiveProperties(h archive.Header) (properties, error) {
	var p properties
	if h.Engine != safepoint.SQLite {
		return p, safepoint.Errorf(safepoint.CodeArchive, "This is a backup of a %s database. It cannot be restored into SQLite.", h.Engine.Label()).
			WithHint("Choose a backup of a SQLite database.")
	}
	if len(h.Properties) == 0 {
		return p, nil
	}
	if err := json.Unmarshal(h.Properties, &p); err != nil {
		return p, safepoint.Errorf(safepoint.CodeArchive, "The archive's properties cannot be read.").WithCause(err)
	}
	if !slices.Contains([]string{"", "UTF-8", "UTF-16le", "UTF-16be"}, p.Encoding) || p.AutoVacuum < 0 || p.AutoVacuum > 2 {
		return p, safepoint.Errorf(safepoint.CodeArchive, "The archive's properties name an encoding or setting that SQLite does not have.")
	}
	return p, nil
}

// rehearse makes the schema, without rows, in memory and under the same authorizer as Load: what is written into an
// archive can be restored. It fails naming what needs a function, collation or module that this SQLite lacks.
func rehearse(ctx context.Context, all *schema) error {
	c, err := openFile(ctx, ":memory:", create, 0)
	if err != nil {
		return err
	}
	defer c.close()
	c.restrict(allowed)
	if err := c.exec("PRAGMA foreign_keys=OFF; BEGIN"); err != nil {
		return err
	}
	for _, t := range all.tables {
		if err := c.exec(t.creates(all.sequenced)); err != nil {
			return cannotRemake("table", t.name, err)
		}
	}
	for _, objects := range [][]object{all.indexes, all.views, all.triggers} {
		for _, o := range objects {
			if err := c.exec(o.sql); err != nil {
				return cannotRemake(o.kind, o.name, err)
			}
		}
	}
	return nil
}

func cannotRemake(kind, name string, err error) error {
	var said *sqliteError
	if !errors.As(err, &said) {
		return err
	}
	return safepoint.Errorf(safepoint.CodeBlocked, "The %s %s could not be made again by a restore: %s.", kind, quote(name), said.msg).
		WithHint("It needs something that only the application adds to SQLite. Drop it before backups, or do without that.")
}

// makeFile makes an empty file that was not there, readable only by us.
func makeFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	return f.Close()
}

// removeFile removes a database file, and what SQLite keeps beside it, for good. What is gone already is success.
func removeFile(path string) error {
	for _, suffix := range []string{"-wal", "-shm", "-journal", ""} {
		if err := os.Remove(path + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return syncFolder(filepath.Dir(path))
}

// syncFile brings a file that nobody has open in SQLite, and its name, safely to disk.
func syncFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	err = f.Sync()
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return fmt.Errorf("sync %s: %w", filepath.Base(path), err)
	}
	return syncFolder(filepath.Dir(path))
}

func syncFolder(folder string) error {
	fd, err := unix.Open(folder, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("sync folder: %w", err)
	}
	err = unix.Fsync(fd)
	unix.Close(fd)
	if err != nil {
		return fmt.Errorf("sync folder: %w", err)
	}
	return nil
}
