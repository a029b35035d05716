package web

import (
	"cmp"
	"html/template"
	"net/http"
	"net/url"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/app"
)

type memberRow struct {
	safepoint.Member
	You   bool
	Since string
}

type membersView struct {
	Rows    []memberRow
	Invited string // the invitation's link, shown once
	For     string
}

func showMembers(v *visit) (reply, error) { return v.members() }

func (v *visit) members() (*page, error) {
	list, err := v.app.Members(v.ctx, v.actor)
	if err != nil {
		return nil, err
	}
	var d membersView
	for _, m := range list {
		d.Rows = append(d.Rows, memberRow{m, m.User.ID == v.actor.UserID, v.t.Ago(m.CreatedAt)})
	}
	return &page{Name: "members", Title: v.t.Say("Members"), Tab: "members", Data: d}, nil
}

type memberForm struct{ F *form }

func showMemberInvite(v *visit) (reply, error) {
	return v.inviteForm(newForm("role", string(safepoint.RoleViewer))), nil
}

func (v *visit) inviteForm(f *form) *page {
	return &page{Name: "member_invite", Title: v.t.Say("Invite a member"), Tab: "members", Data: memberForm{f}}
}

func doMemberInvite(v *visit) (reply, error) {
	f := v.posted()
	m, link, err := v.app.InviteMember(v.ctx, v.actor, app.MemberInput{Email: v.value("email"), Name: v.value("name"), Role: safepoint.Role(v.value("role"))})
	if err != nil {
		return f.refused(v.inviteForm(f), err)
	}
	if link == "" {
		return redirect("/members?done=joined"), nil
	}
	p, err := v.members()
	if err != nil {
		return nil, err
	}
	d := p.Data.(membersView)
	d.Invited, d.For = v.link("/invite?token="+url.QueryEscape(link)), m.User.Email
	p.Data, p.Status = d, http.StatusCreated
	return p, nil
}

func doMemberRole(v *visit) (reply, error) {
	if err := v.app.SetRole(v.ctx, v.actor, v.id(), safepoint.Role(v.value("role"))); err != nil {
		return nil, err
	}
	return redirect("/members?done=saved"), nil
}

func showMemberRemove(v *visit) (reply, error) { return v.memberQuestion(newForm()) }

func (v *visit) memberQuestion(f *form) (*page, error) {
	list, err := v.app.Members(v.ctx, v.actor)
	if err != nil {
		return nil, err
	}
	for _, m := range list {
		if m.User.ID != v.id() {
			continue
		}
		name := cmp.Or(m.User.Name, m.User.Email)
		return v.ask("members", question{F: f, Title: v.t.Say("Remove {name}?", "name", name), Button: v.t.Say("Remove member"), Danger: true,
			Body: []template.HTML{
				v.t.HTML("**{name}** can no longer see or do anything in {organization}.", "name", properName(name), "organization", properName(v.org.Name)),
				v.t.HTML("What they did stays in the audit log. Their API tokens of this organization stop working."),
			},
			Action: "/members/" + m.User.ID + "/remove", Back: "/members"}), nil
	}
	return nil, safepoint.Errorf(safepoint.CodeNotFound, "This member is not here.")
}

func doMemberRemove(v *visit) (reply, error) {
	f := v.posted()
	p, err := v.memberQuestion(f)
	if err != nil {
		return nil, err
	}
	if err := v.app.RemoveMember(v.ctx, v.actor, v.id()); err != nil {
		return f.refused(p, err)
	}
	if v.id() == v.actor.UserID {
		return redirect("/"), nil
	}
	return redirect("/members?done=removed"), nil
}
