package archive

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"github.com/safepoint-db/safepoint"
)

// How far from the end of a file that is no archive we look for what could have been one.
const (
	searchWithin = 64 << 20
	searchChunk  = 1 << 20
)

// ErrNoContents is the cause of a refusal of a file in which there is nothing that was a table of contents: it is
// foreign, or so little of an archive that one cannot tell.
var ErrNoContents = errors.New("no table of contents")

// diagnose says in words what is wrong with a file whose end is not the end of an archive: bytes were added or cut
// off, or it never was an archive. otherwise is returned where it stands where it should and is altered.
func diagnose(r io.ReaderAt, size int64, otherwise error) error {
	at, err := findContents(r, size)
	if err != nil {
		return err
	}
	if at < 0 {
		return foreign(r, size)
	}
	end, position, err := statedEnd(r, at, size)
	switch {
	case err != nil:
		return err
	case end < 0 || end > size:
		return safepoint.Errorf(safepoint.CodeArchive, "The archive is truncated: its end has been cut off.").Hinted(hintAltered)
	case end < size:
		return safepoint.Errorf(safepoint.CodeArchive, "Something was added behind the archive's end: the file is %s longer than it should be.", bytesOf(size-end)).Hinted(hintAltered)
	case position < at:
		return safepoint.Errorf(safepoint.CodeArchive, "Something was added to the archive: its frames should be %s shorter.", bytesOf(at-position)).Hinted(hintAltered)
	case position > at:
		return safepoint.Errorf(safepoint.CodeArchive, "The archive is truncated: it lacks %s in front of its table of contents.", bytesOf(position-at)).Hinted(hintAltered)
	}
	return otherwise
}

// bytesOf is "1 byte" or "93 bytes".
func bytesOf(n int64) string {
	if n == 1 {
		return "1 byte"
	}
	return fmt.Sprintf("%d bytes", n)
}

// findContents looks for the last table of contents near the file's end, -1 if there is none. It is a guess made to
// word an error: nothing that it finds is believed.
func findContents(r io.ReaderAt, size int64) (int64, error) {
	needle := make([]byte, skipHead+len(identifier))
	binary.LittleEndian.PutUint32(needle, tocMagic)
	copy(needle[skipHead:], identifier)
	from := max(0, size-searchWithin)
	for end := size; end > from; {
		start := max(from, end-searchChunk)
		b, err := readRange(r, start, min(end+int64(len(needle))-1, size)-start)
		if err != nil {
			return 0, err
		}
		for i := len(b); ; {
			i = bytes.LastIndex(b[:i], needle[skipHead:])
			if i < 0 {
				break
			}
			// One of the two marks may be what was altered: the other, or the place it states, must fit.
			if i >= skipHead && (bytes.Equal(b[i-skipHead:i-4], needle[:4]) || statesPlace(b[i:], start+int64(i)-skipHead)) {
				return start + int64(i) - skipHead, nil
			}
		}
		end = start
	}
	return -1, nil
}

func statesPlace(fixed []byte, at int64) bool {
	return len(fixed) >= 20 && binary.LittleEndian.Uint64(fixed[12:]) == uint64(at)
}

// statedEnd is where the archive whose table of contents stands at at says that it ends (-1: beyond the file's end),
// and where that table says that it stands.
func statedEnd(r io.ReaderAt, at, size int64) (end, position int64, err error) {
	if size-at < skipHead+20 {
		return -1, 0, nil
	}
	head, err := readRange(r, at, skipHead+20)
	if err != nil {
		return 0, 0, err
	}
	position = int64(binary.LittleEndian.Uint64(head[skipHead+12:]))
	seek := at + skipHead + int64(binary.LittleEndian.Uint32(head[4:]))
	if seek+skipHead > size {
		return -1, position, nil
	}
	if head, err = readRange(r, seek, skipHead); err != nil {
		return 0, 0, err
	}
	if binary.LittleEndian.Uint32(head) != seekMagic {
		return size, at, nil // altered, not shortened: the caller knows better what to say
	}
	return seek + skipHead + int64(binary.LittleEndian.Uint32(head[4:])), position, nil
}

// foreign says what a file is that holds no table of contents.
func foreign(r io.ReaderAt, size int64) error {
	head, err := readRange(r, 0, min(size, 512))
	if err != nil {
		return err
	}
	refuse := func(what, hint string) error {
		return safepoint.Errorf(safepoint.CodeArchive, "This is not a Safepoint archive: %s.", what).
			Hinted(hint).WithCause(ErrNoContents)
	}
	const another = "Choose a file that Safepoint made: its name ends in .sql.zst."
	is := func(magic string) bool { return bytes.HasPrefix(head, []byte(magic)) }
	switch {
	case is("\x28\xb5\x2f\xfd"), is("\x53\x2a\x4d\x18"):
		return safepoint.Errorf(safepoint.CodeArchive, "The archive is truncated: its end is missing. (Or it is a zstd file that Safepoint did not make.)").
			WithHint(hintAltered).WithCause(ErrNoContents)
	case is("age-encryption.org/"):
		return refuse("it is encrypted with age", "Decrypt it first: age -d -i KEY FILE.")
	case is("\x1f\x8b"):
		return refuse("it looks like a gzip file", another)
	case is("PGDMP"):
		return refuse("it looks like a dump in pg_dump's custom format", "Restore it with pg_restore.")
	case is("SQLite format 3\x00"):
		return refuse("it looks like an SQLite database", "Add it as a database instead.")
	case is("PK\x03\x04"):
		return refuse("it looks like a zip file", another)
	case len(head) > 262 && string(head[257:262]) == "ustar":
		return refuse("it looks like a tar file", another)
	case looksLikeText(head):
		return refuse("it looks like plain text or SQL", another)
	}
	return refuse("it holds something else", another)
}

// looksLikeText says whether head is printable UTF-8, but for a character cut in two at its end.
func looksLikeText(head []byte) bool {
	for len(head) > 0 {
		c, n := utf8.DecodeRune(head)
		if c == utf8.RuneError && n == 1 && utf8.FullRune(head) {
			return false
		}
		if c < ' ' && c != '\n' && c != '\r' && c != '\t' {
			return false
		}
		head = head[n:]
	}
	return true
}
