package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/safepoint-db/safepoint"
)

// A data directory has two locks, both of the kernel's, so that whoever dies lets go of them.
//
//   - "lock" is held by the one process that may act on the directory: the console or, while it ends a restore, the
//     watchdog. The file names the process.
//   - "lock.takeover" is held by the watchdog around that, from before it asks for "lock" until after it gave it back.
//     It tells a console that starts meanwhile to wait, rather than to give up.

const takeoverFile = "lock.takeover"

// takeoverPoll is how often a console that waits for the watchdog looks again.
const takeoverPoll = 100 * time.Millisecond

// lockData locks the data directory for a console. One that another console uses is CodeConflict, at once; while the
// watchdog ends a restore in it, it waits.
func lockData(ctx context.Context, dir string, log *slog.Logger) (unlock func(), err error) {
	for told := false; ; {
		release, err := LockFile(filepath.Join(dir, lockFile))
		if err == nil {
			if err := nameHolder(dir); err != nil {
				release(false)
				return nil, err
			}
			return func() { release(false) }, nil
		}
		if safepoint.ErrorCode(err) != safepoint.CodeConflict {
			return nil, err
		}
		watched, lerr := underTakeover(dir)
		if lerr != nil {
			return nil, errors.Join(err, lerr)
		}
		if !watched {
			// The watchdog gives back "lock" first: if it did so just now, "lock" is free.
			if release, again := LockFile(filepath.Join(dir, lockFile)); again == nil {
				release(false)
				continue
			}
			return nil, taken(dir, err)
		}
		if !told {
			told = true
			log.Info("the watchdog is ending a restore in this data directory; waiting for it")
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(takeoverPoll):
		}
	}
}

// nameHolder writes this process into the lock file, for the watchdog.
func nameHolder(dir string) error {
	if err := os.WriteFile(filepath.Join(dir, lockFile), []byte(strconv.Itoa(os.Getpid())+"\n"), 0o600); err != nil {
		return fmt.Errorf("name the holder of the lock: %w", err)
	}
	return nil
}

// underTakeover says whether a watchdog is at it.
func underTakeover(dir string) (bool, error) {
	f, err := os.OpenFile(filepath.Join(dir, takeoverFile), os.O_RDWR, 0)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("open lock: %w", err)
	}
	defer f.Close()
	err = unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return true, nil
	}
	return false, err
}

// holderOf reads which process the lock file names, 0 if none.
func holderOf(dir string) int {
	text, err := os.ReadFile(filepath.Join(dir, lockFile))
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil || pid <= 1 {
		return 0
	}
	return pid
}
