package web

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/safepoint-db/safepoint"
)

// nb is a no-break space: a number and its unit stay on one line.
const nb = "\u00a0"

func cmpOr(a, b string) string { return cmp.Or(a, b) }

// lasted words a duration in its two largest units: "6 min 12 s", "17 h 14 min". Under a second it counts milliseconds.
func lasted(d time.Duration) string {
	if d < 0 {
		d = 0
	}
	if d < time.Second {
		return fmt.Sprintf("%d%sms", d.Milliseconds(), nb)
	}
	d = d.Round(time.Second)
	days, h, m, s := int(d/(24*time.Hour)), int(d/time.Hour)%24, int(d/time.Minute)%60, int(d/time.Second)%60
	two := func(a int, au string, b int, bu string, pad bool) string {
		out := fmt.Sprintf("%d%s%s", a, nb, au)
		switch {
		case b == 0:
		case pad:
			out += fmt.Sprintf("%s%02d%s%s", nb, b, nb, bu)
		default:
			out += fmt.Sprintf("%s%d%s%s", nb, b, nb, bu)
		}
		return out
	}
	switch {
	case days > 0:
		return two(days, "d", h, "h", false)
	case h > 0:
		return two(h, "h", m, "min", false)
	case m > 0:
		return two(m, "min", s, "s", true)
	}
	return fmt.Sprintf("%d%ss", s, nb)
}

// window words the undo window: whole hours up to three days stay hours.
func window(d time.Duration) string {
	if h := int(d / time.Hour); d == time.Duration(h)*time.Hour && h <= 72 {
		return count(h, "hour", "hours")
	}
	return lasted(d)
}

// about words an estimate: whole minutes, "less than a minute" under one, "not known yet" for none.
func about(d time.Duration) string {
	switch {
	case d <= 0:
		return "not known yet"
	case d < time.Minute:
		return "less than a minute"
	case d < time.Hour:
		return fmt.Sprintf("about %d%smin", (d+30*time.Second)/time.Minute, nb)
	}
	return "about " + lasted(d.Round(time.Minute))
}

// size words bytes in IEC units of 1024, with one decimal from 1 GiB on, and below ten of a smaller unit: "1.4 MiB".
func size(n int64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB", "PiB"}
	f, u := float64(n), 0
	for (f >= 1024 || f <= -1024) && u < len(units)-1 {
		f, u = f/1024, u+1
	}
	if u >= 3 || u > 0 && f < 9.95 && f > -9.95 {
		s := fmt.Sprintf("%.1f", f)
		if u < 3 {
			s = strings.TrimSuffix(s, ".0")
		}
		return s + nb + units[u]
	}
	return fmt.Sprintf("%.0f%s%s", f, nb, units[u])
}

// group writes a number with its thousands apart: 41,208,553.
func group[T int | int64](n T) string {
	s := strconv.FormatInt(int64(n), 10)
	sign := ""
	if s[0] == '-' {
		sign, s = "-", s[1:]
	}
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return sign + s
}

func exactBytes(n int64) string { return count(n, "byte", "bytes") }

// count writes a number and its noun: "1 backup", "143 backups".
func count(n any, one, many string) string {
	if s := number(n); s != "1" {
		return s + nb + many
	}
	return "1" + nb + one
}

// number is group for templates, which pass any kind of integer.
func number(n any) string {
	switch n := n.(type) {
	case int:
		return group(n)
	case int64:
		return group(n)
	}
	return fmt.Sprint(n)
}

// every words an interval: "8 hours".
func every(i safepoint.Interval) string { return strings.ReplaceAll(i.String(), " ", nb) }

// join lists names: "a, b and c".
func join(names []string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1]
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

// signed writes a change of size: "+0.8 GiB".
func signed(n int64) string {
	if n >= 0 {
		return "+" + size(n)
	}
	return "−" + size(-n)
}
