package pages

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"time"

	_ "modernc.org/sqlite" // the organization's database, and rows written straight into the catalog

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/app"
	"github.com/safepoint-db/safepoint/internal/server"
)

// Size is how much an organization has.
type Size struct {
	Databases, Schedules, Entries, Audit int
	Other                                int // entries of a second organization, whose names are the same
}

// The two sizes that issue 5 speaks of: a very large organization, and an ordinary one.
var (
	Large    = Size{Databases: 200, Schedules: 1000, Entries: 1_000_000, Audit: 1_000_000, Other: 50_000}
	Ordinary = Size{Databases: 3, Schedules: 5, Entries: 500, Audit: 500, Other: 50}
)

const email = "ines@harborline.example" // of the admin

// World is a data directory with an admin who is signed in. Besides the rows that were written into the catalog there
// is one real database, with a backup and a restore that were really made.
type World struct {
	Dir          string
	Session      string // the cookie's value
	Token        string // of the API
	Organization string
	IDs          map[string]string // what {id} is below a path
	Begins       time.Time         // when the first row was made
	Database     string            // one of many
	service      *httptest.Server
	size         Size
}

// Close ends what the world's service is.
func (w *World) Close() { w.service.Close() }

// Build makes a world in the folder dir.
func Build(ctx context.Context, dir string, size Size) (*World, error) {
	w := &World{Dir: filepath.Join(dir, "data"), IDs: map[string]string{}, size: size}
	w.service = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(http.StatusNoContent) }))
	err := w.live(ctx, dir)
	if err == nil {
		err = w.fill(ctx)
	}
	if err != nil {
		w.Close()
		return nil, err
	}
	return w, nil
}

// live lets a server do once what an organization does.
func (w *World) live(ctx context.Context, dir string) (err error) {
	s, err := server.Open(ctx, server.Config{DataDir: w.Dir, Addr: "127.0.0.1:0", Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		return err
	}
	defer s.Close()
	running, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- s.Run(running) }()
	defer func() {
		stop()
		if end := <-ended; err == nil {
			err = end
		}
	}()
	a := s.App
	w.Session, err = a.Setup(ctx, app.Setup{Code: s.SetupCode(), Email: email, Name: "Ines Marlow", Password: "seven tugboats at anchor",
		Organization: "Harborline Freight", TimeZone: "Europe/Zurich"}, "127.0.0.1", "bench")
	if err != nil {
		return err
	}
	by, err := a.Session(ctx, w.Session, "127.0.0.1")
	if err != nil {
		return err
	}
	w.Organization = by.OrganizationID
	if _, w.Token, err = a.CreateToken(ctx, by, "bench", 0); err != nil {
		return err
	}
	d, err := shop(ctx, a, by, filepath.Join(dir, "shop.db"))
	if err != nil {
		return err
	}
	backup, restore, err := work(ctx, a, by, d)
	if err != nil {
		return err
	}
	return w.things(ctx, a, by, d, backup, restore)
}

// shop makes the real database.
func shop(ctx context.Context, a *app.App, by safepoint.Actor, path string) (safepoint.Database, error) {
	db, err := sql.Open("sqlite", path)
	if err != nil {
		return safepoint.Database{}, err
	}
	defer db.Close()
	for i := range 40 {
		_, err := db.ExecContext(ctx, fmt.Sprintf(`CREATE TABLE orders_%02d (id INTEGER PRIMARY KEY, what TEXT); INSERT INTO orders_%02d (what) VALUES ('tea'), ('bread')`, i, i))
		if err != nil {
			return safepoint.Database{}, err
		}
	}
	return a.CreateDatabase(ctx, by, app.DatabaseInput{Name: "shop", URL: "sqlite://" + path})
}

// work backs the database up and restores it.
func work(ctx context.Context, a *app.App, by safepoint.Actor, d safepoint.Database) (backup, restore safepoint.Operation, err error) {
	if backup, err = a.StartBackup(ctx, by, d.ID); err == nil {
		backup, err = finished(ctx, a, by, backup.ID)
	}
	if err != nil {
		return backup, restore, fmt.Errorf("back up: %w", err)
	}
	if restore, err = a.StartRestore(ctx, by, backup.ID, app.RestoreInput{Confirm: d.Name}); err == nil {
		restore, err = finished(ctx, a, by, restore.ID)
	}
	if err != nil {
		return backup, restore, fmt.Errorf("restore: %w", err)
	}
	return backup, restore, nil
}

// finished waits for the end of an operation.
func finished(ctx context.Context, a *app.App, by safepoint.Actor, id string) (safepoint.Operation, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	events, end, err := a.Subscribe(by)
	if err != nil {
		return safepoint.Operation{}, err
	}
	defer end()
	for {
		op, err := a.Operation(ctx, by, id)
		if err != nil || op.Status == safepoint.StatusSucceeded {
			return op, err
		}
		if op.Status.Ended() {
			return op, fmt.Errorf("%s: %+v", op.Status, op.Failure)
		}
		select {
		case <-events:
		case <-ctx.Done():
			return op, ctx.Err()
		}
	}
}

// things makes one of everything that has a page of its own.
func (w *World) things(ctx context.Context, a *app.App, by safepoint.Actor, d safepoint.Database, backup, restore safepoint.Operation) error {
	s, err := a.CreateSchedule(ctx, by, app.ScheduleInput{Name: "Shop", Interval: safepoint.Every24Hours, DatabaseID: d.ID, FirstRun: time.Now().Add(12 * time.Hour)})
	if err != nil {
		return err
	}
	svc, _, err := a.CreateService(ctx, by, app.ServiceInput{Name: "storefront", Kind: safepoint.ServiceWebhook,
		HaltURL: w.service.URL + "/halt", ResumeURL: w.service.URL + "/resume"})
	if err != nil {
		return err
	}
	m, link, err := a.InviteMember(ctx, by, app.MemberInput{Email: "vera@harborline.example", Name: "Vera", Role: safepoint.RoleViewer})
	if err != nil {
		return err
	}
	r, err := a.AddRecipient(ctx, by, app.RecipientInput{Name: "Ines", Keep: true})
	if err != nil {
		return err
	}
	tokens, err := a.Tokens(ctx, by)
	if err != nil {
		return err
	}
	if other, err := a.CreateOrganization(ctx, by, "Other Freight", "UTC"); err != nil {
		return err
	} else {
		w.IDs["other"] = other.ID
	}
	storages, err := a.Storages(ctx, by)
	if err != nil {
		return err
	}
	w.Database = databaseID(0)
	for path, id := range map[string]string{"/backups/": s.ID, "/logs/": backup.ID, "/restores/": restore.ID, "/databases/": d.ID, "/services/": svc.ID,
		"/members/": m.User.ID, "/settings/encryption/": r.Recipient.ID, "/profile/tokens/": tokens[0].ID, "/invite": url.Values{"token": {link}}.Encode(), "/help/": "restore", "/health/": d.ID, "/storage/": storages[0].ID, "/profile/passkeys/": passkeyID} {
		w.IDs[path] = id
	}
	return nil
}

// passkeyID is that of a passkey which no device has: it has pages, and signs nobody in.
const passkeyID = "psk_0000000000000001"

func databaseID(i int) string { return fmt.Sprintf("db_%016d", i) }

// fill writes the rows, as they would be after years of schedules that ran once a day: of every hundred runs three
// failed and one was missed, of every fifty rows one is a manual backup, and one of a hundred a restore. They are written
// once, without a journal: who breaks it off has no world.
func (w *World) fill(ctx context.Context) error {
	db, err := sql.Open("sqlite", "file:"+filepath.Join(w.Dir, "catalog.db")+"?_pragma=journal_mode(OFF)&_pragma=synchronous(OFF)&_pragma=temp_store(MEMORY)&_pragma=cache_size(-1000000)")
	if err != nil {
		return err
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	restore, err := bare(ctx, tx)
	if err != nil {
		return err
	}
	const day = int64(24 * time.Hour / time.Millisecond)
	// Nothing comes due while pages are measured.
	last := time.Now().Add(2*time.Hour).UnixMilli() - day
	n, runs := w.size, int64((w.size.Entries+w.size.Schedules-1)/w.size.Schedules)
	w.Begins = time.UnixMilli(last - runs*day)
	numbers := `WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < $1) `
	for _, q := range []struct {
		text string
		args []any
	}{
		{numbers + `INSERT INTO databases (id, organization_id, name, engine, host, port, username, dbname, server_version, created_at, created_by, created_by_name)
			SELECT printf('db_%016d', i), $2, printf('harbor_%03d', i), 'postgres', '127.0.0.1', 1, 'backup', 'harbor', '17.2', $3, '', 'Ines Marlow' FROM n`,
			[]any{n.Databases, w.Organization, last - runs*day}},
		{numbers + `INSERT INTO schedules (id, organization_id, database_id, name, description, interval_ms, anchor, done_until, created_at, created_by, created_by_name, enabled_at, is_active, disabled_at)
			SELECT printf('sch_%016d', i), $2, printf('db_%016d', i % $4), printf('Harbor %04d, daily', i), 'Every night', $5, $3 - $6 * $5 + i * 1000, $3 + i * 1000, $3 - $6 * $5, '', 'Ines Marlow', $3 - $6 * $5,
			i % 40 <> 39, CASE i % 40 WHEN 39 THEN $3 ELSE 0 END FROM n`,
			[]any{n.Schedules, w.Organization, last, n.Databases, day, runs}},
		{numbers + `INSERT INTO operations (id, organization_id, database_id, database_name, engine, type, triggered_by, status, name, schedule_id, due_at, created_at, started_at,
				finished_at, created_by, created_by_name, failure, storage_key, size, raw_size, sha256, verified_at, tables, row_count, server_version, source_name, step, switched, place)
			SELECT printf('op_%016d', i), $2, printf('db_%016d', d), printf('harbor_%03d', d), 'postgres', CASE kind WHEN 'r' THEN 'restore' ELSE 'backup' END,
				CASE kind WHEN 's' THEN 'scheduled' ELSE 'manual' END,
				CASE WHEN i % 100 IN (11, 37, 73) OR i + $4 >= $1 AND i % $4 % 20 = 0 THEN 'failed' WHEN kind = 's' AND i % 100 = 59 THEN 'missed' ELSE 'succeeded' END,
				CASE kind WHEN 'r' THEN printf('Restore of harbor_%03d', d) ELSE printf('harbor_%03d', d) || strftime('_%Y-%m-%d_%H%M%S-utc', at / 1000, 'unixepoch') || '.sql.zst' END,
				CASE kind WHEN 's' THEN printf('sch_%016d', i % $4) ELSE '' END, CASE kind WHEN 's' THEN at ELSE 0 END, at, at + 900, at + 61000,
				CASE kind WHEN 's' THEN '' ELSE 'usr_x' END, CASE kind WHEN 's' THEN '' ELSE 'Ines Marlow' END,
				CASE WHEN i % 100 IN (11, 37, 73) THEN '{"code":"unavailable","message":"The database server did not answer within 10 s.","hint":"Check that it runs."}' ELSE '' END,
				printf('org/harbor/%d', i), 4000000 + i * 7919 % 900000, 40000000, printf('%064x', i), at + 62000, 66, 41208553, '17.2',
				CASE kind WHEN 'r' THEN printf('harbor_%03d', d) || '.sql.zst' ELSE '' END, CASE kind WHEN 'r' THEN 8 ELSE 0 END, kind = 'r', at * 1048576 + 1
			FROM (SELECT i, i % $4 % $7 AS d, $3 - ($6 - 1 - i / $4) * $5 + i % $4 * 1000 AS at, CASE WHEN i % 50 = 7 THEN 'm' WHEN i % 100 = 13 THEN 'r' ELSE 's' END AS kind FROM n)`,
			[]any{n.Entries - 4, w.Organization, last, n.Schedules, day, runs, n.Databases}},
		{numbers + `INSERT INTO operations (id, organization_id, database_id, database_name, engine, type, triggered_by, status, name, created_at, started_at, finished_at, size, place)
			SELECT printf('op_other%011d', i), $2, printf('db_other%08d', i % 20), 'harbor', 'postgres', 'backup', 'manual', 'succeeded',
				printf('harbor_%03d', i % 200) || strftime('_%Y-%m-%d_%H%M%S-utc', (($3 - i * $4) / 1000), 'unixepoch') || '.sql.zst', $3 - i * $4, $3 - i * $4, $3 - i * $4 + 60000, 1000000, ($3 - i * $4) * 1048576 + 2 FROM n`,
			[]any{n.Other, w.IDs["other"], last, runs * day / int64(max(n.Other, 1))}},
		{numbers + `INSERT INTO audit (id, organization_id, at, actor_id, actor_name, ip, via, action, object_type, object_id, object_name, outcome)
			SELECT printf('aud_%015d', i), CASE i % 20 WHEN 19 THEN $4 ELSE $2 END, $3 + i * $5, '', CASE i % 7 WHEN 0 THEN 'Ines Marlow' WHEN 1 THEN 'Tomas Reyl' ELSE '' END, '127.0.0.1', 'session',
				CASE i % 10 WHEN 0 THEN 'schedule.update' WHEN 1 THEN 'signin' ELSE 'backup' END, 'operation', printf('op_%016d', i),
				printf('harbor_%03d', i % 200) || strftime('_%Y-%m-%d_%H%M%S-utc', (($3 + i * $5) / 1000), 'unixepoch') || '.sql.zst', CASE i % 30 WHEN 0 THEN 'failed' ELSE 'succeeded' END FROM n`,
			[]any{n.Audit, w.Organization, last - runs*day, w.IDs["other"], runs * day / int64(max(n.Audit, 1))}},
		{`INSERT INTO passkeys (id, user_id, name, host, credential_id, public_key, sign_count, synced, transports, created_at)
			SELECT $1, id, 'Laptop', '127.0.0.1', x'01', x'01', 0, 0, 'internal', $2 FROM users WHERE email = $3`, []any{passkeyID, last, email}},
	} {
		if _, err := tx.ExecContext(ctx, q.text, q.args...); err != nil {
			return fmt.Errorf("write rows: %w\n%s", err, q.text)
		}
	}
	for _, q := range append(derived, restore...) {
		if _, err := tx.ExecContext(ctx, q); err != nil {
			return fmt.Errorf("write rows: %w\n%s", err, q)
		}
	}
	return tx.Commit()
}

// bare takes indices and triggers from the long tables, and returns the statements that give them back: two million
// rows are written in a tenth of the time, and indexed afterwards.
func bare(ctx context.Context, tx *sql.Tx) (restore []string, err error) {
	rows, err := tx.QueryContext(ctx, `SELECT type || ' ' || name, sql FROM sqlite_schema
		WHERE type IN ('index', 'trigger') AND tbl_name IN ('operations', 'audit') AND sql IS NOT NULL ORDER BY type, name`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var drop []string
	for rows.Next() {
		var what, sql string
		if err := rows.Scan(&what, &sql); err != nil {
			return nil, err
		}
		drop, restore = append(drop, `DROP `+what), append(restore, sql)
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	for _, q := range drop {
		if _, err := tx.ExecContext(ctx, q); err != nil {
			return nil, err
		}
	}
	return restore, nil
}

// derived makes again what triggers keep (catalog/migrations/00015_scale.sql, 00019_pages.sql); TestWorld compares it with theirs.
var derived = []string{
	`DELETE FROM log_counts`, `DELETE FROM kept_counts`, `DELETE FROM audit_counts`, `DELETE FROM log_words`, `DELETE FROM audit_words`,
	`INSERT INTO log_counts SELECT organization_id, '*', created_at / 604800000, type, status, count(*) FROM operations WHERE deleted_at = 0 GROUP BY 1, 3, 4, 5`,
	`INSERT INTO log_counts SELECT organization_id, database_id, created_at / 604800000, type, status, count(*) FROM operations WHERE deleted_at = 0 GROUP BY 1, 2, 3, 4, 5`,
	`INSERT INTO kept_counts SELECT organization_id, database_id, count(*), sum(size) FROM operations
		WHERE type = 'backup' AND status = 'succeeded' AND deleted_at = 0 AND deleting_at = 0 GROUP BY 1, 2`,
	`DELETE FROM storage_days`,
	`INSERT INTO storage_days SELECT finished_at / 86400000, organization_id, sum(size) FROM operations WHERE type = 'backup' AND status = 'succeeded' GROUP BY 1, 2`,
	`INSERT INTO audit_counts SELECT organization_id, at / 86400000, count(*), min(seq), max(seq) FROM audit GROUP BY 1, 2`,
	`INSERT INTO log_words (rowid, words) SELECT o.place, g.letters || ' ' || o.name || '  ' FROM operations o JOIN organizations g ON g.id = o.organization_id ORDER BY o.place`,
	`INSERT INTO audit_words (rowid, who, what)
		SELECT a.seq, coalesce(g.letters, '') || ' ' || a.actor_name || '  ', a.action || '  ' || a.object_name || '  ' || a.object_id || '  '
		FROM audit a LEFT JOIN organizations g ON g.id = a.organization_id ORDER BY a.seq`,
	`INSERT INTO log_words (log_words, rank) VALUES ('merge', 1000000)`, // as Catalog.MergeWords leaves them
	`INSERT INTO audit_words (audit_words, rank) VALUES ('merge', 1000000)`,
	`CREATE INDEX bench ON operations (schedule_id, due_at, status, id)`,
	`UPDATE schedules SET
		(last_run, last_status) = (SELECT coalesce(max(id), ''), coalesce(max(status), '') FROM (SELECT id, status FROM operations
			WHERE schedule_id = schedules.id AND schedule_id <> '' AND status NOT IN ('queued','running') ORDER BY due_at DESC LIMIT 1)),
		last_good = coalesce((SELECT id FROM operations WHERE schedule_id = schedules.id AND schedule_id <> '' AND status = 'succeeded' ORDER BY due_at DESC LIMIT 1), '')`,
	`DROP INDEX bench`,
}

// Busy adds a backup that another process carries out, for as long as anybody looks.
func (w *World) Busy(ctx context.Context) error {
	db, err := sql.Open("sqlite", "file:"+filepath.Join(w.Dir, "catalog.db")+"?_pragma=busy_timeout(10000)")
	if err != nil {
		return err
	}
	defer db.Close()
	now := time.Now().UnixMilli()
	_, err = db.ExecContext(ctx, `INSERT INTO operations (id, organization_id, database_id, database_name, engine, type, triggered_by, status, name, created_at, started_at, node, lease_until, fence, progress)
		VALUES ('op_running00000000', $1, $2, 'harbor_000', 'postgres', 'backup', 'manual', 'running', 'harbor_000_now.sql.zst', $3, $3, 'elsewhere/1', $4, 1,
			'{"phase":"dump","tables":12,"tables_of":66,"bytes":7000000,"bytes_of":40000000,"percent":17,"rate":900000,"seconds_left":36}')`,
		w.Organization, w.Database, now, now+int64(24*time.Hour/time.Millisecond))
	return err
}
