package web

import (
	"time"

	"github.com/safepoint-db/safepoint/internal/app"
)

// question is a dialog that asks one thing: what happens, and a button that says it.
type question struct {
	F            *form
	Title        string
	Lead         []string // after the bold name
	Bold         string
	More         []string
	Warn         string
	Button       string
	Danger       bool
	Action, Back string
	Stay         string // the other button; "" is Cancel
	Confirm      string // what must be typed, "" for nothing
	Hidden       map[string]string
	Mono         bool
	Page         bool // the answer is a page, also where the question was a dialog
}

func (v *visit) ask(tab string, q question) *page {
	if q.F == nil {
		q.F = newForm()
	}
	if q.Stay == "" {
		q.Stay = "Cancel"
	}
	return &page{Name: "question", Title: q.Title, Tab: tab, Data: q}
}

func showDisable(v *visit) (reply, error) {
	s, err := v.app.Schedule(v.ctx, v.actor, v.id())
	if err != nil {
		return nil, err
	}
	if !s.IsActive {
		return redirect("/backups/" + s.ID), nil
	}
	return v.ask("backups", disableQuestion(v.t, s)), nil
}

func disableQuestion(c locale, s app.ScheduleCard) question {
	q := question{
		Title: "Disable this schedule?", Bold: s.Name, Button: "Disable schedule",
		Action: "/backups/" + s.ID + "/disable", Back: "/backups/" + s.ID,
		Lead: []string{"will no longer be backed up every " + c.every(s.Interval) + ". The run due " + c.At(s.NextRun) + " will not happen."},
		More: []string{"Existing backups are kept, and you can enable the schedule again at any time."},
	}
	if s.OnlyOne {
		q.Warn = "This is the only schedule for " + s.Database.Name + ". Nothing else will back it up."
	}
	return q
}

func doDisable(v *visit) (reply, error) {
	s, err := v.app.DisableSchedule(v.ctx, v.actor, v.id())
	if err != nil {
		return nil, err
	}
	return redirect("/backups/" + s.ID + "?done=disabled"), nil
}

func showEnable(v *visit) (reply, error) {
	s, err := v.app.Schedule(v.ctx, v.actor, v.id())
	if err != nil {
		return nil, err
	}
	if s.IsActive {
		return redirect("/backups/" + s.ID), nil
	}
	first := "The first run is due " + v.t.At(s.Schedule.NextRun(v.t.now)) + ", in " + v.t.Lasted(s.Schedule.NextRun(v.t.now).Sub(v.t.now).Truncate(time.Minute)) + "."
	return v.ask("backups", question{
		Title: "Enable this schedule?", Bold: s.Name, Button: "Enable schedule",
		Action: "/backups/" + s.ID + "/enable", Back: "/backups/" + s.ID,
		Lead: []string{"will be backed up every " + v.t.every(s.Interval) + " again. " + first},
	}), nil
}

func doEnable(v *visit) (reply, error) {
	s, err := v.app.EnableSchedule(v.ctx, v.actor, v.id())
	if err != nil {
		return nil, err
	}
	return redirect("/backups/" + s.ID + "?done=enabled"), nil
}
