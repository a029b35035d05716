package app

import (
	"context"
	"io"
	"strings"
	"time"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/archive"
	"github.com/safepoint-db/safepoint/internal/encrypt"
	"github.com/safepoint-db/safepoint/internal/foreign"
	"github.com/safepoint-db/safepoint/internal/storage"
)

// restorable is a backup that is kept, and the database it goes back to.
func (a *App) restorable(ctx context.Context, orgID, id string) (safepoint.Operation, safepoint.Database, error) {
	op, err := a.keptBackup(ctx, orgID, id)
	if err != nil {
		return op, safepoint.Database{}, err
	}
	d, err := a.Catalog.Database(ctx, orgID, op.DatabaseID)
	if safepoint.ErrorCode(err) == safepoint.CodeNotFound {
		return op, d, safepoint.Errorf(safepoint.CodeConflict, "%s was removed from Safepoint, so there is nothing to restore it into.", op.DatabaseName).
			WithHint("Download the file and load it with safepoint load, or with the database's own program.")
	}
	return op, d, err
}

// openBackup opens a backup's archive, which must be the one that was stored and signed here. Its frames are verified
// by whoever restores it. An encrypted one is opened with its file's key, or with a key that Safepoint keeps if that is
// zero: CodeKey if there is none.
func (a *App) openBackup(ctx context.Context, op safepoint.Operation, key encrypt.FileKey) (*archive.Reader, io.Closer, error) {
	file, err := a.openStored(ctx, op)
	if err != nil {
		return nil, nil, err
	}
	if len(op.Recipients) > 0 && key.IsZero() {
		key, err = a.unlock(ctx, file, op, "")
	}
	var r *archive.Reader
	if err == nil {
		r, err = a.readBackup(file, op, key)
	}
	if err != nil {
		file.Close()
		return nil, nil, err
	}
	return r, file, nil
}

// openStored opens a backup's file, which must have the size of the one that was stored.
func (a *App) openStored(ctx context.Context, op safepoint.Operation) (storage.File, error) {
	file, err := a.Storage.Open(ctx, op.StorageKey)
	if err != nil {
		return nil, a.missingFile(ctx, op.ID, err)
	}
	if file.Size() != op.Size {
		file.Close()
		return nil, safepoint.Errorf(safepoint.CodeArchive, "The file is not the one that was stored: it has %d bytes instead of %d.", file.Size(), op.Size).
			WithHint("Choose another backup.")
	}
	return file, nil
}

func (a *App) readBackup(file storage.File, op safepoint.Operation, key encrypt.FileKey) (*archive.Reader, error) {
	var src io.ReaderAt = file
	size := file.Size()
	if len(op.Recipients) > 0 {
		var err error
		if src, size, err = key.Open(file, size); err != nil {
			return nil, err
		}
	}
	r, err := archive.Open(src, size, a.trust())
	if err != nil {
		return nil, err
	}
	if h := r.Header(); h.OperationID != op.ID || h.DatabaseID != op.DatabaseID || h.OrganizationID != op.OrganizationID {
		return nil, safepoint.Errorf(safepoint.CodeArchive, "The file is another backup's: it was put in this one's place.").WithHint("Choose another backup.")
	}
	return r, nil
}

// snapshotAt is when the rows of an archive were read. Of a converted dump nobody knows: zero.
func snapshotAt(h archive.Header) time.Time {
	if _, converted := foreign.ContentsOf(h); converted {
		return time.Time{}
	}
	return h.CreatedAt
}

// StepTimes is how long each step took in the last restore of a restore's database, and the safety backup in the last
// backup: what the next one may take. What is not known is not there.
func (a *App) StepTimes(ctx context.Context, by safepoint.Actor, restoreID string) (map[safepoint.Step]time.Duration, error) {
	if err := a.authorize(ctx, by, viewer, "log.read"); err != nil {
		return nil, err
	}
	op, err := a.Catalog.Operation(ctx, by.OrganizationID, restoreID)
	if err != nil {
		return nil, notHere(err, "restore")
	}
	newest, err := a.Catalog.LastMade(ctx, by.OrganizationID, op.DatabaseID)
	if err != nil {
		return nil, err
	}
	return a.estimates(ctx, by.OrganizationID, op.DatabaseID, newest)
}

// estimates is how long each step took in the last restore of the database, and the safety backup in newest, its last
// backup. What is not known is not there.
func (a *App) estimates(ctx context.Context, orgID, databaseID string, newest *safepoint.Operation) (map[safepoint.Step]time.Duration, error) {
	known := map[safepoint.Step]time.Duration{}
	if newest != nil {
		known[safepoint.StepGuard] = newest.Duration(a.Now())
	}
	last, err := a.Catalog.LastRestore(ctx, orgID, databaseID)
	if err != nil || last == nil {
		return known, err
	}
	journal, err := a.Catalog.Journal(ctx, last.ID)
	for step, took := range stepTimes(journal) {
		known[step] = took
	}
	return known, err
}

// stepTimes is how long each finished step of a journal took.
func stepTimes(journal []safepoint.JournalEntry) map[safepoint.Step]time.Duration {
	began, took := map[safepoint.Step]time.Time{}, map[safepoint.Step]time.Duration{}
	for _, e := range journal {
		switch e.Event {
		case "intent":
			if began[e.Step].IsZero() {
				began[e.Step] = e.At
			}
		case "done":
			if from := began[e.Step]; !from.IsZero() {
				took[e.Step] = e.At.Sub(from)
			}
		}
	}
	return took
}

// StartRestore queues the restore of a backup into the database it was made of, once the database's name was typed.
// What has changed since the preview stops it in its first step, with nothing touched. Keys are used here, and only the
// key of this one file stays in memory until the restore has ended. A missing or wrong key is CodeKey, and nothing is queued.
func (a *App) StartRestore(ctx context.Context, by safepoint.Actor, id string, in RestoreInput) (safepoint.Operation, error) {
	if err := a.authorize(ctx, by, admin, "restore"); err != nil {
		return safepoint.Operation{}, err
	}
	op, d, err := a.restorable(ctx, by.OrganizationID, id)
	if err != nil {
		return safepoint.Operation{}, err
	}
	if !typed(in.Confirm, d.Label()) {
		return safepoint.Operation{}, safepoint.Invalid("confirm", "Type %s exactly as shown. Nothing was started.", d.Label())
	}
	mode, err := a.restoreMode(ctx, d, in.Mode)
	if err != nil {
		return safepoint.Operation{}, err
	}
	taken := op.StartedAt
	key, err := a.keyFor(ctx, op, in.Keys)
	if err != nil {
		return safepoint.Operation{}, err
	}
	if r, file, err := a.openBackup(ctx, op, key); err == nil {
		taken = snapshotAt(r.Header())
		file.Close()
	} else if code := safepoint.ErrorCode(err); code == safepoint.CodeArchive || code == safepoint.CodeKey || code == safepoint.CodeConflict {
		return safepoint.Operation{}, err
	}
	queued := safepoint.NewID(safepoint.OperationPrefix)
	a.hold(queued, key) // before a worker can take it
	started, err := a.queueRestore(ctx, by, safepoint.Operation{
		ID: queued, DatabaseID: d.ID, DatabaseName: d.Name, Engine: d.Engine,
		Type: safepoint.TypeRestore, Trigger: safepoint.TriggerManual, Name: op.Name + " restored",
		SourceID: op.ID, SourceName: op.Name, SourceAt: taken, Mode: mode,
	})
	if err != nil {
		a.letGo(queued)
	}
	return started, err
}

// keyFor is the key of an encrypted backup's file, if keys are given; zero otherwise. Keys that are given for a backup
// that is not encrypted are not looked at.
func (a *App) keyFor(ctx context.Context, op safepoint.Operation, keys string) (encrypt.FileKey, error) {
	if len(op.Recipients) == 0 || strings.TrimSpace(keys) == "" {
		return encrypt.FileKey{}, nil
	}
	file, err := a.openStored(ctx, op)
	if err != nil {
		return encrypt.FileKey{}, err
	}
	defer file.Close()
	return a.unlock(ctx, file, op, keys)
}

// StartUndo queues the way back to the database that a restore set aside: within the undo window, once, and only while
// no later restore has taken its place.
func (a *App) StartUndo(ctx context.Context, by safepoint.Actor, restoreID string) (safepoint.Operation, error) {
	if err := a.authorize(ctx, by, admin, "undo"); err != nil {
		return safepoint.Operation{}, err
	}
	restore, err := a.Catalog.Operation(ctx, by.OrganizationID, restoreID)
	if err != nil {
		return safepoint.Operation{}, notHere(err, "restore")
	}
	d, err := a.Catalog.Database(ctx, by.OrganizationID, restore.DatabaseID)
	if err != nil {
		return safepoint.Operation{}, err
	}
	if err := a.undoable(ctx, restore); err != nil {
		return safepoint.Operation{}, err
	}
	return a.queueRestore(ctx, by, safepoint.Operation{
		DatabaseID: d.ID, DatabaseName: d.Name, Engine: d.Engine,
		Type: safepoint.TypeRestore, Trigger: safepoint.TriggerUndo, Name: restore.Name + ", undone",
		SourceID: restore.ID, SourceName: restore.Name, SourceAt: restore.HaltedAt,
	})
}

// undoable says why a restore cannot be undone, nil if it can.
func (a *App) undoable(ctx context.Context, r safepoint.Operation) error {
	hint := "Its safety backup is listed in DB Logs and can be restored like any other."
	switch {
	case r.Type != safepoint.TypeRestore || r.Trigger == safepoint.TriggerUndo:
		return safepoint.Errorf(safepoint.CodeConflict, "Only a restore can be undone.")
	case r.UndoneByID != "":
		return safepoint.Errorf(safepoint.CodeConflict, "This restore was undone already.")
	case !r.Switched:
		return safepoint.Errorf(safepoint.CodeConflict, "This restore changed nothing, so there is nothing to undo.")
	case r.Mode == safepoint.RestoreInPlace:
		return safepoint.Errorf(safepoint.CodeConflict, "This restore was done in place: no earlier database was set aside.").Hinted(hint)
	case !r.Status.Ended() && !r.CanYield():
		return safepoint.Errorf(safepoint.CodeConflict, "This restore has not ended yet.").WithHint("Wait until it has.")
	case !r.UndoUntil.After(a.Now()) && !r.Unguarded():
		return safepoint.Errorf(safepoint.CodeConflict, "The time to undo this restore is over.").Hinted(hint)
	}
	return a.Catalog.RefuseTaken(ctx, r.OrganizationID, r.ID)
}

// queueRestore queues a restore unless a service of the organization is being tested.
func (a *App) queueRestore(ctx context.Context, by safepoint.Actor, op safepoint.Operation) (safepoint.Operation, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := a.refuseTested(by.OrganizationID); err != nil {
		return safepoint.Operation{}, err
	}
	return a.queue(ctx, by, op)
}

// typed compares what was typed with the name shown. Only white space around it is forgiven.
func typed(text, name string) bool { return strings.TrimSpace(text) == strings.TrimSpace(name) }

// age is how long ago t was, 0 for a time that is not known.
func age(now, t time.Time) time.Duration {
	if t.IsZero() || now.Before(t) {
		return 0
	}
	return now.Sub(t)
}
