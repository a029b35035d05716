package safepoint

import "time"

// Organization is the tenant: everything else belongs to exactly one.
type Organization struct {
	ID         string
	Name       string
	TimeZone   string        // IANA name; times are shown in it
	Language   string        // a language's tag, for members who chose none; "" leaves it to their browsers
	UndoWindow time.Duration // how long the previous database is kept after a restore
	// SessionIdle is after how long without use its members are signed out; 0 leaves it to the server.
	SessionIdle time.Duration
	Guided      bool // the guide through the first run was finished, or put away
	CreatedAt   time.Time
}

// DefaultUndoWindow is how long a restore can be undone where the organization does not say otherwise.
const DefaultUndoWindow = 24 * time.Hour

// User is a person with a password.
type User struct {
	ID    string
	Email string
	Name  string
	Display
	CreatedAt time.Time
}

// Display is how a person reads the console.
type Display struct {
	Theme    string // "system", "light" or "dark"
	Language string // a language's tag; "" leaves it to the organization and the browser
	Hours    string // how the hours of a day are counted: "24" or "12"
}

// SignIn is one signed-in browser of a person.
type SignIn struct {
	ID        string
	CreatedAt time.Time
	UsedAt    time.Time
	IP        string // from where it was opened
	Agent     string // what the browser says it is
	This      bool   // it is the one that asks
}

// Passkey is one with which a person signs in instead of a password. Nothing of it is secret, and nothing here is needed to
// check it.
type Passkey struct {
	ID         string
	UserID     string
	Name       string
	Host       string // of the console's address when it was made: it is of no use at another
	Synced     bool   // its maker may copy it to the person's other devices
	CreatedAt  time.Time
	LastUsedAt time.Time // zero: never yet
	CopiedAt   time.Time // when an answer showed that two devices may hold it; zero: never
}

// Role is what a member may do.
type Role string

const (
	RoleAdmin  Role = "admin"  // everything in this organization
	RoleViewer Role = "viewer" // sees, changes nothing, downloads nothing
)

// Member is a user's place in an organization.
type Member struct {
	OrganizationID string
	User           User
	Role           Role
	CreatedAt      time.Time
}

// Membership is an organization as one of its users sees it.
type Membership struct {
	Organization Organization
	Role         Role
}

// Actor is who asks for something, from where, and in which organization. Every method of app takes one.
type Actor struct {
	UserID         string
	UserName       string
	Email          string
	OrganizationID string
	Role           Role
	IP             string
	Via            string    // "session", "token" or "system"
	SignedInAt     time.Time // when the password was last entered, or a passkey used: by whoever made it, for a token
	Display                  // how they read the console
}

// Token is an API token without its secret.
type Token struct {
	ID             string
	OrganizationID string
	UserID         string
	UserName       string
	Name           string
	CreatedAt      time.Time
	ExpiresAt      time.Time // zero: never
	LastUsedAt     time.Time // zero: never yet
}

// AuditEntry is one line of the audit log: who did what, when, from where, to which object, with which outcome.
type AuditEntry struct {
	ID             string
	OrganizationID string // "" for what concerns no organization, such as a failed sign-in
	At             time.Time
	ActorID        string
	ActorName      string
	IP             string
	Via            string
	Action         string // "schedule.disable", "restore", "backup.delete" …
	ObjectType     string
	ObjectID       string
	ObjectName     string
	Outcome        string // "succeeded", "failed", "denied", "cancelled"; "" while it is not known yet
	Detail         string
	Changes        []Change // what it changed, where that is recorded
}

// Change is one thing that an action changed. Secrets are never in it.
type Change struct {
	Field  string `json:"field"` // the input's name in the API: "time_zone"
	Before string `json:"before"`
	After  string `json:"after"`
}
