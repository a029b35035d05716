package restore

import (
	"context"
	"errors"
	"fmt"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/archive"
	"github.com/safepoint-db/safepoint/internal/engine"
	"github.com/safepoint-db/safepoint/internal/fault"
)

// A restore in place has the steps check, halt, guard, stage, verify, switch and resume. What would be a copy beside the
// live database is one transaction inside it: stage loads in it, verify compares in it, and the switch is its COMMIT.
// Until then nobody sees anything of it, and whatever fails is rolled back by the server. There is nothing to drop and,
// with no earlier database set aside, nothing to undo.

// inPlace says that this restore is done in place. The check decides it.
func (r *run) inPlace() bool { return r.Operation.Mode == safepoint.RestoreInPlace }

// chooseMode follows what the preflight found, which may be another thing than when the restore was asked for.
func (r *run) chooseMode(findings []engine.Finding) error {
	for _, f := range findings {
		if !f.InPlace {
			continue
		}
		if r.Operation.Mode == safepoint.RestoreInstant {
			return safepoint.Errorf(f.Code, "The instant switch was asked for, and is not possible. %s", f.Failed().Quoted()).HintedAs(f.Failed())
		}
		r.Operation.Mode = safepoint.RestoreInPlace
		return nil
	}
	if r.inPlace() {
		r.Operation.Mode = safepoint.RestoreGuarded
	}
	return nil
}

func (r *run) inPlacer() (engine.InPlacer, error) {
	e, ok := r.Engine.(engine.InPlacer)
	if !ok {
		return nil, safepoint.Errorf(safepoint.CodeConflict, "A %s database cannot be restored in place.", r.Operation.Engine.Label())
	}
	return e, nil
}

// begin begins the transaction. From the note on, the server is asked what became of it.
func (r *run) begin(ctx context.Context) error {
	e, err := r.inPlacer()
	if err != nil {
		return err
	}
	within, err := e.BeginInPlace(ctx, r.Target, *r.rec.Plan, func(p engine.Plan) error {
		r.rec.Plan, r.rec.InPlace = &p, true
		if err := r.note(ctx, "Begin the transaction, and lock every table against writers."); err != nil {
			return err
		}
		return fault.Point("restore.inplace.intent")
	})
	if err != nil {
		return err
	}
	r.within = within
	return fault.Point("restore.inplace.begun")
}

// dump is what the safety backup is made by.
func (r *run) dump(ctx context.Context, w *archive.Writer, opt engine.DumpOptions) error {
	if r.within != nil {
		return r.within.Dump(ctx, w, opt)
	}
	return r.gate.Dump(ctx, w, opt)
}

// loadInPlace drops what is there and loads the backup, inside the transaction.
func (r *run) loadInPlace(ctx context.Context) error {
	if err := r.enter(ctx, safepoint.StepStage, "Empty the database and load the backup into it, in a transaction that nobody sees yet."); err != nil {
		return err
	}
	ar, closer, err := r.Source(ctx)
	if err != nil {
		return err
	}
	defer closer.Close()
	total := ar.Summary().RawSize
	err = r.within.Load(ctx, ar, engine.LoadOptions{Plan: r.rec.Plan, Report: func(p engine.Progress) { r.report(safepoint.StepStage, p, total) }})
	if err != nil {
		return err
	}
	if err := fault.Point("restore.inplace.loaded"); err != nil {
		return err
	}
	return r.done(ctx, "Loaded. Nobody sees it yet.")
}

// verifyInPlace compares what was loaded with what was backed up, before anybody else sees it.
func (r *run) verifyInPlace(ctx context.Context) error {
	if err := r.enter(ctx, safepoint.StepVerify, "Compare what was loaded with the backup's fingerprint."); err != nil {
		return err
	}
	ar, closer, err := r.Source(ctx)
	if err != nil {
		return err
	}
	defer closer.Close()
	total := ar.Summary().RawSize
	got, err := r.within.Digest(ctx, func(p engine.Progress) { r.report(safepoint.StepVerify, p, total) })
	if err != nil {
		return err
	}
	if err := fault.Point("restore.inplace.verified"); err != nil {
		return err
	}
	return r.compared(ctx, ar, got)
}

// commit makes it live.
func (r *run) commit(ctx context.Context) error {
	sent, err := r.send(ctx, "Commit: the restored content becomes the database's, at once and as a whole.", fault.Named("restore.inplace"), r.within.Commit)
	if !sent {
		return err
	}
	ctx = context.WithoutCancel(ctx)
	if err != nil {
		if code := safepoint.ErrorCode(err); code == safepoint.CodeConflict || code == safepoint.CodeNeedsOperator {
			return err
		}
		r.note(ctx, "The commit was not confirmed: "+safepoint.UserError(err).Message+" Asking the server what became of it.")
		r.leaveGate()
		if after, perr := r.committed(ctx); perr != nil || !after {
			return errors.Join(err, perr)
		}
	}
	r.Operation.Switched = true
	return r.done(ctx, "The restored content is live.")
}

// committed asks the server until it answers what became of the transaction.
func (r *run) committed(ctx context.Context) (after bool, err error) {
	e, err := r.inPlacer()
	if err != nil {
		return false, err
	}
	var at engine.Position
	err = r.persist(ctx, func() (err error) {
		at, err = e.InPlaceOutcome(ctx, r.Target, *r.rec.Plan)
		return err
	})
	if err != nil {
		return false, fmt.Errorf("ask what became of the transaction: %w", err)
	}
	if at == engine.Unknown {
		return false, safepoint.Errorf(safepoint.CodeNeedsOperator, "The server cannot say any more whether the restore of %s was committed.", r.Operation.DatabaseName).
			WithHint("It was put back to an earlier state, replaced by a standby, or the database was renamed. %s holds exactly the old or exactly the restored content: look which, then resume the services. The safety backup is in DB Logs.", r.Operation.DatabaseName)
	}
	return at == engine.After, nil
}

// wayBackInPlace follows a failure once the transaction was, or was about to be, begun: whatever was not committed is
// rolled back, and what was committed after all is the end of the restore.
func (r *run) wayBackInPlace(ctx context.Context, cause error) (op safepoint.Operation, ended bool) {
	r.leaveGate()
	if safepoint.ErrorCode(cause) == safepoint.CodeNeedsOperator {
		return r.stuck(ctx, cause), true
	}
	after, err := r.committed(ctx)
	switch {
	case err != nil:
		return r.stuck(ctx, err), true
	case after:
		r.Operation.Switched = true
		return r.wayForwardInPlace(ctx), true
	}
	return op, false
}

// wayForwardInPlace follows a commit: resume. Nothing was set aside that could be kept.
func (r *run) wayForwardInPlace(ctx context.Context) safepoint.Operation {
	ctx = context.WithoutCancel(ctx)
	r.leaveGate()
	r.enter(ctx, safepoint.StepResume, "Resume the services in reverse order.")
	fault.Point("restore.resume.intent")
	if err := r.reopen(ctx); err != nil {
		return r.stuck(ctx, err)
	}
	r.Operation.Status = safepoint.StatusSucceeded
	r.Operation.FinishedAt = r.Now()
	r.Operation.NeedsOperator, r.Operation.Failure = false, nil
	fault.Point("restore.end")
	r.append(ctx, "done", "The restore is done. What was there before is in the safety backup.")
	return r.Operation
}
