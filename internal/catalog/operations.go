package catalog

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/safepoint-db/safepoint"
)

// CreateOperation stores a queued operation and returns it as stored. Its ID is made if empty; CreatedAt is now.
//
// In the same transaction it looks for what stands in the way, and names the first of it with CodeConflict: for a
// restore or an undo any other restore of the organization, queued or running; for a backup another backup of the same
// database. A backup asked for while a restore runs is stored and waits, and so is a restore while a backup runs.
// The source of a restore must be a backup that is kept, that of an undo a restore that can still be undone.
func (c *Catalog) CreateOperation(ctx context.Context, op safepoint.Operation) (safepoint.Operation, error) {
	if op.ID == "" {
		op.ID = safepoint.NewID(safepoint.OperationPrefix)
	}
	op.Status = safepoint.StatusQueued
	op.CreatedAt = c.Now()
	err := c.tx(ctx, func(tx *sql.Tx) error {
		if err := c.refuseConflict(ctx, tx, op); err != nil {
			return err
		}
		if err := c.refuseSource(ctx, tx, op); err != nil {
			return err
		}
		if err := c.yield(ctx, tx, op); err != nil {
			return err
		}
		if err := insertOperation(ctx, tx, op, job{}); err != nil {
			return err
		}
		var err error
		op, err = operationByID(ctx, tx, op.ID)
		return err
	})
	if err != nil {
		return safepoint.Operation{}, fmt.Errorf("create operation: %w", err)
	}
	return op, nil
}

// refuseConflict names the first queued or running operation that op must not be added to.
func (c *Catalog) refuseConflict(ctx context.Context, tx *sql.Tx, op safepoint.Operation) error {
	where, undone := `type = 'backup' AND triggered_by <> 'safety' AND database_id = $2`, ""
	if op.Type == safepoint.TypeRestore {
		where = `type = 'restore' AND $2 <> ''`
	}
	if op.Trigger == safepoint.TriggerUndo {
		undone = op.SourceID
	}
	first, err := scanOperation(tx.QueryRowContext(ctx, `SELECT `+operationColumns+` FROM operations
		WHERE status IN ('queued','running') AND organization_id = $1 AND `+where+`
			AND NOT ($3 <> '' AND `+yields+`)
		ORDER BY type DESC, created_at, id LIMIT 1`, op.OrganizationID, op.DatabaseID, undone))
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	zone, err := timeZone(ctx, tx, op.OrganizationID)
	if err != nil {
		return err
	}
	return underWay(first, c.Now().In(zone)).
		WithHint("Wait until it has ended, or cancel it first.")
}

// yields selects what makes way for an undo of the restore $3: the restore itself while safepoint.Operation.CanYield is
// true of it, and the making of its safety backup.
const yields = `(restore_id = $3 OR id = $3 AND status = 'running' AND resumed_at > 0 AND ` + unguarded + `)`

// yield ends what makes way for an undo: what the undo makes live again needs no safety backup.
func (c *Catalog) yield(ctx context.Context, tx *sql.Tx, op safepoint.Operation) error {
	if op.Trigger != safepoint.TriggerUndo {
		return nil
	}
	stops, err := operations(ctx, tx, `WHERE status IN ('queued','running') AND organization_id = $1 AND database_id = $2 AND `+yields,
		op.OrganizationID, op.DatabaseID, op.SourceID)
	if err != nil {
		return err
	}
	for _, s := range stops {
		if s.Status == safepoint.StatusQueued {
			err = cancelQueued(ctx, tx, s.ID, safepoint.Errorf(safepoint.CodeCancelled, "Cancelled, because the restore is undone."), c.Now())
		} else {
			_, err = tx.ExecContext(ctx, `UPDATE operations SET cancel_asked = 1 WHERE id = $1`, s.ID)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// UnderWay says of a queued or running operation, in the time zone of its organization, who does what since when.
func (c *Catalog) UnderWay(ctx context.Context, op safepoint.Operation) (*safepoint.Error, error) {
	zone, err := timeZone(ctx, c.db, op.OrganizationID)
	if err != nil {
		return nil, err
	}
	return underWay(op, c.Now().In(zone)), nil
}

// underWay says who does what since when.
func underWay(op safepoint.Operation, now time.Time) *safepoint.Error {
	who, db, waits := op.CreatedByName, op.DatabaseName, op.Status == safepoint.StatusQueued
	at := clock(op.StartedAt, now)
	if waits {
		at = clock(op.CreatedAt, now)
	}
	const code = safepoint.CodeConflict
	switch restores := op.Type == safepoint.TypeRestore; {
	case op.Trigger == safepoint.TriggerUndo && waits:
		return safepoint.Errorf(code, "%s asked for an undo of a restore of %s at %s, and it waits to start.", who, db, at)
	case op.Trigger == safepoint.TriggerUndo:
		return safepoint.Errorf(code, "%s started an undo of a restore of %s at %s, and it still runs.", who, db, at)
	case restores && waits:
		return safepoint.Errorf(code, "%s asked for a restore of %s at %s, and it waits to start.", who, db, at)
	case restores:
		return safepoint.Errorf(code, "%s started a restore of %s at %s, and it still runs.", who, db, at)
	case who == "" && waits:
		return safepoint.Errorf(code, "The schedule asked for a backup of %s at %s, and it waits to start.", db, at)
	case who == "":
		return safepoint.Errorf(code, "The schedule started a backup of %s at %s, and it still runs.", db, at)
	case waits:
		return safepoint.Errorf(code, "%s asked for a backup of %s at %s, and it waits to start.", who, db, at)
	}
	return safepoint.Errorf(code, "%s started a backup of %s at %s, and it still runs.", who, db, at)
}

// clock writes t in now's zone, with the day where it is not today.
func clock(t, now time.Time) string {
	t = t.In(now.Location())
	if t.YearDay() == now.YearDay() && t.Year() == now.Year() {
		return t.Format("15:04 MST")
	}
	return t.Format("15:04 MST on 2 January 2006")
}

func timeZone(ctx context.Context, q querier, orgID string) (*time.Location, error) {
	var name string
	err := q.QueryRowContext(ctx, `SELECT time_zone FROM organizations WHERE id = $1`, orgID).Scan(&name)
	if err != nil {
		return nil, absent(err, "organization")
	}
	zone, err := time.LoadLocation(name)
	if err != nil {
		return time.UTC, nil //nolint:nilerr // a zone this machine does not know only changes how a time is written
	}
	return zone, nil
}

// refuseSource checks that what a restore reads, or an undo goes back to, is there and stays there.
func (c *Catalog) refuseSource(ctx context.Context, tx *sql.Tx, op safepoint.Operation) error {
	if op.Type != safepoint.TypeRestore || op.SourceID == "" {
		return nil
	}
	var kind, status, undoneBy string
	var deleting, deleted, undoUntil int64
	err := tx.QueryRowContext(ctx, `SELECT type, status, deleting_at, deleted_at, undo_until, undone_by
		FROM operations WHERE id = $1 AND organization_id = $2`, op.SourceID, op.OrganizationID).
		Scan(&kind, &status, &deleting, &deleted, &undoUntil, &undoneBy)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return notFound("backup")
	case err != nil:
		return err
	case op.Trigger == safepoint.TriggerUndo:
		if err := refuseTaken(ctx, tx, op); err != nil {
			return err
		}
		src, err := operationByID(ctx, tx, op.SourceID)
		if err != nil {
			return err
		}
		over := undoUntil <= toMillis(c.Now()) && !src.Unguarded() // one without a safety backup is kept longer
		if kind != string(safepoint.TypeRestore) || undoneBy != "" || undoUntil == 0 || over {
			return safepoint.Errorf(safepoint.CodeConflict, "This restore can no longer be undone.").
				WithHint("Restore its safety backup instead: it is listed in DB Logs.")
		}
	case kind != string(safepoint.TypeBackup) || status != string(safepoint.StatusSucceeded):
		return safepoint.Errorf(safepoint.CodeConflict, "This is not a finished backup, so it cannot be restored.")
	case deleting > 0 || deleted > 0:
		return safepoint.Errorf(safepoint.CodeConflict, "This backup is deleted, so it cannot be restored.")
	}
	return nil
}

// RefuseTaken refuses to undo a restore whose place another has taken since.
func (c *Catalog) RefuseTaken(ctx context.Context, orgID, restoreID string) error {
	return refuseTaken(ctx, c.db, safepoint.Operation{OrganizationID: orgID, SourceID: restoreID})
}

// refuseTaken also goes with the request itself, for a person's look at the restore may be older than that. Later is what was
// asked for later, which is the order of rows: no clock that was set back changes it.
func refuseTaken(ctx context.Context, q querier, undo safepoint.Operation) error {
	var later string
	err := q.QueryRowContext(ctx, `SELECT l.name FROM operations l JOIN operations r ON r.id = $1
		WHERE l.organization_id = $2 AND l.database_id = r.database_id AND l.type = 'restore' AND l.triggered_by <> 'undo'
			AND l.switched = 1 AND l.undone_by = '' AND l.rowid > r.rowid
		ORDER BY l.rowid DESC LIMIT 1`, undo.SourceID, undo.OrganizationID).Scan(&later)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	return safepoint.Errorf(safepoint.CodeConflict, "A later restore, %s, has taken the place of this one.", later).
		WithHint("Undo that one first. The safety backup of this one is listed in DB Logs and can be restored like any other.")
}

// Operation is one operation of the organization, also a deleted one.
func (c *Catalog) Operation(ctx context.Context, orgID, id string) (safepoint.Operation, error) {
	op, err := operationByID(ctx, c.db, id)
	if err == nil && op.OrganizationID != orgID {
		err = notFound("operation")
	}
	if err != nil {
		return safepoint.Operation{}, fmt.Errorf("read operation: %w", err)
	}
	return op, nil
}

// AnyOperation is one operation of any organization. For the program itself.
func (c *Catalog) AnyOperation(ctx context.Context, id string) (safepoint.Operation, error) {
	op, err := operationByID(ctx, c.db, id)
	if err != nil {
		return safepoint.Operation{}, fmt.Errorf("read operation: %w", err)
	}
	return op, nil
}

// Running returns the queued and running operations of the organization, oldest first.
func (c *Catalog) Running(ctx context.Context, orgID string) ([]safepoint.Operation, error) {
	return c.operations(ctx, `WHERE status IN ('queued','running') AND organization_id = $1 ORDER BY created_at, id`, orgID)
}

// ScheduleRuns returns the runs of a schedule that were due at or after since, oldest first: also missed and deleted ones.
func (c *Catalog) ScheduleRuns(ctx context.Context, orgID, scheduleID string, since time.Time) ([]safepoint.Operation, error) {
	return c.operations(ctx, `WHERE schedule_id = $1 AND schedule_id <> '' AND due_at >= $2 AND organization_id = $3 ORDER BY due_at`,
		scheduleID, toMillis(since), orgID)
}

// DatabaseBackups returns the backups of a database whose files are kept, newest first.
func (c *Catalog) DatabaseBackups(ctx context.Context, orgID, databaseID string) ([]safepoint.Operation, error) {
	return c.operations(ctx, `WHERE database_id = $1 AND organization_id = $2 AND `+kept+` ORDER BY created_at DESC, id DESC`,
		databaseID, orgID)
}

// kept selects backups that have a file. The index operations_kept has the same condition.
const kept = `type = 'backup' AND status = 'succeeded' AND deleted_at = 0 AND deleting_at = 0`

// BackupTotals sums up the organization's kept backups: the newest and the oldest (nil if there is none), how many,
// and their size in bytes.
func (c *Catalog) BackupTotals(ctx context.Context, orgID string) (newest, oldest *safepoint.Operation, count int, bytes int64, err error) {
	err = c.db.QueryRowContext(ctx, `SELECT coalesce(sum(n), 0), coalesce(sum(bytes), 0) FROM kept_counts WHERE organization_id = $1`, orgID).
		Scan(&count, &bytes)
	for _, end := range []struct {
		order string
		op    **safepoint.Operation
	}{{"DESC", &newest}, {"ASC", &oldest}} {
		var found []safepoint.Operation
		if err == nil && count > 0 {
			found, err = c.operations(ctx, `WHERE organization_id = $1 AND `+kept+
				` ORDER BY created_at `+end.order+`, id `+end.order+` LIMIT 1`, orgID)
		}
		if len(found) > 0 {
			*end.op = &found[0]
		}
	}
	if err != nil {
		return nil, nil, 0, 0, fmt.Errorf("sum up backups: %w", err)
	}
	return newest, oldest, count, bytes, nil
}

// AskCancel cancels a queued operation at once, and asks the worker of a running one to stop. It returns the
// operation as it then is, or CodeConflict where it is too late.
func (c *Catalog) AskCancel(ctx context.Context, orgID, id string) (safepoint.Operation, error) {
	var op safepoint.Operation
	err := c.tx(ctx, func(tx *sql.Tx) (err error) {
		op, err = operationByID(ctx, tx, id)
		switch {
		case err != nil:
			return err
		case op.OrganizationID != orgID:
			return notFound("operation")
		case op.Status.Ended():
			return safepoint.Errorf(safepoint.CodeConflict, "It has ended already.")
		case op.Status == safepoint.StatusQueued:
			err = cancelQueued(ctx, tx, id, safepoint.Errorf(safepoint.CodeCancelled, "Cancelled before it started."), c.Now())
		case op.Trigger == safepoint.TriggerSafety:
			return safepoint.Errorf(safepoint.CodeConflict, "This backup is part of a restore.").WithHint("Cancel the restore instead.")
		case op.Type == safepoint.TypeRestore && (op.Step >= safepoint.StepSwitch || op.Switched):
			return safepoint.Errorf(safepoint.CodeConflict, "Too late to cancel: the switch takes a few seconds.")
		default:
			_, err = tx.ExecContext(ctx, `UPDATE operations SET cancel_asked = 1 WHERE id = $1`, id)
		}
		if err == nil {
			op, err = operationByID(ctx, tx, id)
		}
		return err
	})
	if err != nil {
		return safepoint.Operation{}, fmt.Errorf("cancel operation: %w", err)
	}
	return op, nil
}

// CancelQueuedRuns cancels the queued runs of a schedule, and returns them: it was disabled.
func (c *Catalog) CancelQueuedRuns(ctx context.Context, scheduleID string) ([]safepoint.Operation, error) {
	var ops []safepoint.Operation
	err := c.tx(ctx, func(tx *sql.Tx) error {
		queued, err := operations(ctx, tx, `WHERE status = 'queued' AND schedule_id = $1 AND schedule_id <> '' ORDER BY due_at`, scheduleID)
		if err != nil {
			return err
		}
		for _, op := range queued {
			if err := cancelQueued(ctx, tx, op.ID, errDisabled, c.Now()); err != nil {
				return err
			}
			op, err = operationByID(ctx, tx, op.ID)
			if err != nil {
				return err
			}
			ops = append(ops, op)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("cancel queued runs: %w", err)
	}
	return ops, nil
}

var errDisabled = safepoint.Errorf(safepoint.CodeCancelled, "The schedule was disabled before this run started.")

func cancelQueued(ctx context.Context, tx *sql.Tx, id string, why *safepoint.Error, now time.Time) error {
	_, err := tx.ExecContext(ctx, `UPDATE operations SET status = 'cancelled', cancel_asked = 1, finished_at = $2, failure = $3
		WHERE id = $1 AND status = 'queued'`, id, toMillis(now), toJSON(why.Failure()))
	return err
}

// Rows of operations.

// querier is what *sql.DB and *sql.Tx have in common for reading.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// operationColumns are in the order of operationValues and scanOperation.
const operationColumns = `id, organization_id, database_id, database_name, engine, type, triggered_by, status, name,
	schedule_id, due_at, created_at, started_at, finished_at, created_by, created_by_name, failure, cancel_asked, progress,
	storage_key, size, raw_size, sha256, verified_at, tables, row_count, server_version, restore_id, deleted_at,
	source_id, source_name, source_at, safety_id, step, switched, halted_at, resumed_at, service_count,
	undo_until, undone_by, attention, needs_operator, recipients, new_name, only_tables, upload, mode, safety_failure`

func operationValues(op safepoint.Operation) []any {
	return []any{
		op.ID, op.OrganizationID, op.DatabaseID, op.DatabaseName, string(op.Engine), string(op.Type), string(op.Trigger),
		string(op.Status), op.Name, op.ScheduleID, toMillis(op.DueAt), toMillis(op.CreatedAt), toMillis(op.StartedAt),
		toMillis(op.FinishedAt), op.CreatedBy, op.CreatedByName, failureJSON(op.Failure), toInt(op.CancelAsked), progressJSON(op.Progress),
		op.StorageKey, op.Size, op.RawSize, op.SHA256, toMillis(op.VerifiedAt), op.Tables, op.Rows, op.ServerVersion, op.RestoreID,
		toMillis(op.DeletedAt), op.SourceID, op.SourceName, toMillis(op.SourceAt), op.SafetyID, int(op.Step), toInt(op.Switched),
		toMillis(op.HaltedAt), toMillis(op.ResumedAt), op.Services, toMillis(op.UndoUntil), op.UndoneByID,
		namesJSON(op.Attention), toInt(op.NeedsOperator), namesJSON(op.Recipients), op.NewName, namesJSON(op.Only), uploadJSON(op.Upload), string(op.Mode),
		failureJSON(op.SafetyFailure),
	}
}

// job is the part of a row that says who runs it until when.
type job struct {
	node       string
	leaseUntil time.Time
	fence      int64
}

func insertOperation(ctx context.Context, tx *sql.Tx, op safepoint.Operation, j job) error {
	args := append(operationValues(op), j.node, toMillis(j.leaseUntil), j.fence)
	_, err := tx.ExecContext(ctx, `INSERT INTO operations (`+operationColumns+`, node, lease_until, fence)
		VALUES (`+placeholders(len(args))+`)`, args...)
	return err
}

func placeholders(n int) string { return placeholdersFrom(1, n) }

// placeholdersFrom are n placeholders, the first of which has a number.
func placeholdersFrom(first, n int) string {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "$%d", first+i)
	}
	return b.String()
}

func operationByID(ctx context.Context, q querier, id string) (safepoint.Operation, error) {
	op, err := scanOperation(q.QueryRowContext(ctx, `SELECT `+operationColumns+` FROM operations WHERE id = $1`, id))
	return op, absent(err, "operation")
}

func (c *Catalog) operations(ctx context.Context, where string, args ...any) ([]safepoint.Operation, error) {
	ops, err := operations(ctx, c.db, where, args...)
	if err != nil {
		return nil, fmt.Errorf("list operations: %w", err)
	}
	return ops, nil
}

func operations(ctx context.Context, q querier, where string, args ...any) ([]safepoint.Operation, error) {
	return collect(ctx, q, scanOperation, `SELECT `+operationColumns+` FROM operations `+where, args...)
}

func scanOperation(row scanner) (safepoint.Operation, error) {
	var op safepoint.Operation
	var due, created, started, finished, verified, deleted, sourceAt, halted, resumed, undoUntil int64
	var failure, progress, attention, recipients, only, upload, safetyFailure string
	err := row.Scan(&op.ID, &op.OrganizationID, &op.DatabaseID, &op.DatabaseName, &op.Engine, &op.Type, &op.Trigger,
		&op.Status, &op.Name, &op.ScheduleID, &due, &created, &started,
		&finished, &op.CreatedBy, &op.CreatedByName, &failure, &op.CancelAsked, &progress,
		&op.StorageKey, &op.Size, &op.RawSize, &op.SHA256, &verified, &op.Tables, &op.Rows, &op.ServerVersion, &op.RestoreID,
		&deleted, &op.SourceID, &op.SourceName, &sourceAt, &op.SafetyID, &op.Step, &op.Switched,
		&halted, &resumed, &op.Services, &undoUntil, &op.UndoneByID,
		&attention, &op.NeedsOperator, &recipients, &op.NewName, &only, &upload, &op.Mode, &safetyFailure)
	if err != nil {
		return op, err
	}
	for _, t := range []struct {
		to   *time.Time
		from int64
	}{
		{&op.DueAt, due}, {&op.CreatedAt, created}, {&op.StartedAt, started}, {&op.FinishedAt, finished}, {&op.VerifiedAt, verified},
		{&op.DeletedAt, deleted}, {&op.SourceAt, sourceAt}, {&op.HaltedAt, halted}, {&op.ResumedAt, resumed}, {&op.UndoUntil, undoUntil},
	} {
		*t.to = fromMillis(t.from)
	}
	for _, f := range []struct {
		text string
		into any
	}{{failure, &op.Failure}, {progress, &op.Progress}, {attention, &op.Attention}, {recipients, &op.Recipients}, {only, &op.Only}, {upload, &op.Upload}, {safetyFailure, &op.SafetyFailure}} {
		if f.text == "" || f.text == "[]" {
			continue
		}
		if err := json.Unmarshal([]byte(f.text), f.into); err != nil {
			return op, fmt.Errorf("row %s: %w", op.ID, err)
		}
	}
	return op, nil
}

func failureJSON(f *safepoint.Failure) string {
	if f == nil {
		return ""
	}
	return toJSON(*f)
}

func uploadJSON(u *safepoint.Upload) string {
	if u == nil {
		return ""
	}
	return toJSON(*u)
}

func progressJSON(p safepoint.Progress) string {
	if p == (safepoint.Progress{}) {
		return ""
	}
	return toJSON(p)
}

func namesJSON(names []string) string {
	if len(names) == 0 {
		return "[]"
	}
	return toJSON(names)
}

// toJSON writes plain structs and strings, which cannot fail.
func toJSON(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("catalog: %T has no JSON form: %v", v, err))
	}
	return string(b)
}

func toInt(b bool) int {
	if b {
		return 1
	}
	return 0
}
