package sqlite

import (
	"path/filepath"
	"testing"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/engine"
)

// TestCountsWhatPeopleMade: the tables that SQLite keeps for itself are carried, and not counted.
func TestCountsWhatPeopleMade(t *testing.T) {
	path := filepath.Join(t.TempDir(), "shop.db")
	c, err := openFile(t.Context(), path, create, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	if err := c.exec(`CREATE TABLE a(id INTEGER PRIMARY KEY AUTOINCREMENT, v); INSERT INTO a(v) VALUES('x'),('y');
		CREATE INDEX a_v ON a(v); CREATE TABLE b(x); ANALYZE;`); err != nil {
		t.Fatal(err)
	}
	at := engine.Target{Engine: safepoint.SQLite, Path: path}
	_, r := dumpFile(t, at)
	if sum := r.Summary(); sum.Tables != 2 || sum.Rows != 2 {
		t.Errorf("the backup counts %d tables and %d rows, want 2 and 2", sum.Tables, sum.Rows)
	}
	if len(r.Fingerprint()) != 4 {
		t.Errorf("the fingerprint is of %v, want sqlite_sequence and sqlite_stat1 too", r.Fingerprint())
	}
	if tables, rows := r.Fingerprint().Count(); tables != 2 || rows != 2 { // as a restore counts what it verified
		t.Errorf("a fingerprint counts %d tables and %d rows, want 2 and 2", tables, rows)
	}
	var last engine.Progress
	if _, err := (&Engine{}).Digest(t.Context(), at, func(p engine.Progress) { last = p }); err != nil {
		t.Fatal(err)
	}
	if last.Tables != 2 || last.TablesOf != 2 {
		t.Errorf("progress ends with %d of %d tables", last.Tables, last.TablesOf)
	}
}
