package engine

import (
	"context"

	"github.com/safepoint-db/safepoint/internal/archive"
)

// InPlacer is an engine that can replace what is in a live database from within, in one transaction: for a user who may
// make no other database beside it, or may not rename this one. Services are halted for the whole load, nothing is set
// aside, and the way back is the safety backup. A Finding with InPlace says that it is needed.
type InPlacer interface {
	// NeedsInPlace says why no copy can be built beside the live database and switched; nil if one can. It is a quick look.
	NeedsInPlace(ctx context.Context, t Target) (*Finding, error)

	// BeginInPlace begins the transaction: it ends the sessions of others as far as the user may and locks every table
	// against writers; readers, the safety backup among them, may go on. It calls save with the plan from which
	// InPlaceOutcome knows the transaction again (the journal: nothing is locked unless save returns nil). From its
	// return until Close or Commit no row of the live database changes.
	BeginInPlace(ctx context.Context, t Target, p Plan, save func(Plan) error) (InPlace, error)

	// InPlaceOutcome ends what is left of a plan's transaction, and says whether it was committed (After) or has changed
	// nothing (Before). Its answer is final. Unknown: the server cannot tell any more, and a person must look.
	InPlaceOutcome(ctx context.Context, t Target, p Plan) (Position, error)
}

// InPlace is a live database whose content is being replaced in one transaction. Nobody else sees anything of it before
// Commit has returned.
type InPlace interface {
	// Dump is Engine.Dump of what is live, beside the transaction.
	Dump(ctx context.Context, w *archive.Writer, opt DumpOptions) error

	// Load drops what the database holds and loads an archive that was verified whole. It refuses with CodeConflict if
	// something that no lock protects changed since BeginInPlace returned, as Digest and Commit do.
	Load(ctx context.Context, r *archive.Reader, opt LoadOptions) error

	// Digest is the fingerprint of what Load made.
	Digest(ctx context.Context, report Report) (archive.Fingerprint, error)

	// Commit makes it live, durably. CodeConflict says that nothing was changed; after any other error InPlaceOutcome knows.
	Commit(ctx context.Context) error

	// Close ends all our sessions, and with them whatever was not committed. It may be called again.
	Close() error
}
