package e2e

import (
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/api/wire"
	"github.com/safepoint-db/safepoint/internal/encrypt"
	"github.com/safepoint-db/safepoint/internal/pgtest"
	"github.com/safepoint-db/safepoint/internal/server"
)

// identity makes a key and a file that holds it.
func identity(t *testing.T) (encrypt.Identity, string) {
	t.Helper()
	id := must(encrypt.NewIdentity(false))(t)
	path := filepath.Join(t.TempDir(), "recovery.key")
	if err := os.WriteFile(path, []byte(id.File(time.Now())), 0o600); err != nil {
		t.Fatal(err)
	}
	return id, path
}

// TestEncryptedPostgres lives with encrypted backups on PostgreSQL, in write-only mode: standard programs restore them,
// so do we with the key given once, and afterwards neither the key nor a row is anywhere that the server left.
func TestEncryptedPostgres(t *testing.T) {
	t.Parallel()
	age, zstd := tool(t, "age"), tool(t, "zstd")
	c := pgtest.Shared(t)
	b := start(t, server.Config{}, "")
	b.openTill()
	const row = "canary-row-4471 of the orders"
	s := b.addPostgres(c, nil, ordersPostgres+`; INSERT INTO orders VALUES (0, '`+row+`')`)
	watch := watchProcesses(t)
	id, keyFile := identity(t)
	wrong, _ := identity(t)

	n := must(b.api.AddRecipient(t.Context(), wire.RecipientInput{Name: "Harbor office", PublicKey: id.Recipient().String()}))(t)
	_, err := b.api.ProveRecipient(t.Context(), n.ID, wire.ProofInput{Identity: wrong.Secret()})
	wantRefusal(t, err, safepoint.CodeInvalid, "This is not the key")
	if e := must(b.api.ProveRecipient(t.Context(), n.ID, wire.ProofInput{Identity: id.Secret()}))(t); !e.On {
		t.Fatalf("encryption is off: %+v", e)
	}
	op := s.backup()
	want := s.digest()
	if len(op.Recipients) != 1 || op.VerifiedAt.IsZero() {
		t.Errorf("%+v", op)
	}

	file := b.download(op)
	copied := pgtest.Create(t, c)
	plain := filepath.Join(t.TempDir(), "plain.sql.zst")
	run(t, exec.CommandContext(t.Context(), age, "-d", "-i", keyFile, "-o", plain, file))
	pipe(t, exec.CommandContext(t.Context(), zstd, "-dc", plain),
		c.Tool(t.Context(), "psql", copied.Name, "-X", "-q", "-v", "ON_ERROR_STOP=1", "-o", os.DevNull))
	if err := want.Compare(must(s.engine.Digest(t.Context(), copied, nil))(t)); err != nil {
		t.Errorf("age | zstd | psql: %v", err)
	}

	pgtest.Exec(t, s.target, "DELETE FROM orders WHERE id % 2 = 1")
	changed := s.digest()
	if p := must(b.api.PreviewRestore(t.Context(), op.ID))(t); !p.NeedsKey || !p.Ready {
		t.Errorf("%+v", p)
	}
	_, err = b.api.StartRestore(t.Context(), op.ID, wire.RestoreInput{Confirm: s.Name})
	wantRefusal(t, err, safepoint.CodeKey, "its key is not here")
	_, err = b.api.StartRestore(t.Context(), op.ID, wire.RestoreInput{Confirm: s.Name, Identity: wrong.Secret()})
	wantRefusal(t, err, safepoint.CodeKey, "This key does not open")
	_, err = b.api.StartRestore(t.Context(), op.ID, wire.RestoreInput{Confirm: s.Name, Identity: id.Secret()[:60]})
	wantRefusal(t, err, safepoint.CodeInvalid, "no key of age")
	web := b.console()
	web.post("/signin", url.Values{"email": {email}, "password": {password}})
	if status, body := web.post("/logs/"+op.ID+"/restore", url.Values{"confirm": {"wrong"}, "identity": {id.Secret()}}); status != 422 || strings.Contains(body, id.Secret()) {
		t.Errorf("the console answers %d", status)
	}
	if err := changed.Compare(s.digest()); err != nil {
		t.Fatalf("a refused restore changed something: %v", err)
	}
	restored := s.wait(must(b.api.StartRestore(t.Context(), op.ID, wire.RestoreInput{Confirm: s.Name, Identity: id.Secret()}))(t).ID)
	if restored.Status != "succeeded" {
		t.Fatalf("%+v", restored.Failure)
	}
	if err := want.Compare(s.digest()); err != nil {
		t.Errorf("restored: %v", err)
	}
	if safety := must(b.api.Operation(t.Context(), restored.SafetyID))(t); len(safety.Recipients) != 1 {
		t.Errorf("the safety backup is not encrypted: %+v", safety)
	}
	if undone := s.wait(must(b.api.StartUndo(t.Context(), restored.ID))(t).ID); undone.Status != "succeeded" {
		t.Errorf("%+v", undone.Failure)
	}
	if err := changed.Compare(s.digest()); err != nil {
		t.Errorf("undone: %v", err)
	}
	watch.stop()
	b.must(b.stop())

	key := append(spellings(id.Secret()), strings.ToLower(id.Secret()), id.Secret()[20:60])
	for where, text := range map[string]string{"the log": b.log.String(), "an answer": b.seen.String(), "a process": watch.text()} {
		for _, form := range key {
			if strings.Contains(text, form) {
				t.Errorf("the key is in %s", where)
			}
		}
	}
	b.searchFiles("the key", key)
	b.searchFiles("a row", []string{row, row[:12]})
}
