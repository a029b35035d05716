package app

import (
	"context"
	"slices"
	"time"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/engine"
)

// canSwitchInstantly says whether restores of databases of a family may be of mode instant.
func (a *App) canSwitchInstantly(family safepoint.Engine) bool {
	e, _ := a.Engine(family)
	_, can := e.(engine.InstantSwitcher)
	return can
}

// restoreMode is how a restore of d goes about it: in place where no other way is possible, else as it was asked, or as
// the database has it set.
func (a *App) restoreMode(ctx context.Context, d safepoint.Database, asked safepoint.RestoreMode) (safepoint.RestoreMode, error) {
	mode, err := a.chosenMode(d, asked)
	if err != nil {
		return "", err
	}
	why := a.needsInPlace(ctx, d)
	switch {
	case why == nil:
		return mode, nil
	case asked == safepoint.RestoreInstant:
		return "", safepoint.Errorf(safepoint.CodeConflict, "The instant switch is not possible here. %s", why.Failed().Quoted()).HintedAs(why.Failed())
	}
	return safepoint.RestoreInPlace, nil
}

// needsInPlace says why a restore of d must be done in place, nil if it need not. A server that does not answer now is
// asked again in the restore's first step, which decides.
func (a *App) needsInPlace(ctx context.Context, d safepoint.Database) *engine.Finding {
	e, _ := a.Engine(d.Engine)
	inside, ok := e.(engine.InPlacer)
	if !ok {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, a.testLimit)
	defer cancel()
	t, err := a.target(ctx, d)
	if err != nil {
		return nil
	}
	why, err := inside.NeedsInPlace(ctx, t)
	if err != nil {
		a.Log.WarnContext(ctx, "whether a restore must be done in place is not known yet", "database", d.ID, "error", err)
	}
	return why
}

func (a *App) chosenMode(d safepoint.Database, asked safepoint.RestoreMode) (safepoint.RestoreMode, error) {
	can := a.canSwitchInstantly(d.Engine)
	switch {
	case asked == "" && d.InstantSwitch && can:
		return safepoint.RestoreInstant, nil
	case asked == "" || asked == safepoint.RestoreGuarded:
		return safepoint.RestoreGuarded, nil
	case asked != safepoint.RestoreInstant:
		return "", safepoint.Invalid("mode", "A restore is guarded or instant.")
	case !can:
		return "", notInstant("mode", d.Engine)
	}
	return safepoint.RestoreInstant, nil
}

// instantSwitch is what a database is to start its restores with; nil keeps stored.
func (a *App) instantSwitch(family safepoint.Engine, asked *bool, stored bool) (bool, error) {
	if asked == nil {
		return stored, nil
	}
	if *asked && !a.canSwitchInstantly(family) {
		return false, notInstant("instant_switch", family)
	}
	return *asked, nil
}

func notInstant(field string, family safepoint.Engine) error {
	return safepoint.Invalid(field, "A database of %s cannot be switched before its safety backup is made.", family.Label())
}

// previewModes says which ways a restore may go about it, by what the preflight found, and how long services would be
// halted by each: as long as in the longest of the last restores of that kind, or, for a guarded one, as a safety backup
// takes.
func (a *App) previewModes(ctx context.Context, p *RestorePreview) (err error) {
	d := p.Database
	switch {
	case slices.ContainsFunc(p.Findings, func(f engine.Finding) bool { return f.InPlace }):
		p.Modes = []safepoint.RestoreMode{safepoint.RestoreInPlace}
	case a.canSwitchInstantly(d.Engine):
		p.Modes = []safepoint.RestoreMode{safepoint.RestoreGuarded, safepoint.RestoreInstant}
	default:
		p.Modes = []safepoint.RestoreMode{safepoint.RestoreGuarded}
	}
	if p.Mode, err = a.chosenMode(d, ""); err != nil {
		return err
	}
	if !slices.Contains(p.Modes, p.Mode) {
		p.Mode = p.Modes[0]
	}
	p.HaltTimes = map[safepoint.RestoreMode]time.Duration{}
	for _, mode := range p.Modes {
		last, err := a.Catalog.LastHalts(ctx, d.OrganizationID, d.ID, mode, 3)
		if err != nil {
			return err
		}
		for _, op := range last {
			p.HaltTimes[mode] = max(p.HaltTimes[mode], op.HaltTime())
		}
	}
	if _, known := p.HaltTimes[safepoint.RestoreGuarded]; !known && p.Estimates[safepoint.StepGuard] > 0 {
		p.HaltTimes[safepoint.RestoreGuarded] = p.Estimates[safepoint.StepGuard]
	}
	return nil
}
