package archive

import (
	"context"
	"errors"
	"io"
	"sort"

	"github.com/zeebo/xxh3"
)

// Derived is an archive made out of another one without copying its rows: it takes frames over as they stand, by
// reference, and holds in memory only what is written to it anew. Its Close ends it; Open then reads it.
// It is not safe for concurrent use. What Open returns is.
type Derived struct {
	*Writer
	from *Reader
	to   *segments
}

// Derive begins an archive of parts of r. It is never signed: whose r is was decided when r was opened, and every
// frame that is taken over is checked against r's table of contents when it is read.
func (r *Reader) Derive(h Header) *Derived {
	to := &segments{}
	return &Derived{Writer: NewWriter(to, h, nil), from: r, to: to}
}

// Keep takes frame i over.
func (d *Derived) Keep(i int) error {
	if i < 0 || i >= d.from.Len() {
		return d.fail(errors.New("no such frame to keep"))
	}
	e := d.from.Entry(i)
	if err := d.begin(e); err != nil {
		return err
	}
	d.to.refer(d.from.r, e.Offset, e.Length)
	e.Offset = d.out.n
	d.out.n += e.Length
	return d.end(e, xxh3.Uint128{}) // nobody follows what is not written
}

// Open ends the archive and opens it. It reads from whatever r reads from, for as long as that is open.
func (d *Derived) Open() (*Reader, error) {
	sum, err := d.Close()
	if err != nil {
		return nil, err
	}
	r, err := Open(d.to, sum.Size, Trust{Unsigned: true})
	if err != nil {
		return nil, err
	}
	r.signedBy = d.from.signedBy
	return r, nil
}

// CopyTo writes the whole file, as a Writer would have.
func (r *Reader) CopyTo(w io.Writer) (int64, error) {
	return io.Copy(w, onlyReader{io.NewSectionReader(r.r, 0, r.size)})
}

// WriteSQL writes the whole script, decompressed. Each frame is checked before its first byte is written.
func (r *Reader) WriteSQL(ctx context.Context, w io.Writer) error {
	for i := range r.Len() {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		f, err := r.Frame(i)
		if err != nil {
			return err
		}
		_, err = io.Copy(w, f)
		f.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

// segments is a file of which parts are in memory and parts are elsewhere.
type segments struct {
	list []segment
	size int64
}

type segment struct {
	at  int64 // in the whole
	mem []byte
	src io.ReaderAt // nil where mem holds it
	off int64       // in src
	len int64
}

func (s *segments) Write(p []byte) (int, error) {
	if n := len(s.list); n == 0 || s.list[n-1].src != nil {
		s.list = append(s.list, segment{at: s.size})
	}
	last := &s.list[len(s.list)-1]
	last.mem = append(last.mem, p...)
	last.len += int64(len(p))
	s.size += int64(len(p))
	return len(p), nil
}

func (s *segments) refer(src io.ReaderAt, off, n int64) {
	s.list = append(s.list, segment{at: s.size, src: src, off: off, len: n})
	s.size += n
}

// ReadAt implements io.ReaderAt.
func (s *segments) ReadAt(p []byte, off int64) (n int, err error) {
	i := sort.Search(len(s.list), func(i int) bool { return s.list[i].at+s.list[i].len > off })
	for ; n < len(p) && i < len(s.list); i++ {
		g := s.list[i]
		within := off + int64(n) - g.at
		part := p[n:min(int64(len(p)), int64(n)+g.len-within)]
		if g.src == nil {
			n += copy(part, g.mem[within:])
			continue
		}
		m, err := g.src.ReadAt(part, g.off+within)
		n += m
		if m < len(part) {
			if err == nil {
				err = io.ErrUnexpectedEOF
			}
			return n, err
		}
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}
