// Package cli is the command line: the console's words from a terminal, and backup files without any server.
//
// One file per command. Results go to standard output, everything else (progress, questions, errors) to standard
// error. With --json results are one JSON value on standard output, and an error is {"error": …} on standard error.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"
	"golang.org/x/term"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/server"
)

// Version is the program's, set when it is linked.
var Version = "dev"

// Globals are the flags of every command.
type Globals struct {
	JSON    bool             `help:"Print results and errors as JSON." env:"SAFEPOINT_JSON"`
	Quiet   bool             `short:"q" help:"Print no progress."`
	Verbose bool             `short:"v" help:"Print the cause of an error too."`
	Version kong.VersionFlag `help:"Print the version and exit."`
}

// Remote are the flags of every command that speaks to a server.
type Remote struct {
	URL          string `name:"url" help:"The server; default: the one you signed in to last." env:"SAFEPOINT_URL" group:"Server"`
	Token        string `name:"token" help:"An API token; better in the environment, where other users cannot see it." env:"SAFEPOINT_TOKEN" group:"Server"`
	Organization string `name:"organization" short:"o" help:"The organization, by name or ID; default: the one you signed in to last." env:"SAFEPOINT_ORGANIZATION" group:"Server" complete:"organization"`
}

type commands struct {
	Globals

	Serve    serveCmd    `cmd:"" help:"Run the server: console, API, scheduler." group:"Run"`
	Watchdog watchdogCmd `cmd:"" help:"Beside the server: resume services if it dies in the middle of a restore and stays down." group:"Run"`
	Demo     demoCmd     `cmd:"" help:"Run everything with a sample shop, to look at." group:"Run"`

	Login      loginCmd      `cmd:"" help:"Sign in to a server and keep a token for it." group:"On a server"`
	Logout     logoutCmd     `cmd:"" help:"Revoke the token and forget it." group:"On a server"`
	Backup     backupCmd     `cmd:"" help:"Start a manual backup." group:"On a server"`
	Upload     uploadCmd     `cmd:"" help:"Upload a backup file, or a dump that Safepoint did not make." group:"On a server"`
	Schedule   scheduleCmd   `cmd:"" help:"DB Backup: the schedules." group:"On a server"`
	Logs       logsCmd       `cmd:"" help:"DB Logs: every backup and restore." group:"On a server"`
	Restore    restoreCmd    `cmd:"" help:"Restore a database to a backup." group:"On a server"`
	Undo       undoCmd       `cmd:"" help:"Undo a restore within its window." group:"On a server"`
	Database   databaseCmd   `cmd:"" help:"Databases." group:"On a server"`
	Storage    storageCmd    `cmd:"" help:"Where backups are kept: room, what fills it, a test." group:"On a server"`
	Service    serviceCmd    `cmd:"" help:"Services: what a restore halts and resumes." group:"On a server"`
	State      stateCmd      `cmd:"" help:"Whether services may work on the databases: operating or halted." group:"On a server"`
	Encryption encryptionCmd `cmd:"" help:"Whether and for whom backups are encrypted." group:"On a server"`
	Notices    noticesCmd    `cmd:"" help:"What needs a person: failing schedules, missed runs, a full storage." group:"On a server"`
	Health     healthCmd     `cmd:"" help:"How the databases' backups have fared, and how long there will be room." group:"On a server"`
	Audit      auditCmd      `cmd:"" help:"The audit log." group:"On a server"`

	Dump          dumpCmd          `cmd:"" help:"Back up a database into a file." group:"Without a server"`
	Load          loadCmd          `cmd:"" help:"Load a backup file into a database." group:"Without a server"`
	Verify        verifyCmd        `cmd:"" help:"Read a backup file and check every byte of it." group:"Without a server"`
	Extract       extractCmd       `cmd:"" help:"Take tables out of a backup file, as SQL." group:"Without a server"`
	Inspect       inspectCmd       `cmd:"" help:"Show what a backup file, or a foreign dump, holds." group:"Without a server"`
	Convert       convertCmd       `cmd:"" help:"Make a backup file out of a dump that Safepoint did not make." group:"Without a server"`
	Doctor        doctorCmd        `cmd:"" help:"Look at a data directory and at database servers: what stands where, and what is safe to do next." group:"Without a server"`
	Recover       recoverCmd       `cmd:"" help:"List backup files again whose server's data directory is lost." group:"Without a server"`
	Key           keyCmd           `cmd:"" help:"Keys that open encrypted backup files." group:"Without a server"`
	ResetPassword resetPasswordCmd `cmd:"" help:"Give somebody who cannot sign in any more a new password." group:"Without a server"`

	Completion completionCmd `cmd:"" help:"Print what your shell needs to complete commands, flags and names." group:"Without a server"`
}

// Env is where a command reads and writes.
type Env struct {
	Globals
	In       io.Reader
	Out, Err io.Writer

	command *kong.Node // the one that runs; nil while it is not known
	values  values     // what is written after its flags
}

// Main runs one command line (without the program's name) and returns the exit code.
func Main(args []string) int {
	ctx, stop := notify(context.Background())
	defer stop()
	args = ownArgs(args)
	env := &Env{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}
	return run(ctx, args, env)
}

// signalled is the cause of a context that a signal ended.
type signalled struct{ os.Signal }

func (s signalled) Error() string { return "stopped by " + s.String() }

// notify is signal.NotifyContext with the signal as the cause. A second signal ends the process at once.
func notify(parent context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(parent)
	ch := make(chan os.Signal, 1)
	signal.Notify(ch, os.Interrupt, syscall.SIGTERM)
	go func() {
		select {
		case s := <-ch:
			signal.Stop(ch)
			cancel(signalled{s})
		case <-ctx.Done():
		}
	}()
	return ctx, func() { signal.Stop(ch); cancel(nil) }
}

// exit is what kong panics with where it would end the process: after --help and --version.
type exit int

func run(ctx context.Context, args []string, env *Env) (code int) {
	defer func() {
		if r := recover(); r != nil {
			e, ok := r.(exit)
			if !ok {
				panic(r)
			}
			code = int(e)
		}
	}()
	var c commands
	p, err := newCommandLine(&c, env)
	if err != nil {
		panic("cli: the commands are declared wrongly: " + err.Error())
	}
	switch {
	case len(args) == 0:
		args = []string{"--help"}
	case args[0] == completeWord:
		complete(ctx, p.Model, args[1:], env.Out)
		return exitOK
	}
	k, err := p.Parse(args)
	env.Globals = c.Globals
	if err != nil {
		env.JSON = env.JSON || wantsJSON(args)
		var parse *kong.ParseError
		if errors.As(err, &parse) {
			k = parse.Context
		}
		if e := env.values.behind(err); e != nil && k != nil {
			env.command = k.Selected()
			return env.fail(ctx, e)
		}
		return env.fail(ctx, usage{error: err, hint: seeHelp(k)})
	}
	env.command = k.Selected()
	k.BindTo(ctx, (*context.Context)(nil))
	err = k.Run(env)
	var u usage
	if errors.As(err, &u) && u.hint == "" {
		err = usage{error: u.error, hint: seeHelp(k)}
	}
	return env.fail(ctx, err)
}

// seeHelp points to the help of the command that was called, as far as it is known.
func seeHelp(k *kong.Context) string {
	if k == nil || k.Selected() == nil {
		return "See safepoint --help."
	}
	return "See safepoint " + path(k.Selected()) + " --help."
}

// newCommandLine is the command line, declared by c.
func newCommandLine(c *commands, env *Env) (*kong.Kong, error) {
	p, err := kong.New(c, append(env.values.options(),
		kong.Name("safepoint"),
		kong.Description(description()),
		kong.Vars{"version": "safepoint " + Version, "addr": server.DefaultAddr},
		kong.Writers(env.Out, env.Err),
		kong.Exit(func(code int) { panic(exit(code)) }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, NoExpandSubcommands: true}),
	)...)
	if err == nil {
		addHelp(p.Model.Node)
	}
	return p, err
}

// wantsJSON finds --json in arguments that could not be parsed.
func wantsJSON(args []string) bool {
	for _, a := range args {
		if a == "--json" {
			return true
		}
	}
	return false
}

// usage is a command line that cannot be understood.
type usage struct {
	error
	hint string // "" becomes the command's --help
}

func (u usage) Unwrap() error { return u.error }

func usagef(format string, args ...any) error { return usage{error: fmt.Errorf(format, args...)} }

// confirmation refuses to go on where a question must be answered and nobody can be asked.
func confirmation(flag string) error {
	return usage{
		safepoint.Errorf(safepoint.CodeInvalid, "This asks before it does anything, and nobody can be asked here. Nothing was changed."),
		"Add " + flag + " to go on.",
	}
}

// fail prints err, if any, and returns the exit code.
func (env *Env) fail(ctx context.Context, err error) int {
	if err == nil {
		return exitOK
	}
	var done reported
	if errors.As(err, &done) {
		return exitCode(err)
	}
	var s signalled
	if ctx.Err() != nil && errors.As(context.Cause(ctx), &s) {
		err = s
	}
	code := exitCode(err)
	e := shown(err)
	if env.JSON {
		writeJSON(env.Err, map[string]any{"error": map[string]any{
			"code": e.Code, "message": e.Message, "hint": e.Hint, "field": e.Field, "exit": code,
		}})
		return code
	}
	fmt.Fprintf(env.Err, "safepoint: %s%s\n", env.flagOf(e.Field), strings.TrimSuffix(e.Message, "\n"))
	if e.Hint != "" {
		fmt.Fprintf(env.Err, "  %s\n", e.Hint)
	}
	if env.Verbose && err.Error() != e.Message {
		fmt.Fprintf(env.Err, "  cause: %v\n", err)
	}
	return code
}

// flagOf is "--halt-url: " where an error is about an input that the command has a flag for, "" else. The flags that say
// which server is asked are not inputs.
func (env *Env) flagOf(field string) string {
	name := strings.ReplaceAll(field, "_", "-")
	if env.command != nil {
		for _, f := range env.command.Flags {
			if f.Name == name && (f.Group == nil || f.Group.Key != "Server") {
				return "--" + name + ": "
			}
		}
	}
	return ""
}

// shown is what the person at the terminal may see of err. An error without a code of its own is this machine's or
// ours: here, unlike in the console, the person can act on its text.
func shown(err error) *safepoint.Error {
	var e *safepoint.Error
	var u usage
	switch {
	case errors.As(err, &u):
		return &safepoint.Error{Code: "usage", Message: u.Error(), Hint: u.hint}
	case errors.As(err, &e):
		return safepoint.UserError(e)
	}
	return &safepoint.Error{Code: safepoint.CodeInternal, Message: err.Error()}
}

// reported is an error that was printed already, as part of a result.
type reported struct{ error }

func (r reported) Unwrap() error { return r.error }

// terminal says whether a person reads stderr and answers on stdin.
func (env *Env) terminal() bool { return isTerminal(env.In) && isTerminal(env.Err) }

func isTerminal(f any) bool {
	file, ok := f.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}
