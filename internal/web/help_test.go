package web

import (
	"net/http"
	"regexp"
	"testing"

	"github.com/safepoint-db/safepoint/internal/language"
)

// TestHelp follows every link and loads every picture of the help in each language, as somebody who may only look.
func TestHelp(t *testing.T) {
	h := newTestServer(t, sample())
	address := regexp.MustCompile(`(?:href|src)="(/(?:help|static/help-)[^"#]*)`)
	for _, l := range append(language.All(), language.Pseudo) {
		seen, queue := map[string]bool{}, []string{"/help"}
		pictures := 0
		for len(queue) > 0 {
			path := queue[0]
			queue = queue[1:]
			if seen[path] {
				continue
			}
			seen[path] = true
			w := ask(h, "s-viewer", "GET", path, nil, "Accept-Language", l.Tag)
			if w.Code != http.StatusOK {
				t.Errorf("%s: %s answers %d", l.Tag, path, w.Code)
			}
			if w.Header().Get("Content-Type") == "image/png" {
				if pictures++; w.Header().Get("Cache-Control") != "public, max-age=31536000, immutable" || w.Body.Len() < 1000 {
					t.Errorf("%s: %q, %d bytes", path, w.Header().Get("Cache-Control"), w.Body.Len())
				}
				continue
			}
			for _, link := range address.FindAllStringSubmatch(w.Body.String(), -1) {
				queue = append(queue, link[1])
			}
		}
		if len(seen)-pictures < 15 || pictures < 18 {
			t.Errorf("%s: %d pages and %d pictures", l.Tag, len(seen)-pictures, pictures)
		}
	}
	b, err := helpIn(language.English)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range b.Pages {
		if helpTitles[p.Task] != p.Title {
			t.Errorf("the help for %s is called %q in docs/help, and %q in the catalogue", p.Task, p.Title, helpTitles[p.Task])
		}
	}
	if w := ask(h, "s-viewer", "GET", "/help/nothing", nil); w.Code != http.StatusNotFound {
		t.Errorf("a page that there is not answers %d", w.Code)
	}
}
