package catalog

import "context"

// Pulse is the last sign of life of a restore that halts its organization. Two that are equal are one sign.
type Pulse struct {
	OperationID string
	Fence       int64
	LeaseUntil  int64 // milliseconds since 1970: each heartbeat moves it on
}

// HaltedPulses returns those of all organizations.
func (c *Catalog) HaltedPulses(ctx context.Context) ([]Pulse, error) {
	p, err := collect(ctx, c.db, func(row scanner) (p Pulse, err error) {
		return p, row.Scan(&p.OperationID, &p.Fence, &p.LeaseUntil)
	}, `SELECT o.id, o.fence, o.lease_until FROM operations o JOIN organizations g ON g.id = o.organization_id
		WHERE o.status = 'running' AND g.halted_since > 0 AND g.halted_by = o.id ORDER BY o.id`)
	return p, wrap("look for signs of life", err)
}
