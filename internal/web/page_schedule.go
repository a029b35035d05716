package web

import (
	"time"

	"github.com/safepoint-db/safepoint"
)

// point is one chip of the restore-point picker.
type point struct{ ID, Time, Kind, Note, Link string }

// pointDay is one line of it.
type pointDay struct {
	Label  string
	Points []point
	Size   string
	date   int
	bytes  int64
}

type scheduleView struct {
	Card   card
	Days   []pointDay
	Points int
	All    string // all of the database in DB Logs
}

// pointsShown is how many rows of DB Logs the picker looks at; older ones are a link away.
const pointsShown = 60

func showSchedule(v *visit) (reply, error) {
	s, err := v.app.Schedule(v.ctx, v.actor, v.id())
	if err != nil {
		return nil, err
	}
	ops, err := v.app.Operations(v.ctx, v.actor, safepoint.OperationFilter{Type: safepoint.TypeBackup, DatabaseID: s.DatabaseID, Limit: pointsShown})
	if err != nil {
		return nil, err
	}
	d := scheduleView{Card: newCard(v.t, s), Points: s.Backups, All: "/logs?type=backup&database=" + s.DatabaseID}
	d.Days = pointDays(v.t, ops.Operations)
	if s.IsActive && v.t.days(s.NextRun) == 0 {
		d.addNext(v.t, s.NextRun)
	}
	p := &page{Name: "schedule", Title: s.Name + " · " + v.t.Say("DB Backup"), Tab: "backups", Live: true, Busy: s.Running != nil, Data: d}
	if d.Card.State == "bad" {
		p.State, p.Icon = v.t.Say("Failing"), "bad"
	}
	return p, nil
}

// pointDays groups backups by day, the newest day first, the earliest point of a day first.
func pointDays(c locale, ops []safepoint.Operation) []pointDay {
	var days []pointDay
	for _, op := range ops {
		if !op.DeletedAt.IsZero() { // nothing to go back to any more
			continue
		}
		at := made(op)
		p := point{ID: op.ID, Time: c.Hour(at), Link: "/logs/" + op.ID}
		switch op.Status {
		case safepoint.StatusSucceeded:
			if op.Trigger != safepoint.TriggerScheduled {
				p.Note = triggerNote(c, op.Trigger)
			}
		case safepoint.StatusFailed:
			p.Kind, p.Note = "bad", c.Say("failed")
		case safepoint.StatusMissed:
			p.Kind, p.Note = "bad", c.Say("missed")
		default:
			continue
		}
		if n := len(days); n == 0 || days[n-1].date != c.days(at) {
			days = append(days, pointDay{Label: c.Short(at), date: c.days(at)})
		}
		day := &days[len(days)-1]
		day.Points = append([]point{p}, day.Points...)
		day.bytes += op.Size
		day.Size = c.Size(day.bytes)
	}
	return days
}

func (d *scheduleView) addNext(c locale, next time.Time) {
	p := point{Time: c.Hour(next), Kind: "next"}
	if len(d.Days) == 0 || d.Days[0].date != 0 {
		d.Days = append([]pointDay{{Label: c.Say("Today")}}, d.Days...)
	}
	d.Days[0].Points = append(d.Days[0].Points, p)
}

// triggerNote says what made a restore point, where it was not the schedule.
func triggerNote(c locale, t safepoint.Trigger) string {
	switch t {
	case safepoint.TriggerManual:
		return c.Say("manual")
	case safepoint.TriggerSafety:
		return c.Say("safety")
	case safepoint.TriggerUpload:
		return c.Say("upload")
	}
	return string(t)
}
