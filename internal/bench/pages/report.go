package pages

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// The goals of issue 5.
const (
	pageGoal = 50 * time.Millisecond // any page, 99th percentile, the large organization
	byteGoal = 5 * time.Millisecond  // the first byte, the ordinary organization
)

// Goal is one of them and what came of it.
type Goal struct {
	Text string
	Met  bool
}

func alone(p Page) Times    { return p.Alone }
func together(p Page) Times { return p.Together }
func first(p Page) Times    { return p.Byte }

// Goals judges a result.
func (r *Result) Goals() (goals []Goal) {
	for _, part := range r.Parts {
		if len(part.Pages) == 0 {
			continue
		}
		switch part.Name {
		case "large":
			p := worst(part.Pages, alone, .99)
			goals = append(goals, Goal{fmt.Sprintf("any page under %v at the 99th percentile with %s schedules and %s log entries: the slowest is `%s` with %s",
				pageGoal, thousands(part.Size.Schedules), thousands(part.Size.Entries), p.Path, ms(p.Alone.At(.99))), p.Alone.At(.99) < pageGoal})
		case "ordinary":
			every := all(part.Pages, first)
			p := worst(part.Pages, first, .5)
			goals = append(goals, Goal{fmt.Sprintf("the first byte of a page under %v with %d databases, %d schedules and %d log entries: %s at the median of all pages, %s at the 99th percentile; the slowest page is `%s` with a median of %s",
				byteGoal, part.Size.Databases, part.Size.Schedules, part.Size.Entries, ms(every.At(.5)), ms(every.At(.99)), p.Path, ms(p.Byte.At(.5))), p.Byte.At(.5) < byteGoal})
		}
	}
	return goals
}

// Write writes the report, DATE-COMMIT-pages.md, into a folder, and returns its path.
func (r *Result) Write(folder string) (string, error) {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return "", err
	}
	path := filepath.Join(folder, r.At.Format("2006-01-02")+"-"+r.Commit+"-pages.md")
	return path, os.WriteFile(path, []byte(r.report()), 0o644)
}

func (r *Result) report() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Pages on %s, commit %s\n\n", r.At.Format("2 January 2006, 15:04 UTC"), r.Commit)
	fmt.Fprintf(&b, "Written by `make bench ONLY=pages`; [README.md](README.md) says how to read it. %s. It took %s.\n\n## Goals\n\n| | Goal |\n| --- | --- |\n", r.Machine, r.Took.Round(time.Second))
	for _, g := range r.Goals() {
		fmt.Fprintf(&b, "| %s | %s |\n", map[bool]string{true: "met", false: "**missed**"}[g.Met], g.Text)
	}
	for _, part := range r.Parts {
		s := part.Size
		fmt.Fprintf(&b, "\n## The %s organization\n\n%s databases, %s schedules, %s entries in DB Logs and %s in the audit log, besides %s entries of another organization with the same names. "+
			"The catalog is %.0f MB; it was written in %s.\n\n", part.Name, thousands(s.Databases), thousands(s.Schedules), thousands(s.Entries), thousands(s.Audit), thousands(s.Other),
			float64(part.Bytes)/1e6, part.Built.Round(time.Second))
		if len(part.Pages) == 0 {
			continue
		}
		one, many := all(part.Pages, alone), all(part.Pages, together)
		fmt.Fprintf(&b, "All pages: %s at the median, %s at the 99th percentile, %s at most; with %d clients at once %s, %s and %s.\n\n", ms(one.At(.5)), ms(one.At(.99)), ms(one.At(1)),
			r.Config.Clients, ms(many.At(.5)), ms(many.At(.99)), ms(many.At(1)))
		fmt.Fprintf(&b, "| Address | Status | first byte p50 | p50 | p99 | max | first time | p50 of %[1]d | p99 of %[1]d | sent | plain |\n| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n", r.Config.Clients)
		for _, p := range part.Pages {
			fmt.Fprintf(&b, "| `%s` | %d | %s | %s | %s | %s | %s | %s | %s | %s | %s |\n", strings.ReplaceAll(p.Path, "|", "%7C"), p.Status, ms(p.Byte.At(.5)), ms(p.Alone.At(.5)), ms(p.Alone.At(.99)),
				ms(p.Alone.At(1)), ms(p.First), ms(p.Together.At(.5)), ms(p.Together.At(.99)), kB(p.Sent), kB(p.Plain))
		}
	}
	return b.String()
}

func ms(d time.Duration) string { return fmt.Sprintf("%.1f ms", d.Seconds()*1000) }

func kB(n int) string { return fmt.Sprintf("%.1f kB", float64(n)/1000) }

func thousands(n int) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
