package web

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/app"
	"github.com/safepoint-db/safepoint/internal/engine"
	"github.com/safepoint-db/safepoint/internal/halt"
	"github.com/safepoint-db/safepoint/internal/storage"
)

// testNow is a Sunday afternoon in Berlin, 15:14 CET.
var testNow = time.Date(2026, 11, 22, 14, 14, 0, 0, time.UTC)

const gib = int64(1) << 30

func ago(d time.Duration) time.Time { return testNow.Add(-d) }

func backup(id, db string, at time.Time, took time.Duration, bytes int64) safepoint.Operation {
	return safepoint.Operation{ID: id, DatabaseID: "db_" + db, DatabaseName: db, Engine: safepoint.PostgreSQL, Type: safepoint.TypeBackup, Trigger: safepoint.TriggerScheduled,
		Status: safepoint.StatusSucceeded, Name: db + at.UTC().Format("_2006-01-02_1504") + ".sql.zst", CreatedAt: at, StartedAt: at, FinishedAt: at.Add(took), Size: bytes,
		RawSize: bytes * 4, SHA256: "9f2c41d0aa17b3c55d80e1f2a3948576b1c2d3e4f50617283940a1b2c3d47be1", VerifiedAt: at.Add(took), Tables: 66, Rows: 41208553, ServerVersion: "17.6"}
}

// note and blocker are findings whose words can be said in other languages, as an engine's can.
func note(code safepoint.Code, message, hint string) engine.Finding {
	return engine.Finding{Code: code, Message: message, Hint: hint, Said: safepoint.Phrase{Sentence: message}, Advised: safepoint.Phrase{Sentence: hint}}
}

func blocker(code safepoint.Code, message, hint string) engine.Finding {
	f := note(code, message, hint)
	f.Blocker = true
	return f
}

// sample is an organization with something to look at: the mock's.
func sample() *fake {
	org := safepoint.Organization{ID: "org_harbor", Name: "Harborline Freight", TimeZone: "Europe/Berlin", UndoWindow: 24 * time.Hour, Guided: true}
	other := safepoint.Organization{ID: "org_other", Name: "Quayside Labs", TimeZone: "UTC"}
	f := &fake{
		actor: safepoint.Actor{UserID: "usr_ines", UserName: "Ines Marlow", Email: "ines.marlow@harborline.example", Display: safepoint.Display{Theme: "system", Hours: "24"}, OrganizationID: org.ID, Role: safepoint.RoleAdmin, Via: "session"},
		orgs:  []safepoint.Membership{{Organization: org, Role: safepoint.RoleAdmin}, {Organization: other, Role: safepoint.RoleViewer}},
		state: safepoint.OrganizationState{State: safepoint.StateOperating},
		over:  app.Overview{Backups: 143, Bytes: 2507 * gib, StorageName: "local", Space: storage.Space{Free: 412 * gib, Total: 2800 * gib}},
		dbs: []safepoint.Database{
			{ID: "db_harbor_prod", Name: "harbor_prod", Engine: safepoint.PostgreSQL, Host: "db-01", Port: 5432, User: "backup", DBName: "harbor", TLS: safepoint.TLSVerifyFull, HasPassword: true, ServerVersion: "17.6", CreatedAt: ago(200 * 24 * time.Hour), CreatedByName: "Ines Marlow", Version: 3},
			{ID: "db_billing_prod", Name: "billing_prod", Engine: safepoint.PostgreSQL, Host: "db-02", Port: 5432, User: "backup", DBName: "billing", TLS: safepoint.TLSVerifyFull, HasPassword: true, ServerVersion: "16.4", CreatedAt: ago(180 * 24 * time.Hour), CreatedByName: "Ines Marlow", Version: 1},
			{ID: "db_docs", Name: "docs_archive", Engine: safepoint.SQLite, Path: "/srv/docs/archive.db", ServerVersion: "3.50", CreatedAt: ago(90 * 24 * time.Hour), CreatedByName: "Tomas Reyl", Version: 1},
		},
		svcs: []safepoint.Service{
			{ID: "svc_web", Name: "booking-web", Kind: safepoint.ServiceWebhook, Position: 1, Timeout: time.Minute, HaltURL: "https://web.example/halt", ResumeURL: "https://web.example/resume", HealthURL: "https://web.example/health", HasSecret: true, CreatedAt: ago(48 * time.Hour), Version: 1},
			{ID: "svc_pool", Name: "pool", Kind: safepoint.ServicePgBouncer, Position: 2, Timeout: time.Minute, Host: "pgb", Port: 6432, User: "pgbouncer", DBName: "harbor", HasSecret: true, CreatedAt: ago(48 * time.Hour), Version: 1},
			{ID: "svc_reports", Name: "reports", Kind: safepoint.ServiceWebhook, Position: 3, Timeout: 30 * time.Second, HaltURL: "https://r.example/halt", ResumeURL: "https://r.example/resume", CreatedAt: ago(48 * time.Hour), Version: 1},
		},
		status: halt.Status{Condition: halt.Running, Detail: "Answered 204 in 12 ms."},
		members: []safepoint.Member{
			{User: safepoint.User{ID: "usr_ines", Name: "Ines Marlow", Email: "ines.marlow@harborline.example"}, Role: safepoint.RoleAdmin, CreatedAt: ago(300 * 24 * time.Hour)},
			{User: safepoint.User{ID: "usr_tomas", Name: "Tomas Reyl", Email: "tomas@harborline.example"}, Role: safepoint.RoleViewer, CreatedAt: ago(20 * 24 * time.Hour)},
		},
		tokens: []safepoint.Token{{ID: "tok_ci", Name: "CI", CreatedAt: ago(72 * time.Hour), ExpiresAt: testNow.Add(87 * 24 * time.Hour), LastUsedAt: ago(2 * time.Hour)}, {ID: "tok_old", Name: "old laptop", CreatedAt: ago(720 * time.Hour)}},
		enc: safepoint.Encryption{Since: ago(40 * 24 * time.Hour), Recipients: []safepoint.Recipient{
			{ID: "rcp_old", Name: "Recovery key", PublicKey: "age1" + strings.Repeat("q", 52) + "0ld9n9", CreatedAt: ago(40 * 24 * time.Hour), CreatedByName: "Ines Marlow", ProvenAt: ago(40 * 24 * time.Hour), RetiredAt: ago(time.Hour), Kept: true},
			{ID: "rcp_safe", Name: "Safe in the office", PublicKey: "age1" + strings.Repeat("z", 52) + "5afe55", CreatedAt: ago(2 * time.Hour), CreatedByName: "Ines Marlow", ProvenAt: ago(2 * time.Hour), Kept: true},
			{ID: "rcp_new", Name: "Board <b>member</b>", PublicKey: "age1" + strings.Repeat("p", 52) + "n3wn3w", CreatedAt: ago(time.Minute), CreatedByName: "Ines Marlow"},
		}},
		made: app.NewRecipient{Recipient: safepoint.Recipient{ID: "rcp_new", Name: "Recovery key", PublicKey: "age1" + strings.Repeat("p", 52) + "n3wn3w"},
			IdentityFile: "# created: 2026-11-22T14:14:00Z\n# public key: age1pppp\nAGE-SECRET-KEY-1SHOWNONCE\n",
			Challenge:    "-----BEGIN AGE ENCRYPTED FILE-----\nYWdl\n-----END AGE ENCRYPTED FILE-----\n"},
		signIns: []safepoint.SignIn{
			{ID: "a1b2c3d4e5f60718", CreatedAt: ago(3 * time.Hour), UsedAt: ago(time.Minute), IP: "203.0.113.7", Agent: "Mozilla/5.0 (X11; Linux x86_64; rv:144.0) Gecko/20100101 Firefox/144.0", This: true},
			{ID: "0718a1b2c3d4e5f6", CreatedAt: ago(50 * time.Hour), UsedAt: ago(26 * time.Hour), IP: "198.51.100.4", Agent: "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Mobile/15E148 Safari/604.1"},
			{ID: "f6e5d4c3b2a10718", CreatedAt: ago(80 * time.Hour), UsedAt: ago(79 * time.Hour), IP: "198.51.100.9", Agent: "<curl>"},
		},
		audit: []safepoint.AuditEntry{
			{ID: "aud_4", At: ago(2 * time.Minute), ActorName: "=cmd|' /C calc'!A0", IP: "203.0.113.7", Via: "token", Action: "schedule.update", ObjectType: "schedule", ObjectID: "sch_7k2mq4", ObjectName: "Production database", Outcome: "succeeded", Changes: []safepoint.Change{{Field: "interval", Before: "8 hours", After: "12 hours"}, {Field: "description", Before: "", After: "<Night> run"}}},
			{ID: "aud_3", At: ago(3 * time.Minute), ActorName: "Ines Marlow", IP: "203.0.113.7", Via: "session", Action: "backup", ObjectType: "database", ObjectName: "harbor_prod"},
			{ID: "aud_2", At: ago(time.Hour), ActorName: "Tomas Reyl", IP: "203.0.113.9", Via: "session", Action: "backup.delete", ObjectName: "harbor_prod_2026-11-20_0600.sql.zst", Outcome: "denied", Detail: "a Viewer"},
			{ID: "aud_1", At: ago(26 * time.Hour), IP: "198.51.100.4", Via: "session", Action: "signin", ObjectName: "root@example.org", Outcome: "failed"},
		},
		test:    app.TestResult{OK: true, Took: 42 * time.Millisecond, Info: engine.Info{ServerVersion: "17.6", Size: 71 * gib, Tables: 66, Tool: "pg_dump 17.6"}, Findings: []engine.Finding{note(safepoint.CodePrivilege, "The role may not create databases.", "A restore would run in place, with services halted throughout.")}},
		put:     app.StorageTest{OK: true, Size: 64 << 10, Wrote: 3 * time.Millisecond, Read: time.Millisecond, Removed: 1200 * time.Microsecond},
		answers: sampleAnswers(),
		svcTest: app.ServiceTest{Halted: true, Resumed: true, HaltTook: 153 * time.Millisecond, ResumeTook: 1200 * time.Millisecond},
	}
	f.cards = sampleCards(f)
	f.health = sampleHealth(f)
	f.ops = sampleOps()
	f.journal = append(journalTo(safepoint.StepClean, f.ops[5].StartedAt), safepoint.JournalEntry{At: f.ops[5].FinishedAt, Step: safepoint.StepClean, Event: "done", Detail: "The restore is done."})
	newest, oldest := f.ops[1], backup("op_oldest", "docs_archive", ago(85*24*time.Hour), 14*time.Minute, 40*gib)
	f.stored = []app.Stored{
		{DatabaseID: f.dbs[0].ID, Name: f.dbs[0].Name, Backups: 87, Bytes: f.over.Bytes / 2},
		{DatabaseID: f.dbs[1].ID, Name: f.dbs[1].Name, Backups: 44, Bytes: f.over.Bytes / 3},
		{DatabaseID: "db_gone", Name: "warehouse_2024", Removed: true, Backups: 12, Bytes: f.over.Bytes / 6},
	}
	f.over.Newest, f.over.Oldest = &newest, &oldest
	f.restore = app.RestorePreview{Backup: f.ops[4], Database: f.dbs[0], Changes: 17*time.Hour + 14*time.Minute, Services: f.svcs, Ready: true, Space: f.over.Space, Confirm: "harbor_prod",
		Mode: safepoint.RestoreGuarded, Modes: []safepoint.RestoreMode{safepoint.RestoreGuarded, safepoint.RestoreInstant},
		HaltTimes: map[safepoint.RestoreMode]time.Duration{safepoint.RestoreGuarded: 8*time.Minute + 37*time.Second, safepoint.RestoreInstant: 214 * time.Millisecond},
		Findings:  []engine.Finding{note(safepoint.CodePrivilege, "The role reporting does not exist on this server.", "Its grants are left out.")},
		Estimates: map[safepoint.Step]time.Duration{safepoint.StepGuard: 6 * time.Minute, safepoint.StepHalt: 20 * time.Second, safepoint.StepResume: 30 * time.Second}, Busy: &f.ops[0]}
	f.delete = app.DeletePreview{Backup: f.ops[2], Others: 86, Newest: f.ops[1].CreatedAt}
	f.tables = []app.BackupTable{
		{Name: "public.orders", Rows: 2_400_112, Size: 310 << 20, RawSize: 1 << 30}, {Name: "public.shipment_events", Rows: 48_000_000, Size: 6 << 30, RawSize: 31 << 30},
		{Name: `app."Odd.Name"`, Rows: 1, Size: 120, RawSize: 300}, {Name: "app.empty"},
	}
	return f
}

// sampleAnswers are of a database that answers, one that did until today, and one beside Safepoint.
func sampleAnswers() app.DatabaseAnswers {
	return app.DatabaseAnswers{Of: map[string]app.DatabaseAnswer{
		"db_harbor_prod": {State: app.AnswerGood, AskedAt: ago(2 * time.Minute), AnsweredAt: ago(2 * time.Minute), Took: 42 * time.Millisecond, Info: engine.Info{ServerVersion: "17.6", Size: 71 * gib, Tables: 66}},
		"db_billing_prod": {State: app.AnswerFailing, AskedAt: ago(2 * time.Minute), AnsweredAt: ago(3 * time.Hour), Info: engine.Info{ServerVersion: "16.4", Size: 9 * gib, Tables: 31},
			Failure: safepoint.Errorf(safepoint.CodeUnreachable, "%s did not answer within %s.", "db-02:5432", "10 s").WithHint("Check that the server runs, and that a firewall lets this machine through.").Failure()},
		"db_docs": {State: app.AnswerGood, AskedAt: ago(2 * time.Minute), AnsweredAt: ago(2 * time.Minute), Info: engine.Info{ServerVersion: "3.50", Size: 1 * gib, Tables: 1, DiskFree: 3 * gib, DiskTotal: 64 * gib}},
	}}
}

func sampleCards(f *fake) []app.ScheduleCard {
	base := safepoint.Schedule{OrganizationID: "org_harbor", IsActive: true, CreatedAt: time.Date(2026, 2, 3, 8, 41, 0, 0, time.UTC), CreatedBy: "usr_ines", CreatedByName: "Ines Marlow", Version: 4}
	a, b, c := base, base, base
	a.ID, a.DatabaseID, a.Name, a.Description, a.Interval, a.Anchor = "sch_7k2mq4", "db_harbor_prod", "Production database", "Orders, shipments and customer accounts.", safepoint.Every8Hours, time.Date(2026, 2, 3, 5, 0, 0, 0, time.UTC)
	b.ID, b.DatabaseID, b.Name, b.Description, b.Interval, b.Anchor = "sch_4wd81c", "db_billing_prod", "Billing ledger", "Invoices and payments.", safepoint.Every24Hours, time.Date(2026, 2, 3, 2, 0, 0, 0, time.UTC)
	c.ID, c.DatabaseID, c.Name, c.Interval, c.Anchor = "sch_x09vtr", "db_docs", "Document archive", safepoint.Every7Days, time.Date(2026, 2, 7, 1, 0, 0, 0, time.UTC)
	c.IsActive, c.DisabledAt, c.DisabledByName = false, time.Date(2026, 11, 16, 9, 0, 0, 0, time.UTC), "Ines Marlow"
	cards := []app.ScheduleCard{
		{Schedule: a, Database: f.dbs[0], NextRun: a.NextRun(testNow), Backups: 87},
		{Schedule: b, Database: f.dbs[1], NextRun: b.NextRun(testNow), Backups: 44, OnlyOne: true},
		{Schedule: c, Database: f.dbs[2], Backups: 12, OnlyOne: true},
	}
	for i := range cards {
		k := &cards[i]
		from, _ := k.Schedule.LastDue(testNow.Add(-30 * 24 * time.Hour))
		for n, t := 0, k.Schedule.NextRun(from); !t.After(testNow); n, t = n+1, k.Schedule.NextRun(t) {
			if i == 2 && t.After(c.DisabledAt) {
				break
			}
			op := backup(fmt.Sprintf("op_%d_%d", i, n), k.Database.Name, t, 6*time.Minute+12*time.Second, 17*gib+int64(float64(gib)*(float64(n)/90+.1*math.Sin(float64(n)))))
			op.DueAt = t
			if i == 0 && n == 40 || i == 1 && n >= 28 {
				op.Status, op.Size, op.Failure = safepoint.StatusFailed, 0, safepoint.Errorf(safepoint.CodeSpace, "Not enough space: 6.4 GiB needed, 2.1 GiB free.").WithHint("Free up space, then run it again.").Failure()
			}
			if i == 1 && n == 9 {
				op.Status, op.Size = safepoint.StatusMissed, 0
			}
			k.Runs = append(k.Runs, op)
			last := op
			k.LastRun = &last
			if op.Status == safepoint.StatusSucceeded {
				k.LastGood = &last
			}
		}
	}
	return cards
}

func sampleOps() []safepoint.Operation {
	running := backup("op_running", "harbor_prod", ago(3*time.Minute+50*time.Second), 0, 0)
	running.Trigger, running.CreatedByName, running.Status, running.SHA256, running.VerifiedAt, running.FinishedAt = safepoint.TriggerManual, "Ines Marlow", safepoint.StatusRunning, "", time.Time{}, time.Time{}
	running.Tables, running.Rows, running.RawSize = 0, 0, 0
	running.Progress = safepoint.Progress{Phase: "dump", Table: "public.shipment_events", Tables: 40, TablesOf: 66, Bytes: 11*gib + gib/2, BytesOf: 18*gib + gib/3, Percent: 62, Rate: 50 << 20, SecondsETA: 130, At: testNow}
	failed := backup("op_failed", "billing_prod", ago(12*time.Hour+14*time.Minute), 4*time.Second, 0)
	failed.Status, failed.SHA256, failed.VerifiedAt, failed.RawSize, failed.Tables, failed.Rows = safepoint.StatusFailed, "", time.Time{}, 0, 0, 0
	failed.Failure = safepoint.Errorf(safepoint.CodeSpace, "Not enough space: 6.4 GiB needed, 2.1 GiB free.").WithHint("Free up space, then run it again.").Failure()
	safety := backup("op_safety", "docs_archive", ago(22*time.Hour), 6*time.Minute+51*time.Second, 42*gib)
	safety.Trigger, safety.RestoreID = safepoint.TriggerSafety, "op_restore"
	cancelled := backup("op_cancelled", "harbor_prod", ago(27*time.Hour), time.Minute, 0)
	cancelled.Status, cancelled.SHA256, cancelled.VerifiedAt, cancelled.Failure = safepoint.StatusCancelled, "", time.Time{}, safepoint.Errorf(safepoint.CodeCancelled, "Cancelled by Ines Marlow.").Failure()
	return []safepoint.Operation{
		running,
		backup("op_1400", "harbor_prod", ago(74*time.Minute), 6*time.Minute+12*time.Second, 18*gib+gib*2/5),
		backup("op_0600", "harbor_prod", ago(9*time.Hour+14*time.Minute), 6*time.Minute+5*time.Second, 18*gib+gib*2/5),
		failed,
		backup("op_2200", "harbor_prod", ago(17*time.Hour+14*time.Minute), 6*time.Minute+18*time.Second, 18*gib+gib/3),
		restored(), safety, cancelled,
		backup("op_1400b", "harbor_prod", ago(25*time.Hour+14*time.Minute), 6*time.Minute+9*time.Second, 18*gib+gib/3),
	}
}

// restored is a restore that went well yesterday.
func restored() safepoint.Operation {
	at := ago(22*time.Hour + 15*time.Second)
	return safepoint.Operation{ID: "op_restore", DatabaseID: "db_harbor_prod", DatabaseName: "harbor_prod", Engine: safepoint.PostgreSQL, Type: safepoint.TypeRestore, Trigger: safepoint.TriggerManual,
		Status: safepoint.StatusSucceeded, Name: "harbor_prod restored", CreatedAt: at, StartedAt: at, FinishedAt: at.Add(14*time.Minute + 51*time.Second), CreatedByName: "Tomas Reyl",
		SourceID: "op_2200", SourceName: "harbor_prod_2026-11-20_2100.sql.zst", SourceAt: ago(42 * time.Hour), SafetyID: "op_safety", Step: safepoint.StepClean, Switched: true,
		HaltedAt: at.Add(6 * time.Minute), ResumedAt: at.Add(14*time.Minute + 37*time.Second), Services: 3, Tables: 66, Rows: 41208553, UndoUntil: testNow.Add(2 * time.Hour)}
}

// journalTo is the journal of a restore that is in step s.
func journalTo(s safepoint.Step, began time.Time) []safepoint.JournalEntry {
	var out []safepoint.JournalEntry
	at := began
	add := func(step safepoint.Step, event, detail string, d time.Duration) {
		at = at.Add(d)
		out = append(out, safepoint.JournalEntry{Seq: len(out), At: at, Step: step, Event: event, Detail: detail})
	}
	for _, step := range safepoint.Steps {
		if step > s {
			break
		}
		add(step, "intent", "Begin "+step.String()+".", time.Second)
		if step == safepoint.StepHalt {
			add(step, "note", "Halted booking-web.", 5*time.Second)
			out[len(out)-1].Kind, out[len(out)-1].ServiceID = safepoint.JournalHalted, "svc_web"
			add(step, "note", "pool was not running; it is left as it is.", time.Second)
			out[len(out)-1].Kind, out[len(out)-1].ServiceID = safepoint.JournalIdle, "svc_pool"
		}
		if step < s {
			add(step, "done", "Done with "+step.String()+".", 48*time.Second)
		}
	}
	return out
}

// restoring is the sample in the middle of a restore, in step s.
func restoring(s safepoint.Step, percent int) *fake {
	f := sample()
	op := restored()
	op.ID, op.Status, op.CreatedAt, op.StartedAt, op.FinishedAt = "op_now", safepoint.StatusRunning, ago(10*time.Minute), ago(10*time.Minute), time.Time{}
	op.ResumedAt, op.UndoUntil, op.Switched, op.SafetyID, op.Step, op.HaltedAt = time.Time{}, time.Time{}, false, "", s, time.Time{}
	op.Progress = safepoint.Progress{Phase: s.String(), Tables: 39, TablesOf: 66, Bytes: 10 * gib, BytesOf: 18 * gib, Percent: percent, Rate: 48 << 20, SecondsETA: 290, At: testNow}
	if s >= safepoint.StepHalt {
		op.HaltedAt = ago(4*time.Minute + 9*time.Second)
		f.state = safepoint.OrganizationState{State: safepoint.StateHalted, Since: op.HaltedAt, Reason: "harbor_prod is being restored.", Until: testNow.Add(5 * time.Minute), OperationID: op.ID}
	}
	if s > safepoint.StepGuard {
		op.SafetyID = "op_safety"
	}
	f.ops = append([]safepoint.Operation{op}, f.ops[1:]...)
	f.journal = journalTo(s, op.StartedAt)
	return f
}

// ended is the sample with a restore that ended as change says.
func ended(change func(*safepoint.Operation)) *fake {
	f := sample()
	change(&f.ops[5])
	f.journal = journalTo(f.ops[5].Step, f.ops[5].StartedAt)
	return f
}

// alone is the sample with a restore where no service is set up.
func alone() *fake {
	f := ended(func(o *safepoint.Operation) { o.Services = 0 })
	f.svcs = nil
	return f
}

// instantly is the sample with a restore of mode instant that went well, changed by change.
func instantly(change func(*safepoint.Operation)) *fake {
	f := sample()
	op := &f.ops[5]
	op.Mode, op.ResumedAt = safepoint.RestoreInstant, op.HaltedAt.Add(214*time.Millisecond)
	change(op)
	at := op.StartedAt
	f.journal = nil
	for _, step := range instantSteps {
		f.journal = append(f.journal, safepoint.JournalEntry{Seq: len(f.journal), At: at, Step: step, Event: "intent", Detail: "Begin " + step.String() + "."})
		if step == op.Step {
			break
		}
		at = at.Add(48 * time.Second)
		f.journal = append(f.journal, safepoint.JournalEntry{Seq: len(f.journal), At: at, Step: step, Event: "done", Detail: "Done with " + step.String() + "."})
	}
	return f
}

// sampleHealth is how the sample's databases have fared: as their cards say.
func sampleHealth(f *fake) app.Health {
	h := app.Health{Days: 30, All: len(f.cards), Storage: app.StorageHealth{Name: f.over.StorageName, Space: f.over.Space, Bytes: f.over.Bytes, Shared: true}}
	for _, k := range f.cards {
		d := app.DatabaseHealth{Database: k.Database, NextRun: k.NextRun}
		for i, op := range k.Runs {
			if op.DueAt.Before(time.Date(2026, 10, 23, 22, 0, 0, 0, time.UTC)) { // 24 October in Berlin
				continue
			}
			d.Runs = append(d.Runs, app.HealthRun{At: op.DueAt, Status: op.Status, Size: op.Size, Took: 6*time.Minute + time.Duration(i%9)*7*time.Second})
			switch op.Status {
			case safepoint.StatusSucceeded:
				d.Good++
				d.ProvenID, d.ProvenAt, d.VerifiedAt, d.Size, d.Took = op.ID, op.StartedAt, op.VerifiedAt, op.Size, op.Duration(testNow)
			case safepoint.StatusFailed:
				d.Failed++
			case safepoint.StatusMissed:
				d.Missed++
			}
		}
		h.Databases = append(h.Databases, d)
	}
	for i := range 30 {
		day := time.Date(2026, 11, 22-29+i, 0, 0, 0, 0, time.UTC)
		h.Storage.Totals = append(h.Storage.Totals, app.DayTotal{Day: day, Bytes: f.over.Bytes - int64(29-i)*3*gib})
	}
	h.Storage.Forecast = app.NewForecast(h.Storage.Totals, f.over.Space.Free, true, testNow)
	return h
}

// manyTables are n tables of a backup.
func manyTables(n int) (all []app.BackupTable) {
	for i := range n {
		all = append(all, app.BackupTable{Name: fmt.Sprintf("public.t%03d", i+1), Rows: int64(i)})
	}
	return all
}
