package archive

import (
	"errors"
	"fmt"
	"sync"
)

// Frames is a set of frames that are compressed apart from their archive, by several goroutines at once, and put into
// it in whatever order the caller wants by Writer.Append. What they hold while they wait for their turn is bounded: a
// frame that finds no room waits in Write, except for the one being appended, which goes straight into the file.
// So nothing is stuck as long as somebody writes to the frame that is appended next.
type Frames struct {
	limit int

	mu   sync.Mutex
	wake sync.Cond // whenever room, a turn, a part or an end may have come
	used int       // bytes held by waiting parts, and what they cost
	free [][]byte  // parts of partSize bytes to use again
	err  error     // the first failure; all fail with it from then on
}

const (
	partSize  = 64 << 10 // most of a frame is held in parts of this size
	smallPart = 8 << 10  // what is smaller gets a part of its own size
	partCost  = 256      // about what a frame takes besides, counted with each part: most frames that wait have one
)

// NewFrames makes room for limit bytes of compressed frames.
func NewFrames(limit int) *Frames {
	s := &Frames{limit: limit}
	s.wake.L = &s.mu
	return s
}

// Fail makes every frame and every Append that waits, now or later, return err. The first err counts.
func (s *Frames) Fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.err = err
	}
	s.wake.Broadcast()
}

// Frame is one frame on its way. One goroutine writes and closes it; another one may append it meanwhile.
type Frame struct {
	Rows int64 // to be counted by the writer before Close

	set    *Frames
	about  frameAbout
	raw    int64
	length int64
	sums   frameSums  // when closed
	work   *frameWork // nil when closed

	parts  [][]byte // guarded by set.mu, as are the fields below
	turn   bool     // it is being appended
	closed bool
}

// frameAbout is what an entry says of a frame before it is written.
type frameAbout struct {
	section             Section
	kind, schema, table string
	columns, objects    []string
}

// frameWork is what only a frame needs that is being written: a hundred thousand closed ones may wait.
type frameWork struct {
	enc *encoder
	sum frameSum
}

// Entry is what Frames.Frame was given, without its number of rows.
func (f *Frame) Entry() Entry {
	a := f.about
	return Entry{Section: a.section, Kind: a.kind, Schema: a.schema, Table: a.table, Columns: a.columns, Objects: a.objects}
}

// Frame begins a frame described by e. See Writer.Frame for what is written to it. Slice may be left to Append.
func (s *Frames) Frame(e Entry) *Frame {
	about := frameAbout{e.Section, e.Kind, e.Schema, e.Table, e.Columns, e.Objects}
	f := &Frame{Rows: e.Rows, set: s, about: about, work: &frameWork{getEncoder(), newFrameSum()}}
	f.work.enc.start((*frameParts)(f))
	return f
}

// Len is the number of bytes of SQL written so far.
func (f *Frame) Len() int64 { return f.raw }

// Write adds SQL to the frame. It may wait for room.
func (f *Frame) Write(p []byte) (int, error) {
	switch {
	case f.work == nil:
		return 0, errors.New("write archive: write to a closed frame")
	case int64(len(p)) > MaxFrame-f.raw:
		return 0, fmt.Errorf("write archive: %s: %w", label(f.Entry()), ErrFrameTooLarge)
	}
	n, err := f.work.enc.Write(p)
	f.raw += int64(n)
	return n, err
}

// Close ends the frame. A frame that is given up is not closed but left: Frames.Fail ends whoever waits for it.
func (f *Frame) Close() error {
	if f.work == nil {
		return nil
	}
	err := f.work.enc.finish()
	f.work.enc.release()
	sums := f.work.sum.sums()
	f.work = nil
	if err != nil {
		return err
	}
	f.set.mu.Lock()
	defer f.set.mu.Unlock()
	f.closed, f.sums = true, sums
	f.set.wake.Broadcast()
	return f.set.err
}

// frameParts is where a frame's compressor writes to.
type frameParts Frame

func (f *frameParts) Write(p []byte) (int, error) {
	f.work.sum.Write(p)
	f.length += int64(len(p))
	f.set.mu.Lock()
	defer f.set.mu.Unlock()
	for rest := p; len(rest) > 0; {
		part, err := f.room(len(rest))
		if err != nil {
			return len(p) - len(rest), err
		}
		n := min(cap(*part)-len(*part), len(rest))
		*part = append(*part, rest[:n]...)
		rest = rest[n:]
	}
	if f.turn {
		f.set.wake.Broadcast()
	}
	return len(p), nil
}

// room is a part that is not full, for which it may wait.
func (f *frameParts) room(want int) (*[]byte, error) {
	s := f.set
	for {
		last := len(f.parts) - 1
		switch {
		case s.err != nil:
			return nil, s.err
		case last >= 0 && len(f.parts[last]) < cap(f.parts[last]):
			return &f.parts[last], nil
		case s.used < s.limit || f.turn && last < 0:
			f.parts = append(f.parts, s.take(want))
		default:
			if f.turn {
				s.wake.Broadcast() // the part that is full can be written
			}
			s.wake.Wait()
		}
	}
}

// take gives out an empty part.
func (s *Frames) take(want int) []byte {
	var part []byte
	switch last := len(s.free) - 1; {
	case want <= smallPart:
		part = make([]byte, 0, want)
	case last >= 0:
		part, s.free = s.free[last], s.free[:last]
	default:
		part = make([]byte, 0, partSize)
	}
	s.used += cap(part) + partCost
	return part
}

func (s *Frames) giveBack(parts [][]byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, part := range parts {
		s.used -= cap(part) + partCost
		if cap(part) == partSize {
			s.free = append(s.free, part[:0])
		}
	}
	s.wake.Broadcast()
}

// next waits for parts of a frame whose turn it is. After the last it returns none.
func (f *Frame) next() ([][]byte, error) {
	s := f.set
	s.mu.Lock()
	defer s.mu.Unlock()
	if !f.turn {
		f.turn = true
		s.wake.Broadcast()
	}
	for len(f.parts) == 0 && !f.closed && s.err == nil {
		s.wake.Wait()
	}
	parts := f.parts
	f.parts = nil
	return parts, s.err
}

// Append puts a frame at the archive's end, as its slice of that number. It waits until the frame is closed, and takes
// what it holds out of its set's room meanwhile. If it fails, so does the whole set.
func (w *Writer) Append(f *Frame, slice int) error {
	e := f.Entry()
	e.Slice = slice
	err := w.begin(e)
	if err == nil {
		err = w.appendParts(f, e)
	}
	if err != nil {
		f.set.Fail(err)
	}
	return err
}

func (w *Writer) appendParts(f *Frame, e Entry) error {
	e.Offset = w.out.n
	for {
		parts, err := f.next()
		if err != nil {
			return w.fail(err)
		}
		if len(parts) == 0 {
			break
		}
		for _, part := range parts {
			if _, err := w.out.write(part); err != nil {
				return w.fail(err)
			}
		}
		f.set.giveBack(parts)
	}
	e.Rows, e.RawLength, e.Length, e.SHA256 = f.Rows, f.raw, f.length, f.sums.sha
	return w.end(e, f.sums.quick)
}
