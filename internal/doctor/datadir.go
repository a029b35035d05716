package doctor

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/catalog"
)

// silence is how long after its last heartbeat's lease a running operation is told of.
const silence = 2 * time.Second

// dataDir looks at the data directory.
func (d *doctor) dataDir(ctx context.Context) {
	d.keys()
	if d.Catalog == nil {
		d.space(0)
		d.lostCatalog()
		return
	}
	if problem, err := d.Catalog.QuickCheck(ctx); err != nil || problem != "" {
		if err != nil {
			problem = err.Error()
		}
		d.add(Finding{Severity: Problem, Code: "catalog.damaged", Where: d.DataDir, What: "The catalog's file is damaged: " + problem,
			Next:    "Stop the server, keep a copy of the data directory, and put your last copy of catalog.db back. Without one, make the log anew from the backup files:",
			Command: recoverCommand(d.Backups)})
	}
	d.halts(ctx)
	d.operations(ctx)
	d.space(d.files(ctx))
}

func recoverCommand(backups string) string {
	return "safepoint recover --from " + quoted(backups) + " --data NEW_DIRECTORY"
}

func (d *doctor) lostCatalog() {
	f := Finding{Severity: Problem, Code: "catalog.lost", Where: d.DataDir, What: "The catalog cannot be read: " + safepoint.UserError(d.Lost).Message, Next: safepoint.UserError(d.Lost).Hint}
	if safepoint.ErrorCode(d.Lost) == safepoint.CodeInternal {
		f.What = "The catalog cannot be read: " + d.Lost.Error()
	}
	if safepoint.ErrorCode(d.Lost) != safepoint.CodeVersion {
		f.Next = "Put your copy of it back. Without one, the log can be made anew from the backup files. Name the databases with --database URL to see what restores left on their servers."
		f.Command = recoverCommand(d.Backups)
	}
	d.add(f)
}

func (d *doctor) keys() {
	if d.KeysLost != nil {
		d.add(Finding{Severity: Problem, Code: "keys.lost", Where: d.DataDir, What: "A key of the installation cannot be used: " + d.KeysLost.Error(),
			Next: "Put the key files back from your copy. Without sealing.key stored passwords must be entered again; without signing.key, name the old signer to trust it: safepoint recover --help."})
		return
	}
	if d.Keys != nil {
		d.add(Finding{Severity: Info, Code: "keys.signer", Where: d.DataDir, What: fmt.Sprintf("Backups are signed as %x.", []byte(d.Keys.Public())),
			Next: "Keep this, and copies of sealing.key and signing.key, where no backup is kept."})
	}
}

// Free room, in bytes, below which a disk is told of.
const (
	noRoom     = 64 << 20 // hardly anything can be stored
	littleRoom = 1 << 30
	ahead      = 3 // so many more backups of the largest size should fit
)

// space looks at the room on the disks of the catalog and of the backups, the largest of which has that many bytes. What
// counts is whether the next backups fit: a percentage would warn of 10 free GiB beside backups of a megabyte, and not of
// 300 beside one of 400.
func (d *doctor) space(largest int64) {
	var before uint64
	for _, dir := range []string{d.Backups, d.DataDir} {
		var st unix.Statfs_t
		var at unix.Stat_t
		if unix.Statfs(dir, &st) != nil || unix.Stat(dir, &at) != nil || uint64(at.Dev) == before {
			continue
		}
		before = uint64(at.Dev)
		free, total := int64(st.Bavail)*int64(st.Bsize), int64(st.Blocks)*int64(st.Bsize)
		d.add(room(dir, free, total, largest))
		largest = 0 // the catalog's own disk holds no backups
	}
}

// room judges the free bytes of a disk on which more backups of that size are to be stored.
func room(dir string, free, total, largest int64) Finding {
	f := Finding{Severity: Info, Code: "space", Where: dir, What: fmt.Sprintf("%s of %s are free.", safepoint.Bytes(free), safepoint.Bytes(total))}
	switch {
	case free < noRoom:
		f.Severity, f.Next = Problem, "Free some space now: when it is full nothing can be stored or recorded."
	case free/ahead < largest:
		f.What += fmt.Sprintf(" The largest backup has %s.", safepoint.Bytes(largest))
		fallthrough
	case free < littleRoom:
		f.Severity, f.Next = Warning, "Free some space, or delete backups that nobody needs."
	}
	return f
}

// halts tells of organizations that are halted.
func (d *doctor) halts(ctx context.Context) {
	halts, err := d.Catalog.Halts(ctx)
	if err != nil {
		d.failed("catalog.unreadable", d.DataDir, "What is halted cannot be read", err)
		return
	}
	for _, h := range halts {
		op, known, err := d.Catalog.Known(ctx, h.OperationID)
		f := Finding{Severity: Problem, Code: "halted", Where: h.Organization.Name, Subject: h.OperationID,
			What: fmt.Sprintf("%s has been halted since %s (for %s) by %s.", h.Organization.Name, stamp(h.Since), d.ago(h.Since), h.OperationID)}
		switch {
		case err == nil && known && !op.Status.Ended() && d.Running != 0:
			f.Severity, f.Next = Info, "Its restore is under way; services are resumed at its end."
			if d.Now().Sub(h.Since) > time.Hour {
				f.Severity = Warning
			}
		case err == nil && known && !op.Status.Ended():
			f.Next = "The server that halted it does not run. Start it: it opens the database and resumes the services first. Or have that done now:"
			f.Command = "safepoint doctor --data " + quoted(d.DataDir) + " --fix resume"
			d.resumes(&f, h.OperationID)
		default:
			f.Next = "The restore has ended and a person must resume the services: on the restore's page, or:"
			f.Command = "safepoint service resume --restore " + h.OperationID
			if d.Running != 0 {
				d.resumes(&f, h.OperationID)
			}
		}
		d.add(f)
	}
}

func (d *doctor) resumes(f *Finding, id string) {
	if d.Resume == nil {
		return
	}
	f.Fix, f.Subject = Resume, id
	f.Asks = "Open the database and resume the services of restore " + id + " now?"
	f.Do = func(ctx context.Context) error { return d.Resume(ctx, id) }
}

// operations tells of those that wait for something.
func (d *doctor) operations(ctx context.Context) {
	ops, err := d.Catalog.Unsettled(ctx)
	if err != nil {
		d.failed("catalog.unreadable", d.DataDir, "The operations cannot be read", err)
		return
	}
	for _, op := range ops {
		last := d.lastEntry(ctx, op.ID)
		switch {
		case op.Status == safepoint.StatusRunning:
			d.running(ctx, op, last)
		case op.Status == safepoint.StatusQueued:
			d.add(Finding{Severity: Info, Code: "operation.queued", Where: op.DatabaseName, What: fmt.Sprintf("%s %s waits to start since %s.", op.Type, op.ID, stamp(op.CreatedAt))})
		case op.NeedsOperator:
			why := ""
			if op.Failure != nil {
				why = " " + op.Failure.Message
			}
			d.add(Finding{Severity: Problem, Code: "operation.needs_operator", Where: op.DatabaseName, What: fmt.Sprintf("A person must decide about restore %s of %s.%s%s", op.ID, op.DatabaseName, why, last),
				Next: "See below what stands on the server. Once the right database has its name, resume the services:", Command: "safepoint service resume --restore " + op.ID})
		case len(op.Attention) > 0:
			d.add(Finding{Severity: Problem, Code: "service.not_resumed", Where: op.DatabaseName, What: fmt.Sprintf("Restore %s could not resume: %s.", op.ID, strings.Join(op.Attention, ", ")),
				Next: "Look at the service itself, then:", Command: "safepoint service resume --restore " + op.ID})
		}
		if !op.UndoUntil.IsZero() && op.Status.Ended() {
			f := Finding{Severity: Info, Code: "aside.kept", Where: op.DatabaseName, What: fmt.Sprintf("What was live before restore %s of %s is kept until %s.", op.ID, op.DatabaseName, stamp(op.UndoUntil))}
			if op.Unguarded() {
				f.Severity, f.Code = Warning, "aside.unguarded"
				f.What = fmt.Sprintf("What was live before restore %s of %s has no safety backup yet, and is the only copy.", op.ID, op.DatabaseName)
				if op.SafetyFailure != nil {
					f.What += " " + op.SafetyFailure.Message
				}
				f.Next = "A server that runs tries again by itself, and keeps it until then. Do not drop it."
			} else if late := d.Now().Sub(op.UndoUntil); late > time.Hour {
				f.Severity, f.Code = Warning, "aside.overdue"
				f.What = fmt.Sprintf("What was live before restore %s of %s should be gone since %s, and is not.", op.ID, op.DatabaseName, stamp(op.UndoUntil))
				f.Next = "A server that runs drops it by itself; its log says why it could not."
			}
			d.add(f)
		}
	}
}

func (d *doctor) running(ctx context.Context, op safepoint.Operation, last string) {
	f := Finding{Severity: Info, Code: "operation.running", Where: op.DatabaseName, What: fmt.Sprintf("%s %s of %s runs since %s.%s", op.Type, op.ID, op.DatabaseName, stamp(op.StartedAt), last)}
	lease, err := d.Catalog.Lease(ctx, op.ID)
	switch {
	case d.Running == 0:
		f.Severity, f.Code = Problem, "operation.interrupted"
		f.What = fmt.Sprintf("%s %s of %s was cut off: its server does not run.%s", op.Type, op.ID, op.DatabaseName, last)
		f.Next = "Start the server: it brings it to its end, services first. Or have that done now, without a server:"
		f.Command = "safepoint doctor --data " + quoted(d.DataDir) + " --fix resume"
		d.resumes(&f, op.ID)
	case err == nil && op.Trigger != safepoint.TriggerSafety && d.Now().After(lease.Add(silence)):
		f.Severity, f.Code = Problem, "operation.silent"
		f.What += fmt.Sprintf(" It has given no sign of life since %s.", stamp(lease.Add(-time.Minute)))
		f.Next = fmt.Sprintf("The server (process %d) stands still, or cannot write its catalog. Look at its log and its disk; if it does not go on, restart it: the next start ends the operation. The watchdog does that by itself.", d.Running)
	case op.NeedsOperator:
		f.Severity, f.Code = Problem, "operation.stuck"
		if op.Failure != nil {
			f.What += " It cannot go on: " + op.Failure.Message
			f.Next = op.Failure.Hint
		}
	}
	d.add(f)
}

// lastEntry is the journal's last step, as a sentence.
func (d *doctor) lastEntry(ctx context.Context, id string) string {
	entries, err := d.Catalog.Journal(ctx, id)
	if err != nil || len(entries) == 0 {
		return ""
	}
	e := entries[len(entries)-1]
	return fmt.Sprintf(" Its journal ends at %s in step %s: %s", stamp(e.At), e.Step, e.Detail)
}

// files compares the backup files with the catalog, and returns the size of the largest that is kept, in bytes.
func (d *doctor) files(ctx context.Context) (largest int64) {
	there := map[string]int64{}
	unfinished := 0
	err := filepath.WalkDir(d.Backups, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		name, err := filepath.Rel(d.Backups, path)
		if err != nil || name == ".lock" {
			return err
		}
		if strings.HasPrefix(name, ".unfinished/") {
			unfinished++
			return nil
		}
		info, err := e.Info()
		if err == nil {
			there[name] = info.Size()
		}
		return nil
	})
	if err != nil && !os.IsNotExist(err) {
		d.failed("storage.unreadable", d.Backups, "The backup files cannot be listed", err)
		return 0
	}
	var missing, other []catalog.StoredFile
	kept := 0
	err = d.Catalog.StoredFiles(ctx, func(f catalog.StoredFile) {
		size, is := there[f.Key]
		delete(there, f.Key)
		switch {
		case !f.Kept:
		case !is:
			missing = append(missing, f)
		case size != f.Size:
			other = append(other, f)
		default:
			kept++
			largest = max(largest, size)
		}
	})
	if err != nil {
		d.failed("catalog.unreadable", d.DataDir, "The backups cannot be read from the catalog", err)
		return 0
	}
	d.add(Finding{Severity: Info, Code: "storage.files", Where: d.Backups, What: fmt.Sprintf("%d backup files are there and have the size that was stored.", kept),
		Next: "Whether each byte is what was written, safepoint verify FILE says."})
	for _, f := range missing {
		d.add(Finding{Severity: Problem, Code: "storage.missing", Where: d.Backups, What: fmt.Sprintf("The file of backup %s (%s) is not there.", f.Name, f.OperationID), Next: "Copy it back from where you keep copies: " + f.Key})
	}
	for _, f := range other {
		d.add(Finding{Severity: Problem, Code: "storage.size", Where: d.Backups, What: fmt.Sprintf("The file of backup %s (%s) has another size than was stored.", f.Name, f.OperationID),
			Next: "Choose another backup for restores, and look at the disk:", Command: "safepoint verify " + quoted(filepath.Join(d.Backups, f.Key))})
	}
	if n := len(there); n > 0 {
		f := Finding{Severity: Warning, Code: "storage.extra", Where: d.Backups, What: fmt.Sprintf("%d files are in the folder of backups that the catalog does not know.", n),
			Next: "Backups among them can be listed again, with the server stopped:", Command: "safepoint recover --from " + quoted(d.Backups) + " --data " + quoted(d.DataDir)}
		for name := range there {
			f.What += " One is " + name + "."
			break
		}
		d.add(f)
	}
	if unfinished > 0 && d.Running == 0 {
		d.add(Finding{Severity: Info, Code: "storage.unfinished", Where: d.Backups, What: fmt.Sprintf("%d unfinished files are left.", unfinished), Next: "The next start of the server removes them."})
	}
	return largest
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

func (d *doctor) ago(t time.Time) string { return d.Now().Sub(t).Round(time.Second).String() }
