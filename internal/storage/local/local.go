// Package local keeps backup files in a folder of this machine: a file is under its name only when it is whole and
// on the disk, and no name leads out of the folder.
//
// Layout: an object's file stands under its key. Files being written stand in ".unfinished" under random names, and
// ".lock" is locked by the one process that uses the folder. Files have mode 0600 and folders 0700.
package local

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/fault"
	"github.com/safepoint-db/safepoint/internal/storage"
	"golang.org/x/sys/unix"
)

const (
	unfinished = ".unfinished"
	lockFile   = ".lock"
)

// Storage is one folder. It is safe for concurrent use.
type Storage struct {
	dir  string
	root *os.Root
	lock *os.File

	mu   sync.Mutex
	live map[string]bool // names in unfinished that belong to uploads of this process
}

var _ storage.Storage = (*Storage)(nil)

// Open uses dir, which it makes if need be, until Close. One process at a time may use a folder: for a second one
// Open is a *safepoint.Error with CodeConflict.
func Open(dir string) (*Storage, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("open backup storage: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open backup storage: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open backup storage: %w", err)
	}
	s := &Storage{dir: dir, root: root, live: map[string]bool{}}
	if err := s.prepare(); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// prepare takes the lock and makes what must be there.
func (s *Storage) prepare() error {
	lock, err := s.root.OpenFile(lockFile, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("open backup storage: %w", err)
	}
	s.lock = lock
	err = unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return safepoint.Errorf(safepoint.CodeConflict, "The backup folder %s is in use by another Safepoint.", s.dir).
			WithHint("Stop the other one, or give this one a folder of its own.")
	}
	if err != nil {
		return fmt.Errorf("lock backup storage: %w", err)
	}
	if err := s.makeFolder(unfinished); err != nil {
		return err
	}
	// The folder itself may be new too.
	parent, err := os.Open(filepath.Dir(s.dir))
	if err != nil {
		return nil // not readable for us: whoever made it that way made the folder
	}
	defer parent.Close()
	if err := parent.Sync(); err != nil {
		return s.failed("sync", err)
	}
	return nil
}

// Close gives the folder free. Files that are open stay usable; uploads do not.
func (s *Storage) Close() error {
	var err error
	if s.lock != nil {
		err = s.lock.Close() // this unlocks it
	}
	return errors.Join(err, s.root.Close())
}

// Name is "local": which folder it is, only the operator needs to know.
func (s *Storage) Name() string { return "local" }

// Open opens an object for reading. It stays readable until it is closed, even if it is deleted meanwhile.
func (s *Storage) Open(ctx context.Context, key string) (storage.File, error) {
	if _, err := s.Stat(ctx, key); err != nil {
		return nil, err
	}
	f, err := s.root.OpenFile(key, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, s.failedAt("open", key, err)
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errNotAFile
	}
	if err != nil {
		f.Close()
		return nil, s.failedAt("open", key, err)
	}
	return file{s, f, key, info.Size()}, nil
}

// file is an object that is open. Nothing else of *os.File is for its readers.
type file struct {
	s    *Storage
	f    *os.File
	key  string
	size int64
}

func (f file) Size() int64  { return f.size }
func (f file) Close() error { return f.f.Close() }

func (f file) ReadAt(p []byte, off int64) (int, error) {
	n, err := f.f.ReadAt(p, off)
	if err != nil && err != io.EOF {
		err = f.s.failedAt("read", f.key, err)
	}
	return n, err
}

var errNotAFile = errors.New("not a regular file in folders of its own storage")

// Stat looks at an object.
func (s *Storage) Stat(ctx context.Context, key string) (storage.Object, error) {
	if err := cmp.Or(ctx.Err(), checkKey(key)); err != nil {
		return storage.Object{}, err
	}
	info, err := s.look(key)
	if err != nil {
		return storage.Object{}, s.failedAt("stat", key, err)
	}
	return storage.Object{Key: key, Size: info.Size(), ModTime: info.ModTime()}, nil
}

// look finds the file of a key. A symbolic link on the way is refused even where it leads into the folder: it makes
// one file two objects.
func (s *Storage) look(key string) (fs.FileInfo, error) {
	for i, c := range key {
		if c != '/' {
			continue
		}
		info, err := s.root.Lstat(key[:i])
		if err != nil {
			return nil, err
		}
		switch {
		case info.Mode()&fs.ModeSymlink != 0:
			return nil, errNotAFile
		case !info.IsDir():
			return nil, fs.ErrNotExist
		}
	}
	info, err := s.root.Lstat(key)
	if err == nil && !info.Mode().IsRegular() {
		if info.IsDir() {
			return nil, fs.ErrNotExist
		}
		return nil, errNotAFile
	}
	return info, err
}

// List calls fn for every object whose key starts with prefix, in byte order of the keys. What is not an object,
// such as a symbolic link or a file under a name that is no key, is passed over.
func (s *Storage) List(ctx context.Context, prefix string, fn func(storage.Object) error) error {
	return s.list(ctx, ".", prefix, fn)
}

func (s *Storage) list(ctx context.Context, folder, prefix string, fn func(storage.Object) error) error {
	entries, err := fs.ReadDir(s.root.FS(), folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // gone since its parent was read
	}
	if err != nil {
		return s.failed("list", err)
	}
	// As part of a key a folder's name ends with "/", which is behind "-" and "." and before letters.
	sortName := func(e fs.DirEntry) string {
		if e.IsDir() {
			return e.Name() + "/"
		}
		return e.Name()
	}
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(sortName(a), sortName(b)) })
	for _, e := range entries {
		if err := ctx.Err(); err != nil {
			return err
		}
		key := path.Join(folder, e.Name())
		switch {
		case checkKey(key) != nil:
		case e.IsDir():
			if below := key + "/"; strings.HasPrefix(below, prefix) || strings.HasPrefix(prefix, below) {
				if err := s.list(ctx, key, prefix, fn); err != nil {
					return err
				}
			}
		case e.Type().IsRegular() && strings.HasPrefix(key, prefix):
			info, err := e.Info()
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err != nil {
				return s.failed("list", err)
			}
			if err := fn(storage.Object{Key: key, Size: info.Size(), ModTime: info.ModTime()}); err != nil {
				return err
			}
		}
	}
	return nil
}

// Delete removes an object for good: when it returns nil the object is gone also after a power cut.
func (s *Storage) Delete(ctx context.Context, key string) error {
	if err := cmp.Or(ctx.Err(), checkKey(key)); err != nil {
		return err
	}
	_, err := s.look(key)
	if err == nil {
		err = s.root.Remove(key)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return s.failedAt("delete", key, err)
	}
	fault.Point("storage.deleted")
	// Also if it was gone: an earlier Delete may have failed right here.
	if err := s.syncFolder(path.Dir(key)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return s.failedAt("delete", key, err)
	}
	return nil
}

// Sweep removes the files of uploads that neither Commit nor Abort ended, but not of those still under way.
func (s *Storage) Sweep(ctx context.Context) (int, error) {
	entries, err := fs.ReadDir(s.root.FS(), unfinished)
	if err != nil {
		return 0, s.failed("sweep", err)
	}
	n := 0
	for _, e := range entries {
		if err := ctx.Err(); err != nil {
			return n, err
		}
		removed, err := s.sweepOne(e.Name())
		if err != nil {
			return n, s.failed("sweep", err)
		}
		if removed {
			n++
		}
	}
	return n, nil
}

func (s *Storage) sweepOne(name string) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.live[name] {
		return false, nil
	}
	err := s.root.Remove(path.Join(unfinished, name))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// Space is the room on the folder's file system that this process may use.
func (s *Storage) Space(ctx context.Context) (storage.Space, error) {
	if err := ctx.Err(); err != nil {
		return storage.Space{}, err
	}
	return s.space()
}

func (s *Storage) space() (storage.Space, error) {
	var st unix.Statfs_t
	if err := unix.Fstatfs(int(s.lock.Fd()), &st); err != nil {
		return storage.Space{}, fmt.Errorf("space of backup storage: %w", err)
	}
	block := int64(st.Bsize)
	return storage.Space{Free: int64(st.Bavail) * block, Total: int64(st.Blocks) * block}, nil
}

// makeFolder makes a folder and those above it, durably. It works like MkdirAll with mode 0700.
func (s *Storage) makeFolder(folder string) error {
	if folder == "." {
		return nil
	}
	if info, err := s.root.Lstat(folder); err == nil && info.IsDir() {
		return nil
	}
	if err := s.makeFolder(path.Dir(folder)); err != nil {
		return err
	}
	err := s.root.Mkdir(folder, 0o700)
	if errors.Is(err, fs.ErrExist) {
		info, statErr := s.root.Lstat(folder)
		switch {
		case statErr != nil:
			err = statErr
		case !info.IsDir():
			err = errNotAFile
		default:
			err = nil // another upload made it just now
		}
	}
	if err == nil {
		err = s.syncFolder(path.Dir(folder))
	}
	if err != nil {
		return s.failed("make folder", err)
	}
	return nil
}

func (s *Storage) syncFolder(folder string) error {
	f, err := s.root.Open(folder)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}
