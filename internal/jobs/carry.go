package jobs

import (
	"context"
	"runtime/debug"
	"time"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/fault"
)

const (
	beatFresh   = 500 * time.Millisecond // between beats while there is progress to store
	beatIdle    = 2 * time.Second        // and while there is none
	storeWithin = 10 * time.Second       // for one attempt to store a beat or an end
	retryFirst  = 500 * time.Millisecond
	retryMost   = 10 * time.Second
	stopTries   = 5 // attempts to store an end when the server is to stop; the next start ends it then
)

// action is Worker.Work, or Worker.Recover in its shape.
type action func(ctx context.Context, c Claim, report func(safepoint.Progress)) safepoint.Operation

// carry brings one operation to its end and stores it, beating all the while.
func (r *Runner) carry(c Claim, act action) {
	h := &hold{ops: r.ops}
	ctx, cancel := context.WithCancelCause(context.WithValue(r.ops, holdKey{}, h))
	defer cancel(nil)
	t := &tracker{started: r.Clock.Now()}
	quit, quiet := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(quiet)
		r.beat(ctx, c, t, func(why error) {
			h.lost.CompareAndSwap(false, why == ErrLost)
			cancel(why)
		}, quit)
	}()
	op, ended := r.toItsEnd(ctx, c, act, t)
	close(quit)
	<-quiet
	switch {
	case h.lost.Load():
		r.Log.Error("an operation was taken over by another process", "operation", c.Operation.ID)
	case !ended:
		r.Log.Warn("an operation is left to the next start", "operation", c.Operation.ID)
	default:
		r.storeEnd(c, op)
	}
}

// toItsEnd acts, and as long as that leaves the operation running, for instance because a database server cannot be
// asked, recovers it again and again. ended is false if the server stopped before.
func (r *Runner) toItsEnd(ctx context.Context, c Claim, act action, t *tracker) (op safepoint.Operation, ended bool) {
	op, ok := r.guarded(ctx, c, act, t)
	for wait := retryFirst; !ok || !op.Status.Ended(); wait = min(2*wait, retryMost) {
		if r.ops.Err() != nil || Lost(ctx) || !r.pause(wait) {
			return op, false
		}
		if c.Operation = op; !ok {
			// What was claimed is old by now: what the operation has done since, it has stored.
			now, err := r.Store.Current(r.ops, c)
			if err != nil {
				r.Log.Error("cannot read an operation that panicked", "operation", c.Operation.ID, "error", err)
				continue
			}
			c.Operation = now
		}
		wasOK := ok
		op, ok = r.guarded(ctx, c, r.recovery, t)
		if !ok && !wasOK { // it broke while acting, and while putting that right
			op = c.Operation
			op.Status = safepoint.StatusFailed
			op.NeedsOperator = op.Type == safepoint.TypeRestore
			e := safepoint.UserError(nil)
			op.Failure = e.Failure()
			if op.NeedsOperator {
				op.Failure.Code = safepoint.CodeNeedsOperator
			}
			return op, true
		}
	}
	return op, true
}

// guarded acts. A panic is logged and makes ok false: the process goes on, other operations with it. op is c's then.
func (r *Runner) guarded(ctx context.Context, c Claim, act action, t *tracker) (op safepoint.Operation, ok bool) {
	defer func() {
		if p := recover(); p != nil {
			r.Log.Error("an operation panicked", "operation", c.Operation.ID, "panic", p, "stack", string(debug.Stack()))
			op, ok = c.Operation, false
		}
	}()
	return act(ctx, c, t.report), true
}

// pause waits, and says whether the server still runs.
func (r *Runner) pause(d time.Duration) bool {
	wait, release := r.Clock.After(d)
	defer release()
	select {
	case <-wait:
		return true
	case <-r.ops.Done():
		return false
	}
}

// beat keeps the lease, stores progress and hears of a cancel, until quit is closed.
func (r *Runner) beat(ctx context.Context, c Claim, t *tracker, cancel context.CancelCauseFunc, quit <-chan struct{}) {
	idle := min(beatIdle, r.Lease/3)
	beaten := r.Clock.Now()
	kept := beaten // the last beat that was stored
	for {
		woken := r.wakeUp()
		wait, release := r.Clock.After(min(beatFresh, idle))
		asked := false
		select {
		case <-quit:
			release()
			return
		case <-wait:
		case <-woken:
			asked = true
		}
		release()
		now := r.Clock.Now()
		p, fresh := t.take(now)
		if !fresh && !asked && now.Sub(beaten) < idle {
			continue
		}
		beaten = now
		within, done := context.WithTimeout(context.WithoutCancel(ctx), storeWithin)
		stop, err := r.Store.Beat(within, c, p, r.Lease)
		done()
		switch {
		case safepoint.ErrorCode(err) == safepoint.CodeConflict:
			cancel(ErrLost)
			return
		case err != nil:
			r.Log.Error("cannot store a heartbeat", "operation", c.Operation.ID, "error", err)
			if r.Clock.Now().Sub(kept) > r.Lease {
				cancel(ErrNoBeat) // another process may take it over; if none does, its end is ours to store
			}
			continue
		case stop:
			cancel(ErrCancelled)
		}
		kept = now
		if fresh {
			op := c.Operation
			op.Progress = p
			r.OnChange(op)
		}
	}
}

// storeEnd stores how an operation ended, on a context that nothing ends, and tries until it is stored: an entry must
// not stay "running" because the disk was full for a minute.
func (r *Runner) storeEnd(c Claim, op safepoint.Operation) {
	fault.Point("jobs.end.before")
	for try, wait := 1, retryFirst; ; try, wait = try+1, min(2*wait, retryMost) {
		ctx, cancel := context.WithTimeout(context.Background(), storeWithin)
		err := r.Store.Finish(ctx, c, op)
		cancel()
		if err == nil {
			fault.Point("jobs.end.stored")
			r.OnChange(op)
			return
		}
		r.Log.Error("cannot store how an operation ended", "operation", c.Operation.ID, "status", op.Status, "error", err)
		code := safepoint.ErrorCode(err)
		if code == safepoint.CodeConflict || code == safepoint.CodeNotFound || try >= stopTries && r.ops.Err() != nil {
			return
		}
		after, release := r.Clock.After(wait)
		<-after
		release()
	}
}
