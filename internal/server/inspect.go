package server

import (
	"context"
	"path/filepath"
	"strings"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/catalog"
)

// Data is a data directory, open for looking at only: a server may use it at the same time.
type Data struct {
	Catalog  *catalog.Catalog // nil where it cannot be read; Lost says why
	Lost     error
	Keys     *catalog.Keys // nil where they cannot be read; KeysLost says why
	KeysLost error
	Backups  string // the folder of backup files
	Running  int    // the process that holds the directory, 0 if none does
}

// OpenData looks at a data directory and changes nothing in it. The caller closes Catalog.
func OpenData(ctx context.Context, dir string) Data {
	d := Data{Backups: filepath.Join(dir, backupsFolder), Running: running(dir)}
	d.Catalog, d.Lost = catalog.OpenReader(ctx, filepath.Join(dir, catalogFile))
	d.Keys, d.KeysLost = catalog.ReadKeys(dir)
	return d
}

// running is the process that the lock file names, if it lives and has it open.
func running(dir string) int {
	pid := holderOf(dir)
	if pid == 0 || !hasOpen(pid, filepath.Join(dir, lockFile)) {
		return 0
	}
	return pid
}

// RecoverNow brings to an end what a dead server left running, services first, as the server's next start does, and
// starts nothing. It is refused with CodeConflict while a server uses the data directory.
func RecoverNow(ctx context.Context, cfg Config, operationID string) error {
	if err := asOwner(cfg.DataDir); err != nil {
		return err
	}
	unlock, err := lockData(ctx, cfg.DataDir, cfg.Log)
	if err != nil {
		return err
	}
	defer unlock()
	w := &watchdog{cfg: cfg, log: cfg.Log}
	if err := w.recover(ctx); err != nil {
		return err
	}
	c, err := catalog.OpenReader(ctx, filepath.Join(cfg.DataDir, catalogFile))
	if err != nil {
		return err
	}
	defer c.Close()
	ops, err := c.Unsettled(ctx)
	if err != nil {
		return err
	}
	for _, op := range ops {
		if op.ID == operationID && (!op.Status.Ended() || op.NeedsOperator || len(op.Attention) > 0) {
			return unsettled(op)
		}
	}
	return nil
}

// unsettled says what is left of an operation that recovery could not settle.
func unsettled(op safepoint.Operation) error {
	if len(op.Attention) > 0 {
		return safepoint.Errorf(safepoint.CodeNeedsOperator, "Restore %s could not resume: %s.", op.ID, strings.Join(op.Attention, ", ")).
			WithHint("Look at the service itself, then try again.")
	}
	e := safepoint.Errorf(safepoint.CodeNeedsOperator, "A person must decide about restore %s.", op.ID).WithHint("safepoint doctor says what stands on the server.")
	if op.Failure != nil {
		e = e.WithCause(op.Failure.Failed())
	}
	return e
}
