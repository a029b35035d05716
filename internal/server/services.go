package server

import (
	"context"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/kinds"
	"github.com/safepoint-db/safepoint/internal/operator"
)

// hostServices reads the operator's file and finds the organization of each service. What could not be halted or resumed
// stops the start; a service of an organization that is not there only makes a line in the log, because the first
// organization is made after the first start.
func (s *Server) hostServices(ctx context.Context) ([]safepoint.Service, error) {
	if s.cfg.Services == "" {
		return nil, nil
	}
	declared, err := operator.Read(s.cfg.Services)
	if err != nil {
		return nil, err
	}
	organizations, err := s.catalog.Organizations(ctx)
	if err != nil {
		return nil, err
	}
	var services []safepoint.Service
	for _, d := range declared {
		if _, err := kinds.Halter(d.Service, ""); err != nil {
			return nil, safepoint.Errorf(safepoint.CodeInvalid, "%s: service %s of %s: %s", s.cfg.Services, d.Name, d.Organization, safepoint.UserError(err).Message).WithCause(err)
		}
		found := named(organizations, d.Organization)
		switch len(found) {
		case 0:
			s.log.Error("a service of the operator's file belongs to no organization and is not halted by anything", "service", d.Name, "organization", d.Organization)
			continue
		case 1:
		default:
			return nil, safepoint.Errorf(safepoint.CodeInvalid, "%s: %d organizations are called %s.", s.cfg.Services, len(found), d.Organization).
				WithHint("Name the one that is meant by its ID: it is on the organization's settings page.")
		}
		r := d.Resolve(found[0].ID)
		for _, other := range services {
			if other.ID == r.ID {
				return nil, safepoint.Errorf(safepoint.CodeInvalid, "%s: %s has two services called %s.", s.cfg.Services, d.Organization, d.Name)
			}
		}
		s.log.Info("service of the operator's file", "service", r.Name, "kind", string(r.Kind), "organization", r.OrganizationID)
		services = append(services, r)
	}
	return services, nil
}

// named are the organizations with this ID or, if there is none, this name.
func named(all []safepoint.Organization, ref string) (found []safepoint.Organization) {
	for _, o := range all {
		if o.ID == ref {
			return []safepoint.Organization{o}
		}
		if o.Name == ref {
			found = append(found, o)
		}
	}
	return found
}
