package web

import (
	"context"
	"io"
	"time"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/app"
	"github.com/safepoint-db/safepoint/internal/event"
	"github.com/safepoint-db/safepoint/internal/halt"
)

var _ App = (*app.App)(nil)

// App is what the pages ask of app.App, which documents each method.
type App interface {
	SetupNeeded(ctx context.Context) (bool, error)
	Setup(ctx context.Context, in app.Setup, ip, agent string) (session string, err error)
	SignIn(ctx context.Context, email, password, ip, agent string) (session string, err error)
	SignInWithLink(ctx context.Context, link, ip, agent string) (session string, err error)
	AcceptInvite(ctx context.Context, link, name, password, ip, agent string) (session string, err error)
	SignOut(ctx context.Context, session string) error
	Session(ctx context.Context, session, ip string) (safepoint.Actor, error)
	Reenter(ctx context.Context, a safepoint.Actor, session, password string) error
	Passkeys(ctx context.Context, a safepoint.Actor) ([]safepoint.Passkey, error)
	MayAddPasskey(ctx context.Context, a safepoint.Actor) error
	AskNewPasskey(ctx context.Context, a safepoint.Actor, session string, at app.Site) ([]byte, error)
	AddPasskey(ctx context.Context, a safepoint.Actor, session string, at app.Site, name string, answer []byte) (safepoint.Passkey, error)
	RenamePasskey(ctx context.Context, a safepoint.Actor, id, name string) error
	RemovePasskey(ctx context.Context, a safepoint.Actor, session, id string) error
	AskPasskey(ctx context.Context, at app.Site, browser string) ([]byte, error)
	SignInWithPasskey(ctx context.Context, at app.Site, browser string, answer []byte, ip, agent string) (session string, err error)
	AskPasskeyAgain(ctx context.Context, a safepoint.Actor, session string, at app.Site) ([]byte, error)
	ReenterWithPasskey(ctx context.Context, a safepoint.Actor, session string, at app.Site, answer []byte) error
	SwitchOrganization(ctx context.Context, a safepoint.Actor, session, organizationID string) error
	ChangePassword(ctx context.Context, a safepoint.Actor, session, old, new string) error
	SetDisplay(ctx context.Context, a safepoint.Actor, d safepoint.Display) error
	SignIns(ctx context.Context, a safepoint.Actor, session string) ([]safepoint.SignIn, error)
	EndSignIn(ctx context.Context, a safepoint.Actor, id string) error
	EndOtherSignIns(ctx context.Context, a safepoint.Actor, session string) error
	Memberships(ctx context.Context, a safepoint.Actor) ([]safepoint.Membership, error)
	Tokens(ctx context.Context, a safepoint.Actor) ([]safepoint.Token, error)
	CreateToken(ctx context.Context, a safepoint.Actor, name string, ttl time.Duration) (safepoint.Token, string, error)
	RevokeToken(ctx context.Context, a safepoint.Actor, id string) error

	Organization(ctx context.Context, a safepoint.Actor) (safepoint.Organization, error)
	CreateOrganization(ctx context.Context, a safepoint.Actor, name, timeZone string) (safepoint.Organization, error)
	UpdateOrganization(ctx context.Context, a safepoint.Actor, in app.OrganizationChange) (safepoint.Organization, error)
	EndGuide(ctx context.Context, a safepoint.Actor) error
	Members(ctx context.Context, a safepoint.Actor) ([]safepoint.Member, error)
	InviteMember(ctx context.Context, a safepoint.Actor, in app.MemberInput) (safepoint.Member, string, error)
	SetRole(ctx context.Context, a safepoint.Actor, userID string, role safepoint.Role) error
	RemoveMember(ctx context.Context, a safepoint.Actor, userID string) error
	State(ctx context.Context, a safepoint.Actor) (safepoint.OrganizationState, error)
	Subscribe(a safepoint.Actor) (<-chan event.Event, func(), error)
	Audit(ctx context.Context, a safepoint.Actor, f app.AuditFilter) (app.AuditPage, error)

	Encryption(ctx context.Context, a safepoint.Actor) (safepoint.Encryption, error)
	AddRecipient(ctx context.Context, a safepoint.Actor, in app.RecipientInput) (app.NewRecipient, error)
	Challenge(ctx context.Context, a safepoint.Actor, id string) (string, error)
	ProveRecipient(ctx context.Context, a safepoint.Actor, id string, p app.Proof) (safepoint.Encryption, error)
	RemoveRecipient(ctx context.Context, a safepoint.Actor, id string) error
	ForgetKey(ctx context.Context, a safepoint.Actor, id string) error
	SetEncryption(ctx context.Context, a safepoint.Actor, on bool, confirm string) (safepoint.Encryption, error)

	Databases(ctx context.Context, a safepoint.Actor) ([]safepoint.Database, error)
	DatabaseAnswers(ctx context.Context, a safepoint.Actor) (app.DatabaseAnswers, error)
	Database(ctx context.Context, a safepoint.Actor, id string) (safepoint.Database, error)
	CreateDatabase(ctx context.Context, a safepoint.Actor, in app.DatabaseInput) (safepoint.Database, error)
	UpdateDatabase(ctx context.Context, a safepoint.Actor, id string, in app.DatabaseInput) (safepoint.Database, error)
	RemoveDatabase(ctx context.Context, a safepoint.Actor, id string) error
	RemoveLostDatabase(ctx context.Context, a safepoint.Actor, id, name string) error
	TestDatabase(ctx context.Context, a safepoint.Actor, id string) (app.TestResult, error)
	TryDatabase(ctx context.Context, a safepoint.Actor, in app.DatabaseInput) (app.TestResult, error)

	Services(ctx context.Context, a safepoint.Actor) ([]safepoint.Service, error)
	Service(ctx context.Context, a safepoint.Actor, id string) (safepoint.Service, error)
	CreateService(ctx context.Context, a safepoint.Actor, in app.ServiceInput) (safepoint.Service, string, error)
	UpdateService(ctx context.Context, a safepoint.Actor, id string, in app.ServiceInput) (safepoint.Service, error)
	RemoveService(ctx context.Context, a safepoint.Actor, id string) error
	OrderServices(ctx context.Context, a safepoint.Actor, ids []string) error
	ServiceStatus(ctx context.Context, a safepoint.Actor, id string) (halt.Status, error)
	TestService(ctx context.Context, a safepoint.Actor, id string) (app.ServiceTest, error)
	ResumeService(ctx context.Context, a safepoint.Actor, id string) error
	ResumeRestore(ctx context.Context, a safepoint.Actor, id string) error

	ScheduleList(ctx context.Context, a safepoint.Actor, f app.ScheduleFilter) (app.ScheduleList, error)
	DatabaseSchedules(ctx context.Context, a safepoint.Actor, databaseID string) ([]app.ScheduleCard, error)
	Schedule(ctx context.Context, a safepoint.Actor, id string) (app.ScheduleCard, error)
	CreateSchedule(ctx context.Context, a safepoint.Actor, in app.ScheduleInput) (safepoint.Schedule, error)
	UpdateSchedule(ctx context.Context, a safepoint.Actor, id string, in app.ScheduleInput) (safepoint.Schedule, error)
	DisableSchedule(ctx context.Context, a safepoint.Actor, id string) (safepoint.Schedule, error)
	EnableSchedule(ctx context.Context, a safepoint.Actor, id string) (safepoint.Schedule, error)
	Overview(ctx context.Context, a safepoint.Actor) (app.Overview, error)
	Storages(ctx context.Context, a safepoint.Actor) ([]app.StorageUse, error)
	StorageUse(ctx context.Context, a safepoint.Actor, id string) (app.StorageUse, error)
	StorageForecast(ctx context.Context, a safepoint.Actor, id string) (app.StorageHealth, error)
	TestStorage(ctx context.Context, a safepoint.Actor, id string) (app.StorageTest, error)
	StoredByDatabase(ctx context.Context, a safepoint.Actor) ([]app.Stored, error)

	Health(ctx context.Context, a safepoint.Actor, f app.HealthFilter) (app.Health, error)
	DatabaseHealth(ctx context.Context, a safepoint.Actor, id string, days int) (app.DatabaseHealth, error)
	Notices(ctx context.Context, a safepoint.Actor) (app.NoticeList, error)
	DismissNotice(ctx context.Context, a safepoint.Actor, id string) error

	Operations(ctx context.Context, a safepoint.Actor, f safepoint.OperationFilter) (safepoint.OperationPage, error)
	Operation(ctx context.Context, a safepoint.Actor, id string) (safepoint.Operation, error)
	StepTimes(ctx context.Context, a safepoint.Actor, restoreID string) (map[safepoint.Step]time.Duration, error)
	Journal(ctx context.Context, a safepoint.Actor, id string) ([]safepoint.JournalEntry, error)
	Running(ctx context.Context, a safepoint.Actor) ([]safepoint.Operation, error)
	StartBackup(ctx context.Context, a safepoint.Actor, databaseID string) (safepoint.Operation, error)
	CheckUpload(ctx context.Context, a safepoint.Actor, in app.UploadInput, head []byte) error
	Upload(ctx context.Context, a safepoint.Actor, in app.UploadInput, r io.Reader) (safepoint.Operation, error)
	Cancel(ctx context.Context, a safepoint.Actor, id string) (safepoint.Operation, error)
	OpenDownloadPart(ctx context.Context, a safepoint.Actor, id string, part app.Part) (app.Download, error)
	BackupTables(ctx context.Context, a safepoint.Actor, id string) (safepoint.Operation, []app.BackupTable, error)
	OpenTables(ctx context.Context, a safepoint.Actor, id string, c app.TableChoice) (app.TableDownload, error)
	PreviewDelete(ctx context.Context, a safepoint.Actor, id string) (app.DeletePreview, error)
	DeleteBackup(ctx context.Context, a safepoint.Actor, id, confirm string) error
	PreviewRestore(ctx context.Context, a safepoint.Actor, id string) (app.RestorePreview, error)
	StartRestore(ctx context.Context, a safepoint.Actor, id string, in app.RestoreInput) (safepoint.Operation, error)
	StartRestoreInto(ctx context.Context, a safepoint.Actor, id string, in app.NewDatabase) (safepoint.Operation, error)
	StartUndo(ctx context.Context, a safepoint.Actor, restoreID string) (safepoint.Operation, error)
}
