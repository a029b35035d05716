package cli

import (
	"context"
	"io"
	"os"
	"path/filepath"

	"github.com/safepoint-db/safepoint"
)

type uploadCmd struct {
	Remote
	File     string `arg:"" help:"The file: a backup of Safepoint, or a dump as safepoint convert takes them. - is standard input."`
	Database string `required:"" help:"The database it is of, by ID or name." complete:"database"`
	NoOwner  bool   `help:"Of a dump that Safepoint did not make: leave out owners and rights."`
	Wait     bool   `short:"w" help:"Wait until it was checked whole and can be restored."`
}

func (cmd *uploadCmd) Run(ctx context.Context, env *Env) error {
	c, d, err := found(ctx, cmd.Remote, cmd.Database, findDatabase)
	if err != nil {
		return err
	}
	var from io.Reader = env.In
	size := int64(0)
	if cmd.File != "-" {
		f, err := os.Open(cmd.File)
		if err != nil {
			return fileError(err, cmd.File)
		}
		defer f.Close()
		info, err := f.Stat()
		if err == nil && !info.Mode().IsRegular() {
			err = safepoint.Errorf(safepoint.CodeInvalid, "%s is not a file.", cmd.File).
				WithHint("Put a folder of pg_dump --format=directory into a tar file first: tar -cf NAME.tar FOLDER.")
		}
		if err != nil {
			return err
		}
		from, size = f, info.Size()
	}
	m := env.meter(bytesText)
	o, err := c.Upload(ctx, d.ID, filepath.Base(cmd.File), cmd.NoOwner, &metered{r: from, m: m, total: size}, size)
	m.end()
	if err != nil {
		return err
	}
	return env.started(ctx, c, o, cmd.Wait)
}

// metered shows how much was read.
type metered struct {
	r           io.Reader
	m           *meter
	done, total int64
}

func (r *metered) Read(p []byte) (int, error) {
	n, err := r.r.Read(p)
	r.done += int64(n)
	r.m.show("upload", r.done, r.total)
	return n, err
}
