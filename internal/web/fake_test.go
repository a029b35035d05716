package web

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/app"
	"github.com/safepoint-db/safepoint/internal/event"
	"github.com/safepoint-db/safepoint/internal/halt"
)

// fake stands for the application while pages are drawn: it returns what a state of the tests put into it. What the
// pages do is tested against the real application, end to end.
type fake struct {
	noSetup bool // nobody exists yet
	actor   safepoint.Actor
	orgs    []safepoint.Membership
	state   safepoint.OrganizationState
	dbs     []safepoint.Database
	cards   []app.ScheduleCard
	ops     []safepoint.Operation
	journal []safepoint.JournalEntry
	svcs    []safepoint.Service
	status  halt.Status
	stored  []app.Stored
	put     app.StorageTest
	answers app.DatabaseAnswers
	over    app.Overview
	members []safepoint.Member
	tokens  []safepoint.Token
	audit   []safepoint.AuditEntry
	signIns []safepoint.SignIn
	keys    []safepoint.Passkey
	filter  app.AuditFilter // the audit log was last asked for
	enc     safepoint.Encryption
	made    app.NewRecipient // what AddRecipient answers
	restore app.RestorePreview
	delete  app.DeletePreview
	tables  []app.BackupTable
	test    app.TestResult
	svcTest app.ServiceTest
	filters []safepoint.OperationFilter // asked for
	called  []string                    // what was done
	fail    error                       // what every action answers
	broken  error                       // what every look answers
	hub     event.Hub
	page    safepoint.OperationPage
	notices app.NoticeList
	health  app.Health
}

func (f *fake) Upload(_ context.Context, _ safepoint.Actor, in app.UploadInput, r io.Reader) (safepoint.Operation, error) {
	content, err := io.ReadAll(r)
	if err != nil {
		return safepoint.Operation{}, err
	}
	return safepoint.Operation{ID: "op_new"}, f.act("upload", in.DatabaseID, in.FileName, in.NoOwner, string(content))
}

// act records an action and answers with the state's error.
func (f *fake) act(name string, args ...any) error {
	f.called = append(f.called, strings.TrimSpace(fmt.Sprintln(append([]any{name}, args...)...)))
	return f.fail
}

func find[T any](list []T, id func(T) string, want string) (t T, err error) {
	if i := slices.IndexFunc(list, func(x T) bool { return id(x) == want }); i >= 0 {
		return list[i], nil
	}
	return t, safepoint.Errorf(safepoint.CodeNotFound, "This is not here.")
}

func (f *fake) SetupNeeded(context.Context) (bool, error) { return f.noSetup, f.broken }
func (f *fake) Setup(_ context.Context, in app.Setup, ip, agent string) (string, error) {
	return "s-admin", f.act("setup", in.Code, in.Email, in.Organization, in.TimeZone)
}
func (f *fake) SignIn(_ context.Context, email, password, ip, agent string) (string, error) {
	return "s-admin", f.act("signin", email, ip)
}
func (f *fake) SignInWithLink(_ context.Context, link, ip, agent string) (string, error) {
	return "s-admin", f.act("link", link)
}
func (f *fake) AcceptInvite(_ context.Context, link, name, password, ip, agent string) (string, error) {
	return "s-admin", f.act("invite", link, name)
}
func (f *fake) SignOut(context.Context, string) error { return f.act("signout") }
func (f *fake) Session(_ context.Context, session, ip string) (safepoint.Actor, error) {
	a := f.actor
	switch session {
	case "s-admin":
	case "s-viewer":
		a.Role, a.UserName = safepoint.RoleViewer, "Tomas Reyl"
	default:
		return safepoint.Actor{}, safepoint.Errorf(safepoint.CodeUnauthorized, "Sign in to go on.")
	}
	a.IP = ip
	return a, f.broken
}
func (f *fake) Reenter(context.Context, safepoint.Actor, string, string) error {
	return f.act("reenter")
}
func (f *fake) SwitchOrganization(_ context.Context, _ safepoint.Actor, _, id string) error {
	return f.act("switch", id)
}
func (f *fake) ChangePassword(context.Context, safepoint.Actor, string, string, string) error {
	return f.act("password")
}
func (f *fake) SetDisplay(_ context.Context, _ safepoint.Actor, d safepoint.Display) error {
	return f.act("display", d.Theme, d.Language, d.Hours)
}
func (f *fake) SignIns(context.Context, safepoint.Actor, string) ([]safepoint.SignIn, error) {
	return f.signIns, f.broken
}
func (f *fake) EndSignIn(_ context.Context, _ safepoint.Actor, id string) error {
	return f.act("end", id)
}
func (f *fake) EndOtherSignIns(context.Context, safepoint.Actor, string) error {
	return f.act("end others")
}
func (f *fake) EndGuide(context.Context, safepoint.Actor) error { return f.act("guide") }
func (f *fake) Memberships(context.Context, safepoint.Actor) ([]safepoint.Membership, error) {
	return f.orgs, f.broken
}
func (f *fake) Tokens(context.Context, safepoint.Actor) ([]safepoint.Token, error) {
	return f.tokens, f.broken
}
func (f *fake) CreateToken(_ context.Context, _ safepoint.Actor, name string, ttl time.Duration) (safepoint.Token, string, error) {
	return safepoint.Token{ID: "tok_new"}, "sp_secret0123456789", f.act("token", name, ttl)
}
func (f *fake) RevokeToken(_ context.Context, _ safepoint.Actor, id string) error {
	return f.act("revoke", id)
}

func (f *fake) Organization(context.Context, safepoint.Actor) (safepoint.Organization, error) {
	return f.orgs[0].Organization, f.broken
}
func (f *fake) CreateOrganization(_ context.Context, _ safepoint.Actor, name, zone string) (safepoint.Organization, error) {
	return safepoint.Organization{ID: "org_new"}, f.act("organization", name, zone)
}
func (f *fake) UpdateOrganization(_ context.Context, _ safepoint.Actor, in app.OrganizationChange) (safepoint.Organization, error) {
	var said []any
	if in.Name != nil {
		said = append(said, *in.Name, *in.TimeZone, *in.Language)
	}
	if in.UndoWindow != nil {
		said = append(said, *in.UndoWindow)
	}
	if in.SessionIdle != nil {
		said = append(said, *in.SessionIdle)
	}
	return safepoint.Organization{}, f.act("settings", said...)
}
func (f *fake) Members(context.Context, safepoint.Actor) ([]safepoint.Member, error) {
	return f.members, f.broken
}
func (f *fake) InviteMember(_ context.Context, _ safepoint.Actor, in app.MemberInput) (safepoint.Member, string, error) {
	return safepoint.Member{User: safepoint.User{Email: in.Email}}, "inv+1/2", f.act("invite", in.Email, in.Role)
}
func (f *fake) SetRole(_ context.Context, _ safepoint.Actor, id string, role safepoint.Role) error {
	return f.act("role", id, role)
}
func (f *fake) RemoveMember(_ context.Context, _ safepoint.Actor, id string) error {
	return f.act("remove", id)
}
func (f *fake) State(context.Context, safepoint.Actor) (safepoint.OrganizationState, error) {
	return f.state, f.broken
}
func (f *fake) Subscribe(a safepoint.Actor) (<-chan event.Event, func(), error) {
	ch, end := f.hub.Subscribe(a.OrganizationID)
	return ch, end, f.broken
}
func (f *fake) Audit(_ context.Context, _ safepoint.Actor, filter app.AuditFilter) (app.AuditPage, error) {
	f.filter = filter
	return app.AuditPage{Entries: f.audit, Total: len(f.audit)}, f.broken
}

func (f *fake) Databases(context.Context, safepoint.Actor) ([]safepoint.Database, error) {
	return f.dbs, f.broken
}
func (f *fake) DatabaseAnswers(context.Context, safepoint.Actor) (app.DatabaseAnswers, error) {
	return f.answers, f.broken
}
func (f *fake) Database(_ context.Context, _ safepoint.Actor, id string) (safepoint.Database, error) {
	return find(f.dbs, func(d safepoint.Database) string { return d.ID }, id)
}
func (f *fake) CreateDatabase(_ context.Context, _ safepoint.Actor, in app.DatabaseInput) (safepoint.Database, error) {
	return safepoint.Database{ID: "db_new"}, f.act("database", in.Name, in.Engine, in.Host, in.Port, in.Path)
}
func (f *fake) UpdateDatabase(_ context.Context, _ safepoint.Actor, id string, in app.DatabaseInput) (safepoint.Database, error) {
	return safepoint.Database{}, f.act("update", id, in.Name, in.Version)
}
func (f *fake) RemoveDatabase(_ context.Context, _ safepoint.Actor, id string) error {
	return f.act("remove", id)
}
func (f *fake) RemoveLostDatabase(_ context.Context, _ safepoint.Actor, id, name string) error {
	return f.act("remove lost", id, name)
}
func (f *fake) TestDatabase(context.Context, safepoint.Actor, string) (app.TestResult, error) {
	return f.test, f.fail
}
func (f *fake) TryDatabase(context.Context, safepoint.Actor, app.DatabaseInput) (app.TestResult, error) {
	return f.test, f.fail
}

func (f *fake) Services(context.Context, safepoint.Actor) ([]safepoint.Service, error) {
	return f.svcs, f.broken
}
func (f *fake) Service(_ context.Context, _ safepoint.Actor, id string) (safepoint.Service, error) {
	return find(f.svcs, func(s safepoint.Service) string { return s.ID }, id)
}
func (f *fake) CreateService(_ context.Context, _ safepoint.Actor, in app.ServiceInput) (safepoint.Service, string, error) {
	return safepoint.Service{ID: "svc_new", Name: in.Name, Kind: in.Kind, Timeout: in.Timeout}, "whsec_c2VjcmV0", f.act("service", in.Name, in.Kind, in.Timeout)
}
func (f *fake) UpdateService(_ context.Context, _ safepoint.Actor, id string, in app.ServiceInput) (safepoint.Service, error) {
	return safepoint.Service{}, f.act("update", id, in.Name)
}
func (f *fake) RemoveService(_ context.Context, _ safepoint.Actor, id string) error {
	return f.act("remove", id)
}
func (f *fake) OrderServices(_ context.Context, _ safepoint.Actor, ids []string) error {
	return f.act("order", strings.Join(ids, ","))
}
func (f *fake) ServiceStatus(context.Context, safepoint.Actor, string) (halt.Status, error) {
	return f.status, f.broken
}
func (f *fake) TestService(context.Context, safepoint.Actor, string) (app.ServiceTest, error) {
	return f.svcTest, f.fail
}
func (f *fake) ResumeService(_ context.Context, _ safepoint.Actor, id string) error {
	return f.act("resume", id)
}
func (f *fake) ResumeRestore(_ context.Context, _ safepoint.Actor, id string) error {
	return f.act("resume all", id)
}

func (f *fake) ScheduleList(_ context.Context, _ safepoint.Actor, q app.ScheduleFilter) (app.ScheduleList, error) {
	return app.ListSchedules(f.cards, q), f.broken
}
func (f *fake) DatabaseSchedules(_ context.Context, _ safepoint.Actor, id string) ([]app.ScheduleCard, error) {
	return app.ListSchedules(f.cards, app.ScheduleFilter{DatabaseID: id}).Cards, f.broken
}
func (f *fake) Schedule(_ context.Context, _ safepoint.Actor, id string) (app.ScheduleCard, error) {
	return find(f.cards, func(c app.ScheduleCard) string { return c.ID }, id)
}
func (f *fake) CreateSchedule(_ context.Context, _ safepoint.Actor, in app.ScheduleInput) (safepoint.Schedule, error) {
	return safepoint.Schedule{ID: "sch_new"}, f.act("schedule", in.Name, in.Interval, in.DatabaseID, in.FirstRun.UTC().Format(time.RFC3339))
}
func (f *fake) UpdateSchedule(_ context.Context, _ safepoint.Actor, id string, in app.ScheduleInput) (safepoint.Schedule, error) {
	return safepoint.Schedule{ID: id}, f.act("update", id, in.Name, in.Interval, in.Version)
}
func (f *fake) DisableSchedule(_ context.Context, _ safepoint.Actor, id string) (safepoint.Schedule, error) {
	return safepoint.Schedule{ID: id}, f.act("disable", id)
}
func (f *fake) EnableSchedule(_ context.Context, _ safepoint.Actor, id string) (safepoint.Schedule, error) {
	return safepoint.Schedule{ID: id}, f.act("enable", id)
}
func (f *fake) Overview(context.Context, safepoint.Actor) (app.Overview, error) {
	return f.over, f.broken
}

func (f *fake) Storages(context.Context, safepoint.Actor) ([]app.StorageUse, error) {
	return []app.StorageUse{f.storage()}, f.broken
}
func (f *fake) StorageUse(_ context.Context, _ safepoint.Actor, id string) (app.StorageUse, error) {
	if id != app.StorageID {
		return app.StorageUse{}, errMissing
	}
	return f.storage(), f.broken
}
func (f *fake) storage() app.StorageUse {
	return app.StorageUse{ID: app.StorageID, Name: f.over.StorageName, Space: f.over.Space, Backups: f.over.Backups, Bytes: f.over.Bytes}
}
func (f *fake) StorageForecast(context.Context, safepoint.Actor, string) (app.StorageHealth, error) {
	return f.health.Storage, f.broken
}
func (f *fake) TestStorage(_ context.Context, _ safepoint.Actor, id string) (app.StorageTest, error) {
	return f.put, f.act("storage test", id)
}

func (f *fake) StoredByDatabase(context.Context, safepoint.Actor) ([]app.Stored, error) {
	return f.stored, f.broken
}

func (f *fake) Health(_ context.Context, _ safepoint.Actor, q app.HealthFilter) (app.Health, error) {
	h := f.health
	h.Days = q.Days
	h.Databases = slices.DeleteFunc(slices.Clone(h.Databases), func(d app.DatabaseHealth) bool { return !strings.Contains(d.Database.Name, q.Text) })
	if h.Found == 0 || q.Text != "" {
		h.Found = len(h.Databases)
	}
	return h, f.broken
}
func (f *fake) DatabaseHealth(_ context.Context, _ safepoint.Actor, id string, _ int) (app.DatabaseHealth, error) {
	d, err := find(f.health.Databases, func(d app.DatabaseHealth) string { return d.Database.ID }, id)
	if f.broken != nil {
		err = f.broken
	}
	return d, err
}
func (f *fake) Notices(context.Context, safepoint.Actor) (app.NoticeList, error) {
	return f.notices, f.broken
}
func (f *fake) DismissNotice(_ context.Context, _ safepoint.Actor, id string) error {
	return f.act("dismiss", id)
}

func (f *fake) Operations(_ context.Context, _ safepoint.Actor, q safepoint.OperationFilter) (safepoint.OperationPage, error) {
	f.filters = append(f.filters, q)
	p := f.page
	for _, op := range f.ops {
		if (q.Type == "" || op.Type == q.Type) && (q.Status == "" || op.Status == q.Status) && (q.DatabaseID == "" || op.DatabaseID == q.DatabaseID) {
			p.Operations = append(p.Operations, op)
		}
	}
	p.Total, p.All = len(p.Operations), max(p.All, len(f.ops))
	return p, f.broken
}
func (f *fake) Operation(_ context.Context, _ safepoint.Actor, id string) (safepoint.Operation, error) {
	return find(f.ops, func(o safepoint.Operation) string { return o.ID }, id)
}
func (f *fake) StepTimes(context.Context, safepoint.Actor, string) (map[safepoint.Step]time.Duration, error) {
	return f.restore.Estimates, f.broken
}
func (f *fake) Journal(context.Context, safepoint.Actor, string) ([]safepoint.JournalEntry, error) {
	return f.journal, f.broken
}
func (f *fake) Running(context.Context, safepoint.Actor) ([]safepoint.Operation, error) {
	var out []safepoint.Operation
	for _, op := range f.ops {
		if !op.Status.Ended() {
			out = append(out, op)
		}
	}
	return out, f.broken
}
func (f *fake) StartBackup(_ context.Context, _ safepoint.Actor, id string) (safepoint.Operation, error) {
	return safepoint.Operation{ID: "op_new"}, f.act("backup", id)
}
func (f *fake) Cancel(_ context.Context, _ safepoint.Actor, id string) (safepoint.Operation, error) {
	op, _ := f.Operation(context.Background(), f.actor, id)
	return op, f.act("cancel", id)
}

type file struct{ *bytes.Reader }

func (file) Close() error { return nil }

func (f *fake) CheckUpload(_ context.Context, _ safepoint.Actor, in app.UploadInput, head []byte) error {
	return f.act("check-upload", in.DatabaseID, in.FileName, in.Size, string(head))
}
func (f *fake) OpenDownloadPart(context.Context, safepoint.Actor, string, app.Part) (app.Download, error) {
	return app.Download{File: file{bytes.NewReader([]byte("0123456789"))}, Name: "shop \"1\".sql.zst", ModTime: testNow}, f.act("download")
}
func (f *fake) StartRestoreInto(_ context.Context, _ safepoint.Actor, id string, in app.NewDatabase) (safepoint.Operation, error) {
	return safepoint.Operation{ID: "op_new"}, f.act("into", id, in.Name, strings.Join(in.Tables, ","))
}
func (f *fake) BackupTables(_ context.Context, _ safepoint.Actor, id string) (safepoint.Operation, []app.BackupTable, error) {
	op, err := find(f.ops, func(o safepoint.Operation) string { return o.ID }, id)
	if err == nil {
		err = f.broken
	}
	return op, f.tables, err
}
func (f *fake) OpenTables(_ context.Context, _ safepoint.Actor, id string, c app.TableChoice) (app.TableDownload, error) {
	err := f.act("tables", id, strings.Join(c.Tables, ","), c.SchemaOnly, c.DataOnly)
	switch {
	case err != nil:
	case f.broken != nil:
		err = f.broken
	case len(c.Tables) == 0:
		err = safepoint.Invalid("tables", "No table was chosen.")
	default:
		err = safepoint.Errorf(safepoint.CodeStepUp, "Enter your password again.")
	}
	return app.TableDownload{}, err
}
func (f *fake) PreviewDelete(_ context.Context, _ safepoint.Actor, id string) (app.DeletePreview, error) {
	if f.delete.Backup.ID != id {
		return f.delete, errMissing
	}
	return f.delete, f.broken
}
func (f *fake) DeleteBackup(_ context.Context, _ safepoint.Actor, id, confirm string) error {
	return f.act("delete", id, confirm)
}
func (f *fake) Encryption(context.Context, safepoint.Actor) (safepoint.Encryption, error) {
	return f.enc, f.broken
}
func (f *fake) AddRecipient(_ context.Context, _ safepoint.Actor, in app.RecipientInput) (app.NewRecipient, error) {
	return f.made, f.act("recipient-add", in.Name, in.PublicKey, in.Keep)
}
func (f *fake) Challenge(context.Context, safepoint.Actor, string) (string, error) {
	return f.made.Challenge, f.broken
}
func (f *fake) ProveRecipient(_ context.Context, _ safepoint.Actor, id string, p app.Proof) (safepoint.Encryption, error) {
	return f.enc, f.act("recipient-prove", id, p.Word, len(p.Identity))
}
func (f *fake) RemoveRecipient(_ context.Context, _ safepoint.Actor, id string) error {
	return f.act("recipient-remove", id)
}
func (f *fake) ForgetKey(_ context.Context, _ safepoint.Actor, id string) error {
	return f.act("key-forget", id)
}
func (f *fake) SetEncryption(_ context.Context, _ safepoint.Actor, on bool, confirm string) (safepoint.Encryption, error) {
	return f.enc, f.act("encryption", on, confirm)
}
func (f *fake) PreviewRestore(_ context.Context, _ safepoint.Actor, id string) (app.RestorePreview, error) {
	if f.restore.Backup.ID != id {
		return f.restore, errMissing
	}
	return f.restore, f.broken
}
func (f *fake) StartRestore(_ context.Context, _ safepoint.Actor, id string, in app.RestoreInput) (safepoint.Operation, error) {
	args := append([]any{id, in.Confirm}, named([]string{in.Keys})...)
	if in.Mode != "" {
		args = append(args, in.Mode)
	}
	return safepoint.Operation{ID: "op_restore"}, f.act("restore", args...)
}
func (f *fake) StartUndo(_ context.Context, _ safepoint.Actor, id string) (safepoint.Operation, error) {
	return safepoint.Operation{ID: "op_undo"}, f.act("undo", id)
}

// named says that keys were given, without them.
func named(keys []string) (args []any) {
	for _, k := range keys {
		if k != "" {
			args = append(args, fmt.Sprintf("a key of %d characters", len(k)))
		}
	}
	return args
}

var (
	errMissing = safepoint.Errorf(safepoint.CodeNotFound, "This is not here.")
	errBroken  = errors.New("disk gone")
)
