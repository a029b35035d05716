package archive

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
)

// Sum is the SHA-256 of a compressed frame. In JSON, and as text, it is 64 hex digits.
type Sum [sha256.Size]byte

func (s Sum) String() string { return hex.EncodeToString(s[:]) }

// MarshalText implements encoding.TextMarshaler.
func (s Sum) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, s[:]), nil }

// UnmarshalText takes what MarshalText gives and nothing else.
func (s *Sum) UnmarshalText(text []byte) error { return fromHex(s[:], text) }

// fromHex reads as many bytes as sum has. Capital digits are another text for the same sum, and are refused.
func fromHex(sum, text []byte) error {
	n, err := hex.Decode(sum, text[:min(len(text), 2*len(sum))])
	if err != nil || n != len(sum) || hex.EncodeToString(sum) != string(text) {
		return fmt.Errorf("a sum of %d bytes is malformed", len(sum))
	}
	return nil
}

// entryList holds the frames of a table of contents in as little memory as a hundred thousand of them need: what many
// frames have in common once, lists of names as one text, and all in pages, which are never copied to grow.
type entryList struct {
	pages   [][]packedEntry
	n       int
	kinds   []string          // section, kind, schema and columns, packed
	known   map[string]uint32 // places in kinds; nil when nothing more comes
	objects []string          // packed
}

const entryPage = 1024

type packedEntry struct {
	table               string
	offset, rows, slice int64
	length, raw         uint32 // at most MaxFrame
	kind                uint32 // place in kinds
	objects             uint32 // place in objects, counted from 1; 0 is none
	sum                 Sum
}

func newEntryList() entryList { return entryList{known: map[string]uint32{}} }

// add takes e, whose lengths are at most MaxFrame.
func (l *entryList) add(e Entry) {
	if l.n%entryPage == 0 {
		l.pages = append(l.pages, make([]packedEntry, 0, entryPage))
	}
	p := packedEntry{table: e.Table, offset: e.Offset, rows: e.Rows, slice: int64(e.Slice), length: uint32(e.Length), raw: uint32(e.RawLength), sum: e.SHA256}
	kind := pack(append([]string{string(e.Section), e.Kind, e.Schema}, e.Columns...))
	place, ok := l.known[kind]
	if !ok {
		place = uint32(len(l.kinds))
		l.kinds = append(l.kinds, kind)
		l.known[kind] = place
	}
	p.kind = place
	if len(e.Objects) > 0 {
		l.objects = append(l.objects, pack(e.Objects))
		p.objects = uint32(len(l.objects))
	}
	last := &l.pages[len(l.pages)-1]
	*last = append(*last, p)
	l.n++
}

// end says that nothing more comes.
func (l *entryList) end() { l.known = nil }

// at is entry i.
func (l *entryList) at(i int) Entry {
	p := &l.pages[i/entryPage][i%entryPage]
	section, rest := unpackOne(l.kinds[p.kind])
	kind, rest := unpackOne(rest)
	schema, columns := unpackOne(rest)
	e := Entry{
		Section: Section(section), Kind: kind, Schema: schema, Table: p.table, Columns: unpack(columns), Slice: int(p.slice),
		Rows: p.rows, Offset: p.offset, Length: int64(p.length), RawLength: int64(p.raw), SHA256: p.sum,
	}
	if p.objects > 0 {
		e.Objects = unpack(l.objects[p.objects-1])
	}
	return e
}

// all gives the entries in their order.
func (l *entryList) all(yield func(int, Entry) bool) {
	for i := range l.n {
		if !yield(i, l.at(i)) {
			return
		}
	}
}

// pack makes one text of several, whatever is in them.
func pack(texts []string) string {
	size := 0
	for _, t := range texts {
		size += len(t) + 2
	}
	b := make([]byte, 0, size)
	for _, t := range texts {
		b = append(binary.AppendUvarint(b, uint64(len(t))), t...)
	}
	return string(b)
}

// unpackOne gives the first text of what pack made, and the rest.
func unpackOne(packed string) (text, rest string) {
	n, size := uint64(0), 0
	for shift := 0; ; shift += 7 {
		c := packed[size]
		size++
		if n |= uint64(c&0x7f) << shift; c < 0x80 {
			break
		}
	}
	return packed[size : size+int(n)], packed[size+int(n):]
}

// unpack gives all of them, nil where there are none.
func unpack(packed string) (texts []string) {
	for packed != "" {
		var text string
		text, packed = unpackOne(packed)
		texts = append(texts, text)
	}
	return texts
}
