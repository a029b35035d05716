package backup

import (
	"strings"
	"time"

	"github.com/safepoint-db/safepoint"
)

const extension = ".sql.zst"

// FileName is what a backup's file is called for people, such as "shop_2026-11-22_140000.sql.zst" or, for a safety
// backup, "shop_2026-11-22_140000_safety.sql.zst". The time is in UTC. It holds a-z, 0-9, "-", "_" and "." only.
func FileName(database safepoint.Database, at time.Time, trigger safepoint.Trigger) string {
	name := safe(database.Name) + at.UTC().Format("_2006-01-02_150405")
	if trigger == safepoint.TriggerSafety {
		name += "_safety"
	}
	return name + extension
}

// StorageKey is where the file of op is stored: "ORGANIZATION/DATABASE/NAME.OPERATION.sql.zst". The operation's ID
// makes it one of a kind; the name lets a person find it without us.
func StorageKey(op safepoint.Operation) string {
	return op.OrganizationID + "/" + op.DatabaseID + "/" + strings.TrimSuffix(op.Name, extension) + "." + op.ID + extension
}

// safe keeps of s what may be part of a file name anywhere: at most 60 of a-z, 0-9, "-" and "_", beginning with neither sign.
func safe(s string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(s) {
		switch {
		case b.Len() == 60:
		case 'a' <= r && r <= 'z', '0' <= r && r <= '9', r == '_' && b.Len() > 0:
			b.WriteRune(r)
		case b.Len() > 0 && !strings.HasSuffix(b.String(), "-"):
			b.WriteByte('-')
		}
	}
	if name := strings.TrimRight(b.String(), "-_"); name != "" {
		return name
	}
	return "database"
}
