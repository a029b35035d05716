package soak

import (
	"flag"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/safepoint-db/safepoint/internal/api/wire"
	"github.com/safepoint-db/safepoint/internal/pgtest"
)

// What to run. Without -rounds it is a sample that fits into CI.
var (
	rounds = flag.Int("rounds", 0, "how often each fault point is struck, on each engine; 0: a sample")
	kind   = flag.String("kind", "", "faults, separated by commas; all if empty")
	mode   = flag.String("mode", "", "stories, separated by commas; all if empty")
	on     = flag.String("engine", "", "sqlite, postgres or tenant (PostgreSQL as a user who may make no database); all if empty")
	only   = flag.String("point", "", "fault points, separated by commas; all if empty")
	out    = flag.String("out", "", "the page that gets the figures")
	slow   = flag.Float64("patience", 1, "how many times as long as promised an end may take: for a machine that is busy with other work")
	seed   = flag.Uint64("seed", uint64(time.Now().Unix()), "of what is drawn by lot")
)

func TestMain(m *testing.M) {
	flag.Parse()
	endWithin = time.Duration(float64(endWithin) * *slow)
	code := pgtest.Main(m)
	if bin, err := buildFaulty(); err == nil {
		os.RemoveAll(filepath.Dir(bin))
	}
	if n, broken := figures.total(); n > 0 {
		if *out != "" {
			if err := figures.report().Write(*out, section()); err != nil {
				fmt.Fprintln(os.Stderr, err)
				code = 1
			}
		}
		fmt.Printf("soak: %d runs, %d broke a promise\n", n, broken)
	}
	os.Exit(code)
}

// section of the page gets the figures: full disks, broken networks and failing calls have one each, beside that of kills.
func section() string {
	switch *kind {
	case "disk", "network", "call":
		return "faults-" + *kind
	}
	return "faults"
}

// perShop is after how many attempts a shop is made anew: its logs grow with each.
const perShop = 120

// TestSoak strikes everything, on both engines at once.
func TestSoak(t *testing.T) {
	t.Logf("seed %d", *seed)
	for _, engine := range []string{"sqlite", "postgres", "tenant"} {
		if *on != "" && *on != engine {
			continue
		}
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			for _, f := range faults() {
				if !chosen(*kind, f.name) && !chosen(*kind, strings.Split(f.name, "-")[0]) || f.onlyPG && engine == "sqlite" {
					continue
				}
				t.Run(f.name, func(t *testing.T) { soakWith(t, engine, f) })
			}
		})
	}
}

// job is one attempt to come.
type job struct {
	story *story
	point string
	round int
	call  int // which is to fail; 0 where it is none
}

// soakWith strikes with one kind of fault, story by story.
func soakWith(t *testing.T, engine string, f *fault) {
	unmet := map[string]int{} // calls that were not made so often after all
	next, stop := iter.Pull(jobs(engine, f, unmet))
	defer stop()
	for more, n := true, 0; more; n++ {
		t.Run(fmt.Sprintf("shop%d", n), func(t *testing.T) {
			var s *shop
			for range perShop {
				var j job
				if j, more = next(); !more {
					return
				}
				if s == nil {
					s = openShop(t, engine, f.options)
				}
				sound := t.Run(fmt.Sprintf("%s/%s/%d", j.story.name, j.point, j.round), func(t *testing.T) {
					a := &attempt{story: j.story, fault: f.name, point: j.point, nth: j.round, within: max(time.Duration(float64(f.within)**slow), endWithin)}
					s.attempt(t, a, f)
					if !a.met && j.call > 0 {
						unmet[j.likeIt()] = j.call
					}
				})
				if !sound {
					return // the next attempt gets a new shop
				}
			}
		})
	}
}

// jobs are all attempts that were asked for.
func jobs(engine string, f *fault, unmet map[string]int) iter.Seq[job] {
	return func(yield func(job) bool) {
		if f.counted {
			callJobs(engine, unmet, yield)
			return
		}
		for round := range max(1, *rounds) {
			for _, st := range stories() {
				if !isTold(engine, st) {
					continue
				}
				for i, point := range f.cases(st, engine, round) {
					if !chosen(*only, point) || *rounds == 0 && !sampled(f, st, engine, point, i) {
						continue
					}
					if !yield(job{story: st, point: point, round: round}) {
						return
					}
				}
			}
		}
	}
}

// isTold says whether a story was asked for, and is told on the engine.
func isTold(engine string, st *story) bool {
	return chosen(*mode, st.name) && (st.name == "inplace") == (engine == "tenant")
}

func chosen(list, name string) bool {
	return list == "" || slices.Contains(strings.Split(list, ","), name)
}

// attempt strikes once, and judges.
func (s *shop) attempt(t *testing.T, a *attempt, f *fault) (sound bool) {
	began := time.Now()
	var took time.Duration
	defer func() {
		if a.met || t.Failed() {
			figures.add(s.kind, a, took, time.Since(began), t.Failed())
		}
		if t.Failed() {
			t.Logf("to repeat it: make soak ROUNDS=%d KIND=%s MODE=%s ENGINE=%s POINT='%s' SEED=%d", a.nth+1, a.fault, a.story.name, s.kind, a.point, *seed)
			t.Logf("the server's log:\n%s", s.proc.log.String())
		}
	}()
	s.newDay(t)
	a.before = must[wire.Operation](t)(s.newest(a.story.typ)).ID
	if a.story.prepare != nil {
		a.story.prepare(s, t, a)
		if op, err := s.newest(a.story.typ); err == nil { // else it has stopped the server
			a.before = op.ID
		}
	}
	a.launched = time.Now()
	a.met = f.strike(s, t, a)
	took = s.awaitEnd(t, a)
	if took > endWithin/2 {
		s.sayWhereTimeWent(t, a, took)
	}
	s.oracle(t, a)
	if a.story.back != nil {
		a.story.back(s, t, a)
	}
	s.tidy(t)
	return !t.Failed()
}

// sayWhereTimeWent logs what was written meanwhile, of what came to a slow end.
func (s *shop) sayWhereTimeWent(t *testing.T, a *attempt, took time.Duration) {
	t.Helper()
	t.Logf("%s took %s, from %s:\n%s", a.point, took.Round(time.Millisecond), a.launched.UTC().Format(clockMillis), strings.Join(s.catalog(t, `SELECT strftime('%H:%M:%f', at / 1000.0, 'unixepoch') || ' ' || what FROM (
		SELECT at, 'step ' || step || ' ' || event || ': ' || detail AS what FROM journal WHERE operation_id = $1
		UNION ALL SELECT created_at, type || ' asked for' FROM operations WHERE $1 IN (id, restore_id)
		UNION ALL SELECT started_at, type || ' started' FROM operations WHERE $1 IN (id, restore_id)
		UNION ALL SELECT finished_at, type || ' ' || status FROM operations WHERE $1 IN (id, restore_id)) ORDER BY at`, a.op.ID), "\n"))
	t.Logf("the server's log:\n%s", s.proc.log.String())
}

const clockMillis = "15:04:05.000"

// newDay begins with an empty till.
func (s *shop) newDay(t *testing.T) {
	t.Helper()
	for of, at := range map[*till]string{s.till: "shop", s.other.till: "other"} {
		target := when(at == "shop", s.target, s.other.target)
		of.forget(func() { run(t, s.ours(target), "DELETE FROM orders WHERE id >= "+strconv.Itoa(firstOrder)) })
	}
	s.closed.forget(func() {})
	if !s.till.selling(10 * time.Second) {
		t.Fatal("the till does not sell")
	}
}

// tidy drops what restores keep for their window.
func (s *shop) tidy(t *testing.T) {
	t.Helper()
	for _, name := range s.leftovers(t) {
		s.drop(t, s.kept(name))
	}
	s.edit(t, `UPDATE operations SET undo_until = 0 WHERE undo_until > 0`)
}

// samples are what CI strikes of the faults that take long.
var samples = map[string][]string{
	"server":       {"restore/restore.stage.loaded", "restore/restore.guard.done", "restore/postgres.switch.sent", "undo/postgres.switchback.sent"},
	"both":         {"restore/restore.gate.closed", "restore/postgres.switch.sent"},
	"stop":         {"restore/restore.halt.each", "restore/restore.switch.before", "backup/backup.dump"},
	"network":      {"restore/"},
	"disk-catalog": {"restore/restore.guard.done", "restore/restore.gate.closed", "undo/restore.undo.sent"},
	"disk-storage": {"restore/backup.dump"},
	"disk-server":  {"restore/restore.stage.created"},
	"second":       {"restore/restore.gate.closed"},
	"call": {
		"restore/call:engine=error@4", "restore/call:engine=lost@8", "restore/call:storage=lost@9", "restore/call:halter=error@3", "restore/call:halter=lost@4+",
		"restore/call:catalog=error@13", "undo/call:engine=lost@4", "backup/call:storage=error@3+",
	},
}

// sampled says whether CI strikes there too.
func sampled(f *fault, st *story, engine, point string, i int) bool {
	if f.name != "kill" {
		return slices.ContainsFunc(samples[f.name], func(p string) bool { return p == st.name+"/"+point || p == st.name+"/" })
	}
	const every = 8
	if strings.HasPrefix(point, engine) {
		return i%2 == 0
	}
	return i%every == len(engine)%every
}
