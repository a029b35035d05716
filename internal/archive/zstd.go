package archive

import (
	"bufio"
	"io"
	"sync"
)

// There are two compressors: libzstd where the program is built with cgo (zstd_cgo.go), and one in Go where it is not
// (zstd_nocgo.go). Each reads what the other writes. Either has the methods that encoder and decoder use below.

// maxWindow is the largest zstd window of a frame: what RFC 8878 asks every decoder to support.
const maxWindow = 8 << 20

// encoder makes one zstd frame after another.
type encoder struct{ z *compressor }

var encoders = sync.Pool{New: func() any { return &encoder{z: newCompressor()} }}

func getEncoder() *encoder { return encoders.Get().(*encoder) }

// release gives e back for reuse. e must not be used afterwards.
func (e *encoder) release() {
	e.z.drop()
	encoders.Put(e)
}

// start begins a frame on dst.
func (e *encoder) start(dst io.Writer) { e.z.start(dst) }

func (e *encoder) Write(p []byte) (int, error) {
	if err := e.z.write(p); err != nil {
		return 0, err
	}
	return len(p), nil
}

// finish ends the frame and flushes it to dst.
func (e *encoder) finish() error { return e.z.finish() }

// readBuffer is how many bytes are read at once: ahead of the decompressor, for hashing, and of what it gives.
const readBuffer = 128 << 10

// decoder reads zstd frames, at bounded memory whatever they state.
type decoder struct {
	z     *decompressor
	ahead *bufio.Reader // the decompressor alone reads a few bytes at a time
}

var decoders = sync.Pool{New: func() any {
	return &decoder{z: newDecompressor(), ahead: bufio.NewReaderSize(nil, readBuffer)}
}}

func getDecoder() *decoder { return decoders.Get().(*decoder) }

func (d *decoder) start(src io.Reader) error {
	d.ahead.Reset(src)
	return d.z.start(d.ahead)
}

// drain reads what the decompressor left of its source.
func (d *decoder) drain() error {
	_, err := d.ahead.WriteTo(io.Discard)
	return err
}

func (d *decoder) Read(p []byte) (int, error) { return d.z.Read(p) }

// release gives d back for reuse. d must not be used afterwards.
func (d *decoder) release() {
	d.z.drop()
	d.ahead.Reset(nil)
	decoders.Put(d)
}
