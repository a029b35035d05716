package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/safepoint-db/safepoint/internal/api/wire"
)

// printPreview says what a restore would do and what stands in its way: first whether it can begin, then what it replaces,
// whom it halts and for how long, and what was checked.
func printPreview(w io.Writer, p wire.RestorePreview) {
	name := oneLine(p.Database.Name)
	if p.Ready {
		fmt.Fprintf(w, "%s can be restored", name)
	} else {
		fmt.Fprintf(w, "%s cannot be restored now", name)
	}
	fmt.Fprintf(w, " from %s.\n", oneLine(p.Backup.Name))
	switch {
	case p.Busy != nil && p.Ready:
		fmt.Fprintf(w, "%s %s is %s and will finish first.\n", p.Busy.Type, p.Busy.ID, p.Busy.Status)
	case p.Busy != nil:
		fmt.Fprintf(w, "in the way: %s %s is %s.\n", p.Busy.Type, p.Busy.ID, p.Busy.Status)
	}
	printStanding(w, p.Findings)
	if p.NeedsKey {
		fmt.Fprintln(w, "The backup is encrypted, and the server keeps none of its keys: name the file that holds one with --identity.")
	}
	for _, text := range p.Passed {
		fmt.Fprintf(w, "ok: %s\n", oneLine(text))
	}

	fmt.Fprintln(w)
	if p.At.IsZero() {
		fmt.Fprintln(w, "It is not known of when the backup is: how much will be replaced nobody can say.")
	} else {
		fmt.Fprintf(w, "%s of changes will be replaced: everything since %s.\n", durationText(inSeconds(p.ChangesSeconds)), when(p.At))
	}
	printComparison(w, p)
	printHalt(w, p)
	facts(w, "Live database", sizeText(p.LiveSize), "Safety backup", safetyText(p))
}

// printStanding prints blockers first.
func printStanding(w io.Writer, findings []wire.Finding) {
	for _, blocker := range []bool{true, false} {
		for _, f := range findings {
			if f.Blocker == blocker {
				kind := "note"
				if blocker {
					kind = "in the way"
				}
				fmt.Fprintln(w, strings.TrimRight(fmt.Sprintf("%s: %s %s", kind, oneLine(f.Message), oneLine(f.Hint)), " "))
			}
		}
	}
}

func printComparison(w io.Writer, p wire.RestorePreview) {
	c := p.Rows
	if c == nil {
		if p.RowsUnknown != "" {
			fmt.Fprintf(w, "Rows cannot be compared. %s\n", oneLine(p.RowsUnknown))
		}
		return
	}
	if len(c.Changes) == 0 {
		fmt.Fprintf(w, "As far as is known, %s as in the backup.\n", plural(c.Same, "table is", "tables are"))
		return
	}
	cols := columns("~table", ">in the backup")
	if c.NewestID != "" {
		cols = append(cols, column{title: "AT " + when(c.NewestAt), right: true, rank: 2})
	}
	cols = append(cols, columns(">now", "~the restore 1")...)
	var rows [][]string
	for _, t := range c.Changes {
		row := []string{t.Name, rowsText(t.BackupRows, true)}
		if c.NewestID != "" {
			row = append(row, rowsText(t.NewestRows, true))
		}
		rows = append(rows, append(row, rowsText(t.LiveRows, t.Exact), fateText(t)))
	}
	table(w, cols, rows)
	if c.More > 0 {
		fmt.Fprintf(w, "and %s\n", plural(c.More, "more table", "more tables"))
	}
	fmt.Fprintf(w, "Tables taken away: %d, brought back: %d, with other rows: %d, as in the backup: %d, not known: %d. Rows in the backup: %s.\n",
		c.Vanishing, c.Returning, c.Differing, c.Same, c.Unknown, grouped(c.BackupRows))
}

func rowsText(n *int64, exact bool) string {
	switch {
	case n == nil:
		return "-"
	case !exact:
		return "about " + grouped(*n)
	}
	return grouped(*n)
}

func fateText(t wire.TableChange) string {
	switch t.Fate {
	case "vanishes":
		return "takes it away"
	case "comes_back":
		return "brings it back"
	case "rows":
		return "changes its rows"
	case "content":
		return "changes its rows, not their number"
	}
	return "not known"
}

func printHalt(w io.Writer, p wire.RestorePreview) {
	if len(p.Services) == 0 {
		fmt.Fprintln(w, "No services are halted: none are declared. Writes made during the restore are lost.")
		return
	}
	fmt.Fprintln(w, "These services are halted in this order, and resumed by themselves:")
	var rows [][]string
	for _, s := range p.Answers {
		rows = append(rows, []string{s.Name, s.Kind, durationText(inSeconds(s.TimeoutSeconds)), s.Meaning})
	}
	table(w, columns("~service", "kind 2", ">timeout 1", "~now 3"), rows)
	rows = nil
	for _, mode := range p.Modes {
		text := "not known yet"
		if s, known := p.HaltSeconds[mode]; known {
			text = "about " + durationText(inSeconds(s))
		}
		name := mode
		if mode == p.Mode && len(p.Modes) > 1 {
			name += " (default)"
		}
		rows = append(rows, []string{name, text, modeText(mode)})
	}
	table(w, columns("mode", "halted for", "~what it does 1"), rows)
}

// modeText says what a mode means here.
func modeText(mode string) string {
	switch mode {
	case "instant":
		return "Services are halted for the switch alone. The safety backup is made right after, of what was set aside."
	case "in_place":
		return "The content is replaced within the database, because no copy can be made beside it. The way back is the safety backup."
	}
	return "The safety backup is made while services are halted, then comes the switch."
}

func safetyText(p wire.RestorePreview) string {
	if p.SafetySize == 0 || p.SpaceFree == 0 {
		return ""
	}
	return fmt.Sprintf("about %s, %s free in the storage", bytesText(p.SafetySize), bytesText(p.SpaceFree))
}
