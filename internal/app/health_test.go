package app

import (
	"testing"
	"time"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/catalog"
	"github.com/safepoint-db/safepoint/internal/storage"
)

func TestHealth(t *testing.T) {
	w, room := newNoticeWorld(t)
	room.space = storage.Space{Free: 1 << 20, Total: 1 << 30}
	d := w.shop("shop")
	w.shop("other")
	s, err := w.CreateSchedule(w.ctx, w.admin, ScheduleInput{Name: "daily", Interval: safepoint.Every24Hours, DatabaseID: d.ID})
	w.ok(err)
	run := func(status safepoint.Status, size int64) {
		w.due()
		c := w.claim()
		w.pass(time.Minute)
		if status == safepoint.StatusSucceeded {
			c.Operation.VerifiedAt, c.Operation.Size = w.Now(), size
		}
		w.finish(c, c.Operation, status)
		w.pass(24*time.Hour - time.Minute)
	}
	for i := range int64(40) {
		run(safepoint.StatusSucceeded, 1000+i)
	}
	run(safepoint.StatusFailed, 0)
	w.pass(24 * time.Hour) // one is missed
	run(safepoint.StatusSucceeded, 2000)

	h, err := w.Health(w.ctx, w.viewer, HealthFilter{})
	w.ok(err)
	if h.Days != 30 || h.Found != 2 || len(h.Databases) != 2 || h.Databases[0].Database.Name != "other" || h.Databases[0].ProvenID != "" || h.Databases[0].Runs == nil != true {
		t.Fatalf("got %+v", h)
	}
	shop := h.Databases[1]
	if shop.Good != 27 || shop.Failed != 1 || shop.Missed != 1 || shop.Size != 2000 || shop.Took != time.Minute || shop.ProvenID == "" || !shop.NextRun.Equal(w.Now()) {
		t.Errorf("got %+v", shop)
	}
	counted, err := w.Health(w.ctx, w.viewer, HealthFilter{Counted: true})
	w.ok(err)
	for i, d := range counted.Databases {
		if full := h.Databases[i]; d.Good != full.Good || d.Failed != full.Failed || d.Missed != full.Missed || d.Runs != nil || d.Size != full.Size {
			t.Errorf("counted: %+v\nwith its runs: %+v", d, full)
		}
	}
	// Every day added about a kilobyte, and a megabyte is left.
	if f := h.Storage.Forecast; f.State != ForecastFull || f.PerDay < 900 || f.PerDay > 1100 || h.Storage.Shared {
		t.Errorf("got %+v", h.Storage)
	}
	if n := len(h.Storage.Totals); n == 0 || h.Storage.Totals[n-1].Bytes != h.Storage.Bytes {
		t.Errorf("the last total is not what is kept: %+v", h.Storage)
	}
	year, err := w.DatabaseHealth(w.ctx, w.viewer, d.ID, 365)
	w.ok(err)
	if len(year.Runs) != 43 || year.Good != 27 {
		t.Errorf("%d runs in a year, %d good in a month", len(year.Runs), year.Good)
	}
	one, err := w.Health(w.ctx, w.viewer, HealthFilter{Text: "SHO", Limit: 1, Offset: 0})
	w.ok(err)
	if len(one.Databases) != 1 || one.Databases[0].Database.ID != d.ID {
		t.Errorf("got %+v", one.Databases)
	}
	if one.Found != 1 || one.All != 2 || one.Unproven != 1 { // "other" is not on this page, and has no proven backup
		t.Errorf("found %d of %d, %d of all unproven", one.Found, one.All, one.Unproven)
	}
	_, err = w.DisableSchedule(w.ctx, w.admin, s.ID)
	w.ok(err)
	if one, err = w.Health(w.ctx, w.viewer, HealthFilter{Text: "shop"}); err != nil || !one.Databases[0].NextRun.IsZero() {
		t.Errorf("a disabled schedule has a next run: %+v, %v", one.Databases, err)
	}
}

// TestTotals: what is kept at the end of each day is reckoned back from what is kept now.
func TestTotals(t *testing.T) {
	day := func(n int) time.Time { return time.Date(2026, 11, n, 0, 0, 0, 0, time.UTC) }
	own, all := totals([]catalog.StorageDay{{Day: day(10), Own: 5, All: 7}, {Day: day(12), Own: -2, All: 1}}, 13, day(13).Add(time.Hour))
	for i, want := range []DayTotal{{day(10), 15}, {day(11), 15}, {day(12), 13}, {day(13), 13}} {
		if len(own) != 4 || own[i] != want {
			t.Fatalf("own: %+v", own)
		}
	}
	if len(all) != 4 || all[0].Bytes != 7 || all[3].Bytes != 8 {
		t.Errorf("all: %+v", all)
	}
	if own, all = totals(nil, 13, day(13)); own != nil || all != nil {
		t.Error("nothing changed, and there are totals")
	}
}
