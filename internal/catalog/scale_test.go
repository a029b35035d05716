package catalog

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/safepoint-db/safepoint"
)

// TestListsAreRight compares every answer of the quick lists with plain SQL over all rows: random rows, changes of them,
// filters and pages.
func TestListsAreRight(t *testing.T) {
	for seed := range uint64(5) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			f := newFixture(t)
			r := rand.New(rand.NewPCG(seed, 5))
			// Each way to search has to be right with few rows, too.
			f.limits = limits{counted: pick(r, 1000, 5), readable: pick(r, 0, 0, 5000), pieces: pick(r, 0, 0, 5000), uncertain: pick(r, 0, 3, 20_000)}
			g := &generator{fixture: f, Rand: r}
			for range 3 {
				g.operations(120)
				g.change(80)
				g.audit(100)
				if r.IntN(2) == 0 {
					f.ok(f.MergeWords(f.ctx))
				}
				g.checkCounts()
				for range 40 {
					g.checkLogs()
					g.checkAudit()
				}
			}
		})
	}
}

type generator struct {
	*fixture
	*rand.Rand
	n    int // rows there are
	rows int // that were made
}

func pick[T any](r *rand.Rand, all ...T) T { return all[r.IntN(len(all))] }

func (g *generator) org() string { return pick(g.Rand, "org_a", "org_a", "org_b") }

// when is a time of three months, often one that another row has.
func (g *generator) when() time.Time {
	return fromMillis(1_790_000_000_000 + int64(g.IntN(90))*msPerDay + pick(g.Rand, 0, int64(g.IntN(msPerDay))))
}

// operations writes rows as the program and its recovery would.
func (g *generator) operations(n int) {
	for range n {
		g.n, g.rows = g.n+1, g.rows+1
		op := safepoint.Operation{
			ID: fmt.Sprintf("op_%04d_%d", g.IntN(10_000), g.rows), OrganizationID: g.org(), DatabaseID: pick(g.Rand, "db_1", "db_2", "db_3"), DatabaseName: "shop",
			Engine: "postgres", Type: pick(g.Rand, safepoint.TypeBackup, safepoint.TypeBackup, safepoint.TypeRestore), Trigger: safepoint.TriggerManual,
			Status: pick(g.Rand, safepoint.StatusSucceeded, safepoint.StatusSucceeded, safepoint.StatusFailed, safepoint.StatusQueued, safepoint.StatusMissed),
			Name:   pick(g.Rand, "Shop", "harbor_prod", "100%", "a", "Größe", `quo"te`) + g.when().Format("_2006-01-02_150405-utc") + ".sql.zst", CreatedAt: g.when(), Size: int64(g.IntN(1000)),
		}
		if op.Type == safepoint.TypeBackup && g.IntN(2) == 0 {
			op.ScheduleID, op.DueAt = pick(g.Rand, "sch_1", "sch_2"), op.CreatedAt.Add(time.Duration(g.rows)*time.Millisecond) // each its own
		}
		tx, err := g.db.begin(g.ctx)
		g.ok(err)
		g.ok(insertOperation(g.ctx, tx, op, job{}))
		g.ok(tx.Commit())
	}
}

// change does to random rows what happens to them later.
func (g *generator) change(n int) {
	changes := []string{
		`status = 'running'`, `status = 'succeeded', size = size + 7`, `status = 'failed'`, `deleting_at = 5`, `deleting_at = 5, deleted_at = 6`, `finished_at = created_at + 90000`, `deleted_at = created_at + 200000000`,
		`name = 'renamed_' || name`, `size = 0, progress = '{}'`, `progress = ''`,
	}
	for range n {
		_, err := g.db.ExecContext(g.ctx, `UPDATE operations SET `+pick(g.Rand, changes...)+` WHERE id = (SELECT id FROM operations ORDER BY id LIMIT 1 OFFSET $1)`, g.IntN(g.n))
		g.ok(err)
	}
	_, err := g.db.ExecContext(g.ctx, `DELETE FROM operations WHERE status = 'missed' AND id < 'op_1' AND NOT EXISTS (SELECT 1 FROM journal WHERE operation_id = operations.id)`)
	g.ok(err)
	g.ok(g.db.QueryRowContext(g.ctx, `SELECT count(*) FROM operations`).Scan(&g.n))
}

func (g *generator) audit(n int) {
	for range n {
		_, err := g.AddAudit(g.ctx, safepoint.AuditEntry{
			At: g.when(), OrganizationID: g.org(), ActorName: pick(g.Rand, "Rahel", "Ännchen", "Vera", ""), Action: pick(g.Rand, "schedule.update", "backup", "restore"),
			ObjectName: pick(g.Rand, "Shop", "harbor_prod_2026", "50%", "x"), ObjectID: fmt.Sprintf("op_%d", g.IntN(50)),
		})
		g.ok(err)
	}
}

// checkCounts compares what triggers keep with the rows.
func (g *generator) checkCounts() {
	g.t.Helper()
	for kept, rows := range map[string]string{
		`SELECT organization_id || database_id || week || type || status, n FROM log_counts WHERE n <> 0 AND database_id <> '*'`: `SELECT
			organization_id || database_id || (created_at / 604800000) || type || status, count(*) FROM operations WHERE deleted_at = 0 GROUP BY 1`,
		`SELECT organization_id || week || type || status, n FROM log_counts WHERE n <> 0 AND database_id = '*'`: `SELECT
			organization_id || (created_at / 604800000) || type || status, count(*) FROM operations WHERE deleted_at = 0 GROUP BY 1`,
		`SELECT organization_id || database_id || bytes, n FROM kept_counts WHERE n <> 0`: `SELECT organization_id || database_id || sum(size), count(*)
			FROM operations WHERE ` + kept + ` GROUP BY organization_id, database_id`,
		`SELECT organization_id || day || '.' || first_seq || '.' || last_seq, n FROM audit_counts`: `SELECT
			organization_id || (at / 86400000) || '.' || min(seq) || '.' || max(seq), count(*) FROM audit GROUP BY organization_id, at / 86400000`,
		`SELECT organization_id || '.' || day, bytes FROM storage_days WHERE bytes <> 0`: `SELECT id, n FROM (SELECT id, sum(n) AS n FROM (
			SELECT organization_id || '.' || (finished_at / 86400000) AS id, size AS n FROM operations WHERE type = 'backup' AND status = 'succeeded'
			UNION ALL SELECT organization_id || '.' || (deleted_at / 86400000), -size FROM operations WHERE type = 'backup' AND status = 'succeeded' AND deleted_at > 0)
			GROUP BY id) WHERE n <> 0`,
		`SELECT id || last_run || ' ' || last_status || last_good, 1 FROM schedules`: `SELECT s.id ||
			coalesce((SELECT id || ' ' || status FROM operations WHERE schedule_id = s.id AND status NOT IN ('queued','running') ORDER BY due_at DESC LIMIT 1), ' ') ||
			coalesce((SELECT id FROM operations WHERE schedule_id = s.id AND status = 'succeeded' ORDER BY due_at DESC LIMIT 1), ''), 1 FROM schedules s`,
	} {
		got, want := g.table(kept), g.table(rows)
		for key, n := range want {
			if got[key] != n {
				g.t.Fatalf("%s: %s is %d, the rows say %d", kept, key, got[key], n)
			}
		}
		if len(got) != len(want) {
			g.t.Fatalf("%s: %d lines, the rows make %d", kept, len(got), len(want))
		}
	}
}

func (g *generator) table(query string) map[string]int {
	g.t.Helper()
	rows, err := g.db.QueryContext(g.ctx, query)
	g.ok(err)
	defer rows.Close()
	table := map[string]int{}
	for rows.Next() {
		var key string
		var n int
		g.ok(rows.Scan(&key, &n))
		table[key] = n
	}
	g.ok(rows.Err())
	return table
}

// texts are found often, seldom and never; some are special to LIKE or to the index of words.
func (g *generator) text() string {
	return pick(g.Rand, "", "", "shop", "harbor_prod_2026", "SHOP_20", "renamed", "2026-11", "%", "_", "a", "zz", "zst", "0%", "röß", "Größe", "Gr", `o"t`, `"`, "*", "AND", "  ", "é", "utc.sql", "x OR y", "\x00", "\xff\xfe\xfd")
}

func (g *generator) checkLogs() {
	g.t.Helper()
	f := safepoint.OperationFilter{
		Type: pick(g.Rand, "", "", safepoint.TypeBackup, safepoint.TypeRestore), Status: pick(g.Rand, "", "", safepoint.StatusSucceeded, safepoint.StatusFailed, safepoint.StatusRunning),
		DatabaseID: pick(g.Rand, "", "", "db_1", "db_9"), ScheduleID: pick(g.Rand, "", "", "", "sch_1"), Text: g.text(), Limit: min(pick(g.Rand, 1, 4, 50), g.limits.counted),
	}
	if g.IntN(3) == 0 {
		f.From = g.when()
	}
	if g.IntN(3) == 0 {
		f.To = g.when()
	}
	org := g.org()
	all := g.plainLogs(org, f)
	page, err := g.Operations(g.ctx, org, f)
	g.ok(err)
	total, seen := len(all), 0
	for turn := 0; ; turn++ {
		want := all[seen:min(seen+f.Limit, total)]
		counted, more := total, false
		if f.Text != "" && total > g.limits.counted {
			counted, more = g.limits.counted, true
		}
		right := page.Offset == seen || more && page.Offset == -1 && seen+f.Limit > counted || total == 0
		if got := ids(page.Operations); !slices.Equal(got, want) || page.Total != counted || page.More != more || !right {
			g.t.Fatalf("%+v: page %d of %s: %v of %d at %d\nplain SQL says %v of %d at %d", f, turn, org, got, page.Total, page.Offset, want, total, seen)
		}
		if (page.Previous != "") != (seen > 0) || (page.Next != "") != (seen+len(want) < total) {
			g.t.Fatalf("%+v: page %d of %d at %d: previous %q, next %q", f, turn, total, seen, page.Previous, page.Next)
		}
		back := turn > 0 && g.IntN(3) == 0 && seen >= f.Limit
		switch {
		case back:
			f.Cursor, seen = page.Previous, seen-f.Limit
		case page.Next != "" && turn < 12:
			f.Cursor, seen = page.Next, seen+f.Limit
		default:
			return
		}
		page, err = g.Operations(g.ctx, org, f)
		g.ok(err)
	}
}

// plainLogs are the IDs that a filter selects, by looking at every row.
func (g *generator) plainLogs(org string, f safepoint.OperationFilter) (found []string) {
	ops, err := g.operationsOf(`WHERE organization_id = $1 AND deleted_at = 0 ORDER BY place DESC`, org)
	g.ok(err)
	if !slices.IsSortedFunc(ops, func(a, b safepoint.Operation) int { return b.CreatedAt.Compare(a.CreatedAt) }) {
		g.t.Fatal("the places are not in the order of time")
	}
	for _, op := range ops {
		if (f.Type == "" || op.Type == f.Type) && (f.Status == "" || op.Status == f.Status) && (f.DatabaseID == "" || op.DatabaseID == f.DatabaseID) &&
			(f.ScheduleID == "" || op.ScheduleID == f.ScheduleID) && (f.From.IsZero() || !op.CreatedAt.Before(f.From)) && (f.To.IsZero() || op.CreatedAt.Before(f.To)) &&
			has(op.Name, f.Text) {
			found = append(found, op.ID)
		}
	}
	return found
}

func (g *generator) operationsOf(where string, args ...any) ([]safepoint.Operation, error) {
	return g.fixture.Catalog.operations(g.ctx, where, args...)
}

// has is contains for readers of ASCII in any case, as SQLite's LIKE is. A NUL ends what LIKE looks at.
func has(s, text string) bool {
	lower := func(s string) string {
		s, _, _ = strings.Cut(s, "\x00")
		return strings.Map(func(r rune) rune {
			if 'A' <= r && r <= 'Z' {
				return r + 'a' - 'A'
			}
			return r
		}, s)
	}
	return strings.Contains(lower(s), lower(text))
}

func (g *generator) checkAudit() {
	g.t.Helper()
	f := AuditFilter{Who: pick(g.Rand, "", "", "rahel", "VER", "Ä", "v", "zz", "nnch"), What: pick(g.Rand, "", "", "shop", "op_1", "harbor_prod", "schedule.UPD", "%", "x", "backup  shop"), Limit: pick(g.Rand, 3, 50)}
	if g.IntN(3) == 0 {
		f.From = g.when()
	}
	if g.IntN(3) == 0 {
		f.To = g.when()
	}
	org := g.org()
	lines, err := collect(g.ctx, g.db, scanAudit, `SELECT `+auditColumns+` FROM audit WHERE organization_id = $1 ORDER BY seq DESC`, org)
	g.ok(err)
	var want []string
	for _, e := range lines {
		if has(e.ActorName, f.Who) && (has(e.Action, f.What) || has(e.ObjectName, f.What) || has(e.ObjectID, f.What)) &&
			(f.From.IsZero() || !e.At.Before(f.From)) && (f.To.IsZero() || e.At.Before(f.To)) {
			want = append(want, e.ID)
		}
	}
	total := len(want)
	for first := true; ; first = false {
		page, err := g.Audit(g.ctx, org, f)
		g.ok(err)
		var got []string
		for _, e := range page.Entries {
			got = append(got, e.ID)
		}
		n := min(f.Limit, len(want))
		counted, more := total, false
		if f.Who+f.What != "" && total > g.limits.counted {
			counted, more = g.limits.counted, true
		}
		if !slices.Equal(got, want[:n]) || page.Total != counted || page.More != more || (page.Previous == "") != first && n > 0 {
			g.t.Fatalf("%+v of %s: %v of %d (previous %q)\nplain SQL says %v of %d", f, org, got, page.Total, page.Previous, want[:n], total)
		}
		if want = want[n:]; (page.Next != "") != (len(want) > 0) {
			g.t.Fatalf("%+v: %d left, next %q", f, len(want), page.Next)
		}
		if page.Next == "" {
			return
		}
		f.Cursor = page.Next
	}
}

// TestWordsAreMerged has single lines leave parts in the indices of words, and merges them.
func TestWordsAreMerged(t *testing.T) {
	f := newFixture(t)
	g := &generator{fixture: f, Rand: rand.New(rand.NewPCG(1, 5))}
	g.operations(15)
	g.audit(15)
	parts := func(index string) (n int) {
		f.ok(f.db.QueryRow(`SELECT count(DISTINCT segid) FROM ` + index + `_idx`).Scan(&n))
		return n
	}
	for _, index := range []string{"log_words", "audit_words"} {
		if n := parts(index); n < 10 {
			t.Errorf("%s has %d parts: they are merged while lines are written", index, n)
		}
	}
	f.ok(f.MergeWords(f.ctx))
	for _, index := range []string{"log_words", "audit_words"} {
		if n := parts(index); n > 3 {
			t.Errorf("%s still has %d parts", index, n)
		}
	}
	more, err := f.mergeStep(f.ctx, `INSERT INTO log_words (log_words, rank) VALUES ('merge', $1)`)
	if f.ok(err); more {
		t.Error("there is something left to merge")
	}
}

// TestNewestIsFoundInAnIndex asks how SQLite carries out what looks for the newest of something: through an index in which
// it is the first, and not through all that there is of another kind.
func TestNewestIsFoundInAnIndex(t *testing.T) {
	f := newFixture(t)
	var query string
	f.Watch(func(q string) { query = q })
	for _, test := range []struct {
		ask   func() error
		index string
	}{
		{func() error { _, err := f.LastMade(f.ctx, "org_a", "db_1"); return err }, "operations_kept_database (organization_id=? AND database_id=? AND status=?)"},
		{func() error { _, err := f.LastRestore(f.ctx, "org_a", "db_1"); return err }, "operations_restored (organization_id=? AND database_id=? AND status=?)"},
		{func() error {
			_, err := f.LastHalts(f.ctx, "org_a", "db_1", safepoint.RestoreGuarded, 3)
			return err
		}, "operations_restored (organization_id=? AND database_id=? AND status=?)"},
		{func() error { _, err := f.BackupRuns(f.ctx, "org_a", "db_1", f.Now()); return err }, "COVERING INDEX operations_database (database_id=? AND created_at>?)"},
		{func() error { _, err := f.RunCounts(f.ctx, "org_a", f.Now()); return err }, "COVERING INDEX operations_database (database_id=? AND created_at>?)"},
		{func() error { _, err := f.StorageDays(f.ctx, "org_a", f.Now()); return err }, "PRIMARY KEY (day>?)"},
		{func() error { _, err := f.OpenAudit(f.ctx, "restore"); return err }, "audit_open (action=? AND seq>?)"},
		{func() error {
			_, err := f.Audit(f.ctx, "org_a", AuditFilter{Who: "rahel", Uncounted: true})
			return err
		}, "audit_words VIRTUAL TABLE"},
	} {
		f.ok(test.ask())
		plan, err := collect(f.ctx, f.db.DB, func(row scanner) (detail string, err error) {
			var n int
			return detail, row.Scan(&n, &n, &n, &detail)
		}, `EXPLAIN QUERY PLAN `+query, make([]any, strings.Count(query, "$"))...)
		f.ok(err)
		if all := strings.Join(plan, "\n"); !strings.Contains(all, test.index) || strings.Contains(all, "TEMP B-TREE FOR ORDER") {
			t.Errorf("%s\nis carried out by\n%s", query, all)
		}
	}
}
