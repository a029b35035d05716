//go:build faultpoints

package calls

import (
	"context"

	"github.com/safepoint-db/safepoint/internal/archive"
	"github.com/safepoint-db/safepoint/internal/engine"
)

// faultyInPlacer is a restore from within whose calls fail too.
type faultyInPlacer struct{ e engine.InPlacer }

func (f faultyInPlacer) NeedsInPlace(ctx context.Context, t engine.Target) (*engine.Finding, error) {
	return get(kindEngine, func() (*engine.Finding, error) { return f.e.NeedsInPlace(ctx, t) })
}

func (f faultyInPlacer) BeginInPlace(ctx context.Context, t engine.Target, p engine.Plan, save func(engine.Plan) error) (engine.InPlace, error) {
	in, err := get(kindEngine, func() (engine.InPlace, error) { return f.e.BeginInPlace(ctx, t, p, save) })
	if err != nil {
		if in != nil {
			in.Close()
		}
		return nil, err
	}
	return faultyInPlace{in}, nil
}

func (f faultyInPlacer) InPlaceOutcome(ctx context.Context, t engine.Target, p engine.Plan) (engine.Position, error) {
	at, err := get(kindEngine, func() (engine.Position, error) { return f.e.InPlaceOutcome(ctx, t, p) })
	if err != nil {
		at = engine.Unknown
	}
	return at, err
}

type faultyInPlace struct{ in engine.InPlace }

func (f faultyInPlace) Dump(ctx context.Context, w *archive.Writer, opt engine.DumpOptions) error {
	return do(kindEngine, func() error { return f.in.Dump(ctx, w, opt) })
}

func (f faultyInPlace) Load(ctx context.Context, r *archive.Reader, opt engine.LoadOptions) error {
	return do(kindEngine, func() error { return f.in.Load(ctx, r, opt) })
}

func (f faultyInPlace) Digest(ctx context.Context, report engine.Report) (archive.Fingerprint, error) {
	return get(kindEngine, func() (archive.Fingerprint, error) { return f.in.Digest(ctx, report) })
}

func (f faultyInPlace) Commit(ctx context.Context) error {
	return do(kindEngine, func() error { return f.in.Commit(ctx) })
}

func (f faultyInPlace) Close() error { return f.in.Close() }
