package server

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/safepoint-db/safepoint/internal/certtest"
	"go.uber.org/goleak"
)

// tabs is how many pages are followed at once.
const tabs = 200

// TestManyStreams follows 200 pages at once, as many streams and as one stream for all of them, over HTTP/1.1 and
// HTTP/2. Each gets its whole state first, what changes, and an end when the server stops; and none costs much.
func TestManyStreams(t *testing.T) {
	for _, test := range []struct {
		name   string
		http2  bool
		shared bool
	}{
		{"HTTP/1.1", false, false},
		{"HTTP/2", true, false},
		{"HTTP/1.1, one stream of 200 pages", false, true},
		{"HTTP/2, one stream of 200 pages", true, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
			cfg := Config{}
			if test.http2 {
				cfg.TLSCert, cfg.TLSKey, _ = certtest.New(t)
			}
			b := start(t, cfg).signIn()
			defer func() { b.must(b.stop()) }()
			d := b.addShop()
			session, err := b.App.SignIn(t.Context(), "rahel@harbor.example", password, "127.0.0.1", "test")
			b.must(err)
			client := &watcher{t: t, url: b.URL(), cookie: &http.Cookie{Name: map[bool]string{true: "__Host-safepoint", false: "safepoint"}[test.http2], Value: session}, http2: test.http2}
			defer client.close()

			client.warm()
			routines, heap := runtime.NumGoroutine(), inUse()
			var streams []*watched
			if test.shared {
				streams = []*watched{client.follow(tabs)}
			} else {
				for range tabs {
					streams = append(streams, client.follow(1))
				}
			}
			pages := 0
			for _, s := range streams {
				for range s.pages {
					s.wait(t, "patch", "") // its whole state
					pages++
				}
				s.wait(t, "beat", "")
			}
			if pages != tabs {
				t.Fatalf("%d pages are followed", pages)
			}
			// The client's too: they are in this process. What made the pages may still be at its end.
			eventually(t, func() error {
				if more := runtime.NumGoroutine() - routines; more > 6*len(streams)+50 {
					return fmt.Errorf("%d goroutines for %d streams", more, len(streams))
				}
				return nil
			})
			if bytes := (inUse() - heap) / tabs; bytes > 256<<10 {
				t.Errorf("%d KiB for each page", bytes>>10)
			}

			op, err := b.App.StartBackup(t.Context(), b.by, d.ID)
			b.must(err)
			for _, s := range streams {
				for range s.pages {
					s.wait(t, "patch", op.Name)
				}
			}
			b.settled(1)
			b.must(b.stop())
			for _, s := range streams {
				s.ended(t)
			}
		})
	}
}

// eventually waits until nothing is wrong.
func eventually(t *testing.T, wrong func() error) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(30 * time.Second); ; <-tick.C {
		err := wrong()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

func inUse() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapInuse + m.StackInuse)
}

// watcher is a browser's side: it opens streams.
type watcher struct {
	t      *testing.T
	url    string
	cookie *http.Cookie
	http2  bool
	client *http.Client
}

func (w *watcher) warm() {
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: w.http2}
	w.client = &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := w.get("/logs", w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	defer res.Body.Close()
	io.Copy(io.Discard, res.Body)
	if want := map[bool]int{true: 2, false: 1}[w.http2]; res.StatusCode != 200 || res.ProtoMajor != want {
		w.t.Fatalf("%d over HTTP/%d", res.StatusCode, res.ProtoMajor)
	}
}

func (w *watcher) close() {
	if w.client != nil {
		w.client.CloseIdleConnections()
	}
}

func (w *watcher) get(path string, ctx context.Context) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, w.url+path, nil)
	if err != nil {
		return nil, err
	}
	req.AddCookie(w.cookie)
	return w.client.Do(req)
}

// watched is an open stream: its messages, by name and data.
type watched struct {
	pages    int
	messages chan [2]string
	end      chan error
}

// follow opens a stream of n pages, each with an address of its own.
func (w *watcher) follow(n int) *watched {
	w.t.Helper()
	query := ""
	for i := range n {
		query += fmt.Sprintf("&page=/logs%%3Fn=%d", i)
	}
	ctx, cancel := context.WithCancel(context.Background())
	w.t.Cleanup(cancel)
	res, err := w.get("/events?"+query[1:], ctx)
	if err != nil {
		w.t.Fatal(err)
	}
	if ct := res.Header.Get("Content-Type"); res.StatusCode != 200 || !strings.HasPrefix(ct, "text/event-stream") {
		w.t.Fatalf("%d %s", res.StatusCode, ct)
	}
	s := &watched{pages: n, messages: make(chan [2]string, 5*tabs), end: make(chan error, 1)}
	go func() {
		defer res.Body.Close()
		var m [2]string
		lines := bufio.NewReader(res.Body)
		for {
			line, err := lines.ReadString('\n')
			if err != nil {
				s.end <- err
				close(s.messages)
				return
			}
			switch {
			case line == "\n":
				s.messages <- m
				m = [2]string{}
			case strings.HasPrefix(line, "event: "):
				m[0] = strings.TrimSpace(line[7:])
			case strings.HasPrefix(line, "data: "):
				m[1] += line[6:]
			}
		}
	}()
	return s
}

// wait takes messages until one of the name holds the words.
func (s *watched) wait(t *testing.T, name, words string) {
	t.Helper()
	deadline := time.After(time.Minute)
	for {
		select {
		case m, ok := <-s.messages:
			if !ok {
				t.Fatalf("the stream ended before %s with %q: %v", name, words, <-s.end)
			}
			if m[0] == name && strings.Contains(m[1], words) {
				return
			}
		case <-deadline:
			t.Fatalf("no %s with %q", name, words)
		}
	}
}

// ended waits for the end of the stream, which is whole: the server said that it is over.
func (s *watched) ended(t *testing.T) {
	t.Helper()
	select {
	case err := <-s.end:
		if !errors.Is(err, io.EOF) {
			t.Fatalf("the stream broke off: %v", err)
		}
	case <-time.After(time.Minute):
		t.Fatal("the stream did not end")
	}
}
