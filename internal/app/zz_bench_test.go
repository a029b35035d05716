package app

import ("testing";"time";"fmt";"database/sql";"github.com/safepoint-db/safepoint")

func TestZZBig(t *testing.T) {
	w := newWorld(t)
	d := w.shop("shop")
	db, _ := sql.Open("sqlite", w.catalogPath())
	defer db.Close()
	tx, _ := db.Begin()
	now := w.Now().UnixMilli()
	for i := range 1000 {
		id := fmt.Sprintf("sch_%d", i)
		_, err := tx.Exec(`INSERT INTO schedules (id, organization_id, database_id, name, interval_ms, anchor, created_at, created_by, created_by_name, enabled_at) VALUES ($1,$2,$3,$1,28800000,$4,1,'','',1)`, id, w.admin.OrganizationID, d.ID, now-1000*28800000)
		w.ok(err)
		for r := range 1000 {
			due := now - int64(r)*28800000
			_, err := tx.Exec(`INSERT INTO operations (id, organization_id, database_id, database_name, engine, type, triggered_by, status, name, schedule_id, due_at, created_at, started_at, finished_at, size) VALUES ($1,$2,$3,'shop','sqlite','backup','scheduled','succeeded','n',$4,$5,$5,$5,$5,1000)`, fmt.Sprintf("op_%d_%d", i, r), w.admin.OrganizationID, d.ID, id, due)
			w.ok(err)
		}
	}
	w.ok(tx.Commit())
	for _, f := range map[string]func() error{
		"schedules": func() error { _, err := w.Schedules(w.ctx, w.viewer); return err },
		"schedule": func() error { _, err := w.Schedule(w.ctx, w.viewer, "sch_5"); return err },
		"overview": func() error { _, err := w.Overview(w.ctx, w.viewer); return err },
		"operations": func() error { _, err := w.Operations(w.ctx, w.viewer, safepoint.OperationFilter{}); return err },
		"delete": func() error { _, err := w.PreviewDelete(w.ctx, w.admin, "op_1_1"); return err },
		"restore": func() error { _, err := w.PreviewRestore(w.ctx, w.admin, "op_1_1"); return err },
		"enable": func() error { _, err := w.EnableSchedule(w.ctx, w.admin, "sch_1"); return err },
		"runssince": func() error { _, err := w.Catalog.RunsSince(w.ctx, w.admin.OrganizationID, w.Now().Add(-runsShown)); return err },
		"kept": func() error { _, err := w.Catalog.KeptBackups(w.ctx, w.admin.OrganizationID); return err },
	} { _ = f }
	for _, name := range []string{"schedules","schedule","overview","operations","delete","restore","enable","runssince","kept"} {
		fs := map[string]func() error{
		"schedules": func() error { _, err := w.Schedules(w.ctx, w.viewer); return err },
		"schedule": func() error { _, err := w.Schedule(w.ctx, w.viewer, "sch_5"); return err },
		"overview": func() error { _, err := w.Overview(w.ctx, w.viewer); return err },
		"operations": func() error { _, err := w.Operations(w.ctx, w.viewer, safepoint.OperationFilter{}); return err },
		"delete": func() error { _, err := w.PreviewDelete(w.ctx, w.admin, "op_1_1"); return err },
		"restore": func() error { _, err := w.PreviewRestore(w.ctx, w.admin, "op_1_1"); return err },
		"enable": func() error { _, err := w.EnableSchedule(w.ctx, w.admin, "sch_1"); return err },
		"runssince": func() error { _, err := w.Catalog.RunsSince(w.ctx, w.admin.OrganizationID, w.Now().Add(-runsShown)); return err },
		"kept": func() error { _, err := w.Catalog.KeptBackups(w.ctx, w.admin.OrganizationID); return err },
		}
		s := time.Now(); err := fs[name](); t.Log(name, time.Since(s), err)
	}
}
