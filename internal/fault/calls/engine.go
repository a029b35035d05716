//go:build faultpoints

package calls

import (
	"context"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/archive"
	"github.com/safepoint-db/safepoint/internal/engine"
)

// Engine makes the calls of e fail when they are chosen to. What e may be besides an engine, it still is: package soak
// checks that no such interface is forgotten here.
func Engine(e engine.Engine) engine.Engine {
	wrapped := faultyEngine{e}
	inside, isInPlacer := e.(engine.InPlacer)
	surveyor, isSurveyor := e.(engine.Surveyor)
	switch {
	case isInPlacer && isSurveyor:
		return struct {
			faultyEngine
			faultyInPlacer
			engine.Surveyor
		}{wrapped, faultyInPlacer{inside}, surveyor}
	case isInPlacer:
		return struct {
			faultyEngine
			faultyInPlacer
		}{wrapped, faultyInPlacer{inside}}
	case isSurveyor:
		return struct {
			faultyEngine
			engine.Surveyor
		}{wrapped, surveyor}
	}
	return wrapped
}

// Every engine is these.
var (
	_ engine.Founder = faultyEngine{}
	_ engine.Picker  = faultyEngine{}
	_ engine.Counter = faultyEngine{}
)

type faultyEngine struct{ e engine.Engine }

func (f faultyEngine) Inspect(ctx context.Context, t engine.Target) (engine.Info, error) {
	return get(kindEngine, func() (engine.Info, error) { return f.e.Inspect(ctx, t) })
}

func (f faultyEngine) CanDump(ctx context.Context, t engine.Target) ([]engine.Finding, error) {
	return get(kindEngine, func() ([]engine.Finding, error) { return f.e.CanDump(ctx, t) })
}

func (f faultyEngine) CanRestore(ctx context.Context, t engine.Target, r *archive.Reader) ([]engine.Finding, error) {
	return get(kindEngine, func() ([]engine.Finding, error) { return f.e.CanRestore(ctx, t, r) })
}

func (f faultyEngine) Dump(ctx context.Context, t engine.Target, w *archive.Writer, opt engine.DumpOptions) error {
	return do(kindEngine, func() error { return f.e.Dump(ctx, t, w, opt) })
}

func (f faultyEngine) Load(ctx context.Context, t engine.Target, r *archive.Reader, opt engine.LoadOptions) error {
	return do(kindEngine, func() error { return f.e.Load(ctx, t, r, opt) })
}

func (f faultyEngine) Digest(ctx context.Context, t engine.Target, report engine.Report) (archive.Fingerprint, error) {
	return get(kindEngine, func() (archive.Fingerprint, error) { return f.e.Digest(ctx, t, report) })
}

func (f faultyEngine) Prepare(ctx context.Context, t engine.Target, operationID string) (engine.Plan, error) {
	return get(kindEngine, func() (engine.Plan, error) { return f.e.Prepare(ctx, t, operationID) })
}

func (f faultyEngine) Stage(ctx context.Context, t engine.Target, p engine.Plan, h archive.Header) (engine.Plan, error) {
	return get(kindEngine, func() (engine.Plan, error) { return f.e.Stage(ctx, t, p, h) })
}

func (f faultyEngine) StagingTarget(t engine.Target, p engine.Plan) engine.Target {
	return f.e.StagingTarget(t, p)
}

func (f faultyEngine) Gate(ctx context.Context, t engine.Target, p engine.Plan, save func(engine.Plan) error) (engine.Gate, error) {
	g, err := get(kindEngine, func() (engine.Gate, error) { return f.e.Gate(ctx, t, p, save) })
	if err != nil {
		if g != nil {
			g.Close() // the answer is lost: what it held is let go, as by a connection that broke
		}
		return nil, err
	}
	return faultyGate{g}, nil
}

func (f faultyEngine) Open(ctx context.Context, t engine.Target, p engine.Plan) error {
	return do(kindEngine, func() error { return f.e.Open(ctx, t, p) })
}

func (f faultyEngine) Probe(ctx context.Context, t engine.Target, p engine.Plan) (engine.Position, error) {
	at, err := get(kindEngine, func() (engine.Position, error) { return f.e.Probe(ctx, t, p) })
	if err != nil {
		at = engine.Unknown
	}
	return at, err
}

func (f faultyEngine) SwitchBack(ctx context.Context, t engine.Target, p engine.Plan) error {
	return do(kindEngine, func() error { return f.e.SwitchBack(ctx, t, p) })
}

func (f faultyEngine) DropStaging(ctx context.Context, t engine.Target, p engine.Plan) error {
	return do(kindEngine, func() error { return f.e.DropStaging(ctx, t, p) })
}

func (f faultyEngine) DropAside(ctx context.Context, t engine.Target, p engine.Plan) error {
	return do(kindEngine, func() error { return f.e.DropAside(ctx, t, p) })
}

func (f faultyEngine) Leftovers(ctx context.Context, t engine.Target) ([]string, error) {
	return get(kindEngine, func() ([]string, error) { return f.e.Leftovers(ctx, t) })
}

func (f faultyEngine) founder() (engine.Founder, error) {
	if founder, ok := f.e.(engine.Founder); ok {
		return founder, nil
	}
	return nil, safepoint.Errorf(safepoint.CodeInternal, "This engine founds nothing.")
}

func (f faultyEngine) CanFound(ctx context.Context, t engine.Target, name string) error {
	e, err := f.founder()
	if err != nil {
		return err
	}
	return do(kindEngine, func() error { return e.CanFound(ctx, t, name) })
}

func (f faultyEngine) Found(ctx context.Context, t engine.Target, p engine.Plan, name string) error {
	e, err := f.founder()
	if err != nil {
		return err
	}
	return do(kindEngine, func() error { return e.Found(ctx, t, p, name) })
}

func (f faultyEngine) Founded(ctx context.Context, t engine.Target, p engine.Plan, name string) (bool, error) {
	e, err := f.founder()
	if err != nil {
		return false, err
	}
	return get(kindEngine, func() (bool, error) { return e.Founded(ctx, t, p, name) })
}

func (f faultyEngine) Pick(ctx context.Context, r *archive.Reader, s engine.Selection) (engine.Picked, error) {
	picker, ok := f.e.(engine.Picker)
	if !ok {
		return engine.Picked{}, safepoint.Errorf(safepoint.CodeInternal, "This engine picks nothing.")
	}
	return picker.Pick(ctx, r, s)
}

func (f faultyEngine) Census(ctx context.Context, t engine.Target) ([]engine.TableCount, error) {
	counter, ok := f.e.(engine.Counter)
	if !ok {
		return nil, safepoint.Errorf(safepoint.CodeInternal, "This engine counts nothing.")
	}
	return get(kindEngine, func() ([]engine.TableCount, error) { return counter.Census(ctx, t) })
}

// faultyGate is a gate whose calls fail too.
type faultyGate struct{ g engine.Gate }

func (f faultyGate) Dump(ctx context.Context, w *archive.Writer, opt engine.DumpOptions) error {
	return do(kindEngine, func() error { return f.g.Dump(ctx, w, opt) })
}

func (f faultyGate) Switch(ctx context.Context) error {
	return do(kindEngine, func() error { return f.g.Switch(ctx) })
}

func (f faultyGate) Close() error { return f.g.Close() }
