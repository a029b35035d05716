// Package jobs decides when things run and on which node: it turns due times of schedules into queued operations and
// gives each queued operation to one worker, once, under a lease that a crash lets run out.
package jobs

import (
	"context"
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
	// nil means there is nothing to do.
	ClaimNext(ctx context.Context, node string, lease time.Duration) (*Claim, error)
	// Beat extends the lease and stores progress. It says whether a person asked to cancel, and fails with
	// CodeConflict if the claim was lost.
	Beat(ctx context.Context, c Claim, p safepoint.Progress, lease time.Duration) (cancel bool, err error)
	// Finish stores the end of an operation: status, failure and every result field of op.
	Finish(ctx context.Context, c Claim, op safepoint.Operation) error
	// Orphans returns operations still "running" whose lease has run out, or that another process of node's machine
	// held (node is MACHINE "/" PROCESS), each freshly claimed for node. What node itself runs is never among them.
	Orphans(ctx context.Context, node string, lease time.Duration) ([]Claim, error)
}

// Worker carries out one claimed operation and returns it as it ended. ctx ends when a person cancels or the server
// must stop at once; the cause tells which (ErrCancelled, ErrStopping). report may be called often from one goroutine.
type Worker interface {
	Work(ctx context.Context, c Claim, report func(safepoint.Progress)) safepoint.Operation
	// Recover brings an operation that a dead process left running to its end, services first.
	Recover(ctx context.Context, c Claim) safepoint.Operation
}
