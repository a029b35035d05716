package postgres

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/archive"
	"github.com/safepoint-db/safepoint/internal/engine"
	"github.com/safepoint-db/safepoint/internal/pgtest"
)

// TestFunctionsRunAsTheLogin shows who the functions are that a load calls: those of a CHECK and of an index.
func TestFunctionsRunAsTheLogin(t *testing.T) {
	c := pgtest.Shared(t)
	source := pgtest.Create(t, c)
	pgtest.Exec(t, source, `CREATE TABLE seen (what text, who text, session text, super text);
CREATE FUNCTION note_it(what text) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN
  INSERT INTO public.seen VALUES (what, current_user, session_user, current_setting('is_superuser')); RETURN true; END $$;
CREATE FUNCTION note(what text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN public.note_it(what); END $$;
CREATE DOMAIN noted AS int CHECK (note('domain'));
CREATE TABLE t (a int CHECK (note('check')), b noted, c boolean GENERATED ALWAYS AS (note('generated')) STORED);
INSERT INTO t VALUES (1, 1);
CREATE INDEX ON t (note('index'));
CREATE MATERIALIZED VIEW mv AS SELECT note('matview');
TRUNCATE seen`)
	r, _ := dumpFile(t, source)
	copied := pgtest.Create(t, c)
	mustLoad(t, copied, r)
	got := pgtest.Query(t, copied, `SELECT DISTINCT concat_ws(' ', what, who = session, who ~ '^safepoint_cli[a-z0-9]+_load$', super) FROM seen ORDER BY 1`)
	for _, what := range []string{"check", "domain", "generated", "index"} {
		if want := what + " t t off"; !slices.Contains(got, want) {
			t.Errorf("%q is not among %q", want, got)
		}
	}
	for _, g := range got {
		if !strings.HasSuffix(g, " t t off") {
			t.Errorf("executed with other rights: %q", g)
		}
	}
	wantNoLogins(t)
	if owners := pgtest.Query(t, copied, "SELECT DISTINCT relowner::regrole FROM pg_class WHERE relnamespace = 'public'::regnamespace"); !slices.Equal(owners, []string{"postgres"}) {
		t.Errorf("owned by %q", owners)
	}
}

func wantNoLogins(t *testing.T) {
	t.Helper()
	if left := pgtest.Query(t, pgtest.Shared(t).Target("postgres"), `SELECT rolname FROM pg_roles WHERE rolname ~ '^safepoint_.*_load$'`); len(left) > 0 {
		t.Errorf("load logins are left: %q", left)
	}
}

// TestLoadByAUserWithCreateRole is a load by one who is no superuser, and may make logins.
func TestLoadByAUserWithCreateRole(t *testing.T) {
	c := pgtest.Shared(t)
	pgtest.Exec(t, c.Target("postgres"), `DO $$ BEGIN CREATE ROLE loader_b; CREATE ROLE loader_a LOGIN CREATEDB CREATEROLE PASSWORD 'a''s secret'; GRANT loader_b TO loader_a;
EXCEPTION WHEN duplicate_object THEN NULL; END $$`)
	target := func() engine.Target {
		owned := pgtest.Create(t, c)
		pgtest.Exec(t, owned, "ALTER DATABASE "+pgtest.Quote(owned.Name)+" OWNER TO loader_a; ALTER SCHEMA public OWNER TO loader_a")
		over := c.TCPTarget(owned.Name)
		over.User, over.Password = "loader_a", "a's secret"
		return over
	}
	source, copied := target(), target()
	pgtest.Exec(t, source, `CREATE SCHEMA s; CREATE EXTENSION hstore SCHEMA s; CREATE TABLE s.t (id int PRIMARY KEY, h s.hstore); INSERT INTO s.t VALUES (1, 'a=>1');
ALTER SCHEMA s OWNER TO loader_b; ALTER TABLE s.t OWNER TO loader_b; CREATE TABLE s.who (w text DEFAULT current_user);
CREATE FUNCTION s.f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$; CREATE TRIGGER tr BEFORE INSERT ON s.who FOR EACH ROW EXECUTE FUNCTION s.f();
ALTER TABLE s.who ENABLE ROW LEVEL SECURITY; CREATE MATERIALIZED VIEW s.mv AS SELECT count(*) FROM s.t; REVOKE ALL ON SCHEMA public FROM PUBLIC;
COMMENT ON TABLE s.t IS 'x'; ALTER DEFAULT PRIVILEGES FOR ROLE loader_b IN SCHEMA s GRANT SELECT ON TABLES TO PUBLIC`)
	r, _ := dumpFile(t, source)
	mustLoad(t, copied, r)
	wantSame(t, c, source, copied, r)
	wantNoLogins(t)
}

// TestLoginOfADeadProcess drops what a process leaves that died while it loaded.
func TestLoginOfADeadProcess(t *testing.T) {
	c := pgtest.Shared(t)
	live := pgtest.Create(t, c)
	p, err := Engine{}.Prepare(t.Context(), live, safepoint.NewID(safepoint.OperationPrefix))
	if err != nil {
		t.Fatal(err)
	}
	r, _ := dumpFile(t, live)
	if p, err = (Engine{}).Stage(t.Context(), live, p, r.Header()); err != nil {
		t.Fatal(err)
	}
	there := Engine{}.StagingTarget(live, p)
	own, err := connectContent(t.Context(), there)
	if err != nil {
		t.Fatal(err)
	}
	login, err := makeLogin(t.Context(), own, there, p.OperationID, nil, 2, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := script(t.Context(), login.open[0], "CREATE TABLE public.half (a int)"); err != nil {
		t.Fatal(err)
	}
	sleeping := make(chan error, 1)
	go func() { sleeping <- script(context.Background(), login.open[1], "SELECT pg_sleep(600)") }()
	name := loginName(p.OperationID)
	if left, err := (Engine{}).Leftovers(t.Context(), live); err != nil || !slices.Contains(left, name) {
		t.Errorf("leftovers: %q, %v", left, err)
	}
	for range 2 {
		if err := (Engine{}).DropStaging(t.Context(), live, p); err != nil {
			t.Fatal(err)
		}
		wantNoLogins(t)
	}
	if err := <-sleeping; err == nil {
		t.Error("the login's session lived on")
	}
	// A role of that name which is not ours stays.
	pgtest.Exec(t, live, "CREATE ROLE "+pgtest.Quote(name))
	if err := (Engine{}).DropStaging(t.Context(), live, p); safepoint.ErrorCode(err) != safepoint.CodeNeedsOperator {
		t.Errorf("drop of a role that is not ours: %v", err)
	}
	pgtest.Exec(t, live, "DROP ROLE "+pgtest.Quote(name))
}

// TestNobodyLogsInAsTheLogin shows that the login is shut once its sessions are open, whatever password it gives itself.
func TestNobodyLogsInAsTheLogin(t *testing.T) {
	c := pgtest.Shared(t)
	target := pgtest.Create(t, c)
	own, err := connectContent(t.Context(), target)
	if err != nil {
		t.Fatal(err)
	}
	defer hangUp(own)
	login, err := makeLogin(t.Context(), own, target, "op_shut", nil, 2, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer login.discard(t.Context())
	if err := script(t.Context(), login.open[0], "ALTER ROLE "+ident(login.name)+" PASSWORD 'known'"); err != nil {
		t.Fatal(err)
	}
	for _, sql := range []string{"ALTER ROLE " + ident(login.name) + " LOGIN", "SET ROLE postgres", "SET SESSION AUTHORIZATION postgres", "ALTER ROLE " + ident(login.name) + " SUPERUSER"} {
		if err := script(t.Context(), login.open[0], sql); state(err) != statePrivilege {
			t.Errorf("%s: %v", sql, err)
		}
	}
	over := c.TCPTarget(target.Name)
	over.User, over.Password = login.name, "known"
	if conn, err := connect(t.Context(), over); err == nil {
		hangUp(conn)
		t.Error("somebody logged in as the load login")
	}
}

// TestUnknownOrigin is what an unsigned file may not do, may do, and may do when somebody vouches for it.
func TestUnknownOrigin(t *testing.T) {
	c := pgtest.Shared(t)
	roles(t, c, "zoo_owner")
	function := "CREATE FUNCTION public.f() RETURNS int LANGUAGE sql AS 'SELECT 1';\n"
	for name, f := range map[string]struct {
		sql     string
		refused string
		opt     engine.UnknownOrigin
		owner   string // of public.t
	}{
		"table":                      {sql: "CREATE TABLE public.t (a int);\n", owner: "postgres"},
		"table given to a superuser": {sql: "CREATE TABLE public.t (a int);\nALTER TABLE public.t OWNER TO postgres;\n", opt: engine.UnknownOrigin{Owner: "zoo_owner"}, owner: "zoo_owner"},
		"function":                   {sql: function, refused: "belong to a superuser"},
		"function and owner":         {sql: function + "CREATE TABLE public.t (a int);\n", opt: engine.UnknownOrigin{Owner: "zoo_owner"}, owner: "zoo_owner"},
		"owner is a superuser":       {sql: function, opt: engine.UnknownOrigin{Owner: "postgres"}, refused: "cannot own"},
		"vouched for":                {sql: function + "CREATE TABLE public.t (a int);\n", opt: engine.UnknownOrigin{Trusted: true}, owner: "postgres"},
		"trusted extension":          {sql: "CREATE EXTENSION hstore WITH SCHEMA public;\nCREATE TABLE public.t (a public.hstore);\n", owner: "postgres"},
		"other extension":            {sql: "CREATE EXTENSION dblink WITH SCHEMA public;\n", refused: "dblink"},
		"allowed extension":          {sql: "CREATE EXTENSION dblink WITH SCHEMA public;\nCREATE TABLE public.t (a int);\n", opt: engine.UnknownOrigin{Extensions: []string{"dblink"}}, owner: "postgres"},
		"late extension":             {sql: "CREATE TABLE public.t (a int);\nCREATE EXTENSION hstore WITH SCHEMA public;\n", refused: "comes after CREATE TABLE"},
		"event trigger":              {sql: function + "CREATE EVENT TRIGGER e ON ddl_command_end EXECUTE FUNCTION public.f();\n", refused: "CREATE EVENT TRIGGER"},
		"grant of the server's own":  {sql: "GRANT ALL ON FUNCTION pg_catalog.pg_read_file(text) TO PUBLIC;\n", refused: "did not make"},
	} {
		t.Run(name, func(t *testing.T) {
			target := pgtest.Create(t, c)
			r := scriptArchive(t, target, f.sql)
			err := Engine{Jobs: 1, Unknown: f.opt}.Load(t.Context(), target, r, engine.LoadOptions{})
			switch {
			case f.refused == "" && err != nil:
				t.Fatal(err)
			case f.refused != "" && (err == nil || !strings.Contains(err.Error(), f.refused)):
				t.Fatalf("%v, want %q", err, f.refused)
			}
			if f.owner != "" {
				if got := pgtest.Query(t, target, "SELECT relowner::regrole FROM pg_class WHERE relname = 't'"); !slices.Equal(got, []string{f.owner}) {
					t.Errorf("owned by %q, want %s", got, f.owner)
				}
			}
			wantNoLogins(t)
		})
	}
}

// TestUnknownOriginNeedsTheLogin refuses to execute a file as a user who cannot make a login for it.
func TestUnknownOriginNeedsTheLogin(t *testing.T) {
	c := pgtest.Shared(t)
	pgtest.Exec(t, c.Target("postgres"), "DO $$ BEGIN CREATE ROLE plain LOGIN PASSWORD 'plain'; EXCEPTION WHEN duplicate_object THEN NULL; END $$")
	target := pgtest.Create(t, c)
	pgtest.Exec(t, target, "ALTER DATABASE "+pgtest.Quote(target.Name)+" OWNER TO plain")
	target = c.TCPTarget(target.Name)
	target.User, target.Password = "plain", "plain"
	r := scriptArchive(t, target, "CREATE TABLE public.t (a int);\n")
	err := Engine{}.Load(t.Context(), target, r, engine.LoadOptions{})
	if safepoint.ErrorCode(err) != safepoint.CodeBlocked || !strings.Contains(fmt.Sprint(safepoint.UserError(err).Hint), "CREATEROLE") {
		t.Errorf("%v", err)
	}
	var none *noLoginError
	if !errors.As(err, &none) {
		t.Errorf("%v does not say why", err)
	}
	if err := (Engine{Unknown: engine.UnknownOrigin{Trusted: true}}).Load(t.Context(), target, r, engine.LoadOptions{}); err != nil {
		t.Errorf("vouched for: %v", err)
	}
}

// scriptArchive is an unsigned archive of statements.
func scriptArchive(t *testing.T, target engine.Target, sql string) *archive.Reader {
	t.Helper()
	var b bytes.Buffer
	w := archive.NewWriter(&b, archive.Header{Engine: safepoint.PostgreSQL, ServerVersionNum: minVersion, Database: target.Name, Encoding: "UTF8"}, nil)
	f, err := w.Frame(archive.Entry{Section: archive.PreData, Kind: kindDDL})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write([]byte(sql)); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Close(); err != nil {
		t.Fatal(err)
	}
	r, err := archive.Open(bytes.NewReader(b.Bytes()), int64(b.Len()), archive.Trust{Unsigned: true})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestLimitsOfUnknownOrigin ends what takes too long, or too much of the disk.
func TestLimitsOfUnknownOrigin(t *testing.T) {
	c := pgtest.Shared(t)
	roles(t, c, "zoo_owner")
	function := "CREATE FUNCTION public.f(i int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN %s RETURN i; END $$;\n"
	for name, f := range map[string]struct {
		body   string
		policy engine.UnknownOrigin
		want   string
	}{
		"time": {"LOOP BEGIN PERFORM pg_sleep(100); EXCEPTION WHEN query_canceled THEN NULL; END; END LOOP;", engine.UnknownOrigin{MaxTime: 500 * time.Millisecond}, "took longer"},
		"disk": {"LOOP INSERT INTO public.bomb SELECT repeat(md5(g::text), 30) FROM generate_series(1, 10000) g; END LOOP;", engine.UnknownOrigin{MaxDisk: 30 << 20}, "came to more"},
	} {
		t.Run(name, func(t *testing.T) {
			target := pgtest.Create(t, c)
			f.policy.Owner = "zoo_owner"
			sql := "CREATE TABLE public.bomb (a text);\n" + strings.ReplaceAll(function, "%s", "PERFORM public.g();") + strings.ReplaceAll("CREATE FUNCTION public.g() RETURNS void LANGUAGE plpgsql AS $$ BEGIN %s END $$;\n", "%s", f.body) +
				"CREATE TABLE public.t (a int);\nINSERT INTO public.t VALUES (1);\nCREATE INDEX i ON public.t (public.f(a));\n"
			err := Engine{Jobs: 2, Unknown: f.policy}.Load(t.Context(), target, scriptArchive(t, target, sql), engine.LoadOptions{})
			if safepoint.ErrorCode(err) != safepoint.CodeBlocked || !strings.Contains(err.Error(), f.want) {
				t.Errorf("%v, want %q", err, f.want)
			}
			wantNoLogins(t)
		})
	}
}
