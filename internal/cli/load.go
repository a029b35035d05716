package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/engine"
	"github.com/safepoint-db/safepoint/internal/kinds"
)

type loadCmd struct {
	File string `arg:"" help:"The backup file; or a dump that Safepoint did not make, see safepoint convert --help. - is standard input."`
	Into string `required:"" placeholder:"URL" help:"postgres://user@host:port/name or sqlite:///path: an empty database, or with --replace any."`
	Secret
	Trust
	Jobs
	Choice
	Foreign
	Origin
	Recipient    []string `placeholder:"age1…" help:"With --replace: encrypt the safety backup for this public key; can be repeated. Default: the recipients of the keys that opened an encrypted backup."`
	Replace      bool     `help:"Replace what the database holds, in one step that comes after everything was loaded and checked beside it."`
	Safety       string   `placeholder:"FILE" help:"With --replace: where the safety backup goes; default: beside the backup file, named after the database and the time."`
	KeepPrevious bool     `help:"With --replace: keep the previous database beside the new one."`
	Yes          bool     `short:"y" help:"With --replace: do not ask."`

	Schema string `placeholder:"NAME" help:"With --table, PostgreSQL: load into a new schema of this name, in a database that may hold others. Owners and grants are left out. All of it is done, or nothing."`

	AllowOlderServer bool `help:"Load into a server of an older major version than the one that was backed up, as far as it understands the backup; without this it is refused."`

	foreign bool // the file carries no fingerprint
}

func (cmd *loadCmd) Run(ctx context.Context, env *Env) error {
	mindMemory()
	giveWay()
	if cmd.File == "-" && cmd.Replace {
		return usagef("with --replace the dump must be a file: after a crash it is needed again")
	}
	cmd.Foreign.noOwner, cmd.Foreign.programs = cmd.NoOwner, cmd.PgBin
	b, err := cmd.Foreign.open(ctx, env, cmd.File, cmd.Trust)
	if err != nil {
		return err
	}
	defer b.Close()
	if len(cmd.Table) > 0 && cmd.Replace {
		return usagef("--replace replaces a whole database: load chosen tables into an empty one")
	}
	if cmd.Schema != "" {
		if len(cmd.Table) == 0 {
			return usagef("--schema needs --table")
		}
		cmd.Choice.NoOwner, cmd.Choice.NoPrivileges = true, true
	}
	if err := env.only(ctx, b, cmd.Choice); err != nil {
		return err
	}
	var info engine.Info
	e, t, err := cmd.target(ctx, env, cmd.Into, func(e engine.Engine, t engine.Target) (err error) {
		info, err = e.Inspect(ctx, t)
		return err
	})
	fresh := t.Engine == safepoint.SQLite && safepoint.ErrorCode(err) == safepoint.CodeName // the file is made by loading
	if err != nil && (!fresh || cmd.Replace) {
		return err
	}
	if e, err = cmd.in(e); err != nil {
		return err
	}
	e = kinds.WithOrigin(e, cmd.Origin.policy())
	if h := b.Header(); h.Engine != t.Engine {
		return safepoint.Errorf(safepoint.CodeArchive, "This is a backup of a %s database, and the target is %s.", h.Engine.Label(), t.Engine.Label()).
			WithHint("Name a database of the same kind with --into.")
	}
	if cmd.Replace {
		return cmd.replace(ctx, env, e, t, b)
	}
	if cmd.Schema != "" {
		return cmd.loadSchema(ctx, env, e, t, b)
	}
	if !fresh && !info.Empty {
		return safepoint.Errorf(safepoint.CodeConflict, "%s is not empty: it holds %s.", t.Name, count(info.Tables, "table")).
			WithHint("Load into an empty database, or replace what this one holds with --replace.")
	}
	return cmd.loadEmpty(ctx, env, e, t, b)
}

// loadEmpty checks the file whole, loads it, and compares what was loaded with what was backed up. An empty database
// has nothing to lose, so nobody is asked.
func (cmd *loadCmd) loadEmpty(ctx context.Context, env *Env, e engine.Engine, t engine.Target, b *backupFile) error {
	sha, err := env.verifyBytes(ctx, b)
	if err != nil {
		return err
	}
	m := env.meter(bytesText)
	var notes []string
	err = e.Load(ctx, t, b.Reader, engine.LoadOptions{
		Report: showProgress(m, "load", b.Summary().RawSize), AllowOlderServer: cmd.AllowOlderServer,
		Properties: len(cmd.Table) == 0, Note: func(note string) { notes = append(notes, note) },
	})
	m.end()
	for _, note := range notes {
		fmt.Fprintf(env.Err, "note: %s\n", note)
	}
	if err != nil {
		return fmt.Errorf("load: %w", partly(ctx, e, t, err))
	}
	m = env.meter(bytesText)
	got, err := e.Digest(ctx, t, showProgress(m, "compare", b.Summary().RawSize))
	m.end()
	if err != nil {
		return fmt.Errorf("compare what was loaded: %w", err)
	}
	compared, err := b.CompareRestored(got)
	if err != nil {
		return err
	}
	f := factsOf(cmd.File, b)
	if len(cmd.Table) == 0 {
		f.SHA256, f.Whole = sha, true
	}
	type loaded struct {
		fileFacts
		Into string `json:"into"`
	}
	return env.print(loaded{f, t.Name}, func(w ioWriter) {
		fmt.Fprintf(w, "Loaded %s, %s into %s: %s.\n", count(f.Tables, "table"), count(f.Rows, "row"), t.Name, checkedAs(compared))
	})
}

// checkedAs says what is known of what was loaded.
func checkedAs(compared bool) string {
	if compared {
		return "the same as when the backup was made"
	}
	return "the server took as many rows of each block as the file holds; it carries no fingerprint to compare more with"
}

// partly adds to err what a load that failed has left behind, if anything.
func partly(ctx context.Context, e engine.Engine, t engine.Target, err error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	info, ierr := e.Inspect(ctx, t)
	var u *safepoint.Error
	if ierr != nil || info.Empty || !errors.As(err, &u) {
		return err
	}
	return u.WithHint("%s", strings.TrimSpace(u.Hint+" "+t.Name+" now holds a part of the backup: make it empty before the next try."))
}
