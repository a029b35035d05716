package app

import (
	"context"
	"slices"
	"strings"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/halt"
	"github.com/safepoint-db/safepoint/internal/restore"
)

// services are all services of an organization, its own and those of the operator's file, in the order in which a
// restore halts them. At the same place the operator's come first.
func (a *App) services(ctx context.Context, orgID string) ([]safepoint.Service, error) {
	own, err := a.Catalog.Services(ctx, orgID)
	if err != nil {
		return nil, err
	}
	var all []safepoint.Service
	for _, s := range a.HostServices {
		if s.OrganizationID == orgID {
			all = append(all, unlike(s, own))
		}
	}
	all = append(all, own...)
	slices.SortStableFunc(all, func(x, y safepoint.Service) int { return x.Position - y.Position })
	return all, nil
}

// unlike is a service of the operator's file under a name that none of the organization's own has: people and records
// tell services by their names.
func unlike(s safepoint.Service, own []safepoint.Service) safepoint.Service {
	for slices.ContainsFunc(own, func(o safepoint.Service) bool { return strings.EqualFold(o.Name, s.Name) }) {
		s.Name += " (operator)"
	}
	return s
}

// service is one of an organization's services, or CodeNotFound.
func (a *App) service(ctx context.Context, orgID, id string) (safepoint.Service, error) {
	s := a.hostService(orgID, id)
	if s == nil {
		return a.Catalog.Service(ctx, orgID, id)
	}
	own, err := a.Catalog.Services(ctx, orgID)
	return unlike(*s, own), err
}

// hostService is a service of the operator's file, nil if id is none.
func (a *App) hostService(orgID, id string) *safepoint.Service {
	i := slices.IndexFunc(a.HostServices, func(s safepoint.Service) bool { return s.OrganizationID == orgID && s.ID == id })
	if i < 0 {
		return nil
	}
	return &a.HostServices[i]
}

// changeable is a service that an organization's admin may change or remove.
func (a *App) changeable(ctx context.Context, orgID, id string) (safepoint.Service, error) {
	if s := a.hostService(orgID, id); s != nil {
		return safepoint.Service{}, safepoint.Errorf(safepoint.CodeConflict, "%s is managed by the operator of this server.", s.Name).
			WithHint("It is declared in the file that the server was started with (--services). Ask the operator to change it there.")
	}
	return a.Catalog.Service(ctx, orgID, id)
}

// refuseHostName keeps an admin's service from taking the name of one of the operator's.
func (a *App) refuseHostName(orgID, name string) error {
	if slices.ContainsFunc(a.HostServices, func(s safepoint.Service) bool { return s.OrganizationID == orgID && strings.EqualFold(s.Name, name) }) {
		return safepoint.Invalid("name", "A service of this server's operator is called %s.", name).WithHint("Choose another name.")
	}
	return nil
}

// priorOf is what a service said of itself before the restore halted it, "" if nobody wrote it down.
func (a *App) priorOf(ctx context.Context, restoreID, id string) (string, error) {
	if restoreID == "" {
		return "", nil
	}
	entries, err := a.Catalog.Journal(ctx, restoreID)
	if err != nil {
		return "", err
	}
	halted, err := restore.HaltedServices(entries)
	for _, h := range halted {
		if h.ID == id {
			return h.Prior, err
		}
	}
	return "", err
}

// unusable is a service of the operator's file that cannot be halted or resumed as the machine is now.
type unusable struct{ why error }

func (u unusable) Probe(context.Context) (halt.Status, error) {
	return halt.Status{Condition: halt.Unknown}, u.why
}
func (u unusable) Halt(context.Context, halt.Request) error   { return u.why }
func (u unusable) Resume(context.Context, halt.Request) error { return u.why }
