package web

import (
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestOnce(t *testing.T) {
	r, n := &repeats{}, 0
	began, goOn := make(chan struct{}), make(chan struct{})
	first := func() (reply, error) { close(began); <-goOn; n++; return redirect("/logs/1"), nil }
	never := func() (reply, error) { t.Error("done twice"); return nil, nil }
	var all sync.WaitGroup
	all.Go(func() { r.once(t.Context(), "word", testNow, first) })
	<-began
	for range 3 { // while the first is under way
		all.Go(func() {
			if to, err := r.once(t.Context(), "word", testNow, never); to != redirect("/logs/1") || err != nil {
				t.Errorf("%v %v", to, err)
			}
		})
	}
	close(goOn)
	all.Wait()
	if to, _ := r.once(t.Context(), "word", testNow.Add(time.Minute), never); to != redirect("/logs/1") || n != 1 {
		t.Errorf("after it, %v, done %d times", to, n)
	}

	refused := errors.New("refused")
	for range 2 { // what was refused may be sent again
		if _, err := r.once(t.Context(), "other", testNow, func() (reply, error) { return nil, refused }); err != refused {
			t.Error(err)
		}
	}
	r.once(t.Context(), "later", testNow.Add(remembered+time.Second), func() (reply, error) { return redirect("/"), nil })
	if len(r.sent) != 1 { // "word" is old by then
		t.Errorf("%d forms are remembered", len(r.sent))
	}
}

// TestDoubleSubmit sends forms that start something twice, as a second press without scripts does: one job starts.
func TestDoubleSubmit(t *testing.T) {
	for _, path := range []string{"/backups/manual", "/logs/op_2200/restore"} {
		f := sample()
		h := newTestServer(t, f)
		_, word, ok := strings.Cut(ask(h, "s-admin", "GET", path, nil).Body.String(), `name="once" value="`)
		if word, _, _ = strings.Cut(word, `"`); !ok || len(word) < 16 {
			t.Fatalf("%s: the form has no word: %q", path, word)
		}
		post := typed("database", "db_docs", "confirm", "harbor_prod", "once", word)
		a, b := ask(h, "s-admin", "POST", path, post), ask(h, "s-admin", "POST", path, post)
		if a.Code != http.StatusSeeOther || b.Code != http.StatusSeeOther || a.Header().Get("Location") != b.Header().Get("Location") || len(f.called) != 1 {
			t.Errorf("%s: answered %d and %d, did %v", path, a.Code, b.Code, f.called)
		}
		if other := ask(h, "s-viewer", "POST", path, post); other.Code != http.StatusForbidden {
			t.Errorf("%s: somebody else's press was answered %d", path, other.Code)
		}
		post.Del("once")
		if ask(h, "s-admin", "POST", path, post); len(f.called) != 2 {
			t.Errorf("%s: a form without a word did %v", path, f.called)
		}
	}
}
