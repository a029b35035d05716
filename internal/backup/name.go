package backup

import (
	"strings"
	"time"

	"github.com/safepoint-db/safepoint"
)

// FileName is what a backup's file is called for people: see safepoint.BackupFileName.
func FileName(database safepoint.Database, at time.Time, trigger safepoint.Trigger) string {
	return safepoint.BackupFileName(database.Name, at, trigger)
}

// StorageKey is where the file of op is stored: "ORGANIZATION/DATABASE/NAME.OPERATION.sql.zst". The operation's ID
// makes it one of a kind; the name lets a person find it without us.
func StorageKey(op safepoint.Operation) string {
	name := strings.TrimSuffix(op.Name, safepoint.BackupExtension)
	if name == op.Name { // not a file name of ours
		name = safepoint.FileSafe(name)
	}
	return op.OrganizationID + "/" + op.DatabaseID + "/" + name + "." + op.ID + safepoint.BackupExtension
}
