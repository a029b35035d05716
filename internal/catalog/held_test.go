package catalog

import (
	"testing"
	"time"

	"github.com/safepoint-db/safepoint"
)

// TestOvertaken lets a process write about an operation only while it is its own: neither before another one took it
// over does anything get lost, nor after does anything change.
func TestOvertaken(t *testing.T) {
	f := newFixture(t)
	first, err := f.InsertRunning(f.ctx, safepoint.Operation{OrganizationID: "org_a", DatabaseID: "db_1", DatabaseName: "shop", Engine: safepoint.SQLite,
		Type: safepoint.TypeRestore, Trigger: safepoint.TriggerManual, Name: "r"}, "m/one", time.Minute)
	f.ok(err)
	id := first.Operation.ID
	f.ok(f.AppendHeld(f.ctx, first, safepoint.JournalEntry{OperationID: id, Event: "intent", Detail: "halt"}))
	f.ok(f.SetHaltedHeld(f.ctx, first, "org_a", "restoring", time.Time{}))
	f.ok(f.Holds(f.ctx, first))

	claims, err := f.Orphans(f.ctx, "m/two", time.Minute)
	f.ok(err)
	if len(claims) != 1 || claims[0].Fence <= first.Fence {
		t.Fatalf("%+v", claims)
	}
	second := claims[0]
	f.refused(f.Holds(f.ctx, first), safepoint.CodeConflict, "taken")
	f.refused(f.AppendHeld(f.ctx, first, safepoint.JournalEntry{OperationID: id, Event: "intent", Detail: "switch"}), safepoint.CodeConflict, "taken")
	f.refused(f.ClearHaltedHeld(f.ctx, first, "org_a"), safepoint.CodeConflict, "taken")
	if s, err := f.State(f.ctx, "org_a"); err != nil || s.State != safepoint.StateHalted {
		t.Errorf("%+v %v", s, err)
	}
	f.ok(f.AppendHeld(f.ctx, second, safepoint.JournalEntry{OperationID: id, Event: "note", Detail: "looking"}))
	f.ok(f.ClearHaltedHeld(f.ctx, second, "org_a"))
	end := second.Operation
	end.Status = safepoint.StatusFailed
	f.ok(f.Finish(f.ctx, second, end))
	f.refused(f.SetHaltedHeld(f.ctx, second, "org_a", "again", time.Time{}), safepoint.CodeConflict, "taken") // it has ended
	entries, err := f.Journal(f.ctx, id)
	f.ok(err)
	if len(entries) != 2 || entries[0].Detail != "halt" || entries[1].Detail != "looking" {
		t.Errorf("%+v", entries)
	}
}
