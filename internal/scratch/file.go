package scratch

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	suffix = ".safepoint-part"
	// stale is how long nobody wrote to a file that is swept. Beside the lock, for folders that several machines share without
	// sharing locks.
	stale = 24 * time.Hour
)

// Create makes a file in dir, mode 0600, that gets the name base once it is whole: dir/.BASE.NUMBER.safepoint-part. Those that
// killed processes of the same user left there more than a day ago are removed first.
func Create(dir, base string) (*os.File, error) {
	sweepFiles(dir)
	f, err := os.CreateTemp(dir, "."+base+".*"+suffix)
	if err != nil {
		return nil, err
	}
	_ = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) // without locks it is young
	return f, nil
}

func sweepFiles(dir string) {
	for _, info := range mine(dir, 0o600, func(name string) bool { return strings.HasPrefix(name, ".") && strings.HasSuffix(name, suffix) }) {
		if time.Since(info.ModTime()) < stale {
			continue
		}
		path := filepath.Join(dir, info.Name())
		f, err := os.OpenFile(path, os.O_RDWR|unix.O_NOFOLLOW, 0)
		if err != nil {
			continue
		}
		if unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil {
			os.Remove(path)
		}
		f.Close()
	}
}

// mine is what processes of the same user made in a folder, with exactly this type and mode.
func mine(dir string, mode fs.FileMode, named func(name string) bool) (found []fs.FileInfo) {
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if !named(e.Name()) {
			continue
		}
		info, err := e.Info()
		if err == nil && info.Mode()&(fs.ModeType|fs.ModePerm) == mode && info.Sys().(*syscall.Stat_t).Uid == uint32(os.Geteuid()) {
			found = append(found, info)
		}
	}
	return found
}
