package server

import (
	"context"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/safepoint-db/safepoint"
)

// TestWhatKeepsAServerFromStarting: each says what it is and what to do, names what it is about, and leaves nothing locked.
func TestWhatKeepsAServerFromStarting(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	write := func(path, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(file, "")
	write(filepath.Join(dir, "damaged", catalogFile), strings.Repeat("no catalog ", 1000))
	running := filepath.Join(dir, "running")
	start(t, Config{DataDir: running})

	data := filepath.Join(dir, "data")
	for name, c := range map[string]struct {
		cfg           Config
		code          safepoint.Code
		message, hint string
	}{
		"no data directory":       {Config{}, safepoint.CodeInvalid, "needs a data directory", "--data"},
		"a file of its name":      {Config{DataDir: file}, safepoint.CodeInvalid, file + " cannot be made: not a directory.", "--data"},
		"a file in its path":      {Config{DataDir: filepath.Join(file, "x")}, safepoint.CodeInvalid, "cannot be made: not a directory.", "--data"},
		"nothing can be made":     {Config{DataDir: "/proc/none"}, safepoint.CodeInvalid, "/proc/none cannot be made", "--data"},
		"another uses it":         {Config{DataDir: running}, safepoint.CodeConflict, "Another Safepoint uses the data directory " + running, "Stop process "},
		"not a catalog":           {Config{DataDir: filepath.Join(dir, "damaged")}, safepoint.CodeInvalid, catalogFile + " is damaged, or was not made by Safepoint.", "safepoint recover"},
		"the port is in use":      {Config{DataDir: data, Addr: taken.Addr().String()}, safepoint.CodeConflict, "Another program listens on " + taken.Addr().String(), "--addr"},
		"no such port":            {Config{DataDir: data, Addr: "127.0.0.1:99999"}, safepoint.CodeInvalid, "127.0.0.1:99999 is no address", "127.0.0.1:8321"},
		"no address":              {Config{DataDir: data, Addr: "nonsense"}, safepoint.CodeInvalid, "nonsense is no address", "127.0.0.1:8321"},
		"an address of another":   {Config{DataDir: data, Addr: "192.0.2.1:8321"}, safepoint.CodeInvalid, "This machine does not have the address 192.0.2.1:8321.", "0.0.0.0:8321"},
		"a certificate alone":     {Config{DataDir: data, TLSCert: file}, safepoint.CodeInvalid, "both a certificate and its private key", "--tls-key"},
		"no certificate in it":    {Config{DataDir: data, Addr: "127.0.0.1:0", TLSCert: file, TLSKey: file}, safepoint.CodeInvalid, "The certificate " + file, "PEM"},
		"a base URL without a //": {Config{DataDir: data, BaseURL: "backup.example"}, safepoint.CodeInvalid, "backup.example is not the address of a website", "https://"},
		"a base URL with a path":  {Config{DataDir: data, BaseURL: "https://backup.example/x"}, safepoint.CodeInvalid, "is not the address of a website", "without a path"},
	} {
		c.cfg.Log = slog.New(slog.DiscardHandler)
		s, err := Open(t.Context(), c.cfg)
		if err == nil {
			s.Close()
		}
		e := safepoint.UserError(err)
		if err == nil || e.Code != c.code || !strings.Contains(e.Message, c.message) || !strings.Contains(e.Hint, c.hint) {
			t.Errorf("%s: %s %q, %q", name, e.Code, e.Message, e.Hint)
		}
	}
	if unlock, err := lockData(t.Context(), data, slog.New(slog.DiscardHandler)); err != nil {
		t.Errorf("a start that failed left its lock: %v", err)
	} else {
		unlock()
	}
}

// TestDenied is what only the system can refuse, and refuses root nothing of.
func TestDenied(t *testing.T) {
	denied := &os.PathError{Op: "open", Path: "/srv/safepoint/lock", Err: syscall.EACCES}
	for name, c := range map[string]struct {
		err           error
		message, hint string
	}{
		"a file":         {unusable("/srv/safepoint", denied), "The data directory /srv/safepoint cannot be used: permission denied for /srv/safepoint/lock.", "--data"},
		"a disk":         {unusable("/srv/safepoint", &os.PathError{Path: "/srv/safepoint/lock", Err: syscall.EROFS}), "read-only file system", "mount the disk for writing"},
		"a port":         {cannotListen("127.0.0.1:80", &net.OpError{Op: "listen", Err: os.NewSyscallError("bind", unix.EACCES)}), "may not listen on 127.0.0.1:80.", "a higher port"},
		"something else": {cannotListen("x:1", &net.OpError{Op: "listen", Err: os.NewSyscallError("socket", unix.EMFILE)}), "cannot be listened on: too many open files.", "--addr"},
	} {
		e := safepoint.UserError(c.err)
		if !strings.Contains(e.Message, c.message) || !strings.Contains(e.Hint, c.hint) {
			t.Errorf("%s: %q, %q", name, e.Message, e.Hint)
		}
	}
	if err := unusable("/srv/safepoint", context.Canceled); err != context.Canceled {
		t.Errorf("became %v", err)
	}
}
