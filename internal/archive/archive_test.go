package archive_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/archive"
	"pgregory.net/rapid"
)

// testKey is a key that everybody knows: the one of the test vectors.
var testKey = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize))

var trusted = archive.Trust{Keys: []ed25519.PublicKey{testKey.Public().(ed25519.PublicKey)}}

// frame is one frame to be written, and what it holds.
type frame struct {
	archive.Entry
	sql string
}

func testHeader() archive.Header {
	return archive.Header{
		Engine: safepoint.PostgreSQL, ServerVersion: "15.18", ServerVersionNum: 150018, Database: "shop",
		Encoding: "UTF8", Collate: "C.UTF-8", CType: "C.UTF-8", LocaleProvider: "libc", Tool: "safepoint test",
		CreatedAt:  time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC),
		Properties: json.RawMessage(`{"owner":"shop"}`),
	}
}

// shop is a small script in four frames.
func shop() ([]frame, archive.Fingerprint) {
	var orders archive.Digester
	var rows strings.Builder
	for i := range 3 {
		row := fmt.Sprintf("%d\t%d.50", i+1, i*10)
		orders.Add([]byte(row))
		rows.WriteString(row + "\n")
	}
	frames := []frame{
		{archive.Entry{Section: archive.PreData, Kind: "ddl", Objects: []string{"TABLE public.orders", "TABLE public.notes"}},
			"CREATE TABLE public.orders (id bigint, total numeric);\nCREATE TABLE public.notes (t text);\n"},
		{archive.Entry{Section: archive.Data, Kind: "copy", Schema: "public", Table: "orders", Columns: []string{"id", "total"}, Rows: 3},
			"COPY public.orders (id, total) FROM stdin;\n" + rows.String() + "\\.\n"},
		{archive.Entry{Section: archive.Data, Kind: "copy", Schema: "public", Table: "notes", Columns: []string{"t"}},
			"COPY public.notes (t) FROM stdin;\n\\.\n"},
		{archive.Entry{Section: archive.PostData, Kind: "ddl", Objects: []string{"INDEX public.orders_id"}},
			"CREATE INDEX orders_id ON public.orders (id);\n"},
	}
	return frames, archive.Fingerprint{`"public"."orders"`: orders.Digest(), `"public"."notes"`: (&archive.Digester{}).Digest()}
}

func script(frames []frame) string {
	var b strings.Builder
	for _, f := range frames {
		b.WriteString(f.sql)
	}
	return b.String()
}

func write(t testing.TB, key ed25519.PrivateKey, frames []frame, f archive.Fingerprint) ([]byte, archive.Summary) {
	t.Helper()
	var b bytes.Buffer
	sum := fill(t, archive.NewWriter(&b, testHeader(), key), frames, f)
	return b.Bytes(), sum
}

// fill writes frames and closes the archive.
func fill(t testing.TB, w *archive.Writer, frames []frame, f archive.Fingerprint) archive.Summary {
	t.Helper()
	for _, fr := range frames {
		fw, err := w.Frame(fr.Entry)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(fw, fr.sql); err != nil {
			t.Fatal(err)
		}
		if err := fw.Close(); err != nil {
			t.Fatal(err)
		}
	}
	w.SetFingerprint(f)
	sum, err := w.Close()
	if err != nil {
		t.Fatal(err)
	}
	return sum
}

// accept opens and verifies data, and returns its script.
func accept(data []byte, trust archive.Trust) (*archive.Reader, string, error) {
	r, err := archive.Open(bytes.NewReader(data), int64(len(data)), trust)
	if err != nil {
		return nil, "", err
	}
	sum, err := r.Verify(context.Background(), nil)
	bytesSum, bytesErr := r.VerifyBytes(context.Background(), nil)
	switch {
	case fmt.Sprint(err) != fmt.Sprint(bytesErr) || sum != bytesSum:
		return nil, "", fmt.Errorf("Verify finds %s, %w, and VerifyBytes %s, %v", sum, err, bytesSum, bytesErr)
	case err != nil:
		return nil, "", err
	}
	var b strings.Builder
	for i := range r.Entries() {
		f, err := r.Frame(i)
		if err != nil {
			return nil, "", err
		}
		if _, err := io.Copy(&b, f); err != nil {
			return nil, "", err
		}
		if err := f.Close(); err != nil {
			return nil, "", err
		}
	}
	return r, b.String(), nil
}

func TestRoundTrip(t *testing.T) {
	frames, fingerprint := shop()
	data, sum := write(t, testKey, frames, fingerprint)
	r, sql, err := accept(data, trusted)
	if err != nil {
		t.Fatal(err)
	}
	if sql != script(frames) {
		t.Errorf("script is %q", sql)
	}
	if !reflect.DeepEqual(r.Header(), testHeader()) {
		t.Errorf("header is %+v", r.Header())
	}
	if err := fingerprint.Compare(r.Fingerprint()); err != nil {
		t.Error(err)
	}
	if !r.SignedBy().Equal(testKey.Public()) {
		t.Errorf("signed by %x", r.SignedBy())
	}
	want := archive.Summary{Size: int64(len(data)), RawSize: int64(len(sql)), Tables: 2, Rows: 3}
	if r.Summary() != want {
		t.Errorf("reader's summary is %+v, want %+v", r.Summary(), want)
	}
	hash := sha256.Sum256(data)
	want.SHA256 = hex.EncodeToString(hash[:])
	if sum != want {
		t.Errorf("writer's summary is %+v, want %+v", sum, want)
	}
	var last int64
	got, err := r.Verify(context.Background(), func(done, total int64) {
		if done < last || total != int64(len(data)) {
			t.Errorf("report(%d, %d) after %d", done, total, last)
		}
		last = done
	})
	if err != nil || got != want.SHA256 || last != int64(len(data)) {
		t.Errorf("Verify gave %s, %v after %d bytes", got, err, last)
	}
	for i, e := range r.Entries() {
		if e.Section != frames[i].Section || e.Kind != frames[i].Kind || e.Table != frames[i].Table || e.Rows != frames[i].Rows ||
			!reflect.DeepEqual(e.Columns, frames[i].Columns) || !reflect.DeepEqual(e.Objects, frames[i].Objects) {
			t.Errorf("entry %d is %+v", i, e)
		}
	}
}

// Any frames, of any content and cut anyhow, come back as they were.
func TestRoundTripOfAnything(t *testing.T) {
	sections := []archive.Section{archive.PreData, archive.Data, archive.PostData}
	rapid.Check(t, func(rt *rapid.T) {
		var frames []frame
		for _, section := range sections {
			for range rapid.IntRange(0, 4).Draw(rt, "frames") {
				chunk := rapid.String().Draw(rt, "sql")
				frames = append(frames, frame{
					archive.Entry{
						Section: section, Kind: "ddl", Schema: rapid.String().Draw(rt, "schema"), Table: rapid.String().Draw(rt, "table"),
						Slice: rapid.IntRange(0, 9).Draw(rt, "slice"), Rows: rapid.Int64Range(0, 1<<40).Draw(rt, "rows"),
					},
					strings.Repeat(chunk, rapid.SampledFrom([]int{0, 1, 1000, 40000}).Draw(rt, "times")),
				})
			}
		}
		fingerprint := archive.Fingerprint(rapid.MapOf(rapid.String(), rapid.Custom(func(rt *rapid.T) archive.Digest {
			var d archive.Digester
			d.Add(rapid.SliceOf(rapid.Byte()).Draw(rt, "row"))
			return d.Digest()
		})).Draw(rt, "fingerprint"))
		var key ed25519.PrivateKey
		if rapid.Bool().Draw(rt, "signed") {
			key = testKey
		}
		data, sum := write(t, key, frames, fingerprint)
		r, sql, err := accept(data, archive.Trust{Unsigned: true})
		if err != nil {
			rt.Fatal(err)
		}
		if sql != script(frames) {
			rt.Fatal("the script differs")
		}
		if err := fingerprint.Compare(r.Fingerprint()); err != nil {
			rt.Fatal(err)
		}
		for i, e := range r.Entries() {
			if e.Schema != frames[i].Schema || e.Table != frames[i].Table || e.Slice != frames[i].Slice || e.Rows != frames[i].Rows {
				rt.Fatalf("entry %d is %+v", i, e)
			}
		}
		if got := r.Summary(); got.RawSize != sum.RawSize || got.Rows != sum.Rows || got.Tables != sum.Tables || got.Size != sum.Size {
			rt.Fatalf("summaries differ: %+v, %+v", got, sum)
		}
	})
}

// The promise of docs/format.md: the zstd program alone gives the script.
func TestZstdProgram(t *testing.T) {
	program, err := exec.LookPath("zstd")
	if err != nil {
		t.Skip("needs the zstd program: apt-get install zstd")
	}
	frames, fingerprint := shop()
	big := frame{archive.Entry{Section: archive.Data, Kind: "rows", Table: "big"}, strings.Repeat("INSERT INTO big VALUES (1);\n", 1<<18)}
	for name, frames := range map[string][]frame{
		"shop":        frames,
		"no frames":   nil,
		"empty frame": {frame{archive.Entry{Section: archive.Data, Kind: "rows"}, ""}},
		"big":         {frames[0], big, frames[3]},
	} {
		t.Run(name, func(t *testing.T) {
			data, _ := write(t, testKey, frames, fingerprint)
			file := filepath.Join(t.TempDir(), "shop.sql.zst")
			if err := os.WriteFile(file, data, 0o600); err != nil {
				t.Fatal(err)
			}
			if out, err := exec.Command(program, "-t", file).CombinedOutput(); err != nil {
				t.Fatalf("zstd -t: %v: %s", err, out)
			}
			out, err := exec.Command(program, "-dc", file).Output()
			if err != nil {
				t.Fatalf("zstd -dc: %v", err)
			}
			if string(out) != script(frames) {
				t.Errorf("zstd -dc gives %d bytes, not the script's %d", len(out), len(script(frames)))
			}
		})
	}
}
