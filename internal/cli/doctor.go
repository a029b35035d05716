package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/doctor"
	"github.com/safepoint-db/safepoint/internal/engine"
	"github.com/safepoint-db/safepoint/internal/kinds"
	"github.com/safepoint-db/safepoint/internal/server"
)

type doctorCmd struct {
	Data     string   `type:"existingdir" env:"SAFEPOINT_DATA" placeholder:"DIR" help:"The data directory; also while a server uses it."`
	Database []string `placeholder:"URL" help:"A database to look at, postgres://user@host:port/name or sqlite:///path: also without a data directory. Can be repeated."`
	Fix      []string `placeholder:"ACTION" help:"Do what a finding offers: open, resume, discard or put-back; ACTION=NAME for one finding only, which put-back needs. Each is asked for."`
	Yes      bool     `help:"Do not ask."`
	HostServices
	Secret
	Remote
}

// Help is shown below the flags' summary.
func (cmd *doctorCmd) Run(ctx context.Context, env *Env) error {
	if cmd.Data == "" && len(cmd.Database) == 0 {
		return usagef("name a data directory with --data, or a database with --database")
	}
	wanted, err := cmd.wanted()
	if err != nil {
		return err
	}
	targets, err := cmd.targets(env)
	if err != nil {
		return err
	}
	look := func() doctor.Report { return cmd.look(ctx, env, targets) }
	report := look()
	if len(wanted) > 0 {
		again, err := cmd.fix(ctx, env, report, wanted)
		if err != nil {
			return err
		}
		if again {
			report = look()
		}
	}
	if err := env.print(report, func(w ioWriter) { showReport(w, report) }); err != nil {
		return err
	}
	if !report.Well() {
		return reported{errors.New("findings")}
	}
	return nil
}

func (cmd *doctorCmd) targets(env *Env) (targets []engine.Target, err error) {
	for _, url := range cmd.Database {
		t, err := kinds.ParseURL(url)
		if err != nil {
			return nil, err
		}
		if t.Password, _, err = cmd.password(env, url); err != nil {
			return nil, err
		}
		targets = append(targets, t)
	}
	return targets, nil
}

// look opens everything anew: what was fixed shows.
func (cmd *doctorCmd) look(ctx context.Context, env *Env, targets []engine.Target) doctor.Report {
	c := doctor.Config{Targets: targets, Engine: func(family safepoint.Engine) (engine.Engine, bool) {
		e, ok := kinds.Engine(family)
		return kinds.WithPrograms(e, cmd.PgBin), ok
	}}
	if cmd.Data == "" {
		return doctor.Look(ctx, c)
	}
	d := server.OpenData(ctx, cmd.Data)
	if d.Catalog != nil {
		defer d.Catalog.Close()
	}
	c.DataDir, c.Catalog, c.Lost, c.Keys, c.KeysLost, c.Backups, c.Running = cmd.Data, d.Catalog, d.Lost, d.Keys, d.KeysLost, d.Backups, d.Running
	c.Resume = func(ctx context.Context, id string) error {
		if d.Running == 0 {
			return server.RecoverNow(ctx, server.Config{DataDir: cmd.Data, Programs: cmd.PgBin, Services: cmd.Services, Version: Version, Log: Logging{}.logger(env)}, id)
		}
		api, err := cmd.connect(ctx)
		if err != nil {
			return err
		}
		return api.ResumeRestore(ctx, id)
	}
	return doctor.Look(ctx, c)
}

// want is one --fix.
type want struct {
	action doctor.Action
	name   string // "" is all
}

func (cmd *doctorCmd) wanted() (all []want, err error) {
	for _, text := range cmd.Fix {
		action, name, _ := strings.Cut(text, "=")
		if !slices.Contains(doctor.Actions, doctor.Action(action)) {
			return nil, usagef("--fix %s: there is open, resume, discard and put-back", action)
		}
		if doctor.Action(action) == doctor.PutBack && name == "" {
			return nil, usagef("--fix put-back=NAME: name the set-aside database that gets the live name")
		}
		all = append(all, want{doctor.Action(action), name})
	}
	return all, nil
}

// fix does what was asked for, finding by finding, and says whether anything was done.
func (cmd *doctorCmd) fix(ctx context.Context, env *Env, report doctor.Report, wanted []want) (done bool, err error) {
	if err := oneHolder(report, wanted); err != nil {
		return false, err
	}
	any := false
	tried := map[string]bool{}
	for _, f := range report.Findings {
		fits := slices.ContainsFunc(wanted, func(w want) bool { return w.action == f.Fix && (w.name == "" || w.name == f.Subject) })
		if f.Do == nil || !fits || tried[string(f.Fix)+f.Subject] {
			continue
		}
		any, tried[string(f.Fix)+f.Subject] = true, true
		fmt.Fprintln(env.Err, f.What)
		if err := env.confirm(cmd.Yes, f.Asks); err != nil {
			return done, err
		}
		if err := f.Apply(ctx); err != nil {
			return done, err
		}
		done = true
	}
	if !any {
		return false, safepoint.Errorf(safepoint.CodeNotFound, "Nothing was found that this could be done about.").
			WithHint("Run safepoint doctor without --fix to see what was found.")
	}
	return done, nil
}

// oneHolder refuses to choose which of several missing databases a set-aside one was.
func oneHolder(report doctor.Report, wanted []want) error {
	for _, w := range wanted {
		n := 0
		for _, f := range report.Findings {
			if f.Fix == doctor.PutBack && w.action == f.Fix && w.name == f.Subject {
				n++
			}
		}
		if n > 1 {
			return safepoint.Errorf(safepoint.CodeConflict, "%s could be any of %d databases that are missing.", w.name, n).
				WithHint("Name the one it was: safepoint doctor --database URL --fix put-back=%s", w.name)
		}
	}
	return nil
}

func showReport(w ioWriter, r doctor.Report) {
	if r.Server != "" {
		fmt.Fprintf(w, "Server: %s\n\n", r.Server)
	}
	for _, f := range r.Findings {
		fmt.Fprintf(w, "%-8s %s\n", strings.ToUpper(string(f.Severity)), oneLine(f.What))
		if f.Next != "" {
			fmt.Fprintf(w, "         %s\n", oneLine(f.Next))
		}
		if f.Command != "" {
			fmt.Fprintf(w, "             %s\n", oneLine(f.Command))
		}
	}
	if r.Well() {
		fmt.Fprintln(w, "\nAll is well.")
	}
}
