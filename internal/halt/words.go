package halt

import (
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/safepoint-db/safepoint"
)

// OneLine is what may be shown of a service's own words: up to 120 printable characters, on one line.
func OneLine(s string) string {
	var b strings.Builder
	n := 0
	for _, r := range strings.Join(strings.Fields(strings.ToValidUTF8(s, "")), " ") {
		if !unicode.IsPrint(r) {
			continue
		}
		if n++; n > 120 {
			return b.String() + "…"
		}
		b.WriteRune(r)
	}
	return b.String()
}

// Seconds is a timeout as people read it, such as "60 s" or "0.5 s".
func Seconds(d time.Duration) string {
	return strconv.FormatFloat(d.Seconds(), 'f', -1, 64) + " s"
}

// What a service is told to do is said in messages by these words.
var _ = []safepoint.Noun{"halt", "resume", "stop", "start"}
