package web

import (
	"slices"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/language"
)

// audited is an action of the audit log in words. They suit every outcome: the action may have been denied.
type audited struct{ Action, Words string }

// actions are the actions of the audit log, in the order of the filter's list.
var actions = []audited{
	{"setup", language.Mark("Set up Safepoint")},
	{"signin", language.Mark("Sign in")},
	{"signin.again", language.Mark("Confirm the sign-in")},
	{"signout", language.Mark("Sign out")},
	{"signin.end", language.Mark("Sign out of another browser")},
	{"password.change", language.Mark("Change the password")},
	{"password.reset", language.Mark("Reset a password")},
	{"passkey.add", language.Mark("Add a passkey")},
	{"passkey.rename", language.Mark("Rename a passkey")},
	{"passkey.remove", language.Mark("Remove a passkey")},
	{"passkey.copied", language.Mark("Use a copied passkey")},
	{"organization.create", language.Mark("Create an organization")},
	{"organization.update", language.Mark("Change the settings")},
	{"guide.end", language.Mark("Put the guide away")},
	{"member.invite", language.Mark("Invite a member")},
	{"member.role", language.Mark("Change a role")},
	{"member.remove", language.Mark("Remove a member")},
	{"token.create", language.Mark("Create an API token")},
	{"token.revoke", language.Mark("Revoke an API token")},
	{"database.create", language.Mark("Connect a database")},
	{"database.update", language.Mark("Change a database")},
	{"database.test", language.Mark("Test a database")},
	{"database.remove", language.Mark("Remove a database")},
	{"storage.test", language.Mark("Test the storage")},
	{"schedule.create", language.Mark("Create a schedule")},
	{"schedule.update", language.Mark("Change a schedule")},
	{"schedule.enable", language.Mark("Enable a schedule")},
	{"notice.dismiss", language.Mark("Dismiss a notice")},
	{"schedule.disable", language.Mark("Disable a schedule")},
	{"backup", language.Mark("Back up a database")},
	{"upload", language.Mark("Upload a backup")},
	{"backup.download", language.Mark("Download a backup")},
	{"backup.tables", language.Mark("Download tables of a backup")},
	{"backup.delete", language.Mark("Delete a backup")},
	{"cancel", language.Mark("Cancel an operation")},
	{"restore", language.Mark("Restore a backup")},
	{"undo", language.Mark("Undo a restore")},
	{"restore.resume", language.Mark("Go on with a restore")},
	{"service.create", language.Mark("Add a service")},
	{"service.update", language.Mark("Change a service")},
	{"service.order", language.Mark("Order the services")},
	{"service.test", language.Mark("Test a service")},
	{"service.resume", language.Mark("Resume a service")},
	{"service.remove", language.Mark("Remove a service")},
	{"encryption.recipient.add", language.Mark("Add an encryption key")},
	{"encryption.challenge", language.Mark("Ask for the proof of an encryption key")},
	{"encryption.recipient.prove", language.Mark("Prove an encryption key")},
	{"encryption.recipient.remove", language.Mark("Remove an encryption key")},
	{"encryption.key.forget", language.Mark("Forget an encryption key")},
	{"encryption.on", language.Mark("Turn encryption on")},
	{"encryption.off", language.Mark("Turn encryption off")},
	{"log.recover", language.Mark("Recover the log")},
}

// action says an action in words, or its code where it has none.
func (c locale) action(code string) string {
	for _, a := range actions {
		if a.Action == code {
			return c.Say(a.Words)
		}
	}
	return code
}

// fields are what an action may have changed, by their names in the API.
var fields = map[string]string{
	"name": language.Mark("Name"), "description": language.Mark("Description"), "interval": language.Mark("Interval"),
	"time_zone": language.Mark("Time zone"), "language": language.Mark("Language"), "undo_window": language.Mark("Undo window"),
	"session_idle": language.Mark("Sign people out after"), "role": language.Mark("Role"), "address": language.Mark("Address"),
	"user": language.Mark("User"), "tls": language.Mark("TLS"), "password": language.Mark("Password"), "host": language.Mark("Host"),
	"port": language.Mark("Port"), "database": language.Mark("Database"), "timeout": language.Mark("Timeout"),
	"instant_switch": language.Mark("Instant switch"), "halt_url": language.Mark("Halt URL"), "resume_url": language.Mark("Resume URL"),
	"health_url": language.Mark("Health URL"), "secret": language.Mark("Secret"),
}

// field says what an action changed, or its name in the API.
func (c locale) field(name string) string {
	if words, ok := fields[name]; ok {
		return c.Say(words)
	}
	return name
}

// isAction says whether an action has this name.
func isAction(name string) bool {
	return slices.ContainsFunc(actions, func(a audited) bool { return a.Action == name })
}

// ended says how an action came out, "" while that is not known.
func (c locale) ended(outcome string) string {
	if outcome == "denied" {
		return c.Say("Denied")
	}
	return word(c, statusLabels, safepoint.Status(outcome))
}

// via says by which door an action came.
func (c locale) via(door string) string {
	switch door {
	case "session":
		return c.Say("Console")
	case "token":
		return c.Say("API token")
	case "system":
		return "Safepoint"
	}
	return door
}
