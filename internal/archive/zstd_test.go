package archive

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"testing"
	"testing/iotest"

	"github.com/klauspost/compress/zstd"
)

// sample is text of n bytes that compresses as rows do.
func sample(n int) []byte {
	r := rand.New(rand.NewPCG(1, uint64(n)))
	b := make([]byte, 0, n+64)
	for len(b) < n {
		b = append(append(b, "17\tsome words that come again\t"...), byte('a'+r.IntN(26)), byte(r.Uint32()), '\n')
	}
	return b[:n]
}

var sampleSizes = []int{0, 1, 100, 32 << 10, 32<<10 + 1, 200_000, 5 << 20}

// encode makes one frame with the compressor of this build, out of portions of the stated size.
func encode(t *testing.T, text []byte, portion int) []byte {
	t.Helper()
	var out bytes.Buffer
	e := getEncoder()
	defer e.release()
	e.start(&out)
	for rest := text; len(rest) > 0; {
		n, err := e.Write(rest[:min(portion, len(rest))])
		if err != nil {
			t.Fatal(err)
		}
		rest = rest[n:]
	}
	if err := e.finish(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func decode(frames io.Reader) ([]byte, error) {
	d := getDecoder()
	defer d.release()
	if err := d.start(frames); err != nil {
		return nil, err
	}
	return io.ReadAll(d)
}

// TestWhatIsCompressedHereIsReadByTheGoDecoder holds for either compressor, as does the next test.
func TestWhatIsCompressedHereIsReadByTheGoDecoder(t *testing.T) {
	z, err := zstd.NewReader(nil, zstd.WithDecoderMaxWindow(maxWindow))
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	for _, n := range sampleSizes {
		for _, portion := range []int{1 << 20, 100_000, 777} {
			text := sample(n)
			frame := encode(t, text, portion)
			got, err := z.DecodeAll(frame, nil)
			if err != nil || !bytes.Equal(got, text) {
				t.Fatalf("%d bytes in portions of %d: %d bytes came back: %v", n, portion, len(got), err)
			}
			var h zstd.Header
			if err := h.Decode(frame); err != nil || !h.HasCheckSum || h.WindowSize > maxWindow {
				t.Fatalf("%d bytes in portions of %d: header %+v: %v", n, portion, h, err)
			}
		}
	}
}

func TestWhatTheGoEncoderWritesIsReadHere(t *testing.T) {
	z, err := zstd.NewWriter(nil, zstd.WithWindowSize(maxWindow))
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	for _, n := range sampleSizes {
		text := sample(n)
		frame := z.EncodeAll(text, nil)
		for name, r := range map[string]io.Reader{"whole": bytes.NewReader(frame), "by halves": iotest.HalfReader(bytes.NewReader(frame)), "with the end": iotest.DataErrReader(bytes.NewReader(frame))} {
			if got, err := decode(r); err != nil || !bytes.Equal(got, text) {
				t.Fatalf("%d bytes, %s: %d bytes came back: %v", n, name, len(got), err)
			}
		}
		twice := append(bytes.Clone(frame), frame...)
		if got, err := decode(bytes.NewReader(twice)); err != nil || !bytes.Equal(got, append(bytes.Clone(text), text...)) {
			t.Fatalf("%d bytes twice: %d bytes came back: %v", n, len(got), err)
		}
		for cut := 1; cut < len(frame); cut += 1 + len(frame)/50 {
			if got, err := decode(bytes.NewReader(frame[:cut])); err == nil {
				t.Fatalf("%d bytes: a frame cut at %d of %d gave %d bytes and no error", n, cut, len(frame), len(got))
			}
		}
	}
}

func TestDecoderRefuses(t *testing.T) {
	text := sample(20 << 20)
	wide, err := zstd.NewWriter(nil, zstd.WithWindowSize(16<<20), zstd.WithSingleSegment(false))
	if err != nil {
		t.Fatal(err)
	}
	defer wide.Close()
	changed := encode(t, text, 1<<20)
	changed[len(changed)-1] ^= 1 // of the checksum
	broken := errors.New("the disk")
	for name, r := range map[string]io.Reader{
		"a window of 16 MiB": bytes.NewReader(wide.EncodeAll(text, nil)),
		"a wrong checksum":   bytes.NewReader(changed),
		"something else":     bytes.NewReader([]byte("CREATE TABLE t (a int);")),
		"a failing read":     io.MultiReader(bytes.NewReader(changed[:1000]), iotest.ErrReader(broken)),
	} {
		if got, err := decode(r); err == nil || name == "a failing read" && !errors.Is(err, broken) {
			t.Errorf("%s gave %d bytes and %v", name, len(got), err)
		}
	}
}

// TestEncoderIsUsedAgainAfterAFailure also where it was given up in the middle of a frame.
func TestEncoderIsUsedAgainAfterAFailure(t *testing.T) {
	broken := errors.New("no space")
	e := getEncoder()
	e.start(refuser{broken})
	_, err := e.Write(sample(4 << 20))
	if err == nil {
		err = e.finish()
	}
	if !errors.Is(err, broken) {
		t.Fatalf("the failure of what was written to was lost: %v", err)
	}
	var out bytes.Buffer
	text := sample(100_000)
	e.start(&out)
	if _, err := e.Write(text); err != nil {
		t.Fatal(err)
	}
	if err := e.finish(); err != nil {
		t.Fatal(err)
	}
	e.release()
	if got, err := decode(&out); err != nil || !bytes.Equal(got, text) {
		t.Fatalf("%d bytes came back: %v", len(got), err)
	}
}

type refuser struct{ err error }

func (f refuser) Write([]byte) (int, error) { return 0, f.err }
