package sentences

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/leonelquinteros/gotext"

	"github.com/safepoint-db/safepoint/internal/language"
)

// TestCatalogueIsComplete: every language but English says every sentence of the program, in every plural form, with
// the same places, bold words and blanks; and its file is what collect writes, so that nothing is left over.
func TestCatalogueIsComplete(t *testing.T) {
	said, err := Collect(repository)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range language.All() {
		if l == language.English {
			continue
		}
		t.Run(l.Tag, func(t *testing.T) {
			file := filepath.Join(repository, "internal/language/po", l.Tag+".po")
			old, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if merged, _ := Merge(old, said); string(merged) != string(old) {
				t.Errorf("%s is not up to date: go run ./internal/language/collect", l.Tag)
			}
			for _, p := range incomplete(old, said) {
				t.Error(p)
			}
		})
	}
}

// TestIncomplete shows that each way in which a translation can be wrong is found.
func TestIncomplete(t *testing.T) {
	said := []Sentence{{One: "**{name}** is here."}, {One: "{n} row of {all}", Many: "{n} rows of {all}"}, {Context: "month", One: "May"}, {One: "at\u00a0{time}"}}
	right := []string{"**{name}** ist da.", "{n} Zeile von {all}", "{n} Zeilen von {all}", "Mai", "um\u00a0{time}"}
	catalogue := func(t []string) []byte {
		return []byte("msgid \"\"\nmsgstr \"\"\n\"Plural-Forms: nplurals=2; plural=(n != 1);\\n\"\n\n" +
			"msgid \"**{name}** is here.\"\nmsgstr " + quoted(t[0]) + "\n\nmsgid \"{n} row of {all}\"\nmsgid_plural \"{n} rows of {all}\"\nmsgstr[0] " + quoted(t[1]) + "\nmsgstr[1] " + quoted(t[2]) +
			"\n\nmsgctxt \"month\"\nmsgid \"May\"\nmsgstr " + quoted(t[3]) + "\n\nmsgid \"at\u00a0{time}\"\nmsgstr " + quoted(t[4]) + "\n")
	}
	if p := incomplete(catalogue(right), said); p != nil {
		t.Errorf("a right catalogue: %q", p)
	}
	for _, c := range []struct {
		at          int
		translation string
		want        string
	}{
		{0, "", "no translation"}, {2, "", "no translation"}, {3, "", "no translation"},
		{0, "**{nome}** ist da.", "places"}, {0, "**Es** ist da.", "places"}, {2, "{n} Zeilen", "places"},
		{0, "{name} ist da.", "stars"}, {0, "**{name}** ist da. ", "blanks"}, {4, "um {time}", "no-break spaces"},
	} {
		wrong := slices.Clone(right)
		wrong[c.at] = c.translation
		if p := incomplete(catalogue(wrong), said); len(p) != 1 || !strings.Contains(p[0], c.want) {
			t.Errorf("%q: %q, want one about %s", c.translation, p, c.want)
		}
	}
}

// incomplete says what is wrong with a catalogue's translations.
func incomplete(catalogue []byte, said []Sentence) (problems []string) {
	p := gotext.NewPo()
	p.Parse(catalogue)
	plain, inContext := p.GetDomain().GetTranslations(), p.GetDomain().GetCtxTranslations()
	head, _, _ := strings.Cut(string(catalogue), "\n\n")
	for _, s := range said {
		t := plain[s.One]
		if s.Context != "" {
			t = inContext[s.Context][s.One]
		}
		n := forms(head)
		if !Translated(t, s, n) {
			problems = append(problems, "no translation: "+s.One)
			continue
		}
		if s.Many == "" {
			n = 1
		}
		for i := range n {
			if what := altered(s, translation(t, i)); what != "" {
				problems = append(problems, what+" differ: "+s.One+"\n\t"+translation(t, i))
			}
		}
	}
	return problems
}

// altered names what a translation must keep of its sentence and did not. A form of a plural may leave out what the
// English singular or plural leaves out.
func altered(s Sentence, translation string) string {
	originals := []string{s.One}
	if s.Many != "" {
		originals = append(originals, s.Many)
	}
	like := func(same func(original string) bool) bool { return slices.ContainsFunc(originals, same) }
	blanks := func(s string) [2]bool {
		return [2]bool{strings.TrimLeft(s, " \n") != s, strings.TrimRight(s, " \n") != s}
	}
	switch {
	case !like(func(o string) bool { return slices.Equal(Places(o), Places(translation)) }):
		return "places"
	case !like(func(o string) bool { return strings.Count(o, "**") == strings.Count(translation, "**") }):
		return "stars"
	case !like(func(o string) bool { return blanks(o) == blanks(translation) }):
		return "blanks"
	case !like(func(o string) bool { return strings.Count(o, "\u00a0") <= strings.Count(translation, "\u00a0") }):
		return "no-break spaces"
	}
	return ""
}
