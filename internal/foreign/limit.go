package foreign

import (
	"bytes"
	"context"
	"io"
	"os"

	"github.com/safepoint-db/safepoint"
)

// counter counts what is read of the file, and stops when ctx ends.
type counter struct {
	ctx context.Context
	r   io.Reader
	n   int64
}

func (c *counter) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, context.Cause(c.ctx)
	}
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// countAt counts what is read at offsets.
type countAt struct {
	c *counter
	f *os.File
}

func (a countAt) ReadAt(p []byte, off int64) (int, error) {
	if err := a.c.ctx.Err(); err != nil {
		return 0, context.Cause(a.c.ctx)
	}
	n, err := a.f.ReadAt(p, off)
	a.c.n += int64(n)
	return n, err
}

// guard stops a file out of which far more comes than it has bytes: 4 GiB of zeros are 131 kB of zstd. It counts what
// really comes, never what the file says of itself.
type guard struct {
	r      io.Reader
	what   format
	in     func() int64 // bytes of the file read so far
	out    int64
	limits Limits
}

func (g *guard) Read(p []byte) (int, error) {
	n, err := g.r.Read(p)
	g.out += int64(n)
	switch {
	case g.out > g.limits.SQL:
		return 0, refuse("If that is right for this dump, raise the limit: --max-sql with safepoint load and convert, --foreign-max-sql with serve.",
			"More than %s of SQL come out of the file: that is the limit on it.", safepoint.Bytes(g.limits.SQL))
	case g.what != plain && g.out > RatioFrom && g.out/g.limits.Ratio > g.in():
		return 0, refuse("Dumps rarely shrink that much: the file may be made to fill disks. If you know where it comes from, raise the limit: --max-ratio with safepoint load and convert, --foreign-max-ratio with serve.",
			"More than %d times as much SQL comes out of the %s file as it has bytes: that is the limit on it.", g.limits.Ratio, g.what)
	}
	return n, err
}

// skipMark passes over the mark with which Windows begins UTF-8.
func skipMark(r io.Reader) io.Reader { return &markSkipper{r: r} }

type markSkipper struct {
	r     io.Reader
	begun bool
}

func (m *markSkipper) Read(p []byte) (int, error) {
	if m.begun {
		return m.r.Read(p)
	}
	m.begun = true
	var head [3]byte
	n, err := io.ReadFull(m.r, head[:])
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		err = nil // it is met again
	}
	if err != nil {
		return 0, err
	}
	rest := head[:n]
	if string(rest) == "\xef\xbb\xbf" {
		rest = nil
	}
	m.r = io.MultiReader(bytes.NewReader(bytes.Clone(rest)), m.r)
	return m.r.Read(p)
}
