package restore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/archive"
	"github.com/safepoint-db/safepoint/internal/engine"
)

var (
	oldContent = archive.Fingerprint{`"orders"`: {Rows: 2, Hash: "00000000000000000000000000000002"}}
	newContent = archive.Fingerprint{`"orders"`: {Rows: 1, Hash: "00000000000000000000000000000001"}}
)

// newWorld has one live database, and three services of which the second was stopped by its owner.
func newWorld() *world {
	w := &world{databases: map[string]*database{}, nextID: 100, safety: map[string]archive.Fingerprint{}}
	w.databases[liveName] = &database{id: "live", content: oldContent, open: true}
	for _, name := range []string{"web", "reports", "mail"} {
		w.services = append(w.services, &service{name: name, running: name != "reports", w: w})
	}
	return w
}

func (w *world) job(t *testing.T) Job {
	t.Helper()
	var file bytes.Buffer
	aw := archive.NewWriter(&file, archive.Header{Engine: safepoint.SQLite, Database: liveName}, nil)
	aw.SetFingerprint(newContent)
	if _, err := aw.Close(); err != nil {
		t.Fatal(err)
	}
	j := Job{
		Operation:    safepoint.Operation{ID: "op_1", DatabaseName: liveName, Status: safepoint.StatusRunning, Type: safepoint.TypeRestore},
		Organization: safepoint.Organization{ID: "org_1", Name: "Test", UndoWindow: time.Hour},
		Engine:       modelEngine{w: w},
		Ledger:       w,
		Patience:     time.Nanosecond, // a service is tried once, so that every failure shows
		Source: func(context.Context) (*archive.Reader, io.Closer, error) {
			r, err := archive.Open(bytes.NewReader(file.Bytes()), int64(file.Len()), archive.Trust{Unsigned: true})
			return r, io.NopCloser(nil), err
		},
		Guard: func(ctx context.Context, dump DumpFunc) (string, error) {
			if err := dump(ctx, archive.NewWriter(io.Discard, archive.Header{}, nil), engine.DumpOptions{}); err != nil {
				return "", err
			}
			w.safety["op_safety"] = w.databases[liveName].content
			return "op_safety", nil
		},
	}
	for _, s := range w.services {
		j.Services = append(j.Services, Service{ID: "svc_" + s.name, Name: s.name, Halter: s})
	}
	return j
}

// live runs the job until it ended, as often as a new process is needed.
func live(t *testing.T, w *world, j Job) safepoint.Operation {
	t.Helper()
	op, dead := attempt(func() safepoint.Operation { return Run(context.Background(), j) })
	for starts := 0; dead || op.Status == safepoint.StatusRunning; starts++ {
		if starts > 3 {
			t.Fatalf("still not ended after %d starts: %+v", starts, op)
		}
		if w.row.ID != "" {
			j.Operation = w.row
		}
		op, dead = attempt(func() safepoint.Operation { return Recover(context.Background(), j) })
	}
	return op
}

func attempt(f func() safepoint.Operation) (op safepoint.Operation, dead bool) {
	defer func() {
		if p := recover(); p != nil {
			if _, ok := p.(crash); !ok {
				panic(p)
			}
			dead = true
		}
	}()
	return f(), false
}

// judge checks the promises G1 to G5 of docs/operations.md.
func judge(t *testing.T, w *world, op safepoint.Operation) {
	t.Helper()
	db := w.databases[liveName]
	switch {
	case db == nil:
		t.Fatal("nothing holds the live name")
	case op.Status == safepoint.StatusSucceeded && !reflect.DeepEqual(db.content, newContent):
		t.Errorf("succeeded, but the live content is %v", db.content)
	case op.Status != safepoint.StatusSucceeded && !reflect.DeepEqual(db.content, oldContent):
		t.Errorf("%s, but the live content is %v", op.Status, db.content)
	}
	if !op.Status.Ended() || op.Status != safepoint.StatusSucceeded && op.Failure == nil {
		t.Errorf("no end with a reason: %+v", op)
	}
	if !db.open {
		t.Error("the live database is closed")
	}
	if w.halted {
		t.Error("the organization is still halted")
	}
	for _, s := range w.services {
		if s.running != (s.name != "reports") && !contains(op.Attention, s.name) {
			t.Errorf("%s running is %v, and nobody is told (attention %v)", s.name, s.running, op.Attention)
		}
	}
	if op.Status == safepoint.StatusSucceeded {
		if !reflect.DeepEqual(w.safety[op.SafetyID], oldContent) {
			t.Errorf("the safety backup %q holds %v", op.SafetyID, w.safety[op.SafetyID])
		}
		if aside := w.databases[engine.AsideName("op_1")]; aside == nil || !reflect.DeepEqual(aside.content, oldContent) {
			t.Errorf("the earlier database was not kept: %v", aside)
		}
	}
	if w.databases[engine.StagingName("op_1")] != nil {
		t.Error("staging is left over")
	}
}

func contains(names []string, name string) bool {
	for _, n := range names {
		if n == name {
			return true
		}
	}
	return false
}

func TestRestore(t *testing.T) {
	w := newWorld()
	op := live(t, w, w.job(t))
	if op.Status != safepoint.StatusSucceeded {
		t.Fatalf("status %s: %+v", op.Status, op.Failure)
	}
	judge(t, w, op)
	if op.UndoUntil.IsZero() || op.HaltedAt.IsZero() || op.ResumedAt.IsZero() || op.Services != 3 {
		t.Errorf("the row does not tell enough: %+v", op)
	}
}

// TestEveryCallEveryFate lets each call of a restore fail or crash, before and after its effect.
func TestEveryCallEveryFate(t *testing.T) {
	clean := newWorld()
	live(t, clean, clean.job(t))
	for n := 1; n <= clean.calls; n++ {
		for _, how := range []fate{failBefore, failAfter, crashBefore, crashAfter} {
			t.Run(fmt.Sprintf("%02d %s %s", n, clean.log[n-1], how), func(t *testing.T) {
				w := newWorld()
				w.failAt, w.how = n, how
				op := live(t, w, w.job(t))
				judge(t, w, op)
				if t.Failed() {
					t.Logf("ended %s in step %s: %+v\ncalls: %v", op.Status, op.Step, op.Failure, w.log)
				}
			})
		}
	}
}

// TestUndoEveryCallEveryFate does the same to an undo.
func TestUndoEveryCallEveryFate(t *testing.T) {
	restored := func(t *testing.T) (*world, Job) {
		w := newWorld()
		if op := live(t, w, w.job(t)); op.Status != safepoint.StatusSucceeded {
			t.Fatal("the restore failed")
		}
		plan, err := PlanOf(w.entries)
		if err != nil {
			t.Fatal(err)
		}
		w.entries, w.row, w.calls, w.log = nil, safepoint.Operation{}, 0, nil
		j := w.job(t)
		j.Operation.ID, j.Undo = "op_2", plan
		return w, j
	}
	clean, j := restored(t)
	if op := live(t, clean, j); op.Status != safepoint.StatusSucceeded || !op.Switched {
		t.Fatalf("undo: %+v", op)
	}
	for n := 1; n <= clean.calls; n++ {
		for _, how := range []fate{failBefore, failAfter, crashBefore, crashAfter} {
			t.Run(fmt.Sprintf("%02d %s %s", n, clean.log[n-1], how), func(t *testing.T) {
				w, j := restored(t)
				w.failAt, w.how = n, how
				op := live(t, w, j)
				want := newContent
				if op.Status == safepoint.StatusSucceeded {
					want = oldContent
				}
				if got := w.databases[liveName].content; !reflect.DeepEqual(got, want) {
					t.Errorf("%s, and the live content is %v", op.Status, got)
				}
				if len(w.databases) != 2 {
					t.Errorf("one of the two copies is gone: %v", w.databases)
				}
				if w.halted || !w.databases[liveName].open {
					t.Error("left halted or closed")
				}
				for _, s := range w.services {
					if s.running != (s.name != "reports") && !contains(op.Attention, s.name) {
						t.Errorf("%s running is %v", s.name, s.running)
					}
				}
			})
		}
	}
}

func TestMismatchChangesNothing(t *testing.T) {
	w := newWorld()
	j := w.job(t)
	source := j.Source
	first := true
	j.Source = func(ctx context.Context) (*archive.Reader, io.Closer, error) {
		r, c, err := source(ctx)
		if !first && len(w.databases) > 1 {
			w.databases[engine.StagingName("op_1")].content = oldContent // the load went wrong
		}
		first = false
		return r, c, err
	}
	op := live(t, w, j)
	if op.Status != safepoint.StatusFailed || op.Failure.Code != safepoint.CodeMismatch || op.Step != safepoint.StepVerify {
		t.Fatalf("got %s in %s: %+v", op.Status, op.Step, op.Failure)
	}
	judge(t, w, op)
	if !op.HaltedAt.IsZero() {
		t.Error("services were halted for a restore that never got that far")
	}
}

func TestCancelBeforeTheSwitch(t *testing.T) {
	w := newWorld()
	j := w.job(t)
	ctx, cancel := context.WithCancel(context.Background())
	guard := j.Guard
	j.Guard = func(ctx context.Context, dump DumpFunc) (string, error) {
		defer cancel()
		return guard(ctx, dump)
	}
	op := Run(ctx, j)
	if op.Status != safepoint.StatusCancelled || op.Failure.Code != safepoint.CodeCancelled {
		t.Fatalf("got %s: %+v", op.Status, op.Failure)
	}
	judge(t, w, op)
}

func TestUnknownPositionNeedsAPerson(t *testing.T) {
	w := newWorld()
	j := w.job(t)
	guard := j.Guard
	j.Guard = func(ctx context.Context, dump DumpFunc) (string, error) {
		id, err := guard(ctx, dump)
		w.databases[liveName] = &database{id: "somebody else's", content: oldContent}
		w.databases["moved"] = &database{id: "live", content: oldContent}
		return id, err
	}
	op := live(t, w, j)
	if !op.NeedsOperator || op.Status != safepoint.StatusFailed || op.Failure.Code != safepoint.CodeNeedsOperator || op.Failure.Hint == "" {
		t.Fatalf("got %+v", op)
	}
	if !reflect.DeepEqual(op.Attention, []string{"web", "mail"}) || !w.halted {
		t.Errorf("attention %v, halted %v: halted services must be named", op.Attention, w.halted)
	}
	if w.databases[engine.StagingName("op_1")] == nil {
		t.Error("something was dropped although nobody knows what is what")
	}
}

func TestFileLedger(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	l, err := OpenFileLedger(path)
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	want := safepoint.Operation{ID: "op_1", Step: safepoint.StepHalt}
	if err := errors.Join(
		l.Append(ctx, safepoint.JournalEntry{OperationID: "op_1", Event: "intent", State: []byte(`{"gated":true}`)}),
		l.Save(ctx, want), l.Close(),
	); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(`{"entry":{"Ev`); err != nil { // the process died while it wrote
		t.Fatal(err)
	}
	f.Close()
	if l, err = OpenFileLedger(path); err != nil {
		t.Fatal(err)
	}
	entries, _ := l.Entries(ctx)
	rec, err := lastRecord(entries)
	if err != nil || len(entries) != 1 || !rec.Gated || l.Operation().ID != "op_1" || l.Operation().Step != safepoint.StepHalt {
		t.Fatalf("read back %+v, %+v, %v", entries, l.Operation(), err)
	}
	if err := l.Append(ctx, safepoint.JournalEntry{Event: "done"}); err != nil {
		t.Fatal(err)
	}
	l.Close()
	if l, err = OpenFileLedger(path); err != nil {
		t.Fatalf("the cut line was not cut off: %v", err)
	}
	if err := l.Remove(); err != nil {
		t.Fatal(err)
	}
}
