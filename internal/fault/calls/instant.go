//go:build faultpoints

package calls

import (
	"context"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/archive"
	"github.com/safepoint-db/safepoint/internal/engine"
)

var _ engine.InstantSwitcher = faultyEngine{} // as every engine is

func (f faultyEngine) instant() (engine.InstantSwitcher, error) {
	if e, ok := f.e.(engine.InstantSwitcher); ok {
		return e, nil
	}
	return nil, safepoint.Errorf(safepoint.CodeInternal, "This engine does not switch at once.")
}

func (f faultyEngine) Poise(ctx context.Context, t engine.Target, p engine.Plan, save func(engine.Plan) error) (engine.Poised, error) {
	e, err := f.instant()
	if err != nil {
		return nil, err
	}
	poised, err := get(kindEngine, func() (engine.Poised, error) { return e.Poise(ctx, t, p, save) })
	if err != nil {
		if poised != nil {
			poised.Close() // the answer is lost
		}
		return nil, err
	}
	return faultyPoised{poised}, nil
}

func (f faultyEngine) DumpAside(ctx context.Context, t engine.Target, p engine.Plan, w *archive.Writer, opt engine.DumpOptions) error {
	e, err := f.instant()
	if err != nil {
		return err
	}
	return do(kindEngine, func() error { return e.DumpAside(ctx, t, p, w, opt) })
}

// faultyPoised is a switch that waits, whose calls fail too.
type faultyPoised struct{ p engine.Poised }

func (f faultyPoised) Switch(ctx context.Context) error {
	return do(kindEngine, func() error { return f.p.Switch(ctx) })
}

func (f faultyPoised) Close() error { return f.p.Close() }
