package soak

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// figures are what all attempts of this process came to.
var figures tally

type tally struct {
	mu    sync.Mutex
	began time.Time
	lines []*figure
}

// figure is one kind of fault in one story on one engine.
type figure struct {
	engine, fault, story string
	points               map[string]bool
	runs, broken         int
	slowest              time.Duration // from the start of the server to the end of what was struck
	sum                  time.Duration // of whole attempts
}

func (f *tally) add(engine string, a *attempt, took, whole time.Duration, broken bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.began.IsZero() {
		f.began = time.Now().Add(-whole)
	}
	i := slices.IndexFunc(f.lines, func(l *figure) bool { return l.engine == engine && l.fault == a.fault && l.story == a.story.name })
	if i < 0 {
		i = len(f.lines)
		f.lines = append(f.lines, &figure{engine: engine, fault: a.fault, story: a.story.name, points: map[string]bool{}})
	}
	l := f.lines[i]
	l.points[a.point] = true
	l.runs++
	l.sum += whole
	l.slowest = max(l.slowest, took)
	if broken {
		l.broken++
	}
}

func (f *tally) total() (runs, broken int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, l := range f.lines {
		runs, broken = runs+l.runs, broken+l.broken
	}
	return runs, broken
}

func (f *tally) report() Report {
	runs, broken := f.total()
	f.mu.Lock()
	defer f.mu.Unlock()
	command := fmt.Sprintf("make soak ROUNDS=%d", *rounds)
	for _, chosen := range [][2]string{{"KIND", *kind}, {"MODE", *mode}, {"ENGINE", *on}} {
		if chosen[1] != "" {
			command += " " + chosen[0] + "=" + chosen[1]
		}
	}
	if *slow != 1 {
		command += fmt.Sprintf(" PATIENCE=%g", *slow)
	}
	r := Report{
		Command: command, Took: time.Since(f.began),
		Head: []string{"What breaks", "During", "On", "Points", "Runs", "Promises broken", "Slowest end", "Seconds a run"},
	}
	says := map[string]string{}
	for _, x := range faults() {
		says[x.name] = x.says
	}
	for _, l := range f.lines {
		r.Rows = append(r.Rows, []string{says[l.fault], l.story, l.engine, fmt.Sprint(len(l.points)), fmt.Sprint(l.runs), fmt.Sprint(l.broken),
			fmt.Sprintf("%.1f s", l.slowest.Seconds()), fmt.Sprintf("%.2f", l.sum.Seconds()/float64(l.runs))})
	}
	slices.SortStableFunc(r.Rows, func(a, b []string) int { return strings.Compare(a[0], b[0]) })
	r.Notes = []string{fmt.Sprintf("%d runs, of which %d broke a promise. The slowest end is counted from the start of Safepoint after what broke.", runs, broken)}
	r.Notes = append(r.Notes, callsMade()...)
	if *slow != 1 {
		r.Notes = append(r.Notes, fmt.Sprintf("The machine was busy with other work: an end might take %g times as long as promised before it counted as broken.", *slow))
	}
	return r
}
