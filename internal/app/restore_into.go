package app

import (
	"context"
	"strings"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/archive"
	"github.com/safepoint-db/safepoint/internal/engine"
)

// StartRestoreInto queues the restore of a backup, or of chosen tables of it, into a new database on the live one's
// server. The live database is not touched and no service is halted. The new database gets the live one's owner,
// grants and settings.
func (a *App) StartRestoreInto(ctx context.Context, by safepoint.Actor, id string, in NewDatabase) (safepoint.Operation, error) {
	if err := a.authorize(ctx, by, admin, "restore"); err != nil {
		return safepoint.Operation{}, err
	}
	op, d, err := a.restorable(ctx, by.OrganizationID, id)
	if err != nil {
		return safepoint.Operation{}, err
	}
	in.Name = strings.TrimSpace(in.Name)
	if err := a.mayRestoreInto(ctx, d, in); err != nil {
		return safepoint.Operation{}, err
	}
	key, err := a.keyFor(ctx, op, in.Keys)
	if err != nil {
		return safepoint.Operation{}, err
	}
	r, file, err := a.openBackup(ctx, op, key)
	if err != nil {
		return safepoint.Operation{}, err
	}
	defer file.Close()
	if len(in.Tables) > 0 { // a name that fits no table is told now
		if _, err := a.pick(ctx, r, op.Engine, TableChoice{Tables: in.Tables}); err != nil {
			return safepoint.Operation{}, err
		}
	}
	queued := safepoint.NewID(safepoint.OperationPrefix)
	a.hold(queued, key) // before a worker can take it
	started, err := a.queueRestore(ctx, by, safepoint.Operation{
		ID: queued, DatabaseID: d.ID, DatabaseName: d.Name, Engine: d.Engine,
		Type: safepoint.TypeRestore, Trigger: safepoint.TriggerManual, Name: op.Name + " restored into " + in.Name,
		SourceID: op.ID, SourceName: op.Name, SourceAt: snapshotAt(r.Header()), NewName: in.Name, Only: in.Tables,
	})
	if err != nil {
		a.letGo(queued)
	}
	return started, err
}

// mayRestoreInto refuses a name that cannot be given.
func (a *App) mayRestoreInto(ctx context.Context, d safepoint.Database, in NewDatabase) error {
	if in.Name == "" {
		return safepoint.Invalid("name", "Enter a name for the new database.")
	}
	e, _ := a.Engine(d.Engine)
	f, ok := e.(engine.Founder)
	if !ok {
		return safepoint.Errorf(safepoint.CodeConflict, "A backup of %s cannot be restored into a new database.", d.Engine.Label())
	}
	t, err := a.target(ctx, d)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, a.testLimit)
	defer cancel()
	err = f.CanFound(ctx, t, in.Name)
	if safepoint.ErrorCode(err) == safepoint.CodeConflict {
		u := safepoint.UserError(err)
		return safepoint.Invalid("name", "%s", u.Quoted()).HintedAs(u)
	}
	return slow(ctx, a.testLimit, err, serverOf(d))
}

// chosen is the archive that an operation restores: all of r, or the tables that were chosen.
func (a *App) chosen(ctx context.Context, r *archive.Reader, op safepoint.Operation) (*archive.Reader, error) {
	if len(op.Only) == 0 {
		return r, nil
	}
	picked, err := a.pick(ctx, r, op.Engine, TableChoice{Tables: op.Only})
	return picked.Reader, err
}
