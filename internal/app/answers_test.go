package app

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/engine"
)

// asking has the App's databases asked for as long as the test lasts.
func (w *world) asking() {
	ctx, stop := context.WithCancel(w.ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		w.AskDatabases(ctx)
	}()
	w.t.Cleanup(func() { stop(); <-ended })
}

// answered looks as a page does until ok, and fails after a while.
func (w *world) answered(by safepoint.Actor, id string, ok func(DatabaseAnswer) bool) DatabaseAnswer {
	w.t.Helper()
	changed, end, err := w.Subscribe(by)
	w.ok(err)
	defer end()
	patience := time.After(20 * time.Second)
	for {
		all, err := w.DatabaseAnswers(w.ctx, by)
		w.ok(err)
		if ok(all.Of[id]) {
			return all.Of[id]
		}
		select {
		case <-changed:
		case <-patience:
			w.t.Fatalf("the answer is %+v", all.Of[id])
		}
	}
}

func good(d DatabaseAnswer) bool    { return d.State == AnswerGood }
func failing(d DatabaseAnswer) bool { return d.State == AnswerFailing }

// TestAnswers: a look waits for no database; what it says is kept, asked for again when it is old or its connection changed,
// and called unknown, not fine, when nobody has asked for long.
func TestAnswers(t *testing.T) {
	w := newWorld(t)
	path := filepath.Join(t.TempDir(), "shop.db")
	d, err := w.CreateDatabase(w.ctx, w.admin, DatabaseInput{Name: "shop", Engine: safepoint.SQLite, Path: path})
	w.ok(err)

	all, err := w.DatabaseAnswers(w.ctx, w.viewer) // nobody asks yet, and the look returns all the same
	w.ok(err)
	if got := all.About(d); got.State != AnswerUnknown || !got.Asking || !got.AskedAt.IsZero() {
		t.Fatalf("before anybody asked: %+v", got)
	}
	w.asking()
	first := w.answered(w.viewer, d.ID, failing)
	if first.Failure == nil || first.Failure.Hint == "" || !first.AnsweredAt.IsZero() {
		t.Fatalf("of a file that is not there: %+v", first)
	}

	w.sqlite(path, `CREATE TABLE orders (id INTEGER PRIMARY KEY)`)
	w.pass(answerEvery - time.Second)
	if all, err = w.DatabaseAnswers(w.ctx, w.viewer); err != nil || all.Of[d.ID].Asking || !failing(all.Of[d.ID]) {
		t.Fatalf("asked again too early: %+v, %v", all.Of[d.ID], err)
	}
	w.pass(time.Second)
	got := w.answered(w.viewer, d.ID, good)
	if got.Failure != nil || got.Info.Size == 0 || got.Info.DiskTotal == 0 || got.Info.DiskFree > got.Info.DiskTotal || !got.AnsweredAt.Equal(w.Now()) {
		t.Errorf("the answer is %+v", got)
	}
	if d, err = w.Database(w.ctx, w.admin, d.ID); err != nil || d.ServerVersion != got.Info.ServerVersion {
		t.Errorf("the version %q was not noted: %v", d.ServerVersion, err)
	}

	w.ok(os.Rename(path, path+".away"))
	w.pass(answerEvery)
	lost := w.answered(w.viewer, d.ID, failing)
	if lost.Info.Size != got.Info.Size || !lost.AnsweredAt.Equal(got.AnsweredAt) {
		t.Errorf("what was known before is gone: %+v", lost)
	}
	w.ok(os.Rename(path+".away", path))
	if r, err := w.TestDatabase(w.ctx, w.admin, d.ID); err != nil || !r.OK {
		t.Fatalf("%+v, %v", r, err)
	}
	w.answered(w.viewer, d.ID, good) // the test's answer, at once

	_, err = w.UpdateDatabase(w.ctx, w.admin, d.ID, DatabaseInput{Name: "shop", Path: path + ".none"})
	w.ok(err)
	if moved := w.answered(w.viewer, d.ID, failing); moved.Info.Size != 0 {
		t.Errorf("what another file said is said of this one: %+v", moved)
	}

	theirs, err := w.DatabaseAnswers(w.ctx, w.foreign)
	if w.ok(err); len(theirs.Of) != 0 {
		t.Errorf("another organization sees %v", theirs)
	}
	_, err = w.DatabaseAnswers(w.ctx, safepoint.Actor{})
	w.refused(err, safepoint.CodeUnauthorized, "Nobody is signed in.")
	w.ok(w.RemoveDatabase(w.ctx, w.admin, d.ID))
	w.answered(w.viewer, d.ID, func(a DatabaseAnswer) bool { return a.AskedAt.IsZero() })
}

// TestAnswerGrowsOld: an answer that nobody renewed is not shown as one of now, and neither is one of a clock that was set back.
func TestAnswerGrowsOld(t *testing.T) {
	w := newWorld(t)
	d := safepoint.Database{ID: "db_x", OrganizationID: w.admin.OrganizationID, Version: 1}
	for _, passes := range []time.Duration{answerStale, -time.Hour} {
		w.keepAnswer(d, w.Now(), engine.Info{Size: 1}, time.Second, nil)
		w.leap(passes)
		all, err := w.DatabaseAnswers(w.ctx, w.viewer)
		w.ok(err)
		if got := all.Of[d.ID]; got.State != AnswerUnknown || got.AnsweredAt.IsZero() || !got.Asking {
			t.Errorf("after %s: %+v", passes, got)
		}
	}
}

// TestNobodyIsAskedDuringARestore: its database lets nobody in, which is no failure of the connection.
func TestNobodyIsAskedDuringARestore(t *testing.T) {
	w := newWorld(t)
	d, err := w.CreateDatabase(w.ctx, w.admin, DatabaseInput{Name: "shop", Engine: safepoint.SQLite, Path: filepath.Join(t.TempDir(), "none.db")})
	w.ok(err)
	w.sql(`INSERT INTO operations (id, organization_id, database_id, database_name, engine, type, triggered_by, status, name, created_at)
		VALUES ('op_x', ?, ?, 'shop', 'sqlite', 'restore', 'manual', 'running', 'x', 1)`, d.OrganizationID, d.ID)
	w.askOne(w.ctx, d)
	all, err := w.DatabaseAnswers(w.ctx, w.viewer)
	w.ok(err)
	if got := all.Of[d.ID]; !got.AskedAt.IsZero() {
		t.Errorf("it was asked: %+v", got)
	}
	w.sql(`UPDATE operations SET status = 'succeeded' WHERE id = 'op_x'`)
	w.askOne(w.ctx, d)
	w.answered(w.viewer, d.ID, failing)
}
