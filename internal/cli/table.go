package cli

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/mattn/go-runewidth"
	"golang.org/x/term"
)

// column is one column of a table.
type column struct {
	title string
	right bool // numbers, sizes, durations: set to the right
	flex  bool // words of any length: shortened where the terminal is too narrow
	rank  int  // how soon the column gives way; 0 never does
}

// gap is the room between two columns, and narrowest what a flexible column keeps as long as another can give way.
const (
	gap       = 2
	narrowest = 12
)

// columns makes columns of titles, which say the rest: ">" in front sets a column to the right, "~" in front lets it be
// shortened, and a digit at the end is its rank: ">file size 3".
func columns(titles ...string) []column {
	all := make([]column, len(titles))
	for i, t := range titles {
		c := &all[i]
		t, c.right = strings.CutPrefix(t, ">")
		t, c.flex = strings.CutPrefix(t, "~")
		if at := strings.LastIndexByte(t, ' '); at >= 0 {
			if rank, err := strconv.Atoi(t[at+1:]); err == nil {
				t, c.rank = t[:at], rank
			}
		}
		c.title = strings.ToUpper(t)
	}
	return all
}

// table writes rows under a header. On a terminal it fits into the width: first words are shortened, then whole columns
// left out, the least important first, and a line below names them. Elsewhere every value is whole.
func table(w io.Writer, cols []column, rows [][]string) {
	for _, r := range rows {
		for i := range r {
			r[i] = oneLine(r[i])
		}
	}
	widths := make([]int, len(cols))
	for i, c := range cols {
		widths[i] = runewidth.StringWidth(c.title)
		for _, r := range rows {
			widths[i] = max(widths[i], runewidth.StringWidth(r[i]))
		}
	}
	var out []string
	if room := terminalWidth(w); room > 0 {
		out = fit(cols, widths, room)
	}
	header := make([]string, len(cols))
	for i, c := range cols {
		header[i] = c.title
	}
	writeRow(w, cols, widths, header)
	for _, r := range rows {
		writeRow(w, cols, widths, r)
	}
	if len(out) > 0 {
		fmt.Fprintf(w, "No room here for: %s. A wider terminal or --json shows it.\n", strings.ToLower(strings.Join(out, ", ")))
	}
}

// fit makes widths add up to room at most, 0 for a column that is left out. It returns the titles of those.
func fit(cols []column, widths []int, room int) (out []string) {
	whole := slices.Clone(widths)
	byRank := make([]int, len(cols))
	for i := range byRank {
		byRank[i] = i
	}
	slices.SortStableFunc(byRank, func(a, b int) int { return cols[b].rank - cols[a].rank })

	gone := map[int]bool{}
	squeeze := func(least int) bool {
		for i := range widths {
			if widths[i] = whole[i]; gone[i] {
				widths[i] = 0
			}
		}
		for _, i := range byRank {
			if over := total(widths) - room; over > 0 && cols[i].flex && widths[i] > least {
				widths[i] = max(least, widths[i]-over)
			}
		}
		return total(widths) <= room
	}
	for _, i := range byRank {
		if squeeze(narrowest) {
			return out
		}
		if cols[i].rank > 0 {
			gone[i] = true
			out = append(out, cols[i].title)
		}
	}
	if !squeeze(narrowest) {
		squeeze(4)
	}
	return out
}

// total is the length of a line of columns of these widths.
func total(widths []int) int {
	sum := -gap
	for _, w := range widths {
		if w > 0 {
			sum += w + gap
		}
	}
	return sum
}

// writeRow writes one line, without spaces at its end. A cell that is longer than its column ends with an ellipsis.
func writeRow(w io.Writer, cols []column, widths []int, cells []string) {
	var b strings.Builder
	for i, text := range cells {
		if widths[i] == 0 {
			continue
		}
		if b.Len() > 0 {
			b.WriteString(strings.Repeat(" ", gap))
		}
		text = runewidth.Truncate(text, widths[i], "…")
		space := strings.Repeat(" ", widths[i]-runewidth.StringWidth(text))
		if cols[i].right {
			b.WriteString(space + text)
		} else {
			b.WriteString(text + space)
		}
	}
	fmt.Fprintln(w, strings.TrimRight(b.String(), " "))
}

// terminalWidth is how many cells a line of the terminal behind w has; 0 where w is none, or does not say. COLUMNS
// overrules what the terminal says, as it does for other programs.
func terminalWidth(w io.Writer) int {
	if !isTerminal(w) {
		return 0
	}
	if n, err := strconv.Atoi(os.Getenv("COLUMNS")); err == nil && n > 0 {
		return n
	}
	n, _, err := term.GetSize(int(w.(*os.File).Fd()))
	if err != nil {
		return 0
	}
	return n
}
