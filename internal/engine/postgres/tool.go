package postgres

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/safepoint-db/safepoint"
)

// tool is an installed pg_dump, with the pg_restore beside it.
type tool struct {
	dir     string
	major   int
	minor   int
	version string // "15.18 (Debian 15.18-0+deb12u1)"
}

func (t tool) program(name string) string { return filepath.Join(t.dir, name) }

// String is what Info.Tool shows.
func (t tool) String() string { return "pg_dump " + t.version }

var versionLine = regexp.MustCompile(`^pg_dump \(PostgreSQL\) ((\d+)(?:\.(\d+))?\S*.*)\n`)

// findTool chooses the pg_dump for a server: the one of its own version, else of the next newer one, and of those the
// latest minor version. A pg_dump refuses servers newer than itself, and a much newer one may write what the server
// that it read from does not understand: docs/decisions/0011.
func (e Engine) findTool(ctx context.Context, serverVersionNum int) (tool, error) {
	server := serverVersionNum / 10000
	var newest tool
	for _, dirs := range [][]string{e.Programs, installedDirs()} {
		var best tool
		for _, dir := range dirs {
			t, ok := probeTool(ctx, dir)
			if !ok {
				continue
			}
			if t.major > newest.major {
				newest = t
			}
			if t.major >= server && (best.dir == "" || t.fitsBetter(best)) {
				best = t
			}
		}
		if best.dir != "" {
			return best, nil
		}
	}
	if ctx.Err() != nil {
		return tool{}, fmt.Errorf("look for pg_dump: %w", ctx.Err())
	}
	message := "pg_dump is not installed where Safepoint runs."
	if newest.dir != "" {
		message = fmt.Sprintf("The server is PostgreSQL %d, and the newest pg_dump on this machine is %s (in %s): it refuses a newer server.", server, newest.version, newest.dir)
	}
	return tool{}, safepoint.Errorf(safepoint.CodeTool, "%s", message).
		WithHint("Install the client programs of PostgreSQL %d or later where Safepoint runs, for example: apt-get install postgresql-client-%d. It looks in %s.", server, server, e.lookedIn())
}

// fitsBetter compares two that both can dump a server.
func (t tool) fitsBetter(than tool) bool {
	if t.major != than.major {
		return t.major < than.major
	}
	return t.minor > than.minor
}

func (e Engine) lookedIn() string {
	const usual = "/usr/lib/postgresql/*/bin and PATH; --pg-bin (SAFEPOINT_PG_BIN) names other folders"
	if len(e.Programs) == 0 {
		return usual
	}
	return strings.Join(e.Programs, ", ") + " (--pg-bin), /usr/lib/postgresql/*/bin and PATH"
}

func installedDirs() []string {
	dirs, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	return append(dirs, filepath.SplitList(os.Getenv("PATH"))...)
}

// probed are the programs that were asked for their version. One that was replaced is asked again.
var probed sync.Map // of probedFile to tool

type probedFile struct {
	path    string
	changed time.Time
	size    int64
}

func probeTool(ctx context.Context, dir string) (tool, bool) {
	real, err := filepath.EvalSymlinks(filepath.Join(dir, "pg_dump"))
	switch {
	case err != nil, filepath.Base(real) == "pg_wrapper": // Debian's /usr/bin/pg_dump, a slow way to one of /usr/lib/postgresql
		return tool{}, false
	case filepath.Base(real) == "pg_dump":
		dir = filepath.Dir(real)
	}
	if _, err := os.Stat(filepath.Join(dir, "pg_restore")); err != nil {
		return tool{}, false
	}
	file, err := os.Stat(filepath.Join(dir, "pg_dump"))
	if err != nil {
		return tool{}, false
	}
	asked := probedFile{filepath.Join(dir, "pg_dump"), file.ModTime(), file.Size()}
	if known, ok := probed.Load(asked); ok {
		return known.(tool), true
	}
	cmd := exec.CommandContext(ctx, asked.path, "--version")
	cmd.Env = toolEnv()
	out, err := cmd.Output()
	m := versionLine.FindSubmatch(out)
	if err != nil || m == nil {
		return tool{}, false
	}
	major, _ := strconv.Atoi(string(m[2]))
	minor, _ := strconv.Atoi(string(m[3])) // "" of a beta is 0
	found := tool{dir: dir, major: major, minor: minor, version: string(m[1])}
	probed.Store(asked, found)
	return found, true
}

// toolEnv is all a tool gets to see: nothing of ours, so that no PG… variable and no secret reaches it.
func toolEnv() []string {
	return []string{"PATH=/usr/local/bin:/usr/bin:/bin", "LC_ALL=C", "HOME=/nonexistent", "PGPASSFILE=/dev/null", "PGSSLMODE=disable", "PGGSSENCMODE=disable"}
}
