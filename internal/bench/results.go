package bench

import (
	"fmt"
	"math"
	"slices"
)

// Spread is the median of a contender's runs with their extremes.
type Spread struct {
	Median, Min, Max float64
	N                int
}

func spread(values []float64) Spread {
	if len(values) == 0 {
		return Spread{Median: math.NaN(), Min: math.NaN(), Max: math.NaN()}
	}
	v := slices.Sorted(slices.Values(values))
	n := len(v)
	return Spread{Median: (v[(n-1)/2] + v[n/2]) / 2, Min: v[0], Max: v[n-1], N: n}
}

// measures are what a row can be asked for.
var measures = map[string]func(Row) float64{
	"wall":   func(r Row) float64 { return r.Wall },
	"client": func(r Row) float64 { return r.ClientCPU },
	"server": func(r Row) float64 { return r.ServerCPU },
	"cpu":    func(r Row) float64 { return r.ClientCPU + r.ServerCPU },
	"size":   func(r Row) float64 { return float64(r.Size) },
	"peak":   func(r Row) float64 { return float64(r.Peak) },
	"tree":   func(r Row) float64 { return float64(r.PeakTree) },
	"others": func(r Row) float64 { return r.Foreign },
}

// of is the spread of one measure over a contender's runs.
func (r *Result) of(phase Phase, key, measure string) Spread {
	var values []float64
	for _, row := range r.Rows {
		if row.Phase == phase && row.Contender == key {
			values = append(values, measures[measure](row))
		}
	}
	return spread(values)
}

// Verdict is a goal and what came of it.
type Verdict struct {
	Goal
	Ours, Peer Spread
	Ratio      float64 // of the medians; for an absolute goal, our worst run
	Met        bool
}

// verdicts judges every goal for which both sides ran.
func (r *Result) verdicts() (all []Verdict) {
	for _, g := range goals(r.Machine.Libzstd) {
		v := Verdict{Goal: g, Ours: r.of(g.Phase, g.Ours, g.Measure)}
		if v.Ours.N == 0 {
			continue
		}
		v.Ratio = v.Ours.Max
		if g.Peer != "" {
			if v.Peer = r.of(g.Phase, g.Peer, g.Measure); v.Peer.N == 0 {
				continue
			}
			v.Ratio = v.Ours.Median / v.Peer.Median
		}
		v.Met = v.Ratio <= g.AtMost
		all = append(all, v)
	}
	return all
}

// name is how a contender of a phase is called.
func (r *Result) name(phase Phase, key string) string {
	for _, c := range r.Contenders {
		if c.Phase == phase && c.Key == key {
			return c.Name
		}
	}
	return key
}

func (v Verdict) text(measure string, s Spread) string {
	switch measure {
	case "size":
		return fmt.Sprintf("%.1f MB", s.Median/1e6)
	case "peak":
		return fmt.Sprintf("%.0f MiB", s.Max/(1<<20))
	}
	return fmt.Sprintf("%.2f s", s.Median)
}
