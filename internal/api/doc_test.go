package api_test

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/safepoint-db/safepoint/internal/api"
)

var update = flag.Bool("update", false, "write the tables of docs/api.md anew")

const docFile = "../../docs/api.md"

// TestDocs holds the two tables of docs/api.md against the program. go test ./internal/api -update writes them.
func TestDocs(t *testing.T) {
	b := newBench(t)
	var routes, codes strings.Builder
	routes.WriteString("| Route | |\n| --- | --- |\n")
	for _, r := range b.api.Routes() {
		fmt.Fprintf(&routes, "| `%s %s` | %s |\n", r.Method, strings.Replace(r.Path, "/api/v1/organizations/{organization}", "…", 1), r.Summary)
	}
	codes.WriteString("| Code | Status |\n| --- | --- |\n")
	for _, code := range slices.Sorted(maps.Keys(api.Codes)) {
		fmt.Fprintf(&codes, "| `%s` | %d |\n", code, api.Codes[code])
	}
	data, err := os.ReadFile(docFile)
	must(t, err)
	doc := between(t, string(data), "routes", routes.String())
	doc = between(t, doc, "codes", codes.String())
	if doc == string(data) {
		return
	}
	if !*update {
		t.Fatal("docs/api.md is not what the program does: run go test ./internal/api -run TestDocs -update")
	}
	must(t, os.WriteFile(docFile, []byte(doc), 0o644))
}

// between replaces what stands between the two marks of a name.
func between(t *testing.T, doc, name, text string) string {
	t.Helper()
	begin, end := "<!-- "+name+" -->\n", "<!-- end of "+name+" -->"
	before, rest, ok := strings.Cut(doc, begin)
	_, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("docs/api.md has no marks for %s", name)
	}
	return before + begin + "\n" + text + "\n" + end + after
}
