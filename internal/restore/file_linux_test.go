package restore

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"

	"github.com/safepoint-db/safepoint"
)

// TestFileLedgerOnAFailingDisk cuts nothing off because it could not be read, and keeps nothing of what was not written.
func TestFileLedgerOnAFailingDisk(t *testing.T) {
	ctx := context.Background()
	path := filepath.Join(t.TempDir(), "journal")
	l, err := OpenFileLedger(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Append(ctx, safepoint.JournalEntry{Event: "intent"}, safepoint.JournalEntry{Event: "done"}); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	broken := errors.New("input/output error")
	if c, err := readFile(io.MultiReader(bytes.NewReader(text[:len(text)-3]), iotest.ErrReader(broken))); !errors.Is(err, broken) {
		t.Errorf("read %+v, %v", c, err)
	}

	// A disk with room for half of what comes next.
	wide := safepoint.JournalEntry{Event: "note", Detail: strings.Repeat("x", 1<<16)}
	if err := withFileLimit(t, int64(len(text))+1<<16, func() error { return l.Append(ctx, wide, wide) }); err == nil {
		t.Error("it was written, beyond the limit")
	}
	if now, err := os.ReadFile(path); err != nil || !bytes.Equal(now, text) {
		t.Errorf("%d bytes are left, where there were %d: %v", len(now), len(text), err)
	}
	if err := l.Append(ctx, safepoint.JournalEntry{Event: "note"}); err != nil {
		t.Fatal(err)
	}
	l.Close()
	if l, err = OpenFileLedger(path); err != nil {
		t.Fatal(err)
	}
	if entries, _ := l.Entries(ctx); len(entries) != 3 || entries[2].Seq != 3 {
		t.Errorf("got %+v", entries)
	}
	l.Close()
}

// withFileLimit does something while no file of this process can grow beyond limit bytes.
func withFileLimit(t *testing.T, limit int64, do func() error) error {
	t.Helper()
	var was syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &was); err != nil {
		t.Fatal(err)
	}
	signal.Ignore(syscall.SIGXFSZ)
	defer signal.Reset(syscall.SIGXFSZ)
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: uint64(limit), Max: was.Max}); err != nil {
		t.Fatal(err)
	}
	defer syscall.Setrlimit(syscall.RLIMIT_FSIZE, &was)
	return do()
}
