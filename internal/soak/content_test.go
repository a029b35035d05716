package soak

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/archive"
	"github.com/safepoint-db/safepoint/internal/engine"
)

// What a database is made of: one line each, in an order of their own.
var objectsOf = map[safepoint.Engine]string{
	safepoint.SQLite: `SELECT type, name, coalesce(sql, '') FROM sqlite_master WHERE name NOT LIKE 'sqlite_%' ORDER BY 1, 2`,
	safepoint.PostgreSQL: `SELECT 'column', table_name || '.' || column_name, data_type || is_nullable || ordinal_position FROM information_schema.columns WHERE table_schema = 'public'
		UNION ALL SELECT 'index', indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'
		UNION ALL SELECT 'view', viewname, definition FROM pg_views WHERE schemaname = 'public'
		UNION ALL SELECT 'grants', relname, relkind::text || relowner::regrole || coalesce(relacl::text, '') FROM pg_class WHERE relnamespace = 'public'::regnamespace
		ORDER BY 1, 2`,
}

var tablesOf = map[safepoint.Engine]string{
	safepoint.SQLite:     `SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY 1`,
	safepoint.PostgreSQL: `SELECT relname::text FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' ORDER BY 1`,
}

// digest is the whole content of a database but for the orders that a till took.
func digest(t *testing.T, at engine.Target) string {
	t.Helper()
	sum, err := readDigest(at)
	if err != nil {
		t.Errorf("read %s: %v", at.Name+at.Path, err)
		return "unreadable"
	}
	return sum
}

func readDigest(at engine.Target) (string, error) {
	db, err := openTarget(at)
	if err != nil {
		return "", err
	}
	defer db.Close()
	tx, err := db.BeginTx(context.Background(), &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true})
	if err != nil && at.Engine == safepoint.SQLite {
		tx, err = db.Begin()
	}
	if err != nil {
		return "", err
	}
	defer tx.Rollback()
	h := sha256.New()
	if err := hashRows(tx, h, objectsOf[at.Engine]); err != nil {
		return "", err
	}
	names, err := column(tx, tablesOf[at.Engine])
	if err != nil {
		return "", err
	}
	for _, name := range names {
		query := "SELECT * FROM " + name + " ORDER BY 1"
		if name == "orders" {
			query = "SELECT * FROM orders WHERE id < " + strconv.Itoa(firstOrder) + " ORDER BY 1"
		}
		fmt.Fprintf(h, "table %s\n", name)
		if err := hashRows(tx, h, query); err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(h.Sum(nil)[:8]), nil
}

func hashRows(tx *sql.Tx, h io.Writer, query string) error {
	rows, err := tx.Query(query)
	if err != nil {
		return err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return err
	}
	cells := make([]sql.NullString, len(columns))
	to := make([]any, len(columns))
	for i := range cells {
		to[i] = &cells[i]
	}
	for rows.Next() {
		if err := rows.Scan(to...); err != nil {
			return err
		}
		fmt.Fprintf(h, "%v\n", cells)
	}
	return rows.Err()
}

func column(q interface {
	Query(string, ...any) (*sql.Rows, error)
}, query string, args ...any) (all []string, err error) {
	rows, err := q.Query(query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var v string
		if err := rows.Scan(&v); err != nil {
			return nil, err
		}
		all = append(all, v)
	}
	return all, rows.Err()
}

// ask returns what a query on a database yields.
func (s *shop) ask(t *testing.T, at engine.Target, query string, args ...any) []string {
	t.Helper()
	db, err := openTarget(at)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	all, err := column(db, query, args...)
	if err != nil {
		t.Errorf("%s: %v", query, err)
	}
	return all
}

// hullOf is what hangs on a database as a whole.
func (s *shop) hullOf(t *testing.T, at engine.Target) string {
	t.Helper()
	if s.kind == "sqlite" {
		info, err := os.Stat(at.Path)
		if err != nil {
			t.Error(err)
			return ""
		}
		owner := info.Sys().(*syscall.Stat_t)
		return fmt.Sprint(info.Mode(), owner.Uid, owner.Gid, s.ask(t, at, "PRAGMA journal_mode"))
	}
	return fmt.Sprint(s.ask(t, s.cluster.Target("postgres"), `SELECT concat_ws(' | ', datdba::regrole, datallowconn, datconnlimit, datistemplate, dattablespace,
		(SELECT string_agg(a, ',' ORDER BY a) FROM unnest(datacl::text[]) AS a), shobj_description(oid, 'pg_database'),
		(SELECT string_agg(setrole || setconfig::text, ',' ORDER BY setrole) FROM pg_db_role_setting WHERE setdatabase = d.oid))
		FROM pg_database d WHERE datname = $1`, at.Name))
}

// ordersAt are the orders of tills that a database holds.
func (s *shop) ordersAt(t *testing.T, at engine.Target) map[int64]bool {
	t.Helper()
	have := map[int64]bool{}
	for _, id := range s.ask(t, at, `SELECT id FROM orders WHERE id >= `+strconv.Itoa(firstOrder)) {
		n, _ := strconv.ParseInt(id, 10, 64)
		have[n] = true
	}
	return have
}

// Orders of tills as they stand in a script: of COPY, and of INSERT.
var orderInScript = regexp.MustCompile(`\b(1\d{6,})(?:\t|,')sold`)

// ordersIn are the orders of tills that a stored backup holds.
func (s *shop) ordersIn(t *testing.T, id string) map[int64]bool {
	t.Helper()
	have := map[int64]bool{}
	r, closer := s.openBackup(t, id)
	if r == nil {
		return have
	}
	defer closer.Close()
	var script strings.Builder
	if err := r.WriteSQL(context.Background(), &script); err != nil {
		t.Error(err)
	}
	for _, m := range orderInScript.FindAllStringSubmatch(script.String(), -1) {
		n, _ := strconv.ParseInt(m[1], 10, 64)
		have[n] = true
	}
	return have
}

func (s *shop) openBackup(t *testing.T, id string) (*archive.Reader, io.Closer) {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(s.proc.data, "backups", "*", "*", "*."+id+".sql.zst"))
	if err != nil || len(found) != 1 {
		t.Errorf("the backup %s has %d files (%v)", id, len(found), err)
		return nil, nil
	}
	f, r, err := openArchive(found[0])
	if err != nil {
		t.Error(err)
		return nil, nil
	}
	return r, f
}

func openArchive(path string) (*os.File, *archive.Reader, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, nil, err
	}
	r, err := archive.Open(f, info.Size(), archive.Trust{Unsigned: true})
	if err != nil {
		f.Close()
		return nil, nil, fmt.Errorf("%s: %w", filepath.Base(path), err)
	}
	return f, r, nil
}

// beside is a database of that name, on the live one's server or in its folder, as we reach it.
func (s *shop) beside(name string) engine.Target {
	t := s.ours(s.target)
	if s.kind == "sqlite" {
		t.Path = filepath.Join(filepath.Dir(t.Path), name)
		return t
	}
	t.Name = name
	return t
}

// kept is a staging or set-aside database by the name that the engine gives it.
func (s *shop) kept(name string) engine.Target {
	if s.kind == "sqlite" {
		name += ".sqlite"
	}
	return s.beside(name)
}

func (s *shop) exists(t *testing.T, at engine.Target) bool {
	t.Helper()
	if s.kind == "postgres" {
		return len(s.ask(t, s.cluster.Target("postgres"), `SELECT datname::text FROM pg_database WHERE datname = $1`, at.Name)) == 1
	}
	_, err := os.Lstat(at.Path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return err == nil
}

func (s *shop) drop(t *testing.T, at engine.Target) {
	t.Helper()
	if s.kind == "sqlite" {
		for _, suffix := range []string{"", "-wal", "-shm", "-journal", ".new"} {
			if err := os.Remove(at.Path + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
				t.Error(err)
			}
		}
		return
	}
	run(t, s.cluster.Target("postgres"), "DROP DATABASE IF EXISTS "+pgtestQuote(at.Name)+" WITH (FORCE)")
}

func pgtestQuote(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// leftovers are what restores left beside the live database.
func (s *shop) leftovers(t *testing.T) []string {
	t.Helper()
	names, err := s.engine.Leftovers(context.Background(), s.ours(s.target))
	if err != nil {
		t.Error(err)
	}
	if s.kind == "sqlite" { // also what SQLite keeps beside them, and what has no name yet
		files, _ := filepath.Glob(filepath.Join(filepath.Dir(s.target.Path), "safepoint_*"))
		for _, f := range files {
			name := strings.TrimSuffix(filepath.Base(f), ".sqlite")
			if known := slices.ContainsFunc(names, func(n string) bool { return strings.HasPrefix(name, n) }); !known {
				names = append(names, name)
			}
		}
	}
	return names
}
