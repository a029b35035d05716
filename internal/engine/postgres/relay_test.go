package postgres

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/safepoint-db/safepoint/internal/pgtest"
	"go.uber.org/goleak"
)

// TestRelayLeavesNothing lends a session to programs that end in every way, and looks for what is left.
func TestRelayLeavesNothing(t *testing.T) {
	c := pgtest.Shared(t)
	source := pgtest.Create(t, c)
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	for name, program := range map[string]string{
		"never comes":        "exit 3",
		"goes at once":       "exit 0",
		"leaves in order":    `exec "$PSQL" "$1" -X -c "SELECT 1"`,
		"reports an error":   `exec "$PSQL" "$1" -X -v ON_ERROR_STOP=1 -c "SELECT 1/0"`,
		"killed in a query":  `"$PSQL" "$1" -X -c "SELECT pg_sleep(30)" & sleep 0.3; kill -9 $!; exit 4`,
		"in a transaction":   `exec "$PSQL" "$1" -X -c "BEGIN" -c "CREATE TABLE public.never (a int)"`,
		"a server's own end": `exec "$PSQL" "$1" -X -c "SELECT pg_terminate_backend(pg_backend_pid())"`,
	} {
		t.Run(name, func(t *testing.T) {
			r, err := newRelay(t.Context(), source)
			if err != nil {
				t.Fatal(err)
			}
			cmd := exec.CommandContext(t.Context(), "/bin/sh", "-c", program, "sh", r.conninfo())
			cmd.Env = append(toolEnv(), "PSQL="+filepath.Join(c.BinDir, "psql"))
			cmd.Stdout = nil
			err = r.run(t.Context(), cmd, nil)
			succeeds := name == "leaves in order" || name == "in a transaction" || name == "goes at once"
			if (err == nil) != succeeds {
				t.Errorf("run: %v", err)
			}
			if succeeds && name != "goes at once" {
				if err := r.conn.Exec(t.Context(), "SELECT 1").Close(); err != nil {
					t.Errorf("the session did not come back: %v", err)
				}
			}
			r.close()
			if _, err := os.Stat(r.dir.Path); !os.IsNotExist(err) {
				t.Errorf("the socket's folder is left: %v", err)
			}
			waitFor(t, func() bool {
				return len(pgtest.Query(t, c.Target("postgres"), "SELECT 1 FROM pg_stat_activity WHERE datname = $1", source.Name)) == 0
			})
		})
	}
	if got := pgtest.Query(t, source, "SELECT to_regclass('public.never') IS NULL"); got[0] != "t" {
		t.Error("what a program left uncommitted was committed")
	}
}
