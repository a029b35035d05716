package web

import (
	"fmt"
	"html/template"
	"strings"
	"time"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/app"
	"github.com/safepoint-db/safepoint/internal/language"
)

// runState is one cell of the 30-day strip; its text is the cell's class.
type runState string

const (
	runOK        runState = "ok"
	runBad       runState = "bad"
	runMissed    runState = "miss"
	runNow       runState = "run"
	runNext      runState = "next"
	runOff       runState = "off"
	runCancelled runState = "cancel"
)

const stripDays = 30

// stripDay is one column: its runs, the first of the day at the bottom.
type stripDay struct {
	date time.Time
	runs []runState
}

// strip is the last 30 days of a schedule, a day a column, in the organization's zone.
type strip struct {
	c                            locale
	days                         []stripDay
	good, bad, missed, cancelled int
}

func newStrip(c locale, card app.ScheduleCard) strip {
	s := strip{c: c}
	for i := range stripDays {
		y, m, d := c.in(c.now).Date()
		s.days = append(s.days, stripDay{date: time.Date(y, m, d-stripDays+1+i, 12, 0, 0, 0, c.loc)})
	}
	put := func(t time.Time, r runState) bool {
		i := stripDays - 1 + c.days(t)
		if i < 0 || i >= stripDays {
			return false
		}
		s.days[i].runs = append(s.days[i].runs, r)
		return true
	}
	for _, op := range card.Runs {
		r := stateOfRun(op.Status)
		if !put(dueOrMade(op), r) {
			continue
		}
		switch r {
		case runOK:
			s.good++
		case runBad:
			s.bad++
		case runMissed:
			s.missed++
		case runCancelled:
			s.cancelled++
		}
	}
	if card.IsActive {
		for t := card.Schedule.NextRun(c.now); c.days(t) == 0; t = card.Schedule.NextRun(t) {
			put(t, runNext)
		}
		return s
	}
	for i, d := range s.days {
		if len(d.runs) == 0 && !card.DisabledAt.IsZero() && d.date.After(card.DisabledAt) {
			s.days[i].runs = []runState{runOff}
		}
	}
	return s
}

func dueOrMade(op safepoint.Operation) time.Time {
	if !op.DueAt.IsZero() {
		return op.DueAt
	}
	return op.CreatedAt
}

func stateOfRun(s safepoint.Status) runState {
	switch s {
	case safepoint.StatusSucceeded:
		return runOK
	case safepoint.StatusFailed:
		return runBad
	case safepoint.StatusMissed:
		return runMissed
	case safepoint.StatusCancelled:
		return runCancelled
	}
	return runNow
}

// Narrow is the strip of a card, Wide the one of the details page.
func (s strip) Narrow() template.HTML { return s.svg(10, 2.6) }
func (s strip) Wide() template.HTML   { return s.svg(25, 4) }

// total is how many runs of the strip have ended.
func (s strip) total() int { return s.good + s.bad + s.missed + s.cancelled }

// Text is the count under the strip: "88 of 89 runs succeeded, 1 failed".
func (s strip) Text() template.HTML {
	if s.total() == 0 {
		return s.c.HTML("No runs yet")
	}
	parts := []string{string(s.c.CountHTML(s.total(), "**{good}** of {n} run succeeded", "**{good}** of {n} runs succeeded", "good", s.good))}
	if s.bad > 0 {
		parts = append(parts, `<b class="bad">`+string(s.c.CountHTML(s.bad, "{n} failed", "{n} failed"))+`</b>`)
	}
	for _, more := range s.more() {
		parts = append(parts, template.HTMLEscapeString(more))
	}
	return template.HTML(strings.Join(parts, ", "))
}

// label says the whole strip in words.
func (s strip) label() string {
	if s.total() == 0 {
		return s.c.Say("No runs in the last 30 days")
	}
	parts := []string{s.c.Count(s.total(), "{good} of {n} run succeeded in the last 30 days", "{good} of {n} runs succeeded in the last 30 days", "good", s.good)}
	if s.bad > 0 {
		parts = append(parts, s.c.Count(s.bad, "{n} failed", "{n} failed"))
	}
	return strings.Join(append(parts, s.more()...), ", ")
}

// more counts the runs that neither succeeded nor failed.
func (s strip) more() (parts []string) {
	if s.missed > 0 {
		parts = append(parts, s.c.Count(s.missed, "{n} missed", "{n} missed"))
	}
	if s.cancelled > 0 {
		parts = append(parts, s.c.Count(s.cancelled, "{n} cancelled", "{n} cancelled"))
	}
	return parts
}

// svg draws the strip.
func (s strip) svg(column, gap float64) template.HTML {
	const height = 30.0
	var b strings.Builder
	fmt.Fprintf(&b, `<svg class="strip" viewBox="0 0 %.1f %.0f" role="img" aria-label="%s">`, stripDays*column-gap, height, template.HTMLEscapeString(s.label()))
	for i, d := range s.days {
		x, w := float64(i)*column, column-gap
		if len(d.runs) == 0 {
			fmt.Fprintf(&b, `<g><title>%s</title><rect class="c-none" x="%.1f" y="%.1f" width="3" height="3" rx="1.5"/></g>`, s.dayTitle(d), x+w/2-1.5, height-3)
			continue
		}
		fmt.Fprintf(&b, `<g><title>%s</title>`, s.dayTitle(d))
		n, between := float64(len(d.runs)), 2.6
		if n > 4 {
			between = 1
		}
		h := max((height-(n-1)*between)/n, .8)
		for j, r := range d.runs {
			drawRun(&b, r, x, height-float64(j+1)*h-float64(j)*between, w, h)
		}
		b.WriteString(`</g>`)
	}
	b.WriteString(`</svg>`)
	return template.HTML(b.String())
}

func drawRun(b *strings.Builder, r runState, x, y, w, h float64) {
	in := 0.0
	if r == runMissed || r == runNext || r == runCancelled {
		in = .6
	}
	fmt.Fprintf(b, `<rect class="c-%s" x="%.1f" y="%.2f" width="%.1f" height="%.2f" rx="2"/>`, r, x+in, y+in, w-2*in, max(h-2*in, .4))
	if r == runBad && h > 4 {
		cx, cy, k := x+w/2, y+h/2, 1.7
		fmt.Fprintf(b, `<path class="c-x" d="M%.1f %.1fl%.1f %.1fm0 %.1fl%.1f %.1f"/>`, cx-k, cy-k, 2*k, 2*k, -2*k, -2*k, 2*k)
	}
}

// dayTitle says a column in words: "Mon 9 Nov: 1 failed, 2 succeeded".
func (s strip) dayTitle(d stripDay) string {
	n := map[runState]int{}
	for _, r := range d.runs {
		n[r]++
	}
	var parts []string
	for _, r := range []runState{runBad, runMissed, runCancelled, runNow, runOK, runNext, runOff} {
		if n[r] > 0 {
			parts = append(parts, runWords(s.c, r, n[r], len(d.runs) == 1))
		}
	}
	if len(parts) == 0 {
		parts = []string{s.c.Say("no run due")}
	}
	return template.HTMLEscapeString(s.c.Say("{day}: {runs}", "day", s.c.weekdayDate(d.date), "runs", strings.Join(parts, ", ")))
}

// runWords says what became of n runs of a day; alone, of its only one.
func runWords(c locale, r runState, n int, alone bool) string {
	if r == runOff {
		return c.Say("schedule disabled")
	}
	if alone {
		return c.Say(aloneWords[r])
	}
	switch r {
	case runBad:
		return c.Count(n, "{n} failed", "{n} failed")
	case runMissed:
		return c.Count(n, "{n} missed", "{n} missed")
	case runCancelled:
		return c.Count(n, "{n} cancelled", "{n} cancelled")
	case runNow:
		return c.Count(n, "{n} running", "{n} running")
	case runNext:
		return c.Count(n, "{n} still to come", "{n} still to come")
	}
	return c.Count(n, "{n} succeeded", "{n} succeeded")
}

var aloneWords = map[runState]string{
	runOK: language.Mark("succeeded"), runBad: language.Mark("failed"), runMissed: language.Mark("missed"), runCancelled: language.Mark("cancelled"),
	runNow: language.Mark("running"), runNext: language.Mark("still to come"),
}
