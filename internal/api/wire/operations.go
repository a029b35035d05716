package wire

import (
	"time"

	"github.com/safepoint-db/safepoint"
)

// Schedule is a backup card.
type Schedule struct {
	ID           string     `json:"id" example:"sch_k3jq7w2mfz5xv4na"`
	Name         string     `json:"name" example:"Production database"`
	Description  string     `json:"description,omitempty"`
	IsActive     bool       `json:"is_active"`
	Interval     string     `json:"interval" doc:"Backup After Every" enum:"8h,12h,24h,3d,7d"`
	DatabaseID   string     `json:"database_id" example:"db_k3jq7w2mfz5xv4na"`
	DatabaseName string     `json:"database_name,omitempty" example:"harbor_prod"`
	Anchor       time.Time  `json:"anchor" doc:"Runs fall on anchor + n × interval"`
	NextRun      time.Time  `json:"next_run,omitzero" doc:"Left out while disabled"`
	CreatedAt    time.Time  `json:"created_at"`
	CreatedBy    string     `json:"created_by,omitempty" doc:"The name of who created it" example:"Rahel Odermatt"`
	DisabledAt   time.Time  `json:"disabled_at,omitzero"`
	DisabledBy   string     `json:"disabled_by,omitempty"`
	LastRun      *Operation `json:"last_run,omitempty" doc:"Newest ended run"`
	LastGood     *Operation `json:"last_good,omitempty" doc:"Newest run that succeeded"`
	Running      *Operation `json:"running,omitempty" doc:"The run that is queued or running now"`
	OnlyOne      bool       `json:"only_one,omitempty" doc:"The only active schedule of its database"`
	Version      int        `json:"version" doc:"Grows with each change"`
}

// FromSchedule is the schedule alone; the API adds what its card shows.
func FromSchedule(s safepoint.Schedule) Schedule {
	return Schedule{
		ID: s.ID, Name: s.Name, Description: s.Description, IsActive: s.IsActive, Interval: s.Interval.Slug(),
		DatabaseID: s.DatabaseID, Anchor: s.Anchor.UTC(), CreatedAt: s.CreatedAt.UTC(), CreatedBy: s.CreatedByName,
		DisabledAt: utc(s.DisabledAt), DisabledBy: s.DisabledByName, Version: s.Version,
	}
}

// ScheduleInput creates or changes a schedule.
type ScheduleInput struct {
	Name        string    `json:"name" minLength:"1" maxLength:"100" example:"Production database"`
	Description string    `json:"description,omitempty" maxLength:"2000"`
	Interval    string    `json:"interval" doc:"Backup After Every" enum:"8h,12h,24h,3d,7d"`
	DatabaseID  string    `json:"database_id,omitempty" doc:"For a new one only" example:"db_k3jq7w2mfz5xv4na"`
	FirstRun    time.Time `json:"first_run,omitzero" doc:"For a new one only: when the first run falls; left out: now"`
	Version     int       `json:"version,omitempty" doc:"Of the schedule being changed; 0 does not check"`
}

// Operation is one backup or one restore: a row of DB Logs.
type Operation struct {
	ID              string    `json:"id" example:"op_k3jq7w2mfz5xv4na"`
	Type            string    `json:"type" enum:"backup,restore"`
	Trigger         string    `json:"trigger" enum:"scheduled,manual,safety,upload,undo"`
	Status          string    `json:"status" enum:"queued,running,succeeded,failed,cancelled,missed"`
	Name            string    `json:"name,omitempty" doc:"A backup's file name" example:"harbor_prod-2026-11-21-2100.sql.zst"`
	DatabaseID      string    `json:"database_id" example:"db_k3jq7w2mfz5xv4na"`
	DatabaseName    string    `json:"database_name" doc:"As it was called then" example:"harbor_prod"`
	Engine          string    `json:"engine" enum:"postgres,sqlite"`
	ScheduleID      string    `json:"schedule_id,omitempty"`
	Upload          *Upload   `json:"upload,omitempty" doc:"Backups of trigger upload: where the file comes from"`
	DueAt           time.Time `json:"due_at,omitzero"`
	CreatedAt       time.Time `json:"created_at"`
	StartedAt       time.Time `json:"started_at,omitzero"`
	FinishedAt      time.Time `json:"finished_at,omitzero"`
	DurationSeconds float64   `json:"duration_seconds,omitempty" doc:"How long it ran, once it ended"`
	CreatedBy       string    `json:"created_by,omitempty" doc:"The name of who started it; left out: the scheduler" example:"Rahel Odermatt"`
	CancelAsked     bool      `json:"cancel_asked,omitempty"`
	Failure         *Failure  `json:"failure,omitempty" doc:"Why it failed, was cancelled or missed"`
	Progress        *Progress `json:"progress,omitempty" doc:"While it runs"`

	Size          int64     `json:"size,omitempty" doc:"Bytes of the file" example:"19756849152"`
	RawSize       int64     `json:"raw_size,omitempty" doc:"Bytes of SQL in it"`
	SHA256        string    `json:"sha256,omitempty" doc:"Of the file, in hex"`
	VerifiedAt    time.Time `json:"verified_at,omitzero" doc:"When it was re-read and found whole"`
	Tables        int       `json:"tables,omitempty"`
	Rows          int64     `json:"rows,omitempty"`
	ServerVersion string    `json:"server_version,omitempty" example:"15.18"`
	Recipients    []string  `json:"recipients,omitempty" doc:"The public keys of age that the file is encrypted for; left out: it is not encrypted"`
	RestoreID     string    `json:"restore_id,omitempty" doc:"Safety backups: the restore that made it"`
	DeletedAt     time.Time `json:"deleted_at,omitzero"`

	SourceID      string    `json:"source_id,omitempty" doc:"Restores: the backup restored; undo: the restore undone"`
	SourceName    string    `json:"source_name,omitempty"`
	SourceAt      time.Time `json:"source_at,omitzero" doc:"When the source's snapshot was taken"`
	Mode          string    `json:"mode,omitempty" enum:"guarded,instant,in_place" doc:"How the restore goes about it; left out: guarded"`
	SafetyID      string    `json:"safety_id,omitempty" doc:"The safety backup it made"`
	SafetyFailure *Failure  `json:"safety_failure,omitempty" doc:"Why the last try to make an instant restore's safety backup failed. It is tried again, and what was set aside is kept until it is made"`
	Step          string    `json:"step,omitempty" doc:"The step it is in, or failed in: check, stage, verify, halt, guard, switch, resume, clean" example:"stage"`
	Switched      bool      `json:"switched,omitempty" doc:"The live database is now the restored one"`
	HaltedAt      time.Time `json:"halted_at,omitzero" doc:"First service halted"`
	ResumedAt     time.Time `json:"resumed_at,omitzero" doc:"Last service resumed"`
	HaltSeconds   float64   `json:"halt_seconds,omitempty" doc:"From the first service halted to the last resumed; left out until then" example:"0.214"`
	Services      int       `json:"services,omitempty" doc:"How many services it halts"`
	UndoUntil     time.Time `json:"undo_until,omitzero" doc:"What was live before is kept until then; a restore that is no undo itself can be undone until then"`
	UndoneByID    string    `json:"undone_by_id,omitempty"`
	Attention     []string  `json:"attention,omitempty" doc:"Services that would not resume: a person must act"`
	NeedsOperator bool      `json:"needs_operator,omitempty" doc:"No safe next step could be chosen by the program"`
	NewName       string    `json:"new_name,omitempty" doc:"A restore into a new database: its name"`
	Only          []string  `json:"only,omitempty" doc:"With new_name: the tables that were chosen; without it all"`
}

// Ended says whether the operation is in a last state.
func (o Operation) Ended() bool { return safepoint.Status(o.Status).Ended() }

func FromOperation(o safepoint.Operation) Operation {
	w := Operation{
		ID: o.ID, Type: string(o.Type), Trigger: string(o.Trigger), Status: string(o.Status), Name: o.Name,
		DatabaseID: o.DatabaseID, DatabaseName: o.DatabaseName, Engine: string(o.Engine), ScheduleID: o.ScheduleID,
		DueAt: utc(o.DueAt), CreatedAt: o.CreatedAt.UTC(), StartedAt: utc(o.StartedAt), FinishedAt: utc(o.FinishedAt),
		CreatedBy: o.CreatedByName, CancelAsked: o.CancelAsked, Failure: FromFailure(o.Failure),
		Size: o.Size, RawSize: o.RawSize, SHA256: o.SHA256, VerifiedAt: utc(o.VerifiedAt), Tables: o.Tables, Rows: o.Rows,
		ServerVersion: o.ServerVersion, Recipients: o.Recipients, RestoreID: o.RestoreID, DeletedAt: utc(o.DeletedAt),
		SourceID: o.SourceID, SourceName: o.SourceName, SourceAt: utc(o.SourceAt), SafetyID: o.SafetyID, Step: o.Step.String(),
		Switched: o.Switched, HaltedAt: utc(o.HaltedAt), ResumedAt: utc(o.ResumedAt), Services: o.Services,
		UndoUntil: utc(o.UndoUntil), UndoneByID: o.UndoneByID, Attention: o.Attention, NeedsOperator: o.NeedsOperator,
		NewName: o.NewName, Only: o.Only, Mode: string(o.Mode), SafetyFailure: FromFailure(o.SafetyFailure), HaltSeconds: o.HaltTime().Seconds(),
	}
	if u := o.Upload; u != nil {
		w.Upload = &Upload{FileName: u.FileName, Size: u.Size, NoOwner: u.NoOwner, Origin: u.Origin}
	}
	if !o.FinishedAt.IsZero() {
		w.DurationSeconds = o.Duration(o.FinishedAt).Seconds()
	}
	if o.Status == safepoint.StatusRunning {
		w.Progress = FromProgress(o.Progress)
	}
	return w
}

// Upload is where an uploaded backup comes from.
type Upload struct {
	FileName string `json:"file_name,omitempty" example:"shop.dump"`
	Size     int64  `json:"size" doc:"Bytes that came"`
	NoOwner  bool   `json:"no_owner,omitempty" doc:"Owners and rights were left out"`
	Origin   string `json:"origin,omitempty" doc:"How it was made, if not by this Safepoint: its statements are then of unknown origin" example:"pg_dump 14.2, plain SQL in gzip"`
}

// FromOperationOrNil is nil for nil.
func FromOperationOrNil(o *safepoint.Operation) *Operation {
	if o == nil {
		return nil
	}
	w := FromOperation(*o)
	return &w
}

// Progress is how far an operation has got. What is not known is left out.
type Progress struct {
	Phase       string    `json:"phase,omitempty" doc:"dump or verify; for a restore the name of its step" example:"dump"`
	Table       string    `json:"table,omitempty" example:"public.orders"`
	Tables      int       `json:"tables"`
	TablesOf    int       `json:"tables_of,omitempty"`
	Bytes       int64     `json:"bytes" doc:"Of SQL"`
	BytesOf     int64     `json:"bytes_of,omitempty" doc:"Estimated"`
	Percent     int       `json:"percent" minimum:"0" maximum:"100" doc:"Never goes back"`
	Rate        int64     `json:"rate,omitempty" doc:"Bytes per second, over the last seconds"`
	SecondsLeft int64     `json:"seconds_left,omitempty"`
	At          time.Time `json:"at,omitzero"`
}

func FromProgress(p safepoint.Progress) *Progress {
	return &Progress{
		Phase: p.Phase, Table: p.Table, Tables: p.Tables, TablesOf: p.TablesOf, Bytes: p.Bytes, BytesOf: p.BytesOf,
		Percent: p.Percent, Rate: p.Rate, SecondsLeft: p.SecondsETA, At: utc(p.At),
	}
}

// SchedulePage is one page of the schedules, active ones first, then by name.
type SchedulePage struct {
	Items []Schedule `json:"items" nullable:"false"`
	Next  string     `json:"next,omitempty" doc:"Cursor of the page after this one"`
	Total int        `json:"total" doc:"Schedules that match the filter"`
	All   int        `json:"all" doc:"Schedules of the organization"`
}

// OperationPage is one page of DB Logs, newest first.
type OperationPage struct {
	Items    []Operation `json:"items" nullable:"false"`
	Next     string      `json:"next,omitempty" doc:"Cursor of the older page"`
	Previous string      `json:"previous,omitempty" doc:"Cursor of the newer page"`
	Total    int         `json:"total" doc:"Entries that match the filter; of those that match a text, 1,000 at most are counted"`
	More     bool        `json:"more,omitempty" doc:"More entries match than total says"`
	All      int         `json:"all" doc:"Entries of the organization"`
}

// JournalEntry is one line of a restore's journal.
type JournalEntry struct {
	Seq     int       `json:"seq"`
	At      time.Time `json:"at"`
	Step    string    `json:"step" example:"switch"`
	Event   string    `json:"event" doc:"intent, done, failed, probe or note" example:"done"`
	Kind    string    `json:"kind,omitempty" doc:"What a note tells programs: halted, idle (was not running, so it is left as it is), resumed, of a service; or recovering"`
	Service string    `json:"service_id,omitempty" doc:"The service that kind is about"`
	Detail  string    `json:"detail,omitempty"`
}

func FromJournalEntry(e safepoint.JournalEntry) JournalEntry {
	return JournalEntry{Seq: e.Seq, At: e.At.UTC(), Step: e.Step.String(), Event: e.Event, Kind: string(e.Kind), Service: e.ServiceID, Detail: e.Detail}
}

// RestorePreview is what a person should see before confirming a restore. Asking for it changes nothing.
type RestorePreview struct {
	Ready           bool             `json:"ready" doc:"The restore can start now"`
	Confirm         string           `json:"confirm" doc:"What the restore asks to be repeated: the database's name" example:"harbor_prod"`
	Backup          Operation        `json:"backup"`
	Database        Database         `json:"database"`
	ChangesSeconds  float64          `json:"changes_seconds" doc:"From the backup's snapshot to now: what will be replaced"`
	Services        []Service        `json:"services" nullable:"false" doc:"Will be halted, in this order"`
	Findings        []Finding        `json:"findings" nullable:"false" doc:"A blocker makes ready false"`
	Busy            *Operation       `json:"busy,omitempty" doc:"What must finish first"`
	EstimateSeconds map[string]int64 `json:"estimate_seconds,omitempty" doc:"By step, where earlier runs tell"`

	Mode        string             `json:"mode" doc:"What the restore does unless it is asked otherwise" example:"guarded"`
	Modes       []string           `json:"modes" nullable:"false" doc:"What it may be asked for"`
	HaltSeconds map[string]float64 `json:"halt_seconds,omitempty" doc:"By mode, how long services are likely to be halted, where earlier restores or backups tell"`

	NeedsKey   bool  `json:"needs_key,omitempty" doc:"The backup is encrypted and Safepoint keeps none of its keys: the restore needs identity"`
	SpaceFree  int64 `json:"space_free,omitempty" doc:"Bytes free where backups are stored"`
	SafetySize int64 `json:"safety_size,omitempty" doc:"Bytes that the safety backup may come to: those of the newest backup"`

	Preflight
}

// Table is one table in a backup.
type Table struct {
	Name    string `json:"name" doc:"As it is chosen" example:"app.orders"`
	Rows    int64  `json:"rows"`
	Size    int64  `json:"size" doc:"Bytes of the file that hold its rows"`
	RawSize int64  `json:"raw_size" doc:"Bytes of SQL"`
}

// TableChoice says which tables of a backup are wanted, and what of them.
type TableChoice struct {
	Tables       []string `json:"tables" nullable:"false" minItems:"1" maxItems:"10000" doc:"Names or patterns" example:"[\"app.orders\"]"`
	SchemaOnly   bool     `json:"schema_only,omitempty" doc:"Definitions without rows"`
	DataOnly     bool     `json:"data_only,omitempty" doc:"Rows without definitions"`
	NoOwner      bool     `json:"no_owner,omitempty" doc:"Leave the tables to whoever loads them"`
	NoPrivileges bool     `json:"no_privileges,omitempty" doc:"Leave grants out"`
	Triggers     bool     `json:"triggers,omitempty" doc:"Also triggers whose functions nothing else needs"`
}

// NewDatabase is a restore into a database that is not there yet.
type NewDatabase struct {
	Name   string   `json:"name" doc:"Of the new database, on the same server; of a SQLite database, of its file in the same folder" example:"harbor_march"`
	Tables []string `json:"tables,omitempty" maxItems:"10000" doc:"Names or patterns; without it all"`

	Identity string `json:"identity,omitempty" maxLength:"65536" format:"password" writeOnly:"true" doc:"For an encrypted backup whose key the server does not keep, as for a restore"`
}

// RestoreInput confirms a restore.
type RestoreInput struct {
	Confirm  string `json:"confirm" doc:"The database's name, exactly" example:"harbor_prod"`
	Mode     string `json:"mode,omitempty" enum:"guarded,instant" doc:"guarded: the safety backup is made while services are halted. instant: the switch comes at once, and the safety backup is made of the set-aside database after services have resumed. Left out: the database's own choice"`
	Identity string `json:"identity,omitempty" maxLength:"65536" format:"password" writeOnly:"true" doc:"For an encrypted backup: the key of one of its recipients, as an identity file of age holds it. It is used for this restore and stored nowhere"`
}
