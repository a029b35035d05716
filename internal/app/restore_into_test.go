package app

import (
	"database/sql"
	"os"
	"path/filepath"
	"testing"

	"github.com/safepoint-db/safepoint"
)

func TestRestoreInto(t *testing.T) {
	w := newWorld(t)
	front := newStorefront(t)
	d := w.shop("shop")
	_, _, err := w.CreateService(w.ctx, w.admin, hooks("web", front.URL))
	w.ok(err)
	b := w.backup(d)
	folder := filepath.Dir(d.Path)
	w.sqlite(d.Path, "CREATE TABLE later (x)")

	for name, part := range map[string]string{"": "Enter a name", "shop.db": "already", "../x.db": "no folder", "safepoint_x": "for a while"} {
		_, err := w.StartRestoreInto(w.ctx, w.admin, b.ID, NewDatabase{Name: name})
		w.refused(err, safepoint.CodeInvalid, part)
	}
	_, err = w.StartRestoreInto(w.ctx, w.admin, b.ID, NewDatabase{Name: "copy.db", Tables: []string{"nothing"}})
	w.refused(err, safepoint.CodeNotFound, `fits "nothing"`)

	for name, in := range map[string]NewDatabase{"all": {Name: "copy.db"}, "chosen": {Name: "orders.db", Tables: []string{"ord*"}}} {
		op, err := w.StartRestoreInto(w.ctx, w.admin, b.ID, in)
		w.ok(err)
		c := w.claim()
		if c.Operation.NewName != in.Name || len(c.Operation.Only) != len(in.Tables) {
			t.Errorf("%s: stored as %+v", name, c.Operation)
		}
		op = w.Work(w.ctx, c, func(safepoint.Progress) {})
		if op.Status != safepoint.StatusSucceeded || op.Switched || op.SafetyID != "" || !op.UndoUntil.IsZero() {
			t.Fatalf("%s: %+v: %+v", name, op, op.Failure)
		}
		w.ok(w.Catalog.Finish(w.ctx, c, op))
		if n := w.sqlite(filepath.Join(folder, in.Name), "SELECT count(*) FROM orders"); n != 2 {
			t.Errorf("%s: %d orders in the new database", name, n)
		}
		w.audited(w.admin, "Ines Marlow|restore|"+op.Name+"|succeeded")
		_, err = w.StartUndo(w.ctx, w.admin, op.ID)
		w.refused(err, safepoint.CodeConflict, "changed nothing")
	}
	if calls := front.calls(); calls != "" {
		t.Errorf("services were called: %s", calls)
	}
	w.sqlite(d.Path, "SELECT x FROM later")

	// The name is taken between the question and the last step.
	_, err = w.StartRestoreInto(w.ctx, w.admin, b.ID, NewDatabase{Name: "late.db"})
	w.ok(err)
	w.ok(os.WriteFile(filepath.Join(folder, "late.db"), []byte("mine"), 0o600))
	c := w.claim()
	op := w.Work(w.ctx, c, func(safepoint.Progress) {})
	if op.Status != safepoint.StatusFailed || op.Failure.Code != safepoint.CodeConflict {
		t.Errorf("over a file that was there: %+v %+v", op.Status, op.Failure)
	}
	entries, err := os.ReadDir(folder)
	w.ok(err)
	for _, e := range entries {
		switch e.Name() {
		case "shop.db", "copy.db", "orders.db", "late.db":
		default:
			t.Errorf("%s is left", e.Name())
		}
	}
}

// sqlite runs one statement in a file and returns the first number it answers, 0 if it answers none.
func (w *world) sqlite(path, statement string) (n int) {
	w.t.Helper()
	db, err := sql.Open("sqlite", path)
	w.ok(err)
	defer db.Close()
	rows, err := db.Query(statement)
	w.ok(err)
	defer rows.Close()
	if rows.Next() {
		w.ok(rows.Scan(&n))
	}
	w.ok(rows.Err())
	return n
}
