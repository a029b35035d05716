package app

import (
	"context"
	"errors"
	"slices"

	"github.com/safepoint-db/safepoint"
)

// Outcomes in the audit log. "" is not known yet.
const (
	done   = "succeeded"
	failed = "failed"
	denied = "denied"
)

// act is what somebody did, for the audit log.
type act struct {
	action  string // "schedule.disable", "restore" …
	object  string // its type
	id      string
	name    string
	outcome string
	detail  string
	changes []safepoint.Change
}

// changes are what differs between what was and what is: field, before, after, field, before, after …
func changes(triples ...string) (list []safepoint.Change) {
	for i := 0; i+2 < len(triples); i += 3 {
		if triples[i+1] != triples[i+2] {
			list = append(list, safepoint.Change{Field: triples[i], Before: triples[i+1], After: triples[i+2]})
		}
	}
	return list
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// changedIf says of a secret no more than that it is another.
func changedIf(b bool) string {
	if b {
		return "changed"
	}
	return ""
}

// audit writes what was done into the log, also when the request that did it is gone. That it could not be written
// is an operator's matter: the act itself stands.
func (a *App) audit(ctx context.Context, by safepoint.Actor, e act) {
	if _, err := a.Catalog.AddAudit(context.WithoutCancel(ctx), e.line(by)); err != nil {
		a.Log.ErrorContext(ctx, "audit entry was not written", "action", e.action, "object", e.id, "error", err)
	}
}

// line is the line of the audit log in which by does it.
func (e act) line(by safepoint.Actor) safepoint.AuditEntry {
	return safepoint.AuditEntry{
		OrganizationID: by.OrganizationID, ActorID: by.UserID, ActorName: by.UserName, IP: by.IP, Via: by.Via,
		Action: e.action, ObjectType: e.object, ObjectID: e.id, ObjectName: e.name, Outcome: e.outcome, Detail: e.detail, Changes: e.changes,
	}
}

// auditBegin writes down what is about to be done, and returns what writes how it ended. What a crash cuts short in between
// endActs ends. That the line cannot be written keeps nobody from the act.
func (a *App) auditBegin(ctx context.Context, by safepoint.Actor, e act) (end func(error)) {
	end, err := a.auditFirst(ctx, by, e)
	if err != nil {
		a.Log.ErrorContext(ctx, "audit entry was not written", "action", e.action, "object", e.id, "error", err)
		return func(err error) {
			how := endingOf(err)
			e.outcome, e.detail = how.outcome, how.detail
			a.audit(ctx, by, e)
		}
	}
	return end
}

// auditFirst is auditBegin for what must not be done without its line.
func (a *App) auditFirst(ctx context.Context, by safepoint.Actor, e act) (end func(error), err error) {
	ctx = context.WithoutCancel(ctx)
	a.mu.Lock() // housekeeping must not see the line before it is known that it is in hand
	defer a.mu.Unlock()
	line, err := a.Catalog.AddAudit(ctx, e.line(by))
	if err != nil {
		return nil, err
	}
	a.acting[line.ID] = nil
	return func(err error) {
		how := endingOf(err)
		if err := a.endAct(ctx, line.ID, how); err != nil {
			a.Log.ErrorContext(ctx, "audit entry was not completed", "action", e.action, "object", e.id, "error", err)
			a.mu.Lock()
			defer a.mu.Unlock()
			a.acting[line.ID] = &how
			a.tidySoon()
		}
	}, nil
}

// ending is how an act ended.
type ending struct{ outcome, detail string }

func endingOf(err error) ending {
	if err != nil {
		return ending{failed, safepoint.UserError(err).Message}
	}
	return ending{done, ""}
}

func (a *App) endAct(ctx context.Context, line string, how ending) error {
	if err := a.Catalog.EndAudit(ctx, line, how.outcome, how.detail); err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.acting, line)
	return nil
}

// deserted are the lines of the audit log in which something was begun that no process is at any more. Lines of this process
// that could not be ended when their act did are ended here.
func (a *App) deserted(ctx context.Context, action string) (lines []safepoint.AuditEntry, err error) {
	open, err := a.Catalog.OpenAudit(ctx, action)
	if err != nil {
		return nil, err
	}
	for _, line := range open {
		a.mu.Lock()
		how, ours := a.acting[line.ID]
		a.mu.Unlock()
		switch {
		case how != nil:
			err = errors.Join(err, a.endAct(ctx, line.ID, *how))
		case !ours:
			lines = append(lines, line)
		}
	}
	if len(lines) == 0 {
		return nil, err
	}
	still, serr := a.Catalog.OpenAudit(ctx, action) // without those that this process ended after they were read
	lines = slices.DeleteFunc(lines, func(l safepoint.AuditEntry) bool {
		return !slices.ContainsFunc(still, func(s safepoint.AuditEntry) bool { return s.ID == l.ID })
	})
	return lines, errors.Join(err, serr)
}

// endActs ends the lines of the audit log in which something was begun that no process is at any more.
func (a *App) endActs(ctx context.Context) (err error) {
	for _, action := range []string{resumeServiceAction, resumeRestoreAction} {
		lines, lerr := a.deserted(ctx, action)
		err = errors.Join(err, lerr)
		for _, line := range lines {
			err = errors.Join(err, a.endAct(ctx, line.ID, ending{failed, "What became of it was not recorded: the server stopped meanwhile."}))
		}
	}
	return err
}

// Audit returns one page of the organization's audit log.
func (a *App) Audit(ctx context.Context, by safepoint.Actor, f AuditFilter) (AuditPage, error) {
	if err := a.authorize(ctx, by, viewer, "audit.read"); err != nil {
		return AuditPage{}, err
	}
	return a.Catalog.Audit(ctx, by.OrganizationID, f)
}
