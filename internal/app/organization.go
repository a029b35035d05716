package app

import (
	"context"
	"time"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/catalog"
	"github.com/safepoint-db/safepoint/internal/event"
)

// inviteLife is how long an invitation can be accepted.
const inviteLife = 72 * time.Hour

// Organization returns the actor's organization.
func (a *App) Organization(ctx context.Context, by safepoint.Actor) (safepoint.Organization, error) {
	if err := a.authorize(ctx, by, viewer, "organization.read"); err != nil {
		return safepoint.Organization{}, err
	}
	return a.Catalog.Organization(ctx, by.OrganizationID)
}

// CreateOrganization makes another organization, with the actor as its admin.
func (a *App) CreateOrganization(ctx context.Context, by safepoint.Actor, name, timeZone string) (safepoint.Organization, error) {
	if err := a.authorize(ctx, by, admin, "organization.create"); err != nil {
		return safepoint.Organization{}, err
	}
	o, err := newOrganization(name, timeZone)
	if err != nil {
		return safepoint.Organization{}, err
	}
	if o, err = a.Catalog.CreateOrganization(ctx, o, by.UserID); err != nil {
		return safepoint.Organization{}, err
	}
	by.OrganizationID = o.ID
	a.audit(ctx, by, act{action: "organization.create", object: "organization", id: o.ID, name: o.Name, outcome: done})
	return o, nil
}

// newOrganization checks what a person entered for an organization.
func newOrganization(name, timeZone string) (safepoint.Organization, error) {
	name, err := checkName("organization", name)
	if err != nil {
		return safepoint.Organization{}, err
	}
	if timeZone == "" {
		timeZone = "UTC"
	}
	if zone, err := time.LoadLocation(timeZone); err != nil || zone == time.Local {
		return safepoint.Organization{}, safepoint.Invalid("time_zone", "There is no time zone called %s. Use a name such as Europe/Berlin.", timeZone)
	}
	return safepoint.Organization{Name: name, TimeZone: timeZone, UndoWindow: safepoint.DefaultUndoWindow}, nil
}

// OrganizationChange is what to change of an organization; nil leaves it as it is.
type OrganizationChange struct {
	Name, TimeZone *string
	Language       *string        // a language's tag, "" for none
	UndoWindow     *time.Duration // counts for restores from now on
	SessionIdle    *time.Duration // 0 is the server's default
}

// UpdateOrganization changes the organization's settings.
func (a *App) UpdateOrganization(ctx context.Context, by safepoint.Actor, in OrganizationChange) (safepoint.Organization, error) {
	if err := a.authorize(ctx, by, admin, "organization.update"); err != nil {
		return safepoint.Organization{}, err
	}
	old, err := a.Catalog.Organization(ctx, by.OrganizationID)
	if err != nil {
		return old, err
	}
	o := old
	if err := a.apply(&o, in); err != nil {
		return safepoint.Organization{}, err
	}
	if err := a.Catalog.UpdateOrganization(ctx, o); err != nil {
		return safepoint.Organization{}, err
	}
	a.audit(ctx, by, act{action: "organization.update", object: "organization", id: o.ID, name: o.Name, outcome: done, changes: changes(
		"name", old.Name, o.Name, "time_zone", old.TimeZone, o.TimeZone, "language", old.Language, o.Language,
		"undo_window", span(old.UndoWindow), span(o.UndoWindow), "session_idle", span(old.SessionIdle), span(o.SessionIdle))})
	a.changed(o.ID, "organization", o.ID)
	return a.Catalog.Organization(ctx, o.ID)
}

func (a *App) apply(o *safepoint.Organization, in OrganizationChange) error {
	name, zone := o.Name, o.TimeZone
	if in.Name != nil {
		name = *in.Name
	}
	if in.TimeZone != nil {
		zone = *in.TimeZone
	}
	checked, err := newOrganization(name, zone)
	if err != nil {
		if e, ok := err.(*safepoint.Error); ok && e.Field == "organization" {
			e.Field = "name"
		}
		return err
	}
	o.Name, o.TimeZone = checked.Name, checked.TimeZone
	if in.Language != nil {
		if err := checkLanguage(*in.Language); err != nil {
			return err
		}
		o.Language = *in.Language
	}
	if in.UndoWindow != nil {
		if o.UndoWindow = *in.UndoWindow; o.UndoWindow < 0 || o.UndoWindow > 30*24*time.Hour {
			return safepoint.Invalid("undo_window", "Choose a time between 0 and 30 days.")
		}
	}
	if in.SessionIdle != nil {
		if o.SessionIdle = *in.SessionIdle; o.SessionIdle != 0 && (o.SessionIdle < 5*time.Minute || o.SessionIdle > a.SessionLife) {
			return safepoint.Invalid("session_idle", "Choose a time between 5 minutes and %s.", inSpan(a.SessionLife))
		}
	}
	return nil
}

// EndGuide notes that the guide through the first run is done with, so that it is offered no more.
func (a *App) EndGuide(ctx context.Context, by safepoint.Actor) error {
	if err := a.authorize(ctx, by, admin, "guide.end"); err != nil {
		return err
	}
	return a.Catalog.SetGuided(ctx, by.OrganizationID)
}

// span is a setting's time in the audit log; 0 is "".
func span(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return inSpan(d).String()
}

// Members returns the organization's members by name.
func (a *App) Members(ctx context.Context, by safepoint.Actor) ([]safepoint.Member, error) {
	if err := a.authorize(ctx, by, viewer, "member.read"); err != nil {
		return nil, err
	}
	return a.Catalog.Members(ctx, by.OrganizationID)
}

// InviteMember makes a person a member. For somebody new it returns the secret part of a link with which they choose
// a password within three days, once; inviting them again gives a new link. link is "" for somebody who has a
// password already, or whom another organization has invited: they use what they have.
func (a *App) InviteMember(ctx context.Context, by safepoint.Actor, in MemberInput) (m safepoint.Member, link string, err error) {
	if err := a.authorize(ctx, by, admin, "member.invite"); err != nil {
		return m, "", err
	}
	email, err := checkEmail(in.Email)
	if err != nil {
		return m, "", err
	}
	if err := checkRole(in.Role); err != nil {
		return m, "", err
	}
	u, hash, err := a.Catalog.UserByEmail(ctx, email)
	if safepoint.ErrorCode(err) == safepoint.CodeNotFound {
		name := in.Name
		if name == "" {
			name = email
		}
		if name, err = checkName("name", name); err != nil {
			return m, "", err
		}
		u, err = a.Catalog.CreateUser(ctx, safepoint.User{Email: email, Name: name}, "")
	}
	if err != nil {
		return m, "", err
	}
	m, err = a.Catalog.Member(ctx, by.OrganizationID, u.ID)
	if again := err == nil && hash == ""; !again {
		if m, err = a.Catalog.AddMember(ctx, by.OrganizationID, u.ID, in.Role); err != nil {
			return m, "", err
		}
	}
	if hash == "" {
		if link, err = a.inviteLink(ctx, by.OrganizationID, u.ID); err != nil {
			return m, "", err
		}
	}
	a.audit(ctx, by, act{action: "member.invite", object: "user", id: u.ID, name: u.Email, outcome: done, detail: "As " + string(m.Role) + "."})
	a.changed(by.OrganizationID, "member", u.ID)
	return m, link, nil
}

// inviteLink makes an invitation, unless another organization invited the user first: whoever holds a link chooses
// the password, which must not be an admin of one organization for a member of another.
func (a *App) inviteLink(ctx context.Context, orgID, userID string) (string, error) {
	ms, err := a.Catalog.Memberships(ctx, userID)
	if err != nil || len(ms) == 0 || ms[0].Organization.ID != orgID {
		return "", err
	}
	link := newSecret()
	return link, a.Catalog.CreateLink(ctx, hashSecret(link), catalog.LinkInvite, userID, a.Now().Add(inviteLife))
}

// SetRole changes what a member may do, at once. The last admin stays one.
func (a *App) SetRole(ctx context.Context, by safepoint.Actor, userID string, role safepoint.Role) error {
	if err := a.authorize(ctx, by, admin, "member.role"); err != nil {
		return err
	}
	if err := checkRole(role); err != nil {
		return err
	}
	m, err := a.Catalog.Member(ctx, by.OrganizationID, userID)
	if err != nil {
		return err
	}
	if err := a.Catalog.SetRole(ctx, by.OrganizationID, userID, role); err != nil {
		return err
	}
	a.audit(ctx, by, act{action: "member.role", object: "user", id: userID, name: m.User.Email, outcome: done,
		changes: changes("role", string(m.Role), string(role))})
	a.changed(by.OrganizationID, "member", userID)
	return nil
}

// RemoveMember ends a membership, and the member's tokens of this organization, at once. The last admin stays.
func (a *App) RemoveMember(ctx context.Context, by safepoint.Actor, userID string) error {
	if err := a.authorize(ctx, by, admin, "member.remove"); err != nil {
		return err
	}
	m, err := a.Catalog.Member(ctx, by.OrganizationID, userID)
	if err != nil {
		return err
	}
	if err := a.Catalog.RemoveMember(ctx, by.OrganizationID, userID); err != nil {
		return err
	}
	a.audit(ctx, by, act{action: "member.remove", object: "user", id: userID, name: m.User.Email, outcome: done})
	a.changed(by.OrganizationID, "member", userID)
	return nil
}

// State says whether the organization's services may work on its databases.
func (a *App) State(ctx context.Context, by safepoint.Actor) (safepoint.OrganizationState, error) {
	if err := a.authorize(ctx, by, viewer, "organization.state"); err != nil {
		return safepoint.OrganizationState{}, err
	}
	return a.Catalog.State(ctx, by.OrganizationID)
}

// Subscribe returns the organization's events and a function that ends them. A role that is lost meanwhile is told by
// an event of kind "member": the front door then looks again who its actor is.
func (a *App) Subscribe(by safepoint.Actor) (events <-chan event.Event, end func(), err error) {
	if err := a.authorize(context.Background(), by, viewer, "organization.events"); err != nil {
		return nil, nil, err
	}
	events, end = a.Hub.Subscribe(by.OrganizationID)
	return events, end, nil
}

func checkRole(r safepoint.Role) error {
	if r != safepoint.RoleAdmin && r != safepoint.RoleViewer {
		return safepoint.Invalid("role", "Choose admin or viewer.")
	}
	return nil
}
