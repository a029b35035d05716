package sqlite

import (
	"context"
	"fmt"
	"os"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/archive"
	"github.com/safepoint-db/safepoint/internal/engine"
)

var _ engine.InstantSwitcher = (*Engine)(nil)

// poised is a switch of a file whose lock nobody holds yet: it is taken for the two copies of a switch alone.
type poised struct {
	e *Engine
	t engine.Target
	p engine.Plan
}

// Poise makes sure that everything is in its place. A file has no sessions to open and no properties to give.
func (e *Engine) Poise(_ context.Context, t engine.Target, p engine.Plan, save func(engine.Plan) error) (engine.Poised, error) {
	at, err := placesOf(p)
	if err != nil {
		return nil, err
	}
	if err := e.stillThere(t, at, p); err != nil {
		return nil, err
	}
	if err := save(p); err != nil {
		return nil, fmt.Errorf("record that the switch is next: %w", err)
	}
	return poised{e, t, p}, nil
}

// Switch takes the lock, sets the live content aside and puts staging's in its place. Whoever writes in the moment that
// the lock changes hands has the set-aside copy made again.
func (s poised) Switch(ctx context.Context) error {
	const tries = 3
	for try := 1; ; try++ {
		g, err := s.e.Gate(ctx, s.t, s.p, func(engine.Plan) error { return nil })
		if err != nil {
			return err
		}
		err = g.Switch(ctx)
		g.Close()
		if err == nil || try == tries || safepoint.ErrorCode(err) != safepoint.CodeConflict {
			return err
		}
	}
}

// Close has nothing to end.
func (poised) Close() error { return nil }

// DumpAside dumps the set-aside file under the live one's name. Nobody else writes to it, so it needs no lock.
func (e *Engine) DumpAside(ctx context.Context, t engine.Target, p engine.Plan, w *archive.Writer, opt engine.DumpOptions) error {
	at, err := placesOf(p)
	if err != nil {
		return err
	}
	m, err := readMarker(at, p)
	if err != nil {
		return err
	}
	id, err := identity(at.aside)
	if m == nil || m.State != switched || err != nil && !os.IsNotExist(err) || id != m.AsideID {
		gone := safepoint.Errorf(safepoint.CodeConflict, "The set-aside file %s is not there.", at.aside).
			WithHint("Somebody moved or removed it, or the restore was undone.").WithCause(err)
		if _, there := os.Lstat(at.live); there == nil && os.IsNotExist(err) { // a folder that is not mounted has neither
			gone = gone.WithCause(engine.ErrAsideGone)
		}
		return gone
	}
	c, err := e.snapshot(ctx, at.aside)
	if err != nil {
		return err
	}
	defer c.close()
	mode, err := e.journalMode(ctx, at.live)
	if err != nil {
		return err
	}
	return plainWords(dumpOf(c, at.live, mode, w, opt), at.aside)
}

func (e *Engine) journalMode(ctx context.Context, path string) (string, error) {
	c, err := e.open(ctx, path, readOnly)
	if err != nil {
		return "", err
	}
	defer c.close()
	mode, err := c.text("PRAGMA main.journal_mode")
	return mode, plainWords(err, path)
}
