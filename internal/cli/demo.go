package cli

import (
	"context"

	"github.com/safepoint-db/safepoint/internal/demo"
)

type demoCmd struct {
	Addr     string `default:"${addr}" env:"SAFEPOINT_ADDR" help:"Where to listen."`
	Dir      string `type:"path" placeholder:"DIR" help:"Where to keep the demo's files; default: a new temporary folder, removed at the end."`
	Postgres bool   `help:"Add a throwaway PostgreSQL cluster with the same shop."`
}

func (cmd *demoCmd) Run(ctx context.Context, env *Env) error {
	return demo.Run(ctx, demo.Options{Addr: cmd.Addr, Dir: cmd.Dir, Postgres: cmd.Postgres, Out: env.Out, Version: Version})
}
