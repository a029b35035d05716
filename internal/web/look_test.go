package web

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestLook serves the stories to people and to internal/browsertest:
//
//	SAFEPOINT_LOOK=127.0.0.1:8099 go test ./internal/web -run TestLook -timeout 0 -v
//
// Their names are at /_/, and each is at its own: http://127.0.0.1:8099/_/restore-done?theme=dark&language=en-XB
// It ends when its standard input does.
func TestLook(t *testing.T) {
	addr := os.Getenv("SAFEPOINT_LOOK")
	if addr == "" {
		t.Skip("set SAFEPOINT_LOOK=127.0.0.1:8099 to look at the sample in a browser")
	}
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: newLook(t)}
	go func() {
		io.Copy(io.Discard, os.Stdin)
		server.Close()
	}()
	fmt.Printf("look: http://%s\n", listener.Addr())
	if err := server.Serve(listener); err != http.ErrServerClosed {
		t.Fatal(err)
	}
}

func newLook(t *testing.T) http.Handler {
	var names strings.Builder
	pages := map[string]story{}
	for _, s := range stories() {
		pages[s.name] = s
		kind := "page"
		if s.fragment {
			kind = "dialog"
		}
		fmt.Fprintln(&names, kind, s.name)
	}
	sampled, err := New(Config{App: sample(), Version: "look", Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return testNow }})
	if err != nil {
		t.Fatal(err)
	}
	var one sync.Mutex // a story is drawn by one at a time
	mux := http.NewServeMux()
	mux.HandleFunc("GET /_/{$}", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, names.String()) })
	mux.HandleFunc("GET /_/{name}", func(w http.ResponseWriter, r *http.Request) {
		s, known := pages[r.PathValue("name")]
		if !known {
			http.NotFound(w, r)
			return
		}
		one.Lock()
		defer one.Unlock()
		if theme := r.URL.Query().Get("theme"); theme != "" {
			s.fake.actor.Theme = theme
		}
		got := s.in(t, r.URL.Query().Get("language"))
		for k, v := range got.Header() {
			w.Header()[k] = v
		}
		w.Write(got.Body.Bytes()) // whatever its status: it is looked at, not believed
	})
	mux.HandleFunc("GET /events", func(w http.ResponseWriter, r *http.Request) { // no state of a story changes
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, "event: beat\ndata:\n\n")
		http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { // files, and what links of the stories lead to
		r.AddCookie(&http.Cookie{Name: plainCookie, Value: "s-admin"})
		sampled.ServeHTTP(w, r)
	})
	return mux
}
