package local

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/safepoint-db/safepoint/internal/storage/storagetest"
)

// TestOrderOfCommit watches the system calls of a Commit and a Delete: a power cut between any two of them must not
// leave a name without its bytes. The process that is watched is this same test, told so by its environment.
func TestOrderOfCommit(t *testing.T) {
	if dir := os.Getenv("SAFEPOINT_TEST_COMMIT_IN"); dir != "" {
		s := open(t, dir)
		storagetest.Put(t, s, "org/key", bytes.Repeat([]byte("x"), 3*writeBuffer+1))
		if err := s.Delete(t.Context(), "org/key"); err != nil {
			t.Fatal(err)
		}
		return
	}
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Skip("needs strace: apt-get install strace")
	}
	dir := t.TempDir()
	log := filepath.Join(dir, "calls")
	cmd := exec.Command(strace, "-f", "-y", "-qq", "-e", "trace=write,fsync,linkat,mkdirat,unlinkat,renameat,renameat2", "-o", log,
		os.Args[0], "-test.run=^TestOrderOfCommit$")
	cmd.Env = append(os.Environ(), "SAFEPOINT_TEST_COMMIT_IN="+filepath.Join(dir, "b"))
	if out, err := cmd.CombinedOutput(); err != nil {
		if strings.Contains(string(out), "ptrace") {
			t.Skipf("needs the right to trace a process, which some containers take away: %s", out)
		}
		t.Fatalf("%v: %s", err, out)
	}
	calls, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	rest := string(calls)
	for _, step := range []string{
		`mkdirat\([^)]*/b>, "\.unfinished"`,
		`fsync\([0-9]+<[^>]*/b>`,
		`write\([0-9]+<[^>]*/b/\.unfinished/[a-z0-9]+>`,
		`fsync\([0-9]+<[^>]*/b/\.unfinished/[a-z0-9]+>`, // the bytes
		`mkdirat\([^)]*/b>, "org"`,
		`fsync\([0-9]+<[^>]*/b>`, // the folder's name
		`linkat\([^)]*\.unfinished>, "[a-z0-9]+", [^)]*/b/org>, "key"`,
		`fsync\([0-9]+<[^>]*/b/org>`, // the file's name
		`unlinkat\([^)]*\.unfinished>, "[a-z0-9]+"`,
		`unlinkat\([^)]*/b/org>, "key"`,
		`fsync\([0-9]+<[^>]*/b/org>`, // that it is gone
	} {
		at := regexp.MustCompile(step).FindStringIndex(rest)
		if at == nil {
			t.Fatalf("no %s in its place; the calls are\n%s", step, calls)
		}
		rest = rest[at[1]:]
	}
	synced := regexp.MustCompile(`(?s)fsync\([0-9]+<[^>]*/\.unfinished/.*linkat`).FindString(string(calls))
	if regexp.MustCompile(`write\([0-9]+<[^>]*/\.unfinished/`).MatchString(synced) {
		t.Errorf("bytes are written after the file was synced:\n%s", calls)
	}
}
