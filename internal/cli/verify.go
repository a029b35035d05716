package cli

import (
	"context"
	"errors"

	"github.com/safepoint-db/safepoint"
)

type verifyCmd struct {
	File string `arg:"" help:"The backup file."`
	Trust
}

func (cmd *verifyCmd) Run(ctx context.Context, env *Env) error {
	b, err := openFile(cmd.File, cmd.Trust)
	if safepoint.ErrorCode(err) == safepoint.CodeKey {
		return errors.Join(env.locked(cmd.File, true), err)
	}
	if err != nil {
		return err
	}
	defer b.Close()
	sum, err := env.verify(ctx, b)
	if err != nil {
		return err
	}
	f := factsOf(cmd.File, b)
	f.SHA256, f.Whole = sum, true
	return env.print(f, f.print)
}
