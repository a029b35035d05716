package postgres

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/safepoint-db/safepoint/internal/engine/enginetest"
	"github.com/safepoint-db/safepoint/internal/pgserver"
	"github.com/safepoint-db/safepoint/internal/pgtest"
)

// everyVersion is an engine that finds a pg_dump for each of the servers.
func everyVersion() Engine { return Engine{Programs: pgserver.ToolDirs(), Jobs: 2} }

// TestZooOfEveryVersion takes one of everything that a version knows through both ways back.
func TestZooOfEveryVersion(t *testing.T) {
	for _, major := range pgtest.Versions() {
		t.Run(strconv.Itoa(major), func(t *testing.T) {
			c := pgtest.SharedVersion(t, major)
			roles(t, c, "zoo_owner", "zoo_reader")
			source := pgtest.Create(t, c)
			runScript(t, c, source.Name, strings.NewReader(zoo(t, major)))
			r, file := dumpFileOf(t, everyVersion(), source)
			if got := r.Header().ServerVersionNum / 10000; got != major {
				t.Errorf("the archive says it is of PostgreSQL %d", got)
			}
			bothWays(t, c, source, r, file, sameExtras(source))
		})
	}
}

var versioned = regexp.MustCompile(`(?s)--# (from|before) (\d+)\n(.*?)--# end\n`)

// zoo is testdata/zoo.sql for a major version.
func zoo(t *testing.T, major int) string {
	t.Helper()
	script, err := os.ReadFile("testdata/zoo.sql")
	if err != nil {
		t.Fatal(err)
	}
	return versioned.ReplaceAllStringFunc(string(script), func(block string) string {
		m := versioned.FindStringSubmatch(block)
		if n, _ := strconv.Atoi(m[2]); (major >= n) == (m[1] == "from") {
			return m[3]
		}
		return ""
	})
}

// TestConformanceOfEveryVersion runs the suite on every version; without SAFEPOINT_FIDELITY only what touches the
// server's own ways of dumping, locking, renaming and dropping, for the whole takes minutes.
func TestConformanceOfEveryVersion(t *testing.T) {
	only := []string{"RoundTrip", "Cycle"}
	if fidelity() {
		only = nil
	}
	for _, major := range pgtest.Versions() {
		c := pgtest.SharedVersion(t, major)
		for name, h := range map[string]enginetest.Harness{"superuser": harness(c, everyVersion()), "owner": ownersHarness(t, c, everyVersion())} {
			h.Only = only
			t.Run(fmt.Sprintf("%d as %s", major, name), func(t *testing.T) { enginetest.Run(t, h) })
		}
	}
}

// fidelity says that the long tests of what a dump and load carry are to be run: make fidelity.
func fidelity() bool { return os.Getenv("SAFEPOINT_FIDELITY") != "" }

// TestSchemaPublicBefore15 keeps what was granted and revoked on it, whatever version wrote the definitions.
func TestSchemaPublicBefore15(t *testing.T) {
	c := pgtest.SharedVersion(t, 14)
	newer := pgtest.SharedVersion(t, 16)
	roles(t, c, "zoo_owner")
	roles(t, newer, "zoo_owner")
	const look = "SELECT (SELECT string_agg(a::text, ' ' ORDER BY a::text) FROM unnest(nspacl) a) || ' of ' || nspowner::regrole FROM pg_namespace WHERE nspname = 'public'"
	for _, sql := range []string{"", "REVOKE CREATE ON SCHEMA public FROM PUBLIC", "REVOKE USAGE ON SCHEMA public FROM PUBLIC", "REVOKE ALL ON SCHEMA public FROM PUBLIC",
		"ALTER SCHEMA public OWNER TO zoo_owner", "REVOKE CREATE ON SCHEMA public FROM PUBLIC; ALTER SCHEMA public OWNER TO zoo_owner; GRANT CREATE ON SCHEMA public TO zoo_owner WITH GRANT OPTION"} {
		source := pgtest.Create(t, c)
		pgtest.Exec(t, source, sql)
		r, _ := dumpFileOf(t, everyVersion(), source)
		copied, later := pgtest.Create(t, c), pgtest.Create(t, newer)
		mustLoad(t, copied, r)
		if got, want := pgtest.Query(t, copied, look), pgtest.Query(t, source, look); !slices.Equal(got, want) {
			t.Errorf("%s: %s, want %s", sql, got, want)
		}
		mustLoad(t, later, r)
		const everybody = "SELECT coalesce(string_agg(privilege_type, ',' ORDER BY privilege_type), '') FROM pg_namespace, aclexplode(nspacl) WHERE nspname = 'public' AND grantee = 0"
		want := pgtest.Query(t, source, everybody)
		if sql == "" {
			want = []string{"CREATE,USAGE"}
		}
		if got := pgtest.Query(t, later, everybody); !slices.Equal(got, want) {
			t.Errorf("%s: on a newer server everybody may %s, want %s", sql, got, want)
		}
	}
}
