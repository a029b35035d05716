package catalog

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/safepoint-db/safepoint"
)

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

func insertOperation(ctx context.Context, tx *transaction, op safepoint.Operation, j job) error {
	args := append(operationValues(op), j.node, toMillis(j.leaseUntil), j.fence)
	_, err := tx.ExecContext(ctx, `INSERT INTO operations (`+operationColumns+`, node, lease_until, fence)
		VALUES (`+placeholders(len(args))+`)`, args...)
	return err
}

func (c *Catalog) operations(ctx context.Context, where string, args ...any) ([]safepoint.Operation, error) {
	ops, err := operations(ctx, c.db, where, args...)
	if err != nil {
		return nil, fmt.Errorf("list operations: %w", err)
	}
	return ops, nil
}

// first is the first operation that a query selects, nil if there is none.
func (c *Catalog) first(ctx context.Context, where string, args ...any) (*safepoint.Operation, error) {
	found, err := c.operations(ctx, where, args...)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	return &found[0], nil
}

func operationByID(ctx context.Context, q querier, id string) (safepoint.Operation, error) {
	op, err := scanOperation(q.QueryRowContext(ctx, `SELECT `+operationColumns+` FROM operations WHERE id = $1`, id))
	return op, absent(err, "operation")
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
