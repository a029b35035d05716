package web

import (
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

// TestLook serves the sample for people to look at: SAFEPOINT_LOOK=127.0.0.1:8099 go test ./internal/web -run TestLook -timeout 0
// A page in a state of the tests is at its name: http://127.0.0.1:8099/_/restore-done
func TestLook(t *testing.T) {
	addr := os.Getenv("SAFEPOINT_LOOK")
	if addr == "" {
		t.Skip("set SAFEPOINT_LOOK=127.0.0.1:8099 to look at the sample in a browser")
	}
	pages := map[string]story{}
	for _, s := range stories() {
		pages[s.name] = s
	}
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name, ok := strings.CutPrefix(r.URL.Path, "/_/")
		s, known := pages[name]
		if !ok || !known { // files and streams are the same for all of them
			r.AddCookie(&http.Cookie{Name: plainCookie, Value: "s-admin"})
			c := Config{App: sample(), Version: "look", Now: func() time.Time { return testNow }}
			h, err := New(c)
			if err != nil {
				t.Error(err)
				return
			}
			h.ServeHTTP(w, r)
			return
		}
		if theme := r.URL.Query().Get("theme"); theme != "" {
			s.fake.actor.Theme = theme
		}
		got := s.get(t)
		for k, v := range got.Header() {
			w.Header()[k] = v
		}
		w.Write(got.Body.Bytes())
	})
	t.Fatal(http.ListenAndServe(addr, h))
}
