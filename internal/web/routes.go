package web

import "slices"

// Who says who may use a route. App checks it again; here it decides which page is answered.
type Who string

const (
	Public Who = "public" // anybody
	Viewer Who = "viewer" // every member of the organization
	Admin  Who = "admin"  // its admins
)

// Route is one line of the console's table.
type Route struct {
	Method  string
	Pattern string
	Who     Who
	Live    bool // a stream may follow this page
	handle  handler
}

// handler answers one request: with a page, a redirect, or nil when it has written the answer itself.
// An error is rendered in one place (errors.go).
type handler func(*visit) (reply, error)

// Routes is the whole console: one page per file, named after the page.
func Routes() []Route {
	return slices.Concat(signInRoutes(), scheduleRoutes(), logRoutes(), thingRoutes(), organizationRoutes(), personRoutes(), []Route{
		{"GET", "/events", Viewer, false, streamEvents},
		{"GET", "/static/{file}", Public, false, serveAsset},
		{"GET", "/", Public, false, notFound},
		{"POST", "/", Public, false, notFound},
	})
}

// signInRoutes lead in and out.
func signInRoutes() []Route {
	return []Route{
		{"GET", "/{$}", Public, false, showStart},
		{"GET", "/setup", Public, false, showSetup},
		{"POST", "/setup", Public, false, doSetup},
		{"GET", "/signin", Public, false, showSignIn},
		{"POST", "/signin", Public, false, doSignIn},
		{"POST", "/signin/passkey", Public, false, askSignIn},
		{"GET", "/signin/link", Public, false, showSignInLink},
		{"POST", "/signin/link", Public, false, doSignInLink},
		{"GET", "/invite", Public, false, showInvite},
		{"POST", "/invite", Public, false, doInvite},
		{"POST", "/signout", Public, false, doSignOut},
	}
}

// scheduleRoutes are DB Backup: the guide to a first one, schedules, manual backups, and how all of them fare.
func scheduleRoutes() []Route {
	return []Route{
		{"GET", "/start", Admin, true, showGuide},
		{"POST", "/start/end", Admin, false, doGuideEnd},

		{"GET", "/backups", Viewer, true, showBackups},
		{"GET", "/backups/new", Admin, false, showScheduleNew},
		{"POST", "/backups/new", Admin, false, doScheduleNew},
		{"GET", "/backups/manual", Admin, false, showManual},
		{"POST", "/backups/manual", Admin, false, doManual},
		{"GET", "/backups/{id}", Viewer, true, showSchedule},
		{"GET", "/backups/{id}/edit", Admin, false, showScheduleEdit},
		{"POST", "/backups/{id}/edit", Admin, false, doScheduleEdit},
		{"GET", "/backups/{id}/disable", Admin, false, showDisable},
		{"POST", "/backups/{id}/disable", Admin, false, doDisable},
		{"GET", "/backups/{id}/enable", Admin, false, showEnable},
		{"POST", "/backups/{id}/enable", Admin, false, doEnable},

		{"GET", "/health", Viewer, true, showHealth},
		{"GET", "/health/{id}", Viewer, true, showDatabaseHealth},
		{"GET", "/notices", Viewer, true, showNotices},
		{"POST", "/notices/dismiss", Admin, false, doNoticeDismiss},
	}
}

// logRoutes are DB Logs, what can be done with one entry, and restores.
func logRoutes() []Route {
	return []Route{
		{"GET", "/logs", Viewer, true, showLogs},
		{"GET", "/logs/upload", Admin, false, showUpload},
		{"POST", "/logs/upload", Admin, false, doUpload},
		{"POST", "/logs/upload/check", Admin, false, doUploadCheck},
		{"GET", "/logs/{id}", Viewer, true, showLog},
		{"GET", "/logs/{id}/restore", Admin, false, showRestoreNew},
		{"POST", "/logs/{id}/restore", Admin, false, doRestoreNew},
		{"GET", "/logs/{id}/restore-into", Admin, false, showRestoreInto},
		{"POST", "/logs/{id}/restore-into", Admin, false, doRestoreInto},
		{"GET", "/logs/{id}/delete", Admin, false, showDelete},
		{"POST", "/logs/{id}/delete", Admin, false, doDelete},
		{"GET", "/logs/{id}/cancel", Admin, false, showCancel},
		{"POST", "/logs/{id}/cancel", Admin, false, doCancel},
		{"GET", "/logs/{id}/file", Admin, false, doDownload},
		{"GET", "/logs/{id}/tables", Admin, false, showTables},
		{"GET", "/logs/{id}/tables.sql", Admin, false, doTables},
		{"GET", "/stepup", Viewer, false, showStepUp},
		{"POST", "/stepup", Viewer, false, doStepUp},
		{"POST", "/stepup/passkey", Viewer, false, askStepUp},

		{"GET", "/restores/{id}", Viewer, true, showRestore},
		{"GET", "/restores/{id}/undo", Admin, false, showUndo},
		{"POST", "/restores/{id}/undo", Admin, false, doUndo},
		{"POST", "/restores/{id}/resume", Admin, false, doRestoreResume},
	}
}

// thingRoutes are what an organization has: databases, storage, services.
func thingRoutes() []Route {
	return []Route{
		{"GET", "/databases", Viewer, true, showDatabases},
		{"GET", "/databases/new", Admin, false, showDatabaseNew},
		{"POST", "/databases/new", Admin, false, doDatabaseNew},
		{"GET", "/databases/{id}", Viewer, true, showDatabase},
		{"GET", "/databases/{id}/edit", Admin, false, showDatabaseEdit},
		{"POST", "/databases/{id}/edit", Admin, false, doDatabaseEdit},
		{"POST", "/databases/{id}/test", Admin, false, doDatabaseTest},
		{"GET", "/databases/{id}/delete", Admin, false, showDatabaseDelete},
		{"POST", "/databases/{id}/delete", Admin, false, doDatabaseDelete},

		{"GET", "/storage", Viewer, true, showStorages},
		{"GET", "/storage/{id}", Viewer, true, showStorage},
		{"POST", "/storage/{id}/test", Admin, false, doStorageTest},

		{"GET", "/services", Viewer, true, showServices},
		{"GET", "/services/new", Admin, false, showServiceNew},
		{"POST", "/services/new", Admin, false, doServiceNew},
		{"POST", "/services/order", Admin, false, doServiceOrder},
		{"GET", "/services/{id}", Viewer, false, showService},
		{"GET", "/services/{id}/edit", Admin, false, showServiceEdit},
		{"POST", "/services/{id}/edit", Admin, false, doServiceEdit},
		{"GET", "/services/{id}/test", Admin, false, showServiceTest},
		{"POST", "/services/{id}/test", Admin, false, doServiceTest},
		{"POST", "/services/{id}/resume", Admin, false, doServiceResume},
		{"GET", "/services/{id}/delete", Admin, false, showServiceDelete},
		{"POST", "/services/{id}/delete", Admin, false, doServiceDelete},
	}
}

// organizationRoutes are its members, its audit log, its settings and its help.
func organizationRoutes() []Route {
	return []Route{
		{"GET", "/members", Viewer, false, showMembers},
		{"GET", "/members/invite", Admin, false, showMemberInvite},
		{"POST", "/members/invite", Admin, false, doMemberInvite},
		{"POST", "/members/{id}/role", Admin, false, doMemberRole},
		{"GET", "/members/{id}/remove", Admin, false, showMemberRemove},
		{"POST", "/members/{id}/remove", Admin, false, doMemberRemove},

		{"GET", "/audit", Viewer, false, showAudit},
		{"GET", "/audit.csv", Admin, false, doAuditCSV},

		{"GET", "/settings", Viewer, false, showSettings},
		{"GET", "/settings/general", Viewer, false, showSettingsGeneral},
		{"POST", "/settings/general", Admin, false, doSettingsGeneral},
		{"GET", "/settings/security", Viewer, false, showSettingsSecurity},
		{"POST", "/settings/security", Admin, false, doSettingsSecurity},
		{"GET", "/settings/retention", Viewer, false, showSettingsRetention},
		{"POST", "/settings/retention", Admin, false, doSettingsRetention},
		{"GET", "/settings/encryption", Viewer, false, showEncryption},
		{"POST", "/settings/encryption", Admin, false, doRecipientAdd},
		{"POST", "/settings/encryption/on", Admin, false, doEncryptionOn},
		{"GET", "/settings/encryption/off", Admin, false, showEncryptionOff},
		{"POST", "/settings/encryption/off", Admin, false, doEncryptionOff},
		{"GET", "/settings/encryption/{id}", Admin, false, showRecipient},
		{"POST", "/settings/encryption/{id}/prove", Admin, false, doRecipientProve},
		{"GET", "/settings/encryption/{id}/remove", Admin, false, showRecipientRemove},
		{"POST", "/settings/encryption/{id}/remove", Admin, false, doRecipientRemove},
		{"GET", "/settings/encryption/{id}/forget", Admin, false, showKeyForget},
		{"POST", "/settings/encryption/{id}/forget", Admin, false, doKeyForget},

		{"GET", "/help", Viewer, false, showHelp},
		{"GET", "/help/{task}", Viewer, false, showHelpTask},
	}
}

// personRoutes are what one person has in all organizations.
func personRoutes() []Route {
	return []Route{
		{"GET", "/profile", Viewer, false, showProfile},
		{"POST", "/profile/password", Viewer, false, doPassword},
		{"POST", "/profile/display", Viewer, false, doDisplay},
		{"POST", "/profile/sessions/{id}/end", Viewer, false, doSignInEnd},
		{"POST", "/profile/sessions/end-others", Viewer, false, doSignInsEnd},
		{"GET", "/profile/passkeys/new", Viewer, false, showPasskeyNew},
		{"POST", "/profile/passkeys/new", Viewer, false, doPasskeyNew},
		{"POST", "/profile/passkeys/ask", Viewer, false, askPasskeyNew},
		{"GET", "/profile/passkeys/{id}/rename", Viewer, false, showPasskeyRename},
		{"POST", "/profile/passkeys/{id}/rename", Viewer, false, doPasskeyRename},
		{"GET", "/profile/passkeys/{id}/remove", Viewer, false, showPasskeyRemove},
		{"POST", "/profile/passkeys/{id}/remove", Viewer, false, doPasskeyRemove},
		{"POST", "/profile/tokens", Viewer, false, doTokenNew},
		{"GET", "/profile/tokens/{id}/revoke", Viewer, false, showTokenRevoke},
		{"POST", "/profile/tokens/{id}/revoke", Viewer, false, doTokenRevoke},

		{"POST", "/organization", Viewer, false, doOrganizationSwitch},
		{"GET", "/organizations/new", Viewer, false, showOrganizationNew},
		{"POST", "/organizations/new", Viewer, false, doOrganizationNew},
	}
}
