// Package pgtest gives tests a real PostgreSQL cluster: one per test process, or one of their own.
//
// Where PostgreSQL's server programs are missing, tests are skipped and say what to install; with CI=1 or
// SAFEPOINT_REQUIRE_PG=1 in the environment they fail instead. SAFEPOINT_PG_DIR is the folder under which clusters are made,
// for what must lie on a disk.
package pgtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/safepoint-db/safepoint/internal/engine"
	"github.com/safepoint-db/safepoint/internal/pgserver"
)

var (
	root     string // of everything this process makes; "" until the first use
	rootOnce sync.Once
	rootErr  error

	mu        sync.Mutex
	templates = map[string]*once[string]{}         // data folders to copy, by the folder of their programs
	shared    = map[int]*once[*pgserver.Cluster]{} // by major version; 0 is the machine's own

	databases atomic.Int64
)

// once is something that is made at the first use.
type once[T any] struct {
	sync.Once
	made T
	err  error
}

func at[K comparable, T any](m map[K]*once[T], key K) *once[T] {
	mu.Lock()
	defer mu.Unlock()
	if m[key] == nil {
		m[key] = &once[T]{}
	}
	return m[key]
}

// Versions are the major versions that Safepoint works with. scripts/postgres-versions fetches those that the
// machine's packages do not bring.
func Versions() []int { return []int{13, 14, 15, 16, 17, 18} }

// Main runs a package's tests and then removes what Shared made. Use it as
//
//	func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }
func Main(m *testing.M) int {
	code := m.Run()
	for _, s := range shared {
		if s.made != nil {
			s.made.Kill()
		}
	}
	if root != "" {
		os.RemoveAll(root)
	}
	return code
}

// Shared is the process's own cluster, on a Unix socket and on 127.0.0.1. Tests that use it in parallel keep to
// databases made by Create. The package needs TestMain with Main.
func Shared(t testing.TB) *pgserver.Cluster {
	t.Helper()
	s := at(shared, 0)
	s.Do(func() { s.made, s.err = start("shared", pgserver.Options{TCP: true}) })
	check(t, s.err)
	return s.made
}

// SharedVersion is Shared of one major version.
func SharedVersion(t testing.TB, major int) *pgserver.Cluster {
	t.Helper()
	s := at(shared, major)
	s.Do(func() {
		var dir string
		if dir, s.err = pgserver.FindVersion(major); s.err == nil {
			s.made, s.err = start(fmt.Sprintf("v%d", major), pgserver.Options{TCP: true, BinDir: dir})
		}
	})
	check(t, s.err)
	return s.made
}

// Version is the folder of one major version's server, for Options.BinDir.
func Version(t testing.TB, major int) (binDir string) {
	t.Helper()
	dir, err := pgserver.FindVersion(major)
	check(t, err)
	return dir
}

// Start starts a cluster for one test and removes it after. Its system identifier is that of every other cluster of
// this process unless opt.Template is "new", which runs initdb again.
func Start(t testing.TB, opt pgserver.Options) *pgserver.Cluster {
	t.Helper()
	c, err := start(fmt.Sprintf("c%d", databases.Add(1)), opt)
	check(t, err)
	t.Cleanup(func() {
		c.Stop()
		os.RemoveAll(c.Dir)
	})
	return c
}

// Create makes an empty database with a name of its own, drops it after the test, and returns how to reach it over
// the Unix socket as the superuser.
func Create(t testing.TB, c *pgserver.Cluster) engine.Target {
	t.Helper()
	return CreateNamed(t, c, fmt.Sprintf("test_%d_%d", os.Getpid(), databases.Add(1)))
}

// CreateNamed is Create with a name of the test's choice.
func CreateNamed(t testing.TB, c *pgserver.Cluster, name string) engine.Target {
	t.Helper()
	quoted := Quote(name)
	Exec(t, c.Target("postgres"), "CREATE DATABASE "+quoted+" TEMPLATE template0")
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := c.Exec(ctx, "postgres", "DROP DATABASE IF EXISTS "+quoted+" WITH (FORCE)"); err != nil {
			t.Logf("drop %s: %v", quoted, err)
		}
	})
	return c.Target(name)
}

// Quote makes an SQL identifier of any name.
func Quote(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// Exec runs statements, separated by ";", or fails the test.
func Exec(t testing.TB, target engine.Target, sql string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	conn, err := pgserver.Connect(ctx, target)
	if err != nil {
		t.Fatalf("connect to %s: %v", target.Name, err)
	}
	defer conn.Close(context.Background())
	if _, err := conn.Exec(ctx, sql); err != nil {
		t.Fatalf("%v\nin: %.500s", err, sql)
	}
}

// Query returns the first column of the rows of one statement as text, or fails the test. NULL is "NULL".
func Query(t testing.TB, target engine.Target, sql string, args ...any) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	conn, err := pgserver.Connect(ctx, target)
	if err != nil {
		t.Fatalf("connect to %s: %v", target.Name, err)
	}
	defer conn.Close(context.Background())
	rows, err := conn.Query(ctx, sql, args...)
	if err != nil {
		t.Fatalf("%v\nin: %.500s", err, sql)
	}
	defer rows.Close()
	var out []string
	for rows.Next() {
		v := "NULL"
		if raw := rows.RawValues(); len(raw) > 0 && raw[0] != nil {
			v = string(raw[0])
		}
		out = append(out, v)
	}
	if err := rows.Err(); err != nil {
		t.Fatalf("%v\nin: %.500s", err, sql)
	}
	return out
}

func start(name string, opt pgserver.Options) (*pgserver.Cluster, error) {
	rootOnce.Do(func() {
		// Not t.TempDir: a socket's path must be short, and the folder open to the user who runs the server.
		if root, rootErr = os.MkdirTemp(parent(), "sp"); rootErr == nil {
			rootErr = os.Chmod(root, 0o755)
		}
	})
	if rootErr != nil {
		return nil, rootErr
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	switch opt.Template {
	case "new":
		opt.Template = ""
	case "":
		made := at(templates, opt.BinDir)
		made.Do(func() {
			made.made, made.err = pgserver.Init(ctx, filepath.Join(root, fmt.Sprintf("t%d", databases.Add(1))), opt.BinDir)
		})
		if made.err != nil {
			return nil, made.err
		}
		opt.Template = made.made
	}
	return pgserver.Start(ctx, filepath.Join(root, name), opt)
}

// parent is the folder that clusters are made under: one in memory, where that has room for many. Tests make hundreds of
// databases of 300 files each, and ext4 spends more time on finding numbers for those, among the ones of files just removed,
// than PostgreSQL on all else.
func parent() string {
	if dir := os.Getenv("SAFEPOINT_PG_DIR"); dir != "" {
		return dir
	}
	var s unix.Statfs_t
	if unix.Statfs(memory, &s) != nil || s.Bavail*uint64(s.Bsize) < memoryNeeded || unix.Access(memory, unix.W_OK) != nil {
		return "/tmp"
	}
	return memory
}

const (
	memory       = "/dev/shm"
	memoryNeeded = 8 << 30 // bytes, several times what the largest package uses
)

func check(t testing.TB, err error) {
	t.Helper()
	switch {
	case err == nil:
	case errors.Is(err, pgserver.ErrNotInstalled) && os.Getenv("CI") == "" && os.Getenv("SAFEPOINT_REQUIRE_PG") == "":
		t.Skip(err)
	default:
		t.Fatal(err)
	}
}
