package local

import (
	"bufio"
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"path"
	"strings"

	"github.com/safepoint-db/safepoint/internal/fault"
	"github.com/safepoint-db/safepoint/internal/storage"
	"github.com/safepoint-db/safepoint/internal/writeback"
	"golang.org/x/sys/unix"
)

// writeBuffer joins the many small frames of a database with many small tables.
const writeBuffer = 128 << 10

// Create begins an upload. When ctx ends, so does the upload: every later Write and Commit fails.
func (s *Storage) Create(ctx context.Context, key string) (storage.Upload, error) {
	if err := cmp.Or(ctx.Err(), checkKey(key)); err != nil {
		return nil, err
	}
	// Said early; Commit decides.
	if _, err := s.root.Lstat(key); err == nil {
		return nil, s.failedAt("create", key, fs.ErrExist)
	}
	name := strings.ToLower(rand.Text())
	s.mu.Lock()
	s.live[name] = true
	s.mu.Unlock()
	u := &upload{ctx: ctx, s: s, key: key, name: name}
	f, err := s.root.OpenFile(u.temp(), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		u.forget()
		return nil, s.failed("create "+key, err)
	}
	u.f, u.w = f, bufio.NewWriterSize(&writeback.File{File: f}, writeBuffer)
	return u, nil
}

// upload is a file in unfinished.
type upload struct {
	ctx   context.Context
	s     *Storage
	key   string
	name  string
	f     *os.File
	w     *bufio.Writer
	err   error // the first one sticks
	ended bool
}

var errEnded = errors.New("the upload has ended")

func (u *upload) temp() string { return path.Join(unfinished, u.name) }

func (u *upload) Write(p []byte) (int, error) {
	if u.ended {
		return 0, u.s.failed("write "+u.key, errEnded)
	}
	if u.err == nil {
		u.err = u.ctx.Err()
	}
	if u.err != nil {
		return 0, u.err
	}
	n, err := u.w.Write(p)
	if err != nil {
		u.err = u.s.failed("write "+u.key, err)
	}
	return n, u.err
}

// Commit writes the file to the disk, then its name. If it fails, nothing is left, and Abort need not be called.
func (u *upload) Commit() error {
	if u.ended {
		return u.s.failed("commit "+u.key, errEnded)
	}
	err := cmp.Or(u.err, u.ctx.Err())
	if err == nil {
		err = u.publish()
	}
	// Where this fails although the object is stored, what is left over is another name of the same file, for Sweep.
	_ = u.Abort()
	return err
}

// publish makes the object durable under its key: bytes first, then the name.
func (u *upload) publish() error {
	if err := u.w.Flush(); err != nil {
		return u.s.failed("write "+u.key, err)
	}
	if err := u.f.Sync(); err != nil {
		return u.s.failed("sync "+u.key, err)
	}
	fault.Point("storage.synced")
	folder := path.Dir(u.key)
	if err := u.s.makeFolder(folder); err != nil {
		return err
	}
	err := u.link()
	switch {
	case errors.Is(err, fs.ErrExist):
		return u.s.failedAt("commit", u.key, err)
	case err != nil:
		return u.s.failed("commit "+u.key, err)
	}
	fault.Point("storage.linked")
	if err := u.s.syncFolder(folder); err != nil {
		err = u.s.failed("sync folder of "+u.key, err)
		return errors.Join(err, u.s.root.Remove(u.key))
	}
	return nil
}

// link gives the file its key. A hard link never replaces a file, which a rename does.
func (u *upload) link() error {
	err := u.s.root.Link(u.temp(), u.key)
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOSYS) {
		return u.rename() // a file system without hard links, such as a network drive
	}
	return err
}

// rename does the same where nobody else uses the folder: the lock keeps other processes out, mu the other uploads.
func (u *upload) rename() error {
	u.s.mu.Lock()
	defer u.s.mu.Unlock()
	if _, err := u.s.root.Lstat(u.key); err == nil {
		return fs.ErrExist
	}
	return u.s.root.Rename(u.temp(), u.key)
}

// Abort removes the file. After Commit or Abort it does nothing.
func (u *upload) Abort() error {
	if u.ended {
		return nil
	}
	u.ended = true
	u.f.Close() // nothing to lose: Commit has synced it, or nobody wants it
	err := u.s.root.Remove(u.temp())
	u.forget()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return u.s.failed("abort "+u.key, err)
	}
	return nil
}

func (u *upload) forget() {
	u.s.mu.Lock()
	defer u.s.mu.Unlock()
	delete(u.s.live, u.name)
}
