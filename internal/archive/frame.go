package archive

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"runtime"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"
)

const (
	// smallFrame is the compressed size up to which Frame reads a frame once, into memory, and not twice.
	smallFrame = 1 << 20
	// reportEvery is how many bytes Verify reads between two reports.
	reportEvery = 1 << 20
)

// buffers hold readBuffer bytes each.
var buffers = sync.Pool{New: func() any { return new([readBuffer]byte) }}

// Frame opens frame i for reading its SQL. Its hash is checked before the first byte is returned.
// Reading to io.EOF without an error means that the frame was whole. Several frames may be open at once.
func (r *Reader) Frame(i int) (io.ReadCloser, error) {
	if i < 0 || i >= r.Len() {
		return nil, fmt.Errorf("open archive frame %d: there are %d", i, r.Len())
	}
	e := r.Entry(i)
	var src io.Reader = io.NewSectionReader(r.r, e.Offset, e.Length)
	if e.Length <= smallFrame {
		b, err := readRange(r.r, e.Offset, e.Length)
		if err != nil {
			return nil, err
		}
		if sha256.Sum256(b) != e.SHA256 {
			return nil, alteredFrame(e, i, errors.New("its SHA-256 does not fit"))
		}
		src = bytes.NewReader(b)
	} else if err := r.checkHash(i); err != nil {
		return nil, err
	}
	// What is decompressed is hashed again: the file may have changed since.
	return openFrame(e, i, src, nil)
}

// checkHash reads frame i and compares its hash.
func (r *Reader) checkHash(i int) error {
	e := r.Entry(i)
	sum := sha256.New()
	buf := buffers.Get().(*[readBuffer]byte)
	defer buffers.Put(buf)
	n, err := io.CopyBuffer(sum, onlyReader{io.NewSectionReader(r.r, e.Offset, e.Length)}, buf[:])
	return hashed(e, i, sum, n, err)
}

func alteredFrame(e Entry, i int, why error) error {
	return altered(fmt.Sprintf("frame %d, %s,", i, label(e)), why)
}

// Verify reads the whole file and checks every byte of it against the table of contents: each frame's hash and that
// it decompresses to its stated length, and that nothing stands between, before or after. report may be nil; it is
// called with bytes of the file, from the calling goroutine, which reads the file once, from front to back; others
// decompress what it has read.
// It returns the SHA-256 of the file in hex.
func (r *Reader) Verify(ctx context.Context, report func(done, total int64)) (string, error) {
	return r.verify(ctx, report, verifyFrame)
}

// VerifyBytes is Verify for an archive that is about to be executed: where a trusted key signed the table of contents,
// each frame's hash is compared, and nothing is decompressed. A frame with the hash that the signer noted is what he wrote,
// whose length Frame compares again with what it decompresses to, before its last byte is returned. Without such a
// signature it is Verify.
func (r *Reader) VerifyBytes(ctx context.Context, report func(done, total int64)) (string, error) {
	if r.signedBy == nil {
		return r.Verify(ctx, report)
	}
	return r.verify(ctx, report, hashFrame)
}

func (r *Reader) verify(ctx context.Context, report func(done, total int64), check frameCheck) (string, error) {
	if report == nil {
		report = func(int64, int64) {}
	}
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(min(runtime.GOMAXPROCS(0), maxVerifiers))
	w := &watch{ctx: groupCtx, sum: sha256.New(), total: r.size, report: report}
	var wrong firstWrong
	err := r.verifyFrames(group, w, &wrong, check)
	if group.Wait(); wrong.err != nil {
		return "", wrong.err
	}
	if err != nil {
		return "", err
	}
	w.ctx = ctx // the group's has ended
	if err := r.verifyTail(w); err != nil {
		return "", err
	}
	report(r.size, r.size)
	return hex.EncodeToString(w.sum.Sum(nil)), nil
}

const (
	// maxVerifiers bounds the frames that Verify decompresses at once, and heldFrame the size, in the file, of those
	// that it holds in memory for that. Larger ones are decompressed as they are read.
	maxVerifiers = 4
	heldFrame    = 6 << 20
)

// heldFrames are buffers of up to heldFrame bytes.
var heldFrames = sync.Pool{New: func() any { return new([]byte) }}

// verifyFrames reads the frames in their order, and has the group check them.
func (r *Reader) verifyFrames(group *errgroup.Group, w *watch, wrong *firstWrong, check frameCheck) error {
	for i, e := range r.Entries() {
		if err := w.ctx.Err(); err != nil {
			return fmt.Errorf("read archive: %w", err)
		}
		if e.Length > heldFrame {
			if err := check(e, i, io.NewSectionReader(r.r, e.Offset, e.Length), w); err != nil {
				return err
			}
			continue
		}
		held := heldFrames.Get().(*[]byte)
		*held = slices.Grow((*held)[:0], int(e.Length))[:e.Length]
		switch n, err := r.r.ReadAt(*held, e.Offset); {
		case int64(n) == e.Length: // whatever else is said
		case err == nil || err == io.EOF:
			return shrunk()
		default:
			return fmt.Errorf("read archive: %w", err)
		}
		w.saw(*held)
		group.Go(func() error {
			defer heldFrames.Put(held)
			return wrong.note(i, check(e, i, bytes.NewReader(*held), nil))
		})
	}
	return nil
}

// firstWrong is the first frame of a file that is not what was written, whichever was found first.
type firstWrong struct {
	mu    sync.Mutex
	frame int
	err   error
}

// note returns err.
func (f *firstWrong) note(frame int, err error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err != nil && (f.err == nil || frame < f.frame) {
		f.frame, f.err = frame, err
	}
	return err
}

// frameCheck reads src, which should be frame i as e describes it, to its end. w may be nil.
type frameCheck func(e Entry, i int, src io.Reader, w *watch) error

// hashFrame compares the hash.
func hashFrame(e Entry, i int, src io.Reader, w *watch) error {
	buf := buffers.Get().(*[readBuffer]byte)
	defer buffers.Put(buf)
	s := &source{r: src, sum: sha256.New(), watch: w}
	n, err := io.CopyBuffer(io.Discard, onlyReader{s}, buf[:])
	return hashed(e, i, s.sum, n, err)
}

// hashed judges a frame of which n bytes were read into sum, until err.
func hashed(e Entry, i int, sum hash.Hash, n int64, err error) error {
	switch {
	case err != nil:
		return fmt.Errorf("read archive: %w", err)
	case n < e.Length:
		return shrunk()
	case Sum(sum.Sum(nil)) != e.SHA256:
		return alteredFrame(e, i, errors.New("its SHA-256 does not fit"))
	}
	return nil
}

// verifyFrame decompresses, too.
func verifyFrame(e Entry, i int, src io.Reader, w *watch) error {
	f, err := openFrame(e, i, src, w)
	if err != nil {
		return err
	}
	defer f.Close()
	buf := buffers.Get().(*[readBuffer]byte)
	defer buffers.Put(buf)
	_, err = io.CopyBuffer(io.Discard, onlyReader{f}, buf[:])
	return err
}

// verifyTail checks that what stands behind the frames is what it was when the archive was opened.
func (r *Reader) verifyTail(w *watch) error {
	buf := buffers.Get().(*[readBuffer]byte)
	defer buffers.Put(buf)
	tail := sha256.New()
	rest := &source{r: io.NewSectionReader(r.r, r.position, r.size-r.position), sum: tail, watch: w}
	if n, err := io.CopyBuffer(io.Discard, onlyReader{rest}, buf[:]); err != nil {
		return fmt.Errorf("read archive: %w", err)
	} else if n < r.size-r.position {
		return shrunk()
	}
	if !bytes.Equal(tail.Sum(nil), r.tail[:]) {
		return altered("the table of contents", errors.New("it has changed since the archive was opened"))
	}
	return nil
}

// openFrame decompresses src, which is frame i as e describes it, and checks it at its end. w may be nil.
func openFrame(e Entry, i int, src io.Reader, w *watch) (*frameReader, error) {
	f := &frameReader{entry: e, index: i, left: e.RawLength, dec: getDecoder()}
	f.src = &source{r: src, sum: sha256.New(), watch: w}
	if err := f.dec.start(f.src); err != nil {
		f.Close()
		return nil, f.broken(err)
	}
	return f, nil
}

// frameReader gives the SQL of one frame, and an error instead of io.EOF where that was not what the table of
// contents states.
type frameReader struct {
	entry Entry
	index int
	src   *source
	dec   *decoder // nil when closed
	left  int64    // bytes of SQL still to come
	err   error    // sticks, io.EOF too
}

func (f *frameReader) Read(p []byte) (int, error) {
	switch {
	case f.err != nil:
		return 0, f.err
	case f.dec == nil:
		return 0, errors.New("read archive: frame is closed")
	case len(p) == 0:
		return 0, nil
	}
	n, err := f.dec.Read(p)
	if int64(n) > f.left {
		n = int(f.left)
		err = errors.New("it holds more than it states")
	}
	f.left -= int64(n)
	switch {
	case err == io.EOF:
		f.err = f.end()
	case err != nil:
		f.err = f.broken(err)
	}
	return n, f.err
}

// end checks what can be checked only now. It returns io.EOF if all is well.
func (f *frameReader) end() error {
	if f.left > 0 {
		return f.broken(errors.New("it holds less than it states"))
	}
	if err := f.dec.drain(); err != nil {
		return f.broken(err)
	}
	if Sum(f.src.sum.Sum(nil)) != f.entry.SHA256 {
		return f.broken(errors.New("its SHA-256 does not fit"))
	}
	return io.EOF
}

// broken is why reading failed: the file could not be read, or is not what was written.
func (f *frameReader) broken(err error) error {
	switch {
	case f.src.err != nil:
		return fmt.Errorf("read archive: %w", f.src.err)
	case f.src.ended && f.src.n < f.entry.Length:
		return shrunk()
	}
	return alteredFrame(f.entry, f.index, err)
}

// Close frees the decompressor. It may be called before the end, and again.
func (f *frameReader) Close() error {
	if f.dec != nil {
		f.dec.release()
		f.dec = nil
	}
	return nil
}

// source hashes what is read from a part of the file, and tells its own failures from the decompressor's.
type source struct {
	r     io.Reader
	sum   hash.Hash
	watch *watch // nil where nobody watches
	n     int64
	ended bool
	err   error
}

func (s *source) Read(p []byte) (int, error) {
	if s.watch != nil {
		if s.err = s.watch.ctx.Err(); s.err != nil {
			return 0, s.err
		}
	}
	n, err := s.r.Read(p)
	s.n += int64(n)
	s.sum.Write(p[:n])
	if s.watch != nil {
		s.watch.saw(p[:n])
	}
	switch {
	case err == io.EOF:
		s.ended = true
	case err != nil:
		s.err = err
	}
	return n, err
}

// watch follows Verify through the whole file.
type watch struct {
	ctx         context.Context
	sum         hash.Hash
	done, total int64
	told        int64
	report      func(done, total int64)
}

func (w *watch) saw(p []byte) {
	w.sum.Write(p)
	w.done += int64(len(p))
	if w.done-w.told >= reportEvery {
		w.told = w.done
		w.report(w.done, w.total)
	}
}

// onlyReader hides every other method, so that io.CopyBuffer uses the buffer it is given.
type onlyReader struct{ io.Reader }
