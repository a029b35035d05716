package safepoint

import (
	"strings"
	"time"
)

// BackupExtension ends the name of every backup file: SQL, compressed with zstd.
const BackupExtension = ".sql.zst"

// EncryptedExtension follows it where the file is encrypted with age.
const EncryptedExtension = ".age"

// BackupFileName is what a backup's file is called for people, such as "shop_2026-11-22_140000-utc.sql.zst" or, for a safety
// backup, "shop_2026-11-22_140000-utc_safety.sql.zst". The time is in UTC: of the start, or for a scheduled run when it is
// due. It holds a-z, 0-9, "-", "_" and "." only.
func BackupFileName(database string, at time.Time, trigger Trigger) string {
	name := FileSafe(database) + at.UTC().Format("_2006-01-02_150405-utc")
	if trigger == TriggerSafety {
		name += "_safety"
	}
	if trigger == TriggerUpload {
		name += "_upload"
	}
	return name + BackupExtension
}

// FileSafe keeps of s what may be part of a file name anywhere: at most 60 of a-z, 0-9, "-" and "_", beginning and ending
// with neither sign; "database" if nothing is left.
func FileSafe(s string) string {
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
