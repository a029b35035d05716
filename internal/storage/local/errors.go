package local

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/safepoint-db/safepoint"
	"golang.org/x/sys/unix"
)

const (
	maxKey  = 512
	maxName = 200 // of one part; file systems allow 255 bytes
)

// checkKey refuses what is not a key of storage.Storage: such a key is a mistake of ours, or of whoever made it up.
func checkKey(key string) error {
	refuse := func(why string) error {
		return safepoint.Errorf(safepoint.CodeInvalid, "%q is not a name of a backup file: %s.", key, why)
	}
	if key == "" || len(key) > maxKey {
		return refuse(fmt.Sprintf("it must have 1 to %d characters", maxKey))
	}
	for _, c := range []byte(key) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && !strings.ContainsRune("/_-.", rune(c)) {
			return refuse("only a-z, 0-9, /, _, - and . are allowed")
		}
	}
	for part := range strings.SplitSeq(key, "/") {
		switch {
		case part == "":
			return refuse("a part between slashes is empty")
		case part[0] == '.':
			return refuse("a part begins with a dot")
		case len(part) > maxName:
			return refuse(fmt.Sprintf("a part has more than %d characters", maxName))
		}
	}
	if strings.Contains(key, "..") {
		return refuse("it holds two dots in a row")
	}
	return nil
}

// failedAt words a failure with one object.
func (s *Storage) failedAt(act, key string, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return safepoint.Errorf(safepoint.CodeNotFound, "There is no backup file %s in the storage.", key).WithCause(err)
	case errors.Is(err, fs.ErrExist):
		return safepoint.Errorf(safepoint.CodeConflict, "There is already a backup file %s in the storage.", key).WithCause(err)
	}
	return s.failed(act+" "+key, err)
}

// failed words any other failure: what the operator of this machine can mend as such, the rest with the act for the log. Where
// the folder is, an organization's people need not know: it stands in the cause alone, which is for the log.
func (s *Storage) failed(act string, err error) error {
	cause := fmt.Errorf("%s in backup storage %s: %w", act, s.dir, err)
	switch {
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT):
		return s.full(err).WithHint("Delete backups that are no longer needed, or give the folder of backups more room. Nothing that was stored before is affected.").WithCause(cause)
	case errors.Is(err, unix.EROFS):
		return safepoint.Errorf(safepoint.CodePrivilege, "The disk that holds the backups can only be read.").
			WithHint("A disk with errors is often made so: look at the machine's system log. Then let the folder of backups be written again.").WithCause(cause)
	case errors.Is(err, fs.ErrPermission):
		return safepoint.Errorf(safepoint.CodePrivilege, "Safepoint may not use the folder of backups, or not all that is in it.").
			WithHint("Give it, and everything in it, to the user that Safepoint runs as. The server's log names the folder.").WithCause(cause)
	case errors.Is(err, unix.EIO):
		return safepoint.Errorf(safepoint.CodeUnreachable, "The disk that holds the backups answered with an error.").
			WithHint("Look at the machine's system log for errors of the disk.").WithCause(cause)
	}
	return cause
}

func (s *Storage) full(err error) *safepoint.Error {
	if errors.Is(err, unix.EDQUOT) {
		return safepoint.Errorf(safepoint.CodeSpace, "The disk quota for the backups is used up.")
	}
	if space, err := s.space(); err == nil {
		return safepoint.Errorf(safepoint.CodeSpace, "The disk that holds the backups is full: %s of %s are free.", safepoint.Bytes(space.Free), safepoint.Bytes(space.Total))
	}
	return safepoint.Errorf(safepoint.CodeSpace, "The disk that holds the backups is full.")
}
