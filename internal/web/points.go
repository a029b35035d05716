package web

import (
	"slices"
	"time"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/app"
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

// pointsShown is how many rows of DB Logs the picker looks at; older ones are a link away.
const pointsShown = 60

// Of each active schedule the next run is planned in the picker, and those that follow it within a day, so many at most.
const (
	plannedWithin = 24 * time.Hour
	plannedMost   = 3
)

// points are the restore points of a database and the next planned runs of its schedules, the newest day first.
func (v *visit) points(databaseID string, schedules []app.ScheduleCard) ([]pointDay, error) {
	page, err := v.app.Operations(v.ctx, v.actor, safepoint.OperationFilter{Type: safepoint.TypeBackup, DatabaseID: databaseID, Limit: pointsShown})
	if err != nil {
		return nil, err
	}
	return withPlanned(v.t, pointDays(v.t, page.Operations), schedules), nil
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
		if day.bytes += op.Size; day.bytes > 0 {
			day.Size = c.Size(day.bytes)
		}
	}
	return days
}

// withPlanned adds the next runs of schedules to the days of a picker.
func withPlanned(c locale, days []pointDay, cards []app.ScheduleCard) []pointDay {
	for _, at := range planned(cards, c.now) {
		p := point{Time: c.Hour(at), Kind: "next"}
		if len(days) == 0 || days[0].date < c.days(at) {
			days = append([]pointDay{{Label: c.Short(at), date: c.days(at)}}, days...)
		}
		days[0].Points = append(days[0].Points, p)
	}
	return days
}

// planned are the next runs of the active schedules, the earliest first.
func planned(cards []app.ScheduleCard, now time.Time) (all []time.Time) {
	for _, k := range cards {
		if !k.IsActive || k.NextRun.IsZero() {
			continue
		}
		at := k.NextRun
		for n := 0; n < plannedMost && (n == 0 || at.Before(now.Add(plannedWithin))); n++ {
			all = append(all, at)
			at = k.Schedule.NextRun(at)
		}
	}
	slices.SortFunc(all, time.Time.Compare)
	return slices.CompactFunc(all, time.Time.Equal)
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
