package web

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
)

// TestCompression asks for pages and files as browsers do, and as those do who would like to guess from lengths.
func TestCompression(t *testing.T) {
	console, err := New(Config{App: sample()})
	if err != nil {
		t.Fatal(err)
	}
	files, err := embedded()
	if err != nil {
		t.Fatal(err)
	}
	css := files.url("app.css")
	browser := []string{"Accept-Encoding", "gzip, deflate, br, zstd", "Sec-Fetch-Site", "same-origin"}
	for _, c := range []struct {
		name, method, path string
		header             []string
		compressed         bool
	}{
		{"a page", "GET", "/backups", browser, true},
		{"a page from the address bar", "GET", "/backups", []string{"Accept-Encoding", "gzip", "Sec-Fetch-Site", "none"}, true},
		{"a page whose browser reads no gzip", "GET", "/backups", []string{"Sec-Fetch-Site", "none"}, false},
		{"a page whose browser refuses gzip", "GET", "/backups", []string{"Accept-Encoding", "gzip;q=0, br", "Sec-Fetch-Site", "none"}, false},
		{"a page that another site asked for", "GET", "/logs?q=x", []string{"Accept-Encoding", "gzip", "Sec-Fetch-Site", "cross-site"}, false},
		{"a page that another host of the domain asked for", "GET", "/logs?q=x", []string{"Accept-Encoding", "gzip", "Sec-Fetch-Site", "same-site"}, false},
		{"over TLS, from who does not say", "GET", "/backups", []string{"Accept-Encoding", "gzip", "X-TLS", "yes"}, false},
		{"unencrypted, from who does not say", "GET", "/backups", []string{"Accept-Encoding", "gzip"}, true},
		{"the answer to a form", "POST", "/backups/new", browser, false},
		{"a page that is not there", "GET", "/nowhere", browser, true},
		{"a stylesheet", "GET", css, browser, true},
		{"a stylesheet for another site", "GET", css, []string{"Accept-Encoding", "gzip", "Sec-Fetch-Site", "cross-site"}, true},
		{"a stylesheet as it is", "GET", css, nil, false},
		{"the head of a stylesheet", "HEAD", css, browser, true},
	} {
		r := httptest.NewRequest(c.method, c.path, nil)
		for i := 0; i < len(c.header); i += 2 {
			r.Header.Set(c.header[i], c.header[i+1])
		}
		r.AddCookie(&http.Cookie{Name: plainCookie, Value: "s-admin"})
		if r.Header.Get("X-TLS") != "" {
			r = httptest.NewRequest(c.method, "https://example.org"+c.path, nil)
			r.Header.Set("Accept-Encoding", "gzip")
			r.AddCookie(&http.Cookie{Name: secureCookie, Value: "s-admin"})
		}
		w := httptest.NewRecorder()
		console.ServeHTTP(w, r)
		if got := w.Header().Get("Content-Encoding") == "gzip"; got != c.compressed {
			t.Errorf("%s: compressed is %v (status %d)", c.name, got, w.Code)
		}
		if !strings.Contains(strings.Join(w.Header().Values("Vary"), ","), "Accept-Encoding") {
			t.Errorf("%s: Vary is %q", c.name, w.Header().Values("Vary"))
		}
		if c.method == http.MethodHead {
			continue
		}
		if got := w.Header().Get("Content-Length"); got != strconv.Itoa(w.Body.Len()) {
			t.Errorf("%s: Content-Length %s of %d", c.name, got, w.Body.Len())
		}
		body := w.Body.Bytes()
		if c.compressed {
			body = unzip(t, body)
		}
		if !bytes.Contains(body, []byte("</html>")) && !bytes.Contains(body, []byte("{")) {
			t.Errorf("%s: %.100q", c.name, body)
		}
	}
}

func unzip(t *testing.T, b []byte) []byte {
	t.Helper()
	r, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	out, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestFirstViewIsSmall adds up what a browser with an empty cache is sent for the first page: under 60 kB, headers
// included. There are no fonts: the console uses those of the machine.
func TestFirstViewIsSmall(t *testing.T) {
	files, err := embedded()
	if err != nil {
		t.Fatal(err)
	}
	console, err := New(Config{App: sample()})
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/signin", "/backups", "/logs", "/restores/rs_5mq20x", "/audit", "/help"} {
		all := []string{path}
		for name := range files.hashed {
			if !strings.HasPrefix(name, "icon-") && !strings.HasPrefix(name, "help-") { // one icon at a time; no picture of the help
				all = append(all, files.url(name))
			}
		}
		sent := 0
		for _, file := range all {
			r := httptest.NewRequest("GET", file, nil)
			r.Header.Set("Accept-Encoding", "gzip")
			r.AddCookie(&http.Cookie{Name: plainCookie, Value: "s-admin"})
			w := httptest.NewRecorder()
			console.ServeHTTP(w, r)
			r.Header.Del("Accept-Encoding")
			plain := httptest.NewRecorder()
			if console.ServeHTTP(plain, r); file == path && strings.Contains(plain.Body.String(), "/static/help-") {
				t.Errorf("%s shows pictures of the help, which are not counted here", path)
			}
			var head bytes.Buffer
			w.Header().Write(&head)
			sent += head.Len() + w.Body.Len()
		}
		t.Logf("%s: %d bytes with %d files", path, sent, len(all)-1)
		if sent > 60_000 {
			t.Errorf("%s: the first view is %d bytes, want 60,000 at most", path, sent)
		}
	}
}
