package safepoint

import (
	"fmt"
	"time"
)

// Schedule is a backup card.
type Schedule struct {
	ID             string
	OrganizationID string
	DatabaseID     string
	Name           string
	Description    string
	IsActive       bool
	Interval       Interval
	Anchor         time.Time // runs fall on Anchor + n × Interval, n ≥ 0
	CreatedAt      time.Time
	CreatedBy      string
	CreatedByName  string
	DisabledAt     time.Time // zero while active
	DisabledByName string
	EnabledAt      time.Time // runs before it are not due: it was created, or enabled again, then
	Version        int
}

// Interval is "Backup After Every".
type Interval time.Duration

const (
	Every8Hours  = Interval(8 * time.Hour)
	Every12Hours = Interval(12 * time.Hour)
	Every24Hours = Interval(24 * time.Hour)
	Every3Days   = Interval(72 * time.Hour)
	Every7Days   = Interval(168 * time.Hour)
)

// Intervals are the choices, shortest first.
var Intervals = []Interval{Every8Hours, Every12Hours, Every24Hours, Every3Days, Every7Days}

// String is the wording of forms and cards: "8 hours", "3 days".
func (i Interval) String() string {
	if i >= Every3Days {
		return fmt.Sprintf("%d days", time.Duration(i)/(24*time.Hour))
	}
	return fmt.Sprintf("%d hours", time.Duration(i)/time.Hour)
}

// Slug is the wording of the API and the CLI: "8h", "3d".
func (i Interval) Slug() string {
	if i >= Every3Days {
		return fmt.Sprintf("%dd", time.Duration(i)/(24*time.Hour))
	}
	return fmt.Sprintf("%dh", time.Duration(i)/time.Hour)
}

// ParseInterval reads either wording. Its error is an *Error on the field "interval".
func ParseInterval(s string) (Interval, error) {
	for _, i := range Intervals {
		if s == i.String() || s == i.Slug() {
			return i, nil
		}
	}
	return 0, Invalid("interval", "Choose one of 8 hours, 12 hours, 24 hours, 3 days, 7 days.")
}

// NextRun is the first time of the schedule strictly after t, whether or not the schedule is active.
func (s Schedule) NextRun(t time.Time) time.Time {
	if t.Before(s.Anchor) {
		return s.Anchor
	}
	step := time.Duration(s.Interval)
	return s.Anchor.Add((t.Sub(s.Anchor)/step + 1) * step)
}

// LastDue is the latest time of the schedule at or before t, and false if there is none yet.
func (s Schedule) LastDue(t time.Time) (time.Time, bool) {
	if t.Before(s.Anchor) {
		return time.Time{}, false
	}
	step := time.Duration(s.Interval)
	return s.Anchor.Add(t.Sub(s.Anchor) / step * step), true
}

// Due says what a scheduler has to do at now, if the last due time it already dealt with is done (zero: none yet).
// run is the latest due time not dealt with (zero: nothing is due) and becomes the new done; missed are the earlier
// ones, oldest first, which are recorded and told but not run. Times before EnabledAt are never due.
//
// A now before done is a clock that was set back. Up to one interval, nothing is due until time has caught up. Beyond
// that the clock had run ahead, and waiting would mean no backups for as long: run is then a time before done, to
// start again from; whoever records it keeps a due time from running twice.
func (s Schedule) Due(done, now time.Time) (run time.Time, missed []time.Time) {
	last, ok := s.LastDue(now)
	first := s.firstFrom(s.EnabledAt)
	if !s.IsActive || !ok || last.Before(first) {
		return time.Time{}, nil
	}
	if done.After(now.Add(time.Duration(s.Interval))) {
		return last, nil
	}
	from := first
	if next := s.NextRun(done); !done.IsZero() && next.After(first) {
		from = next
	}
	if last.Before(from) {
		return time.Time{}, nil
	}
	for t := from; t.Before(last); t = t.Add(time.Duration(s.Interval)) {
		missed = append(missed, t)
	}
	return last, missed
}

// firstFrom is the first time of the schedule at or after t.
func (s Schedule) firstFrom(t time.Time) time.Time {
	return s.NextRun(t.Add(-1))
}
