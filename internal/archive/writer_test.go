package archive_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	seekable "github.com/SaveTheRbtz/zstd-seekable-format-go/pkg"
	"github.com/klauspost/compress/zstd"
	"github.com/safepoint-db/safepoint/internal/archive"
)

// Other readers of the zstd seekable format find any byte of the script.
func TestSeekableReader(t *testing.T) {
	frames, fingerprint := shop()
	frames = append(frames, frame{archive.Entry{Section: archive.PostData, Kind: "ddl"}, strings.Repeat("-- a longer frame\n", 100_000)})
	data, _ := write(t, testKey, frames, fingerprint)
	sql := script(frames)
	dec, err := zstd.NewReader(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer dec.Close()
	r, err := seekable.NewReader(bytes.NewReader(data), dec)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	all, err := io.ReadAll(r)
	if err != nil || string(all) != sql {
		t.Fatalf("reading all gives %d bytes of %d, %v", len(all), len(sql), err)
	}
	if end, err := r.Seek(0, io.SeekEnd); err != nil || end != int64(len(sql)) {
		t.Errorf("the end is at %d, %v", end, err)
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		off := rnd.IntN(len(sql))
		buf := make([]byte, 1+rnd.IntN(min(300, len(sql)-off)))
		if n, err := r.ReadAt(buf, int64(off)); (err != nil && err != io.EOF) || string(buf[:n]) != sql[off:off+n] || n == 0 {
			t.Fatalf("ReadAt(%d, %d) gives %d bytes, %v", len(buf), off, n, err)
		}
	}
}

func TestSeekableReaderWithoutFrames(t *testing.T) {
	data, _ := write(t, testKey, nil, nil)
	dec, err := zstd.NewReader(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer dec.Close()
	r, err := seekable.NewReader(bytes.NewReader(data), dec)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if all, err := io.ReadAll(r); err != nil || len(all) != 0 {
		t.Errorf("gives %q, %v", all, err)
	}
}

func TestArchiveWithoutTables(t *testing.T) {
	data, sum := write(t, testKey, nil, nil)
	r, sql, err := accept(data, trusted)
	if err != nil || sql != "" || r.Len() != 0 || len(r.Fingerprint()) != 0 || sum.Tables != 0 || sum.Size != int64(len(data)) {
		t.Errorf("gives %q, %+v, %v", sql, sum, err)
	}
}

// Restore reads several frames at once.
func TestParallelFrames(t *testing.T) {
	rows := orders(1 << 20)
	var frames []frame
	for i := range 12 {
		frames = append(frames, frame{archive.Entry{Section: archive.Data, Kind: "rows", Table: "orders", Slice: i}, string(rows[i<<12 : 1<<20-i<<10])})
	}
	data, _ := write(t, testKey, frames, nil)
	r, err := archive.Open(bytes.NewReader(data), int64(len(data)), trusted)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i := range frames {
		wg.Go(func() {
			f, err := r.Frame(i)
			if err != nil {
				t.Errorf("frame %d: %v", i, err)
				return
			}
			defer f.Close()
			if got, err := io.ReadAll(f); err != nil || string(got) != frames[i].sql {
				t.Errorf("frame %d gives %d bytes of %d, %v", i, len(got), len(frames[i].sql), err)
			}
		})
	}
	wg.Wait()
}

// limited fails after some bytes, as a full disk does.
type limited struct {
	left int
	err  error
}

func (l *limited) Write(p []byte) (int, error) {
	if len(p) > l.left {
		n := l.left
		l.left = 0
		return n, l.err
	}
	l.left -= len(p)
	return len(p), nil
}

func TestFirstWriteErrorSticks(t *testing.T) {
	full := errors.New("disk full")
	frames, fingerprint := shop()
	whole, _ := write(t, testKey, frames, fingerprint)
	for n := range len(whole) {
		w := archive.NewWriter(&limited{n, full}, testHeader(), testKey)
		for _, fr := range frames {
			f, err := w.Frame(fr.Entry)
			if err != nil {
				if !errors.Is(err, full) {
					t.Fatalf("after %d bytes Frame gives %v", n, err)
				}
				continue
			}
			io.WriteString(f, fr.sql)
			f.Close()
		}
		w.SetFingerprint(fingerprint)
		for range 2 {
			if _, err := w.Close(); !errors.Is(err, full) {
				t.Fatalf("after %d bytes Close gives %v", n, err)
			}
		}
		if _, err := w.Frame(frames[0].Entry); !errors.Is(err, full) {
			t.Fatalf("after %d bytes and Close Frame gives %v", n, err)
		}
	}
}

func TestMisuse(t *testing.T) {
	pre, data := archive.Entry{Section: archive.PreData, Kind: "ddl"}, archive.Entry{Section: archive.Data, Kind: "rows"}
	begin := func(w *archive.Writer, e archive.Entry) *archive.FrameWriter {
		f, err := w.Frame(e)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	for name, misuse := range map[string]func(w *archive.Writer) error{
		"two frames at once": func(w *archive.Writer) error {
			begin(w, data)
			_, err := w.Frame(data)
			return err
		},
		"sections out of order": func(w *archive.Writer) error {
			begin(w, data).Close()
			_, err := w.Frame(pre)
			return err
		},
		"no section": func(w *archive.Writer) error {
			_, err := w.Frame(archive.Entry{Kind: "ddl"})
			return err
		},
		"close with a frame open": func(w *archive.Writer) error {
			begin(w, data)
			_, err := w.Close()
			return err
		},
		"write to a closed frame": func(w *archive.Writer) error {
			f := begin(w, data)
			f.Close()
			_, err := f.Write([]byte("x"))
			return err
		},
		"frame after the end": func(w *archive.Writer) error {
			w.Close()
			_, err := w.Frame(data)
			return err
		},
		"closed twice": func(w *archive.Writer) error {
			w.Close()
			_, err := w.Close()
			return err
		},
	} {
		w := archive.NewWriter(io.Discard, testHeader(), nil)
		err := misuse(w)
		if err == nil {
			t.Errorf("%s: no error", name)
		}
		if _, again := w.Close(); again == nil {
			t.Errorf("%s: the archive can be closed", name)
		}
	}
}

// A frame over the format's limit is a clear error, and the bytes up to it cost no memory.
func TestFrameTooLarge(t *testing.T) {
	if testing.Short() {
		t.Skip("compresses 2 GiB of zeros; run without -short")
	}
	w := archive.NewWriter(io.Discard, testHeader(), nil)
	f, err := w.Frame(archive.Entry{Section: archive.Data, Kind: "copy", Schema: "public", Table: "wide"})
	if err != nil {
		t.Fatal(err)
	}
	chunk := make([]byte, 1<<24)
	for f.Len()+int64(len(chunk)) <= archive.MaxFrame {
		if _, err := f.Write(chunk); err != nil {
			t.Fatalf("after %d bytes: %v", f.Len(), err)
		}
	}
	_, err = f.Write(chunk)
	if !errors.Is(err, archive.ErrFrameTooLarge) || !strings.Contains(err.Error(), `"public"."wide"`) {
		t.Errorf("over the limit: %v", err)
	}
	if _, err := w.Close(); !errors.Is(err, archive.ErrFrameTooLarge) {
		t.Errorf("Close gives %v", err)
	}
}

// orders gives n bytes of rows that compress about as well as real ones do.
func orders(n int) []byte {
	rnd := rand.New(rand.NewPCG(3, 4))
	words := strings.Fields("widget bracket hinge panel sensor cable adapter bearing washer gasket coupling bolt")
	var b bytes.Buffer
	for i := 0; b.Len() < n; i++ {
		fmt.Fprintf(&b, "%d\t%d\t%s\t%d.%02d\t2026-%02d-%02d %02d:%02d:%02d.%06d+00\t%x\n", i, rnd.IntN(50_000), words[rnd.IntN(len(words))],
			rnd.IntN(1000), rnd.IntN(100), 1+rnd.IntN(12), 1+rnd.IntN(28), rnd.IntN(24), rnd.IntN(60), rnd.IntN(60), rnd.IntN(1_000_000), rnd.Uint32())
	}
	return b.Bytes()[:n]
}

// writeBig writes total bytes in slices of the usual size.
func writeBig(t testing.TB, dst io.Writer, rows []byte, total, slice int) archive.Summary {
	w := archive.NewWriter(dst, testHeader(), testKey)
	for i := 0; total > 0; i++ {
		f, err := w.Frame(archive.Entry{Section: archive.Data, Kind: "copy", Schema: "public", Table: "orders", Slice: i})
		if err != nil {
			t.Fatal(err)
		}
		for f.Len() < int64(slice) && total > 0 {
			part := rows[:min(len(rows), total)]
			if _, err := f.Write(part); err != nil {
				t.Fatal(err)
			}
			total -= len(part)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	sum, err := w.Close()
	if err != nil {
		t.Fatal(err)
	}
	return sum
}

func allocated(fn func()) uint64 {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	fn()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// Writing and verifying take the same memory for 16 MiB as for 128: what is allocated does not grow.
func TestMemoryIsBounded(t *testing.T) {
	if testing.Short() {
		t.Skip("compresses 144 MiB; run without -short")
	}
	rows := orders(4 << 20)
	var files [2]bytes.Buffer
	files[0].Grow(16 << 20)
	files[1].Grow(64 << 20)
	for i, total := range []int{16 << 20, 128 << 20} {
		const limit = 24 << 20
		if n := allocated(func() { writeBig(t, &files[i], rows, total, 32<<20) }); n > limit {
			t.Errorf("writing %d MiB allocates %d KiB", total>>20, n>>10)
		} else {
			t.Logf("writing %d MiB allocates %d KiB", total>>20, n>>10)
		}
		data := files[i].Bytes()
		n := allocated(func() {
			r, err := archive.Open(bytes.NewReader(data), int64(len(data)), trusted)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := r.Verify(context.Background(), nil); err != nil {
				t.Fatal(err)
			}
			for i := range r.Entries() {
				f, err := r.Frame(i)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := io.Copy(io.Discard, f); err != nil {
					t.Fatal(err)
				}
				f.Close()
			}
		})
		if n > limit {
			t.Errorf("reading %d MiB twice allocates %d KiB", total>>20, n>>10)
		} else {
			t.Logf("reading %d MiB twice allocates %d KiB", total>>20, n>>10)
		}
	}
}

// A database of 100,000 tables stays practical: seconds, and a table of contents of a few MiB.
func TestHundredThousandTables(t *testing.T) {
	if testing.Short() {
		t.Skip("writes 100,000 frames; run without -short")
	}
	const tables = 100_000
	var b bytes.Buffer
	fingerprint := make(archive.Fingerprint, tables)
	start := time.Now()
	w := archive.NewWriter(&b, testHeader(), testKey)
	for i := range tables {
		name := fmt.Sprintf("table_%06d", i)
		f, err := w.Frame(archive.Entry{Section: archive.Data, Kind: "copy", Schema: "public", Table: name, Columns: []string{"id", "name", "created_at"}})
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(f, "COPY public.%s (id, name, created_at) FROM stdin;\n%d\tx\t\\N\n\\.\n", name, i)
		f.Rows++
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		var d archive.Digester
		d.Add([]byte(name))
		fingerprint[`"public"."`+name+`"`] = d.Digest()
	}
	framed := b.Len()
	w.SetFingerprint(fingerprint)
	sum, err := w.Close()
	if err != nil {
		t.Fatal(err)
	}
	wrote := time.Since(start)
	if sum.Tables != tables || sum.Rows != tables {
		t.Errorf("summary is %+v", sum)
	}

	start = time.Now()
	var r *archive.Reader
	n := allocated(func() {
		if r, err = archive.Open(bytes.NewReader(b.Bytes()), int64(b.Len()), trusted); err != nil {
			t.Fatal(err)
		}
	})
	opened := time.Since(start)
	var live, without runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&live)
	if err := fingerprint.Compare(r.Fingerprint()); err != nil {
		t.Error(err)
	}
	start = time.Now()
	if _, err := r.Verify(context.Background(), nil); err != nil {
		t.Error(err)
	}
	r = nil
	runtime.GC()
	runtime.ReadMemStats(&without)
	t.Logf("an open reader holds %d MiB", (live.HeapAlloc-without.HeapAlloc)>>20)
	t.Logf("frames %d KiB, rest %d KiB; written in %v, opened in %v (%d MiB allocated), verified in %v",
		framed>>10, (b.Len()-framed)>>10, wrote, opened, n>>20, time.Since(start))
	if rest := b.Len() - framed; rest > 16<<20 {
		t.Errorf("the table of contents has %d bytes", rest)
	}
}

func BenchmarkWriter(b *testing.B) {
	rows := orders(8 << 20)
	const total = 64 << 20
	b.SetBytes(total)
	b.ReportAllocs()
	var sum archive.Summary
	for b.Loop() {
		sum = writeBig(b, io.Discard, rows, total, archive.SliceSize)
	}
	b.ReportMetric(float64(total)/float64(sum.Size), "ratio")
}

func BenchmarkVerify(b *testing.B) {
	const total = 64 << 20
	var file bytes.Buffer
	writeBig(b, &file, orders(8<<20), total, archive.SliceSize)
	b.SetBytes(total)
	b.ReportAllocs()
	for b.Loop() {
		r, err := archive.Open(bytes.NewReader(file.Bytes()), int64(file.Len()), trusted)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := r.Verify(context.Background(), nil); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDigester(b *testing.B) {
	rows := bytes.SplitAfter(orders(1<<20), []byte("\n"))
	b.SetBytes(1 << 20)
	var d archive.Digester
	for b.Loop() {
		for _, row := range rows {
			d.Add(row)
		}
	}
}
