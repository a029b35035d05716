package soak

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// smallDisk mounts a disk of some MiB at dir. Where that is not permitted the test is skipped, and says so.
func smallDisk(t *testing.T, dir string, mib int) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "mode=0700,size="+strconv.Itoa(mib)+"m")
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EACCES) {
		t.Skipf("a full disk is not tried: this user may not mount a small one (%v)", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Unmount(dir, syscall.MNT_DETACH) })
}

// fill leaves no byte free on a disk; empty gives the room back.
func fill(t *testing.T, dir string) (empty func()) {
	t.Helper()
	path := filepath.Join(dir, "filler")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, size := range []int{1 << 20, 4096, 1} {
		block := make([]byte, size)
		for {
			if _, err := f.Write(block); err != nil {
				if !errors.Is(err, syscall.ENOSPC) && !errors.Is(err, io.ErrShortWrite) {
					t.Fatal(err)
				}
				break
			}
		}
	}
	return func() {
		if err := os.Remove(path); err != nil {
			t.Error(err)
		}
	}
}

// fullAt are the points at which a disk becomes full.
func fullAt(story *story, _ string, _ int) []string {
	switch story.name {
	case "restore", "instant":
		return []string{
			"restore.check.verified", "restore.stage.created", "restore.stage.loaded", "restore.halt.written", "restore.halt.each", "restore.halt.done",
			"restore.gate.closed", "safety.begun", "backup.dump", "storage.linked", "restore.switch.before", "restore.switch.sent", "restore.resume.opened",
			"restore.resume.each", "restore.clean", "jobs.end.before",
		}
	case "undo":
		return []string{"restore.halt.done", "restore.undo.intent", "restore.undo.sent", "restore.resume.each", "jobs.end.before"}
	case "backup":
		return []string{"backup.create", "backup.dump", "storage.synced", "backup.verify", "jobs.end.before"}
	}
	return nil
}

// fillDisk fills the disk at the point, and checks that services run again while it is still full; and on that of the
// catalog, which has a reserve, that what was begun ends. It is emptied then.
func fillDisk(where func(s *shop) string) func(s *shop, t *testing.T, a *attempt) bool {
	return func(s *shop, t *testing.T, a *attempt) bool {
		if !metIn(a) {
			return false
		}
		answered := s.stopAt(t, a)
		dir := where(s)
		empty := fill(t, dir)
		a.person, a.rude = true, dir == s.small // a database without room takes no orders
		s.goOn(t, a, answered)
		patience := when(dir == s.proc.data, endWithin, 3*time.Second)
		for until := time.Now().Add(patience); time.Now().Before(until) && !s.endedNow(t, a); time.Sleep(20 * time.Millisecond) {
		}
		if dir == s.proc.data && !s.endedNow(t, a) { // that is what the reserve is for
			t.Error("G5: while the disk of the data directory is full, what was begun does not end")
		}
		if dir != s.small && !s.till.selling(endWithin) || !s.till.resumed(endWithin) { // a database without room takes no orders
			t.Error("G4: while the disk is full the till does not work")
		}
		empty()
		a.launched = time.Now()
		return true
	}
}

// metIn says whether a story meets the point at all: an instant restore has others than a guarded one.
func metIn(a *attempt) bool {
	for _, p := range points[a.story.name] {
		if p == a.point {
			return true
		}
	}
	return false
}

// shortLease lets the server look every three seconds for what a full disk kept from being recorded, not once a minute.
var shortLease = []string{"SAFEPOINT_FAULT_LEASE=3s"}
