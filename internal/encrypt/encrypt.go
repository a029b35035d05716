// Package encrypt wraps a backup file in age for its recipients, and reads it at any offset with one of their keys.
//
// What it writes is an age file (age-encryption.org/v1), so that `age -d -i KEY FILE` opens it without us. Whoever
// has a recipient, which is public, can write such a file: that it is one of ours is shown by the signature of the
// archive inside, never by the encryption.
package encrypt

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"filippo.io/age"

	"github.com/safepoint-db/safepoint"
)

// Extension ends the name of an encrypted file, behind that of what is inside.
const Extension = safepoint.EncryptedExtension

// Magic are the first bytes of every file of this kind.
const Magic = "age-encryption.org/v1\n"

const (
	nonceSize  = 16
	chunkSize  = 64 << 10 // bytes inside each chunk but the last
	chunkExtra = 16       // bytes of its authentication tag
)

// Is says whether a file begins as an age file does. A file that cannot be read is none: whoever opens it is told.
func Is(r io.ReaderAt) bool {
	head := make([]byte, len(Magic))
	n, _ := r.ReadAt(head, 0)
	return string(head[:n]) == Magic
}

// Info is what anybody can know of an encrypted file.
type Info struct {
	Recipients int      // how many keys open it; age does not say whose
	Kinds      []string // of each recipient: "X25519", "mlkem768x25519" (post-quantum), "scrypt" (a passphrase) …
	Inside     int64    // bytes of what is encrypted, if the file is whole
}

// Passphrase says that the file is opened with a passphrase, not with a key.
func (i Info) Passphrase() bool { return len(i.Kinds) == 1 && i.Kinds[0] == "scrypt" }

// Inspect reads the header of an encrypted file of size bytes. It needs no key, and proves nothing.
func Inspect(r io.ReaderAt, size int64) (Info, error) {
	header, err := readHeader(marked{r}, size)
	if err != nil {
		return Info{}, err
	}
	var i Info
	for line := range strings.Lines(string(header)) {
		if rest, ok := strings.CutPrefix(line, "-> "); ok {
			kind, _, _ := strings.Cut(strings.TrimSpace(rest), " ")
			i.Kinds = append(i.Kinds, kind)
		}
	}
	i.Recipients = len(i.Kinds)
	if i.Inside, err = inside(size - int64(len(header)) - nonceSize); err != nil {
		return Info{}, err
	}
	return i, nil
}

// inside is how many bytes a payload of so many encrypted bytes holds.
func inside(payload int64) (int64, error) {
	const whole = chunkSize + chunkExtra
	last := payload % whole
	chunks := payload / whole
	if last > 0 {
		chunks++
	}
	if payload < chunkExtra || last > 0 && last < chunkExtra || last == chunkExtra && chunks > 1 {
		return 0, cutOff(errors.New("no file has this length"))
	}
	return payload - chunks*chunkExtra, nil
}

// FileKey opens one encrypted file and no other. It is what a program keeps while it works with the file, so that it
// need not keep the identity.
type FileKey struct{ key []byte }

// Format hides the key, whatever the verb.
func (FileKey) Format(f fmt.State, _ rune) { io.WriteString(f, "the key of one file") }

// IsZero says that k is the key of nothing.
func (k FileKey) IsZero() bool { return len(k.key) == 0 }

// Unlock finds the key of an encrypted file of size bytes with any of the identities. It refuses with CodeKey where
// none was given or none fits, and with CodeArchive where the header is not what was written. It reads only the header.
func Unlock(r io.ReaderAt, size int64, with []Identity) (FileKey, error) {
	header, err := readHeader(marked{r}, size)
	if err != nil {
		return FileKey{}, err
	}
	if len(with) == 0 {
		return FileKey{}, NoKey()
	}
	ids := make([]age.Identity, len(with))
	for i, id := range with {
		ids[i] = id.id
	}
	key, err := age.DecryptHeader(header, ids...)
	var none *age.NoIdentityMatchError
	switch {
	case errors.As(err, &none):
		return FileKey{}, wrongKey(none.StanzaTypes)
	case err != nil:
		return FileKey{}, altered("its header is not what was written", err)
	}
	return FileKey{key}, nil
}

// Open opens what is inside an encrypted file of size bytes, at any offset, and says how many bytes that is. It reads
// the header and the end, which proves the length; each part is proven when it is read. The reader is safe for
// concurrent use, and holds no more than a few chunks of 64 KiB.
func (k FileKey) Open(r io.ReaderAt, size int64) (io.ReaderAt, int64, error) {
	if k.IsZero() {
		return nil, 0, NoKey()
	}
	in, n, err := age.DecryptReaderAt(marked{r}, size, age.NewInjectedFileKeyIdentity(k.key))
	if err != nil {
		return nil, 0, openError(err)
	}
	return &reader{in: in, size: n}, n, nil
}

// Open is Unlock, and Open with the key found.
func Open(r io.ReaderAt, size int64, with []Identity) (io.ReaderAt, int64, error) {
	k, err := Unlock(r, size, with)
	if err != nil {
		return nil, 0, err
	}
	return k.Open(r, size)
}

// readHeader returns the header as it stands in the file.
func readHeader(r io.ReaderAt, size int64) ([]byte, error) {
	if size <= 0 {
		return nil, safepoint.Errorf(safepoint.CodeArchive, "The file is empty: it has zero bytes.").Hinted(hintAltered)
	}
	header, err := age.ExtractHeader(io.NewSectionReader(r, 0, size))
	if err != nil {
		var s sourceError
		switch {
		case errors.As(err, &s):
			return nil, s.err
		case bytesBegin(r, armorStart):
			return nil, safepoint.Errorf(safepoint.CodeArchive, "The file is encrypted with age and armored, as text.").
				WithHint("Safepoint reads the binary form. Decrypt it first: age -d -i KEY FILE.")
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return nil, cutOff(err)
		}
		return nil, altered("its header is not what was written", err)
	}
	return header, nil
}

const armorStart = "-----BEGIN AGE ENCRYPTED FILE-----"

func bytesBegin(r io.ReaderAt, with string) bool {
	head := make([]byte, len(with))
	n, _ := r.ReadAt(head, 0)
	return bytes.Equal(head[:n], []byte(with))
}

// reader turns age's refusals into ours.
type reader struct {
	in   io.ReaderAt
	size int64
}

func (r *reader) ReadAt(p []byte, off int64) (int, error) {
	switch {
	case off < 0:
		return 0, errors.New("read encrypted file: negative offset")
	case off >= r.size:
		return 0, io.EOF
	}
	n, err := r.in.ReadAt(p, off)
	if err == nil || err == io.EOF {
		return n, err
	}
	return n, chunkError(err, off+int64(n))
}
