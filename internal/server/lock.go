package server

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/safepoint-db/safepoint"
)

// LockFile makes the file at path if need be and locks it until unlock is called or the process ends, however it
// ends. unlock may remove the file too. A lock held by another process is CodeConflict, at once.
func LockFile(path string) (unlock func(remove bool), err error) {
	for {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return nil, fmt.Errorf("open lock: %w", err)
		}
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		switch {
		case errors.Is(err, unix.EWOULDBLOCK):
			f.Close()
			return nil, safepoint.Errorf(safepoint.CodeConflict, "Another Safepoint process is using %s.", path).
				WithHint("Wait for it to end, or stop it.")
		case err != nil:
			f.Close()
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
		if !stillAt(f, path) {
			f.Close() // its last holder removed it between our opening and our locking
			continue
		}
		return func(remove bool) {
			if remove {
				os.Remove(path)
			}
			f.Close()
		}, nil
	}
}

// stillAt says whether path names the file that f is.
func stillAt(f *os.File, path string) bool {
	ours, err := f.Stat()
	if err != nil {
		return false
	}
	there, err := os.Stat(path)
	return err == nil && os.SameFile(ours, there)
}
