// Package archive writes and reads a backup file: plain SQL in independent zstd frames, followed by a signed table
// of contents, so that standard tools restore it without us and nothing altered is ever restored by us.
//
// docs/format.md specifies the bytes. A Writer streams: it holds one frame's compressor and the table of contents,
// never the dump. A Reader opens anything that reads at an offset, and goes straight to one frame.
package archive

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"io"
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
	Properties       json.RawMessage  `json:"properties,omitempty"` // the engine's own: owner, grants, settings, comment, pragmas
}

// Entry describes one frame.
type Entry struct {
	Section   Section  `json:"section"`
	Kind      string   `json:"kind"`              // "ddl" (statements), "copy" (one COPY block of PostgreSQL), "rows" (INSERTs), or the engine's own word
	Schema    string   `json:"schema,omitempty"`  // of the table, with "copy" and "rows"
	Table     string   `json:"table,omitempty"`   // likewise
	Columns   []string `json:"columns,omitempty"` // likewise
	Slice     int      `json:"slice,omitempty"`   // 0, 1, 2 … of one table
	Objects   []string `json:"objects,omitempty"` // "ddl": what it makes, for people and for inspect
	Rows      int64    `json:"rows,omitempty"`
	Offset    int64    `json:"offset"`     // of the frame in the file
	Length    int64    `json:"length"`     // compressed
	RawLength int64    `json:"raw_length"` // of SQL
	SHA256    string   `json:"sha256"`     // hex, of the compressed frame
}

// Digest sums up a table's rows whatever their order: how many, and the sum of their hashes.
type Digest struct {
	Rows int64  `json:"rows"`
	Hash string `json:"hash"` // 32 hex digits: the 128-bit XXH3 of every row, added modulo 2^128
}

// Fingerprint holds a Digest per table, keyed by the engine's quoted name such as `"public"."orders"`.
type Fingerprint map[string]Digest

// Summary is what a finished archive amounts to.
type Summary struct {
	Size    int64  // bytes written
	RawSize int64  // bytes of SQL
	SHA256  string // hex, of the whole file
	Tables  int
	Rows    int64
}

// Trust says whose signature an archive must carry.
type Trust struct {
	Keys     []ed25519.PublicKey // any of these
	Unsigned bool                // also accept no signature, or one by a key not in Keys: files of unknown origin, by an operator's own choice
}

// NewWriter starts an archive on dst. A nil key leaves it unsigned. The first error sticks.
func NewWriter(dst io.Writer, h Header, key ed25519.PrivateKey) *Writer {
	panic("archive: not written yet")
}

// Writer writes one archive, frame after frame.
type Writer struct{}

// Frame starts the next frame, described by e (its Offset, Length, RawLength, SHA256 are filled in by Close).
// What is written to it must be whole statements. One frame is open at a time.
func (w *Writer) Frame(e Entry) (*FrameWriter, error) { panic("archive: not written yet") }

// SetHeader replaces what NewWriter was given, for what is only known later. It may be called until Close.
func (w *Writer) SetHeader(h Header) { panic("archive: not written yet") }

// Header is what NewWriter or SetHeader was given.
func (w *Writer) Header() Header { panic("archive: not written yet") }

// SetFingerprint records the source's fingerprint. It may be called until Close.
func (w *Writer) SetFingerprint(f Fingerprint) { panic("archive: not written yet") }

// Close writes the table of contents and the seek table. It does not close dst.
// An archive whose Close was not called, or failed, is not an archive: no reader opens it.
func (w *Writer) Close() (Summary, error) { panic("archive: not written yet") }

// FrameWriter takes the SQL of one frame.
type FrameWriter struct {
	Rows int64 // to be counted by the caller before Close
}

func (f *FrameWriter) Write(p []byte) (int, error) { panic("archive: not written yet") }

// Close ends the frame.
func (f *FrameWriter) Close() error { panic("archive: not written yet") }

// Open reads the end of an archive: seek table, table of contents, its hash and signature.
// Every refusal is a *safepoint.Error with CodeArchive that says what is wrong in words.
func Open(r io.ReaderAt, size int64, trust Trust) (*Reader, error) { panic("archive: not written yet") }

// Reader reads one archive.
type Reader struct{}

func (r *Reader) Header() Header           { panic("archive: not written yet") }
func (r *Reader) Entries() []Entry         { panic("archive: not written yet") }
func (r *Reader) Fingerprint() Fingerprint { panic("archive: not written yet") }

// Summary is what the table of contents says; SHA256 is empty, for it is of the whole file.
func (r *Reader) Summary() Summary { panic("archive: not written yet") }

// SignedBy is the trusted key that signed the archive, nil if it is unsigned or signed by an unknown key.
func (r *Reader) SignedBy() ed25519.PublicKey { panic("archive: not written yet") }

// Verify reads the whole file and checks every byte of it against the table of contents: each frame's hash and that
// it decompresses to its stated length, and that nothing stands between, before or after. report may be nil.
// It returns the SHA-256 of the file.
func (r *Reader) Verify(ctx context.Context, report func(done, total int64)) (sha256 string, err error) {
	panic("archive: not written yet")
}

// Frame opens frame i for reading its SQL. Its hash is checked before the first byte is returned.
func (r *Reader) Frame(i int) (io.ReadCloser, error) { panic("archive: not written yet") }
