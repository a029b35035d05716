package app

import (
	"context"
	"errors"
	"maps"
	"strings"
	"sync"
	"time"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/backup"
	"github.com/safepoint-db/safepoint/internal/catalog"
	"github.com/safepoint-db/safepoint/internal/fault"
)

// Operations returns one page of DB Logs, newest first.
func (a *App) Operations(ctx context.Context, by safepoint.Actor, f safepoint.OperationFilter) (safepoint.OperationPage, error) {
	if err := a.authorize(ctx, by, viewer, "log.read"); err != nil {
		return safepoint.OperationPage{}, err
	}
	return a.Catalog.Operations(ctx, by.OrganizationID, f)
}

// Operation returns one row of DB Logs, also of a deleted backup.
func (a *App) Operation(ctx context.Context, by safepoint.Actor, id string) (safepoint.Operation, error) {
	if err := a.authorize(ctx, by, viewer, "log.read"); err != nil {
		return safepoint.Operation{}, err
	}
	return a.Catalog.Operation(ctx, by.OrganizationID, id)
}

// Journal returns what a restore wrote down about its steps, oldest first, without what is for recovery only.
func (a *App) Journal(ctx context.Context, by safepoint.Actor, id string) ([]safepoint.JournalEntry, error) {
	if err := a.authorize(ctx, by, viewer, "log.read"); err != nil {
		return nil, err
	}
	if _, err := a.Catalog.Operation(ctx, by.OrganizationID, id); err != nil {
		return nil, err
	}
	entries, err := a.Catalog.Journal(ctx, id)
	for i := range entries {
		entries[i].State = nil
	}
	return entries, err
}

// Running returns what is queued or runs, oldest first.
func (a *App) Running(ctx context.Context, by safepoint.Actor) ([]safepoint.Operation, error) {
	if err := a.authorize(ctx, by, viewer, "log.read"); err != nil {
		return nil, err
	}
	return a.Catalog.Running(ctx, by.OrganizationID)
}

// StartBackup queues a manual backup. A second one of the same database is refused, naming the first; one asked for
// while a restore runs waits.
func (a *App) StartBackup(ctx context.Context, by safepoint.Actor, databaseID string) (safepoint.Operation, error) {
	if err := a.authorize(ctx, by, admin, "backup"); err != nil {
		return safepoint.Operation{}, err
	}
	d, err := a.Catalog.Database(ctx, by.OrganizationID, databaseID)
	if err != nil {
		return safepoint.Operation{}, err
	}
	return a.queue(ctx, by, safepoint.Operation{
		DatabaseID: d.ID, DatabaseName: d.Name, Engine: d.Engine,
		Type: safepoint.TypeBackup, Trigger: safepoint.TriggerManual,
		Name: backup.FileName(d, a.Now(), safepoint.TriggerManual),
	})
}

// queue stores an operation for the runner.
func (a *App) queue(ctx context.Context, by safepoint.Actor, op safepoint.Operation) (safepoint.Operation, error) {
	op.OrganizationID, op.CreatedBy, op.CreatedByName = by.OrganizationID, by.UserID, by.UserName
	op, err := a.Catalog.CreateOperation(ctx, op, act{action: op.Action(), object: "operation", name: op.Name}.line(by))
	if err != nil {
		return safepoint.Operation{}, err
	}
	fault.Point("queue.stored")
	a.changed(op.OrganizationID, "operation", op.ID)
	a.Wake()
	return op, nil
}

// Cancel cancels what is queued at once, and asks what runs to stop. A restore can be cancelled until its switch.
func (a *App) Cancel(ctx context.Context, by safepoint.Actor, id string) (safepoint.Operation, error) {
	if err := a.authorize(ctx, by, admin, "cancel"); err != nil {
		return safepoint.Operation{}, err
	}
	op, err := a.Catalog.AskCancel(ctx, by.OrganizationID, id)
	if err != nil {
		return safepoint.Operation{}, err
	}
	a.audit(ctx, by, act{action: "cancel", object: "operation", id: op.ID, name: op.Name, outcome: done})
	if op.Status.Ended() {
		a.letGo(op.ID)
	}
	a.changed(op.OrganizationID, "operation", op.ID)
	a.Wake()
	return op, nil
}

// Part is what a request for a file asks of it.
type Part int

const (
	PartWhole   Part = iota // all of it, or its beginning
	PartRest                // a range that does not begin at its beginning
	PartNothing             // only how long it is
)

// PartOf is what an HTTP request asks for: one of several ranges counts as the first of them.
func PartOf(method, ranges string) Part {
	first, _, _ := strings.Cut(strings.TrimPrefix(strings.TrimSpace(ranges), "bytes="), "-")
	switch {
	case method == "HEAD":
		return PartNothing
	case strings.TrimSpace(ranges) == "" || strings.Trim(first, "0 ") == "" && first != "":
		return PartWhole
	}
	return PartRest
}

// OpenDownloadPart opens a backup's file, for an admin who entered the password in the last five minutes: CodeStepUp
// otherwise. Each opening is one line of the audit log; but a program that fetches a file in many ranges makes one: the rest of
// what the same person began to download in the last day makes none.
func (a *App) OpenDownloadPart(ctx context.Context, by safepoint.Actor, id string, part Part) (Download, error) {
	if err := a.authorize(ctx, by, admin, "backup.download"); err != nil {
		return Download{}, err
	}
	op, err := a.keptBackup(ctx, by.OrganizationID, id)
	if err != nil {
		return Download{}, err
	}
	e := act{action: "backup.download", object: "operation", id: op.ID, name: op.Name, outcome: done}
	if err := a.mayDownload(ctx, by, e); err != nil {
		return Download{}, err
	}
	file, err := a.Storage.Open(ctx, op.StorageKey)
	if err != nil {
		e.outcome, e.detail = failed, safepoint.UserError(err).Message
		a.audit(ctx, by, e)
		return Download{}, a.missingFile(ctx, op.ID, err)
	}
	if a.downloads.begins(by.UserID+" "+op.ID, part, a.Now()) {
		a.audit(ctx, by, e)
	}
	return Download{File: file, Name: op.Name, ModTime: op.FinishedAt, SHA256: op.SHA256}, nil
}

// downloads are who began to download what, and when.
type downloads struct {
	mu    sync.Mutex
	begun map[string]time.Time
}

// downloadLife is how long after its beginning the rest of a file may come.
const downloadLife = 24 * time.Hour

// begins says whether a request begins a download, and remembers it. One that nobody remembers begins: a restart of the
// server costs a line more in the audit log, never one less.
func (d *downloads) begins(who string, part Part, now time.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	maps.DeleteFunc(d.begun, func(_ string, at time.Time) bool { return now.Sub(at) > downloadLife })
	if _, known := d.begun[who]; part == PartNothing || part == PartRest && known {
		return false
	}
	if d.begun == nil {
		d.begun = map[string]time.Time{}
	}
	d.begun[who] = now
	return true
}

// mayDownload refuses data to a person whose password was not entered lately, and writes that down as e.
func (a *App) mayDownload(ctx context.Context, by safepoint.Actor, e act) error {
	if err := a.stepUp(ctx, by, e, "download a backup"); err != nil {
		return safepoint.UserError(err).WithHint("A backup holds all data of the database.")
	}
	return nil
}

// keptBackup is a succeeded backup whose file is there.
func (a *App) keptBackup(ctx context.Context, orgID, id string) (safepoint.Operation, error) {
	op, err := a.Catalog.Operation(ctx, orgID, id)
	switch {
	case err != nil:
		return op, notHere(err, "backup")
	case op.Type != safepoint.TypeBackup:
		return op, safepoint.Errorf(safepoint.CodeConflict, "This is a restore, not a backup: it has no file.")
	case op.Status != safepoint.StatusSucceeded:
		return op, safepoint.Errorf(safepoint.CodeConflict, "This backup has not succeeded: it has no file.")
	case !op.DeletedAt.IsZero():
		return op, safepoint.Errorf(safepoint.CodeNotFound, "This backup was deleted.").WithHint("See the audit log.")
	}
	return op, nil
}

// missingFile says of a file that is not there whether it was deleted here: a person's look may be older than that.
func (a *App) missingFile(ctx context.Context, id string, err error) error {
	if safepoint.ErrorCode(err) == safepoint.CodeNotFound {
		if begun, derr := a.Catalog.DeletionBegun(ctx, id); derr == nil && begun {
			return safepoint.Errorf(safepoint.CodeConflict, "This backup is deleted: somebody else asked for that just before.").
				WithHint("Choose another backup. The audit log says who it was.").WithCause(err)
		}
		return safepoint.Errorf(safepoint.CodeArchive, "The file of this backup is not in the storage any more.").
			WithHint("Choose another backup, and find out who removed the file.").WithCause(err)
	}
	return err
}

// PreviewDelete says what deleting a backup would mean. It changes nothing.
func (a *App) PreviewDelete(ctx context.Context, by safepoint.Actor, id string) (DeletePreview, error) {
	if err := a.authorize(ctx, by, admin, "backup.delete"); err != nil {
		return DeletePreview{}, err
	}
	return a.previewDelete(ctx, by.OrganizationID, id)
}

func (a *App) previewDelete(ctx context.Context, orgID, id string) (DeletePreview, error) {
	op, err := a.keptBackup(ctx, orgID, id)
	if err != nil {
		return DeletePreview{}, err
	}
	p := DeletePreview{Backup: op, Confirm: op.DatabaseName}
	if d, err := a.Catalog.Database(ctx, orgID, op.DatabaseID); err == nil {
		p.Confirm = d.Label()
	} else if safepoint.ErrorCode(err) != safepoint.CodeNotFound {
		return p, err
	}
	newest, others, err := a.Catalog.NewestBackup(ctx, orgID, op.DatabaseID, op.ID)
	if err != nil {
		return p, err
	}
	if p.Others = others; newest != nil {
		p.Newest = newest.StartedAt
	}
	p.NeedsTyping = p.Others == 0
	if op.RestoreID != "" {
		restore, err := a.Catalog.Operation(ctx, orgID, op.RestoreID)
		if err != nil && safepoint.ErrorCode(err) != safepoint.CodeNotFound {
			return p, err
		}
		if err == nil && restore.Switched && restore.UndoneByID == "" {
			p.WayBackOf = &restore
		}
	}
	running, err := a.Catalog.Running(ctx, orgID)
	for _, r := range running {
		if r.Type == safepoint.TypeRestore && (r.SourceID == op.ID || r.SafetyID == op.ID || r.ID == op.RestoreID) {
			p.InUseBy = &r
			break
		}
	}
	return p, err
}

// DeleteBackup removes a backup's file for good. The last backup of a database asks for the database's name. One that
// a restore uses is refused. If the file cannot be removed now, housekeeping tries again.
func (a *App) DeleteBackup(ctx context.Context, by safepoint.Actor, id, confirm string) error {
	if err := a.authorize(ctx, by, admin, "backup.delete"); err != nil {
		return err
	}
	p, err := a.previewDelete(ctx, by.OrganizationID, id)
	if err != nil {
		return err
	}
	line := act{action: "backup.delete", object: "operation", id: id, name: p.Backup.Name}.line(by)
	err = a.Catalog.MarkDeleting(ctx, by.OrganizationID, id, typed(confirm, p.Confirm), line)
	if errors.Is(err, catalog.ErrLast) { // also if it was not, a moment ago
		return safepoint.Invalid("confirm", "Type %s exactly as shown. Nothing was deleted.", p.Confirm)
	}
	if err != nil {
		return err
	}
	fault.Point("delete.marked")
	if err := a.deleteFile(context.WithoutCancel(ctx), p.Backup); err != nil {
		a.tidySoon()
		return err
	}
	return nil
}

// deleteFile ends a deletion whose intent is recorded.
func (a *App) deleteFile(ctx context.Context, op safepoint.Operation) error {
	fault.Point("delete.file")
	err := a.Storage.Delete(ctx, op.StorageKey)
	if err == nil {
		_, err = a.Storage.Stat(ctx, op.StorageKey)
		switch {
		case err == nil:
			err = safepoint.Errorf(safepoint.CodeInternal, "The storage still has the file after deleting it.")
		case safepoint.ErrorCode(err) == safepoint.CodeNotFound:
			err = nil
		}
	}
	if err == nil {
		fault.Point("delete.gone")
		err = a.Catalog.MarkDeleted(ctx, op.ID)
	}
	if err != nil {
		// The line in the audit log stays open: housekeeping tries again.
		return safepoint.Errorf(safepoint.CodeUnreachable, "The file could not be removed yet.").
			WithHint("Safepoint tries again by itself. Nobody can restore this backup meanwhile.").WithCause(err)
	}
	fault.Point("delete.recorded")
	a.changed(op.OrganizationID, "operation", op.ID)
	return nil
}
