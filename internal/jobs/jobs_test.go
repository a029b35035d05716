package jobs_test

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/catalog"
	"github.com/safepoint-db/safepoint/internal/jobs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	patience = time.Minute
	every    = 5 * time.Second
	lease    = time.Minute
	grace    = 11 * time.Second
)

// clock stands still until a test moves it. Waits are by elapsed time, as with the monotonic clock; Jump only changes
// what Now says.
type clock struct {
	mu      sync.Mutex
	wall    time.Time
	elapsed time.Duration
	waits   map[*wait]bool
	changed chan struct{} // closed and replaced when waits are added
}

type wait struct {
	length time.Duration
	at     time.Duration
	c      chan time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.wall
}

func (c *clock) After(d time.Duration) (<-chan time.Time, func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	w := &wait{d, c.elapsed + d, make(chan time.Time, 1)}
	c.waits[w] = true
	close(c.changed)
	c.changed = make(chan struct{})
	return w.c, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.waits, w)
	}
}

func (c *clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wall, c.elapsed = c.wall.Add(d), c.elapsed+d
	for w := range c.waits {
		if w.at <= c.elapsed {
			w.c <- c.wall
			delete(c.waits, w)
		}
	}
}

func (c *clock) Jump(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wall = c.wall.Add(d)
}

// waited says whether somebody waits for d.
func (c *clock) waited(d time.Duration) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for w := range c.waits {
		if w.length == d {
			return true
		}
	}
	return false
}

// waiting returns once somebody waits for d: with the Runner's Every, it has done all there was to do.
func (c *clock) waiting(t *testing.T, d time.Duration) {
	t.Helper()
	deadline := time.After(patience)
	for {
		c.mu.Lock()
		changed := c.changed
		c.mu.Unlock()
		if c.waited(d) {
			return
		}
		select {
		case <-changed:
		case <-deadline:
			t.Fatalf("nobody waits for %v", d)
		}
	}
}

// worker does what a test says: it hands over each operation and ends it when told how.
type worker struct {
	started chan *task
	recover func(jobs.Claim) safepoint.Operation
	work    func(context.Context, jobs.Claim) safepoint.Operation // instead, if a test has its own
}

type task struct {
	jobs.Claim
	ctx    context.Context
	report func(safepoint.Progress)
	end    chan safepoint.Status
}

func (w *worker) Work(ctx context.Context, c jobs.Claim, report func(safepoint.Progress)) safepoint.Operation {
	if w.work != nil {
		return w.work(ctx, c)
	}
	t := &task{c, ctx, report, make(chan safepoint.Status, 1)}
	w.started <- t
	op := c.Operation
	select {
	case op.Status = <-t.end:
		if op.Status == "panic" {
			panic("on purpose")
		}
	case <-ctx.Done():
		e := safepoint.UserError(context.Cause(ctx))
		op.Status, op.Failure = safepoint.StatusFailed, &safepoint.Failure{Code: e.Code, Message: e.Message}
		if context.Cause(ctx) == jobs.ErrCancelled {
			op.Status = safepoint.StatusCancelled
		}
	}
	return op
}

func (w *worker) Recover(_ context.Context, c jobs.Claim) safepoint.Operation { return w.recover(c) }

// bench is a Runner on a real catalog with two databases.
type bench struct {
	t       *testing.T
	ctx     context.Context
	clock   *clock
	catalog *catalog.Catalog
	store   jobs.Store // the catalog, unless a test puts something before it
	path    string
	db      *sql.DB // the test's own sessions
	worker  *worker
	runner  *jobs.Runner
	stop    func()
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{t: t, ctx: t.Context(), path: filepath.Join(tempDir(t), "catalog.db")}
	b.clock = &clock{wall: time.Date(2026, 11, 22, 14, 0, 0, 0, time.UTC), waits: map[*wait]bool{}, changed: make(chan struct{})}
	var err error
	b.catalog, err = catalog.Open(b.ctx, b.path)
	b.ok(err)
	t.Cleanup(func() { b.catalog.Close() })
	b.catalog.Now = b.clock.Now
	b.worker = &worker{started: make(chan *task, 100), recover: func(c jobs.Claim) safepoint.Operation {
		c.Operation.Status = safepoint.StatusFailed
		c.Operation.Failure = &safepoint.Failure{Code: safepoint.CodeInterrupted, Message: "recovered"}
		return c.Operation
	}}
	b.sql(`INSERT INTO organizations (id, name, time_zone, undo_window_ms, created_at) VALUES ('org_a', 'A', 'Europe/Berlin', 0, 1)`)
	for _, id := range []string{"db_1", "db_2"} {
		b.sql(`INSERT INTO databases (id, organization_id, name, engine, created_at, created_by, created_by_name) VALUES ($1, 'org_a', $1, 'sqlite', 1, '', '')`, id)
	}
	return b
}

func (b *bench) ok(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) sql(query string, args ...any) {
	b.t.Helper()
	if b.db == nil {
		var err error
		b.db, err = sql.Open("sqlite", "file:"+b.path+"?_pragma=busy_timeout(10000)")
		b.ok(err)
		b.t.Cleanup(func() { b.db.Close() })
	}
	_, err := b.db.ExecContext(b.ctx, query, args...)
	b.ok(err)
}

func (b *bench) schedule(id, database string, i safepoint.Interval, anchor time.Time) {
	b.t.Helper()
	b.sql(`INSERT INTO schedules (id, organization_id, database_id, name, interval_ms, anchor, created_at, created_by, created_by_name, enabled_at)
		VALUES ($1, 'org_a', $2, $1, $3, $4, 1, '', '', $4)`, id, database, time.Duration(i).Milliseconds(), anchor.UnixMilli())
}

// start starts a process, as it were.
func (b *bench) start() {
	b.t.Helper()
	if b.store == nil {
		b.store = b.catalog
	}
	b.runner = jobs.New(jobs.Config{Store: b.store, Worker: b.worker, Node: "here", Workers: 2, Lease: lease, Every: every, Grace: grace, Clock: b.clock})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		b.runner.Run(ctx)
	}()
	b.stop = sync.OnceFunc(func() {
		cancel()
		for deadline := time.After(patience); ; {
			select {
			case <-done:
				return
			case <-deadline:
				b.t.Error("Run does not end")
				return
			case <-time.After(time.Millisecond):
				if b.clock.waited(grace) {
					b.clock.Advance(grace)
				}
			}
		}
	})
	b.t.Cleanup(b.stop)
	b.clock.waiting(b.t, every)
}

// tick lets time pass until the Runner has looked again.
func (b *bench) tick(d time.Duration) {
	b.t.Helper()
	b.clock.waiting(b.t, every)
	b.clock.Advance(d)
	b.clock.waiting(b.t, every)
}

func (b *bench) next() *task {
	b.t.Helper()
	select {
	case t := <-b.worker.started:
		return t
	case <-time.After(patience):
		b.t.Fatal("nothing started")
		return nil
	}
}

func (b *bench) none() {
	b.t.Helper()
	select {
	case t := <-b.worker.started:
		b.t.Fatalf("started %+v", t.Operation)
	default:
	}
}

func (b *bench) manual(database string) safepoint.Operation {
	b.t.Helper()
	op, err := b.catalog.CreateOperation(b.ctx, safepoint.Operation{OrganizationID: "org_a", DatabaseID: database, DatabaseName: database,
		Engine: safepoint.SQLite, Type: safepoint.TypeBackup, Trigger: safepoint.TriggerManual, Name: database})
	b.ok(err)
	return op
}

// await polls an operation until it is as it should be.
func (b *bench) await(id string, is func(safepoint.Operation) bool) safepoint.Operation {
	b.t.Helper()
	for deadline := time.Now().Add(patience); ; {
		op, err := b.catalog.Operation(b.ctx, "org_a", id)
		b.ok(err)
		if is(op) {
			return op
		}
		if time.Now().After(deadline) {
			b.t.Fatalf("it stays %+v", op)
		}
	}
}

func status(s safepoint.Status) func(safepoint.Operation) bool {
	return func(op safepoint.Operation) bool { return op.Status == s }
}

func (b *bench) runs(schedule string) map[safepoint.Status]int {
	b.t.Helper()
	ops, err := b.catalog.ScheduleRuns(b.ctx, "org_a", schedule, time.UnixMilli(1))
	b.ok(err)
	count := map[safepoint.Status]int{}
	for _, op := range ops {
		count[op.Status]++
	}
	return count
}

func (b *bench) hasRun(schedule, want string) {
	b.t.Helper()
	if got := strings.TrimPrefix(fmt.Sprint(b.runs(schedule)), "map"); got != want {
		b.t.Errorf("runs %s, want %s", got, want)
	}
}

// succeed ends a task and waits until that is stored.
func (b *bench) succeed(t *task) safepoint.Operation {
	b.t.Helper()
	t.end <- safepoint.StatusSucceeded
	return b.await(t.Operation.ID, status(safepoint.StatusSucceeded))
}

func TestRunsWhatIsQueued(t *testing.T) {
	b := newBench(t)
	b.start()
	op := b.manual("db_1")
	b.runner.Wake()
	task := b.next()
	if task.Operation.ID != op.ID || task.Operation.Status != safepoint.StatusRunning || task.Node != b.runner.Node() {
		t.Errorf("%+v", task.Claim)
	}
	op = b.succeed(task)
	if op.StartedAt.IsZero() || op.FinishedAt.IsZero() {
		t.Errorf("%+v", op)
	}
}

func TestTwoDueAtOnce(t *testing.T) {
	b := newBench(t)
	at := b.clock.Now().Add(time.Hour)
	b.schedule("sch_1", "db_1", safepoint.Every8Hours, at)
	b.schedule("sch_2", "db_2", safepoint.Every8Hours, at)
	b.schedule("sch_3", "db_1", safepoint.Every8Hours, at) // of the same database: one after the other
	b.start()
	b.tick(time.Hour - time.Second)
	b.none()
	b.tick(every)
	first, second := b.next(), b.next()
	if first.Operation.DatabaseID == second.Operation.DatabaseID {
		t.Error("two at once on one database")
	}
	b.tick(every)
	b.none()
	b.succeed(first)
	b.succeed(second)
	b.succeed(b.next())
	for _, s := range []string{"sch_1", "sch_2", "sch_3"} {
		b.hasRun(s, "[succeeded:1]")
	}
}

// Down over several due times: one run on return, the others are told; and none twice after the next restart.
func TestRestarts(t *testing.T) {
	b := newBench(t)
	b.schedule("sch_1", "db_1", safepoint.Every8Hours, b.clock.Now())
	b.start()
	b.succeed(b.next())
	b.stop()
	b.hasRun("sch_1", "[succeeded:1]")
	b.clock.Advance(33 * time.Hour)
	b.start()
	b.succeed(b.next())
	b.stop()
	b.hasRun("sch_1", "[missed:3 succeeded:2]")
	b.start()
	b.tick(every)
	b.none()
	b.hasRun("sch_1", "[missed:3 succeeded:2]")
}

func TestLongerThanItsInterval(t *testing.T) {
	b := newBench(t)
	b.schedule("sch_1", "db_1", safepoint.Every8Hours, b.clock.Now())
	b.start()
	long := b.next()
	for range 3 {
		b.tick(8 * time.Hour)
		b.tick(every)
	}
	b.none()
	b.hasRun("sch_1", "[missed:2 queued:1 running:1]")
	b.succeed(long)
	b.succeed(b.next())
}

func TestClockJumps(t *testing.T) {
	b := newBench(t)
	b.schedule("sch_1", "db_1", safepoint.Every8Hours, b.clock.Now())
	b.keepTime()
	b.start()
	b.succeed(b.next())
	b.clock.Jump(-time.Hour)
	b.tick(every)
	b.none()
	b.clock.Jump(time.Hour + 100*24*time.Hour) // ahead by a hundred days
	b.keepTime()
	b.tick(every)
	b.succeed(b.next())
	b.clock.Jump(-100 * 24 * time.Hour)
	b.tick(every)
	b.none() // of now there is a run already
	b.clock.Jump(8 * time.Hour)
	b.tick(every)
	b.succeed(b.next())
	b.stop()
	b.hasRun("sch_1", "[succeeded:3]")
}

// keepTime is what housekeeping does besides.
func (b *bench) keepTime() {
	b.t.Helper()
	_, err := b.catalog.KeepTime(b.ctx, 0)
	b.ok(err)
}

func TestDisableStopsTheQueuedRun(t *testing.T) {
	b := newBench(t)
	b.schedule("sch_1", "db_1", safepoint.Every8Hours, b.clock.Now().Add(time.Hour))
	b.start()
	b.manual("db_1")
	b.runner.Wake()
	busy := b.next()
	b.tick(time.Hour)
	b.hasRun("sch_1", "[queued:1]")
	b.sql(`UPDATE schedules SET is_active = 0`)
	b.succeed(busy)
	b.tick(every)
	b.tick(24 * time.Hour)
	b.none()
	b.hasRun("sch_1", "[cancelled:1]")
}

func TestCancel(t *testing.T) {
	b := newBench(t)
	b.start()
	op := b.manual("db_1")
	b.runner.Wake()
	b.next()
	b.clock.waiting(t, 500*time.Millisecond) // it beats
	_, err := b.catalog.AskCancel(b.ctx, "org_a", op.ID)
	b.ok(err)
	b.runner.Wake()
	op = b.await(op.ID, status(safepoint.StatusCancelled))
	if op.Failure.Code != safepoint.CodeCancelled {
		t.Errorf("%+v", op.Failure)
	}
}

func TestProgress(t *testing.T) {
	b := newBench(t)
	b.start()
	op := b.manual("db_1")
	b.runner.Wake()
	task := b.next()
	beat := func(p safepoint.Progress, after time.Duration) safepoint.Progress {
		t.Helper()
		task.report(p)
		b.clock.waiting(t, 500*time.Millisecond)
		b.clock.Advance(after)
		return b.await(op.ID, func(op safepoint.Operation) bool { return op.Progress.Bytes == p.Bytes && op.Progress.Phase == p.Phase }).Progress
	}
	if p := beat(safepoint.Progress{Phase: "dump", Bytes: 1000, Percent: 10}, time.Second); p.SecondsETA != 0 || p.Rate != 0 || p.Percent != 10 {
		t.Errorf("at first: %+v", p)
	}
	if p := beat(safepoint.Progress{Phase: "dump", Bytes: 6000, Percent: 8}, 4*time.Second); p.Rate != 1250 || p.Percent != 10 {
		t.Errorf("then: %+v", p)
	}
	if p := beat(safepoint.Progress{Phase: "dump", Bytes: 26000, Percent: 50}, 5*time.Second); p.Rate != 2777 || p.SecondsETA != 10 || !p.At.Equal(b.clock.Now()) {
		t.Errorf("after ten seconds: %+v", p)
	}
	if p := beat(safepoint.Progress{Phase: "verify", Bytes: 10, Percent: 90}, time.Second); p.Rate != 0 || p.Percent != 90 {
		t.Errorf("another phase: %+v", p)
	}
	task.end <- safepoint.StatusSucceeded
}

// A process that is told to stop lets short work end, and ends long work with a cause.
func TestStops(t *testing.T) {
	b := newBench(t)
	b.start()
	op := b.manual("db_1")
	b.runner.Wake()
	b.next()
	b.manual("db_2")
	b.stop()
	op = b.await(op.ID, status(safepoint.StatusFailed))
	if op.Failure.Code != safepoint.CodeInterrupted {
		t.Errorf("%+v", op.Failure)
	}
	b.start() // nothing is lost
	if task := b.next(); task.Operation.DatabaseID != "db_2" {
		t.Errorf("%+v", task.Operation)
	}
}

// What a dead process left running is recovered before anything starts; a recovery that cannot end yet goes on.
func TestRecovery(t *testing.T) {
	b := newBench(t)
	dead := b.manual("db_1")
	if _, err := b.catalog.ClaimNext(b.ctx, "here/dead", lease); err != nil {
		t.Fatal(err)
	}
	b.manual("db_2")
	tries := make(chan int, 10)
	n := 0
	b.worker.recover = func(c jobs.Claim) safepoint.Operation {
		if n == 0 && len(b.worker.started) > 0 {
			t.Error("something was started before what was interrupted was looked at")
		}
		if n++; n == 3 {
			c.Operation.Status = safepoint.StatusFailed
		}
		tries <- n
		return c.Operation
	}
	b.start()
	<-tries
	b.next().end <- safepoint.StatusSucceeded // of another database: is not held up for long
	for len(tries) < 2 {
		b.tick(every)
	}
	b.await(dead.ID, status(safepoint.StatusFailed))
}

// A worker that breaks costs its own operation only, and its recovery is asked to put things right.
func TestPanic(t *testing.T) {
	b := newBench(t)
	b.start()
	op := b.manual("db_1")
	b.runner.Wake()
	b.next().end <- "panic"
	b.clock.waiting(t, 500*time.Millisecond)
	for b.await(op.ID, func(safepoint.Operation) bool { return true }).Status == safepoint.StatusRunning {
		b.tick(every)
	}
	if op = b.await(op.ID, status(safepoint.StatusFailed)); op.Failure.Message != "recovered" {
		t.Errorf("%+v", op.Failure)
	}
}

// What a worker stored before it broke is what its recovery sees: a restore that halted services has to resume them.
func TestPanicRecoversWhatWasStored(t *testing.T) {
	b := newBench(t)
	seen := make(chan safepoint.Operation, 10)
	b.worker.recover = func(c jobs.Claim) safepoint.Operation {
		seen <- c.Operation
		panic("again")
	}
	b.start()
	op := b.manual("db_1")
	b.runner.Wake()
	task := b.next()
	stored := task.Operation
	stored.Step, stored.HaltedAt, stored.SafetyID = safepoint.StepGuard, b.clock.Now(), "op_safety"
	b.ok(b.catalog.SaveOperation(b.ctx, task.Claim, stored))
	task.end <- "panic"
	for len(seen) == 0 {
		b.tick(every)
	}
	if got := <-seen; got.HaltedAt.IsZero() || got.SafetyID != "op_safety" {
		t.Errorf("recovered with %+v", got)
	}
	if op = b.await(op.ID, status(safepoint.StatusFailed)); op.SafetyID != "op_safety" || op.HaltedAt.IsZero() {
		t.Errorf("its end forgot what was stored: %+v", op)
	}
}

// A recovery that could not end is given what the try before it returned.
func TestRecoveryGoesOnWhereItWas(t *testing.T) {
	b := newBench(t)
	tries := make(chan string, 10)
	b.worker.recover = func(c jobs.Claim) safepoint.Operation {
		tries <- c.Operation.SafetyID
		if c.Operation.SafetyID += "x"; len(c.Operation.SafetyID) == 3 {
			c.Operation.Status = safepoint.StatusFailed
		}
		return c.Operation
	}
	b.start()
	op := b.manual("db_1")
	b.runner.Wake()
	b.next().end <- safepoint.StatusRunning
	for len(tries) < 3 {
		b.tick(every)
	}
	b.await(op.ID, status(safepoint.StatusFailed))
	if got := []string{<-tries, <-tries, <-tries}; fmt.Sprint(got) != "[ x xx]" {
		t.Errorf("%q", got)
	}
}

// A restore does not wait behind the backups of other databases.
func TestRestoresHaveTheirOwnRoom(t *testing.T) {
	b := newBench(t)
	b.sql(`INSERT INTO databases (id, organization_id, name, engine, created_at, created_by, created_by_name) VALUES ('db_3', 'org_a', 'db_3', 'sqlite', 1, '', ''), ('db_4', 'org_a', 'db_4', 'sqlite', 1, '', '')`)
	b.start()
	source := b.manual("db_3")
	b.runner.Wake()
	b.succeed(b.next())
	b.manual("db_1")
	b.manual("db_2")
	b.runner.Wake()
	first, second := b.next(), b.next()
	b.manual("db_4")
	_, err := b.catalog.CreateOperation(b.ctx, safepoint.Operation{OrganizationID: "org_a", DatabaseID: "db_3", DatabaseName: "db_3",
		Engine: safepoint.SQLite, Type: safepoint.TypeRestore, Trigger: safepoint.TriggerManual, SourceID: source.ID})
	b.ok(err)
	b.runner.Wake()
	restore := b.next()
	if restore.Operation.Type != safepoint.TypeRestore {
		t.Errorf("%+v", restore.Operation)
	}
	b.tick(every)
	b.none() // the other backup waits for room
	b.succeed(first)
	b.succeed(b.next())
	b.succeed(second)
	b.succeed(restore)
}

// deafStore is a catalog whose heartbeats cannot be stored for a while.
type deafStore struct {
	*catalog.Catalog
	deaf atomic.Bool
}

func (s *deafStore) Beat(ctx context.Context, c jobs.Claim, p safepoint.Progress, lease time.Duration) (bool, error) {
	if s.deaf.Load() {
		return false, fmt.Errorf("no space left on device")
	}
	return s.Catalog.Beat(ctx, c, p, lease)
}

// A process that cannot store its heartbeats stops acting, but where nobody took over, the end is stored.
func TestDeafStore(t *testing.T) {
	b := newBench(t)
	deaf := &deafStore{Catalog: b.catalog}
	b.store = deaf
	b.start()
	op := b.manual("db_1")
	b.runner.Wake()
	task := b.next()
	deaf.deaf.Store(true)
	for deadline := time.Now().Add(patience); context.Cause(task.ctx) == nil; runtime.Gosched() {
		if b.clock.waited(500 * time.Millisecond) {
			b.clock.Advance(every)
		}
		if time.Now().After(deadline) {
			t.Fatal("it goes on")
		}
	}
	if context.Cause(task.ctx) != jobs.ErrNoBeat || jobs.Lost(task.ctx) {
		t.Error(context.Cause(task.ctx))
	}
	b.await(op.ID, status(safepoint.StatusFailed))
}

// What is cancelled and then hangs on its way back still hears that the server stops.
func TestStoppingIsHeardAfterACancel(t *testing.T) {
	b := newBench(t)
	returned := make(chan context.Context, 1)
	go0 := make(chan struct{})
	b.worker.work = func(ctx context.Context, c jobs.Claim) safepoint.Operation {
		<-ctx.Done()
		returned <- context.WithoutCancel(ctx)
		<-go0
		c.Operation.Status = safepoint.StatusFailed
		return c.Operation
	}
	b.start()
	op := b.manual("db_1")
	b.runner.Wake()
	b.await(op.ID, status(safepoint.StatusRunning))
	b.clock.waiting(t, 500*time.Millisecond) // it beats
	_, err := b.catalog.AskCancel(b.ctx, "org_a", op.ID)
	b.ok(err)
	b.runner.Wake()
	ctx := <-returned
	if jobs.Stopping(ctx) {
		t.Error("it stops for a cancel of one operation")
	}
	go func() {
		for !jobs.Stopping(ctx) {
			runtime.Gosched()
		}
		close(go0)
	}()
	b.stop()
	b.await(op.ID, status(safepoint.StatusFailed))
}

// A process that was overtaken stops, and changes nothing any more.
func TestLostLease(t *testing.T) {
	b := newBench(t)
	b.start()
	op := b.manual("db_1")
	b.runner.Wake()
	task := b.next()
	b.clock.waiting(t, 500*time.Millisecond) // it beats
	b.sql(`UPDATE operations SET fence = fence + 1, node = 'there/1'`)
	b.tick(every)
	select {
	case <-task.ctx.Done():
	case <-time.After(patience):
		t.Fatal("it goes on")
	}
	if context.Cause(task.ctx) != jobs.ErrLost || !jobs.Lost(context.WithoutCancel(task.ctx)) {
		t.Error(context.Cause(task.ctx))
	}
	b.stop()
	b.await(op.ID, status(safepoint.StatusRunning))
}

// A hundred simulated days of two nodes, absences and jumps, on the real catalog: each due time is there once.
func TestSimulation(t *testing.T) {
	b := newBench(t)
	r := rand.New(rand.NewPCG(1, 2))
	begin := b.clock.Now()
	for n, i := range safepoint.Intervals {
		b.schedule(fmt.Sprint("sch_", n), []string{"db_1", "db_2"}[n%2], i, begin.Add(time.Duration(n)*time.Minute))
	}
	var nodes []*jobs.Runner
	for range 2 {
		nodes = append(nodes, jobs.New(jobs.Config{Store: b.catalog, Worker: b.worker, Clock: b.clock}))
	}
	for b.clock.Now().Sub(begin) < 100*24*time.Hour {
		node := nodes[r.IntN(2)]
		node.QueueDue(b.ctx)
		for range r.IntN(3) {
			c, err := b.catalog.ClaimNext(b.ctx, node.Node(), lease)
			b.ok(err)
			if c != nil {
				op := c.Operation
				op.Status = safepoint.StatusSucceeded
				b.ok(b.catalog.Finish(b.ctx, *c, op))
			}
		}
		step := time.Duration(r.Int64N(int64(12 * time.Hour)))
		switch r.IntN(30) {
		case 0:
			step *= 30
		case 1:
			step = -step / 12
		}
		b.clock.Jump(step)
	}
	for _, node := range nodes {
		node.QueueDue(b.ctx)
	}
	for n, i := range safepoint.Intervals {
		ops, err := b.catalog.ScheduleRuns(b.ctx, "org_a", fmt.Sprint("sch_", n), time.UnixMilli(1))
		b.ok(err)
		at := begin.Add(time.Duration(n) * time.Minute)
		for _, op := range ops {
			if !op.DueAt.Equal(at) {
				t.Fatalf("every %s: %v follows, not %v", i, op.DueAt, at)
			}
			at = at.Add(time.Duration(i))
		}
		if at.Sub(b.clock.Now()) > 2*time.Duration(i) || !at.After(b.clock.Now()) {
			t.Errorf("every %s: %d due times, up to %v at %v", i, len(ops), at, b.clock.Now())
		}
	}
}
