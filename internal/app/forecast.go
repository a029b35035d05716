package app

import (
	"math"
	"time"
)

// Forecast is when a storage will be full if it goes on as it did.
type Forecast struct {
	State  ForecastState
	PerDay int64     // bytes by which it grows in a day
	FullAt time.Time // with ForecastFull
}

// ForecastState says what a forecast knows.
type ForecastState string

const (
	ForecastUnknown ForecastState = "unknown" // too few days were seen, or the room is not known
	ForecastSteady  ForecastState = "steady"  // it does not grow
	ForecastFar     ForecastState = "far"     // it grows, and is not full within ten years
	ForecastFull    ForecastState = "full"    // it grows, and will be full at FullAt
)

const (
	forecastDays = 30 // how far back growth is looked at
	forecastMin  = 7  // days that must have been seen
)

// DayTotal is how many bytes were kept at the end of a day, counted from any base.
type DayTotal struct {
	Day   time.Time // its beginning
	Bytes int64
}

// NewForecast lays a straight line through the totals of the last days by least squares, and follows it until free
// bytes are used up. days are one a day, oldest first.
func NewForecast(days []DayTotal, free int64, known bool, now time.Time) Forecast {
	if len(days) > forecastDays {
		days = days[len(days)-forecastDays:]
	}
	if len(days) < forecastMin || !known {
		return Forecast{State: ForecastUnknown}
	}
	slope := leastSquares(days)
	f := Forecast{PerDay: int64(math.Round(slope))}
	// A line through noise is never quite level: what would not add a thousandth of what is free in a month is level.
	if slope <= 0 || slope*forecastDays < float64(free)/1000 {
		f.State = ForecastSteady
		return f
	}
	left := float64(free) / slope
	if left > 3652 {
		f.State = ForecastFar
		return f
	}
	f.State, f.FullAt = ForecastFull, now.Add(time.Duration(left*24*float64(time.Hour)))
	return f
}

// leastSquares is the slope, in bytes a day, of the line that is nearest to all totals.
func leastSquares(days []DayTotal) float64 {
	n := float64(len(days))
	var x, y float64
	for i, d := range days {
		x += float64(i) / n
		y += float64(d.Bytes) / n
	}
	var top, bottom float64
	for i, d := range days {
		top += (float64(i) - x) * (float64(d.Bytes) - y)
		bottom += (float64(i) - x) * (float64(i) - x)
	}
	if bottom == 0 {
		return 0
	}
	return top / bottom
}
