package pgserver

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
)

// installation is a folder of PostgreSQL programs.
type installation struct {
	dir   string
	major int // 0 is not known
}

// installations are the folders in which programs are looked for, newest first: Debian's, those that
// scripts/postgres-versions made, and PATH last.
func installations() []installation {
	var all []installation
	dirs, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	for _, root := range testRoots() {
		more, _ := filepath.Glob(filepath.Join(root, "*", "bin"))
		dirs = append(dirs, more...)
	}
	for _, d := range dirs {
		if major, err := strconv.Atoi(filepath.Base(filepath.Dir(d))); err == nil {
			all = append(all, installation{d, major})
		}
	}
	slices.SortStableFunc(all, func(a, b installation) int { return cmp.Compare(b.major, a.major) })
	for _, d := range filepath.SplitList(os.Getenv("PATH")) {
		all = append(all, installation{dir: d})
	}
	return all
}

// testRoots are where scripts/postgres-versions keeps what it fetched.
func testRoots() []string {
	if root := os.Getenv("SAFEPOINT_TEST_POSTGRES"); root != "" {
		return []string{root}
	}
	roots := []string{"/var/cache/safepoint/postgres"}
	if cache, err := os.UserCacheDir(); err == nil && os.Geteuid() != 0 {
		roots = []string{filepath.Join(cache, "safepoint", "postgres")}
	}
	return roots
}

// FindBinDir is the folder of the newest installed initdb and postgres that this machine's own packages brought, or an
// error that wraps ErrNotInstalled.
func FindBinDir() (string, error) {
	var own []installation
	dirs, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	for _, i := range installations() {
		if i.major == 0 || slices.Contains(dirs, i.dir) {
			own = append(own, i)
		}
	}
	for _, i := range own {
		if i.server() {
			return i.dir, nil
		}
	}
	return "", ErrNotInstalled
}

// FindVersion is the folder of initdb and postgres of one major version, or an error that wraps ErrNotInstalled.
func FindVersion(major int) (string, error) {
	for _, i := range installations() {
		if i.major == major && i.server() {
			return i.dir, nil
		}
	}
	return "", fmt.Errorf("%w; scripts/postgres-versions fetches other versions for the tests (PostgreSQL %d was asked for)", ErrNotInstalled, major)
}

// ToolDirs are all folders that hold a pg_dump, newest first: for an engine that is to dump every version.
func ToolDirs() []string {
	var dirs []string
	for _, i := range installations() {
		if i.major > 0 && executable(filepath.Join(i.dir, "pg_dump")) {
			dirs = append(dirs, i.dir)
		}
	}
	return dirs
}

func (i installation) server() bool {
	return executable(filepath.Join(i.dir, "initdb")) && executable(filepath.Join(i.dir, "postgres"))
}

// program is the path of a client program that fits the cluster.
func (c *Cluster) program(name string) string {
	own := filepath.Join(c.BinDir, name)
	if executable(own) {
		return own
	}
	major, _ := strconv.Atoi(filepath.Base(filepath.Dir(c.BinDir)))
	all := installations()
	slices.Reverse(all)
	for _, i := range all {
		if path := filepath.Join(i.dir, name); i.major >= major && executable(path) {
			return path
		}
	}
	return own
}

func executable(path string) bool {
	fi, err := os.Stat(path)
	return err == nil && fi.Mode().IsRegular() && fi.Mode()&0o111 != 0
}
