package web

import (
	"strings"
	"testing"
	"time"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/language"
)

func plain(s string) string { return strings.ReplaceAll(s, nb, " ") }

func TestLasted(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second: "0 ms", 0: "0 ms", 300 * time.Microsecond: "< 1 ms", 153 * time.Millisecond: "153 ms", 4 * time.Second: "4 s", 60 * time.Second: "1 min", 365 * time.Second: "6 min 05 s",
		17*time.Hour + 14*time.Minute: "17 h 14 min", 3 * time.Hour: "3 h", 205 * time.Hour: "8 d 13 h", 59*time.Second + 900*time.Millisecond: "1 min",
	} {
		if got := plain(english.Lasted(d)); got != want {
			t.Errorf("lasted(%v) = %q, want %q", d, got, want)
		}
	}
}

func TestAbout(t *testing.T) {
	for d, want := range map[time.Duration]string{0: "not known yet", 30 * time.Second: "less than a minute", 130 * time.Second: "about 2 min", 90 * time.Minute: "about 1 h 30 min"} {
		if got := plain(english.About(d)); got != want {
			t.Errorf("about(%v) = %q, want %q", d, got, want)
		}
	}
}

func TestSize(t *testing.T) {
	for n, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1024: "1 KiB", 5 << 20: "5 MiB", 19757214208: "18.4 GiB", 2 << 40: "2.0 TiB"} {
		if got := plain(english.Size(n)); got != want {
			t.Errorf("size(%d) = %q, want %q", n, got, want)
		}
	}
	if got := plain(english.Change(-3 << 30)); got != "−3.0 GiB" {
		t.Error(got)
	}
	if got := plain(english.Bytes(19757214208)); got != "19,757,214,208 bytes" {
		t.Error(got)
	}
}

func TestNumbers(t *testing.T) {
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", -1234567: "-1,234,567"} {
		if got := english.Number(n); got != want {
			t.Errorf("group(%d) = %q", n, got)
		}
	}
	if got := plain(english.Count(1, "{n} backup", "{n} backups")); got != "1 backup" {
		t.Error(got)
	}
	for name, want := range map[string]string{"Ines Marlow": "IM", "élodie": "É", "": "?", "<script> x y": "XY"} {
		if got := initials(name); got != want {
			t.Errorf("initials(%q) = %q, want %q", name, got, want)
		}
	}
}

// english is a locale of no place.
var english = locale{Language: language.English, now: testNow, loc: time.UTC}

func TestClock(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	tehran, err := time.LoadLocation("Asia/Tehran")
	if err != nil {
		t.Fatal(err)
	}
	c := locale{Language: language.English, now: testNow, loc: berlin}
	for _, x := range []struct{ got, want string }{
		{c.Clock(), "15:14 CET"},
		{c.Ago(ago(74 * time.Minute)), "1 h 14 min ago"},
		{c.Ago(ago(10 * time.Second)), "just now"},
		{c.Ago(testNow.Add(30 * time.Second)), "within a minute"},
		{c.Ago(testNow.Add(6*time.Hour + 46*time.Minute)), "in 6 h 46 min"},
		{c.Ago(ago(9 * 24 * time.Hour)), "13 November 2026"},
		{c.Ago(time.Time{}), "never"},
		{c.At(testNow.Add(6*time.Hour + 46*time.Minute)), "today at 22:00"},
		{c.Day(ago(16 * time.Hour)), "yesterday, 23:14"},
		{c.Day(testNow.Add(9 * time.Hour)), "tomorrow, 00:14"},
		{c.Full(testNow), "22 November 2026, 15:14:00 CET"},
		{c.UTC(testNow), "14:14:00 UTC"},
		{c.UTC(time.Date(2026, 11, 21, 23, 30, 0, 0, time.UTC)), "21 Nov, 23:30:00 UTC"},
		{c.Full(time.Date(2026, 10, 25, 0, 30, 0, 0, time.UTC)), "25 October 2026, 02:30:00 CEST"}, // the hour that comes twice
		{c.Full(time.Date(2026, 10, 25, 1, 30, 0, 0, time.UTC)), "25 October 2026, 02:30:00 CET"},
		{locale{Language: language.English, now: testNow, loc: tehran}.Clock(), "17:44 UTC+03:30"},
		{c.Heading(testNow), "Today, 22 November"},
		{c.Heading(time.Date(2025, 12, 31, 12, 0, 0, 0, time.UTC)), "Wednesday, 31 December 2025"},
	} {
		if plain(x.got) != x.want {
			t.Errorf("got %q, want %q", plain(x.got), x.want)
		}
	}
}

func TestStrip(t *testing.T) {
	berlin, _ := time.LoadLocation("Europe/Berlin")
	c := locale{Language: language.English, now: testNow, loc: berlin}
	cards := sample().cards
	for i, want := range []string{"88 of 89 runs succeeded in the last 30 days, 1 failed", "27 of 30 runs succeeded in the last 30 days, 2 failed, 1 missed", "4 of 4 runs succeeded in the last 30 days"} {
		s := newStrip(c, cards[i])
		if got := plain(s.label()); got != want {
			t.Errorf("card %d: %s, want %s", i, got, want)
		}
		if svg := string(s.Narrow()); strings.Count(svg, "<g>") != 30 || !strings.HasSuffix(svg, "</svg>") {
			t.Errorf("card %d: %s", i, svg)
		}
	}
	last := newStrip(c, cards[0]).days[29].runs
	if len(last) != 3 || last[2] != runNext {
		t.Errorf("today is %v, want two runs and one to come", last)
	}
	if off := newStrip(c, cards[2]).days[29].runs; len(off) != 1 || off[0] != runOff {
		t.Errorf("a disabled day is %v", off)
	}
	for runs, want := range map[string][]runState{
		"Sun 22 Nov: 1 failed, 2 succeeded": {runOK, runBad, runOK}, "Sun 22 Nov: succeeded": {runOK}, "Sun 22 Nov: no run due": nil,
		"Sun 22 Nov: schedule disabled": {runOff}, "Sun 22 Nov: 2 missed, 1 cancelled, 1 running, 1 still to come": {runMissed, runMissed, runCancelled, runNow, runNext},
	} {
		if got := plain((strip{c: c}).dayTitle(stripDay{date: testNow, runs: want})); got != runs {
			t.Errorf("%q, want %q", got, runs)
		}
	}
}

func TestSpark(t *testing.T) {
	if spark([]int64{5}) != "" {
		t.Error("one size is no line")
	}
	long := make([]int64, 1000)
	for i := range long {
		long[i] = int64(i)
	}
	if few := sampled(long, 40); len(few) != 40 || few[0] != 0 || few[39] != 999 {
		t.Errorf("%v", few)
	}
	for _, v := range [][]int64{{0, 0}, {1, 2, 3}, {7, 7, 7}, long} {
		if s := string(spark(v)); strings.Contains(s, "NaN") || strings.Contains(s, "Inf") || !strings.Contains(s, "<circle") {
			t.Errorf("%v: %s", v, s)
		}
	}
}

func TestNext(t *testing.T) {
	for in, want := range map[string]string{"/logs?type=backup": "/logs?type=backup", "": "/backups", "//evil": "/backups", "https://evil": "/backups", "/\\evil": "/backups", "javascript:x": "/backups", "/a\nb": "/backups"} {
		if got := next(in); got != want {
			t.Errorf("next(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestLeft(t *testing.T) {
	op := safepoint.Operation{StartedAt: ago(time.Minute), Progress: safepoint.Progress{Percent: 62, SecondsETA: 130, At: testNow}}
	if got := plain(left(english, op)); got != "about 2 min left" {
		t.Error(got)
	}
	op.Progress.Percent = 4
	if left(english, op) != "" {
		t.Error("a guess is shown under 5 percent")
	}
}
