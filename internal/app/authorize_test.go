package app

import (
	"crypto/sha256"
	"database/sql"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/catalog"
)

// things are the IDs of what the admin's organization has.
type things struct {
	database, schedule, service, backup, restore, member, recipient, passkey string
}

// route is one method of App: what it needs, and how to call it about things of the admin's organization.
type route struct {
	need  need
	about bool // it names a thing: from another organization that thing is not there
	call  func(w *world, by safepoint.Actor, th things) (any, error)
}

// value makes a route's result of a method with one.
func value[T any](v T, err error) (any, error) { return v, err }

// routes has a line for every method that takes an Actor. A method that is not here fails the test below.
var routes = map[string]route{
	"Reenter": {anyone, false, func(w *world, by safepoint.Actor, th things) (any, error) {
		return nil, w.Reenter(w.ctx, by, "x", "wrong")
	}},
	"SwitchOrganization": {anyone, true, func(w *world, by safepoint.Actor, th things) (any, error) {
		return nil, w.SwitchOrganization(w.ctx, by, "x", w.admin.OrganizationID)
	}},
	"ChangePassword": {anyone, false, func(w *world, by safepoint.Actor, th things) (any, error) {
		return nil, w.ChangePassword(w.ctx, by, "x", "wrong", "wrong")
	}},
	"SetDisplay": {anyone, false, func(w *world, by safepoint.Actor, th things) (any, error) {
		return nil, w.SetDisplay(w.ctx, by, safepoint.Display{Theme: "dark"})
	}},
	"SignIns": {anyone, false, func(w *world, by safepoint.Actor, th things) (any, error) {
		return value(w.SignIns(w.ctx, by, "x"))
	}},
	"EndSignIn": {anyone, true, func(w *world, by safepoint.Actor, th things) (any, error) { return nil, w.EndSignIn(w.ctx, by, "x") }},
	"EndOtherSignIns": {anyone, false, func(w *world, by safepoint.Actor, th things) (any, error) {
		return nil, w.EndOtherSignIns(w.ctx, by, "x")
	}},
	"Passkeys": {anyone, false, func(w *world, by safepoint.Actor, th things) (any, error) { return value(w.Passkeys(w.ctx, by)) }},
	"MayAddPasskey": {anyone, false, func(w *world, by safepoint.Actor, th things) (any, error) {
		return nil, w.MayAddPasskey(w.ctx, by)
	}},
	"AskNewPasskey": {anyone, false, func(w *world, by safepoint.Actor, th things) (any, error) {
		b, err := w.AskNewPasskey(w.ctx, by, "x", console)
		return string(b), err
	}},
	"AddPasskey": {anyone, false, func(w *world, by safepoint.Actor, th things) (any, error) {
		return value(w.AddPasskey(w.ctx, by, "x", console, "", nil))
	}},
	"RenamePasskey": {anyone, true, func(w *world, by safepoint.Actor, th things) (any, error) {
		return nil, w.RenamePasskey(w.ctx, by, th.passkey, "mine")
	}},
	"RemovePasskey": {anyone, true, func(w *world, by safepoint.Actor, th things) (any, error) {
		return nil, w.RemovePasskey(w.ctx, by, "x", th.passkey)
	}},
	"AskPasskeyAgain": {anyone, true, func(w *world, by safepoint.Actor, th things) (any, error) {
		return value(w.AskPasskeyAgain(w.ctx, by, "x", console))
	}},
	"ReenterWithPasskey": {anyone, false, func(w *world, by safepoint.Actor, th things) (any, error) {
		return nil, w.ReenterWithPasskey(w.ctx, by, "x", console, nil)
	}},
	"EndGuide":    {admin, false, func(w *world, by safepoint.Actor, th things) (any, error) { return nil, w.EndGuide(w.ctx, by) }},
	"Memberships": {anyone, false, func(w *world, by safepoint.Actor, th things) (any, error) { return value(w.Memberships(w.ctx, by)) }},
	"Tokens":      {viewer, false, func(w *world, by safepoint.Actor, th things) (any, error) { return value(w.Tokens(w.ctx, by)) }},
	"CreateToken": {viewer, false, func(w *world, by safepoint.Actor, th things) (any, error) {
		t, _, err := w.CreateToken(w.ctx, by, "t", 0)
		return t, err
	}},
	"RevokeToken": {viewer, true, func(w *world, by safepoint.Actor, th things) (any, error) {
		return nil, w.RevokeToken(w.ctx, by, "tok_x")
	}},

	"Organization": {viewer, false, func(w *world, by safepoint.Actor, th things) (any, error) { return value(w.Organization(w.ctx, by)) }},
	"CreateOrganization": {admin, false, func(w *world, by safepoint.Actor, th things) (any, error) {
		return value(w.CreateOrganization(w.ctx, by, "third", "UTC"))
	}},
	"UpdateOrganization": {admin, false, func(w *world, by safepoint.Actor, th things) (any, error) {
		return value(w.UpdateOrganization(w.ctx, by, OrganizationChange{}))
	}},
	"Members": {viewer, false, func(w *world, by safepoint.Actor, th things) (any, error) { return value(w.Members(w.ctx, by)) }},
	"InviteMember": {admin, false, func(w *world, by safepoint.Actor, th things) (any, error) {
		m, _, err := w.InviteMember(w.ctx, by, MemberInput{Email: "new@example.org", Role: safepoint.RoleViewer})
		return m, err
	}},
	"SetRole": {admin, true, func(w *world, by safepoint.Actor, th things) (any, error) {
		return nil, w.SetRole(w.ctx, by, th.member, safepoint.RoleAdmin)
	}},
	"RemoveMember": {admin, true, func(w *world, by safepoint.Actor, th things) (any, error) {
		return nil, w.RemoveMember(w.ctx, by, th.member)
	}},
	"State": {viewer, false, func(w *world, by safepoint.Actor, th things) (any, error) { return value(w.State(w.ctx, by)) }},
	"Subscribe": {viewer, false, func(w *world, by safepoint.Actor, th things) (any, error) {
		_, end, err := w.Subscribe(by)
		if err == nil {
			end()
		}
		return nil, err
	}},
	"Audit": {viewer, false, func(w *world, by safepoint.Actor, th things) (any, error) {
		return value(w.Audit(w.ctx, by, AuditFilter{}))
	}},

	"Encryption": {viewer, false, func(w *world, by safepoint.Actor, th things) (any, error) { return value(w.Encryption(w.ctx, by)) }},
	"AddRecipient": {admin, false, func(w *world, by safepoint.Actor, th things) (any, error) {
		return value(w.AddRecipient(w.ctx, by, RecipientInput{}))
	}},
	"Challenge": {admin, true, func(w *world, by safepoint.Actor, th things) (any, error) {
		return value(w.Challenge(w.ctx, by, th.recipient))
	}},
	"ProveRecipient": {admin, true, func(w *world, by safepoint.Actor, th things) (any, error) {
		return value(w.ProveRecipient(w.ctx, by, th.recipient, Proof{Word: "x"}))
	}},
	"RemoveRecipient": {admin, true, func(w *world, by safepoint.Actor, th things) (any, error) {
		return nil, w.RemoveRecipient(w.ctx, by, th.recipient)
	}},
	"ForgetKey": {admin, true, func(w *world, by safepoint.Actor, th things) (any, error) {
		return nil, w.ForgetKey(w.ctx, by, th.recipient)
	}},
	"SetEncryption": {admin, false, func(w *world, by safepoint.Actor, th things) (any, error) {
		return value(w.SetEncryption(w.ctx, by, false, "theirs"))
	}},

	"Databases": {viewer, false, func(w *world, by safepoint.Actor, th things) (any, error) { return value(w.Databases(w.ctx, by)) }},
	"DatabaseAnswers": {viewer, false, func(w *world, by safepoint.Actor, th things) (any, error) {
		return value(w.DatabaseAnswers(w.ctx, by))
	}},
	"Storages": {viewer, false, func(w *world, by safepoint.Actor, th things) (any, error) { return value(w.Storages(w.ctx, by)) }},
	"StorageUse": {viewer, false, func(w *world, by safepoint.Actor, th things) (any, error) {
		return value(w.StorageUse(w.ctx, by, StorageID))
	}},
	"StorageForecast": {viewer, false, func(w *world, by safepoint.Actor, th things) (any, error) {
		return value(w.StorageForecast(w.ctx, by, StorageID))
	}},
	"TestStorage": {admin, false, func(w *world, by safepoint.Actor, th things) (any, error) {
		return value(w.TestStorage(w.ctx, by, StorageID))
	}},
	"Database": {viewer, true, func(w *world, by safepoint.Actor, th things) (any, error) {
		return value(w.Database(w.ctx, by, th.database))
	}},
	"CreateDatabase": {admin, false, func(w *world, by safepoint.Actor, th things) (any, error) {
		return value(w.CreateDatabase(w.ctx, by, DatabaseInput{Name: "n", URL: "sqlite:///srv/n.db"}))
	}},
	"UpdateDatabase": {admin, true, func(w *world, by safepoint.Actor, th things) (any, error) {
		return value(w.UpdateDatabase(w.ctx, by, th.database, DatabaseInput{Name: "n", URL: "sqlite:///srv/n.db"}))
	}},
	"RemoveDatabase": {admin, true, func(w *world, by safepoint.Actor, th things) (any, error) {
		return nil, w.RemoveDatabase(w.ctx, by, th.database)
	}},
	"RemoveLostDatabase": {admin, true, func(w *world, by safepoint.Actor, th things) (any, error) {
		return nil, w.RemoveLostDatabase(w.ctx, by, th.database, "shop")
	}},
	"TestDatabase": {admin, true, func(w *world, by safepoint.Actor, th things) (any, error) {
		return value(w.TestDatabase(w.ctx, by, th.database))
	}},
	"TryDatabase": {admin, false, func(w *world, by safepoint.Actor, th things) (any, error) {
		return value(w.TryDatabase(w.ctx, by, DatabaseInput{URL: "sqlite:///srv/n.db"}))
	}},

	"Services": {viewer, false, func(w *world, by safepoint.Actor, th things) (any, error) { return value(w.Services(w.ctx, by)) }},
	"Service": {viewer, true, func(w *world, by safepoint.Actor, th things) (any, error) {
		return value(w.Service(w.ctx, by, th.service))
	}},
	"CreateService": {admin, false, func(w *world, by safepoint.Actor, th things) (any, error) {
		s, _, err := w.CreateService(w.ctx, by, hooks("n", "http://127.0.0.1:9"))
		return s, err
	}},
	"UpdateService": {admin, true, func(w *world, by safepoint.Actor, th things) (any, error) {
		return value(w.UpdateService(w.ctx, by, th.service, hooks("n", "http://127.0.0.1:9")))
	}},
	"RemoveService": {admin, true, func(w *world, by safepoint.Actor, th things) (any, error) {
		return nil, w.RemoveService(w.ctx, by, th.service)
	}},
	"OrderServices": {admin, true, func(w *world, by safepoint.Actor, th things) (any, error) {
		return nil, w.OrderServices(w.ctx, by, []string{th.service})
	}},
	"ServiceStatus": {viewer, true, func(w *world, by safepoint.Actor, th things) (any, error) {
		return value(w.ServiceStatus(w.ctx, by, th.service))
	}},
	"TestService": {admin, true, func(w *world, by safepoint.Actor, th things) (any, error) {
		return value(w.TestService(w.ctx, by, th.service))
	}},
	"ResumeService": {admin, true, func(w *world, by safepoint.Actor, th things) (any, error) {
		return nil, w.ResumeService(w.ctx, by, th.service)
	}},

	"ResumeRestore": {admin, true, func(w *world, by safepoint.Actor, th things) (any, error) {
		return nil, w.ResumeRestore(w.ctx, by, th.restore)
	}},

	"Schedule": {viewer, true, func(w *world, by safepoint.Actor, th things) (any, error) {
		return value(w.Schedule(w.ctx, by, th.schedule))
	}},
	"CreateSchedule": {admin, true, func(w *world, by safepoint.Actor, th things) (any, error) {
		return value(w.CreateSchedule(w.ctx, by, every("n", th.database)))
	}},
	"UpdateSchedule": {admin, true, func(w *world, by safepoint.Actor, th things) (any, error) {
		return value(w.UpdateSchedule(w.ctx, by, th.schedule, every("n", "")))
	}},
	"DisableSchedule": {admin, true, func(w *world, by safepoint.Actor, th things) (any, error) {
		return value(w.DisableSchedule(w.ctx, by, th.schedule))
	}},
	"EnableSchedule": {admin, true, func(w *world, by safepoint.Actor, th things) (any, error) {
		return value(w.EnableSchedule(w.ctx, by, th.schedule))
	}},
	"ScheduleList": {viewer, false, func(w *world, by safepoint.Actor, th things) (any, error) {
		return value(w.ScheduleList(w.ctx, by, ScheduleFilter{}))
	}},
	"DatabaseSchedules": {viewer, true, func(w *world, by safepoint.Actor, th things) (any, error) {
		return value(w.DatabaseSchedules(w.ctx, by, th.database))
	}},
	"Health": {viewer, false, func(w *world, by safepoint.Actor, th things) (any, error) {
		return value(w.Health(w.ctx, by, HealthFilter{}))
	}},
	"DatabaseHealth": {viewer, true, func(w *world, by safepoint.Actor, th things) (any, error) {
		return value(w.DatabaseHealth(w.ctx, by, th.database, 30))
	}},
	"Notices": {viewer, false, func(w *world, by safepoint.Actor, th things) (any, error) { return value(w.Notices(w.ctx, by)) }},
	"DismissNotice": {admin, true, func(w *world, by safepoint.Actor, th things) (any, error) {
		return nil, w.DismissNotice(w.ctx, by, "missed:"+th.schedule)
	}},
	"StoredByDatabase": {viewer, false, func(w *world, by safepoint.Actor, th things) (any, error) {
		return value(w.StoredByDatabase(w.ctx, by))
	}},
	"Overview": {viewer, false, func(w *world, by safepoint.Actor, th things) (any, error) { return value(w.Overview(w.ctx, by)) }},

	"Operations": {viewer, false, func(w *world, by safepoint.Actor, th things) (any, error) {
		return value(w.Operations(w.ctx, by, safepoint.OperationFilter{}))
	}},
	"Operation": {viewer, true, func(w *world, by safepoint.Actor, th things) (any, error) {
		return value(w.Operation(w.ctx, by, th.backup))
	}},
	"StepTimes": {viewer, true, func(w *world, by safepoint.Actor, th things) (any, error) {
		return value(w.StepTimes(w.ctx, by, th.restore))
	}},
	"Journal": {viewer, true, func(w *world, by safepoint.Actor, th things) (any, error) {
		return value(w.Journal(w.ctx, by, th.restore))
	}},
	"Running": {viewer, false, func(w *world, by safepoint.Actor, th things) (any, error) { return value(w.Running(w.ctx, by)) }},
	"StartBackup": {admin, true, func(w *world, by safepoint.Actor, th things) (any, error) {
		return value(w.StartBackup(w.ctx, by, th.database))
	}},
	"Cancel": {admin, true, func(w *world, by safepoint.Actor, th things) (any, error) {
		return value(w.Cancel(w.ctx, by, th.restore))
	}},
	"OpenDownloadPart": {admin, true, func(w *world, by safepoint.Actor, th things) (any, error) {
		d, err := w.OpenDownloadPart(w.ctx, by, th.backup, PartRest)
		if err == nil {
			d.Close()
		}
		return d.Name, err
	}},
	"CheckUpload": {admin, true, func(w *world, by safepoint.Actor, th things) (any, error) {
		return nil, w.CheckUpload(w.ctx, by, UploadInput{DatabaseID: th.database, FileName: "shop.sql"}, []byte("SELECT 1;"))
	}},
	"Upload": {admin, true, func(w *world, by safepoint.Actor, th things) (any, error) {
		return value(w.Upload(w.ctx, by, UploadInput{DatabaseID: th.database, FileName: "shop.sql"}, strings.NewReader("SELECT 1;")))
	}},
	"BackupTables": {admin, true, func(w *world, by safepoint.Actor, th things) (any, error) {
		_, tables, err := w.BackupTables(w.ctx, by, th.backup)
		return tables, err
	}},
	"OpenTables": {admin, true, func(w *world, by safepoint.Actor, th things) (any, error) {
		d, err := w.OpenTables(w.ctx, by, th.backup, TableChoice{Tables: []string{"*"}})
		if err == nil {
			d.Close()
		}
		return d.Name, err
	}},
	"PreviewDelete": {admin, true, func(w *world, by safepoint.Actor, th things) (any, error) {
		return value(w.PreviewDelete(w.ctx, by, th.backup))
	}},
	"DeleteBackup": {admin, true, func(w *world, by safepoint.Actor, th things) (any, error) {
		return nil, w.DeleteBackup(w.ctx, by, th.backup, "shop")
	}},
	"PreviewRestore": {admin, true, func(w *world, by safepoint.Actor, th things) (any, error) {
		return value(w.PreviewRestore(w.ctx, by, th.backup))
	}},
	"StartRestore": {admin, true, func(w *world, by safepoint.Actor, th things) (any, error) {
		return value(w.StartRestore(w.ctx, by, th.backup, RestoreInput{Confirm: "shop"}))
	}},
	"StartRestoreInto": {admin, true, func(w *world, by safepoint.Actor, th things) (any, error) {
		return value(w.StartRestoreInto(w.ctx, by, th.backup, NewDatabase{Name: "copy.db"}))
	}},
	"StartUndo": {admin, true, func(w *world, by safepoint.Actor, th things) (any, error) {
		return value(w.StartUndo(w.ctx, by, th.restore))
	}},
}

// before are the methods that no Actor calls: those that make one, and those of the program itself.
var before = []string{
	"SetupNeeded", "NewSetupCode", "Setup", "SignIn", "SignInWithLink", "NewSignInLink", "AcceptInvite", "SignOut", "Session", "TokenActor", "Login",
	"AskPasskey", "SignInWithPasskey",
	"Work", "Recover", "Housekeep", "KeepTime", "Untidy", "Ended", "SweepStorage", "SweepUploads", "AskDatabases",
}

func hooks(name, base string) ServiceInput {
	return ServiceInput{Name: name, Kind: safepoint.ServiceWebhook, HaltURL: base + "/halt", ResumeURL: base + "/resume", HealthURL: base + "/health", Timeout: 2 * time.Second}
}

func every(name, database string) ScheduleInput {
	return ScheduleInput{Name: name, Interval: safepoint.Every8Hours, DatabaseID: database}
}

func (w *world) furnish() things {
	w.t.Helper()
	d := w.shop("shop")
	b := w.backup(d)
	s, err := w.CreateSchedule(w.ctx, w.admin, every("nightly", d.ID))
	w.ok(err)
	svc, _, err := w.CreateService(w.ctx, w.admin, hooks("web", "http://127.0.0.1:9"))
	w.ok(err)
	r, err := w.StartRestore(w.ctx, w.admin, b.ID, RestoreInput{Confirm: "shop"})
	w.ok(err)
	n, err := w.AddRecipient(w.ctx, w.admin, RecipientInput{Keep: true})
	w.ok(err)
	p, err := w.Catalog.AddPasskey(w.ctx, catalog.Passkey{Passkey: safepoint.Passkey{UserID: w.admin.UserID, Name: "Laptop", Host: console.Host}, CredentialID: []byte{1}, PublicKey: []byte{2}}, mostPasskeys)
	w.ok(err)
	return things{passkey: p.ID, database: d.ID, schedule: s.ID, service: svc.ID, backup: b.ID, restore: r.ID, member: w.viewer.UserID, recipient: n.ID}
}

// ours is a hash of everything the catalog holds of the admin's organization but its audit log.
func (w *world) ours() string {
	w.t.Helper()
	db, err := sql.Open("sqlite", w.catalogPath())
	w.ok(err)
	defer db.Close()
	h := sha256.New()
	for _, table := range []string{"organizations", "members", "databases", "services", "schedules", "operations", "recipients", "passkeys"} {
		column, id := "organization_id", w.admin.OrganizationID
		switch table {
		case "organizations":
			column = "id"
		case "passkeys":
			column, id = "user_id", w.admin.UserID
		}
		rows, err := db.Query(`SELECT * FROM `+table+` WHERE `+column+` = $1 ORDER BY 1, 2`, id)
		w.ok(err)
		columns, err := rows.Columns()
		w.ok(err)
		for rows.Next() {
			row, to := make([]any, len(columns)), make([]any, len(columns))
			for i := range row {
				to[i] = &row[i]
			}
			w.ok(rows.Scan(to...))
			fmt.Fprintln(h, table, row)
		}
		w.ok(rows.Err())
		rows.Close()
	}
	return fmt.Sprintf("%x", h.Sum(nil))
}

// TestEveryMethodAsksWhoIsThere calls every method of App as nobody, as a member of no organization, as a viewer and as
// another organization's admin.
func TestEveryMethodAsksWhoIsThere(t *testing.T) {
	w := newWorld(t)
	th := w.furnish()
	stray := safepoint.Actor{UserID: w.foreign.UserID, UserName: "Stray", Via: "session"}
	private := []string{w.admin.OrganizationID, th.passkey, th.database, th.schedule, th.service, th.backup, th.restore, th.recipient, "Ines", "Vera"}
	was := w.ours()

	app, actor := reflect.TypeOf(w.App), reflect.TypeOf(safepoint.Actor{})
	for i := range app.NumMethod() {
		m := app.Method(i)
		takesActor := false
		for p := range m.Type.NumIn() {
			takesActor = takesActor || m.Type.In(p) == actor
		}
		r, listed := routes[m.Name]
		switch {
		case takesActor != listed:
			t.Errorf("%s: takes an actor is %v, but it has a line in routes is %v", m.Name, takesActor, listed)
			continue
		case !listed && !slices.Contains(before, m.Name):
			t.Errorf("%s asks for no actor: say so in before, or make it", m.Name)
			continue
		case !listed:
			continue
		}
		t.Run(m.Name, func(t *testing.T) {
			check := func(who string, by safepoint.Actor, want ...safepoint.Code) any {
				t.Helper()
				got, err := r.call(w, by, th)
				if code := safepoint.ErrorCode(err); !slices.Contains(want, code) {
					t.Errorf("%s: %q (%v), want one of %q", who, code, err, want)
				}
				return got
			}
			check("nobody", safepoint.Actor{}, safepoint.CodeUnauthorized)
			if r.need != anyone {
				check("a member of no organization", stray, safepoint.CodeForbidden)
			}
			// What an action says that was let through is for other tests: only not that it needs more.
			let := []safepoint.Code{"", safepoint.CodeInvalid, safepoint.CodeConflict, safepoint.CodeNotFound, safepoint.CodeStepUp,
				safepoint.CodeUnreachable, safepoint.CodeRefused, safepoint.CodeHalt, safepoint.CodeTooMany}
			if r.need == admin {
				let = []safepoint.Code{safepoint.CodeForbidden}
			}
			if r.need == admin {
				check("a viewer", w.viewer, let...)
				if line := w.lines(w.admin, 1)[0]; !strings.HasPrefix(line, "Vera Lind|") || !strings.HasSuffix(line, "||denied") {
					t.Errorf("the refusal is not in the audit log: %s", line)
				}
			} else if !slices.Contains([]string{"SwitchOrganization"}, m.Name) {
				check("a viewer", w.viewer, let...)
			}
			if r.about {
				check("another organization's admin", w.foreign, safepoint.CodeNotFound)
			} else {
				got := check("another organization's admin", w.foreign, "", safepoint.CodeInvalid, safepoint.CodeTooMany)
				for _, secret := range private {
					if strings.Contains(fmt.Sprintf("%+v", got), secret) {
						t.Errorf("another organization's admin sees %s", secret)
					}
				}
			}
			if w.ours() != was {
				t.Errorf("something of the organization was changed")
				was = w.ours()
			}
		})
	}
}

func TestSystemActs(t *testing.T) {
	w := newWorld(t)
	by := safepoint.Actor{OrganizationID: w.admin.OrganizationID, Role: safepoint.RoleAdmin, Via: ViaSystem, UserName: "Demo"}
	if _, err := w.CreateDatabase(w.ctx, by, DatabaseInput{Name: "n", URL: "sqlite:///srv/n.db"}); err != nil {
		t.Error(err)
	}
	w.audited(w.admin, "Demo|database.create|n|succeeded")
}
