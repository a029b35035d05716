package catalog

import (
	"fmt"
	"testing"
	"time"

	"github.com/safepoint-db/safepoint"
)

func TestForeignThingsAreNotThere(t *testing.T) {
	f := newFixture(t)
	s, err := f.CreateService(f.ctx, safepoint.Service{ID: "svc_1", OrganizationID: "org_a", Name: "web", Kind: safepoint.ServiceWebhook}, []byte("x"))
	f.ok(err)
	for name, err := range map[string]error{
		"database":        second(f.Database(f.ctx, "org_b", "db_1")),
		"password":        second(f.DatabasePassword(f.ctx, "org_b", "db_1")),
		"update database": second(f.UpdateDatabase(f.ctx, safepoint.Database{ID: "db_1", OrganizationID: "org_b", Name: "x"}, nil, "x")),
		"remove database": f.RemoveDatabase(f.ctx, "org_b", "db_1"),
		"service":         second(f.Service(f.ctx, "org_b", s.ID)),
		"secret":          second(f.ServiceSecret(f.ctx, "org_b", s.ID)),
		"update service":  second(f.UpdateService(f.ctx, safepoint.Service{ID: s.ID, OrganizationID: "org_b", Name: "x"}, nil, "x")),
		"remove service":  f.RemoveService(f.ctx, "org_b", s.ID),
		"order services":  f.OrderServices(f.ctx, "org_b", []string{s.ID}),
		"schedule":        second(f.Schedule(f.ctx, "org_b", "sch_1")),
		"update schedule": second(f.UpdateSchedule(f.ctx, safepoint.Schedule{ID: "sch_1", OrganizationID: "org_b", Name: "x", Interval: safepoint.Every8Hours}, "x")),
		"create schedule": second(f.CreateSchedule(f.ctx, safepoint.Schedule{OrganizationID: "org_b", DatabaseID: "db_1", Name: "x", Interval: safepoint.Every8Hours})),
		"organization":    second(f.Organization(f.ctx, "org_x")),
		"member":          second(f.Member(f.ctx, "org_b", "usr_x")),
	} {
		if safepoint.ErrorCode(err) != safepoint.CodeNotFound {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, _, err = f.DisableSchedule(f.ctx, "org_b", "sch_1", "x")
	f.refused(err, safepoint.CodeNotFound, "schedule")
	_, _, err = f.EnableSchedule(f.ctx, "org_b", "sch_1", "x", true)
	f.refused(err, safepoint.CodeNotFound, "schedule")
	if got, err := f.Schedule(f.ctx, "org_a", "sch_1"); err != nil || !got.IsActive || got.Version != 1 {
		t.Errorf("changed from outside: %+v, %v", got, err)
	}
}

func second[T any](_ T, err error) error { return err }

func TestNamesAndVersions(t *testing.T) {
	f := newFixture(t)
	_, err := f.CreateDatabase(f.ctx, safepoint.Database{ID: "db_x", OrganizationID: "org_a", Name: "db_1"}, nil)
	f.refused(err, safepoint.CodeInvalid, "Another database is called db_1.")
	d, err := f.Database(f.ctx, "org_a", "db_2")
	f.ok(err)
	d.Name = "db_1"
	_, err = f.UpdateDatabase(f.ctx, d, nil, "Tomas Reyl")
	f.refused(err, safepoint.CodeInvalid, "Another database is called db_1.")
	d.Name = "two"
	d, err = f.UpdateDatabase(f.ctx, d, []byte("sealed"), "Tomas Reyl")
	f.ok(err)
	if d.Version != 2 || d.Name != "two" || !d.HasPassword {
		t.Errorf("got %+v", d)
	}
	d.Version = 1
	_, err = f.UpdateDatabase(f.ctx, d, nil, "Ines Marlow")
	f.refused(err, safepoint.CodeConflict, "Tomas Reyl saved it at 15:00 CET")

	s, err := f.CreateSchedule(f.ctx, safepoint.Schedule{OrganizationID: "org_a", DatabaseID: "db_2", Name: "weekly", Interval: safepoint.Every7Days})
	f.ok(err)
	if !s.IsActive || !s.Anchor.Equal(f.now) || !s.EnabledAt.Equal(f.now) {
		t.Errorf("got %+v", s)
	}
	s.Name = "nightly"
	_, err = f.UpdateSchedule(f.ctx, s, "x")
	f.refused(err, safepoint.CodeInvalid, "Another schedule is called nightly.")
	s.Name = "weekly!"
	_, err = f.UpdateSchedule(f.ctx, s, "Tomas Reyl")
	f.ok(err)
	_, err = f.UpdateSchedule(f.ctx, s, "Ines Marlow")
	f.refused(err, safepoint.CodeConflict, "Tomas Reyl saved it")
}

// What is kept on a server that is gone for good is given up with its database, and with no other.
func TestRemoveLostDatabase(t *testing.T) {
	f := newFixture(t)
	_, _, err := f.DisableSchedule(f.ctx, "org_a", "sch_1", "Ines Marlow")
	f.ok(err)
	op, another := f.kept("org_a", "db_1"), f.kept("org_a", "db_2")
	f.sql(`UPDATE operations SET type = 'restore', mode = 'instant', switched = 1, undo_until = 1 WHERE id IN ($1, $2)`, op.ID, another.ID)
	f.refused(f.RemoveDatabase(f.ctx, "org_a", "db_1"), safepoint.CodeConflict, "still on its server")
	if _, err := f.RemoveLostDatabase(f.ctx, "org_b", "db_1"); safepoint.ErrorCode(err) != safepoint.CodeNotFound {
		t.Errorf("another organization removes it: %v", err)
	}
	givenUp, err := f.RemoveLostDatabase(f.ctx, "org_a", "db_1")
	f.ok(err)
	if len(givenUp) != 1 || givenUp[0].ID != op.ID {
		t.Errorf("given up: %+v", givenUp)
	}
	left, err := f.Unguarded(f.ctx)
	f.ok(err)
	if len(left) != 1 || left[0].ID != another.ID {
		t.Errorf("without a safety backup: %+v", left)
	}
	if _, err := f.Database(f.ctx, "org_a", "db_1"); safepoint.ErrorCode(err) != safepoint.CodeNotFound {
		t.Errorf("it is still there: %v", err)
	}
}

func TestRemoveDatabase(t *testing.T) {
	f := newFixture(t)
	f.refused(f.RemoveDatabase(f.ctx, "org_a", "db_1"), safepoint.CodeConflict, "nightly backs up")
	_, _, err := f.DisableSchedule(f.ctx, "org_a", "sch_1", "Ines Marlow")
	f.ok(err)
	op := f.create(backupOf("org_a", "db_1"))
	f.refused(f.RemoveDatabase(f.ctx, "org_a", "db_1"), safepoint.CodeConflict, "Ines Marlow asked for a backup of db_1")
	_, err = f.AskCancel(f.ctx, "org_a", op.ID)
	f.ok(err)
	f.sql(`UPDATE operations SET undo_until = $1 WHERE id = $2`, toMillis(f.now.Add(time.Hour)), op.ID)
	f.refused(f.RemoveDatabase(f.ctx, "org_a", "db_1"), safepoint.CodeConflict, "can be undone until 16:00 CET")
	f.ok(f.ClearUndo(f.ctx, op.ID))
	kept := f.kept("org_a", "db_1")
	f.sql(`UPDATE databases SET sealed_password = 'x' WHERE id = 'db_1'`)
	f.ok(f.RemoveDatabase(f.ctx, "org_a", "db_1"))
	f.refused(f.RemoveDatabase(f.ctx, "org_a", "db_1"), safepoint.CodeNotFound, "database")
	if _, err := f.Operation(f.ctx, "org_a", kept.ID); err != nil {
		t.Errorf("its backups went too: %v", err)
	}
	var sealed []byte
	f.ok(f.db.QueryRow(`SELECT sealed_password FROM databases WHERE id = 'db_1'`).Scan(&sealed))
	if sealed != nil {
		t.Error("its password is still here")
	}
	if all, err := f.SchedulePlans(f.ctx, "org_a"); err != nil || len(all) != 0 {
		t.Errorf("its schedules are still here: %v, %v", all, err)
	}
	// Its names are free again.
	_, err = f.CreateDatabase(f.ctx, safepoint.Database{ID: "db_n", OrganizationID: "org_a", Name: "db_1"}, nil)
	f.ok(err)
	_, err = f.CreateSchedule(f.ctx, safepoint.Schedule{OrganizationID: "org_a", DatabaseID: "db_n", Name: "nightly", Interval: safepoint.Every8Hours})
	f.ok(err)
}

func TestServicesKeepTheirOrder(t *testing.T) {
	f := newFixture(t)
	for i := range 3 {
		_, err := f.CreateService(f.ctx, safepoint.Service{ID: fmt.Sprintf("svc_%d", i), OrganizationID: "org_a", Name: fmt.Sprint(i), Kind: safepoint.ServiceWebhook, Timeout: time.Minute}, nil)
		f.ok(err)
	}
	order := func() (s string) {
		all, err := f.Services(f.ctx, "org_a")
		f.ok(err)
		for _, one := range all {
			s += one.Name
		}
		return s
	}
	f.ok(f.OrderServices(f.ctx, "org_a", []string{"svc_2", "svc_0", "svc_1"}))
	f.refused(f.OrderServices(f.ctx, "org_a", []string{"svc_1", "svc_0"}), safepoint.CodeConflict, "changed while")
	f.refused(f.OrderServices(f.ctx, "org_a", []string{"svc_1", "svc_1", "svc_0"}), safepoint.CodeNotFound, "service")
	if order() != "201" {
		t.Errorf("order is %s", order())
	}
	source := f.kept("org_a", "db_1")
	f.create(restoreOf("org_a", "db_1", source.ID))
	s, err := f.Service(f.ctx, "org_a", "svc_0")
	f.ok(err)
	_, updateErr := f.UpdateService(f.ctx, s, nil, "x")
	_, createErr := f.CreateService(f.ctx, safepoint.Service{ID: "svc_n", OrganizationID: "org_a", Name: "n"}, nil)
	d, err := f.Database(f.ctx, "org_a", "db_1")
	f.ok(err)
	_, databaseErr := f.UpdateDatabase(f.ctx, d, nil, "x")
	for _, err := range []error{updateErr, createErr, databaseErr, f.RemoveService(f.ctx, "org_a", "svc_0"),
		f.OrderServices(f.ctx, "org_a", []string{"svc_0", "svc_1", "svc_2"}), f.RestoreUnderWay(f.ctx, "org_a")} {
		f.refused(err, safepoint.CodeConflict, "Ines Marlow asked for a restore of db_1")
	}
	f.ok(f.RestoreUnderWay(f.ctx, "org_b"))
}

func TestIntervalsThatPassedAreNotMadeUpFor(t *testing.T) {
	f := newFixture(t)
	s, err := f.Schedule(f.ctx, "org_a", "sch_1") // every 8 hours from 14:00
	f.ok(err)
	f.sql(`UPDATE schedules SET done_until = $1, interval_ms = $2 WHERE id = 'sch_1'`, toMillis(f.now), (24 * time.Hour).Milliseconds())
	f.now = f.now.Add(13 * time.Hour)
	s.Interval = safepoint.Every8Hours
	_, err = f.UpdateSchedule(f.ctx, s.Schedule, "Ines Marlow")
	f.ok(err)
	s, err = f.Schedule(f.ctx, "org_a", "sch_1")
	f.ok(err)
	if run, missed := s.Due(s.Done, f.now); !run.IsZero() || missed != nil {
		t.Errorf("due at %v, missed %v", run, missed)
	}
	if run, _ := s.Due(s.Done, f.now.Add(3*time.Hour)); run.Hour() != 6 {
		t.Errorf("next is %v", run)
	}
}

func TestEnableRunsAtOnce(t *testing.T) {
	f := newFixture(t)
	s, changed, err := f.EnableSchedule(f.ctx, "org_a", "sch_1", "x", true)
	f.ok(err)
	if changed || s.Version != 1 {
		t.Errorf("enabling an active schedule changed it: %+v", s)
	}
	f.now = f.now.Add(time.Hour)
	s, changed, err = f.DisableSchedule(f.ctx, "org_a", "sch_1", "Ines Marlow")
	f.ok(err)
	if !changed || s.IsActive || s.DisabledByName != "Ines Marlow" || !s.DisabledAt.Equal(f.now) {
		t.Errorf("got %+v", s)
	}
	f.now = f.now.Add(time.Hour)
	s, _, err = f.EnableSchedule(f.ctx, "org_a", "sch_1", "Ines Marlow", true)
	f.ok(err)
	if run, missed := s.Due(time.Time{}, f.now); !run.Equal(f.now) || missed != nil {
		t.Errorf("due at %v, missed %v", run, missed)
	}
}

func TestAuditPages(t *testing.T) {
	f := newFixture(t)
	for i := range 7 {
		_, err := f.AddAudit(f.ctx, safepoint.AuditEntry{OrganizationID: "org_a", ActorName: []string{"Ines Marlow", "Tomas Reyl"}[i%2],
			Action: "backup", ObjectID: fmt.Sprint(i), ObjectName: "100% shop"})
		f.ok(err)
		f.now = f.now.Add(time.Minute)
	}
	_, err := f.AddAudit(f.ctx, safepoint.AuditEntry{OrganizationID: "org_b", Action: "backup", ObjectID: "foreign"})
	f.ok(err)
	read := func(filter AuditFilter) (AuditPage, string) {
		t.Helper()
		p, err := f.Audit(f.ctx, "org_a", filter)
		f.ok(err)
		s := ""
		for _, e := range p.Entries {
			s += e.ObjectID
		}
		return p, s
	}
	first, got := read(AuditFilter{Limit: 3})
	if got != "654" || first.Total != 7 || first.Previous != "" {
		t.Errorf("first page %s, %+v", got, first)
	}
	second, got := read(AuditFilter{Limit: 3, Cursor: first.Next})
	if got != "321" || second.Previous == "" {
		t.Errorf("second page %s", got)
	}
	third, got := read(AuditFilter{Limit: 3, Cursor: second.Next})
	if got != "0" || third.Next != "" {
		t.Errorf("third page %s, next %q", got, third.Next)
	}
	if _, got := read(AuditFilter{Limit: 3, Cursor: third.Previous}); got != "321" {
		t.Errorf("back to %s", got)
	}
	if back, got := read(AuditFilter{Limit: 3, Cursor: second.Previous}); got != "654" || back.Previous != "" {
		t.Errorf("back to %s, previous %q", got, back.Previous)
	}
	for _, c := range []struct {
		AuditFilter
		want string
	}{
		{AuditFilter{Who: "tomas"}, "531"}, {AuditFilter{What: "100%"}, "6543210"}, {AuditFilter{What: "100_"}, ""}, {AuditFilter{What: "backup"}, "6543210"}, {AuditFilter{What: "5"}, "5"},
		{AuditFilter{Action: "backup"}, "6543210"}, {AuditFilter{Action: "backup", What: "5"}, "5"}, {AuditFilter{Action: "back"}, ""},
		{AuditFilter{From: f.now.Add(-2 * time.Minute)}, "65"}, {AuditFilter{To: f.now.Add(-6 * time.Minute)}, "0"},
	} {
		if _, got := read(c.AuditFilter); got != c.want {
			t.Errorf("%+v: %s, want %s", c.AuditFilter, got, c.want)
		}
	}
	if p, _ := read(AuditFilter{Uncounted: true}); p.Total != 0 || len(p.Entries) != 7 {
		t.Errorf("uncounted: %d of %d", len(p.Entries), p.Total)
	}
	changed, err := f.AddAudit(f.ctx, safepoint.AuditEntry{OrganizationID: "org_c", Action: "schedule.update", Changes: []safepoint.Change{{Field: "interval", Before: "8 hours", After: "12 hours"}}})
	f.ok(err)
	if p, err := f.Audit(f.ctx, "org_c", AuditFilter{}); err != nil || len(p.Entries) != 1 || len(p.Entries[0].Changes) != 1 || p.Entries[0].Changes[0] != changed.Changes[0] {
		t.Errorf("changes came back as %+v, %v", p.Entries, err)
	}
	_, err = f.Audit(f.ctx, "org_a", AuditFilter{Cursor: "x"})
	f.refused(err, safepoint.CodeInvalid, "first one")
	p, _ := read(AuditFilter{What: "3"})
	f.ok(f.EndAudit(f.ctx, p.Entries[0].ID, "failed", "disk full"))
	f.ok(f.EndAudit(f.ctx, p.Entries[0].ID, "succeeded", "")) // it has an outcome: nothing is written twice
	if p, _ = read(AuditFilter{What: "3"}); p.Entries[0].Outcome != "failed" || p.Entries[0].Detail != "disk full" {
		t.Errorf("got %+v", p.Entries)
	}
}
