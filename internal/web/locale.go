package web

import (
	"strings"
	"time"

	"github.com/safepoint-db/safepoint/internal/language"
)

// locale is how a reader is told things: in their language, with moments in the organization's zone, as seen now.
type locale struct {
	*language.Language
	now   time.Time
	loc   *time.Location
	hours string // how the hours of a day are counted: "24" or "12"
}

func (c locale) in(t time.Time) time.Time { return t.In(c.loc) }

// zone is the zone's name at t: "CET", or "UTC+05:30" where it has none.
func (c locale) zone(t time.Time) string {
	name, _ := c.in(t).Zone()
	if strings.HasPrefix(name, "+") || strings.HasPrefix(name, "-") {
		return "UTC" + c.in(t).Format("-07:00")
	}
	return name
}

// Clock is the organization's time of day.
func (c locale) Clock() string { return c.Hour(c.now) + nb + c.zone(c.now) }

// Offset is the zone's distance from UTC now.
func (c locale) Offset() string { return "UTC" + c.in(c.now).Format("-07:00") }

// ISO is for <time datetime>.
func (c locale) ISO(t time.Time) string { return c.in(t).Format(time.RFC3339) }

// days is how many midnights lie between now and t; negative in the past.
func (c locale) days(t time.Time) int {
	midnight := func(t time.Time) time.Time {
		y, m, d := c.in(t).Date()
		return time.Date(y, m, d, 0, 0, 0, 0, time.UTC)
	}
	return int(midnight(t).Sub(midnight(c.now)) / (24 * time.Hour))
}

// What a date is made of. The patterns are words too: a language puts the parts in its own order.
var (
	months = language.Words("month", "January", "February", "March", "April", "May", "June",
		"July", "August", "September", "October", "November", "December")
	shortMonths   = language.Words("short month", "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
	weekdays      = language.Words("weekday", "Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
	shortWeekdays = language.Words("short weekday", "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat")
)

// long is a day with its month in full: "22 November 2026".
func (c locale) long(t time.Time) string { return c.dated(c.dayMonthYear(), t, c.month(t)) }

// Date is a day without its time: "22 November", with the year where it is not this one.
func (c locale) Date(t time.Time) string { return c.dated(c.pattern(t), t, c.month(t)) }

// short is Date with a short month: "22 Nov".
func (c locale) short(t time.Time) string { return c.dated(c.pattern(t), t, c.shortMonth(t)) }

func (c locale) pattern(t time.Time) string {
	if c.in(t).Year() != c.in(c.now).Year() {
		return c.dayMonthYear()
	}
	return c.Word("date", "{day} {month}")
}

func (c locale) dayMonthYear() string { return c.Word("date", "{day} {month} {year}") }

func (c locale) dated(pattern string, t time.Time, month string) string {
	t = c.in(t)
	return strings.ReplaceAll(c.Fill(pattern, "day", t.Format("2"), "month", month, "year", t.Format("2006")), " ", nb)
}

func (c locale) month(t time.Time) string { return c.Word("month", months[c.in(t).Month()-1]) }
func (c locale) shortMonth(t time.Time) string {
	return c.Word("short month", shortMonths[c.in(t).Month()-1])
}
func (c locale) weekday(t time.Time) string {
	return c.Word("short weekday", shortWeekdays[c.in(t).Weekday()])
}

// Year is a day with its short month and its year, whatever year it is: "22 Nov 2026".
func (c locale) Year(t time.Time) string { return c.dated(c.dayMonthYear(), t, c.shortMonth(t)) }

// Ago says how long ago or how far ahead t is; beyond seven days it is the date.
func (c locale) Ago(t time.Time) string {
	d := c.now.Sub(t)
	switch {
	case t.IsZero():
		return c.Say("never")
	case d > 7*24*time.Hour || d < -7*24*time.Hour:
		return c.long(t)
	case d < 0 && d > -3*time.Second: // made while this page was
		return c.Say("just now")
	case d < 0 && d > -time.Minute:
		return c.Say("within a minute")
	case d < 0:
		return c.Say("in {time}", "time", c.Lasted((-d).Truncate(time.Minute)))
	case d < time.Minute:
		return c.Say("just now")
	}
	return c.Say("{time} ago", "time", c.Lasted(d.Truncate(time.Minute)))
}

func (c locale) day(t time.Time) string {
	switch c.days(t) {
	case 0:
		return c.Say("today")
	case -1:
		return c.Say("yesterday")
	case 1:
		return c.Say("tomorrow")
	}
	return c.short(t)
}

// Day is a short moment under another fact: "today, 14:00".
func (c locale) Day(t time.Time) string {
	return c.Say("{day}, {time}", "day", c.day(t), "time", c.Hour(t))
}

// At is a moment inside a sentence: "today at 22:00", "22 Nov at 22:00". Languages may join a date and a day differently.
func (c locale) At(t time.Time) string {
	if n := c.days(t); n < -1 || n > 1 {
		return c.Say("{date} at\u00a0{time}", "date", c.short(t), "time", c.Hour(t))
	}
	return c.Say("{day} at\u00a0{time}", "day", c.day(t), "time", c.Hour(t))
}

// Full is a moment with its second and zone: "22 November 2026, 14:00:02 CET".
func (c locale) Full(t time.Time) string { return c.long(t) + ", " + c.Time(t) + nb + c.zone(t) }

// Minute is Full without the seconds.
func (c locale) Minute(t time.Time) string { return c.long(t) + ", " + c.Hour(t) + nb + c.zone(t) }

// UTC is the same moment for people elsewhere.
func (c locale) UTC(t time.Time) string {
	utc := c
	utc.loc = time.UTC
	if t.UTC().Day() != c.in(t).Day() {
		return utc.short(t) + ", " + utc.Time(t) + nb + "UTC"
	}
	return utc.Time(t) + nb + "UTC"
}

// Time is the second of a day: "14:00:02".
func (c locale) Time(t time.Time) string { return c.hour(t, "15:04:05", "3:04:05"+nb+"PM") }

// Hour is the minute of a day: "14:00".
func (c locale) Hour(t time.Time) string { return c.hour(t, "15:04", "3:04"+nb+"PM") }

func (c locale) hour(t time.Time, of24, of12 string) string {
	if c.hours == "12" {
		return c.in(t).Format(of12)
	}
	return c.in(t).Format(of24)
}

// Weekday is a moment with its day of the week: "Sat 21 Nov, 22:00 CET".
func (c locale) Weekday(t time.Time) string {
	return c.weekdayDate(t) + ", " + c.Hour(t) + nb + c.zone(t)
}

// Heading names a day of DB Logs: "Today, 22 November".
func (c locale) Heading(t time.Time) string {
	name := c.Word("weekday", weekdays[c.in(t).Weekday()])
	switch c.days(t) {
	case 0:
		name = c.Say("Today")
	case -1:
		name = c.Say("Yesterday")
	}
	return name + ", " + c.Date(t)
}

// Short names a day in a table of days: "Fri 20 Nov".
func (c locale) Short(t time.Time) string {
	switch c.days(t) {
	case 0:
		return c.Say("Today")
	case -1:
		return c.Say("Yesterday")
	case 1:
		return c.Say("Tomorrow")
	}
	return c.weekdayDate(t)
}

func (c locale) weekdayDate(t time.Time) string {
	return strings.ReplaceAll(c.Fill(c.Word("date", "{weekday} {date}"), "weekday", c.weekday(t), "date", c.short(t)), " ", nb)
}

// Since is how long something has lasted that began at t and goes on: in whole seconds, so that it does not flicker.
func (c locale) Since(t time.Time) string {
	if d := c.now.Sub(t); d >= time.Second {
		return c.Lasted(d.Truncate(time.Second))
	}
	return c.Say("less than 1\u00a0s")
}

// Now is the moment the page was made.
func (c locale) Now() time.Time { return c.now }
