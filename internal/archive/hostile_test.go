package archive_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/archive"
)

var (
	anyone   = archive.Trust{Unsigned: true}
	otherKey = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{9}, ed25519.SeedSize))
)

// refused fails the test unless err is a refusal that says words and offers a way out.
func refused(t testing.TB, err error, what, words string) {
	t.Helper()
	var e *safepoint.Error
	switch {
	case err == nil:
		t.Errorf("%s: accepted", what)
	case !errors.As(err, &e) || e.Code != safepoint.CodeArchive || e.Hint == "":
		t.Errorf("%s: not a proper refusal: %#v", what, err)
	case !strings.Contains(e.Message, words):
		t.Errorf("%s: %q does not say %q", what, e.Message, words)
	}
}

// eachByte calls fn for 0 … n-1 from as many goroutines as there are processors.
func eachByte(n int, fn func(i int)) {
	var wg sync.WaitGroup
	workers := runtime.GOMAXPROCS(0)
	for w := range workers {
		wg.Go(func() {
			for i := w; i < n; i += workers {
				fn(i)
			}
		})
	}
	wg.Wait()
}

func TestTruncatedAtEveryByte(t *testing.T) {
	frames, fingerprint := shop()
	data, _ := write(t, testKey, frames, fingerprint)
	r, err := archive.Open(bytes.NewReader(data), int64(len(data)), trusted)
	if err != nil {
		t.Fatal(err)
	}
	last := r.Entry(len(frames) - 1)
	for n := range len(data) {
		words := "truncated"
		switch {
		case n == 0:
			words = "zero bytes"
		case n < 4:
			words = "not a Safepoint archive" // not enough left to tell
		}
		_, _, err := accept(data[:n], anyone)
		refused(t, err, fmt.Sprintf("cut to %d bytes", n), words)
		if t.Failed() {
			t.Fatalf("at byte %d of %d; the frames end at %d", n, len(data), last.Offset+last.Length)
		}
	}
}

func TestEveryBitFlip(t *testing.T) {
	frames, fingerprint := shop()
	for name, c := range map[string]struct {
		key   ed25519.PrivateKey
		trust archive.Trust
	}{
		"signed":                     {testKey, trusted},
		"signed, and nobody asks":    {testKey, anyone},
		"unsigned, and nobody minds": {nil, anyone},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			data, _ := write(t, c.key, frames, fingerprint)
			eachByte(len(data), func(i int) {
				flipped := bytes.Clone(data)
				for bit := range 8 {
					flipped[i] = data[i] ^ 1<<bit
					if _, _, err := accept(flipped, c.trust); safepoint.ErrorCode(err) != safepoint.CodeArchive {
						t.Errorf("bit %d of byte %d: %v", bit, i, err)
					}
				}
			})
		})
	}
}

// An unsigned archive that is made to say that it is signed names the key of zeros, and has the signature of zeros:
// of such files Ed25519 itself takes every fourth.
func TestKeyOfZeros(t *testing.T) {
	for i := range 64 {
		data, _ := write(t, nil, []frame{{archive.Entry{Section: archive.Data, Kind: "rows", Slice: i}, "SELECT 1;\n"}}, nil)
		at := bytes.Index(data, []byte("SAFEPOINT")) + len("SAFEPOINT") + 1
		data[at] = 1
		for _, trust := range []archive.Trust{anyone, {Keys: []ed25519.PublicKey{make([]byte, ed25519.PublicKeySize)}}} {
			_, _, err := accept(data, trust)
			refused(t, err, fmt.Sprintf("archive %d", i), "table of contents")
		}
	}
}

// Frame alone must refuse an altered frame as well: restore reads frames in parallel.
func TestFrameRefusesBeforeItsFirstByte(t *testing.T) {
	noise := make([]byte, 7<<20) // bigger than what is held in memory
	rnd := rand.NewChaCha8([32]byte{1})
	rnd.Read(noise)
	data, _ := write(t, testKey, []frame{
		{archive.Entry{Section: archive.Data, Kind: "rows", Table: "small"}, "INSERT INTO small VALUES (1);\n"},
		{archive.Entry{Section: archive.Data, Kind: "rows", Table: "big"}, string(noise)},
	}, nil)
	for i := range 2 {
		r, err := archive.Open(bytes.NewReader(data), int64(len(data)), trusted)
		if err != nil {
			t.Fatal(err)
		}
		e := r.Entry(i)
		broken := bytes.Clone(data)
		broken[e.Offset+e.Length-1] ^= 1
		r, err = archive.Open(bytes.NewReader(broken), int64(len(broken)), trusted)
		if err != nil {
			t.Fatal(err)
		}
		_, err = r.Frame(i)
		refused(t, err, e.Table, e.Table)
		if _, err = r.Frame(1 - i); err != nil {
			t.Errorf("the other frame: %v", err)
		}
		_, err = r.VerifyBytes(t.Context(), nil)
		refused(t, err, e.Table, e.Table)
	}
	r, _ := archive.Open(bytes.NewReader(data), int64(len(data)), trusted)
	for _, i := range []int{-1, 2} {
		if _, err := r.Frame(i); err == nil {
			t.Errorf("frame %d opens", i)
		}
	}
}

// A file that changes between two reads is noticed: the hash is taken of the bytes that are decompressed.
func TestFileChangesAfterOpen(t *testing.T) {
	frames, fingerprint := shop()
	data, _ := write(t, testKey, frames, fingerprint)
	open := func(data []byte) *archive.Reader {
		r, err := archive.Open(bytes.NewReader(data), int64(len(data)), trusted)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	changed := bytes.Clone(data)
	r := open(changed)
	changed[len(changed)-1] ^= 1
	_, err := r.Verify(context.Background(), nil)
	refused(t, err, "seek table changed", "table of contents")
	_, err = r.VerifyBytes(context.Background(), nil)
	refused(t, err, "seek table changed", "table of contents")

	shorter := &shrinking{data: data}
	r, err = archive.Open(shorter, int64(len(data)), trusted)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{len(data) - 1, 10} {
		shorter.data = data[:n]
		_, err = r.Verify(context.Background(), nil)
		refused(t, err, "file cut", "shorter")
		_, err = r.VerifyBytes(context.Background(), nil)
		refused(t, err, "file cut", "shorter")
	}
	_, err = r.Frame(0)
	refused(t, err, "file cut", "shorter")
}

type shrinking struct{ data []byte }

func (s *shrinking) ReadAt(p []byte, off int64) (int, error) {
	return bytes.NewReader(s.data).ReadAt(p, off)
}

// A failing disk or network is not a bad archive.
func TestReadErrorsAreNotRefusals(t *testing.T) {
	frames, fingerprint := shop()
	data, _ := write(t, testKey, frames, fingerprint)
	broken := errors.New("disk on fire")
	for fail := 1; ; fail++ {
		f := &failing{data: data, fail: fail, err: broken}
		r, err := archive.Open(f, int64(len(data)), trusted)
		if err == nil {
			_, err = r.Verify(context.Background(), nil)
		}
		if err == nil {
			_, err = r.VerifyBytes(context.Background(), nil)
		}
		if err == nil && f.fail > 0 {
			if fail < 8 {
				t.Fatalf("only %d reads", fail)
			}
			return
		}
		if !errors.Is(err, broken) || safepoint.ErrorCode(err) == safepoint.CodeArchive {
			t.Errorf("read %d fails: %v", fail, err)
		}
	}
}

type failing struct {
	data []byte
	fail int
	err  error
}

func (f *failing) ReadAt(p []byte, off int64) (int, error) {
	if f.fail--; f.fail == 0 {
		return 0, f.err
	}
	return bytes.NewReader(f.data).ReadAt(p, off)
}

func TestVerifyStopsWhenTold(t *testing.T) {
	frames, fingerprint := shop()
	data, _ := write(t, testKey, frames, fingerprint)
	r, err := archive.Open(bytes.NewReader(data), int64(len(data)), trusted)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := r.Verify(ctx, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("Verify gives %v", err)
	}
}

func TestForeignAndChangedFiles(t *testing.T) {
	frames, fingerprint := shop()
	data, _ := write(t, testKey, frames, fingerprint)
	r, _ := archive.Open(bytes.NewReader(data), int64(len(data)), trusted)
	one, two := r.Entry(1), r.Entry(2)
	end := r.Entry(3).Offset + r.Entry(3).Length
	sql := script(frames)

	swapped := slices.Concat(data[:one.Offset], data[two.Offset:two.Offset+two.Length], data[one.Offset:one.Offset+one.Length], data[two.Offset+two.Length:])
	newer := bytes.Clone(data)
	newer[int(end)+8+9] = 2
	huge := bytes.Clone(data)
	binary.LittleEndian.PutUint64(huge[int(end)+8+20:], 1<<62)
	forged, _ := write(t, otherKey, frames, fingerprint)
	unsigned, _ := write(t, nil, frames, fingerprint)
	// Somebody else's table of contents with our key's name on it.
	pretend := bytes.Clone(forged)
	copy(pretend[int(end)+8+60:], testKey.Public().(ed25519.PublicKey))

	for name, c := range map[string]struct {
		data  []byte
		trust archive.Trust
		words string
	}{
		"zero bytes":              {nil, anyone, "empty: it has zero bytes"},
		"one byte":                {[]byte{0}, anyone, "not a Safepoint archive"},
		"zeros":                   {make([]byte, 100_000), anyone, "not a Safepoint archive"},
		"plain SQL":               {[]byte(sql), anyone, "plain text or SQL"},
		"long plain SQL":          {[]byte(strings.Repeat(sql, 1000)), anyone, "plain text or SQL"},
		"UTF-8 SQL":               {[]byte(strings.Repeat("-- größer\n", 100)), anyone, "plain text or SQL"},
		"gzip":                    {gzipped(t, sql), anyone, "gzip"},
		"pg_dump custom":          {append([]byte("PGDMP\x01\x0e\x00"), make([]byte, 500)...), anyone, "pg_dump's custom format"},
		"SQLite database":         {append([]byte("SQLite format 3\x00"), make([]byte, 4000)...), anyone, "SQLite database"},
		"age file":                {[]byte("age-encryption.org/v1\n-> X25519 abc\n"), anyone, "encrypted with age"},
		"zip":                     {append([]byte("PK\x03\x04"), make([]byte, 500)...), anyone, "zip"},
		"somebody's zstd":         {zstandard(t, sql), anyone, "zstd file that Safepoint did not make"},
		"one byte appended":       {slices.Concat(data, []byte{0}), anyone, "added behind the archive's end"},
		"text appended":           {slices.Concat(data, []byte("DROP TABLE orders;\n")), anyone, "added behind the archive's end"},
		"valid frame appended":    {slices.Concat(data, zstandard(t, "DROP TABLE orders;\n")), anyone, "added behind the archive's end"},
		"much appended":           {slices.Concat(data, make([]byte, 3<<20)), anyone, "added behind the archive's end"},
		"archive appended":        {slices.Concat(data, data), anyone, "Something was added"},
		"text in front":           {slices.Concat([]byte("DROP TABLE orders;\n"), data), anyone, "Something was added"},
		"frame in front":          {slices.Concat(zstandard(t, "DROP TABLE orders;\n"), data), anyone, "Something was added"},
		"frame put in":            {slices.Concat(data[:end], zstandard(t, "DROP TABLE orders;\n"), data[end:]), anyone, "Something was added"},
		"frame taken out":         {slices.Concat(data[:one.Offset], data[two.Offset:]), anyone, "in front of its table of contents"},
		"frames swapped":          {swapped, anyone, "frame 1"},
		"newer format":            {newer, anyone, "format version 2"},
		"huge table of contents":  {huge, anyone, "table of contents"},
		"signed by another":       {forged, trusted, "key that is not trusted"},
		"another's, with our key": {pretend, trusted, "table of contents"},
		"not signed":              {unsigned, trusted, "not signed"},
		"nobody is trusted":       {data, archive.Trust{}, "not trusted"},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := accept(c.data, c.trust)
			refused(t, err, name, c.words)
		})
	}
	// The same files are fine for who accepts them.
	for name, data := range map[string][]byte{"signed by another": forged, "not signed": unsigned} {
		r, got, err := accept(data, archive.Trust{Keys: trusted.Keys, Unsigned: true})
		if err != nil || got != sql || r.SignedBy() != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func gzipped(t testing.TB, sql string) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := io.WriteString(w, sql); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func zstandard(t testing.TB, sql string) []byte {
	w, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	return w.EncodeAll([]byte(sql), nil)
}

// FAILURES.md, finding 8: of 10,000 mutations zstd's own checksum let 1,266 through.
func TestTenThousandMutations(t *testing.T) {
	frames, fingerprint := shop()
	data, _ := write(t, testKey, frames, fingerprint)
	other, _ := write(t, testKey, frames[:2], nil) // rightly signed as well
	var unchanged atomic.Int64
	eachByte(10_000, func(i int) {
		rnd := rand.New(rand.NewPCG(uint64(i), 8))
		mutated := mutate(rnd, data, other)
		if bytes.Equal(mutated, data) || bytes.Equal(mutated, other) {
			unchanged.Add(1)
			return
		}
		if _, _, err := accept(mutated, anyone); safepoint.ErrorCode(err) != safepoint.CodeArchive {
			t.Errorf("mutation %d: %v", i, err)
		}
	})
	if n := unchanged.Load(); n > 500 {
		t.Errorf("%d of the mutations change nothing", n)
	}
}

// mutate changes data in one to three ways that accidents and people have.
func mutate(rnd *rand.Rand, data, other []byte) []byte {
	b := bytes.Clone(data)
	for range 1 + rnd.IntN(3) {
		if len(b) < 2 {
			return b
		}
		from := rnd.IntN(len(b))
		to := min(len(b), from+1+rnd.IntN(64))
		at := rnd.IntN(len(b) + 1)
		switch rnd.IntN(9) {
		case 0:
			b[from] ^= 1 << rnd.IntN(8)
		case 1:
			b = b[:from]
		case 2:
			b = slices.Delete(b, from, to)
		case 3:
			clear(b[from:to])
		case 4:
			b = slices.Insert(b, at, bytes.Clone(b[from:to])...)
		case 5:
			b = append(b, other...)
		case 6:
			copy(b[from:], other[min(from, len(other)):])
		case 7:
			for i := from; i < to; i++ {
				b[i] = byte(rnd.Uint32())
			}
		case 8:
			b = slices.Concat(b[:from], other[min(from, len(other)):])
		}
	}
	return b
}

// FuzzOpen: no input makes a reader panic, hang or eat memory, and none is accepted that our key did not sign.
func FuzzOpen(f *testing.F) {
	frames, fingerprint := shop()
	data, _ := write(f, testKey, frames, fingerprint)
	unsigned, _ := write(f, nil, frames[:1], nil)
	none, _ := write(f, testKey, nil, nil)
	known := map[string]bool{}
	for _, d := range [][]byte{data, none} {
		known[string(d)] = true
	}
	for _, seed := range [][]byte{data, unsigned, none, nil, []byte("SELECT 1;"), data[:len(data)/2]} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		_, _, err := accept(in, trusted)
		if err == nil && !known[string(in)] {
			t.Error("accepted what our key did not sign")
		}
		if err != nil && safepoint.ErrorCode(err) != safepoint.CodeArchive {
			t.Errorf("not a proper refusal: %v", err)
		}
		if _, _, err = accept(in, anyone); err != nil && safepoint.ErrorCode(err) != safepoint.CodeArchive {
			t.Errorf("not a proper refusal: %v", err)
		}
	})
}
