package catalog

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/safepoint-db/safepoint"
)

// smallDisk mounts a disk of so many MiB.
func smallDisk(t *testing.T, mib string) string {
	t.Helper()
	dir := t.TempDir()
	err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "mode=0700,size="+mib+"m")
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EACCES) {
		t.Skipf("a full disk is not tried: this user may not mount a small one (%v)", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Unmount(dir, syscall.MNT_DETACH) })
	return dir
}

// fillUp leaves no byte free on a disk.
func fillUp(t *testing.T, dir string) (filler string) {
	t.Helper()
	filler = filepath.Join(dir, "filler")
	f, err := os.OpenFile(filler, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, size := range []int{1 << 20, 4096, 1} {
		for {
			if _, err := f.Write(make([]byte, size)); err != nil {
				break
			}
		}
	}
	return filler
}

// TestReserve has the disk of the catalog become full while an operation runs: its end is recorded, people can sign in,
// nothing new begins; and once there is room, the reserve is there again.
func TestReserve(t *testing.T) {
	dir := smallDisk(t, "64")
	f := newFixtureAt(t, filepath.Join(dir, "catalog.db"))
	path := filepath.Join(dir, "catalog.reserve")
	f.UseReserve(NewReserve(path, ReserveSize))
	f.ok(f.FillReserve())
	if info, err := os.Stat(path); err != nil || info.Size() != ReserveSize || info.Mode().Perm() != 0o600 {
		t.Fatalf("the reserve: %v, %v", info, err)
	}
	if r := NewReserve(path, ReserveSize); !r.held {
		t.Error("the next process does not know the reserve")
	}
	claim := f.claim(f.create(backupOf("org_a", "db_1")).ID)
	filler := fillUp(t, dir)

	// More than what SQLite has room for in the files that are there.
	long := strings.Repeat("what was seen ", 5000)
	for i := range 30 {
		if _, err := f.AddAudit(f.ctx, safepoint.AuditEntry{OrganizationID: "org_a", Action: "signin", Detail: long}); err != nil {
			t.Fatalf("change %d on a full disk: %v", i, err)
		}
	}
	if op := f.finish(claim, safepoint.StatusFailed); op.Status != safepoint.StatusFailed {
		t.Errorf("the operation's end is not recorded: %+v", op)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the reserve is still there: %v", err)
	}
	fillUp(t, dir) // and somebody takes what was left of it
	_, err := f.CreateOperation(f.ctx, backupOf("org_a", "db_1"))
	f.refused(err, safepoint.CodeSpace, "disk that holds Safepoint's own data is full")
	_, err = f.RecordDue(f.ctx, f.schedule(), f.now, nil)
	f.refused(err, safepoint.CodeSpace, "")
	f.refused(f.FillReserve(), safepoint.CodeSpace, "")

	f.ok(os.Remove(filler))
	f.create(backupOf("org_a", "db_1"))
	if info, err := os.Stat(path); err != nil || info.Size() != ReserveSize {
		t.Errorf("with room again there is no reserve: %v", err)
	}
}
