package jobs

import "context"

// QueueDue is one look at the schedules, for tests that simulate years.
func (r *Runner) QueueDue(ctx context.Context) { r.queueDue(ctx) }
