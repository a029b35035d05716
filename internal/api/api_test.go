package api_test

import (
	"bufio"
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/api"
	"github.com/safepoint-db/safepoint/internal/api/wire"
	"github.com/safepoint-db/safepoint/internal/event"
)

// TestCodes holds the table against every code that the root package declares.
func TestCodes(t *testing.T) {
	declared := declaredCodes(t)
	for name, code := range declared {
		if s := api.Codes[code]; s < 400 || s > 599 {
			t.Errorf("%s (%q) has no HTTP status", name, code)
		}
	}
	if len(declared) != len(api.Codes) {
		t.Errorf("%d codes are declared, %d have a status", len(declared), len(api.Codes))
	}
}

// declaredCodes reads the constants of type Code out of the source, so that none can be forgotten.
func declaredCodes(t *testing.T) map[string]safepoint.Code {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), "../../error.go", nil, 0)
	must(t, err)
	codes := map[string]safepoint.Code{}
	ast.Inspect(f, func(n ast.Node) bool {
		if v, ok := n.(*ast.ValueSpec); ok && len(v.Values) == 1 {
			if id, ok := v.Type.(*ast.Ident); ok && id.Name == "Code" {
				text, err := strconv.Unquote(v.Values[0].(*ast.BasicLit).Value)
				must(t, err)
				codes[v.Names[0].Name] = safepoint.Code(text)
			}
		}
		return true
	})
	if len(codes) < 20 {
		t.Fatalf("found only %d codes", len(codes))
	}
	return codes
}

func TestLogin(t *testing.T) {
	b := newBench(t)
	login := func(email, pw, org string) answer {
		return b.do(t, "", http.MethodPost, "/api/v1/login", wire.LoginInput{Email: email, Password: pw, Organization: org})
	}
	l := decode[wire.Login](t, login("vera@harbor.example", password, ""), 201)
	if l.Organization.ID != b.harbor.ID || l.Organization.Role != "viewer" || !strings.HasPrefix(l.Secret, "sp_") || l.Token.ID == "" {
		t.Errorf("login: %+v", l)
	}
	me := decode[wire.Me](t, b.do(t, l.Secret, http.MethodGet, "/api/v1/me", nil), 200)
	if me.Email != "vera@harbor.example" || me.Organization.Role != "viewer" {
		t.Errorf("me: %+v", me)
	}
	wrong := problem(t, login("vera@harbor.example", "hunter2hunter2", ""), 401, safepoint.CodeUnauthorized)
	unknown := problem(t, login("nobody@harbor.example", "hunter2hunter2", ""), 401, safepoint.CodeUnauthorized)
	if wrong.Title != unknown.Title {
		t.Errorf("a wrong password says %q, an unknown address %q: the difference tells who has an account", wrong.Title, unknown.Title)
	}
	problem(t, login("vera@harbor.example", password, b.other.ID), 404, safepoint.CodeNotFound)

	revoked := b.do(t, l.Secret, http.MethodDelete, b.in("tokens", l.Token.ID), nil)
	if revoked.StatusCode != 204 {
		t.Fatalf("revoke: %d %s", revoked.StatusCode, revoked.body)
	}
	problem(t, b.do(t, l.Secret, http.MethodGet, "/api/v1/me", nil), 401, safepoint.CodeUnauthorized)
}

// TestSecretsAreNotEchoed sends values that are refused where a secret stands, and looks for them in every answer.
func TestSecretsAreNotEchoed(t *testing.T) {
	b := newBench(t)
	const canary = "canary-hunter2"
	for what, a := range map[string]answer{
		"wrong type":       b.do(t, b.admin, http.MethodPost, b.in("databases"), map[string]any{"name": "x", "password": []string{canary}}),
		"unknown field":    b.do(t, b.admin, http.MethodPost, b.in("databases"), map[string]any{"name": "x", "secret": canary}),
		"unusable URL":     b.do(t, b.admin, http.MethodPost, b.in("databases"), wire.DatabaseInput{Name: "x", URL: "postgres://u:" + canary + "@h:port/%zz"}),
		"other scheme":     b.do(t, b.admin, http.MethodPost, b.in("databases"), wire.DatabaseInput{Name: "x", URL: "mysql://u:" + canary + "@h/d"}),
		"short secret":     b.do(t, b.admin, http.MethodPost, b.in("services"), map[string]any{"name": "x", "kind": "webhook", "halt_url": "http://127.0.0.1:1/h", "resume_url": "http://127.0.0.1:1/r", "secret": canary}),
		"bad login":        b.do(t, "", http.MethodPost, "/api/v1/login", map[string]any{"email": 1, "password": canary}),
		"wrong password":   b.do(t, "", http.MethodPost, "/api/v1/login", wire.LoginInput{Email: "vera@harbor.example", Password: canary}),
		"token as a query": b.do(t, "", http.MethodGet, "/api/v1/me?token="+canary, nil),
	} {
		if a.StatusCode < 400 || a.StatusCode > 499 {
			t.Errorf("%s: status %d\n%s", what, a.StatusCode, a.body)
		}
		if strings.Contains(string(a.body), canary) {
			t.Errorf("%s: the answer repeats the secret: %s", what, a.body)
		}
	}
}

func TestRefusals(t *testing.T) {
	b := newBench(t)
	p := problem(t, b.do(t, b.admin, http.MethodPost, b.in("schedules"), map[string]any{"name": "", "interval": "9h"}), 422, safepoint.CodeInvalid)
	if len(p.Errors) != 2 || p.Field == "" {
		t.Errorf("want both wrong fields: %+v", p)
	}
	problem(t, b.do(t, b.admin, http.MethodGet, b.in("operations")+"?limit=9999", nil), 422, safepoint.CodeInvalid)
	problem(t, b.do(t, b.admin, http.MethodGet, b.in("operations")+"?stauts=failed", nil), 422, safepoint.CodeInvalid)
	problem(t, b.do(t, b.admin, http.MethodGet, b.in("operations", "op_nothere"), nil), 404, safepoint.CodeNotFound)
	problem(t, b.do(t, b.admin, http.MethodGet, "/api/v1/nothing", nil), 404, safepoint.CodeNotFound)
	wrong := b.do(t, b.admin, http.MethodDelete, "/api/v1/me", nil)
	if wrong.StatusCode != 405 || wrong.Header.Get("Allow") != "GET" {
		t.Errorf("DELETE /me: %d, Allow %q", wrong.StatusCode, wrong.Header.Get("Allow"))
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.URL+b.in("schedules"), strings.NewReader("{not json"))
	must(t, err)
	req.Header.Set("Authorization", "Bearer "+b.admin)
	req.Header.Set("Content-Type", "application/json")
	resp, err := b.Client().Do(req)
	must(t, err)
	resp.Body.Close()
	if resp.StatusCode != 400 || resp.Header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("broken JSON: %d %s", resp.StatusCode, resp.Header.Get("Content-Type"))
	}
}

// TestConflict changes a schedule twice from the same version: the second is refused and changes nothing.
func TestConflict(t *testing.T) {
	b := newBench(t)
	d := b.shop(t, "shop")
	s := decode[wire.Schedule](t, b.do(t, b.admin, http.MethodPost, b.in("schedules"), wire.ScheduleInput{Name: "Shop", Interval: "8h", DatabaseID: d.ID}), 201)
	if s.NextRun.IsZero() || s.DatabaseName != "shop" || s.CreatedBy != "Rahel" || !s.IsActive {
		t.Errorf("created: %+v", s)
	}
	edit := func(name string) answer {
		return b.do(t, b.admin, http.MethodPut, b.in("schedules", s.ID), wire.ScheduleInput{Name: name, Interval: "3d", Version: s.Version})
	}
	decode[wire.Schedule](t, edit("First"), 200)
	problem(t, edit("Second"), 409, safepoint.CodeConflict)
	got := decode[wire.Schedule](t, b.do(t, b.admin, http.MethodPost, b.in("schedules", s.ID, "disable"), nil), 200)
	if got.Name != "First" || got.Interval != "3d" || got.IsActive || !got.NextRun.IsZero() || got.DisabledBy != "Rahel" {
		t.Errorf("disabled: %+v", got)
	}
}

// TestWatchState reads the stream: the state at once, and each change of it.
func TestWatchState(t *testing.T) {
	b := newBench(t)
	d := b.shop(t, "shop")
	op := decode[wire.Operation](t, b.do(t, b.admin, http.MethodPost, b.in("databases", d.ID, "backup"), nil), 202)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, b.URL+b.in("state/events"), nil)
	must(t, err)
	req.Header.Set("Authorization", "Bearer "+b.viewer)
	resp, err := b.Client().Do(req)
	must(t, err)
	defer resp.Body.Close()
	if ct := resp.Header.Get("Content-Type"); ct != "text/event-stream" || resp.StatusCode != 200 {
		t.Fatalf("%d %s", resp.StatusCode, ct)
	}
	lines := make(chan string)
	go func() {
		defer close(lines)
		for s := bufio.NewScanner(resp.Body); s.Scan(); {
			lines <- s.Text()
		}
	}()
	next := func() (s wire.State) {
		for {
			select {
			case l, ok := <-lines:
				if !ok {
					t.Fatal("the stream ended")
				}
				if data, ok := strings.CutPrefix(l, "data: "); ok {
					must(t, json.Unmarshal([]byte(data), &s))
					return s
				}
				if l != "" && l != "event: state" {
					t.Fatalf("line %q", l)
				}
			case <-time.After(10 * time.Second):
				t.Fatal("nothing came")
			}
		}
	}
	if s := next(); s.State != safepoint.StateOperating {
		t.Errorf("first: %+v", s)
	}
	changed := func() {
		b.hub.Publish(event.Event{OrganizationID: b.harbor.ID, Kind: "state"})
	}
	until := time.Now().Add(time.Minute).UTC().Truncate(time.Second)
	c, err := b.cat.ClaimNext(t.Context(), "test/1", time.Minute)
	must(t, err)
	must(t, b.cat.SetHaltedHeld(t.Context(), *c, b.harbor.ID, "Restoring shop", until))
	changed()
	if s := next(); s.State != safepoint.StateHalted || s.Reason != "Restoring shop" || s.OperationID != op.ID || !s.Until.Equal(until) || s.Since.IsZero() {
		t.Errorf("halted: %+v", s)
	}
	must(t, b.cat.ClearHaltedHeld(t.Context(), *c, b.harbor.ID))
	changed()
	if s := next(); s.State != safepoint.StateOperating || s.Since.IsZero() {
		t.Errorf("resumed: %+v", s)
	}
}

// TestDocument checks what /openapi.json promises against what is there.
func TestDocument(t *testing.T) {
	b := newBench(t)
	a := b.do(t, "", http.MethodGet, "/openapi.json", nil)
	doc := decode[struct {
		OpenAPI    string
		Info       struct{ Title, Version, Description string }
		Paths      map[string]map[string]json.RawMessage
		Components struct {
			Schemas         map[string]json.RawMessage
			SecuritySchemes map[string]json.RawMessage
		}
	}](t, a, 200)
	if !strings.HasPrefix(doc.OpenAPI, "3.1") || doc.Info.Title != "Safepoint" || doc.Info.Version != "test" {
		t.Errorf("document head: %q %+v", doc.OpenAPI, doc.Info)
	}
	ids := map[string]bool{}
	for _, r := range b.api.Routes() {
		var op struct {
			OperationID, Summary string
			Tags                 []string
			Security             *[]map[string][]string
			Responses            map[string]json.RawMessage
			Parameters           []struct{ Name, In string }
		}
		raw := doc.Paths[r.Path][strings.ToLower(r.Method)]
		if raw == nil {
			t.Errorf("%s %s is not in the document", r.Method, r.Path)
			continue
		}
		must(t, json.Unmarshal(raw, &op))
		if op.OperationID == "" || op.Summary == "" || len(op.Tags) != 1 || ids[op.OperationID] {
			t.Errorf("%s %s: %+v", r.Method, r.Path, op)
		}
		ids[op.OperationID] = true
		for _, m := range regexp.MustCompile(`\{(\w+)\}`).FindAllStringSubmatch(r.Path, -1) {
			if !slices.Contains(op.Parameters, struct{ Name, In string }{m[1], "path"}) {
				t.Errorf("%s: the document does not declare the path parameter %s", op.OperationID, m[1])
			}
		}
		if _, ok := op.Responses["401"]; !ok {
			t.Errorf("%s does not say 401", op.OperationID)
		}
	}
	for _, m := range regexp.MustCompile(`"\$ref": "#/components/schemas/([^"]+)"`).FindAllStringSubmatch(string(a.body), -1) {
		if doc.Components.Schemas[m[1]] == nil {
			t.Errorf("the document refers to schema %s, which is not in it", m[1])
		}
	}
	if doc.Components.SecuritySchemes["token"] == nil {
		t.Error("the document does not say how to sign in")
	}
	if !strings.Contains(string(doc.Components.Schemas["Problem"]), `"code"`) {
		t.Errorf("the schema of problems does not hold code: %s", doc.Components.Schemas["Problem"])
	}
}
