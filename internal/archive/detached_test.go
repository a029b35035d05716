package archive

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
)

// noise is SQL that does not compress.
func noise(n int, seed uint64) []byte {
	rnd := rand.New(rand.NewPCG(seed, 1))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rnd.Uint32())
	}
	return b
}

// TestAppendIsFrame writes the same frames both ways.
func TestAppendIsFrame(t *testing.T) {
	contents := [][]byte{nil, []byte("SELECT 1;\n"), bytes.Repeat([]byte("-- much the same\n"), 100_000), noise(1<<20, 1), noise(smallPart, 2)}
	var one, two bytes.Buffer
	a, b := NewWriter(&one, Header{}, nil), NewWriter(&two, Header{}, nil)
	set := NewFrames(1 << 30)
	for i, sql := range contents {
		e := Entry{Section: Data, Kind: "copy", Table: "t", Rows: int64(i)}
		f := set.Frame(e)
		if _, err := f.Write(sql); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		if err := b.Append(f, i); err != nil {
			t.Fatal(err)
		}
		e.Slice = i
		w, err := a.Frame(e)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(sql); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for _, w := range []*Writer{a, b} {
		if _, err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(one.Bytes(), two.Bytes()) {
		t.Error("the archives differ")
	}
	if set.used != 0 {
		t.Errorf("%d bytes are still held", set.used)
	}
}

// TestFramesStayWithinTheirRoom has many goroutines compress frames that are bigger than all the room there is.
func TestFramesStayWithinTheirRoom(t *testing.T) {
	const limit, writers, rounds = 256 << 10, 4, 6
	set := NewFrames(limit)
	frames := make([]chan *Frame, writers*rounds)
	for i := range frames {
		frames[i] = make(chan *Frame, 1)
	}
	next := make(chan int, len(frames))
	for i := range frames {
		next <- i
	}
	close(next)
	var group sync.WaitGroup
	defer group.Wait()
	for range writers {
		group.Go(func() {
			for i := range next {
				f := set.Frame(Entry{Section: Data, Kind: "rows"})
				frames[i] <- f
				for range 8 {
					if _, err := f.Write(noise(128<<10, uint64(i))); err != nil {
						t.Error(err)
					}
				}
				if err := f.Close(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	seen := &watchRoom{set: set}
	w := NewWriter(seen, Header{}, nil)
	for i := range frames {
		if err := w.Append(<-frames[i], 0); err != nil {
			t.Fatal(err)
		}
	}
	sum, err := w.Close()
	if err != nil || sum.RawSize != writers*rounds<<20 {
		t.Errorf("%+v, %v", sum, err)
	}
	if most := limit + 2*(partSize+partCost); seen.most > most {
		t.Errorf("%d bytes were held, want at most %d", seen.most, most)
	}
	if seen.most < limit {
		t.Errorf("only %d bytes were held: nothing was ever short of room", seen.most)
	}
}

// watchRoom looks at how much a set holds whenever something is written.
type watchRoom struct {
	set  *Frames
	most int
}

func (w *watchRoom) Write(p []byte) (int, error) {
	w.set.mu.Lock()
	defer w.set.mu.Unlock()
	w.most = max(w.most, w.set.used)
	return len(p), nil
}

// TestFramesFail ends everybody who waits, on either side.
func TestFramesFail(t *testing.T) {
	why := errors.New("the power went")
	set := NewFrames(64 << 10)
	blocked := make(chan error, 1)
	full := set.Frame(Entry{Section: Data, Kind: "rows"})
	go func() {
		for {
			if _, err := full.Write(noise(64<<10, 3)); err != nil {
				blocked <- err
				return
			}
		}
	}()
	appended := make(chan error, 1)
	never := set.Frame(Entry{Section: Data, Kind: "rows"})
	go func() { appended <- NewWriter(&bytes.Buffer{}, Header{}, nil).Append(never, 0) }()
	set.Fail(why)
	set.Fail(errors.New("and then the light"))
	for name, ch := range map[string]chan error{"Write": blocked, "Append": appended} {
		if err := <-ch; !errors.Is(err, why) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := set.Frame(Entry{}).Write(noise(1<<20, 4)); !errors.Is(err, why) {
		t.Errorf("a frame begun afterwards: %v", err)
	}
}

// TestAppendToAFullDisk tells those who still compress.
func TestAppendToAFullDisk(t *testing.T) {
	full := errors.New("no space left")
	set := NewFrames(64 << 10)
	f := set.Frame(Entry{Section: Data, Kind: "rows"})
	written := make(chan error, 1)
	go func() {
		for {
			if _, err := f.Write(noise(64<<10, 5)); err != nil {
				written <- err
				return
			}
		}
	}()
	if err := NewWriter(failing{full}, Header{}, nil).Append(f, 0); !errors.Is(err, full) {
		t.Errorf("Append: %v", err)
	}
	if err := <-written; !errors.Is(err, full) {
		t.Errorf("Write: %v", err)
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, fmt.Errorf("write: %w", f.err) }
