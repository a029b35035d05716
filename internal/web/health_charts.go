package web

import (
	"cmp"
	"slices"
	"time"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/app"
)

// newChart begins the figure of the last days.
func newChart(c locale, id, title string, days int) (chart, time.Time) {
	from := c.now.AddDate(0, 0, -days)
	return chart{ID: id, Title: title, From: c.short(from), To: c.Say("Today"), Empty: c.Say("There is nothing to show of this time yet.")}, from
}

// drawn puts into k a line of the backups that succeeded, and a row for each of the newest. It says the first and the last.
func drawn(c locale, k *chart, h app.DatabaseHealth, from time.Time, value func(app.HealthRun) float64, words func(app.HealthRun) string) (first, last string) {
	var good []app.HealthRun
	var marks []mark
	for _, r := range h.Runs {
		if r.Status == safepoint.StatusSucceeded {
			good, marks = append(good, r), append(marks, mark{r.At, value(r)})
		}
	}
	if len(good) == 0 {
		return "", ""
	}
	top := slices.MaxFunc(good, func(a, b app.HealthRun) int { return cmp.Compare(value(a), value(b)) })
	if value(top) > 0 {
		k.Top = words(top)
	}
	k.SVG = line(marks, value(top), from, c.now)
	for _, r := range good[max(0, len(good)-tableRows):] {
		k.Rows = append(k.Rows, []string{c.Year(r.At) + ", " + c.Hour(r.At), words(r)})
	}
	k.Rows = newest(k.Rows)
	return words(good[0]), words(good[len(good)-1])
}

// tableRows is how many rows the table behind a figure has: the newest.
const tableRows = 200

func newest(rows [][]string) [][]string {
	slices.Reverse(rows)
	if len(rows) > tableRows {
		rows = rows[:tableRows]
	}
	return rows
}

func sizeChart(c locale, h app.DatabaseHealth, days int) chart {
	k, from := newChart(c, "size", c.Say("Size of each backup"), days)
	first, last := drawn(c, &k, h, from, func(r app.HealthRun) float64 { return float64(r.Size) }, func(r app.HealthRun) string { return c.Size(r.Size) })
	k.Head = []string{c.Say("When"), c.Say("Size")}
	k.Says = c.Say("From {first} to {last}. The largest had {top}.", "first", first, "last", last, "top", k.Top)
	return k
}

func durationChart(c locale, h app.DatabaseHealth, days int) chart {
	k, from := newChart(c, "duration", c.Say("Time each backup took"), days)
	first, last := drawn(c, &k, h, from, func(r app.HealthRun) float64 { return r.Took.Seconds() }, func(r app.HealthRun) string { return c.Lasted(r.Took) })
	k.Head = []string{c.Say("When"), c.Say("Took")}
	k.Says = c.Say("From {first} to {last}. The slowest took {top}.", "first", first, "last", last, "top", k.Top)
	return k
}

func successChart(c locale, h app.DatabaseHealth, days int) chart {
	k, _ := newChart(c, "success", c.Say("What became of the runs"), days)
	all, weekly := spells(c, h.Runs, days)
	svg, top := bars(all)
	k.SVG = svg
	k.From = c.short(all[0].from)
	k.Top = c.Count(top, "{n} run a day", "{n} runs a day")
	k.Head = []string{c.Say("Day"), c.Say("Succeeded"), c.Say("Failed"), c.Say("Missed")}
	if weekly {
		k.Top, k.Head[0] = c.Count(top, "{n} run a week", "{n} runs a week"), c.Say("Week from")
	}
	good, bad, missed := 0, 0, 0
	for _, s := range all {
		good, bad, missed = good+s.good, bad+s.bad, missed+s.missed
		k.Rows = append(k.Rows, []string{c.Year(s.from), c.Number(s.good), c.Number(s.bad), c.Number(s.missed)})
	}
	k.Rows = newest(k.Rows)
	k.Says = c.Say("{good} succeeded, {bad} failed, {missed} missed. Failed runs are crossed, missed ones hollow.", "good", good, "bad", bad, "missed", missed)
	return k
}

func storageChart(c locale, h app.Health) chart {
	k, from := newChart(c, "storage", c.Say("Kept backups of this organization"), h.Days)
	var marks []mark
	top := int64(0)
	for _, t := range h.Storage.Totals {
		top = max(top, t.Bytes)
		marks = append(marks, mark{t.Day.Add(24*time.Hour - time.Second), float64(t.Bytes)})
		k.Rows = append(k.Rows, []string{c.Year(t.Day), c.Size(t.Bytes)})
	}
	k.SVG, k.Top = line(marks, float64(top), from, c.now), c.Size(top)
	k.Rows = newest(k.Rows)
	k.Head = []string{c.Say("End of"), c.Say("Kept")}
	if n := len(h.Storage.Totals); n > 0 {
		first, last := h.Storage.Totals[0].Bytes, h.Storage.Totals[n-1].Bytes
		k.Says = c.Say("From {first} to {last}: {change}.", "first", c.Size(first), "last", c.Size(last), "change", c.Change(last-first))
	}
	return k
}
