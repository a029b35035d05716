package web

import (
	"strings"
	"time"
	"unicode"

	"github.com/safepoint-db/safepoint"
)

// nb is a no-break space: a number and its unit stay on one line.
const nb = "\u00a0"

// window words the undo window: whole hours up to three days stay hours.
func (c locale) window(d time.Duration) string {
	if h := int(d / time.Hour); d == time.Duration(h)*time.Hour && h <= 72 {
		return c.Count(h, "{n} hour", "{n} hours")
	}
	return c.Lasted(d)
}

// every words an interval: "8 hours".
func (c locale) every(i safepoint.Interval) string {
	if i < safepoint.Every3Days {
		return c.Count(int(time.Duration(i)/time.Hour), "{n} hour", "{n} hours")
	}
	return c.Count(int(time.Duration(i)/(24*time.Hour)), "{n} day", "{n} days")
}

// initials are what the account menu's button shows.
func initials(name string) string {
	var out []rune
	for _, word := range strings.Fields(name) {
		if r := []rune(word)[0]; len(out) < 2 && (unicode.IsLetter(r) || unicode.IsDigit(r)) {
			out = append(out, unicode.ToUpper(r))
		}
	}
	if len(out) == 0 {
		return "?"
	}
	return string(out)
}
