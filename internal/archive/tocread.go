package archive

import (
	"bufio"
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
)

// toc is a table of contents that was read and checked.
type toc struct {
	header      Header
	entries     entryList
	fingerprint Fingerprint
	end         tocEnd
}

// checkFixed checks what stands before the payload of that SHA-256: everything but the version, which the caller has looked at.
// It returns the signer's key, nil for an unsigned archive.
func checkFixed(fixed []byte, payload [sha256.Size]byte, position int64) (ed25519.PublicKey, error) {
	key, signature := fixed[60:tocSigned], fixed[tocSigned:fixedPart]
	switch {
	case fixed[11] != 0 || fixed[10] > 1:
		return nil, errors.New("unknown flags")
	case binary.LittleEndian.Uint64(fixed[20:]) > maxTOC:
		return nil, errors.New("its stated length is over the limit")
	case !bytes.Equal(payload[:], fixed[28:60]):
		return nil, errors.New("its SHA-256 does not fit")
	case binary.LittleEndian.Uint64(fixed[12:]) != uint64(position):
		return nil, errors.New("it stands in another place than it says")
	}
	if fixed[10] == 0 {
		if slices.Max(fixed[60:fixedPart]) != 0 {
			return nil, errors.New("it says that it is unsigned and has a signature")
		}
		return nil, nil
	}
	// Zeros are a key for which every fourth message has a valid signature of zeros: a point of order 4.
	if slices.Max(key) == 0 {
		return nil, errors.New("it says that it is signed and names no key")
	}
	if !ed25519.Verify(key, signedMessage(fixed), signature) {
		return nil, errors.New("its signature does not fit")
	}
	return bytes.Clone(key), nil
}

// parseTOC decompresses and checks the payload of an archive whose seek table counts frames frames, which end at
// position. It allocates as lines arrive.
func parseTOC(payload io.Reader, raw int64, frames int, position int64) (*toc, error) {
	dec := getDecoder()
	defer dec.release()
	if err := dec.start(payload); err != nil {
		return nil, err
	}
	counted := &countingReader{r: io.LimitReader(dec, raw+1)}
	lines := bufio.NewScanner(counted)
	lines.Buffer(make([]byte, 64<<10), maxTOCLine)
	lines.Split(splitLines)

	p := tocParser{frames: frames}
	p.toc.entries, p.toc.fingerprint = newEntryList(), Fingerprint{}
	for lines.Scan() {
		var l tocLine
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			return nil, err
		}
		if err := p.take(l); err != nil {
			return nil, err
		}
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	if counted.n != raw {
		return nil, fmt.Errorf("it has %d bytes, not the %d it states", counted.n, raw)
	}
	return p.finish(position)
}

// splitLines is bufio.ScanLines for lines that all must end with a newline.
func splitLines(data []byte, atEOF bool) (advance int, token []byte, err error) {
	if i := bytes.IndexByte(data, '\n'); i >= 0 {
		return i + 1, data[:i], nil
	}
	if atEOF && len(data) > 0 {
		return 0, nil, errors.New("its last line has no end")
	}
	return 0, nil, nil
}

type tableName struct{ schema, table string }

// tocParser takes the lines in their order.
type tocParser struct {
	toc      toc
	frames   int
	section  Section // of the frame before
	offset   int64
	sum      tocEnd
	lastName string
	header   bool
	ended    bool
}

func (p *tocParser) take(l tocLine) error {
	switch {
	case p.ended:
		return errors.New("there is more behind its end")
	case l.Entry != nil && l.Table == nil && l.Header == nil && l.End == nil:
		return p.entry(*l.Entry)
	case l.Table != nil && l.Entry == nil && l.Header == nil && l.End == nil:
		return p.table(*l.Table)
	case l.Header != nil && l.Entry == nil && l.Table == nil && l.End == nil:
		if p.header {
			return errors.New("it has two headers")
		}
		p.header, p.toc.header = true, *l.Header
		return nil
	case l.End != nil && l.Entry == nil && l.Table == nil && l.Header == nil:
		p.ended, p.toc.end = true, *l.End
		return nil
	}
	return errors.New("it has a line of an unknown kind")
}

func (p *tocParser) entry(e Entry) error {
	i := p.toc.entries.n
	if p.header || len(p.toc.fingerprint) > 0 {
		return errors.New("a frame's line is out of order")
	}
	if i >= p.frames {
		return errors.New("it has more frames than the seek table")
	}
	if err := checkEntry(e); err != nil {
		return fmt.Errorf("frame %d: %w", i, err)
	}
	if e.Offset != p.offset {
		return fmt.Errorf("frame %d is said to begin at byte %d, but the one before it ends at %d", i, e.Offset, p.offset)
	}
	if sectionRank(e.Section) < sectionRank(p.section) {
		return fmt.Errorf("frame %d (%s) comes after the section %s", i, e.Section, p.section)
	}
	if e.Rows > math.MaxInt64-p.sum.Rows {
		return errors.New("its rows are too many")
	}
	p.toc.entries.add(e)
	p.section = e.Section
	p.offset += e.Length
	p.sum.Entries++
	p.sum.Rows += e.Rows
	p.sum.RawLength += e.RawLength
	return nil
}

func checkEntry(e Entry) error {
	switch {
	case sectionRank(e.Section) == 0:
		return fmt.Errorf("unknown section %q", e.Section)
	case e.Length < 1 || e.Length > MaxFrame, e.RawLength < 0 || e.RawLength > MaxFrame, e.Rows < 0:
		return errors.New("a length is out of range")
	case e.SHA256 == Sum{}:
		return errors.New("it has no SHA-256")
	}
	return nil
}

func (p *tocParser) table(t tocTable) error {
	d := Digest{Rows: t.Rows}
	switch {
	case p.header:
		return errors.New("a table's line is out of order")
	case len(p.toc.fingerprint) > 0 && t.Name <= p.lastName:
		return errors.New("the fingerprint's tables are out of order")
	case d.Hash.UnmarshalText([]byte(t.Hash)) != nil || t.Rows < 0:
		return fmt.Errorf("the fingerprint of %s is malformed", t.Name)
	case len(p.toc.fingerprint) >= MaxFrames:
		return errors.New("the fingerprint has too many tables")
	}
	p.lastName = t.Name
	p.toc.fingerprint[t.Name] = d
	return nil
}

func (p *tocParser) finish(position int64) (*toc, error) {
	p.toc.entries.end()
	p.sum.Tables = countTables(p.toc.fingerprint, p.named)
	switch {
	case !p.ended || !p.header:
		return nil, errors.New("it has no end")
	case p.sum != p.toc.end:
		return nil, errors.New("its sums are wrong")
	case p.sum.Entries != p.frames:
		return nil, fmt.Errorf("it has %d frames, the seek table has %d", p.sum.Entries, p.frames)
	case p.offset != position:
		return nil, fmt.Errorf("its frames end at byte %d, but it begins at %d", p.offset, position)
	}
	return &p.toc, nil
}

// named is how many tables the frames name.
func (p *tocParser) named() int {
	tables := map[tableName]struct{}{}
	for _, e := range p.toc.entries.all {
		if e.Table != "" {
			tables[tableName{e.Schema, e.Table}] = struct{}{}
		}
	}
	return len(tables)
}

// countTables is the number of tables of an archive: those of the fingerprint, which knows the empty ones too, or without
// one those that its frames name.
func countTables(f Fingerprint, named func() int) int {
	if len(f) > 0 {
		return len(f)
	}
	return named()
}

type countingReader struct {
	r io.Reader
	n int64
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}
