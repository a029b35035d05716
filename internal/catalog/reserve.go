package catalog

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/safepoint-db/safepoint"
)

// Reserve is a file that holds room on the catalog's disk. When the disk is full it is removed, so that what is under way
// can still be brought to its end and recorded, and people can still sign in. It is made anew once there is room again.
// A nil Reserve holds nothing.
type Reserve struct {
	path string
	size int64

	mu    sync.Mutex
	held  bool
	spent bool // it was removed, and could not be made again yet
	turns int  // how often room was given back
}

// ReserveSize is enough for thousands of changes.
const ReserveSize = 8 << 20

// reserveSlack is how many times its size must be free before a reserve is made: else it would take room from what needs it.
const reserveSlack = 4

// NewReserve is the reserve at path, of size bytes. It is there already, or Fill makes it.
func NewReserve(path string, size int64) *Reserve {
	r := &Reserve{path: path, size: size}
	if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && info.Size() >= size {
		r.held = true
	}
	return r
}

// UseReserve gives the catalog a reserve. It is for the time before the catalog is used by others.
func (c *Catalog) UseReserve(r *Reserve) { c.db.reserve = r }

// FillReserve makes the reserve unless it is there. CodeSpace: the disk has no room for it.
func (c *Catalog) FillReserve() error { return c.db.reserve.Fill() }

// Fill makes the reserve unless it is there. CodeSpace: the disk has no room for it.
func (r *Reserve) Fill() error {
	if r == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.held {
		return nil
	}
	var st unix.Statfs_t
	if err := unix.Statfs(filepath.Dir(r.path), &st); err != nil {
		return fmt.Errorf("look for room: %w", err)
	}
	if free := int64(st.Bavail) * int64(st.Bsize); free < reserveSlack*r.size {
		return diskFull(nil)
	}
	if err := r.write(); err != nil {
		os.Remove(r.path)
		r.turns++ // whoever found no room while it was written looks again
		if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
			return diskFull(err)
		}
		return fmt.Errorf("make the reserve: %w", err)
	}
	r.held, r.spent = true, false
	return nil
}

// write fills the file with what no file system can store in less room.
func (r *Reserve) write() error {
	f, err := os.OpenFile(r.path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	random, block := rand.NewChaCha8([32]byte{}), make([]byte, 1<<20)
	for left := r.size; left > 0 && err == nil; left -= int64(len(block)) {
		random.Read(block)
		_, err = f.Write(block[:min(int64(len(block)), left)])
	}
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// Release gives the room back, and says whether there was any to give.
func (r *Reserve) Release() bool {
	if r == nil {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.release()
}

func (r *Reserve) release() bool {
	if !r.held || os.Remove(r.path) != nil {
		return false
	}
	r.held, r.spent = false, true
	r.turns++
	return true
}

// turn is how often room was given back until now.
func (r *Reserve) turn() int {
	if r == nil {
		return 0
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.turns
}

// try writes, and where the disk is full gives the room back and writes once more. write can be called again after an
// error.
func (r *Reserve) try(write func() error) error {
	before := r.turn()
	err := write()
	if !isFull(err) || r == nil {
		return err
	}
	r.mu.Lock()
	again := r.turns != before || r.release()
	r.mu.Unlock()
	if again {
		err = write()
	}
	return err
}

// mayBegin refuses to begin something new while the reserve is needed to end what is under way.
func (r *Reserve) mayBegin() error {
	if r == nil {
		return nil
	}
	r.mu.Lock()
	spent := r.spent
	r.mu.Unlock()
	if !spent {
		return nil
	}
	return r.Fill()
}

// isFull says that the catalog's disk had no room for a change.
func isFull(err error) bool { return isCode(err, sqlite3.SQLITE_FULL) }

func diskFull(err error) error {
	return safepoint.Errorf(safepoint.CodeSpace, "The disk that holds Safepoint's own data is full.").
		WithHint("Free some space on it: until then nothing can be started or changed here. What was stored before is not affected.").WithCause(err)
}
