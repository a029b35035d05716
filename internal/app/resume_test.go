package app

import (
	"context"
	"encoding/json"
	"maps"
	"testing"
	"time"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/engine"
	"github.com/safepoint-db/safepoint/internal/halt"
	"github.com/safepoint-db/safepoint/internal/jobs"
)

// stuck is a restore that halted the service, or nothing if s is nil, and then could not tell which database is live.
func (w *world) stuck(d safepoint.Database, s *safepoint.Service) (jobs.Claim, safepoint.Operation) {
	w.t.Helper()
	b := w.backup(d)
	r, err := w.StartRestore(w.ctx, w.admin, b.ID, RestoreInput{Confirm: d.Name})
	w.ok(err)
	c := w.claim()
	w.ok(w.Catalog.SetHaltedHeld(w.ctx, c, r.OrganizationID, "Restoring shop", time.Time{}))
	op := c.Operation
	op.HaltedAt, op.NeedsOperator = w.Now(), true
	op.Failure = &safepoint.Failure{Code: safepoint.CodeNeedsOperator, Message: "Nobody knows."}
	target, err := w.target(w.ctx, d)
	w.ok(err)
	e, _ := w.Engine(d.Engine)
	plan, err := e.Prepare(w.ctx, target, r.ID)
	w.ok(err)
	record := map[string]any{"plan": plan, "gated": true}
	if s != nil {
		record["services"] = []map[string]any{{"id": s.ID, "name": s.Name, "prior": "running", "ours": true}}
		op.Attention = []string{s.Name}
	}
	state, err := json.Marshal(record)
	w.ok(err)
	err = w.Catalog.AppendHeld(w.ctx, c, safepoint.JournalEntry{OperationID: r.ID, Event: "failed", State: state})
	w.ok(err)
	return c, op
}

func (w *world) operates() {
	w.t.Helper()
	if st, err := w.State(w.ctx, w.viewer); err != nil || st.State != safepoint.StateOperating || len(st.Attention) != 0 {
		w.t.Errorf("got %+v, %v", st, err)
	}
}

func (w *world) settled(id string) {
	w.t.Helper()
	w.operates()
	op, err := w.Operation(w.ctx, w.viewer, id)
	w.ok(err)
	if op.NeedsOperator || op.Status != safepoint.StatusFailed {
		w.t.Errorf("still %+v", op)
	}
}

func TestWaysOutOfARestoreThatNeedsAPerson(t *testing.T) {
	w := newWorld(t)
	front := newStorefront(t)
	s, _, err := w.CreateService(w.ctx, w.admin, hooks("web", front.URL))
	w.ok(err)
	d := w.shop("shop")

	// By resuming its services one by one.
	c, op := w.stuck(d, &s)
	front.halted = true
	w.finish(c, op, safepoint.StatusFailed)
	_, err = w.StartBackup(w.ctx, w.admin, d.ID)
	w.ok(err)
	if c, err := w.Catalog.ClaimNext(w.ctx, "test/1", time.Minute); err != nil || c != nil {
		t.Fatalf("something starts in a halted organization: %+v, %v", c, err)
	}
	w.ok(w.ResumeService(w.ctx, w.admin, s.ID))
	w.settled(op.ID)
	w.finish(w.claim(), op, safepoint.StatusFailed) // the backup that waited

	// All at once, though one was renamed meanwhile, and only once all of them run.
	c, op = w.stuck(d, &s)
	front.halted, front.refuse["/resume"] = true, true
	w.finish(c, op, safepoint.StatusFailed)
	s, err = w.UpdateService(w.ctx, w.admin, s.ID, hooks("storefront", front.URL))
	w.ok(err)
	if st, _ := w.State(w.ctx, w.viewer); len(st.Attention) != 1 || st.Attention[0] != "storefront" {
		t.Errorf("got %+v", st)
	}
	w.refused(w.ResumeRestore(w.ctx, w.admin, op.ID), safepoint.CodeHalt, "storefront did not resume")
	if st, _ := w.State(w.ctx, w.viewer); st.State != safepoint.StateHalted {
		t.Errorf("got %+v", st)
	}
	w.audited(w.admin, "Ines Marlow|restore.resume|"+op.Name+"|failed")
	delete(front.refuse, "/resume")
	w.ok(w.ResumeRestore(w.ctx, w.admin, op.ID))
	if front.halted {
		t.Error("the service is still halted")
	}
	w.settled(op.ID)
	w.refused(w.ResumeRestore(w.ctx, w.admin, op.ID), safepoint.CodeConflict, "Nothing of this restore")

	// Where a service was removed meanwhile.
	c, op = w.stuck(d, &s)
	w.finish(c, op, safepoint.StatusFailed)
	w.ok(w.RemoveService(w.ctx, w.admin, s.ID))
	w.settled(op.ID)

	// Without any service, and without a database to open: the organization goes on, and the restore says what is left.
	c, op = w.stuck(d, nil)
	w.finish(c, op, safepoint.StatusFailed)
	real := w.Config.Engine
	w.Config.Engine = func(safepoint.Engine) (engine.Engine, bool) { return nil, false }
	w.refused(w.ResumeRestore(w.ctx, w.admin, op.ID), safepoint.CodeVersion, "could not be opened")
	w.operates()
	w.Config.Engine = real
	w.ok(w.ResumeRestore(w.ctx, w.admin, op.ID))
	w.settled(op.ID)
}

// A restore that still tries leaves a person the means to help it: the password, the service's address, resuming.
func TestHelpARestoreThatStillTries(t *testing.T) {
	w := newWorld(t)
	front := newStorefront(t)
	s, _, err := w.CreateService(w.ctx, w.admin, hooks("web", front.URL))
	w.ok(err)
	d := w.shop("shop")
	c, op := w.stuck(d, &s)
	in := DatabaseInput{Name: "shop", URL: "sqlite://" + d.Path}
	_, err = w.UpdateDatabase(w.ctx, w.admin, d.ID, in)
	w.refused(err, safepoint.CodeConflict, "restore of shop")
	w.refused(w.ResumeRestore(w.ctx, w.admin, op.ID), safepoint.CodeConflict, "restore of shop")

	w.ok(w.Catalog.SaveOperation(w.ctx, c, op)) // now it asks
	front.halted = true
	_, err = w.UpdateDatabase(w.ctx, w.admin, d.ID, in)
	w.ok(err)
	_, err = w.UpdateService(w.ctx, w.admin, s.ID, hooks("web", front.URL))
	w.ok(err)
	w.ok(w.ResumeRestore(w.ctx, w.admin, op.ID))
	w.ok(w.ResumeService(w.ctx, w.admin, s.ID))
	if st, err := w.State(w.ctx, w.viewer); err != nil || st.State != safepoint.StateHalted || front.halted {
		t.Errorf("got %+v, %v: it is the restore that must end the halt", st, err)
	}
	if got, _ := w.Operation(w.ctx, w.viewer, op.ID); got.Failure == nil {
		t.Error("nobody is told why it asks")
	}
}

// A recovery that cannot read its database or services now is tried again: services may be halted.
func TestRecoveryIsTriedAgain(t *testing.T) {
	w := newWorld(t)
	d := w.shop("shop")
	c, op := w.stuck(d, nil)
	op.NeedsOperator, op.Failure = false, nil
	w.ok(w.Catalog.SaveOperation(w.ctx, c, op))
	c.Operation = op
	real := w.Config.Engine
	w.Config.Engine = func(safepoint.Engine) (engine.Engine, bool) { return nil, false }
	op = w.Recover(w.ctx, c)
	if op.Status != safepoint.StatusRunning || !op.NeedsOperator {
		t.Fatalf("got %+v", op)
	}
	w.Config.Engine = real
	c.Operation = op
	if op = w.Recover(w.ctx, c); op.Status != safepoint.StatusFailed || op.NeedsOperator || op.Failure.Code != safepoint.CodeInterrupted {
		t.Fatalf("got %+v, %+v", op, op.Failure)
	}
	w.operates()
}

// Another service that has the name of one that did not resume says nothing about it: the operator's may be called alike.
func TestAttentionGoesByIdentity(t *testing.T) {
	w := newWorld(t)
	s := safepoint.Service{ID: "svc_halted", Name: "till"}
	c, op := w.stuck(w.shop("shop"), &s)
	op.Status = safepoint.StatusFailed
	w.ok(w.Catalog.Finish(w.ctx, c, op))
	w.ok(w.settle(w.ctx, op.OrganizationID, safepoint.Service{ID: "svc_other", Name: "till"}))
	if st, err := w.State(w.ctx, w.viewer); err != nil || st.State != safepoint.StateHalted || len(st.Attention) != 1 {
		t.Fatalf("another service's end ended it: %+v, %v", st, err)
	}
	w.ok(w.settle(w.ctx, op.OrganizationID, s))
	w.operates()
}

// neverAsked is a service that is never asked.
type neverAsked struct{ halt.Halter }

func TestAskingIsBounded(t *testing.T) {
	for range cap(asking) {
		asking <- struct{}{}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := ask(ctx, neverAsked{}); safepoint.ErrorCode(err) != safepoint.CodeUnreachable {
		t.Errorf("one more was asked: %v", err)
	}
	for range cap(asking) {
		<-asking
	}
}

// TestResumeCutShort finds lines of the audit log that a process left open when it died, and leaves alone those of a resume
// that is under way.
func TestResumeCutShort(t *testing.T) {
	w := newWorld(t)
	left := map[string]string{}
	for _, action := range []string{resumeServiceAction, resumeRestoreAction} {
		e, err := w.Catalog.AddAudit(w.ctx, act{action: action, object: "service", id: action, name: "web"}.line(w.admin))
		w.ok(err)
		left[e.ID] = "failed"
	}
	end := w.auditBegin(w.ctx, w.admin, act{action: resumeServiceAction, object: "service", id: resumeServiceAction, name: "web"})
	check := func(mine string) {
		t.Helper()
		if w.Housekeep(w.ctx) {
			t.Error("housekeeping found something that it could not do")
		}
		page, err := w.Audit(w.ctx, w.admin, AuditFilter{Limit: 3})
		w.ok(err)
		for _, e := range page.Entries {
			want, cut := left[e.ID]
			if !cut {
				want = mine
			}
			if e.Outcome != want || cut && e.Detail == "" {
				t.Errorf("%s of %s: %q, %q; want %q", e.Action, e.ObjectName, e.Outcome, e.Detail, want)
			}
		}
	}
	check("")
	end(nil)
	check("succeeded")
}

// TestEndWrittenLater: where only how an act ended could not be written, housekeeping writes it, and not that the server stopped.
func TestEndWrittenLater(t *testing.T) {
	w := newWorld(t)
	begin := func(name string) (end func(error)) {
		return w.auditBegin(w.ctx, w.admin, act{action: resumeServiceAction, object: "service", id: name, name: name})
	}
	good, bad := begin("good"), begin("bad")
	w.sql(`CREATE TRIGGER refuse BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'refused by the test'); END`)
	good(nil)
	bad(safepoint.Errorf(safepoint.CodeUnreachable, "The service did not answer."))
	if !w.Housekeep(w.ctx) {
		t.Error("housekeeping says that it did all, while the catalog refuses")
	}
	w.sql(`DROP TRIGGER refuse`)
	if w.Housekeep(w.ctx) {
		t.Error("housekeeping found something that it could not do")
	}
	page, err := w.Audit(w.ctx, w.admin, AuditFilter{Limit: 2})
	w.ok(err)
	got := map[string]string{}
	for _, e := range page.Entries {
		got[e.ObjectName] = e.Outcome + ": " + e.Detail
	}
	if want := map[string]string{"good": "succeeded: ", "bad": "failed: The service did not answer."}; !maps.Equal(got, want) {
		t.Errorf("the audit log says %q, want %q", got, want)
	}
	if n := len(w.acting); n != 0 {
		t.Errorf("%d acts are still kept in mind", n)
	}
}

// TestEndOfATestWrittenLater: the service was resumed and its test ended, and nobody claims later that the server stopped.
func TestEndOfATestWrittenLater(t *testing.T) {
	w := newWorld(t)
	front := newStorefront(t)
	s, _, err := w.CreateService(w.ctx, w.admin, hooks("web", front.URL))
	w.ok(err)
	w.sql(`CREATE TRIGGER refuse BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'refused by the test'); END`)
	if r, err := w.TestService(w.ctx, w.admin, s.ID); err != nil || r.Failure != nil {
		t.Fatalf("%+v, %v", r, err)
	}
	if !w.isUntidy() {
		t.Error("nobody was told that a line of the audit log is open")
	}
	w.sql(`DROP TRIGGER refuse`)
	if w.Housekeep(w.ctx) {
		t.Error("housekeeping found something that it could not do")
	}
	w.audited(w.admin, "Ines Marlow|service.test|web|succeeded")
	if calls := front.calls(); calls != "halt resume" {
		t.Errorf("the service was called: %s", calls)
	}
}
