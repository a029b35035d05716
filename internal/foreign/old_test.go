package foreign_test

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/safepoint-db/safepoint/internal/foreign"
	"github.com/safepoint-db/safepoint/internal/pgtest"
)

var update = flag.Bool("update", false, "write the golden files")

// TestOldDumps loads what pg_dump wrote for servers long gone into a server of today. What is said of each is in a golden
// file beside it: its contents, and the frames it becomes.
func TestOldDumps(t *testing.T) {
	c := pgtest.Shared(t)
	for name, want := range map[string][][2]string{
		"pg_dump-8.4": {
			{"SELECT string_agg(id || '=' || name || '=' || coalesce(note, 'NULL'), ',' ORDER BY id) FROM customers", "1=Jürgen=tab\there,2=C:\\temp=NULL,3=two\nlines=\\."},
			{"SELECT folder('x')", `C:\\temp; x`}, // dollar quotes are taken as they are, by any rule
			{"SELECT prosrc FROM pg_proc WHERE proname = 'quoted'", `SELECT 'it\'s'::text`},
			{"SELECT obj_description('customers'::regclass)", "The shop's customers; all of them"},
			{"SELECT column_default FROM information_schema.columns WHERE table_schema = 'public' AND column_name = 'name'", `'no\body'::character varying`},
			{"SELECT nextval('customers_id_seq')", "4"},
		},
		"pg_dump-9.2": {
			{"SELECT string_agg(id || '=' || what, ',' ORDER BY id) FROM app.orders", `1=a;b,2=\,3=it's`},
			{"SELECT id FROM public.orders", "7"},
			{"SELECT convert_from(lo_get(770077), 'UTF8')", "Hello"},
			{"SELECT conname FROM pg_constraint WHERE conrelid = 'app.orders'::regclass", "orders_pkey"},
		},
		"pg_dump-9.6": {
			{"INSERT INTO public.items (price) VALUES (3) RETURNING id", "3"},
			{"SELECT string_agg(id || '=' || coalesce(price::text, 'NULL'), ',' ORDER BY id) FROM public.items", "1=9.99,2=NULL,3=3"},
			{"SELECT tgname FROM pg_trigger WHERE NOT tgisinternal", "note"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			r, contents := convert(t, filepath.Join("testdata", name+".sql"), foreign.Options{})
			var frames []string
			for _, e := range r.Entries() {
				frames = append(frames, strings.TrimSpace(strings.Join(append([]string{string(e.Section), e.Kind, e.Table}, e.Objects...), " ")))
			}
			golden(t, filepath.Join("testdata", name+".json"), struct {
				Contents foreign.Contents
				Frames   []string
			}{contents, frames})
			target := load(t, c, r)
			for _, q := range want {
				if got := pgtest.Query(t, target, q[0])[0]; got != q[1] {
					t.Errorf("%s: %q, want %q", q[0], got, q[1])
				}
			}
		})
	}
}

func golden(t *testing.T, path string, v any) {
	t.Helper()
	got, err := json.MarshalIndent(v, "", "\t")
	if err != nil {
		t.Fatal(err)
	}
	got = append(got, '\n')
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil || string(want) != string(got) {
		t.Errorf("%s is not what came out (%v): run with -update and read the diff\n%s", path, err, got)
	}
}
