package soak

import (
	"context"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/safepoint-db/safepoint"
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
			s := openShop(t, kind, options{})
			w := startWatchdog(t, s.proc)
			t.Run("the console is killed and not started again", func(t *testing.T) {
				op := s.haltThen(t, "restore.gate.closed=kill")
				s.awaitDeath(t, "restore.gate.closed")
				died := time.Now()
				w.says(t, "what the console left is in order")
				if !s.till.selling(endWithin) {
					t.Error("the till does not sell")
				}
				if took := time.Since(died); took > watchAfter+10*time.Second {
					t.Errorf("services ran again %s after the console had died", took)
				}
				w.wantEnd(t, op.ID, "failed") // before any console is there again
				s.proc.start(t)
				s.judge(t, s.wait(t, s.api, op.ID))
			})
			t.Run("the console stands still at the switch, and is woken", func(t *testing.T) {
				op := s.haltThen(t, "restore.switch.before=stop")
				w.says(t, "what the console left is in order")
				if !s.till.selling(endWithin) {
					t.Error("the till does not sell")
				}
				s.proc.cmd.Process.Signal(syscall.SIGCONT) // a process that was ended before has nothing to go on with
				s.awaitDeath(t, "restore.switch.before")
				if got := digest(t, s.ours(s.target)); got != s.new {
					t.Errorf("the live database is %s", s.name(got))
				}
				w.wantEnd(t, op.ID, "failed")
				s.proc.start(t)
				s.judge(t, s.wait(t, s.api, op.ID))
			})
			t.Run("the console is started at the same moment", func(t *testing.T) {
				op := s.haltThen(t, "restore.guard.done=kill")
				s.awaitDeath(t, "restore.guard.done")
				w.says(t, "taking over")
				s.proc.start(t)
				op = s.wait(t, s.api, op.ID)
				s.judge(t, op)
				w.wantEnd(t, op.ID, "failed")
				w.idle(t)
			})
			if kind == "sqlite" {
				return
			}
			t.Run("a console that lives is left alone", func(t *testing.T) {
				// A restore with the watchdog beside it goes through as ever, also where a halt takes longer than it waits.
				op := s.haltThen(t, "", watchAfter+2*time.Second)
				op = s.wait(t, s.api, op.ID)
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
	s := openShop(t, "sqlite", options{})
	t.Run("doctor", func(t *testing.T) {
		op := s.haltThen(t, "restore.guard.done=kill")
		s.awaitDeath(t, "restore.guard.done")
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
		if !s.till.selling(endWithin) {
			t.Error("the till does not sell")
		}
		s.proc.start(t)
		s.judge(t, s.wait(t, s.api, op.ID))
	})
}

// haltThen starts a restore in a server with that fault ("" is none) and returns it as queued. slow is how long the till
// takes to halt.
func (s *shop) haltThen(t *testing.T, fault string, slow ...time.Duration) wire.Operation {
	t.Helper()
	s.newDay(t)
	s.till.mu.Lock()
	for _, d := range slow {
		s.till.slow = d
	}
	s.till.mu.Unlock()
	s.proc.arm(t, fault)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	op, err := s.api.StartRestore(ctx, s.backup.ID, wire.RestoreInput{Confirm: "shop"})
	if err != nil {
		t.Fatal(err)
	}
	return op
}

// judge asks the oracle after a restore, and goes back to where the next begins.
func (s *shop) judge(t *testing.T, op wire.Operation) {
	t.Helper()
	a := &attempt{story: restoreStory("restore", safepoint.RestoreGuarded), op: op}
	s.proc.arm(t, "")
	s.until(t, "the end of all operations", endWithin, func() bool { return len(s.unended(t)) == 0 })
	s.oracle(t, a)
	a.story.back(s, t, a)
	s.tidy(t)
	if t.Failed() {
		t.Logf("the server's log:\n%s", s.proc.log.String())
	}
}

// watchdog is a watchdog of its own process.
type watchdog struct {
	data string
	cmd  *exec.Cmd
	log  journal
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
