package sqlite

import (
	"bytes"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/archive"
	"github.com/safepoint-db/safepoint/internal/engine"
)

// TestPick takes each table of the zoo out alone, and some together, and loads them with Load and with sqlite3.
func TestPick(t *testing.T) {
	needTools(t)
	e := &Engine{}
	source := zooDB(t, zoo)
	_, r := dumpFile(t, source)
	choices := [][]string{{"*"}, {"parent", "child"}, {"alias", "log"}, {`"select ""odd"" 'name' 😀"`}}
	for name := range r.Fingerprint() {
		if !strings.HasPrefix(name, `"sqlite_`) {
			choices = append(choices, []string{name})
		}
	}
	choices = append(choices, []string{"articles_fts"})
	for _, tables := range choices {
		t.Run(strings.Join(tables, ","), func(t *testing.T) {
			for _, s := range []engine.Selection{{}, {SchemaOnly: true}} {
				picked := pickTables(t, e, r, tables, s)
				if _, err := picked.Reader.Verify(t.Context(), nil); err != nil {
					t.Fatal(err)
				}
				to := engine.Target{Engine: safepoint.SQLite, Path: filepath.Join(t.TempDir(), "new.db")}
				if err := e.Load(t.Context(), to, picked.Reader, engine.LoadOptions{}); err != nil {
					t.Fatal(err)
				}
				wantDigest(t, e, to, picked.Reader)
				if s.SchemaOnly {
					continue
				}
				for _, name := range picked.Tables {
					if got, want := picked.Reader.Fingerprint()[name], r.Fingerprint()[name]; got != want {
						t.Errorf("%s is %+v, and was %+v", name, got, want)
					}
				}
				if len(picked.Tables) < 2 {
					continue
				}
				to.Path = filepath.Join(t.TempDir(), "shell.db")
				var sql bytes.Buffer
				if err := picked.Reader.WriteSQL(t.Context(), &sql); err != nil {
					t.Fatal(err)
				}
				cmd := exec.CommandContext(t.Context(), "sqlite3", "-bail", to.Path)
				cmd.Stdin = &sql
				if out, err := cmd.CombinedOutput(); err != nil {
					t.Fatalf("sqlite3: %v: %s", err, out)
				}
				wantDigest(t, e, to, picked.Reader)
			}
		})
	}
}

// TestPickNotes shows what is said of what stays behind.
func TestPickNotes(t *testing.T) {
	e := &Engine{}
	_, r := dumpFile(t, zooDB(t, zoo))
	got := strings.Join(pickTables(t, e, r, []string{"child", "alias", "articles_fts"}, engine.Selection{}).Notes, "\n")
	for _, want := range []string{"trigger alias_log of alias", "foreign key of child leads to parent", "articles, which the search index articles_fts", "views"} {
		if !strings.Contains(got, want) {
			t.Errorf("nothing is said of %q in:\n%s", want, got)
		}
	}
	patterns, err := engine.ParsePatterns([]string{"nothing"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.Pick(t.Context(), r, engine.Selection{Tables: patterns}); safepoint.ErrorCode(err) != safepoint.CodeNotFound {
		t.Errorf("a table that is not there: %v", err)
	}
}

func pickTables(t *testing.T, e *Engine, r *archive.Reader, tables []string, s engine.Selection) engine.Picked {
	t.Helper()
	var err error
	if s.Tables, err = engine.ParsePatterns(tables); err != nil {
		t.Fatal(err)
	}
	picked, err := e.Pick(t.Context(), r, s)
	if err != nil {
		t.Fatal(err)
	}
	return picked
}

func wantDigest(t *testing.T, e *Engine, at engine.Target, r *archive.Reader) {
	t.Helper()
	got, err := e.Digest(t.Context(), at, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Fingerprint().Compare(got); err != nil {
		t.Error(err)
	}
}
