package cli

import (
	"context"
	"crypto/ed25519"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/foreign"
)

type convertCmd struct {
	File   string `arg:"" help:"The dump: plain SQL, also in gzip, zstd, bzip2, xz or zip, or pg_dump's custom, tar or directory format. - is standard input."`
	Output string `arg:"" help:"The backup file to make, such as shop.sql.zst."`
	Foreign
	Programs
	Recipients
	SignKey string `type:"existingfile" placeholder:"FILE" help:"Sign the file with this key: PEM, such as signing.key of a data directory."`
	NoOwner bool   `help:"Leave out who owns what and who may do what: everything belongs to the user who loads it."`
	Force   bool   `help:"Replace a file that is there."`
}

func (cmd *convertCmd) Run(ctx context.Context, env *Env) error {
	if cmd.File != "-" && readsAsArchive(cmd.File) {
		return safepoint.Errorf(safepoint.CodeInvalid, "%s was made by Safepoint: it needs no conversion.", cmd.File).
			WithHint("Use it as it is: safepoint load %s --into URL.", cmd.File)
	}
	var key ed25519.PrivateKey
	if cmd.SignKey != "" {
		var err error
		if key, err = privateKey(cmd.SignKey); err != nil {
			return err
		}
	}
	to, err := cmd.Recipients.parse()
	if err != nil {
		return err
	}
	if err := env.nameFits(cmd.Output, to); err != nil {
		return err
	}
	cmd.Foreign.noOwner, cmd.Foreign.programs = cmd.NoOwner, cmd.PgBin
	c, made, err := cmd.Foreign.convert(ctx, env, cmd.File, newBackup{path: cmd.Output, force: cmd.Force, key: key, to: to})
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
