package web

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

// inGerman are the stories whose German page is kept beside the English one: what a person sees first, and in earnest.
var inGerman = []string{"backups", "logs", "restore-new", "restore-done"}

// A place of a sentence that was given no value. What a script says later has its places in a data attribute.
var (
	place = regexp.MustCompile(`\{[a-z_]+\}`)
	later = regexp.MustCompile(` data-[a-z-]+="[^"]*"`)
)

// TestPagesInGerman draws every page in every state in German: it says its language, fills every place of its sentences and
// is well formed.
func TestPagesInGerman(t *testing.T) {
	for _, s := range stories() {
		t.Run(s.name, func(t *testing.T) {
			w := s.in(t, "de")
			html := w.Body.String()
			if want := max(s.status, 200); w.Code != want {
				t.Fatalf("status %d, want %d\n%s", w.Code, want, html)
			}
			if !s.fragment && !strings.Contains(html, `<html lang="de"`) {
				t.Error("the page does not say that it is in German")
			}
			if left := place.FindAllString(later.ReplaceAllString(html, ""), -1); left != nil {
				t.Errorf("places without a value: %q", left)
			}
			checkMarkup(t, html, s.fragment)
			if slices.Contains(inGerman, s.name) {
				golden(t, "german-"+s.name, assetHash.ReplaceAllString(html, "$1."))
			}
		})
	}
}
