package archive

import (
	"bytes"
	"crypto/sha256"
	"io"
	"strings"
	"testing"

	"github.com/safepoint-db/safepoint"
)

// TestFollowSamples has one frame of many be what its writer noted, byte for byte, and no frame of zstd: only decompressing
// shows that. All of it is found when all is asked for, else in the first 64 MiB and in an eighth of the rest.
func TestFollowSamples(t *testing.T) {
	t.Parallel()
	const frames, first = 64 + 80, 64
	good, bad, src := frameOfMiB(t)
	found := func(all bool, wrong int) bool {
		w := NewWriter(io.Discard, Header{}, nil)
		f := w.Follow(t.Context(), bytes.NewReader(src), all)
		for i := range frames {
			if i == wrong {
				f.add(bad)
			} else {
				f.add(good)
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
		if found(false, wrong) {
			sampled++
		}
	}
	if want := frames / sampleShare; sampled != want {
		t.Errorf("%d of %d frames were decompressed behind the first, want %d", sampled, frames-first, want)
	}
	for _, wrong := range []int{0, first - 1} {
		if !found(false, wrong) {
			t.Errorf("frame %d was not decompressed", wrong)
		}
	}
	for _, wrong := range []int{0, first, first + 1, frames - 1} {
		if !found(true, wrong) {
			t.Errorf("frame %d was not decompressed, though all was asked for", wrong)
		}
	}
}

// frameOfMiB is a frame of 1 MiB of SQL, one with the right hash that cannot be decompressed, and the bytes that hold both.
func frameOfMiB(t *testing.T) (good, bad Entry, src []byte) {
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
	good, src = r.Entry(0), b.Bytes()
	bad = good
	garbage := bytes.Repeat([]byte("garbage "), int(good.Length)/8+1)[:good.Length]
	sum := sha256.Sum256(garbage)
	bad.Offset, bad.SHA256 = int64(len(src)), sum
	return good, bad, append(src, garbage...)
}
