package catalog

import (
	"path/filepath"
	"testing"

	"github.com/safepoint-db/safepoint"
)

// TestJournalOfBefore: entries that were written before they had a kind get one when the catalog is brought up to date,
// by their sentence and by the services in their state.
func TestJournalOfBefore(t *testing.T) {
	path := filepath.Join(t.TempDir(), "catalog.db")
	c, err := Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	const state = `'{"services":[{"id":"svc_web","name":"web_1% \"x\"","prior":"running","ours":true},{"id":"svc_mail","name":"mail","prior":"halted"}]}'`
	for _, sql := range []string{
		`PRAGMA foreign_keys = OFF`,
		`ALTER TABLE journal DROP COLUMN kind`, `ALTER TABLE journal DROP COLUMN service_id`, `DELETE FROM goose_db_version WHERE version_id = 22`,
		`INSERT INTO journal (operation_id, seq, at, step, event, detail, state) VALUES
			('op_1', 1, 1, 4, 'intent', 'Halted mail.', ` + state + `),
			('op_1', 2, 2, 4, 'note', 'Halted web_1% "x".', CAST(` + state + ` AS BLOB)),
			('op_1', 3, 3, 4, 'note', 'mail was not running; it is left as it is.', ` + state + `),
			('op_1', 4, 4, 4, 'note', 'Halted webX1% "x".', ` + state + `),
			('op_1', 5, 5, 7, 'note', 'The server started again. Looking how far the restore got.', NULL),
			('op_1', 6, 6, 7, 'note', 'Resumed web_1% "x".', ` + state + `),
			('op_1', 7, 7, 7, 'note', 'Resumed web_1% "x".', NULL)`,
	} {
		if _, err := c.db.ExecContext(t.Context(), sql); err != nil {
			t.Fatal(sql, err)
		}
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if c, err = Open(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	entries, err := c.Journal(t.Context(), "op_1")
	if err != nil || len(entries) != 7 {
		t.Fatalf("%d entries, %v", len(entries), err)
	}
	for i, want := range []struct {
		kind    safepoint.JournalKind
		service string
	}{{}, {"halted", "svc_web"}, {"idle", "svc_mail"}, {}, {"recovering", ""}, {"resumed", "svc_web"}, {}} {
		if e := entries[i]; e.Kind != want.kind || e.ServiceID != want.service {
			t.Errorf("entry %d (%s) is %q of %q, want %q of %q", e.Seq, e.Detail, e.Kind, e.ServiceID, want.kind, want.service)
		}
	}
}
