// Package sqlite backs up and restores SQLite files: a dump loses nothing that sqlite3's own .dump loses, and a restore
// replaces the content of the live file in one step, through SQLite itself, so that a process which holds the file open
// sees either the old content or the new.
//
// docs/decisions/0005-sqlite-switch.md says how. Rows are carried with their rowids and storage classes, bit by bit; FTS5,
// R-Tree and Geopoly tables by the rows in them, from which their own tables are made again. Only samples for the query
// planner (sqlite_stat4) are left to ANALYZE. What cannot be carried fails the backup, by name.
//
// No file that may be in use is ever opened other than through SQLite: closing it again would silently drop the locks
// that this process holds on it.
package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/archive"
	"github.com/safepoint-db/safepoint/internal/engine"
	"golang.org/x/sys/unix"
	"modernc.org/libc"
	sqlite3 "modernc.org/sqlite/lib"
)

// Engine is the SQLite family. The zero value is ready to use.
type Engine struct {
	// LockWait is how long to wait for a lock that another process holds; 0 means 20 seconds.
	LockWait time.Duration
}

var _ engine.Engine = (*Engine)(nil)

func (e *Engine) lockWait() time.Duration {
	if e.LockWait == 0 {
		return 20 * time.Second
	}
	return e.LockWait
}

const resultError = sqlite3.SQLITE_ERROR

// version is the SQLite library's own, as text and as a number such as 3054001.
func version() (string, int) {
	tls := libc.NewTLS()
	defer tls.Close()
	return libc.GoString(sqlite3.Xsqlite3_libversion(tls)), int(sqlite3.Xsqlite3_libversion_number(tls))
}

// Inspect opens the file and reads its schema.
func (e *Engine) Inspect(ctx context.Context, t engine.Target) (engine.Info, error) {
	c, path, err := e.read(ctx, t)
	if err != nil {
		return engine.Info{}, err
	}
	defer c.close()
	info, err := inspect(c)
	if err != nil {
		return engine.Info{}, plainWords(err, path)
	}
	if info.DatabaseID, err = identity(path); err != nil {
		return engine.Info{}, err
	}
	if info.DiskFree, info.DiskTotal, err = room(filepath.Dir(path)); err != nil {
		return engine.Info{}, err
	}
	info.ServerVersion, info.ServerVersionNum = version()
	return info, nil
}

func inspect(c *conn) (info engine.Info, err error) {
	p, err := readProperties(c)
	if err != nil {
		return info, err
	}
	tables, err := c.int(`SELECT count(*) FROM pragma_table_list WHERE schema = 'main' AND type IN ('table', 'virtual') AND name NOT LIKE 'sqlite\_%' ESCAPE '\'`)
	if err != nil {
		return info, err
	}
	objects, err := c.int(`SELECT count(*) FROM main.sqlite_schema`)
	if err != nil {
		return info, err
	}
	info.Size, info.Encoding = p.PageSize*p.PageCount, p.Encoding
	info.Tables, info.Empty = int(tables), objects == 0
	return info, nil
}

// Digest recomputes the fingerprint that Dump takes.
func (e *Engine) Digest(ctx context.Context, t engine.Target, report engine.Report) (archive.Fingerprint, error) {
	c, path, err := e.read(ctx, t)
	if err != nil {
		return nil, err
	}
	defer c.close()
	print, err := fingerprint(c, report)
	return print, plainWords(err, path)
}

func fingerprint(c *conn, report engine.Report) (archive.Fingerprint, error) {
	all, err := readSchema(c)
	if err != nil {
		return nil, err
	}
	p, err := readProperties(c)
	if err != nil {
		return nil, err
	}
	print, row := archive.Fingerprint{}, []byte(nil)
	progress := engine.Progress{TablesOf: all.counted()}
	for _, t := range all.tables {
		progress.Table = t.name
		if t.carriesRows() {
			digest, rows := &archive.Digester{}, 0
			err := c.each(func(s *stmt) error {
				row = row[:0]
				for i := range s.columns() {
					row = canonical(row, s, i, p.wide())
				}
				digest.Add(row)
				progress.Bytes += int64(len(row))
				if rows++; report != nil && rows%10_000 == 0 {
					report(progress)
				}
				return nil
			}, t.selects())
			if err != nil {
				return nil, fmt.Errorf("table %s: %w", quote(t.name), err)
			}
			print[quote(t.name)] = digest.Digest()
		}
		if t.counts() {
			progress.Tables++
		}
		if report != nil {
			report(progress)
		}
	}
	return print, nil
}

// find is the file's real path: absolute, and with symbolic links followed, for that is where SQLite puts its journal.
func (e *Engine) find(t engine.Target) (string, error) {
	if t.Path == "" || strings.ContainsRune(t.Path, 0) {
		return "", safepoint.Invalid("path", "Enter the path of the SQLite file.").WithHint("It is a path on the machine that Safepoint runs on, such as /srv/shop/shop.db.")
	}
	path, err := filepath.Abs(t.Path)
	if err == nil {
		path, err = filepath.EvalSymlinks(path)
	}
	var st os.FileInfo
	if err == nil {
		st, err = os.Stat(path)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", safepoint.Errorf(safepoint.CodeName, "There is no file %s on the machine that Safepoint runs on.", t.Path).
			WithHint("Check the path. In a container, check that the file's folder is mounted into it.").WithCause(err)
	case errors.Is(err, fs.ErrPermission):
		return "", noPermission(t.Path, "reach", err)
	case err != nil:
		return "", safepoint.Errorf(safepoint.CodeName, "The file %s cannot be reached.", t.Path).WithCause(err)
	case st.IsDir():
		return "", safepoint.Errorf(safepoint.CodeName, "%s is a folder, not a SQLite file.", t.Path).WithHint("Enter the path of the file in it.")
	case !st.Mode().IsRegular():
		return "", safepoint.Errorf(safepoint.CodeName, "%s is not a regular file.", t.Path)
	}
	if err := unix.Access(path, unix.R_OK); err != nil {
		return "", noPermission(t.Path, "read", err)
	}
	return path, nil
}

func noPermission(path, act string, err error) error {
	return safepoint.Errorf(safepoint.CodePrivilege, "Safepoint may not %s %s.", act, path).
		WithHint("Give the user that Safepoint runs as the right to %s it.", act).WithCause(err)
}

// open opens an existing file and reads from it once, so that what is no database is found out here. A file that may
// be written is opened so even for reading: SQLite then tidies up after a crashed program, and after itself.
func (e *Engine) open(ctx context.Context, path string, how access) (*conn, error) {
	mode := how
	if unix.Access(path, unix.W_OK) == nil {
		mode = readWrite
	}
	c, err := openFile(ctx, path, mode, e.lockWait())
	if err != nil {
		return nil, plainWords(err, path)
	}
	if _, err := c.int("SELECT count(*) FROM main.sqlite_schema"); err != nil {
		c.close()
		return nil, plainWords(err, path)
	}
	setting := "PRAGMA synchronous=EXTRA"
	if how == readOnly {
		setting = "PRAGMA query_only=ON"
	}
	if err := c.exec(setting); err != nil {
		c.close()
		return nil, plainWords(err, path)
	}
	return c, nil
}

// read finds the file of t and opens it, with everything in it as of one moment.
func (e *Engine) read(ctx context.Context, t engine.Target) (c *conn, path string, err error) {
	if path, err = e.find(t); err != nil {
		return nil, "", err
	}
	c, err = e.snapshot(ctx, path)
	return c, path, err
}

// snapshot opens an existing file, with everything in it as of one moment.
func (e *Engine) snapshot(ctx context.Context, path string) (*conn, error) {
	c, err := e.open(ctx, path, readOnly)
	if err != nil {
		return nil, err
	}
	if err := c.exec("BEGIN"); err != nil {
		c.close()
		return nil, plainWords(err, path)
	}
	return c, nil
}

// identity tells a file from any other, also from a later one at the same path: its device and inode.
func identity(path string) (string, error) {
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return "", &fs.PathError{Op: "lstat", Path: path, Err: err}
	}
	return fmt.Sprintf("%d:%d", uint64(st.Dev), st.Ino), nil
}

// plainWords turns the library's answers that a person can act on into a *safepoint.Error.
func plainWords(err error, path string) error {
	var said *safepoint.Error
	if err == nil || errors.As(err, &said) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	name := filepath.Base(path)
	switch resultCode(err) {
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		said = safepoint.Errorf(safepoint.CodeBlocked, "%s is locked%s.", name, holders(path)).
			WithHint("Let that program finish or stop it, then try again.")
	case sqlite3.SQLITE_NOTADB:
		said = safepoint.Errorf(safepoint.CodeVersion, "%s is not a SQLite database, or it is encrypted.", name).
			WithHint("Check the path. Files of SQLCipher and SQLite's encryption extension cannot be read.")
	case sqlite3.SQLITE_CORRUPT:
		said = safepoint.Errorf(safepoint.CodeBlocked, "%s is damaged: SQLite found its pages malformed.", name).
			WithHint("Restore the latest backup, or recover what is left with: sqlite3 FILE .recover")
	case sqlite3.SQLITE_CANTOPEN:
		said = safepoint.Errorf(safepoint.CodePrivilege, "%s cannot be opened.", name).
			WithHint("Safepoint needs the right to read the file, and to write to its folder.")
	case sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM:
		said = safepoint.Errorf(safepoint.CodePrivilege, "Safepoint may not write to %s.", name).
			WithHint("Give the user that Safepoint runs as the right to write the file and its folder.")
	case sqlite3.SQLITE_FULL:
		said = safepoint.Errorf(safepoint.CodeSpace, "The disk that holds %s is full.", name).WithHint("Free some space, then try again.")
	case sqlite3.SQLITE_IOERR:
		said = safepoint.Errorf(safepoint.CodeUnreachable, "The disk that holds %s answered with an error.", name).
			WithHint("Look at the machine's system log for errors of the disk.")
	default:
		return fmt.Errorf("%s: %w", name, err)
	}
	return said.WithCause(err)
}

// holders names the programs of this machine that have the file open, as far as Safepoint may see them.
func holders(path string) string {
	var want unix.Stat_t
	if unix.Stat(path, &want) != nil {
		return " by another program"
	}
	found, _ := filepath.Glob("/proc/[0-9]*/fd/*")
	for _, fd := range found {
		var st unix.Stat_t
		if unix.Stat(fd, &st) != nil || st.Dev != want.Dev || st.Ino != want.Ino {
			continue
		}
		pid := strings.Split(fd, "/")[2]
		if pid == fmt.Sprint(os.Getpid()) {
			continue
		}
		comm, _ := os.ReadFile("/proc/" + pid + "/comm")
		return fmt.Sprintf(" by the program %s (process %s)", strings.TrimSpace(string(comm)), pid)
	}
	return " by another program"
}
