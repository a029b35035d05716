package local

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/storage"
	"github.com/safepoint-db/safepoint/internal/storage/storagetest"
	"golang.org/x/sys/unix"
)

func open(t *testing.T, dir string) *Storage {
	t.Helper()
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestContract(t *testing.T) {
	storagetest.Run(t, func(t *testing.T) storage.Storage { return open(t, filepath.Join(t.TempDir(), "new", "backups")) })
}

func TestModes(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "backups")
	s := open(t, dir)
	storagetest.Put(t, s, "org_1/op_1.sql.zst", []byte("x"))
	if _, err := s.Create(t.Context(), "org_1/op_2.sql.zst"); err != nil {
		t.Fatal(err)
	}
	seen := 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		want := fs.FileMode(0o600)
		if d.IsDir() {
			want = 0o700
		}
		if info.Mode().Perm() != want {
			t.Errorf("%s has mode %o", path, info.Mode().Perm())
		}
		seen++
		return nil
	})
	if err != nil || seen != 6 {
		t.Errorf("saw %d files and folders, want 6; %v", seen, err)
	}
}

func TestOneProcess(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	_, err := Open(dir)
	if safepoint.ErrorCode(err) != safepoint.CodeConflict || !strings.Contains(err.Error(), dir) {
		t.Errorf("a second Open gives %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	open(t, dir)
}

// What a process that was killed left behind is swept by the next one, and nothing else is.
func TestSweepAfterCrash(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	storagetest.Put(t, s, "a", []byte("stays"))
	for _, key := range []string{"b", "c"} {
		u, err := s.Create(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := u.Write(bytes.Repeat([]byte("x"), 2*writeBuffer)); err != nil {
			t.Fatal(err)
		}
	}
	s.Close()

	s = open(t, dir)
	if n, err := s.Sweep(t.Context()); n != 2 || err != nil {
		t.Errorf("Sweep removed %d, %v; want 2", n, err)
	}
	left, err := os.ReadDir(filepath.Join(dir, unfinished))
	if err != nil || len(left) != 0 {
		t.Errorf("left are %v, %v", left, err)
	}
	if keys := storagetest.Keys(t, s, ""); !slices.Equal(keys, []string{"a"}) {
		t.Errorf("list is %q", keys)
	}
}

func TestSymlinks(t *testing.T) {
	outside := t.TempDir()
	if err := os.WriteFile(filepath.Join(outside, "secret"), []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	s := open(t, dir)
	storagetest.Put(t, s, "real/file", []byte("x"))
	for name, target := range map[string]string{
		"out": outside, "file-out": filepath.Join(outside, "secret"), "in": "real", "file-in": "real/file", "dangling": "nowhere",
	} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	for _, key := range []string{"out/secret", "file-out", "in/file", "file-in", "dangling"} {
		if f, err := s.Open(t.Context(), key); err == nil {
			f.Close()
			t.Errorf("%s opens", key)
		}
		if _, err := s.Stat(t.Context(), key); err == nil {
			t.Errorf("stat finds %s", key)
		}
		if err := s.Delete(t.Context(), key); err == nil {
			t.Errorf("%s can be deleted", key)
		}
	}
	for _, key := range []string{"out/new", "in/new", "dangling", "file-out"} {
		u, err := s.Create(t.Context(), key)
		if err == nil {
			err = u.Commit()
		}
		if err == nil {
			t.Errorf("%s can be written", key)
		}
	}
	if keys := storagetest.Keys(t, s, ""); !slices.Equal(keys, []string{"real/file"}) {
		t.Errorf("list is %q", keys)
	}
	left, err := os.ReadDir(outside)
	if err != nil || len(left) != 1 {
		t.Errorf("outside there are %v, %v", left, err)
	}
}

// A named pipe must not make Open wait for somebody to write to it.
func TestPipe(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	if err := unix.Mkfifo(filepath.Join(dir, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Open(t.Context(), "pipe"); err == nil {
		t.Error("a pipe opens as a backup")
	}
}

// Where the file system has no hard links, a rename takes their place; it must not replace a file either.
func TestRename(t *testing.T) {
	s := open(t, t.TempDir())
	storagetest.Put(t, s, "a", []byte("first"))
	for key, want := range map[string]error{"a": fs.ErrExist, "b": nil} {
		name := "upload-of-" + key
		u := &upload{ctx: t.Context(), s: s, key: key, name: name}
		if err := os.WriteFile(filepath.Join(s.dir, u.temp()), []byte("second"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := u.rename(); !errors.Is(err, want) {
			t.Errorf("rename to %s gives %v, want %v", key, err, want)
		}
	}
	if a, b := storagetest.Get(t, s, "a"), storagetest.Get(t, s, "b"); string(a) != "first" || string(b) != "second" {
		t.Errorf("a is %q, b is %q", a, b)
	}
}

// What the operator can mend is said as such, with what to do, whether a file is written or read.
func TestFailuresOfTheDisk(t *testing.T) {
	s, err := Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for errno, want := range map[error]safepoint.Code{
		unix.EROFS: safepoint.CodePrivilege, unix.EACCES: safepoint.CodePrivilege, unix.EPERM: safepoint.CodePrivilege,
		unix.EIO: safepoint.CodeUnreachable, unix.ENOSPC: safepoint.CodeSpace, unix.EDQUOT: safepoint.CodeSpace, unix.EMFILE: safepoint.CodeInternal,
	} {
		err := s.failedAt("read", "a/b", &fs.PathError{Op: "read", Path: "a/b", Err: errno})
		if e := safepoint.UserError(err); e.Code != want || e.Hint == "" || !errors.Is(err, errno) || !strings.Contains(err.Error(), "read a/b in backup storage") {
			t.Errorf("%v: %s, %v, %q", errno, e.Code, err, e.Hint)
		}
	}
}

// TestFailuresNameNoFolder: an organization's people see no path of the server, and its log the folder and the cause.
func TestFailuresNameNoFolder(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "backups"))
	if strings.Contains(s.Name(), string(filepath.Separator)) {
		t.Errorf("the storage is called %s", s.Name())
	}
	for cause, says := range map[error]string{
		unix.ENOSPC: "is full: ", unix.EDQUOT: "quota", unix.EROFS: "only be read", unix.EACCES: "may not use the folder", unix.EIO: "answered with an error",
	} {
		err := s.failedAt("write", "org_1/op_1.sql.zst", &fs.PathError{Op: "openat", Path: filepath.Join(s.dir, "org_1/op_1.sql.zst"), Err: cause})
		shown := safepoint.UserError(err)
		if !strings.Contains(shown.Message, says) || shown.Hint == "" || strings.Contains(shown.Message+shown.Hint, s.dir) {
			t.Errorf("%v: a person sees %q, %q", cause, shown.Message, shown.Hint)
		}
		if logged := err.Error(); !strings.Contains(logged, s.dir) || !strings.Contains(logged, "write org_1/op_1.sql.zst") || !errors.Is(err, cause) {
			t.Errorf("%v: the log says %s", cause, logged)
		}
	}
}
