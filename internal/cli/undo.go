package cli

import (
	"context"
	"fmt"
)

type undoCmd struct {
	Remote
	ID   string `arg:"" help:"The restore to undo, by ID." complete:"undo"`
	Yes  bool   `short:"y" help:"Do not ask."`
	Wait bool   `short:"w" help:"Wait until it has ended; the exit code tells how."`
}

func (cmd *undoCmd) Run(ctx context.Context, env *Env) error {
	c, o, err := found(ctx, cmd.Remote, cmd.ID, findOperation)
	if err != nil {
		return err
	}
	question := fmt.Sprintf("Undo this restore? %s goes back to what it held before; services are halted and resumed.", o.DatabaseName)
	if err := env.confirm(cmd.Yes, question); err != nil {
		return err
	}
	u, err := c.StartUndo(ctx, o.ID)
	if err != nil {
		return err
	}
	return env.started(ctx, c, u, cmd.Wait)
}
