package enginetest

import (
	"slices"
	"testing"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/engine"
)

// testSurvey finds what a restore left from the server alone, and drops nothing but what carries the mark.
func testSurvey(t *testing.T, h Harness) {
	s := also[engine.Surveyor](t, h, "Surveyor")
	r := staged(t, h, "")
	staging, found := leftover(t, s, r, engine.RoleStaging)
	if !found || !staging.Marked || staging.ID != r.plan.StagingID || staging.Shut || staging.Interrupted {
		t.Fatalf("staging is not found as it was made: %+v", staging)
	}
	wantNoDiscard(t, s, r, staging)
	wantDigest(t, h, r.staging(), r.archive)

	// After a switch staging is live and cannot be discarded; what was live can be put back once the name is free.
	r.switchOver(t)
	if _, found := leftover(t, s, r, engine.RoleStaging); found {
		t.Error("the restored database is still taken for staging")
	}
	if err := s.Discard(t.Context(), r.live, staging); err != nil {
		wantCode(t, "discard what is live now", err, safepoint.CodeNeedsOperator)
	}
	r.want(t, engine.After, "old")
	aside, found := leftover(t, s, r, engine.RoleAside)
	if !found || !aside.Marked {
		t.Fatalf("the set-aside database is not found: %+v", aside)
	}
	wantCode(t, "discard the set-aside database", s.Discard(t.Context(), r.live, aside), safepoint.CodeNeedsOperator)
	wantCode(t, "put back over a database", s.PutBack(t.Context(), r.live, aside), safepoint.CodeConflict)
	if h.Vacate != nil {
		testPutBack(t, h, s, r, aside)
	}
	testDiscard(t, h, s)
}

// leftover is what a survey finds of a restore in a role.
func leftover(t *testing.T, s engine.Surveyor, r *restoring, role engine.Role) (engine.Leftover, bool) {
	t.Helper()
	got, err := s.Survey(t.Context(), r.live)
	if err != nil {
		t.Fatalf("survey: %v", err)
	}
	if got.LiveID == "" {
		t.Error("the live database has no identity")
	}
	i := slices.IndexFunc(got.Leftovers, func(l engine.Leftover) bool {
		return l.OperationID == r.plan.OperationID && l.Role == role
	})
	if i < 0 {
		return engine.Leftover{}, false
	}
	return got.Leftovers[i], true
}

// wantNoDiscard drops nothing on a name alone, nor with another identity, role or mark.
func wantNoDiscard(t *testing.T, s engine.Surveyor, r *restoring, staging engine.Leftover) {
	t.Helper()
	for what, change := range map[string]func(*engine.Leftover){
		"without a mark":       func(l *engine.Leftover) { l.Marked = false },
		"another identity":     func(l *engine.Leftover) { l.ID = r.plan.LiveID },
		"another operation":    func(l *engine.Leftover) { l.OperationID = "op_another" },
		"a set-aside database": func(l *engine.Leftover) { l.Role = engine.RoleAside },
		"no identity":          func(l *engine.Leftover) { l.ID = "" },
	} {
		other := staging
		change(&other)
		wantCode(t, "discard "+what, s.Discard(t.Context(), r.live, other), safepoint.CodeNeedsOperator)
	}
}

// testPutBack gives what was set aside its name again, once that is free.
func testPutBack(t *testing.T, h Harness, s engine.Surveyor, r *restoring, aside engine.Leftover) {
	h.Vacate(t, r.live)
	unmarked := aside
	unmarked.Marked = false
	wantCode(t, "put back without a mark", s.PutBack(t.Context(), r.live, unmarked), safepoint.CodeNeedsOperator)
	if err := s.PutBack(t.Context(), r.live, aside); err != nil {
		t.Fatalf("put back: %v", err)
	}
	wantVersion(t, h, r.live, "new")
	if _, found := leftover(t, s, r, engine.RoleAside); found {
		t.Error("the set-aside database is there twice")
	}
}

// testDiscard drops staging that a dead restore left, and only it.
func testDiscard(t *testing.T, h Harness, s engine.Surveyor) {
	left := staged(t, h, "")
	got, err := s.Survey(t.Context(), left.live)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range got.Leftovers {
		if l.OperationID != left.plan.OperationID || l.Role == engine.RoleAside {
			continue
		}
		if err := s.Discard(t.Context(), left.live, l); err != nil {
			t.Errorf("discard %s: %v", l.Name, err)
		}
		if err := s.Discard(t.Context(), left.live, l); err != nil {
			t.Errorf("discard %s again: %v", l.Name, err)
		}
	}
	left.wantNothingLeft(t)
	wantVersion(t, h, left.live, "new")
}
