package postgres

import (
	"bytes"
	"cmp"
	"context"
	"slices"
	"strings"
	"sync"

	"github.com/safepoint-db/safepoint/internal/archive"
)

// postData executes the post-data section: in its order, except that runs of indexes and keys, and runs of foreign keys,
// are made beside one another. Within such a run nothing depends on anything else but locks.
func (l *loader) postData(ctx context.Context, from, to int) error {
	if !l.parallel() {
		return l.inTurn(ctx, from, to)
	}
	p := &postData{l: l, weights: map[string]int64{}}
	for _, e := range l.r.Entries() {
		if e.Table != "" && e.RawLength >= light {
			p.weights[qualified(e.Schema, e.Table)] += e.RawLength
		}
	}
	for i := from; i < to; i++ {
		if err := p.frame(ctx, i); err != nil {
			return err
		}
	}
	return p.flush(ctx)
}

// postData cuts the section into what is executed in turn and what is executed together.
type postData struct {
	l       *loader
	weights map[string]int64 // bytes of rows, by table; none of those with a few

	entry archive.Entry // of the frame at hand
	plain []byte        // statements to be executed in turn, all of one frame
	jobs  []*job        // to be executed together, after plain
	bytes int           // that jobs take
}

// job is an index or constraint to be made, with what belongs to it.
type job struct {
	statements []string
	settings   string
	build      build
	weight     int64
	about      string // what it makes, for people; "" if nobody knows
	done       int    // statements that were executed
	then       *job   // to be begun when this one is done
}

// slowBuild is how many times as long as a B-tree an index of another kind takes, roughly.
const slowBuild = 5

// smallBuild is of how many bytes of rows an index is made before the disk has it.
const smallBuild = 256 << 10

// light is of how many bytes of rows it does not matter which index is made first.
const light = 16 << 10

const (
	maxRun  = 8 << 20 // bounds the bytes of jobs that are held in memory to be executed together
	jobCost = 512     // about what a job takes beside its statements
)

func (p *postData) frame(ctx context.Context, i int) error {
	e := p.l.r.Entry(i)
	p.entry = e
	if e.Kind != kindDDL {
		if err := p.flush(ctx); err != nil {
			return err
		}
		return p.l.frame(ctx, p.l.lead, i)
	}
	f, err := p.l.r.Frame(i)
	if err != nil {
		return &frameError{entry: e, err: err}
	}
	defer f.Close()
	sql, err := readStatements(f, e)
	if err != nil {
		return &frameError{entry: e, err: err}
	}
	var failed error
	err = checkScript(sql, func(statement []byte) {
		if failed == nil {
			failed = p.statement(ctx, statement)
		}
	})
	switch {
	case failed != nil:
		return failed
	case err != nil:
		return &frameError{entry: e, err: unfit("A part of it is not statements: %v.", err)}
	}
	// What is left of the frame is executed before the next begins: its objects are named in errors.
	return p.flushPlain(ctx)
}

func (p *postData) statement(ctx context.Context, statement []byte) error {
	p.l.settings.note(statement)
	bare := withoutComments(statement)
	b, ok := parseBuild(bare)
	if !ok && p.l.priv.putsOff(statement) {
		return nil // a comment on an index ends no run of them
	}
	if n := len(p.jobs); !ok && n > 0 && belongsToBuild(bare) {
		last := p.jobs[n-1]
		last.statements = append(last.statements, string(statement))
		last.build.alone = true
		return nil
	}
	if !ok || !p.l.parallel() {
		if setStatement.Match(bytes.TrimSpace(bare)) && len(p.jobs) > 0 {
			return nil // it is made wherever what follows is executed, and in the lead by flush
		}
		if err := p.flushJobs(ctx); err != nil {
			return err
		}
		p.plain = append(append(p.plain, statement...), '\n')
		return nil
	}
	if len(p.jobs) > 0 && (p.jobs[0].build.foreign != b.foreign || p.bytes > maxRun) {
		if err := p.flushJobs(ctx); err != nil {
			return err
		}
	}
	j := &job{statements: []string{string(statement)}, settings: p.l.settings.text, build: b, about: describe(statement)}
	for _, t := range b.tables {
		j.weight += p.weights[t]
	}
	if b.slow { // begun late it would keep all others waiting
		j.weight *= slowBuild
	}
	p.jobs = append(p.jobs, j)
	p.bytes += len(statement) + jobCost
	return nil
}

func (p *postData) flush(ctx context.Context) error {
	if err := p.flushPlain(ctx); err != nil {
		return err
	}
	return p.flushJobs(ctx)
}

// flushPlain executes what must be executed in turn. Jobs that were found since come after it.
func (p *postData) flushPlain(ctx context.Context) error {
	if len(p.plain) == 0 {
		return nil
	}
	sql := p.plain
	p.plain = nil
	if err := p.l.execute(ctx, p.l.lead, sql, p.entry); err != nil {
		return &frameError{entry: p.entry, err: err}
	}
	p.l.lead.made = "" // it may have made settings that are no longer the script's
	p.l.tell(func() { p.l.at.Table = ""; p.l.at.Bytes += int64(len(sql)) })
	return nil
}

// flushJobs executes the jobs together, and then in turn those that the server refused for the company they had.
func (p *postData) flushJobs(ctx context.Context) error {
	jobs := p.jobs
	p.jobs, p.bytes = nil, 0
	if len(jobs) == 0 {
		return nil
	}
	if err := p.flushPlain(ctx); err != nil {
		return err
	}
	first := jobs
	if jobs[0].build.foreign {
		var err error
		if first, err = p.l.chain(ctx, jobs); err != nil {
			return err
		}
	}
	q := newQueue(first)
	workers := p.l.workers()
	err := p.l.together(ctx, p.l.sessions(), func(ctx context.Context, s *loadSession) error {
		defer context.AfterFunc(ctx, q.wakeAll)()
		for {
			j := q.take(ctx, slices.Contains(workers, s))
			if j == nil {
				return nil
			}
			err := p.l.build(ctx, s, j)
			q.finish(j)
			if err != nil && !mayTryAgain(err) {
				return j.failed(err)
			}
		}
	})
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return err
	}
	for _, j := range jobs {
		if err := p.l.build(ctx, p.l.lead, j); err != nil {
			return j.failed(err)
		}
	}
	return p.l.settings.make(ctx, p.l.lead)
}

// failed says what could not be made.
func (j *job) failed(err error) error {
	e := archive.Entry{Section: archive.PostData, Kind: kindDDL}
	if j.about != "" {
		e.Objects = []string{j.about}
	}
	return &frameError{entry: e, err: err}
}

// build executes what is left of a job.
func (l *loader) build(ctx context.Context, s *loadSession, j *job) error {
	if j.done == len(j.statements) {
		return nil
	}
	if err := s.set(ctx, j.settings); err != nil {
		return err
	}
	for ; j.done < len(j.statements); j.done++ {
		statement := j.statements[j.done]
		if err := s.conn.Exec(ctx, statement).Close(); err != nil {
			return err
		}
		l.tell(func() { l.at.Table = ""; l.at.Bytes += int64(len(statement)) })
	}
	return nil
}

// mayTryAgain says that a statement failed for a reason that may be gone when nothing else is going on: not for its
// rows (class 23), for want of room (53), or because the session was ended (57).
func mayTryAgain(err error) bool {
	code := state(err)
	return code != "" && !strings.HasPrefix(code, "23") && !strings.HasPrefix(code, "53") && !strings.HasPrefix(code, "57")
}

// queue gives out jobs, those of the most rows first, so that no two are at work which would wait for one another.
type queue struct {
	mu    sync.Mutex
	wake  sync.Cond
	jobs  []*job         // not begun, by weight
	using map[string]int // tables at work: how many share it, -1 for one alone
}

func newQueue(jobs []*job) *queue {
	q := &queue{jobs: slices.Clone(jobs), using: map[string]int{}}
	q.wake.L = &q.mu
	slices.SortStableFunc(q.jobs, byWeight)
	return q
}

func byWeight(a, b *job) int { return cmp.Compare(b.weight, a.weight) }

// take waits for a job that can be done now: for a worker the one of the most rows, for others the one of the fewest, if
// they are few. It returns nil when all such jobs are begun, or ctx ends.
func (q *queue) take(ctx context.Context, worker bool) *job {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.jobs) > 0 && ctx.Err() == nil {
		if worker {
			for i, j := range q.jobs {
				if q.free(j.build) {
					return q.begin(i)
				}
			}
		} else {
			if q.jobs[len(q.jobs)-1].weight > smallBuild {
				return nil
			}
			for i := len(q.jobs) - 1; i >= 0 && q.jobs[i].weight <= smallBuild; i-- {
				if q.free(q.jobs[i].build) {
					return q.begin(i)
				}
			}
		}
		q.wake.Wait()
	}
	return nil
}

// begin takes a job out. The caller holds the lock.
func (q *queue) begin(i int) *job {
	j := q.jobs[i]
	if i == 0 {
		q.jobs = q.jobs[1:] // of a hundred thousand, none is moved
	} else {
		q.jobs = slices.Delete(q.jobs, i, i+1)
	}
	q.use(j.build, 1)
	return j
}

func (q *queue) free(b build) bool {
	for _, t := range b.tables {
		if n := q.using[t]; n < 0 || n > 0 && b.alone {
			return false
		}
	}
	return true
}

func (q *queue) use(b build, n int) {
	for _, t := range b.tables {
		if b.alone {
			q.using[t] = -max(n, 0)
		} else {
			q.using[t] += n
		}
	}
}

// finish lets begin what waited for a job. What waited for one that was refused is made in turn, after it.
func (q *queue) finish(j *job) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.use(j.build, -1)
	if j.then != nil && j.done == len(j.statements) {
		at, _ := slices.BinarySearchFunc(q.jobs, j.then, byWeight)
		q.jobs = slices.Insert(q.jobs, at, j.then)
	}
	q.wake.Broadcast()
}

func (q *queue) wakeAll() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.wake.Broadcast()
}
