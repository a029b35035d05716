package app

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/catalog"
	"github.com/safepoint-db/safepoint/internal/storage"
)

// noticed are the open notices as "id message".
func (w *world) noticed() []string {
	w.t.Helper()
	w.pass(noticesKeep) // what was found before is not used again
	l, err := w.Notices(w.ctx, w.viewer)
	w.ok(err)
	var all []string
	for _, n := range l.Open {
		all = append(all, n.ID+" "+n.Said.Message)
	}
	return all
}

func (w *world) wantNotices(want ...string) {
	w.t.Helper()
	if got := w.noticed(); !slices.Equal(got, want) {
		w.t.Errorf("notices:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// spacious is a storage with as much room as a test says.
type spacious struct {
	storage.Storage
	space storage.Space
	err   error
}

func (r *spacious) Space(context.Context) (storage.Space, error) { return r.space, r.err }

func newNoticeWorld(t *testing.T) (*world, *spacious) {
	w := newWorld(t)
	r := &spacious{Storage: w.Storage, space: storage.Space{Free: 50, Total: 100}}
	w.Storage = r
	return w, r
}

func TestFailingScheduleIsNoticedUntilItSucceeds(t *testing.T) {
	w, _ := newNoticeWorld(t)
	d := w.shop("shop")
	s, err := w.CreateSchedule(w.ctx, w.admin, ScheduleInput{Name: "nightly", Interval: safepoint.Every8Hours, DatabaseID: d.ID})
	w.ok(err)
	w.wantNotices()
	run := func(status safepoint.Status) {
		w.due()
		c := w.claim()
		if status == safepoint.StatusFailed {
			c.Operation.Failure = safepoint.Errorf(safepoint.CodeSpace, "The disk is full.").Failure()
		} else {
			c.Operation.VerifiedAt = w.Now()
		}
		w.finish(c, c.Operation, status)
		w.pass(8 * time.Hour)
	}
	first := w.Now()
	run(safepoint.StatusFailed)
	w.wantNotices("failing:" + s.ID + " The schedule nightly is failing.")
	run(safepoint.StatusFailed)
	l, err := w.Notices(w.ctx, w.viewer)
	w.ok(err)
	if n := l.Open[0]; n.Runs != 2 || !n.Urgent || n.Why == nil || n.Why.Message != "The disk is full." || n.Since.Sub(first).Abs() > time.Minute || n.CanDismiss() {
		t.Errorf("got %+v", n)
	}
	w.refused(w.DismissNotice(w.ctx, w.admin, "failing:"+s.ID), safepoint.CodeConflict, "goes by itself")
	w.refused(w.DismissNotice(w.ctx, w.admin, "failing:sch_other"), safepoint.CodeNotFound, "dealt with meanwhile")
	run(safepoint.StatusSucceeded)
	w.wantNotices()
	run(safepoint.StatusFailed)
	_, err = w.DisableSchedule(w.ctx, w.admin, s.ID)
	w.ok(err)
	w.wantNotices()
}

func TestMissedRunsAreNoticedUntilDismissed(t *testing.T) {
	w, _ := newNoticeWorld(t)
	d := w.shop("shop")
	s, err := w.CreateSchedule(w.ctx, w.admin, ScheduleInput{Name: "nightly", Interval: safepoint.Every8Hours, DatabaseID: d.ID})
	w.ok(err)
	succeed := func() {
		w.due()
		c := w.claim()
		c.Operation.VerifiedAt = w.Now()
		w.finish(c, c.Operation, safepoint.StatusSucceeded)
	}
	succeed()
	w.pass(25 * time.Hour) // the server was down
	succeed()
	id := "missed:" + s.ID
	w.wantNotices(id + " Runs of the schedule nightly did not happen.")
	w.refused(w.DismissNotice(w.ctx, w.viewer, id), safepoint.CodeForbidden, "Organization Admin")
	w.refused(w.DismissNotice(w.ctx, w.foreign, id), safepoint.CodeNotFound, "")
	w.ok(w.DismissNotice(w.ctx, w.admin, id))
	w.audited(w.admin, "Ines Marlow|notice.dismiss|nightly|succeeded")
	l, err := w.Notices(w.ctx, w.viewer) // at once, for everybody: the change is an event
	w.ok(err)
	if len(l.Open) != 0 || len(l.Dismissed) != 1 || l.Dismissed[0].DismissedBy != "Ines Marlow" || !l.Dismissed[0].DismissedAt.Equal(w.Now()) || l.Dismissed[0].Runs != 2 {
		t.Errorf("got %+v", l)
	}
	w.pass(17 * time.Hour)
	succeed()
	w.wantNotices(id + " Runs of the schedule nightly did not happen.")
	if l, err = w.Notices(w.ctx, w.foreign); err != nil || len(l.Open)+len(l.Dismissed) != 0 {
		t.Errorf("another organization sees %+v, %v", l, err)
	}
	w.pass(31 * 24 * time.Hour)
	if got := strings.Join(w.noticed(), ","); strings.Contains(got, "missed:") {
		t.Errorf("after a month: %s", got)
	}
}

func TestStorageAndServicesAreNoticed(t *testing.T) {
	w, room := newNoticeWorld(t)
	room.space.Free = 14 // nothing of it is a backup, and there is nothing that an admin could do
	w.wantNotices()
	room.space.Free = 5
	w.wantNotices("storage The disk for backups is almost full, although no backup is kept yet.")
	first := w.shop("first")
	w.backup(first)
	room.space.Free = 14
	w.wantNotices("storage The storage is filling up.")
	hint := func(want string) {
		t.Helper()
		l, err := w.Notices(w.ctx, w.viewer)
		w.ok(err)
		if len(l.Open) != 1 || !strings.Contains(l.Open[0].Said.Hint, want) {
			t.Errorf("the hint is not %q: %+v", want, l.Open)
		}
	}
	hint("Delete backups")
	room.space = storage.Space{Free: 14 << 40, Total: 100 << 40} // of which the one backup is next to nothing
	w.pass(noticesKeep)
	hint("the operator can free some room")
	room.space = storage.Space{Free: 14, Total: 100}
	w.pass(noticesKeep)
	room.space.Free = 5
	w.wantNotices("storage The storage is almost full.")
	room.space, room.err = storage.Space{}, safepoint.Errorf(safepoint.CodeUnreachable, "The folder is gone.")
	w.wantNotices("storage The storage does not say how much room is left.")
	room.err = nil
	w.wantNotices()

	d := w.shop("shop")
	s, _, err := w.CreateService(w.ctx, w.admin, ServiceInput{Name: "web", Kind: safepoint.ServiceWebhook, HaltURL: "http://127.0.0.1:1/h", ResumeURL: "http://127.0.0.1:1/r"})
	w.ok(err)
	c, op := w.stuck(d, &s)
	op = w.finish(c, op, safepoint.StatusFailed)
	w.wantNotices("restore:" + op.ID + " The restore of shop needs you.") // which says of its services what is to be said
	w.sql(`UPDATE operations SET needs_operator = 0 WHERE id = ?`, op.ID)
	w.wantNotices("service:" + op.ID + ":web web did not resume.")
	w.sql(`UPDATE operations SET attention = '[]' WHERE id = ?`, op.ID)
	w.wantNotices()
}

// TestOverdue is the rule by which a database without a newer proven backup is worth a notice.
func TestOverdue(t *testing.T) {
	at := time.Date(2026, 11, 22, 14, 0, 0, 0, time.UTC)
	db := safepoint.Database{CreatedAt: at, Path: "/srv/shop.db"}
	never := time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)
	daily := func(enabled time.Time) catalog.Schedule {
		return catalog.Schedule{Schedule: safepoint.Schedule{IsActive: true, Interval: safepoint.Every24Hours, EnabledAt: enabled, Anchor: enabled}}
	}
	proven := catalog.Proven{At: at, Took: 30 * time.Minute}
	for _, c := range []struct {
		what      string
		db        safepoint.Database
		s         catalog.Schedule
		scheduled bool
		p         catalog.Proven
		has       bool
		want      time.Time
	}{
		{"a day after it was connected", db, catalog.Schedule{}, false, catalog.Proven{}, false, at.Add(24 * time.Hour)},
		{"never without a connection", safepoint.Database{CreatedAt: at}, catalog.Schedule{}, false, catalog.Proven{}, false, never},
		{"never once its schedule was disabled", db, catalog.Schedule{}, false, proven, true, never},
		{"an interval, two backups and an hour after the newest", db, daily(at.Add(-time.Hour)), true, proven, true, at.Add(26 * time.Hour)},
		{"counted from when it was enabled", db, daily(at.Add(3 * time.Hour)), true, proven, true, at.Add(29 * time.Hour)},
		{"counted from the first run", db, daily(at.Add(240 * time.Hour)), true, catalog.Proven{}, false, at.Add(265 * time.Hour)},
	} {
		if got := overdueFrom(c.db, c.s, c.scheduled, c.p, c.has); !got.Equal(c.want) {
			t.Errorf("%s: %v, want %v", c.what, got, c.want)
		}
	}
}

func TestDatabasesWithoutProvenBackupAreNoticed(t *testing.T) {
	w, _ := newNoticeWorld(t)
	d := w.shop("shop")
	w.wantNotices()
	w.pass(24 * time.Hour)
	w.wantNotices("never:" + d.ID + " shop was never backed up.")
	w.backup(d)
	w.wantNotices()
	_, err := w.CreateSchedule(w.ctx, w.admin, ScheduleInput{Name: "weekly", Interval: safepoint.Every8Hours, DatabaseID: d.ID})
	w.ok(err)
	w.pass(9*time.Hour - time.Minute)
	w.wantNotices()
	w.pass(2 * time.Minute) // the scheduler is not running in this test
	w.wantNotices("overdue:" + d.ID + " The newest proven backup of shop is older than its schedule allows.")
}
