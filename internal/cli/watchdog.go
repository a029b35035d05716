package cli

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/safepoint-db/safepoint/internal/server"
)

type watchdogCmd struct {
	Data  string        `required:"" type:"existingdir" env:"SAFEPOINT_DATA" placeholder:"DIR" help:"The server's data directory, on the machine and as the user that the server runs as."`
	After time.Duration `default:"5m" env:"SAFEPOINT_WATCHDOG_AFTER" placeholder:"TIME" help:"How long a restore that has halted services may give no sign of life, such as 90s or 5m; default: ${default}, at least 5s."`
	HostServices
	Programs
	Logging
}

// Help is shown below the flags' summary.
func (cmd *watchdogCmd) Run(ctx context.Context, env *Env) error {
	fmt.Fprintf(env.Out, "Watching %s: acts after %s without a sign of life\n", cmd.Data, cmd.After)
	err := server.Watch(ctx, server.Config{DataDir: cmd.Data, Programs: cmd.PgBin, Services: cmd.Services, Version: Version, Log: cmd.logger(env)}, cmd.After)
	if ctx.Err() != nil && err == nil {
		return nil
	}
	return err
}

// Logging are the flags of commands that run until they are stopped.
type Logging struct {
	LogFormat string     `enum:"text,json" default:"text" env:"SAFEPOINT_LOG_FORMAT" help:"How the log is written: text or json."`
	LogLevel  slog.Level `default:"INFO" env:"SAFEPOINT_LOG_LEVEL" help:"DEBUG, INFO, WARN or ERROR."`
}

func (l Logging) logger(env *Env) *slog.Logger {
	opt := &slog.HandlerOptions{Level: l.LogLevel}
	if l.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(env.Err, opt))
	}
	return slog.New(slog.NewTextHandler(env.Err, opt))
}
