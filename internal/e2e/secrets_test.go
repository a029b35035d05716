package e2e

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/api/wire"
	"github.com/safepoint-db/safepoint/internal/client"
	"github.com/safepoint-db/safepoint/internal/pgtest"
	"github.com/safepoint-db/safepoint/internal/server"
)

// TestSecretsStayInside looks for secrets wherever they must not be: arguments and environments of processes, files,
// the log, answers of the API, pages of the console.
func TestSecretsStayInside(t *testing.T) {
	t.Parallel()
	c := pgtest.Shared(t)
	const dbPassword = "canary db/pass@word#1 %41"
	hook := base64.StdEncoding.EncodeToString([]byte("canary-webhook-secret-of-32bytes"))
	b := start(t, server.Config{}, "")
	b.openTill()
	s := b.addPostgres(c, nil, ordersPostgres)
	pgtest.Exec(t, c.Target("postgres"), `CREATE ROLE e2e_canary SUPERUSER LOGIN PASSWORD '`+dbPassword+`'`)
	t.Cleanup(func() { pgtest.Exec(t, c.Target("postgres"), `DROP ROLE e2e_canary`) })

	watch := watchProcesses(t)
	secret := "whsec_" + hook
	svc := must(b.api.CreateService(t.Context(), wire.ServiceInput{Name: "second till", Kind: "webhook", Secret: &secret,
		HaltURL: b.till.URL + "/halt", ResumeURL: b.till.URL + "/resume", HealthURL: b.till.URL + "/health"}))(t)
	first := must(b.api.Services(t.Context()))(t)[0]
	b.must(b.api.RemoveService(t.Context(), first.ID))
	b.till.setSecret(secret)
	in, pass := postgresInput(c, s.DBName), dbPassword
	in.User, in.Password = "e2e_canary", &pass
	must(b.api.UpdateDatabase(t.Context(), s.ID, in))(t)
	in.URL = fmt.Sprintf("postgres://%s@127.0.0.1:%d/%s?sslmode=disable", url.UserPassword("e2e_canary", dbPassword), c.Port, url.PathEscape(s.DBName))
	in.Password, in.Name = nil, "by URL"
	byURL := must(b.api.CreateDatabase(t.Context(), in))(t)

	for _, id := range []string{s.ID, byURL.ID} {
		if test := must(b.api.TestDatabase(t.Context(), id))(t); test.Failure != nil {
			t.Fatalf("the canary's password does not work: %+v", test.Failure)
		}
	}
	if test := must(b.api.TestService(t.Context(), svc.ID))(t); !test.Halted || !test.Resumed {
		t.Fatalf("the canary's signature does not work: %+v", test)
	}
	old := s.backup()
	pgtest.Exec(t, s.target, "DELETE FROM orders WHERE id % 2 = 0")
	restored := s.restore(old)
	s.wait(must(b.api.StartUndo(t.Context(), restored.ID))(t).ID)
	b.provoke(c.Port, s.DBName, dbPassword, hook)
	pages := b.visitAll(s, svc.ID, restored.ID, old.ID)
	watch.stop()

	if !watch.saw("pg_dump") {
		t.Error("no pg_dump was seen: the watch proves nothing")
	}
	if pages < 25 {
		t.Errorf("%d pages were looked at", pages)
	}
	if log := b.log.String(); !strings.Contains(log, `"level":"DEBUG"`) || !strings.Contains(log, "did not succeed") {
		t.Error("the log holds no details: it proves nothing")
	}
	b.must(b.stop()) // what was in memory is on disk
	for name, forms := range map[string][]string{
		"the database's password": spellings(dbPassword), "the webhook's secret": append(spellings(hook), "canary-webhook"), "the user's password": spellings(password),
		"the token": {b.token}, "what was mistyped": spellings(dbPassword + "?"),
	} {
		for where, text := range map[string]string{"the log": b.log.String(), "an answer": b.seen.String(), "a process": watch.text()} {
			for _, form := range forms {
				if i := strings.Index(text, form); i >= 0 {
					t.Errorf("%s is in %s: …%s…", name, where, text[max(0, i-200):min(len(text), i+len(form)+50)])
					break
				}
			}
		}
		b.searchFiles(name, forms)
	}
}

// spellings are the ways in which a secret could slip out.
func spellings(s string) []string {
	return []string{s, url.QueryEscape(s), url.PathEscape(s), base64.StdEncoding.EncodeToString([]byte(s)),
		strings.TrimRight(base64.URLEncoding.EncodeToString([]byte(s)), "="), hex.EncodeToString([]byte(s)), strconv.Quote(s)[1 : len(s)+1]}
}

// provoke makes what usually lets secrets slip out: errors.
func (b *bench) provoke(port int, dbName, dbPassword, hook string) {
	b.t.Helper()
	ctx := b.t.Context()
	wrong := dbPassword + "?"
	bad := wire.DatabaseInput{Name: "bad", Engine: "postgres", Host: "127.0.0.1", Port: port, User: "e2e_canary", Password: &wrong, DBName: dbName, TLS: "disable"}
	for _, change := range []func(*wire.DatabaseInput){
		func(*wire.DatabaseInput) {},
		func(in *wire.DatabaseInput) { in.Port = 1 },
		func(in *wire.DatabaseInput) { in.TLS = "require" },
		func(in *wire.DatabaseInput) { in.Host = "no-such-host.invalid" },
		func(in *wire.DatabaseInput) { in.URL = "postgres://u:" + wrong + "@h/x" },
		func(in *wire.DatabaseInput) { in.URL = "postgres://u:" + url.QueryEscape(wrong) + "@127.0.0.1:99999/x" },
		func(in *wire.DatabaseInput) {
			in.URL = "postgres://u@127.0.0.1/x?sslmode=disable&password=" + url.QueryEscape(wrong) + "&nonsense=" + url.QueryEscape(wrong)
		},
		func(in *wire.DatabaseInput) { in.Engine = wrong },
		func(in *wire.DatabaseInput) { in.DBName = "nothing here" },
	} {
		in := bad
		change(&in)
		test, err := b.api.TryDatabase(ctx, in)
		if err == nil && test.OK {
			b.t.Errorf("%+v passes the test", in)
		}
	}
	broken := must(b.api.CreateDatabase(ctx, bad))(b.t)
	wantFailed(b.t, b.wait(must(b.api.StartBackup(ctx, broken.ID))(b.t).ID), safepoint.CodePassword, "e2e_canary")
	short := "whsec_" + hook[:20]
	if _, err := b.api.CreateService(ctx, wire.ServiceInput{Name: "bad", Kind: "webhook", Secret: &short, HaltURL: "http://127.0.0.1:1/h", ResumeURL: "http://127.0.0.1:1/r"}); err == nil {
		b.t.Error("a webhook secret of 15 bytes is taken")
	}
	for range 3 {
		if _, err := b.api.Login(ctx, wire.LoginInput{Email: email, Password: wrong}); err == nil {
			b.t.Error("a wrong password signs in")
		}
	}
	if _, err := must(client.New(client.Config{URL: b.api.URL(), Token: b.token + "x"}))(b.t).Me(ctx); err == nil {
		b.t.Error("a wrong token is taken")
	}
}

// visitAll looks at every kind of page of the console, and at everything the API lists. It returns how many there were.
func (b *bench) visitAll(s *shop, service, restore, backup string) int {
	b.t.Helper()
	c := b.console()
	if status, _ := c.post("/signin", url.Values{"email": {email}, "password": {"canary db/pass@word#1 %41?"}}); status != 422 {
		b.t.Errorf("a wrong password in the console is answered with %d", status)
	}
	paths := []string{"/backups", "/backups/new", "/backups/manual", "/logs", "/logs/" + backup, "/logs/" + backup + "/restore", "/logs/" + backup + "/delete",
		"/restores/" + restore, "/databases", "/databases/new", "/databases/" + s.ID, "/databases/" + s.ID + "/edit", "/databases/" + s.ID + "/delete",
		"/storage", "/storage/local", "/services", "/services/new", "/services/" + service, "/services/" + service + "/edit", "/services/" + service + "/test",
		"/services/" + service + "/delete", "/members", "/members/invite", "/audit", "/settings", "/profile", "/organizations/new"}
	for _, path := range paths {
		if status, body := c.get(path); status != 200 || !strings.Contains(body, "</html>") {
			b.t.Errorf("%s answers %d", path, status)
		}
	}
	c.post("/databases/"+s.ID+"/test", nil)
	ctx := b.t.Context()
	org := must(b.api.Organization(ctx))(b.t)
	for _, list := range []string{"databases", "databases/" + s.ID, "services", "services/" + service, "schedules", "operations", "audit", "tokens", "members",
		"operations/" + restore + "/journal", "operations/" + backup + "/restore-preview", "state"} {
		req := must(http.NewRequestWithContext(ctx, http.MethodGet, b.api.URL()+"/api/v1/organizations/"+org+"/"+list, nil))(b.t)
		req.Header.Set("Authorization", "Bearer "+b.token)
		if status, body := c.do(req); status != 200 {
			b.t.Errorf("%s answers %d: %s", list, status, body)
		}
	}
	return len(paths)
}

// searchFiles looks into every file of the data directory; backups are looked at as they are and decompressed.
func (b *bench) searchFiles(name string, forms []string) {
	b.t.Helper()
	files := 0
	err := filepath.WalkDir(b.data, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		files++
		if strings.HasSuffix(path, safepoint.BackupExtension) {
			content = append(content, b.sql(path)...)
		}
		for _, form := range forms {
			if bytes.Contains(content, []byte(form)) {
				b.t.Errorf("%s is in %s", name, path)
			}
		}
		return nil
	})
	b.must(err)
	if files < 4 {
		b.t.Errorf("looked into %d files", files)
	}
}

// sql is the script in a backup, and its table of contents.
func (b *bench) sql(path string) []byte {
	f, r := open(b.t, path)
	defer f.Close()
	out := fmt.Appendf(nil, "%+v %s", r.Header(), r.Header().Properties)
	for i := range r.Entries() {
		src := must(r.Frame(i))(b.t)
		var frame bytes.Buffer
		must(frame.ReadFrom(src))(b.t)
		src.Close()
		out = append(out, frame.Bytes()...)
	}
	return out
}

// processes collects the arguments and environments of this process and of all that it started, while it runs.
type processes struct {
	mu   sync.Mutex
	seen map[string]bool
	stop func()
}

func watchProcesses(t *testing.T) *processes {
	t.Helper()
	if _, err := os.Stat("/proc/self/cmdline"); err != nil {
		t.Skip("needs /proc, where other users see a process's arguments")
	}
	p := &processes{seen: map[string]bool{}}
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	all.Go(func() {
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for ctx.Err() == nil {
			p.look()
			<-tick.C
		}
	})
	p.stop = sync.OnceFunc(func() {
		cancel()
		all.Wait()
	})
	t.Cleanup(p.stop)
	return p
}

// look reads the whole tree below this process once.
func (p *processes) look() {
	pids := []string{strconv.Itoa(os.Getpid())}
	for i := 0; i < len(pids); i++ {
		tasks, _ := filepath.Glob("/proc/" + pids[i] + "/task/*/children")
		for _, task := range tasks {
			children, _ := os.ReadFile(task) // it may have ended meanwhile
			pids = append(pids, strings.Fields(string(children))...)
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, pid := range pids {
		for _, what := range []string{"cmdline", "environ"} {
			text, _ := os.ReadFile("/proc/" + pid + "/" + what)
			p.seen[string(text)] = true
		}
	}
}

func (p *processes) text() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := make([]string, 0, len(p.seen))
	for s := range p.seen {
		all = append(all, s)
	}
	slices.Sort(all)
	return strings.Join(all, "\n")
}

func (p *processes) saw(program string) bool { return strings.Contains(p.text(), program+"\x00") }
