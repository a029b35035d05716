package app

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/archive"
	"github.com/safepoint-db/safepoint/internal/engine"
)

func TestBackup(t *testing.T) {
	w := newWorld(t)
	d := w.shop("shop")
	queued, err := w.StartBackup(w.ctx, w.admin, d.ID)
	w.ok(err)
	if queued.Status != safepoint.StatusQueued || queued.Name != "shop_2026-11-22_140000-utc.sql.zst" || queued.CreatedByName != "Ines Marlow" {
		t.Errorf("got %+v", queued)
	}
	w.audited(w.admin, "Ines Marlow|backup|shop_2026-11-22_140000-utc.sql.zst|")
	_, err = w.StartBackup(w.ctx, w.admin, d.ID)
	w.refused(err, safepoint.CodeConflict, "Ines Marlow asked for a backup of shop at 15:00 CET")
	op, err := w.Cancel(w.ctx, w.admin, queued.ID)
	w.ok(err)
	if op.Status != safepoint.StatusCancelled {
		t.Errorf("got %+v", op)
	}
	if got := w.lines(w.admin, 2); got[1] != "Ines Marlow|backup|shop_2026-11-22_140000-utc.sql.zst|cancelled" {
		t.Errorf("audit log says %q", got)
	}
	b := w.backup(d)
	w.audited(w.admin, "Ines Marlow|backup|"+b.Name+"|succeeded")
	if _, err := w.Cancel(w.ctx, w.admin, b.ID); safepoint.ErrorCode(err) != safepoint.CodeConflict {
		t.Errorf("cancelled what has ended: %v", err)
	}
}

func TestDownload(t *testing.T) {
	w := newWorld(t)
	b := w.backup(w.shop("shop"))
	session, by := w.session("Ines Marlow", "192.0.2.1")
	get := func() {
		t.Helper()
		f, err := w.OpenDownloadPart(w.ctx, by, b.ID, PartWhole)
		w.ok(err)
		defer f.Close()
		data, err := io.ReadAll(io.NewSectionReader(f, 0, f.Size()))
		w.ok(err)
		if int64(len(data)) != b.Size || f.Name != b.Name || f.SHA256 != b.SHA256 || f.ModTime.IsZero() {
			t.Errorf("got %d bytes of %+v", len(data), f)
		}
		w.audited(w.admin, "Ines Marlow|backup.download|"+b.Name+"|succeeded")
	}
	get()
	w.pass(stepUpLife + time.Second)
	_, err := w.OpenDownloadPart(w.ctx, by, b.ID, PartWhole)
	w.refused(err, safepoint.CodeStepUp, "password again")
	w.audited(w.admin, "Ines Marlow|backup.download|"+b.Name+"|denied")
	w.refused(w.Reenter(w.ctx, by, session, "wrong"), safepoint.CodeInvalid, "not your password")
	w.ok(w.Reenter(w.ctx, by, session, password))
	by, err = w.Session(w.ctx, session, "192.0.2.1")
	w.ok(err)
	get()

	// A token just made by signing in may; an old one may not.
	_, _, secret, err := w.Login(w.ctx, by.Email, password, "", "", "192.0.2.1")
	w.ok(err)
	by, err = w.TokenActor(w.ctx, secret, "", "")
	w.ok(err)
	get()
	w.pass(stepUpLife + time.Second)
	_, err = w.OpenDownloadPart(w.ctx, by, b.ID, PartWhole)
	w.refused(err, safepoint.CodeStepUp, "password again")

	_, by = w.session("Ines Marlow", "192.0.2.1")
	w.ok(w.Storage.Delete(w.ctx, b.StorageKey))
	_, err = w.OpenDownloadPart(w.ctx, by, b.ID, PartWhole)
	w.refused(err, safepoint.CodeArchive, "not in the storage any more")
	w.audited(w.admin, "Ines Marlow|backup.download|"+b.Name+"|failed")
}

func TestDelete(t *testing.T) {
	w := newWorld(t)
	d := w.shop("shop")
	first := w.backup(d)
	w.pass(time.Hour)
	second := w.backup(d)
	p, err := w.PreviewDelete(w.ctx, w.admin, first.ID)
	w.ok(err)
	if p.Others != 1 || !p.Newest.Equal(second.StartedAt) || p.NeedsTyping || p.InUseBy != nil || p.WayBackOf != nil {
		t.Errorf("got %+v", p)
	}
	w.ok(w.DeleteBackup(w.ctx, w.admin, first.ID, ""))
	w.audited(w.admin, "Ines Marlow|backup.delete|"+first.Name+"|succeeded")
	if _, err := w.Storage.Stat(w.ctx, first.StorageKey); safepoint.ErrorCode(err) != safepoint.CodeNotFound {
		t.Errorf("the file is still there: %v", err)
	}
	w.refused(w.DeleteBackup(w.ctx, w.admin, first.ID, ""), safepoint.CodeNotFound, "was deleted")
	_, err = w.StartRestore(w.ctx, w.admin, first.ID, RestoreInput{Confirm: "shop"})
	w.refused(err, safepoint.CodeNotFound, "was deleted")

	p, err = w.PreviewDelete(w.ctx, w.admin, second.ID)
	w.ok(err)
	if !p.NeedsTyping || p.Confirm != "shop" || p.Others != 0 {
		t.Errorf("got %+v", p)
	}
	w.refused(w.DeleteBackup(w.ctx, w.admin, second.ID, "Shop"), safepoint.CodeInvalid, "Type shop exactly as shown. Nothing was deleted.")

	r, err := w.StartRestore(w.ctx, w.admin, second.ID, RestoreInput{Confirm: "shop"})
	w.ok(err)
	if p, err = w.PreviewDelete(w.ctx, w.admin, second.ID); err != nil || p.InUseBy == nil || p.InUseBy.ID != r.ID {
		t.Errorf("got %+v, %v", p, err)
	}
	w.refused(w.DeleteBackup(w.ctx, w.admin, second.ID, "shop"), safepoint.CodeConflict, "This backup is in use.")
	_, err = w.Cancel(w.ctx, w.admin, r.ID)
	w.ok(err)
	w.ok(w.DeleteBackup(w.ctx, w.admin, second.ID, "shop"))
	if _, err := w.PreviewDelete(w.ctx, w.admin, r.ID); safepoint.ErrorCode(err) != safepoint.CodeConflict {
		t.Errorf("a restore has a file to delete: %v", err)
	}
}

func TestPreviewRestore(t *testing.T) {
	w := newWorld(t)
	front := newStorefront(t)
	d := w.shop("shop")
	svc, _, err := w.CreateService(w.ctx, w.admin, hooks("web", front.URL))
	w.ok(err)
	b := w.backup(d)
	w.pass(17 * time.Hour)
	p, err := w.PreviewRestore(w.ctx, w.admin, b.ID)
	w.ok(err)
	if !p.Ready || p.Confirm != "shop" || p.Changes < 16*time.Hour || p.Changes > 17*time.Hour || p.Busy != nil || p.Space.Free == 0 ||
		len(p.Services) != 1 || p.Services[0].ID != svc.ID {
		t.Errorf("got %+v", p)
	}
	if calls := front.calls(); calls != "" {
		t.Errorf("a preview called %s", calls)
	}
	if _, known := p.Estimates[safepoint.StepGuard]; !known || len(p.Estimates) != 1 {
		t.Errorf("estimates %v", p.Estimates)
	}

	// A restore that ran before says how long each step takes.
	r, err := w.StartRestore(w.ctx, w.admin, b.ID, RestoreInput{Confirm: "shop"})
	w.ok(err)
	c := w.claim()
	for _, e := range []safepoint.JournalEntry{{Step: safepoint.StepCheck, Event: "intent"}, {Step: safepoint.StepCheck, Event: "done"}, {Step: safepoint.StepStage, Event: "intent"}} {
		e.OperationID = r.ID
		w.ok(w.Catalog.AppendHeld(w.ctx, c, e))
		w.pass(3 * time.Second)
	}
	w.finish(c, c.Operation, safepoint.StatusSucceeded)
	if p, err = w.PreviewRestore(w.ctx, w.admin, b.ID); err != nil || p.Estimates[safepoint.StepCheck] != 3*time.Second {
		t.Errorf("estimates %v, %v", p.Estimates, err)
	}
	if j, err := w.Journal(w.ctx, w.viewer, r.ID); err != nil || len(j) != 3 {
		t.Errorf("got %+v, %v", j, err)
	}

	running, err := w.StartBackup(w.ctx, w.admin, d.ID)
	w.ok(err)
	if p, err = w.PreviewRestore(w.ctx, w.admin, b.ID); err != nil || p.Busy == nil || p.Busy.ID != running.ID || !p.Ready {
		t.Errorf("got %+v, ready %v, %v", p.Busy, p.Ready, err)
	}
	// The restore waits for the backup; of another restore the preview says what the start will.
	waiting, err := w.StartRestore(w.ctx, w.admin, b.ID, RestoreInput{Confirm: "shop"})
	w.ok(err)
	if p, err = w.PreviewRestore(w.ctx, w.admin, b.ID); err != nil || p.Busy == nil || p.Busy.ID != waiting.ID || p.Ready || !blocked(p.Findings) {
		t.Errorf("got %+v, ready %v, %v", p.Busy, p.Ready, err)
	}
	_, err = w.StartRestore(w.ctx, w.admin, b.ID, RestoreInput{Confirm: "shop"})
	w.refused(err, safepoint.CodeConflict, "a restore of shop")
	if first := w.claim(); first.Operation.ID != running.ID {
		t.Errorf("%s runs first, not the backup", first.Operation.Name)
	}
	for _, op := range []safepoint.Operation{waiting, running} {
		_, err = w.Cancel(w.ctx, w.admin, op.ID)
		w.ok(err)
	}

	w.ok(os.Remove(d.Path))
	p, err = w.PreviewRestore(w.ctx, w.admin, b.ID)
	w.ok(err)
	if p.Ready || !blocked(p.Findings) {
		t.Errorf("without the live file: %+v", p)
	}
}

func blocked(fs []engine.Finding) bool {
	for _, f := range fs {
		if f.Blocker && f.Message != "" {
			return true
		}
	}
	return false
}

// TestBadFilesAreNotRestored puts what is not the backup in its place: nothing of it is offered or started.
func TestBadFilesAreNotRestored(t *testing.T) {
	w := newWorld(t)
	d := w.shop("shop")
	b := w.backup(d)
	w.pass(time.Minute)
	other := w.backup(d)
	path := filepath.Join(w.dir, "backups", b.StorageKey)
	good, err := os.ReadFile(path)
	w.ok(err)
	swapped, err := os.ReadFile(filepath.Join(w.dir, "backups", other.StorageKey))
	w.ok(err)
	flipped := bytes.Clone(good)
	flipped[len(flipped)-40] ^= 1
	var unsigned bytes.Buffer
	aw := archive.NewWriter(&unsigned, archive.Header{Engine: safepoint.SQLite, OperationID: b.ID, OrganizationID: b.OrganizationID}, nil)
	_, err = aw.Close()
	w.ok(err)
	for name, data := range map[string][]byte{
		"empty": {}, "truncated": good[:len(good)/2], "extended": append(bytes.Clone(good), 0), "flipped": flipped,
		"another backup": swapped, "unsigned": unsigned.Bytes(),
	} {
		w.ok(os.Chmod(path, 0o600))
		w.ok(os.WriteFile(path, data, 0o600))
		p, err := w.PreviewRestore(w.ctx, w.admin, b.ID)
		w.ok(err)
		if p.Ready || !blocked(p.Findings) || p.Findings[len(p.Findings)-1].Code != safepoint.CodeArchive {
			t.Errorf("%s: %+v", name, p.Findings)
		}
		if _, err := w.StartRestore(w.ctx, w.admin, b.ID, RestoreInput{Confirm: "shop"}); safepoint.ErrorCode(err) != safepoint.CodeArchive {
			t.Errorf("%s: %v", name, err)
		}
	}
	w.ok(os.Remove(path))
	if _, err := w.StartRestore(w.ctx, w.admin, b.ID, RestoreInput{Confirm: "shop"}); safepoint.ErrorCode(err) != safepoint.CodeArchive {
		t.Errorf("missing: %v", err)
	}
	if got, err := w.Running(w.ctx, w.viewer); err != nil || len(got) != 0 {
		t.Errorf("started %+v, %v", got, err)
	}
}

func TestStartRestore(t *testing.T) {
	w := newWorld(t)
	d := w.shop("shop & more")
	b := w.backup(d)
	for _, confirm := range []string{"", "shop", "Shop & more", "shop &amp; more", "shop & more!"} {
		_, err := w.StartRestore(w.ctx, w.admin, b.ID, RestoreInput{Confirm: confirm})
		w.refused(err, safepoint.CodeInvalid, "Type shop & more exactly as shown. Nothing was started.")
	}
	w.pass(time.Hour)
	r, err := w.StartRestore(w.ctx, w.admin, b.ID, RestoreInput{Confirm: " shop & more "})
	w.ok(err)
	if r.Type != safepoint.TypeRestore || r.SourceID != b.ID || r.SourceAt.IsZero() || r.Name != b.Name+" restored" || r.Trigger != safepoint.TriggerManual {
		t.Errorf("got %+v", r)
	}
	w.audited(w.admin, "Ines Marlow|restore|"+r.Name+"|")
	_, err = w.StartRestore(w.ctx, w.admin, b.ID, RestoreInput{Confirm: "shop & more"})
	w.refused(err, safepoint.CodeConflict, "Ines Marlow asked for a restore of shop & more")
	c := w.claim()
	op := c.Operation
	op.Failure = &safepoint.Failure{Code: safepoint.CodeMismatch, Message: "orders has 1 row instead of 2."}
	w.finish(c, op, safepoint.StatusFailed)
	w.audited(w.admin, "Ines Marlow|restore|"+r.Name+"|failed")
	for _, id := range []string{r.ID, w.failedBackup(d).ID} {
		if _, err := w.StartRestore(w.ctx, w.admin, id, RestoreInput{Confirm: "shop & more"}); safepoint.ErrorCode(err) != safepoint.CodeConflict {
			t.Errorf("restored what is no backup: %v", err)
		}
	}
	w.ok(w.RemoveDatabase(w.ctx, w.admin, d.ID))
	_, err = w.StartRestore(w.ctx, w.admin, b.ID, RestoreInput{Confirm: "shop & more"})
	w.refused(err, safepoint.CodeConflict, "was removed from Safepoint")
	if page, err := w.Operations(w.ctx, w.viewer, safepoint.OperationFilter{Type: safepoint.TypeBackup, Status: safepoint.StatusSucceeded}); err != nil || page.Total != 1 {
		t.Errorf("its backups went with it: %+v, %v", page, err)
	}
}

func (w *world) failedBackup(d safepoint.Database) safepoint.Operation {
	w.t.Helper()
	_, err := w.StartBackup(w.ctx, w.admin, d.ID)
	w.ok(err)
	c := w.claim()
	return w.finish(c, c.Operation, safepoint.StatusFailed)
}

// restored stores a restore as if it had been carried out and could be undone for a day.
func (w *world) restored(b safepoint.Operation) safepoint.Operation {
	w.t.Helper()
	_, err := w.StartRestore(w.ctx, w.admin, b.ID, RestoreInput{Confirm: b.DatabaseName})
	w.ok(err)
	c := w.claim()
	op := c.Operation
	op.Switched, op.HaltedAt, op.UndoUntil = true, w.Now(), w.Now().Add(24*time.Hour)
	return w.finish(c, op, safepoint.StatusSucceeded)
}

func TestStartUndo(t *testing.T) {
	w := newWorld(t)
	b := w.backup(w.shop("shop"))
	_, err := w.StartUndo(w.ctx, w.admin, b.ID)
	w.refused(err, safepoint.CodeConflict, "Only a restore can be undone.")
	first := w.restored(b)
	w.pass(time.Hour)
	second := w.restored(b)
	_, err = w.StartUndo(w.ctx, w.admin, first.ID)
	w.refused(err, safepoint.CodeConflict, "A later restore")
	undo, err := w.StartUndo(w.ctx, w.admin, second.ID)
	w.ok(err)
	if undo.Trigger != safepoint.TriggerUndo || undo.SourceID != second.ID || !undo.SourceAt.Equal(second.HaltedAt) {
		t.Errorf("got %+v", undo)
	}
	w.audited(w.admin, "Ines Marlow|undo|"+undo.Name+"|")
	_, err = w.StartUndo(w.ctx, w.admin, second.ID)
	w.refused(err, safepoint.CodeConflict, "undo of a restore of shop")
	c := w.claim()
	op := c.Operation
	op.Switched = true
	undo = w.finish(c, op, safepoint.StatusSucceeded)
	_, err = w.StartUndo(w.ctx, w.admin, second.ID)
	w.refused(err, safepoint.CodeConflict, "undone already")
	_, err = w.StartUndo(w.ctx, w.admin, undo.ID)
	w.refused(err, safepoint.CodeConflict, "Only a restore")
	// With the later one undone, the earlier one is the last again.
	w.pass(23*time.Hour + 1)
	_, err = w.StartUndo(w.ctx, w.admin, first.ID)
	w.refused(err, safepoint.CodeConflict, "The time to undo this restore is over.")
	w.pass(-2 * time.Minute)
	_, err = w.StartUndo(w.ctx, w.admin, first.ID)
	w.ok(err)
}

func TestSafetyBackupIsTheWayBack(t *testing.T) {
	w := newWorld(t)
	d := w.shop("shop")
	r := w.restored(w.backup(d))
	safety := w.backup(d)
	w.sql(`UPDATE operations SET triggered_by = 'safety', restore_id = $1 WHERE id = $2`, r.ID, safety.ID)
	p, err := w.PreviewDelete(w.ctx, w.admin, safety.ID)
	w.ok(err)
	if p.WayBackOf == nil || p.WayBackOf.ID != r.ID {
		t.Errorf("got %+v", p)
	}
}

func TestErrorsOfOthersAreNotShown(t *testing.T) {
	w := newWorld(t)
	f := w.failure(w.ctx, "x", errors.New("dial tcp 10.0.0.1: secret detail"))
	if f.Code != safepoint.CodeInternal || strings.Contains(f.Message+f.Hint, "secret") {
		t.Errorf("got %+v", f)
	}
}
