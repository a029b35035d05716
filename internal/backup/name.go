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

// EncryptedName is name, of a backup's file that is encrypted.
func EncryptedName(name string) string {
	return strings.TrimSuffix(name, safepoint.EncryptedExtension) + safepoint.EncryptedExtension
}

// StorageKey is where the file of op is stored: "ORGANIZATION/DATABASE/NAME.OPERATION.sql.zst", with ".age" behind it
// where it is encrypted. The operation's ID makes it one of a kind; the name lets a person find it without us.
func StorageKey(op safepoint.Operation) string {
	extension := safepoint.BackupExtension
	if len(op.Recipients) > 0 {
		extension += safepoint.EncryptedExtension
	}
	name := strings.TrimSuffix(op.Name, extension)
	if name == op.Name { // not a file name of ours
		name = safepoint.FileSafe(name)
	}
	return op.OrganizationID + "/" + op.DatabaseID + "/" + name + "." + op.ID + extension
}
