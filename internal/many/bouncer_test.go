package many

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/safepoint-db/safepoint/internal/pgserver"
)

const bouncerPassword = "t0ps3cret"

// startBouncer starts a real PgBouncer in transaction mode before one database, whose clients need no password, and
// returns its port.
func startBouncer(t *testing.T, c *pgserver.Cluster, name string) (port int) {
	t.Helper()
	bin, err := exec.LookPath("pgbouncer")
	if err != nil {
		bin, err = exec.LookPath("/usr/sbin/pgbouncer")
	}
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("pgbouncer is not installed")
		}
		t.Skip("pgbouncer is not installed: apt-get install pgbouncer")
	}
	l := must(net.Listen("tcp", "127.0.0.1:0"))(t)
	port = l.Addr().(*net.TCPAddr).Port
	l.Close()
	dir := must(os.MkdirTemp("/tmp", "pgb"))(t)
	t.Cleanup(func() { os.RemoveAll(dir) })
	ini := fmt.Sprintf(`[databases]
%s = host=%s port=%d dbname=%s user=app pool_size=10
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %d
unix_socket_dir =
auth_type = plain
auth_file = %s/users
admin_users = admin
pool_mode = transaction
max_client_conn = 300
server_login_retry = 0.2
log_connections = 0
log_disconnections = 0
`, name, c.Socket, c.Port, name, port, dir)
	ok(t, os.WriteFile(filepath.Join(dir, "ini"), []byte(ini), 0o644))
	ok(t, os.WriteFile(filepath.Join(dir, "users"), fmt.Appendf(nil, "\"admin\" %q\n\"app\" \"app\"\n", bouncerPassword), 0o644))
	cmd := exec.Command(bin, filepath.Join(dir, "ini"))
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if os.Geteuid() == 0 { // PgBouncer refuses to run as root
		u := must(user.Lookup("postgres"))(t)
		uid, gid := must(strconv.Atoi(u.Uid))(t), must(strconv.Atoi(u.Gid))(t)
		ok(t, os.Chown(dir, uid, gid))
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	}
	var log strings.Builder
	cmd.Stderr = &log
	ok(t, cmd.Start())
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		if t.Failed() {
			t.Logf("pgbouncer: %s", log.String())
		}
	})
	eventually(t, "PgBouncer listens", func() bool {
		c, err := net.Dial("tcp", fmt.Sprint("127.0.0.1:", port))
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	return port
}
