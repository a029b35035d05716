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
	var services []safepoint.Service
	for _, d := range declared {
		if _, err := kinds.Halter(d.Service, ""); err != nil {
			return nil, safepoint.Errorf(safepoint.CodeInvalid, "%s: service %s of %s: %s", s.cfg.Services, d.Name, d.Organization, safepoint.UserError(err).Message).WithCause(err)
		}
		_, err := s.catalog.Organization(ctx, d.Organization)
		if safepoint.ErrorCode(err) == safepoint.CodeNotFound {
			s.log.Error("a service of the operator's file belongs to no organization and is not halted by anything", "service", d.Name, "organization", d.Organization)
			continue
		}
		if err != nil {
			return nil, err
		}
		r := d.Resolve()
		s.log.Info("service of the operator's file", "service", r.Name, "kind", string(r.Kind), "organization", r.OrganizationID)
		services = append(services, r)
	}
	return services, nil
}
