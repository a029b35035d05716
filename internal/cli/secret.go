package cli

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"

	"golang.org/x/term"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/engine"
	"github.com/safepoint-db/safepoint/internal/kinds"
)

// ownArgs returns args as copies and blanks, in the process's own memory, the passwords that stood in them: from here
// on they are not in the list of processes. They were until now, and stay in the shell's history.
func ownArgs(args []string) []string {
	own := make([]string, len(args))
	for i, a := range args {
		own[i] = strings.Clone(a)
		if p := passwordIn(a); p != "" {
			blank(a[strings.Index(a, p):][:len(p)])
		}
		if i > 0 && args[i-1] == "--token" {
			blank(a)
		}
		if at := strings.Index(strings.ToUpper(a), secretKeyPrefix); at >= 0 { // never wanted here: it is refused later
			blank(a[at:])
		}
		if t, ok := strings.CutPrefix(a, "--token="); ok {
			blank(t)
		}
	}
	return own
}

// passwordIn is the password as it is written in the URL within arg, "" if there is none.
func passwordIn(arg string) string {
	_, rest, ok := strings.Cut(arg, "://")
	if !ok {
		return ""
	}
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		rest = rest[:i]
	}
	at := strings.LastIndex(rest, "@")
	if at < 0 {
		return ""
	}
	_, password, _ := strings.Cut(rest[:at], ":")
	return password
}

// Secret is how a database's password is given without being in argv.
type Secret struct {
	PasswordFile string `type:"existingfile" placeholder:"FILE" help:"Read the database's password from a file."`
	Programs
}

// Programs says where client programs are.
type Programs struct {
	PgBin []string `name:"pg-bin" type:"existingdir" sep:":" placeholder:"DIR" env:"SAFEPOINT_PG_BIN" help:"Folders of pg_dump and pg_restore, looked through before /usr/lib/postgresql/*/bin and PATH; separated by colons."`
}

// password is, in this order, what the URL holds, $SAFEPOINT_DB_PASSWORD, $PGPASSWORD, or the file's first line.
// found is false if there is none: many databases need none.
func (s Secret) password(env *Env, rawURL string) (password string, found bool, err error) {
	if passwordIn(rawURL) != "" {
		fmt.Fprintln(env.Err, "safepoint: the password in the URL may be seen by others on this machine and is kept by your shell; better set SAFEPOINT_DB_PASSWORD or use --password-file")
		if u, err := url.Parse(rawURL); err == nil && u.User != nil {
			password, found = u.User.Password()
		}
		return password, found, nil
	}
	for _, name := range []string{"SAFEPOINT_DB_PASSWORD", "PGPASSWORD"} {
		if p := os.Getenv(name); p != "" {
			return p, true, nil
		}
	}
	if s.PasswordFile == "" {
		return "", false, nil
	}
	data, err := os.ReadFile(s.PasswordFile)
	if err != nil {
		return "", false, fileError(err, s.PasswordFile)
	}
	first, _, _ := strings.Cut(string(data), "\n")
	return strings.TrimSuffix(first, "\r"), true, nil
}

// target is the database that rawURL names, when look has had a first look at it. Where the server wants a password that
// was not given, a person at the terminal is asked for it, and look looks again.
func (s Secret) target(ctx context.Context, env *Env, rawURL string, look func(engine.Engine, engine.Target) error) (engine.Engine, engine.Target, error) {
	t, err := kinds.ParseURL(rawURL)
	if err != nil {
		return nil, t, err
	}
	e, ok := kinds.Engine(t.Engine)
	if !ok {
		return nil, t, safepoint.Invalid("url", "Databases of kind %q are not known here.", t.Engine)
	}
	password, found, err := s.password(env, rawURL)
	if err != nil {
		return nil, t, err
	}
	t.Password = password
	e = kinds.WithPrograms(e, s.PgBin)
	err = look(e, t)
	if safepoint.ErrorCode(err) == safepoint.CodePassword && !found && env.terminal() {
		if t.Password, err = env.askSecret("Password of " + t.User + ": "); err != nil {
			return nil, t, err
		}
		err = look(e, t)
	}
	return e, t, err
}

// Jobs says how many sessions a command may use beside one another.
type Jobs struct {
	Jobs int `short:"j" placeholder:"N" help:"Sessions that read or write rows beside one another (PostgreSQL); default: one per processor of this machine, up to 8."`
}

const maxJobs = 64

// in is e with so many jobs.
func (j Jobs) in(e engine.Engine) (engine.Engine, error) {
	if j.Jobs < 0 || j.Jobs > maxJobs {
		return nil, usagef("--jobs is a number from 1 to %d", maxJobs)
	}
	return kinds.WithJobs(e, j.Jobs), nil
}

// askSecret asks for a secret without echo.
func (env *Env) askSecret(prompt string) (string, error) {
	f, ok := env.In.(*os.File)
	if !ok || !env.terminal() {
		return "", usagef("no terminal to ask for a password on")
	}
	fmt.Fprint(env.Err, prompt)
	secret, err := term.ReadPassword(int(f.Fd()))
	fmt.Fprintln(env.Err)
	if err != nil {
		return "", fmt.Errorf("read password: %w", err)
	}
	return string(secret), nil
}

// blockers are the findings that stop a restore, as one error; nil if there are none. The others are printed.
func (env *Env) blockers(findings []engine.Finding) error {
	for _, f := range findings {
		if !f.Blocker && !env.JSON {
			fmt.Fprintf(env.Err, "note: %s %s\n", f.Message, f.Hint)
		}
	}
	i := slices.IndexFunc(findings, func(f engine.Finding) bool { return f.Blocker })
	if i < 0 {
		return nil
	}
	code := findings[i].Code
	if code == "" {
		code = safepoint.CodeBlocked
	}
	return &safepoint.Error{Code: code, Message: findings[i].Message, Hint: findings[i].Hint}
}
