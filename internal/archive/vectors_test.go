package archive_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/binary"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/archive"
)

var update = flag.Bool("update", false, "write the test vectors in testdata anew")

// vector is one file in testdata, as expected.json describes it.
type vector struct {
	File    string `json:"file"`
	Trust   string `json:"trust"`             // "key": only the test key; "unsigned": anything
	Script  string `json:"script,omitempty"`  // file with what the archive decompresses to; "" if it is refused
	Signed  bool   `json:"signed,omitempty"`  // with the test key
	Refusal string `json:"refusal,omitempty"` // what a user is told
}

// vectors makes the files.
func vectors(t *testing.T) (files map[string][]byte, list []vector) {
	frames, fingerprint := shop()
	signed, _ := write(t, testKey, frames, fingerprint)
	unsigned, _ := write(t, nil, frames, fingerprint)
	foreign, _ := write(t, otherKey, frames, fingerprint)
	none, _ := write(t, testKey, nil, nil)
	r, err := archive.Open(bytes.NewReader(signed), int64(len(signed)), trusted)
	if err != nil {
		t.Fatal(err)
	}
	one, two := r.Entry(1), r.Entry(2)
	end := r.Entry(3).Offset + r.Entry(3).Length

	change := func(at int64, to byte) []byte {
		b := bytes.Clone(signed)
		b[at] = to
		return b
	}
	files = map[string][]byte{"shop.sql": []byte(script(frames)), "none.sql": {}}
	accepted := func(name string, data []byte, trust, script string, signed bool) {
		files[name] = data
		list = append(list, vector{File: name, Trust: trust, Script: script, Signed: signed})
	}
	refused := func(name string, data []byte, trust string) {
		files[name] = data
		list = append(list, vector{File: name, Trust: trust})
	}
	accepted("signed.sql.zst", signed, "key", "shop.sql", true)
	accepted("unsigned.sql.zst", unsigned, "unsigned", "shop.sql", false)
	accepted("no-frames.sql.zst", none, "key", "none.sql", true)
	refused("bad-unsigned.sql.zst", unsigned, "key")
	refused("bad-other-key.sql.zst", foreign, "key")
	refused("bad-empty.sql.zst", nil, "unsigned")
	refused("bad-cut-in-frames.sql.zst", signed[:two.Offset], "unsigned")
	refused("bad-cut-in-contents.sql.zst", signed[:end+200], "unsigned")
	refused("bad-cut-by-one.sql.zst", signed[:len(signed)-1], "unsigned")
	refused("bad-frame.sql.zst", change(one.Offset+20, signed[one.Offset+20]^4), "unsigned")
	refused("bad-contents.sql.zst", change(end+8+fixedPart+20, signed[end+8+fixedPart+20]^4), "unsigned")
	refused("bad-seek-table.sql.zst", change(int64(len(signed))-20, 1), "unsigned")
	refused("bad-signature.sql.zst", change(end+8+92, signed[end+8+92]^1), "unsigned")
	refused("bad-version.sql.zst", change(end+8+9, 2), "unsigned")
	refused("bad-appended.sql.zst", append(bytes.Clone(signed), signed[:one.Offset]...), "unsigned")
	refused("bad-swapped.sql.zst", slices.Concat(signed[:one.Offset], signed[two.Offset:two.Offset+two.Length], signed[one.Offset:two.Offset], signed[two.Offset+two.Length:]), "unsigned")
	refused("bad-plain.sql", files["shop.sql"], "unsigned")
	files["signed.toc.jsonl"] = contents(t, signed, end)
	return files, list
}

// fixedPart is the length of what stands before the payload: docs/format.md, section 3.
const fixedPart = 156

// contents decompresses the table of contents that begins at at, by the format document and not by the package.
func contents(t *testing.T, data []byte, at int64) []byte {
	t.Helper()
	length := int64(binary.LittleEndian.Uint32(data[at+4:]))
	dec, err := zstd.NewReader(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer dec.Close()
	text, err := dec.DecodeAll(data[at+8+fixedPart:at+8+length], nil)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func judge(t *testing.T, v vector, data []byte) (r *archive.Reader, sql string, refusal string) {
	t.Helper()
	trust := trusted
	if v.Trust == "unsigned" {
		trust = archive.Trust{Keys: trusted.Keys, Unsigned: true}
	}
	r, sql, err := accept(data, trust)
	var e *safepoint.Error
	switch {
	case err == nil:
		return r, sql, ""
	case !errors.As(err, &e) || e.Code != safepoint.CodeArchive:
		t.Errorf("%s: %v", v.File, err)
		return nil, "", ""
	}
	return nil, "", e.Message
}

// TestVectors reads the files in testdata, which other readers of the format may be tested with as well. That they
// were written by an earlier version of this program, or of its compressor, must not matter.
func TestVectors(t *testing.T) {
	if *update {
		files, list := vectors(t)
		for i := range list {
			_, _, list[i].Refusal = judge(t, list[i], files[list[i].File])
		}
		var b bytes.Buffer
		enc := json.NewEncoder(&b)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		if err := enc.Encode(list); err != nil {
			t.Fatal(err)
		}
		files["expected.json"] = b.Bytes()
		for name, data := range files {
			if err := os.WriteFile(filepath.Join("testdata", name), data, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	read := func(name string) []byte {
		data, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	var list []vector
	if err := json.Unmarshal(read("expected.json"), &list); err != nil {
		t.Fatal(err)
	}
	if len(list) < 17 {
		t.Errorf("only %d vectors", len(list))
	}
	_, fingerprint := shop()
	for _, v := range list {
		t.Run(v.File, func(t *testing.T) {
			r, sql, refusal := judge(t, v, read(v.File))
			if refusal != v.Refusal {
				t.Errorf("refusal is %q, want %q", refusal, v.Refusal)
			}
			if v.Script == "" {
				if r != nil {
					t.Error("accepted")
				}
				return
			}
			if r == nil {
				t.Fatal("refused")
			}
			if sql != string(read(v.Script)) {
				t.Errorf("decompresses to %q", sql)
			}
			if (r.SignedBy() != nil) != v.Signed {
				t.Errorf("signed by %x", r.SignedBy())
			}
			if !reflect.DeepEqual(r.Header(), testHeader()) {
				t.Errorf("header is %+v", r.Header())
			}
			if r.Len() > 0 {
				if err := fingerprint.Compare(r.Fingerprint()); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// TestVectorByTheDocument reads a vector with nothing but docs/format.md, a zstd decoder and Ed25519.
func TestVectorByTheDocument(t *testing.T) {
	data, err := os.ReadFile("testdata/signed.sql.zst")
	if err != nil {
		t.Fatal(err)
	}
	u32 := func(at int) int { return int(binary.LittleEndian.Uint32(data[at:])) }
	size := len(data)
	lines := u32(size - 9)
	seek := size - (8 + 8*lines + 9)
	at := seek - u32(size-9-8)
	if string(data[at:at+4]) != "\x53\x2a\x4d\x18" || string(data[at+8:at+17]) != "SAFEPOINT" || data[at+17] != 1 {
		t.Fatalf("no table of contents at %d", at)
	}
	fixed := data[at+8:]
	message := append([]byte("safepoint archive v1 toc"), fixed[:92]...)
	if !ed25519.Verify(fixed[60:92], message, fixed[92:156]) {
		t.Error("the signature does not fit")
	}
	text := contents(t, data, int64(at))
	want, err := os.ReadFile("testdata/signed.toc.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(text, want) {
		t.Errorf("the table of contents is %s", text)
	}
	dec, err := zstd.NewReader(bytes.NewReader(data[:at]))
	if err != nil {
		t.Fatal(err)
	}
	defer dec.Close()
	sql, err := io.ReadAll(dec)
	if err != nil {
		t.Fatal(err)
	}
	if want, err := os.ReadFile("testdata/shop.sql"); err != nil || !bytes.Equal(sql, want) {
		t.Errorf("the script is %q, %v", sql, err)
	}
}
