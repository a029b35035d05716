package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/api/wire"
	"github.com/safepoint-db/safepoint/internal/server"
)

// TestFullDisk lets a backup run out of disk: of the storage's alone, and of the disk that also holds the catalog.
func TestFullDisk(t *testing.T) {
	for name, sub := range map[string]string{"storage": "backups", "whole data directory": "."} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			data := filepath.Join(t.TempDir(), "data")
			disk := filepath.Join(data, sub)
			if err := os.MkdirAll(disk, 0o700); err != nil {
				t.Fatal(err)
			}
			mountDisk(t, disk)
			var ahead atomic.Int64 // of the clock
			b := start(t, server.Config{DataDir: data, Now: func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }}, "")
			b.openTill()
			visitor := b.console()
			small, big := b.addSQLite("small", ordersSQLite("100")), b.addSQLite("big", ordersSQLite("100000"))
			good := small.backup()
			check := big.unchanged()

			op := b.wait(must(b.api.StartBackup(t.Context(), big.ID))(t).ID)
			wantFailed(t, op, safepoint.CodeSpace, "full")
			check()
			small.restore(small.backup()) // what fits goes on
			small.working()

			resize(t, disk, "size=160m")
			spare := big.backup()
			fill(t, disk)
			ahead.Add(int64(10 * time.Minute)) // sessions and tokens are to be renewed
			check = big.unchanged()
			if op, err := b.api.StartBackup(t.Context(), big.ID); err == nil {
				wantFailed(t, b.wait(op.ID), safepoint.CodeSpace, "space")
			} else {
				wantRefusal(t, err, safepoint.CodeSpace, "full")
			}
			if op, err := b.api.StartRestore(t.Context(), good.ID, wire.RestoreInput{Confirm: "small"}); err == nil {
				wantFailed(t, b.wait(op.ID), safepoint.CodeSpace, "room for the safety backup", "space")
			} else {
				wantRefusal(t, err, safepoint.CodeSpace, "full")
			}
			if p := must(b.api.PreviewRestore(t.Context(), good.ID))(t); p.Ready {
				t.Error("a restore whose safety backup has no room is called ready")
			}
			check()
			for _, page := range []string{"/backups", "/logs", "/logs/" + good.ID, "/databases", "/storage", "/services", "/audit", "/settings"} {
				if status, body := visitor.get(page); status != 200 || strings.Contains(body, `name="password"`) {
					t.Errorf("on a full disk %s answers %d: %.300s", page, status, body)
				}
			}
			if err := b.api.DeleteBackup(t.Context(), spare.ID, "big"); err != nil { // the catalog needs room for it
				wantRefusal(t, err, safepoint.CodeSpace, "full")
			}
			b.must(os.Remove(filepath.Join(disk, "ballast")))
			big.backup()
			small.restore(good)
			small.working()
		})
	}
}

// mountDisk makes a disk of 24 MiB.
func mountDisk(t *testing.T, dir string) {
	t.Helper()
	if err := unix.Mount("safepoint-e2e", dir, "tmpfs", 0, "size=24m,mode=700"); err != nil {
		t.Skipf("needs to mount a tmpfs, which root may do outside most containers (mount: %v)", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Errorf("unmount %s: %v", dir, err)
		}
	})
}

func resize(t *testing.T, dir, options string) {
	t.Helper()
	if err := unix.Mount("safepoint-e2e", dir, "tmpfs", unix.MS_REMOUNT, options); err != nil {
		t.Fatal(err)
	}
}

// fill takes all that is left of a disk, to the last byte.
func fill(t *testing.T, dir string) {
	t.Helper()
	f := must(os.Create(filepath.Join(dir, "ballast")))(t)
	defer f.Close()
	for size := 1 << 20; size > 0; size /= 2 {
		for {
			if _, err := f.Write(make([]byte, size)); err != nil {
				break
			}
		}
	}
}
