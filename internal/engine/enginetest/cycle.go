package enginetest

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/archive"
	"github.com/safepoint-db/safepoint/internal/engine"
)

// restoring is one restore on its way: the live database says "new", the archive says "old".
type restoring struct {
	h       Harness
	live    engine.Target
	archive *archive.Reader
	plan    engine.Plan
}

// staged brings a restore to the point where staging is loaded and verified.
func staged(t *testing.T, h Harness, name string) *restoring {
	t.Helper()
	r := &restoring{h: h, live: h.New(t, name)}
	fill(t, h, r.live, 300, "old")
	r.archive = dump(t, dumpOf(h, r.live))
	setVersion(t, h, r.live, "new")
	var err error
	if r.plan, err = h.Engine.Prepare(t.Context(), r.live, safepoint.NewID(safepoint.OperationPrefix)); err != nil {
		t.Fatalf("prepare: %v", err)
	}
	r.stage(t)
	return r
}

func (r *restoring) stage(t *testing.T) {
	t.Helper()
	plan, err := r.h.Engine.Stage(t.Context(), r.live, r.plan, r.archive.Header())
	if err != nil {
		t.Fatalf("stage: %v", err)
	}
	r.plan = throughJournal(t, plan)
	load(t, r.h, r.staging(), r.archive)
	wantDigest(t, r.h, r.staging(), r.archive)
}

func (r *restoring) staging() engine.Target { return r.h.Engine.StagingTarget(r.live, r.plan) }

// gate closes the live database, and keeps the plan that a journal would.
func (r *restoring) gate(t *testing.T) engine.Gate {
	t.Helper()
	g, err := r.h.Engine.Gate(t.Context(), r.live, r.plan, func(p engine.Plan) error { r.plan = throughJournal(t, p); return nil })
	if err != nil {
		t.Fatalf("gate: %v", err)
	}
	return g
}

// switchOver gates, switches, closes and opens.
func (r *restoring) switchOver(t *testing.T) {
	t.Helper()
	g := r.gate(t)
	if err := g.Switch(t.Context()); err != nil {
		t.Fatalf("switch: %v", err)
	}
	if err := g.Close(); err != nil {
		t.Fatalf("close gate: %v", err)
	}
	r.open(t)
}

func (r *restoring) open(t *testing.T) {
	t.Helper()
	for range 2 { // it is idempotent
		if err := r.h.Engine.Open(t.Context(), r.live, r.plan); err != nil {
			t.Fatalf("open: %v", err)
		}
	}
}

func (r *restoring) want(t *testing.T, at engine.Position, version string) {
	t.Helper()
	wantPosition(t, r.h, r.live, r.plan, at)
	wantVersion(t, r.h, r.live, version)
}

// throughJournal is the plan as the next process reads it.
func throughJournal(t *testing.T, p engine.Plan) engine.Plan {
	t.Helper()
	b, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	var again engine.Plan
	if err := json.Unmarshal(b, &again); err != nil {
		t.Fatal(err)
	}
	return again
}

func testCycle(t *testing.T, h Harness)          { cycle(t, h, "") }
func testCycleOfOddName(t *testing.T, h Harness) { cycle(t, h, h.Names[0]) }

func cycle(t *testing.T, h Harness, name string) {
	r := staged(t, h, name)
	r.want(t, engine.Before, "new")

	g := r.gate(t)
	wantPosition(t, h, r.live, r.plan, engine.Before)
	safety := dump(t, g.Dump)
	if err := g.Switch(t.Context()); err != nil {
		t.Fatalf("switch: %v", err)
	}
	if err := g.Close(); err != nil {
		t.Fatalf("close gate: %v", err)
	}
	wantPosition(t, h, r.live, r.plan, engine.After)
	r.open(t)
	r.want(t, engine.After, "old")
	wantDigest(t, h, r.live, r.archive)

	// The safety backup holds what was live.
	copied := h.New(t, "")
	load(t, h, copied, safety)
	wantVersion(t, h, copied, "new")

	// Back, and nothing was lost on either side.
	exec(t, h, r.live, "INSERT INTO notes VALUES ('later')", "DELETE FROM notes WHERE version = 'later'")
	for range 2 {
		if err := h.Engine.SwitchBack(t.Context(), r.live, r.plan); err != nil {
			t.Fatalf("switch back: %v", err)
		}
	}
	r.open(t)
	r.want(t, engine.Before, "new")
	wantDigest(t, h, r.live, safety)
	exec(t, h, r.live, "INSERT INTO notes VALUES ('writable')")

	// What is left is dropped, once and again; the live database stays.
	for range 2 {
		if err := h.Engine.DropAside(t.Context(), r.live, r.plan); err != nil {
			t.Fatalf("drop aside: %v", err)
		}
		if err := h.Engine.DropStaging(t.Context(), r.live, r.plan); err != nil {
			t.Fatalf("drop staging: %v", err)
		}
	}
	r.wantNothingLeft(t)
	wantPosition(t, h, r.live, r.plan, engine.Before)
}

func (r *restoring) wantNothingLeft(t *testing.T) {
	t.Helper()
	left, err := r.h.Engine.Leftovers(t.Context(), r.live)
	if err != nil {
		t.Fatalf("leftovers: %v", err)
	}
	for _, name := range left {
		if name == r.plan.StagingName || name == r.plan.AsideName {
			t.Errorf("%s is left", name)
		}
	}
	for _, name := range []string{r.plan.StagingName, r.plan.AsideName} {
		if r.h.Exists(t, r.live, name) {
			t.Errorf("%s is left", name)
		}
	}
}

// testRestoreOverEmpty is a restore where all was lost.
func testRestoreOverEmpty(t *testing.T, h Harness) {
	r := staged(t, h, "")
	exec(t, h, r.live, "DROP TABLE items", "DROP TABLE notes")
	r.switchOver(t)
	r.want(t, engine.After, "old")
	if err := h.Engine.DropAside(t.Context(), r.live, r.plan); err != nil {
		t.Fatalf("drop aside: %v", err)
	}
	if err := h.Engine.DropAside(t.Context(), r.live, r.plan); err != nil {
		t.Fatalf("drop aside again: %v", err)
	}
	r.want(t, engine.After, "old")
	r.wantNothingLeft(t)
}

func testStageTwice(t *testing.T, h Harness) {
	r := staged(t, h, "")
	before := r.plan.StagingID
	exec(t, h, r.staging(), "CREATE TABLE half_loaded (a integer)")
	r.stage(t) // fails if the first staging were still there: the load wants an empty one
	if r.plan.StagingID == before {
		t.Errorf("staging kept its identity %s", before)
	}
	r.want(t, engine.Before, "new")

	// A crash right after staging was made, before its identity was written down.
	unwritten := r.plan
	unwritten.StagingID = ""
	r.plan = unwritten
	r.stage(t)
	if err := h.Engine.DropStaging(t.Context(), r.live, r.plan); err != nil {
		t.Fatalf("drop staging: %v", err)
	}
	r.wantNothingLeft(t)
}

func testGate(t *testing.T, h Harness) {
	r := staged(t, h, "")
	client := connect(t, h, r.live)
	defer client.Close()
	if err := client.Exec(t.Context(), "INSERT INTO notes VALUES ('before')"); err != nil {
		t.Fatal(err)
	}
	g := r.gate(t)
	if err := client.Exec(t.Context(), "INSERT INTO notes VALUES ('during')"); err == nil {
		t.Error("a session that was open before wrote through the gate")
	}
	if late, err := h.Connect(t.Context(), r.live); err == nil {
		if err := late.Exec(t.Context(), "INSERT INTO notes VALUES ('during')"); err == nil {
			t.Error("a session that came later wrote through the gate")
		}
		late.Close()
	}
	safety := dump(t, g.Dump)
	if err := g.Close(); err != nil {
		t.Fatal(err)
	}
	r.open(t)
	exec(t, h, r.live, "DELETE FROM notes WHERE version = 'before'")
	r.want(t, engine.Before, "new")
	if got := safety.Fingerprint(); got == nil || safety.Summary().Rows != 302 {
		t.Errorf("the safety backup has %+v, not 302 rows: 300 items, 'new' and 'before'", safety.Summary())
	}
}

func testGateNeedsTheJournal(t *testing.T, h Harness) {
	r := staged(t, h, "")
	client := connect(t, h, r.live)
	defer client.Close()
	full := errors.New("the journal's disk is full")
	g, err := h.Engine.Gate(t.Context(), r.live, r.plan, func(engine.Plan) error { return full })
	if err == nil {
		g.Close()
		t.Fatal("closed the database although the journal could not be written")
	}
	if !errors.Is(err, full) {
		t.Errorf("gate: %v, want the journal's own error", err)
	}
	if err := client.Exec(t.Context(), "INSERT INTO notes VALUES ('x')"); err != nil {
		t.Errorf("a client was shut out: %v", err)
	}
}

func testOpenWithoutGate(t *testing.T, h Harness) {
	r := staged(t, h, "")
	client := connect(t, h, r.live)
	defer client.Close()
	r.open(t)
	if err := client.Exec(t.Context(), "UPDATE notes SET version = 'new'"); err != nil {
		t.Errorf("a client was shut out: %v", err)
	}
	r.want(t, engine.Before, "new")
}

// testGateAgainAfterCrash leaves a gate without Open, as a crash does, and comes back.
func testGateAgainAfterCrash(t *testing.T, h Harness) {
	r := staged(t, h, "")
	g := r.gate(t)
	if err := g.Close(); err != nil {
		t.Fatal(err)
	}
	g = r.gate(t)
	safety := dump(t, g.Dump)
	if safety.Summary().Rows != 301 {
		t.Errorf("the safety backup has %+v", safety.Summary())
	}
	if err := g.Close(); err != nil {
		t.Fatal(err)
	}
	r.open(t)
	exec(t, h, r.live, "UPDATE notes SET version = 'new'")
	r.want(t, engine.Before, "new")
}

// testReadersSeeOldOrNew has clients read, and come back whenever they are turned away, across a switch and back.
func testReadersSeeOldOrNew(t *testing.T, h Harness) {
	r := staged(t, h, "")
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	const readers = 4
	seen := make(chan map[string]int, readers)
	began := make(chan struct{}, readers)
	for range readers {
		go func() { seen <- watch(ctx, h, r.live, began) }()
	}
	for range readers {
		select {
		case <-began: // on a slow machine both switches could be over before anybody has read
		case <-time.After(time.Minute):
			t.Fatal("the readers read nothing")
		}
	}
	for range 2 {
		r.switchOver(t)
		r.want(t, engine.After, "old")
		if err := h.Engine.SwitchBack(t.Context(), r.live, r.plan); err != nil {
			t.Fatalf("switch back: %v", err)
		}
		r.open(t)
		r.want(t, engine.Before, "new")
	}
	stop()
	all := map[string]int{}
	for range readers {
		for v, n := range <-seen {
			all[v] += n
		}
	}
	for v := range all {
		if v != "old/old/old" && v != "new/new/new" {
			t.Errorf("a reader saw %q", v)
		}
	}
	if all["new/new/new"] == 0 {
		t.Errorf("readers saw %v", all)
	}
}

// watch counts what it reads until ctx ends, and sends to began once.
func watch(ctx context.Context, h Harness, target engine.Target, began chan<- struct{}) map[string]int {
	seen := map[string]int{}
	var s Session
	for ctx.Err() == nil {
		if s == nil {
			var err error
			if s, err = h.Connect(ctx, target); err != nil {
				s = nil
				continue
			}
		}
		rows, err := s.Query(ctx, versions)
		if err != nil || len(rows) != 1 {
			s.Close()
			s = nil
			continue
		}
		if seen[rows[0]]++; began != nil {
			began <- struct{}{}
			began = nil
		}
	}
	if s != nil {
		s.Close()
	}
	return seen
}
