package enginetest

import (
	"context"
	"errors"
	"testing"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/archive"
	"github.com/safepoint-db/safepoint/internal/engine"
)

// poise readies a switch, and keeps the plan that a journal would.
func (r *restoring) poise(t *testing.T) engine.Poised {
	t.Helper()
	p, err := r.h.Engine.(engine.InstantSwitcher).Poise(t.Context(), r.live, r.plan, func(p engine.Plan) error { r.plan = throughJournal(t, p); return nil })
	if err != nil {
		t.Fatalf("poise: %v", err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

// testInstant switches without a gate, and makes the safety backup of what was set aside.
func testInstant(t *testing.T, h Harness) {
	e := also[engine.InstantSwitcher](t, h, "InstantSwitcher")
	for _, odd := range []string{"", h.Names[0]} {
		r := staged(t, h, odd)
		client, err := h.Connect(t.Context(), r.live)
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		if _, err := e.Poise(t.Context(), r.live, r.plan, func(engine.Plan) error { return errors.New("the journal is full") }); err == nil {
			t.Fatal("poised, although the journal was not written")
		}
		p := r.poise(t)
		r.want(t, engine.Before, "new")
		// Nobody is kept out, and what is written now is not lost.
		if err := client.Exec(t.Context(), "UPDATE items SET version = 'late'"); err != nil {
			t.Fatalf("a client is disturbed before the switch: %v", err)
		}
		exec(t, h, r.live, "UPDATE notes SET version = 'late'")
		nowhere := archive.NewWriter(discard{}, archive.Header{}, nil)
		wantCode(t, "dump aside before the switch", e.DumpAside(t.Context(), r.live, r.plan, nowhere, engine.DumpOptions{}), safepoint.CodeConflict)
		if err := p.Switch(t.Context()); err != nil {
			t.Fatalf("switch: %v", err)
		}
		r.want(t, engine.After, "old") // open to all at once
		exec(t, h, r.live, "INSERT INTO notes VALUES ('writable')", "DELETE FROM notes WHERE version = 'writable'")
		wantCode(t, "switch again", p.Switch(t.Context()), safepoint.CodeConflict)
		if err := p.Close(); err != nil {
			t.Fatalf("close: %v", err)
		}
		r.open(t)
		r.want(t, engine.After, "old")
		wantDigest(t, h, r.live, r.archive)

		var safety *archive.Reader
		for range 2 { // a crash may have come after the first
			safety = dump(t, func(ctx context.Context, w *archive.Writer, opt engine.DumpOptions) error {
				return e.DumpAside(ctx, r.live, r.plan, w, opt)
			})
		}
		if got, want := safety.Header().Database, r.archive.Header().Database; got != want {
			t.Errorf("the safety backup is of %q, want %q", got, want)
		}
		copied := h.New(t, "")
		load(t, h, copied, safety)
		wantVersion(t, h, copied, "late")

		for range 2 {
			if err := h.Engine.SwitchBack(t.Context(), r.live, r.plan); err != nil {
				t.Fatalf("switch back: %v", err)
			}
		}
		r.open(t)
		r.want(t, engine.Before, "late")
		wantCode(t, "dump aside after the way back", e.DumpAside(t.Context(), r.live, r.plan, nowhere, engine.DumpOptions{}), safepoint.CodeConflict)
		if err := errors.Join(h.Engine.DropAside(t.Context(), r.live, r.plan), h.Engine.DropStaging(t.Context(), r.live, r.plan)); err != nil {
			t.Fatalf("drop: %v", err)
		}
		r.wantNothingLeft(t)
	}
}

// testInstantRefusesOtherIdentity lets another restore take the name while a switch is poised.
func testInstantRefusesOtherIdentity(t *testing.T, h Harness) {
	also[engine.InstantSwitcher](t, h, "InstantSwitcher")
	r := staged(t, h, "")
	p := r.poise(t)
	if err := h.Engine.DropStaging(t.Context(), r.live, r.plan); err != nil {
		t.Fatalf("drop staging: %v", err)
	}
	wantCode(t, "switch to what is gone", p.Switch(t.Context()), safepoint.CodeConflict)
	r.want(t, engine.Before, "new")
	exec(t, h, r.live, "INSERT INTO notes VALUES ('writable')")
	p.Close()
	r.wantNothingLeft(t)
}

// testRenamedBeforeTheSwitch has somebody rename the live database between the last look at it and the switch, and give
// its name to another: the switch is refused, and everybody can know that it did not take place.
func testRenamedBeforeTheSwitch(t *testing.T, h Harness) {
	r := staged(t, h, "")
	p := r.poise(t)
	h.Vacate(t, r.live)
	wantCode(t, "switch of what was renamed", p.Switch(t.Context()), safepoint.CodeConflict, safepoint.CodeName)
	p.Close()
	r.open(t)
	wantPosition(t, h, r.live, r.plan, engine.BeforeAstray)
	h.Replace(t, r.live)
	wantPosition(t, h, r.live, r.plan, engine.BeforeAstray)
	r.open(t)
	if err := h.Engine.DropStaging(t.Context(), r.live, r.plan); err != nil {
		t.Errorf("drop staging: %v", err)
	}
	if _, err := h.Engine.Inspect(t.Context(), r.live); err != nil {
		t.Errorf("what has the name by now was dropped: %v", err)
	}
}

// testRenamedAfterTheSwitch has somebody rename the restored database while it is live: there is no way back, and
// everybody can know that the switch took place.
func testRenamedAfterTheSwitch(t *testing.T, h Harness) {
	r := staged(t, h, "")
	r.switchOver(t)
	h.Vacate(t, r.live)
	wantPosition(t, h, r.live, r.plan, engine.AfterAstray)
	wantCode(t, "switch back what was renamed", h.Engine.SwitchBack(t.Context(), r.live, r.plan), safepoint.CodeConflict)
	wantPosition(t, h, r.live, r.plan, engine.AfterAstray)
	r.open(t)
	if !h.Exists(t, r.live, r.plan.AsideName) {
		t.Error("the set-aside database is gone")
	}
}

// discard is a file that nobody reads.
type discard struct{}

func (discard) Write(b []byte) (int, error) { return len(b), nil }
