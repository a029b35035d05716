package web

import (
	"encoding/csv"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/app"
)

// cookies carries what an answer set into the next request's header.
func cookies(w *httptest.ResponseRecorder) string {
	var list []string
	for _, c := range w.Result().Cookies() {
		if c.MaxAge >= 0 {
			list = append(list, c.Name+"="+c.Value)
		}
	}
	return strings.Join(list, "; ")
}

// forgets says whether an answer takes back what was kept of /backups/new.
func forgets(w *httptest.ResponseRecorder) bool {
	return slices.ContainsFunc(w.Result().Cookies(), func(c *http.Cookie) bool {
		return c.Name == keptCookie && c.MaxAge < 0 && c.Path == "/backups/new"
	})
}

// TestTypedTextOutlivesSession: what was typed when the session had ended is in the form again after signing in, once,
// without its secrets, and for nobody else.
func TestTypedTextOutlivesSession(t *testing.T) {
	f := sample()
	h := newTestServer(t, f)
	typedIn := typed("name", "Nächtlich", "description", "Kept <text>", "interval", "3d", "database", "db_docs", "password", "hidden-one")
	page := ask(h, "s-admin", "GET", "/backups/new", nil)
	whose := cookies(page)
	if !strings.HasPrefix(whose, plainAccountCookie+"=") || strings.Contains(whose, f.actor.UserID) {
		t.Fatalf("a page does not say whose it is: %q", whose)
	}
	if again := ask(h, "", "GET", "/backups/new", nil, "Cookie", plainCookie+"=s-admin; "+whose); cookies(again) != "" {
		t.Errorf("it is said again: %q", cookies(again))
	}
	expired := func(path string, form url.Values) *httptest.ResponseRecorder {
		return ask(h, "", "POST", path, form, "Cookie", plainCookie+"=s-over; "+whose)
	}
	if w := ask(h, "s-over", "POST", "/backups/new", typedIn); strings.Contains(w.Header().Get("Location"), "kept") || cookies(w) != "" {
		t.Errorf("text of nobody known is kept: %s", w.Header().Get("Location"))
	}
	over := expired("/backups/new", typedIn)
	if to := over.Header().Get("Location"); over.Code != http.StatusSeeOther || to != "/signin?kept=1&next=%2Fbackups%2Fnew&over=1" {
		t.Fatalf("%d %s", over.Code, to)
	}
	if len(f.called) > 0 {
		t.Fatalf("it did %v", f.called)
	}
	kept := cookies(over)
	if !strings.HasPrefix(kept, keptCookie+"=") {
		t.Fatalf("kept %q", kept)
	}
	other := sample()
	other.actor.UserID = "usr_other"
	if w := ask(newTestServer(t, other), "", "GET", "/backups/new", nil, "Cookie", plainCookie+"=s-admin; "+whose+"; "+kept); strings.Contains(w.Body.String(), "Nächtlich") ||
		strings.Contains(w.Body.String(), "What you typed") || !forgets(w) {
		t.Error("another person gets what was typed, or it is not forgotten")
	}
	again := ask(h, "", "GET", "/backups/new", nil, "Cookie", plainCookie+"=s-admin; "+whose+"; "+kept)
	for _, want := range []string{`value="Nächtlich"`, "Kept &lt;text&gt;", "What you typed is still here"} {
		if !strings.Contains(again.Body.String(), want) {
			t.Errorf("%s is not on the page", want)
		}
	}
	if strings.Contains(again.Body.String(), "hidden-one") {
		t.Error("a password came back")
	}
	if !forgets(again) {
		t.Errorf("the kept text is not forgotten: %v", again.Result().Cookies())
	}

	for path, page := range map[string]string{"/profile/tokens": "/profile", "/members/usr_tomas/role": "/members", "/settings/general": "/settings/general"} {
		w := expired(path, typed("name", "x"))
		if to := w.Header().Get("Location"); to != "/signin?kept=1&next="+strings.ReplaceAll(page, "/", "%2F")+"&over=1" {
			t.Errorf("%s leads back to %s", path, to)
		}
	}
	if w := expired("/backups/new", typed("name", strings.Repeat("x", 4000))); strings.Contains(w.Header().Get("Location"), "kept") || cookies(w) != "" {
		t.Errorf("text too long for a cookie is said to be kept: %s", w.Header().Get("Location"))
	}
	nonsense := ask(h, "", "GET", "/backups/new", nil, "Cookie", plainCookie+"=s-admin; "+keptCookie+"=@@@")
	if nonsense.Code != 200 || strings.Contains(nonsense.Body.String(), "What you typed") {
		t.Errorf("a cookie of nonsense gives %d", nonsense.Code)
	}
}

// TestAuditFile: a spreadsheet gets each entry as text, also where somebody is called like a formula.
func TestAuditFile(t *testing.T) {
	w := ask(newTestServer(t, sample()), "s-admin", "GET", "/audit.csv?who=x", nil)
	rows, err := csv.NewReader(w.Body).ReadAll()
	if err != nil || len(rows) != 5 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	if got := rows[1][1]; got != "'=cmd|' /C calc'!A0" {
		t.Errorf("a formula is %q", got)
	}
	if got := rows[1][7]; got != `interval: "8 hours" to "12 hours"; description: "" to "<Night> run"` {
		t.Errorf("changes are %q", got)
	}
	if got := w.Header().Get("Content-Disposition"); got != `attachment; filename="audit-2026-11-22.csv"` {
		t.Error(got)
	}
	for _, s := range []string{"=1", "+1", "-1", "@x", "\tx", "\rx"} {
		if got := cells(s)[0]; got != "'"+s {
			t.Errorf("%q stays %q", s, got)
		}
	}
	if got := cells("a=1", "")[0]; got != "a=1" {
		t.Errorf("text became %q", got)
	}
}

// TestAuditFilter: "what" is an action's name or, in addresses that people wrote themselves, a part of something.
func TestAuditFilter(t *testing.T) {
	for query, want := range map[string]app.AuditFilter{
		"who=+ines+&what=schedule.update&object=prod": {Who: "ines", Action: "schedule.update", What: "prod"},
		"what=schedule": {What: "schedule"},
		"":              {},
	} {
		f := sample()
		ask(newTestServer(t, f), "s-admin", "GET", "/audit?"+query, nil)
		if f.filter.Limit = 0; f.filter != want {
			t.Errorf("%s: %+v", query, f.filter)
		}
	}
}

// TestLanguageChosen: a person's own language goes before the organization's, which goes before the browser's.
func TestLanguageChosen(t *testing.T) {
	for _, c := range []struct{ person, organization, browser, want string }{
		{"", "", "de-CH,en;q=0.5", "de"}, {"", "", "fr", "en"}, {"", "de", "en", "de"}, {"en", "de", "de", "en"}, {"de", "", "en", "de"},
	} {
		f := sample()
		f.actor.Language, f.orgs[0].Organization.Language = c.person, c.organization
		w := ask(newTestServer(t, f), "s-admin", "GET", "/members", nil, "Accept-Language", c.browser)
		if !strings.Contains(w.Body.String(), `<html lang="`+c.want+`"`) {
			t.Errorf("%+v: %.60s", c, w.Body)
		}
	}
	w := ask(newTestServer(t, sample()), "", "GET", "/signin", nil, "Accept-Language", "de")
	if !strings.Contains(w.Body.String(), `<html lang="de"`) {
		t.Errorf("sign-in does not follow the browser: %.60s", w.Body)
	}
}

// TestSupport: the operator's contact is at sign-in, in the help and on every error page, as a link where it can be one.
func TestSupport(t *testing.T) {
	for contact, want := range map[string]string{
		"help@harborline.example":         `<a href="mailto:help@harborline.example" translate="no">help@harborline.example</a>`,
		"https://help.example/x?a=1&b=<2": `<a href="https://help.example/x?a=1&amp;b=&lt;2" rel="noreferrer" translate="no">https://help.example/x?a=1&amp;b=&lt;2</a>`,
		"Ring 12 <b>34</b>":               `Ring 12 &lt;b&gt;34&lt;/b&gt;`,
		"javascript:alert(1)":             `javascript:alert(1)`,
	} {
		f := sample()
		h, err := New(Config{App: f, Support: contact})
		if err != nil {
			t.Fatal(err)
		}
		if w := ask(h, "", "GET", "/signin", nil); !strings.Contains(w.Body.String(), "Need help? "+want) {
			t.Errorf("%q is not at sign-in", contact)
		}
		for _, path := range []string{"/help", "/help/restore"} {
			if w := ask(h, "s-viewer", "GET", path, nil); !strings.Contains(w.Body.String(), "Need help? "+want) {
				t.Errorf("%q is not on %s", contact, path)
			}
		}
		if w := ask(h, "s-viewer", "GET", "/members/invite", nil); w.Code != 403 || !strings.Contains(w.Body.String(), "Need help? "+want) {
			t.Errorf("%q is not on the page that refuses: %d", contact, w.Code)
		}
		f.broken = safepoint.Errorf(safepoint.CodeInternal, "no")
		if w := ask(h, "s-admin", "GET", "/members", nil); w.Code != 500 || !strings.Contains(w.Body.String(), "Need help? "+want) || !strings.Contains(w.Body.String(), "Reference") {
			t.Errorf("%q is not on the page of what broke: %d", contact, w.Code)
		}
	}
	if w := ask(newTestServer(t, sample()), "", "GET", "/signin", nil); strings.Contains(w.Body.String(), "Need help?") {
		t.Error("nobody is named, and help is promised")
	}
}

// TestGuideEndsItself: once the first backup is there, the guide is offered no more.
func TestGuideEndsItself(t *testing.T) {
	f := with(sample(), unguided)
	w := ask(newTestServer(t, f), "s-admin", "GET", "/logs", nil)
	if strings.Contains(w.Body.String(), "Finish setting up") || len(f.called) != 1 || f.called[0] != "guide" {
		t.Errorf("did %v", f.called)
	}
	f = with(sample(), unguided)
	f.over.Backups = 0
	if w := ask(newTestServer(t, f), "s-viewer", "GET", "/logs", nil); strings.Contains(w.Body.String(), "Finish setting up") || len(f.called) > 0 {
		t.Errorf("a viewer is guided: %v", f.called)
	}
}
