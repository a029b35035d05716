package cli

import (
	"context"
	"fmt"
	"io"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/api/wire"
	"github.com/safepoint-db/safepoint/internal/client"
)

type logsTablesCmd struct {
	Remote
	ID string `arg:"" help:"The backup, by ID or file name." complete:"backup"`
}

func (cmd *logsTablesCmd) Run(ctx context.Context, env *Env) error {
	c, o, err := found(ctx, cmd.Remote, cmd.ID, findOperation)
	if err != nil {
		return err
	}
	tables, err := c.Tables(ctx, o.ID)
	if err != nil {
		return err
	}
	return env.print(tables, func(w ioWriter) {
		var rows [][]string
		for _, t := range tables {
			rows = append(rows, []string{t.Name, grouped(t.Rows), bytesText(t.Size), bytesText(t.RawSize)})
		}
		table(w, columns("~table", ">rows", ">compressed 2", ">sql 1"), rows)
	})
}

type logsExtractCmd struct {
	Remote
	ID string `arg:"" help:"The backup, by ID or file name." complete:"backup"`
	Choice
	Output     string `aliases:"out" short:"O" placeholder:"FILE" help:"Where the SQL goes; default: standard output."`
	DataOnly   bool   `xor:"only" help:"Rows without definitions."`
	SchemaOnly bool   `xor:"only" help:"Definitions without rows."`
	Force      bool   `help:"Replace a file that is there."`
	Lately
}

func (cmd *logsExtractCmd) Run(ctx context.Context, env *Env) error {
	c, o, err := found(ctx, cmd.Remote, cmd.ID, findOperation)
	if err != nil {
		return err
	}
	var script io.ReadCloser
	err = cmd.again(ctx, env, c, func(c *client.Client) (err error) {
		script, err = cmd.open(ctx, env, c, o.ID)
		return err
	})
	if err != nil {
		return err
	}
	defer script.Close()
	if cmd.Output == "" || cmd.Output == "-" {
		return brokeOff(copyScript(env.Out, script))
	}
	out, err := createOutput(cmd.Output, cmd.Force)
	if err != nil {
		return err
	}
	defer out.abort()
	if err := brokeOff(copyScript(out, script)); err != nil {
		return fileError(err, cmd.Output)
	}
	if err := out.commit(); err != nil {
		return err
	}
	return env.print(map[string]any{"file": cmd.Output}, func(w ioWriter) { fmt.Fprintln(w, oneLine(cmd.Output)) })
}

// open asks for the script, and says what stays behind.
func (cmd *logsExtractCmd) open(ctx context.Context, env *Env, c *client.Client, id string) (io.ReadCloser, error) {
	script, notes, err := c.Extract(ctx, id, wire.TableChoice{
		Tables: cmd.Table, SchemaOnly: cmd.SchemaOnly, DataOnly: cmd.DataOnly,
		NoOwner: cmd.NoOwner, NoPrivileges: cmd.NoPrivileges, Triggers: cmd.Triggers,
	})
	if err == nil && !env.Quiet && !env.JSON {
		for _, note := range notes {
			fmt.Fprintln(env.Err, oneLine(note))
		}
	}
	return script, err
}

// copyScript tells whose failure ended it: read is the connection's.
func copyScript(w io.Writer, r io.Reader) (written, read error) {
	c := &counting{w: w, seen: func(int64) {}}
	_, err := io.Copy(c, r)
	if c.failed != nil {
		return c.failed, nil
	}
	return nil, err
}

func brokeOff(written, read error) error {
	if written != nil || read == nil {
		return written
	}
	return safepoint.Errorf(safepoint.CodeUnreachable, "The download broke off: the script is not whole.").WithHint("Try again.").WithCause(read)
}
