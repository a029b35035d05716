package pgtest

import (
	"bytes"
	"context"
	"os"
	"strconv"
	"testing"

	"github.com/safepoint-db/safepoint/internal/pgserver"
)

func TestMain(m *testing.M) { os.Exit(Main(m)) }

func TestSharedClusterAnswersOverSocketAndTCP(t *testing.T) {
	c := Shared(t)
	target := CreateNamed(t, c, `odd "name" a=b`)
	Exec(t, target, "CREATE TABLE t (a int); INSERT INTO t VALUES (1), (2)")
	if got := Query(t, target, "SELECT count(*) FROM t"); len(got) != 1 || got[0] != "2" {
		t.Fatalf("rows: %v", got)
	}
	tcp := c.TCPTarget(target.Name)
	if got := Query(t, tcp, "SELECT current_database()"); got[0] != target.Name {
		t.Fatalf("over TCP: %v", got)
	}
	tcp.Password = "wrong"
	if conn, err := pgserver.Connect(context.Background(), tcp); err == nil {
		conn.Close(context.Background())
		t.Fatal("a wrong password was let in")
	}
}

func TestKilledClusterComesBackWithItsData(t *testing.T) {
	c := Start(t, pgserver.Options{Durable: true})
	Exec(t, c.Target("postgres"), "CREATE TABLE kept (a int)")
	if err := c.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := c.Launch(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := Query(t, c.Target("postgres"), "SELECT to_regclass('kept') IS NOT NULL"); got[0] != "t" {
		t.Fatalf("after the crash: %v", got)
	}
}

func TestNewClustersHaveTheirOwnIdentity(t *testing.T) {
	id := func(c *pgserver.Cluster) string {
		return Query(t, c.Target("postgres"), "SELECT system_identifier FROM pg_control_system()")[0]
	}
	if a, b := id(Shared(t)), id(Start(t, pgserver.Options{Template: "new"})); a == b {
		t.Fatalf("both are %s", a)
	}
}

func TestEveryVersion(t *testing.T) {
	for _, major := range Versions() {
		t.Run(strconv.Itoa(major), func(t *testing.T) {
			c := SharedVersion(t, major)
			target := Create(t, c)
			if got := Query(t, target, "SELECT current_setting('server_version_num')::int / 10000"); got[0] != strconv.Itoa(major) {
				t.Errorf("the server is %s", got[0])
			}
			out, err := c.Tool(t.Context(), "pg_dump", target.Name, "--schema-only").Output()
			if err != nil || !bytes.Contains(out, []byte("database dump complete")) {
				t.Errorf("pg_dump: %v: %s", err, out)
			}
		})
	}
}
