package arrows

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	link = regexp.MustCompile(`\]\(([^)#\s]+)(?:#[^)]*)?\)`)
	path = regexp.MustCompile("`((?:internal|cmd|scripts|docs|\\.ci)/[A-Za-z0-9_./-]+)`")
	row  = regexp.MustCompile("(?m)^\\| `([a-z0-9.-]+\\.[a-z]+/[^`]+)` \\|")
)

// TestDocuments keeps the documents from pointing at what is not there.
func TestDocuments(t *testing.T) {
	for _, file := range documents(t) {
		text := read(t, file)
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			if strings.Contains(m[1], "://") || strings.HasPrefix(m[1], "mailto:") {
				continue
			}
			if _, err := os.Stat(filepath.Join(filepath.Dir(file), m[1])); err != nil {
				t.Errorf("%s links to %s, which is not there. Mend the link, or write the page.", file, m[1])
			}
		}
		for _, m := range path.FindAllStringSubmatch(text, -1) {
			if _, err := os.Stat(filepath.Join("..", m[1])); err != nil {
				t.Errorf("%s names %s, which is not there. It moved, or was never written.", file, m[1])
			}
		}
	}
}

// TestArchitectureNamesEveryPackage keeps the map of the program whole: what arrows lists is on docs/architecture.md.
func TestArchitectureNamesEveryPackage(t *testing.T) {
	text := read(t, "../docs/architecture.md")
	for pkg := range arrows {
		name, below := strings.CutPrefix(pkg, "internal/")
		if !below || pkg == "internal" { // what is not below internal/ is for others to use, and has documents of its own
			continue
		}
		if !strings.Contains(text, "`"+name+"`") && !strings.Contains(text, "`"+name[strings.LastIndexByte(name, '/')+1:]+"`") {
			t.Errorf("docs/architecture.md does not name %s. Say there what it promises.", pkg)
		}
	}
}

// TestComments keeps comments in the code from sending their reader to a page that there is not.
func TestComments(t *testing.T) {
	page := regexp.MustCompile(`docs/[A-Za-z0-9_/.-]+\.md`)
	err := filepath.WalkDir("..", func(file string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && strings.HasPrefix(d.Name(), ".") && file != "..":
			return filepath.SkipDir
		case filepath.Ext(file) != ".go":
			return nil
		}
		for _, name := range page.FindAllString(read(t, file), -1) {
			if _, err := os.Stat(filepath.Join("..", name)); err != nil {
				t.Errorf("%s names %s, which is not there.", file, name)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestDependencies keeps docs/dependencies.md and go.mod together: each module that we ask for has a reason.
func TestDependencies(t *testing.T) {
	var explained []string
	for _, m := range row.FindAllStringSubmatch(read(t, "../docs/dependencies.md"), -1) {
		explained = append(explained, m[1])
	}
	required := direct(read(t, "../go.mod"))
	if len(required) == 0 {
		t.Fatal("no module was found in go.mod: the test reads it wrongly")
	}
	for _, module := range required {
		if !slices.Contains(explained, module) {
			t.Errorf("go.mod asks for %s, and docs/dependencies.md gives no reason. Add its line there, or do without it.", module)
		}
	}
	for _, module := range explained {
		if !slices.Contains(required, module) {
			t.Errorf("docs/dependencies.md explains %s, which go.mod does not ask for. Remove its line.", module)
		}
	}
}

// direct returns the modules of go.mod's require blocks that are not marked indirect.
func direct(gomod string) (modules []string) {
	inside := false
	for line := range strings.Lines(gomod) {
		line = strings.TrimSpace(line)
		switch {
		case line == "require (":
			inside = true
		case line == ")":
			inside = false
		case inside && line != "" && !strings.HasSuffix(line, "// indirect"):
			modules = append(modules, strings.Fields(line)[0])
		}
	}
	return modules
}

func documents(t *testing.T) []string {
	t.Helper()
	files := []string{"../README.md"}
	err := filepath.WalkDir("../docs", func(file string, d fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(file, ".md") {
			files = append(files, file)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
