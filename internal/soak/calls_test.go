package soak

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/safepoint-db/safepoint/internal/api/wire"
)

// countOnly is the point of an attempt in which nothing fails, and the calls are counted.
const countOnly = "calls=count"

// perRound is about how many calls of one kind one round lets fail, each in each way.
const perRound = 6

// callKinds are whose calls fail.
var callKinds = []string{"engine", "storage", "halter", "catalog"}

// made is how many calls of each kind a story makes where nothing fails, by engine and story.
var made struct {
	sync.Mutex
	calls map[string]map[string]int
}

func callsOf(engine string, story *story) map[string]int {
	made.Lock()
	defer made.Unlock()
	return made.calls[engine+" "+story.name]
}

// hasCalls says whether calls of a story are let fail: not of one that does its work at the start of the server.
func hasCalls(story *story) bool {
	switch story.name {
	case "recovery", "schedule", "clean":
		return false
	}
	return true
}

// callJobs are a run of each story that counts its calls, and then as many attempts as were asked for: calls of each
// kind, each failing once, losing its answer once, or failing from then on. A round takes every k-th call, so that there
// are about perRound of them, and the next one those behind them, until none is left.
func callJobs(engine string, unmet map[string]int, yield func(job) bool) {
	for _, st := range stories() {
		if !hasCalls(st) || !isTold(engine, st) {
			continue
		}
		if *only != "" || *rounds == 0 {
			for _, point := range wantedCalls(st) {
				if !yield(job{story: st, point: point}) {
					return
				}
			}
			continue
		}
		if !yield(job{story: st, point: countOnly}) {
			return
		}
		calls := callsOf(engine, st)
		for round := range *rounds {
			for _, kind := range callKinds {
				every := (calls[kind] + perRound - 1) / perRound
				for _, how := range []string{"error@%d", "lost@%d", "error@%d+"} {
					if kind == "catalog" && how == "lost@%d" {
						continue // it is a file: what was committed is never answered with an error
					}
					for n := round + 1; round < every && n <= calls[kind]; n += every {
						j := job{story: st, point: "call:" + kind + "=" + fmt.Sprintf(how, n), round: round, call: n}
						if last := unmet[j.likeIt()]; last > 0 && n >= last {
							break
						}
						if !yield(j) {
							return
						}
					}
				}
			}
		}
	}
}

// likeIt is what a job has in common with those in which another call fails.
func (j job) likeIt() string {
	what, how, _ := strings.Cut(j.point, "@")
	return j.story.name + " " + what + strings.TrimLeft(how, "0123456789")
}

// wantedCalls are the calls that were asked for by name, or that CI lets fail.
func wantedCalls(st *story) (points []string) {
	for _, point := range strings.Split(*only, ",") {
		if strings.HasPrefix(point, "call:") {
			points = append(points, point)
		}
	}
	if *only != "" {
		return points
	}
	for _, sample := range samples["call"] {
		if name, point, _ := strings.Cut(sample, "/"); name == st.name {
			points = append(points, point)
		}
	}
	return points
}

// countCalls lets the story go on in peace, and counts.
func (s *shop) countCalls(t *testing.T, a *attempt) bool {
	s.proc.arm(t, countOnly)
	a.launched = time.Now()
	if err := a.story.begin(s, t, a); err != nil {
		t.Fatal(err)
	}
	s.until(t, "an end of it", 60*time.Second, func() bool { return s.endedNow(t, a) })
	counts := map[string]int{}
	said, err := os.ReadFile(s.proc.faults + ".met")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(said)) {
		var kind string
		var n int
		if _, err := fmt.Sscanf(line, "%s %d", &kind, &n); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		counts[kind] = n
	}
	s.proc.arm(t, "")
	made.Lock()
	defer made.Unlock()
	if made.calls == nil {
		made.calls = map[string]map[string]int{}
	}
	made.calls[when(s.tenant, "tenant", s.kind)+" "+a.story.name] = counts
	t.Logf("%s makes these calls: %v", a.story.name, counts)
	return false
}

// callsMade says how many calls there were to let fail.
func callsMade() []string {
	made.Lock()
	defer made.Unlock()
	if len(made.calls) == 0 {
		return nil
	}
	var says []string
	for _, what := range slices.Sorted(maps.Keys(made.calls)) {
		engine, story, _ := strings.Cut(what, " ")
		n := made.calls[what]
		says = append(says, fmt.Sprintf("%s on %s %d, %d, %d, %d", story, engine, n["engine"], n["storage"], n["halter"], n["catalog"]))
	}
	return []string{"Calls of engine, storage, services and catalog where nothing fails: " + strings.Join(says, "; ") + fmt.Sprintf(". A round takes about %d of each.", perRound)}
}

// failCalls lets a call fail. What fails for good is mended after a while, and the server restarted.
func failCalls(s *shop, t *testing.T, a *attempt) bool {
	if a.point == countOnly {
		return s.countCalls(t, a)
	}
	s.proc.arm(t, a.point)
	err := a.story.begin(s, t, a)
	forGood := strings.HasSuffix(a.point, "+")
	a.launched = time.Now()
	if err == nil || s.findOp(t, a) {
		limit := time.After(when(forGood, 1500*time.Millisecond, 60*time.Second))
	wait:
		for {
			select {
			case <-limit:
				break wait
			case <-time.After(20 * time.Millisecond):
				if s.endedNow(t, a) {
					break wait
				}
			}
		}
	}
	struck := s.proc.met()
	if forGood && struck {
		a.person = true
		s.restart(t, a)
		if a.story.name == "test" { // whoever tested the service was told that it is halted
			s.resumeAll(t)
		}
	}
	s.proc.arm(t, "")
	return struck
}

// resumeAll does what a person does on the Services page.
func (s *shop) resumeAll(t *testing.T) {
	t.Helper()
	services := must[[]wire.Service](t)(s.api.Services(context.Background()))
	if err := s.api.ResumeService(context.Background(), services[0].ID); err != nil {
		t.Errorf("G4: a person cannot resume: %v", err)
	}
}
