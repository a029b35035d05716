package wire

import "time"

// Health is how the organization's databases and their storage have fared.
type Health struct {
	Days      int              `json:"days" doc:"How far back the totals go" enum:"30,90,365"`
	Databases []DatabaseHealth `json:"databases" nullable:"false"`
	Storage   StorageHealth    `json:"storage"`
}

// DatabaseHealth is how the backups of a database have fared.
type DatabaseHealth struct {
	DatabaseID   string      `json:"database_id" example:"db_k3jq7w2mfz5xv4na"`
	DatabaseName string      `json:"database_name" example:"harbor_prod"`
	ProvenID     string      `json:"proven_id,omitempty" doc:"The newest kept backup that was read again and found whole; left out: there is none" example:"op_k3jq7w2mfz5xv4na"`
	ProvenAt     time.Time   `json:"proven_at,omitzero" doc:"The moment it stands for"`
	VerifiedAt   time.Time   `json:"verified_at,omitzero" doc:"When it was read again"`
	Size         int64       `json:"size,omitempty" doc:"Of it, in bytes"`
	TookSeconds  float64     `json:"took_seconds,omitempty" doc:"To make it"`
	NextRun      time.Time   `json:"next_run,omitzero" doc:"Of the earliest active schedule"`
	Succeeded    int         `json:"succeeded" doc:"Runs of the last 30 days, today among them"`
	Failed       int         `json:"failed"`
	Missed       int         `json:"missed"`
	Runs         []HealthRun `json:"runs,omitempty" doc:"Of one database: of the days asked for, oldest first"`
}

// HealthRun is one backup, and what became of it.
type HealthRun struct {
	At          time.Time `json:"at"`
	Status      string    `json:"status" enum:"succeeded,failed,missed"`
	Size        int64     `json:"size,omitempty"`
	TookSeconds float64   `json:"took_seconds,omitempty"`
}

// StorageHealth is how much the organization's backups take, and how long there will be room.
type StorageHealth struct {
	Name        string     `json:"name"`
	SpaceFree   int64      `json:"space_free,omitempty"`
	SpaceTotal  int64      `json:"space_total,omitempty"`
	Bytes       int64      `json:"bytes" doc:"Of the organization's kept backups"`
	Totals      []DayTotal `json:"totals" nullable:"false" doc:"Of them at the end of each day, in UTC, oldest first"`
	Forecast    string     `json:"forecast" doc:"A straight line through the last 30 days of all backups in the storage, by least squares. unknown: fewer than 7 days were seen; steady: it does not grow; far: not full within ten years; full: at full_at" enum:"unknown,steady,far,full"`
	BytesPerDay int64      `json:"bytes_per_day" doc:"By which it grows"`
	FullAt      time.Time  `json:"full_at,omitzero"`
	Shared      bool       `json:"shared,omitempty" doc:"Other organizations' backups are in the storage too"`
}

// DayTotal is how much was kept at the end of a day.
type DayTotal struct {
	Day   string `json:"day" example:"2026-11-22"`
	Bytes int64  `json:"bytes"`
}
