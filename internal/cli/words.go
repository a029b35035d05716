package cli

import (
	"fmt"
	"strings"
	"time"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/language"
)

// Times, sizes, durations and numbers are those of the console in English, with plain spaces and in the terminal's own zone.

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

// plain is text with plain spaces: what a terminal shows is copied into other commands.
func plain(text string) string { return strings.ReplaceAll(text, "\u00a0", " ") }

// bytesText is a size with a binary unit: "1.4 MiB", "18.4 GiB".
func bytesText(n int64) string { return plain(language.English.Size(n)) }

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
func durationText(d time.Duration) string { return plain(language.English.Lasted(d)) }

// grouped writes a number with its thousands apart: 41,208,553.
func grouped[N int | int64](n N) string { return language.English.Number(n) }

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
