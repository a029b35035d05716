package cli

import (
	"context"
)

type backupCmd struct {
	Remote
	Database string `arg:"" help:"The database, by name or ID." complete:"database"`
	Wait     bool   `short:"w" help:"Wait until it has ended; the exit code tells how."`
}

func (cmd *backupCmd) Run(ctx context.Context, env *Env) error {
	c, d, err := found(ctx, cmd.Remote, cmd.Database, findDatabase)
	if err != nil {
		return err
	}
	o, err := c.StartBackup(ctx, d.ID)
	if err != nil {
		return err
	}
	return env.started(ctx, c, o, cmd.Wait)
}
