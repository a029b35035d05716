package engine

import (
	"context"
	"errors"

	"github.com/safepoint-db/safepoint/internal/archive"
)

// InstantSwitcher is an engine that can switch without closing the live database first, and make the safety backup
// afterwards, of the set-aside database: a restore of mode instant. Nothing is left closed by a process that dies on the
// way, so there is nothing to open; Engine.Open still ends a switch that may be on its way, as it does after a Gate.
type InstantSwitcher interface {
	// Poise does beforehand, while everybody still works, whatever a switch needs: it checks identities, captures into the
	// returned plan what the switch gives to the restored database, calls save with it (the journal: it fails unless save
	// returns nil) and opens its sessions. It keeps nobody out, and ends nobody's session.
	Poise(ctx context.Context, t Target, p Plan, save func(Plan) error) (Poised, error)

	// DumpAside is Engine.Dump of the set-aside database, as that of the live one that it was: it carries its name and
	// properties. It may be called again, and changes nothing that stays. An error that is ErrAsideGone says that it is of
	// no use: the server was asked, and has no such database.
	DumpAside(ctx context.Context, t Target, p Plan, w *archive.Writer, opt DumpOptions) error
}

// ErrAsideGone says of a set-aside database that it was dropped, or is live again: for good, and not only out of reach.
var ErrAsideGone = errors.New("the set-aside database is gone")

// Poised is a switch that waits for its word.
type Poised interface {
	// Switch is Gate.Switch on a database that nobody closed: it ends the sessions of everyone. CodeConflict, with nothing
	// changed, is also that somebody altered the live database as a whole since Poise.
	Switch(ctx context.Context) error

	// Close ends our own sessions.
	Close() error
}
