package archive

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/safepoint-db/safepoint"
)

// forge makes an unsigned archive of one frame whose table of contents is whatever text says: the hashes are right,
// as they are in the work of somebody who means harm. raw is the frame's decompressed size in the seek table.
func forge(frame []byte, raw int64, text string, states int64) []byte {
	z, err := zstd.NewWriter(nil)
	if err != nil {
		panic(err)
	}
	t := &tocWriter{enc: getEncoder(), raw: states}
	t.enc.start(&bytes.Buffer{})
	// finish adds lines of its own; they go to a buffer that is thrown away for the text's own.
	finished, err := t.finish(nil, Header{}, tocEnd{}, int64(len(frame)), nil)
	if err != nil {
		panic(err)
	}
	payload := z.EncodeAll([]byte(text), nil)
	contents := slices.Concat(finished[0], payload)
	le := func(at int, n uint64, size int) {
		for i := range size {
			contents[at+i] = byte(n >> (8 * i))
		}
	}
	sum := sha256.Sum256(payload)
	le(4, uint64(fixedPart+len(payload)), 4)
	le(skipHead+20, uint64(states), 8)
	copy(contents[skipHead+28:], sum[:])

	var s seekTable
	s.add(int64(len(frame)), raw)
	s.add(int64(len(contents)), 0)
	return bytes.Join([][]byte{frame, contents, s.frame()}, nil)
}

// TestHostileContents: tables of contents that are unharmed, unsigned and lie. Every one of them is refused.
func TestHostileContents(t *testing.T) {
	z, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	frame := z.EncodeAll([]byte("sql;\n"), nil)
	hash := sha256.Sum256(frame)
	entry := func(section string, offset, length, raw int64, sum string) string {
		return fmt.Sprintf(`{"entry":{"section":%q,"kind":"ddl","offset":%d,"length":%d,"raw_length":%d,"sha256":%q}}`+"\n", section, offset, length, raw, sum)
	}
	const (
		header = `{"header":{"engine":"postgres"}}` + "\n"
		table  = `{"table":{"name":"a","rows":0,"hash":"00000000000000000000000000000000"}}` + "\n"
	)
	n, sum := int64(len(frame)), hex.EncodeToString(hash[:])
	good := entry("data", 0, n, 5, sum)
	end := func(raw int64) string {
		return fmt.Sprintf(`{"end":{"entries":1,"tables":0,"rows":0,"raw_length":%d}}`+"\n", raw)
	}
	tableEnd := strings.Replace(end(5), `"tables":0`, `"tables":1`, 1)
	twoTablesEnd := strings.Replace(end(5), `"tables":0`, `"tables":2`, 1)

	verify := func(data []byte) error {
		r, err := Open(bytes.NewReader(data), int64(len(data)), Trust{Unsigned: true})
		if err == nil {
			_, err = r.Verify(context.Background(), nil)
		}
		return err
	}
	for name, text := range map[string]string{
		"honest":                       good + header + end(5),
		"honest, with a table":         good + table + header + tableEnd,
		"honest, with unknown members": good + `{"header":{"engine":"postgres","later":[1]}}` + "\n" + end(5),
	} {
		if err := verify(forge(frame, 5, text, int64(len(text)))); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, text := range map[string]string{
		"empty":                      "",
		"no JSON":                    "hello\n",
		"a line without end":         strings.TrimSuffix(good+header+end(5), "\n"),
		"no header":                  good + end(5),
		"no end":                     good + header,
		"two headers":                good + header + header + end(5),
		"more behind the end":        good + header + end(5) + "\n",
		"two ends":                   good + header + end(5) + end(5),
		"entry behind the header":    header + good + end(5),
		"entry behind a table":       table + good + header + tableEnd,
		"no entry":                   header + `{"end":{"entries":0,"tables":0,"rows":0,"raw_length":0}}` + "\n",
		"two entries for one frame":  good + good + header + end(10),
		"two things in a line":       strings.Replace(good, `{"entry"`, `{"header":{},"entry"`, 1) + header + end(5),
		"an unknown line":            good + `{"surprise":1}` + "\n" + header + end(5),
		"a null line":                good + "null\n" + header + end(5),
		"an unknown section":         entry("post", 0, n, 5, sum) + header + end(5),
		"a gap in front":             entry("data", 1, n-1, 5, sum) + header + end(5),
		"a gap behind":               entry("data", 0, n-1, 5, sum) + header + end(5),
		"too long":                   entry("data", 0, n+1, 5, sum) + header + end(5),
		"a negative offset":          entry("data", -1, n, 5, sum) + header + end(5),
		"a negative length":          entry("data", 0, -n, 5, sum) + header + end(5),
		"a negative raw length":      entry("data", 0, n, -5, sum) + header + end(-5),
		"a huge length":              entry("data", 0, 1<<62, 5, sum) + header + end(5),
		"a huge raw length":          entry("data", 0, n, 1<<62, sum) + header + end(1<<62),
		"another hash":               entry("data", 0, n, 5, strings.Repeat("0", 64)) + header + end(5),
		"a short hash":               entry("data", 0, n, 5, sum[:62]) + header + end(5),
		"a hash in capitals":         entry("data", 0, n, 5, strings.ToUpper(sum)) + header + end(5),
		"wrong sums":                 good + header + end(6),
		"one table twice":            good + table + table + header + twoTablesEnd,
		"tables out of order":        good + strings.Replace(table, `"a"`, `"b"`, 1) + table + header + twoTablesEnd,
		"a malformed table's digest": good + strings.Replace(table, `"0000`, `"000x`, 1) + header + tableEnd,
	} {
		if err := verify(forge(frame, 5, text, int64(len(text)))); safepoint.ErrorCode(err) != safepoint.CodeArchive {
			t.Errorf("%s: %v", name, err)
		}
	}
	for raw, want := range map[int64]string{0: "more than it states", 4: "more than it states", 6: "less than it states"} {
		text := entry("data", 0, n, raw, sum) + header + end(raw)
		err := verify(forge(frame, raw, text, int64(len(text))))
		if safepoint.ErrorCode(err) != safepoint.CodeArchive || !strings.Contains(err.Error(), want) {
			t.Errorf("a frame of 5 bytes that states %d: %v", raw, err)
		}
	}
	for name, states := range map[string]int64{"states less": 10, "states more": 10_000, "states nothing": 0} {
		if err := verify(forge(frame, 5, good+header+end(5), states)); safepoint.ErrorCode(err) != safepoint.CodeArchive {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A table of contents of a few KiB that decompresses to far more is not followed.
func TestBombs(t *testing.T) {
	z, err := zstd.NewWriter(nil, zstd.WithWindowSize(1<<20))
	if err != nil {
		t.Fatal(err)
	}
	frame := z.EncodeAll([]byte("sql;\n"), nil)
	line := `{"table":{"name":"a","rows":0,"hash":"00000000000000000000000000000000"}}` + "\n"
	for name, text := range map[string]string{
		"one long line": strings.Repeat(" ", maxTOCLine+1),
		"many lines":    strings.Repeat(line, 1<<20),
	} {
		data := forge(frame, 5, text, int64(len(text)))
		if len(data) > 64<<10 {
			t.Fatalf("%s: the bomb has %d bytes", name, len(data))
		}
		_, err := Open(bytes.NewReader(data), int64(len(data)), Trust{Unsigned: true})
		if safepoint.ErrorCode(err) != safepoint.CodeArchive {
			t.Errorf("%s: %v", name, err)
		}
	}

	// A frame that wants a window of 64 MiB is refused before the memory is taken.
	wide, err := zstd.NewWriter(nil, zstd.WithWindowSize(64<<20), zstd.WithSingleSegment(false))
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	wide.Reset(&b)
	for range 9 {
		wide.Write(make([]byte, 1<<20))
	}
	if err := wide.Close(); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(b.Bytes())
	text := fmt.Sprintf(`{"entry":{"section":"data","kind":"ddl","offset":0,"length":%d,"raw_length":%d,"sha256":%q}}`+"\n"+
		`{"header":{}}`+"\n"+`{"end":{"entries":1,"tables":0,"rows":0,"raw_length":%d}}`+"\n", b.Len(), 9<<20, hex.EncodeToString(sum[:]), 9<<20)
	data := forge(b.Bytes(), 9<<20, text, int64(len(text)))
	r, err := Open(bytes.NewReader(data), int64(len(data)), Trust{Unsigned: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Verify(context.Background(), nil); safepoint.ErrorCode(err) != safepoint.CodeArchive {
		t.Errorf("a window of 64 MiB: %v", err)
	}
}

// FuzzContents: whatever stands in a table of contents with right hashes, a reader neither panics nor believes it
// where it does not fit the frame.
func FuzzContents(f *testing.F) {
	z, err := zstd.NewWriter(nil)
	if err != nil {
		f.Fatal(err)
	}
	dec, err := zstd.NewReader(nil, zstd.WithDecoderMaxMemory(1<<20))
	if err != nil {
		f.Fatal(err)
	}
	frame := z.EncodeAll([]byte("sql;\n"), nil)
	sum := sha256.Sum256(frame)
	f.Add(frame, int64(5), fmt.Sprintf(`{"entry":{"section":"data","kind":"ddl","offset":0,"length":%d,"raw_length":5,"sha256":%q}}`+"\n"+
		`{"table":{"name":"a","rows":0,"hash":"00000000000000000000000000000000"}}`+"\n"+
		`{"header":{}}`+"\n"+`{"end":{"entries":1,"tables":1,"rows":0,"raw_length":5}}`+"\n", len(frame), hex.EncodeToString(sum[:])))
	f.Fuzz(func(t *testing.T, frame []byte, raw int64, text string) {
		data := forge(frame, raw, text, int64(len(text)))
		r, err := Open(bytes.NewReader(data), int64(len(data)), Trust{Unsigned: true})
		if err == nil {
			_, err = r.Verify(context.Background(), nil)
		}
		if err != nil {
			if safepoint.ErrorCode(err) != safepoint.CodeArchive {
				t.Errorf("not a proper refusal: %v", err)
			}
			return
		}
		sql, err := dec.DecodeAll(frame, nil)
		if e := r.Entry(0); r.Len() != 1 || e.Length != int64(len(frame)) || err != nil || e.RawLength != int64(len(sql)) {
			t.Errorf("accepted %+v; the frame has %d bytes and holds %d, %v", e, len(frame), len(sql), err)
		}
	})
}

// Names that JSON cannot carry would come back as other names.
func TestNamesThatAreNotUTF8(t *testing.T) {
	for _, e := range []Entry{
		{Section: Data, Table: "caf\xe9"}, {Section: Data, Schema: "caf\xe9"}, {Section: Data, Columns: []string{"a", "caf\xe9"}},
	} {
		w := NewWriter(&bytes.Buffer{}, Header{}, nil)
		f, err := w.Frame(e)
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err == nil {
			t.Errorf("%+v is accepted", e)
		}
	}
	w := NewWriter(&bytes.Buffer{}, Header{}, nil)
	w.SetFingerprint(Fingerprint{"caf\xe9": {}})
	if _, err := w.Close(); err == nil {
		t.Error("a fingerprint is accepted")
	}
}
