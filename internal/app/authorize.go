package app

import (
	"context"

	"github.com/safepoint-db/safepoint"
)

// need is what a method asks of its actor.
type need int

const (
	anyone need = iota // signed in, whatever the organization and role
	viewer             // a member of the organization
	admin              // an Organization Admin
)

// ViaSystem marks an actor that is the program itself: the scheduler, the demo. No front door makes one.
const ViaSystem = "system"

// authorize is the one place that decides who may do what. A refusal for want of a role is written to the audit log.
// action is the act's name there.
func (a *App) authorize(ctx context.Context, by safepoint.Actor, n need, action string) error {
	switch {
	case by.UserID == "" && by.Via != ViaSystem:
		return safepoint.Errorf(safepoint.CodeUnauthorized, "Nobody is signed in.").WithHint("Sign in first.")
	case n == anyone:
		return nil
	case by.OrganizationID == "":
		return safepoint.Errorf(safepoint.CodeForbidden, "You are a member of no organization.").
			WithHint("Ask an Organization Admin to invite you.")
	case by.Role == safepoint.RoleAdmin:
		return nil
	case by.Role == safepoint.RoleViewer && n == viewer:
		return nil
	}
	a.audit(ctx, by, act{action: action, outcome: denied})
	return safepoint.Errorf(safepoint.CodeForbidden, "This needs an Organization Admin. You are signed in as %s, a Viewer.", by.UserName)
}

// needSession refuses what only a person at a browser may do: a token must not outlive its own end by making another.
func needSession(by safepoint.Actor) error {
	if by.Via == "token" {
		return safepoint.Errorf(safepoint.CodeForbidden, "An API token may not do this.").WithHint("Sign in with your password instead.")
	}
	return nil
}
