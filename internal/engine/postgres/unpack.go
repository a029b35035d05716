package postgres

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/safepoint-db/safepoint"
)

// Unpack has the newest pg_restore write a dump in pg_dump's own formats as plain SQL. It connects nowhere, sees
// nothing of our environment, and is killed when ctx ends, the reader is closed, or it stalls. Its failure is an error from Read or
// Close, so that a script without one is whole.
func (e Engine) Unpack(ctx context.Context, path string) (io.ReadCloser, error) {
	path, err := filepath.Abs(path) // no name is ever read as an option
	if err != nil {
		return nil, err
	}
	t, err := e.newestTool(ctx)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	cmd := exec.CommandContext(ctx, t.program("pg_restore"), "--file=-", path)
	cmd.Env, cmd.Dir, cmd.WaitDelay = toolEnv(), "/", closeTimeout
	u := &unpacked{ctx: ctx, cancel: cancel, cmd: cmd, tool: t}
	cmd.Stderr = &u.said
	if u.out, err = cmd.StdoutPipe(); err == nil {
		err = cmd.Start()
	}
	if err != nil {
		cancel()
		return nil, fmt.Errorf("start pg_restore: %w", err)
	}
	go watchStall(ctx, cmd.Process.Pid, func() { u.stalled.Store(true); cancel() })
	return u, nil
}

// newestTool has the pg_restore that reads the most.
func (e Engine) newestTool(ctx context.Context) (tool, error) {
	var best tool
	for _, dir := range append(slices.Clone(e.Programs), installedDirs()...) {
		if t, ok := probeTool(ctx, dir); ok && t.major > best.major {
			best = t
		}
	}
	if best.dir == "" {
		return tool{}, safepoint.Errorf(safepoint.CodeTool, "This dump is in one of pg_dump's own formats, and pg_restore is not installed where Safepoint runs.").
			WithHint("Install it, for example: apt-get install postgresql-client. Or make a plain dump: pg_restore --file=NAME.sql DUMP.")
	}
	return best, nil
}

// unpacked reads what pg_restore writes.
type unpacked struct {
	ctx    context.Context
	cancel context.CancelFunc
	cmd    *exec.Cmd
	tool   tool
	out    io.ReadCloser
	said   tail
	once   sync.Once
	err    error

	stalled atomic.Bool // it was stopped for it
	ended   bool        // its output was read to the end
}

func (u *unpacked) Read(p []byte) (int, error) {
	if u.ended { // some readers try again
		return 0, cmp.Or(u.wait(), io.EOF)
	}
	n, err := u.out.Read(p)
	if err == io.EOF {
		u.ended = true
		if werr := u.wait(); werr != nil {
			err = werr
		}
	}
	return n, err
}

// wait waits for the end of pg_restore and words its failure.
func (u *unpacked) wait() error {
	u.once.Do(func() {
		err := u.cmd.Wait()
		u.cancel()
		switch {
		case !u.ended, err == nil: // it was stopped, or is done
			return
		case u.stalled.Load():
			u.err = safepoint.Errorf(safepoint.CodeArchive, "pg_restore cannot read the dump: it turns in a circle, and neither reads nor writes anything more.").
				WithHint("Copy it again from where it was made. Nothing was changed.").WithCause(err)
			return
		case u.ctx.Err() != nil && context.Cause(u.ctx) != context.Canceled:
			u.err = context.Cause(u.ctx)
			return
		}
		said := strings.TrimSpace(strings.ReplaceAll(u.said.String(), "pg_restore: error: ", ""))
		hint := "Copy it again from where it was made. Nothing was changed."
		if strings.Contains(said, "unsupported version") {
			hint = fmt.Sprintf("It was made by a newer pg_dump than the pg_restore %d that is installed here. Install newer client programs of PostgreSQL, or make a plain dump.", u.tool.major)
		}
		u.err = safepoint.Errorf(safepoint.CodeArchive, "pg_restore cannot read the dump: %s.", trimDot(said)).Hinted(hint).WithCause(err)
	})
	return u.err
}

// Close ends pg_restore, wherever it is.
func (u *unpacked) Close() error {
	if !u.ended {
		u.cancel()
	}
	return u.wait()
}
