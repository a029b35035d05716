package bench

import (
	"fmt"
	"html"
	"math"
	"strings"
)

// The plot's measures in pixels.
const (
	plotWidth  = 960
	labelWidth = 272
	barsWidth  = 420
	rowHeight  = 30
	barHeight  = 14
	headHeight = 62
)

// plotStyle has the console's colours (docs: internal/web's tokens.css), light and dark. Ours is ink, as its buttons
// are: colour stands for states only.
const plotStyle = `
  text { font: 13px system-ui, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; fill: #1c1b19; font-variant-numeric: tabular-nums }
  .title { font-size: 16px; font-weight: 620 } .muted { fill: #625f58 } .ours { font-weight: 620 }
  .ground { fill: #ffffff; stroke: #e3e1da } .grid { stroke: #e3e1da } .axis { fill: #625f58; font-size: 12px }
  .bar { fill: #b5b1a8 } .bar-ours { fill: #1f1e1c } .bar-limit { fill: none; stroke: #8b8780; stroke-dasharray: 4 3 } .span { stroke: #2b67d9; stroke-width: 2 }
  @media (prefers-color-scheme: dark) {
    text { fill: #edebe7 } .muted, .axis { fill: #a8a49c } .ground { fill: #1a1918; stroke: #302e2b } .grid { stroke: #302e2b }
    .bar { fill: #5d5952 } .bar-ours { fill: #edebe7 } .bar-limit { stroke: #777269 } .span { stroke: #6f9ff5 }
  }`

// plot draws the wall time of each contender as a bar, with the extremes as a line on it and the rest in words.
func plot(r *Result) string {
	var body strings.Builder
	y := 16
	for _, phase := range []Phase{Dump, Load, Tables} {
		y = panel(&body, r, phase, y)
	}
	fmt.Fprintf(&body, `<text class="axis" x="24" y="%d">%s</text>`+"\n", y+8, html.EscapeString(fmt.Sprintf(
		"Bars: median wall time; blue line: fastest to slowest run. %d cores, PostgreSQL %s, %.2f GB on disk, commit %s.", r.Machine.Cores, firstWord(r.Machine.PostgreSQL), float64(r.Machine.Database)/1e9, r.Machine.Commit)))
	height := y + 28
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %[1]d %[2]d" width="%[1]d" height="%[2]d" role="img" aria-label="Wall time of each contender; the same figures are in the table below it">
<style>%[3]s
</style>
<rect class="ground" x="0.5" y="0.5" width="%[4]d" height="%[5]d" rx="12"/>
%[6]s</svg>
`, plotWidth, height, plotStyle, plotWidth-1, height-1, body.String())
}

// panel draws one phase from y down and returns where the next begins.
func panel(b *strings.Builder, r *Result, phase Phase, y int) int {
	var shown []Contender
	longest := 0.0
	for _, c := range r.Contenders {
		if s := r.of(phase, c.Key, "wall"); c.Phase == phase && s.N > 0 {
			shown = append(shown, c)
			longest = max(longest, s.Max)
		}
	}
	if len(shown) == 0 {
		return y
	}
	title := titles[phase]
	if phase == Tables {
		title = fmt.Sprintf("Dump of %d tiny tables", r.Config.Tables)
	}
	step := niceStep(longest)
	scale := barsWidth / (math.Ceil(longest/step) * step)
	fmt.Fprintf(b, `<text class="title" x="24" y="%d">%s</text><text class="axis" x="%d" y="%d">seconds, less is better</text>`+"\n", y+22, title, labelWidth, y+22)
	top, bottom := y+headHeight-14, y+headHeight+len(shown)*rowHeight
	for at := 0.0; at <= math.Ceil(longest/step)*step+step/100; at += step {
		x := labelWidth + at*scale
		fmt.Fprintf(b, `<line class="grid" x1="%.1f" x2="%.1f" y1="%d" y2="%d"/><text class="axis" x="%.1f" y="%d" text-anchor="middle">%g</text>`+"\n", x, x, top, bottom, x, top-6, math.Round(at*1000)/1000)
	}
	for i, c := range shown {
		row(b, r, c, y+headHeight+i*rowHeight, scale)
	}
	return bottom + 24
}

func row(b *strings.Builder, r *Result, c Contender, y int, scale float64) {
	wall := r.of(c.Phase, c.Key, "wall")
	label, bar := "", "bar"
	switch {
	case c.Ours || c.Key == "ours-psql":
		label, bar = "ours", "bar-ours"
	case c.Limit:
		bar = "bar-limit"
	}
	mid := y + rowHeight/2
	fmt.Fprintf(b, `<text class="%s" x="%d" y="%d" text-anchor="end">%s</text>`, label, labelWidth-10, mid+4, html.EscapeString(shortName(c.Name)))
	fmt.Fprintf(b, `<rect class="%s" x="%d" y="%d" width="%.1f" height="%d" rx="2"/>`, bar, labelWidth, mid-barHeight/2, wall.Median*scale, barHeight)
	if wall.N > 1 {
		fmt.Fprintf(b, `<line class="span" x1="%.1f" x2="%.1f" y1="%d" y2="%d"/>`, labelWidth+wall.Min*scale, labelWidth+max(wall.Max, wall.Min+1/scale)*scale, mid, mid)
	}
	rest := fmt.Sprintf("%.1f CPU-s", r.of(c.Phase, c.Key, "cpu").Median)
	if size := r.of(c.Phase, c.Key, "size").Median; size > 0 {
		rest += ", " + megabytes(size)
	}
	if c.Ours {
		rest += fmt.Sprintf(", %.0f MiB", r.of(c.Phase, c.Key, "peak").Max/(1<<20))
	}
	fmt.Fprintf(b, `<text x="%d" y="%d"><tspan class="%s">%.2f s</tspan> <tspan class="muted">%s</tspan></text>`+"\n", labelWidth+barsWidth+16, mid+4, label, wall.Median, html.EscapeString(rest))
}

// megabytes is a size in three digits or more.
func megabytes(bytes float64) string {
	if bytes < 1e6 {
		return fmt.Sprintf("%.0f kB", bytes/1e3)
	}
	return fmt.Sprintf("%.*f MB", int(max(0, 2-math.Floor(math.Log10(bytes/1e6)))), bytes/1e6)
}

// shortName fits the label's column.
func shortName(s string) string {
	if len([]rune(s)) <= 38 {
		return s
	}
	return strings.TrimSpace(string([]rune(s)[:37])) + "…"
}

// niceStep is the distance of grid lines: 1, 2 or 5 times a power of ten, four to eight of them.
func niceStep(longest float64) float64 {
	if longest <= 0 {
		return 1
	}
	power := math.Pow(10, math.Floor(math.Log10(longest/5)))
	for _, f := range []float64{1, 2, 5, 10} {
		if longest/(f*power) <= 7 {
			return f * power
		}
	}
	return 10 * power
}

func firstWord(s string) string { w, _, _ := strings.Cut(s, " "); return w }
