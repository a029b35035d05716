package app

import (
	"testing"
	"time"
)

func TestForecast(t *testing.T) {
	now := time.Date(2026, 11, 22, 14, 0, 0, 0, time.UTC)
	const gib = int64(1) << 30
	days := func(n int, bytes func(day int) int64) (all []DayTotal) {
		for i := range n {
			all = append(all, DayTotal{Day: now.AddDate(0, 0, i-n), Bytes: bytes(i)})
		}
		return all
	}
	line := func(perDay int64) func(int) int64 { return func(i int) int64 { return 100*gib + int64(i)*perDay } }
	sawtooth := func(i int) int64 { return 100*gib + int64(i)*gib + int64(i%7)*2*gib } // a week's backups are thinned out at its end
	for _, c := range []struct {
		what   string
		days   []DayTotal
		free   int64
		known  bool
		state  ForecastState
		perDay int64 // within 15%
		left   int   // days, within 15%
	}{
		{"nothing seen", nil, 100 * gib, true, ForecastUnknown, 0, 0},
		{"six days are too few", days(6, line(gib)), 100 * gib, true, ForecastUnknown, 0, 0},
		{"seven are enough", days(7, line(gib)), 100 * gib, true, ForecastFull, gib, 100},
		{"a storage that does not say its room", days(30, line(gib)), 0, false, ForecastUnknown, 0, 0},
		{"a straight line", days(30, line(2*gib)), 412 * gib, true, ForecastFull, 2 * gib, 206},
		{"only the last thirty days count", append(days(60, line(50*gib)), days(30, line(gib))...), 100 * gib, true, ForecastFull, gib, 100},
		{"backups that come and go", days(30, sawtooth), 100 * gib, true, ForecastFull, gib, 100},
		{"level", days(30, line(0)), 100 * gib, true, ForecastSteady, 0, 0},
		{"shrinking", days(30, line(-gib)), 100 * gib, true, ForecastSteady, -gib, 0},
		{"hardly growing", days(30, line(1<<20)), 100 * gib, true, ForecastSteady, 1 << 20, 0},
		{"not within ten years", days(30, line(10<<20)), 100 * gib, true, ForecastFar, 10 << 20, 0},
		{"full already", days(30, line(gib)), 0, true, ForecastFull, gib, 0},
	} {
		f := NewForecast(c.days, c.free, c.known, now)
		near := func(got, want int64) bool {
			return got*100 >= want*85 && got*100 <= want*115 || -got*100 >= -want*85 && -got*100 <= -want*115
		}
		if f.State != c.state || !near(f.PerDay, c.perDay) {
			t.Errorf("%s: %+v, want %s with %d a day", c.what, f, c.state, c.perDay)
		}
		if f.State == ForecastFull && !near(int64(f.FullAt.Sub(now)/(24*time.Hour)), int64(c.left)) {
			t.Errorf("%s: full at %v, want in %d days", c.what, f.FullAt, c.left)
		}
	}
}
