package web

import (
	"fmt"
	"html/template"
	"strings"
)

// spark draws sizes as a line with its last point marked, on its own scale. Fewer than two points draw nothing.
// It is decoration beside the number and its change, which say the same in words.
func spark(v []int64) template.HTML {
	const w, h, pad = 84.0, 24.0, 3.0
	if len(v) < 2 {
		return ""
	}
	v = sampled(v, 40)
	lo, hi := float64(v[0]), float64(v[0])
	for _, x := range v {
		lo, hi = min(lo, float64(x)), max(hi, float64(x))
	}
	if hi-lo < hi*.02 || hi == lo {
		lo = hi*.98 - 1
	}
	px := func(i int) float64 { return pad + float64(i)*(w-2*pad)/float64(len(v)-1) }
	py := func(x int64) float64 { return h - pad - (float64(x)-lo)/(hi-lo)*(h-2*pad) }
	var p strings.Builder
	for i, x := range v {
		c := "L"
		if i == 0 {
			c = "M"
		}
		fmt.Fprintf(&p, "%s%.1f %.1f", c, px(i), py(x))
	}
	last := len(v) - 1
	return template.HTML(fmt.Sprintf(`<svg class="spark" viewBox="0 0 %.0f %.0f" aria-hidden="true"><path class="sp-a" d="%sL%.1f %.0fL%.1f %.0fZ"/><path class="sp-l" d="%s"/><circle cx="%.1f" cy="%.1f" r="2.25"/></svg>`,
		w, h, p.String(), px(last), h, px(0), h, p.String(), px(last), py(v[last])))
}

// sampled is at most n of v, evenly spread, with the first and the last of them.
func sampled[T any](v []T, n int) []T {
	if len(v) <= n {
		return v
	}
	out := make([]T, n)
	for i := range out {
		out[i] = v[i*(len(v)-1)/(n-1)]
	}
	return out
}
