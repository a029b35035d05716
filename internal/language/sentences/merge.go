package sentences

import (
	"fmt"
	"strings"

	"github.com/leonelquinteros/gotext"
)

// Merge is a catalogue with exactly these sentences, and the translations that the old one has for them. missing counts
// the sentences without a translation.
func Merge(old []byte, said []Sentence) (merged []byte, missing int) {
	was := gotext.NewPo()
	was.Parse(old)
	plural, context := was.GetDomain().GetTranslations(), was.GetDomain().GetCtxTranslations()
	var out strings.Builder
	head, _, _ := strings.Cut(string(old), "\n\n")
	out.WriteString(head + "\n")
	for _, s := range said {
		t := plural[s.One]
		if s.Context != "" {
			t = context[s.Context][s.One]
		}
		out.WriteString("\n#: " + strings.Join(s.Files, " ") + "\n")
		if s.Context != "" {
			fmt.Fprintf(&out, "msgctxt %s\n", quoted(s.Context))
		}
		fmt.Fprintf(&out, "msgid %s\n", quoted(s.One))
		if s.Many == "" {
			fmt.Fprintf(&out, "msgstr %s\n", quoted(translation(t, 0)))
		} else {
			fmt.Fprintf(&out, "msgid_plural %s\n", quoted(s.Many))
			for i := range forms(head) {
				fmt.Fprintf(&out, "msgstr[%d] %s\n", i, quoted(translation(t, i)))
			}
		}
		if !Translated(t, s, forms(head)) {
			missing++
		}
	}
	return []byte(out.String()), missing
}

// Translated says whether every form of a sentence has a translation.
func Translated(t *gotext.Translation, s Sentence, forms int) bool {
	if s.Many == "" {
		forms = 1
	}
	for i := range forms {
		if translation(t, i) == "" {
			return false
		}
	}
	return true
}

func translation(t *gotext.Translation, form int) string {
	if t == nil {
		return ""
	}
	return t.Trs[form]
}

// forms is how many plurals the head of a catalogue declares.
func forms(head string) int {
	n := 2
	if _, after, ok := strings.Cut(head, "nplurals="); ok {
		fmt.Sscanf(after, "%d", &n)
	}
	return n
}

func quoted(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\t", `\t`).Replace(s) + `"`
}
