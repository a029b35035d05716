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
	"github.com/safepoint-db/safepoint/internal/language"
)

// cardsShown is how many cards a page has: whole rows of two, three and four.
const cardsShown = 24

type backupsView struct {
	Connected bool          // there is a database
	Unbacked  template.HTML // said where there is no schedule
	List      app.ScheduleList
	Cards     []card
	Overview  app.Overview
	Newest    template.HTML
	Oldest    template.HTML
	OldestAt  string
	NewestAt  string
	Verdict   verdict
	Failing   string // the address of the failing ones, where not all cards are on the page
	Many      bool   // more than a page, or filtered: there is a search
	Filter    app.ScheduleFilter
	Shows     []showChoice
	Pager     pager
}

// verdict is the first line of the page: the worst thing first, then what comes next.
type verdict struct{ Dot, Bold, Rest string }

// showChoice is an option of the search by state.
type showChoice struct {
	Value app.ScheduleState
	Label string
}

var showLabels = map[app.ScheduleState]string{
	app.ScheduleFailing: language.Mark("Failing"), app.ScheduleWaiting: language.Mark("Not run yet"),
	app.ScheduleGood: language.Mark("Up to date"), app.ScheduleDisabled: language.Mark("Disabled"),
}

func showBackups(v *visit) (reply, error) {
	d := backupsView{Filter: scheduleFilter(v.r.URL.Query())}
	var err error
	if d.List, err = v.app.ScheduleList(v.ctx, v.actor, d.Filter); err != nil {
		return nil, err
	}
	if d.Overview, err = v.app.Overview(v.ctx, v.actor); err != nil {
		return nil, err
	}
	if d.Connected = d.List.All > 0; !d.Connected {
		databases, err := v.app.Databases(v.ctx, v.actor)
		if err != nil {
			return nil, err
		}
		d.Connected, d.Unbacked = len(databases) > 0, unbacked(v.t, databases)
	}
	for _, s := range d.List.Cards {
		d.Cards = append(d.Cards, newCard(v.t, s))
	}
	for _, s := range app.ScheduleStates {
		d.Shows = append(d.Shows, showChoice{s, v.t.Say(showLabels[s])})
	}
	d.Many = d.List.All > cardsShown || d.Filter.Text != "" || d.Filter.Show != ""
	d.Pager = cardPager(v.t, v.r.URL, d.List, d.Filter)
	d.facts(v.t)
	d.Verdict = newVerdict(v.t, d.List)
	p := &page{Name: "backups", Title: v.t.Say("DB Backup"), Tab: "backups", Live: true, Busy: len(v.running) > 0, Data: d}
	if n := d.List.States[app.ScheduleFailing]; n > 0 {
		p.State, p.Icon = v.t.Count(n, "{n} failing", "{n} failing"), "bad"
		if d.Many && d.Filter.Show != app.ScheduleFailing {
			d.Failing = "/backups?show=" + string(app.ScheduleFailing)
			p.Data = d
		}
	}
	return p, nil
}

// scheduleFilter reads the search of the page's address. What it does not know it passes over.
func scheduleFilter(q url.Values) app.ScheduleFilter {
	f := app.ScheduleFilter{Text: strings.TrimSpace(q.Get("q")), Show: app.ScheduleState(q.Get("show")), Limit: cardsShown}
	if !slices.Contains(app.ScheduleStates, f.Show) {
		f.Show = ""
	}
	f.Offset = (pageNumber(q) - 1) * cardsShown
	return f
}

// cardPager turns the pages of cards; one page has none.
func cardPager(c locale, u *url.URL, l app.ScheduleList, f app.ScheduleFilter) (p pager) {
	p = numbered(u, f.Offset/cardsShown+1, f.Offset+len(l.Cards) < l.Found)
	if (p.Previous != "" || p.Next != "") && len(l.Cards) > 0 {
		p.Text = c.Count(l.Found, "{first}–{last} of {n} schedule", "{first}–{last} of {n} schedules", "first", f.Offset+1, "last", f.Offset+len(l.Cards))
	}
	return p
}

// pageNumber is the page that the address asks for: the first where it names none.
func pageNumber(q url.Values) int {
	if n, err := strconv.Atoi(q.Get("page")); err == nil && n > 1 && n < 1_000_000 {
		return n
	}
	return 1
}

// numbered turns pages that have numbers.
func numbered(u *url.URL, page int, more bool) (p pager) {
	to := func(n int) string {
		q := u.Query()
		if q.Del("page"); n > 1 {
			q.Set("page", strconv.Itoa(n))
		}
		return (&url.URL{Path: u.Path, RawQuery: q.Encode()}).String()
	}
	if page > 1 {
		p.Previous = to(page - 1)
	}
	if more {
		p.Next = to(page + 1)
	}
	return p
}

// facts words the bar above the cards.
func (d *backupsView) facts(c locale) {
	o := d.Overview
	if o.Newest != nil {
		at := made(*o.Newest)
		d.NewestAt = c.Ago(at)
		d.Newest = c.HTML("{name} · {when}", "name", properName(o.Newest.DatabaseName), "when", c.Day(at))
	}
	if o.Oldest != nil {
		at := made(*o.Oldest)
		d.OldestAt = strings.ReplaceAll(c.Ago(at), nb, " ") // a narrow box: it may wrap
		if back := c.now.Sub(at); back > 7*24*time.Hour {
			d.Oldest = c.CountHTML(int(back/(24*time.Hour)), "{name} · {n} day back", "{name} · {n} days back", "name", properName(o.Oldest.DatabaseName))
		} else {
			d.Oldest = c.HTML("{name} · {when}", "name", properName(o.Oldest.DatabaseName), "when", c.Day(at))
		}
	}
}

// unbacked says which databases there are, where nothing backs them up.
func unbacked(c locale, dbs []safepoint.Database) template.HTML {
	var names []string
	for _, db := range dbs {
		names = append(names, db.Name)
	}
	const few = 5
	if len(names) > few {
		return c.CountHTML(len(names), "{n} database is connected but nothing backs it up.", "{n} databases are connected but nothing backs them up.")
	}
	if len(names) == 1 {
		return c.HTML("{name} is connected but nothing backs it up.", "name", properName(names[0]))
	}
	return c.HTML("{names} are connected but nothing backs them up.", "names", properName(c.List(names)))
}

// made is the moment a backup stands for.
func made(op safepoint.Operation) time.Time {
	if !op.StartedAt.IsZero() {
		return op.StartedAt
	}
	return op.CreatedAt
}

func newVerdict(c locale, l app.ScheduleList) verdict {
	bad, good, waiting := l.States[app.ScheduleFailing], l.States[app.ScheduleGood], l.States[app.ScheduleWaiting]
	v := verdict{Dot: "ok"}
	var rest []string
	switch {
	case bad > 0:
		v.Dot, v.Bold = "bad", c.Count(bad, "{n} of {all} schedules is failing.", "{n} of {all} schedules are failing.", "all", l.All)
		if l.All == 1 {
			v.Bold = c.Say("The schedule is failing.")
		}
		if good > 0 {
			rest = append(rest, c.Count(good, "The other active schedule is up to date.", "The other {n} active schedules are up to date."))
		}
		if good > 0 && waiting > 0 {
			rest[0] = c.Count(good, "{n} other schedule is up to date.", "{n} other schedules are up to date.")
		}
	case good+waiting == 0:
		v.Dot, v.Bold = "warn", c.Say("Every schedule is disabled.")
		rest = append(rest, c.Say("Nothing is backed up by itself."))
	case good == 0:
		v.Dot, v.Bold = "run", c.Say("No scheduled run has finished yet.")
	case waiting > 0:
		v.Bold = c.Count(good, "{n} schedule is up to date.", "{n} schedules are up to date.")
	default:
		v.Bold = c.Count(good, "The active schedule is up to date.", "All {n} active schedules are up to date.")
	}
	if waiting > 0 && good+bad > 0 {
		rest = append(rest, c.Count(waiting, "{n} has not finished a run yet.", "{n} have not finished a run yet."))
	}
	if !l.NextRun.IsZero() {
		rest = append(rest, c.Say("Next run: {time}, {ahead}.", "time", c.At(l.NextRun), "ahead", c.Ago(l.NextRun)))
	}
	v.Rest = strings.Join(rest, " ")
	return v
}
