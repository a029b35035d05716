package app

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/event"
)

func TestConnections(t *testing.T) {
	w := newWorld(t)
	type want struct {
		field string // of a refusal
		d     safepoint.Database
	}
	pg := func(host string, port int, user, name string, tls safepoint.TLSMode) want {
		return want{d: safepoint.Database{Engine: safepoint.PostgreSQL, Host: host, Port: port, User: user, DBName: name, TLS: tls}}
	}
	for url, want := range map[string]want{
		"postgres://u:p@db.example.org/shop":                       pg("db.example.org", 5432, "u", "shop", "verify-full"),
		"postgresql://u:p@db.example.org:5433/shop?sslmode=prefer": pg("db.example.org", 5433, "u", "shop", "verify-full"),
		"postgres://u:p@db.example.org/shop?sslmode=require":       pg("db.example.org", 5432, "u", "shop", "require"),
		"postgres://u:p@db.example.org/shop?sslmode=disable":       pg("db.example.org", 5432, "u", "shop", "disable"),
		"postgres://u:p@127.0.0.1/shop":                            pg("127.0.0.1", 5432, "u", "shop", "disable"),
		"postgres://u:p@localhost:5/shop?sslmode=allow":            pg("localhost", 5, "u", "shop", "disable"),
		"postgres://u:p@[2001:db8::1]:5/shop":                      pg("2001:db8::1", 5, "u", "shop", "verify-full"),
		"postgres://u@/shop?host=/var/run/postgresql":              pg("/var/run/postgresql", 5432, "u", "shop", "disable"),
		"postgres://u@h": pg("h", 5432, "u", "u", "verify-full"),
		"postgres://u:p%40%2F@h/a%3Db%20%F0%9F%98%80?connect_timeout=3": pg("h", 5432, "u", "a=b 😀", "verify-full"),
		"postgres://u:p@h/" + strings.Repeat("n", 63):                   pg("h", 5432, "u", strings.Repeat("n", 63), "verify-full"),
		"postgres://u:p@h/" + strings.Repeat("n", 64):                   {field: "dbname"},
		"postgres://h/shop":                                                {field: "user"},
		"postgres://u@/shop":                                               {field: "host"},
		"postgres://u@h1,h2/shop":                                          {field: "host"},
		"postgres://u@h:99999/shop":                                        {field: "port"},
		"postgres://u@h/shop?sslmode=maybe":                                {field: "tls"},
		"postgres://u@/shop?host=/tmp&sslmode=require":                     {field: "tls"},
		"postgres://u@h/shop?options=-c%20x":                               {field: "url"},
		"postgres://u:p#x@h/shop":                                          {field: "url"},
		"postgres://u@169.254.169.254/shop":                                {field: "host"},
		"postgres://u@[::ffff:169.254.169.254]/shop":                       {field: "host"},
		"postgres://u@[fe80::1]/shop":                                      {field: "host"},
		"postgres://u@2852039166/shop":                                     {field: "host"},
		"postgres://u@0xa9.0xfe.0xa9.0xfe/shop":                            {field: "host"},
		"postgres://u@0251.0376.0251.0376/shop":                            {field: "host"},
		"postgres://u@169.254.43518/shop":                                  {field: "host"},
		"postgres://u@169.254.169.254./shop":                               {field: "host"},
		"postgres://u@0.0.0.0/shop":                                        {field: "host"},
		"mysql://u@h/shop":                                                 {field: "url"},
		"sqlite:///srv/../srv/shop.db":                                     {d: safepoint.Database{Engine: safepoint.SQLite, Path: "/srv/shop.db"}},
		"sqlite:///srv/a%3Fb.db":                                           {d: safepoint.Database{Engine: safepoint.SQLite, Path: "/srv/a?b.db"}},
		"sqlite://srv/shop.db":                                             {field: "url"},
		"sqlite:shop.db":                                                   {field: "url"},
		"sqlite:///srv/shop.db?mode=memory":                                {field: "url"},
		"sqlite://" + w.catalogPath():                                      {field: "path"},
		"sqlite://" + filepath.Join(w.dir, "x", "..", "backups", "new.db"): {field: "path"},
	} {
		c, err := w.connection(DatabaseInput{URL: url})
		if want.field != "" {
			if e := safepoint.UserError(errOr(err)); e.Code != safepoint.CodeInvalid || e.Field != want.field {
				t.Errorf("%s: %v on field %q, want a refusal on %q", url, err, e.Field, want.field)
			}
			continue
		}
		if err != nil || c.database != want.d {
			t.Errorf("%s: %+v, %v; want %+v", url, c.database, err, want.d)
		}
	}
	c, err := w.connection(DatabaseInput{URL: "postgres://u:p%40%2F@h/d?sslmode=prefer"})
	if err != nil || c.secret() != "p@/" || len(c.findings) != 1 || c.findings[0].Blocker {
		t.Errorf("got %+v, %v", c, err)
	}
	for field, in := range map[string]DatabaseInput{
		"engine":   {Name: "x"},
		"path":     {Engine: safepoint.SQLite, Path: "shop.db"},
		"ca_cert":  {Engine: safepoint.PostgreSQL, Host: "h", User: "u", DBName: "d", CACert: "nonsense"},
		"password": {Engine: safepoint.PostgreSQL, Host: "h", User: "u", DBName: "d", Password: ptr("a\x00b")},
	} {
		_, err := w.connection(in)
		if e := safepoint.UserError(errOr(err)); e.Field != field {
			t.Errorf("%s: %+v", field, e)
		}
	}
}

func ptr[T any](v T) *T { return &v }

func TestOurOwnFilesAreNoDatabase(t *testing.T) {
	w := newWorld(t)
	link := filepath.Join(t.TempDir(), "link")
	w.ok(os.Symlink(w.dir, link))
	for _, path := range []string{w.catalogPath(), w.dir, filepath.Join(link, "catalog.db"), filepath.Join(link, "new", "x.db")} {
		if err := w.LocalPaths(path); safepoint.ErrorCode(err) != safepoint.CodeInvalid {
			t.Errorf("%s: %v", path, err)
		}
	}
	for _, path := range []string{w.dir + "-other/shop.db", "/srv/shop.db"} {
		if err := w.LocalPaths(path); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestDatabases(t *testing.T) {
	const canary = "canary-99-passw0rd"
	w := newWorld(t)
	events, end, err := w.Subscribe(w.viewer)
	w.ok(err)
	defer end()
	d, err := w.CreateDatabase(w.ctx, w.admin, DatabaseInput{Name: " shop ", Engine: safepoint.PostgreSQL, Host: "db.example.org", User: "u", DBName: "d", Password: ptr(canary)})
	w.ok(err)
	if d.Name != "shop" || !d.HasPassword || d.CreatedByName != "Ines Marlow" || d.TLS != safepoint.TLSVerifyFull {
		t.Errorf("got %+v", d)
	}
	if e := <-events; e != (event.Event{OrganizationID: w.admin.OrganizationID, Kind: "database", ID: d.ID}) {
		t.Errorf("told %+v", e)
	}
	w.audited(w.admin, "Ines Marlow|database.create|shop|succeeded")
	if strings.Contains(w.dump("databases")+w.dump("audit"), canary) {
		t.Error("the password is in the clear")
	}
	password := func() string {
		target, err := w.target(w.ctx, d)
		w.ok(err)
		return target.Password
	}
	if password() != canary {
		t.Error("the password is not the one entered")
	}
	in := DatabaseInput{Name: "shop 2", Host: "db.example.org", User: "other", DBName: "d", Version: d.Version}
	d, err = w.UpdateDatabase(w.ctx, w.admin, d.ID, in)
	w.ok(err)
	if d.User != "other" || password() != canary {
		t.Errorf("got %+v", d)
	}
	_, err = w.UpdateDatabase(w.ctx, w.admin, d.ID, in)
	w.refused(err, safepoint.CodeConflict, "Ines Marlow saved it at 15:00 CET")
	in.Version, in.Host = 0, "evil.example.org"
	_, err = w.UpdateDatabase(w.ctx, w.admin, d.ID, in)
	w.refused(err, safepoint.CodeInvalid, "because the address changed")
	in.Host, in.TLS = "db.example.org", safepoint.TLSVerifyCA
	_, err = w.UpdateDatabase(w.ctx, w.admin, d.ID, in)
	w.refused(err, safepoint.CodeInvalid, "protected differently")
	other := httptest.NewTLSServer(nil)
	defer other.Close()
	in.TLS, in.CACert = safepoint.TLSVerifyFull, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: other.Certificate().Raw}))
	_, err = w.UpdateDatabase(w.ctx, w.admin, d.ID, in)
	w.refused(err, safepoint.CodeInvalid, "protected differently")
	in.CACert, in.Password = "", ptr("")
	d, err = w.UpdateDatabase(w.ctx, w.admin, d.ID, in)
	w.ok(err)
	if d.HasPassword || password() != "" {
		t.Errorf("an empty password does not remove it: %+v", d)
	}
	_, err = w.UpdateDatabase(w.ctx, w.admin, d.ID, DatabaseInput{Name: "x", URL: "sqlite:///srv/x.db"})
	w.refused(err, safepoint.CodeInvalid, "is a PostgreSQL database")
	_, err = w.CreateDatabase(w.ctx, w.admin, DatabaseInput{Name: "shop 2", URL: "sqlite:///srv/x.db"})
	w.refused(err, safepoint.CodeInvalid, "Another database is called shop 2.")
	w.ok(w.RemoveDatabase(w.ctx, w.admin, d.ID))
	w.audited(w.admin, "Ines Marlow|database.remove|shop 2|succeeded")
}

func TestTestOfADatabase(t *testing.T) {
	w := newWorld(t)
	d := w.shop("shop")
	r, err := w.TestDatabase(w.ctx, w.admin, d.ID)
	w.ok(err)
	if !r.OK || r.Info.Tables != 1 || r.Failure != nil {
		t.Errorf("got %+v, %+v", r, r.Failure)
	}
	if d, err = w.Database(w.ctx, w.viewer, d.ID); err != nil || d.ServerVersion == "" {
		t.Errorf("the version seen is not kept: %+v, %v", d, err)
	}
	w.ok(os.Remove(d.Path))
	r, err = w.TestDatabase(w.ctx, w.admin, d.ID)
	w.ok(err)
	if r.OK || r.Failure == nil || r.Failure.Code != safepoint.CodeName {
		t.Errorf("without the file: %+v, %+v", r, r.Failure)
	}
	w.audited(w.admin, "Ines Marlow|database.test|shop|failed")
	r, err = w.TryDatabase(w.ctx, w.admin, DatabaseInput{URL: "postgres://u:p@h/d?sslmode=prefer"})
	w.ok(err) // this App knows no PostgreSQL
	if r.OK || r.Failure == nil || len(r.Findings) != 1 {
		t.Errorf("got %+v", r)
	}
}

// storefront is a real service with halt, resume and health hooks.
type storefront struct {
	*httptest.Server
	mu     sync.Mutex
	halted bool
	log    []string
	refuse map[string]bool     // paths that answer 500
	onHalt func(*http.Request) // if set, called within a halt
}

func newStorefront(t *testing.T) *storefront {
	s := &storefront{refuse: map[string]bool{}}
	s.Server = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		refuse, onHalt := s.refuse[r.URL.Path], s.onHalt
		if r.Method == http.MethodPost {
			s.log = append(s.log, strings.TrimPrefix(r.URL.Path, "/"))
		}
		s.mu.Unlock()
		if r.URL.Path == "/halt" && onHalt != nil {
			onHalt(r)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		switch {
		case refuse:
			rw.WriteHeader(http.StatusInternalServerError)
		case r.URL.Path == "/halt":
			s.halted = true
		case r.URL.Path == "/resume":
			s.halted = false
		case s.halted:
			rw.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *storefront) calls() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	calls := strings.Join(s.log, " ")
	s.log = nil
	return calls
}

func TestServices(t *testing.T) {
	w := newWorld(t)
	s, secret, err := w.CreateService(w.ctx, w.admin, hooks("web", "http://127.0.0.1:9"))
	w.ok(err)
	if !strings.HasPrefix(secret, "whsec_") || !s.HasSecret || strings.Contains(w.dump("services"), secret) {
		t.Errorf("got %+v with %q", s, secret)
	}
	again, err := w.UpdateService(w.ctx, w.admin, s.ID, hooks("web 2", "http://127.0.0.1:9"))
	w.ok(err)
	if again.Name != "web 2" || !again.HasSecret {
		t.Errorf("got %+v", again)
	}
	for field, change := range map[string]func(*ServiceInput){
		"name":       func(in *ServiceInput) { in.Name = "" },
		"kind":       func(in *ServiceInput) { in.Kind = "command" },
		"timeout":    func(in *ServiceInput) { in.Timeout = time.Hour },
		"halt_url":   func(in *ServiceInput) { in.HaltURL = "http://169.254.169.254/latest" },
		"resume_url": func(in *ServiceInput) { in.ResumeURL = "ftp://h/x" },
		"health_url": func(in *ServiceInput) { in.HealthURL = "https://user:pass@h/x" },
		"secret":     func(in *ServiceInput) { in.Secret = ptr("too short") },
	} {
		in := hooks("new", "http://127.0.0.1:9")
		change(&in)
		_, _, err := w.CreateService(w.ctx, w.admin, in)
		if e := safepoint.UserError(errOr(err)); e.Code != safepoint.CodeInvalid || e.Field != field {
			t.Errorf("%s: %+v", field, e)
		}
	}
	_, _, err = w.CreateService(w.ctx, w.admin, hooks("web 2", "http://127.0.0.1:9"))
	w.refused(err, safepoint.CodeInvalid, "Another service is called web 2.")
}

func TestTestOfAService(t *testing.T) {
	w := newWorld(t)
	front := newStorefront(t)
	s, _, err := w.CreateService(w.ctx, w.admin, hooks("web", front.URL))
	w.ok(err)
	r, err := w.TestService(w.ctx, w.admin, s.ID)
	w.ok(err)
	if calls := front.calls(); !r.Halted || !r.Resumed || r.Failure != nil || calls != "halt resume" {
		t.Errorf("got %+v (%+v) by %s", r, r.Failure, calls)
	}
	w.audited(w.admin, "Ines Marlow|service.test|web|succeeded")

	// The request that asked is gone while the service halts: it is resumed all the same, and no restore starts meanwhile.
	d := w.shop("shop")
	b := w.backup(d)
	ctx, cancel := context.WithCancel(w.ctx)
	front.onHalt = func(*http.Request) {
		cancel()
		_, err := w.StartRestore(w.ctx, w.admin, b.ID, RestoreInput{Confirm: "shop"})
		if safepoint.ErrorCode(err) != safepoint.CodeConflict {
			t.Errorf("a restore started during the test: %v", err)
		}
	}
	r, err = w.TestService(ctx, w.admin, s.ID)
	w.ok(err)
	if calls := front.calls(); !r.Resumed || calls != "halt resume" || front.halted {
		t.Errorf("got %+v by %s", r, calls)
	}
	front.onHalt = nil

	front.refuse["/halt"] = true
	r, err = w.TestService(w.ctx, w.admin, s.ID)
	w.ok(err)
	if calls := front.calls(); r.Halted || !r.Resumed || r.Failure == nil || !strings.HasSuffix(calls, "resume") {
		t.Errorf("a failed halt: %+v by %s", r, calls)
	}
	w.audited(w.admin, "Ines Marlow|service.test|web|failed")
	delete(front.refuse, "/halt")

	front.halted = true
	r, err = w.TestService(w.ctx, w.admin, s.ID)
	w.ok(err)
	if calls := front.calls(); r.Failure == nil || calls != "" || !front.halted {
		t.Errorf("a service that is down was started: %+v by %s", r, calls)
	}
	front.halted = false

	_, err = w.StartRestore(w.ctx, w.admin, b.ID, RestoreInput{Confirm: "shop"})
	w.ok(err)
	_, err = w.TestService(w.ctx, w.admin, s.ID)
	w.refused(err, safepoint.CodeConflict, "Ines Marlow asked for a restore of shop")
	w.refused(w.ResumeService(w.ctx, w.admin, s.ID), safepoint.CodeConflict, "restore of shop")
	if calls := front.calls(); calls != "" {
		t.Errorf("called %s during a restore", calls)
	}
}

func TestResumeByHand(t *testing.T) {
	w := newWorld(t)
	front := newStorefront(t)
	s, _, err := w.CreateService(w.ctx, w.admin, hooks("web", front.URL))
	w.ok(err)
	b := w.backup(w.shop("shop"))
	r, err := w.StartRestore(w.ctx, w.admin, b.ID, RestoreInput{Confirm: "shop"})
	w.ok(err)
	c := w.claim()
	w.ok(w.Catalog.SetHaltedHeld(w.ctx, c, r.OrganizationID, "Restoring shop", time.Time{}))
	front.halted = true
	op := c.Operation
	op.HaltedAt, op.Attention, op.Switched = w.Now(), []string{"web"}, true
	record, err := json.Marshal(map[string]any{"services": []map[string]any{{"id": s.ID, "name": s.Name, "prior": "running", "ours": true}}})
	w.ok(err)
	w.ok(w.Catalog.AppendHeld(w.ctx, c, safepoint.JournalEntry{OperationID: r.ID, Event: "done", State: record}))
	w.finish(c, op, safepoint.StatusSucceeded)
	if st, err := w.State(w.ctx, w.viewer); err != nil || st.State != safepoint.StateHalted || len(st.Attention) != 1 {
		t.Fatalf("got %+v, %v", st, err)
	}
	w.ok(w.ResumeService(w.ctx, w.admin, s.ID))
	if st, err := w.State(w.ctx, w.viewer); err != nil || st.State != safepoint.StateOperating || len(st.Attention) != 0 || front.halted {
		t.Errorf("got %+v, %v", st, err)
	}
	w.audited(w.admin, "Ines Marlow|service.resume|web|succeeded")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	w.ok(err)
	gone := "http://" + l.Addr().String()
	l.Close()
	s, _, err = w.CreateService(w.ctx, w.admin, hooks("gone", gone))
	w.ok(err)
	if err := w.ResumeService(w.ctx, w.admin, s.ID); err == nil {
		t.Error("a service that is not there was resumed")
	}
	w.audited(w.admin, "Ines Marlow|service.resume|gone|failed")
}

// A file has no password: who may name one that is another organization's could read it, and restore over it.
func TestFilesOfOthersAreNoDatabase(t *testing.T) {
	w := newWorld(t)
	folder := t.TempDir()
	path, link, hard := filepath.Join(folder, "shop.db"), filepath.Join(folder, "link.db"), filepath.Join(folder, "hard.db")
	w.ok(os.WriteFile(path, nil, 0o600))
	w.ok(os.Symlink(path, link))
	w.ok(os.Link(path, hard))
	d, err := w.CreateDatabase(w.ctx, w.admin, DatabaseInput{Name: "shop", Engine: safepoint.SQLite, Path: path})
	w.ok(err)
	own, err := w.CreateDatabase(w.ctx, w.foreign, DatabaseInput{Name: "shop", Engine: safepoint.SQLite, Path: filepath.Join(folder, "own.db")})
	w.ok(err)
	for _, in := range []DatabaseInput{{Engine: safepoint.SQLite, Path: path}, {Engine: safepoint.SQLite, Path: link}, {Engine: safepoint.SQLite, Path: hard}, {URL: "sqlite://" + path}} {
		in.Name = "theirs"
		_, err := w.CreateDatabase(w.ctx, w.foreign, in)
		w.refused(err, safepoint.CodeInvalid, "This file cannot be used here.")
		_, err = w.TryDatabase(w.ctx, w.foreign, in)
		w.refused(err, safepoint.CodeInvalid, "This file cannot be used here.")
		_, err = w.UpdateDatabase(w.ctx, w.foreign, own.ID, in)
		w.refused(err, safepoint.CodeInvalid, "This file cannot be used here.")
	}
	// Its own organization may name it, and give it another name.
	_, err = w.TryDatabase(w.ctx, w.admin, DatabaseInput{Engine: safepoint.SQLite, Path: link})
	w.ok(err)
	_, err = w.UpdateDatabase(w.ctx, w.admin, d.ID, DatabaseInput{Name: "till", Engine: safepoint.SQLite, Path: path, Version: d.Version})
	w.ok(err)
	w.ok(w.RemoveDatabase(w.ctx, w.admin, d.ID))
	_, err = w.UpdateDatabase(w.ctx, w.foreign, own.ID, DatabaseInput{Name: "shop", Engine: safepoint.SQLite, Path: path, Version: own.Version})
	w.ok(err)
}
