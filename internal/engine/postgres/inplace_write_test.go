package postgres

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/archive"
	"github.com/safepoint-db/safepoint/internal/engine"
	"github.com/safepoint-db/safepoint/internal/pgserver"
	"github.com/safepoint-db/safepoint/internal/pgtest"
)

// impatient has sessions that may not be ended waited for a second.
func impatient(t *testing.T) {
	patience := lockPatience
	lockPatience = time.Second
	t.Cleanup(func() { lockPatience = patience })
}

// stranger is a session of a superuser, which a tenant may not end.
func stranger(t *testing.T, c *pgserver.Cluster, live engine.Target) *pgx.Conn {
	t.Helper()
	conn, err := c.Connect(t.Context(), live.Name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

func mustExec(t *testing.T, conn *pgx.Conn, sql string) {
	t.Helper()
	if _, err := conn.Exec(t.Context(), sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// replaced does all of a restore in place but for its safety backup, which was made, and returns the first error.
func replaced(ctx context.Context, x engine.InPlace, r *archive.Reader) error {
	if err := x.Load(ctx, r, engine.LoadOptions{}); err != nil {
		return err
	}
	got, err := x.Digest(ctx, nil)
	if err != nil {
		return err
	}
	if err := r.Fingerprint().Compare(got); err != nil {
		return err
	}
	return x.Commit(ctx)
}

// TestLargeSum has the large objects of a backup, with all that one can say of them, summed up as the server's are.
func TestLargeSum(t *testing.T) {
	c := pgtest.Shared(t)
	roles(t, c, "zoo_reader")
	source := pgtest.Create(t, c)
	pgtest.Exec(t, source, fmt.Sprintf(`SELECT lo_from_bytea(1, convert_to(repeat('x', %d), 'UTF8')); SELECT lo_create(2); SELECT lo_from_bytea(3, 'three');
GRANT SELECT ON LARGE OBJECT 1 TO zoo_reader; COMMENT ON LARGE OBJECT 2 IS 'nothing'; REVOKE UPDATE ON LARGE OBJECT 3 FROM CURRENT_USER`, lobFirst+lobChunk+1))
	r, _ := dumpFile(t, source)
	backup := newLargeSum()
	for i, e := range r.Entries() {
		if e.Kind != kindLargeObjects {
			continue
		}
		f, err := r.Frame(i)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		sql, err := readStatements(f, e)
		if err != nil {
			t.Fatal(err)
		}
		if err := checkScript(sql, backup.statement); err != nil {
			t.Fatal(err)
		}
	}
	backup.end()
	conn, err := connectContent(t.Context(), source)
	if err != nil {
		t.Fatal(err)
	}
	defer hangUp(conn)
	server, err := sumLarge(t.Context(), conn)
	if err != nil {
		t.Fatal(err)
	}
	if backup.unknown || backup.objects != 3 || !backup.equal(server) {
		t.Errorf("the backup's sum is of %d large objects, not understood: %v; the server's of %d", backup.objects, backup.unknown, server.objects)
	}
}

// TestInPlaceBesideOthers has somebody in the database all the while, who may not be ended and writes nothing.
func TestInPlaceBesideOthers(t *testing.T) {
	c := pgtest.Shared(t)
	live := tenant(t, c)
	const big = "lo_from_bytea(%d, convert_to(repeat('long ', 100000), 'UTF8'))"
	pgtest.Exec(t, live, fmt.Sprintf("CREATE TABLE t (v int); SELECT "+big+", "+big+"; GRANT SELECT ON LARGE OBJECT 1 TO PUBLIC; REVOKE UPDATE ON LARGE OBJECT 2 FROM CURRENT_USER", 1, 2))
	const look = "SELECT oid || ' ' || md5(lo_get(oid)) || ' ' || coalesce(lomacl::text, '') FROM pg_largeobject_metadata ORDER BY oid"
	want := pgtest.Query(t, live, look)
	r, _ := dumpFile(t, live)
	pgtest.Exec(t, live, "SELECT lo_put(1, 400000, 'changed'); SELECT lo_unlink(2); SELECT "+fmt.Sprintf(big, 3))
	p := mustPrepare(t, live)
	x := begun(t, live, &p)
	dumpOfFunc(t, x.Dump)
	mustExec(t, stranger(t, c, live), "SELECT 1")
	if err := replaced(t.Context(), x, r); err != nil {
		t.Fatal(err)
	}
	if got := pgtest.Query(t, live, look); !slices.Equal(got, want) {
		t.Errorf("large objects are %q, want %q", got, want)
	}
}

// TestInPlaceLosesNoLargeObject has a session that the tenant may not end write to large objects, at every moment of a
// restore in place. Either it is told that it did not write, or the restore fails and leaves all that was written.
func TestInPlaceLosesNoLargeObject(t *testing.T) {
	impatient(t)
	c := pgtest.Shared(t)
	const (
		over    = "SELECT lo_put(4711, 0, 'LARGE')"            // a page that there is
		beyond  = "SELECT lo_put(4711, 2048, 'beyond')"        // one that there is not
		another = "SELECT lo_put(4712, 1 << 20, 'a megabyte')" // of an object that is not in the backup
	)
	loads := func(t *testing.T, x engine.InPlace, r *archive.Reader) {
		if err := x.Load(t.Context(), r, engine.LoadOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	for name, try := range map[string]struct {
		write string
		open  bool // the writer's transaction is open until the restore has ended
		late  bool // it writes when the backup is loaded
	}{
		"over, after the safety backup":                         {write: over},
		"beyond, after the safety backup":                       {write: beyond},
		"over, in a transaction that is open":                   {write: over, open: true},
		"beyond, in a transaction that is open":                 {write: beyond, open: true},
		"beyond, after the load":                                {write: beyond, late: true},
		"of another, after the load":                            {write: another, late: true},
		"beyond, after the load, in a transaction that is open": {write: beyond, late: true, open: true},
	} {
		t.Run(name, func(t *testing.T) {
			live := tenant(t, c)
			pgtest.Exec(t, live, "CREATE TABLE t (v int); SELECT lo_from_bytea(4711, convert_to(rpad('large', 2048), 'UTF8'))")
			r, _ := dumpFile(t, live)
			pgtest.Exec(t, live, "SELECT lo_put(4711, 0, 'later'); SELECT lo_from_bytea(4712, 'other')")
			p := mustPrepare(t, live)
			x := begun(t, live, &p)
			dumpOfFunc(t, x.Dump)
			if try.late { // nobody gets at the tables from then on
				loads(t, x, r)
			}
			writer := stranger(t, c, live)
			if try.open {
				mustExec(t, writer, "BEGIN")
			}
			mustExec(t, writer, try.write)
			var want []string
			if !try.late {
				want = everything(t, c, live)
			}
			var err error
			if try.late {
				if _, err = x.Digest(t.Context(), nil); err == nil {
					err = x.Commit(t.Context())
				}
			} else {
				err = replaced(t.Context(), x, r)
			}
			x.Close()
			if code := safepoint.ErrorCode(err); code != safepoint.CodeConflict && code != safepoint.CodeBlocked {
				t.Errorf("the restore ended with %v", err)
			} else if safepoint.UserError(err).Hint == "" {
				t.Errorf("no hint: %v", err)
			}
			if try.open {
				mustExec(t, writer, "COMMIT")
			} else if !try.late {
				wantEqualLines(t, "the database", everything(t, c, live), want)
			}
			wantOutcome(t, live, p, engine.Before)
			at := map[string]string{over: "lo_get(4711, 0, 5) = 'LARGE'", beyond: "lo_get(4711, 2048, 6) = 'beyond'", another: "lo_get(4712, 1 << 20, 10) = 'a megabyte'"}[try.write]
			if got := pgtest.Query(t, c.Target(live.Name), "SELECT "+at); got[0] != "t" && got[0] != "true" {
				t.Errorf("what was written is not there: %v", got)
			}
		})
	}
	t.Run("over, after the load", func(t *testing.T) {
		live := tenant(t, c)
		pgtest.Exec(t, live, "SELECT lo_from_bytea(4711, 'large')")
		r, _ := dumpFile(t, live)
		p := mustPrepare(t, live)
		x := begun(t, live, &p)
		dumpOfFunc(t, x.Dump)
		loads(t, x, r)
		writer := stranger(t, c, live)
		wrote := make(chan error, 1)
		go func() {
			_, err := writer.Exec(context.Background(), over)
			wrote <- err
		}()
		waitFor(t, func() bool {
			return len(pgtest.Query(t, c.Target("postgres"), "SELECT pid FROM pg_stat_activity WHERE wait_event = 'transactionid' AND datname = '"+live.Name+"'")) == 1
		})
		_, err := x.Digest(t.Context(), nil)
		if err == nil {
			err = x.Commit(t.Context())
		}
		x.Close()
		told := <-wrote
		if err == nil && told == nil {
			t.Error("the restore was committed, and so was what it replaced")
		} else if err != nil && told != nil {
			t.Errorf("neither the restore (%v) nor the writer (%v) came to its end", err, told)
		}
		t.Logf("the restore: %v; the writer: %v", err, told)
	})
}

// TestInPlaceLosesNoConfiguration has rows of an extension's configuration written while the database is restored in
// place, by somebody whom the tenant may not end: the tenant may change them, or only read them and drop the extension.
func TestInPlaceLosesNoConfiguration(t *testing.T) {
	impatient(t)
	c := pgtest.Start(t, pgserver.Options{})
	installTestExtension(t, c)
	const write = "INSERT INTO ext.config VALUES (7, 'theirs', true)"
	prepared := func(t *testing.T, grant string) (engine.Target, *archive.Reader) {
		live := tenant(t, c)
		pgtest.Exec(t, c.Target(live.Name), "CREATE SCHEMA ext; CREATE EXTENSION safepoint_test SCHEMA ext; GRANT USAGE ON SCHEMA ext TO tenant; GRANT "+grant+" ON ALL TABLES IN SCHEMA ext TO tenant; GRANT ALL ON ALL SEQUENCES IN SCHEMA ext TO tenant")
		pgtest.Exec(t, live, "CREATE TABLE t (v int)")
		r, _ := dumpFile(t, live)
		return live, r
	}
	t.Run("that the tenant may change", func(t *testing.T) {
		live, r := prepared(t, "ALL")
		p := mustPrepare(t, live)
		x := begun(t, live, &p)
		dumpOfFunc(t, x.Dump)
		writer := stranger(t, c, live)
		if _, err := writer.Exec(t.Context(), "SET lock_timeout = '200ms'; "+write); state(err) != stateLockNotAvailable {
			t.Errorf("a row was written beside the restore (%v)", err)
		}
		if err := replaced(t.Context(), x, r); err != nil {
			t.Error(err)
		}
		wantOutcome(t, live, p, engine.After)
	})
	for name, open := range map[string]bool{"that the tenant may only read": false, "that the tenant may only read, in a transaction that is open": true} {
		t.Run(name, func(t *testing.T) {
			live, r := prepared(t, "SELECT")
			p := mustPrepare(t, live)
			x := begun(t, live, &p)
			dumpOfFunc(t, x.Dump)
			writer := stranger(t, c, live)
			if open {
				mustExec(t, writer, "BEGIN")
			}
			mustExec(t, writer, write)
			err := replaced(t.Context(), x, r)
			x.Close()
			if code := safepoint.ErrorCode(err); code != safepoint.CodeConflict && code != safepoint.CodeBlocked {
				t.Errorf("the restore ended with %v", err)
			}
			if open {
				mustExec(t, writer, "COMMIT")
			}
			wantOutcome(t, live, p, engine.Before)
			if got := pgtest.Query(t, c.Target(live.Name), "SELECT name FROM ext.config WHERE id = 7"); len(got) != 1 {
				t.Error("what was written is lost")
			}
		})
	}
}
