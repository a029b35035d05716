//go:build cgo

package archive

/*
#include <stddef.h>
#cgo noescape sp_compress
#cgo nocallback sp_compress
#cgo noescape sp_decompress
#cgo nocallback sp_decompress

// libzstd is compiled by the imported module. Its header is not on this package's path, and these few functions have
// been stable since 1.4.0. They are weak so that this package links alone, as cgo does to look at it.
typedef struct ZSTD_CCtx_s ZSTD_CCtx;
typedef struct ZSTD_DCtx_s ZSTD_DCtx;
typedef struct { const void* src; size_t size; size_t pos; } ZSTD_inBuffer;
typedef struct { void* dst; size_t size; size_t pos; } ZSTD_outBuffer;
#define WEAK __attribute__((weak))
WEAK ZSTD_CCtx* ZSTD_createCCtx(void);
WEAK size_t ZSTD_freeCCtx(ZSTD_CCtx*);
WEAK size_t ZSTD_CCtx_setParameter(ZSTD_CCtx*, int, int);
WEAK size_t ZSTD_CCtx_reset(ZSTD_CCtx*, int);
WEAK size_t ZSTD_compressStream2(ZSTD_CCtx*, ZSTD_outBuffer*, ZSTD_inBuffer*, int);
WEAK ZSTD_DCtx* ZSTD_createDCtx(void);
WEAK size_t ZSTD_freeDCtx(ZSTD_DCtx*);
WEAK size_t ZSTD_DCtx_setParameter(ZSTD_DCtx*, int, int);
WEAK size_t ZSTD_DCtx_reset(ZSTD_DCtx*, int);
WEAK size_t ZSTD_decompressStream(ZSTD_DCtx*, ZSTD_outBuffer*, ZSTD_inBuffer*);
WEAK unsigned ZSTD_isError(size_t);
WEAK const char* ZSTD_getErrorName(size_t);

// The positions go through pointers to plain numbers: a buffer of Go must not be stored in a struct of Go's.
static size_t sp_compress(ZSTD_CCtx* c, void* dst, size_t room, size_t* made, const void* src, size_t n, size_t* used, int end) {
	ZSTD_outBuffer out = {dst, room, 0};
	ZSTD_inBuffer in = {src, n, 0};
	size_t r = ZSTD_compressStream2(c, &out, &in, end);
	*made = out.pos;
	*used = in.pos;
	return r;
}

static size_t sp_decompress(ZSTD_DCtx* d, void* dst, size_t room, size_t* made, const void* src, size_t n, size_t* used) {
	ZSTD_outBuffer out = {dst, room, 0};
	ZSTD_inBuffer in = {src, n, 0};
	size_t r = ZSTD_decompressStream(d, &out, &in);
	*made = out.pos;
	*used = in.pos;
	return r;
}
*/
import "C"

import (
	"bufio"
	"errors"
	"io"
	"runtime"
	"unsafe"

	_ "github.com/DataDog/zstd" // libzstd itself
)

// Numbers of zstd.h.
const (
	compressionLevel = 100
	windowLog        = 101
	hashLog          = 102
	checksumFlag     = 201
	windowLogMax     = 100

	goOn     = 0 // ZSTD_e_continue
	endFrame = 2 // ZSTD_e_end

	resetSession = 1
)

// What libzstd writes with, measured on generated and pgbench data: level 1 with a table that fits the innermost cache;
// files are 4 % larger than those of level 3. docs/decisions/0021-smaller-tables.md has figures.
var parameters = [][2]C.int{{compressionLevel, 1}, {windowLog, 17}, {hashLog, 13}, {checksumFlag, 1}}

const (
	heldBytes = 32 << 10
	outBytes  = 64 << 10
)

// compressor makes one zstd frame after another. What is written in small portions reaches libzstd in larger ones, for
// which the way into C is short. Its C memory goes when it is garbage.
type compressor struct {
	ctx  *C.ZSTD_CCtx
	dst  io.Writer
	held []byte // of the frame, not yet given to libzstd
	out  []byte
}

func newCompressor() *compressor {
	c := &compressor{ctx: C.ZSTD_createCCtx(), held: make([]byte, 0, heldBytes), out: make([]byte, outBytes)}
	if c.ctx == nil {
		panic("archive: no memory for libzstd")
	}
	runtime.AddCleanup(c, func(ctx *C.ZSTD_CCtx) { C.ZSTD_freeCCtx(ctx) }, c.ctx)
	for _, p := range parameters {
		if err := zstdError(C.ZSTD_CCtx_setParameter(c.ctx, p[0], p[1])); err != nil {
			panic("archive: libzstd refuses constant options: " + err.Error())
		}
	}
	return c
}

// start begins a frame on dst.
func (c *compressor) start(dst io.Writer) {
	C.ZSTD_CCtx_reset(c.ctx, resetSession)
	c.dst, c.held = dst, c.held[:0]
}

func (c *compressor) write(p []byte) error {
	if len(c.held)+len(p) > cap(c.held) {
		held := c.held
		c.held = c.held[:0]
		if err := c.compress(held); err != nil {
			return err
		}
		if len(p) > cap(c.held) {
			return c.compress(p)
		}
	}
	c.held = append(c.held, p...)
	return nil
}

func (c *compressor) compress(p []byte) error {
	for len(p) > 0 {
		_, used, err := c.step(p, goOn)
		if err != nil {
			return err
		}
		p = p[used:]
	}
	return nil
}

// finish ends the frame. One that is short states its content size: libzstd is given the whole of it at once.
func (c *compressor) finish() error {
	for rest := c.held; ; {
		left, used, err := c.step(rest, endFrame)
		if err != nil || left == 0 {
			return err
		}
		rest = rest[used:]
	}
}

func (c *compressor) step(p []byte, end C.int) (left, used int, err error) {
	var made, took C.size_t
	r := C.sp_compress(c.ctx, unsafe.Pointer(&c.out[0]), C.size_t(len(c.out)), &made, unsafe.Pointer(unsafe.SliceData(p)), C.size_t(len(p)), &took, end)
	if err := zstdError(r); err != nil {
		return 0, 0, err
	}
	if made > 0 {
		if _, err := c.dst.Write(c.out[:made]); err != nil {
			return 0, 0, err
		}
	}
	return int(r), int(took), nil
}

// drop forgets dst, also in the middle of a frame.
func (c *compressor) drop() { c.dst = nil }

// decompressor reads zstd frames. Its C memory goes when it is garbage.
type decompressor struct {
	ctx    *C.ZSTD_DCtx
	src    *bufio.Reader
	inside bool // a frame
	full   bool // there may be more output than there was room for
	err    error
}

func newDecompressor() *decompressor {
	d := &decompressor{ctx: C.ZSTD_createDCtx()}
	if d.ctx == nil {
		panic("archive: no memory for libzstd")
	}
	runtime.AddCleanup(d, func(ctx *C.ZSTD_DCtx) { C.ZSTD_freeDCtx(ctx) }, d.ctx)
	if err := zstdError(C.ZSTD_DCtx_setParameter(d.ctx, windowLogMax, 23)); err != nil {
		panic("archive: libzstd refuses constant options: " + err.Error())
	}
	return d
}

func (d *decompressor) start(src *bufio.Reader) error {
	C.ZSTD_DCtx_reset(d.ctx, resetSession)
	d.src, d.inside, d.full, d.err = src, false, false, nil
	return nil
}

func (d *decompressor) Read(p []byte) (int, error) {
	for d.err == nil && len(p) > 0 {
		n, err := d.read(p)
		d.err = err
		if n > 0 {
			return n, nil
		}
	}
	return 0, d.err
}

// read decompresses what is at hand. It may give nothing yet.
func (d *decompressor) read(p []byte) (int, error) {
	in, err := d.src.Peek(max(1, d.src.Buffered()))
	switch {
	case len(in) > 0 || d.full:
	case err == io.EOF && d.inside:
		return 0, io.ErrUnexpectedEOF
	default:
		return 0, err
	}
	var made, took C.size_t
	r := C.sp_decompress(d.ctx, unsafe.Pointer(&p[0]), C.size_t(len(p)), &made, unsafe.Pointer(unsafe.SliceData(in)), C.size_t(len(in)), &took)
	d.src.Discard(int(took))
	d.inside, d.full = r != 0, r != 0 && int(made) == len(p)
	return int(made), zstdError(r)
}

// drop forgets the source.
func (d *decompressor) drop() { d.src = nil }

func zstdError(r C.size_t) error {
	if C.ZSTD_isError(r) == 0 {
		return nil
	}
	return errors.New("zstd: " + C.GoString(C.ZSTD_getErrorName(r)))
}
