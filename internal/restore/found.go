package restore

import (
	"context"
	"errors"
	"fmt"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/engine"
	"github.com/safepoint-db/safepoint/internal/fault"
)

// A restore into a new database has the steps check, stage, verify and switch. Its switch only gives the staging
// database a name of its own: the live database is read from and never changed, and no service is halted.

// founder is the engine of a restore into a new database.
func (r *run) founder() (engine.Founder, error) {
	f, ok := r.Engine.(engine.Founder)
	if !ok {
		return nil, safepoint.Errorf(safepoint.CodeConflict, "A backup of %s cannot be restored into a new database.", r.Operation.Engine.Label())
	}
	return f, nil
}

// checkFound is what stands in the way of a new database. What would only keep the live one from being replaced does not.
func (r *run) checkFound(ctx context.Context, findings []engine.Finding) error {
	f, err := r.founder()
	if err != nil {
		return err
	}
	for _, x := range findings {
		if x.InPlace {
			return safepoint.Errorf(x.Code, "No other database can be made here. %s", x.Failed().Quoted()).HintedAs(x.Failed())
		}
		if x.Blocker && !x.Live {
			return x.Failed()
		}
	}
	return f.CanFound(ctx, r.Target, r.NewName)
}

// found gives the checked copy its name. After its intent is written there is no cancelling.
func (r *run) found(ctx context.Context) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	ctx = context.WithoutCancel(ctx)
	f, err := r.founder()
	if err != nil {
		return err
	}
	r.rec.Founding = true
	if err := r.enter(ctx, safepoint.StepSwitch, "Give the restored database its name, "+r.NewName+"."); err != nil {
		return err
	}
	if err := r.stillWanted(ctx); err != nil {
		return err
	}
	if err := fault.Point("restore.found.intent"); err != nil {
		return err
	}
	err = f.Found(ctx, r.Target, *r.rec.Plan, r.NewName)
	if ferr := fault.Point("restore.found.sent"); err == nil {
		err = ferr
	}
	if err != nil && safepoint.ErrorCode(err) != safepoint.CodeConflict {
		r.note(ctx, "The new name was not confirmed: "+safepoint.UserError(err).Message+" Asking the server.")
		there, ferr := r.founded(ctx)
		if ferr == nil && there {
			err = nil
		}
		err = errors.Join(err, ferr)
	}
	if err != nil {
		return err
	}
	fault.Point("restore.found.confirmed")
	return r.done(ctx, r.NewName+" is there.")
}

// founded asks until it gets an answer whether the copy has its name.
func (r *run) founded(ctx context.Context) (there bool, err error) {
	f, err := r.founder()
	if err != nil {
		return false, err
	}
	err = r.persist(ctx, func() (err error) {
		there, err = f.Founded(ctx, r.Target, *r.rec.Plan, r.NewName)
		return err
	})
	if err != nil {
		return false, fmt.Errorf("ask for the new database: %w", err)
	}
	return there, nil
}

// wayForwardFound ends a restore whose new database is there.
func (r *run) wayForwardFound(ctx context.Context) safepoint.Operation {
	ctx = context.WithoutCancel(ctx)
	r.Operation.Status = safepoint.StatusSucceeded
	r.Operation.FinishedAt = r.Now()
	r.Operation.NeedsOperator, r.Operation.Failure = false, nil
	r.append(ctx, "done", "The restore is done. "+r.Operation.DatabaseName+" was not touched.")
	return r.Operation
}

// wayBackFound follows a failure once the name was, or was about to be, given. The copy is dropped only under the name
// it was staged with: where the name came after all, the restore has succeeded.
func (r *run) wayBackFound(ctx context.Context, cause error) (op safepoint.Operation, ended bool) {
	there, err := r.founded(ctx)
	if err == nil && !there {
		r.failed(ctx, cause)
		if err = r.dropStaging(ctx); err == nil {
			return op, false
		}
		if safepoint.ErrorCode(err) == safepoint.CodeNeedsOperator {
			if late, lerr := r.founded(ctx); lerr == nil {
				there = late
			}
		}
	}
	if there {
		return r.wayForwardFound(ctx), true
	}
	return r.stuck(ctx, err), true
}
