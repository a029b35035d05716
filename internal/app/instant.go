package app

import (
	"context"

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
		return "", safepoint.Errorf(safepoint.CodeConflict, "The instant switch is not possible here. %s", why.Message).WithHint("%s", why.Hint)
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
	ctx, cancel := context.WithTimeout(ctx, testLimit)
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

// previewMode is what the findings of a preflight leave open.
func previewMode(findings []engine.Finding) safepoint.RestoreMode {
	for _, f := range findings {
		if f.InPlace {
			return safepoint.RestoreInPlace
		}
	}
	return ""
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
