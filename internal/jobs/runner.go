package jobs

import (
	"context"
	"crypto/rand"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/fault"
)

// Causes for which the context of an operation ends. They are *safepoint.Error, fit to be the operation's failure.
var (
	ErrCancelled = safepoint.Errorf(safepoint.CodeCancelled, "Cancelled by a person.")
	ErrStopping  = safepoint.Errorf(safepoint.CodeInterrupted, "The server was stopped in the middle of it.")
	ErrLost      = safepoint.Errorf(safepoint.CodeInterrupted, "Another process has taken this over.")
	ErrNoBeat    = safepoint.Errorf(safepoint.CodeInterrupted, "Safepoint could not write its own catalog for too long.").
			WithHint("Look at the disk of its data folder, and start it again.")
)

// Config says what a Runner works with. Zero fields take the value named.
type Config struct {
	Store    Store
	Worker   Worker
	Node     string                    // this machine's name; "local"
	Workers  int                       // backups at once; 4
	Restores int                       // restores at once, beside them: none waits behind backups of others; 4
	Lease    time.Duration             // how long a silent process keeps its operations; 60 s
	Every    time.Duration             // how often to look for due times and queued operations; 5 s
	Grace    time.Duration             // how long running operations may go on when Run is to end; 10 s
	Clock    Clock                     // the system's
	OnChange func(safepoint.Operation) // an operation changed: its ID may be "" where runs came due. Must be quick
	Log      *slog.Logger              // none
}

// Runner decides and runs. Make one with New, then call Run once.
type Runner struct {
	Config
	node string

	mu      sync.Mutex
	woken   chan struct{} // closed and replaced by Wake
	running map[safepoint.OperationType]int

	work sync.WaitGroup          // operations being carried out
	stop context.CancelCauseFunc // ends their contexts
	ops  context.Context
}

// New makes a Runner.
func New(c Config) *Runner {
	if c.Node == "" {
		c.Node = "local"
	}
	if c.Workers <= 0 {
		c.Workers = 4
	}
	if c.Restores <= 0 {
		c.Restores = 4
	}
	if c.Lease <= 0 {
		c.Lease = time.Minute
	}
	if c.Every <= 0 {
		c.Every = 5 * time.Second
	}
	if c.Grace <= 0 {
		c.Grace = 10 * time.Second
	}
	if c.Clock == nil {
		c.Clock = systemClock{}
	}
	if c.OnChange == nil {
		c.OnChange = func(safepoint.Operation) {}
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	r := &Runner{Config: c, woken: make(chan struct{}), running: map[safepoint.OperationType]int{}}
	// Each process is another node on its machine: what an earlier one left running is nobody's.
	r.node = strings.ReplaceAll(c.Node, "/", "-") + "/" + strings.ToLower(rand.Text()[:8])
	r.ops, r.stop = context.WithCancelCause(context.Background())
	return r
}

// Node is the name under which this process claims operations: MACHINE "/" PROCESS.
func (r *Runner) Node() string { return r.node }

// Wake makes the Runner look at once: something was queued, or a person asked to cancel.
func (r *Runner) Wake() {
	r.mu.Lock()
	defer r.mu.Unlock()
	close(r.woken)
	r.woken = make(chan struct{})
}

func (r *Runner) wakeUp() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.woken
}

// Run first brings to an end what dead processes left running, then starts what is due and what is queued, until ctx
// ends. Then it starts nothing more, lets running operations go on for Grace, ends them with ErrStopping, and returns
// once all have ended.
func (r *Runner) Run(ctx context.Context) error {
	defer r.shutDown()
	var looked time.Time // for orphans, last
	for ctx.Err() == nil {
		woken := r.wakeUp()
		if now := r.Clock.Now(); looked.IsZero() || now.Sub(looked) >= r.Lease || now.Before(looked) {
			if r.recover(ctx, looked.IsZero()) {
				looked = now
			}
		}
		if !looked.IsZero() {
			r.queueDue(ctx)
			r.startQueued(ctx)
		}
		tick, release := r.Clock.After(r.Every)
		select {
		case <-tick:
		case <-woken:
		case <-ctx.Done():
		}
		release()
	}
	return nil
}

// RunRecovery brings to an end what dead processes left running, as Run does first, and starts nothing. What cannot be
// ended within a while is left to the next process. It is called instead of Run.
func (r *Runner) RunRecovery(ctx context.Context) (asked bool) {
	defer r.shutDown()
	return r.recover(ctx, true)
}

func (r *Runner) shutDown() {
	done := make(chan struct{})
	go func() {
		r.work.Wait()
		close(done)
	}()
	grace, release := r.Clock.After(r.Grace)
	defer release()
	select {
	case <-done:
	case <-grace:
	}
	r.stop(ErrStopping)
	<-done
}

// recoverPatience is how long the first claims wait for recoveries. What is still recovering then is safe from them:
// it is still "running" in the store.
const recoverPatience = time.Minute

// recover takes over what dead processes left running. first waits for it. It says whether the store could be asked.
func (r *Runner) recover(ctx context.Context, first bool) bool {
	claims, err := r.Store.Orphans(ctx, r.node, r.Lease)
	if err != nil {
		if ctx.Err() == nil {
			r.Log.Error("cannot look for interrupted operations", "error", err)
		}
		return false
	}
	var tried sync.WaitGroup
	fault.Point("jobs.orphans")
	for _, c := range claims {
		r.Log.Info("recovering an interrupted operation", "operation", c.Operation.ID, "type", c.Operation.Type)
		tried.Add(1)
		once := sync.OnceFunc(tried.Done)
		r.begin(c, func(ctx context.Context, c Claim, report func(safepoint.Progress)) safepoint.Operation {
			defer once()
			return r.recovery(ctx, c, report)
		})
	}
	if first && len(claims) > 0 {
		done := make(chan struct{})
		go func() {
			tried.Wait()
			close(done)
		}()
		patience, release := r.Clock.After(recoverPatience)
		defer release()
		select {
		case <-done:
		case <-patience:
		case <-ctx.Done():
		}
	}
	return true
}

// recovery is Worker.Recover as an action. Only the server's stop ends its context: a recovery is not cancelled.
func (r *Runner) recovery(ctx context.Context, c Claim, _ func(safepoint.Progress)) safepoint.Operation {
	return r.Worker.Recover(context.WithValue(r.ops, holdKey{}, ctx.Value(holdKey{})), c)
}

// queueDue turns due times into queued operations.
func (r *Runner) queueDue(ctx context.Context) {
	states, err := r.Store.ScheduleStates(ctx)
	if err != nil {
		if ctx.Err() == nil {
			r.Log.Error("cannot read the schedules", "error", err)
		}
		return
	}
	for _, s := range states {
		run, missed := s.Due(s.Done, r.Clock.Now())
		if run.IsZero() {
			continue
		}
		fault.Point("schedule.due")
		recorded, err := r.Store.RecordDue(ctx, s, run, missed)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			r.Log.Error("cannot record a due run", "schedule", s.ID, "error", err)
		case recorded:
			fault.Point("schedule.recorded")
			if len(missed) > 0 {
				r.Log.Warn("runs were missed", "schedule", s.ID, "runs", len(missed), "first", missed[0])
			}
			r.OnChange(safepoint.Operation{OrganizationID: s.OrganizationID, DatabaseID: s.DatabaseID, ScheduleID: s.ID})
		}
	}
}

// startQueued starts queued operations while there is room for them.
func (r *Runner) startQueued(ctx context.Context) {
	for ctx.Err() == nil {
		only, any := r.room()
		if !any {
			return
		}
		c, err := r.Store.ClaimNext(ctx, r.node, r.Lease, only...)
		if err != nil {
			if ctx.Err() == nil {
				r.Log.Error("cannot claim an operation", "error", err)
			}
			return
		}
		if c == nil {
			return
		}
		fault.Point("jobs.claimed")
		r.begin(*c, r.Worker.Work)
	}
}

// room says for which types there is room; an empty only is every type.
func (r *Runner) room() (only []safepoint.OperationType, any bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	backup, restore := r.running[safepoint.TypeBackup] < r.Workers, r.running[safepoint.TypeRestore] < r.Restores
	switch {
	case backup && !restore:
		only = append(only, safepoint.TypeBackup)
	case restore && !backup:
		only = append(only, safepoint.TypeRestore)
	}
	return only, backup || restore
}

// begin carries out a claimed operation in the background.
func (r *Runner) begin(c Claim, act action) {
	r.count(c, 1)
	r.OnChange(c.Operation)
	r.work.Go(func() {
		r.carry(c, act)
		r.count(c, -1)
		r.Wake() // what waited for it can start
	})
}

func (r *Runner) count(c Claim, n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.running[c.Operation.Type] += n
}
