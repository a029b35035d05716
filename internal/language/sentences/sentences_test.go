package sentences

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/leonelquinteros/gotext"
)

const repository = "../../.."

func write(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestCollect(t *testing.T) {
	root := write(t, map[string]string{
		"internal/web/a.go": `package web
import "safepoint"
var x = language.Mark("marked")
func f(c locale, e thing) {
	language.Words("unit", "min", "s"); c.Word("unit", u)
	c.Say("say {a}", "a", 1); c.Count(n, "{n} one", "{n} " + "many"); c.HTML("html"); c.Word("month", "May"); c.Say(e.field)
	safepoint.Errorf(code, "%s is %d", a, b).WithHint("do %q", c)
	fmt.Errorf("not for %s", "people")
}`,
		"internal/web/templates/b.html": `{{define "x"}}{{if .A}}{{t "in a template: {b}" "b" .B}}{{else}}{{tn .N "{n} row" "{n} rows"}}{{end}}{{template "input" (input .F "name" (say "Name"))}}{{end}}`,
		"internal/app/c.go":             `package app; func f() { x.Say("not the console's") }`,
		"internal/engine/e.go": `package engine
const hintCopy = "a hint by its name"
var _ = []safepoint.Noun{"thing"}
func (f *found) warn(code string, hint, format string, args ...any) { f.add(safepoint.Errorf(code, format, args...).Hinted(hint)) }
func note(format string, args ...any) { log.Printf(format, args...) }
func g() { f.warn(c, "a hint passed on", "%d passed on", 1); note("not for people") }`,
		"internal/cli/d.go":      `package cli; func f() { safepoint.Errorf(code, "at a terminal") }`,
		"internal/web/c_test.go": `package web; func f() { c.Say("in a test") }`,
	})
	got, err := Collect(root)
	if err != nil {
		t.Fatal(err)
	}
	var said []string
	for _, s := range got {
		said = append(said, s.Context+"|"+s.One+"|"+s.Many)
	}
	want := []string{"|Name|", "|do {1}|", "|a hint by its name|", "|thing|", "|a hint passed on|", "|{1} passed on|", "|html|", "|in a template: {b}|", "month|May|", "unit|min|", "unit|s|", "|marked|", "|say {a}|", "|{1} is {2}|", "|{n} one|{n} many", "|{n} row|{n} rows"}
	slices.Sort(said)
	slices.Sort(want)
	if !slices.Equal(said, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(said, "\n"), strings.Join(want, "\n"))
	}
}

func TestCollectComplains(t *testing.T) {
	for text, want := range map[string]string{
		`c.Say("a {b}")`:                             "nothing is given for {b}",
		`c.Say("a", "b", 1)`:                         "no place for b",
		`c.Say("a " + b)`:                            "no literal",
		`language.Words("unit", u)`:                  "no literal",
		`c.Count(n, "one {x}", "many {x}")`:          "nothing is given for {x}",
		`c.Count(1, "a", "b"); c.Count(1, "a", "c")`: "two plurals",
	} {
		_, err := Collect(write(t, map[string]string{"internal/web/a.go": "package web\nfunc f() { " + text + " }"}))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
	_, err := Collect(write(t, map[string]string{"internal/web/templates/a.html": `{{t "a {b}"}}`}))
	if err == nil || !strings.Contains(err.Error(), "nothing is given for {b}") {
		t.Error(err)
	}
}

func TestMerge(t *testing.T) {
	old := "msgid \"\"\nmsgstr \"\"\n\"Plural-Forms: nplurals=2; plural=(n != 1);\\n\"\n\nmsgid \"gone\"\nmsgstr \"weg\"\n\nmsgid \"stays \\\"so\\\"\"\nmsgstr \"bleibt\"\n\n" +
		"msgid \"{n} row\"\nmsgid_plural \"{n} rows\"\nmsgstr[0] \"{n} Zeile\"\nmsgstr[1] \"{n} Zeilen\"\n\nmsgctxt \"month\"\nmsgid \"May\"\nmsgstr \"Mai\"\n"
	said := []Sentence{{One: `stays "so"`}, {One: "{n} row", Many: "{n} rows"}, {Context: "month", One: "May"}, {One: "new", Files: []string{"a.go"}}}
	merged, missing := Merge([]byte(old), said)
	if missing != 1 || strings.Contains(string(merged), "weg") {
		t.Errorf("%d missing:\n%s", missing, merged)
	}
	p := gotext.NewPo()
	p.Parse(merged)
	if p.Get(`stays "so"`) != "bleibt" || p.GetN("{n} row", "{n} rows", 2) != "{n} Zeilen" || p.GetC("May", "month") != "Mai" || p.Get("new") != "new" {
		t.Errorf("%s", merged)
	}
	again, _ := Merge(merged, said)
	if string(again) != string(merged) {
		t.Errorf("merged again it is\n%s", again)
	}
}
