package postgres

import (
	"bytes"
	"strings"
	"testing"

	"github.com/safepoint-db/safepoint/internal/archive"
	"github.com/safepoint-db/safepoint/internal/engine"
	"github.com/safepoint-db/safepoint/internal/pgserver"
	"github.com/safepoint-db/safepoint/internal/pgtest"
)

// TestPickZoo takes each table of the zoo out alone, and some together, and loads them with psql and with Load.
func TestPickZoo(t *testing.T) {
	c := pgtest.Shared(t)
	roles(t, c, "zoo_owner", "zoo_reader")
	source := pgtest.Create(t, c)
	runScript(t, c, source.Name, strings.NewReader(zoo(t, major(t, c))))
	r, _ := dumpFile(t, source)
	choices := [][]string{{"*"}, {"app.*"}, {"app.orders", "customers"}, {"events"}, {"public.events_2026"}, {"hashed?"}, {"public.base", "child"}}
	for name := range r.Fingerprint() {
		choices = append(choices, []string{name})
	}
	for _, tables := range choices {
		t.Run(strings.Join(tables, ","), func(t *testing.T) {
			wantPicked(t, c, r, tables, engine.Selection{})
		})
	}
	t.Run("triggers", func(t *testing.T) {
		wantPicked(t, c, r, []string{"app.*"}, engine.Selection{Triggers: true, NoOwner: true, NoPrivileges: true})
	})
	t.Run("schema only", func(t *testing.T) {
		wantPicked(t, c, r, []string{"*"}, engine.Selection{SchemaOnly: true})
	})
}

func TestPickChinook(t *testing.T) {
	c := pgtest.Shared(t)
	source := chinookDatabase(t, c, "Chinook_PostgreSql_SerialPKs.sql")
	r, _ := dumpFile(t, source)
	for name := range r.Fingerprint() {
		t.Run(name, func(t *testing.T) { wantPicked(t, c, r, []string{name}, engine.Selection{}) })
	}
}

// wantPicked loads chosen tables into empty databases and compares their rows with those that were backed up.
func wantPicked(t *testing.T, c *pgserver.Cluster, r *archive.Reader, tables []string, s engine.Selection) {
	t.Helper()
	picked := pick(t, r, tables, s)
	if _, err := picked.Reader.Verify(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	for how, load := range map[string]func(to engine.Target){
		"psql": func(to engine.Target) { runScript(t, c, to.Name, bytes.NewReader(scriptOf(t, picked.Reader))) },
		"load": func(to engine.Target) { mustLoad(t, to, picked.Reader) },
	} {
		to := pgtest.Create(t, c)
		load(to)
		got, err := Engine{}.Digest(t.Context(), to, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := picked.Reader.Fingerprint().Compare(got); err != nil {
			t.Errorf("%s: %v", how, err)
		}
		if s.SchemaOnly {
			continue
		}
		for _, name := range picked.Tables {
			if want, there := r.Fingerprint()[name]; there && got[name] != want {
				t.Errorf("%s: %s is %+v, and was %+v", how, name, got[name], want)
			}
		}
	}
}

func pick(t *testing.T, r *archive.Reader, tables []string, s engine.Selection) engine.Picked {
	t.Helper()
	var err error
	if s.Tables, err = engine.ParsePatterns(tables); err != nil {
		t.Fatal(err)
	}
	picked, err := Engine{}.Pick(t.Context(), r, s)
	if err != nil {
		t.Fatal(err)
	}
	return picked
}

func scriptOf(t *testing.T, r *archive.Reader) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := r.WriteSQL(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
