package server

import (
	"errors"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/safepoint-db/safepoint"
)

// What keeps a server from starting is told to whoever starts it: what it is, and what to do. Errors that are worded
// already pass.

// check looks at what was configured, before anything is made.
func (c Config) check() error {
	if c.DataDir == "" {
		return safepoint.Errorf(safepoint.CodeInvalid, "The server needs a data directory.").WithHint("Name one with --data.")
	}
	if (c.TLSCert == "") != (c.TLSKey == "") {
		return safepoint.Errorf(safepoint.CodeInvalid, "HTTPS needs both a certificate and its private key.").WithHint("Give --tls-cert and --tls-key, or neither.")
	}
	if u, err := url.Parse(c.BaseURL); c.BaseURL != "" && (err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || strings.Trim(u.Path, "/") != "") {
		return safepoint.Errorf(safepoint.CodeInvalid, "The base URL %s is not the address of a website.", c.BaseURL).
			WithHint("Write it with https:// or http:// and without a path, such as https://backup.example.")
	}
	return nil
}

// makeData makes the data directory, where it is not there.
func makeData(dir string) error {
	err := os.MkdirAll(dir, 0o700)
	if err == nil {
		return nil
	}
	e := safepoint.Errorf(safepoint.CodeInvalid, "The data directory %s cannot be made: %s.", dir, reason(err)).WithCause(err)
	switch {
	case errors.Is(err, fs.ErrPermission):
		return e.WithHint("Let the server’s user, %s, write to the folder that it shall be in, or choose another with --data.", currentUser())
	case errors.Is(err, syscall.ENOTDIR):
		return e.WithHint("There is a file of this name, or one stands in its path: choose another with --data.")
	}
	return e.WithHint("Choose another with --data.")
}

// unusable words that a file of the data directory could not be opened.
func unusable(dir string, err error) error {
	if !errors.Is(err, fs.ErrPermission) && !errors.Is(err, syscall.EROFS) {
		return err
	}
	path := dir
	if p := (*fs.PathError)(nil); errors.As(err, &p) {
		path = p.Path
	}
	e := safepoint.Errorf(safepoint.CodeInvalid, "The data directory %s cannot be used: %s for %s.", dir, reason(err), path).WithCause(err)
	switch owner, us := ownerOf(path), currentUser(); {
	case errors.Is(err, syscall.EROFS):
		return e.WithHint("Its disk is mounted for reading only. Choose another with --data, or mount the disk for writing.")
	case owner != "" && owner != us:
		return e.WithHint("It belongs to %s, and this is %s. Start the server as %s, or choose another directory with --data.", owner, us, owner)
	}
	return e.WithHint("Let the server’s user, %s, read and write all of it, or choose another with --data.", currentUser())
}

// unreadableCatalog words that the catalog could not be opened.
func unreadableCatalog(dir string, err error) error {
	var lite *sqlite.Error
	if !errors.As(err, &lite) {
		return err
	}
	switch lite.Code() & 0xff {
	case sqlite3.SQLITE_FULL:
		return safepoint.Errorf(safepoint.CodeSpace, "There is no room left in the data directory %s.", dir).
			WithHint("Free some on its disk, or choose another with --data.").WithCause(err)
	case sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT:
		return safepoint.Errorf(safepoint.CodeInvalid, "%s is damaged, or was not made by Safepoint.", filepath.Join(dir, catalogFile)).
			WithHint("It was not changed. Look whether --data names the right directory. If the file is damaged, put a copy of it back, or have safepoint recover list the backup files in a new data directory.").WithCause(err)
	case sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM:
		return unusable(dir, &fs.PathError{Op: "open", Path: filepath.Join(dir, catalogFile), Err: syscall.EACCES})
	}
	return err
}

// cannotListen words why nothing can be listened on at addr.
func cannotListen(addr string, err error) error {
	const usual = "127.0.0.1:8321 for this machine alone or 0.0.0.0:8321 for its network"
	var wrong *net.AddrError
	var name *net.DNSError
	switch {
	case errors.Is(err, unix.EADDRINUSE):
		return safepoint.Errorf(safepoint.CodeConflict, "Another program listens on %s already.", addr).
			WithHint("It may be a Safepoint that runs already. Stop it, or choose another address with --addr.").WithCause(err)
	case errors.Is(err, unix.EACCES):
		return safepoint.Errorf(safepoint.CodePrivilege, "The user %s may not listen on %s.", currentUser(), addr).
			WithHint("Ports below 1024 want a right of their own (CAP_NET_BIND_SERVICE). Choose a higher port with --addr, and let a proxy stand before it.").WithCause(err)
	case errors.Is(err, unix.EADDRNOTAVAIL):
		return safepoint.Errorf(safepoint.CodeInvalid, "This machine does not have the address %s.", addr).
			WithHint("Choose one of its own with --addr: %s.", usual).WithCause(err)
	case errors.As(err, &wrong), errors.As(err, &name):
		return safepoint.Errorf(safepoint.CodeInvalid, "%s is no address to listen on.", addr).
			WithHint("Write a host and a port after --addr: %s.", usual).WithCause(err)
	}
	return safepoint.Errorf(safepoint.CodeConflict, "The address %s cannot be listened on: %s.", addr, reason(err)).
		WithHint("Choose another with --addr.").WithCause(err)
}

// unusableTLS words what is wrong with the certificate or its key.
func (c Config) unusableTLS(err error) error {
	return safepoint.Errorf(safepoint.CodeInvalid, "The certificate %s and the key %s cannot be used: %s.", c.TLSCert, c.TLSKey, reason(err)).
		WithHint("Both are PEM files and belong together: the server’s certificate with its chain, and its private key without a password.").WithCause(err)
}

// reason is the last cause of err, in its own words.
func reason(err error) string {
	var path *fs.PathError
	var call *net.OpError
	switch {
	case errors.As(err, &path):
		err = path.Err
	case errors.As(err, &call):
		err = call.Err
	}
	var no syscall.Errno
	if errors.As(err, &no) {
		err = no
	}
	return strings.TrimSuffix(err.Error(), ".")
}

// ownerOf is who owns what is at path, or the folder that it would be in; "" where nobody can tell.
func ownerOf(path string) string {
	info, err := os.Stat(path)
	if err != nil {
		if info, err = os.Stat(filepath.Dir(path)); err != nil {
			return ""
		}
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return ""
	}
	return userName(int(st.Uid))
}

func currentUser() string { return userName(os.Geteuid()) }

// taken words that another process has the data directory.
func taken(dir string, err error) error {
	if safepoint.ErrorCode(err) != safepoint.CodeConflict {
		return err
	}
	e := safepoint.Errorf(safepoint.CodeConflict, "Another Safepoint uses the data directory %s.", dir).WithCause(err)
	if b, err := os.ReadFile(filepath.Join(dir, lockFile)); err == nil && len(b) > 0 {
		return e.WithHint("Stop process %s first, or choose another directory with --data.", strings.TrimSpace(string(b)))
	}
	return e.WithHint("Stop it first, or choose another directory with --data.")
}
