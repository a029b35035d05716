package browsertest

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/safepoint-db/safepoint/internal/pgtest"
)

func TestMain(m *testing.M) {
	code := pgtest.Main(m)
	if built != "" {
		os.RemoveAll(filepath.Dir(built))
	}
	if lookDir != "" {
		os.RemoveAll(lookDir)
	}
	os.Exit(code)
}

var built string // the program, once a test needed it

var build = sync.OnceValue(func() error {
	dir, err := os.MkdirTemp("", "browsertest")
	if err != nil {
		return err
	}
	built = filepath.Join(dir, "safepoint")
	if out, err := exec.Command("go", "build", "-o", built, "../../cmd/safepoint").CombinedOutput(); err != nil {
		return fmt.Errorf("build: %w\n%s", err, out)
	}
	return nil
})

// launch builds the program and runs it in a home of its own until the test ends, which must be a good end. It returns
// what a pattern finds in its output, the whole first, as soon as it is there.
func launch(t *testing.T, pattern string, args ...string) []string {
	t.Helper()
	if err := build(); err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	log, err := os.Create(filepath.Join(home, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command(built, args...)
	cmd.Env = append(os.Environ(), "HOME="+home, "TMPDIR="+home)
	cmd.Stderr = log
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	found, said := make(chan []string, 1), make(chan string, 1)
	go func() {
		defer close(found)
		var all strings.Builder
		want := regexp.MustCompile(pattern)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			fmt.Fprintln(&all, lines.Text())
			if m := want.FindStringSubmatch(all.String()); m != nil {
				found <- m
				want = regexp.MustCompile(`\z\A.`) // finds nothing: the rest is only read
			}
		}
		said <- all.String()
	}()
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		text := <-said
		if err := cmd.Wait(); err != nil {
			t.Errorf("safepoint %s ended badly: %v", args[0], err)
		}
		if t.Failed() {
			errors, _ := os.ReadFile(log.Name())
			t.Logf("safepoint %s said:\n%s\n%s", args[0], text, errors)
		}
	})
	select {
	case m, ok := <-found:
		if !ok {
			t.Fatalf("safepoint %s ended before it printed %s", strings.Join(args, " "), pattern)
		}
		return m
	case <-time.After(2 * time.Minute):
		t.Fatalf("safepoint %s did not print %s within 2 minutes", strings.Join(args, " "), pattern)
	}
	return nil
}
