package sqlite

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/engine"
)

// A set-aside file that has both names, because a crash came between them, is put back by doing it again.
func TestPutBackAgain(t *testing.T) {
	dir := t.TempDir()
	e, target := &Engine{}, engine.Target{Engine: safepoint.SQLite, Path: filepath.Join(dir, "shop.db")}
	aside := filepath.Join(dir, engine.AsideName("op_x")+suffix)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.WriteFile(aside, nil, 0o600))
	id, err := identity(aside)
	must(err)
	must(os.WriteFile(filepath.Join(dir, ".safepoint_op_x.json"), fmt.Appendf(nil, `{"operation_id":"op_x","aside_id":%q,"state":"switched"}`, id), 0o600))
	survey, err := e.Survey(t.Context(), target)
	must(err)
	if len(survey.Leftovers) != 1 || !survey.Leftovers[0].Marked {
		t.Fatalf("%+v", survey.Leftovers)
	}
	found := survey.Leftovers[0]

	must(os.WriteFile(target.Path, nil, 0o600))
	err = e.PutBack(t.Context(), target, found)
	if hint := safepoint.UserError(err).Hint; safepoint.ErrorCode(err) != safepoint.CodeConflict || strings.Contains(hint, "another name") {
		t.Errorf("over another file: %v, %q", err, hint)
	}
	must(os.Remove(target.Path))

	must(os.Link(aside, target.Path)) // as far as it came
	must(e.PutBack(t.Context(), target, found))
	if now, err := identity(target.Path); err != nil || now != id {
		t.Errorf("live is %s, %v", now, err)
	}
	if _, err := os.Lstat(aside); !os.IsNotExist(err) {
		t.Errorf("the set-aside name: %v", err)
	}
}
