package postgres

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/engine"
	"github.com/safepoint-db/safepoint/internal/pgserver"
	"github.com/safepoint-db/safepoint/internal/pgtest"
)

// TestInPlaceFails breaks a restore in place in the middle. Whatever breaks it, what was there is there, byte for byte.
func TestInPlaceFails(t *testing.T) {
	c := pgtest.Start(t, pgserver.Options{Durable: true})
	live := tenant(t, c)
	pgtest.Exec(t, live, "CREATE TABLE parent (id int PRIMARY KEY); CREATE TABLE child (p int REFERENCES parent); INSERT INTO parent SELECT generate_series(1, 20000); INSERT INTO child SELECT generate_series(1, 20000); CREATE SEQUENCE s; SELECT lo_from_bytea(1, 'x')")
	r, _ := dumpFile(t, live)
	pgtest.Exec(t, live, "DELETE FROM child WHERE p > 10; CREATE TABLE more (a int); SELECT setval('s', 5)")
	before := everything(t, c, live)
	for name, breakIt := range map[string]func(x *inPlace){
		"our session is ended by somebody": func(x *inPlace) {
			pgtest.Exec(t, c.Target("postgres"), fmt.Sprintf("SELECT pg_terminate_backend(%d)", x.mark.PID))
		},
		"the line is cut": func(x *inPlace) { x.conn.PgConn().Conn().Close() },
		"the server is killed": func(*inPlace) {
			if err := c.Kill(); err != nil {
				t.Error(err)
			}
			if err := c.Launch(t.Context()); err != nil {
				t.Error(err)
			}
		},
		"the process is gone": func(x *inPlace) { x.conn = nil }, // its session stays, as if the machine had vanished
	} {
		t.Run(name, func(t *testing.T) {
			p := mustPrepare(t, live)
			x := begun(t, live, &p).(*inPlace)
			conn := x.conn
			mustReplace(t, x, r)
			breakIt(x)
			if x.conn != nil {
				if err := x.Commit(t.Context()); err == nil {
					t.Error("committed")
				}
			}
			wantOutcome(t, live, p, engine.Before)
			wantEqualLines(t, "the database", everything(t, c, live), before)
			hangUp(conn)
		})
	}
	t.Run("a constraint is violated", func(t *testing.T) {
		bad := alterArchive(t, r, "REFERENCES public.parent(id)", "REFERENCES public.child(p)   ")
		p := mustPrepare(t, live)
		x := begun(t, live, &p)
		if err := x.Load(t.Context(), bad, engine.LoadOptions{}); err == nil {
			t.Fatal("loaded")
		} else if u := safepoint.UserError(err); u.Hint == "" || !strings.Contains(u.Message, "could not be loaded") {
			t.Errorf("%v", err)
		}
		x.Close()
		wantOutcome(t, live, p, engine.Before)
		wantEqualLines(t, "the database", everything(t, c, live), before)
	})
}

// TestInPlaceAnswerLost commits, and loses the answer or the server right after it.
func TestInPlaceAnswerLost(t *testing.T) {
	c := pgtest.Start(t, pgserver.Options{Durable: true})
	live := tenant(t, c)
	pgtest.Exec(t, live, "CREATE TABLE t (v text); INSERT INTO t VALUES ('old')")
	r, _ := dumpFile(t, live)
	pgtest.Exec(t, live, "UPDATE t SET v = 'new'")
	p := mustPrepare(t, live)
	x := begun(t, live, &p)
	mustReplace(t, x, r)
	if err := x.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := c.Kill(); err != nil {
			t.Fatal(err)
		}
		if err := c.Launch(t.Context()); err != nil {
			t.Fatal(err)
		}
		wantOutcome(t, live, p, engine.After)
	}
	if got := pgtest.Query(t, live, "SELECT v FROM t"); got[0] != "old" {
		t.Errorf("it holds %q", got)
	}
	// A number that the server cannot know of.
	other := p
	other.Engine = []byte(strings.Replace(string(p.Engine), `"timeline":"00000001"`, `"timeline":"00000002"`, 1))
	wantOutcome(t, live, other, engine.Unknown)
	future := p
	future.Engine = []byte(strings.Replace(string(p.Engine), `"xid":"`, `"xid":"9`, 1))
	wantOutcome(t, live, future, engine.Unknown)
	renamed := live
	renamed.Name = "gone"
	wantOutcome(t, renamed, p, engine.Unknown)
}

// TestInPlaceNumberSurvives begins a transaction and takes the server away before anything was done in it. Its number
// must not be given to another, whose commit would be taken for that of the restore.
func TestInPlaceNumberSurvives(t *testing.T) {
	c := pgtest.Start(t, pgserver.Options{Durable: true})
	live := tenant(t, c)
	pgtest.Exec(t, live, "CREATE TABLE t (v int)")
	p := mustPrepare(t, live)
	begun(t, live, &p)
	if err := c.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := c.Launch(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		pgtest.Exec(t, live, fmt.Sprintf("INSERT INTO t VALUES (%d)", i))
	}
	wantOutcome(t, live, p, engine.Before)
}

// TestInPlaceUnderClients restores in place while clients of other roles, whom the tenant may not end, keep reading in
// transactions with snapshots of their own. None sees a mixture, or nothing.
func TestInPlaceUnderClients(t *testing.T) {
	c := pgtest.Shared(t)
	live := tenant(t, c)
	const look = "SELECT pg_catalog.concat((SELECT count(*) FROM public.items), (SELECT min(v) FROM public.items), (SELECT max(v) FROM public.items), (SELECT count(*) FROM public.notes), (SELECT min(v) FROM public.notes))"
	pgtest.Exec(t, live, `CREATE TABLE items (id int PRIMARY KEY, v text); CREATE TABLE notes (v text); INSERT INTO items SELECT i, 'old' FROM generate_series(1, 500) i; INSERT INTO notes VALUES ('old');
CREATE FUNCTION seen() RETURNS text LANGUAGE sql STABLE AS $$ `+look+` $$`)
	r, _ := dumpFile(t, live)
	pgtest.Exec(t, live, "UPDATE items SET v = 'new'; UPDATE notes SET v = 'new'")
	ctx, cancel := context.WithCancel(t.Context())
	seen := map[string]int{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	ways := []string{look, "SELECT seen()"}
	for i := range 6 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for ctx.Err() == nil {
				conn, err := c.Connect(context.Background(), live.Name) // as the superuser
				if err != nil {
					continue
				}
				for ctx.Err() == nil {
					var v string
					way := ways[i%2]
					if i < 2 {
						err = conn.QueryRow(context.Background(), way).Scan(&v)
					} else {
						err = pgx.BeginTxFunc(context.Background(), conn, pgx.TxOptions{IsoLevel: pgx.RepeatableRead}, func(tx pgx.Tx) error {
							if _, err := tx.Exec(context.Background(), "SELECT 1"); err != nil { // takes the snapshot
								return err
							}
							return tx.QueryRow(context.Background(), way).Scan(&v)
						})
					}
					if err != nil {
						break
					}
					mu.Lock()
					seen[v]++
					mu.Unlock()
				}
				conn.Close(context.Background())
			}
		}()
	}
	count := func(v string) int {
		mu.Lock()
		defer mu.Unlock()
		return seen[v]
	}
	const old, young = "500oldold1old", "500newnew1new"
	waitFor(t, func() bool { return count(young) > 20 })
	p := mustPrepare(t, live)
	x := begun(t, live, &p)
	mustReplace(t, x, r)
	if err := x.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	x.Close()
	waitFor(t, func() bool { return count(old) > 20 })
	cancel()
	wg.Wait()
	delete(seen, old)
	delete(seen, young)
	if len(seen) > 0 {
		t.Errorf("clients saw %v", seen)
	}
}

// TestInPlaceNamesWhoHolds has sessions of others in the way: what the user may end is ended, the rest is named.
func TestInPlaceNamesWhoHolds(t *testing.T) {
	c := pgtest.Shared(t)
	live := tenant(t, c)
	pgtest.Exec(t, live, "CREATE TABLE t (v int); GRANT ALL ON t TO tenant_reader")
	own, err := pgserver.Connect(t.Context(), live)
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close(context.Background())
	if _, err := own.Exec(t.Context(), "BEGIN; INSERT INTO t VALUES (1)"); err != nil {
		t.Fatal(err)
	}
	p := mustPrepare(t, live)
	x := begun(t, live, &p)
	if _, err := own.Exec(t.Context(), "COMMIT"); err == nil {
		t.Error("a session of the tenant's own was not ended")
	}
	x.Close()
	other := live
	other.User = "tenant_reader"
	holder, err := pgserver.Connect(t.Context(), other)
	if err != nil {
		t.Fatal(err)
	}
	defer holder.Close(context.Background())
	if _, err := holder.Exec(t.Context(), "BEGIN; SET application_name = 'report 7'; INSERT INTO t VALUES (1)"); err != nil {
		t.Fatal(err)
	}
	patience := lockPatience
	lockPatience = time.Second
	defer func() { lockPatience = patience }()
	_, err = Engine{}.BeginInPlace(t.Context(), live, p, func(engine.Plan) error { return nil })
	wantRefusal(t, err, safepoint.CodeBlocked, "report 7", "tenant_reader", "t")
	if hint := safepoint.UserError(err).Hint; !strings.Contains(hint, "pg_signal_backend") {
		t.Errorf("hint: %s", hint)
	}
	wantOutcome(t, live, p, engine.Before)
}

// TestInPlaceSeesWhatNoLockStops has somebody draw from a sequence after the safety backup, and make a function during the load.
func TestInPlaceSeesWhatNoLockStops(t *testing.T) {
	c := pgtest.Shared(t)
	live := tenant(t, c)
	pgtest.Exec(t, live, "CREATE TABLE t (v int); CREATE SEQUENCE s")
	r, _ := dumpFile(t, live)
	p := mustPrepare(t, live)
	x := begun(t, live, &p)
	pgtest.Exec(t, c.Target(live.Name), "SELECT nextval('s')")
	wantRefusal(t, x.Load(t.Context(), r, engine.LoadOptions{}), safepoint.CodeConflict, "after the safety backup")
	x.Close()
	x = begun(t, live, &p)
	if err := x.Load(t.Context(), r, engine.LoadOptions{}); err != nil {
		t.Fatal(err)
	}
	pgtest.Exec(t, c.Target(live.Name), "CREATE FUNCTION public.late() RETURNS int LANGUAGE sql AS 'SELECT 1'")
	_, err := x.Digest(t.Context(), nil)
	wantRefusal(t, err, safepoint.CodeConflict, "late")
	x.Close()
	wantOutcome(t, live, p, engine.Before)
	if got := pgtest.Query(t, live, "SELECT last_value || ' ' || is_called FROM s"); got[0] != "1 true" {
		t.Errorf("the sequence stands at %v", got)
	}
}
