package server

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/safepoint-db/safepoint"
)

// LockFile makes the file at path if need be and locks it until unlock is called or the process ends, however it
// ends. A lock held by another process is CodeConflict, at once.
func LockFile(path string) (unlock func(), err error) {
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
	return func() { f.Close() }, nil
}
