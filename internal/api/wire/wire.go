// Package wire is the JSON of the REST API, version 1: one struct per noun, written by the server and read by the client.
//
// Names are snake_case, times RFC 3339 in UTC, sizes bytes, durations seconds (with "_seconds" in the name) and
// intervals "8h", "12h", "24h", "3d", "7d". A field that is not there is unknown or does not apply; no field is null.
// A request may leave out what is marked optional; a field this version does not know is an error, not ignored.
package wire

import (
	"time"

	"github.com/safepoint-db/safepoint"
)

// Problem is every error's body (RFC 9457, application/problem+json). Code is stable; texts may change.
type Problem struct {
	Type   string  `json:"type" doc:"A URI that names the kind of problem" example:"urn:safepoint:error:not_found"`
	Code   string  `json:"code" doc:"The stable name of the kind of problem" example:"not_found"`
	Title  string  `json:"title" doc:"What happened, in one sentence" example:"There is no such backup."`
	Status int     `json:"status" doc:"The HTTP status, once more" example:"404"`
	Detail string  `json:"detail,omitempty" doc:"What happened here, where it says more than the title"`
	Hint   string  `json:"hint,omitempty" doc:"What to do next" example:"List what there is with GET …/operations."`
	Field  string  `json:"field,omitempty" doc:"The field that is wrong, with code \"invalid\"" example:"name"`
	Errors []Wrong `json:"errors,omitempty" doc:"All fields that are wrong, where there are several"`
}

// Wrong is one field that is wrong. The value itself is never repeated: it may be a secret.
type Wrong struct {
	Field  string `json:"field" example:"name"`
	Detail string `json:"detail" example:"expected required property name to be present"`
}

// List is a list that is never paged.
type List[T any] struct {
	Items []T `json:"items" nullable:"false"`
}

// Organization is the tenant.
type Organization struct {
	ID                 string    `json:"id" example:"org_k3jq7w2mfz5xv4na"`
	Name               string    `json:"name" example:"Harbor Logistics"`
	TimeZone           string    `json:"time_zone" doc:"IANA name" example:"Europe/Zurich"`
	Language           string    `json:"language,omitempty" doc:"The console's language, for members who chose none; left out where their browsers decide" example:"de"`
	UndoWindowSeconds  int64     `json:"undo_window_seconds" doc:"How long a restore can be undone" example:"86400"`
	SessionIdleSeconds int64     `json:"session_idle_seconds,omitempty" doc:"After how long without use members are signed out; left out where the server decides" example:"28800"`
	CreatedAt          time.Time `json:"created_at"`
	Role               string    `json:"role,omitempty" doc:"Your role in it" enum:"admin,viewer"`
}

// FromOrganization is o, with the role the asker has in it ("" leaves it out).
func FromOrganization(o safepoint.Organization, role safepoint.Role) Organization {
	return Organization{
		ID: o.ID, Name: o.Name, TimeZone: o.TimeZone, Language: o.Language,
		UndoWindowSeconds: int64(o.UndoWindow / time.Second), SessionIdleSeconds: int64(o.SessionIdle / time.Second),
		CreatedAt: o.CreatedAt.UTC(), Role: string(role),
	}
}

// OrganizationInput creates or changes an organization.
type OrganizationInput struct {
	Name               string  `json:"name" minLength:"1" maxLength:"100" example:"Harbor Logistics"`
	TimeZone           string  `json:"time_zone,omitempty" doc:"IANA name; UTC where it is left out" example:"Europe/Zurich"`
	UndoWindowSeconds  int64   `json:"undo_window_seconds,omitempty" minimum:"0" doc:"Only when changing; 0 keeps what it is" example:"86400"`
	Language           *string `json:"language,omitempty" doc:"Only when changing; empty leaves it to the browsers" example:"de"`
	SessionIdleSeconds *int64  `json:"session_idle_seconds,omitempty" minimum:"0" doc:"Only when changing; 0 leaves it to the server" example:"28800"`
}

// State says whether the organization's services may work on its databases.
type State struct {
	State       string    `json:"state" enum:"operating,halted"`
	Since       time.Time `json:"since,omitzero" doc:"Since when; left out if it never changed"`
	Reason      string    `json:"reason,omitempty" doc:"Why it is halted, for people" example:"Restoring harbor_prod to 21 November, 22:00"`
	Until       time.Time `json:"until,omitzero" doc:"About when it ends, where that is known"`
	OperationID string    `json:"operation_id,omitempty" doc:"The restore that halted it"`
	Attention   []string  `json:"attention,omitempty" doc:"Services that could not be resumed: a person must act"`
}

func FromState(s safepoint.OrganizationState) State {
	return State{
		State: s.State, Since: utc(s.Since), Reason: s.Reason, Until: utc(s.Until),
		OperationID: s.OperationID, Attention: s.Attention,
	}
}

// Me is who is asking.
type Me struct {
	UserID       string       `json:"user_id" example:"usr_k3jq7w2mfz5xv4na"`
	Email        string       `json:"email" example:"rahel@harbor.example"`
	Name         string       `json:"name" example:"Rahel Odermatt"`
	Organization Organization `json:"organization" doc:"The organization the token was made for"`
}

// LoginInput asks for a token.
type LoginInput struct {
	Email        string `json:"email" maxLength:"320" example:"rahel@harbor.example"`
	Password     string `json:"password" maxLength:"1024" format:"password" writeOnly:"true"`
	Organization string `json:"organization,omitempty" doc:"The organization's name or ID; the first of yours where it is left out"`
	TokenName    string `json:"token_name,omitempty" maxLength:"100" doc:"What the token is called in the console" example:"safepoint on laptop"`
}

// Login is a new token. The secret is shown this once.
type Login struct {
	Token        Token        `json:"token"`
	Secret       string       `json:"secret" doc:"Goes into \"Authorization: Bearer …\"; shown this once" example:"sp_…"`
	Organization Organization `json:"organization"`
}

// Token is an API token without its secret.
type Token struct {
	ID         string    `json:"id" example:"tok_k3jq7w2mfz5xv4na"`
	Name       string    `json:"name" example:"safepoint on laptop"`
	UserName   string    `json:"user_name,omitempty" example:"Rahel Odermatt"`
	CreatedAt  time.Time `json:"created_at"`
	ExpiresAt  time.Time `json:"expires_at,omitzero" doc:"Left out: never"`
	LastUsedAt time.Time `json:"last_used_at,omitzero" doc:"Left out: never yet"`
}

func FromToken(t safepoint.Token) Token {
	return Token{
		ID: t.ID, Name: t.Name, UserName: t.UserName, CreatedAt: t.CreatedAt.UTC(),
		ExpiresAt: utc(t.ExpiresAt), LastUsedAt: utc(t.LastUsedAt),
	}
}

// Member is a user's place in the organization.
type Member struct {
	UserID     string    `json:"user_id" example:"usr_k3jq7w2mfz5xv4na"`
	Email      string    `json:"email" example:"rahel@harbor.example"`
	Name       string    `json:"name" example:"Rahel Odermatt"`
	Role       string    `json:"role" enum:"admin,viewer"`
	CreatedAt  time.Time `json:"created_at"`
	InviteLink string    `json:"invite_link,omitempty" doc:"Only in the answer that invites a person without a password: the secret part of the link to hand to them"`
}

func FromMember(m safepoint.Member) Member {
	return Member{UserID: m.User.ID, Email: m.User.Email, Name: m.User.Name, Role: string(m.Role), CreatedAt: m.CreatedAt.UTC()}
}

// MemberInput invites a person.
type MemberInput struct {
	Email string `json:"email" minLength:"3" maxLength:"320" example:"tomas@harbor.example"`
	Name  string `json:"name,omitempty" maxLength:"100" example:"Tomas Reyl"`
	Role  string `json:"role" enum:"admin,viewer"`
}

// RoleInput changes a member's role.
type RoleInput struct {
	Role string `json:"role" enum:"admin,viewer"`
}

// AuditEntry is one line of the audit log.
type AuditEntry struct {
	ID         string    `json:"id" example:"aud_k3jq7w2mfz5xv4na"`
	At         time.Time `json:"at"`
	ActorID    string    `json:"actor_id,omitempty"`
	ActorName  string    `json:"actor_name,omitempty" example:"Rahel Odermatt"`
	IP         string    `json:"ip,omitempty" example:"192.0.2.7"`
	Via        string    `json:"via,omitempty" doc:"session, token or system" example:"token"`
	Action     string    `json:"action" example:"schedule.disable"`
	ObjectType string    `json:"object_type,omitempty" example:"schedule"`
	ObjectID   string    `json:"object_id,omitempty"`
	ObjectName string    `json:"object_name,omitempty" example:"Production database"`
	Outcome    string    `json:"outcome,omitempty" doc:"succeeded, failed, denied or cancelled; left out while it is not known" example:"succeeded"`
	Detail     string    `json:"detail,omitempty"`
	Changes    []Change  `json:"changes,omitempty" nullable:"false" doc:"What it changed, where that is recorded; never a secret"`
}

// Change is one thing that an action changed.
type Change struct {
	Field  string `json:"field" example:"interval"`
	Before string `json:"before" example:"8 hours"`
	After  string `json:"after" example:"12 hours"`
}

func FromAuditEntry(e safepoint.AuditEntry) AuditEntry {
	return AuditEntry{
		ID: e.ID, At: e.At.UTC(), ActorID: e.ActorID, ActorName: e.ActorName, IP: e.IP, Via: e.Via, Action: e.Action,
		ObjectType: e.ObjectType, ObjectID: e.ObjectID, ObjectName: e.ObjectName, Outcome: e.Outcome, Detail: e.Detail,
		Changes: Map(e.Changes, func(c safepoint.Change) Change { return Change(c) }),
	}
}

// AuditPage is one page of the audit log, newest first.
type AuditPage struct {
	Items    []AuditEntry `json:"items" nullable:"false"`
	Next     string       `json:"next,omitempty" doc:"Cursor of the older page"`
	Previous string       `json:"previous,omitempty" doc:"Cursor of the newer page"`
	Total    int          `json:"total" doc:"Entries that match; of those that match a text, 1,000 at most are counted"`
	More     bool         `json:"more,omitempty" doc:"More entries match than total says"`
}

// utc is t in UTC, zero staying zero.
func utc(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return t.UTC()
}

// Map turns a slice of one thing into a slice of another, never nil.
func Map[A, B any](in []A, fn func(A) B) []B {
	out := make([]B, len(in))
	for i, a := range in {
		out[i] = fn(a)
	}
	return out
}
