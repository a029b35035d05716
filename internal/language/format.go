package language

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/safepoint-db/safepoint"
)

// nb is a no-break space: a number and its unit stay on one line.
const nb = "\u00a0"

// Number writes an integer with its thousands apart: 41,208,553. n is any integer.
func (l *Language) Number(n any) string {
	s := strconv.FormatInt(integer(n), 10)
	sign := ""
	if s[0] == '-' {
		sign, s = "-", s[1:]
	}
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + l.thousands + s[i:]
	}
	return sign + s
}

// Decimal writes f with a number of decimals: 1.4, or 1,4.
func (l *Language) Decimal(f float64, decimals int) string {
	return strings.Replace(strconv.FormatFloat(f, 'f', decimals, 64), ".", l.mark, 1)
}

// Size words bytes as safepoint.Bytes does: "1.4 MiB", or 1,4 MiB.
func (l *Language) Size(n int64) string {
	return strings.ReplaceAll(strings.ReplaceAll(safepoint.Bytes(n).String(), ".", l.mark), " ", nb)
}

// Bytes is the exact size: "19,756,849,152 bytes".
func (l *Language) Bytes(n int64) string { return l.Count(n, "{n} byte", "{n} bytes") }

// Change writes a change of size: "+0.8 GiB".
func (l *Language) Change(n int64) string {
	if n >= 0 {
		return "+" + l.Size(n)
	}
	return "−" + l.Size(-n)
}

// units are the short names of the units of time that Lasted uses.
var _ = Words("unit", "d", "h", "min", "s", "ms")

// Lasted words a duration in its two largest units: "6 min 12 s", "17 h 14 min". Under a second it counts milliseconds.
func (l *Language) Lasted(d time.Duration) string {
	if d < 0 {
		d = 0
	}
	if d > 0 && d < time.Millisecond {
		return "<" + nb + "1" + nb + l.Word("unit", "ms")
	}
	if d < time.Second {
		return fmt.Sprintf("%d%s%s", d.Milliseconds(), nb, l.Word("unit", "ms"))
	}
	d = d.Round(time.Second)
	days, h, m, s := int(d/(24*time.Hour)), int(d/time.Hour)%24, int(d/time.Minute)%60, int(d/time.Second)%60
	two := func(a int, big string, b int, small, layout string) string {
		out := fmt.Sprintf("%d%s%s", a, nb, l.Word("unit", big))
		if b > 0 {
			out += nb + fmt.Sprintf(layout, b) + nb + l.Word("unit", small)
		}
		return out
	}
	switch {
	case days > 0:
		return two(days, "d", h, "h", "%d")
	case h > 0:
		return two(h, "h", m, "min", "%d")
	case m > 0:
		return two(m, "min", s, "s", "%02d")
	}
	return two(s, "s", 0, "", "")
}

// About words an estimate: whole minutes, "less than a minute" under one, "not known yet" for none.
func (l *Language) About(d time.Duration) string {
	switch {
	case d <= 0:
		return l.Say("not known yet")
	case d < time.Minute:
		return l.Say("less than a minute")
	case d < time.Hour:
		d = (d + 30*time.Second).Truncate(time.Minute)
	default:
		d = d.Round(time.Minute)
	}
	return l.Say("about {time}", "time", l.Lasted(d))
}

// List joins names: "a, b and c".
func (l *Language) List(names []string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	last := len(names) - 1
	return l.Say("{some} and {last}", "some", strings.Join(names[:last], ", "), "last", names[last])
}

func integer(n any) int64 {
	switch n := n.(type) {
	case int:
		return int64(n)
	case int32:
		return int64(n)
	case int64:
		return n
	}
	panic(fmt.Sprintf("language: %T is not an integer", n)) // a mistake in a template: TestPages finds it
}
