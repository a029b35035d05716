package engine

import (
	"context"
	"regexp"
	"time"

	"github.com/safepoint-db/safepoint"
)

// Surveyor is an engine that can say what restores left on a server, and put it in order, from the server alone: also
// when the catalog and its journals are lost. What it finds it knows by identity and by the marker that the restore
// left; a name proves nothing. None of its methods is for a database of which a restore is under way.
type Surveyor interface {
	// Survey looks at everything on t's server (SQLite: in the file's folder). It changes nothing. The database t names
	// need not be there.
	Survey(ctx context.Context, t Target) (Survey, error)

	// Discard destroys a staging database or a load login, if server, identity, name and marker are still those of l
	// and nobody is in it. Otherwise nothing is dropped: CodeNeedsOperator, or CodeBlocked where somebody is. It never
	// takes a set-aside database. What is gone already is success. With a login go the things that are its own, and
	// nothing of anybody else: what a load that was cut off had made.
	Discard(ctx context.Context, t Target, l Leftover) error

	// LetIn opens a database that lets nobody in, if it still has l's identity and name.
	LetIn(ctx context.Context, t Target, l Leftover) error

	// PutBack gives the set-aside database l the name that t has, in one atomic step, if nothing has that name and l is
	// still what it was. CodeConflict says that the name is held; nothing was changed then.
	PutBack(ctx context.Context, t Target, l Leftover) error
}

// Survey is what stands on a server.
type Survey struct {
	ServerID      string
	ServerVersion string
	LiveID        string // of the database that the target names; "" if there is none
	Leftovers     []Leftover
}

// Role is what a leftover was to its restore.
type Role string

const (
	RoleStaging Role = "staging"
	RoleAside   Role = "aside"
	RoleLogin   Role = "login" // executed a backup while it was loaded
	RoleNone    Role = ""      // not made by a restore: a database that is shut or whose drop was interrupted
)

// Leftover is something that a restore made, or a database that is not as a server should leave one.
type Leftover struct {
	Role        Role
	Name        string   // its own on the server; SQLite: the file's, without its folder
	Path        string   // SQLite: the file
	ID          string   // identity, as in Plan
	ServerID    string   // as in Plan
	OperationID string   // as its marker says, or without one its name; "" for RoleNone
	Marked      bool     // it carries the marker of this operation in this role
	Shut        bool     // nobody may connect
	Interrupted bool     // its drop was begun and not ended: it can only be dropped
	Sessions    int      // how many are in it now
	Size        int64    // bytes; 0: not known
	Owner       string   // PostgreSQL, of a database: the role that owns it, and may write its marker
	Owned       int      // of a login: how many things it made that are still its own
	Databases   []string // of a login: in which databases it has something, be it a right
	CreatedAt   time.Time
}

var leftoverName = regexp.MustCompile(`^safepoint_(op_[a-z0-9]+)_(staging|aside)$`)

// ParseLeftover reads the operation and role from a name that StagingName or AsideName made.
func ParseLeftover(name string) (operationID string, role Role, ok bool) {
	m := leftoverName.FindStringSubmatch(name)
	if m == nil {
		return "", RoleNone, false
	}
	return m[1], Role(m[2]), true
}

// CheckDiscard refuses to discard what may not be: the rules that need no server.
func CheckDiscard(l Leftover) error {
	switch {
	case l.Role != RoleStaging && l.Role != RoleLogin:
		return safepoint.Errorf(safepoint.CodeNeedsOperator, "%s is no staging database: it is not dropped by the program.", l.Name).
			WithHint("A set-aside database is the way back. Drop it by hand once nobody can need it.")
	case !l.Marked || l.OperationID == "" || l.ID == "":
		return safepoint.Errorf(safepoint.CodeNeedsOperator, "%s does not carry the mark of a restore: a name alone proves nothing.", l.Name).
			WithHint("Nothing was dropped. Look at it, and drop it by hand if nobody needs it.")
	}
	return nil
}

// CheckPutBack refuses to put back what may not be.
func CheckPutBack(l Leftover) error {
	if l.Role != RoleAside || !l.Marked || l.ID == "" || l.Interrupted {
		return safepoint.Errorf(safepoint.CodeNeedsOperator, "%s is not a database that a restore set aside.", l.Name).
			WithHint("Nothing was changed.")
	}
	return nil
}
