package archive

import (
	"bufio"
	"io"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// maxWindow is the largest zstd window of a frame: what RFC 8878 asks every decoder to support.
const maxWindow = 8 << 20

// What we write with, measured on Chinook, pgbench and generated orders: this level is 1.4 to 1.9 times as fast as
// zstd.SpeedDefault and its files differ by -4 to +2.5 %; windows of 4 and 8 MiB cost memory and time and gain nothing.
const (
	level  = zstd.SpeedFastest
	window = 2 << 20
)

// encoder makes one zstd frame after another. It is the one place that knows which compressor is used.
type encoder struct{ z *zstd.Encoder }

var encoders = sync.Pool{New: func() any {
	z, err := zstd.NewWriter(nil,
		zstd.WithEncoderLevel(level),
		zstd.WithEncoderConcurrency(1),
		zstd.WithLowerEncoderMem(true),
		zstd.WithWindowSize(window),
		zstd.WithEncoderCRC(true),
		zstd.WithZeroFrames(true),
		zstd.WithSingleSegment(true), // small frames state their content size
	)
	if err != nil {
		panic("archive: zstd refuses constant options: " + err.Error())
	}
	return &encoder{z: z}
}}

func getEncoder() *encoder { return encoders.Get().(*encoder) }

// release gives e back for reuse. e must not be used afterwards.
func (e *encoder) release() {
	e.z.Reset(nil)
	encoders.Put(e)
}

// start begins a frame on dst.
func (e *encoder) start(dst io.Writer) { e.z.Reset(dst) }

func (e *encoder) Write(p []byte) (int, error) { return e.z.Write(p) }

// finish ends the frame and flushes it to dst.
func (e *encoder) finish() error { return e.z.Close() }

// readBuffer is how many bytes are read at once: ahead of the decompressor, for hashing, and of what it gives.
const readBuffer = 128 << 10

// decoder reads zstd frames, at bounded memory whatever they state.
type decoder struct {
	z     *zstd.Decoder
	ahead *bufio.Reader // the decompressor alone reads a few bytes at a time
}

var decoders = sync.Pool{New: func() any {
	z, err := zstd.NewReader(nil,
		zstd.WithDecoderConcurrency(1),
		zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxWindow(maxWindow),
	)
	if err != nil {
		panic("archive: zstd refuses constant options: " + err.Error())
	}
	return &decoder{z: z, ahead: bufio.NewReaderSize(nil, readBuffer)}
}}

func getDecoder() *decoder { return decoders.Get().(*decoder) }

func (d *decoder) start(src io.Reader) error {
	d.ahead.Reset(src)
	return d.z.Reset(d.ahead)
}

// drain reads what the decompressor left of its source.
func (d *decoder) drain() error {
	_, err := d.ahead.WriteTo(io.Discard)
	return err
}

func (d *decoder) Read(p []byte) (int, error) { return d.z.Read(p) }

// release gives d back for reuse. d must not be used afterwards.
func (d *decoder) release() {
	_ = d.z.Reset(nil) // drops the source; it cannot fail
	d.ahead.Reset(nil)
	decoders.Put(d)
}
