package restore

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"testing"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/archive"
	"github.com/safepoint-db/safepoint/internal/engine"
)

// transaction is one in a live database: what it would make of it, and what became of it.
type transaction struct {
	content archive.Fingerprint
	open    bool
	won     bool
}

var inPlaceFinding = engine.Finding{InPlace: true, Code: safepoint.CodePrivilege, Message: "The user may not create databases.", Hint: "ALTER ROLE."}

func (e modelEngine) NeedsInPlace(context.Context, engine.Target) (*engine.Finding, error) {
	f := inPlaceFinding
	return &f, nil
}

func (e modelEngine) BeginInPlace(_ context.Context, _ engine.Target, p engine.Plan, save func(engine.Plan) error) (engine.InPlace, error) {
	p.Engine = []byte(`"begun"`)
	if err := save(p); err != nil {
		return nil, err
	}
	err := e.w.call("BeginInPlace", func() error {
		e.w.tx = &transaction{open: true, content: e.w.databases[liveName].content}
		return nil
	})
	if err != nil {
		e.w.rollBack()
		return nil, err
	}
	e.w.gates++
	return &modelWithin{e: e, held: true}, nil
}

func (w *world) rollBack() {
	if w.tx != nil {
		w.tx.open = false
	}
}

func (e modelEngine) InPlaceOutcome(_ context.Context, _ engine.Target, p engine.Plan) (at engine.Position, err error) {
	err = e.w.call("InPlaceOutcome", func() error {
		e.w.rollBack() // what is left of it is ended
		at = engine.Before
		if e.w.tx != nil && e.w.tx.won {
			at = engine.After
		}
		if e.w.amnesia {
			at = engine.Unknown
		}
		return nil
	})
	return at, err
}

type modelWithin struct {
	e    modelEngine
	held bool
}

func (m *modelWithin) Dump(_ context.Context, w *archive.Writer, _ engine.DumpOptions) error {
	return m.e.w.call("InPlace.Dump", func() error {
		m.e.w.dumped = m.e.w.databases[liveName].content
		w.SetFingerprint(m.e.w.dumped)
		return nil
	})
}

func (m *modelWithin) Load(_ context.Context, r *archive.Reader, _ engine.LoadOptions) error {
	return m.e.w.call("InPlace.Load", func() error {
		m.e.w.tx.content = r.Fingerprint()
		return nil
	})
}

func (m *modelWithin) Digest(context.Context, engine.Report) (f archive.Fingerprint, err error) {
	err = m.e.w.call("InPlace.Digest", func() error {
		f = m.e.w.tx.content
		return nil
	})
	return f, err
}

func (m *modelWithin) Commit(context.Context) error {
	return m.e.w.call("InPlace.Commit", func() error {
		if !m.e.w.tx.open {
			return errors.New("it was rolled back")
		}
		m.e.w.tx.open, m.e.w.tx.won = false, true
		m.e.w.databases[liveName].content = m.e.w.tx.content
		return nil
	})
}

func (m *modelWithin) Close() error {
	if m.held {
		m.e.w.gates--
		m.e.w.rollBack()
	}
	m.held = false
	return nil
}

func tenantWorld() *world {
	w := newWorld()
	w.findings = []engine.Finding{inPlaceFinding}
	return w
}

// judgeInPlace is judge, and that nothing was made beside the live database or left to be undone.
func judgeInPlace(t *testing.T, w *world, op safepoint.Operation) {
	t.Helper()
	judgeLive(t, w, op)
	if op.Status == safepoint.StatusSucceeded && !reflect.DeepEqual(w.safety[op.SafetyID], oldContent) {
		t.Errorf("the safety backup holds %v", w.safety[op.SafetyID])
	}
	if len(w.databases) != 1 || !op.UndoUntil.IsZero() {
		t.Errorf("something was made beside the live database: %v, to be undone until %v", w.databases, op.UndoUntil)
	}
	if w.tx != nil && w.tx.open {
		t.Error("the transaction is still open")
	}
}

func TestInPlace(t *testing.T) {
	w := tenantWorld()
	op := live(t, w, w.job(t))
	if op.Status != safepoint.StatusSucceeded || op.Mode != safepoint.RestoreInPlace || !op.Switched {
		t.Fatalf("status %s, mode %s: %+v", op.Status, op.Mode, op.Failure)
	}
	judgeInPlace(t, w, op)
	order := []string{"CanRestore", "Halt web", "BeginInPlace", "InPlace.Dump", "InPlace.Load", "InPlace.Digest", "InPlace.Commit", "Resume web"}
	at := -1
	for _, call := range order {
		i := slices.Index(w.log, call)
		if i <= at {
			t.Errorf("%s comes at %d, after %d: %v", call, i, at, w.log)
		}
		at = i
	}
}

// TestInPlaceEveryCallEveryFate lets each call fail or crash, and any two of them.
func TestInPlaceEveryCallEveryFate(t *testing.T) {
	everyFate(t, tenantWorld, (*world).job, judgeInPlace)
}

// TestLateCommit has the server commit only some calls after its sender gave up or died.
func TestLateCommit(t *testing.T) {
	clean := tenantWorld()
	live(t, clean, clean.job(t))
	for _, how := range []fate{failLate, crashLate} {
		for delay := range 12 {
			w := tenantWorld()
			w.fates[slices.Index(clean.log, "InPlace.Commit")+1], w.delay = how, delay
			op := live(t, w, w.job(t))
			judgeInPlace(t, w, op)
			if t.Failed() {
				t.Fatalf("the commit %s, by %d calls: ended %s: %+v\ncalls: %v", how, delay, op.Status, op.Failure, w.log)
			}
		}
	}
}

func TestInPlaceNobodyKnows(t *testing.T) {
	w := tenantWorld()
	w.amnesia = true
	clean := tenantWorld()
	live(t, clean, clean.job(t))
	w.fates[slices.Index(clean.log, "InPlace.Commit")+1] = failAfter
	op := live(t, w, w.job(t))
	if !op.NeedsOperator || op.Failure.Code != safepoint.CodeNeedsOperator || len(op.Attention) != 2 {
		t.Errorf("got %+v", op)
	}
}

func TestInPlaceWhatWasAskedFor(t *testing.T) {
	w := tenantWorld()
	j := w.job(t)
	j.Operation.Mode = safepoint.RestoreInstant
	op := live(t, w, j)
	if op.Status != safepoint.StatusFailed || op.Failure.Code != safepoint.CodePrivilege || !op.HaltedAt.IsZero() {
		t.Errorf("an instant restore where only one in place is possible: %+v", op)
	}
	judgeInPlace(t, w, op)

	w = tenantWorld()
	op = live(t, w, w.foundJob(t))
	if op.Status != safepoint.StatusFailed || op.Failure.Code != safepoint.CodePrivilege {
		t.Errorf("a new database where none may be made: %+v", op)
	}

	w = newWorld()
	j = w.job(t)
	j.Operation.Mode = safepoint.RestoreInPlace
	op = live(t, w, j)
	if op.Status != safepoint.StatusSucceeded || op.Mode != safepoint.RestoreGuarded {
		t.Errorf("the right to make a database was granted meanwhile: %+v", op)
	}
	judge(t, w, op)
}
