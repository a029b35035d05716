package archive

import (
	"bytes"
	"crypto/sha256"
	"io"
	"strings"
	"testing"

	"github.com/safepoint-db/safepoint"
	"github.com/zeebo/xxh3"
)

// TestFollowSamples has one frame of many be what its writer noted, byte for byte, and no frame of zstd: only decompressing
// shows that. All of it is found when all is asked for, else in the first 64 MiB and in an eighth of the rest.
func TestFollowSamples(t *testing.T) {
	t.Parallel()
	const frames, first = 64 + 80, 64
	good, bad, src := frameOfMiB(t)
	found := func(all bool, wrong int, bad written) bool {
		w := NewWriter(io.Discard, Header{}, nil)
		f := w.Follow(t.Context(), bytes.NewReader(src), all)
		for i := range frames {
			if i == wrong {
				f.add(bad.Entry, bad.sum)
			} else {
				f.add(good.Entry, good.sum)
			}
		}
		err := f.finish()
		f.Stop()
		if err != nil && safepoint.ErrorCode(err) != safepoint.CodeArchive {
			t.Fatal(err)
		}
		return err != nil
	}
	sampled := 0
	for wrong := first; wrong < frames; wrong++ {
		if found(false, wrong, bad) {
			sampled++
		}
	}
	if want := frames / sampleShare; sampled != want {
		t.Errorf("%d of %d frames were decompressed behind the first, want %d", sampled, frames-first, want)
	}
	for _, wrong := range []int{0, first - 1} {
		if !found(false, wrong, bad) {
			t.Errorf("frame %d was not decompressed", wrong)
		}
	}
	for _, wrong := range []int{0, first, first + 1, frames - 1} {
		if !found(true, wrong, bad) {
			t.Errorf("frame %d was not decompressed, though all was asked for", wrong)
		}
	}
	other := bad // where good's bytes were written
	other.sum = good.sum
	for wrong := first; wrong < first+sampleShare; wrong++ {
		if !found(false, wrong, other) {
			t.Errorf("frame %d was not compared with what was written", wrong)
		}
	}
}

// frameOfMiB is a frame of 1 MiB of SQL, one with the right sums that cannot be decompressed, and the bytes that hold both.
func frameOfMiB(t *testing.T) (good, bad written, src []byte) {
	t.Helper()
	var b bytes.Buffer
	w := NewWriter(&b, Header{}, nil)
	fw, err := w.Frame(Entry{Section: PreData, Kind: "ddl"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(fw, strings.Repeat("-- nothing\n", 1<<20/11+1)[:1<<20]); err != nil {
		t.Fatal(err)
	}
	if err := fw.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Close(); err != nil {
		t.Fatal(err)
	}
	r, err := Open(bytes.NewReader(b.Bytes()), int64(b.Len()), Trust{Unsigned: true})
	if err != nil {
		t.Fatal(err)
	}
	src = b.Bytes()
	good.Entry = r.Entry(0)
	good.sum = xxh3.Hash128(src[good.Offset : good.Offset+good.Length])
	bad = good
	garbage := bytes.Repeat([]byte("garbage "), int(good.Length)/8+1)[:good.Length]
	sum := sha256.Sum256(garbage)
	bad.Offset, bad.SHA256, bad.sum = int64(len(src)), sum, xxh3.Hash128(garbage)
	return good, bad, append(src, garbage...)
}
