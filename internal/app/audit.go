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

// auditEnd writes the outcome of something audited when it began.
func (a *App) auditEnd(ctx context.Context, id, action string, err error) {
	outcome, detail := done, ""
	if err != nil {
		outcome, detail = failed, safepoint.UserError(err).Message
	}
	if _, err := a.Catalog.CompleteAudit(context.WithoutCancel(ctx), id, action, outcome, detail); err != nil {
		a.Log.ErrorContext(ctx, "audit entry was not completed", "action", action, "object", id, "error", err)
	}
}

// operationAction is what an operation is called in the audit log.
func operationAction(op safepoint.Operation) string {
	if op.Trigger == safepoint.TriggerUndo {
		return "undo"
	}
	if op.Trigger == safepoint.TriggerUpload {
		return "upload"
	}
	return string(op.Type)
}

// finishAudit writes an operation's outcome into the audit log, now that it has ended. One that nobody asked for (a
// scheduled run, a safety backup) gets its line here.
func (a *App) finishAudit(ctx context.Context, op safepoint.Operation) {
	ctx = context.WithoutCancel(ctx)
	detail := ""
	if op.Failure != nil {
		detail = op.Failure.Message
	}
	found, err := a.Catalog.CompleteAudit(ctx, op.ID, operationAction(op), string(op.Status), detail)
	if err != nil {
		a.Log.ErrorContext(ctx, "audit entry was not completed", "operation", op.ID, "error", err)
	}
	if err != nil || found {
		return
	}
	by := safepoint.Actor{OrganizationID: op.OrganizationID, UserID: op.CreatedBy, UserName: op.CreatedByName, Via: ViaSystem}
	if by.UserName == "" {
		by.UserName = "Scheduler"
	}
	a.audit(ctx, by, act{action: operationAction(op), object: "operation", id: op.ID, name: op.Name, outcome: string(op.Status), detail: detail})
}

// Audit returns one page of the organization's audit log.
func (a *App) Audit(ctx context.Context, by safepoint.Actor, f AuditFilter) (AuditPage, error) {
	if err := a.authorize(ctx, by, viewer, "audit.read"); err != nil {
		return AuditPage{}, err
	}
	return a.Catalog.Audit(ctx, by.OrganizationID, f)
}
