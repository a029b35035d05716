package safepoint

import (
	"strings"
	"testing"
	"time"
)

func TestBackupFileName(t *testing.T) {
	at := time.Date(2026, 11, 22, 15, 0, 0, 0, time.FixedZone("CET", 3600))
	for name, want := range map[string]string{
		"shop":                   "shop_2026-11-22_140000-utc.sql.zst",
		"Shop EU / north":        "shop-eu-north_2026-11-22_140000-utc.sql.zst",
		"../../etc/passwd":       "etc-passwd_2026-11-22_140000-utc.sql.zst",
		"🐘🐘":                     "database_2026-11-22_140000-utc.sql.zst",
		"-rf":                    "rf_2026-11-22_140000-utc.sql.zst",
		"harbor_prod":            "harbor_prod_2026-11-22_140000-utc.sql.zst",
		strings.Repeat("x", 300): strings.Repeat("x", 60) + "_2026-11-22_140000-utc.sql.zst",
	} {
		if got := BackupFileName(name, at, TriggerScheduled); got != want {
			t.Errorf("%q: %s, want %s", name, got, want)
		}
	}
	if got := BackupFileName("shop", at, TriggerSafety); got != "shop_2026-11-22_140000-utc_safety.sql.zst" {
		t.Error(got)
	}
}
