package many

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// phase is what clients may read: before and after the switch under way, which are the same when none is.
type phase struct {
	n        int // of the switch
	from, to int // what the marker says
}

// crowd are clients at work on one database. Each reads a pair of markers, which are the same number in every state the
// database was ever in, and half of them write.
type crowd struct {
	connect string
	think   time.Duration
	now     atomic.Pointer[phase]
	all     []*worker
	work    sync.WaitGroup
	stop    context.CancelFunc
}

// worker is one client. It keeps its connection until that fails, and then makes another at once.
type worker struct {
	crowd *crowd
	id    int
	conn  *pgx.Conn
	turn  int
	seen  phase // the switch it saw last, and what it read then

	mu     sync.Mutex
	reads  int
	errors map[int]int           // by switch
	waits  map[int]time.Duration // longest, by switch: from asking until an answer, over as many tries as it takes
	wrong  []string
	sample error
}

func startCrowd(t *testing.T, clients int, connect string, think time.Duration) *crowd {
	t.Helper()
	ctx, cancel := background(t)
	c := &crowd{connect: connect, think: think, stop: cancel}
	c.now.Store(&phase{0, 1, 1})
	for i := range clients {
		w := &worker{crowd: c, id: i, errors: map[int]int{}, waits: map[int]time.Duration{}}
		c.all = append(c.all, w)
		c.work.Go(func() { w.run(ctx) })
	}
	t.Cleanup(c.end)
	eventually(t, "every client reads", func() bool {
		return !slices.ContainsFunc(c.all, func(w *worker) bool { return w.count() == 0 })
	})
	return c
}

func (c *crowd) end() {
	c.stop()
	c.work.Wait()
}

func (w *worker) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.reads
}

func (w *worker) run(ctx context.Context) {
	defer func() {
		if w.conn != nil {
			w.conn.Close(context.WithoutCancel(ctx))
		}
	}()
	pace := time.NewTicker(w.crowd.think)
	defer pace.Stop()
	for ctx.Err() == nil {
		w.once(ctx)
		select {
		case <-pace.C:
		case <-ctx.Done():
		}
	}
}

// once asks until there is an answer.
func (w *worker) once(ctx context.Context) {
	for began := time.Now(); ; {
		before := *w.crowd.now.Load()
		a, b, err := w.read(ctx)
		after := *w.crowd.now.Load()
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			w.answered(before, after, a, b, time.Since(began))
			return
		}
		w.failed(before, err)
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			return
		}
	}
}

// read asks for both markers: in one statement, in a transaction of two, or in one that writes as well.
func (w *worker) read(ctx context.Context) (a, b int, err error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	defer func() {
		if err != nil && w.conn != nil {
			w.conn.Close(context.WithoutCancel(ctx))
			w.conn = nil
		}
	}()
	if w.conn == nil {
		cfg, err := pgx.ParseConfig(w.crowd.connect)
		if err != nil {
			return 0, 0, err
		}
		cfg.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol
		if w.conn, err = pgx.ConnectConfig(ctx, cfg); err != nil {
			return 0, 0, err
		}
	}
	w.turn++
	if w.turn%2 == 0 {
		err = w.conn.QueryRow(ctx, "SELECT (SELECT v FROM pair_a), (SELECT v FROM pair_b)").Scan(&a, &b)
		return a, b, err
	}
	tx, err := w.conn.Begin(ctx)
	if err != nil {
		return 0, 0, err
	}
	if err = tx.QueryRow(ctx, "SELECT v FROM pair_a").Scan(&a); err == nil && w.id%2 == 0 {
		_, err = tx.Exec(ctx, fmt.Sprintf("INSERT INTO hits VALUES (%d, %d)", w.id, w.turn))
	}
	if err == nil {
		err = tx.QueryRow(ctx, "SELECT v FROM pair_b").Scan(&b)
	}
	if err == nil {
		err = tx.Commit(ctx)
	}
	return a, b, err
}

func (w *worker) answered(before, after phase, a, b int, wait time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.reads++
	w.waits[before.n] = max(w.waits[before.n], wait)
	switch {
	case a != b:
		w.wrong = append(w.wrong, fmt.Sprintf("client %d read %d and %d together", w.id, a, b))
	case !slices.Contains([]int{before.from, before.to, after.from, after.to}, a):
		w.wrong = append(w.wrong, fmt.Sprintf("client %d read %d, where %d was", w.id, a, before.from))
	case before.n == after.n && w.seen.n == before.n && w.seen.to == before.to && a != before.to:
		w.wrong = append(w.wrong, fmt.Sprintf("client %d read %d after %d, during switch %d", w.id, a, w.seen.to, before.n))
	}
	w.seen = phase{n: after.n, to: a}
}

func (w *worker) failed(during phase, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.errors[during.n]++
	w.sample = err
}

// begin says that a switch from what is there to what the marker will say then is about to be asked for.
func (c *crowd) begin(to int) {
	was := c.now.Load()
	c.now.Store(&phase{was.n + 1, was.to, to})
}

// settled says that the switch has ended: from now on only the new state may be read, and every client must.
func (c *crowd) settled(t *testing.T) {
	t.Helper()
	was := c.now.Load()
	c.now.Store(&phase{was.n, was.to, was.to})
	before := make([]int, len(c.all))
	for i, w := range c.all {
		before[i] = w.count()
	}
	eventually(t, "every client reads again", func() bool {
		for i, w := range c.all {
			if w.count() < before[i]+2 {
				return false
			}
		}
		return true
	})
}

// tally is what the clients saw.
type tally struct {
	Reads, Errors int
	MostErrors    int             // of one client during one switch
	Waits         []time.Duration // the longest of any client, by switch
	Wrong         []string
	Sample        error
}

func (c *crowd) tally() tally {
	var all tally
	last := c.now.Load().n
	all.Waits = make([]time.Duration, last)
	for _, w := range c.all {
		w.mu.Lock()
		all.Reads += w.reads
		for _, n := range w.errors {
			all.Errors += n
			all.MostErrors = max(all.MostErrors, n)
		}
		for n := range last {
			all.Waits[n] = max(all.Waits[n], w.waits[n+1])
		}
		all.Wrong = append(all.Wrong, w.wrong...)
		if w.sample != nil {
			all.Sample = w.sample
		}
		w.mu.Unlock()
	}
	return all
}

// percentile of a sample, 0 for none.
func percentile(sample []time.Duration, p float64) time.Duration {
	if len(sample) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(sample))
	return sorted[min(len(sorted)-1, int(p*float64(len(sorted))))]
}
