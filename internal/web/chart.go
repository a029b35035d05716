package web

import (
	"fmt"
	"html/template"
	"strings"
	"time"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/app"
)

// chart is a figure that the server draws: its words are HTML beside the drawing, so that they keep their size and their
// direction while the drawing stretches and is mirrored, and a table holds the same numbers.
type chart struct {
	ID, Title string
	Says      string // what there is to see, in a sentence
	SVG       template.HTML
	Top       string // what the upper edge stands for; the lower one is nothing
	From, To  string // dates at its ends
	Head      []string
	Rows      [][]string // newest first
	Empty     string     // said where there is nothing to draw
}

// mark is one point of a line.
type mark struct {
	at    time.Time
	value float64
}

const (
	chartWidth, chartHeight = 600.0, 160.0
	marksDrawn              = 120
)

// line draws marks from zero to top between two moments. The drawing is said by its figure's words, and hidden from readers.
func line(marks []mark, top float64, from, to time.Time) template.HTML {
	if len(marks) == 0 || top <= 0 || !to.After(from) {
		return ""
	}
	marks = sampled(marks, marksDrawn)
	span := to.Sub(from).Seconds()
	px := func(m mark) float64 { return min(max(m.at.Sub(from).Seconds()/span, 0), 1) * chartWidth }
	py := func(m mark) float64 { return chartHeight - min(m.value/top, 1)*chartHeight }
	var path strings.Builder
	for i, m := range marks {
		fmt.Fprintf(&path, "%c%.1f %.1f", "ML"[min(i, 1)], px(m), py(m))
	}
	first, last := marks[0], marks[len(marks)-1]
	return template.HTML(fmt.Sprintf(`<svg class="plot" viewBox="0 0 %.0f %.0f" preserveAspectRatio="none" aria-hidden="true"><path class="pl-g" d="M0 0H%.0fM0 %.0fH%.0f"/><path class="pl-a" d="%sL%.1f %.0fL%.1f %.0fZ"/><path class="pl-l" d="%s"/><path class="pl-p" d="M%.1f %.1fh.01"/></svg>`,
		chartWidth, chartHeight, chartWidth, chartHeight/2, chartWidth, path.String(), px(last), chartHeight, px(first), chartHeight, path.String(), px(last), py(last)))
}

// spell is a stretch of days with what became of their runs.
type spell struct {
	from              time.Time
	good, bad, missed int
}

// spells are the runs of the last days, by day, or by week where days are too many to be told apart.
func spells(c locale, runs []app.HealthRun, days int) (all []spell, weekly bool) {
	step := 1
	if days > 90 {
		step, weekly = 7, true
	}
	n := (days + step - 1) / step
	y, m, d := c.in(c.now).Date()
	for i := range n {
		all = append(all, spell{from: time.Date(y, m, d-(n-i)*step+1, 12, 0, 0, 0, c.loc)})
	}
	for _, r := range runs {
		i := n - 1 + (c.days(r.At)-step+1)/step
		if back := -c.days(r.At); back >= 0 {
			i = n - 1 - back/step
		}
		if i < 0 || i >= n {
			continue
		}
		switch r.Status {
		case safepoint.StatusSucceeded:
			all[i].good++
		case safepoint.StatusFailed:
			all[i].bad++
		case safepoint.StatusMissed:
			all[i].missed++
		}
	}
	return all, weekly
}

// bars draws spells as columns: what succeeded below, then what failed, then, hollow, what was missed.
func bars(all []spell) (svg template.HTML, top int) {
	for _, s := range all {
		top = max(top, s.good+s.bad+s.missed)
	}
	if top == 0 {
		return "", 0
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<svg class="plot bars" viewBox="0 0 %.0f %.0f" preserveAspectRatio="none" aria-hidden="true"><path class="pl-g" d="M0 %.0fH%.0f"/>`, chartWidth, chartHeight, chartHeight, chartWidth)
	column := chartWidth / float64(len(all))
	for i, s := range all {
		y := chartHeight
		for _, part := range []struct {
			class string
			n     int
		}{{"c-ok", s.good}, {"c-bad", s.bad}, {"c-miss", s.missed}} {
			if part.n == 0 {
				continue
			}
			h := chartHeight * float64(part.n) / float64(top)
			y -= h
			fmt.Fprintf(&b, `<rect class="%s" x="%.1f" y="%.1f" width="%.1f" height="%.1f"/>`, part.class, float64(i)*column+column*.12, y+1, column*.76, max(h-2, 1))
			if part.class == "c-bad" {
				x, w := float64(i)*column+column*.12, column*.76
				fmt.Fprintf(&b, `<path class="c-x" d="M%.1f %.1fL%.1f %.1fM%.1f %.1fL%.1f %.1f"/>`, x+w*.2, y+h*.2, x+w*.8, y+h*.8, x+w*.2, y+h*.8, x+w*.8, y+h*.2)
			}
		}
	}
	b.WriteString(`</svg>`)
	return template.HTML(b.String()), top
}
