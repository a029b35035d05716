package postgres

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"

	"github.com/safepoint-db/safepoint"
)

// tool is an installed pg_dump, with the pg_restore beside it.
type tool struct {
	dir     string
	major   int
	version string // "15.18 (Debian 15.18-0+deb12u1)"
}

func (t tool) program(name string) string { return filepath.Join(t.dir, name) }

// String is what Info.Tool shows.
func (t tool) String() string { return "pg_dump " + t.version }

var versionLine = regexp.MustCompile(`^pg_dump \(PostgreSQL\) ((\d+)\S*.*)\n`)

// findTool chooses the pg_dump for a server: the one of its own version, else the next newer one, for a pg_dump
// refuses servers newer than itself, and much newer ones may write what an older server does not read.
func findTool(ctx context.Context, serverVersionNum int) (tool, error) {
	server := serverVersionNum / 10000
	var best tool
	newest := 0
	for _, dir := range toolDirs() {
		t, ok := probeTool(ctx, dir)
		if !ok {
			continue
		}
		newest = max(newest, t.major)
		if t.major >= server && (best.dir == "" || t.major < best.major) {
			best = t
		}
	}
	switch {
	case best.dir != "":
		return best, nil
	case ctx.Err() != nil:
		return tool{}, fmt.Errorf("look for pg_dump: %w", ctx.Err())
	case newest > 0:
		return tool{}, safepoint.Errorf(safepoint.CodeTool, "The server is PostgreSQL %d, and the newest pg_dump on this machine is %d.", server, newest).
			WithHint("Install the client programs of PostgreSQL %d or later where Safepoint runs, for example: apt-get install postgresql-client-%d", server, server)
	}
	return tool{}, safepoint.Errorf(safepoint.CodeTool, "pg_dump is not installed where Safepoint runs.").
		WithHint("Install it, for example: apt-get install postgresql-client-%d", server)
}

func toolDirs() []string {
	dirs, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	return append(dirs, filepath.SplitList(os.Getenv("PATH"))...)
}

func probeTool(ctx context.Context, dir string) (tool, bool) {
	path := filepath.Join(dir, "pg_dump")
	if real, err := filepath.EvalSymlinks(path); err != nil {
		return tool{}, false
	} else if filepath.Base(real) == "pg_dump" {
		dir = filepath.Dir(real) // Debian's /usr/bin/pg_dump is a script that chooses one by itself: it stays where it is
	}
	if _, err := os.Stat(filepath.Join(dir, "pg_restore")); err != nil {
		return tool{}, false
	}
	cmd := exec.CommandContext(ctx, filepath.Join(dir, "pg_dump"), "--version")
	cmd.Env = toolEnv()
	out, err := cmd.Output()
	m := versionLine.FindSubmatch(out)
	if err != nil || m == nil {
		return tool{}, false
	}
	major, _ := strconv.Atoi(string(m[2]))
	return tool{dir: dir, major: major, version: string(m[1])}, true
}

// toolEnv is all a tool gets to see: nothing of ours, so that no PG… variable and no secret reaches it.
func toolEnv() []string {
	return []string{"PATH=/usr/local/bin:/usr/bin:/bin", "LC_ALL=C", "HOME=/nonexistent", "PGPASSFILE=/dev/null", "PGSSLMODE=disable", "PGGSSENCMODE=disable"}
}
