package enginetest

import (
	"bytes"
	"context"
	"testing"
	"time"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/archive"
	"github.com/safepoint-db/safepoint/internal/engine"
)

func testSwitchRefusesOtherIdentity(t *testing.T, h Harness) {
	r := staged(t, h, "")
	if r.plan.ServerID != "" {
		other := r.plan
		other.ServerID = "1"
		if g, err := h.Engine.Gate(t.Context(), r.live, other, func(engine.Plan) error { return nil }); err == nil {
			g.Close()
			t.Fatal("closed a database of another server")
		}
		if _, err := h.Engine.Probe(t.Context(), r.live, other); err == nil {
			wantPosition(t, h, r.live, other, engine.Unknown)
		}
	}
	// Staging is gone when the switch comes.
	g := r.gate(t)
	if err := h.Engine.DropStaging(t.Context(), r.live, r.plan); err != nil {
		t.Fatal(err)
	}
	wantCode(t, "Switch", g.Switch(t.Context()), safepoint.CodeConflict)
	g.Close()
	r.open(t)
	r.want(t, engine.Before, "new")
}

func testDropsRefuseForeign(t *testing.T, h Harness) {
	r := staged(t, h, "")
	stillThere := func(what string) {
		t.Helper()
		r.want(t, engine.Before, "new")
		wantDigest(t, h, r.staging(), r.archive)
		if t.Failed() {
			t.Fatalf("after %s", what)
		}
	}
	if r.plan.ServerID != "" {
		other := r.plan
		other.ServerID = "1"
		wantCode(t, "DropStaging on another server", h.Engine.DropStaging(t.Context(), r.live, other), safepoint.CodeNeedsOperator)
		wantCode(t, "DropAside on another server", h.Engine.DropAside(t.Context(), r.live, other), safepoint.CodeNeedsOperator)
		stillThere("drops with another server's identity")
	}
	// The live database is never taken for staging.
	swapped := r.plan
	swapped.StagingID = r.plan.LiveID
	wantCode(t, "DropStaging of the live database", h.Engine.DropStaging(t.Context(), r.live, swapped), safepoint.CodeNeedsOperator)
	stillThere("a drop of the live database")

	h.Foreign(t, r.live, r.plan.AsideName)
	wantCode(t, "DropAside of another's database", h.Engine.DropAside(t.Context(), r.live, r.plan), safepoint.CodeNeedsOperator)
	if !h.Exists(t, r.live, r.plan.AsideName) {
		t.Error("another's database was dropped")
	}
	stillThere("a drop of another's database")
	g := r.gate(t)
	if err := g.Switch(t.Context()); err == nil {
		t.Error("switched although the set-aside name was taken")
	}
	g.Close()
	r.open(t)
	stillThere("a switch that could not be")
}

func testDropsAreIdempotent(t *testing.T, h Harness) {
	live := h.New(t, "")
	fill(t, h, live, 3, "new")
	p, err := h.Engine.Prepare(t.Context(), live, safepoint.NewID(safepoint.OperationPrefix))
	if err != nil {
		t.Fatal(err)
	}
	if p.StagingName == "" || p.AsideName == "" || p.LiveID == "" {
		t.Errorf("plan: %+v", p)
	}
	// Nothing was made yet.
	if err := h.Engine.DropStaging(t.Context(), live, p); err != nil {
		t.Errorf("drop staging: %v", err)
	}
	if err := h.Engine.DropAside(t.Context(), live, p); err != nil {
		t.Errorf("drop aside: %v", err)
	}
	if err := h.Engine.Open(t.Context(), live, p); err != nil {
		t.Errorf("open: %v", err)
	}
	wantPosition(t, h, live, p, engine.Before)
	wantVersion(t, h, live, "new")
	var b bytes.Buffer
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := h.Engine.Dump(ctx, live, archive.NewWriter(&b, archive.Header{}, key), engine.DumpOptions{}); err != nil {
		t.Errorf("a backup beside a prepared restore: %v", err)
	}
}
