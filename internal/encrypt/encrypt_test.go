package encrypt

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/safepoint-db/safepoint"
)

func key(t testing.TB, postQuantum bool) Identity {
	t.Helper()
	id, err := NewIdentity(postQuantum)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func sealed(t testing.TB, plain []byte, to ...Recipient) ([]byte, *Writer) {
	t.Helper()
	var b bytes.Buffer
	w, err := NewWriter(&b, to)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(plain); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if w.Size() != int64(b.Len()) {
		t.Fatalf("size %d of %d", w.Size(), b.Len())
	}
	return b.Bytes(), w
}

func noise(n int) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{7})
	r.Read(b)
	return b
}

func TestRoundTrip(t *testing.T) {
	for _, postQuantum := range []bool{false, true} {
		mine, yours, theirs := key(t, postQuantum), key(t, postQuantum), key(t, postQuantum)
		for _, size := range []int{0, 1, chunkSize - 1, chunkSize, chunkSize + 1, 3*chunkSize + 100} {
			plain := noise(size)
			file, w := sealed(t, plain, mine.Recipient(), yours.Recipient())
			for _, id := range []Identity{mine, yours} {
				check(t, file, plain, func(r io.ReaderAt, n int64) (io.ReaderAt, int64, error) { return Open(r, n, []Identity{theirs, id}) })
			}
			check(t, file, plain, w.FileKey().Open)

			info, err := Inspect(bytes.NewReader(file), int64(len(file)))
			if err != nil || info.Recipients != 2 || info.Inside != int64(size) || info.Passphrase() || !Is(bytes.NewReader(file)) {
				t.Errorf("info: %+v %v", info, err)
			}
			wantCode(t, safepoint.CodeKey, second(Open(bytes.NewReader(file), int64(len(file)), []Identity{theirs})))
			wantCode(t, safepoint.CodeKey, second(Open(bytes.NewReader(file), int64(len(file)), nil)))
		}
	}
}

func second(_ io.ReaderAt, _ int64, err error) error { return err }

func wantCode(t *testing.T, want safepoint.Code, err error) {
	t.Helper()
	var e *safepoint.Error
	if !errors.As(err, &e) || e.Code != want || e.Message == "" || e.Hint == "" {
		t.Errorf("got %#v, want code %s with a message and a hint", err, want)
	}
}

func check(t *testing.T, file, plain []byte, open func(io.ReaderAt, int64) (io.ReaderAt, int64, error)) {
	t.Helper()
	r, n, err := open(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		t.Fatal(err)
	}
	if n != int64(len(plain)) {
		t.Fatalf("%d bytes inside, want %d", n, len(plain))
	}
	all, err := io.ReadAll(io.NewSectionReader(r, 0, n))
	if err != nil || !bytes.Equal(all, plain) {
		t.Fatalf("read %d bytes: %v", len(all), err)
	}
	if _, err := r.ReadAt(make([]byte, 1), n); err != io.EOF {
		t.Errorf("behind the end: %v", err)
	}
	if _, err := r.ReadAt(make([]byte, 1), n+5); err != io.EOF {
		t.Errorf("far behind the end: %v", err)
	}
}

// Several readers at once see the same bytes.
func TestConcurrentReads(t *testing.T) {
	id := key(t, false)
	plain := noise(10 * chunkSize)
	file, _ := sealed(t, plain, id.Recipient())
	r, _, err := Open(bytes.NewReader(file), int64(len(file)), []Identity{id})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for seed := range uint64(8) {
		wg.Go(func() {
			random := rand.New(rand.NewPCG(seed, 1))
			for range 200 {
				off := random.Int64N(int64(len(plain)))
				p := make([]byte, random.IntN(2*chunkSize))
				n, err := r.ReadAt(p, off)
				if err != nil && err != io.EOF || !bytes.Equal(p[:n], plain[off:off+int64(n)]) || n < len(p) && off+int64(n) < int64(len(plain)) {
					t.Errorf("%d bytes at %d: %d %v", len(p), off, n, err)
				}
			}
		})
	}
	wg.Wait()
}

// A small read in the middle of a big file reads little of it.
func TestReadsOnlyItsPart(t *testing.T) {
	id := key(t, false)
	file, _ := sealed(t, make([]byte, 32<<20), id.Recipient())
	c := &counting{r: bytes.NewReader(file)}
	r, _, err := Open(c, int64(len(file)), []Identity{id})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.ReadAt(make([]byte, 200), 20<<20); err != nil {
		t.Fatal(err)
	}
	if c.n > 160<<10 {
		t.Errorf("read %d bytes of %d for 200", c.n, len(file))
	}
	t.Logf("200 bytes at 20 MiB of 32 MiB: %d bytes read in %d reads", c.n, c.reads)
}

type counting struct {
	r        io.ReaderAt
	n, reads int64
}

func (c *counting) ReadAt(p []byte, off int64) (int, error) {
	n, err := c.r.ReadAt(p, off)
	c.n += int64(n)
	c.reads++
	return n, err
}

// The key of one file opens no other.
func TestFileKeyIsOfOneFile(t *testing.T) {
	id := key(t, false)
	_, w := sealed(t, []byte("one"), id.Recipient())
	other, _ := sealed(t, []byte("two"), id.Recipient())
	wantCode(t, safepoint.CodeArchive, second(w.FileKey().Open(bytes.NewReader(other), int64(len(other)))))
	wantCode(t, safepoint.CodeKey, second(FileKey{}.Open(bytes.NewReader(other), int64(len(other)))))
}

// A file whose Close was never called does not open, whatever was written.
func TestUnfinished(t *testing.T) {
	id := key(t, false)
	var b bytes.Buffer
	w, err := NewWriter(&b, []Recipient{id.Recipient()})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(noise(5 * chunkSize)); err != nil {
		t.Fatal(err)
	}
	wantCode(t, safepoint.CodeArchive, second(Open(bytes.NewReader(b.Bytes()), int64(b.Len()), []Identity{id})))
}

// What the file's own reader says is passed on: a disk that fails is no altered file.
func TestReadErrors(t *testing.T) {
	id := key(t, false)
	file, w := sealed(t, noise(4*chunkSize), id.Recipient())
	gone := safepoint.Errorf(safepoint.CodeUnreachable, "The storage did not answer.")
	for _, from := range []int64{0, 300, int64(len(file)) - 10} {
		f := failing{bytes.NewReader(file), from, gone}
		if _, _, err := Open(f, int64(len(file)), []Identity{id}); !errors.Is(err, gone) {
			t.Errorf("failing from %d: %v", from, err)
		}
	}
	f := &failing{bytes.NewReader(file), int64(len(file)), gone}
	r, _, err := w.FileKey().Open(f, int64(len(file)))
	if err != nil {
		t.Fatal(err)
	}
	f.from = 100
	if _, err := r.ReadAt(make([]byte, 10), chunkSize); !errors.Is(err, gone) {
		t.Errorf("chunk: %v", err)
	}
	wantCode(t, safepoint.CodeArchive, second(w.FileKey().Open(bytes.NewReader(file[:len(file)-1]), int64(len(file)))))
}

type failing struct {
	r    io.ReaderAt
	from int64
	err  error
}

func (f failing) ReadAt(p []byte, off int64) (int, error) {
	if off+int64(len(p)) > f.from {
		return 0, f.err
	}
	return f.r.ReadAt(p, off)
}

// A writer that fails stays failed.
func TestWriteErrors(t *testing.T) {
	id := key(t, false)
	full := errors.New("no space")
	if _, err := NewWriter(iotestWriter{full}, []Recipient{id.Recipient()}); !errors.Is(err, full) {
		t.Errorf("header: %v", err)
	}
	if _, err := NewWriter(io.Discard, nil); err == nil {
		t.Error("a file for nobody")
	}
	if _, err := NewWriter(io.Discard, []Recipient{id.Recipient(), id.Recipient()}); safepoint.ErrorCode(err) != safepoint.CodeInvalid {
		t.Errorf("the same recipient twice: %v", err)
	}
	if _, err := NewWriter(io.Discard, []Recipient{id.Recipient(), key(t, true).Recipient()}); safepoint.ErrorCode(err) != safepoint.CodeInvalid {
		t.Errorf("classic beside post-quantum: %v", err)
	}
}

type iotestWriter struct{ err error }

func (w iotestWriter) Write([]byte) (int, error) { return 0, w.err }

func TestParse(t *testing.T) {
	id, pq := key(t, false), key(t, true)
	file := id.File(time.Date(2026, 11, 22, 14, 0, 0, 0, time.UTC)) + "\r\n" + "  " + pq.Secret() + "  \r\n"
	ids, err := ParseIdentities(file)
	if err != nil || len(ids) != 2 || ids[0].Secret() != id.Secret() || ids[1].Recipient().String() != pq.Recipient().String() {
		t.Fatalf("%v %v", ids, err)
	}
	for _, text := range []string{"", "# only a comment", id.Recipient().String(), id.Secret()[:40], strings.ToLower(id.Secret()), id.Secret() + id.Secret(),
		"-----BEGIN OPENSSH PRIVATE KEY-----", pq.Secret()[:60], "\x00", strings.Repeat("x", 3<<20)} {
		ids, err := ParseIdentities(text)
		wantCode(t, safepoint.CodeInvalid, err)
		if len(ids) > 0 || len(text) > 30 && strings.Contains(fmt.Sprintf("%+v", err), text[20:30]) {
			t.Errorf("%.40q: %v", text, err)
		}
	}
	for _, text := range []string{"", "age1", id.Recipient().String()[:60], id.Secret(), strings.Replace(id.Recipient().String(), "1", "b", 1), "ssh-ed25519 AAAA"} {
		_, err := ParseRecipient(text)
		wantCode(t, safepoint.CodeInvalid, err)
		if strings.Contains(fmt.Sprintf("%+v %v", err, err), "SECRET-KEY-1") {
			t.Errorf("the error repeats a secret key: %v", err)
		}
	}
	if r, err := ParseRecipient("  " + pq.Recipient().String() + "\n"); err != nil || !r.PostQuantum() || len([]rune(r.Short())) != 17 {
		t.Errorf("%v %v", r.Short(), err)
	}
	if _, err := ParseRecipients([]string{id.Recipient().String(), id.Recipient().String()}); safepoint.ErrorCode(err) != safepoint.CodeInvalid {
		t.Errorf("twice: %v", err)
	}
}

// However a key is printed, it is not.
func TestKeysAreNotPrinted(t *testing.T) {
	id := key(t, false)
	_, w := sealed(t, nil, id.Recipient())
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		for _, v := range []any{id, &id, []Identity{id}, struct{ K Identity }{id}, map[string]Identity{"k": id}} {
			if s := fmt.Sprintf(verb, v); strings.Contains(strings.ToUpper(s), "SECRET") || strings.Contains(s, fmt.Sprintf("%x", "SECRET")) {
				t.Errorf("%s of %T: %s", verb, v, s)
			}
		}
		if s := fmt.Sprintf(verb, w.FileKey()); strings.Contains(s, fmt.Sprintf("%x", w.FileKey().key)) || strings.Contains(s, string(w.FileKey().key)) ||
			strings.Contains(s, fmt.Sprint(w.FileKey().key)) {
			t.Errorf("%s of the file's key: %s", verb, s)
		}
	}
}

func TestReadIdentities(t *testing.T) {
	id := key(t, false)
	ids, err := ReadIdentities(strings.NewReader(id.Secret()), nil)
	if err != nil || len(ids) != 1 {
		t.Fatalf("%v %v", ids, err)
	}
	if _, err := ReadIdentities(io.MultiReader(strings.NewReader(id.Secret()), strings.NewReader(strings.Repeat("\n", maxKeyFile))), nil); safepoint.ErrorCode(err) != safepoint.CodeInvalid {
		t.Errorf("too long: %v", err)
	}
	broken := errors.New("disk")
	if _, err := ReadIdentities(iotest.ErrReader(broken), nil); !errors.Is(err, broken) {
		t.Errorf("disk: %v", err)
	}
}

// The real age opens what we write, and we open what it writes. A damaged file is refused by both.
func TestWithAge(t *testing.T) {
	if _, err := exec.LookPath("age"); err != nil {
		t.Skip("age is not installed: scripts/install-test-tools does it")
	}
	dir := t.TempDir()
	run := func(stdin []byte, args ...string) ([]byte, error) {
		cmd := exec.Command(args[0], args[1:]...)
		cmd.Stdin = bytes.NewReader(stdin)
		cmd.Dir = dir
		return cmd.Output()
	}
	if _, err := run(nil, "age-keygen", "-o", "theirs.key"); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(dir, "theirs.key"))
	if err != nil {
		t.Fatal(err)
	}
	ids, err := ParseIdentities(string(data))
	if err != nil {
		t.Fatal(err)
	}
	plain := noise(2*chunkSize + 9)
	mine := key(t, false)
	file, _ := sealed(t, plain, mine.Recipient(), ids[0].Recipient())
	if got, err := run(file, "age", "-d", "-i", "theirs.key"); err != nil || !bytes.Equal(got, plain) {
		t.Fatalf("age -d: %d bytes, %v", len(got), err)
	}
	if err := os.WriteFile(filepath.Join(dir, "mine.key"), []byte(mine.File(time.Now())), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := run(nil, "age-keygen", "-y", "mine.key"); err != nil || strings.TrimSpace(string(out)) != mine.Recipient().String() {
		t.Errorf("age-keygen -y: %q %v", out, err)
	}
	if file, err = run(plain, "age", "-r", mine.Recipient().String()); err != nil {
		t.Fatal(err)
	}
	check(t, file, plain, func(r io.ReaderAt, n int64) (io.ReaderAt, int64, error) { return Open(r, n, []Identity{mine}) })
	armored, err := run(plain, "age", "-a", "-r", mine.Recipient().String())
	if err != nil {
		t.Fatal(err)
	}
	err = second(Open(bytes.NewReader(armored), int64(len(armored)), []Identity{mine}))
	wantCode(t, safepoint.CodeArchive, err)
	if !strings.Contains(err.Error(), "armored") {
		t.Errorf("armored: %v", err)
	}
}

func BenchmarkWrite(b *testing.B) {
	plain := noise(16 << 20)
	id := key(b, false)
	b.SetBytes(int64(len(plain)))
	for b.Loop() {
		w, err := NewWriter(io.Discard, []Recipient{id.Recipient()})
		if err != nil {
			b.Fatal(err)
		}
		if _, err := w.Write(plain); err != nil {
			b.Fatal(err)
		}
		if err := w.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkRead reads as a load does: several frames at once, each in pieces of 128 KiB that do not begin where a chunk does.
func BenchmarkRead(b *testing.B) {
	for _, readers := range []int64{1, 4} {
		b.Run(fmt.Sprint(readers), func(b *testing.B) {
			plain := noise(16 << 20)
			id := key(b, false)
			file, w := sealed(b, plain, id.Recipient())
			b.SetBytes(int64(len(plain)))
			for b.Loop() {
				r, n, err := w.FileKey().Open(bytes.NewReader(file), int64(len(file)))
				if err != nil {
					b.Fatal(err)
				}
				var wg sync.WaitGroup
				for i := range readers {
					wg.Go(func() {
						buf := make([]byte, 128<<10)
						part := io.NewSectionReader(r, i*n/readers+777*i, n/readers-777*i)
						if _, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{part}, buf); err != nil {
							b.Error(err)
						}
					})
				}
				wg.Wait()
			}
		})
	}
}
