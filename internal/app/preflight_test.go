package app

import (
	"database/sql"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/archive"
	"github.com/safepoint-db/safepoint/internal/engine"
	"github.com/safepoint-db/safepoint/internal/engine/postgres"
	"github.com/safepoint-db/safepoint/internal/halt"
	"github.com/safepoint-db/safepoint/internal/pgserver"
	"github.com/safepoint-db/safepoint/internal/pgtest"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

// change finds a table in a comparison.
func change(t *testing.T, c *Comparison, name string) TableChange {
	t.Helper()
	i := slices.IndexFunc(c.Changes, func(c TableChange) bool { return c.Name == name })
	if i < 0 {
		t.Fatalf("%s is not among %+v", name, c.Changes)
	}
	return c.Changes[i]
}

func execute(t *testing.T, path string, statements ...string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, s := range statements {
		if _, err := db.Exec(s); err != nil {
			t.Fatalf("%v\nin: %s", err, s)
		}
	}
}

// TestPreviewComparesRows changes a real SQLite file after its backup, and after a later one.
func TestPreviewComparesRows(t *testing.T) {
	w := newWorld(t)
	d := w.shop("shop")
	execute(t, d.Path, `CREATE TABLE gone (a)`, `INSERT INTO gone VALUES (1), (2), (3)`, `CREATE TABLE same (a)`, `CREATE TABLE other (a)`, `INSERT INTO other VALUES ('x')`)
	b := w.backup(d)
	w.pass(time.Hour)
	execute(t, d.Path, `DROP TABLE gone`, `UPDATE other SET a = 'y'`, `INSERT INTO orders (what) VALUES ('cake')`)
	later := w.backup(d)
	w.pass(time.Hour)
	execute(t, d.Path, `CREATE TABLE new (a)`, `INSERT INTO new VALUES (1), (2)`, `INSERT INTO orders (what) VALUES ('jam'), ('salt')`)

	p, err := w.PreviewRestore(w.ctx, w.admin, b.ID)
	w.ok(err)
	c := p.Rows
	if c == nil || !c.LiveKnown || !c.Exact || c.NewestID != later.ID || c.Vanishing != 1 || c.Returning != 1 || c.Differing != 2 || c.Same != 1 || c.Unknown != 0 || c.More != 0 {
		t.Fatalf("got %+v", c)
	}
	if c.BackupRows != 6 || c.LiveRows != 8 {
		t.Errorf("%d rows against %d", c.BackupRows, c.LiveRows)
	}
	want := []TableChange{
		{"new", Vanishes, -1, -1, 2, true}, {"gone", ComesBack, 3, -1, -1, false},
		{"orders", RowsDiffer, 2, 3, 5, true}, {"other", Differs, 1, 1, 1, true},
	}
	if !reflect.DeepEqual(c.Changes, want) {
		t.Errorf("got %+v", c.Changes)
	}
	if p.Versions.Backup == "" || p.Versions.Backup != p.Versions.Server || p.LiveSize == 0 || p.SafetySize != later.Size || len(p.Passed) != 4 {
		t.Errorf("got %+v, %d, %d, %q", p.Versions, p.LiveSize, p.SafetySize, p.Passed)
	}

	// The newest backup is compared with what is live alone.
	if p, err = w.PreviewRestore(w.ctx, w.admin, later.ID); err != nil || p.Rows == nil || p.Rows.NewestID != "" || p.Rows.Differing != 1 {
		t.Errorf("got %+v, %v", p.Rows, err)
	}
	// Nobody else sees any of it.
	_, err = w.PreviewRestore(w.ctx, w.foreign, b.ID)
	w.refused(err, safepoint.CodeNotFound, "")
}

// TestPreviewWithoutTheDatabase still compares nothing it does not know.
func TestPreviewWithoutTheDatabase(t *testing.T) {
	w := newWorld(t)
	d := w.shop("shop")
	b := w.backup(d)
	w.ok(os.Remove(d.Path))
	p, err := w.PreviewRestore(w.ctx, w.admin, b.ID)
	w.ok(err)
	if p.Ready || p.Rows != nil || p.RowsUnknown == nil || p.RowsUnknown.Message != "The database could not be asked." {
		t.Errorf("got %+v, %q", p.Rows, p.RowsUnknown)
	}
}

// TestPreviewAsksServices has one that answers, two that hang, and one at whose address nobody listens: it is down.
// They are asked at once.
func TestPreviewAsksServices(t *testing.T) {
	w := newWorld(t)
	front := newStorefront(t)
	hang, asked := make(chan struct{}), make(chan string, 10)
	slow := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { asked <- r.URL.Path; <-hang }))
	t.Cleanup(func() { close(hang); slow.Close() })
	dead := httptest.NewServer(nil)
	dead.Close()
	for name, url := range map[string]string{"a": front.URL, "b": slow.URL, "c": slow.URL, "d": dead.URL} {
		in := hooks(name, url)
		in.HealthURL, in.Timeout = url+"/health", time.Second
		_, _, err := w.CreateService(w.ctx, w.admin, in)
		w.ok(err)
	}
	b := w.backup(w.shop("shop"))
	began := time.Now()
	p, err := w.PreviewRestore(w.ctx, w.admin, b.ID)
	w.ok(err)
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("it took %s", took)
	}
	if len(asked) < 2 {
		t.Error("the services that hang were not asked at once")
	}
	var got []string
	for _, s := range p.Answers {
		got = append(got, fmt.Sprintf("%s %s %v", s.Service.Name, s.Status.Condition, s.Failure != nil))
	}
	slices.Sort(got)
	if want := "a running false, b unknown true, c unknown true, d down false"; strings.Join(got, ", ") != want {
		t.Errorf("got %q, want %q", strings.Join(got, ", "), want)
	}
	i := slices.IndexFunc(p.Findings, func(f engine.Finding) bool { return f.Code == safepoint.CodeHalt })
	if !p.Ready || i < 0 || p.Findings[i].Blocker || !strings.HasPrefix(p.Findings[i].Message, "2 services do not answer now.") {
		t.Errorf("got %+v", p.Findings)
	}
}

// TestPreviewOfPostgreSQL estimates rows of a real server, whose statistics ANALYZE brings up to date.
func TestPreviewOfPostgreSQL(t *testing.T) {
	server := pgtest.Shared(t)
	w := newWorld(t)
	w.App.Engine = func(e safepoint.Engine) (engine.Engine, bool) { return postgres.Engine{}, e == safepoint.PostgreSQL }
	long := strings.Repeat("ü", 31) + "1" // 63 bytes
	target := pgtest.Create(t, server)
	pgtest.Exec(t, target, `CREATE SCHEMA app; CREATE TABLE app.orders AS SELECT g AS id FROM generate_series(1, 1000) g;
CREATE TABLE public."`+long+`" (a int); INSERT INTO "`+long+`" VALUES (1); CREATE TABLE gone (a int); CREATE TABLE void (a int)`)
	in := DatabaseInput{Name: "shop", Engine: safepoint.PostgreSQL, Host: target.Host, Port: target.Port, User: target.User,
		Password: &target.Password, DBName: target.Name, TLS: target.TLS}
	d, err := w.CreateDatabase(w.ctx, w.admin, in)
	w.ok(err)
	b := w.backup(d)
	w.pass(time.Hour)
	pgtest.Exec(t, target, `INSERT INTO app.orders SELECT g FROM generate_series(1001, 1500) g; DROP TABLE gone; CREATE TABLE fresh (a int);
DELETE FROM "`+long+`"; ANALYZE`)
	p, err := w.PreviewRestore(w.ctx, w.admin, b.ID)
	w.ok(err)
	c := p.Rows
	if c == nil || !c.LiveKnown || c.Exact || c.Vanishing != 1 || c.Returning != 1 || c.Differing != 2 || c.Same != 1 || c.Unknown != 0 {
		t.Fatalf("got %+v, %q, %+v", c, p.RowsUnknown, p.Findings)
	}
	if got := change(t, c, "app.orders"); got.Fate != RowsDiffer || got.Backup != 1000 || got.Live != 1500 || got.Exact || got.Difference() != -500 {
		t.Errorf("got %+v", got)
	}
	if got := change(t, c, "public."+long); got.Backup != 1 || got.Live != 0 {
		t.Errorf("got %+v", got)
	}
	if got := change(t, c, "public.fresh"); got.Fate != Vanishes {
		t.Errorf("got %+v", got)
	}
	if p.Versions.Server == "" || p.Versions.Tool == "" || p.LiveSize == 0 {
		t.Errorf("got %+v", p.Versions)
	}
}

// TestCompare goes through what is known of one table.
func TestCompare(t *testing.T) {
	digest := func(rows int64, hash string) archive.Digest {
		return archive.Digest{Rows: rows, Hash: archive.Hash([]byte(fmt.Sprintf("%-16s", hash)))}
	}
	of := func(d *archive.Digest) *content {
		c := &content{id: "op", tables: map[string]archive.Table{}, print: archive.Fingerprint{}}
		if d != nil {
			c.tables[`"t"`], c.print[`"t"`] = archive.Table{Name: `"t"`, Rows: d.Rows}, *d
		}
		return c
	}
	d := func(rows int64, hash string) *archive.Digest { x := digest(rows, hash); return &x }
	live := func(rows int64, known, exact bool) []engine.TableCount {
		return []engine.TableCount{{Name: `"t"`, Rows: rows, Known: known, Exact: exact}}
	}
	none := []engine.TableCount{}
	for name, c := range map[string]struct {
		backup *archive.Digest
		newest *content
		live   []engine.TableCount
		want   Fate
	}{
		"as many, counted":               {d(5, "a"), nil, live(5, true, true), stays},
		"more, counted":                  {d(5, "a"), nil, live(6, true, true), RowsDiffer},
		"about as many":                  {d(1000, "a"), nil, live(1015, true, false), stays},
		"about more":                     {d(1000, "a"), nil, live(1030, true, false), RowsDiffer},
		"few, estimated":                 {d(2, "a"), nil, live(3, true, false), RowsDiffer},
		"not known":                      {d(5, "a"), nil, live(0, false, false), NotKnown},
		"not known, as later":            {d(5, "a"), of(d(5, "a")), live(0, false, false), stays},
		"not known, unlike later":        {d(5, "a"), of(d(6, "b")), live(0, false, false), RowsDiffer},
		"about as many, unlike later":    {d(1000, "a"), of(d(1001, "b")), live(1000, true, false), RowsDiffer},
		"as many, others later":          {d(5, "a"), of(d(5, "b")), live(5, true, true), Differs},
		"counted as many, more later":    {d(5, "a"), of(d(6, "b")), live(5, true, true), Differs},
		"gone":                           {d(5, "a"), of(d(5, "a")), none, ComesBack},
		"new":                            {nil, nil, live(1, true, true), Vanishes},
		"new, not readable":              {nil, nil, live(0, false, false), Vanishes},
		"new later, live not known":      {nil, of(d(1, "a")), nil, Vanishes},
		"gone later, live not known":     {d(5, "a"), of(nil), nil, ComesBack},
		"as many later, live not known":  {d(5, "a"), of(d(5, "a")), nil, stays},
		"others later, live not known":   {d(5, "a"), of(d(5, "b")), nil, Differs},
		"of nobody's count, and not new": {d(0, "a"), nil, live(0, true, true), stays},
	} {
		got := compare(of(c.backup), c.newest, c.live)
		fate := stays
		if len(got.Changes) > 0 {
			fate = got.Changes[0].Fate
		}
		if fate != c.want {
			t.Errorf("%s: %q, want %q", name, fate, c.want)
		}
	}
	if compare(of(d(1, "a")), nil, nil) != nil {
		t.Error("a comparison with nothing")
	}

	// Of many tables the greatest differences are named, and all are counted.
	many := &content{tables: map[string]archive.Table{}, print: archive.Fingerprint{}}
	counts := []engine.TableCount{}
	for i := range 300 {
		name := fmt.Sprintf(`"t%03d"`, i)
		many.tables[name] = archive.Table{Name: name, Rows: int64(i)}
		counts = append(counts, engine.TableCount{Name: name, Known: true, Exact: true})
	}
	got := compare(many, nil, counts)
	if len(got.Changes) != shownChanges || got.More != 279 || got.Differing != 299 || got.Same != 1 || got.Changes[0].Name != "t299" || got.Changes[0].Difference() != 299 {
		t.Errorf("got %+v", got)
	}
}

func TestMeaning(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range []halt.Condition{halt.Running, halt.Failing, halt.Down, halt.Halted, halt.Unknown} {
		seen[meaning(c).String()] = true
	}
	if len(seen) != 5 {
		t.Errorf("got %v", seen)
	}
}

// TestPreviewOfAHungDatabase has a server that lets people in and then says nothing. All else of the preview is there:
// what comes from the catalog does not share the time that the database used up.
func TestPreviewOfAHungDatabase(t *testing.T) {
	server := pgtest.Shared(t)
	w := newWorld(t)
	w.App.Engine = func(e safepoint.Engine) (engine.Engine, bool) { return postgres.Engine{}, e == safepoint.PostgreSQL }
	w.App.testLimit = time.Second
	target := pgtest.Create(t, server)
	pgtest.Exec(t, target, `CREATE TABLE orders (id int)`)
	in := DatabaseInput{Name: "shop", Engine: safepoint.PostgreSQL, Host: target.Host, Port: target.Port, User: target.User,
		Password: &target.Password, DBName: target.Name, TLS: target.TLS}
	d, err := w.CreateDatabase(w.ctx, w.admin, in)
	w.ok(err)
	b := w.backup(d)
	lock, err := pgserver.Connect(w.ctx, target)
	w.ok(err)
	defer lock.Close(w.ctx)
	if _, err := lock.Exec(w.ctx, `BEGIN; LOCK TABLE pg_catalog.pg_extension`); err != nil {
		t.Fatal(err)
	}
	p, err := w.PreviewRestore(w.ctx, w.admin, b.ID)
	w.ok(err)
	if p.Ready || len(p.Modes) == 0 || p.Mode != safepoint.RestoreGuarded {
		t.Errorf("got %v, %v, %q", p.Ready, p.Modes, p.Mode)
	}
	if i := slices.IndexFunc(p.Findings, func(f engine.Finding) bool { return f.Blocker }); i < 0 || p.Findings[i].Code != safepoint.CodeUnreachable {
		t.Errorf("got %+v", p.Findings)
	}
}
