package encrypt

import (
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/safepoint-db/safepoint"
)

const hintAltered = "Do not restore from this file. Copy it again from where it was kept, or use another backup."

// NoKey says that a file is encrypted and no key was given.
func NoKey() *safepoint.Error {
	return safepoint.Errorf(safepoint.CodeKey, "The file is encrypted, and no key was given.").
		WithHint("Give the key of one of its recipients: with safepoint and with age that is an identity file, whose secret line begins with AGE-SECRET-KEY.")
}

func wrongKey(kinds []string) *safepoint.Error {
	if slices.Contains(kinds, "scrypt") {
		return safepoint.Errorf(safepoint.CodeKey, "The file is encrypted with a passphrase, and this is not it.").
			WithHint("Enter the passphrase that was chosen when the file was made.")
	}
	whose := "another recipient"
	if len(kinds) > 1 {
		whose = fmt.Sprintf("%d other recipients", len(kinds))
	}
	return safepoint.Errorf(safepoint.CodeKey, "This key does not open the file: it was encrypted for %s.", whose).
		WithHint("Use the key of a recipient that the backup was made for: DB Logs names them in the backup's entry. If it is the right key, the file was damaged: copy it again.")
}

// altered refuses a file that is not what was written; why is for the log.
func altered(what string, why error) error {
	return safepoint.Errorf(safepoint.CodeArchive, "The encrypted file has been altered or damaged: %s.", what).Hinted(hintAltered).WithCause(why)
}

func cutOff(why error) error {
	return safepoint.Errorf(safepoint.CodeArchive, "The encrypted file has been cut off, extended or altered: its end is not what was written.").
		WithHint(hintAltered).WithCause(why)
}

// openError is why the header and the end of a file could not be read with the file's own key.
func openError(err error) error {
	var s sourceError
	if errors.As(err, &s) {
		return s.err
	}
	if err.Error() == "bad header MAC" { // age has no type for it; it only chooses between two wordings
		return altered("its header is not what was written", err)
	}
	return cutOff(err)
}

// chunkError is why the chunk that holds byte at of what is inside could not be read.
func chunkError(err error, at int64) error {
	var s sourceError
	switch {
	case errors.As(err, &s):
		return s.err
	case errors.Is(err, io.ErrUnexpectedEOF):
		return safepoint.Errorf(safepoint.CodeArchive, "The encrypted file ended early: it has become shorter while it was read.").Hinted(hintAltered).WithCause(err)
	}
	from := at / chunkSize * chunkSize
	return altered(fmt.Sprintf("bytes %d to %d of what is inside are not what was written", from, from+chunkSize), err)
}

// marked tells failures of the file's own reader from what age finds wrong with the bytes.
type marked struct{ r io.ReaderAt }

type sourceError struct{ err error }

func (e sourceError) Error() string { return e.err.Error() }
func (e sourceError) Unwrap() error { return e.err }

func (m marked) ReadAt(p []byte, off int64) (int, error) {
	n, err := m.r.ReadAt(p, off)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		err = sourceError{fmt.Errorf("read encrypted file: %w", err)}
	}
	return n, err
}
