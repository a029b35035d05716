package writeback

import (
	"os"

	"golang.org/x/sys/unix"
)

// begin starts writing a range to the disk, and does not wait for it. Where the file system does not know how, the end
// waits longer.
func begin(f *os.File, from, n int64) {
	if raw, err := f.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { _ = unix.SyncFileRange(int(fd), from, n, unix.SYNC_FILE_RANGE_WRITE) })
	}
}
