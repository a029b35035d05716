package cli

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"log/slog"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	_ "modernc.org/sqlite"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/app"
	"github.com/safepoint-db/safepoint/internal/pgtest"
	"github.com/safepoint-db/safepoint/internal/server"
)

func TestMain(m *testing.M) {
	testscript.Main(withPostgres{m}, map[string]func(){
		"safepoint": func() { os.Exit(Main(os.Args[1:])) },
		"sql":       sqlCommand,
		"argv":      argvCommand,
	})
}

// withPostgres removes the clusters that tests started.
type withPostgres struct{ m *testing.M }

func (w withPostgres) Run() int { return pgtest.Main(w.m) }

// sqlCommand runs one statement in a SQLite file and prints the rows, values separated by "|".
func sqlCommand() {
	if err := runSQL(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func runSQL(file, statement string) error {
	db, err := sql.Open("sqlite", "file:"+file)
	if err != nil {
		return err
	}
	defer db.Close()
	rows, err := db.Query(statement)
	if err != nil {
		return err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return err
	}
	values := make([]sql.NullString, len(columns))
	into := make([]any, len(columns))
	for i := range values {
		into[i] = &values[i]
	}
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return err
		}
		var texts []string
		for _, v := range values {
			texts = append(texts, v.String)
		}
		fmt.Println(strings.Join(texts, "|"))
	}
	return rows.Err()
}

// argvCommand does what Main does to its arguments, and prints what the list of processes then shows.
func argvCommand() {
	own := ownArgs(os.Args[1:])
	cmdline, err := os.ReadFile("/proc/self/cmdline")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println("own:", strings.Join(own, " "))
	fmt.Println("seen:", strings.ReplaceAll(string(cmdline), "\x00", " "))
}

// exits runs a program and checks its exit code: exits 5 safepoint load …
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM [ARGUMENT…]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		got = exit.ExitCode()
	} else if err != nil {
		ts.Fatalf("%s: %v", args[1], err)
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// flip changes one bit of a file, at an offset from its start: flip FILE OFFSET.
func flip(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: flip FILE OFFSET")
	}
	at, err := strconv.Atoi(args[1])
	ts.Check(err)
	path := ts.MkAbs(args[0])
	data, err := os.ReadFile(path)
	ts.Check(err)
	data[at] ^= 0x10
	ts.Check(os.WriteFile(path, data, 0o600))
}

// setJSON reads a value out of the last output, which is JSON, into a variable: setjson VAR KEY takes the first "KEY".
func setJSON(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: setjson VAR KEY")
	}
	_, rest, ok := strings.Cut(ts.ReadFile("stdout"), `"`+args[1]+`": "`)
	value, _, end := strings.Cut(rest, `"`)
	if !ok || !end {
		ts.Fatalf("no %q in the output", args[1])
	}
	ts.Setenv(args[0], value)
}

// later moves the server's clock: later 6m.
func later(ts *testscript.TestScript, _ bool, args []string) {
	d, err := time.ParseDuration(strings.Join(args, ""))
	ts.Check(err)
	ts.Value("ahead").(*atomic.Int64).Add(int64(d))
}

var commandsOfScripts = map[string]func(*testscript.TestScript, bool, []string){
	"exits": exits, "flip": flip, "later": later, "setjson": setJSON,
}

// TestFiles tells stories of backup files, without any server.
func TestFiles(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: "testdata/files", Cmds: commandsOfScripts, RequireExplicitExec: true})
}

// TestServer tells stories at a server of their own each.
func TestServer(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/server", Cmds: commandsOfScripts, RequireExplicitExec: true,
		Condition: func(name string) (bool, error) {
			if name != "terminal" {
				return false, fmt.Errorf("there is no condition %q", name)
			}
			return hasTerminals(), nil
		},
		Setup: func(e *testscript.Env) error {
			e.Setenv("SAFEPOINT_CONFIG", e.Getenv("WORK")+"/config/config.json")
			return startServer(e)
		},
	})
}

// hasTerminals says whether this machine gives out pseudo-terminals: a bare chroot does not.
func hasTerminals() bool {
	return exec.Command("script", "-qec", "true", os.DevNull).Run() == nil
}

// adminPassword is the password of everybody in these stories.
const adminPassword = "seven tugboats at anchor"

func startServer(e *testscript.Env) error {
	ctx, stop := context.WithCancel(context.Background())
	ahead := &atomic.Int64{}
	e.Values["ahead"] = ahead
	s, err := server.Open(ctx, server.Config{
		DataDir: e.Getenv("WORK") + "/.server", Addr: "127.0.0.1:0", Log: slog.New(slog.DiscardHandler), Version: "test",
		Now: func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) },
	})
	if err != nil {
		stop()
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	e.Defer(func() {
		stop()
		if err := errors.Join(<-ended, s.Close()); err != nil {
			e.T().Log("stop server: ", err)
			e.T().FailNow()
		}
	})
	session, err := s.App.Setup(ctx, app.Setup{
		Code: s.SetupCode(), Email: "rahel@harbor.example", Name: "Rahel", Password: adminPassword, Organization: "Harbor", TimeZone: "UTC",
	}, "127.0.0.1", "test")
	if err != nil {
		return err
	}
	by, err := s.App.Session(ctx, session, "127.0.0.1")
	if err != nil {
		return err
	}
	_, link, err := s.App.InviteMember(ctx, by, app.MemberInput{Email: "vera@harbor.example", Role: safepoint.RoleViewer})
	if err != nil {
		return err
	}
	if _, err := s.App.AcceptInvite(ctx, link, "Vera", adminPassword, "127.0.0.1", "test"); err != nil {
		return err
	}
	e.Setenv("SERVER", s.URL())
	return nil
}

// TestExitCodes holds the table against every code that the root package declares.
func TestExitCodes(t *testing.T) {
	f, err := parser.ParseFile(token.NewFileSet(), "../../error.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	declared := 0
	ast.Inspect(f, func(n ast.Node) bool {
		if v, ok := n.(*ast.ValueSpec); ok && len(v.Values) == 1 {
			if id, ok := v.Type.(*ast.Ident); ok && id.Name == "Code" {
				declared++
				text, _ := strconv.Unquote(v.Values[0].(*ast.BasicLit).Value)
				if c, ok := exitCodes[safepoint.Code(text)]; !ok || c == exitOK || c == exitUsage {
					t.Errorf("%s (%q) has exit code %d", v.Names[0].Name, text, c)
				}
			}
		}
		return true
	})
	if declared < 20 || declared != len(exitCodes) {
		t.Errorf("%d codes are declared, %d have an exit code", declared, len(exitCodes))
	}
	documented := map[int]bool{}
	for _, m := range exitMeanings {
		documented[m.Code] = true
	}
	for code, exit := range exitCodes {
		if !documented[exit] {
			t.Errorf("exit code %d of %q is not in the help text", exit, code)
		}
	}
}

func TestPasswordIn(t *testing.T) {
	for arg, want := range map[string]string{
		"postgres://u:hunter2@h/d": "hunter2", "--from=postgres://u:hunter2@h/d": "hunter2", "postgres://u:a%40b:c@h:1/d?x=y@z": "a%40b:c",
		"postgres://u@h/d": "", "https://h/p@x:y": "", "sqlite:///a:b@c": "", "plain:text@here": "",
	} {
		if got := passwordIn(arg); got != want {
			t.Errorf("%s: %q, want %q", arg, got, want)
		}
	}
}

func TestDurationText(t *testing.T) {
	for d, want := range map[time.Duration]string{
		350 * time.Millisecond: "350 ms", 12 * time.Second: "12 s", 372 * time.Second: "6 min 12 s",
		17*time.Hour + 14*time.Minute: "17 h 14 min", 75 * time.Hour: "3 d 3 h", time.Minute: "1 min", 362 * time.Second: "6 min 02 s",
	} {
		if got := durationText(d); got != want {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
	}
}

// firstAdmin sets a server up and returns a token of its admin.
func firstAdmin(t *testing.T, s *server.Server) string {
	t.Helper()
	_, err := s.App.Setup(t.Context(), app.Setup{
		Code: s.SetupCode(), Email: "rahel@harbor.example", Name: "Rahel", Password: adminPassword, Organization: "Harbor", TimeZone: "UTC",
	}, "127.0.0.1", "test")
	if err != nil {
		t.Fatal(err)
	}
	_, _, secret, err := s.App.Login(t.Context(), "rahel@harbor.example", adminPassword, "", "test", "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	return secret
}

// TestOneLine keeps what a server or a file said from steering the terminal.
func TestOneLine(t *testing.T) {
	if got := oneLine("a\x1b[31m\r\nb\u0085"); got != "a [31m  b " {
		t.Errorf("got %q", got)
	}
}
