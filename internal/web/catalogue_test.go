package web

import (
	"encoding/xml"
	"errors"
	"io"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/safepoint-db/safepoint/internal/language"
)

// sameEverywhere are words that are the same in every language: proper names, addresses, and what people of the stories wrote. In
// an attribute, a title or a list nothing can say so.
var sameEverywhere = regexp.MustCompile(`pgb:6432 did not answer within 10 s|pg_dump 9.6.24, custom format|safepoint doctor --data DIR|\b(Safepoint|PostgreSQL|SQLite|PgBouncer|Docker|Kubernetes|systemd|pg_dump|SHA-256|PEM|CSV|CI|API|ID|[KMGTP]iB|CES?T|UTC|AM|PM|\S+@\S+\w` +
	`|Harborline Freight|Quayside Labs|Firefox|Linux|Safari|iPhone|curl|Ines Marlow|Tomas Reyl|IM|TR|old laptop|Production database|Billing ledger|Document archive|Tenant \d+` +
	`|Orders, shipments and customer accounts|Invoices and payments|booking-web|reports|pool|shop|local(: /\S+)?|public\.\S+` +
	`|\w+_(prod|archive|march|reader)\w*(\.sql\.zst)?|docs_archive\S*|Europe/Berlin|Mars/Olympus|nas-02|db-0\d\S*|pgb:\d+|http://localhost:\d+)(\b|$)|a Viewer|Answered 204 in 12 ms|Stopped|(Wort)+|Ünïcode 数据库`)

// TestEveryWordIsInTheCatalogue draws every page in every state in the pseudo language, whose sentences are accented,
// and finds what is not: words that no translator will ever see. Names of people and things say translate="no".
// (UI.md section 11: texts come from the catalogue.)
func TestEveryWordIsInTheCatalogue(t *testing.T) {
	for _, s := range stories() {
		t.Run(s.name, func(t *testing.T) {
			for _, words := range plainWords(t, s.in(t, language.Pseudo.Tag).Body.String()) {
				t.Errorf("not in the catalogue: %s", words)
			}
		})
	}
}

// plainWords are the texts of a page that hold a word without accents.
func plainWords(t *testing.T, html string) (found []string) {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(html))
	d.Strict, d.AutoClose, d.Entity = false, xml.HTMLAutoClose, xml.HTMLEntity
	var kept []bool // whether each open element says translate="no", or is one whose content is data
	plain := false  // inside an element that holds no others
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return found
		}
		if err != nil {
			t.Fatalf("the page is not well formed: %v", err)
		}
		switch e := token.(type) {
		case xml.StartElement:
			keep := slices.Contains([]string{"code", "script", "style", "datalist", "textarea"}, e.Name.Local)
			for _, a := range e.Attr {
				switch a.Name.Local {
				case "translate":
					keep = keep || a.Value == "no"
				case "lang":
					keep = keep || a.Value == "en" // said to be in English: a page of the help that has no translation
				case "alt": // of the help's pictures
					if !slices.Contains(kept, true) && unaccented(a.Value, true) {
						found = append(found, `alt="`+a.Value+`"`)
					}
				case "aria-label", "title", "data-l", "aria-valuetext", "aria-roledescription":
					if unaccented(a.Value, true) {
						found = append(found, a.Name.Local+`="`+a.Value+`"`)
					}
				}
			}
			kept, plain = append(kept, keep), e.Name.Local == "title" || e.Name.Local == "option"
		case xml.EndElement:
			if len(kept) > 0 {
				kept = kept[:len(kept)-1]
			}
		case xml.CharData:
			if !slices.Contains(kept, true) && unaccented(string(e), plain) {
				found = append(found, strings.TrimSpace(string(e)))
			}
		}
	}
}

// unaccented says whether a text holds a word without accents. Where nothing can say that a word is a name, a text is
// fine that holds an accented word as well.
func unaccented(text string, names bool) bool {
	return plainWord.MatchString(sameEverywhere.ReplaceAllString(text, "")) && !(names && accented.MatchString(text))
}

var (
	plainWord = regexp.MustCompile(`[aeiouAEIOU]\p{L}|\p{L}[aeiouAEIOU]`) // no word of the pseudo language has such a vowel
	accented  = regexp.MustCompile(`[áéíóúñýÁÉÍÓÚ]`)
)
