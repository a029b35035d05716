// Package archive writes and reads a backup file: plain SQL in independent zstd frames, followed by a signed table
// of contents, so that standard tools restore it without us and nothing altered is ever restored by us.
//
// docs/format.md specifies the bytes. A Writer streams: it holds one frame's compressor and the table of contents,
// never the dump. A Reader opens anything that reads at an offset, and goes straight to one frame.
package archive

import (
	"crypto/ed25519"
	"encoding/json"
	"time"

	"github.com/safepoint-db/safepoint"
)

// Section is the part of the script a frame belongs to. They follow one another in this order in the file.
type Section string

const (
	PreData  Section = "pre-data"  // everything that must exist before rows
	Data     Section = "data"      // rows, sequence values, large objects
	PostData Section = "post-data" // indexes, constraints, triggers, and what depends on rows
)

// sectionRank is a section's place in the order, 0 for what is no section.
func sectionRank(s Section) int {
	switch s {
	case PreData:
		return 1
	case Data:
		return 2
	case PostData:
		return 3
	}
	return 0
}

// Limits of the format. docs/format.md says why.
const (
	MaxFrame  = 1<<31 - 1 // bytes of one frame, raw and compressed: callers slice what is bigger
	MaxFrames = 1 << 20
)

// SliceSize is the amount of SQL, in bytes, after which a caller ends a slice of a big table and begins the next.
const SliceSize = 64 << 20

// Header is what is known of the source when writing starts.
type Header struct {
	Engine           safepoint.Engine `json:"engine"`
	ServerVersion    string           `json:"server_version"`     // "15.18"
	ServerVersionNum int              `json:"server_version_num"` // 150018; SQLite: 3054001
	Database         string           `json:"database"`           // its own name
	Encoding         string           `json:"encoding"`           // "UTF8"
	Collate          string           `json:"collate,omitempty"`
	CType            string           `json:"ctype,omitempty"`
	LocaleProvider   string           `json:"locale_provider,omitempty"` // "libc", "icu", "builtin"
	Locale           string           `json:"locale,omitempty"`          // the ICU or builtin locale
	Tool             string           `json:"tool"`                      // "safepoint 0.1.0"
	CreatedAt        time.Time        `json:"created_at"`                // of the snapshot
	OrganizationID   string           `json:"organization_id,omitempty"`
	DatabaseID       string           `json:"database_id,omitempty"`
	OperationID      string           `json:"operation_id,omitempty"`
	Foreign          string           `json:"foreign,omitempty"`    // how the script was made, if not by Safepoint: "pg_dump 14.2, plain". Its statements are then of unknown origin
	Listed           *Listed          `json:"listed,omitempty"`     // how the backup is listed in the log; nil in older archives, and in those made without a server
	Properties       json.RawMessage  `json:"properties,omitempty"` // the engine's own: owner, grants, settings, comment, pragmas
}

// Listed is what the log of backups says of an archive, so that the log can be made anew from the archives alone.
// It tells nothing of the content, and nothing is decided by it.
type Listed struct {
	Name         string            `json:"name"`         // of the file, for people
	Organization string            `json:"organization"` // its name
	Database     string            `json:"database"`     // as it is called in Safepoint
	Trigger      safepoint.Trigger `json:"trigger"`
	CreatedAt    time.Time         `json:"created_at"`         // of the log's entry
	StartedAt    time.Time         `json:"started_at"`         // of the backup
	DueAt        time.Time         `json:"due_at,omitzero"`    // scheduled ones
	Schedule     string            `json:"schedule,omitempty"` // ID
	By           string            `json:"by,omitempty"`       // the name of who asked for it
	RestoreID    string            `json:"restore_id,omitempty"`
}

// Entry describes one frame.
type Entry struct {
	Section   Section  `json:"section"`
	Kind      string   `json:"kind"`              // "ddl" (statements), "copy" (one COPY block of PostgreSQL), "rows" (INSERTs), or the engine's own word
	Schema    string   `json:"schema,omitempty"`  // of the table, with "copy" and "rows"
	Table     string   `json:"table,omitempty"`   // likewise
	Columns   []string `json:"columns,omitempty"` // likewise
	Slice     int      `json:"slice,omitempty"`   // 0, 1, 2 … of one table, or of something else that an engine cuts
	Objects   []string `json:"objects,omitempty"` // "ddl": what it makes, for people and for inspect
	Rows      int64    `json:"rows,omitempty"`
	Offset    int64    `json:"offset"`     // of the frame in the file
	Length    int64    `json:"length"`     // compressed
	RawLength int64    `json:"raw_length"` // of SQL
	SHA256    Sum      `json:"sha256"`     // of the compressed frame
}

// Summary is what a finished archive amounts to.
type Summary struct {
	Size    int64  // bytes written
	RawSize int64  // bytes of SQL
	SHA256  string // hex, of the whole file
	Tables  int    // as Reader.Tables lists them
	Rows    int64  // of these
}

// Trust says whose signature an archive must carry.
type Trust struct {
	Keys     []ed25519.PublicKey // any of these
	Unsigned bool                // also accept no signature, or one by a key not in Keys: files of unknown origin, by an operator's own choice
}
