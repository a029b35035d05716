package app

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/catalog"
	"github.com/safepoint-db/safepoint/internal/fault"
	"github.com/safepoint-db/safepoint/internal/halt"
)

// Services returns the organization's services in the order in which a restore halts them.
func (a *App) Services(ctx context.Context, by safepoint.Actor) ([]safepoint.Service, error) {
	if err := a.authorize(ctx, by, viewer, "service.read"); err != nil {
		return nil, err
	}
	return a.services(ctx, by.OrganizationID)
}

// Service returns one service.
func (a *App) Service(ctx context.Context, by safepoint.Actor, id string) (safepoint.Service, error) {
	if err := a.authorize(ctx, by, viewer, "service.read"); err != nil {
		return safepoint.Service{}, err
	}
	return a.service(ctx, by.OrganizationID, id)
}

// CreateService stores a service as the last to be halted. For a webhook without a secret one is made and returned,
// this once.
func (a *App) CreateService(ctx context.Context, by safepoint.Actor, in ServiceInput) (s safepoint.Service, secret string, err error) {
	if err := a.authorize(ctx, by, admin, "service.create"); err != nil {
		return s, "", err
	}
	if s, err = checkService(in); err != nil {
		return safepoint.Service{}, "", err
	}
	given, made := "", ""
	if in.Secret != nil {
		given = *in.Secret
	}
	if s.Kind == safepoint.ServiceWebhook && given == "" {
		made = halt.NewSecret()
		given = made
	}
	if _, err := a.Halter(s, given); err != nil {
		return safepoint.Service{}, "", err
	}
	if err := a.refuseHostName(by.OrganizationID, s.Name); err != nil {
		return safepoint.Service{}, "", err
	}
	s.ID, s.OrganizationID = safepoint.NewID(safepoint.ServicePrefix), by.OrganizationID
	s, err = a.Catalog.CreateService(ctx, s, a.Keys.Seal(catalog.ServicePlace(s.OrganizationID, s.ID), given))
	if err != nil {
		return safepoint.Service{}, "", err
	}
	a.audit(ctx, by, act{action: "service.create", object: "service", id: s.ID, name: s.Name, outcome: done})
	a.changed(s.OrganizationID, "service", s.ID)
	return s, made, nil
}

// UpdateService stores a service. Its kind and place stay. A secret that is left out is kept, unless the service is
// now reached at another host: a stored secret is never used at a new place.
func (a *App) UpdateService(ctx context.Context, by safepoint.Actor, id string, in ServiceInput) (safepoint.Service, error) {
	if err := a.authorize(ctx, by, admin, "service.update"); err != nil {
		return safepoint.Service{}, err
	}
	old, err := a.changeable(ctx, by.OrganizationID, id)
	if err != nil {
		return safepoint.Service{}, err
	}
	if in.Kind == "" {
		in.Kind = old.Kind
	}
	s, err := checkService(in)
	if err != nil {
		return safepoint.Service{}, err
	}
	if s.Kind != old.Kind {
		return safepoint.Service{}, safepoint.Invalid("kind", "The kind of a service stays as it is. Add a new one instead.")
	}
	if err := a.refuseHostName(by.OrganizationID, s.Name); err != nil && s.Name != old.Name {
		return safepoint.Service{}, err
	}
	s.ID, s.OrganizationID, s.Version = id, by.OrganizationID, in.Version
	var sealed []byte
	switch {
	case in.Secret != nil && (*in.Secret != "" || s.Kind != safepoint.ServiceWebhook):
		if _, err := a.Halter(s, *in.Secret); err != nil {
			return safepoint.Service{}, err
		}
		sealed = a.Keys.Seal(catalog.ServicePlace(s.OrganizationID, s.ID), *in.Secret)
	default:
		if sealed, err = a.Catalog.ServiceSecret(ctx, s.OrganizationID, s.ID); err != nil {
			return safepoint.Service{}, err
		}
		if sealed != nil && s.Kind == safepoint.ServicePgBouncer && (s.Host != old.Host || s.Port != old.Port) {
			return safepoint.Service{}, safepoint.Invalid("secret", "Enter the password again, because the address changed.")
		}
	}
	if s, err = a.Catalog.UpdateService(ctx, s, sealed, by.UserName); err != nil {
		return safepoint.Service{}, err
	}
	a.audit(ctx, by, act{action: "service.update", object: "service", id: s.ID, name: s.Name, outcome: done, changes: changes(
		"name", old.Name, s.Name, "timeout", old.Timeout.String(), s.Timeout.String(), "halt_url", old.HaltURL, s.HaltURL,
		"resume_url", old.ResumeURL, s.ResumeURL, "health_url", old.HealthURL, s.HealthURL,
		"host", old.Host, s.Host, "port", strconv.Itoa(old.Port), strconv.Itoa(s.Port),
		"user", old.User, s.User, "database", old.DBName, s.DBName, "secret", "", changedIf(in.Secret != nil && *in.Secret != ""))})
	a.changed(s.OrganizationID, "service", s.ID)
	if s.Name != old.Name {
		return s, a.renamed(ctx, s.OrganizationID, old.Name, s.Name)
	}
	return s, nil
}

// RemoveService removes a service: restores no longer halt it.
func (a *App) RemoveService(ctx context.Context, by safepoint.Actor, id string) error {
	if err := a.authorize(ctx, by, admin, "service.remove"); err != nil {
		return err
	}
	s, err := a.changeable(ctx, by.OrganizationID, id)
	if err != nil {
		return err
	}
	if err := a.Catalog.RemoveService(ctx, by.OrganizationID, id); err != nil {
		return err
	}
	a.audit(ctx, by, act{action: "service.remove", object: "service", id: id, name: s.Name, outcome: done})
	a.changed(by.OrganizationID, "service", id)
	return a.settle(context.WithoutCancel(ctx), by.OrganizationID, s) // nobody waits for it any more
}

// OrderServices sets the order in which services are halted; they are resumed in the reverse one. ids names each once.
// Those of the operator's file may be left out: they stay where the file puts them.
func (a *App) OrderServices(ctx context.Context, by safepoint.Actor, ids []string) error {
	if err := a.authorize(ctx, by, admin, "service.order"); err != nil {
		return err
	}
	ids = slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return a.hostService(by.OrganizationID, id) != nil })
	if err := a.Catalog.OrderServices(ctx, by.OrganizationID, ids); err != nil {
		return err
	}
	a.audit(ctx, by, act{action: "service.order", object: "service", outcome: done})
	a.changed(by.OrganizationID, "service", "")
	return nil
}

// ServiceStatus asks a service what it is doing. It changes nothing.
func (a *App) ServiceStatus(ctx context.Context, by safepoint.Actor, id string) (halt.Status, error) {
	if err := a.authorize(ctx, by, viewer, "service.status"); err != nil {
		return halt.Status{}, err
	}
	_, h, err := a.serviceHalter(ctx, by.OrganizationID, id)
	if err != nil {
		return halt.Status{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, testLimit)
	defer cancel()
	return ask(ctx, h)
}

// asking bounds how many services are asked at once by people who look: some start a program of the operator's for it.
var asking = make(chan struct{}, 8)

// ask asks a service on behalf of somebody who looks. A halt or a resume never waits for it.
func ask(ctx context.Context, h halt.Halter) (halt.Status, error) {
	select {
	case asking <- struct{}{}:
		defer func() { <-asking }()
		return h.Probe(ctx)
	case <-ctx.Done():
		return halt.Status{}, safepoint.Errorf(safepoint.CodeUnreachable, "Too many services are being asked at once.").WithHint("Look again in a moment.").WithCause(ctx.Err())
	}
}

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
	if err := a.addAudit(ctx, by, testing); err != nil {
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
	err = errorsFirst(resumeErr, haltErr)
	if err != nil {
		t.Failure = a.failure(ctx, "test of a service failed", err)
	}
	a.auditEnd(ctx, s.ID, testAction, err)
	a.changed(by.OrganizationID, "service", s.ID)
	return t, nil
}

const testAction = "service.test"

// endTests resumes services in whose test a process died: their lines in the audit log are still open.
func (a *App) endTests(ctx context.Context) error {
	open, err := a.Catalog.OpenAudit(ctx, testAction)
	for _, e := range open {
		if terr := a.endTest(ctx, e); terr != nil {
			err = errors.Join(err, fmt.Errorf("test of %s: %w", e.ObjectName, terr))
		}
	}
	return err
}

func (a *App) endTest(ctx context.Context, e safepoint.AuditEntry) error {
	end, err := a.beginTest(ctx, e.OrganizationID, e.ObjectName)
	if safepoint.ErrorCode(err) == safepoint.CodeConflict {
		return nil // it is being tested by us, or a restore runs: later
	}
	if err != nil {
		return err
	}
	defer end()
	ctx = context.WithoutCancel(ctx)
	s, h, err := a.serviceHalter(ctx, e.OrganizationID, e.ObjectID)
	if safepoint.ErrorCode(err) == safepoint.CodeNotFound {
		a.auditEnd(ctx, e.ObjectID, testAction, err)
		return nil
	}
	if err != nil {
		return err
	}
	r, err := a.haltRequest(ctx, safepoint.Actor{OrganizationID: e.OrganizationID}, "The test of halt and resume was interrupted")
	if err != nil {
		return err
	}
	if err := h.Resume(ctx, r); err != nil {
		return err
	}
	a.auditEnd(ctx, s.ID, testAction, safepoint.Errorf(safepoint.CodeInterrupted, "The server stopped during the test. %s was resumed.", s.Name))
	a.changed(e.OrganizationID, "service", s.ID)
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

// ResumeService resumes a service by hand, after a restore could not. When the last of them runs again, the
// organization operates. ResumeRestore does it for all of them.
func (a *App) ResumeService(ctx context.Context, by safepoint.Actor, id string) error {
	if err := a.authorize(ctx, by, admin, "service.resume"); err != nil {
		return err
	}
	s, h, err := a.serviceHalter(ctx, by.OrganizationID, id)
	if err != nil {
		return err
	}
	if err := a.Catalog.RestoreAtWork(ctx, by.OrganizationID); err != nil {
		return err
	}
	r, err := a.haltRequest(ctx, by, "Resumed by "+by.UserName)
	if err != nil {
		return err
	}
	if r.Prior, err = a.priorOf(ctx, r.OperationID, s.ID); err != nil {
		return err
	}
	a.audit(ctx, by, act{action: "service.resume", object: "service", id: s.ID, name: s.Name})
	if err = h.Resume(ctx, r); err == nil {
		err = a.settle(context.WithoutCancel(ctx), by.OrganizationID, s)
	}
	a.auditEnd(ctx, s.ID, "service.resume", err)
	a.changed(by.OrganizationID, "service", s.ID)
	a.changed(by.OrganizationID, "state", "")
	return err
}

// serviceHalter is a service and what halts it.
func (a *App) serviceHalter(ctx context.Context, orgID, id string) (safepoint.Service, halt.Halter, error) {
	s, err := a.service(ctx, orgID, id)
	if err != nil {
		return s, nil, err
	}
	h, err := a.halter(ctx, s)
	return s, h, err
}

// halter is what halts a service, with its secret.
func (a *App) halter(ctx context.Context, s safepoint.Service) (halt.Halter, error) {
	if s.Operator != nil {
		return a.Halter(s, "")
	}
	sealed, err := a.Catalog.ServiceSecret(ctx, s.OrganizationID, s.ID)
	if err != nil {
		return nil, err
	}
	secret, err := a.Keys.Unseal(catalog.ServicePlace(s.OrganizationID, s.ID), sealed)
	if err != nil {
		return nil, err
	}
	return a.Halter(s, secret)
}

func (a *App) haltRequest(ctx context.Context, by safepoint.Actor, reason string) (halt.Request, error) {
	o, err := a.Catalog.Organization(ctx, by.OrganizationID)
	if err != nil {
		return halt.Request{}, err
	}
	state, err := a.Catalog.State(ctx, by.OrganizationID)
	return halt.Request{OperationID: state.OperationID, OrganizationID: o.ID, OrganizationName: o.Name, Reason: reason}, err
}

// checkService reads and checks what a person entered for a service.
func checkService(in ServiceInput) (safepoint.Service, error) {
	s := safepoint.Service{Kind: in.Kind, Timeout: in.Timeout}
	var err error
	if s.Name, err = checkName("name", in.Name); err != nil {
		return s, err
	}
	if s.Timeout == 0 {
		s.Timeout = time.Minute
	}
	if s.Timeout < time.Second || s.Timeout > 30*time.Minute {
		return s, safepoint.Invalid("timeout", "Choose a time between 1 second and 30 minutes.")
	}
	switch in.Kind {
	case safepoint.ServiceWebhook:
		return s, checkWebhook(&s, in)
	case safepoint.ServicePgBouncer:
		return s, checkPgBouncer(&s, in)
	}
	return s, safepoint.Invalid("kind", "Choose webhook or pgbouncer.")
}

func checkWebhook(s *safepoint.Service, in ServiceInput) error {
	for _, u := range []struct {
		field, text string
		to          *string
		optional    bool
	}{
		{"halt_url", in.HaltURL, &s.HaltURL, false},
		{"resume_url", in.ResumeURL, &s.ResumeURL, false},
		{"health_url", in.HealthURL, &s.HealthURL, true},
	} {
		text := strings.TrimSpace(u.text)
		if text == "" && u.optional {
			continue
		}
		if err := checkWebURL(u.field, text); err != nil {
			return err
		}
		*u.to = text
	}
	return nil
}

func checkWebURL(field, text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || len(text) > 2000 {
		return safepoint.Invalid(field, "Enter an address such as https://shop.example.org/safepoint/halt.")
	}
	if u.User != nil {
		return safepoint.Invalid(field, "Leave user and password out of the address: requests are signed.")
	}
	return checkHost(field, u.Hostname())
}

func checkPgBouncer(s *safepoint.Service, in ServiceInput) (err error) {
	s.Host, s.User, s.DBName = strings.TrimSpace(in.Host), in.User, in.DBName
	if !isSocket(s.Host) {
		if err := checkHost("host", s.Host); err != nil {
			return err
		}
		s.Host = strings.Trim(s.Host, "[]")
	}
	if s.Port, err = checkPort(in.Port, 6432); err != nil {
		return err
	}
	if err := checkIdentifier("user", s.User, "Enter one of PgBouncer's admin_users."); err != nil {
		return err
	}
	if len(s.DBName) > 63 || strings.ContainsRune(s.DBName, 0) {
		return safepoint.Invalid("dbname", "Names of pools have at most 63 bytes.")
	}
	return nil
}
