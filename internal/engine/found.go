package engine

import "context"

// Founder is an engine that can turn a staged database into one of its own, beside the live one, which is not touched:
// the last step of a restore into a new database. A name is the database's own on the live one's server; of a SQLite
// file, the new file's name in the live one's folder.
type Founder interface {
	// CanFound refuses a name that cannot be given, with CodeInvalid, or that is taken, with CodeConflict.
	CanFound(ctx context.Context, t Target, name string) error

	// Found gives staging the name, in one atomic step, with the live database's owner, grants and settings.
	// CodeConflict says that nothing was changed. After any other error Founded says what holds.
	Found(ctx context.Context, t Target, p Plan, name string) error

	// Founded says whether staging has got the name, and ends what a crash left of a Found that took place. A Found whose
	// answer was lost may still be on its way to the server: once DropStaging has returned nil it never takes place; where
	// it was quicker, DropStaging returns CodeNeedsOperator, drops nothing, and Founded says so.
	Founded(ctx context.Context, t Target, p Plan, name string) (bool, error)
}
