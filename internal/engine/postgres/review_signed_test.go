package postgres

import (
	"testing"

	"github.com/safepoint-db/safepoint/internal/engine"
	"github.com/safepoint-db/safepoint/internal/pgtest"
)

func TestReviewParseTime(t *testing.T) {
	c := pgtest.Shared(t)
	pgtest.Exec(t, c.Target("postgres"), `DO $$ BEGIN CREATE ROLE lowly LOGIN PASSWORD 'x'; EXCEPTION WHEN duplicate_object THEN NULL; END $$`)
	for name, sql := range map[string]string{
		"function default": `CREATE FUNCTION public.target(e public.evil[] DEFAULT '{x}') RETURNS int LANGUAGE sql AS 'SELECT 1'`,
		"foreign table":    `CREATE FOREIGN TABLE public.ft (a int, e public.evil[] DEFAULT '{x}') SERVER srv OPTIONS (table_name 'x')`,
	} {
		t.Run(name, func(t *testing.T) {
			source, copied := pgtest.Create(t, c), pgtest.Create(t, c)
			pgtest.Exec(t, source, `CREATE EXTENSION postgres_fdw; CREATE SERVER srv FOREIGN DATA WRAPPER postgres_fdw; GRANT USAGE ON FOREIGN SERVER srv TO lowly; GRANT CREATE ON SCHEMA public TO lowly;`)
			pgtest.Exec(t, source, `SET SESSION AUTHORIZATION lowly;
CREATE FUNCTION public.pwn(v text) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN
IF current_setting('is_superuser') = 'on' THEN CREATE TABLE IF NOT EXISTS public.seen AS SELECT current_user AS w, current_setting('is_superuser') AS s; RETURN true; END IF;
IF session_user ~ '^safepoint' THEN RAISE insufficient_privilege; END IF; RETURN true; END $$;
CREATE DOMAIN public.evil AS text CHECK (public.pwn(VALUE));
`+sql)
			pgtest.Exec(t, source, "DROP TABLE IF EXISTS public.seen")
			r, _ := dumpFile(t, source)
			err := Engine{}.Load(t.Context(), copied, r, engine.LoadOptions{})
			t.Logf("load: %v", err)
			if len(pgtest.Query(t, copied, "SELECT relname FROM pg_class WHERE relname = 'seen'")) > 0 {
				t.Errorf("executed with all rights: %q", pgtest.Query(t, copied, "SELECT w || s FROM public.seen"))
			}
		})
	}
}
