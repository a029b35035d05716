package app

import (
	"context"
	"crypto/ed25519"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/archive"
	"github.com/safepoint-db/safepoint/internal/backup"
	"github.com/safepoint-db/safepoint/internal/catalog"
	"github.com/safepoint-db/safepoint/internal/engine"
	"github.com/safepoint-db/safepoint/internal/engine/sqlite"
	"github.com/safepoint-db/safepoint/internal/halt"
	"github.com/safepoint-db/safepoint/internal/halt/webhook"
	"github.com/safepoint-db/safepoint/internal/jobs"
	"github.com/safepoint-db/safepoint/internal/storage/local"
)

const password = "four words and 1 sign"

var passwordHash = sync.OnceValue(func() string { return argonHash(password) })

// world is an App over a real catalog, a real storage and real SQLite files, with a clock that tests move. Two
// organizations: "ours" has an admin, a viewer, a database, a backup of it and a schedule; "theirs" has an admin.
type world struct {
	*App
	t    *testing.T
	ctx  context.Context
	dir  string
	at   atomic.Int64 // milliseconds since 1970
	ran  atomic.Int64 // milliseconds, which no leap of the clock changes
	woke atomic.Int64

	admin, viewer, foreign safepoint.Actor
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, ctx: t.Context(), dir: t.TempDir()}
	w.at.Store(time.Date(2026, 11, 22, 14, 0, 0, 0, time.UTC).UnixMilli())
	now := func() time.Time { return time.UnixMilli(w.at.Load()).UTC() }
	c, err := catalog.Open(t.Context(), w.catalogPath())
	w.ok(err)
	t.Cleanup(func() { c.Close() })
	c.Now = now
	keys, err := c.OpenKeys(t.Context(), w.dir)
	w.ok(err)
	store, err := local.Open(filepath.Join(w.dir, "backups"))
	w.ok(err)
	t.Cleanup(func() { store.Close() })
	w.App = New(Config{
		Catalog: c, Keys: keys, Storage: store, Now: now, DataDir: w.dir, Elapsed: func() time.Duration { return time.Duration(w.ran.Load()) * time.Millisecond }, Wake: func() { w.woke.Add(1) },
		Engine: func(e safepoint.Engine) (engine.Engine, bool) { return &sqlite.Engine{}, e == safepoint.SQLite },
		Halter: func(s safepoint.Service, secret string) (halt.Halter, error) { return webhook.New(s, secret) },
	})
	w.admin = w.member("Ines Marlow", w.organization("ours"), safepoint.RoleAdmin)
	w.viewer = w.member("Vera Lind", w.admin.OrganizationID, safepoint.RoleViewer)
	w.foreign = w.member("Tomas Reyl", w.organization("theirs"), safepoint.RoleAdmin)
	return w
}

func (w *world) catalogPath() string { return filepath.Join(w.dir, "catalog.db") }

func (w *world) pass(d time.Duration) {
	w.at.Add(d.Milliseconds())
	w.ran.Add(d.Milliseconds())
}

// leap sets the clock, and no time passes.
func (w *world) leap(d time.Duration) { w.at.Add(d.Milliseconds()) }

func (w *world) ok(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// refused checks err's code and a part of what a person sees of it.
// isUntidy says whether Housekeep was asked for since the last time.
func (w *world) isUntidy() bool {
	select {
	case <-w.Untidy():
		return true
	default:
		return false
	}
}

func (w *world) refused(err error, code safepoint.Code, part string) {
	w.t.Helper()
	if e := safepoint.UserError(errOr(err)); safepoint.ErrorCode(err) != code || !strings.Contains(e.Message+" "+e.Hint, part) {
		w.t.Fatalf("got %v, want %s with %q", err, code, part)
	}
}

func errOr(err error) error {
	if err == nil {
		return errors.New("no error")
	}
	return err
}

func (w *world) sql(query string, args ...any) {
	w.t.Helper()
	db, err := sql.Open("sqlite", w.catalogPath())
	w.ok(err)
	defer db.Close()
	_, err = db.Exec(query, args...)
	w.ok(err)
}

// organization makes one; its first admin is a user who can never sign in.
func (w *world) organization(name string) string {
	w.t.Helper()
	u, err := w.Catalog.CreateUser(w.ctx, safepoint.User{Email: name + "-root@example.org", Name: "Root"}, "")
	w.ok(err)
	o, err := w.Catalog.CreateOrganization(w.ctx, safepoint.Organization{Name: name, TimeZone: "Europe/Berlin", UndoWindow: 24 * time.Hour}, u.ID)
	w.ok(err)
	return o.ID
}

func emailOf(name string) string {
	return strings.ToLower(strings.ReplaceAll(name, " ", ".")) + "@example.org"
}

func (w *world) member(name, orgID string, role safepoint.Role) safepoint.Actor {
	w.t.Helper()
	u, err := w.Catalog.CreateUser(w.ctx, safepoint.User{Email: emailOf(name), Name: name}, passwordHash())
	w.ok(err)
	_, err = w.Catalog.AddMember(w.ctx, orgID, u.ID, role)
	w.ok(err)
	session, err := w.startSession(w.ctx, u, "", "192.0.2.1", "test")
	w.ok(err)
	by, err := w.Session(w.ctx, session, "192.0.2.1")
	w.ok(err)
	if by.OrganizationID != orgID || by.Role != role {
		w.t.Fatalf("signed in as %+v", by)
	}
	return by
}

// shop makes a real SQLite file with a few orders and adds it as a database of the admin's organization.
func (w *world) shop(name string) safepoint.Database {
	w.t.Helper()
	path := filepath.Join(w.t.TempDir(), name+".db")
	db, err := sql.Open("sqlite", path)
	w.ok(err)
	defer db.Close()
	_, err = db.Exec(`CREATE TABLE orders (id INTEGER PRIMARY KEY, what TEXT); INSERT INTO orders (what) VALUES ('tea'), ('bread')`)
	w.ok(err)
	d, err := w.CreateDatabase(w.ctx, w.admin, DatabaseInput{Name: name, URL: "sqlite://" + path})
	w.ok(err)
	return d
}

// backup makes a manual backup, carried out for real.
func (w *world) backup(d safepoint.Database) safepoint.Operation {
	w.t.Helper()
	_, err := w.StartBackup(w.ctx, w.admin, d.ID)
	w.ok(err)
	c := w.claim()
	op := c.Operation
	op.StorageKey = backup.StorageKey(op)
	target, err := w.target(w.ctx, d)
	w.ok(err)
	e, _ := w.Engine(d.Engine)
	res, err := backup.Run(w.ctx, backup.Job{
		StorageKey: op.StorageKey, Storage: w.Storage, Key: w.Keys.Signing(), Now: w.Now,
		Trust:  archive.Trust{Keys: []ed25519.PublicKey{w.Keys.Public()}},
		Header: archive.Header{OrganizationID: op.OrganizationID, DatabaseID: op.DatabaseID, OperationID: op.ID},
		Dump: func(ctx context.Context, aw *archive.Writer, opt engine.DumpOptions) error {
			return e.Dump(ctx, target, aw, opt)
		},
	}, nil)
	w.ok(err)
	res.Apply(&op)
	return w.finish(c, op, safepoint.StatusSucceeded)
}

func (w *world) claim() jobs.Claim {
	w.t.Helper()
	c, err := w.Catalog.ClaimNext(w.ctx, "test/1", time.Minute)
	w.ok(err)
	if c == nil {
		w.t.Fatal("nothing is queued")
	}
	return *c
}

func (w *world) finish(c jobs.Claim, op safepoint.Operation, s safepoint.Status) safepoint.Operation {
	w.t.Helper()
	op.Status, op.FinishedAt = s, w.Now()
	w.ok(w.Catalog.Finish(w.ctx, c, op))
	op, err := w.Catalog.Operation(w.ctx, op.OrganizationID, op.ID)
	w.ok(err)
	return op
}

// lines are the newest lines of an organization's audit log: "who action object outcome".
func (w *world) lines(by safepoint.Actor, n int) []string {
	w.t.Helper()
	page, err := w.Audit(w.ctx, by, AuditFilter{Limit: n})
	w.ok(err)
	var s []string
	for _, e := range page.Entries {
		s = append(s, strings.Join([]string{e.ActorName, e.Action, e.ObjectName, e.Outcome}, "|"))
	}
	return s
}

func (w *world) audited(by safepoint.Actor, want string) {
	w.t.Helper()
	if got := w.lines(by, 1); len(got) != 1 || got[0] != want {
		w.t.Errorf("audit log says %q, want %q", got, want)
	}
}

func TestNewRefusesAnIncompleteConfig(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("an App without a catalog was made")
		}
	}()
	New(Config{})
}

func TestSecretsAreInNoError(t *testing.T) {
	const canary = "canary-7f3k"
	w := newWorld(t)
	for _, url := range []string{
		"postgres://u:" + canary + "@host:port/db", "postgres://u:" + canary + "%zz@h/db", "postgres://u:" + canary + "@h/db?bad=1",
		"postgres://u:" + canary + "@169.254.169.254/db", "mysql://u:" + canary + "@h/db", "postgres://u@h/db?password=" + canary + "&port=x",
	} {
		_, err := w.CreateDatabase(w.ctx, w.admin, DatabaseInput{Name: "x", URL: url})
		if err == nil || strings.Contains(fmt.Sprintf("%v %+v", err, safepoint.UserError(err)), canary) {
			t.Errorf("%s: %v", url, err)
		}
	}
}

// dump is a table of the catalog as text.
func (w *world) dump(table string) string {
	w.t.Helper()
	db, err := sql.Open("sqlite", w.catalogPath())
	w.ok(err)
	defer db.Close()
	rows, err := db.Query(`SELECT * FROM ` + table + ` ORDER BY 1`)
	w.ok(err)
	defer rows.Close()
	columns, err := rows.Columns()
	w.ok(err)
	var s strings.Builder
	for rows.Next() {
		row, to := make([]any, len(columns)), make([]any, len(columns))
		for i := range row {
			to[i] = &row[i]
		}
		w.ok(rows.Scan(to...))
		fmt.Fprintln(&s, row...)
	}
	w.ok(rows.Err())
	return s.String()
}
