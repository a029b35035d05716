package api

import (
	"context"
	"net/http"
	"time"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/api/wire"
	"github.com/safepoint-db/safepoint/internal/app"
)

func (a *API) organizationRoutes() {
	const tag = "Organization"
	handle(a, op(http.MethodGet, orgPrefix, "get-organization", "The organization", tag),
		func(ctx context.Context, by safepoint.Actor, _ *InOrg) (*body[wire.Organization], error) {
			o, err := a.cfg.App.Organization(ctx, by)
			return reply(wire.FromOrganization(o, by.Role), err)
		})

	type updateRequest struct {
		InOrg
		Body wire.OrganizationInput
	}
	handle(a, change(http.MethodPut, orgPrefix, "update-organization", "Change the settings", tag),
		func(ctx context.Context, by safepoint.Actor, in *updateRequest) (*body[wire.Organization], error) {
			change := app.OrganizationChange{Name: &in.Body.Name, Language: in.Body.Language}
			if in.Body.TimeZone != "" {
				change.TimeZone = &in.Body.TimeZone
			}
			if undo := time.Duration(in.Body.UndoWindowSeconds) * time.Second; undo != 0 {
				change.UndoWindow = &undo
			}
			if in.Body.SessionIdleSeconds != nil {
				idle := time.Duration(*in.Body.SessionIdleSeconds) * time.Second
				change.SessionIdle = &idle
			}
			o, err := a.cfg.App.UpdateOrganization(ctx, by, change)
			return reply(wire.FromOrganization(o, by.Role), err)
		})

	a.memberRoutes(tag)
	a.auditRoutes(tag)
}

func (a *API) memberRoutes(tag string) {
	handle(a, op(http.MethodGet, orgPrefix+"/members", "list-members", "Members and their roles", tag),
		func(ctx context.Context, by safepoint.Actor, _ *InOrg) (*body[wire.List[wire.Member]], error) {
			ms, err := a.cfg.App.Members(ctx, by)
			return list(ms, err, wire.FromMember)
		})

	type inviteRequest struct {
		InOrg
		Body wire.MemberInput
	}
	handle(a, with(http.StatusCreated, change(http.MethodPost, orgPrefix+"/members", "invite-member", "Invite a person", tag)),
		func(ctx context.Context, by safepoint.Actor, in *inviteRequest) (*body[wire.Member], error) {
			m, link, err := a.cfg.App.InviteMember(ctx, by, app.MemberInput{
				Email: in.Body.Email, Name: in.Body.Name, Role: safepoint.Role(in.Body.Role),
			})
			w := wire.FromMember(m)
			w.InviteLink = link
			return reply(w, err)
		})

	type InMember struct {
		InOrg
		User string `path:"user" example:"usr_k3jq7w2mfz5xv4na"`
	}
	type roleRequest struct {
		InMember
		Body wire.RoleInput
	}
	handle(a, with(http.StatusNoContent, change(http.MethodPut, orgPrefix+"/members/{user}", "set-role", "Change a member's role", tag)),
		func(ctx context.Context, by safepoint.Actor, in *roleRequest) (*struct{}, error) {
			return nil, a.cfg.App.SetRole(ctx, by, in.User, safepoint.Role(in.Body.Role))
		})

	handle(a, change(http.MethodDelete, orgPrefix+"/members/{user}", "remove-member", "Remove a member", tag),
		func(ctx context.Context, by safepoint.Actor, in *InMember) (*struct{}, error) {
			return nil, a.cfg.App.RemoveMember(ctx, by, in.User)
		})
}

func (a *API) auditRoutes(tag string) {
	type auditRequest struct {
		InOrg
		Who    string    `query:"who" doc:"Part of the name of who did it"`
		What   string    `query:"what" doc:"Part of the action or of the object's name"`
		From   time.Time `query:"from"`
		To     time.Time `query:"to"`
		Cursor string    `query:"cursor" doc:"next or previous of another page"`
		Limit  int       `query:"limit" minimum:"0" maximum:"200" doc:"0 means 50"`
	}
	handle(a, op(http.MethodGet, orgPrefix+"/audit", "list-audit", "The audit log, newest first", tag),
		func(ctx context.Context, by safepoint.Actor, in *auditRequest) (*body[wire.AuditPage], error) {
			p, err := a.cfg.App.Audit(ctx, by, app.AuditFilter{
				Who: in.Who, What: in.What, From: in.From, To: in.To, Cursor: in.Cursor, Limit: in.Limit,
			})
			return reply(wire.AuditPage{
				Items: wire.Map(p.Entries, wire.FromAuditEntry), Next: p.Next, Previous: p.Previous, Total: p.Total, More: p.More,
			}, err)
		})
}
