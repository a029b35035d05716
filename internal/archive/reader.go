package archive

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"

	"github.com/safepoint-db/safepoint"
)

const hintAltered = "Do not restore from this file. Copy it again from where it was kept, or use another backup."

// altered refuses a file of which part is not what was written; why is for the log.
func altered(part string, why error) error {
	return safepoint.Errorf(safepoint.CodeArchive, "The archive has been altered or damaged: %s is not what was written.", part).
		WithHint(hintAltered).WithCause(why)
}

// Reader reads one archive. It is safe for concurrent use.
type Reader struct {
	r        io.ReaderAt
	size     int64
	position int64             // of the table of contents: where the frames end
	tail     [sha256.Size]byte // of everything from position
	toc      *toc
	signedBy ed25519.PublicKey
	signer   ed25519.PublicKey
}

// Open reads the end of an archive: seek table, table of contents, its hash and signature.
// Every refusal is a *safepoint.Error with CodeArchive that says what is wrong in words.
// The frames themselves are checked by Verify, and one by one by Frame.
func Open(r io.ReaderAt, size int64, trust Trust) (*Reader, error) {
	if size <= 0 {
		return nil, safepoint.Errorf(safepoint.CodeArchive, "The file is empty: it has zero bytes.").
			WithHint("A backup is never empty, even of a database without tables. Copy the file again from where it was kept.")
	}
	frames, position, err := locate(r, size)
	if err != nil {
		return nil, err
	}
	a := &Reader{r: r, size: size, position: position}
	end := size - int64(skipHead+seekLine*(frames+1)+seekFoot) // of the table of contents
	head, err := readRange(r, position, tocMin)
	if err != nil {
		return nil, err
	}
	payload, err := readParts(r, position+tocMin, end-position-tocMin)
	if err != nil {
		return nil, err
	}
	table, err := readRange(r, end, size-end)
	if err != nil {
		return nil, err
	}
	a.tail = slices.Concat(parts{head}, payload, parts{table}).sum()
	fixed, err := checkHead(r, size, head, end-position)
	if err != nil {
		return nil, err
	}
	key, err := checkFixed(fixed, payload.sum(), position)
	if err != nil {
		return nil, diagnose(r, size, altered("the table of contents", err))
	}
	if a.signedBy, err = trust.check(key); err != nil {
		return nil, err
	}
	a.signer = key
	raw := int64(binary.LittleEndian.Uint64(fixed[20:]))
	if a.toc, err = parseTOC(payload.reader(), raw, frames, position); err != nil {
		return nil, altered("the table of contents", err)
	}
	if !bytes.Equal(a.toc.seekTable(end-position), table) {
		return nil, altered("the seek table", errors.New("it does not fit the table of contents"))
	}
	return a, nil
}

// locate finds the number of frames and the place of the table of contents from the seek table at the file's end.
func locate(r io.ReaderAt, size int64) (frames int, position int64, err error) {
	refuse := func(why string) (int, int64, error) {
		return 0, 0, diagnose(r, size, altered("the seek table at its end", errors.New(why)))
	}
	if size < tocMin+skipHead+seekLine+seekFoot {
		return refuse("the file is too short")
	}
	foot, err := readRange(r, size-seekFoot, seekFoot)
	if err != nil {
		return 0, 0, err
	}
	lines := int64(binary.LittleEndian.Uint32(foot))
	if binary.LittleEndian.Uint32(foot[5:]) != seekFootMagic || foot[4] != 0 {
		return refuse("no seek table")
	}
	length := skipHead + seekLine*lines + seekFoot
	if lines < 1 || lines > MaxFrames+1 || length > size {
		return refuse("the number of its lines is out of range")
	}
	at := size - length
	head, err := readRange(r, at, skipHead)
	if err != nil {
		return 0, 0, err
	}
	if binary.LittleEndian.Uint32(head) != seekMagic || int64(binary.LittleEndian.Uint32(head[4:])) != length-skipHead {
		return refuse("it does not begin where it should")
	}
	last, err := readRange(r, size-seekFoot-seekLine, seekLine)
	if err != nil {
		return 0, 0, err
	}
	contents := int64(binary.LittleEndian.Uint32(last))
	if contents < tocMin || contents > tocMin+maxPayload || contents > at {
		return refuse("the table of contents has no room")
	}
	return int(lines - 1), at - contents, nil
}

// checkHead checks what a table of contents of that length, whose first tocMin bytes are head, says that it is, and its version.
func checkHead(r io.ReaderAt, size int64, head []byte, length int64) (fixed []byte, err error) {
	head, fixed = head[:skipHead], head[skipHead:]
	if !bytes.HasPrefix(fixed, []byte(identifier)) {
		return nil, diagnose(r, size, altered("the table of contents", errors.New("no identifier")))
	}
	if v := fixed[len(identifier)]; v != version {
		return nil, safepoint.Errorf(safepoint.CodeArchive, "The archive has format version %d, and this program reads version %d.", v, version).
			WithHint("Use a newer Safepoint. The file can also be restored without Safepoint: zstd -dc FILE gives plain SQL.")
	}
	if binary.LittleEndian.Uint32(head) != tocMagic || int64(binary.LittleEndian.Uint32(head[4:])) != length-skipHead {
		return nil, diagnose(r, size, altered("the table of contents", errors.New("its frame does not fit")))
	}
	return fixed, nil
}

// check returns the trusted key that is key, or nil where trust accepts others too.
func (t Trust) check(key ed25519.PublicKey) (ed25519.PublicKey, error) {
	for _, k := range t.Keys {
		if key != nil && k.Equal(key) {
			return key, nil
		}
	}
	switch {
	case t.Unsigned:
		return nil, nil
	case key == nil:
		return nil, safepoint.Errorf(safepoint.CodeArchive, "The archive is not signed, so nobody can tell who made it.").
			WithHint("Restore it only if you know where it comes from, and then allow an unsigned file explicitly.")
	}
	return nil, safepoint.Errorf(safepoint.CodeArchive, "The archive is intact, but signed with a key that is not trusted here (%x…).", []byte(key[:8])).
		WithHint("It was made by another Safepoint. Restore it only if you know where it comes from: trust its key, or allow a file of unknown origin explicitly.")
}

// seekTable is the seek table that belongs to t.
func (t *toc) seekTable(contents int64) []byte {
	var s seekTable
	for _, e := range t.entries.all {
		s.add(e.Length, e.RawLength)
	}
	s.add(contents, 0)
	return s.frame()
}

// Header says what was dumped.
func (r *Reader) Header() Header { return r.toc.header }

// Len is the number of frames.
func (r *Reader) Len() int { return r.toc.entries.n }

// Entry describes frame i.
func (r *Reader) Entry(i int) Entry { return r.toc.entries.at(i) }

// Entries gives the frames in the order of the script, each with its number.
func (r *Reader) Entries() iter.Seq2[int, Entry] { return r.toc.entries.all }

// Fingerprint is the source's, empty if it was not taken. The map is the reader's own: do not change it.
func (r *Reader) Fingerprint() Fingerprint { return r.toc.fingerprint }

// CompareRestored compares what was loaded of r with its fingerprint. A foreign dump has none: what can be said of it was
// checked while it was loaded, block by block, and compared says that nothing more was.
func (r *Reader) CompareRestored(got Fingerprint) (compared bool, err error) {
	if r.toc.header.Foreign != "" && len(r.toc.fingerprint) == 0 {
		return false, nil
	}
	return true, r.toc.fingerprint.Compare(got)
}

// Summary is what the table of contents says; SHA256 is empty, for it is of the whole file.
func (r *Reader) Summary() Summary {
	return summarize(Summary{Size: r.size, RawSize: r.toc.end.RawLength}, r.toc.end, r.toc.fingerprint)
}

// SignedBy is the trusted key that signed the archive, nil if it is unsigned or signed by an unknown key.
func (r *Reader) SignedBy() ed25519.PublicKey { return r.signedBy }

// Signer is the key whose signature the archive carries, trusted or not; nil if it is unsigned.
func (r *Reader) Signer() ed25519.PublicKey { return r.signer }

// readRange reads n bytes at off, all of which lie in the file.
func readRange(r io.ReaderAt, off, n int64) ([]byte, error) {
	// ReadAll grows with what arrives: n comes from the file, and what is behind r may be shorter than it said.
	b, err := io.ReadAll(io.NewSectionReader(r, off, n))
	if err != nil {
		return nil, fmt.Errorf("read archive: %w", err)
	}
	if int64(len(b)) < n {
		return nil, shrunk()
	}
	return b, nil
}

func shrunk() error {
	return safepoint.Errorf(safepoint.CodeArchive, "The archive ended early: it has become shorter while it was read.").Hinted(hintAltered)
}

// readParts is readRange for what may be long.
func readParts(r io.ReaderAt, off, n int64) (parts, error) {
	var p parts
	got, err := io.Copy(&p, onlyReader{io.NewSectionReader(r, off, n)})
	if err != nil {
		return nil, fmt.Errorf("read archive: %w", err)
	}
	if got < n {
		return nil, shrunk()
	}
	return p, nil
}
