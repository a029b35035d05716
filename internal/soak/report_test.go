package soak

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A report changes its own section of the page and nothing else.
func TestReport(t *testing.T) {
	page := filepath.Join(t.TempDir(), "page.md")
	if err := os.WriteFile(page, []byte("# Page\n\n<!-- figures: a -->\nold\n<!-- end -->\n\nBetween.\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, section := range []string{"a", "b", "b"} {
		r := Report{Command: "make " + section, Head: []string{"What", "Runs"}, Rows: [][]string{{"kill", "7"}}, Notes: []string{"A note on " + section + "."}}
		if err := r.Write(page, section); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	text := string(got)
	for what, n := range map[string]int{
		"# Page\n": 1, "\nBetween.\n": 1, "old": 0, "<!-- figures: a -->": 1, "<!-- figures: b -->": 1, "<!-- end -->": 2,
		"`make a`": 1, "`make b`": 1, "| kill | 7 |": 2, "A note on b.": 1,
	} {
		if strings.Count(text, what) != n {
			t.Errorf("%q is there %d times, want %d, in:\n%s", what, strings.Count(text, what), n, text)
		}
	}
}
