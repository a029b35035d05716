package encrypt_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/archive"
	"github.com/safepoint-db/safepoint/internal/encrypt"
)

// sample is an encrypted archive of the given number of rows, with the key that signed it and the identity that opens it.
func sample(t *testing.T, rows int) (file []byte, id encrypt.Identity, trust archive.Trust) {
	t.Helper()
	id, err := encrypt.NewIdentity(false)
	if err != nil {
		t.Fatal(err)
	}
	pub, signing, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	w, err := encrypt.NewWriter(&b, []encrypt.Recipient{id.Recipient()})
	if err != nil {
		t.Fatal(err)
	}
	writeArchive(t, w, rows, signing)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes(), id, archive.Trust{Keys: []ed25519.PublicKey{pub}}
}

// writeArchive writes tables a and b, of random numbers that zstd cannot shorten much.
func writeArchive(t *testing.T, dst io.Writer, rows int, signing ed25519.PrivateKey) {
	t.Helper()
	random := rand.New(rand.NewPCG(1, 2))
	w := archive.NewWriter(dst, archive.Header{Engine: safepoint.SQLite, OperationID: "op_1"}, signing)
	for _, table := range []string{"a", "b"} {
		f, err := w.Frame(archive.Entry{Section: archive.Data, Kind: "rows", Table: table})
		if err != nil {
			t.Fatal(err)
		}
		for range rows {
			if _, err := fmt.Fprintf(f, "INSERT INTO %s VALUES (%d);\n", table, random.Uint64()); err != nil {
				t.Fatal(err)
			}
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.Close(); err != nil {
		t.Fatal(err)
	}
}

// whole does what a restore does before its first statement: open, read everything, check everything.
func whole(file []byte, open func(io.ReaderAt, int64) (io.ReaderAt, int64, error), trust archive.Trust) error {
	r, n, err := open(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		return err
	}
	a, err := archive.Open(r, n, trust)
	if err != nil {
		return err
	}
	_, err = a.Verify(context.Background(), nil)
	return err
}

// Every cut of an encrypted archive is refused, with words.
func TestEveryTruncation(t *testing.T) {
	file, id, trust := sample(t, 60)
	with := func(r io.ReaderAt, n int64) (io.ReaderAt, int64, error) {
		return encrypt.Open(r, n, []encrypt.Identity{id})
	}
	if err := whole(file, with, trust); err != nil {
		t.Fatal(err)
	}
	for n := range file {
		refused(t, whole(file[:n], with, trust), "cut to %d of %d bytes", n, len(file))
	}
}

func refused(t *testing.T, err error, what string, args ...any) {
	t.Helper()
	var e *safepoint.Error
	if code := safepoint.ErrorCode(err); code != safepoint.CodeArchive && code != safepoint.CodeKey {
		t.Errorf(what+": %v", append(args, err)...)
	} else if e = safepoint.UserError(err); e.Message == "" || e.Hint == "" {
		t.Errorf(what+": no words: %+v", append(args, e)...)
	}
}

// Thousands of changes to an encrypted archive of several chunks: each is refused before a restore would begin.
func TestMutations(t *testing.T) {
	mutations := 4000
	if n, err := strconv.Atoi(os.Getenv("SAFEPOINT_MUTATIONS")); err == nil {
		mutations = n
	}
	file, id, trust := sample(t, 11000) // about 200 KB: four chunks of age
	if len(file) < 3*65552 {
		t.Fatalf("the sample has only %d bytes", len(file))
	}
	small, smallID, smallTrust := sample(t, 30)
	key, err := encrypt.Unlock(bytes.NewReader(file), int64(len(file)), []encrypt.Identity{id})
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(3, 4))
	for i := range mutations {
		if i%4 > 0 { // the small file: mostly its header and its ends, with the key of a person
			changed, what := mutate(random, small)
			refused(t, whole(changed, func(r io.ReaderAt, n int64) (io.ReaderAt, int64, error) {
				return encrypt.Open(r, n, []encrypt.Identity{smallID})
			}, smallTrust), "small, %s", what)
			continue
		}
		changed, what := mutate(random, file)
		refused(t, whole(changed, key.Open, trust), "%s", what)
	}
}

// mutate changes a copy of file in one of the ways in which files go wrong or are made to.
func mutate(random *rand.Rand, file []byte) (changed []byte, what string) {
	const chunk = 65552
	b := bytes.Clone(file)
	at := random.IntN(len(b))
	if random.IntN(3) == 0 {
		at = random.IntN(min(len(b), 300)) // the header
	}
	n := 1 + random.IntN(min(64, len(b)-at))
	switch random.IntN(9) {
	case 0:
		b[at] ^= 1 << random.IntN(8)
		what = fmt.Sprintf("bit flipped at %d", at)
	case 1:
		b = append(b[:at], b[at+n:]...)
		what = fmt.Sprintf("%d bytes gone at %d", n, at)
	case 2:
		b = append(b[:at], append(bytes.Repeat([]byte{byte(random.Uint32())}, n), b[at:]...)...)
		what = fmt.Sprintf("%d bytes put in at %d", n, at)
	case 3:
		b = b[:at]
		what = fmt.Sprintf("cut at %d", at)
	case 4:
		b = append(b, file[at:]...)
		what = fmt.Sprintf("its part from %d again at its end", at)
	case 5:
		b = append(b, file...)
		what = "the whole file twice"
	case 6: // whole chunks of age change places, or one is missing
		if from := len(b) - 3*chunk; from > 0 {
			one, two := bytes.Clone(b[from:from+chunk]), bytes.Clone(b[from+chunk:from+2*chunk])
			copy(b[from:], two)
			copy(b[from+chunk:], one)
		} else {
			b[0]++
		}
		what = "chunks swapped"
	case 7:
		for i := at; i < min(at+n, len(b)); i++ {
			b[i] = ^b[i]
		}
		what = fmt.Sprintf("%d bytes inverted at %d", n, at)
	case 8:
		b = append(b, make([]byte, n)...)
		what = fmt.Sprintf("%d zeros at the end", n)
	}
	if bytes.Equal(b, file) {
		b[at] ^= 1
		what += ", and a bit flipped"
	}
	return b, what
}

// Whoever knows the recipient can make a file that its identity opens: the archive's signature is what refuses it.
func TestForgedForTheRecipient(t *testing.T) {
	_, id, trust := sample(t, 1)
	_, other, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	w, err := encrypt.NewWriter(&b, []encrypt.Recipient{id.Recipient()})
	if err != nil {
		t.Fatal(err)
	}
	writeArchive(t, w, 1, other)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	with := func(r io.ReaderAt, n int64) (io.ReaderAt, int64, error) {
		return encrypt.Open(r, n, []encrypt.Identity{id})
	}
	refused(t, whole(b.Bytes(), with, trust), "forged")
	if err := whole(b.Bytes(), with, archive.Trust{Unsigned: true}); err != nil {
		t.Errorf("the forged file should open for who trusts anybody: %v", err)
	}
}

// One table of an encrypted archive is read without reading the rest.
func TestOneFrame(t *testing.T) {
	file, id, trust := sample(t, 60_000)
	c := &counter{r: bytes.NewReader(file)}
	r, n, err := encrypt.Open(c, int64(len(file)), []encrypt.Identity{id})
	if err != nil {
		t.Fatal(err)
	}
	a, err := archive.Open(r, n, trust)
	if err != nil {
		t.Fatal(err)
	}
	opened := c.n
	f, err := a.Frame(1)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := io.Copy(io.Discard, f); err != nil {
		t.Fatal(err)
	}
	e := a.Entry(1)
	if opened > 256<<10 || c.n-opened > 2*e.Length+512<<10 {
		t.Errorf("%d bytes to open, %d for a frame of %d, of %d in all", opened, c.n-opened, e.Length, len(file))
	}
	t.Logf("file of %d bytes: %d to open, %d for a frame of %d", len(file), opened, c.n-opened, e.Length)
}

type counter struct {
	r io.ReaderAt
	n int64
}

func (c *counter) ReadAt(p []byte, off int64) (int, error) {
	n, err := c.r.ReadAt(p, off)
	c.n += int64(n)
	return n, err
}
