package web

import (
	"html/template"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/app"
)

// healthShown is how many databases a page has.
const healthShown = 25

// healthRow is one database of the page of all.
type healthRow struct {
	app.DatabaseHealth
	Proven, ProvenAt string
	SizeNow          string
	SizeChange       string
	Lasted           string
	Share, Bad       string
	Next, NextAt     string
	Spark            template.HTML
}

// rangeChoice is a link to another range of days.
type rangeChoice struct {
	Label, Link string
	Current     bool
}

type healthView struct {
	Rows     []healthRow
	Verdict  verdict
	Text     string
	Many     bool
	Pager    pager
	Storage  app.StorageHealth
	Forecast template.HTML
	Chart    chart
	Ranges   []rangeChoice
}

func showHealth(v *visit) (reply, error) {
	q := v.r.URL.Query()
	f := app.HealthFilter{Days: daysOf(q), Text: strings.TrimSpace(q.Get("q")), Offset: (pageNumber(q) - 1) * healthShown, Limit: healthShown}
	h, err := v.app.Health(v.ctx, v.actor, f)
	if err != nil {
		return nil, err
	}
	d := healthView{Text: f.Text, Storage: h.Storage, Many: h.Found > healthShown || f.Text != "", Ranges: ranges(v.t, v.r.URL, h.Days)}
	for _, db := range h.Databases {
		d.Rows = append(d.Rows, newHealthRow(v.t, db))
	}
	d.Pager = numbered(v.r.URL, f.Offset/healthShown+1, f.Offset+len(h.Databases) < h.Found)
	d.Forecast = forecast(v.t, h.Storage)
	d.Chart = storageChart(v.t, h)
	d.Verdict = healthVerdict(v.t, h)
	return &page{Name: "health", Title: v.t.Say("Health"), Tab: "backups", Live: true, Busy: len(v.running) > 0, Data: d}, nil
}

type databaseHealthView struct {
	Row    healthRow
	Charts []chart
	Ranges []rangeChoice
}

func showDatabaseHealth(v *visit) (reply, error) {
	days := daysOf(v.r.URL.Query())
	h, err := v.app.DatabaseHealth(v.ctx, v.actor, v.id(), days)
	if err != nil {
		return nil, err
	}
	d := databaseHealthView{Row: newHealthRow(v.t, h), Ranges: ranges(v.t, v.r.URL, days)}
	d.Charts = []chart{sizeChart(v.t, h, days), durationChart(v.t, h, days), successChart(v.t, h, days)}
	return &page{Name: "health_database", Title: v.t.Say("Health of {database}", "database", h.Database.Name), Tab: "backups", Live: true, Busy: len(v.running) > 0, Data: d}, nil
}

// daysOf is the range of the address, 30 days where it names none that there is.
func daysOf(q url.Values) int {
	if n, err := strconv.Atoi(q.Get("days")); err == nil && slices.Contains(app.HealthRanges, n) {
		return n
	}
	return app.HealthRanges[0]
}

func ranges(c locale, u *url.URL, days int) (all []rangeChoice) {
	for _, n := range app.HealthRanges {
		q := u.Query()
		q.Set("days", strconv.Itoa(n))
		label := c.Count(n, "{n} day", "{n} days")
		if n == 365 {
			label = c.Say("1 year")
		}
		all = append(all, rangeChoice{label, (&url.URL{Path: u.Path, RawQuery: q.Encode()}).String(), n == days})
	}
	return all
}

func newHealthRow(c locale, h app.DatabaseHealth) healthRow {
	r := healthRow{DatabaseHealth: h}
	if h.ProvenID != "" {
		r.Proven, r.ProvenAt = c.Ago(h.ProvenAt), c.Say("read again {time}", "time", c.Day(h.VerifiedAt))
		r.SizeNow, r.Lasted = c.Size(h.Size), c.Lasted(h.Took)
	}
	if !h.NextRun.IsZero() {
		r.Next, r.NextAt = c.Ago(h.NextRun), c.Day(h.NextRun)
	}
	if n := h.Good + h.Failed + h.Missed; n > 0 {
		r.Share = c.Count(n, "{good} of {n} run", "{good} of {n} runs", "good", h.Good)
		if bad := h.Failed + h.Missed; bad > 0 {
			r.Bad = c.Count(bad, "{n} failed or missed", "{n} failed or missed")
		}
	}
	var sizes []int64
	for _, run := range h.Runs {
		if run.Status == safepoint.StatusSucceeded && run.Size > 0 {
			sizes = append(sizes, run.Size)
		}
	}
	if len(sizes) > 1 {
		r.Spark, r.SizeChange = spark(sizes), c.Change(sizes[len(sizes)-1]-sizes[0])
	}
	return r
}

func healthVerdict(c locale, h app.Health) verdict {
	if n := h.Unproven; n > 0 {
		return verdict{Dot: "bad", Bold: c.Count(n, "{n} database has no proven backup.", "{n} databases have no proven backup.")}
	}
	return verdict{Dot: "ok", Bold: c.Count(h.All, "The database has a proven backup.", "All {n} databases have a proven backup.")}
}

// forecast says when the storage will be full, and what that supposes.
func forecast(c locale, s app.StorageHealth) template.HTML {
	f := s.Forecast
	supposed := c.HTML("Estimated from the growth of the last 30 days, as if nothing else filled the disk.")
	if s.Shared {
		supposed = c.HTML("Estimated from the growth of the last 30 days of all organizations that share this storage, as if nothing else filled the disk.")
	}
	switch f.State {
	case app.ForecastSteady:
		return c.HTML("**Not growing.**") + " " + supposed
	case app.ForecastFar:
		return c.HTML("**Not full within ten years** if it goes on growing by about {size} a day.", "size", c.Size(f.PerDay)) + " " + supposed
	case app.ForecastFull:
		if f.FullAt.Sub(c.now) < 24*time.Hour {
			return c.HTML("**Full within a day** if it goes on growing by about {size} a day.", "size", c.Size(f.PerDay)) + " " + supposed
		}
		days := int(f.FullAt.Sub(c.now) / (24 * time.Hour))
		return c.CountHTML(days, "**Full in about {n} day**, {date}, if it goes on growing by about {size} a day.", "**Full in about {n} days**, {date}, if it goes on growing by about {size} a day.",
			"date", c.Year(f.FullAt), "size", c.Size(f.PerDay)) + " " + supposed
	}
	return c.HTML("**Not known yet.** It takes backups of seven days to say when the storage will be full.")
}
