package catalog

import (
	"testing"
	"time"

	"github.com/safepoint-db/safepoint"
)

// BenchmarkLogs reads pages of DB Logs of an organization with a million entries.
func BenchmarkLogs(b *testing.B) {
	c, err := Open(b.Context(), b.TempDir()+"/catalog.db")
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	for _, q := range []string{
		`PRAGMA synchronous = OFF`,
		`INSERT INTO organizations (id, name, time_zone, undo_window_ms, created_at) VALUES ('org_a', 'A', 'UTC', 0, 1)`,
		`WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000000)
		INSERT INTO operations (id, organization_id, database_id, database_name, engine, type, triggered_by, status, name, created_at)
		SELECT printf('op_%016d', i), 'org_a', 'db_' || (i % 20), 'shop', 'postgres', CASE i % 50 WHEN 0 THEN 'restore' ELSE 'backup' END,
			'scheduled', CASE i % 30 WHEN 0 THEN 'failed' ELSE 'succeeded' END, 'shop_2026-11-22_' || i || '.sql.zst', 1700000000000 + i * 60000 FROM n`,
	} {
		if _, err := c.db.ExecContext(b.Context(), q); err != nil {
			b.Fatal(err)
		}
	}
	at := func(i int64) string { return logCursor{false, (1700000000000 + i*60000) * placesPerMs}.String() }
	for name, f := range map[string]safepoint.OperationFilter{
		"first":    {},
		"deep":     {Cursor: at(500000)},
		"type":     {Type: safepoint.TypeRestore},
		"status":   {Status: safepoint.StatusFailed},
		"database": {DatabaseID: "db_7"},
		"text":     {Text: "999"},
		"month":    {From: time.UnixMilli(1700000000000 + 900000*60000)},
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := c.Operations(b.Context(), "org_a", f); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
