// Package pgserver runs a throwaway PostgreSQL cluster out of one folder, for tests and for the demo.
//
// The server programs are Debian's or whatever stands in PATH; nothing is installed and no other cluster is touched.
// PostgreSQL refuses to run as root, so root starts it as the user "postgres". The server dies with the process that
// started it.
package pgserver

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/engine"
)

// ErrNotInstalled is wrapped by Start where the server programs are missing. Its text says what to install.
var ErrNotInstalled = errors.New("PostgreSQL's server programs (initdb, postgres) are not installed: apt-get install postgresql-15")

// Options say how a cluster differs from a small one that listens on a Unix socket only.
type Options struct {
	TCP      bool              // also listen on 127.0.0.1, where a password is asked for (SCRAM)
	Port     int               // TCP port; 0 chooses a free one
	Durable  bool              // fsync as in production; otherwise a power cut may ruin the cluster
	Settings map[string]string // of postgresql.conf, values as SHOW prints them
	Files    map[string][]byte // written into the data folder with mode 0600, such as server.key
	Template string            // a data folder made by Init to copy instead of running initdb: faster, but the same system identifier
	BinDir   string            // folder of initdb and postgres; "" finds the newest
}

// Cluster is a running server.
type Cluster struct {
	Dir      string // holds data/, log and, where its path is short enough, the socket
	DataDir  string
	Socket   string // folder of the Unix socket; connections over it need no password
	Port     int
	User     string // the superuser
	Password string // the superuser's, over TCP; "" after a second Start on the same folder
	TCP      bool
	BinDir   string

	opt       Options
	ownSocket bool // Socket is a folder of its own, removed by Stop
	mu        sync.Mutex
	cmd       *exec.Cmd
	done      chan struct{} // closed when the server has exited
}

const superuser = "postgres"

// Init makes a new data folder at dir/data without starting a server: what Options.Template names.
func Init(ctx context.Context, dir string, binDir string) (dataDir string, err error) {
	if binDir == "" {
		if binDir, err = FindBinDir(); err != nil {
			return "", err
		}
	}
	if err := prepareDir(dir); err != nil {
		return "", err
	}
	dataDir = filepath.Join(dir, "data")
	out, err := command(ctx, filepath.Join(binDir, "initdb"), "-D", dataDir, "-U", superuser, "--no-sync",
		"--auth-local=trust", "--auth-host=scram-sha-256", "-E", "UTF8", "--locale=C.UTF-8").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("initdb in %s: %w: %s", dir, err, lastLines(string(out), 5))
	}
	return dataDir, nil
}

// Start starts a cluster in dir, which is made if it is missing; a cluster that an earlier Start left there is used
// again. It returns when the server answers. ctx limits the start only: Stop ends the server.
func Start(ctx context.Context, dir string, opt Options) (*Cluster, error) {
	binDir := opt.BinDir
	if binDir == "" {
		var err error
		if binDir, err = FindBinDir(); err != nil {
			return nil, err
		}
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if err := prepareDir(dir); err != nil {
		return nil, err
	}
	c := &Cluster{Dir: dir, DataDir: filepath.Join(dir, "data"), Socket: dir, User: superuser, TCP: opt.TCP, BinDir: binDir, opt: opt}
	fresh := false
	if _, err := os.Stat(filepath.Join(c.DataDir, "PG_VERSION")); err != nil {
		if err := c.makeData(ctx); err != nil {
			return nil, err
		}
		fresh = true
	}
	for name, content := range opt.Files {
		if err := c.writeFile(name, content); err != nil {
			return nil, err
		}
	}
	if len(c.Socket) > 80 { // a socket's whole path may have 107 bytes
		if c.Socket, err = os.MkdirTemp("", "pg"); err != nil {
			return nil, err
		}
		c.ownSocket = true
		if err := prepareDir(c.Socket); err != nil {
			return nil, err
		}
	}
	c.Port = cmp.Or(opt.Port, freePort())
	if err := c.Launch(ctx); err != nil {
		return nil, err
	}
	if fresh && opt.TCP {
		c.Password = rand.Text()
		// The password is one of ours: letters and digits, nothing to quote.
		if err := c.Exec(ctx, "postgres", "ALTER ROLE postgres PASSWORD '"+c.Password+"'"); err != nil {
			c.Stop()
			return nil, err
		}
	}
	return c, nil
}

func (c *Cluster) makeData(ctx context.Context) error {
	if c.opt.Template == "" {
		_, err := Init(ctx, c.Dir, c.BinDir)
		return err
	}
	if out, err := command(ctx, "cp", "-a", c.opt.Template, c.DataDir).CombinedOutput(); err != nil {
		return fmt.Errorf("copy the template cluster: %w: %s", err, lastLines(string(out), 3))
	}
	return nil
}

// Launch starts the server again after Kill or a Stop of the process, on the same port and data.
func (c *Cluster) Launch(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	logFile, err := os.OpenFile(filepath.Join(c.Dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer logFile.Close()
	cmd := command(context.Background(), filepath.Join(c.BinDir, "postgres"), c.args()...)
	cmd.Stdout, cmd.Stderr = logFile, logFile
	dieWithParent(cmd)
	done, started := make(chan struct{}), make(chan error, 1)
	go startAndWait(cmd, started, done)
	if err := <-started; err != nil {
		return fmt.Errorf("start postgres: %w", err)
	}
	c.cmd, c.done = cmd, done
	if err := c.waitReady(ctx); err != nil {
		cmd.Process.Signal(syscall.SIGQUIT)
		<-done
		c.cmd = nil
		return err
	}
	return nil
}

func (c *Cluster) args() []string {
	settings := map[string]string{
		"unix_socket_directories": c.Socket, "port": strconv.Itoa(c.Port), "listen_addresses": "",
		"shared_buffers": "32MB", "max_connections": "100", "dynamic_shared_memory_type": "posix",
		"log_min_messages": "warning", "log_line_prefix": "%m [%p] %d ",
	}
	if c.opt.TCP {
		settings["listen_addresses"] = "127.0.0.1"
	}
	if !c.opt.Durable {
		settings["fsync"], settings["full_page_writes"], settings["synchronous_commit"] = "off", "off", "off"
	}
	for k, v := range c.opt.Settings {
		settings[k] = v
	}
	args := []string{"-D", c.DataDir}
	for k, v := range settings {
		args = append(args, "-c", k+"="+v)
	}
	return args
}

// startAndWait keeps its thread until the server has exited: the kernel counts the end of the thread that started a
// child as the parent's death, and would stop the server.
func startAndWait(cmd *exec.Cmd, started chan<- error, done chan<- struct{}) {
	lockThread()
	err := cmd.Start()
	started <- err
	if err == nil {
		cmd.Wait()
		close(done)
	}
}

func (c *Cluster) waitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 60*time.Second)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := c.Exec(ctx, "postgres", "SELECT 1")
		if err == nil {
			return nil
		}
		select {
		case <-c.done:
			return fmt.Errorf("postgres stopped at once; its log ends: %s", c.LogTail(5))
		case <-ctx.Done():
			return fmt.Errorf("postgres did not answer in time: %w (log: %s)", err, c.LogTail(5))
		case <-tick.C:
		}
	}
}

// Stop ends the server in an orderly way; its data stays in Dir.
func (c *Cluster) Stop() error { return c.end(syscall.SIGINT, true) }

// Kill ends the server as a crash does (every process at once, without a checkpoint). Launch starts it again.
func (c *Cluster) Kill() error { return c.end(syscall.SIGQUIT, false) }

// Crash kills every process of the server with SIGKILL, which none of them can notice. Launch starts it again.
func (c *Cluster) Crash() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cmd == nil {
		return nil
	}
	parent := c.cmd.Process.Pid
	children := childrenOf(parent)
	syscall.Kill(parent, syscall.SIGKILL)
	for _, pid := range append(children, childrenOf(parent)...) {
		syscall.Kill(pid, syscall.SIGKILL)
	}
	<-c.done
	c.cmd = nil
	for _, pid := range children { // a server refuses to start while one of an earlier is there
		for deadline := time.Now().Add(10 * time.Second); syscall.Kill(pid, 0) == nil && time.Now().Before(deadline); {
			time.Sleep(time.Millisecond)
		}
	}
	return nil
}

// childrenOf are the processes that a process started and that are still there.
func childrenOf(parent int) (pids []int) {
	lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", parent))
	for _, path := range lists {
		list, _ := os.ReadFile(path)
		for _, field := range strings.Fields(string(list)) {
			if pid, err := strconv.Atoi(field); err == nil {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}

func (c *Cluster) end(sig syscall.Signal, last bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cmd != nil {
		c.cmd.Process.Signal(sig)
		select {
		case <-c.done:
		case <-time.After(30 * time.Second):
			c.cmd.Process.Signal(syscall.SIGQUIT)
			<-c.done
		}
		c.cmd = nil
	}
	if last && c.ownSocket {
		return os.RemoveAll(c.Socket)
	}
	return nil
}

// Target is a database of the cluster through the Unix socket, as the superuser.
func (c *Cluster) Target(database string) engine.Target {
	return engine.Target{Engine: safepoint.PostgreSQL, Host: c.Socket, Port: c.Port, User: c.User, Name: database, TLS: safepoint.TLSDisable}
}

// TCPTarget is a database of the cluster over 127.0.0.1, as the superuser with its password. It needs Options.TCP.
func (c *Cluster) TCPTarget(database string) engine.Target {
	t := c.Target(database)
	t.Host, t.Password = "127.0.0.1", c.Password
	return t
}

// Connect opens a superuser's session over the Unix socket. Its queries use the simple protocol, so that a statement
// may be anything. The caller closes it.
func (c *Cluster) Connect(ctx context.Context, database string) (*pgx.Conn, error) {
	return Connect(ctx, c.Target(database))
}

// Connect opens a plain session to a target without TLS.
func Connect(ctx context.Context, t engine.Target) (*pgx.Conn, error) {
	cfg, err := pgx.ParseConfig("sslmode=disable")
	if err != nil {
		return nil, err
	}
	cfg.Host, cfg.Port, cfg.User, cfg.Password, cfg.Database = t.Host, uint16(t.Port), t.User, t.Password, t.Name
	cfg.TLSConfig, cfg.Fallbacks = nil, nil
	cfg.ConnectTimeout = 10 * time.Second
	cfg.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol
	return pgx.ConnectConfig(ctx, cfg)
}

// Exec runs statements, separated by ";", in a session of their own.
func (c *Cluster) Exec(ctx context.Context, database, sql string) error {
	conn, err := c.Connect(ctx, database)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	_, err = conn.Exec(ctx, sql)
	return err
}

// Tool prepares a client program, such as "psql", with its connection in the environment. Its version is the server's,
// or the next newer one where that is not installed.
func (c *Cluster) Tool(ctx context.Context, program, database string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, c.program(program), args...)
	cmd.Env = []string{"PATH=/usr/bin:/bin", "LC_ALL=C.UTF-8", "PGHOST=" + c.Socket, "PGPORT=" + strconv.Itoa(c.Port),
		"PGUSER=" + c.User, "PGDATABASE=" + database, "HOME=" + c.Dir}
	return cmd
}

// LogTail is the last n lines of the server's log.
func (c *Cluster) LogTail(n int) string {
	b, _ := os.ReadFile(filepath.Join(c.Dir, "log"))
	return lastLines(string(b), n)
}

func (c *Cluster) writeFile(name string, content []byte) error {
	path := filepath.Join(c.DataDir, name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		return err
	}
	if cred := credential(); cred != nil {
		return os.Chown(path, int(cred.Uid), int(cred.Gid))
	}
	return nil
}

func lastLines(s string, n int) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

func freePort() int {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 54321
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}
