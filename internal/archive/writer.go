package archive

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"hash/maphash"
	"io"

	"github.com/zeebo/xxh3"
)

// ErrFrameTooLarge says that more than MaxFrame bytes were written to one frame. Callers slice before that.
var ErrFrameTooLarge = errors.New("a frame of an archive holds at most 2 GiB of SQL")

// Writer writes one archive, frame after frame. It is not safe for concurrent use.
type Writer struct {
	out         output
	key         ed25519.PrivateKey
	header      Header
	fingerprint Fingerprint
	enc         *encoder
	toc         *tocWriter
	seek        seekTable
	sum         tocEnd
	tables      tableCount
	section     Section
	open        *FrameWriter
	closed      bool
	follower    *Follower // nil where nobody reads what was written
	err         error     // the first one; everything fails with it from then on
}

// NewWriter starts an archive on dst. A nil key leaves it unsigned. The first error sticks.
func NewWriter(dst io.Writer, h Header, key ed25519.PrivateKey) *Writer {
	return &Writer{
		out:    output{dst: dst, whole: sha256.New(), frame: newFrameSum()},
		key:    key,
		header: h,
		enc:    getEncoder(),
		toc:    newTOCWriter(),
		tables: newTableCount(),
	}
}

// Frame starts the next frame, described by e (its Offset, Length, RawLength, SHA256 are filled in by Close).
// What is written to it must be whole statements. One frame is open at a time, and sections come in their order.
func (w *Writer) Frame(e Entry) (*FrameWriter, error) {
	if err := w.begin(e); err != nil {
		return nil, err
	}
	e.Offset = w.out.n
	w.out.frame.reset()
	w.enc.start(&w.out)
	w.open = &FrameWriter{Rows: e.Rows, w: w, entry: e}
	return w.open, nil
}

// begin checks that a frame described by e may come next.
func (w *Writer) begin(e Entry) error {
	switch {
	case w.err != nil:
		return w.err
	case w.closed:
		return w.fail(errors.New("frame after the archive's end"))
	case w.open != nil:
		return w.fail(errors.New("frame begun before the one before it was closed"))
	case sectionRank(e.Section) == 0:
		return w.fail(fmt.Errorf("unknown section %q", e.Section))
	case sectionRank(e.Section) < sectionRank(w.section):
		return w.fail(fmt.Errorf("section %s after %s", e.Section, w.section))
	case w.sum.Entries >= MaxFrames:
		return w.fail(fmt.Errorf("more than %d frames", MaxFrames))
	}
	w.section = e.Section
	return nil
}

// end records a frame that has been written, and its quick sum.
func (w *Writer) end(e Entry, quick xxh3.Uint128) error {
	if e.Length > MaxFrame {
		return w.fail(fmt.Errorf("%s: %w", label(e), ErrFrameTooLarge))
	}
	if err := w.toc.line(tocLine{Entry: &e}); err != nil {
		return w.fail(err)
	}
	w.seek.add(e.Length, e.RawLength)
	w.sum.Entries++
	w.sum.Rows += e.Rows
	w.sum.RawLength += e.RawLength
	if e.Table != "" {
		w.tables.add(e.Schema, e.Table)
	}
	if w.follower != nil {
		w.follower.add(e, quick)
	}
	return nil
}

// SetHeader replaces what NewWriter was given, for what is only known later. It may be called until Close.
func (w *Writer) SetHeader(h Header) { w.header = h }

// Header is what NewWriter or SetHeader was given.
func (w *Writer) Header() Header { return w.header }

// SetFingerprint records the source's fingerprint. It may be called until Close.
func (w *Writer) SetFingerprint(f Fingerprint) { w.fingerprint = f }

// Close writes the table of contents and the seek table. It does not close dst.
// An archive whose Close was not called, or failed, is not an archive: no reader opens it.
func (w *Writer) Close() (Summary, error) {
	switch {
	case w.err != nil:
		return Summary{}, w.err
	case w.closed:
		return Summary{}, w.fail(errors.New("closed twice"))
	case w.open != nil:
		return Summary{}, w.fail(errors.New("closed with a frame open"))
	}
	w.closed = true
	w.enc.release()
	w.sum.Tables = countTables(w.fingerprint, w.tables.count)
	toc, err := w.toc.finish(w.fingerprint, w.header, w.sum, w.out.n, w.key)
	if err != nil {
		return Summary{}, w.fail(err)
	}
	w.seek.add(int64(toc.len()), 0)
	w.out.frame.reset()
	for _, part := range append(toc, w.seek.frame()) {
		if _, err := w.out.Write(part); err != nil {
			return Summary{}, w.fail(err)
		}
	}
	sum := hex.EncodeToString(w.out.whole.Sum(nil))
	if w.follower != nil {
		w.follower.closed(w.out.n, w.out.frame.sums().sha, sum)
	}
	return summarize(Summary{Size: w.out.n, RawSize: w.sum.RawLength, SHA256: sum}, w.sum, w.fingerprint), nil
}

func (w *Writer) fail(err error) error {
	if w.err == nil {
		w.err = fmt.Errorf("write archive: %w", err)
	}
	return w.err
}

// FrameWriter takes the SQL of one frame.
type FrameWriter struct {
	Rows int64 // to be counted by the caller before Close

	w      *Writer
	entry  Entry
	raw    int64
	closed bool
}

// Len is the number of bytes of SQL written so far: callers end a slice when it reaches SliceSize.
func (f *FrameWriter) Len() int64 { return f.raw }

// Write adds SQL to the frame. A frame over MaxFrame bytes is ErrFrameTooLarge, and the archive has failed.
func (f *FrameWriter) Write(p []byte) (int, error) {
	switch {
	case f.w.err != nil:
		return 0, f.w.err
	case f.closed:
		return 0, f.w.fail(errors.New("write to a closed frame"))
	case int64(len(p)) > MaxFrame-f.raw:
		return 0, f.w.fail(fmt.Errorf("%s: %w", label(f.entry), ErrFrameTooLarge))
	}
	n, err := f.w.enc.Write(p)
	f.raw += int64(n)
	if err != nil {
		return n, f.w.fail(err)
	}
	return n, nil
}

// Close ends the frame. Closing it again does nothing.
func (f *FrameWriter) Close() error {
	w := f.w
	if w.err != nil || f.closed {
		return w.err
	}
	f.closed, w.open = true, nil
	if err := w.enc.finish(); err != nil {
		return w.fail(err)
	}
	e := f.entry
	e.Rows = f.Rows
	e.RawLength = f.raw
	e.Length = w.out.n - e.Offset
	sums := w.out.frame.sums()
	e.SHA256 = sums.sha
	return w.end(e, sums.quick)
}

// output counts and hashes what goes to dst. The first error sticks.
type output struct {
	dst   io.Writer
	whole hash.Hash
	frame frameSum
	n     int64
	err   error
}

func (o *output) Write(p []byte) (int, error) {
	o.frame.Write(p)
	return o.write(p)
}

// write is Write for what was hashed already as a part of its frame.
func (o *output) write(p []byte) (int, error) {
	if o.err != nil {
		return 0, o.err
	}
	n, err := o.dst.Write(p)
	if err == nil && n < len(p) {
		err = io.ErrShortWrite
	}
	o.whole.Write(p[:n])
	o.n += int64(n)
	o.err = err
	return n, err
}

// label names a frame for people.
func label(e Entry) string {
	switch {
	case e.Table == "":
		return fmt.Sprintf("%s (%s)", e.Section, e.Kind)
	case e.Schema == "":
		return fmt.Sprintf("rows of %q, slice %d", e.Table, e.Slice)
	}
	return fmt.Sprintf("rows of %q.%q, slice %d", e.Schema, e.Table, e.Slice)
}

// tableCount counts tables by their names, of which it keeps a hash each. Two of a million would have the same one in one
// of 30 million archives; it would be refused when it is read again.
type tableCount struct {
	seed maphash.Seed
	seen map[uint64]struct{}
}

func newTableCount() tableCount {
	return tableCount{seed: maphash.MakeSeed(), seen: map[uint64]struct{}{}}
}

func (c *tableCount) add(schema, table string) {
	c.seen[maphash.Comparable(c.seed, tableName{schema, table})] = struct{}{}
}

func (c *tableCount) count() int { return len(c.seen) }
