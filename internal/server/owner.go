package server

import (
	"fmt"
	"os"
	"os/user"
	"strconv"
	"syscall"

	"github.com/safepoint-db/safepoint"
)

// asOwner refuses to act on a data directory that belongs to another user, as root does who helps a server that is not
// root's: what root makes there, the server could not open at its next start. A directory that is not there yet is fine.
func asOwner(dir string) error {
	info, err := os.Stat(dir)
	if err != nil {
		if os.IsNotExist(err) {
			return nil
		}
		return fmt.Errorf("look at the data directory: %w", err)
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || int(st.Uid) == os.Geteuid() {
		return nil
	}
	name := userName(int(st.Uid))
	return safepoint.Errorf(safepoint.CodeInvalid, "The data directory %s belongs to %s: what this user makes in it, the server could not open.", dir, name).
		WithHint("Run this as the server's user: sudo -u %s safepoint …", name)
}

// userName is the name of a user, or, as sudo takes it, the number after #.
func userName(id int) string {
	if u, err := user.LookupId(strconv.Itoa(id)); err == nil {
		return u.Username
	}
	return "#" + strconv.Itoa(id)
}
