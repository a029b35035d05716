package web

import (
	"net/http"
	"strings"
	"testing"

	"github.com/safepoint-db/safepoint"
)

// examples fills the pattern's parts with what the sample has.
var examples = map[string]string{
	"/backups/{id}": "sch_7k2mq4", "/logs/{id}": "op_1400", "/restores/{id}": "op_restore", "/databases/{id}": "db_docs",
	"/storage/{id}": "local", "/services/{id}": "svc_web", "/health/{id}": "db_harbor_prod", "/members/{id}": "usr_tomas", "/profile/tokens/{id}": "tok_ci",
	"/settings/encryption/{id}": "rcp_new", "/profile/sessions/{id}": "0718a1b2c3d4e5f6", "/profile/passkeys/{id}": "pky_laptop",
}

// target is an address that the pattern answers.
func target(pattern string) string {
	for prefix, id := range examples {
		if strings.HasPrefix(pattern, prefix) {
			pattern = strings.Replace(pattern, "{id}", id, 1)
		}
	}
	pattern = strings.TrimSuffix(pattern, "{$}")
	if pattern == "/events" {
		return "/events?page=/nothing" // ends at once; the stream has its own tests
	}
	return strings.NewReplacer("{file}", "none.css", "{task}", "restore").Replace(pattern)
}

// TestRoutes walks the whole table as nobody, a viewer and an admin.
func TestRoutes(t *testing.T) {
	for _, route := range Routes() {
		t.Run(route.Method+" "+route.Pattern, func(t *testing.T) {
			f := sample()
			h := newTestServer(t, f)
			path := target(route.Pattern)
			if strings.Contains(path, "{") {
				t.Fatalf("give the pattern %s an example", route.Pattern)
			}
			nobody := ask(h, "", route.Method, path, typed("a", "b"))
			if route.Pattern == "/events" { // a script cannot be led to another page: it is told to ask for its own again
				for _, session := range []string{"", "s-over"} {
					if w := ask(h, session, route.Method, path, nil); w.Body.String() != "event: done\ndata: /nothing\ndata: \n\n" {
						t.Errorf("a stream of nobody is %q", w.Body)
					}
				}
				return
			}
			if route.Who != Public && (nobody.Code != http.StatusSeeOther || !strings.HasPrefix(nobody.Header().Get("Location"), "/signin")) {
				t.Errorf("nobody gets %d %s, want the sign-in page", nobody.Code, nobody.Header().Get("Location"))
			}
			over := ask(h, "s-over", route.Method, path, typed("a", "b"))
			if route.Who != Public && (over.Code != http.StatusSeeOther || !strings.Contains(over.Header().Get("Location"), "over=1")) {
				t.Errorf("an ended session gets %d %s, want to be told", over.Code, over.Header().Get("Location"))
			}
			if route.Who != Public && len(f.called) > 0 {
				t.Errorf("nobody did %v", f.called)
			}
			f.called = nil
			viewer := ask(h, "s-viewer", route.Method, path, typed("a", "b"))
			if forbidden := viewer.Code == http.StatusForbidden; forbidden != (route.Who == Admin) {
				t.Errorf("a viewer gets %d at a page for %s", viewer.Code, route.Who)
			}
			if route.Who == Admin && len(f.called) > 0 {
				t.Errorf("a viewer did %v", f.called)
			}
			admin := ask(h, "s-admin", route.Method, path, typed("a", "b"))
			if admin.Code >= 500 || admin.Code == http.StatusForbidden || admin.Code == http.StatusUnauthorized {
				t.Errorf("an admin gets %d\n%s", admin.Code, admin.Body)
			}
			checkHeaders(t, admin.Header())
			checkHeaders(t, nobody.Header())
		})
	}
}

func checkHeaders(t *testing.T, h http.Header) {
	t.Helper()
	want := map[string]string{
		"Content-Security-Policy":      "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
		"X-Content-Type-Options":       "nosniff",
		"Referrer-Policy":              "no-referrer",
		"Cross-Origin-Opener-Policy":   "same-origin",
		"Cross-Origin-Resource-Policy": "same-origin",
		"Cache-Control":                "no-store",
	}
	for k, v := range want {
		if h.Get(k) != v {
			t.Errorf("%s is %q", k, h.Get(k))
		}
	}
	if h.Get("Permissions-Policy") == "" {
		t.Error("no Permissions-Policy")
	}
}

// TestCrossOrigin: no POST of another site does anything, whoever is signed in.
func TestCrossOrigin(t *testing.T) {
	for _, route := range Routes() {
		if route.Method != http.MethodPost {
			continue
		}
		t.Run(route.Pattern, func(t *testing.T) {
			for _, header := range [][]string{{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}, {"Origin", "https://evil.example"}} {
				f := sample()
				w := ask(newTestServer(t, f), "s-admin", http.MethodPost, target(route.Pattern), typed("a", "b"), header...)
				if w.Code != http.StatusForbidden || len(f.called) > 0 {
					t.Errorf("with %v: %d, did %v", header, w.Code, f.called)
				}
				if !strings.Contains(w.Body.String(), "came from another site") {
					t.Error("the page does not say why")
				}
				checkHeaders(t, w.Header())
			}
		})
	}
}

// TestBroken: a page whose data cannot be read says so with a reference, and nothing of the cause.
func TestBroken(t *testing.T) {
	for _, route := range Routes() {
		if route.Method != http.MethodGet || route.Who == Public {
			continue
		}
		f := sample()
		f.broken = errBroken
		w := ask(newTestServer(t, f), "s-admin", http.MethodGet, target(route.Pattern), nil)
		if w.Code != 500 || !strings.Contains(w.Body.String(), "Something broke on our side") || strings.Contains(w.Body.String(), "disk gone") {
			t.Errorf("%s: %d\n%s", route.Pattern, w.Code, w.Body)
		}
	}
}

// TestActions: what a form sends reaches the application, and the answer is a redirect.
func TestActions(t *testing.T) {
	tests := []struct{ path, body, called, to string }{
		{"/setup", "code=c&email=a@b.c&name=A&password=p&password2=p&organization=O&time_zone=UTC", "setup c a@b.c O UTC", "/start"},
		{"/signin", "email=+a@b.c+&password=p&next=/logs?type=backup", "signin a@b.c 192.0.2.1", "/logs?type=backup"},
		{"/signin", "email=a&password=p&next=https://evil.example/", "signin a 192.0.2.1", "/backups"},
		{"/signin", "email=a&password=p&next=//evil.example/", "signin a 192.0.2.1", "/backups"},
		{"/signin", "email=a&password=p&next=/%5Cevil.example/", "signin a 192.0.2.1", "/backups"},
		{"http://localhost/signin", "email=a&password=p&passkey=k&next=/logs", "passkey signin http://localhost k 192.0.2.1", "/logs"},
		{"/signin/link", "token=abc", "link abc", "/backups"},
		{"/signout", "", "signout", "/signin"},
		{"/backups/new", "name=N&interval=8h&database=db_docs&first_run=2026-11-23T02:00", "schedule N 8 hours db_docs 2026-11-23T01:00:00Z", "/backups/sch_new?done=scheduled"},
		{"/backups/sch_7k2mq4/edit", "name=N&interval=3d&version=4", "update sch_7k2mq4 N 3 days 4", "/backups/sch_7k2mq4?done=saved"},
		{"/backups/sch_7k2mq4/disable", "", "disable sch_7k2mq4", "/backups/sch_7k2mq4?done=disabled"},
		{"/backups/sch_x09vtr/enable", "", "enable sch_x09vtr", "/backups/sch_x09vtr?done=enabled"},
		{"/notices/dismiss", "notice=missed:sch_7k2mq4", "dismiss missed:sch_7k2mq4", "/notices?done=dismissed"},
		{"/backups/manual", "database=db_docs", "backup db_docs", "/logs/op_new"},
		{"/logs/op_2200/restore", "confirm=harbor_prod", "restore op_2200 harbor_prod", "/restores/op_restore"},
		{"/logs/op_2200/restore", "confirm=harbor_prod&identity=AGE-SECRET-KEY-1X", "restore op_2200 harbor_prod a key of 17 characters", "/restores/op_restore"},
		{"/settings/encryption/rcp_new/prove", "word=+ABCD+", "recipient-prove rcp_new ABCD 0", "/settings/encryption?done=proven"},
		{"/settings/encryption/rcp_new/prove", "identity=AGE-SECRET-KEY-1X", "recipient-prove rcp_new  17", "/settings/encryption?done=proven"},
		{"/settings/encryption/rcp_safe/remove", "", "recipient-remove rcp_safe", "/settings/encryption?done=removed"},
		{"/settings/encryption/rcp_safe/forget", "", "key-forget rcp_safe", "/settings/encryption?done=forgotten"},
		{"/settings/encryption/off", "confirm=Harborline+Freight", "encryption false Harborline Freight", "/settings/encryption?done=encryption-off"},
		{"/settings/encryption/on", "", "encryption true", "/settings/encryption?done=encryption-on"},
		{"/logs/op_0600/delete", "confirm=x", "delete op_0600 x", "/logs?done=deleted"},
		{"/logs/op_running/cancel", "", "cancel op_running", "/logs/op_running"},
		{"/restores/op_restore/undo", "", "undo op_restore", "/restores/op_undo"},
		{"/restores/op_restore/resume", "", "resume all op_restore", "/restores/op_restore"},
		{"/stepup", "password=p&next=/logs/op_1400/file", "reenter", "/logs/op_1400/file"},
		{"/databases/new", "do=save&name=shop&engine=sqlite&path=/s.db&port=5432", "database shop sqlite  5432 /s.db", "/databases/db_new?done=connected"},
		{"/databases/db_docs/edit", "name=n&version=1", "update db_docs n 1", "/databases/db_docs?done=saved"},
		{"/services/order", "id=svc_pool&move=up", "order svc_pool,svc_web,svc_reports", "/services"},
		{"/services/order", "id=svc_pool&move=down", "order svc_web,svc_reports,svc_pool", "/services"},
		{"/services/svc_web/resume", "", "resume svc_web", "/services/svc_web?done=resumed"},
		{"/services/svc_web/delete", "", "remove svc_web", "/services?done=removed"},
		{"/members/usr_tomas/role", "role=admin", "role usr_tomas admin", "/members?done=saved"},
		{"/members/usr_tomas/remove", "", "remove usr_tomas", "/members?done=removed"},
		{"/settings/general", "name=H&time_zone=UTC&language=de", "settings H UTC de", "/settings/general?done=saved"},
		{"/settings/security", "session_idle=3600", "settings 1h0m0s", "/settings/security?done=saved"},
		{"/settings/retention", "undo_window=48", "settings 48h0m0s", "/settings/retention?done=saved"},
		{"http://localhost/stepup", "passkey=k&next=/profile/passkeys/new", "passkey reenter http://localhost k", "/profile/passkeys/new"},
		{"http://localhost/profile/passkeys/new", "passkey=k&name=+Laptop", "passkey add http://localhost Laptop k", "/profile?done=passkey-added"},
		{"/profile/passkeys/pky_laptop/rename", "name=Desk", "passkey rename pky_laptop Desk", "/profile?done=saved"},
		{"/profile/passkeys/pky_laptop/remove", "", "passkey remove pky_laptop", "/profile?done=passkey-removed"},
		{"/profile/display", "theme=dark&language=de&hours=12", "display dark de 12", "/profile?done=saved"},
		{"/profile/sessions/0718a1b2c3d4e5f6/end", "", "end 0718a1b2c3d4e5f6", "/profile?done=signed-out"},
		{"/profile/sessions/a1b2c3d4e5f60718/end", "", "signout", "/signin"},
		{"/profile/sessions/end-others", "", "end others", "/profile?done=signed-out-others"},
		{"/start/end", "", "guide", "/backups?done=guided"},
		{"/profile/password", "old_password=a&new_password=b&new_password2=b", "password", "/profile?done=password"},
		{"/profile/tokens/tok_ci/revoke", "", "revoke tok_ci", "/profile?done=revoked"},
		{"/organization", "organization=org_other", "switch org_other", "/backups"},
		{"/organizations/new", "name=New&time_zone=UTC", "organization New UTC", "/start?done=organization"},
	}
	for _, test := range tests {
		f := sample()
		form, err := parse(test.body)
		if err != nil {
			t.Fatal(err)
		}
		w := ask(newTestServer(t, f), "s-admin", http.MethodPost, test.path, form, "Sec-Fetch-Site", "same-origin")
		if w.Code != http.StatusSeeOther || w.Header().Get("Location") != test.to || len(f.called) == 0 || f.called[0] != test.called {
			t.Errorf("POST %s %s: %d to %q, did %q", test.path, test.body, w.Code, w.Header().Get("Location"), f.called)
		}
	}
}

// TestCookie: over HTTPS the session's cookie is bound to this host and to HTTPS; on loopback it has a plain name.
func TestCookie(t *testing.T) {
	plain := ask(newTestServer(t, sample()), "", "POST", "/signin", typed("email", "a"))
	if c := plain.Header().Get("Set-Cookie"); c != "safepoint=s-admin; Path=/; HttpOnly; SameSite=Lax" {
		t.Error(c)
	}
	h, err := New(Config{App: sample(), Secure: true})
	if err != nil {
		t.Fatal(err)
	}
	if c := ask(h, "", "POST", "/signin", typed("email", "a")).Header().Get("Set-Cookie"); c != "__Host-safepoint=s-admin; Path=/; HttpOnly; Secure; SameSite=Lax" {
		t.Error(c)
	}
}

// TestDownload: the file comes as an attachment, in ranges, and asks for the password first where it must.
func TestDownload(t *testing.T) {
	f := sample()
	h := newTestServer(t, f)
	w := ask(h, "s-admin", "GET", "/logs/op_1400/file", nil, "Range", "bytes=2-4")
	if w.Code != http.StatusPartialContent || w.Body.String() != "234" || w.Header().Get("Content-Disposition") != `attachment; filename="shop \"1\".sql.zst"` {
		t.Errorf("%d %q %v", w.Code, w.Body, w.Header())
	}
	f.fail = safepoint.Errorf(safepoint.CodeStepUp, "Enter your password again.")
	w = ask(h, "s-admin", "GET", "/logs/op_1400/file", nil)
	if w.Code != http.StatusSeeOther || w.Header().Get("Location") != "/stepup?next=%2Flogs%2Fop_1400%2Ffile" {
		t.Errorf("%d %s", w.Code, w.Header().Get("Location"))
	}
}

// TestAssets: files keep for ever, under names that change with them.
func TestAssets(t *testing.T) {
	h := newTestServer(t, sample())
	a, err := loadAssets()
	if err != nil {
		t.Fatal(err)
	}
	for name := range a.hashed {
		w := ask(h, "", "GET", a.url(name), nil)
		if w.Code != 200 || w.Header().Get("Cache-Control") != "public, max-age=31536000, immutable" || w.Header().Get("Content-Type") == "" {
			t.Errorf("%s: %d %v", name, w.Code, w.Header())
		}
	}
}
