package restore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/engine"
	"github.com/safepoint-db/safepoint/internal/fault"
)

// Every restore ends by one of two ways. Both are taken by the process that ran it or, after a crash, by the next one,
// and both can be taken again from their beginning.

// wayForward follows a switch that took place: open, resume, keep the set-aside database for the undo window.
// A safety backup that is still to be made heeds ctx, which ends when an undo was asked for or the server stops.
func (r *run) wayForward(ctx context.Context) safepoint.Operation {
	whileWanted := ctx
	ctx = context.WithoutCancel(ctx)
	if r.Operation.UndoUntil.IsZero() {
		r.Operation.UndoUntil = r.Now().Add(r.Organization.UndoWindow)
	}
	r.enter(ctx, safepoint.StepResume, "Open the database, then resume the services in reverse order.")
	fault.Point("restore.resume.intent")
	if err := r.reopen(ctx); err != nil {
		return r.stuck(ctx, err)
	}
	if err := r.guardAside(whileWanted); err != nil {
		return r.later(err)
	}
	if err := r.enter(ctx, safepoint.StepClean, "Keep what was live until now for the undo window."); err != nil {
		return r.later(err)
	}
	if err := fault.Point("restore.clean"); err != nil {
		return r.later(err)
	}
	r.Operation.Status = safepoint.StatusSucceeded
	r.Operation.FinishedAt = r.Now()
	r.Operation.UndoUntil = r.Operation.FinishedAt.Add(r.Organization.UndoWindow) // whatever the clock did meanwhile
	r.Operation.NeedsOperator, r.Operation.Failure = false, nil
	fault.Point("restore.end")
	r.append(ctx, "done", "The restore is done.")
	return r.Operation
}

// wayBack follows a failure before the switch: open, resume, drop staging. If the switch had been sent, the server
// is asked which side of it we are on: after the database was opened, for a switch that is still on its way is refused
// from then on, and before anything else.
func (r *run) wayBack(ctx context.Context, cause error) safepoint.Operation {
	whileWanted := ctx
	ctx = context.WithoutCancel(ctx)
	if r.Lost() {
		return r.later(cause)
	}
	failedIn := r.Operation.Step
	fault.Point("restore.back")
	if r.rec.Founding {
		if op, ended := r.wayBackFound(ctx, cause); ended {
			return op
		}
	}
	if r.rec.InPlace {
		if op, ended := r.wayBackInPlace(ctx, cause); ended {
			return op
		}
	}
	if !r.rec.Swapping || safepoint.ErrorCode(cause) != safepoint.CodeInterrupted { // else it may turn out that nothing failed
		r.failed(ctx, cause)
	}
	if r.rec.Swapping {
		if err := r.open(ctx); err != nil {
			return r.stuck(ctx, err)
		}
		after, err := r.probeAfter(ctx)
		if err != nil {
			return r.stuck(ctx, err)
		}
		if after {
			r.Operation.Switched, r.switched = true, true
			return r.wayForward(whileWanted)
		}
		if r.astray && safepoint.ErrorCode(cause) == safepoint.CodeInterrupted {
			cause = movedAway(r.Operation)
		}
		r.failed(ctx, cause)
	}
	fault.Point("restore.back.undecided")
	if err := r.reopen(ctx); err != nil {
		return r.stuck(ctx, err)
	}
	if err := r.dropStaging(ctx); err != nil {
		return r.stuck(ctx, err)
	}
	r.Operation.Step = failedIn
	r.Operation.Status = safepoint.StatusFailed
	if safepoint.ErrorCode(cause) == safepoint.CodeCancelled {
		r.Operation.Status = safepoint.StatusCancelled
	}
	r.Operation.FinishedAt = r.Now()
	r.Operation.NeedsOperator = false
	r.Operation.Failure = failure(cause)
	outcome := "The database is as it was."
	if r.astray {
		outcome = "Nothing was switched, and what runs now is what ran before."
	}
	r.append(ctx, "done", outcome)
	return r.Operation
}

// movedAway is why a restore went back whose live database somebody renamed or dropped.
func movedAway(op safepoint.Operation) error {
	return safepoint.Errorf(safepoint.CodeConflict, "%s is not the database any more that this restore began with: somebody renamed or dropped it.", op.DatabaseName).
		WithHint("Nothing was switched, and services run again. Look at the databases on the server, and start the restore again.")
}

// failed writes down, once, why the restore goes back.
func (r *run) failed(ctx context.Context, cause error) {
	if r.rec.Failure == nil {
		r.rec.Failure = failure(cause)
		r.append(ctx, "failed", r.rec.Failure.Message)
	}
}

// reopen lets everyone in and resumes the services. It returns an error only if the database could not be opened
// and the end must be left to somebody else.
func (r *run) reopen(ctx context.Context) error {
	if err := r.open(ctx); err != nil {
		return err
	}
	fault.Point("restore.resume.opened")
	if r.Operation.HaltedAt.IsZero() {
		return nil
	}
	if r.Operation.ResumedAt.IsZero() || len(r.Operation.Attention) > 0 {
		if err := r.resume(ctx); err != nil {
			return err
		}
	}
	r.leaveGate()
	r.flush(ctx)
	fault.Point("restore.resume.done")
	if err := r.persist(ctx, func() error { return r.Ledger.ClearHalted(ctx, r.Operation) }); err != nil {
		return fmt.Errorf("record that services resumed: %w", err)
	}
	fault.Point("restore.resume.cleared")
	r.Ledger.Save(ctx, r.Operation) // for those who watch; the end of the operation stores all of it again
	return nil
}

// open lets everyone into the database that holds the live name.
func (r *run) open(ctx context.Context) error {
	if !r.rec.Gated && r.switched {
		return nil
	}
	r.leaveGate()
	if !r.rec.Gated && !r.rec.Swapping {
		return nil
	}
	fault.Point("restore.open.before")
	if err := r.persist(ctx, func() error { return r.Engine.Open(ctx, r.Target, *r.rec.Plan) }); err != nil {
		return fmt.Errorf("open the database: %w", err)
	}
	return nil
}

// dropStaging destroys the copy that will not be used. An undo has made none: what it would find is the restored
// database of an earlier operation, which it must not touch.
func (r *run) dropStaging(ctx context.Context) error {
	if r.rec.Plan == nil || r.undoing() || r.inPlace() {
		return nil
	}
	gaveUp := r.Now().Add(r.Patience)
	err := r.persist(ctx, func() error {
		err := r.Engine.DropStaging(ctx, r.Target, *r.rec.Plan)
		if err != nil && r.Now().After(gaveUp) {
			return safepoint.Errorf(safepoint.CodeNeedsOperator, "%s could not be dropped: %s", r.rec.Plan.StagingName, safepoint.UserError(err).Quoted()).
				WithHint("%s is as it was and services run. Drop %s by hand when the cause is gone.", r.Operation.DatabaseName, r.rec.Plan.StagingName).WithCause(err)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("drop staging: %w", err)
	}
	fault.Point("restore.staging.dropped")
	return nil
}

// probeAfter asks the server until it answers which database holds the live name.
func (r *run) probeAfter(ctx context.Context) (after bool, err error) {
	var at engine.Position
	err = r.persist(ctx, func() (err error) {
		at, err = r.Engine.Probe(ctx, r.Target, *r.rec.Plan)
		return err
	})
	if err != nil {
		return false, fmt.Errorf("ask which database is live: %w", err)
	}
	fault.Point("restore.probed")
	switch at {
	case engine.BeforeAstray, engine.AfterAstray:
		r.astray = true
		r.note(ctx, fmt.Sprintf("Neither the earlier database nor the restored one is called %s: somebody renamed or dropped it. It is left so.", r.Operation.DatabaseName))
	case engine.Unknown:
		return false, safepoint.Errorf(safepoint.CodeNeedsOperator, "The name %s is held neither by the earlier database nor by the restored one.", r.Operation.DatabaseName).
			WithHint("Nothing was dropped. Look at the server before anything else: the earlier database may be called %s, the restored one %s.", r.rec.Plan.AsideName, r.rec.Plan.StagingName)
	}
	if r.undoing() {
		return at == engine.Before || at == engine.BeforeAstray, nil
	}
	return at == engine.After || at == engine.AfterAstray, nil
}

// undoing says that this run takes an earlier restore back.
func (r *run) undoing() bool { return r.Undo != nil || r.rec.Undo }

var errLater = errors.New("left to the next start")

// persist repeats fn until it succeeds: a server that does not answer now will answer later, and until then nothing
// may be assumed. It gives up when only a person can help, and leaves the rest to Recover when this process must stop,
// and after a while: then a person is asked on the operation's row, and Recover goes on trying, with the connection as
// it is set by then.
func (r *run) persist(ctx context.Context, fn func() error) error {
	began := r.Now()
	for wait := 100 * time.Millisecond; ; wait = min(2*wait, 5*time.Second) {
		if r.Lost() {
			return errLater
		}
		err := fn()
		switch {
		case err == nil:
			return nil
		case safepoint.ErrorCode(err) == safepoint.CodeNeedsOperator:
			return err
		case r.Stopping():
			return errors.Join(errLater, err)
		case r.Now().Sub(began) > r.Patience:
			if !r.Operation.NeedsOperator {
				r.note(ctx, "Still trying: "+safepoint.UserError(err).Message)
			}
			r.Operation.NeedsOperator, r.Operation.Failure = true, failure(err)
			r.Ledger.Save(ctx, r.Operation)
			return errors.Join(errLater, err)
		}
		pause(ctx, wait)
	}
}

// stuck ends a restore that cannot be ended safely by itself. Services that have not resumed stay halted, nothing is
// dropped.
func (r *run) stuck(ctx context.Context, err error) safepoint.Operation {
	r.leaveGate() // a lock of ours would keep out the person who must act
	if errors.Is(err, errLater) {
		return r.later(err)
	}
	r.hurried = false
	r.Operation.NeedsOperator = true
	r.Operation.Status = safepoint.StatusFailed
	r.Operation.FinishedAt = r.Now()
	r.Operation.Failure = failure(err)
	if r.Operation.ResumedAt.IsZero() {
		r.Operation.Attention = nil
		for _, s := range r.rec.Services {
			if s.Ours {
				r.Operation.Attention = append(r.Operation.Attention, s.Name)
			}
		}
	}
	r.append(ctx, "failed", "A person must decide: "+safepoint.UserError(err).Message)
	return r.Operation
}

// unread leaves a restore whose journal cannot be read now to a later try, unless it never will.
func (r *run) unread(ctx context.Context, err error) safepoint.Operation {
	var broken *json.SyntaxError
	if !errors.As(err, &broken) {
		r.Operation.NeedsOperator = true
		return r.later(fmt.Errorf("read journal: %w", err))
	}
	return r.stuck(ctx, safepoint.Errorf(safepoint.CodeNeedsOperator, "The journal of this restore cannot be read.").WithCause(err))
}

// later leaves the operation running, for Recover.
func (r *run) later(err error) safepoint.Operation {
	r.Operation.Status = safepoint.StatusRunning
	r.Operation.Failure = failure(err)
	return r.Operation
}

func failure(err error) *safepoint.Failure {
	u := safepoint.UserError(err)
	return u.Failure()
}
