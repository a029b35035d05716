package archive

import (
	"crypto/ed25519"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"unicode/utf8"
)

// What the bytes are: docs/format.md, sections 3 and 4.
const (
	version = 1

	identifier   = "SAFEPOINT"
	signedDomain = "safepoint archive v1 toc"

	tocMagic      = 0x184D2A53
	seekMagic     = 0x184D2A5E
	seekFootMagic = 0x8F92EAB1

	skipHead  = 8   // magic and length of a skippable frame
	fixedPart = 156 // of the table of contents, before its payload
	tocSigned = 92  // of it, before the signature
	seekFoot  = 9   // last bytes of a seek table
	seekLine  = 8   // one frame in a seek table
	tocMin    = skipHead + fixedPart

	maxTOC     = 256 << 20 // decompressed
	maxPayload = 256 << 20 // compressed
	maxTOCLine = 64 << 20
)

// tocLine is one line of the table of contents: exactly one member is set.
type tocLine struct {
	Entry  *Entry    `json:"entry,omitempty"`
	Table  *tocTable `json:"table,omitempty"`
	Header *Header   `json:"header,omitempty"`
	End    *tocEnd   `json:"end,omitempty"`
}

type tocTable struct {
	Name string `json:"name"`
	Rows int64  `json:"rows"`
	Hash string `json:"hash"`
}

type tocEnd struct {
	Entries   int   `json:"entries"`
	Tables    int   `json:"tables"`
	Rows      int64 `json:"rows"`
	RawLength int64 `json:"raw_length"`
}

// tocWriter compresses the table of contents line by line, so that 100,000 entries cost a few MiB.
type tocWriter struct {
	enc *encoder
	buf parts
	raw int64
}

func newTOCWriter() *tocWriter {
	t := &tocWriter{enc: getEncoder()}
	t.enc.start(&t.buf)
	return t
}

func (t *tocWriter) line(l tocLine) error {
	if name, ok := notUTF8(l); ok {
		// JSON would replace the bytes silently, and two names could become one.
		return fmt.Errorf("the name %q is not UTF-8", name)
	}
	text, err := json.Marshal(l)
	if err != nil {
		return err
	}
	text = append(text, '\n')
	if len(text) > maxTOCLine {
		return fmt.Errorf("a line of the table of contents has %d bytes, more than %d", len(text), maxTOCLine)
	}
	if t.raw += int64(len(text)); t.raw > maxTOC {
		return fmt.Errorf("the table of contents has more than %d bytes", maxTOC)
	}
	_, err = t.enc.Write(text)
	return err
}

// notUTF8 finds a name in l that JSON cannot carry.
func notUTF8(l tocLine) (string, bool) {
	var names []string
	switch {
	case l.Entry != nil:
		names = slices.Concat([]string{l.Entry.Schema, l.Entry.Table}, l.Entry.Columns, l.Entry.Objects)
	case l.Table != nil:
		names = []string{l.Table.Name}
	case l.Header != nil:
		names = []string{l.Header.Database, l.Header.Encoding, l.Header.Collate, l.Header.CType, l.Header.Locale}
	}
	for _, name := range names {
		if !utf8.ValidString(name) {
			return name, true
		}
	}
	return "", false
}

// finish ends the payload and frames it, for a file in which it begins at position.
func (t *tocWriter) finish(f Fingerprint, h Header, end tocEnd, position int64, key ed25519.PrivateKey) (parts, error) {
	for _, name := range slices.Sorted(maps.Keys(f)) {
		if err := t.line(tocLine{Table: &tocTable{name, f[name].Rows, f[name].Hash.String()}}); err != nil {
			return nil, err
		}
	}
	if err := t.line(tocLine{Header: &h}); err != nil {
		return nil, err
	}
	if err := t.line(tocLine{End: &end}); err != nil {
		return nil, err
	}
	if err := t.enc.finish(); err != nil {
		return nil, err
	}
	t.enc.release()
	size := t.buf.len()
	if size > maxPayload {
		return nil, fmt.Errorf("the table of contents has %d bytes compressed, more than %d", size, maxPayload)
	}

	b := make([]byte, tocMin)
	binary.LittleEndian.PutUint32(b, tocMagic)
	binary.LittleEndian.PutUint32(b[4:], uint32(fixedPart+size))
	fixed := b[skipHead:]
	copy(fixed, identifier)
	fixed[9] = version
	binary.LittleEndian.PutUint64(fixed[12:], uint64(position))
	binary.LittleEndian.PutUint64(fixed[20:], uint64(t.raw))
	sum := t.buf.sum()
	copy(fixed[28:], sum[:])
	if key != nil {
		fixed[10] = 1
		copy(fixed[60:], key.Public().(ed25519.PublicKey))
		copy(fixed[tocSigned:], ed25519.Sign(key, signedMessage(fixed)))
	}
	return append(parts{b}, t.buf...), nil
}

func signedMessage(fixed []byte) []byte {
	return append([]byte(signedDomain), fixed[:tocSigned]...)
}

// seekTable collects the lines of the seek table: one per frame, and one for the table of contents.
type seekTable []byte

func (s *seekTable) add(length, raw int64) {
	*s = binary.LittleEndian.AppendUint32(*s, uint32(length))
	*s = binary.LittleEndian.AppendUint32(*s, uint32(raw))
}

// frame is the seek table as it stands in the file.
func (s seekTable) frame() []byte {
	b := make([]byte, 0, skipHead+len(s)+seekFoot)
	b = binary.LittleEndian.AppendUint32(b, seekMagic)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(s)+seekFoot))
	b = append(b, s...)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(s)/seekLine))
	b = append(b, 0)
	return binary.LittleEndian.AppendUint32(b, seekFootMagic)
}
