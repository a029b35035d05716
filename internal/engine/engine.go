// Package engine is the contract with one family of databases: look at one, dump it, build a copy beside it,
// and put that copy in its place in one step that can be taken back.
//
// Package enginetest holds the behaviour every engine must show, and runs it against a real server.
package engine

import (
	"context"
	"encoding/json"
	"time"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/archive"
)

// Target is one database and how to reach it. It holds a secret: never log it, never put it into an error.
type Target struct {
	Engine   safepoint.Engine
	Host     string
	Port     int
	User     string
	Password string
	Name     string // the database's own name, never interpreted
	TLS      safepoint.TLSMode
	CACert   string // PEM
	Path     string // SQLite
}

// Info is what stands at a target.
type Info struct {
	ServerVersion    string // "15.18"
	ServerVersionNum int
	ServerID         string // what tells this server from any other: PostgreSQL's system identifier; "" for SQLite
	DatabaseID       string // what tells this database from one of the same name: its OID; SQLite: device and inode
	Size             int64  // bytes on the server's disk
	DiskFree         int64  // bytes that can still be written to that disk; see DiskTotal
	DiskTotal        int64  // bytes it holds; 0 where the engine cannot know
	Tables           int
	Encoding         string
	Empty            bool   // holds nothing that a user made
	Tool             string // the dump program that will be used and its version; "" where the engine needs none
}

// Finding is one thing a preflight saw. A Blocker stops the restore before anything is changed.
type Finding struct {
	Blocker bool
	Live    bool // a blocker that is in the live database alone: a new one beside it can still be made
	InPlace bool // no blocker: no copy can be built beside the live database, so the restore is done inside it (see InPlacer)
	Code    safepoint.Code
	Message string
	Hint    string

	Said, Advised safepoint.Phrase // how Message and Hint were made, where that is known
}

// Found makes a finding of what e says.
func Found(e *safepoint.Error) Finding {
	return Finding{Code: e.Code, Message: e.Message, Hint: e.Hint, Said: e.Said, Advised: e.Advised}
}

// Failed is the error that f is about.
func (f Finding) Failed() *safepoint.Error {
	return &safepoint.Error{Code: f.Code, Message: f.Message, Hint: f.Hint, Said: f.Said, Advised: f.Advised}
}

// Names of what one restore makes, derived from the operation's ID so that they can be found without a catalog.
// They hold ASCII letters, digits and "_" only and are under 63 bytes.
func StagingName(operationID string) string { return "safepoint_" + operationID + "_staging" }

// ByHand begins the operation's ID of a load that no restore is behind.
const ByHand = "cli"

// AsideName is the name of the set-aside database. See StagingName.
func AsideName(operationID string) string { return "safepoint_" + operationID + "_aside" }

// Plan is what an engine must remember of one restore between its steps. The journal keeps it as JSON from before
// the first step that changes anything; recovery in a new process gets exactly the Plan last returned.
// Identities decide, names do not: an object is only touched where server, identity and marker all agree.
type Plan struct {
	OperationID string `json:"operation_id"`
	ServerID    string `json:"server_id"`  // Info.ServerID when the restore began
	LiveID      string `json:"live_id"`    // identity of the live database when the restore began
	StagingID   string `json:"staging_id"` // identity of staging, once it is made
	StagingName string `json:"staging_name"`
	AsideName   string `json:"aside_name"`
	// Engine is the engine's own: properties of the live database captured before the gate, digests, paths.
	Engine json.RawMessage `json:"engine,omitempty"`
}

// Position is where the switch stands, found by identity.
type Position string

const (
	Before Position = "before" // the live name is held by the original database
	After  Position = "after"  // the live name is held by the restored one
	// Neither holds the live name: somebody renamed or dropped the one that did. But the switch, and its way back, move
	// both databases in one step, so where the other one stands tells on which side of it they are.
	BeforeAstray Position = "before, astray" // staging is where it was made
	AfterAstray  Position = "after, astray"  // the original is set aside
	Unknown      Position = "unknown"        // neither can be told: a person must look. Nothing may be dropped
)

// Progress is reported by long steps. A zero Of means not known.
type Progress struct {
	Table            string
	Tables, TablesOf int
	Bytes            int64 // of SQL, or of rows
}

// Report receives progress, from one goroutine, often; it must be quick. It may be nil.
type Report func(Progress)

// DumpOptions are what a dump may be told.
type DumpOptions struct {
	Report Report
	Now    func() time.Time // nil means time.Now
}

// LoadOptions are what a load may be told.
type LoadOptions struct {
	Report Report
	Plan   *Plan // of the restore that this load is a step of; nil for a load by hand

	// AllowOlderServer loads a backup of a newer server's database as far as the older one understands it. Without it
	// such a load is CodeVersion, before anything is changed.
	AllowOlderServer bool

	// Properties gives the target also what hung on the database as a whole: settings, grants, comment, owner, as far
	// as this server has the roles and the user the right; Note, nil or not, is told what was left out, in plain words.
	Properties bool
	Note       func(string)
}

// UnknownOrigin says what an operator lets files of unknown origin do: foreign ones, and those that no known key signed. They
// are executed with few rights, within limits, and refused where these do not do. Zero fields take the defaults.
type UnknownOrigin struct {
	Trusted    bool          // the operator vouches for the file: it is treated as one of ours
	Owner      string        // the role that is to own what the file gives to no fit role; "" is the database's owner
	Extensions []string      // that may be made for it, besides those that the server lets anyone make
	MaxTime    time.Duration // a load may take; 0 is DefaultMaxTime
	MaxDisk    int64         // bytes that the database may come to; 0 is DefaultMaxDisk and 20 times the file's SQL
}

// Defaults of UnknownOrigin.
const (
	DefaultMaxTime = 24 * time.Hour
	DefaultMaxDisk = 4 << 30
)

// Engine is one database family. Methods are safe for concurrent use on different targets. Each honours ctx, has its
// own limits on waiting for a lock or an answer, and returns *safepoint.Error for everything a person can act on:
// CodeName, CodeRefused, CodeUnreachable, CodePassword, CodeTLS, CodePrivilege, CodeVersion, CodeTool, CodeSpace,
// CodeBlocked, CodeArchive. Methods that take a Plan are idempotent: after a crash they are called again.
type Engine interface {
	// Inspect connects and looks. It changes nothing.
	Inspect(ctx context.Context, t Target) (Info, error)

	// CanDump and CanRestore say in words what stands in the way, and change nothing that stays. CanRestore
	// checks the archive against the server: engine, version, encoding and locale, roles, extensions, free disk,
	// privileges to create and rename, prepared transactions, replication slots, subscriptions. "Test" on a
	// database runs CanDump and, with a nil reader, CanRestore.
	CanDump(ctx context.Context, t Target) ([]Finding, error)
	CanRestore(ctx context.Context, t Target, r *archive.Reader) ([]Finding, error)

	// Dump writes the whole database at one moment into w: frames, header and fingerprint; the caller closes w.
	// It fails, naming the table, rather than leave anything out.
	Dump(ctx context.Context, t Target, w *archive.Writer, opt DumpOptions) error

	// Load executes an archive that was verified whole in a target that is empty, as one database role, and
	// fails at the first statement that does. Digest then recomputes the target's fingerprint.
	Load(ctx context.Context, t Target, r *archive.Reader, opt LoadOptions) error
	Digest(ctx context.Context, t Target, report Report) (archive.Fingerprint, error)

	// Prepare records identities and names. It changes nothing.
	Prepare(ctx context.Context, t Target, operationID string) (Plan, error)

	// Stage makes the empty staging database, with the archive's encoding and locale and a marker that names the
	// operation, and returns the plan with StagingID. An earlier staging of the same plan is dropped first.
	Stage(ctx context.Context, t Target, p Plan, h archive.Header) (Plan, error)

	// StagingTarget is where to Load and Digest.
	StagingTarget(t Target, p Plan) Target

	// Gate closes the live database to everyone else: captures into the returned plan what Open must put back,
	// calls save with it (the journal: nothing is closed unless save returns nil), opens the sessions the dump
	// will need, lets no new ones in and ends all others. From its return until Close no row of the live database
	// changes.
	Gate(ctx context.Context, t Target, p Plan, save func(Plan) error) (Gate, error)

	// Open lets everyone in again, on whichever database holds the live name, and on the original wherever it is by now.
	// Safe to call if Gate never ran. A switch, or a switch back, whose answer was lost may still be on its way to the server: once Open has returned
	// it has either taken place or never will.
	Open(ctx context.Context, t Target, p Plan) error

	// Probe says where the switch stands. It changes nothing. After an Open its answer is final.
	Probe(ctx context.Context, t Target, p Plan) (Position, error)

	// SwitchBack puts the set-aside database back under the live name in one atomic step, with its own owner,
	// grants, settings, comment and limits; the restored one becomes staging again and keeps its data. The
	// database is left open. Probe then says Before.
	SwitchBack(ctx context.Context, t Target, p Plan) error

	// DropStaging and DropAside destroy what the plan made, after checking server, identity, name and marker;
	// where these do not agree they drop nothing and return CodeNeedsOperator. What is gone already is success.
	DropStaging(ctx context.Context, t Target, p Plan) error
	DropAside(ctx context.Context, t Target, p Plan) error

	// Leftovers lists names of staging and set-aside databases on the target's server, and of logins made to load one,
	// whoever made them.
	Leftovers(ctx context.Context, t Target) ([]string, error)
}

// Gate is a live database held shut, with our own sessions inside.
type Gate interface {
	// Dump is Engine.Dump through the gate's own sessions.
	Dump(ctx context.Context, w *archive.Writer, opt DumpOptions) error

	// Switch makes staging live in one atomic step: the live database becomes the set-aside one, staging takes
	// its name, owner, grants, settings, comment and limits and is open to all. It refuses with CodeConflict,
	// changing nothing, if an identity is not the plan's or if a row changed since Gate returned. An error that
	// is not CodeConflict leaves the outcome to Probe.
	Switch(ctx context.Context) error

	// Close ends our own sessions. It does not open the database: Engine.Open does.
	Close() error
}
