package restore

import (
	"context"
	"errors"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/archive"
	"github.com/safepoint-db/safepoint/internal/engine"
	"github.com/safepoint-db/safepoint/internal/fault"
)

// A restore of mode instant halts services for the switch alone. The safety backup is made after they have resumed, of the
// set-aside database, which is the safety copy until then: nothing drops it before.

// instant says that this run switches before it makes the safety backup. An undo makes none.
func (r *run) instant() bool {
	return r.Operation.Mode == safepoint.RestoreInstant && r.NewName == "" && !r.undoing()
}

// poise does what the switch needs beforehand, while services still run.
func (r *run) poise(ctx context.Context) error {
	e, ok := r.Engine.(engine.InstantSwitcher)
	if !ok {
		return safepoint.Errorf(safepoint.CodeConflict, "A database of %s cannot be switched before its safety backup is made.", r.Operation.Engine.Label()).
			WithHint("Start the restore again, as a guarded one.")
	}
	poised, err := e.Poise(ctx, r.Target, *r.rec.Plan, func(p engine.Plan) error {
		r.rec.Plan = &p
		return r.note(ctx, "Ready to switch.")
	})
	if err != nil {
		return err
	}
	r.poised = poised
	return fault.Point("restore.poised")
}

func (r *run) unpoise() {
	if r.poised != nil {
		r.poised.Close()
		r.poised = nil
	}
}

// switchAtOnce switches. Where somebody altered the live database as a whole since it was looked at (a grant, a setting),
// the restored one would miss that: it is looked at again.
func (r *run) switchAtOnce(ctx context.Context) error {
	const tries = 3
	for try := 1; ; try++ {
		err := r.swap(ctx, r.poised.Switch)
		if err == nil || try == tries || !errors.Is(err, errChangedMeanwhile) {
			return err
		}
		r.unpoise()
		if err := r.poise(ctx); err != nil {
			return err
		}
	}
}

// guardAside makes the safety backup of the set-aside database, once services run again. A try that fails ends the restore
// all the same: it says so, the set-aside database stays, and package app tries again. An error leaves the rest to Recover.
// An undo that was asked for meanwhile comes first: it needs no safety backup of what it makes live again.
func (r *run) guardAside(ctx context.Context) error {
	if !r.instant() || r.Operation.SafetyID != "" {
		return nil
	}
	always := context.WithoutCancel(ctx)
	if err := r.enter(always, safepoint.StepGuard, "Make the safety backup, of the database that was set aside."); err != nil {
		return err
	}
	id, err := r.dumpAside(ctx)
	switch {
	case err == nil:
		r.Operation.SafetyID, r.Operation.SafetyFailure = id, nil
		fault.Point("restore.aside.done")
		return r.done(always, "Stored, read again and listed in DB Logs.")
	case r.Lost(), r.Stopping():
		return errors.Join(errLater, err)
	}
	r.Log.WarnContext(always, "the safety backup of an instant restore failed", "operation", r.Operation.ID, "error", err)
	r.Operation.SafetyFailure = failure(r.cause(ctx, err))
	return r.note(always, "There is no safety backup yet: "+r.Operation.SafetyFailure.Message+" "+r.rec.Plan.AsideName+" is kept until there is one.")
}

func (r *run) dumpAside(ctx context.Context) (safetyID string, err error) {
	e, ok := r.Engine.(engine.InstantSwitcher)
	if !ok {
		return "", safepoint.Errorf(safepoint.CodeInternal, "This program cannot read the set-aside database.")
	}
	if err := r.stillWanted(ctx); err != nil {
		return "", err
	}
	if err := fault.Point("restore.aside.intent"); err != nil {
		return "", err
	}
	return r.Guard(ctx, func(ctx context.Context, w *archive.Writer, opt engine.DumpOptions) error {
		return e.DumpAside(ctx, r.Target, *r.rec.Plan, w, opt)
	})
}
