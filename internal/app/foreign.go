package app

import (
	"strconv"
	"strings"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/archive"
	"github.com/safepoint-db/safepoint/internal/engine"
	"github.com/safepoint-db/safepoint/internal/foreign"
)

// foreignFinding warns of a backup whose statements are of unknown origin, and says what it brings.
func foreignFinding(h archive.Header) (f engine.Finding, is bool) {
	if h.Foreign == "" {
		return f, false
	}
	c, ok := foreign.ContentsOf(h)
	if !ok {
		return engine.Found(safepoint.Errorf(safepoint.CodeArchive, "This backup was not made here (%s): its statements are of unknown origin.", h.Foreign).
			WithHint("Restore it only if you know where it comes from.")), true
	}
	said := safepoint.Errorf(safepoint.CodeArchive, "This backup was not made here (%s): its statements are of unknown origin, and it cannot be compared row by row.", h.Foreign)
	switch names, more := codeNames(c); {
	case more > 0:
		said = safepoint.Errorf(said.Code, "%s It brings code that the database will run by itself later: %s and %d more.", said.Quoted(), names, more)
	case names != "":
		said = safepoint.Errorf(said.Code, "%s It brings code that the database will run by itself later: %s.", said.Quoted(), names)
	}
	if len(c.Notes) == 0 {
		return engine.Found(said.WithHint("Restore it only if you know where it comes from.")), true
	}
	return engine.Found(said.WithHint("Restore it only if you know where it comes from. Left out of it: %s", leftOut(c.Notes))), true
}

// codeNames is "FUNCTION public.total, TRIGGER audit", and how many more there are.
func codeNames(c foreign.Contents) (text string, more int) {
	const shown = 5
	var names []string
	for _, o := range c.Code[:min(shown, len(c.Code))] {
		names = append(names, strings.TrimSpace(o.Kind+" "+o.Name))
	}
	return strings.Join(names, ", "), c.CodeCount - len(names)
}

// leftOut is what a conversion noted, one sentence after the other. A file keeps them in English, and how often each was
// noted behind it: "Statements about plpgsql are left out: every database has it. (3 times)".
func leftOut(notes []string) safepoint.Quote {
	first := safepoint.Errorf(safepoint.CodeArchive, "%s", safepoint.Noun(notes[0]))
	if i := strings.LastIndex(notes[0], " ("); i > 0 && strings.HasSuffix(notes[0], " times)") {
		if n, err := strconv.Atoi(strings.TrimSuffix(notes[0][i+2:], " times)")); err == nil {
			first = safepoint.Errorf(first.Code, "%s (%d times)", safepoint.Noun(notes[0][:i]), n)
		}
	}
	if len(notes) == 1 {
		return first.Quoted()
	}
	return safepoint.Errorf(first.Code, "%s %s", first.Quoted(), leftOut(notes[1:])).Quoted()
}
