package app

import (
	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/engine"
)

// canSwitchInstantly says whether restores of databases of a family may be of mode instant.
func (a *App) canSwitchInstantly(family safepoint.Engine) bool {
	e, _ := a.Engine(family)
	_, can := e.(engine.InstantSwitcher)
	return can
}

// restoreMode is how a restore of d goes about it: as it was asked, or as the database has it set.
func (a *App) restoreMode(d safepoint.Database, asked safepoint.RestoreMode) (safepoint.RestoreMode, error) {
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
