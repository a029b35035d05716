package restore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/fault"
	"github.com/safepoint-db/safepoint/internal/halt"
)

// lookAtServices records what every service is doing. Nothing is halted yet.
func (r *run) lookAtServices(ctx context.Context) error {
	if !r.undoing() {
		if err := r.Room(ctx); err != nil {
			return err
		}
	}
	r.rec.Services = nil
	for _, s := range r.Services {
		st, err := probe(ctx, s)
		if err != nil {
			return err
		}
		ours := st.Condition != halt.Halted && st.Condition != halt.Down
		r.rec.Services = append(r.rec.Services, serviceRecord{ID: s.ID, Name: s.Name, Prior: st.Condition, Ours: ours, State: st.Prior})
	}
	fault.Point("restore.halt.probed")
	r.Operation.Services = len(r.Services)
	return nil
}

// halt halts the running services in their order. That it will is on record before the first is touched.
func (r *run) halt(ctx context.Context) error {
	r.Operation.HaltedAt = r.Now()
	if err := r.enter(ctx, safepoint.StepHalt, "Halt "+count(len(r.Services), "service")+", in order."); err != nil {
		return err
	}
	fault.Point("restore.halt.written")
	if err := r.Ledger.SetHalted(ctx, r.Operation, time.Time{}); err != nil {
		return fmt.Errorf("record the halt: %w", err)
	}
	if err := fault.Point("restore.halt.intent"); err != nil {
		return err
	}
	r.hurried = r.instant() || r.undoing()
	r.Operation.HaltedAt = r.Now()
	for i, s := range r.Services {
		if !r.rec.Services[i].Ours {
			if err := r.tell(ctx, safepoint.JournalIdle, s.ID, s.Name+" was not running; it is left as it is."); err != nil {
				return err
			}
			continue
		}
		if r.hurried { // nothing is written between two halts, by which a process that was overtaken would learn of it
			if err := r.stillWanted(ctx); err != nil {
				return err
			}
		}
		fault.Point("restore.halt.call")
		if err := s.Halter.Halt(ctx, r.request(r.rec.Services[i].State)); err != nil {
			return safepoint.Errorf(safepoint.CodeHalt, "A service did not stop: %s", safepoint.UserError(err).Quoted()).
				WithHint("The other services are running again, and %s was not changed. Test the service on the Services page.", r.Operation.DatabaseName).WithCause(err)
		}
		if err := fault.Point("restore.halt.each"); err != nil {
			return err
		}
		if err := r.tell(ctx, safepoint.JournalHalted, s.ID, "Halted "+s.Name+"."); err != nil {
			return err
		}
	}
	if err := fault.Point("restore.halt.done"); err != nil {
		return err
	}
	return r.done(ctx, "Halted.")
}

// probe asks a service what it is doing, a few times: what cannot be known before the halt cannot be put back after it.
func probe(ctx context.Context, s Service) (st halt.Status, err error) {
	for wait := 200 * time.Millisecond; wait < time.Second; wait *= 2 {
		if st, err = s.Halter.Probe(ctx); err == nil {
			return st, nil
		}
		pause(ctx, wait)
	}
	return st, safepoint.Errorf(safepoint.CodeHalt, "Nobody can tell whether %s is running: %s", s.Name, safepoint.UserError(err).Quoted()).
		WithHint("Nothing was halted. Test the service on the Services page.").WithCause(err)
}

// resume starts again what we halted, the last halted first. Each is tried once, for as long as its own timeout, before
// the next, and what will not resume then is tried again after all of them: it keeps no other service halted. What does
// not resume within the job's patience is named on the operation until a person acts. It returns errLater, and leaves
// all of them to the next process, if this one must stop before that is known.
func (r *run) resume(ctx context.Context) error {
	var left []halted
	for _, rec := range slices.Backward(r.rec.Services) {
		if rec.Ours {
			left = append(left, halted{name: rec.Name, prior: rec.State, service: r.service(rec.ID)})
		}
	}
	deadline := r.Now().Add(r.Patience)
	for wait := 200 * time.Millisecond; ; wait = min(2*wait, 5*time.Second) {
		var err error
		if left, err = r.resumeEach(ctx, left); err != nil {
			return err
		}
		if !slices.ContainsFunc(left, func(h halted) bool { return h.service != nil }) || r.Now().Add(wait).After(deadline) {
			break
		}
		pause(ctx, wait)
	}
	fault.Point("restore.resume.tried")
	r.Operation.Attention = nil
	for _, h := range left {
		r.Operation.Attention = append(r.Operation.Attention, h.name)
		r.note(ctx, h.name+" did not resume: "+safepoint.UserError(h.err).Message)
	}
	r.Operation.ResumedAt = r.Now()
	return nil
}

// halted is a service on its way back.
type halted struct {
	name    string
	prior   string   // what it said of itself before
	service *Service // nil: it was removed meanwhile
	err     error    // of the last try
}

// resumeEach tries each service once, in order, and returns those that did not resume.
func (r *run) resumeEach(ctx context.Context, services []halted) (left []halted, err error) {
	for _, h := range services {
		if r.Lost() {
			return nil, errLater
		}
		if h.service == nil {
			h.err = safepoint.Errorf(safepoint.CodeHalt, "%s was removed while it was halted.", h.name)
		} else if h.err = h.service.Halter.Resume(ctx, r.request(h.prior)); h.err == nil {
			fault.Point("restore.resume.each")
			r.tell(ctx, safepoint.JournalResumed, h.service.ID, "Resumed "+h.name+".")
			continue
		} else if r.Stopping() {
			return nil, errors.Join(errLater, h.err)
		}
		left = append(left, h)
	}
	return left, nil
}

func (r *run) service(id string) *Service {
	i := slices.IndexFunc(r.Services, func(s Service) bool { return s.ID == id })
	if i < 0 {
		return nil
	}
	return &r.Services[i]
}

// request is what a service is told, with what it said of itself before the halt.
func (r *run) request(prior string) halt.Request {
	verb := "Restoring "
	if r.undoing() {
		verb = "Undoing the restore of "
	}
	return halt.Request{
		OperationID: r.Operation.ID, OrganizationID: r.Organization.ID, OrganizationName: r.Organization.Name,
		Reason: verb + r.Operation.DatabaseName, Prior: prior,
	}
}

// pause waits, or returns early when ctx ends. Tests do not wait.
var pause = func(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
