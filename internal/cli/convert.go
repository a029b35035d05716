package cli

import (
	"context"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/foreign"
)

type convertCmd struct {
	File   string `arg:"" help:"The dump: plain SQL, also in gzip, zstd, bzip2, xz or zip, or pg_dump's custom, tar or directory format. - is standard input."`
	Output string `arg:"" help:"The backup file to make, such as shop.sql.zst."`
	Foreign
	Programs
	NewFile
	NoOwner bool `help:"Leave out who owns what and who may do what: everything belongs to the user who loads it."`
}

func (cmd *convertCmd) Run(ctx context.Context, env *Env) error {
	if cmd.File != "-" && readsAsArchive(cmd.File) {
		return safepoint.Errorf(safepoint.CodeInvalid, "%s was made by Safepoint: it needs no conversion.", cmd.File).
			WithHint("Use it as it is: safepoint load %s --into URL.", cmd.File)
	}
	file, err := cmd.file(env, cmd.Output)
	if err != nil {
		return err
	}
	cmd.Foreign.noOwner, cmd.Foreign.programs = cmd.NoOwner, cmd.PgBin
	c, made, err := cmd.Foreign.convert(ctx, env, cmd.File, file)
	if err != nil {
		return err
	}
	env.told(cmd.File, c)
	type converted struct {
		fileFacts
		Foreign foreign.Contents `json:"foreign"`
	}
	return env.print(converted{made, c}, made.print)
}
