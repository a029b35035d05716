package postgres

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/archive"
	"github.com/safepoint-db/safepoint/internal/engine"
	"github.com/safepoint-db/safepoint/internal/pgserver"
	"github.com/safepoint-db/safepoint/internal/pgtest"
)

// hostileCase is a statement of testdata/hostile.sql.
type hostileCase struct {
	group        string
	top, endless bool
	sql          string
}

func hostileCases(t *testing.T) []hostileCase {
	t.Helper()
	text, err := os.ReadFile("testdata/hostile.sql")
	if err != nil {
		t.Fatal(err)
	}
	var cases []hostileCase
	var c hostileCase
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if group, ok := strings.CutPrefix(line, "## "); ok {
			c = hostileCase{group: group, top: strings.Contains(group, "(top)"), endless: strings.Contains(group, "(endless)")}
		} else if line != "" && !strings.HasPrefix(line, "-- ") {
			c.sql = line
			cases = append(cases, c)
		}
	}
	if len(cases) < 300 {
		t.Fatalf("%d statements, want 300", len(cases))
	}
	return cases
}

// hostileWorld is a server with all that a hostile backup could want to touch.
type hostileWorld struct {
	t        *testing.T
	c        *pgserver.Cluster
	names    *strings.Replacer
	admin    *pgx.Conn // in the maintenance database; the session that statements try to end
	live     *pgx.Conn // in somebody else's database
	file     string
	fresh    string // a file that is not there
	accepted atomic.Int64
	want     string // what must not change
	port     int
	since    int64 // transactions of statements begin with it
}

const hostileOperation = "op_hostile"

func newHostileWorld(t *testing.T) *hostileWorld {
	w := &hostileWorld{t: t, c: pgtest.Start(t, pgserver.Options{TCP: true})}
	pgtest.Exec(t, w.c.Target("postgres"), "CREATE ROLE treasurer LOGIN PASSWORD 'gold'")
	pgtest.Exec(t, w.c.Target("postgres"), "CREATE DATABASE treasury OWNER treasurer")
	pgtest.Exec(t, w.c.Target("treasury"), "SET ROLE treasurer; CREATE TABLE public.treasure AS SELECT 1 AS coins")
	dir, err := os.MkdirTemp("/tmp", "hostile") // the server must be able to write there
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	w.file, w.fresh = filepath.Join(dir, "there"), filepath.Join(dir, "new")
	if err := os.WriteFile(w.file, []byte("untouched\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	for path, mode := range map[string]os.FileMode{dir: 0o777, w.file: 0o666} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			w.accepted.Add(1)
			conn.Close()
		}
	}()
	w.port = l.Addr().(*net.TCPAddr).Port
	w.admin, w.live = w.connect("postgres"), w.connect("treasury")
	w.names = strings.NewReplacer("@FILE@", w.file, "@NEW@", w.fresh, "@DB@", "treasury", "@ROLE@", "treasurer",
		"@LOGIN@", loginName(hostileOperation), "@PORT@", strconv.Itoa(w.port), "@PID@", fmt.Sprint(w.admin.PgConn().PID()))
	return w
}

func (w *hostileWorld) connect(database string) *pgx.Conn {
	conn, err := connectContent(w.t.Context(), w.c.Target(database))
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { hangUp(conn) })
	return conn
}

// Everything of the server outside of the database that is loaded, and the load login's own password and settings.
const hostileServer = `SELECT concat_ws(E'\n',
  (SELECT string_agg(concat_ws(',', oid, rolname, rolsuper, rolinherit, rolcreaterole, rolcreatedb, rolcanlogin, rolreplication, rolbypassrls, rolconnlimit,
      CASE WHEN rolname <> $1 THEN rolpassword END), ';' ORDER BY oid) FROM pg_authid),
  (SELECT string_agg(m::text, ';' ORDER BY m::text) FROM pg_auth_members m),
  (SELECT string_agg(concat_ws(',', oid, datname, datdba, datistemplate, datallowconn, datconnlimit, dattablespace, coalesce(datacl, acldefault('d', datdba))), ';' ORDER BY oid) FROM pg_database WHERE datname <> $2),
  (SELECT string_agg(t::text, ';' ORDER BY oid) FROM pg_tablespace t),
  (SELECT string_agg(s::text, ';' ORDER BY s::text) FROM pg_db_role_setting s WHERE setrole <> (SELECT oid FROM pg_authid WHERE rolname = $1)),
  (SELECT string_agg(d::text, ';' ORDER BY d::text) FROM pg_shdescription d),
  (SELECT string_agg(l::text, ';' ORDER BY l::text) FROM pg_shseclabel l),
  (SELECT count(*) FROM pg_subscription), (SELECT count(*) FROM pg_replication_slots), (SELECT count(*) FROM pg_prepared_xacts), (SELECT count(*) FROM pg_replication_origin),
  (SELECT string_agg(concat_ws(',', sourcefile, name, setting), ';' ORDER BY sourcefile, seqno) FROM pg_file_settings),
  (SELECT string_agg(name || setting, ';' ORDER BY name) FROM pg_settings WHERE context IN ('sighup', 'postmaster', 'superuser')))`

// What there is in a database that no login of a load may change, owned by a superuser.
const hostileInside = `SELECT concat_ws(E'\n',
  (SELECT count(*) FROM pg_class WHERE oid < 16384), (SELECT count(*) FROM pg_proc WHERE oid < 16384),
  (SELECT string_agg(concat_ws(',', oid, relname, relowner, relacl), ';' ORDER BY oid) FROM pg_class WHERE (oid < 16384 OR relowner = 10) AND xmin::text::bigint >= $1),
  (SELECT string_agg(concat_ws(',', oid, proname, proowner, proacl, prosecdef), ';' ORDER BY oid) FROM pg_proc WHERE (oid < 16384 OR proowner = 10) AND xmin::text::bigint >= $1),
  (SELECT md5(string_agg(concat_ws(',', oid, nspname, nspowner, CASE WHEN nspname <> 'public' THEN nspacl END), ';' ORDER BY oid)) FROM pg_namespace WHERE (nspowner = 10 OR oid < 16384 AND nspname <> 'public') AND nspname !~ '_temp_'),
  (SELECT string_agg(t::text, ';' ORDER BY oid) FROM pg_type t WHERE typowner = 10 AND xmin::text::bigint >= $1), (SELECT md5(string_agg(l::text, ';' ORDER BY oid)) FROM pg_language l),
  (SELECT string_agg(c::text, ';' ORDER BY oid) FROM pg_cast c WHERE oid < 16384 AND xmin::text::bigint >= $1), (SELECT string_agg(o::text, ';' ORDER BY oid) FROM pg_operator o WHERE oprowner = 10 AND xmin::text::bigint >= $1),
  (SELECT count(*) FROM pg_event_trigger), (SELECT count(*) FROM pg_foreign_server), (SELECT string_agg(extname, ',') FROM pg_extension), (SELECT count(*) FROM pg_seclabel),
  (SELECT count(*) FROM pg_opclass WHERE opcowner <> 10), (SELECT count(*) FROM pg_publication WHERE puballtables), (SELECT count(*) FROM pg_default_acl WHERE defaclrole = 10))`

// state is everything that must stay as it is, database being the one that is loaded.
func (w *hostileWorld) state(database string, inside *pgx.Conn) string {
	text := func(conn *pgx.Conn, sql string, args ...any) string {
		var s string
		if err := conn.QueryRow(w.t.Context(), sql, args...).Scan(&s); err != nil {
			w.t.Fatalf("look at the canaries: %v", err)
		}
		return s
	}
	content, err := os.ReadFile(w.file)
	_, missing := os.Stat(w.fresh)
	return strings.Join([]string{
		text(w.admin, hostileServer, loginName(hostileOperation), database), text(w.live, hostileInside, w.since), text(w.live, "SELECT sum(coins)::text FROM public.treasure"), text(inside, hostileInside, w.since),
		fmt.Sprintf("file %q %v, new file %v, connections %d", content, err, missing, w.accepted.Load()),
	}, "\n")
}

// loading is one database and a login that is about to load it.
type loading struct {
	*hostileWorld
	target engine.Target
	own    *pgx.Conn
	login  *loadLogin
}

// hostileGiven is made by the login beforehand: statements speak of it.
const hostileGiven = `CREATE TABLE public.victim (a int);
CREATE VIEW public.seen AS SELECT * FROM public.victim;
CREATE FUNCTION public.given() RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION public.given_volatile() RETURNS int LANGUAGE plpgsql AS $$ BEGIN EXECUTE 'CREATE ROLE evil'; RETURN 1; END $$;
CREATE FUNCTION public.given_equal(a text, b text) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN EXECUTE 'CREATE ROLE evil'; RETURN true; END $$;
CREATE FUNCTION public.given_sum(a text, b text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN EXECUTE 'CREATE ROLE evil'; RETURN ''; END $$;
CREATE FUNCTION public.given_trigger() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN EXECUTE 'CREATE ROLE evil'; RETURN NEW; END $$;
CREATE FUNCTION public.given_event() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN EXECUTE 'CREATE ROLE evil'; END $$;
CREATE FUNCTION public.given_deep(i int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN public.given_deep(i + 1); END $$;
CREATE PROCEDURE public.given_procedure() LANGUAGE plpgsql AS $$ BEGIN EXECUTE 'CREATE ROLE evil'; END $$;
`

func (w *hostileWorld) loading(t *testing.T, sessions int) *loading {
	l := &loading{hostileWorld: w, target: pgtest.Create(t, w.c)}
	l.own = w.connect(l.target.Name)
	var err error
	if l.login, err = makeLogin(t.Context(), l.own, l.target, hostileOperation, nil, sessions, 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.login.discard(context.Background()) })
	if err := script(t.Context(), l.login.open[0], hostileGiven); err != nil {
		t.Fatal(err)
	}
	if err := l.own.QueryRow(t.Context(), "SELECT txid_current()").Scan(&w.since); err != nil {
		t.Fatal(err)
	}
	w.want = w.state(l.target.Name, l.own)
	return l
}

// unchanged fails the test if a statement changed what it must not.
func (l *loading) unchanged(t *testing.T, after string) {
	t.Helper()
	got := l.state(l.target.Name, l.own)
	if got == l.want {
		return
	}
	a, b := strings.Split(l.want, "\n"), strings.Split(got, "\n")
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			t.Errorf("after %s:\n- %.2000s\n+ %.2000s", after, a[i], b[i])
		}
	}
	l.want = got
}

// TestHostile executes each statement of the corpus in every way that a load could be made to.
func TestHostile(t *testing.T) {
	cases := hostileCases(t)
	w := newHostileWorld(t)
	t.Run("login", func(t *testing.T) { w.asLogin(t, cases) })
	t.Run("loader", func(t *testing.T) { w.asLoader(t, cases) })
	t.Run("stored", func(t *testing.T) { w.asStoredCode(t, cases) })
	t.Run("endless", func(t *testing.T) { w.endless(t, cases) })
}

// asLogin proves the login by itself: nothing is refused by us.
func (w *hostileWorld) asLogin(t *testing.T, cases []hostileCase) {
	l := w.loading(t, 1)
	conn := l.login.open[0]
	ran := 0
	for _, c := range cases {
		if c.endless {
			continue
		}
		sql := w.names.Replace(c.sql)
		if err := script(t.Context(), conn, sql); err == nil {
			ran++
		} else if state(err) == "" {
			t.Fatalf("%s: %s: %v", c.group, sql, err)
		}
		if err := script(t.Context(), conn, "ROLLBACK"); err != nil {
			t.Fatalf("after %s: %v", sql, err)
		}
		script(t.Context(), conn, "DISCARD ALL")
		l.unchanged(t, sql)
	}
	t.Logf("of %d statements the server let the login execute %d, none with an effect outside", len(cases), ran)
}

// asLoader executes statements as a load does those of a file that nobody vouches for.
func (w *hostileWorld) asLoader(t *testing.T, cases []hostileCase) {
	l := w.loading(t, 1)
	if err := script(t.Context(), l.login.open[0], hostileExtra); err != nil {
		t.Fatal(err)
	}
	load := &loader{lead: &loadSession{conn: l.login.open[0].PgConn()}, priv: &privileges{login: l.login, own: l.own.PgConn(), unknown: true}}
	bad, err := unfitRoles(t.Context(), l.own, []string{"postgres", "treasurer", l.login.name})
	if err != nil || !bad["postgres"] || bad["treasurer"] {
		t.Fatalf("roles not fit to own: %v, %v", bad, err)
	}
	load.priv.unfit = bad
	w.want = w.state(l.target.Name, l.own)
	count := map[rights]int{}
	for _, c := range cases {
		if c.endless {
			continue
		}
		sql := w.names.Replace(c.sql)
		if checkScript([]byte(sql+";"), func([]byte) {}) != nil { // not statements, or for a client: the load ends before the first
			count[refused]++
			continue
		}
		v := load.priv.of([]byte(sql + ";"))
		count[v.rights]++
		switch {
		case v.rights == refused:
			continue
		case v.only != "" && trustedExtensions(t.Context(), l.own, []string{v.only}, nil) != nil:
			continue
		case load.priv.passOver(v):
			continue
		case v.rights == oursLater || v.rights == oursLast:
			err = load.priv.alone(t.Context(), []string{sql})
		default:
			err = load.execute(t.Context(), load.lead, []byte(sql+";"), archive.Entry{Section: archive.PreData})
		}
		if err != nil && state(err) == "" && safepoint.ErrorCode(err) != safepoint.CodeArchive {
			t.Fatalf("%s: %s: %v", c.group, sql, err)
		}
		l.unchanged(t, sql)
	}
	t.Logf("refused %d, as the login %d, by our own session %d", count[refused], count[asLogin], count[ours]+count[oursLater]+count[oursLast])
	if count[refused] < 250 {
		t.Errorf("only %d are refused before anything is executed", count[refused])
	}
}

const hostileExtra = `CREATE SEQUENCE public.numbers`

// hostileVehicles are what makes a load call stored code. attack(i) executes the i-th statement.
var hostileVehicles = map[string]string{
	"check":          "CREATE TABLE public.v (i int CHECK (public.attack(i))); INSERT INTO public.v SELECT i FROM public.attacks",
	"domain":         "CREATE DOMAIN public.d AS int CHECK (public.attack(VALUE)); CREATE TABLE public.v (i public.d); INSERT INTO public.v SELECT i FROM public.attacks",
	"generated":      "CREATE TABLE public.v (i int, g boolean GENERATED ALWAYS AS (public.attack(i)) STORED); INSERT INTO public.v SELECT i FROM public.attacks",
	"default":        "CREATE SEQUENCE public.next; CREATE TABLE public.v (i int, d boolean DEFAULT public.attack(nextval('public.next')::int)); INSERT INTO public.v SELECT i FROM public.attacks",
	"index":          "CREATE TABLE public.v AS SELECT i FROM public.attacks; CREATE INDEX ON public.v (public.attack(i))",
	"index where":    "CREATE TABLE public.v AS SELECT i FROM public.attacks; CREATE INDEX ON public.v (i) WHERE public.attack(i)",
	"matview":        "CREATE MATERIALIZED VIEW public.v AS SELECT public.attack(i) FROM public.attacks WITH NO DATA; REFRESH MATERIALIZED VIEW public.v",
	"trigger":        "CREATE TABLE public.v (i int); CREATE FUNCTION public.tr() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM public.attack(NEW.i); RETURN NEW; END $$; CREATE TRIGGER tr BEFORE INSERT ON public.v FOR EACH ROW EXECUTE FUNCTION public.tr(); INSERT INTO public.v SELECT i FROM public.attacks",
	"deferred":       "CREATE TABLE public.v (i int); CREATE FUNCTION public.tr() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM public.attack(NEW.i); RETURN NEW; END $$; CREATE CONSTRAINT TRIGGER tr AFTER INSERT ON public.v DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION public.tr(); INSERT INTO public.v SELECT i FROM public.attacks",
	"rule":           "CREATE TABLE public.v (i int); CREATE RULE r AS ON INSERT TO public.v DO ALSO SELECT public.attack(NEW.i); INSERT INTO public.v SELECT i FROM public.attacks",
	"partition":      "CREATE TABLE public.v (i int) PARTITION BY LIST (public.attack(i)); CREATE TABLE public.v1 PARTITION OF public.v DEFAULT; INSERT INTO public.v SELECT i FROM public.attacks",
	"new constraint": "CREATE TABLE public.v AS SELECT i FROM public.attacks; ALTER TABLE public.v ADD CHECK (public.attack(i))",
	"new type":       "CREATE TABLE public.v AS SELECT i FROM public.attacks; ALTER TABLE public.v ALTER COLUMN i TYPE boolean USING public.attack(i)",
	"operator":       "CREATE FUNCTION public.op(a int, b int) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT public.attack(a)'; CREATE OPERATOR public.### (LEFTARG = int, RIGHTARG = int, FUNCTION = public.op); CREATE TABLE public.v (i int CHECK (i OPERATOR(public.###) 1)); INSERT INTO public.v SELECT i FROM public.attacks",
	"aggregate":      "CREATE FUNCTION public.st(a boolean, b int) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT public.attack(b)'; CREATE AGGREGATE public.agg(int) (SFUNC = public.st, STYPE = boolean); CREATE MATERIALIZED VIEW public.v AS SELECT public.agg(i) FROM public.attacks",
	"definer":        "ALTER FUNCTION public.attack_it(int) SECURITY DEFINER; CREATE TABLE public.v (i int CHECK (public.attack(i))); INSERT INTO public.v SELECT i FROM public.attacks",
}

const hostileAttack = `CREATE TABLE public.attacks (i int, sql text);
CREATE TABLE public.outcomes (i int, outcome text, who text);
CREATE FUNCTION public.attack_it(n int) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE s text; BEGIN
  SELECT sql INTO s FROM public.attacks WHERE i = n;
  BEGIN EXECUTE s; INSERT INTO public.outcomes VALUES (n, 'done', current_user); EXCEPTION WHEN OTHERS THEN INSERT INTO public.outcomes VALUES (n, SQLSTATE, current_user); END;
  RETURN true; END $$;
CREATE FUNCTION public.attack(n int) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN public.attack_it(n); END $$;
`

// asStoredCode has all statements executed by code of the backup: first by the login, then after everything was handed
// to its owner, by what our own session does with it.
func (w *hostileWorld) asStoredCode(t *testing.T, cases []hostileCase) {
	var attacks []string
	for _, c := range cases {
		if !c.top && !c.endless {
			attacks = append(attacks, w.names.Replace(c.sql))
		}
	}
	for name, vehicle := range hostileVehicles {
		t.Run(name, func(t *testing.T) {
			l := w.loading(t, 1)
			conn := l.login.open[0]
			if err := script(t.Context(), conn, hostileAttack); err != nil {
				t.Fatal(err)
			}
			_, err := conn.CopyFrom(t.Context(), pgx.Identifier{"public", "attacks"}, []string{"i", "sql"}, pgx.CopyFromSlice(len(attacks), func(i int) ([]any, error) { return []any{i + 1, attacks[i]}, nil }))
			if err != nil {
				t.Fatal(err)
			}
			if err := script(t.Context(), conn, vehicle); err != nil && state(err) == "" {
				t.Fatalf("%v", err)
			} else if err != nil {
				t.Logf("%s ended with %v", name, err)
			}
			l.unchanged(t, name)
			outcomes := func() []string {
				return pgtest.Query(t, l.target, "SELECT count(DISTINCT i) || ' ' || count(*) FROM public.outcomes WHERE who <> '"+l.login.name+"'")
			}
			done := pgtest.Query(t, l.target, "SELECT count(DISTINCT i) FROM public.outcomes")
			if n, _ := strconv.Atoi(done[0]); n < len(attacks)-2 {
				t.Errorf("%s of %d statements were executed", done[0], len(attacks))
			}
			if got := outcomes(); !slices.Equal(got, []string{"0 0"}) {
				t.Errorf("executed by another role than the login: %q", got)
			}
			l.handOver(t, outcomes)
		})
	}
}

// handOver ends a load as settle does, and shows that nothing our own session does from there on runs the file's code
// with our rights.
func (l *loading) handOver(t *testing.T, outcomes func() []string) {
	t.Helper()
	p := &privileges{login: l.login, own: l.own.PgConn(), unknown: true, owner: "treasurer"}
	if err := l.login.end(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := p.reassign(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := l.login.drop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := (Engine{Jobs: 1}).Digest(t.Context(), l.target, nil); err != nil {
		t.Errorf("digest: %v", err)
	}
	for _, sql := range []string{"ANALYZE", "VACUUM", "REFRESH MATERIALIZED VIEW public.v", "REINDEX SCHEMA public"} {
		script(t.Context(), l.own, sql)
	}
	if got := pgtest.Query(t, l.target, "SELECT count(*) FROM public.outcomes WHERE who = 'postgres'"); !slices.Equal(got, []string{"0"}) {
		t.Errorf("%s statements were executed as a superuser", got[0])
	}
	content, _ := os.ReadFile(l.file)
	if _, err := os.Stat(l.fresh); err == nil || string(content) != "untouched\n" || l.accepted.Load() > 0 {
		t.Error("something outside was touched after all was handed over")
	}
	wantNoSuper(t, l)
}

// wantNoSuper looks for a role that should not be there.
func wantNoSuper(t *testing.T, l *loading) {
	t.Helper()
	if got := pgtest.Query(t, l.c.Target("postgres"), "SELECT string_agg(rolname, ',' ORDER BY rolname) FROM pg_roles WHERE rolname !~ '^pg_'"); !slices.Equal(got, []string{"postgres,treasurer"}) {
		t.Errorf("roles: %q", got)
	}
}

// endless shows that no statement outlives the end of the login.
func (w *hostileWorld) endless(t *testing.T, cases []hostileCase) {
	cases = slices.DeleteFunc(slices.Clone(cases), func(c hostileCase) bool { return !c.endless })
	l := w.loading(t, len(cases))
	if len(l.login.open) != len(cases) {
		t.Fatalf("%d sessions for %d statements", len(l.login.open), len(cases))
	}
	began := make(chan struct{})
	for i, c := range cases {
		go func() {
			began <- struct{}{}
			script(t.Context(), l.login.open[i], w.names.Replace(c.sql))
			began <- struct{}{}
		}()
	}
	for range cases {
		<-began
	}
	busy := func() string {
		return pgtest.Query(t, l.target, "SELECT count(*) FROM pg_stat_activity WHERE usename = '"+l.login.name+"' AND state = 'active'")[0]
	}
	waitFor(t, func() bool { n, _ := strconv.Atoi(busy()); return n >= 5 })
	start := time.Now()
	if err := endLogin(t.Context(), l.own, l.login.name); err != nil {
		t.Fatal(err)
	}
	for range cases {
		<-began
	}
	t.Logf("%d statements ended in %v", len(cases), time.Since(start))
	l.unchanged(t, "endless statements")
}
