package cli

import (
	"context"
	"fmt"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/api/wire"
	"github.com/safepoint-db/safepoint/internal/client"
)

type storageCmd struct {
	List storageListCmd `cmd:"" help:"List where backups are kept."`
	View storageViewCmd `cmd:"" help:"Show a storage, and what fills it."`
	Test storageTestCmd `cmd:"" help:"Write a small file to a storage, read it back and remove it."`
}

type storageListCmd struct{ Remote }

func (cmd *storageListCmd) Run(ctx context.Context, env *Env) error {
	c, err := cmd.connect(ctx)
	if err != nil {
		return err
	}
	all, err := c.Storages(ctx)
	if err != nil {
		return err
	}
	return env.print(all, func(w ioWriter) {
		var rows [][]string
		for _, s := range all {
			rows = append(rows, []string{s.ID, s.Name, number(s.Backups), sizeText(s.Bytes), storageRoom(s)})
		}
		table(w, columns("id", "~name", ">backups 2", ">size 1", "free"), rows)
	})
}

func storageRoom(s wire.Storage) string {
	if s.SpaceTotal == 0 {
		return "not known"
	}
	return fmt.Sprintf("%s of %s", bytesText(s.SpaceFree), bytesText(s.SpaceTotal))
}

type storageViewCmd struct {
	Remote
	Storage string `arg:"" optional:"" help:"The storage, by name or ID; the only one if left out." complete:"storage"`
}

func (cmd *storageViewCmd) Run(ctx context.Context, env *Env) error {
	c, s, err := found(ctx, cmd.Remote, cmd.Storage, findStorage)
	if err != nil {
		return err
	}
	if s, err = c.Storage(ctx, s.ID); err != nil {
		return err
	}
	return env.print(s, func(w ioWriter) {
		facts(w, "ID", s.ID, "Name", s.Name, "Free", storageRoom(s), "Backups", number(s.Backups), "Size", sizeText(s.Bytes))
		if len(s.Databases) == 0 {
			fmt.Fprintln(w, "\nNothing is kept yet.")
			return
		}
		var rows [][]string
		for _, d := range s.Databases {
			state := ""
			if d.Removed {
				state = "removed"
			}
			rows = append(rows, []string{d.DatabaseName, state, number(d.Backups), sizeText(d.Bytes)})
		}
		fmt.Fprintln(w)
		table(w, columns("~database", "state 1", ">backups 2", ">size"), rows)
	})
}

type storageTestCmd struct {
	Remote
	Storage string `arg:"" optional:"" help:"The storage, by name or ID; the only one if left out." complete:"storage"`
}

func (cmd *storageTestCmd) Run(ctx context.Context, env *Env) error {
	c, s, err := found(ctx, cmd.Remote, cmd.Storage, findStorage)
	if err != nil {
		return err
	}
	t, err := c.TestStorage(ctx, s.ID)
	if err != nil {
		return err
	}
	err = env.print(t, func(w ioWriter) {
		if !t.OK {
			return // printed as the error
		}
		facts(w, "Written", fmt.Sprintf("%s in %s", bytesText(t.Size), seconds(t.WroteSeconds)), "Read back in", seconds(t.ReadSeconds), "Removed in", seconds(t.RemovedSeconds))
		fmt.Fprintf(w, "%s takes files, gives them back as they were, and lets go of them.\n", s.Name)
	})
	if err != nil || t.OK {
		return err
	}
	failed := &safepoint.Error{Code: safepoint.CodeUnreachable, Message: "The test failed."}
	if t.Failure != nil {
		failed = &safepoint.Error{Code: safepoint.Code(t.Failure.Code), Message: t.Failure.Message, Hint: t.Failure.Hint}
	}
	if env.JSON {
		return reported{failed}
	}
	return failed
}

// findStorage finds a storage by name or ID, the only one where none is named.
func findStorage(ctx context.Context, c *client.Client, ref string) (wire.Storage, error) {
	all, err := c.Storages(ctx)
	if err != nil {
		return wire.Storage{}, err
	}
	if ref == "" && len(all) == 1 {
		return all[0], nil
	}
	return choose("storage", ref, all, func(s wire.Storage) (string, string) { return s.ID, s.Name })
}
