package postgres

import (
	"bytes"
	"strings"
	"sync"
	"testing"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/archive"
	"github.com/safepoint-db/safepoint/internal/engine"
	"github.com/safepoint-db/safepoint/internal/pgtest"
)

type part struct {
	section archive.Section
	sql     string
}

func partsArchive(t *testing.T, target engine.Target, parts ...part) *archive.Reader {
	t.Helper()
	var b bytes.Buffer
	w := archive.NewWriter(&b, archive.Header{Engine: safepoint.PostgreSQL, ServerVersionNum: minVersion, Database: target.Name, Encoding: "UTF8"}, nil)
	for _, p := range parts {
		f, err := w.Frame(archive.Entry{Section: p.section, Kind: kindDDL})
		if err != nil {
			t.Fatal(err)
		}
		f.Write([]byte(p.sql))
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
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

const pwnSQL = `CREATE TABLE public.seen (w text);
CREATE FUNCTION public.pwn() RETURNS bytea LANGUAGE plpgsql SECURITY INVOKER AS $$ BEGIN INSERT INTO public.seen VALUES (current_user || ' ' || current_setting('is_superuser')); RETURN 'x'; END $$;
`

func TestReviewOwnerInData(t *testing.T) {
	c := pgtest.Shared(t)
	roles(t, c, "zoo_owner")
	target := pgtest.Create(t, c)
	r := partsArchive(t, target, part{archive.PreData, `CREATE TABLE public.seen (w text);
CREATE FUNCTION public.pwn() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN NEW.w := current_user; CREATE ROLE reviewevil SUPERUSER; RETURN NEW; END $$;
CREATE TRIGGER pwn BEFORE INSERT ON public.seen FOR EACH ROW EXECUTE FUNCTION public.pwn();
`}, part{archive.Data, "GRANT CREATE ON SCHEMA public TO PUBLIC;\nALTER FUNCTION public.pwn() OWNER TO postgres;\nINSERT INTO public.seen VALUES ('1');\n"})
	err := Engine{Jobs: 1, Unknown: engine.UnknownOrigin{Owner: "zoo_owner"}}.Load(t.Context(), target, r, engine.LoadOptions{})
	t.Logf("load: %v", err)
	if evil := pgtest.Query(t, target, "SELECT rolname || rolsuper FROM pg_roles WHERE rolname = 'reviewevil'"); len(evil) > 0 {
		pgtest.Exec(t, target, "DROP ROLE reviewevil")
		t.Errorf("a file of unknown origin made the superuser %q", evil)
	}
}

func TestReviewSJIS(t *testing.T) {
	c := pgtest.Shared(t)
	roles(t, c, "zoo_owner")
	target := pgtest.Create(t, c)
	r := partsArchive(t, target, part{archive.PreData, pwnSQL + "SET client_encoding = 'S-JIS';\nSELECT pg_catalog.lo_from_bytea(0, E'\x83\x5c'||public.pwn()--'\n);\n"})
	err := Engine{Jobs: 1, Unknown: engine.UnknownOrigin{Owner: "zoo_owner"}}.Load(t.Context(), target, r, engine.LoadOptions{})
	t.Logf("load: %v", err)
	if err == nil {
		t.Errorf("executed as %q", pgtest.Query(t, target, "SELECT w FROM public.seen"))
	}
}

func TestReviewCatalogQualified(t *testing.T) {
	c := pgtest.Shared(t)
	roles(t, c, "zoo_owner")
	target := pgtest.Create(t, c)
	r := partsArchive(t, target, part{archive.PreData, "CREATE TABLE public.t (a int);\nGRANT SELECT ON TABLE " + target.Name + ".pg_catalog.pg_authid TO PUBLIC;\nGRANT EXECUTE ON FUNCTION " + target.Name + ".pg_catalog.pg_read_file(text) TO PUBLIC;\nALTER FUNCTION " + target.Name + ".pg_catalog.lower(text) OWNER TO zoo_owner;\nALTER DEFAULT PRIVILEGES FOR ROLE zoo_owner, postgres GRANT ALL ON TABLES TO PUBLIC;\n"})
	err := Engine{Jobs: 1, Unknown: engine.UnknownOrigin{Owner: "zoo_owner"}}.Load(t.Context(), target, r, engine.LoadOptions{})
	if err != nil {
		return
	}
	t.Errorf("%q %q %q %q", pgtest.Query(t, target, "SELECT relacl::text FROM pg_class WHERE relname = 'pg_authid'"), pgtest.Query(t, target, "SELECT proacl::text FROM pg_proc WHERE proname='pg_read_file' and pronargs = 1"),
		pgtest.Query(t, target, "SELECT proowner::regrole::text FROM pg_proc WHERE oid = 'pg_catalog.lower(text)'::regprocedure"), pgtest.Query(t, target, "SELECT defaclrole::regrole::text || defaclacl::text FROM pg_default_acl"))
}

func TestReviewEventTriggerComment(t *testing.T) {
	c := pgtest.Shared(t)
	source, copied := pgtest.Create(t, c), pgtest.Create(t, c)
	pgtest.Exec(t, source, `CREATE FUNCTION f() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN END $$; CREATE EVENT TRIGGER et ON ddl_command_end EXECUTE FUNCTION f(); COMMENT ON EVENT TRIGGER et IS 'x'`)
	r, _ := dumpFile(t, source)
	mustLoad(t, copied, r)
}

func TestReviewSchemaSwap(t *testing.T) {
	c := pgtest.Shared(t)
	for _, big := range []bool{false, true} {
		source := pgtest.Create(t, c)
		n := "1000"
		if big {
			n = "400000"
		}
		pgtest.Exec(t, source, "CREATE SCHEMA s; CREATE TABLE s.t AS SELECT i AS a, repeat('x', 60) AS b FROM generate_series(1, "+n+") i; CREATE TABLE public.seen (w text)")
		var once sync.Once
		swap := "ALTER SCHEMA s RENAME TO s_old; CREATE SCHEMA s; CREATE TABLE s.t (a int, b text)"
		if big {
			pgtest.Exec(t, source, `CREATE FUNCTION public.pwn() RETURNS int LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'executed as % %', current_user, current_setting('is_superuser'); END $$`)
			swap = "ALTER SCHEMA s RENAME TO s_old; CREATE SCHEMA s; CREATE VIEW s.t AS SELECT public.pwn() AS a, b, ctid FROM s_old.t"
		}
		var b bytes.Buffer
		w := archive.NewWriter(&b, archive.Header{Tool: "test"}, nil)
		err := Engine{Jobs: 2}.Dump(t.Context(), source, w, engine.DumpOptions{Report: func(engine.Progress) {
			once.Do(func() { pgtest.Exec(t, source, swap) })
		}})
		t.Logf("big %v dump: %v", big, err)
		if err != nil && strings.Contains(err.Error(), "executed as") {
			t.Errorf("a view in the place of a table: %v", err)
		}
		if err == nil {
			w.Close()
			r, err := archive.Open(bytes.NewReader(b.Bytes()), int64(b.Len()), archive.Trust{Unsigned: true})
			if err != nil {
				t.Fatal(err)
			}
			t.Errorf("a dump without a word, with %v", r.Fingerprint())
		}
	}
}
