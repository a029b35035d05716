// Package arrows checks the shape of the program: which package may import which (docs/architecture.md), and that
// each opens with a sentence that says what it promises.
package arrows

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/safepoint-db/safepoint"

// arrows lists, for each package, the packages of this module it may import, besides the root package and
// internal/fault, which everyone may. "root" is the root package itself. A pattern ending in "/*" is every package
// below. Arrows point down: a package is written above those it may import.
var arrows = map[string][]string{
	"cmd/safepoint": {"internal/cli"},
	"internal/cli": {"internal/language", "internal/demo", "internal/rebuild", "internal/doctor", "internal/server", "internal/api/*", "internal/web", "internal/client", "internal/kinds", "internal/app",
		"internal/catalog", "internal/jobs", "internal/event", "internal/backup", "internal/restore", "internal/engine",
		"internal/storage", "internal/storage/*", "internal/halt", "internal/archive", "internal/encrypt", "internal/foreign", "internal/pgserver", "internal/writeback", "internal/scratch"},
	"internal/demo": {"internal/app", "internal/catalog", "internal/jobs", "internal/engine", "internal/archive", "internal/storage",
		"internal/halt", "internal/halt/webhook", "internal/pgserver", "internal/server", "internal/kinds", "internal/event"},
	"internal/server": {"internal/rebuild", "internal/encrypt", "internal/api", "internal/web", "internal/app", "internal/catalog", "internal/jobs", "internal/event",
		"internal/kinds", "internal/operator", "internal/engine", "internal/storage", "internal/storage/*", "internal/halt", "internal/backup", "internal/restore", "internal/archive",
		"internal/fault/calls"},
	"internal/client": {"internal/api/wire"},

	// Front doors: nothing below app is theirs to touch, except the words that app's values are made of.
	"internal/api":      {"internal/api/wire", "internal/app", "internal/event", "internal/engine", "internal/halt", "internal/storage"},
	"internal/api/wire": {},
	"internal/web":      {"docs/help", "internal/help", "internal/language", "internal/app", "internal/event", "internal/engine", "internal/halt", "internal/storage"},

	"internal/app": {"internal/language", "internal/passkey", "internal/foreign", "internal/backup", "internal/restore", "internal/catalog", "internal/jobs", "internal/event", "internal/egress",
		"internal/engine", "internal/storage", "internal/halt", "internal/archive", "internal/encrypt"},
	"internal/kinds": {"internal/engine", "internal/engine/*", "internal/storage", "internal/storage/*", "internal/halt", "internal/halt/*"},

	// What carries out one operation, and what decides when.
	"internal/restore": {"internal/backup", "internal/engine", "internal/storage", "internal/halt", "internal/archive"},
	"internal/doctor":  {"internal/catalog", "internal/engine"},
	"internal/rebuild": {"internal/backup", "internal/catalog", "internal/storage", "internal/archive", "internal/encrypt"},
	"internal/backup":  {"internal/engine", "internal/storage", "internal/archive", "internal/encrypt"},
	"internal/catalog": {"internal/jobs"},
	"internal/jobs":    {"internal/event"},

	// Contracts, and their implementations, which know their own contract only.
	"internal/engine":             {"internal/archive"},
	"internal/engine/postgres":    {"internal/engine", "internal/archive", "internal/egress", "internal/sqlscript", "internal/scratch"},
	"internal/engine/sqlite":      {"internal/engine", "internal/archive"},
	"internal/storage":            {},
	"internal/storage/local":      {"internal/storage", "internal/writeback"},
	"internal/writeback":          {},
	"internal/halt":               {},
	"internal/halt/pgbouncer":     {"internal/halt", "internal/egress"},
	"internal/halt/webhook":       {"internal/halt", "internal/egress"},
	"internal/halt/systemd":       {"internal/halt"},
	"internal/halt/docker":        {"internal/halt", "internal/halt/rest"},
	"internal/halt/kubernetes":    {"internal/halt", "internal/halt/rest"},
	"internal/halt/command":       {"internal/halt", "internal/halt/process"},
	"internal/halt/health":        {"internal/halt", "internal/halt/process"},
	"internal/halt/process":       {"internal/halt"},
	"internal/halt/rest":          {"internal/halt"},
	"internal/operator":           {},
	"internal/archive":            {},
	"internal/sqlscript":          {},
	"internal/language":           {},
	"internal/language/sentences": {},
	"internal/language/collect":   {"internal/language/sentences"},
	"internal/encrypt":            {},
	"internal/passkey":            {},
	"internal/foreign":            {"internal/archive", "internal/sqlscript", "internal/scratch"},
	"internal/egress":             {},
	"internal/scratch":            {},
	"internal/event":              {},
	"internal/help":               {},
	"docs/help":                   {},
	"internal/fault":              {},
	"internal/fault/calls":        {"internal/engine", "internal/storage", "internal/halt", "internal/archive"},
	"internal/pgserver":           {"internal/engine"},
	"root":                        {},

	// For applications, which import nothing else of this module.
	"gate":             {},
	"docs/examples/go": {"gate"},

	// What tests are made of. Nothing that is shipped imports these.
	"internal/bench":               {"internal/pgserver", "internal/engine", "internal/engine/postgres", "internal/archive"},
	"internal/bench/cmd":           {"internal/bench", "internal/bench/pages"},
	"internal/bench/pages":         {"internal/server", "internal/app", "internal/web"},
	"internal/browsertest":         {},
	"internal/certtest":            {},
	"internal/e2e":                 {},
	"internal/engine/enginetest":   {"internal/engine", "internal/archive"},
	"internal/halt/halttest":       {"internal/halt"},
	"internal/pgtest":              {"internal/pgserver", "internal/engine"},
	"internal/many":                {},
	"internal/passkey/passkeytest": {},
	"internal/soak":                {},
	"internal/measure":             {},
	"internal/storage/storagetest": {"internal/storage"},
}

// testOnly are the packages of the table's last block.
var testOnly = []string{"internal/bench", "internal/bench/cmd", "internal/bench/pages", "internal/browsertest", "internal/certtest", "internal/e2e", "internal/engine/enginetest", "internal/halt/halttest", "internal/pgtest",
	"internal/many", "internal/passkey/passkeytest", "internal/soak", "internal/measure", "internal/storage/storagetest"}

// standardOnly import nothing from outside the standard library and this module: words, rules and contracts.
var standardOnly = []string{"root", "internal/engine", "internal/storage", "internal/halt", "internal/jobs", "internal/event", "internal/fault", "gate"}

// pkg is what `go list -json` says of a package.
type pkg struct {
	ImportPath string
	Doc        string
	GoFiles    []string
	Imports    []string
}

func TestArrows(t *testing.T) {
	for _, p := range list(t) {
		name := relative(p.ImportPath)
		allowed, known := arrows[name]
		if !known {
			t.Errorf("%s is not in the table of this test. Give it a row that says what it may import; if that is more than its neighbours may, say why in docs/architecture.md.", name)
			continue
		}
		if strings.TrimSpace(p.Doc) == "" {
			t.Errorf("%s has no package comment. Open one of its files with a sentence that says what it promises: // Package … does ….", name)
		}
		for _, path := range p.Imports {
			imported := relative(path)
			switch {
			case imported == "":
				if strings.Contains(strings.Split(path, "/")[0], ".") && slices.Contains(standardOnly, name) {
					t.Errorf("%s imports %s. It holds words, rules or a contract and imports the standard library only; move what needs the module into the package that does the work.", name, path)
				}
			case slices.Contains(testOnly, imported) && !slices.Contains(testOnly, name):
				t.Errorf("%s imports %s, which is for tests: it would be shipped.", name, imported)
			case !may(allowed, imported):
				t.Errorf("%s imports %s, against the arrows. It may import: %s. Pass a value or a small interface down from a package that knows both, as internal/cli does.",
					name, imported, strings.Join(append([]string{"root", "internal/fault"}, allowed...), ", "))
			}
		}
	}
}

// TestTable keeps the table honest: a row for a package that is gone, or an arrow back up, is a mistake in it.
func TestTable(t *testing.T) {
	for name, allowed := range arrows {
		for _, pattern := range allowed {
			for other, back := range arrows {
				if may([]string{pattern}, other) && other != name && !slices.Contains(testOnly, name) && slices.Contains(back, name) {
					t.Errorf("the table lets %s import %s and %s import %s", name, other, other, name)
				}
			}
		}
	}
}

func may(allowed []string, imported string) bool {
	if imported == "root" || imported == "internal/fault" {
		return true
	}
	return slices.ContainsFunc(allowed, func(pattern string) bool {
		folder, below := strings.CutSuffix(pattern, "/*")
		return pattern == imported || below && strings.HasPrefix(imported, folder+"/")
	})
}

// relative is a package's name in the table, "" if it is not of this module.
func relative(path string) string {
	if path == module {
		return "root"
	}
	rest, ours := strings.CutPrefix(path, module+"/")
	if !ours {
		return ""
	}
	return rest
}

// list returns every package of the module that is more than tests.
func list(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.Command("go", "list", "-e", "-json=ImportPath,Doc,GoFiles,Imports", module+"/...")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, &stderr)
	}
	var all []pkg
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		err := dec.Decode(&p)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("read what go list said: %v", err)
		}
		if len(p.GoFiles) > 0 {
			all = append(all, p)
		}
	}
	if len(all) < 10 {
		t.Fatalf("go list found only %d packages: the test looks in the wrong place", len(all))
	}
	return all
}
