// Package restore puts a backup in the place of a live database, or leaves everything as it was.
//
// It owns the eight steps (check, stage, verify, halt, guard, switch, resume, clean), the journal that is written
// before and after each of them, and the recovery that reads the journal after a crash. docs/operations.md draws
// the states. Three promises hold at every moment, also when the process is killed:
//
//   - the database under its name is exactly the old one or exactly the checked new one;
//   - whatever was halted is resumed, by this process or by the next;
//   - nothing is destroyed whose identity was not checked just before.
package restore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/archive"
	"github.com/safepoint-db/safepoint/internal/engine"
	"github.com/safepoint-db/safepoint/internal/fault"
)

// run is a restore under way.
type run struct {
	Job
	rec      record
	gate     engine.Gate
	poised   engine.Poised            // a switch of mode instant, before it
	astray   bool                     // neither of the two databases has the live name: somebody was at them
	switched bool                     // this process knows that the switch took place, and that nothing has to be opened
	hurried  bool                     // services are halted for as short as can be: what need not be durable by then is written after they resumed
	held     []safepoint.JournalEntry // what is to be written then
	within   engine.InPlace           // of a restore in place
}

func newRun(j Job) *run {
	if j.Now == nil {
		j.Now = time.Now
	}
	if j.Log == nil {
		j.Log = slog.New(slog.DiscardHandler)
	}
	if j.Report == nil {
		j.Report = func(safepoint.Progress) {}
	}
	if j.Stopping == nil {
		j.Stopping = func() bool { return false }
	}
	if j.Lost == nil {
		j.Lost = func() bool { return false }
	}
	if j.Room == nil {
		j.Room = func(context.Context) error { return nil }
	}
	if j.Patience == 0 {
		j.Patience = time.Minute
	}
	return &run{Job: j}
}

// Run carries out a restore and returns its operation as it ended. A Status of running means that the end is left to
// Recover, with what was returned: the database server could not be asked for too long, or before this process had to stop.
// ctx ends it at the next safe moment before the switch; from the switch on it is no longer heeded. If its cause is a
// *safepoint.Error (a person cancelled, the server stops), that is why the restore ended.
func Run(ctx context.Context, j Job) safepoint.Operation {
	r := newRun(j)
	defer r.leaveGate()
	defer r.flush(context.WithoutCancel(ctx))
	steps, forward := r.course()
	for i := 0; i < len(steps); i++ {
		if i == 1 { // the check may have found that it must be done in place
			steps, forward = r.course()
		}
		if err := steps[i](ctx); err != nil {
			r.Log.WarnContext(ctx, "a step of a restore failed", "operation", r.Operation.ID, "step", r.Operation.Step.String(), "error", err)
			return r.wayBack(ctx, r.cause(ctx, err))
		}
	}
	return forward(ctx)
}

// course is what a restore does, by its kind: the steps until it is decided, and the way that follows.
func (r *run) course() (steps []func(context.Context) error, forward func(context.Context) safepoint.Operation) {
	type step = func(context.Context) error
	switch {
	case r.NewName != "":
		return []step{r.check, r.stage, r.verify, r.found}, r.wayForwardFound
	case r.Undo != nil:
		return []step{r.checkUndo, r.lookAtServices, r.halt, r.switchBack}, r.wayForward
	case r.inPlace():
		return []step{r.check, r.lookAtServices, r.halt, r.begin, r.guard, r.loadInPlace, r.verifyInPlace, r.commit}, r.wayForwardInPlace
	case r.instant():
		return []step{r.check, r.stage, r.verify, r.lookAtServices, r.poise, r.halt, r.switchAtOnce}, r.wayForward
	}
	return []step{r.check, r.stage, r.verify, r.lookAtServices, r.halt, r.guardAndSwitch}, r.wayForward
}

// cause prefers the reason why ctx ended to the errors that its end provoked.
func (r *run) cause(ctx context.Context, err error) error {
	var why *safepoint.Error
	switch {
	case ctx.Err() == nil:
		return err
	case errors.As(context.Cause(ctx), &why):
		return why.WithCause(err)
	}
	return safepoint.Errorf(safepoint.CodeCancelled, "Cancelled during step %s.", safepoint.Noun(r.Operation.Step.String())).WithCause(err)
}

// check reads the whole archive and asks the server everything that could stand in the way. Nothing is changed.
func (r *run) check(ctx context.Context) error {
	if err := r.enter(ctx, safepoint.StepCheck, "Read the whole backup and ask the server what stands in the way."); err != nil {
		return err
	}
	fault.Point("restore.check.intent")
	ar, closer, err := r.Source(ctx)
	if err != nil {
		return err
	}
	defer closer.Close()
	if _, err := ar.VerifyBytes(ctx, func(done, total int64) { r.report(safepoint.StepCheck, engine.Progress{Bytes: done}, total) }); err != nil {
		return err
	}
	if err := fault.Point("restore.check.verified"); err != nil {
		return err
	}
	findings, err := r.Engine.CanRestore(ctx, r.Target, ar)
	if err != nil {
		return err
	}
	fault.Point("restore.check.asked")
	if err := r.mayGoOn(ctx, findings); err != nil {
		return err
	}
	plan, err := r.Engine.Prepare(ctx, r.Target, r.Operation.ID)
	if err != nil {
		return err
	}
	fault.Point("restore.check.planned")
	r.rec.Plan = &plan
	sum := ar.Summary()
	return r.done(ctx, fmt.Sprintf("The backup is whole: %s, %s. Nothing stands in the way.", count(sum.Tables, "table"), count(sum.Rows, "row")))
}

// mayGoOn refuses what stands in the way.
func (r *run) mayGoOn(ctx context.Context, findings []engine.Finding) error {
	if r.NewName != "" {
		return r.checkFound(ctx, findings)
	}
	for _, f := range findings {
		if f.Blocker {
			return f.Failed()
		}
	}
	if err := r.chooseMode(findings); err != nil {
		return err
	}
	return r.Room(ctx)
}

// stage builds the copy beside the live database, while the services run.
func (r *run) stage(ctx context.Context) error {
	if err := r.enter(ctx, safepoint.StepStage, "Make the staging database "+r.rec.Plan.StagingName+" and load the backup into it."); err != nil {
		return err
	}
	ar, closer, err := r.Source(ctx)
	if err != nil {
		return err
	}
	defer closer.Close()
	if err := fault.Point("restore.stage.intent"); err != nil {
		return err
	}
	plan, err := r.Engine.Stage(ctx, r.Target, *r.rec.Plan, ar.Header())
	if err != nil {
		return err
	}
	if err := fault.Point("restore.stage.created"); err != nil {
		return err
	}
	r.rec.Plan = &plan
	if err := r.note(ctx, "Made "+plan.StagingName+"."); err != nil {
		return err
	}
	fault.Point("restore.stage.noted")
	total := ar.Summary().RawSize
	report := func(p engine.Progress) { r.report(safepoint.StepStage, p, total) }
	err = r.Engine.Load(ctx, r.Engine.StagingTarget(r.Target, plan), ar, engine.LoadOptions{Report: report, Plan: &plan})
	if err != nil {
		return err
	}
	if err := fault.Point("restore.stage.loaded"); err != nil {
		return err
	}
	if err := r.done(ctx, "Loaded."); err != nil {
		return err
	}
	return fault.Point("restore.stage.done")
}

// verify compares what was loaded with what was backed up, row for row.
func (r *run) verify(ctx context.Context) error {
	if err := r.enter(ctx, safepoint.StepVerify, "Compare the staging database with the backup's fingerprint."); err != nil {
		return err
	}
	ar, closer, err := r.Source(ctx)
	if err != nil {
		return err
	}
	defer closer.Close()
	total := ar.Summary().RawSize
	got, err := r.Engine.Digest(ctx, r.Engine.StagingTarget(r.Target, *r.rec.Plan), func(p engine.Progress) { r.report(safepoint.StepVerify, p, total) })
	if err != nil {
		return err
	}
	fault.Point("restore.verify.digested")
	if err := r.compared(ctx, ar, got); err != nil {
		return err
	}
	return fault.Point("restore.verify.done")
}

// compared ends the step verify with what a fingerprint says of what was loaded.
func (r *run) compared(ctx context.Context, ar *archive.Reader, got archive.Fingerprint) error {
	compared, err := ar.CompareRestored(got)
	if err != nil {
		return err
	}
	r.Operation.Tables, r.Operation.Rows = got.Count()
	if !compared {
		return r.done(ctx, fmt.Sprintf("%s and %s were loaded, and the server took as many rows of each block as the file holds. The file was not made by Safepoint and carries no fingerprint: nothing more can be compared.",
			count(r.Operation.Tables, "table"), count(r.Operation.Rows, "row")))
	}
	return r.done(ctx, fmt.Sprintf("Verified: %s and %s are the same as when the backup was made.", count(r.Operation.Tables, "table"), count(r.Operation.Rows, "row")))
}

// guardAndSwitch makes the safety backup inside the gate and switches. Where the engine finds that a row changed in
// between (it can on SQLite, where the lock changes hands), the safety backup no longer holds everything: it is made again.
func (r *run) guardAndSwitch(ctx context.Context) error {
	const tries = 3
	for try := 1; ; try++ {
		if err := r.closeGate(ctx); err != nil {
			return err
		}
		if err := r.guard(ctx); err != nil {
			return err
		}
		err := r.swap(ctx, r.gate.Switch)
		if err == nil || try == tries || !errors.Is(err, errChangedMeanwhile) {
			return err
		}
		r.leaveGate()
		if err := r.note(ctx, "Somebody wrote to the database after the safety backup. It is made again."); err != nil {
			return err
		}
	}
}

// closeGate lets no one but us into the live database.
func (r *run) closeGate(ctx context.Context) error {
	gate, err := r.Engine.Gate(ctx, r.Target, *r.rec.Plan, func(p engine.Plan) error {
		r.rec.Plan, r.rec.Gated = &p, true
		if err := r.note(ctx, "Close the database to everyone else."); err != nil {
			return err
		}
		return fault.Point("restore.gate.intent")
	})
	if err != nil {
		return err
	}
	r.gate = gate
	return fault.Point("restore.gate.closed")
}

// leaveGate ends our sessions in the gate, if it is held, and those that wait for a switch. That alone opens nothing: see reopen.
// A transaction in place that was not committed is rolled back.
func (r *run) leaveGate() {
	r.unpoise()
	if r.within != nil {
		r.within.Close()
		r.within = nil
	}
	if r.gate != nil {
		r.gate.Close()
		r.gate = nil
	}
}

// guard makes the safety backup of what is about to be replaced.
func (r *run) guard(ctx context.Context) error {
	if err := r.enter(ctx, safepoint.StepGuard, "Make a safety backup of the database as it is now."); err != nil {
		return err
	}
	fault.Point("restore.guard.intent")
	id, err := r.Guard(ctx, r.dump)
	if err != nil {
		return err
	}
	r.Operation.SafetyID = id
	if err := fault.Point("restore.guard.done"); err != nil {
		return err
	}
	return r.done(ctx, "Stored, read again and listed in DB Logs.")
}

var errChangedMeanwhile = errors.New("a row changed after the safety backup")

// swap makes staging live.
func (r *run) swap(ctx context.Context, swap func(context.Context) error) error {
	sent, err := r.send(ctx, "Put the restored database in the place of the live one.", fault.Named("restore.switch"), swap)
	if !sent {
		return err
	}
	ctx = context.WithoutCancel(ctx)
	switch {
	case err == nil:
	case safepoint.ErrorCode(err) == safepoint.CodeConflict:
		return errors.Join(errChangedMeanwhile, err)
	default:
		r.note(ctx, "The switch was not confirmed: "+safepoint.UserError(err).Message+" Asking the server which database holds the name.")
		if after, perr := r.probeAfter(ctx); perr != nil || !after {
			return errors.Join(err, perr)
		}
	}
	fault.Point("restore.switch.confirmed")
	r.Operation.Switched, r.switched = true, true
	return r.done(ctx, "The restored database is live.")
}

// send writes the intent, and then has the server do what makes the restored content live. After the intent there is no
// cancelling: the server decides, and is asked. What it decided is not known where sent and err are both there. There is
// a point on either side of sending.
func (r *run) send(ctx context.Context, intent, point string, decide func(context.Context) error) (sent bool, err error) {
	if ctx.Err() != nil {
		return false, ctx.Err()
	}
	ctx = context.WithoutCancel(ctx)
	if err := r.enter(ctx, safepoint.StepSwitch, intent); err != nil {
		return false, err
	}
	if err := r.stillWanted(ctx); err != nil {
		return false, err
	}
	if err := fault.Point(point + ".before"); err != nil {
		return false, err
	}
	err = decide(ctx)
	if ferr := fault.Point(point + ".sent"); err == nil {
		err = ferr
	}
	return true, err
}

// stillWanted honours a cancel that was accepted after the last look and before the row said "switch".
func (r *run) stillWanted(ctx context.Context) error {
	asked, err := r.Ledger.CancelAsked(ctx)
	if err != nil {
		return fmt.Errorf("look for a cancel: %w", err)
	}
	if asked {
		return safepoint.Errorf(safepoint.CodeCancelled, "Cancelled by a person.")
	}
	return nil
}

// The steps are said in messages by these names.
var _ = []safepoint.Noun{"check", "stage", "verify", "halt", "guard", "switch", "resume", "clean"}
