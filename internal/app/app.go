// Package app is everything a user can do, one method each: authorise, validate, act, audit.
//
// Every method that takes an Actor checks organization and role first, in one place (authorize), and answers
// CodeNotFound for what belongs to another organization. The console, the API and the CLI are thin fronts of it.
package app

import (
	"time"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/catalog"
	"github.com/safepoint-db/safepoint/internal/engine"
	"github.com/safepoint-db/safepoint/internal/storage"
)

// Setup is what the first admin enters.
type Setup struct {
	Code, Email, Name, Password string
	Organization, TimeZone      string
}

// DatabaseInput is what a person enters for a database. URL, where given, fills the other connection fields
// ("postgres://user:password@host:port/name?sslmode=…" or "sqlite:///path"). Password nil keeps the stored one.
type DatabaseInput struct {
	Name, URL                string
	Engine                   safepoint.Engine
	Host, User, DBName, Path string
	Port                     int
	Password                 *string
	TLS                      safepoint.TLSMode
	CACert                   string
	Version                  int   // of the database being edited; 0 does not check
	InstantSwitch            *bool // nil keeps what is stored; for a new database it is no
}

// TestResult is what a test of a database found, in plain words.
type TestResult struct {
	OK       bool
	Info     engine.Info
	Findings []engine.Finding // what would stop or hamper a backup or a restore
	Failure  *safepoint.Failure
	Took     time.Duration
}

// ServiceInput is what a person enters for a service. Secret nil keeps the stored one; "" on a new webhook service
// has one made, which CreateService returns this once.
type ServiceInput struct {
	Name                          string
	Kind                          safepoint.ServiceKind
	HaltURL, ResumeURL, HealthURL string
	Host, User, DBName            string
	Port                          int
	Timeout                       time.Duration // 0 means 60 s
	Secret                        *string
	Version                       int
}

// ServiceTest is the outcome of halting and resuming a service now.
type ServiceTest struct {
	Halted, Resumed bool
	HaltTook        time.Duration
	ResumeTook      time.Duration
	Failure         *safepoint.Failure
}

// ScheduleInput is what a person enters for a schedule. DatabaseID and FirstRun count for a new one only.
type ScheduleInput struct {
	Name, Description string
	Interval          safepoint.Interval
	DatabaseID        string
	FirstRun          time.Time // the anchor; zero means now
	Version           int
}

// ScheduleCard is a schedule with what its card shows.
type ScheduleCard struct {
	safepoint.Schedule
	Database  safepoint.Database
	NextRun   time.Time             // zero while disabled
	LastGood  *safepoint.Operation  // newest succeeded backup of the schedule
	LastRun   *safepoint.Operation  // newest ended run
	Running   *safepoint.Operation  // queued or running now
	Runs      []safepoint.Operation // the last 30 days, oldest first; in a list only with IDs, status, times and size, and left out of the list of all
	OnlyOne   bool                  // the only active schedule of its database
	Backups   int                   // kept files of the database
	UpdatedBy string                // who changed it last, "" if nobody
	UpdatedAt time.Time

	// Of one disabled schedule, looked at by itself: what enabling it would do.
	AtOnce bool                 // a run is due at once, since there is no newer backup than its interval asks for
	Newest *safepoint.Operation // the newest backup of its database, nil if there is none
}

// RestorePreview is what a person sees before confirming a restore. It changes nothing.
type RestorePreview struct {
	Backup    safepoint.Operation
	Database  safepoint.Database
	At        time.Time           // of the backup's snapshot; zero: not known, as with a foreign dump that was uploaded
	Changes   time.Duration       // from the backup's snapshot to now: what will be replaced
	Services  []safepoint.Service // that will be halted, in order
	Findings  []engine.Finding    // blockers make Ready false
	Ready     bool
	Busy      *safepoint.Operation // what must finish first: a restore of the organization, or a run on the database
	Estimates map[safepoint.Step]time.Duration
	Mode      safepoint.RestoreMode                   // the one it has unless another is asked for; in place where nothing else is possible, and a finding says why
	Modes     []safepoint.RestoreMode                 // that may be asked for
	HaltTimes map[safepoint.RestoreMode]time.Duration // how long services are likely to be halted; what is not known is not there
	Space     storage.Space
	Confirm   string // the text to type: the database's name
	NeedsKey  bool   // the backup is encrypted, and Safepoint keeps none of its keys

	Answers     []ServiceAnswer // of Services, in their order
	Versions    Versions
	LiveSize    int64              // bytes of the live database, 0 if not known
	SafetySize  int64              // bytes that the safety backup may come to
	Rows        *Comparison        // the backup against what is live, nil if nothing can be compared
	RowsUnknown *safepoint.Error   // why not
	Passed      []safepoint.Phrase // checks in which nothing stands in the way, in sentences
	opened      bool               // the backup's table of contents was read
}

// RestoreInput is a restore over the live database, as a person confirms it.
type RestoreInput struct {
	Confirm string                // the database's name, typed
	Mode    safepoint.RestoreMode // "" is the database's own choice
	Keys    string                // the texts of identity files, for an encrypted backup whose key Safepoint does not keep
}

// NewDatabase is a restore into a database that is not there yet, beside the live one.
type NewDatabase struct {
	Name   string   // of a SQLite database: of its file, in the folder of the live one
	Tables []string // names or patterns; none means all
	Keys   string   // the texts of identity files, for an encrypted backup whose key Safepoint does not keep
}

// DeletePreview is what a person sees before confirming a delete.
type DeletePreview struct {
	Backup      safepoint.Operation
	Others      int       // other kept backups of the database
	Newest      time.Time // of the others
	WayBackOf   *safepoint.Operation
	NeedsTyping bool   // it is the last one
	Confirm     string // the text to type then
	InUseBy     *safepoint.Operation
}

// Overview is the facts bar of DB Backup.
type Overview struct {
	Newest, Oldest *safepoint.Operation
	Backups        int
	Bytes          int64
	StorageName    string
	Space          storage.Space
}

// Download is an open backup file. The caller closes it.
type Download struct {
	storage.File
	Name    string
	ModTime time.Time
	SHA256  string
}

// AuditFilter selects lines of the audit log, and AuditPage is one page of what it selects.
type (
	AuditFilter = catalog.AuditFilter
	AuditPage   = catalog.AuditPage
)

// MemberInput invites a person.
type MemberInput struct {
	Email, Name string
	Role        safepoint.Role
}
