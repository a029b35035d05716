package archive_test

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/archive"
)

// disk keeps what is written to it, but for one byte.
type disk struct {
	mu   sync.Mutex
	data []byte
	flip int   // changes this byte; -1 none
	err  error // of every read, if not nil
}

func (d *disk) Write(p []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	from := len(d.data)
	d.data = append(d.data, p...)
	if from <= d.flip && d.flip < len(d.data) {
		d.data[d.flip] ^= 4
	}
	return len(p), nil
}

func (d *disk) ReadAt(p []byte, off int64) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.err != nil {
		return 0, d.err
	}
	return bytes.NewReader(d.data).ReadAt(p, off)
}

// followed writes the shop to a disk and has it followed.
func followed(t *testing.T, ctx context.Context, d *disk) (*archive.Follower, archive.Summary) {
	t.Helper()
	frames, fingerprint := shop()
	w := archive.NewWriter(d, testHeader(), testKey)
	f := w.Follow(ctx, d, false)
	return f, fill(t, w, frames, fingerprint)
}

// judgeFollowed is what becomes of the file.
func judgeFollowed(d *disk, f *archive.Follower) (string, error) {
	defer f.Stop()
	r, err := archive.Open(d, int64(len(d.data)), trusted)
	if err != nil {
		return "", err
	}
	return r.VerifyFollowed(f)
}

func TestFollow(t *testing.T) {
	d := &disk{flip: -1}
	f, sum := followed(t, t.Context(), d)
	sha, err := judgeFollowed(d, f)
	if err != nil || sha != sum.SHA256 {
		t.Fatalf("%s, %v, want %s", sha, err, sum.SHA256)
	}
	r, _, err := accept(d.data, trusted)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := r.Verify(t.Context(), nil); again != sha || err != nil {
		t.Errorf("Verify gives %s, %v", again, err)
	}
}

// TestFollowSeesEveryByte has a disk keep one byte otherwise than it was written.
func TestFollowSeesEveryByte(t *testing.T) {
	frames, fingerprint := shop()
	whole, _ := write(t, testKey, frames, fingerprint)
	for i := range whole {
		d := &disk{flip: i}
		f, _ := followed(t, t.Context(), d)
		if _, err := judgeFollowed(d, f); safepoint.ErrorCode(err) != safepoint.CodeArchive {
			t.Errorf("byte %d of %d: %v", i, len(whole), err)
		}
	}
}

// TestFollowSeesAnotherArchive finds a whole and signed archive in the place of the one that was written.
func TestFollowSeesAnotherArchive(t *testing.T) {
	frames, fingerprint := shop()
	frames[0].sql += "-- something else\n"
	other, _ := write(t, testKey, frames, fingerprint)
	same, _ := shop()
	signedAgain, _ := write(t, testKey, same, nil)
	for _, data := range [][]byte{other, signedAgain} {
		d := &disk{flip: -1}
		f, _ := followed(t, t.Context(), d)
		d.mu.Lock()
		kept := d.data
		d.mu.Unlock()
		r, err := archive.Open(bytes.NewReader(data), int64(len(data)), trusted)
		if err != nil {
			t.Fatal(err)
		}
		_, err = r.VerifyFollowed(f)
		refused(t, err, "another archive", "table of contents")
		if len(kept) == len(data) && bytes.Equal(kept, data) {
			t.Error("it is the same archive")
		}
	}
}

func TestFollowEnds(t *testing.T) {
	burnt := errors.New("disk on fire")
	d := &disk{flip: -1, err: burnt}
	f, _ := followed(t, t.Context(), d)
	d.mu.Lock()
	data := bytes.Clone(d.data)
	d.mu.Unlock()
	r, err := archive.Open(bytes.NewReader(data), int64(len(data)), trusted)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.VerifyFollowed(f); !errors.Is(err, burnt) || safepoint.ErrorCode(err) == safepoint.CodeArchive {
		t.Errorf("a failing disk: %v", err)
	}

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	f, _ = followed(t, ctx, &disk{flip: -1})
	if _, err := r.VerifyFollowed(f); !errors.Is(err, context.Canceled) {
		t.Errorf("told to stop: %v", err)
	}

	var b bytes.Buffer
	w := archive.NewWriter(&b, testHeader(), testKey)
	f = w.Follow(t.Context(), bytes.NewReader(nil), false)
	if _, err := r.VerifyFollowed(f); err == nil {
		t.Error("an archive that was not closed passes")
	}
	w.Follow(t.Context(), bytes.NewReader(nil), false).Stop()
}
