package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/archive"
	"github.com/safepoint-db/safepoint/internal/encrypt"
	"github.com/safepoint-db/safepoint/internal/engine"
	"github.com/safepoint-db/safepoint/internal/restore"
	"github.com/safepoint-db/safepoint/internal/server"
)

// replace is a restore without a server: the same steps under the same journal, which lies beside the backup file
// until the restore has ended. Run again after a crash, it finds the journal and ends what was begun.
func (cmd *loadCmd) replace(ctx context.Context, env *Env, e engine.Engine, t engine.Target, b *backupFile) error {
	journal := strings.TrimRight(cmd.File, "/") + ".restore-journal"
	cmd.foreign = b.Header().Foreign != "" && len(b.Fingerprint()) == 0
	unlock, err := server.LockFile(journal + ".lock")
	if err != nil {
		return err
	}
	defer unlock(true)
	again, err := cmd.replaceOnce(ctx, env, e, t, b, journal)
	if again {
		_, err = cmd.replaceOnce(ctx, env, e, t, b, journal)
	}
	return err
}

// replaceOnce ends an earlier restore if one was interrupted, else it restores. It says again where the earlier one was
// taken back, so that what was asked for is still to be done.
func (cmd *loadCmd) replaceOnce(ctx context.Context, env *Env, e engine.Engine, t engine.Target, b *backupFile, journal string) (again bool, err error) {
	ledger, err := restore.OpenFileLedger(journal)
	if err != nil {
		return false, fileError(err, journal)
	}
	defer ledger.Close()
	to, err := cmd.safetyRecipients(b)
	if err != nil {
		return false, err
	}
	safety := cmd.safetyPath(t)
	if len(to) > 0 && cmd.Safety == "" {
		safety += encrypt.Extension
	}
	j := restore.Job{
		Engine: e, Target: t, Ledger: ledger, Patience: time.Minute,
		Source: func(context.Context) (*archive.Reader, io.Closer, error) { return b.Reader, io.NopCloser(nil), nil },
		Guard: func(ctx context.Context, dump restore.DumpFunc) (string, error) {
			_, err := env.writeBackup(ctx, newBackup{path: safety, force: true, all: true, to: to}, func(w *archive.Writer, opt engine.DumpOptions) error {
				return dump(ctx, w, opt)
			})
			return safety, err
		},
		Stopping: func() bool { return false },
	}
	if began := ledger.Operation(); began.ID != "" {
		return cmd.goOn(ctx, env, j, ledger, began)
	}
	question := fmt.Sprintf("Replace %s with the backup of %s from %s? A safety backup goes to %s.", t.Name, b.Header().Database, when(b.Header().CreatedAt), safety)
	if err := env.confirm(cmd.Yes, question); err != nil {
		return false, errors.Join(err, ledger.Remove())
	}
	now := time.Now().UTC()
	j.Operation = safepoint.Operation{
		ID: safepoint.NewID(safepoint.OperationPrefix), DatabaseName: t.Name, Engine: t.Engine, Type: safepoint.TypeRestore,
		Trigger: safepoint.TriggerManual, Status: safepoint.StatusRunning, CreatedAt: now, StartedAt: now,
		SourceName: cmd.File, SourceAt: b.Header().CreatedAt,
	}
	if err := ledger.Save(ctx, j.Operation); err != nil {
		return false, err
	}
	m := env.meter(nil)
	j.Report = func(p safepoint.Progress) { m.show(p.Phase, int64(p.Percent), 100) }
	op := restore.Run(ctx, j)
	m.end()
	return false, cmd.finish(ctx, env, j, ledger, op)
}

// goOn ends a restore that an earlier process left.
func (cmd *loadCmd) goOn(ctx context.Context, env *Env, j restore.Job, ledger *restore.FileLedger, began safepoint.Operation) (again bool, err error) {
	if began.DatabaseName != j.Target.Name {
		return false, safepoint.Errorf(safepoint.CodeConflict, "An earlier restore of %s from this file has not ended.", began.DatabaseName).
			WithHint("Run the same command with --into %s first: it finds out how far that got.", began.DatabaseName)
	}
	if !env.JSON {
		fmt.Fprintf(env.Err, "An earlier restore of %s was interrupted at step %s: it is ended first.\n", began.DatabaseName, began.Step)
	}
	j.Operation = began
	op := began
	if !began.Status.Ended() || began.NeedsOperator { // nobody knew what to do; it is looked at again
		j.Operation.Status = safepoint.StatusRunning
		op = restore.Recover(ctx, j)
	}
	if op.Status == safepoint.StatusFailed && !op.NeedsOperator && !op.Switched {
		if !env.JSON {
			fmt.Fprintf(env.Err, "It was taken back: %s is as it was before. The restore starts again.\n", oneLine(began.DatabaseName))
		}
		return true, ledger.Remove()
	}
	return false, cmd.finish(ctx, env, j, ledger, op)
}

// finish keeps the outcome, drops the previous database if nobody wants it, and removes the journal.
func (cmd *loadCmd) finish(ctx context.Context, env *Env, j restore.Job, ledger *restore.FileLedger, op safepoint.Operation) error {
	ctx = context.WithoutCancel(ctx)
	if err := ledger.Save(ctx, op); err != nil {
		return err
	}
	switch {
	case !op.Status.Ended(), op.NeedsOperator:
		return cmd.failed(op, safepoint.CodeNeedsOperator, "The journal is kept. Run the same command again when the cause is gone.")
	case op.Status != safepoint.StatusSucceeded:
		return errors.Join(cmd.failed(op, safepoint.CodeInternal, ""), ledger.Remove())
	}
	plan, err := planOf(ctx, ledger)
	if err != nil {
		return err
	}
	kept := plan.AsideName
	inPlace := op.Mode == safepoint.RestoreInPlace
	if inPlace { // nothing was set aside
		kept = ""
	} else if !cmd.KeepPrevious {
		if err := restore.Clean(ctx, j.Engine, j.Target, *plan, false); err != nil {
			return err
		}
		kept = ""
	}
	if err := ledger.Remove(); err != nil {
		return err
	}
	result := map[string]any{"into": j.Target.Name, "tables": op.Tables, "rows": op.Rows, "safety_backup": op.SafetyID, "previous": kept}
	return env.print(result, func(w ioWriter) {
		fmt.Fprintf(w, "Replaced %s: %s, %s; %s.\nWhat it held before is in %s.\n",
			j.Target.Name, count(op.Tables, "table"), count(op.Rows, "row"), checkedAs(!cmd.foreign), op.SafetyID)
		if inPlace {
			fmt.Fprintf(w, "It was done in place, in one transaction, for %s may not make or rename databases: no previous database is kept.\n", j.Target.User)
		}
		if kept != "" {
			fmt.Fprintf(w, "The previous database is kept as %s.\n", kept)
		}
	})
}

func planOf(ctx context.Context, ledger *restore.FileLedger) (*engine.Plan, error) {
	entries, err := ledger.Entries(ctx)
	if err != nil {
		return nil, err
	}
	plan, err := restore.PlanOf(entries)
	if err == nil && plan == nil {
		err = safepoint.Errorf(safepoint.CodeNeedsOperator, "The journal of this restore holds no plan.")
	}
	return plan, err
}

// failed is the error an operation ended with, under code if it has none of its own.
func (cmd *loadCmd) failed(op safepoint.Operation, code safepoint.Code, hint string) error {
	e := &safepoint.Error{Code: code, Message: "The restore ended as " + string(op.Status) + ".", Hint: hint}
	if f := op.Failure; f != nil {
		e.Message = f.Message
		e.Hint = strings.TrimSpace(f.Hint + " " + hint)
		if code != safepoint.CodeNeedsOperator {
			e.Code = f.Code
		}
	}
	return e
}

// safetyRecipients is whom the safety backup is encrypted for: those that were named, else whoever opened the backup
// file. What is kept encrypted must not come to lie in the clear because it was replaced.
func (cmd *loadCmd) safetyRecipients(b *backupFile) ([]encrypt.Recipient, error) {
	if len(cmd.Recipient) > 0 || b.encrypted == nil {
		return encrypt.ParseRecipients(cmd.Recipient)
	}
	var to []encrypt.Recipient
	for _, id := range b.opened {
		r := id.Recipient()
		if r.String() != "" && (len(to) == 0 || r.PostQuantum() == to[0].PostQuantum()) && !slices.ContainsFunc(to, func(o encrypt.Recipient) bool { return o.String() == r.String() }) {
			to = append(to, r)
		}
	}
	if len(to) == 0 {
		return nil, safepoint.Errorf(safepoint.CodeKey, "The backup is encrypted with a passphrase, and its safety backup needs a recipient.").
			WithHint("Name one with --recipient age1…: safepoint key new makes a key and prints its recipient.")
	}
	return to, nil
}

// safetyPath is where the safety backup goes.
func (cmd *loadCmd) safetyPath(t engine.Target) string {
	if cmd.Safety != "" {
		return cmd.Safety
	}
	name := strings.Map(func(r rune) rune {
		if r == '-' || r == '_' || r == '.' || r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z' {
			return r
		}
		return '_'
	}, t.Name)
	return filepath.Join(filepath.Dir(cmd.File), strings.TrimLeft(name, ".-")+"-safety-"+time.Now().UTC().Format("20060102-150405")+".sql.zst")
}
