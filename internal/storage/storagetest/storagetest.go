// Package storagetest holds the behaviour every storage back end must show. A back end's own test calls Run.
package storagetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/storage"
)

// Run runs the suite. open gives an empty storage, and cleans it up with t.Cleanup.
func Run(t *testing.T, open func(t *testing.T) storage.Storage) {
	for _, c := range []struct {
		name string
		test func(*testing.T, storage.Storage)
	}{
		{"Put and read back", putAndRead},
		{"An empty object", emptyObject},
		{"Not visible before Commit", invisible},
		{"Abort leaves nothing", abort},
		{"An upload ends once", endsOnce},
		{"An existing key is refused", existing},
		{"Two uploads of one key", race},
		{"A cancelled upload fails", cancelled},
		{"Ranges", ranges},
		{"What is missing is not found", missing},
		{"Odd keys are refused", oddKeys},
		{"List is in key order", listOrder},
		{"List by prefix", listPrefix},
		{"List stops when told", listStops},
		{"Delete", deletes},
		{"An open file outlives Delete", readDeleted},
		{"Sweep", sweep},
		{"Many at once", concurrent},
		{"Space and Name", space},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.test(t, open(t))
		})
	}
}

// Put stores data under key.
func Put(t testing.TB, s storage.Storage, key string, data []byte) {
	t.Helper()
	u := begin(t, s, key, data)
	if err := u.Commit(); err != nil {
		t.Fatalf("commit %s: %v", key, err)
	}
}

// Get returns what is stored under key.
func Get(t testing.TB, s storage.Storage, key string) []byte {
	t.Helper()
	f, err := s.Open(t.Context(), key)
	if err != nil {
		t.Fatalf("open %s: %v", key, err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.NewSectionReader(f, 0, f.Size()))
	if err != nil {
		t.Fatalf("read %s: %v", key, err)
	}
	return data
}

// Keys lists the keys under prefix.
func Keys(t testing.TB, s storage.Storage, prefix string) []string {
	t.Helper()
	var keys []string
	err := s.List(t.Context(), prefix, func(o storage.Object) error {
		keys = append(keys, o.Key)
		return nil
	})
	if err != nil {
		t.Fatalf("list %q: %v", prefix, err)
	}
	return keys
}

func begin(t testing.TB, s storage.Storage, key string, data []byte) storage.Upload {
	t.Helper()
	u, err := s.Create(t.Context(), key)
	if err != nil {
		t.Fatalf("create %s: %v", key, err)
	}
	t.Cleanup(func() { u.Abort() })
	for len(data) > 0 {
		part := data[:min(len(data), 100_000)]
		if n, err := u.Write(part); err != nil || n != len(part) {
			t.Fatalf("write %s: %d, %v", key, n, err)
		}
		data = data[len(part):]
	}
	return u
}

func wantCode(t testing.TB, err error, code safepoint.Code, what string) {
	t.Helper()
	if safepoint.ErrorCode(err) != code {
		t.Errorf("%s: got %v (code %q), want code %q", what, err, safepoint.ErrorCode(err), code)
	}
}

func wantGone(t testing.TB, s storage.Storage, key string) {
	t.Helper()
	_, err := s.Stat(t.Context(), key)
	wantCode(t, err, safepoint.CodeNotFound, "stat "+key)
	f, err := s.Open(t.Context(), key)
	wantCode(t, err, safepoint.CodeNotFound, "open "+key)
	if err == nil {
		f.Close()
	}
	if keys := Keys(t, s, ""); slices.Contains(keys, key) {
		t.Errorf("list has %s", key)
	}
}

// pattern is n bytes that differ from place to place.
func pattern(n int) []byte {
	b := make([]byte, n)
	x := uint32(1)
	for i := range b {
		x = x*1664525 + 1013904223
		b[i] = byte(x >> 24)
	}
	return b
}

func putAndRead(t *testing.T, s storage.Storage) {
	data := pattern(3<<20 + 17)
	Put(t, s, "org_1/op_1.sql.zst", data)
	if got := Get(t, s, "org_1/op_1.sql.zst"); !bytes.Equal(got, data) {
		t.Errorf("got %d bytes that are not the %d stored", len(got), len(data))
	}
	o, err := s.Stat(t.Context(), "org_1/op_1.sql.zst")
	if err != nil || o.Key != "org_1/op_1.sql.zst" || o.Size != int64(len(data)) || o.ModTime.IsZero() {
		t.Errorf("stat gives %+v, %v", o, err)
	}
}

func emptyObject(t *testing.T, s storage.Storage) {
	Put(t, s, "empty", nil)
	if got := Get(t, s, "empty"); len(got) != 0 {
		t.Errorf("got %q", got)
	}
}

func invisible(t *testing.T, s storage.Storage) {
	u := begin(t, s, "a/b", pattern(1<<20))
	wantGone(t, s, "a/b")
	if err := u.Commit(); err != nil {
		t.Fatal(err)
	}
	if keys := Keys(t, s, ""); !slices.Equal(keys, []string{"a/b"}) {
		t.Errorf("after Commit the list is %q", keys)
	}
}

func abort(t *testing.T, s storage.Storage) {
	u := begin(t, s, "a", pattern(1<<20))
	if err := u.Abort(); err != nil {
		t.Fatal(err)
	}
	wantGone(t, s, "a")
	if n, err := s.Sweep(t.Context()); err != nil || n != 0 {
		t.Errorf("Sweep found %d leftovers of an aborted upload, %v", n, err)
	}
	Put(t, s, "a", []byte("second"))
	if got := Get(t, s, "a"); string(got) != "second" {
		t.Errorf("got %q", got)
	}
}

func endsOnce(t *testing.T, s storage.Storage) {
	u := begin(t, s, "a", []byte("x"))
	if err := u.Commit(); err != nil {
		t.Fatal(err)
	}
	if err := u.Abort(); err != nil {
		t.Errorf("Abort after Commit: %v", err)
	}
	if err := u.Commit(); err == nil {
		t.Error("a second Commit succeeds")
	}
	if _, err := u.Write([]byte("y")); err == nil {
		t.Error("Write after Commit succeeds")
	}
	if got := Get(t, s, "a"); string(got) != "x" {
		t.Errorf("got %q", got)
	}

	u = begin(t, s, "b", []byte("x"))
	if err := u.Abort(); err != nil {
		t.Fatal(err)
	}
	if err := u.Commit(); err == nil {
		t.Error("Commit after Abort succeeds")
	}
	if err := u.Abort(); err != nil {
		t.Errorf("a second Abort: %v", err)
	}
	wantGone(t, s, "b")
}

func existing(t *testing.T, s storage.Storage) {
	Put(t, s, "a", []byte("first"))
	u, err := s.Create(t.Context(), "a")
	if err == nil { // a back end may also say it at Commit
		u.Write([]byte("second"))
		err = u.Commit()
	}
	wantCode(t, err, safepoint.CodeConflict, "a second object under the same key")
	if got := Get(t, s, "a"); string(got) != "first" {
		t.Errorf("the first object became %q", got)
	}
}

func race(t *testing.T, s storage.Storage) {
	one, two := begin(t, s, "a", []byte("one")), begin(t, s, "a", []byte("two"))
	if err := two.Commit(); err != nil {
		t.Fatal(err)
	}
	wantCode(t, one.Commit(), safepoint.CodeConflict, "the second Commit")
	if got := Get(t, s, "a"); string(got) != "two" {
		t.Errorf("got %q", got)
	}
	if n, err := s.Sweep(t.Context()); err != nil || n != 0 {
		t.Errorf("a failed Commit left %d behind, %v", n, err)
	}
}

func cancelled(t *testing.T, s storage.Storage) {
	ctx, cancel := context.WithCancel(t.Context())
	u, err := s.Create(ctx, "a")
	if err != nil {
		t.Fatal(err)
	}
	defer u.Abort()
	cancel()
	if _, err := u.Write(pattern(10)); !errors.Is(err, context.Canceled) {
		t.Errorf("Write gives %v", err)
	}
	if err := u.Commit(); err == nil {
		t.Error("Commit succeeds")
	}
	wantGone(t, s, "a")
	if _, err := s.Create(ctx, "b"); !errors.Is(err, context.Canceled) {
		t.Errorf("Create gives %v", err)
	}
}

func ranges(t *testing.T, s storage.Storage) {
	data := pattern(300_000)
	Put(t, s, "a", data)
	f, err := s.Open(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if f.Size() != int64(len(data)) {
		t.Errorf("size is %d", f.Size())
	}
	for _, c := range []struct {
		off, n, want int
		err          error
	}{
		{0, 1, 1, nil}, {0, 300_000, 300_000, nil}, {131_071, 2, 2, nil}, {299_999, 1, 1, nil},
		{299_990, 100, 10, io.EOF}, {300_000, 1, 0, io.EOF}, {999_999, 5, 0, io.EOF},
	} {
		buf := make([]byte, c.n)
		n, err := f.ReadAt(buf, int64(c.off))
		if n != c.want || (err != c.err && !(c.err == nil && err == io.EOF && c.off+c.n == len(data))) {
			t.Errorf("ReadAt(%d bytes, %d) is %d, %v; want %d, %v", c.n, c.off, n, err, c.want, c.err)
		}
		if n > 0 && !bytes.Equal(buf[:n], data[c.off:c.off+n]) {
			t.Errorf("ReadAt(%d bytes, %d) gives other bytes", c.n, c.off)
		}
	}
	if _, err := f.ReadAt(make([]byte, 1), -1); err == nil {
		t.Error("ReadAt before the start succeeds")
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	if _, err := f.ReadAt(make([]byte, 1), 0); err == nil {
		t.Error("ReadAt after Close succeeds")
	}
}

func missing(t *testing.T, s storage.Storage) {
	Put(t, s, "a/b", []byte("x"))
	for _, key := range []string{"nothing", "a", "a/c", "a/b/c", "b/c/d"} {
		wantGone(t, s, key)
	}
}

func oddKeys(t *testing.T, s storage.Storage) {
	for _, key := range []string{
		"", "/", "/a", "a/", "a//b", ".", "..", "../a", "a/../b", "a/..", "a/./b", ".hidden", "a/.hidden", "a..b",
		"A", "a b", "a\x00b", "a\nb", `a\b`, "ä", "a:b", "a*", "~", strings.Repeat("a", 5000), "/etc/passwd",
	} {
		u, err := s.Create(t.Context(), key)
		wantCode(t, err, safepoint.CodeInvalid, fmt.Sprintf("create %.40q", key))
		if err == nil {
			u.Abort()
		}
		f, err := s.Open(t.Context(), key)
		wantCode(t, err, safepoint.CodeInvalid, fmt.Sprintf("open %.40q", key))
		if err == nil {
			f.Close()
		}
		_, err = s.Stat(t.Context(), key)
		wantCode(t, err, safepoint.CodeInvalid, fmt.Sprintf("stat %.40q", key))
		wantCode(t, s.Delete(t.Context(), key), safepoint.CodeInvalid, fmt.Sprintf("delete %.40q", key))
	}
	if keys := Keys(t, s, ""); len(keys) > 0 {
		t.Errorf("list has %q", keys)
	}
}

// sortedKeys are in byte order, which is not the order of folders and files in a tree.
var sortedKeys = []string{"a-b", "a.b/c", "a/b", "a/b-c", "a/b.c", "a0", "a_b", "b/a/a/a", "b/a/b", "c"}

// putKeys stores an object under each of sortedKeys, in another order.
func putKeys(t *testing.T, s storage.Storage) {
	for i := range sortedKeys {
		key := sortedKeys[(i*7+3)%len(sortedKeys)]
		Put(t, s, key, []byte(key))
	}
}

func listOrder(t *testing.T, s storage.Storage) {
	if keys := Keys(t, s, ""); len(keys) != 0 {
		t.Errorf("an empty storage lists %q", keys)
	}
	putKeys(t, s)
	if keys := Keys(t, s, ""); !slices.Equal(keys, sortedKeys) {
		t.Errorf("list is %q, want %q", keys, sortedKeys)
	}
	err := s.List(t.Context(), "", func(o storage.Object) error {
		if o.Size != int64(len(o.Key)) || o.ModTime.IsZero() {
			t.Errorf("list gives %+v", o)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func listPrefix(t *testing.T, s storage.Storage) {
	putKeys(t, s)
	for _, prefix := range []string{"a", "a/", "a/b", "a.b/", "b/a/", "b/a/a", "c", "cc", "d/", "x/y/z", "a/b-c"} {
		var want []string
		for _, key := range sortedKeys {
			if strings.HasPrefix(key, prefix) {
				want = append(want, key)
			}
		}
		if keys := Keys(t, s, prefix); !slices.Equal(keys, want) {
			t.Errorf("list %q is %q, want %q", prefix, keys, want)
		}
	}
}

func listStops(t *testing.T, s storage.Storage) {
	putKeys(t, s)
	stop, n := errors.New("stop"), 0
	err := s.List(t.Context(), "", func(storage.Object) error {
		n++
		return stop
	})
	if !errors.Is(err, stop) || n != 1 {
		t.Errorf("list went on: %d calls, %v", n, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.List(ctx, "", func(storage.Object) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled list gives %v", err)
	}
}

func deletes(t *testing.T, s storage.Storage) {
	Put(t, s, "a/b", []byte("x"))
	Put(t, s, "a/c", []byte("y"))
	for range 2 {
		if err := s.Delete(t.Context(), "a/b"); err != nil {
			t.Fatal(err)
		}
		wantGone(t, s, "a/b")
	}
	if err := s.Delete(t.Context(), "never/was/there"); err != nil {
		t.Error(err)
	}
	// What is above an object is none.
	if err := s.Delete(t.Context(), "a"); err != nil {
		t.Error(err)
	}
	if got := Get(t, s, "a/c"); string(got) != "y" {
		t.Errorf("the other object is %q", got)
	}
	Put(t, s, "a/b", []byte("again"))
	if got := Get(t, s, "a/b"); string(got) != "again" {
		t.Errorf("got %q", got)
	}
}

func readDeleted(t *testing.T, s storage.Storage) {
	data := pattern(500_000)
	Put(t, s, "a", data)
	f, err := s.Open(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := s.Delete(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(io.NewSectionReader(f, 0, f.Size()))
	// Object storage cannot keep it; then it must fail and not give other bytes.
	if err == nil && !bytes.Equal(got, data) {
		t.Error("an open file changed when it was deleted")
	}
}

func sweep(t *testing.T, s storage.Storage) {
	Put(t, s, "a", []byte("stays"))
	u := begin(t, s, "b", pattern(1<<20))
	if n, err := s.Sweep(t.Context()); err != nil || n != 0 {
		t.Errorf("Sweep removed %d, %v, but the only upload is still under way", n, err)
	}
	if err := u.Commit(); err != nil {
		t.Fatalf("commit after Sweep: %v", err)
	}
	if n, err := s.Sweep(t.Context()); err != nil || n != 0 {
		t.Errorf("Sweep removed %d, %v", n, err)
	}
	if got := Get(t, s, "b"); !bytes.Equal(got, pattern(1<<20)) {
		t.Error("an object changed")
	}
}

func concurrent(t *testing.T, s storage.Storage) {
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			key, data := fmt.Sprintf("org_%d/op_%02d", i%3, i), pattern(200_000+i)
			u, err := s.Create(t.Context(), key)
			if err != nil {
				t.Errorf("create %s: %v", key, err)
				return
			}
			defer u.Abort()
			if _, err := u.Write(data); err != nil {
				t.Errorf("write %s: %v", key, err)
			}
			if i%4 == 3 {
				if err := u.Abort(); err != nil {
					t.Errorf("abort %s: %v", key, err)
				}
				return
			}
			if err := u.Commit(); err != nil {
				t.Errorf("commit %s: %v", key, err)
				return
			}
			f, err := s.Open(t.Context(), key)
			if err != nil {
				t.Errorf("open %s: %v", key, err)
				return
			}
			defer f.Close()
			got, err := io.ReadAll(io.NewSectionReader(f, 0, f.Size()))
			if err != nil || !bytes.Equal(got, data) {
				t.Errorf("%s holds other bytes, %v", key, err)
			}
			if i%4 == 0 {
				if err := s.Delete(t.Context(), key); err != nil {
					t.Errorf("delete %s: %v", key, err)
				}
			}
		})
		wg.Go(func() {
			if _, err := s.Sweep(t.Context()); err != nil {
				t.Errorf("sweep: %v", err)
			}
			if err := s.List(t.Context(), "", func(storage.Object) error { return nil }); err != nil {
				t.Errorf("list: %v", err)
			}
		})
	}
	wg.Wait()
	if keys := Keys(t, s, ""); len(keys) != 8 {
		t.Errorf("list is %q, want 8 keys", keys)
	}
	if n, err := s.Sweep(t.Context()); err != nil || n != 0 {
		t.Errorf("%d left behind, %v", n, err)
	}
}

func space(t *testing.T, s storage.Storage) {
	room, err := s.Space(t.Context())
	if err != nil || room.Free < 0 || room.Free > room.Total {
		t.Errorf("space is %+v, %v", room, err)
	}
	if s.Name() == "" {
		t.Error("no name")
	}
}
