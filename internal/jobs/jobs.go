// Package jobs decides when things run and on which node: it turns due times of schedules into queued operations and
// gives each queued operation to one worker, once, under a lease that a crash lets run out.
package jobs

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/safepoint-db/safepoint"
)

// Claim is an operation that this process may carry out until its lease ends. Every write about it names Fence:
// a process that was overtaken changes nothing.
type Claim struct {
	Operation safepoint.Operation
	Fence     int64
	Node      string // who holds it: the Runner's Node
}

// ScheduleState is a schedule and how far its due times have been dealt with.
type ScheduleState struct {
	safepoint.Schedule
	Done time.Time // zero: none yet
}

// Store is what jobs needs of the catalog (catalog/jobs.go).
type Store interface {
	// ScheduleStates returns every active schedule of every organization.
	ScheduleStates(ctx context.Context) ([]ScheduleState, error)
	// RecordDue stores, in one transaction, a queued operation for run, missed ones for the others, and run as the new
	// Done; a due time that has its operation already gets no second one. If a run of the schedule is still queued,
	// run is missed too, and says so. If the schedule was disabled or edited, or another node was quicker (Done is
	// not s.Done any more), it changes nothing and returns false.
	RecordDue(ctx context.Context, s ScheduleState, run time.Time, missed []time.Time) (bool, error)
	// ClaimNext gives out the oldest queued operation that may start: none runs on its database, and its
	// organization is not halted by a restore. A queued run whose schedule is disabled becomes cancelled.
	// nil means there is nothing to do. only, where given, leaves operations of other types waiting.
	ClaimNext(ctx context.Context, node string, lease time.Duration, only ...safepoint.OperationType) (*Claim, error)
	// Current returns the claimed operation as it is stored now.
	Current(ctx context.Context, c Claim) (safepoint.Operation, error)
	// Beat extends the lease and stores progress. It says whether a person asked to cancel, and fails with
	// CodeConflict if the claim was lost.
	Beat(ctx context.Context, c Claim, p safepoint.Progress, lease time.Duration) (cancel bool, err error)
	// Finish stores the end of an operation: status, failure and every result field of op.
	Finish(ctx context.Context, c Claim, op safepoint.Operation) error
	// Orphans returns operations still "running" whose lease has run out, or that another process of node's machine
	// held (node is MACHINE "/" PROCESS), each freshly claimed for node. What node itself runs is never among them,
	// but for what a worker of its own began inside another operation that has ended since.
	Orphans(ctx context.Context, node string, lease time.Duration) ([]Claim, error)
}

// Worker carries out one claimed operation and returns it as it ended. ctx ends when a person cancels or the server
// must stop at once; the cause tells which first (ErrCancelled, ErrStopping). Stopping and Lost tell, of any context
// that comes from it, what happened since. report may be called often from one goroutine.
type Worker interface {
	Work(ctx context.Context, c Claim, report func(safepoint.Progress)) safepoint.Operation
	// Recover brings an operation that was left running to its end, services first: by a dead process, or by an earlier
	// Work or Recover of this one, whose result it is given.
	Recover(ctx context.Context, c Claim) safepoint.Operation
}

// hold is what became of a process's hold on an operation. Contexts carry it.
type hold struct {
	ops  context.Context // ends when the server stops
	lost atomic.Bool
}

type holdKey struct{}

// Stopping says that the server wants to stop, also where ctx ended for another reason before, or does not end at all.
func Stopping(ctx context.Context) bool {
	h, _ := ctx.Value(holdKey{}).(*hold)
	return h != nil && h.ops.Err() != nil || context.Cause(ctx) == ErrStopping
}

// Lost says that another process has taken the operation over: nothing may be done about it any more.
func Lost(ctx context.Context) bool {
	h, _ := ctx.Value(holdKey{}).(*hold)
	return h != nil && h.lost.Load()
}
