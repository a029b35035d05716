package web

type scheduleView struct {
	Card   card
	Days   []pointDay
	Points int
	All    string // all of the database in DB Logs
}

func showSchedule(v *visit) (reply, error) {
	s, err := v.app.Schedule(v.ctx, v.actor, v.id())
	if err != nil {
		return nil, err
	}
	d := scheduleView{Card: newCard(v.t, s), Points: s.Backups, All: "/logs?type=backup&database=" + s.DatabaseID}
	all, err := v.app.DatabaseSchedules(v.ctx, v.actor, s.DatabaseID)
	if err != nil {
		return nil, err
	}
	if d.Days, err = v.points(s.DatabaseID, all); err != nil {
		return nil, err
	}
	p := &page{Name: "schedule", Title: v.t.Say("{name} · DB Backup", "name", s.Name), Tab: "backups", Live: true, Busy: s.Running != nil, Data: d}
	if d.Card.State == "bad" {
		p.State, p.Icon = v.t.Say("Failing"), "bad"
	}
	return p, nil
}
