package archive

import (
	"crypto/sha256"
	"io"
	"slices"
)

// parts is what is written to it, in pieces of which none is copied when more comes.
type parts [][]byte

func (p *parts) Write(b []byte) (int, error) {
	for rest := b; len(rest) > 0; {
		last := len(*p) - 1
		if last < 0 || len((*p)[last]) == cap((*p)[last]) {
			*p = append(*p, make([]byte, 0, partSize))
			last++
		}
		n := min(cap((*p)[last])-len((*p)[last]), len(rest))
		(*p)[last] = append((*p)[last], rest[:n]...)
		rest = rest[n:]
	}
	return len(b), nil
}

func (p parts) len() (n int) {
	for _, part := range p {
		n += len(part)
	}
	return n
}

func (p parts) sum() (sum [sha256.Size]byte) {
	h := sha256.New()
	for _, part := range p {
		h.Write(part)
	}
	h.Sum(sum[:0])
	return sum
}

// reader gives the parts one after the other, and lets go of each that was read.
func (p parts) reader() io.Reader { return &partsReader{slices.Clone(p)} }

type partsReader struct{ rest parts }

func (r *partsReader) Read(b []byte) (int, error) {
	if len(r.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(b, r.rest[0])
	if r.rest[0] = r.rest[0][n:]; len(r.rest[0]) == 0 {
		r.rest[0] = nil
		r.rest = r.rest[1:]
	}
	return n, nil
}
