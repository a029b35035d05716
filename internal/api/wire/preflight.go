package wire

import "time"

// Preflight is what was asked and compared just now, within a few seconds.
type Preflight struct {
	At          time.Time        `json:"at,omitzero" doc:"When the backup's snapshot was taken; left out if nobody knows, as of a dump made elsewhere"`
	Answers     []ServiceAnswer  `json:"answers" nullable:"false" doc:"Of the services, in their order"`
	Versions    Versions         `json:"versions"`
	LiveSize    int64            `json:"live_size,omitempty" doc:"Bytes that the live database takes" example:"76235669504"`
	Rows        *TableComparison `json:"rows,omitempty" doc:"The backup against what is live, table by table; left out if nothing could be compared"`
	RowsUnknown string           `json:"rows_unknown,omitempty" doc:"Why not, for people" example:"The database took too long to say how many rows it has."`
	Passed      []string         `json:"passed" nullable:"false" doc:"Checks in which nothing stands in the way, for people"`
}

// Versions are what a restore works with. What is left out is not known.
type Versions struct {
	Backup string `json:"backup,omitempty" doc:"Of the server that the backup was made of" example:"17.6"`
	Server string `json:"server,omitempty" doc:"Of the live one" example:"17.6"`
	Tool   string `json:"tool,omitempty" doc:"The program that makes the safety backup, where the engine needs one" example:"pg_dump 17.6"`
}

// ServiceAnswer is what a service said when it was asked, for three seconds at most.
type ServiceAnswer struct {
	ID             string   `json:"id" example:"svc_k3jq7w2mfz5xv4na"`
	Name           string   `json:"name" example:"booking-web"`
	Kind           string   `json:"kind" example:"webhook"`
	TimeoutSeconds float64  `json:"timeout_seconds" doc:"How long halting it may take" example:"60"`
	Condition      string   `json:"condition" enum:"running,halted,down,failing,unknown" doc:"unknown: it did not answer"`
	Detail         string   `json:"detail,omitempty" doc:"Its own words"`
	Failure        *Failure `json:"failure,omitempty" doc:"Why it did not answer"`
	Meaning        string   `json:"meaning" doc:"What a restore will do about it, for people" example:"It answers, and will be halted and resumed."`
}

// TableComparison is a backup against what is live, and against the newest backup of the database where that is newer.
type TableComparison struct {
	Changes []TableChange `json:"changes" nullable:"false" doc:"What the restore would change: the greatest first, at most 20"`
	More    int           `json:"more,omitempty" doc:"How many further ones there are"`

	Vanishing int `json:"vanishing" doc:"Tables that are live and not in the backup: they would be gone"`
	Returning int `json:"returning" doc:"Tables that are in the backup and not live"`
	Differing int `json:"differing" doc:"Tables with other rows"`
	Same      int `json:"same" doc:"Tables that are the same as far as known: where rows are estimated, within 2 percent"`
	Unknown   int `json:"unknown" doc:"Tables of which it is not known how many rows are live"`

	BackupRows int64     `json:"backup_rows" doc:"In all tables of the backup" example:"41208553"`
	LiveRows   int64     `json:"live_rows" doc:"In all tables of which it is known" example:"41209793"`
	Exact      bool      `json:"exact" doc:"All live rows were counted, none estimated"`
	LiveKnown  bool      `json:"live_known" doc:"The database was asked just now"`
	NewestID   string    `json:"newest_id,omitempty" doc:"The newer backup" example:"op_k3jq7w2mfz5xv4na"`
	NewestAt   time.Time `json:"newest_at,omitzero" doc:"When its snapshot was taken"`
}

// TableChange is what a restore makes of one table. A count that is left out is not known, or the table is not there.
type TableChange struct {
	Name       string `json:"name" example:"app.orders"`
	Fate       string `json:"fate" enum:"vanishes,comes_back,rows,content,unknown" doc:"content: as many rows as in the newer backup, and others"`
	BackupRows *int64 `json:"backup_rows,omitempty" example:"1000"`
	NewestRows *int64 `json:"newest_rows,omitempty" doc:"In the newer backup"`
	LiveRows   *int64 `json:"live_rows,omitempty" example:"2240"`
	Exact      bool   `json:"exact,omitempty" doc:"The live rows were counted, not estimated"`
}
