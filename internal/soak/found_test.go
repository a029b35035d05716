package soak

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/api/wire"
	"github.com/safepoint-db/safepoint/internal/engine"
)

// newName is what the new database, or its file, is called.
const newName = "copy of the shop"

// killDuringFound starts a restore into a new database, which kills the server at point, starts the server again and
// checks that the new database is whole or absent, and that nobody who uses the live one noticed anything.
func (s *shop) killDuringFound(t *testing.T, point string) {
	made := s.beside(newName)
	t.Cleanup(func() { s.drop(t, made) })
	s.till.forget()
	s.till.sells(t)
	live, files := s.identity(t), s.files(t)
	op := s.dieDuring(t, point, safepoint.TypeRestore, func(ctx context.Context) (wire.Operation, error) {
		return s.api.StartRestoreInto(ctx, s.backup.ID, wire.NewDatabase{Name: newName})
	})
	s.afterEnd(t, op)
	s.till.soldOn(t)
	if now := s.identity(t); now != live {
		t.Errorf("the live database was %s, and is %s", live, now)
	}
	if got := s.edition(t, s.target); got != 2 {
		t.Errorf("the live database is edition %d", got)
	}
	s.checkOrders(t, op)
	if op.Switched || op.SafetyID != "" || !op.HaltedAt.IsZero() || !op.UndoUntil.IsZero() {
		t.Errorf("a restore into a new database replaced something: %+v", op)
	}
	there := s.exists(t, made)
	switch {
	case there != (op.Status == "succeeded"):
		t.Errorf("the restore ended %s in step %s (%+v), and that the new database is there is %t", op.Status, op.Step, op.Failure, there)
	case there && !slices.Equal(content(t, made), s.old):
		t.Error("the new database does not hold what the backup holds")
	}
	if extra := slices.DeleteFunc(s.leftovers(t), func(name string) bool { return slices.Contains(s.known, name) }); len(extra) > 0 {
		t.Errorf("left over: %v", extra)
	}
	if now := s.files(t); !slices.Equal(now, files) {
		t.Errorf("the live file's folder held %q, and holds %q", files, now)
	}
	s.checkFiles(t)
}

// beside is where a new database is, on the live one's server or in its folder.
func (s *shop) beside(name string) engine.Target {
	t := s.target
	if s.kind == "sqlite" {
		t.Path = filepath.Join(filepath.Dir(t.Path), name)
		return t
	}
	t.Name = name
	return t
}

// ask returns the one value that a query on the live database yields.
func (s *shop) ask(t *testing.T, query string, args ...any) string {
	t.Helper()
	db, err := s.open()
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var v string
	if err := db.QueryRow(query, args...).Scan(&v); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return v
}

// identity tells the live database from any other that has its name.
func (s *shop) identity(t *testing.T) string {
	t.Helper()
	if s.kind == "postgres" {
		return s.ask(t, `SELECT oid::text FROM pg_database WHERE datname = current_database()`)
	}
	info, err := os.Stat(s.target.Path)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(info.Sys().(*syscall.Stat_t).Ino)
}

func (s *shop) exists(t *testing.T, at engine.Target) bool {
	t.Helper()
	if s.kind == "postgres" {
		return s.ask(t, `SELECT count(*)::text FROM pg_database WHERE datname = $1`, at.Name) == "1"
	}
	_, err := os.Lstat(at.Path)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return err == nil
}

func (s *shop) drop(t *testing.T, at engine.Target) {
	if s.kind == "sqlite" {
		for _, suffix := range []string{"", "-wal", "-shm", "-journal"} {
			if err := os.Remove(at.Path + suffix); err != nil && !os.IsNotExist(err) {
				t.Error(err)
			}
		}
		return
	}
	db, err := s.open()
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec("DROP DATABASE IF EXISTS " + pgx.Identifier{at.Name}.Sanitize() + " WITH (FORCE)"); err != nil {
		t.Error(err)
	}
}

// files lists the folder of a live file, but for that file and the new one with what SQLite keeps beside them.
func (s *shop) files(t *testing.T) []string {
	t.Helper()
	if s.kind != "sqlite" {
		return nil
	}
	entries, err := os.ReadDir(filepath.Dir(s.target.Path))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		if n := e.Name(); !strings.HasPrefix(n, filepath.Base(s.target.Path)) && !strings.HasPrefix(n, newName) {
			names = append(names, n)
		}
	}
	return names
}

// content is every row of a database, and whether it has the table that only the new content has.
func content(t *testing.T, at engine.Target) []string {
	t.Helper()
	db, err := openTarget(at)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	rows, err := db.Query(`SELECT 'edition', v, '' FROM edition UNION ALL SELECT 'orders', id, note FROM orders ORDER BY 1, 2, 3`)
	if err != nil {
		t.Fatalf("read the restored database: %v", err)
	}
	defer rows.Close()
	var all []string
	for rows.Next() {
		var table, note string
		var id int64
		if err := rows.Scan(&table, &id, &note); err != nil {
			t.Fatal(err)
		}
		all = append(all, fmt.Sprint(table, id, note))
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	if db.QueryRow(`SELECT count(*) FROM late`).Scan(new(int)) == nil {
		all = append(all, "late")
	}
	return all
}
