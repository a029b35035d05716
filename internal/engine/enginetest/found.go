package enginetest

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/engine"
)

// testFound turns staging into a database of its own, beside the live one.
func testFound(t *testing.T, h Harness) {
	f := also[engine.Founder](t, h, "Founder")
	for i, odd := range []string{"", h.Names[0]} {
		r := staged(t, h, odd)
		name := fmt.Sprintf("new %d of %s", i, safepoint.NewID("op"))
		founded := func(want bool) {
			t.Helper()
			got, err := f.Founded(t.Context(), r.live, r.plan, name)
			if err != nil || got != want {
				t.Fatalf("founded is %v (%v), want %v", got, err, want)
			}
		}
		founded(false)
		wantCode(t, "a name that is taken", f.CanFound(t.Context(), r.live, ownName(r.live)), safepoint.CodeConflict)
		wantCode(t, "a name without letters", f.CanFound(t.Context(), r.live, ""), safepoint.CodeInvalid)
		wantCode(t, "over a database that is there", f.Found(t.Context(), r.live, r.plan, ownName(r.live)), safepoint.CodeConflict)
		wantVersion(t, h, r.live, "new")
		founded(false)
		if err := f.CanFound(t.Context(), r.live, name); err != nil {
			t.Fatalf("a free name: %v", err)
		}
		if err := f.Found(t.Context(), r.live, r.plan, name); err != nil {
			t.Fatalf("found: %v", err)
		}
		made := h.Named(t, r.live, name)
		founded(true)
		founded(true)
		wantVersion(t, h, made, "old")
		wantVersion(t, h, r.live, "new")
		exec(t, h, made, "INSERT INTO notes VALUES ('mine')")
		wantCode(t, "found again", f.Found(t.Context(), r.live, r.plan, name), safepoint.CodeConflict)
		if err := h.Engine.DropStaging(t.Context(), r.live, r.plan); err != nil {
			wantCode(t, "drop staging that has a name", err, safepoint.CodeNeedsOperator)
		}
		founded(true)
		wantVersion(t, h, r.live, "new")
		r.wantNothingLeft(t)
		// Another restore finds the name taken, and its own staging as it was.
		again := staged(t, h, "")
		if again.live.Path == "" {
			wantCode(t, "a name that an earlier restore gave", f.Found(t.Context(), again.live, again.plan, name), safepoint.CodeConflict)
		}
		if err := h.Engine.DropStaging(t.Context(), again.live, again.plan); err != nil {
			t.Fatalf("drop staging: %v", err)
		}
		wantCode(t, "staging that was dropped", f.Found(t.Context(), again.live, again.plan, name+"2"), safepoint.CodeConflict)
		again.wantNothingLeft(t)
	}
}

// ownName is the name that the database has on its server, or its file in its folder.
func ownName(t engine.Target) string {
	if t.Path != "" {
		return filepath.Base(t.Path)
	}
	return t.Name
}
