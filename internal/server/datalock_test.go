package server

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/safepoint-db/safepoint"
)

// TestLockOfDataDirectory keeps a second console out at once, and lets one wait while the watchdog is at it.
func TestLockOfDataDirectory(t *testing.T) {
	dir := t.TempDir()
	quiet := slog.New(slog.DiscardHandler)
	lock := func(ctx context.Context) (func(), error) { return lockData(ctx, dir, quiet) }
	unlock, err := lock(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if running(dir) != os.Getpid() {
		t.Errorf("the lock names process %d", running(dir))
	}
	if _, err := lock(t.Context()); safepoint.ErrorCode(err) != safepoint.CodeConflict {
		t.Errorf("a second console: %v", err)
	}
	unlock()

	// As the watchdog does: takeover, lock; and back in the other order.
	leave, err := LockFile(filepath.Join(dir, takeoverFile))
	if err != nil {
		t.Fatal(err)
	}
	release, err := LockFile(filepath.Join(dir, lockFile))
	if err != nil {
		t.Fatal(err)
	}
	gone := errors.New("gave up")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(gone)
	if _, err := lock(ctx); !errors.Is(err, gone) {
		t.Errorf("who waits and is stopped: %v", err)
	}
	got := make(chan error, 1)
	var second func()
	go func() {
		var err error
		second, err = lock(t.Context())
		got <- err
	}()
	select {
	case err := <-got:
		t.Fatalf("a console did not wait for the watchdog: %v", err)
	case <-time.After(3 * takeoverPoll): // it polls, and finds it held
	}
	release(false)
	if err := <-got; err != nil { // while the watchdog still has the other lock
		t.Fatalf("after the watchdog: %v", err)
	}
	leave(false)
	second()
}

// TestEndHolder kills the process that holds the lock, also where it stands still, and no other.
func TestEndHolder(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, lockFile)
	name := func(pid int) {
		t.Helper()
		if err := os.WriteFile(path, []byte(strconv.Itoa(pid)+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, text := range []string{"", "x", "0", "1", "-1", strconv.Itoa(os.Getpid()), "999999999"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := endHolder(dir); err == nil {
			t.Errorf("%q was ended", text)
		}
	}
	child := func(script string) (*exec.Cmd, chan error) {
		t.Helper()
		cmd := exec.Command("sh", "-c", script, "sh", path)
		out, err := cmd.StdoutPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err == nil {
			_, err = bufio.NewReader(out).ReadString('\n')
		}
		if err != nil && err != io.EOF {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		t.Cleanup(func() { cmd.Process.Kill() })
		return cmd, ended
	}
	other, otherEnded := child("echo ready; exec sleep 60")
	name(other.Process.Pid) // a number that came to be another's
	if err := endHolder(dir); err == nil {
		t.Error("a process that has not the lock was ended")
	}
	holder, ended := child(`exec 9<"$1"; echo ready; kill -STOP $$; exec sleep 60`)
	name(holder.Process.Pid)
	if err := endHolder(dir); err != nil {
		t.Fatal(err)
	}
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		t.Error("the process that holds the lock lives")
	}
	select {
	case err := <-otherEnded:
		t.Errorf("another process ended: %v", err)
	default:
	}
	if running(dir) != 0 {
		t.Error("a dead process runs")
	}
}

// TestWatchIsPatient refuses to take a console for dead that may only be slow.
func TestWatchIsPatient(t *testing.T) {
	err := Watch(t.Context(), Config{DataDir: t.TempDir()}, time.Second)
	if safepoint.ErrorCode(err) != safepoint.CodeInvalid {
		t.Error(err)
	}
}
