package app

import (
	"context"
	"errors"
	"testing"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/storage"
)

// A safety backup that was tried again is on its restore as soon as it has ended, and not a minute later.
func TestSafetyBackupReachesItsRestoreAtOnce(t *testing.T) {
	w := newWorld(t)
	r := w.unguarded(w.shop("shop"))
	made := w.work()
	if !w.operation(r.ID).Unguarded() {
		t.Fatal("it is there before its end was stored")
	}
	w.Ended(w.ctx, made)
	if r = w.operation(r.ID); r.SafetyID != made.ID || r.Unguarded() {
		t.Errorf("the restore says %+v", r)
	}
}

// stubborn is a storage that reads nothing back, and for a while removes nothing.
type stubborn struct {
	storage.Storage
	removes *bool
}

func (s stubborn) Open(context.Context, string) (storage.File, error) {
	return nil, errors.New("no answer")
}

func (s stubborn) Delete(ctx context.Context, key string) error {
	if !*s.removes {
		return errors.New("no answer")
	}
	return s.Storage.Delete(ctx, key)
}

// A backup that fails while the storage removes nothing leaves a file for a moment: housekeeping, which is woken, removes it,
// and the failed backup stays in DB Logs.
func TestFailedBackupLeavesNoFile(t *testing.T) {
	w := newWorld(t)
	d := w.shop("shop")
	removes := false
	healthy := w.Storage
	w.Storage = stubborn{healthy, &removes}
	_, err := w.StartBackup(w.ctx, w.admin, d.ID)
	w.ok(err)
	op := w.work()
	if op.Status != safepoint.StatusFailed {
		t.Fatalf("ended %s", op.Status)
	}
	select {
	case <-w.Untidy():
	default:
		t.Error("nobody is told that a file is left")
	}
	files := func() (n int) {
		w.ok(healthy.List(w.ctx, "", func(storage.Object) error { n++; return nil }))
		return n
	}
	if n := files(); n != 1 {
		t.Fatalf("%d files are left", n)
	}
	if again := w.Housekeep(w.ctx); !again {
		t.Error("housekeeping does not say that it must try again")
	}
	removes = true
	if again := w.Housekeep(w.ctx); again || files() != 0 {
		t.Errorf("again %v, %d files are left", again, files())
	}
	if op = w.operation(op.ID); !op.DeletedAt.IsZero() || op.Status != safepoint.StatusFailed {
		t.Errorf("the log says %+v", op)
	}
}
