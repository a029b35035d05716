package app

import (
	"strings"
	"time"

	"github.com/safepoint-db/safepoint"
)

// notHere names what a person looked for in a "not found" about something else.
func notHere(err error, what string) error {
	if safepoint.ErrorCode(err) == safepoint.CodeNotFound {
		return safepoint.Errorf(safepoint.CodeNotFound, "This %s is not here.", safepoint.Noun(what))
	}
	return err
}

// inSpan is a configured time as people say it: "8 hours", "7 days".
func inSpan(d time.Duration) safepoint.Amount {
	switch {
	case d >= 48*time.Hour && d%(24*time.Hour) == 0:
		return safepoint.Amount{N: int(d / (24 * time.Hour)), One: "{n} day", Many: "{n} days"}
	case d >= time.Hour && d%time.Hour == 0:
		return safepoint.Amount{N: int(d / time.Hour), One: "{n} hour", Many: "{n} hours"}
	}
	return inWords(d)
}

// shorten cuts text that came from outside to at most n bytes of valid UTF-8.
func shorten(s string, n int) string {
	return strings.ToValidUTF8(s[:min(len(s), n)], "")
}

// inWords is a wait as people say it, never shorter than it is.
func inWords(d time.Duration) safepoint.Amount {
	if d > time.Minute {
		return safepoint.Amount{N: int((d + time.Minute - 1) / time.Minute), One: "{n} minute", Many: "{n} minutes"}
	}
	return safepoint.Amount{N: max(1, int((d+time.Second-1)/time.Second)), One: "{n} second", Many: "{n} seconds"}
}
