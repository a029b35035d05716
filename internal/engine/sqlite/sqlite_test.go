package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/engine"
	"github.com/safepoint-db/safepoint/internal/engine/enginetest"
)

// TestSuite runs the conformance suite on files in both kinds of journal mode, with clients through database/sql.
func TestSuite(t *testing.T) {
	for _, mode := range []string{"WAL", "DELETE"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			enginetest.Run(t, harness(mode))
		})
	}
}

func harness(mode string) enginetest.Harness {
	at := func(live engine.Target, name string) string {
		return filepath.Join(filepath.Dir(live.Path), name+suffix)
	}
	return enginetest.Harness{
		Engine: &Engine{},
		Also:   []string{"Counter", "Founder", "InstantSwitcher", "Picker", "Surveyor"},
		New: func(t *testing.T, name string) engine.Target {
			if name == "" {
				name = "shop.db"
			}
			path := filepath.Join(t.TempDir(), name)
			db := openSQL(t, path)
			if _, err := db.Exec("PRAGMA journal_mode=" + mode); err != nil {
				t.Fatal(err)
			}
			if _, err := db.Exec("PRAGMA user_version=0"); err != nil {
				t.Fatal(err)
			}
			db.Close()
			return engine.Target{Engine: safepoint.SQLite, Path: path}
		},
		Connect: func(ctx context.Context, target engine.Target) (enginetest.Session, error) {
			db, err := sql.Open("sqlite", dsn(target.Path)+"&_busy_timeout=1000")
			if err != nil {
				return nil, err
			}
			db.SetMaxOpenConns(1)
			if err := db.PingContext(ctx); err != nil {
				db.Close()
				return nil, err
			}
			return session{db}, nil
		},
		Named: func(_ *testing.T, target engine.Target, name string) engine.Target {
			target.Path = filepath.Join(filepath.Dir(target.Path), name)
			return target
		},
		Names: []string{"a=b", "-x.db", "postgresql:..evil", "it's \"it\".db", "smile 😀.db", "100%.db", "a?mode=memory.db", "#1.db", "new\nline", "*[a-z].db"},
		Unreachable: func(t *testing.T) map[safepoint.Code]engine.Target {
			folder := t.TempDir()
			text := filepath.Join(folder, "notes.txt")
			if err := os.WriteFile(text, []byte("these are four thousand words, none of them SQL"), 0o600); err != nil {
				t.Fatal(err)
			}
			target := func(path string) engine.Target { return engine.Target{Engine: safepoint.SQLite, Path: path} }
			return map[safepoint.Code]engine.Target{
				safepoint.CodeName:    target(filepath.Join(folder, "missing.db")),
				safepoint.CodeVersion: target(text),
				safepoint.CodeInvalid: target(""),
			}
		},
		Exists: func(t *testing.T, live engine.Target, name string) bool {
			_, err := os.Lstat(at(live, name))
			return !errors.Is(err, os.ErrNotExist)
		},
		Vacate: func(t *testing.T, live engine.Target) {
			for _, suffix := range []string{"-wal", "-shm", ""} {
				if err := os.Rename(live.Path+suffix, live.Path+".gone"+suffix); err != nil && !errors.Is(err, os.ErrNotExist) {
					t.Fatal(err)
				}
			}
		},
		Replace: func(t *testing.T, live engine.Target) {
			db := openSQL(t, live.Path)
			defer db.Close()
			if _, err := db.Exec("CREATE TABLE another (a int)"); err != nil {
				t.Fatal(err)
			}
		},
		Foreign: func(t *testing.T, live engine.Target, name string) {
			if err := os.WriteFile(at(live, name), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		},
	}
}

type session struct{ db *sql.DB }

func (s session) Close() { s.db.Close() }

func (s session) Exec(ctx context.Context, statement string) error {
	_, err := s.db.ExecContext(ctx, statement)
	return err
}

func (s session) Query(ctx context.Context, statement string) ([]string, error) {
	rows, err := s.db.QueryContext(ctx, statement)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []string
	for rows.Next() {
		var v sql.NullString
		if err := rows.Scan(&v); err != nil {
			return nil, err
		}
		all = append(all, v.String)
	}
	return all, rows.Err()
}
