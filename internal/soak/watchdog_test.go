package soak

import (
	"bytes"
	"context"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/safepoint-db/safepoint/internal/api/wire"
	"github.com/safepoint-db/safepoint/internal/catalog"
)

// watchAfter is how long the tests' watchdog waits.
const watchAfter = 5 * time.Second

// TestWatchdog takes the console away in the middle of a halt, in three ways, with a watchdog beside it.
func TestWatchdog(t *testing.T) {
	for _, kind := range []string{"sqlite", "postgres"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			s := openShop(t, kind)
			w := startWatchdog(t, s.proc)
			s.run(t, "the console is killed and not started again", func(t *testing.T) {
				op := s.haltThen(t, "restore.gate.closed=kill")
				s.awaitDeath(t)
				died := time.Now()
				w.says(t, "what the console left is in order")
				s.till.sells(t)
				if took := time.Since(died); took > watchAfter+10*time.Second {
					t.Errorf("services ran again %s after the console had died", took)
				}
				w.wantEnd(t, op.ID, "failed") // before any console is there again
				s.proc.start(t, "")
				s.judge(t, s.wait(t, op.ID))
			})
			s.run(t, "the console stands still at the switch, and is woken", func(t *testing.T) {
				s.restart(t, "restore.switch.intent=stop")
				op := s.haltThen(t, "")
				w.says(t, "what the console left is in order")
				s.till.sells(t)
				s.proc.cmd.Process.Signal(syscall.SIGCONT) // a process that was ended before has nothing to go on with
				s.awaitDeath(t)
				if got := s.edition(t, s.target); got != 2 {
					t.Errorf("the live database is edition %d", got)
				}
				w.wantEnd(t, op.ID, "failed")
				s.proc.start(t, "")
				s.judge(t, s.wait(t, op.ID))
			})
			s.run(t, "the console is started at the same moment", func(t *testing.T) {
				op := s.haltThen(t, "restore.guard.done=kill")
				s.awaitDeath(t)
				w.says(t, "taking over")
				s.proc.start(t, "")
				op = s.wait(t, op.ID)
				s.judge(t, op)
				w.wantEnd(t, op.ID, "failed")
				w.idle(t)
			})
			if kind == "sqlite" {
				return
			}
			s.run(t, "a console that lives is left alone", func(t *testing.T) {
				// A restore with the watchdog beside it goes through as ever, also where a halt takes longer than it waits.
				s.till.mu.Lock()
				s.till.slow = watchAfter + 2*time.Second
				s.till.mu.Unlock()
				s.restart(t, "")
				op := s.wait(t, s.haltThen(t, "").ID)
				if op.Status != "succeeded" {
					t.Errorf("the restore ended %s: %+v", op.Status, op.Failure)
				}
				s.judge(t, op)
				w.idle(t)
			})
		})
	}
}

// TestDoctorResumes ends what a killed console left, by hand and without a console.
func TestDoctorResumes(t *testing.T) {
	s := openShop(t, "sqlite")
	s.run(t, "doctor", func(t *testing.T) {
		op := s.haltThen(t, "restore.guard.done=kill")
		s.awaitDeath(t)
		doctor := func(code int, args ...string) string {
			t.Helper()
			cmd := exec.Command(s.proc.bin, append([]string{"doctor", "--data", s.proc.data}, args...)...)
			out, err := cmd.CombinedOutput()
			if err != nil && cmd.ProcessState == nil {
				t.Fatal(err)
			}
			if got := cmd.ProcessState.ExitCode(); got != code {
				t.Fatalf("it ends with %d, want %d:\n%s", got, code, out)
			}
			return string(out)
		}
		for _, want := range []string{"was cut off", "has been halted since", "--fix resume", "step guard", op.ID} {
			if said := doctor(1); !strings.Contains(said, want) {
				t.Errorf("it does not say %q:\n%s", want, said)
			}
		}
		s.till.mu.Lock()
		if !s.till.halted {
			t.Error("looking has resumed the service")
		}
		s.till.mu.Unlock()
		doctor(0, "--fix", "resume", "--yes")
		s.till.sells(t)
		s.proc.start(t, "")
		s.judge(t, s.wait(t, op.ID))
	})
}

// haltThen starts a restore in a server with that fault ("" leaves the server as it runs) and returns it as queued.
func (s *shop) haltThen(t *testing.T, fault string) wire.Operation {
	t.Helper()
	s.till.forget()
	if fault != "" {
		s.restart(t, fault)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	op, err := s.api.StartRestore(ctx, s.backup.ID, wire.RestoreInput{Confirm: "shop"})
	if err != nil {
		t.Fatal(err)
	}
	return op
}

// watchdog is a watchdog of its own process.
type watchdog struct {
	data string
	cmd  *exec.Cmd
	log  syncLog
	read int // of log, by says
}

func startWatchdog(t *testing.T, p *process) *watchdog {
	t.Helper()
	w := &watchdog{data: p.data}
	w.cmd = exec.Command(p.bin, "watchdog", "--data", p.data, "--after", watchAfter.String())
	w.cmd.Stdout, w.cmd.Stderr = &w.log, &w.log
	if err := w.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		w.cmd.Process.Kill()
		w.cmd.Wait()
		if t.Failed() {
			t.Logf("the watchdog's log:\n%s", w.log.String())
		}
	})
	return w
}

// says waits until the watchdog has said something since the last call.
func (w *watchdog) says(t *testing.T, text string) {
	t.Helper()
	for deadline := time.Now().Add(watchAfter + 30*time.Second); ; {
		said := w.log.String()
		if at := strings.Index(said[w.read:], text); at >= 0 {
			w.read += at + len(text)
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the watchdog does not say %q:\n%s", text, said)
		}
		<-time.After(20 * time.Millisecond)
	}
}

// idle checks that the watchdog took nothing over since the last call.
func (w *watchdog) idle(t *testing.T) {
	t.Helper()
	said := w.log.String()
	if strings.Contains(said[w.read:], "taking over") {
		t.Errorf("the watchdog acted:\n%s", said[w.read:])
	}
	w.read = len(said)
}

// wantEnd checks that exactly one process ended the operation.
func (w *watchdog) wantEnd(t *testing.T, id, status string) {
	t.Helper()
	ctx := context.Background()
	c, err := catalog.OpenReader(ctx, filepath.Join(w.data, "catalog.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	organizations, err := c.Organizations(ctx)
	if err != nil {
		t.Fatal(err)
	}
	op, err := c.Operation(ctx, organizations[0].ID, id)
	if err != nil {
		t.Fatal(err)
	}
	if string(op.Status) != status || op.Failure == nil || op.FinishedAt.IsZero() {
		t.Errorf("it is %s (%+v), want %s", op.Status, op.Failure, status)
	}
	entries, err := c.Journal(ctx, id)
	if err != nil {
		t.Fatal(err)
	}
	ends := 0
	for _, e := range entries {
		if strings.Contains(e.Detail, "The database is as it was.") {
			ends++
		}
	}
	if ends != 1 {
		t.Errorf("it was ended %d times:\n%+v", ends, entries)
	}
}

// syncLog collects a process's output.
type syncLog struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *syncLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *syncLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
