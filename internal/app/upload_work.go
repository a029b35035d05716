package app

import (
	"context"
	"errors"
	"io"
	"io/fs"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/archive"
	"github.com/safepoint-db/safepoint/internal/engine"
	"github.com/safepoint-db/safepoint/internal/fault"
	"github.com/safepoint-db/safepoint/internal/foreign"
)

// takeUpload makes a backup of what was uploaded: stored, signed, read again and checked like any other.
func (w *work) takeUpload(ctx context.Context, report func(safepoint.Progress)) safepoint.Operation {
	claimed := w.claim
	up := *claimed.Operation.Upload
	claimed.Operation.Upload = &up
	file := w.uploaded(claimed.Operation.ID)
	fault.Point("upload.begun")
	op, err := w.makeBackup(ctx, claimed, func(ctx context.Context, aw *archive.Writer, opt engine.DumpOptions) error {
		var err error
		up.Origin, err = w.copyUpload(ctx, file, up.NoOwner, aw, opt)
		return err
	}, report)
	if errors.Is(err, fs.ErrNotExist) {
		err = safepoint.Errorf(safepoint.CodeInterrupted, "The uploaded file is not there any more.").WithHint("Upload it again.").WithCause(err)
	}
	if err != nil {
		return ended(op, err)
	}
	op.Status = safepoint.StatusSucceeded
	return op
}

// copyUpload writes an uploaded file as an archive and says where it comes from, "" for one of our own.
func (w *work) copyUpload(ctx context.Context, file string, noOwner bool, aw *archive.Writer, opt engine.DumpOptions) (origin string, err error) {
	r, closer, err := w.ownArchive(file)
	if err == nil {
		defer closer.Close()
		return w.copyArchive(ctx, r, aw, opt)
	}
	if !errors.Is(err, archive.ErrNoContents) {
		return "", err
	}
	h := aw.Header()
	h.Database = w.db.DBName
	aw.SetHeader(h)
	options := w.foreignOptions(noOwner, func(done, _ int64) { opt.Report(engine.Progress{Bytes: done}) })
	options.At = w.claim.Operation.CreatedAt
	c, err := foreign.Convert(ctx, file, aw, options)
	return c.Origin, err
}

// copyArchive writes what an archive holds into another, under the keys and for the organization that now has it.
func (w *work) copyArchive(ctx context.Context, r *archive.Reader, aw *archive.Writer, opt engine.DumpOptions) (origin string, err error) {
	// Whole, before anything of it is used.
	if _, err := r.Verify(ctx, nil); err != nil {
		return "", err
	}
	var at engine.Progress
	for i, e := range r.Entries() {
		if err := ctx.Err(); err != nil {
			return "", err
		}
		if err := copyFrame(r, i, aw, e); err != nil {
			return "", err
		}
		at.Bytes += e.RawLength
		opt.Report(at)
	}
	mine, h := aw.Header(), r.Header()
	if strange(r, mine.OrganizationID) && h.Foreign == "" {
		h.Foreign = "Safepoint, signed elsewhere"
	}
	h.OrganizationID, h.DatabaseID, h.OperationID, h.Listed = mine.OrganizationID, mine.DatabaseID, mine.OperationID, mine.Listed
	aw.SetHeader(h)
	aw.SetFingerprint(r.Fingerprint())
	return h.Foreign, nil
}

func copyFrame(r *archive.Reader, i int, aw *archive.Writer, e archive.Entry) error {
	from, err := r.Frame(i)
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := aw.Frame(archive.Entry{Section: e.Section, Kind: e.Kind, Schema: e.Schema, Table: e.Table, Columns: e.Columns, Slice: e.Slice, Objects: e.Objects, Rows: e.Rows})
	if err != nil {
		return err
	}
	if _, err := io.Copy(to, from); err != nil {
		return err
	}
	return to.Close()
}
