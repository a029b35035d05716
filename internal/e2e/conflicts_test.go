package e2e

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/api/wire"
	"github.com/safepoint-db/safepoint/internal/pgtest"
	"github.com/safepoint-db/safepoint/internal/server"
)

// atOnce calls start twenty times at once. Exactly one may win; the others must be told of it.
func atOnce(t *testing.T, what string, start func() (wire.Operation, error)) wire.Operation {
	t.Helper()
	const many = 20
	var ops [many]wire.Operation
	var errs [many]error
	var all sync.WaitGroup
	gate := make(chan struct{})
	for i := range many {
		all.Go(func() {
			<-gate
			ops[i], errs[i] = start()
		})
	}
	close(gate)
	all.Wait()
	var won []wire.Operation
	for i := range many {
		if errs[i] == nil {
			won = append(won, ops[i])
			continue
		}
		e := safepoint.UserError(errs[i])
		if e.Code != safepoint.CodeConflict || !strings.Contains(e.Message, "Rahel") || !strings.Contains(e.Message, what) {
			t.Errorf("refused with %s: %s", e.Code, e.Message)
		}
	}
	if len(won) != 1 {
		t.Fatalf("%d of %d were started", len(won), many)
	}
	return won[0]
}

// TestConflictsWithARestore asks for everything that must not begin beside a restore, which waits for a slow service.
func TestConflictsWithARestore(t *testing.T) {
	t.Parallel()
	b := start(t, server.Config{}, "")
	b.openTill()
	s, other := b.addSQLite("shop", ordersSQLite("400")), b.addSQLite("other", ordersSQLite("10"))
	good, another := s.backup(), other.backup()
	spare := s.backup()
	executeSQLite(t, s.target.Path, "INSERT INTO orders SELECT -id, 'new' FROM orders")
	check := s.unchanged()

	_, err := b.api.StartRestore(t.Context(), good.ID, wire.RestoreInput{Confirm: "Shop"})
	wantRefusal(t, asHinted(err), safepoint.CodeInvalid, "shop", "Nothing was started")
	_, err = b.api.StartRestore(t.Context(), good.ID, wire.RestoreInput{Confirm: ""})
	wantRefusal(t, asHinted(err), safepoint.CodeInvalid, "shop")
	if ops := b.operations(safepoint.OperationFilter{Type: safepoint.TypeRestore}); len(ops) > 0 {
		t.Errorf("a wrong name started %+v", ops)
	}
	check()

	asked, letGo := b.till.holdHalt(t)
	first := atOnce(t, "a restore of shop", func() (wire.Operation, error) {
		return b.api.StartRestore(t.Context(), good.ID, wire.RestoreInput{Confirm: "shop"})
	})
	within(t, "the service is asked to halt", asked)
	_, err = b.api.StartRestore(t.Context(), another.ID, wire.RestoreInput{Confirm: "other"})
	wantRefusal(t, err, safepoint.CodeConflict, "Rahel", "a restore of shop")
	wantRefusal(t, b.api.DeleteBackup(t.Context(), good.ID, "shop"), safepoint.CodeConflict, "in use", "a restore of shop")
	b.must(b.api.DeleteBackup(t.Context(), spare.ID, "shop")) // one that is not in use can go
	preview := must(b.api.PreviewRestore(t.Context(), another.ID))(t)
	if preview.Busy == nil || preview.Busy.ID != first.ID {
		t.Errorf("the preview names %+v as what must end first", preview.Busy)
	}
	if st := must(b.api.State(t.Context()))(t); st.State != "halted" || st.OperationID != first.ID || !strings.Contains(st.Reason, "shop") {
		t.Errorf("the state is %+v", st)
	}
	waits := must(b.api.StartBackup(t.Context(), other.ID))(t)
	if now := must(b.api.Operation(t.Context(), waits.ID))(t); now.Status != "queued" {
		t.Errorf("a backup asked for while the organization is halted is %s", now.Status)
	}
	letGo()
	if op := b.wait(first.ID); op.Status != "succeeded" {
		t.Fatalf("the restore ended %s: %+v", op.Status, op.Failure)
	}
	if op := b.wait(waits.ID); op.Status != "succeeded" {
		t.Errorf("the backup that waited ended %s: %+v", op.Status, op.Failure)
	}
	if n := b.till.haltCount(); n != 1 {
		t.Errorf("the service was halted %d times", n)
	}
	s.working()
}

// asHinted gives a field's error a hint: the form beside it is the way out.
func asHinted(err error) error {
	e := safepoint.UserError(err)
	if e.Field != "confirm" {
		return err
	}
	return e.WithHint("Type it again.")
}

// TestConflictsWithABackup holds a backup in the middle of a table.
func TestConflictsWithABackup(t *testing.T) {
	t.Parallel()
	c := pgtest.Shared(t)
	line := newLine(t, c.Port)
	b := start(t, server.Config{}, "")
	b.openTill()
	s := b.addPostgres(c, line, ordersPostgres)
	good := s.backup()
	check := s.unchanged()

	held := line.hold(2 << 20)
	first := atOnce(t, "a backup of shop", func() (wire.Operation, error) { return b.api.StartBackup(t.Context(), s.ID) })
	within(t, "the backup is in the middle of a table", held)
	_, err := b.api.StartBackup(t.Context(), s.ID)
	wantRefusal(t, err, safepoint.CodeConflict, "Rahel", "a backup of shop")
	behind := must(b.api.StartRestore(t.Context(), good.ID, wire.RestoreInput{Confirm: "shop"}))(t)
	if op := must(b.api.Operation(t.Context(), behind.ID))(t); op.Status != "queued" {
		t.Errorf("a restore that is to wait for the backup is %s", op.Status)
	}
	must(b.api.Cancel(t.Context(), behind.ID))(t)
	wantRefusal(t, b.api.RemoveDatabase(t.Context(), s.ID), safepoint.CodeConflict, "shop")

	asked := time.Now()
	must(b.api.Cancel(t.Context(), first.ID))(t)
	op := b.wait(first.ID) // with the line still held: a server that does not answer keeps nobody from cancelling
	wantFailed(t, op, safepoint.CodeCancelled, "Cancelled")
	if took := op.FinishedAt.Sub(asked); took > 30*time.Second {
		t.Errorf("it took %s to cancel", took)
	}
	line.release()
	_, err = b.api.Cancel(t.Context(), first.ID)
	wantRefusal(t, hinted(err), safepoint.CodeConflict, "ended already")
	check()
	s.backup()
}

func hinted(err error) error {
	if e := safepoint.UserError(err); e.Hint == "" {
		return e.WithHint("Nothing is left to do.")
	}
	return err
}

// TestCancelRestore cancels a restore while it loads staging, while it waits for a service to halt, and while it makes
// the safety backup.
func TestCancelRestore(t *testing.T) {
	t.Parallel()
	c := pgtest.Shared(t)
	line := newLine(t, c.Port)
	b := start(t, server.Config{}, "")
	b.openTill()
	s := b.addPostgres(c, line, ordersPostgres)
	good := s.backup()
	pgtest.Exec(t, s.target, "INSERT INTO orders SELECT -g, 'new' FROM generate_series(1, 100) g")
	digest, files, left := s.digest(), s.files(), s.left()
	cancelled := func(op wire.Operation, step string) {
		t.Helper()
		must(b.api.Cancel(t.Context(), op.ID))(t)
		line.release()
		op = b.wait(op.ID)
		wantFailed(t, op, safepoint.CodeCancelled, "Cancelled")
		if op.Step != step || op.Switched {
			t.Errorf("it ended in step %s, want %s", op.Step, step)
		}
		s.same(digest, files, left)
	}

	op := must(b.api.StartRestore(t.Context(), good.ID, wire.RestoreInput{Confirm: "shop"}))(t)
	b.reaches(op.ID, "the restore loads", func(o wire.Operation) bool { return o.Step == "stage" || o.Ended() })
	line.hold(0)
	cancelled(op, "stage")
	if n := b.till.haltCount(); n != 0 {
		t.Errorf("the service was halted %d times", n)
	}

	asked, letGo := b.till.holdHalt(t)
	op = must(b.api.StartRestore(t.Context(), good.ID, wire.RestoreInput{Confirm: "shop"}))(t)
	within(t, "the service is asked to halt", asked)
	cancelled(op, "halt")
	letGo()

	op = must(b.api.StartRestore(t.Context(), good.ID, wire.RestoreInput{Confirm: "shop"}))(t)
	b.reaches(op.ID, "the safety backup is made", func(o wire.Operation) bool { return o.Step == "guard" || o.Ended() })
	line.hold(0)
	cancelled(op, "guard")

	s.restore(good)
	s.working()
}
