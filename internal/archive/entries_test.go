package archive

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// TestEntryListGivesBackWhatItTook: names may hold anything that JSON carries.
func TestEntryListGivesBackWhatItTook(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		texts := rapid.SliceOfN(rapid.StringOf(rapid.RuneFrom([]rune("ab\x00\x7f\u00e9\U0001f600"))), 0, 5)
		list := newEntryList()
		var want []Entry
		for i := range rapid.IntRange(0, 3*entryPage).Draw(rt, "n") {
			if i > 20 { // the rest only fills pages
				e := want[i%20]
				list.add(e)
				want = append(want, e)
				continue
			}
			e := Entry{Section: Data, Kind: rapid.SampledFrom([]string{"copy", ""}).Draw(rt, "kind"), Schema: strings.Join(texts.Draw(rt, "schema"), ""),
				Table: strings.Join(texts.Draw(rt, "table"), ""), Columns: texts.Draw(rt, "columns"), Objects: texts.Draw(rt, "objects"),
				Slice: rapid.Int().Draw(rt, "slice"), Rows: rapid.Int64().Draw(rt, "rows"), Offset: rapid.Int64().Draw(rt, "offset"),
				Length: rapid.Int64Range(0, MaxFrame).Draw(rt, "length"), RawLength: rapid.Int64Range(0, MaxFrame).Draw(rt, "raw"), SHA256: Sum{byte(i)}}
			if len(e.Columns) == 0 {
				e.Columns = nil
			}
			if len(e.Objects) == 0 {
				e.Objects = nil
			}
			list.add(e)
			want = append(want, e)
		}
		list.end()
		seen := 0
		for i, e := range list.all {
			if seen++; i != seen-1 || !reflect.DeepEqual(e, want[i]) {
				rt.Fatalf("entry %d is %+v, want %+v", i, e, want[i])
			}
		}
		if seen != len(want) {
			rt.Fatalf("%d entries, want %d", seen, len(want))
		}
	})
}

// TestEntryListIsSmall: a hundred thousand frames of small tables take less than 12 MiB.
func TestEntryListIsSmall(t *testing.T) {
	const n, most = 100_000, 12 << 20
	used := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := used()
	list := newEntryList()
	for i := range n {
		// As JSON gives them: no two share a text.
		text := func(s string) string { return strings.Clone(s) }
		list.add(Entry{Section: Section(text("data")), Kind: text("copy"), Schema: text("tiny"), Table: fmt.Sprintf("t_%06d", i),
			Columns: []string{text("id"), text("name"), text("made")}, Rows: 3, Length: 120, RawLength: 150, SHA256: Sum{byte(i)}})
	}
	list.end()
	if took := used() - before; took > most {
		t.Errorf("%d entries take %d bytes", n, took)
	}
	runtime.KeepAlive(list)
}

// TestSumIsOneText: every sum has one text, and nothing else is one.
func TestSumIsOneText(t *testing.T) {
	const text = `"00ff000000000000000000000000000000000000000000000000000000000abc"`
	var s Sum
	if err := json.Unmarshal([]byte(text), &s); err != nil || s[1] != 0xff || s[31] != 0xbc {
		t.Fatalf("%v, %v", s, err)
	}
	if b, err := json.Marshal(s); err != nil || string(b) != text {
		t.Errorf("%s, %v", b, err)
	}
	for _, bad := range []string{`""`, strings.Replace(text, "ff", "FF", 1), text[:10] + `"`, `"00` + text[1:], strings.Replace(text, "ff", "fg", 1), "7"} {
		if json.Unmarshal([]byte(bad), &s) == nil {
			t.Errorf("%s is taken", bad)
		}
	}
	var h Hash
	for _, bad := range []string{`""`, `"0123456789abcdef0123456789abcde"`, `"0123456789ABCDEF0123456789abcdef"`, `"0123456789abcdef0123456789abcdef0"`} {
		if json.Unmarshal([]byte(bad), &h) == nil {
			t.Errorf("%s is taken", bad)
		}
	}
}

// TestParts writes pieces of all sizes and reads them again, in others.
func TestParts(t *testing.T) {
	var p parts
	var want bytes.Buffer
	for i, n := range []int{0, 1, partSize - 1, 5, 3 * partSize, 7} {
		b := noise(n, uint64(i))
		want.Write(b)
		if got, err := p.Write(b); got != n || err != nil {
			t.Fatal(got, err)
		}
	}
	got, err := io.ReadAll(p.reader())
	if err != nil || !bytes.Equal(got, want.Bytes()) || p.len() != want.Len() {
		t.Errorf("%d bytes of %d came back, %v", len(got), want.Len(), err)
	}
}
