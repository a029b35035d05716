package app

import (
	"context"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/archive"
	"github.com/safepoint-db/safepoint/internal/encrypt"
	"github.com/safepoint-db/safepoint/internal/engine"
	"github.com/safepoint-db/safepoint/internal/foreign"
	"github.com/safepoint-db/safepoint/internal/storage"
)

// PreviewRestore looks at everything a restore of a backup would do, wait for and be stopped by. It changes nothing.
// What stands in the way is a finding, not an error, so that the page can say all of it at once.
func (a *App) PreviewRestore(ctx context.Context, by safepoint.Actor, id string) (RestorePreview, error) {
	if err := a.authorize(ctx, by, admin, "restore"); err != nil {
		return RestorePreview{}, err
	}
	op, d, err := a.restorable(ctx, by.OrganizationID, id)
	if err != nil {
		return RestorePreview{}, err
	}
	p := RestorePreview{Backup: op, Database: d, Confirm: d.Label()}
	if op.Upload == nil {
		p.At = op.StartedAt
	}
	if p.Services, err = a.services(ctx, by.OrganizationID); err != nil {
		return p, err
	}
	if p.Busy, err = a.busy(ctx, by.OrganizationID, d.ID); err != nil {
		return p, err
	}
	if p.Estimates, err = a.estimates(ctx, by.OrganizationID, d.ID); err != nil {
		return p, err
	}
	if p.Space, err = a.Storage.Space(ctx); err != nil {
		a.Log.WarnContext(ctx, "free space of the storage is not known", "error", err)
	}
	if p.SafetySize, err = a.safetySize(ctx, op); err != nil {
		return p, err
	}
	ctx, cancel := context.WithTimeout(ctx, testLimit)
	defer cancel()
	answers := make(chan []ServiceAnswer, 1)
	go func() { answers <- a.askServices(ctx, p.Services) }()
	p.NeedsKey = a.locked(ctx, op)
	l, err := a.look(ctx, op, d, p.NeedsKey)
	p.Answers = <-answers
	p.take(l)
	if p.Busy != nil && p.Busy.Type == safepoint.TypeRestore { // a backup is waited for
		says, err := a.Catalog.UnderWay(ctx, *p.Busy)
		if err != nil {
			return p, err
		}
		blocker := engine.Found(says.WithHint("Wait until it has ended, or cancel it first."))
		blocker.Blocker = true
		p.Findings = append(p.Findings, blocker)
	}
	if err != nil {
		f := a.failure(ctx, "restore cannot start", slow(ctx, testLimit, err, serverOf(d)))
		blocker := engine.Found(f.Failed())
		blocker.Blocker = true
		p.Findings = append(p.Findings, blocker)
	}
	if err := a.previewModes(ctx, &p); err != nil {
		return p, err
	}
	p.Changes = age(a.Now(), p.At)
	p.Ready = !slices.ContainsFunc(p.Findings, func(f engine.Finding) bool { return f.Blocker })
	p.Passed = p.passed(d.Engine, l.backup != nil)
	return p, nil
}

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

// busy is what must end before a restore of a database may start, nil if nothing.
func (a *App) busy(ctx context.Context, orgID, databaseID string) (*safepoint.Operation, error) {
	running, err := a.Catalog.Running(ctx, orgID)
	var first *safepoint.Operation
	for _, op := range running {
		if op.Type == safepoint.TypeRestore {
			return &op, err // which no other waits for
		}
		if first == nil && op.DatabaseID == databaseID {
			first = &op
		}
	}
	return first, err
}

// look opens the backup, asks the engine what stands in the way, and compares what is live with the backup. A backup
// whose key is not here is not opened: then it is asked whether the database answers, and the rest is seen once the key
// was given.
func (a *App) look(ctx context.Context, op safepoint.Operation, d safepoint.Database, locked bool) (l looked, err error) {
	var r *archive.Reader
	l.unknown = safepoint.Errorf(safepoint.CodeUnreachable, "The database could not be asked.")
	if locked {
		l.unknown = safepoint.Errorf(safepoint.CodeKey, "The backup is encrypted, and its key is not here.")
	} else {
		opened, file, err := a.openBackup(ctx, op, encrypt.FileKey{})
		if err != nil {
			l.unknown = safepoint.Errorf(safepoint.CodeArchive, "The backup could not be opened.")
			return l, err
		}
		defer file.Close()
		r, l.backup = opened, contentOf(op.ID, opened)
		l.versions.Backup = r.Header().ServerVersion
		if f, is := foreignFinding(r.Header()); is {
			l.findings = append(l.findings, f)
		}
	}
	e, ok := a.Engine(d.Engine)
	if !ok {
		return l, safepoint.Errorf(safepoint.CodeVersion, "This program cannot work with %s.", d.Engine.Label())
	}
	t, err := a.target(ctx, d)
	if err != nil {
		return l, err
	}
	if l.live, err = e.Inspect(ctx, t); err != nil {
		return l, err
	}
	l.versions.Server, l.versions.Tool = l.live.ServerVersion, l.live.Tool
	if !locked {
		found, err := e.CanRestore(ctx, t, r)
		l.findings = append(l.findings, found...)
		if err != nil {
			return l, err
		}
		l.rows, l.unknown = a.compareRows(ctx, op, l.backup, e, t)
	}
	return l, a.roomForSafety(ctx, op)
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
	return a.estimates(ctx, by.OrganizationID, op.DatabaseID)
}

// estimates is how long each step took in the last restore of the database, and the safety backup in the last backup.
// What is not known is not there.
func (a *App) estimates(ctx context.Context, orgID, databaseID string) (map[safepoint.Step]time.Duration, error) {
	known := map[safepoint.Step]time.Duration{}
	newest, err := a.lastMade(ctx, orgID, databaseID)
	if err != nil {
		return nil, err
	}
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

// locked says whether a backup can only be opened with a key that Safepoint does not keep. A file that cannot be read
// at all is found by whoever opens it.
func (a *App) locked(ctx context.Context, op safepoint.Operation) bool {
	if len(op.Recipients) == 0 {
		return false
	}
	file, err := a.openStored(ctx, op)
	if err != nil {
		return false
	}
	defer file.Close()
	_, err = a.unlock(ctx, file, op, "")
	return safepoint.ErrorCode(err) == safepoint.CodeKey
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
