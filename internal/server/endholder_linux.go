package server

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// endHolder kills the process that holds the data directory's lock: the one that the lock file names, if it has that
// file open. The process is held by a descriptor from before that is looked at until the signal is sent, so that no
// other process that came by the same number is meant.
func endHolder(dir string) error {
	pid := holderOf(dir)
	if pid == 0 || pid == os.Getpid() {
		return fmt.Errorf("the lock file names no process")
	}
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return fmt.Errorf("find process %d: %w", pid, err)
	}
	defer unix.Close(fd)
	if !hasOpen(pid, filepath.Join(dir, lockFile)) {
		return fmt.Errorf("process %d does not have the lock file open, or may not be looked at", pid)
	}
	if err := unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0); err != nil {
		return fmt.Errorf("end process %d: %w", pid, err)
	}
	return nil
}

// hasOpen says whether a process has a file open.
func hasOpen(pid int, path string) bool {
	want, err := os.Stat(path)
	if err != nil {
		return false
	}
	open, err := filepath.Glob(filepath.Join("/proc", strconv.Itoa(pid), "fd", "*"))
	if err != nil {
		return false
	}
	for _, fd := range open {
		if is, err := os.Stat(fd); err == nil && os.SameFile(is, want) {
			return true
		}
	}
	return false
}
