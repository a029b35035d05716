package web

import (
	"cmp"
	"strconv"
	"time"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/app"
)

type scheduleForm struct {
	F         *form
	New       bool
	ID, Name  string
	Databases []safepoint.Database
	Intervals []safepoint.Interval
	Next      string // of the schedule as it is
	Changed   string // who changed it meanwhile: a 409
	Action    string
	Back      string
}

func showScheduleNew(v *visit) (reply, error) {
	return v.scheduleNew(newForm("interval", safepoint.Every24Hours.Slug(), "database", v.r.URL.Query().Get("database")))
}

func (v *visit) scheduleNew(f *form) (*page, error) {
	dbs, err := v.app.Databases(v.ctx, v.actor)
	if err != nil {
		return nil, err
	}
	d := scheduleForm{F: f, New: true, Databases: dbs, Intervals: safepoint.Intervals, Action: "/backups/new", Back: "/backups"}
	return &page{Name: "schedule_edit", Title: v.t.Say("New schedule · DB Backup"), Tab: "backups", Data: d}, nil
}

func doScheduleNew(v *visit) (reply, error) {
	f := v.posted()
	p, err := v.scheduleNew(f)
	if err != nil {
		return nil, err
	}
	in := app.ScheduleInput{Name: v.value("name"), Description: v.value("description"), DatabaseID: v.value("database")}
	if in.Interval, err = safepoint.ParseInterval(v.value("interval")); err != nil {
		return f.refused(p, err)
	}
	if in.FirstRun, err = v.localTime("first_run"); err != nil {
		return f.refused(p, err)
	}
	s, err := v.app.CreateSchedule(v.ctx, v.actor, in)
	if err != nil {
		return f.refused(p, err)
	}
	return redirect("/backups/" + s.ID + "?done=scheduled"), nil
}

// localTime reads a datetime-local input in the organization's zone. Empty is zero.
func (v *visit) localTime(name string) (time.Time, error) {
	s := v.value(name)
	if s == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{"2006-01-02T15:04", "2006-01-02T15:04:05", "2006-01-02 15:04"} {
		if t, err := time.ParseInLocation(layout, s, v.t.loc); err == nil {
			return t, nil
		}
	}
	return time.Time{}, safepoint.Invalid(name, "Enter a date and a time, such as 2026-11-22 02:00.")
}

func showScheduleEdit(v *visit) (reply, error) {
	s, err := v.app.Schedule(v.ctx, v.actor, v.id())
	if err != nil {
		return nil, err
	}
	return v.scheduleEdit(s, newForm("name", s.Name, "description", s.Description, "interval", s.Interval.Slug(), "version", strconv.Itoa(s.Version))), nil
}

func (v *visit) scheduleEdit(s app.ScheduleCard, f *form) *page {
	d := scheduleForm{F: f, ID: s.ID, Name: s.Name, Intervals: safepoint.Intervals, Action: "/backups/" + s.ID + "/edit", Back: "/backups/" + s.ID}
	if s.IsActive && !s.NextRun.IsZero() {
		d.Next = v.t.At(s.NextRun) + nb + v.t.zone(s.NextRun)
	}
	return &page{Name: "schedule_edit", Title: v.t.Say("Edit {name} · DB Backup", "name", s.Name), Tab: "backups", Data: d}
}

func doScheduleEdit(v *visit) (reply, error) {
	s, err := v.app.Schedule(v.ctx, v.actor, v.id())
	if err != nil {
		return nil, err
	}
	f := v.posted()
	p := v.scheduleEdit(s, f)
	in := app.ScheduleInput{Name: v.value("name"), Description: v.value("description")}
	if in.Version, err = strconv.Atoi(v.value("version")); err != nil {
		in.Version = s.Version
	}
	if in.Interval, err = safepoint.ParseInterval(v.value("interval")); err != nil {
		return f.refused(p, err)
	}
	if _, err = v.app.UpdateSchedule(v.ctx, v.actor, s.ID, in); err == nil {
		return redirect("/backups/" + s.ID + "?done=saved"), nil
	}
	if safepoint.ErrorCode(err) == safepoint.CodeConflict {
		if s, now := v.app.Schedule(v.ctx, v.actor, v.id()); now == nil && s.Version != in.Version {
			return v.scheduleChanged(s, f, err), nil
		}
	}
	return f.refused(p, err)
}

// scheduleChanged is the form of an edit that somebody else was faster than: it says what the schedule is now.
func (v *visit) scheduleChanged(s app.ScheduleCard, f *form, err error) *page {
	f.Values.Set("version", strconv.Itoa(s.Version)) // "Keep mine" starts from the newer one
	p := v.scheduleEdit(s, f)
	d := p.Data.(scheduleForm)
	d.Changed = v.t.Say("{name} set it to {interval} {time}.", "name", cmp.Or(s.UpdatedBy, v.t.Say("Somebody")), "interval", v.t.every(s.Interval), "time", v.t.At(s.UpdatedAt))
	p.Data, p.Status = d, status(err)
	return p
}
