package safepoint

import "time"

// OperationType is what DB Logs calls Type.
type OperationType string

const (
	TypeBackup  OperationType = "backup"
	TypeRestore OperationType = "restore"
)

// Trigger is what started an operation.
type Trigger string

const (
	TriggerScheduled Trigger = "scheduled"
	TriggerManual    Trigger = "manual"
	TriggerSafety    Trigger = "safety" // a backup made by a restore of what it is about to replace
	TriggerUpload    Trigger = "upload"
	TriggerUndo      Trigger = "undo" // a restore that puts the set-aside database back
)

// Status is where an operation stands. docs/architecture.md draws the transitions.
type Status string

const (
	StatusQueued    Status = "queued"
	StatusRunning   Status = "running"
	StatusSucceeded Status = "succeeded"
	StatusFailed    Status = "failed"
	StatusCancelled Status = "cancelled"
	StatusMissed    Status = "missed" // came due while nothing could run it
)

// Ended says whether s is a last state.
func (s Status) Ended() bool { return s != StatusQueued && s != StatusRunning }

// Operation is one backup or one restore: a row of DB Logs, and the durable job that carries it out.
type Operation struct {
	ID             string
	OrganizationID string
	DatabaseID     string
	DatabaseName   string // as it was called then
	Engine         Engine
	Type           OperationType
	Trigger        Trigger
	Status         Status
	Name           string // a backup's file name; "NAME restored" for a restore
	ScheduleID     string // scheduled runs only
	DueAt          time.Time
	CreatedAt      time.Time
	StartedAt      time.Time
	FinishedAt     time.Time
	CreatedBy      string // "" for the scheduler
	CreatedByName  string
	Failure        *Failure // failed, cancelled and missed
	CancelAsked    bool
	Progress       Progress // while running

	// A backup's file.
	StorageKey    string
	Size          int64 // bytes stored
	RawSize       int64 // bytes of SQL
	SHA256        string
	VerifiedAt    time.Time // re-read and found whole
	Tables        int
	Rows          int64
	ServerVersion string
	Recipients    []string // public keys of age the file is encrypted for; none: it is not encrypted

	// A restore.
	SourceID      string // the backup restored; for an undo, the restore undone
	SourceName    string
	SourceAt      time.Time // when the source backup's snapshot was taken
	Mode          RestoreMode
	SafetyID      string    // the safety backup it made
	SafetyFailure *Failure  // why an instant restore's last try to make it failed; nil once it is made
	Step          Step      // the step it is in, or failed in
	Switched      bool      // the live database is now the restored one
	HaltedAt      time.Time // first service halted
	ResumedAt     time.Time // last service resumed
	Services      int       // how many services it halts
	UndoUntil     time.Time // until when what was live before is kept; zero: it is gone. Only a restore that is no undo can be undone
	UndoneByID    string    // the undo that went back
	Attention     []string  // services that would not resume, by name; a person must act
	NeedsOperator bool      // no safe next step could be chosen
	NewName       string    // a restore into a new database: its name. "" replaces the live one
	Only          []string  // with NewName: the tables chosen, by name or pattern; nil is all

	RestoreID string  // safety backups: the restore that made it
	Upload    *Upload // backups of trigger upload
	DeletedAt time.Time
}

// RestoreMode is how a restore that replaces a live database goes about it. "" is RestoreGuarded.
type RestoreMode string

const (
	RestoreGuarded RestoreMode = "guarded"  // the safety backup is made while services are halted, before the switch
	RestoreInstant RestoreMode = "instant"  // the switch follows the halt at once; the safety backup is made of the set-aside database after it
	RestoreInPlace RestoreMode = "in_place" // one transaction inside the live database, for a role that may not create another
)

// Action is what the operation is called in the audit log.
func (o Operation) Action() string {
	switch o.Trigger {
	case TriggerUndo:
		return "undo"
	case TriggerUpload:
		return "upload"
	}
	return string(o.Type)
}

// Unguarded says that what an instant restore replaced has no safety backup yet: the set-aside database is the only copy,
// and must not be dropped.
func (o Operation) Unguarded() bool {
	return o.Type == TypeRestore && o.Trigger != TriggerUndo && o.Mode == RestoreInstant && o.Switched && o.SafetyID == "" &&
		o.UndoneByID == "" && !o.UndoUntil.IsZero()
}

// CanYield says that a restore that still runs does nothing any more but make the safety backup of what it set aside: an
// undo may end it.
func (o Operation) CanYield() bool {
	return o.Status == StatusRunning && o.Unguarded() && !o.ResumedAt.IsZero()
}

// HaltTime is how long services were halted: from the first that was halted to the last that resumed. 0 while that is not over.
func (o Operation) HaltTime() time.Duration {
	if o.HaltedAt.IsZero() || o.ResumedAt.IsZero() {
		return 0
	}
	return o.ResumedAt.Sub(o.HaltedAt)
}

// Upload is where an uploaded backup comes from.
type Upload struct {
	FileName string `json:"file_name"` // as it was called where it came from
	Size     int64  `json:"size"`      // bytes that came
	NoOwner  bool   `json:"no_owner,omitempty"`
	Origin   string `json:"origin,omitempty"` // how it was made, if not here: "pg_dump 14.2, plain SQL in gzip"
}

// Failure is why an operation did not succeed, as a person reads it.
type Failure struct {
	Code    Code   `json:"code"`
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`

	Said    Phrase `json:"said,omitzero"` // how Message was made, and Hint
	Advised Phrase `json:"advised,omitzero"`
}

// Duration is how long the operation ran, up to now while it still does.
func (o Operation) Duration(now time.Time) time.Duration {
	switch {
	case o.StartedAt.IsZero():
		return 0
	case o.FinishedAt.IsZero():
		return now.Sub(o.StartedAt)
	}
	return o.FinishedAt.Sub(o.StartedAt)
}

// Progress is how far an operation has got. A zero total means it is not known: nothing is invented.
type Progress struct {
	Phase      string    `json:"phase"` // "dump", "verify"; for a restore the name of its step
	Table      string    `json:"table,omitempty"`
	Tables     int       `json:"tables"`
	TablesOf   int       `json:"tables_of"`
	Bytes      int64     `json:"bytes"`    // of SQL
	BytesOf    int64     `json:"bytes_of"` // estimated
	Percent    int       `json:"percent"`  // never goes back
	Rate       int64     `json:"rate"`     // bytes per second, over the last seconds
	SecondsETA int64     `json:"seconds_left"`
	At         time.Time `json:"at"`
}

// Step is one of the eight steps of a restore, in their order.
type Step int

const (
	StepNone Step = iota
	StepCheck
	StepStage
	StepVerify
	StepHalt
	StepGuard
	StepSwitch
	StepResume
	StepClean
)

// Steps are the eight, in order.
var Steps = []Step{StepCheck, StepStage, StepVerify, StepHalt, StepGuard, StepSwitch, StepResume, StepClean}

// String is the step's name in the API and the journal.
func (s Step) String() string {
	return [...]string{"", "check", "stage", "verify", "halt", "guard", "switch", "resume", "clean"}[s]
}

// JournalEntry is one line of a restore's journal: an intention before a step, or its outcome after it.
type JournalEntry struct {
	Seq         int
	OperationID string
	At          time.Time
	Step        Step
	Event       string // "intent", "done", "failed", "probe", "note"
	Kind        JournalKind
	ServiceID   string // that Kind is about, "" for none
	Detail      string // for people
	State       []byte // JSON, for recovery: everything that is needed to undo the step
}

// JournalKind is what a note of a journal tells programs; "" is a note for people only.
type JournalKind string

const (
	JournalHalted     JournalKind = "halted"     // a service was halted
	JournalIdle       JournalKind = "idle"       // a service was not running: it is left as it is
	JournalResumed    JournalKind = "resumed"    // a service runs again
	JournalRecovering JournalKind = "recovering" // a process takes up what another left running
)

// OperationFilter selects rows of DB Logs. Zero fields select everything.
type OperationFilter struct {
	Type       OperationType
	Status     Status
	DatabaseID string
	ScheduleID string
	Text       string // part of the name
	From, To   time.Time
	Cursor     string // from a previous page; "" is the first
	Limit      int    // 0 means 50; 200 at most
}

// OperationPage is one page of DB Logs, newest first.
type OperationPage struct {
	Operations []Operation
	Next       string // cursor of the older page, "" at the end
	Previous   string // cursor of the newer page, "" at the start
	Total      int    // rows that match the filter
	More       bool   // there are more than Total: of a search by text, only the newest matches are counted
	All        int    // rows of the organization without a filter
	Offset     int    // rows of the filter before this page, -1 where they were not counted
}
