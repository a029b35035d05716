package restore

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/archive"
	"github.com/safepoint-db/safepoint/internal/engine"
	"github.com/safepoint-db/safepoint/internal/halt"
)

var (
	oldContent = archive.Fingerprint{`"orders"`: {Rows: 2, Hash: archive.Hash{15: 2}}}
	newContent = archive.Fingerprint{`"orders"`: {Rows: 1, Hash: archive.Hash{15: 1}}}
)

// Nothing is won by waiting between two tries in a model.
func init() { pause = func(context.Context, time.Duration) {} }

// modes are the ways a restore can go about it that every test of all calls takes.
var modes = []safepoint.RestoreMode{safepoint.RestoreGuarded, safepoint.RestoreInstant}

// newWorldOf is newWorld for restores of a mode.
func newWorldOf(m safepoint.RestoreMode) *world {
	w := newWorld()
	w.mode = m
	return w
}

// newWorld has one live database, and three services of which the second was stopped by its owner.
func newWorld() *world {
	w := &world{fates: map[int]fate{}, databases: map[string]*database{}, nextID: 100, safety: map[string]archive.Fingerprint{}}
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
		Operation:    safepoint.Operation{ID: "op_1", DatabaseName: liveName, Status: safepoint.StatusRunning, Type: safepoint.TypeRestore, Mode: w.mode},
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
			w.safety["op_safety"] = w.dumped
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
	for starts := 0; ; starts++ {
		switch {
		case dead:
			w.gates = 0 // its sessions end with it
			if w.row.ID != "" {
				j.Operation = w.row
			}
		case w.gates != 0:
			t.Errorf("a gate is still held: nobody else can ever write to the database")
		}
		switch {
		case !dead && op.Status == safepoint.StatusRunning:
			j.Operation = op // as package jobs does
		case !dead:
			return op
		}
		if starts > 3 {
			t.Fatalf("still not ended after %d starts: %+v", starts, op)
		}
		op, dead = attempt(func() safepoint.Operation { return Recover(context.Background(), j) })
	}
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
	judgeLive(t, w, op)
	if op.Status == safepoint.StatusSucceeded {
		if unguarded := op.Unguarded(); unguarded != (op.SafetyFailure != nil) || unguarded != (op.SafetyID == "") {
			t.Errorf("a safety backup %q, unguarded %v, failure %+v", op.SafetyID, unguarded, op.SafetyFailure)
		} else if !unguarded && !reflect.DeepEqual(w.safety[op.SafetyID], oldContent) {
			t.Errorf("the safety backup %q holds %v", op.SafetyID, w.safety[op.SafetyID])
		}
		if aside := w.databases[engine.AsideName("op_1")]; aside == nil || !reflect.DeepEqual(aside.content, oldContent) {
			t.Errorf("the earlier database was not kept: %v", aside)
		}
	}
	if w.databases[engine.StagingName("op_1")] != nil && !undropped(op) {
		t.Error("staging is left over")
	}
}

// undropped says that a person was asked only to drop the copy. With so little patience a second failure of the drop is
// the last; all else is in order.
func undropped(op safepoint.Operation) bool {
	return op.NeedsOperator && strings.Contains(op.Failure.Message, "could not be dropped")
}

// judgeLive checks what holds of every restore over a live database.
func judgeLive(t *testing.T, w *world, op safepoint.Operation) {
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
	if !op.Status.Ended() || (op.Status == safepoint.StatusSucceeded) != (op.Failure == nil) || op.NeedsOperator && !undropped(op) {
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

// TestEveryCallEveryFate lets each call of a restore fail or crash, before and after its effect, and any two of them: the
// second one often meets the way back from the first.
func TestEveryCallEveryFate(t *testing.T) {
	for _, mode := range modes {
		t.Run(string(mode), func(t *testing.T) {
			everyFate(t, func() *world { return newWorldOf(mode) }, (*world).job, judge)
		})
	}
}

func everyFate(t *testing.T, newWorld func() *world, job func(*world, *testing.T) Job, judge func(*testing.T, *world, safepoint.Operation)) {
	clean := newWorld()
	live(t, clean, job(clean, t))
	hows := []fate{failBefore, failAfter, crashBefore, crashAfter}
	for first := 1; first <= clean.calls; first++ {
		for second := first; second <= clean.calls+20; second++ { // the same call is one fate
			for _, how := range hows {
				for _, then := range hows {
					w := newWorld()
					w.fates[second] = then
					w.fates[first] = how
					op := live(t, w, job(w, t))
					judge(t, w, op)
					if t.Failed() {
						t.Fatalf("call %d %s, call %d %s: ended %s in step %s: %+v\ncalls: %v", first, how, second, then, op.Status, op.Step, op.Failure, w.log)
					}
				}
			}
		}
	}
}

// restoredWorld is a world after a restore, and the job of its undo.
func restoredWorld(t *testing.T) (*world, Job) {
	t.Helper()
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

// TestUndoEveryCallEveryFate does the same to an undo.
func TestUndoEveryCallEveryFate(t *testing.T) {
	clean, j := restoredWorld(t)
	if op := live(t, clean, j); op.Status != safepoint.StatusSucceeded || !op.Switched {
		t.Fatalf("undo: %+v", op)
	}
	for n := 1; n <= clean.calls; n++ {
		for _, how := range []fate{failBefore, failAfter, crashBefore, crashAfter} {
			func() {
				w, j := restoredWorld(t)
				defer func() {
					if t.Failed() {
						t.Fatalf("call %d, %s, %s\ncalls: %v", n, clean.log[n-1], how, w.log)
					}
				}()
				w.fates[n] = how
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
			}()
		}
	}
}

// TestLateSwitch has the server go through with a switch, or a switch back, that was sent before its sender gave up or
// died, only some calls later. Whatever the restore says then is what holds.
func TestLateSwitch(t *testing.T) {
	for i := range 4 * 12 {
		mode, how, delay := modes[i%2], []fate{failLate, crashLate}[i/2%2], i/4
		w := newWorldOf(mode)
		clean := newWorldOf(mode)
		live(t, clean, clean.job(t))
		w.fates[slices.Index(clean.log, "Gate.Switch")+1], w.delay = how, delay
		op := live(t, w, w.job(t))
		judge(t, w, op)
		if t.Failed() {
			t.Fatalf("%s: the switch %s, by %d calls: ended %s: %+v\ncalls: %v", mode, how, delay, op.Status, op.Failure, w.log)
		}
	}
}

// A process that dies on the way back must not hide why the restore failed.
func TestCauseSurvives(t *testing.T) {
	for n := 1; n < 60; n++ {
		w := newWorld()
		j := w.job(t)
		j.Guard = func(context.Context, DumpFunc) (string, error) {
			w.fates[w.calls+n] = crashAfter
			return "", safepoint.Errorf(safepoint.CodeSpace, "No room.")
		}
		op := live(t, w, j)
		judge(t, w, op)
		if op.Failure.Code != safepoint.CodeSpace && n > 2 { // the first two calls write it down
			t.Errorf("crash %d calls after the failure: it is told as %+v", n, op.Failure)
		}
		if w.calls < n {
			break
		}
	}
}

// A cancel that was stored right before the row says "switch" was accepted: the console has said so.
func TestCancelInTheLastMoment(t *testing.T) {
	for _, undo := range []bool{false, true} {
		w := newWorld()
		j := w.job(t)
		if undo {
			live(t, w, j)
			plan, err := PlanOf(w.entries)
			if err != nil {
				t.Fatal(err)
			}
			w.entries, w.row = nil, safepoint.Operation{}
			j = w.job(t)
			j.Operation.ID, j.Undo = "op_2", plan
		}
		w.cancelled = true
		op := live(t, w, j)
		if op.Status != safepoint.StatusCancelled || op.Failure == nil || op.Failure.Code != safepoint.CodeCancelled {
			t.Errorf("undo %v: got %s: %+v", undo, op.Status, op.Failure)
		}
		if w.halted || w.gates != 0 {
			t.Error("left halted")
		}
	}
}

// A server that stops while a service will not resume leaves that to the next start, instead of to a person.
func TestStopWhileResuming(t *testing.T) {
	w := newWorld()
	j := w.job(t)
	j.Patience = time.Minute
	stopping := false
	j.Stopping = func() bool { return stopping }
	j.Services[2].Halter = unwilling{w.services[2], func() { stopping = true }}
	op := Run(t.Context(), j)
	if op.Status != safepoint.StatusRunning || !w.halted || w.gates != 0 {
		t.Fatalf("ended %s, halted %v, gates %d", op.Status, w.halted, w.gates)
	}
	j = w.job(t)
	j.Operation = w.row
	op = Recover(t.Context(), j)
	judge(t, w, op)
	if op.Status != safepoint.StatusSucceeded || len(op.Attention) > 0 {
		t.Errorf("then %s, attention %v", op.Status, op.Attention)
	}
}

// unwilling is a service that does not resume, and tells of each try.
type unwilling struct {
	*service
	asked func()
}

func (u unwilling) Resume(context.Context, halt.Request) error {
	u.asked()
	return errInjected
}

// A process that was overtaken leaves everything to the one that overtook it.
func TestLostDoesNothing(t *testing.T) {
	w := newWorld()
	j := w.job(t)
	lost := false
	j.Lost = func() bool { return lost }
	calls := 0
	j.Guard = func(context.Context, DumpFunc) (string, error) {
		lost, calls = true, w.calls
		return "", errInjected
	}
	if op := Run(t.Context(), j); op.Status != safepoint.StatusRunning || w.calls != calls || w.gates != 0 {
		t.Errorf("ended %s after %d more calls, gates %d", op.Status, w.calls-calls, w.gates)
	}
}

// Nothing is written between two halts of a short one; a process that was overtaken in between, while it stood still,
// halts nothing more all the same: nobody would resume it.
func TestLostBetweenHalts(t *testing.T) {
	w := newWorldOf(safepoint.RestoreInstant)
	j := w.job(t)
	lost := false
	j.Lost = func() bool { return lost }
	j.Ledger = overtaken{w, func() bool {
		lost = lost || slices.Contains(w.log, "Halt web")
		return lost
	}}
	if op := Run(t.Context(), j); op.Status != safepoint.StatusRunning || slices.Contains(w.log, "Halt mail") {
		t.Errorf("ended %s: %v", op.Status, w.log)
	}
}

// overtaken is a ledger that notices, when it is asked, that another process has the operation.
type overtaken struct {
	*world
	by func() bool
}

func (o overtaken) CancelAsked(ctx context.Context) (bool, error) {
	if o.by() {
		return false, safepoint.Errorf(safepoint.CodeConflict, "Another process has taken this operation over.")
	}
	return o.world.CancelAsked(ctx)
}

func (o overtaken) Save(ctx context.Context, op safepoint.Operation) error {
	if o.by() {
		return safepoint.Errorf(safepoint.CodeConflict, "Another process has taken this operation over.")
	}
	return o.world.Save(ctx, op)
}

// Services are not halted for a safety backup that has no room.
func TestNoRoomNoHalt(t *testing.T) {
	w := newWorld()
	j := w.job(t)
	asked := 0
	j.Room = func(context.Context) error {
		if asked++; asked > 1 { // it was filled while staging was loaded
			return safepoint.Errorf(safepoint.CodeSpace, "No room.")
		}
		return nil
	}
	op := live(t, w, j)
	judge(t, w, op)
	if op.Failure == nil || op.Failure.Code != safepoint.CodeSpace || !op.HaltedAt.IsZero() {
		t.Errorf("got %+v, halted at %v", op.Failure, op.HaltedAt)
	}
}

// A database server that does not come back is not waited for in vain: after a while the operation comes back running,
// to be recovered with the settings as they are then, and says why.
func TestServerStaysAway(t *testing.T) {
	w := newWorld()
	j := w.job(t)
	e := &absent{modelEngine: modelEngine{w: w}, away: true}
	j.Engine = e
	j.Guard = func(context.Context, DumpFunc) (string, error) { return "", errInjected }
	op := Run(t.Context(), j)
	if op.Status != safepoint.StatusRunning || !op.NeedsOperator || op.Failure == nil || !w.row.NeedsOperator || !w.halted {
		t.Fatalf("got %+v, row %+v", op, w.row)
	}
	e.away, j.Operation = false, op
	op = Recover(t.Context(), j)
	judge(t, w, op)
}

type absent struct {
	modelEngine
	away bool
}

func (e *absent) Open(ctx context.Context, t engine.Target, p engine.Plan) error {
	if e.away {
		return safepoint.Errorf(safepoint.CodeUnreachable, "away")
	}
	return e.modelEngine.Open(ctx, t, p)
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
		w.databases["moved, too"] = w.databases[engine.StagingName("op_1")]
		delete(w.databases, engine.StagingName("op_1"))
		return id, err
	}
	op := live(t, w, j)
	if !op.NeedsOperator || op.Status != safepoint.StatusFailed || op.Failure.Code != safepoint.CodeNeedsOperator || op.Failure.Hint == "" {
		t.Fatalf("got %+v", op)
	}
	if !reflect.DeepEqual(op.Attention, []string{"web", "mail"}) || !w.halted {
		t.Errorf("attention %v, halted %v: halted services must be named", op.Attention, w.halted)
	}
	if w.gates != 0 {
		t.Error("a gate is still held")
	}
	if len(w.databases) != 3 {
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
