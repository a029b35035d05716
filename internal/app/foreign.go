package app

import (
	"fmt"
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
	f = engine.Finding{
		Code:    safepoint.CodeArchive,
		Message: fmt.Sprintf("This backup was not made here (%s): its statements are of unknown origin, and it cannot be compared row by row.", h.Foreign),
		Hint:    "Restore it only if you know where it comes from.",
	}
	c, ok := foreign.ContentsOf(h)
	if !ok {
		f.Message = fmt.Sprintf("This backup was not made here (%s): its statements are of unknown origin.", h.Foreign)
		return f, true
	}
	if c.CodeCount > 0 {
		f.Message += " It brings code that the database will run by itself later: " + codeNames(c) + "."
	}
	if len(c.Notes) > 0 {
		f.Hint += " Left out of it: " + strings.Join(c.Notes, " ")
	}
	return f, true
}

// codeNames is "FUNCTION public.total, TRIGGER audit and 12 more".
func codeNames(c foreign.Contents) string {
	const shown = 5
	var names []string
	for _, o := range c.Code[:min(shown, len(c.Code))] {
		names = append(names, strings.TrimSpace(o.Kind+" "+o.Name))
	}
	text := strings.Join(names, ", ")
	if more := c.CodeCount - len(names); more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}
