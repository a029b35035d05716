package app

import (
	"fmt"
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
func inSpan(d time.Duration) string {
	switch {
	case d >= 48*time.Hour && d%(24*time.Hour) == 0:
		return counted(int(d/(24*time.Hour)), "day")
	case d >= time.Hour && d%time.Hour == 0:
		return counted(int(d/time.Hour), "hour")
	}
	return inWords(d)
}

// counted is "1 minute", "2 minutes".
func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// shorten cuts text that came from outside to at most n bytes of valid UTF-8.
func shorten(s string, n int) string {
	return strings.ToValidUTF8(s[:min(len(s), n)], "")
}

// inWords is a wait as people say it, never shorter than it is.
func inWords(d time.Duration) string {
	if d > time.Minute {
		n := int((d + time.Minute - 1) / time.Minute)
		return counted(n, "minute")
	}
	return counted(max(1, int((d+time.Second-1)/time.Second)), "second")
}
