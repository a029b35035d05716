package web

import (
	"html/template"

	"github.com/safepoint-db/safepoint/internal/app"
)

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
		Title: c.Say("Disable this schedule?"), Button: c.Say("Disable schedule"),
		Action: "/backups/" + s.ID + "/disable", Back: "/backups/" + s.ID,
		Body: []template.HTML{
			c.HTML("**{name}** will no longer be backed up every {interval}. The run due {time} will not happen.",
				"name", properName(s.Name), "interval", c.every(s.Interval), "time", c.At(s.NextRun)),
			c.HTML("Existing backups are kept, and you can enable the schedule again at any time."),
		},
	}
	if s.OnlyOne {
		q.Warn = c.Say("This is the only schedule for {database}. Nothing else will back it up.", "database", s.Database.Name)
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
	first := s.Schedule.NextRun(v.t.now)
	return v.ask("backups", question{
		Title: v.t.Say("Enable this schedule?"), Button: v.t.Say("Enable schedule"),
		Action: "/backups/" + s.ID + "/enable", Back: "/backups/" + s.ID,
		Body: []template.HTML{
			v.t.HTML("**{name}** will be backed up every {interval} again. The first run is due {time}, {ahead}.",
				"name", properName(s.Name), "interval", v.t.every(s.Interval), "time", v.t.At(first), "ahead", v.t.Ago(first)),
		},
	}), nil
}

func doEnable(v *visit) (reply, error) {
	s, err := v.app.EnableSchedule(v.ctx, v.actor, v.id())
	if err != nil {
		return nil, err
	}
	return redirect("/backups/" + s.ID + "?done=enabled"), nil
}
