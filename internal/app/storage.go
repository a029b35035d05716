package app

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"strings"
	"time"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/storage"
)

// StorageID names the one storage that a server has: its operator sets it at the start.
const StorageID = "local"

// testPrefix begins the keys of what a test of the storage writes, apart from every backup's.
const testPrefix = "test/"

const (
	storageTestSize  = 64 << 10
	storageTestLimit = 30 * time.Second
)

// StorageUse is a storage, and what the organization keeps in it.
type StorageUse struct {
	ID, Name string
	Space    storage.Space // zero: not known
	Backups  int
	Bytes    int64
}

// StorageTest is what came of writing a small object, reading it back and removing it.
type StorageTest struct {
	OK      bool
	Size    int64
	Wrote   time.Duration // each is zero where it did not come so far
	Read    time.Duration
	Removed time.Duration
	Failure *safepoint.Failure // of the step that failed
}

// Storages returns where backups are kept.
func (a *App) Storages(ctx context.Context, by safepoint.Actor) ([]StorageUse, error) {
	s, err := a.StorageUse(ctx, by, StorageID)
	if err != nil {
		return nil, err
	}
	return []StorageUse{s}, nil
}

// StorageUse returns one storage.
func (a *App) StorageUse(ctx context.Context, by safepoint.Actor, id string) (StorageUse, error) {
	if err := a.authorize(ctx, by, viewer, "overview.read"); err != nil {
		return StorageUse{}, err
	}
	if err := isStorage(id); err != nil {
		return StorageUse{}, err
	}
	s := StorageUse{ID: StorageID, Name: a.Storage.Name()}
	var err error
	if _, _, s.Backups, s.Bytes, err = a.Catalog.BackupTotals(ctx, by.OrganizationID); err != nil {
		return StorageUse{}, err
	}
	if s.Space, err = a.Storage.Space(ctx); err != nil {
		// The page is worth more than its free space: it is shown as not known.
		a.Log.WarnContext(ctx, "free space of the storage is not known", "error", err)
	}
	return s, nil
}

func isStorage(id string) error {
	if id != StorageID {
		return safepoint.Errorf(safepoint.CodeNotFound, "There is no such storage.")
	}
	return nil
}

// StorageForecast says when a storage will be full if it goes on growing as it did.
func (a *App) StorageForecast(ctx context.Context, by safepoint.Actor, id string) (StorageHealth, error) {
	if err := a.authorize(ctx, by, viewer, "health.read"); err != nil {
		return StorageHealth{}, err
	}
	if err := isStorage(id); err != nil {
		return StorageHealth{}, err
	}
	return a.storageHealth(ctx, by.OrganizationID, forecastDays)
}

// TestStorage writes a small object, reads it back and removes it.
func (a *App) TestStorage(ctx context.Context, by safepoint.Actor, id string) (StorageTest, error) {
	if err := a.authorize(ctx, by, admin, "storage.test"); err != nil {
		return StorageTest{}, err
	}
	if err := isStorage(id); err != nil {
		return StorageTest{}, err
	}
	t := a.testStorage(ctx)
	a.audit(ctx, by, act{action: "storage.test", object: "storage", id: id, name: a.Storage.Name(), outcome: outcomeOf(t.OK)})
	return t, nil
}

func (a *App) testStorage(ctx context.Context) (t StorageTest) {
	ctx, cancel := context.WithTimeout(ctx, storageTestLimit)
	defer cancel()
	key, content := testPrefix+strings.ToLower(safepoint.NewID("tst")), make([]byte, storageTestSize)
	rand.Read(content)
	for _, step := range []struct {
		took   *time.Duration
		do     func() error
		failed *safepoint.Error
	}{
		{&t.Wrote, func() error { return a.writeObject(ctx, key, content) }, safepoint.Errorf(safepoint.CodeUnreachable, "A small file could not be written to the storage.")},
		{&t.Read, func() error { return a.readObject(ctx, key, content) }, safepoint.Errorf(safepoint.CodeUnreachable, "A small file that was just written could not be read back from the storage as it was.")},
		{&t.Removed, func() error { return a.Storage.Delete(ctx, key) }, safepoint.Errorf(safepoint.CodeUnreachable, "A small file that was just written could not be removed from the storage.")},
	} {
		start := time.Now()
		err := step.do()
		if *step.took = time.Since(start); err == nil {
			continue
		}
		*step.took = 0
		if step.took != &t.Removed {
			err = errors.Join(err, a.Storage.Delete(context.WithoutCancel(ctx), key))
		}
		var known *safepoint.Error
		if !errors.As(err, &known) {
			err = step.failed.WithHint("The server's log has the reason. See to it that the place is there, and that the user that Safepoint runs as may write, read and remove files in it.").WithCause(err)
		}
		t.Failure = a.failure(ctx, "test of the storage failed", err)
		return t
	}
	t.OK, t.Size = true, storageTestSize
	return t
}

func (a *App) writeObject(ctx context.Context, key string, content []byte) error {
	up, err := a.Storage.Create(ctx, key)
	if err != nil {
		return err
	}
	if _, err := up.Write(content); err != nil {
		return errors.Join(err, up.Abort())
	}
	return up.Commit()
}

func (a *App) readObject(ctx context.Context, key string, want []byte) error {
	f, err := a.Storage.Open(ctx, key)
	if err != nil {
		return err
	}
	defer f.Close()
	got, err := io.ReadAll(io.NewSectionReader(f, 0, f.Size()))
	if err != nil {
		return err
	}
	if !bytes.Equal(got, want) {
		return errors.New("what was read is not what was written")
	}
	return nil
}

// sweepTests removes what tests of the storage left when the program was killed in the middle of one.
func (a *App) sweepTests(ctx context.Context) error {
	var left []string
	err := a.Storage.List(ctx, testPrefix, func(o storage.Object) error {
		left = append(left, o.Key)
		return nil
	})
	for _, key := range left {
		err = errors.Join(err, a.Storage.Delete(ctx, key))
	}
	return err
}
