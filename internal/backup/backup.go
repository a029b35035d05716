// Package backup carries out one backup: what it returns was stored, read again from the storage and found whole.
//
// Values in, values out: it knows no catalog and no schedule. Whatever fails, no file is left under the final name.
package backup

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/archive"
	"github.com/safepoint-db/safepoint/internal/encrypt"
	"github.com/safepoint-db/safepoint/internal/engine"
	"github.com/safepoint-db/safepoint/internal/fault"
	"github.com/safepoint-db/safepoint/internal/storage"
)

// Job is one backup to make.
type Job struct {
	StorageKey string // see StorageKey. The caller records it before Run, so that a crash leaves no unknown file
	Storage    storage.Storage
	Dump       DumpFunc
	Header     archive.Header      // its organization, database and operation IDs and its Tool; the dump fills in the rest
	Key        ed25519.PrivateKey  // signs the archive
	Recipients []encrypt.Recipient // the file is encrypted for them; none leaves it in the clear
	Trust      archive.Trust       // must accept Key's signature: the finished file is checked with it
	Expect     int64               // bytes the file is likely to have, such as the last one's size; 0: not known
	ExpectRaw  int64               // bytes of SQL, likewise
	Now        func() time.Time    // nil means time.Now
}

// DumpFunc is the shape of engine.Gate.Dump; engine.Engine.Dump fits with its target bound.
type DumpFunc = func(ctx context.Context, w *archive.Writer, opt engine.DumpOptions) error

// Result is a backup that was made.
type Result struct {
	archive.Summary
	SnapshotAt    time.Time // the moment whose data it holds
	VerifiedAt    time.Time // read again from the storage and found whole
	ServerVersion string
}

// Apply copies the result into its operation.
func (r Result) Apply(op *safepoint.Operation) {
	op.Size, op.RawSize, op.SHA256 = r.Size, r.RawSize, r.SHA256
	op.Tables, op.Rows, op.ServerVersion, op.VerifiedAt = r.Tables, r.Rows, r.ServerVersion, r.VerifiedAt
}

// Run makes one backup. report may be nil; it gets phase "dump", then "verify", from one goroutine, often.
// If ctx ends and its cause is a *safepoint.Error (a person cancelled, the server stops), that is the error.
func Run(ctx context.Context, j Job, report func(safepoint.Progress)) (Result, error) {
	if j.Now == nil {
		j.Now = time.Now
	}
	if report == nil {
		report = func(safepoint.Progress) {}
	}
	b := &backup{Job: j, report: report}
	res, err := b.run(ctx)
	if err != nil {
		return Result{}, reason(ctx, err)
	}
	return res, nil
}

// reason prefers why ctx was ended to the errors that its end provoked.
func reason(ctx context.Context, err error) error {
	var why *safepoint.Error
	if ctx.Err() != nil && errors.As(context.Cause(ctx), &why) {
		return why.WithCause(err)
	}
	return err
}

type backup struct {
	Job
	report func(safepoint.Progress)
}

func (b *backup) run(ctx context.Context) (Result, error) {
	if err := Room(ctx, b.Storage, b.Expect); err != nil {
		return Result{}, err
	}
	w, err := b.store(ctx)
	if err != nil {
		return Result{}, err
	}
	res, err := b.verify(ctx, w)
	if err != nil {
		// A file that does not read back as it was written must not look like a backup.
		return Result{}, errors.Join(err, b.Storage.Delete(context.WithoutCancel(ctx), b.StorageKey))
	}
	return res, nil
}

// reserve is what must stay free beside a backup of the expected size: databases grow.
const reserve = 16 << 20

// Room refuses with CodeSpace a backup that is likely to have expect bytes where the storage has no room for it.
// An expect of 0 is not known, and passes.
func Room(ctx context.Context, s storage.Storage, expect int64) error {
	if expect <= 0 {
		return nil
	}
	space, err := s.Space(ctx)
	if err != nil {
		return fmt.Errorf("look at the storage's room: %w", err)
	}
	need := expect + expect/10 + reserve
	if space.Total > 0 && space.Free < need {
		return safepoint.Errorf(safepoint.CodeSpace, "Not enough space on %s: about %s needed, %s free.", s.Name(), safepoint.Bytes(need), safepoint.Bytes(space.Free)).
			WithHint("Free some space there, or delete backups that are no longer needed.")
	}
	return nil
}

// written is what was stored.
type written struct {
	archive.Summary                 // of the archive
	sealed          *encrypt.Writer // what encrypted it, nil if nothing did: it has the file's own key
}

// file is the summary of the file as it is stored.
func (w written) file() archive.Summary {
	s := w.Summary
	if w.sealed != nil {
		s.Size, s.SHA256 = w.sealed.Size(), w.sealed.SHA256()
	}
	return s
}

// store writes the archive. When it returns nil the file is durable and under its final name.
func (b *backup) store(ctx context.Context) (sum written, err error) {
	up, err := b.Storage.Create(ctx, b.StorageKey)
	if err != nil {
		return sum, fmt.Errorf("create backup file: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, up.Abort())
		}
	}()
	if err := fault.Point("backup.create"); err != nil {
		return sum, err
	}
	var dst io.Writer = up
	if len(b.Recipients) > 0 {
		if sum.sealed, err = encrypt.NewWriter(up, b.Recipients); err != nil {
			return sum, fmt.Errorf("encrypt backup file: %w", err)
		}
		dst = sum.sealed
	}
	w := archive.NewWriter(dst, b.Header, b.Key)
	opt := engine.DumpOptions{Now: b.Now, Report: func(p engine.Progress) { b.report(b.dumped(p)) }}
	if err := b.Dump(ctx, w, opt); err != nil {
		return sum, fmt.Errorf("dump: %w", err)
	}
	if err := fault.Point("backup.dump"); err != nil {
		return sum, err
	}
	if sum.Summary, err = w.Close(); err != nil {
		return sum, fmt.Errorf("finish archive: %w", err)
	}
	if sum.sealed != nil {
		if err := sum.sealed.Close(); err != nil {
			return sum, fmt.Errorf("finish encrypted file: %w", err)
		}
	}
	if err := ctx.Err(); err != nil {
		return sum, err
	}
	if err := fault.Point("backup.commit.before"); err != nil {
		return sum, err
	}
	if err := up.Commit(); err != nil {
		// Its answer may be what was lost: the key is this backup's alone.
		return sum, errors.Join(fmt.Errorf("store backup file: %w", err), b.Storage.Delete(context.WithoutCancel(ctx), b.StorageKey))
	}
	return sum, nil
}

// verify reads the stored file from its first byte to its last, as a restore would. An encrypted file is opened with
// its own key, which whoever made it still has and then forgets: that it can be opened is known without any
// recipient's key, and every byte of it is proven, for a changed one does not decrypt.
func (b *backup) verify(ctx context.Context, w written) (Result, error) {
	if err := fault.Point("backup.commit.after"); err != nil {
		return Result{}, err
	}
	f, err := b.Storage.Open(ctx, b.StorageKey)
	if err != nil {
		return Result{}, fmt.Errorf("read the backup again: %w", err)
	}
	defer f.Close()
	r, err := b.open(f, w)
	if err != nil {
		return Result{}, fmt.Errorf("read the backup again: %w", err)
	}
	sum, err := r.Verify(ctx, func(done, total int64) {
		b.report(safepoint.Progress{Phase: "verify", Tables: w.Tables, TablesOf: w.Tables, Bytes: done, BytesOf: total,
			Percent: verifyFrom + share(100-verifyFrom, done, total)})
	})
	if err != nil {
		return Result{}, fmt.Errorf("read the backup again: %w", err)
	}
	if err := fault.Point("backup.verify"); err != nil {
		return Result{}, err
	}
	if f.Size() != w.file().Size || sum != w.SHA256 {
		return Result{}, safepoint.Errorf(safepoint.CodeArchive, "What the storage gives back is not what was written.").
			WithHint("Check the disk it is on. The unusable file was removed.")
	}
	h := r.Header()
	return Result{Summary: w.file(), SnapshotAt: h.CreatedAt, VerifiedAt: b.Now(), ServerVersion: h.ServerVersion}, nil
}

// open opens the archive in the stored file.
func (b *backup) open(f storage.File, w written) (*archive.Reader, error) {
	if w.sealed == nil {
		return archive.Open(f, f.Size(), b.Trust)
	}
	inside, size, err := w.sealed.FileKey().Open(f, f.Size())
	if err != nil {
		return nil, err
	}
	return archive.Open(inside, size, b.Trust)
}

// verifyFrom is the percentage at which the dump is done.
const verifyFrom = 85

// dumped is the progress of the dump. Its percentage follows the bytes if their sum is likely to be known, else the tables.
func (b *backup) dumped(p engine.Progress) safepoint.Progress {
	out := safepoint.Progress{Phase: "dump", Table: p.Table, Tables: p.Tables, TablesOf: p.TablesOf, Bytes: p.Bytes}
	switch {
	case b.ExpectRaw > 0 && p.Bytes <= b.ExpectRaw:
		out.BytesOf = b.ExpectRaw
		out.Percent = share(verifyFrom, p.Bytes, b.ExpectRaw)
	case b.ExpectRaw > 0: // it has grown: nobody knows how far
		out.Percent = verifyFrom
	default:
		out.Percent = share(verifyFrom, int64(p.Tables), int64(p.TablesOf))
	}
	return out
}

// share is the part of whole that done is of total, 0 if total is not known.
func share(whole int, done, total int64) int {
	if total <= 0 {
		return 0
	}
	return int(float64(whole) * float64(min(done, total)) / float64(total))
}
