package app

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/safepoint-db/safepoint"
)

// due lets the scheduler's part of the catalog turn what is due into operations.
func (w *world) due() {
	w.t.Helper()
	states, err := w.Catalog.ScheduleStates(w.ctx)
	w.ok(err)
	for _, s := range states {
		if run, missed := s.Due(s.Done, w.Now()); !run.IsZero() {
			recorded, err := w.Catalog.RecordDue(w.ctx, s, run, missed)
			w.ok(err)
			if !recorded {
				w.t.Fatal("a due run was not recorded")
			}
		}
	}
}

func (w *world) card(id string) ScheduleCard {
	w.t.Helper()
	c, err := w.Schedule(w.ctx, w.viewer, id)
	w.ok(err)
	return c
}

func TestNewScheduleRunsAtOnce(t *testing.T) {
	w := newWorld(t)
	d := w.shop("shop")
	s, err := w.CreateSchedule(w.ctx, w.admin, ScheduleInput{Name: "nightly", Description: " why ", Interval: safepoint.Every24Hours, DatabaseID: d.ID})
	w.ok(err)
	w.audited(w.admin, "Ines Marlow|schedule.create|nightly|succeeded")
	if w.woke.Load() == 0 {
		t.Error("the scheduler was not told")
	}
	c := w.card(s.ID)
	if !c.NextRun.Equal(w.Now()) || !c.OnlyOne || c.Database.Name != "shop" || c.Description != "why" || c.LastRun != nil {
		t.Errorf("got %+v", c)
	}
	w.due()
	c = w.card(s.ID)
	if c.Running == nil || !c.NextRun.Equal(w.Now().Add(24*time.Hour)) {
		t.Errorf("running %+v, next %v", c.Running, c.NextRun)
	}
	claim := w.claim()
	w.finish(claim, claim.Operation, safepoint.StatusSucceeded)
	if line := w.lines(w.admin, 1)[0]; !strings.HasPrefix(line, "Scheduler|backup|shop") || !strings.HasSuffix(line, "|succeeded") {
		t.Errorf("the run is not in the audit log: %s", line)
	}
	w.pass(25 * time.Hour)
	w.due()
	claim = w.claim()
	w.finish(claim, claim.Operation, safepoint.StatusFailed)
	c = w.card(s.ID)
	if c.Running != nil || c.LastGood == nil || c.LastRun == nil || c.LastGood.ID == c.LastRun.ID || c.LastRun.Status != safepoint.StatusFailed || len(c.Runs) != 2 {
		t.Errorf("got %+v", c)
	}
	// What is older than the strip is still the last good one.
	w.pass(40 * 24 * time.Hour)
	if c = w.card(s.ID); c.LastGood == nil || c.LastRun == nil || len(c.Runs) != 0 {
		t.Errorf("got %+v", c)
	}
	list, err := w.ScheduleList(w.ctx, w.viewer, ScheduleFilter{})
	w.ok(err)
	if cards := list.Cards; len(cards) != 1 || cards[0].LastGood == nil || cards[0].Backups != 1 || list.NextOf != s.Name || list.Next != "" {
		t.Errorf("got %+v", list)
	}
}

// The cards of one database are those of the list, without what other databases have and without runs.
func TestDatabaseSchedules(t *testing.T) {
	w := newWorld(t)
	shop, other := w.shop("shop"), w.shop("other")
	for _, in := range []ScheduleInput{every("nightly", shop.ID), every("weekly", shop.ID), every("elsewhere", other.ID)} {
		_, err := w.CreateSchedule(w.ctx, w.admin, in)
		w.ok(err)
	}
	list, err := w.ScheduleList(w.ctx, w.viewer, ScheduleFilter{DatabaseID: shop.ID, Bare: true})
	w.ok(err)
	cards, err := w.DatabaseSchedules(w.ctx, w.viewer, shop.ID)
	w.ok(err)
	if len(cards) != 2 || !reflect.DeepEqual(cards, list.Cards) || cards[0].OnlyOne || cards[0].Database.ID != shop.ID {
		t.Errorf("got %+v\nwant %+v", cards, list.Cards)
	}
}

// TestScheduleListInPages turns pages while schedules are added, disabled and removed: none is seen twice or passed over.
func TestScheduleListInPages(t *testing.T) {
	w := newWorld(t)
	d := w.shop("shop")
	byName := map[string]string{}
	for _, name := range []string{"Ärger", "b", "B2", "a", "Quay", "quay 2", "Zoo"} {
		s, err := w.CreateSchedule(w.ctx, w.admin, ScheduleInput{Name: name, Interval: safepoint.Every7Days, DatabaseID: d.ID})
		w.ok(err)
		byName[name] = s.ID
	}
	_, err := w.DisableSchedule(w.ctx, w.admin, byName["a"])
	w.ok(err)
	f := ScheduleFilter{Limit: 2, Bare: true}
	var seen []string
	for i := 0; ; i++ {
		l, err := w.ScheduleList(w.ctx, w.viewer, f)
		w.ok(err)
		for _, c := range l.Cards {
			seen = append(seen, c.Name)
		}
		if i == 0 {
			_, err = w.CreateSchedule(w.ctx, w.admin, ScheduleInput{Name: "aa", Interval: safepoint.Every7Days, DatabaseID: d.ID}) // before what was seen
			w.ok(err)
			_, err = w.DisableSchedule(w.ctx, w.admin, byName["b"]) // the last that was seen: it comes again as a disabled one
			w.ok(err)
		}
		if f.After = l.Next; f.After == "" {
			break
		}
	}
	if got := strings.Join(seen, ","); got != "b,B2,Quay,quay 2,Zoo,Ärger,a,b" {
		t.Errorf("got %s", got)
	}
	_, err = w.ScheduleList(w.ctx, w.viewer, ScheduleFilter{After: "%"})
	w.refused(err, safepoint.CodeInvalid, "does not exist")
}

func TestFirstRunIsChosen(t *testing.T) {
	w := newWorld(t)
	d := w.shop("shop")
	at := w.Now().Add(10 * time.Hour)
	in := every("nightly", d.ID)
	in.FirstRun = at
	s, err := w.CreateSchedule(w.ctx, w.admin, in)
	w.ok(err)
	if c := w.card(s.ID); !c.NextRun.Equal(at) {
		t.Errorf("next %v", c.NextRun)
	}
	in.Name, in.FirstRun = "past", w.Now().Add(-3*time.Hour)
	s, err = w.CreateSchedule(w.ctx, w.admin, in)
	w.ok(err)
	if c := w.card(s.ID); !c.NextRun.Equal(w.Now().Add(5 * time.Hour)) {
		t.Errorf("next %v", c.NextRun)
	}
	for field, change := range map[string]func(*ScheduleInput){
		"name":        func(in *ScheduleInput) { in.Name = strings.Repeat("n", 81) },
		"interval":    func(in *ScheduleInput) { in.Interval = safepoint.Interval(time.Hour) },
		"database":    func(in *ScheduleInput) { in.DatabaseID = "" },
		"description": func(in *ScheduleInput) { in.Description = strings.Repeat("d", 501) },
		"first_run":   func(in *ScheduleInput) { in.FirstRun = w.Now().AddDate(2, 0, 0) },
	} {
		in := every("other", d.ID)
		change(&in)
		_, err := w.CreateSchedule(w.ctx, w.admin, in)
		if e := safepoint.UserError(errOr(err)); e.Code != safepoint.CodeInvalid || e.Field != field {
			t.Errorf("%s: %+v", field, e)
		}
	}
	_, err = w.CreateSchedule(w.ctx, w.admin, every("nightly", d.ID))
	w.refused(err, safepoint.CodeInvalid, "Another schedule is called nightly.")
}

func TestDisableCancelsWhatWaits(t *testing.T) {
	w := newWorld(t)
	d := w.shop("shop")
	s, err := w.CreateSchedule(w.ctx, w.admin, every("nightly", d.ID))
	w.ok(err)
	w.due()
	waiting := w.card(s.ID).Running
	s, err = w.DisableSchedule(w.ctx, w.admin, s.ID)
	w.ok(err)
	if s.IsActive || s.DisabledByName != "Ines Marlow" {
		t.Errorf("got %+v", s)
	}
	op, err := w.Operation(w.ctx, w.viewer, waiting.ID)
	w.ok(err)
	if op.Status != safepoint.StatusCancelled {
		t.Errorf("the waiting run is %s", op.Status)
	}
	c := w.card(s.ID)
	if !c.NextRun.IsZero() || c.Running != nil {
		t.Errorf("got %+v", c)
	}
	w.pass(40 * time.Hour)
	w.due()
	if got, err := w.Running(w.ctx, w.viewer); err != nil || len(got) != 0 {
		t.Errorf("runs after it was disabled: %+v, %v", got, err)
	}
	before := len(w.lines(w.admin, 100))
	if _, err := w.DisableSchedule(w.ctx, w.admin, s.ID); err != nil || len(w.lines(w.admin, 100)) != before {
		t.Errorf("disabling twice: %v", err)
	}
}

func TestEnable(t *testing.T) {
	w := newWorld(t)
	d := w.shop("shop")
	s, err := w.CreateSchedule(w.ctx, w.admin, every("nightly", d.ID))
	w.ok(err)
	anchor := s.Anchor
	w.due()
	claim := w.claim()
	w.finish(claim, claim.Operation, safepoint.StatusSucceeded)
	for _, step := range []struct {
		off  time.Duration
		next time.Duration // from the enabling on
		at   bool          // at the schedule's own times
	}{
		{2 * time.Hour, 6 * time.Hour, true}, // a backup of two hours ago is good for six more
		{24 * time.Hour, 0, false},           // nothing for a day: at once
	} {
		w.pass(time.Second)
		_, err = w.DisableSchedule(w.ctx, w.admin, s.ID)
		w.ok(err)
		w.pass(step.off - time.Second)
		s, err = w.EnableSchedule(w.ctx, w.admin, s.ID)
		w.ok(err)
		if next := w.card(s.ID).NextRun; !next.Equal(w.Now().Add(step.next)) || s.Anchor.Equal(anchor) != step.at {
			t.Errorf("off for %v: next %v at %v, anchor %v", step.off, next, w.Now(), s.Anchor)
		}
	}
	w.due()
	if got, err := w.Running(w.ctx, w.viewer); err != nil || len(got) != 1 || !got[0].DueAt.Equal(w.Now()) {
		t.Errorf("got %+v, %v", got, err)
	}
	page, err := w.Operations(w.ctx, w.viewer, safepoint.OperationFilter{Status: safepoint.StatusMissed})
	w.ok(err)
	if page.Total != 0 {
		t.Errorf("%d runs of the time while it was disabled are called missed", page.Total)
	}
}

func TestRunNow(t *testing.T) {
	now := time.Date(2026, 11, 22, 14, 0, 0, 0, time.UTC)
	s := safepoint.Schedule{Interval: safepoint.Every8Hours, Anchor: now.Add(-time.Hour)}
	age := func(d time.Duration) *safepoint.Operation { return &safepoint.Operation{StartedAt: now.Add(-d)} }
	for _, c := range []struct {
		newest *safepoint.Operation
		want   bool
	}{{nil, true}, {age(9 * time.Hour), true}, {age(8 * time.Hour), false}, {age(time.Hour), false}} {
		if got := runNow(s, c.newest, now); got != c.want {
			t.Errorf("%+v: %v", c.newest, got)
		}
	}
	s.Anchor = now.Add(time.Hour)
	if runNow(s, nil, now) {
		t.Error("a schedule that has not begun runs at once")
	}
}

func TestOverview(t *testing.T) {
	w := newWorld(t)
	o, err := w.Overview(w.ctx, w.viewer)
	w.ok(err)
	if o.Backups != 0 || o.Newest != nil || o.Space.Total == 0 || o.StorageName == "" {
		t.Errorf("got %+v", o)
	}
	d := w.shop("shop")
	first := w.backup(d)
	w.pass(time.Hour)
	second := w.backup(d)
	o, err = w.Overview(w.ctx, w.viewer)
	w.ok(err)
	if o.Backups != 2 || o.Newest.ID != second.ID || o.Oldest.ID != first.ID || o.Bytes != first.Size+second.Size {
		t.Errorf("got %+v", o)
	}
	other := w.backup(w.shop("other"))
	stored, err := w.StoredByDatabase(w.ctx, w.viewer)
	w.ok(err)
	if len(stored) != 2 || stored[0].DatabaseID != d.ID || stored[0].Backups != 2 || stored[0].Bytes != o.Bytes || stored[1].Bytes != other.Size || stored[1].Removed {
		t.Errorf("what fills the storage: %+v", stored)
	}
	if stored, err = w.StoredByDatabase(w.ctx, w.foreign); err != nil || len(stored) != 0 {
		t.Errorf("another organization sees %+v, %v", stored, err)
	}
	if o, err = w.Overview(w.ctx, w.foreign); err != nil || o.Backups != 0 {
		t.Errorf("another organization sees %+v, %v", o, err)
	}
}
