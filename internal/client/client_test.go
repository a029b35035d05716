package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/api/wire"
)

func connect(t *testing.T, h http.HandlerFunc) *Client {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	c, err := New(Config{URL: s.URL + "/behind/a/proxy/", Token: "sp_secret", Organization: "org_x"})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestNewRefuses(t *testing.T) {
	for _, url := range []string{"", "backup.example", "ftp://h", "https://u:hunter2@h", "https://h?token=hunter2", "https://"} {
		_, err := New(Config{URL: url})
		if safepoint.ErrorCode(err) != safepoint.CodeInvalid || strings.Contains(err.Error(), "hunter2@") {
			t.Errorf("%q: %v", url, err)
		}
	}
}

// TestErrors turns every kind of refusal into an *safepoint.Error.
func TestErrors(t *testing.T) {
	for name, c := range map[string]struct {
		status            int
		contentType, body string
		code              safepoint.Code
		message           string
	}{
		"problem":   {409, "application/problem+json", `{"code":"conflict","title":"Busy.","status":409,"hint":"Wait."}`, safepoint.CodeConflict, "Busy."},
		"field":     {422, "application/problem+json", `{"code":"invalid","title":"Not valid.","field":"name","detail":"too long"}`, safepoint.CodeInvalid, "Not valid. name: too long"},
		"a proxy's": {502, "text/html", "<h1>Bad gateway</h1>", safepoint.CodeUnreachable, ""},
		"redirect":  {302, "text/html", "", safepoint.CodeUnreachable, ""},
		"no JSON":   {200, "application/json", "<html>", safepoint.CodeUnreachable, ""},
	} {
		t.Run(name, func(t *testing.T) {
			cl := connect(t, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/behind/a/proxy/api/v1/organizations/org_x/state" || r.Header.Get("Authorization") != "Bearer sp_secret" {
					t.Errorf("asked for %s with %v", r.URL.Path, r.Header)
				}
				w.Header().Set("Content-Type", c.contentType)
				w.Header().Set("Location", "http://127.0.0.1:1/elsewhere")
				w.WriteHeader(c.status)
				io.WriteString(w, c.body)
			})
			_, err := cl.State(t.Context())
			var e *safepoint.Error
			if !errors.As(err, &e) || e.Code != c.code || c.message != "" && e.Message != c.message {
				t.Errorf("got %#v", err)
			}
		})
	}
	c, err := New(Config{URL: "http://127.0.0.1:1", Token: "sp_secret"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.State(t.Context()); safepoint.ErrorCode(err) != safepoint.CodeRefused {
		t.Errorf("nobody listens: %v", err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("stopped by a person")
	cancel(why)
	if _, err := c.State(ctx); !errors.Is(err, why) {
		t.Errorf("stopped: %v", err)
	}
}

// TestIDsAreEscaped keeps what a person typed from naming another address.
func TestIDsAreEscaped(t *testing.T) {
	var asked string
	c := connect(t, func(w http.ResponseWriter, r *http.Request) {
		asked = r.URL.EscapedPath()
		w.WriteHeader(http.StatusNoContent)
	})
	if err := c.RemoveDatabase(t.Context(), "../members/usr_x?y"); err != nil {
		t.Fatal(err)
	}
	if want := "/behind/a/proxy/api/v1/organizations/org_x/databases/..%2Fmembers%2Fusr_x%3Fy"; asked != want {
		t.Errorf("asked for %s, want %s", asked, want)
	}
}

// TestWait goes on asking while the server restarts, and gives up at once where waiting cannot help.
func TestWait(t *testing.T) {
	asked := 0
	c := connect(t, func(w http.ResponseWriter, r *http.Request) {
		switch asked++; asked {
		case 1:
			io.WriteString(w, `{"id":"op_x","status":"running"}`)
		case 2:
			w.WriteHeader(http.StatusBadGateway)
		default:
			io.WriteString(w, `{"id":"op_x","status":"succeeded"}`)
		}
	})
	var seen []string
	o, err := c.Wait(t.Context(), "op_x", time.Millisecond, func(o wire.Operation) { seen = append(seen, o.Status) })
	if err != nil || o.Status != "succeeded" || fmt.Sprint(seen) != "[running succeeded]" {
		t.Errorf("%+v %v, seen %v", o, err, seen)
	}
	gone := connect(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusNotFound)
		io.WriteString(w, `{"code":"not_found","title":"Gone."}`)
	})
	if _, err := gone.Wait(t.Context(), "op_x", time.Hour, nil); safepoint.ErrorCode(err) != safepoint.CodeNotFound {
		t.Errorf("gone: %v", err)
	}
}

// TestWatchState reads events, and says so when the stream ends.
func TestWatchState(t *testing.T) {
	c := connect(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		io.WriteString(w, "event: state\ndata: {\"state\":\"operating\"}\n\n: alive\n\nevent: state\ndata: {\"state\":\"halted\",\"reason\":\"why\"}\n\n")
	})
	var seen []string
	err := c.WatchState(t.Context(), func(s wire.State) error {
		seen = append(seen, s.State+s.Reason)
		return nil
	})
	if safepoint.ErrorCode(err) != safepoint.CodeUnreachable || fmt.Sprint(seen) != "[operating haltedwhy]" {
		t.Errorf("seen %v, %v", seen, err)
	}
}

// TestDownloadGoesOn asks for the rest of a file, and refuses a whole one in its place.
func TestDownloadGoesOn(t *testing.T) {
	c := connect(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/behind/a/proxy/api/v1/organizations/org_x/operations/op_whole/file" {
			io.WriteString(w, "0123456789")
			return
		}
		http.ServeContent(w, r, "", time.Time{}, strings.NewReader("0123456789"))
	})
	f, err := c.Download(t.Context(), "op_x", 4)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if rest, err := io.ReadAll(f); string(rest) != "456789" || err != nil || f.Size != 6 {
		t.Errorf("%q %v, size %d", rest, err, f.Size)
	}
	if _, err := c.Download(t.Context(), "op_whole", 4); safepoint.ErrorCode(err) != safepoint.CodeUnreachable {
		t.Errorf("whole: %v", err)
	}
}
