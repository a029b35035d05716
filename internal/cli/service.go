package cli

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/api/wire"
)

type serviceCmd struct {
	List   serviceListCmd   `cmd:"" help:"List the services, in the order they are halted."`
	Add    serviceAddCmd    `cmd:"" help:"Add a service."`
	Order  serviceOrderCmd  `cmd:"" help:"Set the order services are halted in."`
	Test   serviceTestCmd   `cmd:"" help:"Halt and resume a service now."`
	Resume serviceResumeCmd `cmd:"" help:"Resume a service by hand, after a restore could not."`
	Remove serviceRemoveCmd `cmd:"" help:"Remove a service; restores no longer halt it."`
}

type serviceListCmd struct {
	Remote
	Status bool `help:"Ask each service what it is doing."`
}

func (cmd *serviceListCmd) Run(ctx context.Context, env *Env) error {
	c, err := cmd.connect(ctx)
	if err != nil {
		return err
	}
	all, err := c.Services(ctx)
	if err != nil {
		return err
	}
	type row struct {
		wire.Service
		Status *wire.ServiceStatus `json:"status,omitempty"`
	}
	rows := make([]row, len(all))
	for i, s := range all {
		rows[i].Service = s
		if cmd.Status {
			st, err := c.ServiceStatus(ctx, s.ID)
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			if err != nil { // of this service alone: the others are asked all the same
				st = wire.ServiceStatus{Condition: "unknown", Detail: safepoint.UserError(err).Message}
			}
			rows[i].Status = &st
		}
	}
	return env.print(rows, func(w ioWriter) {
		var lines [][]string
		for _, r := range rows {
			status := ""
			if r.Status != nil {
				status = strings.TrimSpace(r.Status.Condition + " " + r.Status.Detail)
			}
			lines = append(lines, []string{r.ID, r.Name, r.Kind, fmt.Sprint(r.Position), seconds(r.TimeoutSeconds), servicePlace(r.Service), status})
		}
		table(w, columns("id", "~name", "kind 2", ">order 3", ">timeout 4", "~where 5", "~status 1"), lines)
	})
}

func servicePlace(s wire.Service) string {
	switch {
	case s.ManagedBy == "operator":
		return strings.TrimSpace(s.Where + " (managed by the operator)")
	case s.HaltURL != "":
		return s.HaltURL
	}
	return fmt.Sprintf("%s@%s:%d/%s", s.User, s.Host, s.Port, s.DBName)
}

type serviceAddCmd struct {
	Remote
	Name       string        `arg:"" help:"What it is called."`
	Kind       string        `required:"" enum:"webhook,pgbouncer" help:"How it is halted: ${enum}."`
	HaltURL    string        `group:"webhook" help:"Called to halt it."`
	ResumeURL  string        `group:"webhook" help:"Called to resume it."`
	HealthURL  string        `group:"webhook" help:"Answers 2xx while it runs and is healthy."`
	Host       string        `group:"pgbouncer" help:"PgBouncer's host, or its socket's folder."`
	Port       int           `group:"pgbouncer" default:"6432" help:"PgBouncer's port."`
	User       string        `group:"pgbouncer" help:"A user who may use the admin console."`
	Pool       string        `group:"pgbouncer" help:"The pool to pause; default: all."`
	Timeout    time.Duration `default:"60s" help:"How long halting or resuming may take."`
	SecretFile string        `type:"existingfile" placeholder:"FILE" help:"Read the signing secret or the password from a file; or set SAFEPOINT_SERVICE_SECRET."`
}

func (cmd *serviceAddCmd) Run(ctx context.Context, env *Env) error {
	c, err := cmd.connect(ctx)
	if err != nil {
		return err
	}
	in := wire.ServiceInput{Name: cmd.Name, Kind: cmd.Kind, TimeoutSeconds: cmd.Timeout.Seconds()}
	if cmd.Kind == string(safepoint.ServiceWebhook) {
		in.HaltURL, in.ResumeURL, in.HealthURL = cmd.HaltURL, cmd.ResumeURL, cmd.HealthURL
	} else {
		in.Host, in.Port, in.User, in.DBName = cmd.Host, cmd.Port, cmd.User, cmd.Pool
	}
	secret := os.Getenv("SAFEPOINT_SERVICE_SECRET")
	if cmd.SecretFile != "" {
		if secret, err = readText(cmd.SecretFile); err != nil {
			return err
		}
		secret = strings.TrimRight(secret, "\r\n")
	}
	if secret != "" {
		in.Secret = &secret
	}
	s, err := c.CreateService(ctx, in)
	if err != nil {
		return err
	}
	return env.print(s, func(w ioWriter) {
		facts(w, "ID", s.ID, "Name", s.Name, "Kind", s.Kind, "Where", servicePlace(s), "Timeout", seconds(s.TimeoutSeconds))
		if s.Secret != "" {
			fmt.Fprintf(w, "Signing secret, shown this once: %s\n", s.Secret)
		}
	})
}

// readText reads a small text file.
func readText(path string) (string, error) {
	data, err := os.ReadFile(path)
	return string(data), fileError(err, path)
}

type serviceOrderCmd struct {
	Remote
	Services []string `arg:"" help:"All services but the operator's, by name or ID, first to be halted first." complete:"service"`
}

func (cmd *serviceOrderCmd) Run(ctx context.Context, env *Env) error {
	c, err := cmd.connect(ctx)
	if err != nil {
		return err
	}
	var ids []string
	for _, ref := range cmd.Services {
		s, err := findService(ctx, c, ref)
		if err != nil {
			return err
		}
		ids = append(ids, s.ID)
	}
	if err := c.OrderServices(ctx, ids); err != nil {
		return err
	}
	return (&serviceListCmd{Remote: cmd.Remote}).Run(ctx, env)
}

type serviceTestCmd struct {
	Remote
	Service string `arg:"" help:"The service, by name or ID." complete:"service"`
	Yes     bool   `short:"y" help:"Do not ask."`
}

func (cmd *serviceTestCmd) Run(ctx context.Context, env *Env) error {
	c, s, err := found(ctx, cmd.Remote, cmd.Service, findService)
	if err != nil {
		return err
	}
	if err := env.confirm(cmd.Yes, fmt.Sprintf("Halt and resume %s now? People cannot use it for a moment.", s.Name)); err != nil {
		return err
	}
	t, err := c.TestService(ctx, s.ID)
	if err != nil {
		return err
	}
	err = env.print(t, func(w ioWriter) {
		facts(w, "Halted", within(t.Halted, t.HaltTookSeconds), "Resumed", within(t.Resumed, t.ResumeTookSeconds))
	})
	if err != nil || t.Failure == nil {
		return err
	}
	failed := &safepoint.Error{Code: safepoint.Code(t.Failure.Code), Message: t.Failure.Message, Hint: t.Failure.Hint}
	if env.JSON {
		return reported{failed}
	}
	return failed
}

// within is "yes, in 120 ms" or "no, after 2 s".
func within(done bool, took float64) string {
	switch {
	case took == 0:
		return yesNo(done)
	case done:
		return "yes, in " + seconds(took)
	}
	return "no, after " + seconds(took)
}

type serviceResumeCmd struct {
	Remote
	Service string `arg:"" optional:"" help:"The service, by name or ID." complete:"service"`
	Restore string `help:"Instead: every service that this restore halted and could not resume, by the restore's ID; its database is opened, too." placeholder:"ID" complete:"restore"`
}

func (cmd *serviceResumeCmd) Run(ctx context.Context, env *Env) error {
	if (cmd.Service == "") == (cmd.Restore == "") {
		return safepoint.Invalid("service", "Name a service, or a restore with --restore.")
	}
	c, err := cmd.connect(ctx)
	if err != nil {
		return err
	}
	if cmd.Restore != "" {
		if err := c.ResumeRestore(ctx, cmd.Restore); err != nil {
			return err
		}
		return env.print(map[string]string{"resumed": cmd.Restore}, func(w ioWriter) { fmt.Fprintln(w, "All services run.") })
	}
	s, err := findService(ctx, c, cmd.Service)
	if err != nil {
		return err
	}
	if err := c.ResumeService(ctx, s.ID); err != nil {
		return err
	}
	return env.print(map[string]string{"resumed": s.ID}, func(w ioWriter) { fmt.Fprintf(w, "%s runs.\n", s.Name) })
}

type serviceRemoveCmd struct {
	Remote
	Service string `arg:"" help:"The service, by name or ID." complete:"service"`
	Yes     bool   `short:"y" help:"Do not ask."`
}

func (cmd *serviceRemoveCmd) Run(ctx context.Context, env *Env) error {
	c, s, err := found(ctx, cmd.Remote, cmd.Service, findService)
	if err != nil {
		return err
	}
	if err := env.confirm(cmd.Yes, fmt.Sprintf("Remove %s? Restores no longer halt it.", s.Name)); err != nil {
		return err
	}
	if err := c.RemoveService(ctx, s.ID); err != nil {
		return err
	}
	return env.print(map[string]string{"removed": s.ID}, func(w ioWriter) { fmt.Fprintf(w, "Removed %s.\n", s.Name) })
}
