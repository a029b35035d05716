package soak

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/api/wire"
)

// fault is a way to break something in the middle of a story.
type fault struct {
	name    string // what stands before a "-" chooses it, too
	says    string // for the report
	onlyPG  bool   // it is the database server that is struck
	options options
	// counted is of calls: which there are to break, a run in which nothing fails tells. See calls_test.go.
	counted bool
	// within is how long what was begun may take to end, from when what broke is mended; 0 is endWithin.
	within time.Duration
	// cases are what one round goes through: points, or numbers of calls.
	cases func(story *story, engine string, round int) []string
	// strike begins the story and breaks something in it, and returns when that is mended. It says false if there was
	// nothing to break: the story ended in peace.
	strike func(s *shop, t *testing.T, a *attempt) bool
}

func atPoints(story *story, engine string, _ int) []string { return met(story.name, engine) }

// single leaves out what strikes twice.
func single(story *story, engine string, round int) []string {
	if story.name == "recovery" {
		return nil
	}
	return atPoints(story, engine, round)
}

func faults() []*fault {
	return []*fault{
		{name: "kill", says: "kill -9 of Safepoint", cases: atPoints, strike: kill},
		{name: "server", says: "kill -9 of PostgreSQL, all of it", onlyPG: true, cases: switching, strike: killServer},
		{name: "both", says: "kill -9 of both", onlyPG: true, cases: switching, strike: killBoth},
		{name: "stop", says: "SIGSTOP for longer than the lease, then SIGCONT", options: options{env: []string{"SAFEPOINT_FAULT_LEASE=500ms"}}, cases: single, strike: stopAWhile},
		{name: "second", says: "a second Safepoint on the same data directory", cases: single, strike: second},
		{name: "network", says: "the network to PostgreSQL: cut at byte N, reset, stalled", onlyPG: true, within: 20 * time.Second, options: options{proxied: true}, cases: cuts, strike: spoilNetwork},
		{name: "disk-catalog", says: "no room on the disk of the data directory", options: options{small: "data", env: shortLease}, cases: fullAt, strike: fillDisk(func(s *shop) string { return s.proc.data })},
		{name: "disk-storage", says: "no room on the disk of the backups", options: options{small: "backups", env: shortLease}, cases: fullAt, strike: fillDisk(func(s *shop) string { return filepath.Join(s.proc.data, "backups") })},
		{name: "disk-server", says: "no room on the disk of the database", options: options{small: "server", env: shortLease}, cases: fullAt, strike: fillDisk(func(s *shop) string { return s.small })},
		{name: "call", says: "the Nth call of engine, storage, service or catalog fails", strike: failCalls, counted: true},
	}
}

// switching are the stories that PostgreSQL carries out.
func switching(story *story, engine string, round int) []string {
	switch story.name {
	case "restore", "undo", "found", "backup":
		return atPoints(story, engine, round)
	}
	return nil
}

// kill kills the server at the point, and where there is a second one behind "then" the next server there.
func kill(s *shop, t *testing.T, a *attempt) bool {
	first, then, twice := strings.Cut(a.point, " then ")
	s.proc.arm(t, first+"=kill")
	s.begin(t, a)
	s.awaitDeath(t, first)
	if twice {
		s.proc.arm(t, then+"=kill")
		s.proc.start(t)
		s.awaitDeath(t, then)
	}
	s.restart(t, a)
	return true
}

// begin begins the story. The server may die, or stop, before it answers: what it has begun is found in the log then.
func (s *shop) begin(t *testing.T, a *attempt) {
	t.Helper()
	err := a.story.begin(s, t, a)
	if err != nil && safepoint.ErrorCode(err) != safepoint.CodeUnreachable {
		t.Fatal(err)
	}
}

// beginBeside does it while the server may be stopped; the answer, for which nobody waits, may come later.
func (s *shop) beginBeside(t *testing.T, a *attempt) (answered <-chan struct{}) {
	done, asked := make(chan struct{}), *a
	go func() {
		defer close(done)
		a.story.begin(s, t, &asked)
	}()
	return done
}

func (s *shop) awaitDeath(t *testing.T, point string) {
	t.Helper()
	select {
	case <-s.proc.dead:
	case <-time.After(30 * time.Second):
		t.Fatalf("the fault point %s was never met", point)
	}
}

// restart starts the server without a fault.
func (s *shop) restart(t *testing.T, a *attempt) {
	t.Helper()
	s.proc.kill()
	s.proc.arm(t, "")
	a.launched = time.Now()
	s.proc.start(t)
}

// stopAt begins the story and waits until the server has stopped itself at the point.
func (s *shop) stopAt(t *testing.T, a *attempt) (answered <-chan struct{}) {
	t.Helper()
	s.proc.arm(t, a.point+"=stop@1")
	answered = s.beginBeside(t, a)
	s.until(t, "the server stops at "+a.point, 30*time.Second, func() bool { return s.proc.met() && s.proc.state() == "T" })
	return answered
}

// goOn lets a stopped server go on.
func (s *shop) goOn(t *testing.T, a *attempt, answered <-chan struct{}) {
	s.proc.arm(t, "")
	a.launched = time.Now()
	s.proc.resume()
	<-answered
}

func killServer(s *shop, t *testing.T, a *attempt) bool {
	a.rude = true
	answered := s.stopAt(t, a)
	s.crashCluster(t)
	s.goOn(t, a, answered)
	return true
}

func killBoth(s *shop, t *testing.T, a *attempt) bool {
	a.rude = true
	answered := s.stopAt(t, a)
	s.proc.kill()
	s.crashCluster(t)
	s.restart(t, a)
	<-answered
	return true
}

// crashCluster kills every process of PostgreSQL at once, and starts it again.
func (s *shop) crashCluster(t *testing.T) {
	t.Helper()
	if err := s.cluster.Crash(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	if err := s.cluster.Launch(ctx); err != nil {
		t.Fatal(err)
	}
}

// stopAWhile stops the server for longer than its lease.
func stopAWhile(s *shop, t *testing.T, a *attempt) bool {
	answered := s.stopAt(t, a)
	<-time.After(700 * time.Millisecond)
	s.goOn(t, a, answered)
	return true
}

// second starts another server on the same data directory while the first stands still at the point.
func second(s *shop, t *testing.T, a *attempt) bool {
	answered := s.stopAt(t, a)
	before := fingerprint(t, s.proc.data)
	other := &process{bin: s.proc.bin, data: s.proc.data, addr: freeAddr(t), faults: s.proc.faults + ".none"}
	other.launch(t)
	select {
	case <-other.dead:
	case <-time.After(10 * time.Second):
		other.kill()
		t.Error("a second server runs on the same data directory")
	}
	if log := other.log.String(); other.cmd.ProcessState.Success() || !strings.Contains(log, "uses the data directory") {
		t.Errorf("the second server ended with %s, saying %q", other.cmd.ProcessState, log)
	}
	if now := fingerprint(t, s.proc.data); now != before {
		t.Errorf("the second server changed the data directory: %s", difference(before, now))
	}
	s.goOn(t, a, answered)
	return true
}

// endedNow says whether what the story began has ended.
func (s *shop) endedNow(t *testing.T, a *attempt) bool {
	if a.story.ended != nil && !a.story.ended(s, t, a) {
		return false
	}
	if a.op.ID == "" && !s.findOp(t, a) {
		return true
	}
	op, err := s.api.Operation(context.Background(), a.op.ID)
	return err == nil && op.Ended()
}

// findOp finds the operation that the story began, if it got as far as being recorded.
func (s *shop) findOp(t *testing.T, a *attempt) bool {
	if a.op.ID != "" {
		return true
	}
	if op, err := s.newest(a.story.typ); err == nil && op.ID != a.before {
		a.op = op
		return true
	}
	return false
}

// newest is the database's last operation of a type that is no part of another; its ID is "" where there is none.
func (s *shop) newest(typ safepoint.OperationType) (wire.Operation, error) {
	page, err := s.api.Operations(context.Background(), safepoint.OperationFilter{Type: typ, DatabaseID: s.db.ID, Limit: 10})
	for _, op := range page.Items {
		if op.Trigger != string(safepoint.TriggerSafety) {
			return op, err
		}
	}
	return wire.Operation{}, err
}

// awaitEnd waits until whatever was begun has ended, which it must within ten seconds of the start.
func (s *shop) awaitEnd(t *testing.T, a *attempt) (took time.Duration) {
	t.Helper()
	within := max(30*time.Second, 2*a.within)
	s.until(t, "an end of it", within, func() bool {
		if a.story.ended != nil && !a.story.ended(s, t, a) {
			return false
		}
		if !s.findOp(t, a) {
			return true
		}
		op, err := s.api.Operation(context.Background(), a.op.ID)
		if err == nil {
			a.op = op
		}
		return err == nil && op.Ended()
	})
	s.until(t, "the end of all operations", within, func() bool { return len(s.unended(t)) == 0 })
	took = time.Since(a.launched)
	s.until(t, "a try at the safety backup", within, func() bool {
		if op, err := s.api.Operation(context.Background(), a.op.ID); err == nil {
			a.op = op
		}
		return !awaitsSafety(a.op) && len(s.unended(t)) == 0
	})
	if took > a.within {
		t.Errorf("G5: it took %s to end after the start, or after what broke was mended", took)
	}
	return took
}

// awaitsSafety says of an instant restore that has ended that the safety backup of what it set aside was not tried yet: its
// server died before, and the next one does it by itself.
func awaitsSafety(op wire.Operation) bool {
	return op.Mode == string(safepoint.RestoreInstant) && op.Trigger != string(safepoint.TriggerUndo) && op.Switched && !op.UndoUntil.IsZero() &&
		op.SafetyID == "" && op.SafetyFailure == nil
}

// until polls until a condition holds.
func (s *shop) until(t *testing.T, what string, within time.Duration, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(within); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited %s in vain for: %s", within, what)
		}
	}
}

// unended are the operations that are queued or running.
func (s *shop) unended(t *testing.T) (all []wire.Operation) {
	t.Helper()
	for _, status := range []safepoint.Status{safepoint.StatusRunning, safepoint.StatusQueued} {
		page := must[wire.OperationPage](t)(s.api.Operations(context.Background(), safepoint.OperationFilter{Status: status, Limit: 10}))
		all = append(all, page.Items...)
	}
	return all
}
