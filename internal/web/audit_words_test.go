package web

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// TestEveryActionHasWords reads the names of the actions out of the application's source.
func TestEveryActionHasWords(t *testing.T) {
	known := map[string]bool{}
	for _, a := range actions {
		known[a.Action] = true
	}
	said := regexp.MustCompile(`(?:action: |e\.action(?:, what)? = |authorize\(ctx, by, admin, |Action: )"([a-z._]+)"`)
	files, err := filepath.Glob("../app/*.go")
	if err != nil || len(files) == 0 {
		t.Fatalf("no source: %v", err)
	}
	found := 0
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if filepath.Ext(f[:len(f)-len(".go")]) == "_test" {
			continue
		}
		for _, m := range said.FindAllStringSubmatch(string(b), -1) {
			found++
			if !known[m[1]] {
				t.Errorf("%s: the audit log has no words for %q", f, m[1])
			}
		}
	}
	if found < 40 {
		t.Errorf("only %d actions were found", found)
	}
}
