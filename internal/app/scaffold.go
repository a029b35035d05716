package app

import (
	"context"
	"time"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/event"
	"github.com/safepoint-db/safepoint/internal/halt"
)

// Scaffolding while the parts are built at once: each method moves to the file named above it.

var errNotYet = safepoint.Errorf(safepoint.CodeInternal, "not built yet")

// App does what users ask for. See New.
type App struct{}

// accounts.go

func (app *App) SetupNeeded(ctx context.Context) (_ bool, err error) { err = errNotYet; return }

// NewSetupCode: printed by the server at start; only its hash is kept; 30 minutes
func (app *App) NewSetupCode(ctx context.Context) (_ string, err error) { err = errNotYet; return }
func (app *App) Setup(ctx context.Context, in Setup, ip, agent string) (session string, err error) {
	err = errNotYet
	return
}
func (app *App) SignIn(ctx context.Context, email, password, ip, agent string) (session string, err error) {
	err = errNotYet
	return
}
func (app *App) SignInWithLink(ctx context.Context, link, ip, agent string) (session string, err error) {
	err = errNotYet
	return
}

// NewSignInLink: the secret part; demo
func (app *App) NewSignInLink(ctx context.Context, userID string, ttl time.Duration) (link string, err error) {
	err = errNotYet
	return
}
func (app *App) AcceptInvite(ctx context.Context, link, name, password, ip, agent string) (session string, err error) {
	err = errNotYet
	return
}
func (app *App) SignOut(ctx context.Context, session string) (err error) { err = errNotYet; return }

// Session: CodeUnauthorized
func (app *App) Session(ctx context.Context, session, ip string) (_ safepoint.Actor, err error) {
	err = errNotYet
	return
}

// Reenter: the step-up
func (app *App) Reenter(ctx context.Context, a safepoint.Actor, session, password string) (err error) {
	err = errNotYet
	return
}

// TokenActor: organizationID "" is the token's own; another is CodeNotFound
func (app *App) TokenActor(ctx context.Context, secret, organizationID, ip string) (_ safepoint.Actor, err error) {
	err = errNotYet
	return
}
func (app *App) SwitchOrganization(ctx context.Context, a safepoint.Actor, session, organizationID string) (err error) {
	err = errNotYet
	return
}
func (app *App) ChangePassword(ctx context.Context, a safepoint.Actor, session, old, new string) (err error) {
	err = errNotYet
	return
}
func (app *App) SetTheme(ctx context.Context, a safepoint.Actor, theme string) (err error) {
	err = errNotYet
	return
}
func (app *App) Memberships(ctx context.Context, a safepoint.Actor) (_ []safepoint.Membership, err error) {
	err = errNotYet
	return
}

// Tokens: the actor's own
func (app *App) Tokens(ctx context.Context, a safepoint.Actor) (_ []safepoint.Token, err error) {
	err = errNotYet
	return
}
func (app *App) CreateToken(ctx context.Context, a safepoint.Actor, name string, ttl time.Duration) (t safepoint.Token, secret string, err error) {
	err = errNotYet
	return
}
func (app *App) RevokeToken(ctx context.Context, a safepoint.Actor, id string) (err error) {
	err = errNotYet
	return
}

// Login: for the CLI; organizationID "" is the first
func (app *App) Login(ctx context.Context, email, password, organizationID, tokenName, ip string) (m safepoint.Membership, t safepoint.Token, secret string, err error) {
	err = errNotYet
	return
}

// organization.go

func (app *App) Organization(ctx context.Context, a safepoint.Actor) (_ safepoint.Organization, err error) {
	err = errNotYet
	return
}
func (app *App) CreateOrganization(ctx context.Context, a safepoint.Actor, name, timeZone string) (_ safepoint.Organization, err error) {
	err = errNotYet
	return
}
func (app *App) UpdateOrganization(ctx context.Context, a safepoint.Actor, name, timeZone string, undo time.Duration) (_ safepoint.Organization, err error) {
	err = errNotYet
	return
}
func (app *App) Members(ctx context.Context, a safepoint.Actor) (_ []safepoint.Member, err error) {
	err = errNotYet
	return
}

// InviteMember: link "" for a user who has a password already
func (app *App) InviteMember(ctx context.Context, a safepoint.Actor, in MemberInput) (m safepoint.Member, link string, err error) {
	err = errNotYet
	return
}
func (app *App) SetRole(ctx context.Context, a safepoint.Actor, userID string, role safepoint.Role) (err error) {
	err = errNotYet
	return
}
func (app *App) RemoveMember(ctx context.Context, a safepoint.Actor, userID string) (err error) {
	err = errNotYet
	return
}
func (app *App) State(ctx context.Context, a safepoint.Actor) (_ safepoint.OrganizationState, err error) {
	err = errNotYet
	return
}
func (app *App) Subscribe(a safepoint.Actor) (events <-chan event.Event, end func(), err error) {
	err = errNotYet
	return
}
func (app *App) Audit(ctx context.Context, a safepoint.Actor, f AuditFilter) (_ AuditPage, err error) {
	err = errNotYet
	return
}

// databases.go

func (app *App) Databases(ctx context.Context, a safepoint.Actor) (_ []safepoint.Database, err error) {
	err = errNotYet
	return
}
func (app *App) Database(ctx context.Context, a safepoint.Actor, id string) (_ safepoint.Database, err error) {
	err = errNotYet
	return
}
func (app *App) CreateDatabase(ctx context.Context, a safepoint.Actor, in DatabaseInput) (_ safepoint.Database, err error) {
	err = errNotYet
	return
}
func (app *App) UpdateDatabase(ctx context.Context, a safepoint.Actor, id string, in DatabaseInput) (_ safepoint.Database, err error) {
	err = errNotYet
	return
}
func (app *App) RemoveDatabase(ctx context.Context, a safepoint.Actor, id string) (err error) {
	err = errNotYet
	return
}
func (app *App) TestDatabase(ctx context.Context, a safepoint.Actor, id string) (_ TestResult, err error) {
	err = errNotYet
	return
}

// TryDatabase: before it is saved
func (app *App) TryDatabase(ctx context.Context, a safepoint.Actor, in DatabaseInput) (_ TestResult, err error) {
	err = errNotYet
	return
}

// services.go

func (app *App) Services(ctx context.Context, a safepoint.Actor) (_ []safepoint.Service, err error) {
	err = errNotYet
	return
}
func (app *App) Service(ctx context.Context, a safepoint.Actor, id string) (_ safepoint.Service, err error) {
	err = errNotYet
	return
}
func (app *App) CreateService(ctx context.Context, a safepoint.Actor, in ServiceInput) (s safepoint.Service, secret string, err error) {
	err = errNotYet
	return
}
func (app *App) UpdateService(ctx context.Context, a safepoint.Actor, id string, in ServiceInput) (_ safepoint.Service, err error) {
	err = errNotYet
	return
}
func (app *App) RemoveService(ctx context.Context, a safepoint.Actor, id string) (err error) {
	err = errNotYet
	return
}
func (app *App) OrderServices(ctx context.Context, a safepoint.Actor, ids []string) (err error) {
	err = errNotYet
	return
}
func (app *App) ServiceStatus(ctx context.Context, a safepoint.Actor, id string) (_ halt.Status, err error) {
	err = errNotYet
	return
}
func (app *App) TestService(ctx context.Context, a safepoint.Actor, id string) (_ ServiceTest, err error) {
	err = errNotYet
	return
}

// ResumeService: by hand, after a restore could not
func (app *App) ResumeService(ctx context.Context, a safepoint.Actor, id string) (err error) {
	err = errNotYet
	return
}

// schedules.go

func (app *App) Schedules(ctx context.Context, a safepoint.Actor) (_ []ScheduleCard, err error) {
	err = errNotYet
	return
}
func (app *App) Schedule(ctx context.Context, a safepoint.Actor, id string) (_ ScheduleCard, err error) {
	err = errNotYet
	return
}
func (app *App) CreateSchedule(ctx context.Context, a safepoint.Actor, in ScheduleInput) (_ safepoint.Schedule, err error) {
	err = errNotYet
	return
}
func (app *App) UpdateSchedule(ctx context.Context, a safepoint.Actor, id string, in ScheduleInput) (_ safepoint.Schedule, err error) {
	err = errNotYet
	return
}
func (app *App) DisableSchedule(ctx context.Context, a safepoint.Actor, id string) (_ safepoint.Schedule, err error) {
	err = errNotYet
	return
}
func (app *App) EnableSchedule(ctx context.Context, a safepoint.Actor, id string) (_ safepoint.Schedule, err error) {
	err = errNotYet
	return
}
func (app *App) Overview(ctx context.Context, a safepoint.Actor) (_ Overview, err error) {
	err = errNotYet
	return
}

// operations.go

func (app *App) Operations(ctx context.Context, a safepoint.Actor, f safepoint.OperationFilter) (_ safepoint.OperationPage, err error) {
	err = errNotYet
	return
}
func (app *App) Operation(ctx context.Context, a safepoint.Actor, id string) (_ safepoint.Operation, err error) {
	err = errNotYet
	return
}

// Journal: without State
func (app *App) Journal(ctx context.Context, a safepoint.Actor, id string) (_ []safepoint.JournalEntry, err error) {
	err = errNotYet
	return
}

// Running: queued and running, oldest first
func (app *App) Running(ctx context.Context, a safepoint.Actor) (_ []safepoint.Operation, err error) {
	err = errNotYet
	return
}
func (app *App) StartBackup(ctx context.Context, a safepoint.Actor, databaseID string) (_ safepoint.Operation, err error) {
	err = errNotYet
	return
}
func (app *App) Cancel(ctx context.Context, a safepoint.Actor, id string) (_ safepoint.Operation, err error) {
	err = errNotYet
	return
}

// OpenDownload: CodeStepUp if the password was not entered in the last 5 minutes
func (app *App) OpenDownload(ctx context.Context, a safepoint.Actor, id string) (_ Download, err error) {
	err = errNotYet
	return
}
func (app *App) PreviewDelete(ctx context.Context, a safepoint.Actor, id string) (_ DeletePreview, err error) {
	err = errNotYet
	return
}
func (app *App) DeleteBackup(ctx context.Context, a safepoint.Actor, id, confirm string) (err error) {
	err = errNotYet
	return
}
func (app *App) PreviewRestore(ctx context.Context, a safepoint.Actor, id string) (_ RestorePreview, err error) {
	err = errNotYet
	return
}
func (app *App) StartRestore(ctx context.Context, a safepoint.Actor, id, confirm string) (_ safepoint.Operation, err error) {
	err = errNotYet
	return
}
func (app *App) StartUndo(ctx context.Context, a safepoint.Actor, restoreID string) (_ safepoint.Operation, err error) {
	err = errNotYet
	return
}
