package postgres

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/archive"
	"github.com/safepoint-db/safepoint/internal/engine"
	"github.com/safepoint-db/safepoint/internal/pgserver"
	"github.com/safepoint-db/safepoint/internal/pgtest"
)

// TestDumpsAmongChanges dumps again and again while sums are moved between tables, a table is emptied and filled anew
// in one transaction, others are rewritten by ALTER, made, dropped and renamed. Each dump is of one moment, or says what
// it waited for.
func TestDumpsAmongChanges(t *testing.T) {
	c := pgtest.Shared(t)
	source := pgtest.Create(t, c)
	pgtest.Exec(t, source, `CREATE TABLE left_side (id int PRIMARY KEY, n bigint NOT NULL); CREATE TABLE right_side (id int PRIMARY KEY, n bigint NOT NULL);
INSERT INTO left_side SELECT i, 100 FROM generate_series(1, 2000) i; INSERT INTO right_side SELECT i, 100 FROM generate_series(1, 2000) i;
CREATE TABLE refilled (generation int, i int); INSERT INTO refilled SELECT 0, i FROM generate_series(1, 5000) i;
CREATE TABLE rewritten (a int, b text); INSERT INTO rewritten SELECT i, i FROM generate_series(1, 5000) i;
CREATE TABLE coming (a int)`)
	ctx, stop := context.WithCancel(t.Context())
	var rounds [4]atomic.Int64
	changes := []string{
		`WITH l AS (UPDATE left_side SET n = n - 7 WHERE id = %[1]d %% 2000 + 1 RETURNING 1) UPDATE right_side SET n = n + 7 WHERE id = %[1]d %% 2000 + 1`,
		`BEGIN; TRUNCATE refilled; INSERT INTO refilled SELECT %[1]d, i FROM generate_series(1, 5000) i; COMMIT`,
		`ALTER TABLE rewritten ALTER a TYPE bigint; ALTER TABLE rewritten ALTER a TYPE int, ADD IF NOT EXISTS extra int DEFAULT %[1]d; ALTER TABLE rewritten DROP extra`,
		`DROP TABLE IF EXISTS gone_%[1]d; CREATE TABLE made (a int); INSERT INTO made VALUES (%[1]d); ALTER TABLE coming RENAME TO going; ALTER TABLE going RENAME TO coming; DROP TABLE made`,
	}
	ended := make(chan error, len(changes))
	for i, sql := range changes {
		go func() { ended <- repeat(ctx, source, sql, &rounds[i]) }()
	}
	good, refused := 0, 0
	for try := 0; try < 6 || good == 0 && try < 30; try++ {
		var before [4]int64
		for i := range rounds {
			waitFor(t, func() bool { return rounds[i].Load() > before[i] })
			before[i] = rounds[i].Load()
		}
		var b bytes.Buffer
		w := archive.NewWriter(&b, archive.Header{}, nil)
		err := Engine{Jobs: 3}.Dump(t.Context(), source, w, engine.DumpOptions{})
		if err != nil {
			if told := safepoint.UserError(err); told.Code != safepoint.CodeBlocked || !strings.Contains(told.Message, "able") {
				t.Errorf("a dump among changes failed with %v", err)
			}
			refused++
			continue
		}
		if _, err := w.Close(); err != nil {
			t.Fatal(err)
		}
		r, err := archive.Open(bytes.NewReader(b.Bytes()), int64(b.Len()), archive.Trust{Unsigned: true})
		if err != nil {
			t.Fatal(err)
		}
		copied := pgtest.Create(t, c)
		if err := (Engine{Jobs: 2}).Load(t.Context(), copied, r, engine.LoadOptions{}); err != nil {
			t.Fatal(err)
		}
		got := pgtest.Query(t, copied, `SELECT concat_ws(' ', (SELECT sum(n) FROM left_side) + (SELECT sum(n) FROM right_side), (SELECT count(*) FROM left_side l JOIN right_side r USING (id) WHERE l.n + r.n = 200),
 (SELECT count(*) || '/' || count(DISTINCT generation) FROM refilled), (SELECT count(*) || '/' || sum(a) FROM rewritten))`)
		if want := "400000 2000 5000/1 5000/12502500"; got[0] != want {
			t.Errorf("a dump is not of one moment: %s, want %s", got[0], want)
		}
		good++
	}
	stop()
	for range changes {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	t.Logf("%d dumps of one moment, %d refused", good, refused)
	if good == 0 {
		t.Error("no dump came through")
	}
}

// repeat executes a statement with 1, 2, 3 … in it until ctx ends.
func repeat(ctx context.Context, target engine.Target, sql string, rounds *atomic.Int64) error {
	conn, err := pgserver.Connect(context.Background(), target)
	if err != nil {
		return err
	}
	defer conn.Close(context.Background())
	for n := 1; ctx.Err() == nil; n++ {
		if err := changeOnce(conn, fmt.Sprintf(strings.ReplaceAll(sql, "\n", " "), n)); err != nil {
			return fmt.Errorf("%.60s: %w", sql, err)
		}
		rounds.Add(1)
	}
	return nil
}

// changeOnce tries again where the server chose us to end a deadlock.
func changeOnce(conn *pgx.Conn, sql string) error {
	for {
		_, err := conn.Exec(context.Background(), sql)
		if state(err) != "40P01" {
			return err
		}
		if _, err := conn.Exec(context.Background(), "ROLLBACK"); err != nil {
			return err
		}
	}
}

// TestDumpNamesTheTableItCouldNotLock has a session hold one table as ALTER does, for longer than a dump waits.
func TestDumpNamesTheTableItCouldNotLock(t *testing.T) {
	c := pgtest.Shared(t)
	source := pgtest.Create(t, c)
	pgtest.Exec(t, source, `CREATE TABLE free (a int); CREATE TABLE "held; back" (a int)`)
	holder, err := pgserver.Connect(t.Context(), source)
	if err != nil {
		t.Fatal(err)
	}
	defer holder.Close(context.Background())
	if _, err := holder.Exec(t.Context(), `BEGIN; ALTER TABLE "held; back" ADD b int`); err != nil {
		t.Fatal(err)
	}
	err = Engine{Jobs: 2}.Dump(t.Context(), source, archive.NewWriter(&bytes.Buffer{}, archive.Header{}, nil), engine.DumpOptions{})
	wantRefusal(t, err, safepoint.CodeBlocked, `"held; back"`)
	if _, err := holder.Exec(t.Context(), "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
}
