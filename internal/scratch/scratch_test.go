package scratch

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestMain lets this program be a process that is killed while it holds a folder.
func TestMain(m *testing.M) {
	if parent := os.Getenv("SCRATCH_PARENT"); parent != "" {
		f, err := New(parent)
		if err != nil {
			panic(err)
		}
		os.Stdout.WriteString(f.Path + "\n")
		os.Stdin.Read(make([]byte, 1)) // until it is killed
		return
	}
	os.Exit(m.Run())
}

func TestKilledProcess(t *testing.T) {
	parent := t.TempDir()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "SCRATCH_PARENT="+parent)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	path := strings.TrimSpace(line)
	write(t, filepath.Join(path, "deep", "schema"))

	remove(t, folder(t, parent))
	if !exists(path) {
		t.Fatal("the folder of a process that lives was removed")
	}
	cmd.Process.Kill()
	cmd.Wait()
	if !exists(path) {
		t.Fatal("the process removed its folder itself: this shows nothing")
	}
	remove(t, folder(t, parent))
	if exists(path) {
		t.Error("the folder of a killed process stayed")
	}
}

func TestRemove(t *testing.T) {
	f := folder(t, t.TempDir())
	write(t, filepath.Join(f.Path, "file"))
	remove(t, f)
	if exists(f.Path) {
		t.Error("it is still there")
	}
	remove(t, f)
}

func TestWhatIsNotOursStays(t *testing.T) {
	parent, elsewhere := t.TempDir(), t.TempDir()
	kept := filepath.Join(elsewhere, "file")
	write(t, kept)
	open, link, file := filepath.Join(parent, prefix+"open"), filepath.Join(parent, prefix+"link"), filepath.Join(parent, prefix+"file")
	write(t, file)
	if err := os.Mkdir(open, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(elsewhere, link); err != nil {
		t.Fatal(err)
	}
	remove(t, folder(t, parent))
	for _, path := range []string{kept, open, link, file} {
		if !exists(path) {
			t.Errorf("%s is gone", path)
		}
	}
}

func TestFilesOfKilledProcesses(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "odd [name")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	old := func(path string) string {
		days := time.Now().Add(-2 * stale)
		if err := os.Chtimes(path, days, days); err != nil {
			t.Fatal(err)
		}
		return path
	}
	create := func() *os.File {
		f, err := Create(dir, "shop.sql.zst")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		return f
	}
	write(t, filepath.Join(dir, ".other.part"))
	other := old(filepath.Join(dir, ".other.part"))
	held, young, left := create(), create(), create()
	young.Close()
	left.Close()
	old(held.Name())
	old(left.Name())
	made := create()
	for path, stays := range map[string]bool{other: true, held.Name(): true, young.Name(): true, made.Name(): true, left.Name(): false} {
		if exists(path) != stays {
			t.Errorf("%s: stays is %t, want %t", filepath.Base(path), exists(path), stays)
		}
	}
}

// Many that make folders at once sweep one another's before they are locked, and yet each gets one.
func TestAtOnce(t *testing.T) {
	parent := t.TempDir()
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			for range 50 {
				f, err := New(parent)
				if err != nil {
					t.Error(err)
					return
				}
				if err := os.WriteFile(filepath.Join(f.Path, "file"), nil, 0o600); err != nil {
					t.Error(err)
				}
				if err := f.Remove(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if left, err := os.ReadDir(parent); err != nil || len(left) > 0 {
		t.Errorf("%v are left, %v", left, err)
	}
}

func folder(t *testing.T, parent string) *Folder {
	t.Helper()
	f, err := New(parent)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func remove(t *testing.T, f *Folder) {
	t.Helper()
	if err := f.Remove(); err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, path string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
