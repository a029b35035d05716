package app

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/archive"
	"github.com/safepoint-db/safepoint/internal/encrypt"
	"github.com/safepoint-db/safepoint/internal/engine"
	"github.com/safepoint-db/safepoint/internal/engine/sqlite"
)

// encrypted turns encryption on with a key that Safepoint makes, and returns the text of its file.
func (w *world) encrypted(keep bool) (recipientID, identity string) {
	w.t.Helper()
	n, err := w.AddRecipient(w.ctx, w.admin, RecipientInput{Keep: keep})
	w.ok(err)
	_, err = w.ProveRecipient(w.ctx, w.admin, n.ID, Proof{Identity: n.IdentityFile})
	w.ok(err)
	return n.ID, n.IdentityFile
}

// work carries out what is queued first, as the server does, and stores its end.
func (w *world) work() safepoint.Operation {
	w.t.Helper()
	c := w.claim()
	op := w.Work(w.ctx, c, func(safepoint.Progress) {})
	w.ok(w.Catalog.Finish(w.ctx, c, op))
	op, err := w.Catalog.Operation(w.ctx, op.OrganizationID, op.ID)
	w.ok(err)
	return op
}

func (w *world) workBackup(d safepoint.Database) safepoint.Operation {
	w.t.Helper()
	w.pass(time.Second)
	_, err := w.StartBackup(w.ctx, w.admin, d.ID)
	w.ok(err)
	op := w.work()
	if op.Status != safepoint.StatusSucceeded {
		w.t.Fatalf("the backup ended as %s: %+v", op.Status, op.Failure)
	}
	return op
}

// opens says whether a stored file opens with a key, and is whole.
func (w *world) opens(op safepoint.Operation, identity string) error {
	w.t.Helper()
	data, err := os.ReadFile(filepath.Join(w.dir, "backups", op.StorageKey))
	w.ok(err)
	ids, err := encrypt.ParseIdentities(identity)
	w.ok(err)
	in, n, err := encrypt.Open(bytes.NewReader(data), int64(len(data)), ids)
	if err != nil {
		return err
	}
	r, err := archive.Open(in, n, w.trust())
	if err != nil {
		return err
	}
	_, err = r.Verify(w.ctx, nil)
	return err
}

// secretOf is the secret line of an identity file.
func secretOf(identity string) string {
	for line := range strings.Lines(identity) {
		if strings.HasPrefix(line, "AGE-SECRET-KEY-") {
			return strings.TrimSpace(line)
		}
	}
	return "no key"
}

func rows(t *testing.T, d safepoint.Database) (n int) {
	t.Helper()
	db, err := sql.Open("sqlite", d.Path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.QueryRow(`SELECT count(*) FROM orders`).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func (w *world) order(d safepoint.Database) {
	w.t.Helper()
	db, err := sql.Open("sqlite", d.Path)
	w.ok(err)
	defer db.Close()
	_, err = db.Exec(`INSERT INTO orders (what) VALUES ('cake')`)
	w.ok(err)
}

// Nothing is encrypted before the key was proven; everything is after that.
func TestRecoveryKeyIsProvenFirst(t *testing.T) {
	w := newWorld(t)
	d := w.shop("shop")
	n, err := w.AddRecipient(w.ctx, w.admin, RecipientInput{Name: "Safe in the office"})
	w.ok(err)
	if n.Kept || secretOf(n.IdentityFile) == "no key" || !strings.HasPrefix(n.Challenge, "-----BEGIN AGE ENCRYPTED FILE-----") {
		t.Errorf("%+v", n)
	}
	w.audited(w.admin, "Ines Marlow|encryption.recipient.add|Safe in the office|succeeded")
	if again, err := w.Challenge(w.ctx, w.admin, n.ID); err != nil || again != n.Challenge {
		t.Errorf("the challenge changed: %v", err)
	}
	plain := w.workBackup(d)
	if len(plain.Recipients) > 0 || !strings.HasSuffix(plain.Name, ".sql.zst") {
		t.Errorf("encrypted before the key was proven: %+v", plain)
	}
	other, err := encrypt.NewIdentity(false)
	w.ok(err)
	for field, p := range map[string]Proof{"word": {Word: "AAAA-BBBB-CCCC-DDDD"}, "identity": {Identity: other.Secret()}} {
		_, err := w.ProveRecipient(w.ctx, w.admin, n.ID, p)
		w.refused(err, safepoint.CodeInvalid, "")
		if safepoint.UserError(err).Field != field {
			t.Errorf("%s: %v", field, err)
		}
		w.audited(w.admin, "Ines Marlow|encryption.recipient.prove|Safe in the office|failed")
	}
	for _, p := range []Proof{{}, {Identity: n.PublicKey}, {Identity: secretOf(n.IdentityFile)[:50]}} {
		_, err = w.ProveRecipient(w.ctx, w.admin, n.ID, p)
		w.refused(err, safepoint.CodeInvalid, "")
	}

	enc, err := w.ProveRecipient(w.ctx, w.admin, n.ID, Proof{Identity: n.IdentityFile})
	w.ok(err)
	if !enc.On() || len(enc.Active()) != 1 {
		t.Errorf("%+v", enc)
	}
	_, err = w.ProveRecipient(w.ctx, w.admin, n.ID, Proof{Identity: n.IdentityFile})
	w.refused(err, safepoint.CodeConflict, "proven already")
	b := w.workBackup(d)
	if !slices.Equal(b.Recipients, []string{n.PublicKey}) || !strings.HasSuffix(b.Name, ".sql.zst.age") || !strings.HasSuffix(b.StorageKey, b.ID+".sql.zst.age") || b.VerifiedAt.IsZero() {
		t.Errorf("%+v", b)
	}
	w.ok(w.opens(b, n.IdentityFile))
	if err := w.opens(b, other.Secret()); safepoint.ErrorCode(err) != safepoint.CodeKey {
		t.Errorf("another key: %v", err)
	}
	info, err := w.Storage.Stat(w.ctx, b.StorageKey)
	if err != nil || info.Size != b.Size {
		t.Errorf("%d bytes, %d stored: %v", b.Size, info.Size, err)
	}
}

// With a kept key nobody is asked; without it the key is given, once, and is nowhere afterwards.
func TestRestoreEncrypted(t *testing.T) {
	w := newWorld(t)
	var logged bytes.Buffer
	w.Log = slog.New(slog.NewTextHandler(&logged, &slog.HandlerOptions{Level: slog.LevelDebug}))
	d := w.shop("shop")
	id, identity := w.encrypted(true)
	b := w.workBackup(d)
	w.order(d)
	p, err := w.PreviewRestore(w.ctx, w.admin, b.ID)
	if err != nil || p.NeedsKey || !p.Ready {
		t.Fatalf("%+v %v", p, err)
	}
	_, err = w.StartRestore(w.ctx, w.admin, b.ID, RestoreInput{Confirm: "shop"})
	w.ok(err)
	if op := w.work(); op.Status != safepoint.StatusSucceeded || rows(t, d) != 2 {
		t.Fatalf("%s with %d rows: %+v", op.Status, rows(t, d), op.Failure)
	}

	w.ok(w.ForgetKey(w.ctx, w.admin, id))
	w.refused(w.ForgetKey(w.ctx, w.admin, id), safepoint.CodeConflict, "keeps no copy")
	w.order(d)
	p, err = w.PreviewRestore(w.ctx, w.admin, b.ID)
	if err != nil || !p.NeedsKey || !p.Ready {
		t.Fatalf("%+v %v", p, err)
	}
	wrong, err := encrypt.NewIdentity(false)
	w.ok(err)
	_, err = w.StartRestore(w.ctx, w.admin, b.ID, RestoreInput{Confirm: "shop"})
	w.refused(err, safepoint.CodeKey, "its key is not here")
	_, err = w.StartRestore(w.ctx, w.admin, b.ID, RestoreInput{Confirm: "shop", Keys: wrong.Secret()})
	w.refused(err, safepoint.CodeKey, "This key does not open the backup")
	_, err = w.StartRestore(w.ctx, w.admin, b.ID, RestoreInput{Confirm: "shop", Keys: "not a key"})
	w.refused(err, safepoint.CodeInvalid, "no key of age")
	if open, err := w.Running(w.ctx, w.admin); err != nil || len(open) > 0 || rows(t, d) != 3 {
		t.Fatalf("a wrong key started %v, %v", open, err)
	}
	w.pass(time.Second) // the log is in order of time
	_, err = w.StartRestore(w.ctx, w.admin, b.ID, RestoreInput{Confirm: "shop", Keys: identity})
	w.ok(err)
	op := w.work()
	if op.Status != safepoint.StatusSucceeded || rows(t, d) != 2 {
		t.Fatalf("%s with %d rows: %+v", op.Status, rows(t, d), op.Failure)
	}
	safety, err := w.Operation(w.ctx, w.admin, op.SafetyID)
	w.ok(err)
	if len(safety.Recipients) != 1 || !strings.HasSuffix(safety.Name, "_safety.sql.zst.age") {
		t.Errorf("the safety backup is not encrypted: %+v", safety)
	}
	w.ok(w.opens(safety, identity))

	// An undo needs no key.
	_, err = w.StartUndo(w.ctx, w.admin, op.ID)
	w.ok(err)
	if op = w.work(); op.Status != safepoint.StatusSucceeded || rows(t, d) != 3 {
		t.Fatalf("undo: %s with %d rows: %+v", op.Status, rows(t, d), op.Failure)
	}
	w.holds(0)
	w.nowhere(secretOf(identity), logged.String())
}

// holds checks how many keys of files are in memory.
func (w *world) holds(want int) {
	w.t.Helper()
	w.heldMu.Lock()
	defer w.heldMu.Unlock()
	if len(w.held) != want {
		w.t.Errorf("%d keys of files are held, want %d", len(w.held), want)
	}
}

// nowhere checks that a secret is in no table of the catalog, no file of it and no log, also not in part.
func (w *world) nowhere(secret, logged string) {
	w.t.Helper()
	part := strings.ToLower(secret[20:40])
	db, err := sql.Open("sqlite", w.catalogPath())
	w.ok(err)
	defer db.Close()
	names, err := db.Query(`SELECT name FROM sqlite_schema WHERE type = 'table'`)
	w.ok(err)
	defer names.Close()
	tables := 0
	for names.Next() {
		var name string
		w.ok(names.Scan(&name))
		if strings.Contains(strings.ToLower(w.dump(name)), part) {
			w.t.Errorf("the key is in table %s", name)
		}
		tables++
	}
	files, err := filepath.Glob(filepath.Join(w.dir, "catalog.db*"))
	w.ok(err)
	for _, f := range files {
		data, err := os.ReadFile(f)
		w.ok(err)
		if bytes.Contains(bytes.ToLower(data), []byte(part)) {
			w.t.Errorf("the key is in %s", f)
		}
	}
	if strings.Contains(strings.ToLower(logged), part) {
		w.t.Errorf("the key is in the log")
	}
	if tables < 10 || len(files) == 0 {
		w.t.Errorf("looked at %d tables and %d files only", tables, len(files))
	}
}

// A key is in memory for as long as its restore: not after a refusal, not after a cancel, not in another process.
func TestKeyIsHeldForItsRestoreOnly(t *testing.T) {
	w := newWorld(t)
	d := w.shop("shop")
	_, identity := w.encrypted(false)
	b := w.workBackup(d)
	r, err := w.StartRestore(w.ctx, w.admin, b.ID, RestoreInput{Confirm: "shop", Keys: identity})
	w.ok(err)
	w.holds(1)
	_, err = w.StartRestore(w.ctx, w.admin, b.ID, RestoreInput{Confirm: "shop", Keys: identity})
	w.refused(err, safepoint.CodeConflict, "")
	w.holds(1)
	_, err = w.Cancel(w.ctx, w.admin, r.ID)
	w.ok(err)
	w.holds(0)

	// The process that had the key is gone: the restore says so, and nothing has changed.
	_, err = w.StartRestore(w.ctx, w.admin, b.ID, RestoreInput{Confirm: "shop", Keys: identity})
	w.ok(err)
	w.order(d)
	w.App = New(w.Config)
	if op := w.work(); op.Status != safepoint.StatusFailed || op.Step != safepoint.StepCheck || op.Failure.Code != safepoint.CodeKey || op.Failure.Hint == "" || rows(t, d) != 3 {
		t.Errorf("%s in %s: %+v", op.Status, op.Step, op.Failure)
	}
}

// dying is an engine whose process ends when staging has been loaded.
type dying struct{ *sqlite.Engine }

func (e dying) Load(ctx context.Context, t engine.Target, r *archive.Reader, opt engine.LoadOptions) error {
	if err := e.Engine.Load(ctx, t, r, opt); err != nil {
		return err
	}
	runtime.Goexit() // as a kill would: nothing of the restore runs on
	return nil
}

// A restore that died before its switch is taken back without the key.
func TestRecoveryNeedsNoKey(t *testing.T) {
	w := newWorld(t)
	d := w.shop("shop")
	_, identity := w.encrypted(false)
	b := w.workBackup(d)
	w.order(d)
	_, err := w.StartRestore(w.ctx, w.admin, b.ID, RestoreInput{Confirm: "shop", Keys: identity})
	w.ok(err)
	whole := w.Config.Engine
	w.Engine = func(safepoint.Engine) (engine.Engine, bool) { return dying{&sqlite.Engine{}}, true }
	c, died := w.claim(), make(chan bool)
	go func() {
		defer close(died)
		w.Work(w.ctx, c, func(safepoint.Progress) {})
		t.Error("the process lived on")
	}()
	<-died
	entries, err := w.Catalog.Journal(w.ctx, c.Operation.ID)
	w.ok(err)
	if last := entries[len(entries)-1]; last.Step != safepoint.StepStage {
		t.Fatalf("it died in step %s", last.Step)
	}

	w.Config.Engine = whole
	w.App = New(w.Config)
	w.pass(time.Hour)
	claims, err := w.Catalog.Orphans(w.ctx, "test/2", time.Minute)
	if err != nil || len(claims) != 1 {
		t.Fatalf("%d orphans, %v", len(claims), err)
	}
	op := w.Recover(w.ctx, claims[0])
	if op.Status != safepoint.StatusFailed || op.NeedsOperator || op.Failure.Code != safepoint.CodeInterrupted || rows(t, d) != 3 {
		t.Errorf("%s: %+v, %d rows", op.Status, op.Failure, rows(t, d))
	}
	if left, err := filepath.Glob(filepath.Join(filepath.Dir(d.Path), "*staging*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}

// New recipients apply to new backups; old backups stay readable with old keys.
func TestRotation(t *testing.T) {
	w := newWorld(t)
	d := w.shop("shop")
	first, firstKey := w.encrypted(true)
	old := w.workBackup(d)
	own, err := encrypt.NewIdentity(false)
	w.ok(err)
	n, err := w.AddRecipient(w.ctx, w.admin, RecipientInput{Name: "Own", PublicKey: " " + own.Recipient().String() + "\n"})
	w.ok(err)
	if n.IdentityFile != "" || n.PublicKey != own.Recipient().String() {
		t.Errorf("%+v", n)
	}
	if b := w.workBackup(d); len(b.Recipients) != 1 {
		t.Errorf("for an unproven recipient: %v", b.Recipients)
	}
	// The word, as age -d prints it.
	_, ch, err := w.Catalog.Recipient(w.ctx, w.admin.OrganizationID, n.ID)
	w.ok(err)
	in, size, err := encrypt.Open(bytes.NewReader(ch.Sealed), int64(len(ch.Sealed)), []encrypt.Identity{own})
	w.ok(err)
	word, err := io.ReadAll(io.NewSectionReader(in, 0, size))
	w.ok(err)
	_, err = w.ProveRecipient(w.ctx, w.admin, n.ID, Proof{Word: strings.ToLower(string(word))})
	w.ok(err)
	_, err = w.AddRecipient(w.ctx, w.admin, RecipientInput{PublicKey: own.Recipient().String()})
	w.refused(err, safepoint.CodeInvalid, "already")
	both := w.workBackup(d)
	w.ok(w.opens(both, firstKey))
	w.ok(w.opens(both, own.Secret()))

	w.ok(w.RemoveRecipient(w.ctx, w.admin, first))
	w.audited(w.admin, "Ines Marlow|encryption.recipient.remove|Recovery key|succeeded")
	w.refused(w.RemoveRecipient(w.ctx, w.admin, first), safepoint.CodeConflict, "any more")
	w.refused(w.RemoveRecipient(w.ctx, w.admin, n.ID), safepoint.CodeConflict, "at least one recipient")
	newer := w.workBackup(d)
	if err := w.opens(newer, firstKey); safepoint.ErrorCode(err) != safepoint.CodeKey {
		t.Errorf("the removed key opens a new backup: %v", err)
	}
	if p, err := w.PreviewRestore(w.ctx, w.admin, newer.ID); err != nil || !p.NeedsKey {
		t.Errorf("%+v %v", p, err)
	}
	// The old one is restored with the key that is still kept.
	_, err = w.StartRestore(w.ctx, w.admin, old.ID, RestoreInput{Confirm: "shop"})
	w.ok(err)
	if op := w.work(); op.Status != safepoint.StatusSucceeded {
		t.Errorf("%s: %+v", op.Status, op.Failure)
	}

	_, err = w.SetEncryption(w.ctx, w.admin, false, "Ours")
	w.refused(err, safepoint.CodeInvalid, "stays on")
	enc, err := w.SetEncryption(w.ctx, w.admin, false, "ours")
	if err != nil || enc.On() {
		t.Fatalf("%+v %v", enc, err)
	}
	w.audited(w.admin, "Ines Marlow|encryption.off|ours|succeeded")
	if b := w.workBackup(d); len(b.Recipients) > 0 {
		t.Errorf("encrypted though it is off: %+v", b)
	}
	enc, err = w.SetEncryption(w.ctx, w.admin, true, "")
	if err != nil || !enc.On() || len(enc.Active()) != 1 {
		t.Fatalf("%+v %v", enc, err)
	}
	if b := w.workBackup(d); !slices.Equal(b.Recipients, []string{own.Recipient().String()}) {
		t.Errorf("%v", b.Recipients)
	}
}

func TestEncryptionIsForAdminsWithAPassword(t *testing.T) {
	w := newWorld(t)
	_, err := w.SetEncryption(w.ctx, w.admin, true, "")
	w.refused(err, safepoint.CodeConflict, "at least one recipient")
	id, _ := w.encrypted(true)
	pq, err := encrypt.NewIdentity(true)
	w.ok(err)
	_, err = w.AddRecipient(w.ctx, w.admin, RecipientInput{PublicKey: pq.Recipient().String()})
	w.refused(err, safepoint.CodeInvalid, "same file")
	_, err = w.AddRecipient(w.ctx, w.admin, RecipientInput{PublicKey: pq.Secret()})
	w.refused(err, safepoint.CodeInvalid, "secret key")
	if safepoint.UserError(err).Field != "public_key" || strings.Contains(fmt.Sprintf("%+v %v", err, err), pq.Secret()[:40]) {
		t.Errorf("%+v", err)
	}

	w.pass(stepUpLife + time.Second)
	_, err = w.AddRecipient(w.ctx, w.admin, RecipientInput{})
	w.refused(err, safepoint.CodeStepUp, "add a recipient")
	w.audited(w.admin, "Ines Marlow|encryption.recipient.add||denied")
	w.refused(w.RemoveRecipient(w.ctx, w.admin, id), safepoint.CodeStepUp, "remove a recipient")
	w.refused(w.ForgetKey(w.ctx, w.admin, id), safepoint.CodeStepUp, "forget a key")
	_, err = w.SetEncryption(w.ctx, w.admin, false, "ours")
	w.refused(err, safepoint.CodeStepUp, "turn encryption off")
	w.audited(w.admin, "Ines Marlow|encryption.off||denied")
	if enc, err := w.Encryption(w.ctx, w.viewer); err != nil || !enc.On() || !enc.Recipients[0].Kept {
		t.Errorf("%+v %v", enc, err)
	}
}

// A file that was altered in the storage is refused before anything is touched, with the key there.
func TestAlteredEncryptedBackup(t *testing.T) {
	w := newWorld(t)
	d := w.shop("shop")
	w.encrypted(true)
	b := w.workBackup(d)
	path := filepath.Join(w.dir, "backups", b.StorageKey)
	good, err := os.ReadFile(path)
	w.ok(err)
	w.ok(os.Chmod(path, 0o600))
	for name, change := range map[string]func([]byte) []byte{
		"cut":      func(f []byte) []byte { return f[:len(f)-1] },
		"extended": func(f []byte) []byte { return append(f, 0) },
		"flipped":  func(f []byte) []byte { f[len(f)-100] ^= 1; return f },
	} {
		w.ok(os.WriteFile(path, change(bytes.Clone(good)), 0o600))
		_, err := w.StartRestore(w.ctx, w.admin, b.ID, RestoreInput{Confirm: "shop"})
		w.refused(err, safepoint.CodeArchive, "")
		if p, err := w.PreviewRestore(w.ctx, w.admin, b.ID); err != nil || p.Ready || p.NeedsKey {
			t.Errorf("%s: %+v %v", name, p, err)
		}
	}
	// Forged for the same recipient, which is public, by somebody without our signing key.
	var forged bytes.Buffer
	to, err := encrypt.ParseRecipients(b.Recipients)
	w.ok(err)
	ew, err := encrypt.NewWriter(&forged, to)
	w.ok(err)
	aw := archive.NewWriter(ew, archive.Header{Engine: safepoint.SQLite, OrganizationID: b.OrganizationID, DatabaseID: b.DatabaseID, OperationID: b.ID}, nil)
	_, err = aw.Close()
	w.ok(err)
	w.ok(ew.Close())
	w.ok(os.WriteFile(path, forged.Bytes(), 0o600))
	w.sql(`UPDATE operations SET size = $1 WHERE id = $2`, forged.Len(), b.ID)
	_, err = w.StartRestore(w.ctx, w.admin, b.ID, RestoreInput{Confirm: "shop"})
	w.refused(err, safepoint.CodeArchive, "not signed")
}
