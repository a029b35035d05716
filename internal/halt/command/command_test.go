package command

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/halt"
	"github.com/safepoint-db/safepoint/internal/halt/halttest"
)

// The test's own program is also the service and what controls it: a real process that answers on a socket.
func TestMain(m *testing.M) {
	if len(os.Args) == 4 && os.Args[1] == "ctl" {
		os.Exit(control(os.Args[2], os.Args[3]))
	}
	os.Setenv("GORACE", "atexit_sleep_ms=0") // or each program would end a second late under the race detector
	os.Exit(m.Run())
}

const secret = "hunter2-t0ps3cret"

// control does what an init script would: halt, resume and status of the process whose files are in dir.
func control(verb, dir string) int {
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return 1
	}
	defer lock.Close()
	// Whoever starts the service has the lock, and waits for it to answer.
	if verb != "serve" && syscall.Flock(int(lock.Fd()), syscall.LOCK_EX) != nil {
		return 1
	}
	socket := filepath.Join(dir, "socket")
	up := func() bool {
		c, err := net.Dial("unix", socket)
		if err == nil {
			c.Close()
		}
		return err == nil
	}
	switch verb {
	case "serve":
		// Before it answers: whoever halts it next looks for its number.
		if os.WriteFile(filepath.Join(dir, "pid"), []byte(strconv.Itoa(os.Getpid())), 0o600) != nil {
			return 1
		}
		l, err := net.Listen("unix", socket)
		if err != nil {
			return 1
		}
		for {
			c, err := l.Accept()
			if err != nil {
				return 1
			}
			io.WriteString(c, "sold\n")
			c.Close()
		}
	case "halt":
		text, _ := os.ReadFile(filepath.Join(dir, "pid"))
		pid, err := strconv.Atoi(string(text))
		if err != nil || !up() {
			return 0
		}
		if _, err := os.Stat(filepath.Join(dir, "stuck")); err == nil {
			fmt.Println("waiting for a transaction, with", os.Getenv("SHOP_TOKEN"))
			syscall.Pause() // killed by whoever waits for us
		}
		syscall.Kill(pid, syscall.SIGKILL)
		for up() {
			<-time.After(time.Millisecond)
		}
		os.Remove(socket)
	case "resume":
		if up() {
			return 0
		}
		os.Remove(socket)
		cmd := exec.Command(os.Args[0], "ctl", "serve", dir)
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		if cmd.Start() != nil {
			return 1
		}
		for !up() {
			<-time.After(time.Millisecond)
		}
	case "status":
		if !up() {
			fmt.Println("stopped")
			return 3
		}
		fmt.Println("selling")
	case "refuse":
		fmt.Println("first line")
		fmt.Println("the token", os.Getenv("SHOP_TOKEN"), "is not mine, nor is", os.Getenv("SHOP_OTHER")+".")
		return 4
	case "later":
		f, _ := os.OpenFile(filepath.Join(dir, "tries"), os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o600)
		io.WriteString(f, os.Getenv("SAFEPOINT_OPERATION_ID")+"\n")
		if st, _ := f.Stat(); st.Size() < 20 {
			return 75
		}
	}
	return 0
}

func service(dir string, timeout time.Duration) safepoint.Service {
	ctl := func(verb string) []string { return []string{os.Args[0], "ctl", verb, dir} }
	return safepoint.Service{Name: "Till", Kind: safepoint.ServiceCommand, Timeout: timeout, Operator: &safepoint.HostService{
		Command: &safepoint.CommandService{Halt: ctl("halt"), Resume: ctl("resume"), Probe: ctl("status"), Env: []string{"SHOP_TOKEN", "GORACE"}},
	}}
}

func halter(t *testing.T, s safepoint.Service) *Halter {
	t.Helper()
	h, err := New(s)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestHalter(t *testing.T) {
	t.Setenv("SHOP_TOKEN", secret)
	halttest.Run(t, func(t *testing.T) halttest.Service {
		dir := t.TempDir()
		s := func(timeout time.Duration) safepoint.Service { return service(dir, timeout) }
		if code := exec.Command(os.Args[0], "ctl", "resume", dir).Run(); code != nil {
			t.Fatal(code)
		}
		t.Cleanup(func() { exec.Command(os.Args[0], "ctl", "halt", dir).Run() })
		return halttest.Service{
			Name: "Till", Secret: secret,
			New: func(t *testing.T, timeout time.Duration) halt.Halter { return halter(t, s(timeout)) },
			Works: func(ctx context.Context) error {
				c, err := (&net.Dialer{}).DialContext(ctx, "unix", filepath.Join(dir, "socket"))
				if err != nil {
					return err
				}
				defer c.Close()
				text, err := io.ReadAll(c)
				if string(text) != "sold\n" {
					return fmt.Errorf("it said %q (%v)", text, err)
				}
				return nil
			},
			Stick: func(t *testing.T) func() {
				stuck := filepath.Join(dir, "stuck")
				if err := os.WriteFile(stuck, nil, 0o600); err != nil {
					t.Fatal(err)
				}
				return func() { os.Remove(stuck) }
			},
			Gone: func(t *testing.T, timeout time.Duration) halt.Halter {
				gone := s(timeout)
				missing := []string{filepath.Join(dir, "no-such-program")}
				gone.Operator.Command = &safepoint.CommandService{Halt: missing, Resume: missing, Probe: missing}
				return halter(t, gone)
			},
		}
	})
}

// A program's last line says why it failed, without what it was not to tell.
func TestFailure(t *testing.T) {
	t.Setenv("SHOP_TOKEN", secret)
	t.Setenv("SHOP_OTHER", "not passed on")
	s := service(t.TempDir(), 10*time.Second)
	s.Operator.Command.Halt[2] = "refuse"
	err := halter(t, s).Halt(t.Context(), halt.Request{})
	if safepoint.ErrorCode(err) != safepoint.CodeHalt || !strings.Contains(err.Error(), "Till did not halt: its program ended with 4 (the token … is not mine, nor is .)") {
		t.Errorf("got %v", err)
	}
}

// 75 says that it may work later, and the programs are told about the restore.
func TestLater(t *testing.T) {
	dir := t.TempDir()
	s := service(dir, 10*time.Second)
	s.Operator.Command.Resume[2], s.Operator.Command.Probe = "later", nil
	if err := halter(t, s).Resume(t.Context(), halt.Request{OperationID: "op_1234"}); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(filepath.Join(dir, "tries")); err != nil || string(text) != "op_1234\nop_1234\nop_1234\n" {
		t.Errorf("tries: %q, %v", text, err)
	}
}

// Nothing that a killed program started is left.
func TestKillsAllItStarted(t *testing.T) {
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Skip("needs a shell")
	}
	dir := t.TempDir()
	pidFile := filepath.Join(dir, "pid")
	s := service(dir, time.Second)
	s.Operator.Command.Halt = []string{sh, "-c", "sleep 1000 & echo $! > " + pidFile + "; wait"}
	if err := halter(t, s).Halt(t.Context(), halt.Request{}); safepoint.ErrorCode(err) != safepoint.CodeHalt || !strings.Contains(err.Error(), "within 1 s, and was killed") {
		t.Fatalf("got %v", err)
	}
	text, err := os.ReadFile(pidFile)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(10 * time.Second); !gone(pid); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("process %d still runs", pid)
		}
	}
}

// gone says whether a process has ended; one that nobody has waited for yet has.
func gone(pid int) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return true
	}
	_, rest, _ := strings.Cut(string(text), ") ")
	return strings.HasPrefix(rest, "Z") || strings.HasPrefix(rest, "X")
}

func TestNew(t *testing.T) {
	for name, change := range map[string]func(*safepoint.Service){
		"none of the operator's": func(s *safepoint.Service) { s.Operator = nil },
		"no program":             func(s *safepoint.Service) { s.Operator.Command.Resume = nil },
		"a relative path":        func(s *safepoint.Service) { s.Operator.Command.Halt = []string{"systemctl", "stop"} },
		"a relative folder":      func(s *safepoint.Service) { s.Operator.Command.Dir = "srv" },
		"a value in env":         func(s *safepoint.Service) { s.Operator.Command.Env = []string{"A=b"} },
	} {
		s := service("/srv", time.Second)
		change(&s)
		if _, err := New(s); safepoint.ErrorCode(err) != safepoint.CodeInvalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}
