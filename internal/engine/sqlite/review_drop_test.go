package sqlite

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/engine"
)

// A set-aside file that somebody made the live one, by letting the connection's link lead to it, is not removed.
func TestWhatIsLiveIsNotDropped(t *testing.T) {
	dir := t.TempDir()
	live := engine.Target{Engine: safepoint.SQLite, Path: filepath.Join(dir, "current")}
	rows(t, filepath.Join(dir, "live.db"), "WAL", "old", 3)
	if err := os.Symlink("live.db", live.Path); err != nil {
		t.Fatal(err)
	}
	_, r := dumpFile(t, live)
	e := &Engine{}
	p := prepared(t, e, live, r)
	if err := switchOnce(t, e, order{Target: live, Plan: p}); err != nil {
		t.Fatal(err)
	}
	aside := engine.AsideName(p.OperationID) + suffix
	if err := os.Remove(live.Path); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(aside, live.Path); err != nil {
		t.Fatal(err)
	}
	if err := e.DropAside(t.Context(), live, p); safepoint.ErrorCode(err) != safepoint.CodeNeedsOperator {
		t.Errorf("drop aside: %v", err)
	}
	if got := query1(t, live.Path, "SELECT count(*) FROM big"); got != "3" {
		t.Errorf("it holds %s rows", got)
	}
}
