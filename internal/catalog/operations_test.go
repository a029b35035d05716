package catalog

import (
	"context"
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/jobs"
)

const (
	testLease = time.Minute
	testNode  = "here/1"
)

// fixture is a catalog with a clock that stands still, two organizations, three databases and a schedule.
type fixture struct {
	*Catalog
	t   *testing.T
	ctx context.Context
	now time.Time
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	return newFixtureAt(t, filepath.Join(t.TempDir(), "catalog.db"))
}

func newFixtureAt(t *testing.T, path string) *fixture {
	t.Helper()
	c, err := Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	f := &fixture{Catalog: c, t: t, ctx: t.Context(), now: time.Date(2026, 11, 22, 14, 0, 0, 0, time.UTC)}
	c.Now = func() time.Time { return f.now }
	for _, org := range []string{"org_a", "org_b"} {
		f.sql(`INSERT INTO organizations (id, name, time_zone, undo_window_ms, created_at) VALUES ($1, $1, 'Europe/Berlin', 0, 1)`, org)
	}
	for _, db := range []struct{ id, org string }{{"db_1", "org_a"}, {"db_2", "org_a"}, {"db_9", "org_b"}} {
		f.sql(`INSERT INTO databases (id, organization_id, name, engine, created_at, created_by, created_by_name)
			VALUES ($1, $2, $1, 'postgres', 1, '', '')`, db.id, db.org)
	}
	f.sql(`INSERT INTO schedules (id, organization_id, database_id, name, interval_ms, anchor, created_at, created_by, created_by_name, enabled_at)
		VALUES ('sch_1', 'org_a', 'db_1', 'nightly', $1, $2, 1, '', '', $2)`, time.Duration(safepoint.Every8Hours).Milliseconds(), toMillis(f.now))
	return f
}

func (f *fixture) sql(query string, args ...any) {
	f.t.Helper()
	if _, err := f.db.ExecContext(f.ctx, query, args...); err != nil {
		f.t.Fatal(err)
	}
}

func (f *fixture) ok(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

// refused checks err's code and a part of its message.
func (f *fixture) refused(err error, code safepoint.Code, part string) {
	f.t.Helper()
	if safepoint.ErrorCode(err) != code || !strings.Contains(err.Error(), part) {
		f.t.Fatalf("got %v, want %s with %q", err, code, part)
	}
}

func backupOf(org, db string) safepoint.Operation {
	return safepoint.Operation{OrganizationID: org, DatabaseID: db, DatabaseName: db, Engine: safepoint.PostgreSQL,
		Type: safepoint.TypeBackup, Trigger: safepoint.TriggerManual, Name: db, CreatedBy: "usr_i", CreatedByName: "Ines Marlow"}
}

func restoreOf(org, db, source string) safepoint.Operation {
	op := backupOf(org, db)
	op.Type, op.SourceID = safepoint.TypeRestore, source
	return op
}

func (f *fixture) create(op safepoint.Operation) safepoint.Operation {
	f.t.Helper()
	op, err := f.CreateOperation(f.ctx, op)
	f.ok(err)
	return op
}

// claim takes the next operation; it must be the one with this ID, "" for none.
func (f *fixture) claim(id string) jobs.Claim {
	f.t.Helper()
	c, err := f.ClaimNext(f.ctx, testNode, testLease)
	f.ok(err)
	if c == nil {
		c = &jobs.Claim{}
	}
	if c.Operation.ID != id {
		f.t.Fatalf("claimed %q, want %q", c.Operation.ID, id)
	}
	return *c
}

func (f *fixture) finish(c jobs.Claim, s safepoint.Status) safepoint.Operation {
	f.t.Helper()
	op := c.Operation
	op.Status = s
	f.ok(f.Finish(f.ctx, c, op))
	return f.get(op.ID)
}

func (f *fixture) get(id string) safepoint.Operation {
	f.t.Helper()
	op, err := operationByID(f.ctx, f.db, id)
	f.ok(err)
	return op
}

// kept makes a finished backup.
func (f *fixture) kept(org, db string) safepoint.Operation {
	f.t.Helper()
	return f.finish(f.claim(f.create(backupOf(org, db)).ID), safepoint.StatusSucceeded)
}

// Every field of an Operation comes back as it was stored, whichever way it is stored.
func TestOperationRoundTrip(t *testing.T) {
	f := newFixture(t)
	full := filled(f.now)
	full.OrganizationID, full.ID, full.Type, full.Status = "org_a", "op_full", safepoint.TypeBackup, safepoint.StatusQueued
	full.CreatedAt = f.now.Add(-time.Hour)
	tx, err := f.db.begin(f.ctx)
	f.ok(err)
	f.ok(insertOperation(f.ctx, tx, full, job{}))
	f.ok(tx.Commit())
	if got := f.get(full.ID); !reflect.DeepEqual(got, full) {
		t.Errorf("inserted\n%+v\nread back\n%+v", full, got)
	}

	// What a worker may not change stays as it was; everything else is stored by Finish.
	queued := f.create(backupOf("org_a", "db_1"))
	f.finish(f.claim(full.ID), safepoint.StatusFailed)
	c := f.claim(queued.ID)
	end := filled(f.now)
	end.Status = safepoint.StatusFailed
	f.ok(f.Finish(f.ctx, c, end))
	got := f.get(queued.ID)
	want := end
	for _, keep := range []string{"ID", "OrganizationID", "DatabaseID", "DatabaseName", "Engine", "Type", "Trigger", "ScheduleID", "DueAt",
		"CreatedAt", "StartedAt", "CreatedBy", "CreatedByName", "CancelAsked", "Progress", "SourceID", "RestoreID", "UndoneByID", "DeletedAt", "NewName", "Only"} {
		reflect.ValueOf(&want).Elem().FieldByName(keep).Set(reflect.ValueOf(c.Operation).FieldByName(keep))
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("finished as\n%+v\nread back\n%+v", want, got)
	}
}

// filled is an operation of which no field is zero.
func filled(now time.Time) safepoint.Operation {
	op := safepoint.Operation{
		Failure:       &safepoint.Failure{Code: safepoint.CodeSpace, Message: "full", Hint: "buy a disk"},
		SafetyFailure: &safepoint.Failure{Code: safepoint.CodeUnreachable, Message: "away"},
		Progress:      safepoint.Progress{Phase: "dump", Table: "t", Tables: 1, TablesOf: 2, Bytes: 3, BytesOf: 4, Percent: 5, Rate: 6, SecondsETA: 7, At: now},
		Attention:     []string{"web, \"the\" shop", "worker"},
		Only:          []string{"app.*", "\"odd\".\"T\""},
		Step:          safepoint.StepGuard,
		Recipients:    []string{"age1one", "age1two"},
		Upload:        &safepoint.Upload{FileName: "shop.dump", Size: 12, NoOwner: true, Origin: "pg_dump 9.6, tar format"},
	}
	v := reflect.ValueOf(&op).Elem()
	for i := range v.NumField() {
		switch field := v.Field(i); {
		case !field.IsZero():
		case field.Kind() == reflect.String:
			field.SetString("s" + v.Type().Field(i).Name)
		case field.Kind() == reflect.Bool:
			field.SetBool(true)
		case field.CanInt():
			field.SetInt(int64(i + 1))
		case field.Type() == reflect.TypeFor[time.Time]():
			field.Set(reflect.ValueOf(now.Add(time.Duration(i) * time.Second)))
		default:
			panic("a field of a new kind: " + v.Type().Field(i).Name)
		}
	}
	return op
}

func TestConflicts(t *testing.T) {
	f := newFixture(t)
	src, other := f.kept("org_a", "db_1"), f.kept("org_a", "db_2")

	f.now = f.now.Add(time.Minute)
	first := f.create(backupOf("org_a", "db_1"))
	_, err := f.CreateOperation(f.ctx, backupOf("org_a", "db_1"))
	f.refused(err, safepoint.CodeConflict, "Ines Marlow asked for a backup of db_1 at 15:01 CET, and it waits to start.")
	c := f.claim(first.ID)
	f.now = f.now.Add(24 * time.Hour)
	_, err = f.CreateOperation(f.ctx, backupOf("org_a", "db_1"))
	f.refused(err, safepoint.CodeConflict, "Ines Marlow started a backup of db_1 at 15:01 CET on 22 November 2026, and it still runs.")
	behind := f.create(restoreOf("org_a", "db_1", src.ID)) // waits for the backup
	f.claim("")
	_, err = f.AskCancel(f.ctx, "org_a", behind.ID)
	f.ok(err)
	if _, err = f.CreateOperation(f.ctx, backupOf("org_b", "db_9")); err != nil {
		t.Errorf("another organization is in the way: %v", err)
	}

	restore := f.create(restoreOf("org_a", "db_2", other.ID)) // beside a backup of another database
	f.finish(c, safepoint.StatusFailed)
	_, err = f.CreateOperation(f.ctx, restoreOf("org_a", "db_1", src.ID))
	f.refused(err, safepoint.CodeConflict, "a restore of db_2")
	f.now = f.now.Add(time.Millisecond)
	waits := f.create(backupOf("org_a", "db_2")) // a backup is kept, and waits
	f.claim(f.list("org_b")[0].ID)
	rc := f.claim(restore.ID)
	f.claim("")
	safety := backupOf("org_a", "db_2")
	safety.Trigger, safety.RestoreID = safepoint.TriggerSafety, restore.ID
	sc, err := f.InsertRunning(f.ctx, safety, testNode, testLease)
	f.ok(err)
	f.finish(sc, safepoint.StatusSucceeded)
	f.finish(rc, safepoint.StatusSucceeded)
	f.claim(waits.ID)
}

func (f *fixture) list(org string) []safepoint.Operation {
	f.t.Helper()
	ops, err := f.Running(f.ctx, org)
	f.ok(err)
	return ops
}

func TestRestoreNeedsItsSource(t *testing.T) {
	f := newFixture(t)
	src, foreign := f.kept("org_a", "db_1"), f.kept("org_b", "db_9")
	_, err := f.CreateOperation(f.ctx, restoreOf("org_a", "db_1", foreign.ID))
	f.refused(err, safepoint.CodeNotFound, "not here")
	f.ok(f.MarkDeleting(f.ctx, "org_a", src.ID, true, safepoint.AuditEntry{}))
	_, err = f.CreateOperation(f.ctx, restoreOf("org_a", "db_1", src.ID))
	f.refused(err, safepoint.CodeConflict, "deleted")

	src = f.kept("org_a", "db_1")
	c := f.claim(f.create(restoreOf("org_a", "db_1", src.ID)).ID)
	c.Operation.UndoUntil = f.now.Add(time.Hour)
	restore := f.finish(c, safepoint.StatusSucceeded)
	undo := restoreOf("org_a", "db_1", restore.ID)
	undo.Trigger = safepoint.TriggerUndo
	f.now = f.now.Add(time.Hour)
	_, err = f.CreateOperation(f.ctx, undo)
	f.refused(err, safepoint.CodeConflict, "can no longer be undone")
	f.now = f.now.Add(-time.Minute)
	u := f.create(undo)
	f.now = f.now.Add(time.Hour)
	if ops, err := f.ExpiredUndo(f.ctx, f.now); err != nil || len(ops) != 0 {
		t.Errorf("a database was to be dropped under an undo: %v %v", ops, err)
	}
	f.finish(f.claim(u.ID), safepoint.StatusFailed)
	if ops, err := f.ExpiredUndo(f.ctx, f.now); err != nil || len(ops) != 1 || ops[0].ID != restore.ID {
		t.Errorf("expired: %v %v", ops, err)
	}
	f.ok(f.ClearUndo(f.ctx, restore.ID))
	if ops, _ := f.ExpiredUndo(f.ctx, f.now); len(ops) != 0 {
		t.Errorf("cleared, still there: %v", ops)
	}

	c = f.claim(f.create(restoreOf("org_a", "db_1", src.ID)).ID)
	c.Operation.UndoUntil = f.now.Add(time.Hour)
	undo.SourceID = f.finish(c, safepoint.StatusSucceeded).ID
	u = f.finish(f.claim(f.create(undo).ID), safepoint.StatusSucceeded)
	if got := f.get(undo.SourceID); got.UndoneByID != u.ID || !got.UndoUntil.IsZero() {
		t.Errorf("undone by %q, until %s", got.UndoneByID, got.UndoUntil)
	}
}

func TestCancel(t *testing.T) {
	f := newFixture(t)
	src := f.kept("org_a", "db_1")
	_, err := f.AskCancel(f.ctx, "org_a", src.ID)
	f.refused(err, safepoint.CodeConflict, "ended already")
	op := f.create(backupOf("org_a", "db_1"))
	_, err = f.AskCancel(f.ctx, "org_b", op.ID)
	f.refused(err, safepoint.CodeNotFound, "not here")
	op, err = f.AskCancel(f.ctx, "org_a", op.ID)
	f.ok(err)
	if op.Status != safepoint.StatusCancelled || op.FinishedAt.IsZero() || op.Failure.Code != safepoint.CodeCancelled {
		t.Errorf("queued, then cancelled: %+v", op)
	}
	f.claim("")

	c := f.claim(f.create(restoreOf("org_a", "db_1", src.ID)).ID)
	c.Operation.Step = safepoint.StepGuard
	f.ok(f.SaveOperation(f.ctx, c, c.Operation))
	op, err = f.AskCancel(f.ctx, "org_a", c.Operation.ID)
	f.ok(err)
	if op.Status != safepoint.StatusRunning || !op.CancelAsked {
		t.Errorf("running: %+v", op)
	}
	if cancel, err := f.Beat(f.ctx, c, safepoint.Progress{Percent: 7}, testLease); err != nil || !cancel {
		t.Errorf("the worker does not hear of it: %v %v", cancel, err)
	}
	c.Operation.Step = safepoint.StepSwitch
	f.ok(f.SaveOperation(f.ctx, c, c.Operation))
	if got := f.get(op.ID); !got.CancelAsked || got.Progress.Percent != 7 || got.Step != safepoint.StepSwitch {
		t.Errorf("saving undid what others wrote: %+v", got)
	}
	_, err = f.AskCancel(f.ctx, "org_a", op.ID)
	f.refused(err, safepoint.CodeConflict, "Too late to cancel: the switch takes a few seconds.")
}

func TestDeletion(t *testing.T) {
	f := newFixture(t)
	a, b := f.kept("org_a", "db_1"), f.kept("org_a", "db_1")
	rc := f.claim(f.create(restoreOf("org_a", "db_1", a.ID)).ID)
	safety := backupOf("org_a", "db_1")
	safety.Trigger, safety.RestoreID, safety.StorageKey = safepoint.TriggerSafety, rc.Operation.ID, "a/b/safety"
	sc, err := f.InsertRunning(f.ctx, safety, testNode, testLease)
	f.ok(err)
	f.refused(f.MarkDeleting(f.ctx, "org_a", sc.Operation.ID, true, safepoint.AuditEntry{Action: "backup.delete"}), safepoint.CodeConflict, "not a finished backup")
	f.finish(sc, safepoint.StatusSucceeded)
	f.refused(f.MarkDeleting(f.ctx, "org_a", sc.Operation.ID, true, safepoint.AuditEntry{}), safepoint.CodeConflict, "in use. Ines Marlow started a restore")
	f.refused(f.MarkDeleting(f.ctx, "org_a", a.ID, true, safepoint.AuditEntry{}), safepoint.CodeConflict, "in use")
	f.refused(f.MarkDeleting(f.ctx, "org_b", b.ID, true, safepoint.AuditEntry{}), safepoint.CodeNotFound, "not here")
	f.ok(f.MarkDeleting(f.ctx, "org_a", b.ID, true, safepoint.AuditEntry{OrganizationID: "org_a", Action: "backup.delete", ObjectID: b.ID}))
	if lines, err := f.OpenAudit(f.ctx, "backup.delete"); err != nil || len(lines) != 1 || lines[0].ObjectID != b.ID {
		t.Errorf("the audit log says of it: %v %v", lines, err) // and nothing of those that were refused
	}
	f.finish(rc, safepoint.StatusFailed)

	f.ok(f.MarkDeleting(f.ctx, "org_a", sc.Operation.ID, true, safepoint.AuditEntry{OrganizationID: "org_a", Action: "backup.delete", ObjectID: sc.Operation.ID}))
	f.refused(f.MarkDeleting(f.ctx, "org_a", sc.Operation.ID, true, safepoint.AuditEntry{}), safepoint.CodeConflict, "is being deleted: that was asked for at")
	if ops, err := f.Deleting(f.ctx); err != nil || len(ops) != 2 {
		t.Errorf("deleting: %v %v", ops, err)
	}
	if last, err := f.LastMade(f.ctx, "org_a", "db_1"); err != nil || last == nil || last.ID != a.ID {
		t.Errorf("last: %v %v", last, err)
	}
	f.ok(f.MarkDeleted(f.ctx, sc.Operation.ID))
	f.ok(f.MarkDeleted(f.ctx, a.ID)) // never intended: stays
	if lines, err := f.OpenAudit(f.ctx, "backup.delete"); err != nil || len(lines) != 1 || lines[0].ObjectID != b.ID {
		t.Errorf("the audit log has still open: %v %v", lines, err)
	}
	if f.get(sc.Operation.ID).DeletedAt.IsZero() || !f.get(a.ID).DeletedAt.IsZero() {
		t.Error("deleted without intent, or not at all")
	}
	page, err := f.Operations(f.ctx, "org_a", safepoint.OperationFilter{})
	f.ok(err)
	if page.All != 3 || slices.ContainsFunc(page.Operations, func(op safepoint.Operation) bool { return op.ID == sc.Operation.ID }) {
		t.Errorf("DB Logs lists what is deleted: %+v", page)
	}
	newest, oldest, n, _, err := f.BackupTotals(f.ctx, "org_a")
	if err != nil || n != 1 || newest.ID != a.ID || oldest.ID != a.ID {
		t.Errorf("totals: %v %v %d %v", newest, oldest, n, err)
	}
	if newest, oldest, n, size, err := f.BackupTotals(f.ctx, "org_b"); newest != nil || oldest != nil || n != 0 || size != 0 || err != nil {
		t.Error("totals of nothing")
	}
}

// Going through the pages in either direction shows each row once, also while rows come and go.
func TestPaging(t *testing.T) {
	f := newFixture(t)
	var want []string
	for i := range 25 {
		op := backupOf("org_a", "db_1")
		op.Name = fmt.Sprintf("shop_%02d%%.sql", i)
		if i%5 != 0 {
			f.now = f.now.Add(time.Second) // some share their moment
		}
		op = f.finish(f.claim(f.create(op).ID), safepoint.StatusSucceeded)
		want = append(want, op.ID)
	}
	page, err := f.Operations(f.ctx, "org_a", safepoint.OperationFilter{Limit: 200})
	f.ok(err)
	all := ids(page.Operations)
	if slices.Sort(want); !slices.Equal(want, slices.Sorted(slices.Values(all))) || page.Total != 25 || page.Previous+page.Next != "" {
		t.Fatalf("one page: %+v", page)
	}

	var down, up []string
	filter := safepoint.OperationFilter{Limit: 7}
	for range 9 {
		page, err = f.Operations(f.ctx, "org_a", filter)
		f.ok(err)
		if page.Offset < len(down) || page.Total < 25 {
			t.Errorf("offset %d of %d after %d rows", page.Offset, page.Total, len(down))
		}
		down = append(down, ids(page.Operations)...)
		if page.Next == "" {
			break
		}
		filter.Cursor = page.Next
		f.now = f.now.Add(time.Second)
		f.kept("org_a", "db_1") // comes on top
	}
	if !slices.Equal(down, all) {
		t.Errorf("downwards:\n%v\n%v", down, all)
	}
	for page.Previous != "" {
		up = append(slices.Clone(ids(page.Operations)), up...)
		filter.Cursor = page.Previous
		page, err = f.Operations(f.ctx, "org_a", filter)
		f.ok(err)
	}
	if len(page.Operations) != 7 || page.Offset != 0 {
		t.Errorf("the first page is not full: %+v", page)
	}
	up = append(ids(page.Operations), up...)
	if got := slices.Compact(up); len(got) < 28 || !slices.Equal(got[len(got)-25:], all) {
		t.Errorf("upwards:\n%v\n%v", got, all)
	}

	for text, n := range map[string]int{"SHOP_0": 10, "%": 25, "_": 28, "shop_": 25, "p_1": 10, "p%": 0, `\`: 0, "'": 0} {
		page, err := f.Operations(f.ctx, "org_a", safepoint.OperationFilter{Text: text, Limit: 1})
		f.ok(err)
		if page.Total != n || page.All != 28 {
			t.Errorf("text %q: %d of %d, want %d", text, page.Total, page.All, n)
		}
	}
	page, err = f.Operations(f.ctx, "org_b", safepoint.OperationFilter{})
	f.ok(err)
	if page.All != 0 || len(page.Operations) != 0 {
		t.Errorf("another organization sees %+v", page)
	}
	for _, bad := range []string{"x", "b.1", logCursor{true, -1}.String()} {
		_, err = f.Operations(f.ctx, "org_a", safepoint.OperationFilter{Cursor: bad})
		f.refused(err, safepoint.CodeInvalid, "page")
	}
}

func ids(ops []safepoint.Operation) []string {
	var out []string
	for _, op := range ops {
		out = append(out, op.ID)
	}
	return out
}

func TestJournalAndState(t *testing.T) {
	f := newFixture(t)
	src := f.kept("org_a", "db_1")
	c := f.claim(f.create(restoreOf("org_a", "db_1", src.ID)).ID)
	id := c.Operation.ID
	for i, e := range []safepoint.JournalEntry{
		{OperationID: id, Step: safepoint.StepHalt, Event: "intent", State: []byte(`{"a":1}`)},
		{OperationID: id, Step: safepoint.StepHalt, Event: "done", Detail: "all"},
	} {
		f.ok(f.AppendHeld(f.ctx, c, e))
		all, err := f.Journal(f.ctx, id)
		f.ok(err)
		if got := all[len(all)-1]; got.Seq != i+1 || !got.At.Equal(f.now) {
			t.Errorf("entry %d: %+v", i, got)
		}
	}
	if err := f.AppendHeld(f.ctx, c, safepoint.JournalEntry{OperationID: id, State: []byte("{")}); err == nil {
		t.Error("a state that recovery could not read was stored")
	}
	entries, err := f.Journal(f.ctx, id)
	f.ok(err)
	if len(entries) != 2 || string(entries[0].State) != `{"a":1}` || entries[1].Detail != "all" || entries[1].State != nil {
		t.Errorf("journal: %+v", entries)
	}

	f.ok(f.SetHaltedHeld(f.ctx, c, "org_a", "db_1 is restored", f.now.Add(time.Minute)))
	since := f.now
	f.now = f.now.Add(time.Second)
	f.ok(f.SetHaltedHeld(f.ctx, c, "org_a", "still", f.now.Add(time.Hour)))
	s, err := f.State(f.ctx, "org_a")
	f.ok(err)
	if s.State != safepoint.StateHalted || !s.Since.Equal(since) || s.Reason != "still" || s.OperationID != id || !s.Until.Equal(f.now.Add(time.Hour)) {
		t.Errorf("halted: %+v", s)
	}
	f.create(backupOf("org_a", "db_2"))
	other := f.create(backupOf("org_b", "db_9"))
	oc := f.claim(other.ID)
	f.refused(f.SetHaltedHeld(f.ctx, oc, "org_a", "", f.now), safepoint.CodeConflict, "Another restore")
	f.claim("") // db_2 waits for the resume
	f.ok(f.ClearHaltedHeld(f.ctx, oc, "org_a"))
	f.claim("")
	c.Operation.Attention, c.Operation.NeedsOperator = []string{"web"}, true
	f.ok(f.ClearHaltedHeld(f.ctx, c, "org_a"))
	f.ok(f.SaveOperation(f.ctx, c, c.Operation))
	s, err = f.State(f.ctx, "org_a")
	f.ok(err)
	if s.State != safepoint.StateOperating || !s.Since.Equal(f.now) || !slices.Equal(s.Attention, []string{"web"}) || s.OperationID != id {
		t.Errorf("resumed: %+v", s)
	}
	f.ok(f.Settle(f.ctx, "org_a", id, nil, true)) // it has not ended
	if got := f.get(id); len(got.Attention) != 1 || !got.NeedsOperator {
		t.Errorf("settled under way: %+v", got)
	}
	f.finish(c, safepoint.StatusFailed)
	f.ok(f.Settle(f.ctx, "org_a", id, nil, false))
	if got := f.get(id); got.Attention != nil || !got.NeedsOperator {
		t.Errorf("resumed, and not open: %+v", got)
	}
	f.ok(f.Settle(f.ctx, "org_a", id, nil, true))
	if got := f.get(id); got.NeedsOperator {
		t.Errorf("settled: %+v", got)
	}
	if s, _ = f.State(f.ctx, "org_a"); s.Attention != nil || s.OperationID != "" {
		t.Errorf("all well: %+v", s)
	}
}

// TestEndsInTheAuditLog writes with an operation, and with its end, the line of who asked for it: neither is ever without the
// other, whatever cannot be written.
func TestEndsInTheAuditLog(t *testing.T) {
	f := newFixture(t)
	asked := safepoint.AuditEntry{OrganizationID: "org_a", ActorName: "Ines", IP: "192.0.2.1", Via: "session", Action: "backup", ObjectType: "operation", ObjectName: "shop"}
	lines := func(id string) (found []string) {
		t.Helper()
		page, err := f.Audit(f.ctx, "org_a", AuditFilter{Limit: 200})
		f.ok(err)
		for _, e := range page.Entries {
			if e.ObjectID == id {
				found = append(found, e.ActorName+" "+e.Action+" "+e.Outcome+" "+e.Detail)
			}
		}
		return found
	}
	op, err := f.CreateOperation(f.ctx, backupOf("org_a", "db_1"), asked)
	f.ok(err)
	if got := lines(op.ID); !slices.Equal(got, []string{"Ines backup  "}) {
		t.Errorf("asked for: %q", got)
	}
	c := f.claim(op.ID)
	f.sql(`CREATE TRIGGER no_audit BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'no'); END`)
	failed := c.Operation
	failed.Status, failed.Failure = safepoint.StatusFailed, &safepoint.Failure{Message: "It broke."}
	if err := f.Finish(f.ctx, c, failed); err == nil || f.get(op.ID).Status != safepoint.StatusRunning {
		t.Errorf("ended without its line (%v): %+v", err, f.get(op.ID))
	}
	f.sql(`DROP TRIGGER no_audit`)
	for range 2 { // the first answer may have got lost
		f.ok(f.Finish(f.ctx, c, failed))
	}
	if got := lines(op.ID); !slices.Equal(got, []string{"Ines backup failed It broke."}) {
		t.Errorf("ended: %q", got)
	}
	f.sql(`CREATE TRIGGER no_audit BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'no'); END`)
	before := len(f.list("org_a"))
	if _, err := f.CreateOperation(f.ctx, backupOf("org_a", "db_1"), asked); err == nil || len(f.list("org_a")) != before {
		t.Errorf("queued without a line (%v)", err)
	}
	f.sql(`DROP TRIGGER no_audit`)
	due := backupOf("org_a", "db_1") // nobody asked
	due.CreatedBy, due.CreatedByName = "", ""
	scheduled := f.create(due)
	_, err = f.AskCancel(f.ctx, "org_a", scheduled.ID)
	f.ok(err)
	if got := lines(scheduled.ID); !slices.Equal(got, []string{"Scheduler backup cancelled Cancelled before it started."}) {
		t.Errorf("cancelled: %q", got)
	}
}

// TestRenamedServiceStaysOnTheList: the name of a service that needs a person changes with the service, in one transaction.
func TestRenamedServiceStaysOnTheList(t *testing.T) {
	f := newFixture(t)
	s, err := f.CreateService(f.ctx, safepoint.Service{OrganizationID: "org_a", Name: "web", Kind: safepoint.ServiceWebhook, Timeout: time.Second}, nil)
	f.ok(err)
	src := f.kept("org_a", "db_1")
	c := f.claim(f.create(restoreOf("org_a", "db_1", src.ID)).ID)
	c.Operation.Attention, c.Operation.NeedsOperator = []string{"till", "web"}, true
	restore := f.finish(c, safepoint.StatusFailed)
	s.Name = "storefront"
	f.sql(`CREATE TRIGGER no_list BEFORE UPDATE OF attention ON operations BEGIN SELECT RAISE(ABORT, 'no'); END`)
	if _, err := f.UpdateService(f.ctx, s, nil, "Ines"); err == nil {
		t.Error("renamed, and not on the list")
	}
	if list, err := f.Services(f.ctx, "org_a"); err != nil || list[0].Name != "web" {
		t.Errorf("it is called %+v (%v)", list, err)
	}
	f.sql(`DROP TRIGGER no_list`)
	_, err = f.UpdateService(f.ctx, s, nil, "Ines")
	f.ok(err)
	if got := f.get(restore.ID).Attention; !slices.Equal(got, []string{"till", "storefront"}) {
		t.Errorf("on the list are %q", got)
	}
}
