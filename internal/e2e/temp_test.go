package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/safepoint-db/safepoint/internal/pgserver"
	"github.com/safepoint-db/safepoint/internal/pgtest"
)

// TestTemporaryFilesOfAKilledDump: what a dump that was killed left in the folder for temporary files goes with the next one, and
// its unfinished file with one that comes two days later.
func TestTemporaryFilesOfAKilledDump(t *testing.T) {
	t.Parallel()
	source := pgtest.Create(t, pgtest.Shared(t))
	pgtest.Exec(t, source, "CREATE TABLE orders (id int PRIMARY KEY)")
	folder, err := os.MkdirTemp("/tmp", "tmp") // not t.TempDir: a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(folder) })
	out := t.TempDir()
	left := func() []os.DirEntry { return must(os.ReadDir(folder))(t) }
	dump := func(file string) *exec.Cmd {
		cmd := exec.CommandContext(t.Context(), must(program())(t), "dump", "-o", filepath.Join(out, file),
			"--from", fmt.Sprintf("postgres://%s@/%s?host=%s&port=%d", source.User, source.Name, source.Host, source.Port))
		cmd.Env = append(os.Environ(), "TMPDIR="+folder)
		return cmd
	}

	// It waits for the table, and is killed while it does.
	holder := must(pgserver.Connect(t.Context(), source))(t)
	defer holder.Close(t.Context())
	must(holder.Exec(t.Context(), "BEGIN; LOCK TABLE orders"))(t)
	killed := dump("killed.sql.zst")
	if err := killed.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the dump has temporary files", func() bool { return len(left()) > 0 })
	killed.Process.Kill()
	killed.Wait()
	if len(left()) == 0 {
		t.Fatal("the dump left nothing: this shows nothing")
	}
	must(holder.Exec(t.Context(), "ROLLBACK"))(t)
	unfinished := must(filepath.Glob(filepath.Join(out, ".killed.sql.zst.*")))(t)
	if len(unfinished) != 1 {
		t.Fatalf("the dump left the unfinished files %v", unfinished)
	}
	longAgo := time.Now().Add(-48 * time.Hour)
	if err := os.Chtimes(unfinished[0], longAgo, longAgo); err != nil {
		t.Fatal(err)
	}

	if said, err := dump("next.sql.zst").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	if files := must(os.ReadDir(out))(t); len(files) != 1 || files[0].Name() != "next.sql.zst" {
		t.Errorf("beside the next dump there is more: %v", files)
	}
	if l := left(); len(l) > 0 {
		t.Errorf("left for ever: %v", l)
	}
}
