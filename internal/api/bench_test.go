package api_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	_ "modernc.org/sqlite"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/api"
	"github.com/safepoint-db/safepoint/internal/api/wire"
	"github.com/safepoint-db/safepoint/internal/app"
	"github.com/safepoint-db/safepoint/internal/catalog"
	"github.com/safepoint-db/safepoint/internal/event"
	"github.com/safepoint-db/safepoint/internal/kinds"
	"github.com/safepoint-db/safepoint/internal/storage/local"
)

const password = "seven tugboats at anchor"

// bench is an API in front of a real app with a catalog of its own, and two organizations: harbor, with an admin, a
// viewer and one of everything, and other, with an admin of its own.
type bench struct {
	*httptest.Server
	api    *api.API
	app    *app.App
	cat    *catalog.Catalog
	hub    *event.Hub
	dir    string
	harbor wire.Organization
	other  wire.Organization
	admin  string // tokens
	viewer string
	rival  string // the other organization's admin
	tokens map[string]wire.Token
}

func newBench(t *testing.T) *bench {
	t.Helper()
	ctx, dir := t.Context(), t.TempDir()
	c, err := catalog.Open(ctx, filepath.Join(dir, "catalog.db"))
	must(t, err)
	t.Cleanup(func() { c.Close() })
	keys, err := c.OpenKeys(ctx, dir)
	must(t, err)
	store, err := local.Open(filepath.Join(dir, "backups"))
	must(t, err)
	t.Cleanup(func() { store.Close() })
	b := &bench{cat: c, hub: &event.Hub{}, dir: dir, tokens: map[string]wire.Token{}}
	b.app = app.New(app.Config{Catalog: c, Keys: keys, Storage: store, Engine: kinds.Engine, Halter: kinds.Halter, Hub: b.hub})
	b.api = api.New(api.Config{App: b.app, Version: "test"})
	b.Server = httptest.NewServer(b.api)
	t.Cleanup(b.Close)
	b.people(t)
	return b
}

func (b *bench) people(t *testing.T) {
	t.Helper()
	ctx := t.Context()
	code, err := b.app.NewSetupCode(ctx)
	must(t, err)
	session, err := b.app.Setup(ctx, app.Setup{
		Code: code, Email: "rahel@harbor.example", Name: "Rahel", Password: password, Organization: "Harbor", TimeZone: "Europe/Zurich",
	}, "192.0.2.1", "test")
	must(t, err)
	rahel, err := b.app.Session(ctx, session, "192.0.2.1")
	must(t, err)
	b.invite(t, rahel, "vera@harbor.example", safepoint.RoleViewer)
	other, err := b.app.CreateOrganization(ctx, rahel, "Other", "UTC")
	must(t, err)
	there := rahel
	there.OrganizationID, there.Role = other.ID, safepoint.RoleAdmin
	b.invite(t, there, "otto@other.example", safepoint.RoleAdmin)

	b.harbor, b.admin = b.login(t, "rahel@harbor.example", rahel.OrganizationID)
	_, b.viewer = b.login(t, "vera@harbor.example", "")
	b.other, b.rival = b.login(t, "otto@other.example", "")
}

func (b *bench) invite(t *testing.T, by safepoint.Actor, email string, role safepoint.Role) {
	t.Helper()
	_, link, err := b.app.InviteMember(t.Context(), by, app.MemberInput{Email: email, Name: email, Role: role})
	must(t, err)
	_, err = b.app.AcceptInvite(t.Context(), link, email, password, "192.0.2.1", "test")
	must(t, err)
}

func (b *bench) login(t *testing.T, email, organization string) (wire.Organization, string) {
	t.Helper()
	a := b.do(t, "", http.MethodPost, "/api/v1/login", wire.LoginInput{Email: email, Password: password, Organization: organization, TokenName: "test"})
	l := decode[wire.Login](t, a, http.StatusCreated)
	b.tokens[l.Secret] = l.Token
	return l.Organization, l.Secret
}

// answer is a response that was read.
type answer struct {
	*http.Response
	body []byte
}

// do sends in as JSON ("" and nil: no body) and reads the answer.
func (b *bench) do(t *testing.T, token, method, path string, in any, header ...string) answer {
	t.Helper()
	var body io.Reader
	if in != nil {
		data, err := json.Marshal(in)
		must(t, err)
		body = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(t.Context(), method, b.URL+path, body)
	must(t, err)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := b.Client().Do(req)
	must(t, err)
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	must(t, err)
	return answer{resp, data}
}

// in is a path below harbor.
func (b *bench) in(parts ...string) string {
	return "/api/v1/organizations/" + b.harbor.ID + "/" + strings.Join(parts, "/")
}

func decode[T any](t *testing.T, a answer, status int) (v T) {
	t.Helper()
	if a.StatusCode != status {
		t.Fatalf("%s %s: status %d, want %d\n%s", a.Request.Method, a.Request.URL.Path, a.StatusCode, status, a.body)
	}
	must(t, json.Unmarshal(a.body, &v))
	return v
}

// problem is the answer's problem, whose form is checked.
func problem(t *testing.T, a answer, status int, code safepoint.Code) wire.Problem {
	t.Helper()
	p := decode[wire.Problem](t, a, status)
	if ct := a.Header.Get("Content-Type"); ct != "application/problem+json" {
		t.Errorf("%s: Content-Type %q", a.Request.URL.Path, ct)
	}
	if p.Code != string(code) || p.Status != status || p.Title == "" || p.Type != "urn:safepoint:error:"+string(code) {
		t.Errorf("%s %s: problem %+v, want code %s and status %d", a.Request.Method, a.Request.URL.Path, p, code, status)
	}
	return p
}

// shop makes a small SQLite database and adds it.
func (b *bench) shop(t *testing.T, name string) wire.Database {
	t.Helper()
	path := filepath.Join(t.TempDir(), name+".db")
	db, err := sql.Open("sqlite", path)
	must(t, err)
	_, err = db.ExecContext(context.Background(), `CREATE TABLE orders (id INTEGER PRIMARY KEY, what TEXT); INSERT INTO orders (what) VALUES ('tea'), ('milk')`)
	must(t, err)
	must(t, db.Close())
	return decode[wire.Database](t, b.do(t, b.admin, http.MethodPost, b.in("databases"), wire.DatabaseInput{Name: name, URL: "sqlite://" + path}), http.StatusCreated)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
