package app

import (
	"context"

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
	if err := a.addAudit(ctx, by, e); err != nil {
		a.Log.ErrorContext(ctx, "audit entry was not written", "action", e.action, "object", e.id, "error", err)
	}
}

// addAudit is audit for what must not be done without its line.
func (a *App) addAudit(ctx context.Context, by safepoint.Actor, e act) error {
	_, err := a.Catalog.AddAudit(context.WithoutCancel(ctx), e.line(by))
	return err
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
	ctx = context.WithoutCancel(ctx)
	a.mu.Lock() // endActs must not see the line before it is known that it is in hand
	defer a.mu.Unlock()
	line, err := a.Catalog.AddAudit(ctx, e.line(by))
	if err != nil {
		a.Log.ErrorContext(ctx, "audit entry was not written", "action", e.action, "object", e.id, "error", err)
		return func(err error) {
			e.outcome, e.detail = outcomeAnd(err)
			a.audit(ctx, by, e)
		}
	}
	a.acting[line.ID] = nil
	return func(err error) {
		how := new(ending)
		how.outcome, how.detail = outcomeAnd(err)
		err = a.Catalog.EndAudit(ctx, line.ID, how.outcome, how.detail)
		a.mu.Lock()
		defer a.mu.Unlock()
		if err == nil {
			delete(a.acting, line.ID)
			return
		}
		a.Log.ErrorContext(ctx, "audit entry was not completed", "action", e.action, "object", e.id, "error", err)
		a.acting[line.ID] = how
	}
}

// ending is how an act ended.
type ending struct{ outcome, detail string }

func outcomeAnd(err error) (outcome, detail string) {
	if err != nil {
		return failed, safepoint.UserError(err).Message
	}
	return done, ""
}

// endActs ends the lines of the audit log in which something was begun that no process is at any more: with how it ended,
// where only that could not be written then.
func (a *App) endActs(ctx context.Context) error {
	for _, action := range []string{resumeServiceAction, resumeRestoreAction} {
		open, err := a.Catalog.OpenAudit(ctx, action)
		if err != nil {
			return err
		}
		for _, line := range open {
			a.mu.Lock()
			how, ours := a.acting[line.ID]
			a.mu.Unlock()
			switch {
			case !ours:
				how = &ending{failed, "What became of it was not recorded: the server stopped meanwhile."}
			case how == nil:
				continue // in hand
			}
			if err := a.Catalog.EndAudit(ctx, line.ID, how.outcome, how.detail); err != nil {
				return err
			}
			a.mu.Lock()
			delete(a.acting, line.ID)
			a.mu.Unlock()
		}
	}
	return nil
}

// auditEnd writes the outcome of something audited when it began.
func (a *App) auditEnd(ctx context.Context, id, action string, err error) {
	outcome, detail := outcomeAnd(err)
	if _, err := a.Catalog.CompleteAudit(context.WithoutCancel(ctx), id, action, outcome, detail); err != nil {
		a.Log.ErrorContext(ctx, "audit entry was not completed", "action", action, "object", id, "error", err)
	}
}

// Audit returns one page of the organization's audit log.
func (a *App) Audit(ctx context.Context, by safepoint.Actor, f AuditFilter) (AuditPage, error) {
	if err := a.authorize(ctx, by, viewer, "audit.read"); err != nil {
		return AuditPage{}, err
	}
	return a.Catalog.Audit(ctx, by.OrganizationID, f)
}
