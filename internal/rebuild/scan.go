// Package rebuild makes the log of backups anew from the backup files themselves, where the catalog that knew them is
// lost. It reads the folder of the files and never writes into it, and what it adds to a catalog it adds once.
package rebuild

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/archive"
	"github.com/safepoint-db/safepoint/internal/encrypt"
)

// Kind is what a file of the folder is.
type Kind string

const (
	Restorable Kind = "restorable" // a backup, whole, of a trusted signer
	Stranger   Kind = "stranger"   // a backup, whole, of a signer that nobody vouched for
	Locked     Kind = "encrypted"  // nothing can be said of it without one of its keys
	Damaged    Kind = "damaged"    // was a backup
	Duplicate  Kind = "duplicate"  // the same backup again
	Unfinished Kind = "unfinished" // left by a backup that never ended
	Foreign    Kind = "not ours"   // no backup of a Safepoint server
)

// File is one file of the folder.
type File struct {
	Path   string `json:"path"` // in the folder
	Kind   Kind   `json:"kind"`
	Why    string `json:"why,omitempty"` // why it is no backup to be listed
	Size   int64  `json:"size"`
	Signer string `json:"signer,omitempty"` // public key, hex
	Proven bool   `json:"proven"`           // every byte was read, and is what was signed: true of no file where Options.Quick
	SHA256 string `json:"sha256,omitempty"` // of a file that is proven, hex
	Added  bool   `json:"added"`            // to the log, just now

	Operation    safepoint.Operation `json:"-"` // as it is to be listed
	Organization string              `json:"organization,omitempty"`
	Source       string              `json:"-"` // the database's own name
}

// Options say what may be believed and opened.
type Options struct {
	Identities []encrypt.Identity  // open encrypted files
	Trusted    []ed25519.PublicKey // signers whose backups are listed
	Quick      bool                // only read the tables of contents: damage inside a file is not found
	Report     func(path string, done, total int64)
}

// Scan looks at every file of a folder: what it is, and whether each byte of it is what was written. Symbolic links are
// not followed. It changes nothing.
func Scan(ctx context.Context, dir string, opt Options) ([]File, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open the folder of backups: %w", err)
	}
	defer root.Close()
	var files []File
	err = fs.WalkDir(root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		switch {
		case d.IsDir(), name == ".lock":
			return nil
		case !d.Type().IsRegular():
			files = append(files, File{Path: name, Kind: Foreign, Why: "It is a link or no regular file: it is not followed."})
			return nil
		}
		f, err := look(ctx, root, name, opt)
		if err == nil {
			files = append(files, f)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the folder of backups: %w", err)
	}
	markDuplicates(files)
	return files, nil
}

// ownName is how the storage calls a backup's file.
var ownName = regexp.MustCompile(`^(.*)\.(op_[a-z0-9]+)\.sql\.zst(\.age)?$`)

func look(ctx context.Context, root *os.Root, name string, opt Options) (File, error) {
	f := File{Path: name, Kind: Foreign}
	file, err := root.OpenFile(name, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		f.Why = "It cannot be opened."
		return f, nil
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil || !info.Mode().IsRegular() {
		f.Why = "It is no regular file."
		return f, nil
	}
	f.Size = info.Size()
	if strings.HasPrefix(name, ".unfinished/") {
		f.Kind, f.Why = Unfinished, "A backup was being written into it when Safepoint stopped."
		return f, nil
	}
	if err := f.read(ctx, file, opt); err != nil {
		if ctx.Err() != nil {
			return f, context.Cause(ctx)
		}
		e := safepoint.UserError(err)
		f.Why = e.Message
		switch {
		case safepoint.ErrorCode(err) == safepoint.CodeKey:
			f.Kind = Locked
		case errors.As(err, new(*fs.PathError)):
			f.Kind, f.Why = Damaged, "The disk did not give it back: "+err.Error()
		case f.Signer != "", ownName.MatchString(path.Base(name)):
			f.Kind = Damaged
		}
	}
	return f, nil
}

// read opens the file as a backup and, unless it is to be quick, reads it to the last byte.
func (f *File) read(ctx context.Context, file *os.File, opt Options) error {
	var src io.ReaderAt = file
	size, encrypted := f.Size, encrypt.Is(file)
	var recipients []string
	if encrypted {
		var key encrypt.FileKey
		var err error
		if key, recipients, err = unlock(file, f.Size, opt.Identities); err != nil {
			return err
		}
		if src, size, err = key.Open(file, f.Size); err != nil {
			return err
		}
	}
	r, err := archive.Open(src, size, archive.Trust{Keys: opt.Trusted, Unsigned: true})
	if err != nil {
		return err
	}
	h := r.Header()
	if r.Signer() == nil || h.OrganizationID == "" || h.DatabaseID == "" || h.OperationID == "" {
		return safepoint.Errorf(safepoint.CodeArchive, "It is a backup file, but none that a Safepoint server made for its log.")
	}
	f.Signer = hex.EncodeToString(r.Signer())
	op, err := listed(f.Path, r, recipients)
	if err != nil {
		return err
	}
	op.Size = f.Size
	if !opt.Quick {
		report := func(done, total int64) {
			if opt.Report != nil {
				opt.Report(f.Path, done, total)
			}
		}
		sum, err := r.Verify(ctx, report)
		if err == nil && encrypted {
			sum, err = sumOf(ctx, file, f.Size)
		}
		if err != nil {
			return err
		}
		op.SHA256 = sum
		f.Proven, f.SHA256 = true, sum
	}
	f.Operation, f.Source, f.Kind = op, h.Database, Stranger
	if h.Listed != nil {
		f.Organization = words(h.Listed.Organization)
	}
	if r.SignedBy() != nil {
		f.Kind = Restorable
	}
	return nil
}

// unlock finds the file's key, and which of the identities' recipients it was encrypted for.
func unlock(file io.ReaderAt, size int64, ids []encrypt.Identity) (key encrypt.FileKey, recipients []string, err error) {
	for _, id := range ids {
		k, kerr := encrypt.Unlock(file, size, []encrypt.Identity{id})
		switch {
		case kerr == nil:
			key = k
			recipients = append(recipients, id.Recipient().String())
		case safepoint.ErrorCode(kerr) != safepoint.CodeKey:
			return key, nil, kerr
		}
	}
	if !key.IsZero() {
		return key, recipients, nil
	}
	_, err = encrypt.Unlock(file, size, ids) // says which is missing
	return key, nil, err
}

// listed is the entry of the log that belongs to an archive. Older archives do not say how they were listed: then the
// file's name and the moment of its rows do.
func listed(file string, r *archive.Reader, recipients []string) (safepoint.Operation, error) {
	h, sum := r.Header(), r.Summary()
	op := safepoint.Operation{
		ID: h.OperationID, OrganizationID: h.OrganizationID, DatabaseID: h.DatabaseID, Engine: h.Engine,
		Type: safepoint.TypeBackup, Status: safepoint.StatusSucceeded, Trigger: safepoint.TriggerManual,
		DatabaseName: h.Database, CreatedAt: h.CreatedAt, StartedAt: h.CreatedAt, FinishedAt: h.CreatedAt,
		RawSize: sum.RawSize, Tables: sum.Tables, Rows: sum.Rows, ServerVersion: h.ServerVersion, Recipients: recipients,
	}
	for _, id := range []string{op.ID, op.OrganizationID, op.DatabaseID} {
		if !anID.MatchString(id) {
			return op, safepoint.Errorf(safepoint.CodeArchive, "What it says of itself cannot be listed.")
		}
	}
	if m := ownName.FindStringSubmatch(path.Base(file)); m != nil && m[2] == op.ID {
		op.Name = m[1] + safepoint.BackupExtension
	} else {
		op.Name = safepoint.BackupFileName(op.DatabaseName, op.StartedAt, op.Trigger)
	}
	switch {
	case strings.HasSuffix(op.Name, "_safety"+safepoint.BackupExtension):
		op.Trigger = safepoint.TriggerSafety
	case strings.HasSuffix(op.Name, "_upload"+safepoint.BackupExtension):
		op.Trigger = safepoint.TriggerUpload
	}
	if len(recipients) > 0 {
		op.Name += safepoint.EncryptedExtension
	}
	if l := h.Listed; l != nil {
		op.Name, op.DatabaseName, op.CreatedByName = words(l.Name), words(l.Database), words(l.By)
		op.CreatedAt, op.StartedAt, op.DueAt = l.CreatedAt.UTC(), l.StartedAt.UTC(), l.DueAt.UTC()
		for _, id := range []string{l.Schedule, l.RestoreID} {
			if id != "" && !anID.MatchString(id) {
				return op, safepoint.Errorf(safepoint.CodeArchive, "What it says of itself cannot be listed.")
			}
		}
		op.ScheduleID, op.RestoreID = l.Schedule, l.RestoreID
		if slices.Contains([]safepoint.Trigger{safepoint.TriggerScheduled, safepoint.TriggerManual, safepoint.TriggerSafety, safepoint.TriggerUpload}, l.Trigger) {
			op.Trigger = l.Trigger
		}
	}
	if op.Trigger == safepoint.TriggerUpload {
		op.Upload = &safepoint.Upload{FileName: op.Name, Size: op.Size, Origin: h.Foreign}
	}
	if op.Name == "" || op.DatabaseName == "" {
		return op, safepoint.Errorf(safepoint.CodeArchive, "What it says of itself cannot be listed.")
	}
	return op, nil
}

var anID = regexp.MustCompile(`^[a-z]{2,4}_[a-z0-9]{1,40}$`)

// words is a name from a file as it may be listed: one line of at most 200 bytes.
func words(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == utf8.RuneError {
			return -1
		}
		return r
	}, s)
	for len(s) > 200 {
		_, n := utf8.DecodeLastRuneInString(s)
		s = s[:len(s)-n]
	}
	return strings.TrimSpace(s)
}

// sumOf is the SHA-256 of a file as it lies on the disk.
func sumOf(ctx context.Context, r io.ReaderAt, size int64) (string, error) {
	h := sha256.New()
	if _, err := io.Copy(h, &reader{ctx, io.NewSectionReader(r, 0, size)}); err != nil {
		return "", fmt.Errorf("read backup file: %w", err)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// reader reads until ctx ends.
type reader struct {
	ctx context.Context
	r   io.Reader
}

func (r *reader) Read(p []byte) (int, error) {
	if r.ctx.Err() != nil {
		return 0, context.Cause(r.ctx)
	}
	return r.r.Read(p)
}

// markDuplicates leaves one file of each backup: of several that under the backup's own name. What another signer calls
// the same backup is no duplicate: who is believed is not known yet, and a stranger's file must not hide a true one.
func markDuplicates(files []File) {
	type backup struct{ signer, id string }
	first := map[backup]int{}
	better := func(a, b File) bool {
		return strings.Contains(a.Path, a.Operation.ID) && !strings.Contains(b.Path, b.Operation.ID)
	}
	for i := range files {
		f := &files[i]
		if f.Kind != Restorable && f.Kind != Stranger {
			continue
		}
		this := backup{f.Signer, f.Operation.ID}
		j, seen := first[this]
		if !seen {
			first[this] = i
			continue
		}
		other := &files[j]
		if better(*f, *other) {
			first[this] = i
			f, other = other, f
		}
		f.Kind, f.Why = Duplicate, "It is the same backup as "+other.Path+"."
	}
}

// Signer is a key that signed backups of the folder.
type Signer struct {
	Key     string    `json:"key"` // public, hex
	Trusted bool      `json:"trusted"`
	Backups int       `json:"backups"`
	First   time.Time `json:"first"` // when the oldest and the newest of them was made
	Last    time.Time `json:"last"`
}

// Signers sums up who signed what, the one with the most backups first.
func Signers(files []File) []Signer {
	var all []Signer
	for _, f := range files {
		if f.Kind != Restorable && f.Kind != Stranger {
			continue
		}
		i := slices.IndexFunc(all, func(s Signer) bool { return s.Key == f.Signer })
		if i < 0 {
			i = len(all)
			all = append(all, Signer{Key: f.Signer, Trusted: f.Kind == Restorable, First: f.Operation.StartedAt})
		}
		s := &all[i]
		s.Backups++
		if at := f.Operation.StartedAt; at.Before(s.First) {
			s.First = at
		}
		if at := f.Operation.StartedAt; at.After(s.Last) {
			s.Last = at
		}
	}
	slices.SortStableFunc(all, func(a, b Signer) int { return b.Backups - a.Backups })
	return all
}

// FindSigner is the key of the one signer among files whose key begins with text, at least 16 hexadecimal digits of it.
func FindSigner(files []File, text string) (ed25519.PublicKey, error) {
	text = strings.ToLower(strings.NewReplacer(" ", "", ":", "").Replace(text))
	var found []string
	for _, s := range Signers(files) {
		if strings.HasPrefix(s.Key, text) {
			found = append(found, s.Key)
		}
	}
	if len(text) < 16 || len(found) != 1 {
		return nil, safepoint.Invalid("trust", "%q names no one signer of these backups.", text).
			WithHint("Give at least the first 16 digits of a key as it is listed.")
	}
	return ParseSigner(found[0])
}

// Believe makes the backups of trusted signers restorable.
func Believe(files []File, trusted []ed25519.PublicKey) {
	for i := range files {
		for _, key := range trusted {
			if files[i].Kind == Stranger && files[i].Signer == hex.EncodeToString(key) {
				files[i].Kind = Restorable
			}
		}
	}
}

// ParseSigner reads a public key in hex.
func ParseSigner(text string) (ed25519.PublicKey, error) {
	key, err := hex.DecodeString(text)
	if err != nil || len(key) != ed25519.PublicKeySize || bytes.Equal(key, make([]byte, len(key))) {
		return nil, safepoint.Invalid("trust", "%q is no key.", text)
	}
	return key, nil
}
