package web

import (
	"flag"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/app"
	"github.com/safepoint-db/safepoint/internal/engine"
	"github.com/safepoint-db/safepoint/internal/halt"
	"github.com/safepoint-db/safepoint/internal/storage"
)

var update = flag.Bool("update", false, "write the golden pages")

func newTestServer(t *testing.T, f *fake) http.Handler { t.Helper(); return newTestServerIn(t, f, "") }

// newTestServerIn speaks one language, whoever asks.
func newTestServerIn(t *testing.T, f *fake, tag string) http.Handler {
	t.Helper()
	h, err := New(Config{App: f, Version: "test", Language: tag, Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return testNow }})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// ask sends one request as a session ("s-admin", "s-viewer" or "" for nobody).
func ask(h http.Handler, session, method, target string, post url.Values, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, strings.NewReader(post.Encode()))
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if session != "" {
		r.AddCookie(&http.Cookie{Name: plainCookie, Value: session})
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// story is one page in one state.
type story struct {
	name     string
	fake     *fake
	session  string
	path     string
	post     url.Values
	status   int
	fragment bool
	want     []string // words that must be on it
	not      []string // words that must not
}

func with(f *fake, change func(*fake)) *fake { change(f); return f }

// withHostService adds a service of the operator's file, to be halted before all others.
func withHostService(f *fake) {
	f.svcs = append([]safepoint.Service{{ID: "svc_shop", Name: "shop", Kind: safepoint.ServiceSystemd, Timeout: 90 * time.Second, Operator: &safepoint.HostService{
		Systemd: &safepoint.SystemdService{Units: []string{"shop.socket", "shop.service"}},
	}}}, f.svcs...)
}

// compared gives the preview of a restore all that a look may find.
func compared(f *fake) {
	p := &f.restore
	p.Answers = nil
	for _, s := range p.Services {
		p.Answers = append(p.Answers, app.ServiceAnswer{Service: s, Status: f.status, Meaning: safepoint.NewPhrase("It answers, and will be halted and resumed.")})
	}
	p.Versions, p.LiveSize, p.SafetySize = app.Versions{Backup: "17.5", Server: "17.6", Tool: "pg_dump 17.6"}, 71*gib, 18*gib
	p.Passed = []safepoint.Phrase{safepoint.NewPhrase("The backup is of %s %s, and the server runs %s.", "PostgreSQL", "17.5", "17.6"), safepoint.NewPhrase("Every service answers.")}
	p.Rows = &app.Comparison{Vanishing: 1, Returning: 1, Differing: 2, Same: 62, BackupRows: 41208553, LiveRows: 41209793, LiveKnown: true, NewestID: "op_1400", NewestAt: ago(74 * time.Minute),
		Changes: []app.TableChange{
			{Name: `app."New <table>"`, Fate: app.Vanishes, Backup: -1, Newest: -1, Live: 12},
			{Name: "public." + strings.Repeat("ü", 31) + "1", Fate: app.ComesBack, Backup: 7, Newest: -1, Live: -1},
			{Name: "public.orders", Fate: app.RowsDiffer, Backup: 2_398_872, Newest: 2_399_990, Live: 2_400_112},
			{Name: "public.rates", Fate: app.Differs, Backup: 310, Newest: 310, Live: 310},
		}}
}

// into is a restore into a new database that has ended.
func into(status safepoint.Status) *fake {
	f := sample()
	for i := range f.ops {
		if f.ops[i].ID == "op_restore" {
			op := &f.ops[i]
			op.NewName, op.Only, op.Status, op.Switched, op.SafetyID, op.Attention = "harbor_march", []string{"public.orders"}, status, false, "", nil
			op.HaltedAt, op.ResumedAt, op.UndoUntil, op.Step, op.Services = time.Time{}, time.Time{}, time.Time{}, safepoint.StepSwitch, 0
			if status == safepoint.StatusFailed {
				op.Failure = safepoint.Errorf(safepoint.CodeConflict, "The name is taken.").Failure()
			}
		}
	}
	return f
}

func typed(pairs ...string) url.Values {
	v := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		v.Set(pairs[i], pairs[i+1])
	}
	return v
}

// unguided are those who are still led through the first run.
func unguided(f *fake) { f.orgs[0].Organization.Guided = false }

func stories() []story {
	kept := safepoint.Errorf(safepoint.CodeConflict, "A restore of this database can be undone until %s.", "16:00 CET").WithHint("Its earlier state is kept beside it until then, and removing that needs this connection. Remove the database afterwards.")
	kept.Field = app.FieldGone
	conflict := safepoint.Errorf(safepoint.CodeConflict, "A restore of harbor_prod is under way.").WithHint("Try again when it is done.")
	empty := func() *fake {
		f := sample()
		return &fake{actor: f.actor, orgs: f.orgs[:1], state: f.state, members: f.members[:1], over: app.Overview{StorageName: f.over.StorageName}}
	}
	noOps := func(f *fake) { f.ops = nil }
	list := []story{
		{name: "setup", fake: &fake{noSetup: true}, session: "-", path: "/setup", want: []string{"Set up Safepoint", "Setup code"}},
		{name: "setup-wrong", fake: &fake{noSetup: true, fail: safepoint.Errorf(safepoint.CodeForbidden, "This setup code is wrong, or older than 30 minutes.").WithHint("The server prints a new code each time it starts.")}, session: "-", path: "/setup", post: typed("code", "x", "email", "a@b.c", "password", "p", "password2", "p", "time_zone", "Mars/Olympus"), status: 422, want: []string{"This setup code is wrong", "prints a new code", `value="a@b.c"`, "Mars/Olympus"}},
		{name: "setup-passwords-differ", fake: &fake{noSetup: true}, session: "-", path: "/setup", post: typed("password", "p", "password2", "q"), status: 422, want: []string{"not the same"}},
		{name: "signin", fake: sample(), session: "-", path: "/signin?next=/logs", want: []string{"Sign in", `value="/logs"`}},
		{name: "signin-kept", fake: sample(), session: "-", path: "/signin?over=1&kept=1&next=/backups/new", want: []string{"your text is kept"}},
		{name: "signin-over", fake: sample(), session: "-", path: "/signin?over=1", want: []string{"You were signed out."}},
		{name: "signin-wrong", fake: with(sample(), func(f *fake) {
			f.fail = safepoint.Errorf(safepoint.CodeUnauthorized, "Address or password are not right.")
		}), session: "-", path: "/signin", post: typed("email", "ines@x.example", "password", "secret-typed"), status: 422, want: []string{"Address or password", "ines@x.example"}},
		{name: "signin-too-many", fake: with(sample(), func(f *fake) { f.fail = safepoint.Errorf(safepoint.CodeTooMany, "Try again in 30 seconds.") }), session: "-", path: "/signin", post: typed("email", "a"), status: 429, want: []string{"Try again in 30 seconds."}},
		{name: "signin-passkey", fake: sample(), session: "-", path: "http://localhost:8333/signin", want: []string{"Sign in with a passkey", `data-passkeys="http://localhost:8333"`, "username webauthn"}},
		{name: "signin-passkey-wrong", fake: with(sample(), func(f *fake) {
			f.fail = safepoint.Errorf(safepoint.CodeUnauthorized, "This passkey was not accepted.")
		}), session: "-", path: "http://localhost:8333/signin", post: typed("passkey", "secret-typed", "next", "/logs"), status: 422, want: []string{"was not accepted", `value="/logs"`}},
		{name: "signin-link", fake: sample(), session: "-", path: "/signin/link?token=abc", want: []string{"signs you in once", `value="abc"`}},
		{name: "signin-link-used", fake: with(sample(), func(f *fake) { f.fail = safepoint.Errorf(safepoint.CodeUnauthorized, "This link was used.") }), session: "-", path: "/signin/link", post: typed("token", "abc"), status: 422, want: []string{"does not work any more"}},
		{name: "invite", fake: sample(), session: "-", path: "/invite?token=abc", want: []string{"You were invited"}},

		{name: "backups", fake: sample(), path: "/backups", want: []string{"1\u00a0of 3 schedules is failing.", "Last 2\u00a0runs failed.", "Free up space", "Manual backup of harbor_prod", "62%", "New schedule", "88"}},
		{name: "backups-viewer", fake: sample(), session: "s-viewer", path: "/backups", want: []string{"Production database"}},
		{name: "backups-no-database", fake: empty(), path: "/backups", want: []string{"Connect a database to start"}},
		{name: "backups-no-schedule", fake: with(sample(), func(f *fake) { f.cards, f.ops = nil, nil }), path: "/backups", want: []string{"No backup schedules yet", "harbor_prod, billing_prod and docs_archive"}},
		{name: "backups-first-run", fake: with(sample(), func(f *fake) {
			f.cards, f.ops = f.cards[:1], nil
			f.cards[0].Runs, f.cards[0].LastGood, f.cards[0].LastRun = nil, nil, nil
			f.over = app.Overview{StorageName: "local"}
		}), path: "/backups", want: []string{"No scheduled run has finished yet.", "No runs yet"}},
		{name: "backups-running", fake: with(sample(), func(f *fake) { f.cards[0].Running = &f.ops[0] }), path: "/backups", want: []string{"Running"}},
		{name: "backups-halted", fake: restoring(safepoint.StepGuard, 80), path: "/backups", want: []string{"Services are halted", "Step 5 of 8", "Follow the restore"}},
		{name: "backups-stuck", fake: with(sample(), func(f *fake) { noOps(f); noticed(f, app.NoticeService) }), path: "/backups", want: []string{"reports did not resume."}},
		{name: "backups-queued", fake: with(sample(), func(f *fake) { f.ops[0].Status, f.ops[0].Progress = safepoint.StatusQueued, safepoint.Progress{} }), path: "/backups", want: []string{"Backup of harbor_prod is waiting"}},

		{name: "backups-many", fake: with(sample(), manySchedules), path: "/backups", want: []string{"1\u00a0of 60 schedules is failing.", "Show what is failing", "1–24 of 60\u00a0schedules", "/backups?page=2", "Search by name or database"}},
		{name: "backups-last-page", fake: with(sample(), manySchedules), path: "/backups?page=3", want: []string{"49–60 of 60\u00a0schedules", "/backups?page=2"}},
		{name: "backups-failing", fake: with(sample(), manySchedules), path: "/backups?show=failing", want: []string{"Billing ledger", "Clear filters"}},
		{name: "backups-not-found", fake: with(sample(), manySchedules), path: "/backups?q=%22nothing%22&show=odd", want: []string{"No schedules match this search", "There are 60\u00a0schedules in all.", "&#34;nothing&#34;"}},
		{name: "backups-odd", fake: with(sample(), oddSchedules), path: "/backups", want: []string{"2\u00a0of 6 schedules are failing.", "1\u00a0has not finished a run yet.", "Last run did not happen.", "The last run was cancelled.", "The first run is under way.", "in 4\u00a0days"}},

		{name: "backups-notices", fake: with(sample(), func(f *fake) { noticed(f) }), path: "/backups?done=saved", want: []string{"9\u00a0notices", "The restore of harbor_prod needs you.", "Show all"}},
		{name: "backups-missed", fake: with(sample(), func(f *fake) { noticed(f, app.NoticeMissed) }), path: "/backups", want: []string{"Runs of the schedule Production database did not happen.", `href="/notices"`}},
		{name: "notices", fake: with(sample(), func(f *fake) { noticed(f) }), path: "/notices?done=dismissed", want: []string{"The schedule Billing ledger is failing.", "2\u00a0runs in a row", "was never backed up", "The storage is almost full.", "3\u00a0runs, the last of them due", "Dismiss for everybody", "Dealt with by Tomas Reyl, yesterday", "there should be one every 8\u00a0hours"}},
		{name: "notices-viewer", fake: with(sample(), func(f *fake) { noticed(f, app.NoticeMissed) }), session: "s-viewer", path: "/notices", want: []string{"did not happen."}},
		{name: "notices-none", fake: sample(), path: "/notices", want: []string{"Nothing needs you"}},

		{name: "health", fake: sample(), path: "/health", want: []string{"All 3\u00a0databases have a proven backup.", "Full in about 137\u00a0days", "by about 3.0\u00a0GiB a day", "88 of 89\u00a0runs", "3\u00a0failed or missed", "<details>"}},
		{name: "health-year", fake: sample(), path: "/health?days=365", want: []string{`aria-current="true" href="/health?days=365"`}},
		{name: "health-search", fake: sample(), path: "/health?q=docs", want: []string{"docs_archive", "Clear filters"}},
		{name: "health-not-found", fake: sample(), path: "/health?q=nowhere", want: []string{"No databases match this search"}},
		{name: "health-empty", fake: empty(), path: "/health", want: []string{"No database is connected yet", "Not known yet."}},
		{name: "health-never", fake: with(sample(), func(f *fake) {
			f.health.Databases[1], f.health.Unproven = app.DatabaseHealth{Database: f.dbs[1]}, 1
			f.health.Storage.Forecast, f.health.Storage.Shared = app.Forecast{State: app.ForecastSteady}, false
		}), path: "/health", want: []string{"1\u00a0database has no proven backup.", "Not growing."}},
		{name: "health-far", fake: with(sample(), func(f *fake) { f.health.Storage.Forecast = app.Forecast{State: app.ForecastFar, PerDay: 1 << 20} }), session: "s-viewer", path: "/health", want: []string{"Not full within ten years"}},
		{name: "health-full", fake: with(sample(), func(f *fake) {
			f.health.Storage.Forecast = app.Forecast{State: app.ForecastFull, PerDay: gib, FullAt: testNow.Add(time.Hour)}
		}), path: "/health", want: []string{"Full within a day"}},
		{name: "health-database", fake: sample(), path: "/health/db_harbor_prod", want: []string{"Size of each backup", "Time each backup took", "What became of the runs", "3\u00a0runs a day", "88 succeeded, 1 failed, 0 missed."}},
		{name: "health-database-year", fake: sample(), path: "/health/db_billing_prod?days=365", want: []string{"7\u00a0runs a week", "Week from"}},
		{name: "health-database-empty", fake: with(sample(), func(f *fake) { f.health.Databases[2] = app.DatabaseHealth{Database: f.dbs[2]} }), path: "/health/db_docs", want: []string{"There is nothing to show of this time yet.", "No runs yet"}},

		{name: "schedule-new", fake: sample(), path: "/backups/new", want: []string{"Backup After Every", "3\u00a0days"}},
		{name: "schedule-new-no-database", fake: empty(), path: "/backups/new", want: []string{"Connect a database to start"}},
		{name: "schedule-new-wrong", fake: with(sample(), func(f *fake) { f.fail = safepoint.Invalid("name", "Enter a name.") }), path: "/backups/new", post: typed("name", "", "description", "Kept text", "interval", "8h", "database", "db_docs"), status: 422, want: []string{"Enter a name.", "Kept text"}},
		{name: "schedule", fake: sample(), path: "/backups/sch_7k2mq4", want: []string{"Is Active", "True", "Created By", "Restore points", "22:00"}},
		{name: "schedule-viewer", fake: sample(), session: "s-viewer", path: "/backups/sch_7k2mq4", want: []string{"Created At"}},
		{name: "schedule-failing", fake: sample(), path: "/backups/sch_4wd81c", want: []string{"Last 2\u00a0runs failed."}},
		{name: "schedule-disabled", fake: with(sample(), noOps), path: "/backups/sch_x09vtr", want: []string{"False", "no backups of"}},
		{name: "schedule-edit", fake: sample(), path: "/backups/sch_7k2mq4/edit", want: []string{"Edit schedule", "Submit"}},
		{name: "schedule-edit-conflict", fake: with(sample(), func(f *fake) {
			f.cards[0].UpdatedBy, f.cards[0].UpdatedAt = "Tomas Reyl", ago(2*time.Minute)
			f.fail = safepoint.Errorf(safepoint.CodeConflict, "The schedule changed.")
		}), path: "/backups/sch_7k2mq4/edit", post: typed("name", "Mine", "interval", "3d", "version", "3"), status: 409, want: []string{"changed while you were editing", "Tomas Reyl", "Keep mine", `value="Mine"`}},
		{name: "disable", fake: sample(), path: "/backups/sch_7k2mq4/disable", want: []string{"Disable this schedule?", "today at"}},
		{name: "disable-only-one", fake: sample(), path: "/backups/sch_4wd81c/disable", fragment: true, want: []string{"This is the only schedule for billing_prod."}},
		{name: "enable", fake: sample(), path: "/backups/sch_x09vtr/enable", want: []string{"Enable this schedule?"}},
		{name: "enable-at-once", fake: with(sample(), func(f *fake) {
			f.cards[2].AtOnce, f.cards[2].Newest = true, &f.ops[len(f.ops)-1]
			f.ops[len(f.ops)-1].StartedAt = ago(8*24*time.Hour + time.Hour)
		}), path: "/backups/sch_x09vtr/enable", fragment: true, want: []string{"The first run starts within a minute, because the last one is 8\u00a0days old."}},
		{name: "manual", fake: sample(), path: "/backups/manual?database=db_harbor_prod", want: []string{"Start a manual backup?", "The last one took"}},
		{name: "manual-dialog", fake: sample(), path: "/backups/manual", fragment: true, want: []string{"Start backup"}},
		{name: "manual-conflict", fake: with(sample(), func(f *fake) { f.fail = conflict }), path: "/backups/manual", post: typed("database", "db_docs"), status: 409, want: []string{"A restore of harbor_prod is under way."}},

		{name: "logs", fake: sample(), path: "/logs", want: []string{"Today, 22", "Yesterday, 21", "Writing table 41 of 66", "Cancel backup", "Not enough space", "Verified"}},
		{name: "logs-viewer", fake: sample(), session: "s-viewer", path: "/logs", want: []string{"Succeeded"}},
		{name: "logs-empty", fake: with(sample(), noOps), path: "/logs", want: []string{"No backups or restores yet", "The first run of"}},
		{name: "logs-no-match", fake: with(sample(), func(f *fake) { f.ops = nil; f.page.All = 214 }), path: "/logs?type=restore&status=failed&q=x", want: []string{"No logs match these filters", "Type is Restore, Status is Failed and Name has", "214"}},
		{name: "logs-paged", fake: with(sample(), func(f *fake) { f.page.Next, f.page.Previous, f.page.Offset = "older", "newer", 50 }), path: "/logs?type=backup&page=here", want: []string{"page=older", "page=newer", "51–58"}},
		{name: "upload", fake: sample(), path: "/logs/upload", want: []string{"Upload a backup", "multipart/form-data", "pg_dump"}},
		{name: "log-uploaded", fake: with(sample(), func(f *fake) {
			f.ops[0].Trigger, f.ops[0].Upload = safepoint.TriggerUpload, &safepoint.Upload{FileName: "<shop>.dump", Size: 1 << 20, NoOwner: true, Origin: "pg_dump 9.6.24, custom format"}
		}), path: "/logs/" + sample().ops[0].ID, want: []string{"Uploaded as", "&lt;shop&gt;.dump", "pg_dump 9.6.24, custom format", "unknown origin"}},
		{name: "log", fake: sample(), path: "/logs/op_1400", want: []string{"Date Created", "File Size", "19,756,849,561", "UTC"}},
		{name: "log-dialog", fake: sample(), path: "/logs/op_1400", fragment: true, want: []string{"Backup details", "Close"}},
		{name: "log-running", fake: sample(), path: "/logs/op_running", want: []string{"62%", "public.shipment_events", "about 2"}},
		{name: "log-failed", fake: sample(), path: "/logs/op_failed", want: []string{"Free up space"}},
		{name: "log-safety", fake: sample(), path: "/logs/op_safety", want: []string{"the restore it protects"}},
		{name: "tables", fake: sample(), path: "/logs/op_1400/tables", want: []string{"public.shipment_events", "48,000,000", "app.&#34;Odd.Name&#34;", "Download chosen tables"}},
		{name: "tables-search", fake: sample(), path: "/logs/op_1400/tables?q=ORDERS", want: []string{"public.orders", "Show all 4"}},
		{name: "tables-no-match", fake: sample(), path: "/logs/op_1400/tables?q=x<y", want: []string{"No table matches", "x&lt;y"}},
		{name: "tables-many", fake: with(sample(), func(f *fake) { f.tables = manyTables(450) }), path: "/logs/op_1400/tables?page=9", want: []string{"401–450 of 450\u00a0tables", `href="/logs/op_1400/tables?page=2"`, "public.t450"}},
		{name: "tables-none-chosen", fake: sample(), path: "/logs/op_1400/tables.sql?t=", status: 422, want: []string{"No table was chosen."}},
		{name: "restore-into", fake: sample(), path: "/logs/op_1400/restore-into", want: []string{"Restore into a new database", "All of", "Name of the new database"}},
		{name: "restore-into-tables", fake: sample(), path: "/logs/op_1400/restore-into?t=public.orders&t=app.*&t=", want: []string{"2\u00a0chosen tables", "app.*"}},
		{name: "restore-into-taken", fake: with(sample(), func(f *fake) { f.fail = safepoint.Invalid("name", "There is a database called harbor already.") }), path: "/logs/op_1400/restore-into", post: typed("name", "harbor", "t", "public.orders"), status: 422, want: []string{"called harbor already", `value="harbor"`, `value="public.orders"`}},
		{name: "restore-into-done", fake: into(safepoint.StatusSucceeded), path: "/restores/op_restore", want: []string{"harbor_march is there", "was not touched", "Naming"}},
		{name: "restore-into-failed", fake: into(safepoint.StatusFailed), path: "/restores/op_restore", want: []string{"harbor_march was not made"}},
		{name: "delete", fake: sample(), path: "/logs/op_0600/delete", want: []string{"Delete this backup?", "86\u00a0other backups"}},
		{name: "delete-last", fake: with(sample(), func(f *fake) {
			f.delete.Others, f.delete.NeedsTyping, f.delete.Confirm, f.delete.WayBackOf = 0, true, "harbor_prod", &f.ops[5]
		}), path: "/logs/op_0600/delete", want: []string{"This is the only backup", "To confirm, type", "way back from the restore"}},
		{name: "delete-typed-wrong", fake: with(sample(), func(f *fake) {
			f.delete.Others, f.delete.NeedsTyping, f.delete.Confirm = 0, true, "harbor_prod"
			f.fail = safepoint.Invalid("confirm", "Type harbor_prod exactly as shown. Nothing was deleted.")
		}), path: "/logs/op_0600/delete", post: typed("confirm", "harbor"), status: 422, want: []string{"Nothing was deleted.", `value="harbor"`}},
		{name: "delete-in-use", fake: with(sample(), func(f *fake) { f.delete.InUseBy = &f.ops[5] }), path: "/logs/op_0600/delete", status: 409, want: []string{"in use by a running restore"}},
		{name: "cancel", fake: sample(), path: "/logs/op_running/cancel", want: []string{"Cancel this backup?", "Keep going"}},
		{name: "cancel-restore", fake: restoring(safepoint.StepStage, 30), path: "/logs/op_now/cancel", fragment: true, want: []string{"Cancel this restore?", "Keep restoring"}},
		{name: "cancel-too-late", fake: restoring(safepoint.StepSwitch, 95), path: "/logs/op_now/cancel", status: 409, want: []string{"Too late to cancel"}},
		{name: "cancel-ended", fake: sample(), path: "/logs/op_1400/cancel", status: 409, want: []string{"has ended already"}},
		{name: "stepup", fake: sample(), path: "/stepup?next=/logs/op_1400/file", want: []string{"Confirm that it is you"}},
		{name: "stepup-passkey", fake: with(sample(), passkeys), path: "http://localhost/stepup?next=/profile/passkeys/new", want: []string{"sign in as you", "Use a passkey"}},
		{name: "stepup-passkey-wrong", fake: with(sample(), func(f *fake) { passkeys(f); f.fail = safepoint.Invalid("passkey", "This passkey was not accepted.") }), path: "http://localhost/stepup", post: typed("passkey", "secret-typed"), status: 422, want: []string{"was not accepted"}},
		{name: "stepup-passkey-elsewhere", fake: with(sample(), passkeys), path: "http://shop.localhost/stepup?next=/logs/op_1400/file", want: []string{"Password"}},
		{name: "stepup-wrong", fake: with(sample(), func(f *fake) { f.fail = safepoint.Errorf(safepoint.CodeUnauthorized, "The password is not right.") }), path: "/stepup", post: typed("password", "secret-typed", "next", "/logs/op_1400/file"), status: 422, want: []string{"The password is not right."}},

		{name: "restore-new", fake: sample(), path: "/logs/op_2200/restore", want: []string{`Restore <span translate="no">harbor_prod</span> to an earlier state?`, "17\u00a0h\u00a014\u00a0min of changes", "To confirm, type", "will finish first", "booking-web"}},
		{name: "restore-new-dialog", fake: sample(), path: "/logs/op_2200/restore", fragment: true, want: []string{"data-gate"}},
		{name: "restore-new-typed-wrong", fake: with(sample(), func(f *fake) {
			f.fail = safepoint.Invalid("confirm", "Type harbor_prod exactly as shown. Nothing was started.")
		}), path: "/logs/op_2200/restore", post: typed("confirm", "harbor"), fragment: true, status: 422, want: []string{"Nothing was started.", `value="harbor"`}},
		{name: "restore-new-not-ready", fake: with(sample(), func(f *fake) {
			f.restore.Ready, f.restore.Findings = false, []engine.Finding{blocker(safepoint.CodeSpace, "db-01 needs 37 GiB and has 9.4 GiB.", "Free up space there.")}
		}), path: "/logs/op_2200/restore", want: []string{"This backup cannot be restored now.", "db-01 needs 37 GiB"}},
		{name: "restore-new-compared", fake: with(sample(), compared), path: "/logs/op_2200/restore", want: []string{"1\u00a0table will be gone, 1\u00a0table comes back, 2\u00a0tables get other rows and 62\u00a0tables stay", "will be gone", "about\u00a02,400,112", "−1,240\u00a0rows", "3\u00a0services answer", "Dump program"}},
		{name: "restore-new-compared-dialog", fake: with(sample(), compared), path: "/logs/op_2200/restore", fragment: true, want: []string{"Today, 14:00"}},
		{name: "restore-new-silent", fake: with(sample(), func(f *fake) {
			compared(f)
			f.restore.Answers[1].Status, f.restore.Answers[1].Failure = halt.Status{Condition: halt.Unknown}, safepoint.Errorf(safepoint.CodeUnreachable, "pgb:6432 did not answer within 3 s.").Failure()
			f.restore.Answers[1].Meaning = safepoint.NewPhrase("It does not answer. If that is still so when services are halted, the restore stops there, with nothing changed.")
			f.restore.Passed = f.restore.Passed[:1]
			f.restore.Rows, f.restore.RowsUnknown = nil, safepoint.Errorf(safepoint.CodeUnreachable, "The database took too long to say how many rows it has.")
		}), path: "/logs/op_2200/restore", want: []string{"1\u00a0of 3 services does not answer", "pgb:6432 did not answer", "Rows by table are not known."}},
		{name: "restore-new-300-tables", fake: with(sample(), func(f *fake) {
			compared(f)
			f.restore.Rows.Vanishing, f.restore.Rows.Differing, f.restore.Rows.More, f.restore.Rows.Changes = 0, 300, 280, nil
			for i := range 20 {
				f.restore.Rows.Changes = append(f.restore.Rows.Changes, app.TableChange{Name: fmt.Sprintf("public.%s%02d", strings.Repeat("m", 61), i), Fate: app.RowsDiffer, Backup: 1 << 40, Newest: -1, Live: int64(i), Exact: true})
			}
			f.restore.Rows.NewestID = ""
		}), path: "/logs/op_2200/restore", want: []string{"280\u00a0more tables"}},
		{name: "restore-new-in-place", fake: with(sample(), func(f *fake) {
			f.restore.Mode, f.restore.Modes = safepoint.RestoreInPlace, []safepoint.RestoreMode{safepoint.RestoreInPlace}
			f.restore.Findings = []engine.Finding{note(safepoint.CodePrivilege, "The user backup may not create databases.", "The restore is done in place.")}
			f.restore.Findings[0].InPlace = true
		}), path: "/logs/op_2200/restore", want: []string{"is replaced in place,", "the only way back"}},
		{name: "restore-new-blocked", fake: with(sample(), func(f *fake) {
			compared(f)
			f.restore.Ready, f.restore.Findings = false, []engine.Finding{note(safepoint.CodeBlocked, "A note.", ""), blocker(safepoint.CodeBlocked, "Logical replication reads from harbor: s1.", "Drop the slots first.")}
		}), path: "/logs/op_2200/restore", want: []string{"This backup cannot be restored now.", "Drop the slots first.", "1\u00a0table will be gone"}},
		{name: "restore-new-no-services", fake: with(sample(), func(f *fake) { f.restore.Services, f.restore.Busy = nil, nil }), path: "/logs/op_2200/restore", want: []string{"No service will be halted, because none is set up."}},

		{name: "restore-new-instant", fake: with(sample(), func(f *fake) { f.restore.Mode, f.restore.HaltTimes = safepoint.RestoreInstant, nil }), path: "/logs/op_2200/restore",
			want: []string{`value="instant" checked`, "How long services are halted is not known yet."}},
		{name: "restore-instant-guarding", fake: instantly(func(op *safepoint.Operation) {
			op.Status, op.FinishedAt, op.Step, op.SafetyID = safepoint.StatusRunning, time.Time{}, safepoint.StepGuard, ""
		}), path: "/restores/op_restore", want: []string{"Step 7 of 8, making the safety backup", "Undo restore", "Too late to cancel", "Services were halted for 214\u00a0ms"}},
		{name: "restore-instant-unguarded", fake: instantly(func(op *safepoint.Operation) {
			op.SafetyID, op.SafetyFailure = "", safepoint.Errorf(safepoint.CodeSpace, "The safety backup failed: nas-02 is full.").WithHint("Free 12 GiB.").Failure()
		}), path: "/restores/op_restore", want: []string{"without a safety backup", "It is tried again by itself.", "Undo restore"}},
		{name: "log-instant", fake: instantly(func(*safepoint.Operation) {}), path: "/logs/op_restore", want: []string{"Instant switch", "214\u00a0ms"}},
		{name: "restore-in-place-done", fake: ended(func(o *safepoint.Operation) { o.Mode, o.UndoUntil = safepoint.RestoreInPlace, time.Time{} }), path: "/restores/op_restore", want: []string{"in place.", "nothing was set aside", "Committing"}},
		{name: "restore-in-place-running", fake: with(restoring(safepoint.StepStage, 40), func(f *fake) {
			for i := range f.ops {
				if f.ops[i].Status == safepoint.StatusRunning {
					f.ops[i].Mode = safepoint.RestoreInPlace
				}
			}
		}), path: "/restores/op_now", want: []string{"in one transaction that nobody sees yet", "taken back by the server"}},
		{name: "restore-done", fake: sample(), path: "/restores/op_restore", want: []string{"harbor_prod is back to", "Undo restore", "halted for 8\u00a0min\u00a037\u00a0s"}},
		{name: "restore-done-viewer", fake: sample(), session: "s-viewer", path: "/restores/op_restore", want: []string{"harbor_prod is back to"}},
		{name: "restore-attention", fake: with(ended(func(o *safepoint.Operation) { o.Attention = []string{"reports"} }), func(f *fake) { f.state.Attention = []string{"reports"} }), path: "/restores/op_restore", want: []string{"1\u00a0service did not resume", "Resume reports", "reports is still halted"}},
		{name: "restore-undone", fake: ended(func(o *safepoint.Operation) { o.UndoneByID = "op_undo" }), path: "/restores/op_restore", want: []string{"by a later undo"}},
		{name: "restore-is-undo", fake: ended(func(o *safepoint.Operation) { o.Trigger, o.SourceID = safepoint.TriggerUndo, "op_2200" }), path: "/restores/op_restore", want: []string{"The restore was undone."}},
		{name: "restore-done-alone", fake: alone(), path: "/restores/op_restore", want: []string{"so none was halted", "No service is set up. The database lets nobody else in.", "The database is open."}, not: []string{"Services are halted", "services run again"}},
		{name: "logs-alone", fake: alone(), path: "/logs?type=restore", want: []string{"database closed 8\u00a0min\u00a037\u00a0s"}, not: []string{"services halted"}},
		{name: "undo", fake: sample(), path: "/restores/op_restore/undo", want: []string{"Undo this restore?", "Keep the restore"}},
		{name: "undo-alone", fake: alone(), path: "/restores/op_restore/undo", want: []string{"No service will be halted, because none is set up."}, not: []string{"are halted"}},
		{name: "undo-too-late", fake: ended(func(o *safepoint.Operation) { o.UndoUntil = ago(time.Hour) }), path: "/restores/op_restore/undo", status: 409, want: []string{"cannot be undone any more"}},

		{name: "databases", fake: sample(), path: "/databases", want: []string{"db-01:5432/harbor", "/srv/docs/archive.db", " databases does not answer.", "last answered", "71.0\u00a0GiB", "of 64.0\u00a0GiB"}},
		{name: "databases-asking", fake: with(sample(), func(f *fake) {
			f.answers = app.DatabaseAnswers{Asking: true, Of: map[string]app.DatabaseAnswer{"db_docs": {State: app.AnswerUnknown, Asking: true, AskedAt: ago(26 * time.Hour), AnsweredAt: ago(26 * time.Hour), Info: engine.Info{Size: gib, Tables: 1}}}}
		}), path: "/databases", want: []string{"Asking", "not asked yet", "last answered 1\u00a0d\u00a02\u00a0h ago", "not known yet"}},
		{name: "databases-unknown", fake: with(sample(), func(f *fake) {
			f.answers.Of["db_billing_prod"] = app.DatabaseAnswer{State: app.AnswerUnknown, AskedAt: ago(time.Hour)}
		}), path: "/databases", want: []string{"It is not known whether", "without an answer"}},
		{name: "databases-empty", fake: empty(), path: "/databases", want: []string{"Connect a database to start"}},
		{name: "database", fake: sample(), path: "/databases/db_harbor_prod", want: []string{"password stored, sealed", "verify-full"}},
		{name: "database-failing", fake: sample(), path: "/databases/db_billing_prod", want: []string{"did not answer within 10 s", "firewall", "last answered"}},
		{name: "database-beside", fake: sample(), path: "/databases/db_docs", want: []string{"Free on its disk", "of 64.0\u00a0GiB"}},
		{name: "database-viewer", fake: sample(), session: "s-viewer", path: "/databases/db_harbor_prod", want: []string{"Connection"}},
		{name: "database-unconnected", fake: with(sample(), unconnected), path: "/databases/db_harbor_prod", want: []string{"Add its connection.", "no connection yet", `href="/databases/db_harbor_prod/edit"`}},
		{name: "databases-unconnected", fake: with(sample(), unconnected), path: "/databases", want: []string{"no connection yet"}},
		{name: "database-test", fake: sample(), path: "/databases/db_harbor_prod/test", post: typed("x", "y"), want: []string{"The database answered in 42\u00a0ms.", "may not create databases"}},
		{name: "database-test-failed", fake: with(sample(), func(f *fake) {
			f.test = app.TestResult{Failure: safepoint.Errorf(safepoint.CodePassword, "db-01 refused the password of backup.").WithHint("Enter it again.").Failure()}
		}), path: "/databases/db_harbor_prod/test", post: typed("x", "y"), want: []string{"refused the password of backup."}},
		{name: "database-new", fake: sample(), path: "/databases/new", want: []string{"Connect a database", "verify-full", "SQLite"}},
		{name: "database-new-try", fake: sample(), path: "/databases/new", post: typed("do", "test", "name", "shop", "engine", "sqlite", "path", "/srv/shop.db", "password", "secret-typed"), want: []string{"The database answered", `value="/srv/shop.db"`}},
		{name: "database-new-wrong", fake: with(sample(), func(f *fake) {
			f.fail = safepoint.Errorf(safepoint.CodeRefused, "Nothing listens on db-09:5432.").WithHint("Check host and port.")
		}), path: "/databases/new", post: typed("name", "shop", "engine", "postgres", "host", "db-09", "port", "5432", "password", "secret-typed"), status: 422, want: []string{"Nothing listens on db-09:5432.", `value="db-09"`}},
		{name: "database-new-port", fake: sample(), path: "/databases/new", post: typed("name", "shop", "port", "99999"), status: 422, want: []string{"between 1 and 65535"}},
		{name: "database-edit", fake: sample(), path: "/databases/db_harbor_prod/edit", want: []string{"Leave it empty to keep the stored one.", `name="version" value="3"`}},
		{name: "database-edit-sqlite", fake: sample(), path: "/databases/db_docs/edit", want: []string{"/srv/docs/archive.db"}},
		{name: "database-delete", fake: sample(), path: "/databases/db_harbor_prod/delete", want: []string{"Remove harbor_prod?", "To confirm, type"}},
		{name: "database-delete-kept", fake: with(sample(), func(f *fake) { f.fail = kept }), path: "/databases/db_harbor_prod/delete", post: typed("confirm", "harbor_prod"), status: 409, want: []string{"can be undone until 16:00", "/databases/db_harbor_prod/delete?gone=yes"}},
		{name: "database-delete-gone", fake: sample(), path: "/databases/db_harbor_prod/delete?gone=yes", want: []string{"gone for good?", "To confirm, type"}},
		{name: "database-delete-gone-answers", fake: with(sample(), func(f *fake) {
			f.fail = safepoint.Errorf(safepoint.CodeConflict, "The server of %s answers: it is not gone.", "harbor_prod")
		}), path: "/databases/db_harbor_prod/delete?gone=yes", post: typed("confirm", "harbor_prod"), status: 409, want: []string{"answers: it is not gone"}},
		{name: "database-delete-typed-wrong", fake: sample(), path: "/databases/db_harbor_prod/delete", post: typed("confirm", "x"), status: 422, want: []string{"Nothing was removed."}},
		{name: "storages", fake: sample(), path: "/storage", want: []string{"412.0\u00a0GiB free", `href="/storage/local"`, "The operator chooses the storage"}},
		{name: "storages-unknown", fake: with(sample(), func(f *fake) { f.over.Space = storage.Space{} }), path: "/storage", want: []string{"How much room is left is not known."}},
		{name: "storage", fake: sample(), path: "/storage/local", want: []string{"412.0\u00a0GiB free", "warehouse_2024", "removed", "Kept until an admin deletes them.", "is kept for 24\u00a0hours", "Test storage"}},
		{name: "storage-viewer", fake: sample(), session: "s-viewer", path: "/storage/local", want: []string{"What fills it"}},
		{name: "storage-empty", fake: with(sample(), func(f *fake) { f.stored = nil }), path: "/storage/local", want: []string{"Nothing is kept yet."}},
		{name: "storage-full", fake: with(sample(), func(f *fake) { f.over.Space.Free = 2 * gib }), path: "/storage/local", want: []string{"Almost full."}},
		{name: "storage-tested", fake: sample(), path: "/storage/local/test", post: typed("x", "y"), want: []string{"The storage works.", "3\u00a0ms"}},
		{name: "storage-test-failed", fake: with(sample(), func(f *fake) {
			f.put = app.StorageTest{Wrote: 3 * time.Millisecond, Failure: safepoint.Errorf(safepoint.CodeUnreachable, "A small file that was just written could not be read back from the storage as it was.").WithHint("The server's log has the reason. See to it that the place is there, and that the user that Safepoint runs as may write, read and remove files in it.").Failure()}
		}), path: "/storage/local/test", post: typed("x", "y"), want: []string{"could not be read back", "Written in"}},
		{name: "storage-none", fake: sample(), path: "/storage/s3", status: 404, want: []string{"This is not here"}},

		{name: "services", fake: sample(), path: "/services", want: []string{"booking-web", "Move pool up"}},
		{name: "services-viewer", fake: sample(), session: "s-viewer", path: "/services", want: []string{"booking-web"}},
		{name: "services-empty", fake: empty(), path: "/services", want: []string{"No services to halt"}},
		{name: "service", fake: sample(), path: "/services/svc_web", want: []string{"Running", "https://web.example/halt"}},
		{name: "service-pgbouncer", fake: with(sample(), func(f *fake) {
			f.status = halt.Status{Condition: halt.Unknown, Detail: "pgb:6432 did not answer within 10 s."}
		}), path: "/services/svc_pool", want: []string{"Not known", "pgb:6432"}},
		{name: "services-operator", fake: with(sample(), withHostService), path: "/services", want: []string{"Managed by the operator", "Set by the operator", "Move pool up"}},
		{name: "service-operator", fake: with(sample(), withHostService), path: "/services/svc_shop", want: []string{"shop.socket, shop.service", "Managed by", "Test halt and resume"}},
		{name: "service-operator-edit", fake: with(sample(), withHostService), path: "/services/svc_shop/edit", status: 409, want: []string{"shop is managed by the operator"}},
		{name: "service-stuck", fake: with(sample(), func(f *fake) {
			f.state.Attention, f.status = []string{"reports"}, halt.Status{Condition: halt.Halted}
		}), path: "/services/svc_reports", want: []string{"A restore could not resume", ">Resume reports</button>"}},
		{name: "service-new", fake: sample(), path: "/services/new", want: []string{"Standard Webhooks", "PgBouncer"}},
		{name: "service-new-made", fake: sample(), path: "/services/new", post: typed("name", "web", "kind", "webhook", "halt_url", "https://x.example/h", "timeout", "60"), status: 201, want: []string{"whsec_c2VjcmV0", "shown only now"}},
		{name: "service-new-wrong", fake: sample(), path: "/services/new", post: typed("name", "web", "timeout", "x"), status: 422, want: []string{"number of seconds"}},
		{name: "service-edit", fake: sample(), path: "/services/svc_pool/edit", want: []string{`value="6432"`}},
		{name: "service-test", fake: sample(), path: "/services/svc_web/test", want: []string{"Halt and resume booking-web now?"}},
		{name: "service-tested", fake: sample(), path: "/services/svc_web/test", post: typed("x", "y"), want: []string{"It halted and resumed.", "153\u00a0ms"}},
		{name: "service-test-failed", fake: with(sample(), func(f *fake) {
			f.svcTest = app.ServiceTest{Halted: true, Failure: safepoint.Errorf(safepoint.CodeHalt, "booking-web did not become healthy.").Failure()}
		}), path: "/services/svc_web/test", post: typed("x", "y"), want: []string{"did not become healthy.", "It was not resumed."}},
		{name: "service-delete", fake: sample(), path: "/services/svc_web/delete", want: []string{"Remove booking-web?"}},

		{name: "members", fake: sample(), path: "/members", want: []string{"Tomas Reyl", "Organization Admin"}},
		{name: "members-viewer", fake: sample(), session: "s-viewer", path: "/members", want: []string{"Viewer"}},
		{name: "members-invite", fake: sample(), path: "/members/invite", want: []string{"Invite a member"}},
		{name: "members-invited", fake: sample(), path: "/members/invite", post: typed("email", "new@x.example", "role", "viewer"), status: 201, want: []string{"/invite?token=inv%2B1%2F2", "shown only now"}},
		{name: "members-invite-wrong", fake: with(sample(), func(f *fake) { f.fail = safepoint.Invalid("email", "Enter an email address.") }), path: "/members/invite", post: typed("email", "x"), status: 422, want: []string{"Enter an email address."}},
		{name: "members-remove", fake: sample(), path: "/members/usr_tomas/remove", want: []string{"Remove Tomas Reyl?"}},
		{name: "audit", fake: sample(), path: "/audit", want: []string{"<del translate=\"no\">8 hours</del>", "&lt;Night&gt; run", "Delete a backup", "Denied", "Nobody", "not known yet"}},
		{name: "audit-empty", fake: with(sample(), func(f *fake) { f.audit = nil }), path: "/audit?who=x", want: []string{"No entries match these filters"}},
		{name: "settings", fake: sample(), path: "/settings/general?done=saved", want: []string{"Europe/Berlin", "Your changes are saved.", "Deutsch"}},
		{name: "settings-viewer", fake: with(sample(), func(f *fake) { f.orgs[0].Organization.Language, f.actor.Language = "de", "en" }), session: "s-viewer", path: "/settings/general", want: []string{"Deutsch"}},
		{name: "settings-wrong", fake: with(sample(), func(f *fake) {
			f.fail = safepoint.Invalid("time_zone", "There is no time zone Mars/Olympus.")
		}), path: "/settings/general", post: typed("name", "X", "time_zone", "Mars/Olympus", "undo_window", "24"), status: 422, want: []string{"There is no time zone"}},
		{name: "settings-security", fake: with(sample(), func(f *fake) { f.orgs[0].Organization.SessionIdle = time.Hour }), path: "/settings/security", want: []string{"Sign people out after", `value="3600" selected`}},
		{name: "settings-security-viewer", fake: sample(), session: "s-viewer", path: "/settings/security", want: []string{"Sign people out after"}},
		{name: "settings-retention", fake: sample(), path: "/settings/retention", want: []string{"Undo window", `value="24"`}},
		{name: "settings-retention-wrong", fake: sample(), path: "/settings/retention", post: typed("undo_window", "ever"), status: 422, want: []string{"between 0 and 720", `value="ever"`}},
		{name: "settings-retention-viewer", fake: sample(), session: "s-viewer", path: "/settings/retention", want: []string{"Undo window"}},
		{name: "start", fake: with(empty(), unguided), path: "/start", want: []string{"Step 3 of 6", "Connect a database"}},
		{name: "start-untested", fake: with(empty(), func(f *fake) {
			unguided(f)
			f.dbs = sample().dbs[:1]
			f.dbs[0].ServerVersion = ""
		}), path: "/start", want: []string{"Step 3 of 6", "was not tested yet", "/databases/db_harbor_prod/test"}},
		{name: "start-schedule", fake: with(empty(), func(f *fake) {
			unguided(f)
			f.dbs, f.over.Space = sample().dbs[:1], sample().over.Space
		}), path: "/start", want: []string{"Step 5 of 6", "412.0\u00a0GiB free of", "/backups/new?database=db_harbor_prod"}},
		{name: "start-running", fake: with(sample(), func(f *fake) {
			unguided(f)
			f.over.Backups, f.over.Newest = 0, nil
		}), path: "/start", want: []string{"Step 6 of 6", "62% done", "Follow it"}},
		{name: "start-failed", fake: with(sample(), func(f *fake) {
			unguided(f)
			f.ops = nil
			f.cards = f.cards[1:2]
			f.over.Backups, f.over.Newest = 0, nil
		}), path: "/start", want: []string{"Step 6 of 6", "See what happened", "Start it now"}},
		{name: "start-done", fake: with(sample(), unguided), path: "/start", want: []string{"The first backup is there", "Invite a member"}},
		{name: "backups-guided", fake: with(empty(), unguided), path: "/backups", want: []string{"Finish setting up:", "step 3 of 6", "Put away"}},
		{name: "encryption", fake: sample(), path: "/settings/encryption", want: []string{"New backups are encrypted.", "One key opens them.", "Not proven yet", "Forget the key", "Kept here, sealed", "age1zzzzzz…5afe55", "Board &lt;b&gt;"}},
		{name: "encryption-viewer", fake: sample(), session: "s-viewer", path: "/settings/encryption", want: []string{"Safe in the office"}},
		{name: "encryption-off", fake: with(sample(), func(f *fake) { f.enc = safepoint.Encryption{} }), path: "/settings/encryption", want: []string{"New backups are not encrypted.", "Encrypt backups", "Make a recovery key"}},
		{name: "encryption-turned-off", fake: with(sample(), func(f *fake) { f.enc.Since = time.Time{} }), path: "/settings/encryption?done=encryption-off", want: []string{"Turn encryption on", "Proven"}},
		{name: "encryption-key", fake: sample(), path: "/settings/encryption", post: typed("source", "make", "name", "Recovery key", "keep", "1"), status: 201, want: []string{"shown only now", "AGE-SECRET-KEY-1SHOWNONCE", `download="harborline-freight-recovery.key"`, "data:text/plain", "Now show that you have it"}},
		{name: "encryption-own", fake: with(sample(), func(f *fake) { f.made.IdentityFile = "" }), path: "/settings/encryption", post: typed("source", "own", "name", "Mine", "public_key", "age1x"), status: 201, want: []string{"Prove the key", "BEGIN AGE ENCRYPTED FILE"}},
		{name: "encryption-own-wrong", fake: with(sample(), func(f *fake) {
			f.fail = safepoint.Invalid("public_key", "This is a secret key, not a recipient. It was not stored.")
		}), path: "/settings/encryption", post: typed("source", "own", "name", "Mine", "public_key", "AGE-SECRET-KEY-secret-typed"), status: 422, want: []string{"This is a secret key", `value="Mine"`}},
		{name: "encryption-prove", fake: sample(), path: "/settings/encryption/rcp_new", want: []string{"Prove the key", "age -d -i KEY challenge.age", "BEGIN AGE ENCRYPTED FILE"}},
		{name: "encryption-prove-wrong-key", fake: with(sample(), func(f *fake) {
			f.fail = safepoint.Invalid("identity", "This is not the key of age1pppppp…n3wn3w.")
		}), path: "/settings/encryption/rcp_new/prove", post: typed("identity", "AGE-SECRET-KEY-secret-typed"), status: 422, want: []string{"This is not the key of"}},
		{name: "encryption-prove-wrong-word", fake: with(sample(), func(f *fake) {
			f.fail = safepoint.Invalid("word", "This is not the word. Encryption was not changed.")
		}), path: "/settings/encryption/rcp_new/prove", post: typed("word", "AAAA"), status: 422, want: []string{"This is not the word.", "<details open>"}},
		{name: "encryption-remove", fake: sample(), path: "/settings/encryption/rcp_safe/remove", want: []string{"Remove this recipient?", "keep the key as long as you keep them"}},
		{name: "encryption-forget", fake: sample(), path: "/settings/encryption/rcp_safe/forget", fragment: true, want: []string{"Forget this key?", "There is no other way in."}},
		{name: "encryption-turn-off", fake: sample(), path: "/settings/encryption/off", want: []string{"Turn encryption off?", "To confirm, type", "Harborline Freight"}},
		{name: "encryption-last", fake: with(sample(), func(f *fake) {
			f.fail = safepoint.Errorf(safepoint.CodeConflict, "Encrypted backups need at least one recipient whose key was proven.")
		}), path: "/settings/encryption/rcp_safe/remove", post: typed("x", "y"), status: 409, want: []string{"need at least one recipient"}},
		{name: "stepup-encryption", fake: sample(), path: "/stepup?next=/settings/encryption", want: []string{"This decides who can open your backups"}},
		{name: "log-encrypted", fake: with(sample(), func(f *fake) {
			f.ops[1].Recipients = []string{f.enc.Recipients[0].PublicKey, f.enc.Recipients[1].PublicKey}
		}), path: "/logs/op_1400", want: []string{"Encrypted for", "age1qqqqqq…0ld9n9", "age1zzzzzz…5afe55"}},
		{name: "restore-new-encrypted", fake: with(sample(), func(f *fake) {
			f.restore.NeedsKey, f.restore.Backup.Recipients = true, []string{f.enc.Recipients[1].PublicKey}
		}), path: "/logs/op_2200/restore", want: []string{"Key of", "age1zzzzzz…5afe55", "stored nowhere"}},
		{name: "restore-into-wrong-key", fake: with(sample(), func(f *fake) {
			f.ops[1].Recipients = []string{f.enc.Recipients[2].PublicKey}
			f.fail = safepoint.Errorf(safepoint.CodeKey, "This key does not open the backup.").WithHint("Nothing was changed.")
		}), path: "/logs/op_1400/restore-into", post: typed("name", "copy", "identity", "AGE-SECRET-KEY-secret-typed"), status: 422, want: []string{"Key of", "This key does not open the backup. Nothing was changed."}},
		{name: "restore-new-wrong-key", fake: with(sample(), func(f *fake) {
			f.restore.NeedsKey, f.restore.Backup.Recipients = true, []string{f.enc.Recipients[1].PublicKey}
			f.fail = safepoint.Errorf(safepoint.CodeKey, "This key does not open the backup: it was made for age1zzzzzz…5afe55.").WithHint("Nothing was changed.")
		}), path: "/logs/op_2200/restore", post: typed("confirm", "harbor_prod", "identity", "AGE-SECRET-KEY-secret-typed"), fragment: true, status: 422, want: []string{"This key does not open the backup", "Nothing was changed.", `value="harbor_prod"`}},
		{name: "help", fake: sample(), session: "s-viewer", path: "/help", want: []string{"<h1 id=\"help\">Help</h1>", `href="/help/restore"`, "Ask a person"}},
		{name: "help-restore", fake: sample(), session: "s-viewer", path: "/help/restore", want: []string{"Restore a database", `aria-current="page">Restore a database`, `<img src="/static/help-restore.`}},
		{name: "profile", fake: sample(), path: "/profile", want: []string{"API tokens", "old laptop"}},
		{name: "profile-12-hours", fake: with(sample(), func(f *fake) { f.actor.Hours = "12" }), path: "/profile", want: []string{"3:14\u00a0PM\u00a0CET", "Firefox on Linux", "Safari on iPhone", "&lt;curl&gt;", "Sign out of all others"}},
		{name: "profile-dark", fake: with(sample(), func(f *fake) { f.actor.Theme = "dark" }), path: "/profile", want: []string{`data-theme="dark"`}},
		{name: "profile-token-made", fake: sample(), path: "/profile/tokens", post: typed("name", "CI", "days", "90"), status: 201, want: []string{"sp_secret0123456789"}},
		{name: "profile-token-wrong", fake: sample(), path: "/profile/tokens", post: typed("name", "CI", "days", "-1"), status: 422, want: []string{"between 0 and 3650"}},
		{name: "profile-password-wrong", fake: with(sample(), func(f *fake) {
			f.fail = safepoint.Errorf(safepoint.CodeUnauthorized, "The current password is not right.")
		}), path: "/profile/password", post: typed("old_password", "secret-typed", "new_password", "n", "new_password2", "n"), status: 422, want: []string{"The current password is not right."}},
		{name: "profile-password-weak", fake: with(sample(), func(f *fake) { f.fail = safepoint.Invalid("password", "Use at least 12 characters.") }), path: "/profile/password", post: typed("old_password", "secret-typed", "new_password", "n", "new_password2", "n"), status: 422, want: []string{`id="e-new_password"`}},
		{name: "profile-passkeys", fake: with(sample(), passkeys), path: "http://localhost/profile", want: []string{"Add a passkey", "Only at <span translate=\"no\">backup.example", "two devices may hold it", "On your other devices too"}},
		{name: "profile-passkeys-http", fake: with(sample(), passkeys), path: "http://backup.example/profile", want: []string{"Passkeys need HTTPS"}},
		{name: "profile-passkeys-address", fake: sample(), path: "http://127.0.0.1:8333/profile", want: []string{"open it at http://localhost:8333 instead"}},
		{name: "passkey-new", fake: sample(), path: "http://localhost/profile/passkeys/new", want: []string{"Create passkey", `data-ask="/profile/passkeys/ask"`}},
		{name: "passkey-new-http", fake: sample(), path: "http://backup.example/profile/passkeys/new", want: []string{"Passkeys need HTTPS"}},
		{name: "passkey-new-refused", fake: with(sample(), func(f *fake) { f.fail = safepoint.Errorf(safepoint.CodeConflict, "The passkey was not accepted.") }), path: "http://localhost/profile/passkeys/new", post: typed("name", "Laptop", "passkey", "secret-typed"), status: 409, want: []string{"was not accepted", `value="Laptop"`}},
		{name: "passkey-rename", fake: with(sample(), passkeys), path: "/profile/passkeys/pky_laptop/rename", want: []string{"Rename the passkey", `value="Laptop"`}},
		{name: "passkey-rename-wrong", fake: with(sample(), func(f *fake) { passkeys(f); f.fail = safepoint.Invalid("name", "Enter a name.") }), path: "/profile/passkeys/pky_laptop/rename", post: typed("name", ""), status: 422, want: []string{"Enter a name."}},
		{name: "passkey-remove", fake: with(sample(), passkeys), path: "/profile/passkeys/pky_laptop/remove", want: []string{"Remove this passkey?"}},
		{name: "passkey-remove-not-here", fake: sample(), path: "/profile/passkeys/pky_laptop/remove", status: 404, want: []string{"not here"}},
		{name: "token-revoke", fake: sample(), path: "/profile/tokens/tok_ci/revoke", want: []string{"Revoke this token?"}},
		{name: "organization-new", fake: sample(), path: "/organizations/new", want: []string{"New organization"}},

		{name: "not-found", fake: sample(), path: "/logs/op_gone", status: 404, want: []string{"This is not here", "audit log"}},
		{name: "not-found-page", fake: sample(), path: "/nowhere", status: 404, want: []string{"There is no such page."}},
		{name: "not-found-nobody", fake: sample(), session: "-", path: "/nowhere", status: 404, want: []string{"There is no such page."}},
		{name: "forbidden", fake: sample(), session: "s-viewer", path: "/backups/new", status: 403, want: []string{"This needs an Organization Admin. You are signed in as Tomas Reyl, a Viewer."}},
		{name: "forbidden-dialog", fake: sample(), session: "s-viewer", path: "/backups/manual", fragment: true, status: 403, want: []string{"This needs an Organization Admin."}},
	}
	for _, s := range safepoint.Steps {
		list = append(list, story{name: fmt.Sprintf("restore-step-%d-%s", s, s), fake: restoring(s, int(s)*12), path: "/restores/op_now", want: []string{fmt.Sprintf("Step %d of 8", s)}})
	}
	failures := []struct {
		name   string
		change func(*safepoint.Operation)
		want   string
	}{
		{"stopped", func(o *safepoint.Operation) { o.Step, o.Services = safepoint.StepVerify, 0 }, "The restore stopped. harbor_prod was not changed."},
		{"could-not-halt", func(o *safepoint.Operation) { o.Step = safepoint.StepHalt }, "Services could not be halted."},
		{"safety-failed", func(o *safepoint.Operation) { o.Step = safepoint.StepGuard }, "The safety backup failed."},
		{"put-back", func(o *safepoint.Operation) { o.Step = safepoint.StepResume }, "The restore was undone. harbor_prod is as it was before."},
		{"switched", func(o *safepoint.Operation) { o.Step, o.Switched = safepoint.StepResume, true }, "did not end well"},
		{"needs-operator", func(o *safepoint.Operation) {
			o.Step, o.NeedsOperator, o.ResumedAt = safepoint.StepSwitch, true, time.Time{}
		}, "The restore needs you"},
		{"was-left", func(o *safepoint.Operation) {
			o.Step, o.Status, o.ResumedAt = safepoint.StepSwitch, safepoint.StatusFailed, time.Time{}
			o.Failure = safepoint.Errorf(safepoint.CodeNeedsOperator, "Neither is called harbor_prod.").Failure()
		}, "The restore was left to you"},
		{"cancelled", func(o *safepoint.Operation) { o.Step, o.Status = safepoint.StepStage, safepoint.StatusCancelled }, "The restore was cancelled."},
		{"queued", func(o *safepoint.Operation) {
			o.Step, o.Status, o.StartedAt, o.FinishedAt = 0, safepoint.StatusQueued, time.Time{}, time.Time{}
		}, "Waiting for"},
		{"recovering", func(o *safepoint.Operation) {
			o.Step, o.Status, o.FinishedAt = safepoint.StepSwitch, safepoint.StatusRunning, time.Time{}
		}, "Checking how far the restore got."},
	}
	for _, x := range failures {
		f := ended(func(o *safepoint.Operation) {
			o.Status, o.Switched, o.UndoUntil = safepoint.StatusFailed, false, time.Time{}
			o.Failure = safepoint.Errorf(safepoint.CodeMismatch, "Table public.invoices has 1,204,118 rows, the backup’s record says 1,204,131.").WithHint("Choose another backup.").Failure()
			x.change(o)
		})
		if x.name == "recovering" {
			f.journal = append(f.journal, safepoint.JournalEntry{At: testNow, Step: safepoint.StepSwitch, Event: "note", Kind: safepoint.JournalRecovering, Detail: "The server started again. Looking how far the restore got."})
		}
		list = append(list, story{name: "restore-" + x.name, fake: f, path: "/restores/op_restore", want: []string{x.want}})
	}
	return list
}

func (s story) get(t *testing.T) *httptest.ResponseRecorder { t.Helper(); return s.in(t, "") }

// in is the page in a language.
func (s story) in(t *testing.T, tag string) *httptest.ResponseRecorder {
	t.Helper()
	session, method := s.session, http.MethodGet
	switch session {
	case "":
		session = "s-admin"
	case "-":
		session = ""
	}
	if s.post != nil {
		method = http.MethodPost
	}
	var header []string
	if s.fragment {
		header = []string{"X-Fragment", "dialog"}
	}
	return ask(newTestServerIn(t, s.fake, tag), session, method, s.path, s.post, header...)
}

// assetHash changes with every change of a static file; golden pages do not.
var assetHash = regexp.MustCompile(`(/static/[a-z-]+)\.[0-9a-f]{12}\.`)

// pictureSize changes when the help's pictures are taken again.
var pictureSize = regexp.MustCompile(` width="\d+" height="\d+" loading=`)

// onceWord is another one on each page.
var onceWord = regexp.MustCompile(`(name="once" value=")[A-Z2-7]+`)

// TestPages draws every page in every state. Golden pages are read by people: go test -run TestPages -update.
func TestPages(t *testing.T) {
	for _, s := range stories() {
		t.Run(s.name, func(t *testing.T) {
			w := s.get(t)
			if s.status == 0 {
				s.status = 200
			}
			if w.Code != s.status {
				t.Fatalf("status %d, want %d\n%s", w.Code, s.status, w.Body)
			}
			html := w.Body.String()
			for _, want := range s.want {
				if !strings.Contains(html, want) {
					t.Errorf("%q is not on the page", want)
				}
			}
			for _, not := range s.not {
				if strings.Contains(html, not) {
					t.Errorf("%q is on the page", not)
				}
			}
			if strings.Contains(html, "secret-typed") {
				t.Error("the page sends a typed secret back")
			}
			checkMarkup(t, html, s.fragment)
			golden(t, s.name, pictureSize.ReplaceAllString(assetHash.ReplaceAllString(html, "$1."), " loading="))
		})
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	got = onceWord.ReplaceAllString(got, "$1")
	path := filepath.Join("testdata", "golden", name+".html")
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v\nnew page? run: go test ./internal/web -run TestPages -update", err)
	}
	if string(want) != got {
		t.Errorf("the page differs from %s; run with -update and read the diff", path)
	}
}

var (
	ids       = regexp.MustCompile(` id="([^"]*)"`)
	labelFor  = regexp.MustCompile(`<label[^>]* for="([^"]*)"`)
	controls  = regexp.MustCompile(`<(input|select|textarea)\b[^>]*>`)
	attribute = regexp.MustCompile(`([a-z-]+)="([^"]*)"`)
	describes = regexp.MustCompile(`aria-(?:describedby|labelledby)="([^"]*)"`)
	asScript  = regexp.MustCompile(`\sdata-on[a-z-]*="[^"]*"`)
	inline    = regexp.MustCompile(`(?i)<script(?:\s[^>]*)?>[^<]|\sstyle="|\son[a-z]+="|javascript:`)
)

// checkMarkup holds every page to what can be told from its text: unique ids, one h1, a label for each control, ids
// that exist, and nothing inline that the policy would stop.
func checkMarkup(t *testing.T, html string, fragment bool) {
	t.Helper()
	have := map[string]bool{}
	for _, m := range ids.FindAllStringSubmatch(html, -1) {
		if have[m[1]] {
			t.Errorf("id %q is used twice", m[1])
		}
		have[m[1]] = true
	}
	if n := strings.Count(html, "<h1"); !fragment && n != 1 {
		t.Errorf("%d h1 on the page", n)
	}
	if m := inline.FindString(html); m != "" {
		t.Errorf("inline script or style: %s", m)
	}
	if m := asScript.FindString(html); m != "" {
		t.Errorf("html/template takes an attribute for a script, and puts its value in quotes: %s", m)
	}
	labelled := map[string]bool{}
	for _, m := range labelFor.FindAllStringSubmatch(html, -1) {
		labelled[m[1]] = true
	}
	for _, c := range controls.FindAllString(html, -1) {
		a := map[string]string{}
		for _, m := range attribute.FindAllStringSubmatch(c, -1) {
			a[m[1]] = m[2]
		}
		wrapped := a["id"] == "" // inside its label: radios, filters
		if a["type"] == "hidden" || wrapped && strings.Contains(html, "<label") {
			continue
		}
		if !labelled[a["id"]] {
			t.Errorf("no label for %s", c)
		}
	}
	for _, m := range describes.FindAllStringSubmatch(html, -1) {
		for id := range strings.FieldsSeq(m[1]) {
			if !have[id] && id != "dlg-t" {
				t.Errorf("aria points to %q, which is not there", id)
			}
		}
	}
}

// unconnected is a database that was recovered from its backups.
func unconnected(f *fake) {
	for i := range f.dbs {
		if f.dbs[i].ID == "db_harbor_prod" {
			f.dbs[i].Host, f.dbs[i].Port, f.dbs[i].User, f.dbs[i].TLS, f.dbs[i].HasPassword = "", 0, "", "", false
		}
	}
}

// manySchedules are more than a page holds.
func manySchedules(f *fake) {
	for i := range 57 {
		k := f.cards[0]
		k.ID, k.Name, k.Runs = fmt.Sprintf("sch_many%02d", i), fmt.Sprintf("Tenant %02d", i), nil
		f.cards = append(f.cards, k)
	}
}

// oddSchedules have names of every length, and runs that ended otherwise than well.
func oddSchedules(f *fake) {
	waits, missed, stopped := f.cards[0], f.cards[0], f.cards[0]
	waits.ID, waits.Name, waits.Database.Name = "sch_waits", strings.Repeat("Wort", 20), "a<b>&\"c\" "+strings.Repeat("d", 55)
	waits.Runs, waits.LastRun, waits.LastGood, waits.Running = nil, nil, nil, &f.ops[0]
	missed.ID, missed.Name = "sch_missed", "Ünïcode 数据库"
	last := missed.Runs[len(missed.Runs)-1]
	last.Status, last.Failure = safepoint.StatusMissed, nil
	missed.Runs, missed.LastRun = append([]safepoint.Operation{missed.Runs[len(missed.Runs)-2]}, last), &last
	stopped.ID, stopped.Name = "sch_stopped", "Stopped"
	cancelled := last
	cancelled.Status = safepoint.StatusCancelled
	stopped.Runs = append(slices.Clone(stopped.Runs[len(stopped.Runs)-13:len(stopped.Runs)-1]), cancelled)
	stopped.LastRun = &cancelled
	f.cards = append(f.cards, waits, missed, stopped)
}

// noticed puts notices into the state: of the kinds given, else one of each and one that was dealt with.
func noticed(f *fake, kinds ...app.NoticeKind) {
	say := func(format string, args ...any) *safepoint.Error {
		return safepoint.Errorf(safepoint.CodeConflict, format, args...).WithHint("Do this about it.")
	}
	all := []app.Notice{
		{ID: "restore:op_restore", Kind: app.NoticeRestore, Urgent: true, Said: say("The restore of %s needs you.", "harbor_prod"), OperationID: "op_restore", Since: ago(time.Hour)},
		{ID: "service:reports", Kind: app.NoticeService, Urgent: true, Said: say("%s did not resume.", "reports"), Since: ago(2 * time.Minute)},
		{ID: "failing:sch_4wd81c", Kind: app.NoticeFailing, Urgent: true, Said: say("The schedule %s is failing.", "Billing ledger"), ScheduleID: "sch_4wd81c", OperationID: "op_failed", Runs: 2, Since: ago(36 * time.Hour),
			Why: safepoint.Errorf(safepoint.CodeSpace, "Not enough space: %s needed, %s free.", "6.4 GiB", "2.1 GiB").WithHint("Free up space, then run it again.").Failure()},
		{ID: "overdue:db_harbor_prod", Kind: app.NoticeOverdue, Urgent: true, Said: say("The newest proven backup of %s is older than its schedule allows.", "harbor_prod"), DatabaseID: "db_harbor_prod", Newest: ago(30 * time.Hour), Interval: safepoint.Every8Hours},
		{ID: "never:db_docs", Kind: app.NoticeNever, Urgent: true, Said: say("%s was never backed up.", "a<b>&"+strings.Repeat("Wort", 20)), DatabaseID: "db_docs", Since: ago(50 * time.Hour)},
		{ID: "never:db_billing_prod", Kind: app.NoticeNever, Urgent: true, Said: say("%s was never backed up.", "billing_prod"), DatabaseID: "db_billing_prod", ScheduleID: "sch_4wd81c", Since: ago(50 * time.Hour)},
		{ID: "storage", Kind: app.NoticeStorage, Urgent: true, Said: say("The storage is almost full."), Space: storage.Space{Free: gib, Total: 800 * gib}},
		{ID: "unguarded:op_restore", Kind: app.NoticeUnguarded, Said: say("The safety backup of the restore of %s is not made yet.", "harbor_prod"), OperationID: "op_restore"},
		{ID: "missed:sch_7k2mq4", Kind: app.NoticeMissed, Said: say("Runs of the schedule %s did not happen.", "Production database"), ScheduleID: "sch_7k2mq4", Runs: 3, Since: ago(40 * time.Hour), Newest: ago(17 * time.Hour)},
	}
	for _, n := range all {
		if len(kinds) == 0 || slices.Contains(kinds, n.Kind) {
			f.notices.Open = append(f.notices.Open, n)
		}
	}
	if len(kinds) == 0 {
		dealt := all[len(all)-1]
		dealt.Runs, dealt.DismissedBy, dealt.DismissedAt = 1, "Tomas Reyl", ago(26*time.Hour)
		f.notices.Dismissed = []app.Notice{dealt}
	}
}
