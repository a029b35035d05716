package catalog

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/safepoint-db/safepoint"
)

// TestReaderChangesNothing reads beside a server, and refuses what it would have to change first.
func TestReaderChangesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "catalog.db")
	if _, err := OpenReader(t.Context(), path); safepoint.ErrorCode(err) != safepoint.CodeNotFound {
		t.Errorf("no catalog: %v", err)
	}
	c, err := Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	r, err := OpenReader(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := r.SetSetupCode(t.Context(), "x", time.Now()); err == nil {
		t.Error("a reader wrote")
	}
	if problem, err := r.QuickCheck(t.Context()); problem != "" || err != nil {
		t.Errorf("%s %v", problem, err)
	}
	if _, err := c.db.ExecContext(t.Context(), `INSERT INTO goose_db_version (version_id, is_applied) VALUES (999, 1)`); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenReader(t.Context(), path); safepoint.ErrorCode(err) != safepoint.CodeVersion {
		t.Errorf("a catalog of a newer program: %v", err)
	}
	if _, err := Open(t.Context(), path); safepoint.ErrorCode(err) != safepoint.CodeVersion {
		t.Errorf("a newer program's catalog, opened by a server: %v", err)
	}
}

// TestPulses are those of restores that halt their organization, and move on with each heartbeat.
func TestPulses(t *testing.T) {
	f := newFixture(t)
	claim, err := f.InsertRunning(f.ctx, safepoint.Operation{OrganizationID: "org_a", DatabaseID: "db_1", DatabaseName: "shop", Engine: safepoint.SQLite,
		Type: safepoint.TypeRestore, Trigger: safepoint.TriggerManual, Name: "r"}, "m/one", time.Minute)
	f.ok(err)
	pulses := func() []Pulse {
		t.Helper()
		p, err := f.HaltedPulses(f.ctx)
		f.ok(err)
		return p
	}
	if got := pulses(); len(got) != 0 {
		t.Errorf("nothing is halted: %+v", got)
	}
	f.ok(f.SetHaltedHeld(f.ctx, claim, "org_a", "restoring", time.Time{}))
	first := pulses()
	f.now = f.now.Add(2 * time.Second)
	_, err = f.Beat(f.ctx, claim, safepoint.Progress{}, time.Minute)
	f.ok(err)
	second := pulses()
	if len(first) != 1 || len(second) != 1 || first[0] == second[0] || first[0].OperationID != claim.Operation.ID {
		t.Errorf("%+v, then %+v", first, second)
	}
	_, err = f.Orphans(f.ctx, "m/two", time.Minute)
	f.ok(err)
	if third := pulses(); len(third) != 1 || third[0] == second[0] {
		t.Errorf("who took over shows no sign of life: %+v", third)
	}
}
