package cli

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/safepoint-db/safepoint/internal/api/wire"
)

type restoreCmd struct {
	Remote
	ID      string `arg:"" help:"The backup to restore, by ID or file name."`
	Confirm string `placeholder:"NAME" help:"The database's name, exactly: what will be replaced."`
	Wait    bool   `short:"w" help:"Wait until it has ended; the exit code tells how."`
}

func (cmd *restoreCmd) Run(ctx context.Context, env *Env) error {
	c, err := cmd.connect(ctx)
	if err != nil {
		return err
	}
	o, err := findOperation(ctx, c, cmd.ID)
	if err != nil {
		return err
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
	r, err := c.StartRestore(ctx, o.ID, confirm)
	if err != nil {
		return err
	}
	return env.started(ctx, c, r, cmd.Wait)
}

// printPreview says what the restore would do, in the order it does it.
func printPreview(w io.Writer, p wire.RestorePreview) {
	var names []string
	for _, s := range p.Services {
		names = append(names, s.Name)
	}
	halts := "No services are halted: none are declared."
	if len(names) > 0 {
		halts = "These services are halted, and resumed by themselves: " + strings.Join(names, ", ") + "."
	}
	fmt.Fprintf(w, "%s of changes to %s will be replaced.\n%s\nA safety backup of it is made first.\n",
		seconds(p.ChangesSeconds), oneLine(p.Database.Name), oneLine(halts))
	for _, f := range p.Findings {
		kind := "note"
		if f.Blocker {
			kind = "in the way"
		}
		fmt.Fprintf(w, "%s: %s %s\n", kind, oneLine(f.Message), oneLine(f.Hint))
	}
	if p.Busy != nil {
		fmt.Fprintf(w, "in the way: %s %s is %s.\n", p.Busy.Type, p.Busy.ID, p.Busy.Status)
	}
}
