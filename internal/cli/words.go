package cli

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/safepoint-db/safepoint"
)

// Times, sizes, durations and numbers as the console writes them, with plain spaces and in the terminal's own zone.

// oneLine keeps what a server or a file said from moving the cursor, starting a line of its own or turning the line's
// direction.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r < ' ', r >= 0x7f && r < 0xa0, r == '\u2028', r == '\u2029', r >= '\u202a' && r <= '\u202e', r >= '\u2066' && r <= '\u2069':
			return ' '
		}
		return r
	}, s)
}

// when is a minute: "22 Nov 2026, 14:00 CET", "" for the zero time.
func when(t time.Time) string { return moment(t, "15:04") }

// exactly is when with the second.
func exactly(t time.Time) string { return moment(t, "15:04:05") }

func moment(t time.Time, clock string) string {
	if t.IsZero() {
		return ""
	}
	t = t.Local()
	zone, _ := t.Zone()
	if strings.HasPrefix(zone, "+") || strings.HasPrefix(zone, "-") {
		zone = "UTC" + t.Format("-07:00")
	}
	return t.Format("2 Jan 2006, "+clock) + " " + zone
}

// bytesText is a size with a binary unit, with one decimal from 1 GiB on, and below ten of a smaller unit: "1.4 MiB".
func bytesText(n int64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB", "PiB"}
	v, u := float64(n), 0
	for v >= 1024 && u < len(units)-1 {
		v, u = v/1024, u+1
	}
	if u >= 3 {
		return fmt.Sprintf("%.1f %s", v, units[u])
	}
	if u > 0 && v < 9.95 {
		return strings.TrimSuffix(fmt.Sprintf("%.1f", v), ".0") + " " + units[u]
	}
	return fmt.Sprintf("%.0f %s", v, units[u])
}

// sizeText is bytesText, "" for nothing.
func sizeText(n int64) string {
	if n == 0 {
		return ""
	}
	return bytesText(n)
}

// exactSize is a size with its bytes: "18.4 GiB (19,756,849,152 bytes)", "" for nothing.
func exactSize(n int64) string {
	if n < 1024 {
		return sizeText(n)
	}
	return fmt.Sprintf("%s (%s bytes)", bytesText(n), grouped(n))
}

func seconds(s float64) string {
	if s == 0 {
		return ""
	}
	return durationText(inSeconds(s))
}

func inSeconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// durationText is a duration in its two largest units: "350 ms", "12 s", "6 min 02 s", "17 h 14 min", "3 d 3 h".
func durationText(d time.Duration) string {
	if d < time.Second {
		return fmt.Sprintf("%d ms", max(0, d.Milliseconds()))
	}
	d = d.Round(time.Second)
	two := func(format string, large int, unit string, small int) string {
		text := fmt.Sprintf("%d %s", large, unit)
		if small > 0 {
			text += fmt.Sprintf(format, small)
		}
		return text
	}
	days, h, m, s := int(d/(24*time.Hour)), int(d/time.Hour)%24, int(d/time.Minute)%60, int(d/time.Second)%60
	switch {
	case days > 0:
		return two(" %d h", days, "d", h)
	case h > 0:
		return two(" %d min", h, "h", m)
	case m > 0:
		return two(" %02d s", m, "min", s)
	}
	return fmt.Sprintf("%d s", s)
}

// aboutText words an estimate of time left: whole minutes, "less than a minute" under one.
func aboutText(d time.Duration) string {
	switch {
	case d < time.Minute:
		return "less than a minute"
	case d < time.Hour:
		return fmt.Sprintf("about %d min", (d+30*time.Second)/time.Minute)
	}
	return "about " + durationText(d.Round(time.Minute))
}

// grouped writes a number with its thousands apart: 41,208,553.
func grouped[N int | int64](n N) string {
	s := strconv.FormatInt(int64(n), 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// number is grouped, "" for nothing.
func number[N int | int64](n N) string {
	if n == 0 {
		return ""
	}
	return grouped(n)
}

// plural is "1 table", "3 tables".
func plural[N int | int64](n N, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return grouped(n) + " " + many
}

// count is plural of a noun that takes an s.
func count[N int | int64](n N, noun string) string { return plural(n, noun, noun+"s") }

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// trueFalse is what the console shows as Is Active.
func trueFalse(b bool) string {
	if b {
		return "True"
	}
	return "False"
}

// title begins a word with a capital: "Succeeded", as pills and columns of the console have it.
func title(s string) string {
	if s == "" {
		return ""
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// everyText is Backup After Every: "8 hours".
func everyText(slug string) string {
	if i, err := safepoint.ParseInterval(slug); err == nil {
		return i.String()
	}
	return slug
}
