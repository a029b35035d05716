package soak

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/api/wire"
	"github.com/safepoint-db/safepoint/internal/engine"
)

// attempt is one story in which something is struck.
type attempt struct {
	story *story
	fault string // of which kind
	point string
	nth   int

	op       wire.Operation // what the story began; without an ID if nothing was recorded
	about    wire.Operation // what it is about: the restore that an undo takes back, the backup that is deleted
	before   string         // the newest operation of its type before it began
	launched time.Time      // when the server was started, or let go on, for the last time
	rude     bool           // the database server was away: orders may have been refused
	person   bool           // something failed for good: a person may have been asked for
	met      bool           // the fault struck
	within   time.Duration  // it must end, after the start or after what broke is mended
	found    engine.Target  // the new database of a restore into one
}

// story is something that people or schedules do. Every part but begin may be nil.
type story struct {
	name    string
	typ     safepoint.OperationType
	prepare func(s *shop, t *testing.T, a *attempt)       // in peace
	begin   func(s *shop, t *testing.T, a *attempt) error // the server may be struck before it answers
	ended   func(s *shop, t *testing.T, a *attempt) bool  // where there may be no operation to wait for
	check   func(s *shop, t *testing.T, a *attempt)       // what is its own, besides what the oracle checks after each
	back    func(s *shop, t *testing.T, a *attempt)       // to where the next one begins
	halts   bool                                          // it may halt services
	content func(a *attempt) string                       // which content is to be live: "old" or "new"; nil is new
	keeps   func(a *attempt) (name, content string)       // what is kept beside it afterwards; nil is nothing
}

// stories are what is struck, in the order of the report. Another way to restore is another line here.
func stories() []*story {
	return []*story{
		restoreStory("restore", safepoint.RestoreGuarded),
		restoreStory("instant", safepoint.RestoreInstant),
		{
			name: "undo", typ: safepoint.TypeRestore, halts: true,
			prepare: func(s *shop, t *testing.T, a *attempt) { a.about = s.restoreInPeace(t) },
			begin: func(s *shop, t *testing.T, a *attempt) (err error) {
				a.op, err = s.api.StartUndo(context.Background(), a.about.ID)
				return err
			},
			content: func(a *attempt) string { return when(a.op.Status == "succeeded", "new", "old") },
			keeps: func(a *attempt) (string, string) {
				if a.op.Status == "succeeded" {
					return engine.StagingName(a.about.ID), "old"
				}
				return engine.AsideName(a.about.ID), "new"
			},
			back: func(s *shop, t *testing.T, a *attempt) {
				if a.op.Status != "succeeded" {
					s.goBack(t, a.about)
				}
			},
		},
		inPlaceStory(),
		{
			name: "found", typ: safepoint.TypeRestore,
			prepare: func(s *shop, t *testing.T, a *attempt) { a.found = s.beside("copy of the shop") },
			begin: func(s *shop, t *testing.T, a *attempt) (err error) {
				a.op, err = s.api.StartRestoreInto(context.Background(), s.backup.ID, wire.NewDatabase{Name: "copy of the shop"})
				return err
			},
			check: (*shop).checkFound,
			back:  func(s *shop, t *testing.T, a *attempt) { s.drop(t, a.found) },
		},
		{
			name: "backup", typ: safepoint.TypeBackup,
			begin: func(s *shop, t *testing.T, a *attempt) (err error) {
				a.op, err = s.api.StartBackup(context.Background(), s.db.ID)
				return err
			},
		},
		{
			name: "delete", typ: safepoint.TypeBackup,
			prepare: func(s *shop, t *testing.T, a *attempt) {
				a.about = s.wait(t, s.api, must[wire.Operation](t)(s.api.StartBackup(context.Background(), s.db.ID)).ID)
			},
			begin: func(s *shop, t *testing.T, a *attempt) error {
				return s.api.DeleteBackup(context.Background(), a.about.ID, "")
			},
			ended: func(s *shop, t *testing.T, a *attempt) bool {
				op, err := s.api.Operation(context.Background(), a.about.ID)
				return err == nil && (!op.DeletedAt.IsZero() || !slices.Contains(s.deleting(t), op.ID))
			},
			check: (*shop).checkDeleted,
		},
		{
			name: "schedule", typ: safepoint.TypeBackup,
			prepare: (*shop).comeDue,
			begin:   (*shop).startAgain,
			ended:   (*shop).dueEnded,
			check:   (*shop).checkDue,
			back: func(s *shop, t *testing.T, a *attempt) {
				s.edit(t, `UPDATE schedules SET is_active = 0`)
			},
		},
		{
			name: "upload", typ: safepoint.TypeBackup,
			begin: (*shop).upload,
			check: (*shop).checkUploads,
		},
		{
			name: "clean", typ: safepoint.TypeRestore, halts: true,
			prepare: (*shop).passWindow,
			begin:   (*shop).startAgain,
			ended: func(s *shop, t *testing.T, a *attempt) bool {
				op, err := s.api.Operation(context.Background(), a.about.ID)
				return err == nil && op.UndoUntil.IsZero()
			},
			content: func(a *attempt) string { return "old" },
			check: func(s *shop, t *testing.T, a *attempt) {
				if left := s.leftovers(t); len(left) > 0 {
					t.Errorf("G3: the window has passed, and these are still there: %v", left)
				}
			},
			back: func(s *shop, t *testing.T, a *attempt) { s.renew(t) },
		},
		{
			name: "test", halts: true,
			begin: func(s *shop, t *testing.T, a *attempt) error {
				services := must[[]wire.Service](t)(s.api.Services(context.Background()))
				_, err := s.api.TestService(context.Background(), services[0].ID)
				return err
			},
			ended: func(s *shop, t *testing.T, a *attempt) bool { return s.till.selling(50 * time.Millisecond) },
		},
		recoveryStory(),
	}
}

// restoreStory restores the old content over the new.
func restoreStory(name string, mode safepoint.RestoreMode) *story {
	return &story{
		name: name, typ: safepoint.TypeRestore, halts: true,
		begin: func(s *shop, t *testing.T, a *attempt) (err error) {
			a.op, err = s.api.StartRestore(context.Background(), s.backup.ID, wire.RestoreInput{Confirm: "shop", Mode: string(mode)})
			return err
		},
		content: func(a *attempt) string { return when(a.op.Status == "succeeded", "old", "new") },
		keeps: func(a *attempt) (string, string) {
			return when(a.op.Status == "succeeded", engine.AsideName(a.op.ID), ""), "new"
		},
		back: func(s *shop, t *testing.T, a *attempt) {
			if a.op.Status == "succeeded" {
				s.goBack(t, a.op)
			}
		},
	}
}

// inPlaceStory is a restore from within the database. Nothing is set aside: the way back is the safety backup.
func inPlaceStory() *story {
	st := restoreStory("inplace", safepoint.RestoreGuarded) // which it turns out not to be
	st.keeps = func(*attempt) (string, string) { return "", "" }
	st.check = func(s *shop, t *testing.T, a *attempt) {
		if a.op.Status == "succeeded" && (a.op.Mode != string(safepoint.RestoreInPlace) || !a.op.UndoUntil.IsZero()) {
			t.Errorf("G3: the restore was %s, to be undone until %v", a.op.Mode, a.op.UndoUntil)
		}
	}
	st.back = func(s *shop, t *testing.T, a *attempt) {
		if a.op.Status != "succeeded" {
			return
		}
		back := s.wait(t, s.api, must[wire.Operation](t)(s.api.StartRestore(context.Background(), a.op.SafetyID, wire.RestoreInput{Confirm: "shop"})).ID)
		if back.Status != "succeeded" {
			t.Fatalf("G3: the restore of the safety backup ended %s: %+v", back.Status, back.Failure)
		}
		if got := digest(t, s.ours(s.target)); got != s.new {
			t.Errorf("G2: after the restore of the safety backup the live database is %s", s.name(got))
		}
	}
	return st
}

// recoveryStory is a restore, or a backup, whose recovery is struck too.
func recoveryStory() *story {
	r := restoreStory("recovery", safepoint.RestoreGuarded)
	restore := r.begin
	r.begin = func(s *shop, t *testing.T, a *attempt) (err error) {
		if strings.HasPrefix(a.point, "backup.") {
			a.op, err = s.api.StartBackup(context.Background(), s.db.ID)
			return err
		}
		return restore(s, t, a)
	}
	content, keeps, back := r.content, r.keeps, r.back
	isBackup := func(a *attempt) bool { return a.op.Type == string(safepoint.TypeBackup) }
	r.content = func(a *attempt) string { return when(isBackup(a), "new", content(a)) }
	r.keeps = func(a *attempt) (string, string) {
		if isBackup(a) {
			return "", ""
		}
		return keeps(a)
	}
	r.back = func(s *shop, t *testing.T, a *attempt) {
		if !isBackup(a) {
			back(s, t, a)
		}
	}
	return r
}

func when[T any](is bool, then, otherwise T) T {
	if is {
		return then
	}
	return otherwise
}

func (s *shop) restoreInPeace(t *testing.T) wire.Operation {
	t.Helper()
	op := s.wait(t, s.api, must[wire.Operation](t)(s.api.StartRestore(context.Background(), s.backup.ID, wire.RestoreInput{Confirm: "shop"})).ID)
	if op.Status != "succeeded" {
		t.Fatalf("a restore in peace ended %s: %+v", op.Status, op.Failure)
	}
	if !s.till.selling(10 * time.Second) {
		t.Fatal("the till does not sell after a restore in peace")
	}
	return op
}

// goBack undoes a restore in peace, and checks that the new content is back.
func (s *shop) goBack(t *testing.T, restored wire.Operation) {
	t.Helper()
	undo := s.wait(t, s.api, must[wire.Operation](t)(s.api.StartUndo(context.Background(), restored.ID)).ID)
	if undo.Status != "succeeded" {
		t.Fatalf("G3: the undo ended %s: %+v", undo.Status, undo.Failure)
	}
	if got := digest(t, s.ours(s.target)); got != s.new {
		t.Errorf("G2: after the undo the live database is %s", s.name(got))
	}
	if !s.till.selling(10 * time.Second) {
		t.Error("G4: after the undo the till does not sell")
	}
}

// startAgain restarts the server: what is due then is done at its start.
func (s *shop) startAgain(t *testing.T, _ *attempt) error {
	s.proc.kill()
	s.proc.start(t)
	return nil
}

// edit changes the catalog behind the server's back, as time would.
func (s *shop) edit(t *testing.T, statement string, args ...any) {
	t.Helper()
	q := url.Values{"_pragma": {"busy_timeout(10000)"}}
	db, err := sql.Open("sqlite", "file:"+filepath.Join(s.proc.data, "catalog.db")+"?"+q.Encode())
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(statement, args...); err != nil {
		t.Fatal(err)
	}
}

// deleting are the backups whose deletion was recorded and is not ended.
func (s *shop) deleting(t *testing.T) []string {
	t.Helper()
	return s.catalog(t, `SELECT id FROM operations WHERE deleting_at > 0 AND deleted_at = 0`)
}

// catalog asks the catalog itself for one column.
func (s *shop) catalog(t *testing.T, query string, args ...any) []string {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(s.proc.data, "catalog.db")+"?_pragma=busy_timeout(10000)")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	found, err := column(db, query, args...)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// passWindow restores, and lets the undo window pass.
func (s *shop) passWindow(t *testing.T, a *attempt) {
	a.about = s.restoreInPeace(t)
	s.edit(t, `UPDATE operations SET undo_until = 1 WHERE id = $1`, a.about.ID)
}

// comeDue makes a schedule of which three runs came due while the server was not there.
func (s *shop) comeDue(t *testing.T, a *attempt) {
	ctx := context.Background()
	sch := must[wire.Schedule](t)(s.api.CreateSchedule(ctx, wire.ScheduleInput{
		Name: fmt.Sprintf("every eight hours %d", time.Now().UnixNano()), Interval: "8h", DatabaseID: s.db.ID, FirstRun: time.Now().Add(time.Hour),
	}))
	s.proc.kill()
	first := time.Now().Add(-20 * time.Hour).Truncate(time.Second).UnixMilli()
	s.edit(t, `UPDATE schedules SET anchor = $1, enabled_at = $2, created_at = $2, done_until = 0 WHERE id = $3`, first, first-1000, sch.ID)
	a.about.ScheduleID = sch.ID
}

// scheduled are the operations of the attempt's schedule.
func (s *shop) scheduled(a *attempt) ([]wire.Operation, error) {
	page, err := s.api.Operations(context.Background(), safepoint.OperationFilter{ScheduleID: a.about.ScheduleID, Limit: 200})
	return page.Items, err
}

func (s *shop) dueEnded(t *testing.T, a *attempt) bool {
	ops, err := s.scheduled(a)
	if err != nil || len(ops) == 0 {
		return false
	}
	for _, op := range ops {
		if !op.Ended() {
			return false
		}
	}
	return true
}

// checkDue finds exactly one operation for each time that came due: two missed, and one run or interrupted.
func (s *shop) checkDue(t *testing.T, a *attempt) {
	ops, err := s.scheduled(a)
	if err != nil {
		t.Fatal(err)
	}
	due, missed := map[time.Time]int{}, 0
	for _, op := range ops {
		due[op.DueAt]++
		if op.Status == "missed" {
			missed++
		}
	}
	for at, n := range due {
		if n != 1 {
			t.Errorf("G5: the run due at %s is there %d times", at, n)
		}
	}
	if len(due) != 3 || missed != 2 {
		t.Errorf("G5: of three due times %d are there, %d of them missed", len(due), missed)
	}
}

// upload sends the first backup's file.
func (s *shop) upload(t *testing.T, a *attempt) error {
	found, _ := filepath.Glob(filepath.Join(s.proc.data, "backups", "*", "*", "*."+s.backup.ID+".sql.zst"))
	if len(found) != 1 {
		t.Fatal("the first backup has no file")
	}
	f, err := os.Open(found[0])
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	a.op, err = s.api.Upload(context.Background(), s.db.ID, "shop.sql.zst", false, f, s.backup.Size)
	return err
}

// checkUploads finds no file of an upload that has ended, nor of one that never began.
func (s *shop) checkUploads(t *testing.T, a *attempt) {
	for deadline := time.Now().Add(5 * time.Second); ; {
		left, _ := filepath.Glob(filepath.Join(s.proc.data, "uploads", "*"))
		if len(left) == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Errorf("G6: files of uploads are left: %v", left)
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// checkDeleted finds the backup gone from log and disk, or in both if nothing had begun.
func (s *shop) checkDeleted(t *testing.T, a *attempt) {
	op := must[wire.Operation](t)(s.api.Operation(context.Background(), a.about.ID))
	found, _ := filepath.Glob(filepath.Join(s.proc.data, "backups", "*", "*", "*."+op.ID+".*"))
	if gone := !op.DeletedAt.IsZero(); gone != (len(found) == 0) {
		t.Errorf("G1: that the backup is deleted is %t, and it has these files: %v", gone, found)
	}
	ended := s.catalog(t, `SELECT actor_name || ' ' || outcome FROM audit WHERE action = 'backup.delete' AND object_id = $1`, op.ID)
	if gone := !op.DeletedAt.IsZero(); gone && (len(ended) != 1 || !strings.HasSuffix(ended[0], " succeeded")) {
		t.Errorf("the audit log does not say who deleted the backup: %q", ended)
	}
}

// checkFound finds the new database whole or absent, and the live one untouched.
func (s *shop) checkFound(t *testing.T, a *attempt) {
	if a.op.Switched || a.op.SafetyID != "" || !a.op.HaltedAt.IsZero() || !a.op.UndoUntil.IsZero() {
		t.Errorf("G2: a restore into a new database replaced something: %+v", a.op)
	}
	there := s.exists(t, a.found)
	switch {
	case there != (a.op.Status == "succeeded"):
		t.Errorf("G2: the restore ended %s in step %s (%+v), and that the new database is there is %t", a.op.Status, a.op.Step, a.op.Failure, there)
	case there && digest(t, a.found) != s.old:
		t.Error("G2: the new database does not hold what the backup holds")
	}
}
