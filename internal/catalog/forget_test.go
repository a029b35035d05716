package catalog

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/safepoint-db/safepoint"
)

func TestForgottenKeyIsGone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "catalog.db")
	c, err := Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{Catalog: c, t: t, ctx: t.Context()}
	f.sql(`INSERT INTO organizations (id, name, time_zone, undo_window_ms, created_at) VALUES ('o', 'o', 'UTC', 0, 1)`)
	canary := bytes.Repeat([]byte("CANARY"), 20)
	_, err = c.AddRecipient(t.Context(), safepoint.Recipient{ID: "r", OrganizationID: "o", Name: "n", PublicKey: "age1x"}, canary, Challenge{Sealed: []byte("x")})
	f.ok(err)
	f.ok(c.SetSealedIdentity(t.Context(), "o", "r", nil))
	for _, p := range []string{path, path + "-wal"} {
		b, _ := os.ReadFile(p)
		if bytes.Contains(b, canary) {
			t.Errorf("open: the sealed key is still in %s", filepath.Base(p))
		}
	}
	c.Close()
	b, _ := os.ReadFile(path)
	if bytes.Contains(b, canary) {
		t.Errorf("closed: the sealed key is still in the catalog")
	}
}
