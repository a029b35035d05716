package server

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/safepoint-db/safepoint"
)

// Root who helps a server that is not root's leaves nothing behind that it cannot open.
func TestActsAsOwnerOnly(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give a folder away")
	}
	dir := t.TempDir()
	if err := os.Chown(dir, 4711, -1); err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	_, rebuilt := Rebuild(ctx, Rebuilding{From: t.TempDir(), DataDir: dir})
	for what, err := range map[string]error{"recover": rebuilt, "doctor": RecoverNow(ctx, Config{DataDir: dir}, ""), "watchdog": Watch(ctx, Config{DataDir: dir}, time.Minute)} {
		if safepoint.ErrorCode(err) != safepoint.CodeInvalid {
			t.Errorf("%s: %v", what, err)
		}
	}
	if made, err := os.ReadDir(dir); err != nil || len(made) > 0 {
		t.Errorf("made %v, %v", made, err)
	}
	if err := asOwner(filepath.Join(dir, "new")); err != nil {
		t.Errorf("a directory that is not there: %v", err)
	}
}
