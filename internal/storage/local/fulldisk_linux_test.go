package local

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/storage/storagetest"
	"golang.org/x/sys/unix"
)

func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("safepoint-test", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Skipf("needs to mount a 1 MiB tmpfs, which root may do outside most containers (mount: %v)", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Errorf("unmount %s: %v", dir, err)
		}
	})
	s := open(t, dir)
	storagetest.Put(t, s, "before", bytes.Repeat([]byte("x"), 100_000))
	u, err := s.Create(t.Context(), "too-big")
	if err != nil {
		t.Fatal(err)
	}
	for range 40 {
		if _, err = u.Write(make([]byte, 64<<10)); err != nil {
			break
		}
	}
	if safepoint.ErrorCode(err) != safepoint.CodeSpace || !errors.Is(err, unix.ENOSPC) {
		t.Errorf("Write on a full disk gives %v", err)
	}
	t.Log(safepoint.UserError(err))
	if err := u.Commit(); safepoint.ErrorCode(err) != safepoint.CodeSpace {
		t.Errorf("Commit on a full disk gives %v", err)
	}
	if keys := storagetest.Keys(t, s, ""); !slices.Equal(keys, []string{"before"}) {
		t.Errorf("list is %q", keys)
	}
	room, err := s.Space(t.Context())
	if err != nil || room.Total != 1<<20 || room.Free < 800_000 {
		t.Errorf("the failed upload was not removed: %+v, %v", room, err)
	}
	storagetest.Put(t, s, "after", bytes.Repeat([]byte("x"), 100_000))

	// What fits only into the buffer fails at Commit at the latest.
	if u, err = s.Create(t.Context(), "again"); err != nil {
		t.Fatal(err)
	}
	for err == nil && room.Free > 0 {
		_, err = u.Write(make([]byte, 16<<10))
		room.Free -= 16 << 10
	}
	if err := u.Commit(); safepoint.ErrorCode(err) != safepoint.CodeSpace {
		t.Errorf("Commit gives %v", err)
	}
}
