package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/api/wire"
	"github.com/safepoint-db/safepoint/internal/client"
)

type restoreCmd struct {
	Remote
	ID       string   `arg:"" help:"The backup to restore, by ID or file name." complete:"backup"`
	Into     string   `placeholder:"NAME" help:"Restore into a new database of this name, on the same server (SQLite: a new file in the same folder). The live one is not touched, no service is halted, and nobody is asked."`
	Table    []string `short:"t" sep:"none" placeholder:"NAME" help:"With --into: only this table: orders, app.orders or app.*; once for each."`
	Confirm  string   `placeholder:"NAME" help:"The database's name, exactly: what will be replaced."`
	Instant  bool     `xor:"mode" help:"Switch at once: services are halted for the switch alone, and the safety backup is made right after it, of the set-aside database."`
	Guarded  bool     `xor:"mode" help:"Make the safety backup while services are halted, before the switch. Default: as the database has it set."`
	Identity []string `placeholder:"FILE" help:"For an encrypted backup whose key the server does not keep: the file that holds one. The server uses it for this restore and stores it nowhere. Default: the file that $SAFEPOINT_IDENTITY_FILE names."`
	Preview  bool     `help:"Only say what the restore would do and what stands in its way. Exit code 1: it cannot be done now."`
	Wait     bool     `short:"w" help:"Wait until it has ended; the exit code tells how."`
}

func (cmd *restoreCmd) Run(ctx context.Context, env *Env) error {
	switch {
	case cmd.Into == "" && len(cmd.Table) > 0:
		return usagef("--table needs --into: only a new database can hold chosen tables")
	case cmd.Into != "" && (cmd.Instant || cmd.Guarded):
		return usagef("--instant and --guarded are for what will be replaced, and --into replaces nothing")
	case cmd.Into != "" && cmd.Confirm != "":
		return usagef("--confirm is for what will be replaced, and --into replaces nothing")
	case cmd.Into != "" && cmd.Preview:
		return usagef("--preview is of a restore over the live database, and --into replaces nothing")
	}
	c, o, err := found(ctx, cmd.Remote, cmd.ID, findOperation)
	if err != nil {
		return err
	}
	if cmd.Into != "" {
		key, err := cmd.key(o)
		if err != nil {
			return err
		}
		r, err := c.StartRestoreInto(ctx, o.ID, wire.NewDatabase{Name: cmd.Into, Tables: cmd.Table, Identity: key})
		if err != nil {
			return err
		}
		return env.started(ctx, c, r, cmd.Wait)
	}
	if cmd.Preview {
		return previewOnly(ctx, env, c, o.ID)
	}
	confirm := cmd.Confirm
	if confirm == "" {
		p, err := c.PreviewRestore(ctx, o.ID)
		if err != nil {
			return err
		}
		if !env.JSON {
			printPreview(env.Err, p)
		}
		question := fmt.Sprintf("Restore %s to an earlier state?", p.Database.Name)
		if confirm, err = env.confirmName("", p.Confirm, question); err != nil {
			return err
		}
	}
	key, err := cmd.key(o)
	if err != nil {
		return err
	}
	r, err := c.StartRestore(ctx, o.ID, wire.RestoreInput{Confirm: confirm, Identity: key, Mode: cmd.mode()})
	if err != nil {
		return err
	}
	return env.started(ctx, c, r, cmd.Wait)
}

// mode is how the restore shall go about it, "" for the database's own choice.
func (cmd *restoreCmd) mode() string {
	switch {
	case cmd.Instant:
		return string(safepoint.RestoreInstant)
	case cmd.Guarded:
		return string(safepoint.RestoreGuarded)
	}
	return ""
}

// key is what opens an encrypted backup, where a file with it was named.
func (cmd *restoreCmd) key(o wire.Operation) (string, error) {
	if len(o.Recipients) == 0 {
		return "", nil
	}
	return identityText(cmd.Identity)
}

// previewOnly prints the preview as the result.
func previewOnly(ctx context.Context, env *Env, c *client.Client, id string) error {
	p, err := c.PreviewRestore(ctx, id)
	if err != nil {
		return err
	}
	if err := env.print(p, func(w ioWriter) { printPreview(w, p) }); err != nil {
		return err
	}
	if !p.Ready {
		return reported{errors.New("the restore cannot be done now")}
	}
	return nil
}
