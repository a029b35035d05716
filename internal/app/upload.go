package app

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/archive"
	"github.com/safepoint-db/safepoint/internal/backup"
	"github.com/safepoint-db/safepoint/internal/encrypt"
	"github.com/safepoint-db/safepoint/internal/fault"
	"github.com/safepoint-db/safepoint/internal/foreign"
)

// Uploads says what may be uploaded, and how. It is the operator's, for all organizations.
type Uploads struct {
	Dir     string // where files are received, mode 0700; "" refuses every upload
	MaxSize int64  // bytes of one file; 0 means 64 GiB
	Foreign bool   // also take what this installation did not make
	Limits  foreign.Limits
	// Unpack reads dumps in pg_dump's own formats: see foreign.Options.
	Unpack func(ctx context.Context, path string) (io.ReadCloser, error)
}

const defaultMaxUpload = 64 << 30

// UploadHead is how much of a file's beginning CheckUpload looks at.
const UploadHead = foreign.Head

// UploadInput is what a person says of a file to upload.
type UploadInput struct {
	DatabaseID string
	FileName   string // as it is called where it comes from; for people only
	NoOwner    bool   // leave out who owns what and who may do what, of a foreign dump
	Size       int64  // bytes that will come; 0 is not known
}

// Upload receives a backup's file for a database from r, looks at what it is, and queues the operation that checks it
// whole, converts it where another program made it, and lists it among the database's backups. r is read to its end only
// if nothing stands in the way.
func (a *App) Upload(ctx context.Context, by safepoint.Actor, in UploadInput, r io.Reader) (safepoint.Operation, error) {
	var none safepoint.Operation
	d, err := a.mayUpload(ctx, by, in)
	if err != nil {
		return none, err
	}
	early := bufio.NewReaderSize(r, foreign.Head)
	head, err := early.Peek(foreign.Head)
	if err != nil && !errors.Is(err, io.EOF) {
		return none, fmt.Errorf("receive the dump: %w", err)
	}
	if err := a.recognized(d, head); err != nil {
		return none, err
	}
	file, err := a.receive(ctx, early, a.uploadLimit())
	if err != nil {
		return none, err
	}
	op := safepoint.Operation{
		ID: safepoint.NewID(safepoint.OperationPrefix), DatabaseID: d.ID, DatabaseName: d.Name, Engine: d.Engine,
		Type: safepoint.TypeBackup, Trigger: safepoint.TriggerUpload, Name: backup.FileName(d, a.Now(), safepoint.TriggerUpload),
		Upload: &safepoint.Upload{FileName: uploadName(in.FileName), NoOwner: in.NoOwner},
	}
	if info, err := os.Stat(file); err == nil {
		op.Upload.Size = info.Size()
	}
	fault.Point("upload.received")
	err = a.acceptable(ctx, by.OrganizationID, d, file)
	if err == nil {
		err = os.Rename(file, a.uploaded(op.ID))
	}
	queued := none
	if err == nil {
		fault.Point("upload.kept")
		queued, err = a.queue(ctx, by, op)
	}
	if err != nil {
		os.Remove(file)
		os.Remove(a.uploaded(op.ID))
		return none, err
	}
	return queued, nil
}

// CheckUpload says, before gigabytes come, whether what is told of a file and its first bytes stand in the way of its upload.
// Upload looks at them again. head is its first UploadHead bytes.
func (a *App) CheckUpload(ctx context.Context, by safepoint.Actor, in UploadInput, head []byte) error {
	d, err := a.mayUpload(ctx, by, in)
	if err != nil {
		return err
	}
	return a.recognized(d, head)
}

// mayUpload refuses what is known to be refused from what is told of a file, and returns the database it is for.
func (a *App) mayUpload(ctx context.Context, by safepoint.Actor, in UploadInput) (safepoint.Database, error) {
	var none safepoint.Database
	if err := a.authorize(ctx, by, admin, "upload"); err != nil {
		return none, err
	}
	d, err := a.Catalog.Database(ctx, by.OrganizationID, in.DatabaseID)
	if err != nil {
		return none, notHere(err, "database")
	}
	switch {
	case a.Uploads.Dir == "":
		return none, safepoint.Errorf(safepoint.CodeForbidden, "This server takes no uploads.").WithHint("Its operator can say why.")
	case in.Size > a.uploadLimit():
		return none, foreign.TooLarge(a.uploadLimit())
	}
	if err := a.mayQueue(ctx, by, d); err != nil {
		return none, err
	}
	// It is kept twice for a while: as it came, and as it is stored.
	return d, backup.Room(ctx, a.Storage, 2*in.Size)
}

func (a *App) uploadLimit() int64 {
	if a.Uploads.MaxSize == 0 {
		return defaultMaxUpload
	}
	return a.Uploads.MaxSize
}

// recognized refuses a file by its first bytes. What they promise is checked when all of it is there.
func (a *App) recognized(d safepoint.Database, head []byte) error {
	if encrypt.Is(bytes.NewReader(head)) {
		return errUploadEncrypted
	}
	err := foreign.Known(head)
	if err != nil && d.Engine != safepoint.PostgreSQL && len(head) > 0 {
		return notOurs(d)
	}
	return err
}

// notOurs refuses what only PostgreSQL could take.
func notOurs(d safepoint.Database) error {
	return safepoint.Errorf(safepoint.CodeArchive, "This is not a backup that Safepoint made.").
		WithHint("Dumps of other programs can be used for PostgreSQL only; for %s, upload a backup of Safepoint.", d.Engine.Label())
}

var errUploadEncrypted = safepoint.Errorf(safepoint.CodeArchive, "The file is encrypted with age.").
	WithHint("Decrypt it where you have the key, and upload what comes out: age -d -i KEY FILE. Safepoint encrypts it anew where the organization asks for it.")

// mayQueue refuses early what CreateOperation would refuse once gigabytes have come.
func (a *App) mayQueue(ctx context.Context, by safepoint.Actor, d safepoint.Database) error {
	running, err := a.Catalog.Running(ctx, by.OrganizationID)
	for _, op := range running {
		if op.DatabaseID == d.ID && op.Type == safepoint.TypeBackup && op.Trigger != safepoint.TriggerSafety {
			return safepoint.Errorf(safepoint.CodeConflict, "A backup of %s is queued or running: %s.", d.Name, op.Name).
				WithHint("Wait until it has ended, or cancel it first.")
		}
	}
	return err
}

// receive keeps what comes in a file of its own, as long as the storage has room.
func (a *App) receive(ctx context.Context, r io.Reader, limit int64) (string, error) {
	if err := os.MkdirAll(a.Uploads.Dir, 0o700); err != nil {
		return "", fmt.Errorf("make folder for uploads: %w", err)
	}
	return foreign.Spool(ctx, &roomy{ctx: ctx, a: a, r: r}, a.Uploads.Dir, limit)
}

// roomy reads as long as the storage has room for what was read, and for it once more.
type roomy struct {
	ctx       context.Context
	a         *App
	r         io.Reader
	n, looked int64
}

func (r *roomy) Read(p []byte) (int, error) {
	const every = 64 << 20
	if r.n-r.looked >= every {
		r.looked = r.n
		if err := backup.Room(r.ctx, r.a.Storage, r.n+every); err != nil {
			return 0, err
		}
	}
	n, err := r.r.Read(p)
	r.n += int64(n)
	return n, err
}

// uploaded is where the file of an upload waits for its operation.
func (a *App) uploaded(operationID string) string { return filepath.Join(a.Uploads.Dir, operationID) }

// uploadName is a file's name as a person may see it: the last part of a path, without what does not print.
func uploadName(name string) string {
	name = name[strings.LastIndexAny(name, `/\`)+1:]
	name = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == '�' {
			return -1
		}
		return r
	}, name)
	if runes := []rune(name); len(runes) > 200 {
		name = string(runes[:200])
	}
	return name
}

// acceptable looks at the beginning and the end of a file: is it for this database, and does the operator allow it?
func (a *App) acceptable(ctx context.Context, orgID string, d safepoint.Database, file string) error {
	r, closer, err := a.ownArchive(file)
	switch {
	case err == nil:
		defer closer.Close()
		h := r.Header()
		if h.Engine != d.Engine {
			return safepoint.Errorf(safepoint.CodeArchive, "This is a backup of a %s database, and %s is %s.", h.Engine.Label(), d.Name, d.Engine.Label()).
				WithHint("Choose the database that it is of, or connect one.")
		}
		if !strange(r, orgID) {
			return nil
		}
	case !errors.Is(err, archive.ErrNoContents):
		return err
	case d.Engine != safepoint.PostgreSQL:
		return notOurs(d)
	}
	if !a.Uploads.Foreign {
		return safepoint.Errorf(safepoint.CodeForbidden, "This file was not made by this Safepoint, and its operator does not allow such files.").
			WithHint("A dump is a program of unknown origin. The operator can allow it: safepoint serve --foreign-files.")
	}
	if r != nil {
		return nil
	}
	return foreign.Check(ctx, file, a.foreignOptions(false, nil))
}

// ownArchive opens a file that a Safepoint made, whoever's key signed it.
func (a *App) ownArchive(file string) (*archive.Reader, io.Closer, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, nil, err
	}
	info, err := f.Stat()
	if err == nil && encrypt.Is(f) {
		err = errUploadEncrypted
	}
	var r *archive.Reader
	if err == nil {
		trust := a.trust()
		trust.Unsigned = true
		r, err = archive.Open(f, info.Size(), trust)
	}
	if err != nil {
		f.Close()
		return nil, nil, err
	}
	return r, f, nil
}

// strange says whether an archive is of unknown origin here: made from a foreign dump, signed by nobody we know, or of
// another organization.
func strange(r *archive.Reader, orgID string) bool {
	h := r.Header()
	return h.Foreign != "" || r.SignedBy() == nil || h.OrganizationID != orgID
}

func (a *App) foreignOptions(noOwner bool, report func(done, total int64)) foreign.Options {
	return foreign.Options{Limits: a.Uploads.Limits, NoOwner: noOwner, Unpack: a.Uploads.Unpack, Temp: a.Uploads.Dir, Report: report}
}

// SweepUploads removes files of uploads that no operation waits for. Only for the start, before the first request: a
// file that is just coming in has no operation either.
func (a *App) SweepUploads(ctx context.Context) error {
	if a.Uploads.Dir == "" {
		return nil
	}
	entries, err := os.ReadDir(a.Uploads.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look at uploads: %w", err)
	}
	for _, e := range entries {
		op, err := a.Catalog.AnyOperation(ctx, e.Name())
		if safepoint.ErrorCode(err) != safepoint.CodeNotFound && (err != nil || !op.Status.Ended()) {
			continue
		}
		if err := os.RemoveAll(filepath.Join(a.Uploads.Dir, e.Name())); err != nil {
			return fmt.Errorf("remove an upload: %w", err)
		}
	}
	return nil
}
