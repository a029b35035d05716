package cli

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/archive"
	"github.com/safepoint-db/safepoint/internal/encrypt"
	"github.com/safepoint-db/safepoint/internal/engine"
	"github.com/safepoint-db/safepoint/internal/foreign"
)

// backupFile is an open backup file.
type backupFile struct {
	*archive.Reader
	f         *os.File
	size      int64              // of the file as it lies on the disk
	encrypted *encryptedFacts    // nil if it is not
	opened    []encrypt.Identity // the keys that were given, with an encrypted file
	part      bool               // Reader is of chosen tables only
	foreign   *foreign.Contents  // of the dump that the file was converted from just now; nil if it was not
	gone      func() error       // removes such a file
}

func (b *backupFile) Close() error {
	err := b.f.Close()
	if b.gone != nil {
		err = errors.Join(err, b.gone())
	}
	return err
}

// openFile opens a backup file, encrypted or not, and reads its table of contents.
func openFile(path string, t Trust) (*backupFile, error) {
	trust, err := t.trust()
	if err != nil {
		return nil, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fileError(err, path)
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = safepoint.Errorf(safepoint.CodeInvalid, "%s is not a file that can be read at any place.", path).
			WithHint("A pipe or a folder will not do: save the backup into a file first.")
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	b := &backupFile{f: f, size: info.Size()}
	if err := b.read(t, trust); err != nil {
		f.Close()
		return nil, err
	}
	return b, nil
}

// read opens the archive that the file is or, encrypted, holds.
func (b *backupFile) read(t Trust, trust archive.Trust) error {
	if !encrypt.Is(b.f) {
		var err error
		b.Reader, err = archive.Open(b.f, b.size, trust)
		return err
	}
	key, ids, err := t.unlock(b.f, b.size)
	if err != nil {
		return err
	}
	b.opened = ids
	return b.readWith(key, trust)
}

// readWith opens the archive that an encrypted file holds.
func (b *backupFile) readWith(key encrypt.FileKey, trust archive.Trust) error {
	inside, n, err := key.Open(b.f, b.size)
	if err != nil {
		return err
	}
	b.encrypted = encryptedOf(b.f, b.size)
	b.Reader, err = archive.Open(inside, n, trust)
	return err
}

// verify reads the whole file with a meter and returns its SHA-256, as it lies on the disk.
func (env *Env) verify(ctx context.Context, b *backupFile) (string, error) {
	return env.readWhole(ctx, b, b.Verify)
}

// verifyBytes is verify for a file that is executed next: see archive.Reader.VerifyBytes.
func (env *Env) verifyBytes(ctx context.Context, b *backupFile) (string, error) {
	return env.readWhole(ctx, b, b.VerifyBytes)
}

func (env *Env) readWhole(ctx context.Context, b *backupFile, verify func(context.Context, func(done, total int64)) (string, error)) (string, error) {
	m := env.meter(bytesText)
	sum, err := verify(ctx, func(done, total int64) { m.show("verify", done, total) })
	m.end()
	if err != nil || b.encrypted == nil || b.part {
		return sum, err
	}
	return env.sum(b.f, b.size)
}

// fileFacts is what a backup file is, as JSON and as text.
type fileFacts struct {
	File          string    `json:"file"`
	Engine        string    `json:"engine"`
	ServerVersion string    `json:"server_version"`
	Database      string    `json:"database"`
	Encoding      string    `json:"encoding"`
	CreatedAt     time.Time `json:"created_at"`
	Tool          string    `json:"tool"`
	Tables        int       `json:"tables"`
	Rows          int64     `json:"rows"`
	Size          int64     `json:"size"`
	RawSize       int64     `json:"raw_size"`
	SHA256        string    `json:"sha256,omitempty"`
	Signature     string    `json:"signature"`
	OperationID   string    `json:"operation_id,omitempty"`
	Whole         bool      `json:"whole,omitempty"`

	Encrypted *encryptedFacts `json:"encrypted,omitempty"`
	MadeFrom  string          `json:"foreign,omitempty"` // the dump that it was converted from
}

func factsOf(path string, b *backupFile) fileFacts {
	h, s := b.Header(), b.Summary()
	signature := "not checked"
	if b.SignedBy() != nil {
		signature = "trusted"
	}
	return fileFacts{
		File: path, Engine: string(h.Engine), ServerVersion: h.ServerVersion, Database: h.Database, Encoding: h.Encoding,
		CreatedAt: h.CreatedAt, Tool: h.Tool, Tables: s.Tables, Rows: s.Rows, Size: b.size, RawSize: s.RawSize,
		Signature: signature, OperationID: h.OperationID, Encrypted: b.encrypted,
		MadeFrom: h.Foreign,
	}
}

func (f fileFacts) print(w ioWriter) {
	whole := ""
	if f.Whole {
		whole = "every byte is as it was written"
	}
	facts(w, "File", f.File, "Database", f.Database, "Engine", safepoint.Engine(f.Engine).Label()+" "+f.ServerVersion,
		"Encoding", f.Encoding, "Created At", exactly(f.CreatedAt), "Tool", f.Tool, "Converted from", f.MadeFrom, "Backup of operation", f.OperationID,
		"Tables", grouped(f.Tables), "Rows", grouped(f.Rows), "File Size", exactSize(f.Size), "SQL", bytesText(f.RawSize),
		"SHA-256", f.SHA256, "Encrypted", f.Encrypted.text(), "Signature", f.Signature, "Whole", whole)
}

// showProgress passes an engine's progress on to a meter that counts bytes.
func showProgress(m *meter, act string, total int64) engine.Report {
	return func(p engine.Progress) {
		label := act
		if p.Table != "" && m.bar != nil {
			label += " " + p.Table
		}
		m.show(label, p.Bytes, total)
	}
}
