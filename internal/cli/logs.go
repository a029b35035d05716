package cli

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/api/wire"
	"github.com/safepoint-db/safepoint/internal/client"
	"github.com/safepoint-db/safepoint/internal/scratch"
	"github.com/safepoint-db/safepoint/internal/writeback"
)

type logsCmd struct {
	List     logsListCmd     `cmd:"" default:"withargs" help:"List backups and restores, newest first."`
	View     logsViewCmd     `cmd:"" help:"View one."`
	Download logsDownloadCmd `cmd:"" help:"Download a backup's file and check it."`
	Tables   logsTablesCmd   `cmd:"" help:"List the tables in a backup."`
	Extract  logsExtractCmd  `cmd:"" help:"Download chosen tables of a backup, as SQL."`
	Delete   logsDeleteCmd   `cmd:"" help:"Delete a backup's file for good."`
	Cancel   logsCancelCmd   `cmd:"" help:"Cancel what is queued or runs."`
}

type logsListCmd struct {
	Remote
	Type     string `enum:",backup,restore" default:"" help:"Only backup or restore."`
	Status   string `enum:",queued,running,succeeded,failed,cancelled,missed" default:"" help:"Only queued, running, succeeded, failed, cancelled or missed."`
	Database string `help:"Only of this database, by name or ID." complete:"database"`
	Text     string `help:"Only names with this in them."`
	Limit    int    `short:"n" default:"20" help:"At most this many."`
	Follow   bool   `short:"f" help:"Go on, and print each new entry and each change of its status, until Ctrl-C. A server that is restarted is waited for."`
}

func (cmd *logsListCmd) Run(ctx context.Context, env *Env) error {
	if cmd.Limit < 1 {
		return usagef("--limit must be 1 or more")
	}
	c, err := cmd.connect(ctx)
	if err != nil {
		return err
	}
	f := safepoint.OperationFilter{Type: safepoint.OperationType(cmd.Type), Status: safepoint.Status(cmd.Status), Text: cmd.Text}
	if cmd.Database != "" {
		d, err := findDatabase(ctx, c, cmd.Database)
		if err != nil {
			return err
		}
		f.DatabaseID = d.ID
	}
	if cmd.Follow {
		return newFollower(env, c, f).run(ctx, cmd.Limit)
	}
	found, err := cmd.fetch(ctx, c, f)
	if err != nil {
		return err
	}
	return env.print(found, func(w ioWriter) {
		var rows [][]string
		for _, o := range found {
			rows = append(rows, operationRow(o))
		}
		table(w, operationColumns, rows)
	})
}

// fetch reads pages until it has enough.
func (cmd *logsListCmd) fetch(ctx context.Context, c *client.Client, f safepoint.OperationFilter) ([]wire.Operation, error) {
	found := []wire.Operation{}
	for {
		f.Limit = min(cmd.Limit-len(found), 200)
		page, err := c.Operations(ctx, f)
		if err != nil {
			return nil, err
		}
		found = append(found, page.Items...)
		if f.Cursor = page.Next; f.Cursor == "" || len(found) >= cmd.Limit {
			return found, nil
		}
	}
}

type logsViewCmd struct {
	Remote
	ID   string `arg:"" help:"The entry, by ID or file name." complete:"entry"`
	Wait bool   `short:"w" help:"Wait until it has ended; the exit code tells how."`
}

func (cmd *logsViewCmd) Run(ctx context.Context, env *Env) error {
	c, o, err := found(ctx, cmd.Remote, cmd.ID, findOperation)
	if err != nil {
		return err
	}
	if cmd.Wait {
		return env.started(ctx, c, o, true)
	}
	if o.Type != string(safepoint.TypeRestore) {
		return env.print(o, func(w ioWriter) { printOperation(w, o) })
	}
	journal, err := c.Journal(ctx, o.ID)
	if err != nil {
		return err
	}
	type withJournal struct {
		wire.Operation
		Journal []wire.JournalEntry `json:"journal"`
	}
	return env.print(withJournal{o, journal}, func(w ioWriter) {
		printOperation(w, o)
		fmt.Fprintln(w)
		var rows [][]string
		for _, e := range journal {
			rows = append(rows, []string{exactly(e.At), e.Step, e.Event, e.Detail})
		}
		table(w, columns("at", "step", "event", "~detail 1"), rows)
	})
}

type logsDownloadCmd struct {
	Remote
	ID     string `arg:"" help:"The backup, by ID or file name." complete:"backup"`
	Output string `short:"O" placeholder:"FILE" help:"Where to put it; default: the file's own name, here."`
	Force  bool   `help:"Replace a file that is there."`
	Lately
}

func (cmd *logsDownloadCmd) Run(ctx context.Context, env *Env) error {
	c, o, err := found(ctx, cmd.Remote, cmd.ID, findOperation)
	if err != nil {
		return err
	}
	path := cmd.Output
	if path == "" {
		path = filepath.Base(filepath.Clean("/" + o.Name)) // a name from a server does not choose a folder
	}
	out, err := createOutput(path, cmd.Force)
	if err != nil {
		return err
	}
	defer out.abort()
	var sum string
	err = cmd.again(ctx, env, c, func(c *client.Client) (err error) {
		sum, err = cmd.fetch(ctx, env, c, o, out)
		return err
	})
	if err != nil {
		return err
	}
	if o.SHA256 != "" && sum != o.SHA256 {
		return safepoint.Errorf(safepoint.CodeArchive, "What arrived is not the backup: its SHA-256 is %s, not %s.", sum, o.SHA256).
			WithHint("Nothing was kept. Try again; if it happens again, the stored file is damaged.")
	}
	if err := out.commit(); err != nil {
		return err
	}
	return env.print(map[string]any{"file": path, "size": o.Size, "sha256": sum}, func(w ioWriter) {
		fmt.Fprintf(w, "%s  %s  sha256 %s\n", path, bytesText(o.Size), sum)
	})
}

// fetch writes the file, going on where a connection broke, and returns the SHA-256 of what was written.
func (cmd *logsDownloadCmd) fetch(ctx context.Context, env *Env, c *client.Client, o wire.Operation, out io.Writer) (string, error) {
	m := env.meter(bytesText)
	defer m.end()
	h := sha256.New()
	counted := &counting{w: io.MultiWriter(out, h), seen: func(n int64) { m.show("download", n, o.Size) }}
	for broken := 0; ; {
		had := counted.n
		f, err := c.Download(ctx, o.ID, counted.n)
		if err == nil {
			_, err = io.Copy(counted, f)
			f.Close()
		}
		if err == nil && (o.Size == 0 || counted.n == o.Size) {
			return hex.EncodeToString(h.Sum(nil)), nil
		}
		if counted.failed != nil {
			return "", fileError(counted.failed, cmd.Output)
		}
		var refused *safepoint.Error
		if broken++; counted.n > had {
			broken = 0
		}
		if ctx.Err() != nil || broken > 3 || counted.n == 0 && errors.As(err, &refused) {
			return "", firstError(context.Cause(ctx), err, safepoint.Errorf(safepoint.CodeUnreachable, "The download broke off at byte %d.", counted.n))
		}
	}
}

// counting passes on what is written and counts it. failed is the writer's own error, to tell it from the reader's.
type counting struct {
	w      io.Writer
	n      int64
	failed error
	seen   func(n int64)
}

func (c *counting) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	c.failed = err
	c.seen(c.n)
	return n, err
}

type logsDeleteCmd struct {
	Remote
	ID      string `arg:"" help:"The backup, by ID or file name." complete:"backup"`
	Yes     bool   `short:"y" help:"Do not ask."`
	Confirm string `placeholder:"NAME" help:"The database's name, where this is its last backup."`
}

func (cmd *logsDeleteCmd) Run(ctx context.Context, env *Env) error {
	c, o, err := found(ctx, cmd.Remote, cmd.ID, findOperation)
	if err != nil {
		return err
	}
	question := fmt.Sprintf("Delete this backup? %s (%s) of %s will be removed. This cannot be undone.", o.Name, bytesText(o.Size), o.DatabaseName)
	if err := env.confirm(cmd.Yes || cmd.Confirm != "", question); err != nil {
		return err
	}
	if err := c.DeleteBackup(ctx, o.ID, cmd.Confirm); err != nil {
		return err
	}
	return env.print(map[string]string{"deleted": o.ID}, func(w ioWriter) { fmt.Fprintf(w, "Deleted %s.\n", o.Name) })
}

type logsCancelCmd struct {
	Remote
	ID string `arg:"" help:"The backup or restore, by ID." complete:"running"`
}

func (cmd *logsCancelCmd) Run(ctx context.Context, env *Env) error {
	c, err := cmd.connect(ctx)
	if err != nil {
		return err
	}
	o, err := c.Cancel(ctx, cmd.ID)
	if err != nil {
		return err
	}
	return env.print(o, func(w ioWriter) {
		if o.Ended() {
			fmt.Fprintf(w, "%s is %s.\n", o.ID, o.Status)
			return
		}
		fmt.Fprintf(w, "%s was asked to stop.\n", o.ID)
	})
}

// output is a file that appears under its name only when it is whole.
type output struct {
	writeback.File
	path  string
	force bool
	done  bool
}

// createOutput begins a file, mode 0600: a backup is a copy of all data.
func createOutput(path string, force bool) (*output, error) {
	if _, err := os.Lstat(path); err == nil && !force {
		return nil, fileExists(path)
	}
	f, err := scratch.Create(filepath.Dir(path), filepath.Base(path))
	if err != nil {
		return nil, fileError(err, filepath.Dir(path))
	}
	return &output{File: writeback.File{File: f}, path: path, force: force}, nil
}

func fileExists(path string) error {
	return safepoint.Errorf(safepoint.CodeConflict, "%s is there already.", path).WithHint("Choose another name, or add --force to replace it.")
}

// commit makes the file durable and gives it its name.
func (o *output) commit() error {
	if err := errors.Join(o.Sync(), o.Close()); err != nil {
		return fileError(err, o.path)
	}
	var err error
	if o.force {
		err = os.Rename(o.Name(), o.path)
	} else if err = os.Link(o.Name(), o.path); err == nil { // unlike a rename, fails if the name was taken meanwhile
		err = os.Remove(o.Name())
	} else if errors.Is(err, os.ErrExist) {
		return fileExists(o.path)
	} else {
		err = os.Rename(o.Name(), o.path) // a file system without links
	}
	if err != nil {
		return fileError(err, o.path)
	}
	o.done = true
	return syncDir(filepath.Dir(o.path))
}

// abort removes what was written, unless it was committed.
func (o *output) abort() {
	if !o.done {
		o.Close()
		os.Remove(o.Name())
	}
}
