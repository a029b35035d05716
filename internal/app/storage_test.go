package app

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/storage"
)

// TestStorageTest: a test leaves nothing behind, and one that cannot be done says at which step and what to do.
func TestStorageTest(t *testing.T) {
	w := newWorld(t)
	got, err := w.TestStorage(w.ctx, w.admin, StorageID)
	w.ok(err)
	if !got.OK || got.Size != storageTestSize || got.Wrote <= 0 || got.Read <= 0 || got.Removed <= 0 || got.Failure != nil {
		t.Errorf("%+v", got)
	}
	w.left()
	w.audited(w.admin, "Ines Marlow|storage.test|"+w.Storage.Name()+"|succeeded")
	_, err = w.TestStorage(w.ctx, w.admin, "s3")
	w.refused(err, safepoint.CodeNotFound, "no such storage")
	_, err = w.StorageUse(w.ctx, w.viewer, "s3")
	w.refused(err, safepoint.CodeNotFound, "no such storage")

	good := w.Storage
	w.Storage = altering{good}
	if got, err = w.TestStorage(w.ctx, w.admin, StorageID); err != nil || got.OK || got.Wrote == 0 || got.Read != 0 || got.Failure == nil || got.Failure.Hint == "" {
		t.Errorf("of a storage that alters what it keeps: %+v, %v", got, err)
	}
	w.left()
	w.Storage = good

	w.ok(os.RemoveAll(filepath.Join(w.dir, "backups")))
	w.ok(os.WriteFile(filepath.Join(w.dir, "backups"), nil, 0o600))
	if got, err = w.TestStorage(w.ctx, w.admin, StorageID); err != nil || got.OK || got.Wrote != 0 || got.Failure == nil {
		t.Errorf("of a folder that is gone: %+v, %v", got, err)
	}
}

// TestSweepOfTests: what a killed test left is removed at the next start, and no backup is.
func TestSweepOfTests(t *testing.T) {
	w := newWorld(t)
	w.backup(w.shop("shop"))
	kept := w.objects()
	w.ok(w.writeObject(w.ctx, testPrefix+"tst_left", []byte("x")))
	w.ok(w.SweepStorage(w.ctx))
	if now := w.objects(); now != kept {
		t.Errorf("%d objects, want %d", now, kept)
	}
}

// altering keeps every object with its first byte changed.
type altering struct{ storage.Storage }

type alteringUpload struct{ storage.Upload }

func (s altering) Create(ctx context.Context, key string) (storage.Upload, error) {
	u, err := s.Storage.Create(ctx, key)
	return alteringUpload{u}, err
}

func (u alteringUpload) Write(b []byte) (int, error) {
	b = bytes.Clone(b)
	b[0]++
	return u.Upload.Write(b)
}

func (w *world) objects() (n int) {
	w.t.Helper()
	w.ok(w.Storage.List(w.ctx, "", func(storage.Object) error { n++; return nil }))
	return n
}

// left fails where a test left something.
func (w *world) left() {
	w.t.Helper()
	w.ok(w.Storage.List(w.ctx, testPrefix, func(o storage.Object) error {
		w.t.Errorf("the test left %s", o.Key)
		return nil
	}))
}
