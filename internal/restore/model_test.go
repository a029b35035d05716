package restore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/archive"
	"github.com/safepoint-db/safepoint/internal/engine"
	"github.com/safepoint-db/safepoint/internal/halt"
)

// world is a small working model of everything a restore touches: a database server, services, a journal, a safety
// storage. Every call into it is counted, and the calls that fates names fail or crash, before or after their effect. It
// stands beside the tests on real servers, not in their place: it can visit every call in every way in a second.
type world struct {
	calls int
	fates map[int]fate // by number of call
	log   []string

	databases map[string]*database // by name
	nextID    int
	services  []*service
	halted    bool
	entries   []safepoint.JournalEntry
	row       safepoint.Operation
	safety    map[string]archive.Fingerprint
	dumped    archive.Fingerprint // by the last dump
	mode      safepoint.RestoreMode
	gates     int // held open by the living process
	delay     int // of what is done late, in calls
	pending   func() error
	due       int  // the call before which pending is done
	cancelled bool // a person asked, and the process has not heard of it
	findings  []engine.Finding
	tx        *transaction // in place
	amnesia   bool         // the server does not know what became of it
	moved     int          // the call before which somebody renames the live database
}

// fate is what happens to the chosen call.
type fate int

const (
	never       fate = iota
	failBefore       // it fails once and did nothing
	failAfter        // it did its work, and its answer is lost
	crashBefore      // the process dies before it
	crashAfter       // the process dies after it
	failLate         // its answer is lost, and it does its work only some calls later
	crashLate        // the process dies, and it does its work only some calls later
)

func (f fate) String() string {
	return [...]string{"never", "fails before", "fails after", "crash before", "crash after", "fails, done later", "crash, done later"}[f]
}

type database struct {
	id      string
	content archive.Fingerprint
	open    bool
	marker  string
}

type service struct {
	name    string
	running bool
	w       *world
}

// crash is panicked through the code under test, as a kill -9 would end it.
type crash struct{ at string }

var errInjected = errors.New("injected failure")

// call counts one call and lets its fate happen around effect.
func (w *world) call(name string, effect func() error) error {
	w.calls++
	w.log = append(w.log, name)
	if w.calls == w.moved {
		w.databases[movedName] = w.databases[liveName]
		delete(w.databases, liveName)
	}
	if w.pending != nil && w.calls > w.due {
		w.pending()
		w.pending = nil
	}
	fate := w.fates[w.calls]
	switch fate {
	case failBefore:
		return errInjected
	case crashBefore:
		panic(crash{name})
	case failLate:
		w.pending, w.due = effect, w.calls+w.delay
		return errInjected
	case crashLate:
		w.pending, w.due = effect, w.calls+w.delay
		panic(crash{name})
	}
	err := effect()
	switch fate {
	case failAfter:
		return errors.Join(errInjected, err)
	case crashAfter:
		panic(crash{name})
	}
	return err
}

// modelEngine is the server side of a world behind the engine contract.
type modelEngine struct {
	engine.Engine // methods a restore never calls
	w             *world
}

const (
	liveName  = "shop"
	movedName = "shop, renamed by hand"
)

// named is a live database, or the error that a server answers with where there is none.
func (w *world) named(name string) (*database, error) {
	if d := w.databases[name]; d != nil {
		return d, nil
	}
	return nil, safepoint.Errorf(safepoint.CodeConflict, "There is no database %s any more.", name)
}

func (e modelEngine) CanRestore(context.Context, engine.Target, *archive.Reader) ([]engine.Finding, error) {
	return e.w.findings, e.w.call("CanRestore", func() error { return nil })
}

func (e modelEngine) Prepare(_ context.Context, _ engine.Target, id string) (p engine.Plan, err error) {
	err = e.w.call("Prepare", func() error {
		d, err := e.w.named(liveName)
		if err != nil {
			return err
		}
		p = engine.Plan{OperationID: id, LiveID: d.id, StagingName: engine.StagingName(id), AsideName: engine.AsideName(id)}
		return nil
	})
	return p, err
}

func (e modelEngine) Stage(_ context.Context, _ engine.Target, p engine.Plan, _ archive.Header) (engine.Plan, error) {
	err := e.w.call("Stage", func() error {
		e.w.nextID++
		p.StagingID = fmt.Sprint(e.w.nextID)
		e.w.databases[p.StagingName] = &database{id: p.StagingID, content: archive.Fingerprint{}, open: true, marker: p.OperationID}
		return nil
	})
	return p, err
}

func (e modelEngine) StagingTarget(t engine.Target, p engine.Plan) engine.Target {
	t.Name = p.StagingName
	return t
}

func (e modelEngine) Load(_ context.Context, t engine.Target, r *archive.Reader, _ engine.LoadOptions) error {
	return e.w.call("Load", func() error {
		e.w.databases[t.Name].content = r.Fingerprint()
		return nil
	})
}

func (e modelEngine) Digest(_ context.Context, t engine.Target, _ engine.Report) (f archive.Fingerprint, err error) {
	err = e.w.call("Digest", func() error {
		f = e.w.databases[t.Name].content
		return nil
	})
	return f, err
}

func (e modelEngine) Gate(_ context.Context, _ engine.Target, p engine.Plan, save func(engine.Plan) error) (engine.Gate, error) {
	if err := save(p); err != nil {
		return nil, err
	}
	err := e.w.call("Gate", func() error {
		d, err := e.w.named(liveName)
		if err == nil {
			d.open = false
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	e.w.gates++
	return &modelGate{e, p, true}, nil
}

func (e modelEngine) Open(context.Context, engine.Target, engine.Plan) error {
	return e.w.call("Open", func() error {
		for _, name := range []string{liveName, movedName} {
			if d := e.w.databases[name]; d != nil {
				d.open = true
			}
		}
		e.w.pending = nil // a switch that arrives later finds another row than it was sent for
		return nil
	})
}

func (e modelEngine) Probe(_ context.Context, _ engine.Target, p engine.Plan) (at engine.Position, err error) {
	err = e.w.call("Probe", func() error {
		live := e.w.databases[liveName]
		switch {
		case live != nil && live.id == p.LiveID:
			at = engine.Before
		case live != nil && live.id == p.StagingID:
			at = engine.After
		case e.w.databases[p.StagingName] != nil:
			at = engine.BeforeAstray
		case e.w.databases[p.AsideName] != nil:
			at = engine.AfterAstray
		default:
			at = engine.Unknown
		}
		return nil
	})
	return at, err
}

func (e modelEngine) SwitchBack(_ context.Context, _ engine.Target, p engine.Plan) error {
	return e.w.call("SwitchBack", func() error {
		aside := e.w.databases[p.AsideName]
		if aside == nil {
			return errors.New("there is nothing to go back to")
		}
		if _, err := e.w.named(liveName); err != nil {
			return err
		}
		aside.open = true
		e.w.databases[p.StagingName], e.w.databases[liveName] = e.w.databases[liveName], aside
		delete(e.w.databases, p.AsideName)
		return nil
	})
}

func (e modelEngine) DropStaging(_ context.Context, _ engine.Target, p engine.Plan) error {
	return e.w.call("DropStaging", func() error {
		if d := e.w.databases[newName]; d != nil && d.id == p.StagingID {
			return safepoint.Errorf(safepoint.CodeNeedsOperator, "it is called %s by now", newName)
		}
		if d := e.w.databases[p.StagingName]; d != nil && d.marker == p.OperationID {
			delete(e.w.databases, p.StagingName)
		}
		return nil
	})
}

func (e modelEngine) Poise(_ context.Context, _ engine.Target, p engine.Plan, save func(engine.Plan) error) (engine.Poised, error) {
	if err := save(p); err != nil {
		return nil, err
	}
	if err := e.w.call("Poise", func() error { _, err := e.w.named(liveName); return err }); err != nil {
		return nil, err
	}
	e.w.gates++
	return &modelGate{e, p, true}, nil
}

func (e modelEngine) DumpAside(_ context.Context, _ engine.Target, p engine.Plan, _ *archive.Writer, _ engine.DumpOptions) error {
	return e.w.call("DumpAside", func() error {
		if e.w.databases[p.AsideName] == nil {
			return errors.New("nothing was set aside")
		}
		for _, s := range e.w.services {
			if !s.running && s.name != "reports" && !contains(e.w.row.Attention, s.name) {
				return fmt.Errorf("%s is still halted", s.name)
			}
		}
		e.w.dumped = e.w.databases[p.AsideName].content
		return nil
	})
}

type modelGate struct {
	e    modelEngine
	p    engine.Plan
	held bool
}

func (g *modelGate) Dump(context.Context, *archive.Writer, engine.DumpOptions) error {
	return g.e.w.call("Gate.Dump", func() error {
		d, err := g.e.w.named(liveName)
		if err == nil {
			g.e.w.dumped = d.content
		}
		return err
	})
}

func (g *modelGate) Switch(context.Context) error {
	return g.e.w.call("Gate.Switch", func() error {
		dbs := g.e.w.databases
		if _, err := g.e.w.named(liveName); err != nil {
			return err
		}
		if dbs[liveName].id != g.p.LiveID || dbs[g.p.StagingName] == nil {
			return safepoint.Errorf(safepoint.CodeConflict, "identity changed")
		}
		dbs[g.p.AsideName], dbs[liveName] = dbs[liveName], dbs[g.p.StagingName]
		dbs[liveName].open = true
		delete(dbs, g.p.StagingName)
		return nil
	})
}

func (g *modelGate) Close() error {
	if g.held {
		g.e.w.gates--
	}
	g.held = false
	return nil
}

func (s *service) Probe(context.Context) (st halt.Status, err error) {
	err = s.w.call("Probe "+s.name, func() error {
		st.Condition, st.Prior = halt.Halted, s.prior()
		if s.running {
			st.Condition = halt.Running
		}
		return nil
	})
	return st, err
}

// prior is what the service must be told again whenever it is halted or resumed, by whichever process.
func (s *service) prior() string { return "as " + s.name + " was" }

func (s *service) Halt(_ context.Context, r halt.Request) error {
	return s.w.call("Halt "+s.name, func() error { s.running = false; return s.reminded(r) })
}

func (s *service) Resume(_ context.Context, r halt.Request) error {
	return s.w.call("Resume "+s.name, func() error { s.running = true; return s.reminded(r) })
}

func (s *service) reminded(r halt.Request) error {
	if r.Prior != s.prior() {
		panic(fmt.Sprintf("%s was told %q about its prior state, want %q", s.name, r.Prior, s.prior()))
	}
	return nil
}

// The ledger of a world outlives its crashes.

func (w *world) Append(_ context.Context, entries ...safepoint.JournalEntry) error {
	return w.call("Append", func() error {
		for _, e := range entries {
			e.Seq = len(w.entries) + 1
			w.entries = append(w.entries, e)
		}
		return nil
	})
}

func (w *world) Entries(context.Context) ([]safepoint.JournalEntry, error) {
	return slices.Clone(w.entries), nil
}

func (w *world) Save(_ context.Context, op safepoint.Operation) error {
	return w.call("Save", func() error { w.row = op; return nil })
}

func (w *world) SetHalted(context.Context, safepoint.Operation, time.Time) error {
	return w.call("SetHalted", func() error { w.halted = true; return nil })
}

func (w *world) ClearHalted(context.Context, safepoint.Operation) error {
	return w.call("ClearHalted", func() error { w.halted = false; return nil })
}

func (w *world) CancelAsked(context.Context) (asked bool, err error) {
	err = w.call("CancelAsked", func() error { asked = w.cancelled; return nil })
	return asked, err
}
