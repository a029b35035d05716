package app

import (
	"context"
	"slices"
	"strconv"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/catalog"
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

// UpdateService stores a service. Its kind and place stay. A secret that is left out is kept, unless it is the password of
// a PgBouncer that is now reached at another address: it is never sent to a new place. A webhook's only signs.
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
	ctx, cancel := context.WithTimeout(ctx, a.testLimit)
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
	end := a.auditBegin(ctx, by, act{action: resumeServiceAction, object: "service", id: s.ID, name: s.Name})
	if err = h.Resume(ctx, r); err == nil {
		err = a.settle(context.WithoutCancel(ctx), by.OrganizationID, s)
	}
	end(err)
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
