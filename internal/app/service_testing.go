package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/fault"
	"github.com/safepoint-db/safepoint/internal/halt"
)

// TestService halts a service and resumes it, now. It is resumed whatever happens, also when the request that asked
// for the test is gone. It is refused while a restore is queued or runs, and no restore starts meanwhile.
func (a *App) TestService(ctx context.Context, by safepoint.Actor, id string) (ServiceTest, error) {
	if err := a.authorize(ctx, by, admin, "service.test"); err != nil {
		return ServiceTest{}, err
	}
	s, h, err := a.serviceHalter(ctx, by.OrganizationID, id)
	if err != nil {
		return ServiceTest{}, err
	}
	r, err := a.haltRequest(ctx, by, "Testing halt and resume")
	if err != nil {
		return ServiceTest{}, err
	}
	end, err := a.beginTest(ctx, by.OrganizationID, s.Name)
	if err != nil {
		return ServiceTest{}, err
	}
	defer end()

	ctx = context.WithoutCancel(ctx) // from here on the test runs to its end: nothing stays halted
	testing := act{action: testAction, object: "service", id: s.ID, name: s.Name}
	if r.Prior, err = a.running(ctx, s, h); err != nil {
		testing.outcome, testing.detail = failed, safepoint.UserError(err).Message
		a.audit(ctx, by, testing)
		return ServiceTest{Failure: a.failure(ctx, "test of a service failed", err)}, nil
	}
	// Nothing is halted of which the next process would not know: see endTests.
	ended, err := a.auditFirst(ctx, by, testing)
	if err != nil {
		return ServiceTest{}, err
	}
	var t ServiceTest
	start := time.Now()
	fault.Point("service.test.intent")
	haltErr := h.Halt(ctx, r)
	fault.Point("service.test.halted")
	t.HaltTook, t.Halted = time.Since(start), haltErr == nil
	start = time.Now()
	resumeErr := a.resume(ctx, h, r)
	fault.Point("service.test.resumed")
	t.ResumeTook, t.Resumed = time.Since(start), resumeErr == nil
	err = cmp.Or(resumeErr, haltErr)
	if err != nil {
		t.Failure = a.failure(ctx, "test of a service failed", err)
	}
	ended(err)
	a.changed(by.OrganizationID, "service", s.ID)
	return t, nil
}

const testAction = "service.test"

// endTests ends what is open of tests in the audit log. Services in whose test a process died are resumed before.
func (a *App) endTests(ctx context.Context) error {
	lines, err := a.deserted(ctx, testAction)
	for _, line := range lines {
		if lerr := a.endTest(ctx, line); lerr != nil {
			err = errors.Join(err, fmt.Errorf("test of %s: %w", line.ObjectName, lerr))
		}
	}
	return err
}

func (a *App) endTest(ctx context.Context, line safepoint.AuditEntry) error {
	end, err := a.beginTest(ctx, line.OrganizationID, line.ObjectName)
	if safepoint.ErrorCode(err) == safepoint.CodeConflict {
		return nil // another one is being tested by us, or a restore runs: later
	}
	if err != nil {
		return err
	}
	defer end()
	ctx = context.WithoutCancel(ctx)
	s, h, err := a.serviceHalter(ctx, line.OrganizationID, line.ObjectID)
	if safepoint.ErrorCode(err) == safepoint.CodeNotFound {
		return a.endAct(ctx, line.ID, endingOf(err))
	}
	if err != nil {
		return err
	}
	r, err := a.haltRequest(ctx, safepoint.Actor{OrganizationID: line.OrganizationID}, "The test of halt and resume was interrupted")
	if err != nil {
		return err
	}
	if err := h.Resume(ctx, r); err != nil {
		return err
	}
	interrupted := safepoint.Errorf(safepoint.CodeInterrupted, "The server stopped during the test. %s was resumed.", s.Name)
	if err := a.endAct(ctx, line.ID, endingOf(interrupted)); err != nil {
		return err
	}
	a.changed(line.OrganizationID, "service", s.ID)
	return nil
}

// running fails unless a service runs now: one that is down for its own reasons must not be started by a test. prior is
// which of its parts do.
func (a *App) running(ctx context.Context, s safepoint.Service, h halt.Halter) (prior string, err error) {
	st, err := h.Probe(ctx)
	switch {
	case err != nil:
		return "", err
	case st.Condition == halt.Down || st.Condition == halt.Halted:
		return "", safepoint.Errorf(safepoint.CodeHalt, "%s is not running, so halting it cannot be tested.", s.Name).WithHint("Start it first, or resume it if it is halted.")
	}
	return st.Prior, nil
}

// resume tries three times: a service that was halted for nothing must not stay so.
func (a *App) resume(ctx context.Context, h halt.Halter, r halt.Request) (err error) {
	for wait := time.Second; ; wait *= 3 {
		if err = h.Resume(ctx, r); err == nil || wait > 3*time.Second {
			return err
		}
		<-time.After(wait)
	}
}

// beginTest makes a test and a restore of one organization exclude each other. end lets restores start again.
func (a *App) beginTest(ctx context.Context, orgID, service string) (end func(), err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := a.refuseTested(orgID); err != nil {
		return nil, err
	}
	if err := a.Catalog.RestoreUnderWay(ctx, orgID); err != nil {
		return nil, err
	}
	a.testing[orgID] = service
	return func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		delete(a.testing, orgID)
	}, nil
}

// refuseTested fails while a service of the organization is being tested. The caller holds a.mu.
func (a *App) refuseTested(orgID string) error {
	if name := a.testing[orgID]; name != "" {
		return safepoint.Errorf(safepoint.CodeConflict, "Halt and resume of %s are being tested.", name).WithHint("Try again in a minute.")
	}
	return nil
}
