package postgres

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/archive"
	"github.com/safepoint-db/safepoint/internal/engine"
	"github.com/safepoint-db/safepoint/internal/pgserver"
	"github.com/safepoint-db/safepoint/internal/pgtest"
)

func tryDump(ctx context.Context, target engine.Target) error {
	return Engine{}.Dump(ctx, target, archive.NewWriter(&bytes.Buffer{}, archive.Header{}, nil), engine.DumpOptions{})
}

// wantRefusal checks code and words, and that a person is told what to do.
func wantRefusal(t *testing.T, err error, code safepoint.Code, words ...string) {
	t.Helper()
	if safepoint.ErrorCode(err) != code {
		t.Fatalf("code %q (%v), want %q", safepoint.ErrorCode(err), err, code)
	}
	u := safepoint.UserError(err)
	for _, w := range words {
		if !strings.Contains(u.Message, w) {
			t.Errorf("%q does not speak of %q", u.Message, w)
		}
	}
	if u.Hint == "" {
		t.Errorf("%q comes without a hint", u.Message)
	}
}

func TestDumpNamesWhatItMayNotRead(t *testing.T) {
	c := pgtest.Shared(t)
	roles(t, c, "zoo_reader")
	source := pgtest.Create(t, c)
	pgtest.Exec(t, source, `CREATE TABLE a (x int); CREATE TABLE "B b" (x int); INSERT INTO "B b" VALUES (1), (2); CREATE SEQUENCE seq; GRANT SELECT ON ALL TABLES IN SCHEMA public TO zoo_reader;
REVOKE SELECT ON "B b" FROM zoo_reader; GRANT SELECT ON SEQUENCE seq TO zoo_reader`)
	reader := source
	reader.User = "zoo_reader"
	refused := func(words ...string) {
		t.Helper()
		wantRefusal(t, tryDump(t.Context(), reader), safepoint.CodePrivilege, words...)
		found, err := Engine{}.CanDump(t.Context(), reader)
		if err != nil || len(found) != 1 || !found[0].Blocker || found[0].Code != safepoint.CodePrivilege {
			t.Errorf("CanDump: %+v, %v", found, err)
		}
	}
	refused(`"public"."B b"`, "zoo_reader")
	pgtest.Exec(t, source, `GRANT SELECT ON "B b" TO zoo_reader; ALTER TABLE "B b" ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON "B b" FOR SELECT USING (x = 1)`)
	refused(`"public"."B b"`, "Row security")
	pgtest.Exec(t, source, `ALTER TABLE "B b" DISABLE ROW LEVEL SECURITY; REVOKE SELECT ON SEQUENCE seq FROM zoo_reader`)
	wantRefusal(t, tryDump(t.Context(), reader), safepoint.CodePrivilege, "seq")
	pgtest.Exec(t, source, `GRANT SELECT ON SEQUENCE seq TO zoo_reader`)
	if err := tryDump(t.Context(), reader); err != nil {
		t.Errorf("with all rights: %v", err)
	}
}

func TestDumpNamesWhoBlocksIt(t *testing.T) {
	c := pgtest.Shared(t)
	source := pgtest.Create(t, c)
	pgtest.Exec(t, source, `CREATE TABLE free (x int); CREATE TABLE "held one" (x int)`)
	holder, err := c.Connect(t.Context(), source.Name)
	if err != nil {
		t.Fatal(err)
	}
	defer holder.Close(context.Background())
	if _, err := holder.Exec(t.Context(), `BEGIN; SET LOCAL application_name = 'migration 7'; LOCK TABLE "held one" IN ACCESS EXCLUSIVE MODE`); err != nil {
		t.Fatal(err)
	}
	wantRefusal(t, tryDump(t.Context(), source), safepoint.CodeBlocked, "held one", "migration 7", strconv.Itoa(int(holder.PgConn().PID())))
}

// TestTruncateDuringDump empties a table while a dump is on its way to it. TRUNCATE heeds no snapshot: only the lock
// that the dump took first keeps the rows.
func TestTruncateDuringDump(t *testing.T) {
	c := pgtest.Shared(t)
	source := pgtest.Create(t, c)
	pgtest.Exec(t, source, `CREATE TABLE a (x int); INSERT INTO a VALUES (1); CREATE TABLE z (x int); INSERT INTO z SELECT generate_series(1, 1000)`)
	truncated := make(chan error, 1)
	begun := false
	w := archive.NewWriter(&bytes.Buffer{}, archive.Header{}, nil)
	err := Engine{}.Dump(t.Context(), source, w, engine.DumpOptions{Report: func(p engine.Progress) {
		if p.Table != "public.a" || begun {
			return
		}
		begun = true
		go func() { truncated <- c.Exec(context.Background(), source.Name, "TRUNCATE z") }()
		// It stands in the queue behind the dump's lock before the dump goes on.
		waitFor(t, func() bool {
			return len(pgtest.Query(t, c.Target("postgres"), "SELECT 1 FROM pg_locks WHERE NOT granted AND mode = 'AccessExclusiveLock'")) > 0
		})
	}})
	if err != nil {
		t.Fatal(err)
	}
	sum, err := w.Close()
	if err != nil || sum.Rows != 1001 {
		t.Errorf("the archive holds %d rows (%v), want 1001", sum.Rows, err)
	}
	if err := <-truncated; err != nil {
		t.Error(err)
	}
}

func waitFor(t *testing.T, condition func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !condition() {
		if time.Now().After(deadline) {
			t.Fatal("what the test waits for did not happen")
		}
		<-time.After(5 * time.Millisecond)
	}
}

func TestDumpWhenTheServerGoesAway(t *testing.T) {
	c := pgtest.Start(t, pgserver.Options{})
	source := pgtest.Create(t, c)
	pgtest.Exec(t, source, "CREATE TABLE a (x text); INSERT INTO a SELECT repeat('x', 1000) FROM generate_series(1, 50000)")
	killed := false
	err := Engine{}.Dump(t.Context(), source, archive.NewWriter(&bytes.Buffer{}, archive.Header{}, nil), engine.DumpOptions{Report: func(p engine.Progress) {
		if p.Table != "" && p.Bytes > 1<<20 && !killed {
			killed = true
			if err := c.Kill(); err != nil {
				t.Error(err)
			}
		}
	}})
	if !killed {
		t.Fatal("the dump was over before the server could be killed")
	}
	wantRefusal(t, err, safepoint.CodeUnreachable)
	if err := c.Launch(t.Context()); err != nil {
		t.Fatal(err)
	}
}

type failingWriter struct{ after int }

var errFullDisk = errors.New("no space left on device, says the storage")

func (f *failingWriter) Write(p []byte) (int, error) {
	if f.after -= len(p); f.after < 0 {
		return 0, errFullDisk
	}
	return len(p), nil
}

func TestDumpWhenTheStorageFails(t *testing.T) {
	c := pgtest.Shared(t)
	source := pgtest.Create(t, c)
	pgtest.Exec(t, source, "CREATE TABLE a (x text); INSERT INTO a SELECT md5(i::text) FROM generate_series(1, 200000) i")
	for _, after := range []int{0, 200_000} {
		err := Engine{}.Dump(t.Context(), source, archive.NewWriter(&failingWriter{after}, archive.Header{}, nil), engine.DumpOptions{})
		if !errors.Is(err, errFullDisk) {
			t.Errorf("after %d bytes: %v, want the storage's own error", after, err)
		}
	}
	pgtest.Exec(t, source, "DROP TABLE a") // no lock is left
}

func TestNoPgDumpThatFits(t *testing.T) {
	if _, err := (Engine{}).findTool(t.Context(), 990000); err != nil {
		wantRefusal(t, err, safepoint.CodeTool, "99")
		if !strings.Contains(safepoint.UserError(err).Hint, "postgresql-client-99") {
			t.Errorf("hint: %s", safepoint.UserError(err).Hint)
		}
	} else {
		t.Error("found a pg_dump for PostgreSQL 99")
	}
	tool, err := Engine{}.findTool(t.Context(), 130000)
	if err != nil || !strings.HasPrefix(tool.String(), "pg_dump 1") {
		t.Errorf("%v, %v", tool, err)
	}
}

func TestPreflightNamesWhatIsMissing(t *testing.T) {
	c := pgtest.Shared(t)
	roles(t, c, "zoo_owner")
	source := pgtest.Create(t, c)
	pgtest.Exec(t, c.Target("postgres"), `DROP ROLE IF EXISTS gone_owner, gone_reader; CREATE ROLE gone_owner; CREATE ROLE gone_reader`)
	pgtest.Exec(t, source, "CREATE TABLE a (x int); ALTER TABLE a OWNER TO gone_owner; GRANT SELECT ON a TO gone_reader")
	r, _ := dumpFile(t, source)
	target := pgtest.Create(t, c)
	pgtest.Exec(t, source, "DROP OWNED BY gone_owner, gone_reader")
	pgtest.Exec(t, c.Target("postgres"), "DROP ROLE gone_owner, gone_reader")
	wantFinding(t, target, r, safepoint.CodeBlocked, "gone_owner, gone_reader")

	head := func(change func(*archive.Header)) *archive.Reader { return emptyArchive(t, r, change) }
	wantFinding(t, target, head(func(h *archive.Header) { h.ServerVersion, h.ServerVersionNum = "99.1", 990001 }), safepoint.CodeVersion, "99.1")
	wantFinding(t, target, head(func(h *archive.Header) { h.Collate, h.CType = "xx_YY.UTF-8", "xx_YY.UTF-8" }), safepoint.CodeBlocked, "xx_YY")
	wantFinding(t, target, head(func(h *archive.Header) { h.Properties = []byte(`{"extensions":[{"name":"no_such_ext"}]}`) }), safepoint.CodeBlocked, "no_such_ext")
	wantFinding(t, target, head(func(h *archive.Header) { h.Properties = []byte(`{"tablespaces":["no_such_space"]}`) }), safepoint.CodeBlocked, "no_such_space")

	plain := target
	plain.User = "zoo_owner"
	found, err := Engine{}.CanRestore(t.Context(), plain, nil)
	if err != nil || len(found) == 0 || !found[0].InPlace || found[0].Blocker || !strings.Contains(found[0].Message, "may not create databases and does not own") {
		t.Errorf("%+v, %v", found, err)
	}
	// What is not there is not said to need a superuser, too.
	roles(t, c, "page_maker")
	pgtest.Exec(t, c.Target("postgres"), "ALTER ROLE page_maker CREATEDB; ALTER DATABASE "+ident(target.Name)+" OWNER TO page_maker")
	plain.User = "page_maker"
	found, err = Engine{}.CanRestore(t.Context(), plain, head(func(h *archive.Header) {
		h.Properties = []byte(`{"extensions":[{"name":"no_such_ext"},{"name":"pageinspect"}]}`)
	}))
	if err != nil || !slices.ContainsFunc(found, func(f engine.Finding) bool {
		return f.Code == safepoint.CodePrivilege && strings.HasSuffix(f.Message, "the backup uses: pageinspect.")
	}) {
		t.Errorf("%+v, %v", found, err)
	}
	if left, err := (Engine{}).Leftovers(t.Context(), target); err != nil || len(left) != 0 {
		t.Errorf("the preflight left %v (%v)", left, err)
	}
}

// emptyArchive has a changed header of another archive, whose properties it lacks, and nothing else.
func emptyArchive(t *testing.T, of *archive.Reader, change func(*archive.Header)) *archive.Reader {
	t.Helper()
	var b bytes.Buffer
	h := of.Header()
	h.Properties = nil
	change(&h)
	w := archive.NewWriter(&b, h, nil)
	if _, err := w.Close(); err != nil {
		t.Fatal(err)
	}
	made, err := archive.Open(bytes.NewReader(b.Bytes()), int64(b.Len()), archive.Trust{Unsigned: true})
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// TestLoadRefusesWhatItCannotRead has no preflight before a load.
func TestLoadRefusesWhatItCannotRead(t *testing.T) {
	target := pgtest.Create(t, pgtest.Shared(t))
	r, _ := dumpFile(t, target)
	for name, c := range map[string]struct {
		change func(*archive.Header)
		code   safepoint.Code
	}{
		"a newer server":     {func(h *archive.Header) { h.ServerVersion, h.ServerVersionNum = "99.1", 990001 }, safepoint.CodeVersion},
		"unknown properties": {func(h *archive.Header) { h.Properties = []byte(`{"extensions":7}`) }, safepoint.CodeArchive},
	} {
		t.Run(name, func(t *testing.T) {
			r := emptyArchive(t, r, c.change)
			e := Engine{Unknown: engine.UnknownOrigin{Trusted: true}}
			if err := e.Load(t.Context(), target, r, engine.LoadOptions{}); safepoint.ErrorCode(err) != c.code {
				t.Errorf("Load: %v", err)
			}
			if err := e.LoadSchema(t.Context(), target, r, "elsewhere", engine.LoadOptions{}); safepoint.ErrorCode(err) != c.code {
				t.Errorf("LoadSchema: %v", err)
			}
		})
	}
}

func TestPreflightNamesReplication(t *testing.T) {
	c := pgtest.Start(t, pgserver.Options{Settings: map[string]string{"wal_level": "logical"}})
	live := pgtest.Create(t, c)
	pgtest.Exec(t, live, "SELECT pg_create_logical_replication_slot('my_slot', 'pgoutput')")
	wantFinding(t, live, nil, safepoint.CodeBlocked, "my_slot")
	pgtest.Exec(t, live, "SELECT pg_drop_replication_slot('my_slot')")
	pgtest.Exec(t, live, "CREATE SUBSCRIPTION my_sub CONNECTION 'host=/nonexistent' PUBLICATION p WITH (connect = false, slot_name = NONE)")
	wantFinding(t, live, nil, safepoint.CodeBlocked, "my_sub")
	pgtest.Exec(t, live, "DROP SUBSCRIPTION my_sub")
}

// TestLoadRunsNothingForAClient has an archive, signed and whole, that asks a client program to run a command.
func TestLoadRunsNothingForAClient(t *testing.T) {
	c := pgtest.Shared(t)
	source := pgtest.Create(t, c)
	good, _ := dumpFile(t, source)
	trace := filepath.Join(t.TempDir(), "ran")
	for name, frame := range map[string]struct {
		entry archive.Entry
		sql   string
	}{
		"command":          {archive.Entry{Section: archive.PreData, Kind: kindDDL}, "SELECT 1;\n\\! touch " + trace + "\n"},
		"command in rows":  {archive.Entry{Section: archive.Data, Kind: kindCopy, Table: "t"}, "\\! touch " + trace + "\nCOPY public.t FROM stdin;\n\\.\n"},
		"copy from file":   {archive.Entry{Section: archive.Data, Kind: kindCopy, Table: "t"}, "COPY t FROM '/etc/passwd';\n\\.\n"},
		"no end of rows":   {archive.Entry{Section: archive.Data, Kind: kindCopy, Table: "t"}, "COPY public.t FROM stdin;\n1\n"},
		"text after rows":  {archive.Entry{Section: archive.Data, Kind: kindCopy, Table: "t"}, "COPY public.t FROM stdin;\n1\n\\.\nSELECT 1;\n"},
		"half a statement": {archive.Entry{Section: archive.PreData, Kind: kindDDL}, "CREATE TABLE half (a int"},
		"unknown kind":     {archive.Entry{Section: archive.PreData, Kind: "shell"}, "SELECT 1;\n"},
	} {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			w := archive.NewWriter(&b, good.Header(), nil)
			for _, f := range []struct {
				entry archive.Entry
				sql   string
			}{{archive.Entry{Section: archive.PreData, Kind: kindDDL}, "CREATE TABLE public.t (a text);\n"}, frame} {
				fw, err := w.Frame(f.entry)
				if err != nil {
					t.Fatal(err)
				}
				fw.Write([]byte(f.sql))
				fw.Close()
			}
			if _, err := w.Close(); err != nil {
				t.Fatal(err)
			}
			r, err := archive.Open(bytes.NewReader(b.Bytes()), int64(b.Len()), archive.Trust{Unsigned: true})
			if err != nil {
				t.Fatal(err)
			}
			err = Engine{}.Load(t.Context(), pgtest.Create(t, c), r, engine.LoadOptions{})
			if err == nil {
				t.Fatal("it was loaded")
			}
			if name != "text after rows" {
				wantRefusal(t, err, safepoint.CodeArchive)
			}
			if _, err := os.Stat(trace); err == nil {
				t.Error("the command ran")
			}
		})
	}
}

// TestLoadNamesTheStatement has an archive that the server refuses in the middle.
func TestLoadNamesTheStatement(t *testing.T) {
	c := pgtest.Shared(t)
	source := pgtest.Create(t, c)
	pgtest.Exec(t, source, "CREATE TABLE parent (id int PRIMARY KEY); CREATE TABLE kid (p int REFERENCES parent)")
	pgtest.Exec(t, source, "SET session_replication_role = replica; INSERT INTO kid VALUES (7); UPDATE pg_constraint SET convalidated = true WHERE contype = 'f'")
	r, _ := dumpFile(t, source)
	err := Engine{}.Load(t.Context(), pgtest.Create(t, c), r, engine.LoadOptions{})
	wantRefusal(t, err, safepoint.CodeBlocked, "kid_p_fkey", "post-data")
}

// TestServerThatDoesNotAnswer is a host that takes the connection and stays silent.
func TestServerThatDoesNotAnswer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		conn, err := l.Accept()
		if err == nil {
			defer conn.Close()
		}
		cancel()
		<-t.Context().Done()
	}()
	target := engine.Target{Engine: safepoint.PostgreSQL, Host: "127.0.0.1", Port: l.Addr().(*net.TCPAddr).Port, User: "u", Name: "d", TLS: safepoint.TLSDisable}
	if _, err := (Engine{}).Inspect(ctx, target); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want an error that is context.Canceled", err)
	}
}

func TestHostsThatAreNeverDialed(t *testing.T) {
	for _, host := range []string{"169.254.169.254", "0.0.0.0", "::ffff:169.254.169.254"} {
		_, err := Engine{}.Inspect(t.Context(), engine.Target{Host: host, Port: 5432, User: "u", Name: "d", TLS: safepoint.TLSDisable})
		wantRefusal(t, err, safepoint.CodeInvalid, host)
	}
}

// TestSecretsStayOut watches every process while a dump runs: the password is in no command line and no environment.
func TestSecretsStayOut(t *testing.T) {
	c := pgtest.Shared(t)
	source := pgtest.Create(t, c)
	pgtest.Exec(t, source, "CREATE TABLE a (x int)")
	target := c.TCPTarget(source.Name)
	if target.Password == "" {
		t.Fatal("the test needs a password to look for")
	}
	stop, seen := make(chan struct{}), make(chan int, 1)
	found := make(chan string, 100)
	go func() {
		tools := 0
		defer func() { seen <- tools }()
		for {
			select {
			case <-stop:
				return
			default:
			}
			dirs, _ := filepath.Glob("/proc/[0-9]*")
			for _, dir := range dirs {
				args, _ := os.ReadFile(dir + "/cmdline")
				env, _ := os.ReadFile(dir + "/environ")
				if bytes.Contains(args, []byte("pg_dump")) && bytes.Contains(args, []byte("--format=custom")) {
					tools++
				}
				if bytes.Contains(args, []byte(target.Password)) || bytes.Contains(env, []byte(target.Password)) {
					select {
					case found <- string(args):
					default:
					}
				}
			}
		}
	}()
	for range 5 {
		if err := tryDump(t.Context(), target); err != nil {
			t.Fatal(err)
		}
	}
	close(stop)
	if n := <-seen; n == 0 {
		t.Error("pg_dump was never seen: the test proves nothing")
	}
	close(found)
	for where := range found {
		t.Errorf("the password is in %q", where)
	}
}
