// Package scratch makes temporary folders and files of which nothing stays for ever: what a killed process leaves, the next
// one removes.
//
// Each is locked (flock) as long as its process lives, however that ends, so that what has no lock is nobody's.
package scratch

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Folder is a folder of this process only, mode 0700.
type Folder struct {
	Path string
	lock *os.File // the folder itself; nil where it cannot be locked
}

const prefix = "safepoint-tmp-"

// New makes a folder below parent, which exists, and which no other machine shares; "" is the system's folder for temporary files.
// Those that killed processes of the same user left there are removed first.
func New(parent string) (*Folder, error) {
	if parent == "" {
		parent = os.TempDir()
	}
	sweep(parent)
	for {
		path, err := os.MkdirTemp(parent, prefix)
		if err != nil {
			return nil, fmt.Errorf("make a folder for temporary files: %w", err)
		}
		lock, err := take(path)
		if !errors.Is(err, errTaken) {
			return &Folder{Path: path, lock: lock}, nil // where a file system knows no locks, nobody sweeps either
		}
	}
}

// Remove removes the folder with all that is in it. Further calls do nothing.
func (f *Folder) Remove() error {
	err := os.RemoveAll(f.Path)
	if f.lock != nil {
		f.lock.Close()
	}
	return err
}

// sweep removes what nobody holds. What cannot be removed stays: it is in nobody's way.
func sweep(parent string) {
	for _, info := range mine(parent, fs.ModeDir|0o700, func(name string) bool { return strings.HasPrefix(name, prefix) }) {
		path := filepath.Join(parent, info.Name())
		if lock, err := take(path); err == nil {
			os.RemoveAll(path)
			lock.Close()
		}
	}
}

// errTaken is a folder that another process holds, or has just removed.
var errTaken = errors.New("another process has it")

// take locks a folder, unless it is gone: it may have been swept away between its making and its locking.
func take(path string) (*os.File, error) {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, errTaken
	}
	if err != nil {
		return nil, err
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if err == nil {
		_, err = os.Lstat(path)
	}
	if errors.Is(err, unix.EWOULDBLOCK) || errors.Is(err, os.ErrNotExist) {
		err = errTaken
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}
