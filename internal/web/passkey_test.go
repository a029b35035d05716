package web

import (
	"context"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/app"
)

// passkeys gives the person one of each kind.
func passkeys(f *fake) {
	f.keys = []safepoint.Passkey{
		{ID: "pky_laptop", Name: "Laptop", Host: "localhost", CreatedAt: ago(90 * 24 * time.Hour), LastUsedAt: ago(2 * time.Hour)},
		{ID: "pky_phone", Name: `Phone <b>"x"</b>`, Host: "localhost", Synced: true, CreatedAt: ago(time.Hour)},
		{ID: "pky_old", Name: "Old console", Host: "backup.example", CreatedAt: ago(400 * 24 * time.Hour), LastUsedAt: ago(300 * 24 * time.Hour)},
		{ID: "pky_copied", Name: strings.Repeat("Key ", 19), Host: "localhost", CreatedAt: ago(30 * 24 * time.Hour), LastUsedAt: ago(time.Hour), CopiedAt: ago(time.Minute)},
	}
}

func (f *fake) Passkeys(context.Context, safepoint.Actor) ([]safepoint.Passkey, error) {
	return f.keys, f.broken
}
func (f *fake) MayAddPasskey(context.Context, safepoint.Actor) error { return f.broken }
func (f *fake) AskNewPasskey(_ context.Context, _ safepoint.Actor, session string, at app.Site) ([]byte, error) {
	return []byte(`{"publicKey":{}}`), f.act("passkey ask new", session, at.Origin)
}
func (f *fake) AddPasskey(_ context.Context, _ safepoint.Actor, _ string, at app.Site, name string, answer []byte) (safepoint.Passkey, error) {
	return safepoint.Passkey{}, f.act("passkey add", at.Origin, name, string(answer))
}
func (f *fake) RenamePasskey(_ context.Context, _ safepoint.Actor, id, name string) error {
	return f.act("passkey rename", id, name)
}
func (f *fake) RemovePasskey(_ context.Context, _ safepoint.Actor, _, id string) error {
	return f.act("passkey remove", id)
}
func (f *fake) AskPasskey(_ context.Context, at app.Site, browser string) ([]byte, error) {
	return []byte(`{"publicKey":{}}`), f.act("passkey ask", at.Origin, browser)
}
func (f *fake) SignInWithPasskey(_ context.Context, at app.Site, browser string, answer []byte, ip, agent string) (string, error) {
	return "s-admin", f.act("passkey signin", at.Origin+browser, string(answer), ip)
}
func (f *fake) AskPasskeyAgain(_ context.Context, _ safepoint.Actor, session string, at app.Site) ([]byte, error) {
	return []byte(`{"publicKey":{}}`), f.act("passkey ask again", session, at.Origin)
}
func (f *fake) ReenterWithPasskey(_ context.Context, _ safepoint.Actor, _ string, at app.Site, answer []byte) error {
	return f.act("passkey reenter", at.Origin, string(answer))
}

// TestAskedForPasskey: a question is tied to the browser that got it, by a secret that scripts cannot read and that ends with
// the sign-in.
func TestAskedForPasskey(t *testing.T) {
	f := sample()
	h := newTestServer(t, f)
	w := ask(h, "", "POST", "http://localhost/signin/passkey", nil)
	if w.Code != 200 || w.Header().Get("Content-Type") != "application/json" || w.Body.String() != `{"publicKey":{}}` {
		t.Fatalf("%d %s %s", w.Code, w.Header(), w.Body)
	}
	cookie, rest, _ := strings.Cut(w.Header().Get("Set-Cookie"), ";")
	_, secret, _ := strings.Cut(cookie, "=")
	if len(secret) < 26 || rest != " Path=/; Max-Age=600; HttpOnly; SameSite=Strict" || f.called[0] != "passkey ask http://localhost "+secret {
		t.Errorf("%q, %q, %q", cookie, rest, f.called)
	}
	again := ask(h, "", "POST", "http://localhost/signin/passkey", nil, "Cookie", cookie)
	if again.Header().Get("Set-Cookie") != cookie+";"+rest {
		t.Errorf("the second question of a browser has %s", again.Header().Get("Set-Cookie"))
	}
	in := ask(h, "", "POST", "http://localhost/signin", typed("passkey", "k"), "Cookie", cookie)
	if got := in.Header().Values("Set-Cookie"); len(got) != 2 || got[0] != "safepoint-asking=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict" || !strings.HasPrefix(got[1], "safepoint=s-admin;") {
		t.Errorf("after the sign-in: %q", got)
	}
	if last := f.called[len(f.called)-1]; last != "passkey signin http://localhost"+secret+" k 192.0.2.1" {
		t.Errorf("called %s", last)
	}
	// Over HTTPS the cookie is bound to the host, as the session's is.
	if c := ask(h, "", "POST", "https://backup.example/signin/passkey", nil).Header().Get("Set-Cookie"); !strings.HasPrefix(c, "__Host-safepoint-asking=") || !strings.Contains(c, "; Secure;") {
		t.Error(c)
	}
}

// TestPasskeysWhere: they are good at the configured address, whichever the request names; else at the request's own.
func TestPasskeysWhere(t *testing.T) {
	for base, want := range map[string]string{"": "http://localhost:8333", "https://backup.example/": "https://backup.example"} {
		f := with(sample(), passkeys)
		h, err := New(Config{App: f, BaseURL: base, Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return testNow }})
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range []string{"/signin", "/profile", "/profile/passkeys/new", "/stepup"} {
			if w := ask(h, "s-admin", "GET", "http://localhost:8333"+path, nil); !strings.Contains(w.Body.String(), `data-passkeys="`+want+`"`) {
				t.Errorf("%s with base %q does not name %s", path, base, want)
			}
		}
		for _, path := range []string{"/signin/passkey", "/stepup/passkey", "/profile/passkeys/ask"} {
			f.called = nil
			if w := ask(h, "s-admin", "POST", "http://localhost:8333"+path, nil); w.Code != 200 || len(f.called) != 1 || !strings.Contains(f.called[0], want) {
				t.Errorf("%s with base %q: %d, %q", path, base, w.Code, f.called)
			}
		}
	}
	// Where there can be none nothing is asked, and the sign-in shows no more than the password.
	for _, host := range []string{"http://backup.example", "https://192.0.2.7"} {
		f := with(sample(), passkeys)
		h := newTestServer(t, f)
		for _, path := range []string{"/signin", "/stepup"} {
			if w := ask(h, "s-admin", "GET", host+path, nil); w.Code != 200 || strings.Contains(w.Body.String(), "passkey.") || strings.Contains(w.Body.String(), "data-passkeys=") {
				t.Errorf("%s%s offers passkeys", host, path)
			}
		}
		for _, path := range []string{"/signin/passkey", "/stepup/passkey", "/profile/passkeys/ask", "/signin", "/stepup", "/profile/passkeys/new"} {
			if w := ask(h, "s-admin", "POST", host+path, url.Values{"passkey": {"k"}}); w.Code != http.StatusUnprocessableEntity || len(f.called) > 0 {
				t.Errorf("%s%s: %d, did %q", host, path, w.Code, f.called)
			}
		}
	}
}

// TestNewPasskeyAsksFirst: who has not shown lately who they are does so, and comes back.
func TestNewPasskeyAsksFirst(t *testing.T) {
	f := &stale{sample()}
	h, err := New(Config{App: f, Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return testNow }})
	if err != nil {
		t.Fatal(err)
	}
	w := ask(h, "s-viewer", "GET", "/profile/passkeys/new", nil)
	if to := w.Header().Get("Location"); w.Code != http.StatusSeeOther || to != "/stepup?next=%2Fprofile%2Fpasskeys%2Fnew" {
		t.Errorf("%d %s", w.Code, to)
	}
}

// stale is somebody who signed in a while ago.
type stale struct{ *fake }

func (stale) MayAddPasskey(context.Context, safepoint.Actor) error {
	return safepoint.Errorf(safepoint.CodeStepUp, "Enter your password again.")
}
