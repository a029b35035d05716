package app

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/archive"
	"github.com/safepoint-db/safepoint/internal/backup"
	"github.com/safepoint-db/safepoint/internal/engine"
	"github.com/safepoint-db/safepoint/internal/restore"
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

// queueSafety queues the safety backups that instant restores could not make, each again after a while: a minute after
// the first failure, twice as long after each further one, an hour at most. What it finds made it puts on its restore.
func (a *App) queueSafety(ctx context.Context) error {
	restores, err := a.Catalog.Unguarded(ctx)
	if err != nil {
		return err
	}
	for _, r := range restores {
		if err := a.queueSafetyOf(ctx, r); err != nil && safepoint.ErrorCode(err) != safepoint.CodeConflict { // a backup runs: later
			a.Log.WarnContext(ctx, "a safety backup was not queued", "operation", r.ID, "error", err)
		}
	}
	return nil
}

func (a *App) queueSafetyOf(ctx context.Context, r safepoint.Operation) error {
	tries, err := a.Catalog.SafetyTries(ctx, r.ID)
	if err != nil {
		return err
	}
	if len(tries) > 0 {
		last := tries[0]
		if last.Status == safepoint.StatusSucceeded {
			defer a.changed(r.OrganizationID, "operation", r.ID)
			return a.Catalog.SetSafety(ctx, r.ID, last.ID, nil)
		}
		wait := min(time.Minute<<min(len(tries)-1, 10), time.Hour)
		if since := a.Now().Sub(last.FinishedAt); since >= 0 && since < wait { // less than none: the clock was set back
			return nil
		}
	}
	d, err := a.Catalog.Database(ctx, r.OrganizationID, r.DatabaseID)
	if err != nil {
		return err
	}
	op, err := a.Catalog.CreateOperation(ctx, safepoint.Operation{
		OrganizationID: r.OrganizationID, DatabaseID: d.ID, DatabaseName: d.Name, Engine: d.Engine,
		Type: safepoint.TypeBackup, Trigger: safepoint.TriggerSafety, RestoreID: r.ID, SourceID: r.ID, // a source of its own: it outlives its restore
		Name: backup.FileName(d, a.Now(), safepoint.TriggerSafety), CreatedBy: r.CreatedBy, CreatedByName: r.CreatedByName,
	})
	if err != nil {
		return err
	}
	a.changed(op.OrganizationID, "operation", op.ID)
	a.Wake()
	return nil
}

// guardAgain makes the safety backup of a restore that ended without. Housekeeping puts it on the restore once it is
// listed. A set-aside database that is gone is looked for no more; one that is out of reach is. A process that was
// overtaken knows nothing of either.
func (w *work) guardAgain(ctx context.Context, report func(safepoint.Progress)) safepoint.Operation {
	op, err := w.backUpAside(ctx, report)
	if err == nil {
		op.Status = safepoint.StatusSucceeded
		return op
	}
	op = ended(op, err)
	always := context.WithoutCancel(ctx)
	if op.Status == safepoint.StatusFailed && w.Catalog.Holds(always, w.claim) == nil {
		if serr := w.Catalog.SetSafety(always, op.RestoreID, "", op.Failure); serr != nil {
			w.Log.ErrorContext(ctx, "why there is no safety backup was not recorded", "operation", op.RestoreID, "error", serr)
		}
		if errors.Is(err, engine.ErrAsideGone) {
			if cerr := w.Catalog.ClearUndo(always, op.RestoreID); cerr != nil {
				w.Log.ErrorContext(ctx, "that a set-aside database is gone was not recorded", "operation", op.RestoreID, "error", cerr)
			}
		}
		w.changed(op.OrganizationID, "operation", op.RestoreID)
	}
	return op
}

func (w *work) backUpAside(ctx context.Context, report func(safepoint.Progress)) (safepoint.Operation, error) {
	op := w.claim.Operation
	e, ok := w.engine.(engine.InstantSwitcher)
	if !ok {
		return op, safepoint.Errorf(safepoint.CodeInternal, "This program cannot read the set-aside database.")
	}
	entries, err := w.Catalog.Journal(ctx, op.RestoreID)
	if err != nil {
		return op, err
	}
	plan, err := restore.PlanOf(entries)
	if err != nil || plan == nil {
		return op, errors.Join(err, safepoint.Errorf(safepoint.CodeInternal, "Nothing is known of what this restore kept."))
	}
	return w.makeBackup(ctx, w.claim, func(ctx context.Context, aw *archive.Writer, opt engine.DumpOptions) error {
		return e.DumpAside(ctx, w.target, *plan, aw, opt)
	}, report)
}
