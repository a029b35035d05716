package app

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/storage"
)

// Of the last two backups of a database, deleted at once without a name typed, one stays, in whatever order it goes.
func TestTheLastOfTwoDeletedAtOnce(t *testing.T) {
	for range 20 {
		w := newWorld(t)
		d := w.shop("shop")
		ids := []string{w.backup(d).ID, w.backup(d).ID}
		var all sync.WaitGroup
		errs := make([]error, len(ids))
		for i, id := range ids {
			all.Go(func() { errs[i] = w.DeleteBackup(w.ctx, w.admin, id, "") })
		}
		all.Wait()
		_, _, kept, _, err := w.Catalog.BackupTotals(w.ctx, d.OrganizationID)
		w.ok(err)
		if kept != 1 || (errs[0] == nil) == (errs[1] == nil) {
			t.Fatalf("%d backups are kept: %v", kept, errs)
		}
		w.refused(errors.Join(errs...), safepoint.CodeInvalid, "exactly as shown")
	}
}

// between is a storage on which something happens while a file is looked at before its deletion.
type between struct {
	storage.Storage
	once *sync.Once
	do   func()
}

func (b between) Delete(ctx context.Context, key string) error {
	b.once.Do(b.do)
	return b.Storage.Delete(ctx, key)
}

// Who saw another backup a moment ago, and types nothing, does not delete what is the last one by now.
func TestDeleteOfWhatBecameTheLast(t *testing.T) {
	w := newWorld(t)
	d := w.shop("shop")
	first, second := w.backup(d), w.backup(d)
	var later error
	w.Storage = between{w.Storage, &sync.Once{}, func() {
		later = w.Catalog.MarkDeleting(w.ctx, d.OrganizationID, second.ID, false, safepoint.AuditEntry{})
	}}
	w.ok(w.DeleteBackup(w.ctx, w.admin, first.ID, ""))
	if later == nil {
		t.Error("the last backup was marked for deletion")
	}
	w.refused(w.DeleteBackup(w.ctx, w.admin, second.ID, ""), safepoint.CodeInvalid, "exactly as shown")
	w.ok(w.DeleteBackup(w.ctx, w.admin, second.ID, d.Name))
}

// refusing is a storage that does not delete one file.
type refusing struct {
	storage.Storage
	key string
}

func (r refusing) Delete(ctx context.Context, key string) error {
	if key == r.key {
		return errors.New("the storage is read-only")
	}
	return r.Storage.Delete(ctx, key)
}

// A file that the storage does not delete is tried again at once, and does not keep others that are to go.
func TestDeletionIsTriedAtOnce(t *testing.T) {
	w := newWorld(t)
	d := w.shop("shop")
	first, second := w.backup(d), w.backup(d)
	w.backup(d)
	healthy := w.Storage
	for _, op := range []safepoint.Operation{first, second} {
		w.Storage = refusing{healthy, op.StorageKey}
		w.refused(w.DeleteBackup(w.ctx, w.admin, op.ID, ""), safepoint.CodeUnreachable, "could not be removed yet")
		if !w.isUntidy() {
			t.Error("nobody tries again before the minute is over")
		}
	}
	gone := func(op safepoint.Operation) bool {
		_, err := healthy.Stat(w.ctx, op.StorageKey)
		return safepoint.ErrorCode(err) == safepoint.CodeNotFound
	}
	if w.Storage = (refusing{healthy, first.StorageKey}); !w.Housekeep(w.ctx) || gone(first) || !gone(second) {
		t.Error("a file that cannot be removed kept another, or nobody tries it again")
	}
	if w.Storage = healthy; w.Housekeep(w.ctx) || !gone(first) {
		t.Error("the file is still there")
	}
}
