package web

import (
	"html/template"
	"time"

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
	return v.ask("backups", question{
		Title: v.t.Say("Enable this schedule?"), Button: v.t.Say("Enable schedule"),
		Action: "/backups/" + s.ID + "/enable", Back: "/backups/" + s.ID,
		Body: []template.HTML{
			v.t.HTML("**{name}** will be backed up every {interval} again.", "name", properName(s.Name), "interval", v.t.every(s.Interval)) +
				" " + firstRun(v.t, s),
		},
	}), nil
}

// firstRun says when a schedule that is enabled now runs first, and why at once if it does.
func firstRun(c locale, s app.ScheduleCard) template.HTML {
	if !s.AtOnce {
		next := s.Schedule.NextRun(c.now)
		return c.HTML("The first run is due {time}, {ahead}.", "time", c.At(next), "ahead", c.Ago(next))
	}
	if s.Newest == nil {
		return c.HTML("The first run starts within a minute, because there is no backup yet.")
	}
	age := c.now.Sub(made(*s.Newest))
	if days := int(age / (24 * time.Hour)); days > 0 {
		return c.CountHTML(days, "The first run starts within a minute, because the last one is {n} day old.", "The first run starts within a minute, because the last one is {n} days old.")
	}
	return c.HTML("The first run starts within a minute, because the last one is {time} old.", "time", c.Lasted(age.Truncate(time.Minute)))
}

func doEnable(v *visit) (reply, error) {
	s, err := v.app.EnableSchedule(v.ctx, v.actor, v.id())
	if err != nil {
		return nil, err
	}
	return redirect("/backups/" + s.ID + "?done=enabled"), nil
}
