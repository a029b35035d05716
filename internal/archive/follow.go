package archive

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"runtime"
	"sync"

	"github.com/zeebo/xxh3"
)

// Follower reads an archive again while it is still being written, frame after frame, so that little is left to be read
// at its end. Each frame, as the file gives it back, has the sum that was taken of its bytes before they were written. A
// sample of the frames, or all of them, is also read as Verify does it: it has its SHA-256, and decompresses to its stated length.
type Follower struct {
	src  io.ReaderAt
	all  bool // decompresses all
	ctx  context.Context
	stop context.CancelFunc
	done sync.WaitGroup

	mu    sync.Mutex
	wake  sync.Cond
	queue []written // and not yet read again
	first int       // number of the first in queue
	raw   int64     // uncompressed bytes of the frames before it
	deep  int64     // of which so many were decompressed
	noted hash.Hash // of every frame's place and hash, as its writer noted them
	ended bool      // nothing more comes
	wrong firstWrong

	// Of the whole file, when its writer has closed it.
	size int64
	tail [sha256.Size]byte // of everything behind the frames
	sum  string
}

// written is a frame with the sum that was taken of it before.
type written struct {
	Entry
	sum xxh3.Uint128
}

// What a Follower decompresses of an archive, unless it decompresses all: its first bytes, and a share of the rest. That
// shows a compressor, or a processor, that does not do its work; what a disk does to any frame its sum shows.
const (
	sampleFirst = 64 << 20
	sampleShare = 8
)

// Follow has everything that w writes from now on read again from src, which must give back what w's destination was
// given as soon as it was; all has every frame decompressed, not a sample of them. It is called before the first frame.
// Stop or VerifyFollowed must be called in the end.
func (w *Writer) Follow(ctx context.Context, src io.ReaderAt, all bool) *Follower {
	f := &Follower{src: src, all: all, noted: sha256.New()}
	f.wake.L = &f.mu
	f.ctx, f.stop = context.WithCancel(ctx)
	context.AfterFunc(f.ctx, f.wakeAll)
	for range min(runtime.GOMAXPROCS(0), maxVerifiers) {
		f.done.Go(f.work)
	}
	w.follower = f
	return f
}

func (f *Follower) wakeAll() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.wake.Broadcast()
}

// add is told of each frame when it was written, in their order.
func (f *Follower) add(e Entry, sum xxh3.Uint128) {
	f.mu.Lock()
	defer f.mu.Unlock()
	note(f.noted, e)
	e.Columns, e.Objects = nil, nil // as many frames as there are may wait
	f.queue = append(f.queue, written{e, sum})
	f.wake.Signal()
}

// note makes a frame's place and hash part of a sum.
func note(sum hash.Hash, e Entry) {
	var b [24]byte
	binary.LittleEndian.PutUint64(b[:], uint64(e.Offset))
	binary.LittleEndian.PutUint64(b[8:], uint64(e.Length))
	binary.LittleEndian.PutUint64(b[16:], uint64(e.RawLength))
	sum.Write(b[:])
	sum.Write(e.SHA256[:])
}

// work reads frames until all are read, one is wrong, or the context ends.
func (f *Follower) work() {
	for {
		e, i, deep := f.next()
		if i < 0 {
			return
		}
		src := io.NewSectionReader(f.src, e.Offset, e.Length)
		var err error
		if deep {
			err = verifyFrame(e.Entry, i, src, nil)
		} else {
			err = e.compare(i, src)
		}
		if f.wrong.note(i, err) != nil {
			f.stop()
			return
		}
	}
}

// compare reads src, where frame i was written, and compares its sum.
func (e written) compare(i int, src io.Reader) error {
	buf := buffers.Get().(*[readBuffer]byte)
	defer buffers.Put(buf)
	sum := xxh3.New()
	switch n, err := io.CopyBuffer(sum, onlyReader{src}, buf[:]); {
	case err != nil:
		return fmt.Errorf("read archive: %w", err)
	case n < e.Length:
		return shrunk()
	case sum.Sum128() != e.sum:
		return alteredFrame(e.Entry, i, errors.New("it is not what was written"))
	}
	return nil
}

// next waits for a frame to read again, and says whether to decompress it; its number is -1 when there are no more.
func (f *Follower) next() (e written, i int, deep bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for len(f.queue) == 0 && !f.ended && f.ctx.Err() == nil {
		f.wake.Wait()
	}
	if len(f.queue) == 0 || f.ctx.Err() != nil {
		return e, -1, false
	}
	e, i = f.queue[0], f.first
	f.first++
	if f.queue = f.queue[1:]; len(f.queue) == 0 {
		f.queue = nil // what is behind us can go
	}
	f.raw += e.RawLength
	if deep = f.all || f.deep+e.RawLength <= sampleFirst+f.raw/sampleShare; deep {
		f.deep += e.RawLength
	}
	return e, i, deep
}

// Stop ends the reading, whatever was read until then.
func (f *Follower) Stop() {
	f.stop()
	f.done.Wait()
}

// closed is told what the writer has closed.
func (f *Follower) closed(size int64, tail [sha256.Size]byte, sum string) {
	f.size, f.tail, f.sum = size, tail, sum
}

// finish waits until all is read.
func (f *Follower) finish() error {
	f.mu.Lock()
	f.ended = true
	f.wake.Broadcast()
	f.mu.Unlock()
	f.done.Wait()
	if f.wrong.err != nil {
		return f.wrong.err
	}
	return f.ctx.Err()
}

// VerifyFollowed is Verify for an archive that f has followed until its writer was closed: r is the finished file as it
// gives itself back. What is left to be read is its end. All is right if the table of contents names exactly the frames
// that were written and read again, and is itself what was written: then the file is, whose SHA-256 it returns in hex.
// It ends f.
func (r *Reader) VerifyFollowed(f *Follower) (string, error) {
	defer f.Stop()
	if err := f.finish(); err != nil {
		return "", err
	}
	named := sha256.New()
	for _, e := range r.Entries() {
		note(named, e)
	}
	switch {
	case f.sum == "":
		return "", errors.New("verify archive: it was not closed")
	case r.Len() != f.first || !bytes.Equal(named.Sum(nil), f.noted.Sum(nil)):
		return "", altered("the table of contents", errors.New("it does not name the frames that were written"))
	case r.size != f.size || r.tail != f.tail:
		return "", altered("the table of contents", errors.New("it is not the one that was written"))
	}
	return f.sum, r.verifyTail(nil)
}
