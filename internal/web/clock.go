package web

import (
	"strings"
	"time"
)

// clock words moments in the organization's zone, as seen now.
type clock struct {
	now time.Time
	loc *time.Location
}

func (c clock) in(t time.Time) time.Time { return t.In(c.loc) }

// zone is the zone's name at t: "CET", or "UTC+05:30" where it has none.
func (c clock) zone(t time.Time) string {
	name, _ := c.in(t).Zone()
	if strings.HasPrefix(name, "+") || strings.HasPrefix(name, "-") {
		return "UTC" + c.in(t).Format("-07:00")
	}
	return name
}

// Clock is the organization's time of day.
func (c clock) Clock() string { return c.in(c.now).Format("15:04") + nb + c.zone(c.now) }

// Offset is the zone's distance from UTC now.
func (c clock) Offset() string { return "UTC" + c.in(c.now).Format("-07:00") }

// ISO is for <time datetime>.
func (c clock) ISO(t time.Time) string { return c.in(t).Format(time.RFC3339) }

// days is how many midnights lie between now and t; negative in the past.
func (c clock) days(t time.Time) int {
	midnight := func(t time.Time) time.Time {
		y, m, d := c.in(t).Date()
		return time.Date(y, m, d, 0, 0, 0, 0, time.UTC)
	}
	return int(midnight(t).Sub(midnight(c.now)) / (24 * time.Hour))
}

// date is a day without its time: "22 November 2026", the year left out where it is this one.
func (c clock) date(t time.Time, month string) string {
	layout := "2 " + month
	if c.in(t).Year() != c.in(c.now).Year() {
		layout += " 2006"
	}
	return strings.ReplaceAll(c.in(t).Format(layout), " ", nb)
}

// Ago says how long ago or how far ahead t is; beyond seven days it is the date.
func (c clock) Ago(t time.Time) string {
	d := c.now.Sub(t)
	switch {
	case t.IsZero():
		return "never"
	case d > 7*24*time.Hour || d < -7*24*time.Hour:
		return strings.ReplaceAll(c.in(t).Format("2 January 2006"), " ", nb)
	case d < 0 && d > -3*time.Second: // made while this page was
		return "just now"
	case d < 0 && d > -time.Minute:
		return "within a minute"
	case d < 0:
		return "in " + lasted((-d).Truncate(time.Minute))
	case d < time.Minute:
		return "just now"
	}
	return lasted(d.Truncate(time.Minute)) + " ago"
}

func (c clock) day(t time.Time) string {
	switch c.days(t) {
	case 0:
		return "today"
	case -1:
		return "yesterday"
	case 1:
		return "tomorrow"
	}
	return c.date(t, "Jan")
}

// Day is a short moment under another fact: "today, 14:00".
func (c clock) Day(t time.Time) string { return c.day(t) + ", " + c.in(t).Format("15:04") }

// At is a moment inside a sentence: "today at 22:00".
func (c clock) At(t time.Time) string { return c.day(t) + " at" + nb + c.in(t).Format("15:04") }

// Full is a moment with its second and zone: "22 November 2026, 14:00:02 CET".
func (c clock) Full(t time.Time) string {
	return strings.ReplaceAll(c.in(t).Format("2 January 2006"), " ", nb) + ", " + c.in(t).Format("15:04:05") + nb + c.zone(t)
}

// Minute is Full without the seconds.
func (c clock) Minute(t time.Time) string {
	return strings.ReplaceAll(c.in(t).Format("2 January 2006"), " ", nb) + ", " + c.in(t).Format("15:04") + nb + c.zone(t)
}

// UTC is the same moment for people elsewhere.
func (c clock) UTC(t time.Time) string {
	if t.UTC().Day() != c.in(t).Day() {
		return t.UTC().Format("2 Jan, 15:04:05") + nb + "UTC"
	}
	return t.UTC().Format("15:04:05") + nb + "UTC"
}

// Time is the second of a day: "14:00:02".
func (c clock) Time(t time.Time) string { return c.in(t).Format("15:04:05") }

// Hour is the minute of a day: "14:00".
func (c clock) Hour(t time.Time) string { return c.in(t).Format("15:04") }

// Date is a day: "16 November".
func (c clock) Date(t time.Time) string { return c.date(t, "January") }

// Weekday is a moment with its day of the week: "Sat 21 Nov, 22:00 CET".
func (c clock) Weekday(t time.Time) string {
	return c.in(t).Format("Mon 2 Jan, 15:04") + nb + c.zone(t)
}

// Heading names a day of DB Logs: "Today, 22 November".
func (c clock) Heading(t time.Time) string {
	switch c.days(t) {
	case 0:
		return "Today, " + c.date(t, "January")
	case -1:
		return "Yesterday, " + c.date(t, "January")
	}
	return c.in(t).Format("Monday") + ", " + c.date(t, "January")
}

// Short names a day in a table of days: "Fri 20 Nov".
func (c clock) Short(t time.Time) string {
	switch c.days(t) {
	case 0:
		return "Today"
	case -1:
		return "Yesterday"
	}
	return c.in(t).Format("Mon") + nb + c.date(t, "Jan")
}

// Since is how long something has lasted that began at t and goes on: in whole seconds, so that it does not flicker.
func (c clock) Since(t time.Time) string {
	if d := c.now.Sub(t); d >= time.Second {
		return lasted(d.Truncate(time.Second))
	}
	return "less than 1" + nb + "s"
}

// Now is the moment the page was made.
func (c clock) Now() time.Time { return c.now }
