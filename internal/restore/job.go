package restore

import (
	"context"
	"io"
	"log/slog"
	"time"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/archive"
	"github.com/safepoint-db/safepoint/internal/engine"
	"github.com/safepoint-db/safepoint/internal/halt"
)

// Service is one service to halt, in the order of Job.Services.
type Service struct {
	ID     string
	Name   string
	Halter halt.Halter
}

// Ledger is where a restore writes what it is about to do and what it did. Each method is durable when it returns.
type Ledger interface {
	Append(ctx context.Context, entries ...safepoint.JournalEntry) error // all of them or none
	Entries(ctx context.Context) ([]safepoint.JournalEntry, error)
	// Save stores the operation's row, for people to follow. It fails if this process was overtaken by another.
	Save(ctx context.Context, op safepoint.Operation) error
	// CancelAsked says whether a person's cancel was accepted. None is any more once a row of step switch is saved.
	CancelAsked(ctx context.Context) (bool, error)
	// SetHalted and ClearHalted keep the organization's state.
	SetHalted(ctx context.Context, op safepoint.Operation, until time.Time) error
	ClearHalted(ctx context.Context, op safepoint.Operation) error
}

// Job is one restore, as values.
type Job struct {
	Operation    safepoint.Operation
	Organization safepoint.Organization
	Engine       engine.Engine
	Target       engine.Target
	Services     []Service
	Ledger       Ledger

	// Source opens the archive to restore. An undo has none.
	Source func(ctx context.Context) (*archive.Reader, io.Closer, error)
	// Guard makes, stores, re-reads and lists the safety backup out of what dump writes, and returns its ID.
	Guard func(ctx context.Context, dump DumpFunc) (safetyID string, err error)
	// Room fails if the storage has no room for the safety backup. It is asked before anything is halted. nil asks nobody.
	Room func(ctx context.Context) error
	// NewName makes it a restore into a new database of that name, beside the live one, which is not touched. The
	// engine must be an engine.Founder. Services, Guard and Room are not used.
	NewName string
	// Undo is the plan of the restore to take back; only an undo has one.
	Undo *engine.Plan

	Log    *slog.Logger // gets the cause of a failure, which no user sees; nil: none
	Report func(safepoint.Progress)
	Now    func() time.Time // nil means time.Now
	// Stopping says that the server wants to stop. What cannot be finished then is left to the next start.
	Stopping func() bool
	// Lost says that another process has taken the operation over. From then on nothing more is done to anything.
	Lost func() bool
	// Patience is how long a service that will not resume is tried before a person is asked, and a server that does not
	// answer before the rest is left to Recover. 0 means 1 minute.
	Patience time.Duration
}

// DumpFunc is the shape of engine.Gate.Dump.
type DumpFunc = func(ctx context.Context, w *archive.Writer, opt engine.DumpOptions) error
