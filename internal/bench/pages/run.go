package pages

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// Config says what is measured. The zero value is the whole benchmark.
type Config struct {
	Entries int    // of DB Logs and of the audit log; default 1,000,000
	Reps    int    // how often each page is asked for; default 100
	Clients int    // at once; default 8
	Module  string // folder of our module's source; default "."
	Log     io.Writer
}

// Part is one organization that was looked at.
type Part struct {
	Name  string
	Size  Size
	Pages []Page
	Built time.Duration
	Bytes int64 // of its catalog
}

// Result is what Run found out.
type Result struct {
	Config  Config
	At      time.Time
	Commit  string
	Machine string
	Parts   []Part
	Took    time.Duration
}

// Run measures. What was measured is in the result also when it ends with an error.
func Run(ctx context.Context, cfg Config) (*Result, error) {
	cfg.Entries, cfg.Reps, cfg.Clients = cmp.Or(cfg.Entries, Large.Entries), cmp.Or(cfg.Reps, 100), cmp.Or(cfg.Clients, 8)
	cfg.Module = cmp.Or(cfg.Module, ".")
	if cfg.Log == nil {
		cfg.Log = io.Discard
	}
	r := &Result{Config: cfg, At: time.Now().UTC()}
	defer func() { r.Took = time.Since(r.At) }()
	dir, err := os.MkdirTemp("/var/tmp", "safepoint-pages-")
	if err != nil {
		return r, err
	}
	defer os.RemoveAll(dir)
	r.Commit = output(ctx, cfg.Module, "git", "describe", "--always", "--dirty", "--abbrev=10", "--exclude=*")
	r.Machine = fmt.Sprintf("%d cores, %s, %s", runtime.NumCPU(), output(ctx, ".", "uname", "-sr"), runtime.Version())
	program := filepath.Join(dir, "safepoint")
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", program, "./cmd/safepoint")
	build.Dir, build.Env = cfg.Module, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return r, fmt.Errorf("build: %w\n%s", err, out)
	}
	large := Large
	large.Entries, large.Audit, large.Other = cfg.Entries, cfg.Entries, max(cfg.Entries/20, 20)
	large.Schedules = min(large.Schedules, cfg.Entries/2)
	for _, p := range []struct {
		name string
		size Size
	}{{"ordinary", Ordinary}, {"large", large}} {
		part, err := r.part(ctx, filepath.Join(dir, p.name), program, p.name, p.size)
		if err != nil {
			return r, fmt.Errorf("%s: %w", p.name, err)
		}
		r.Parts = append(r.Parts, part)
	}
	return r, nil
}

func (r *Result) say(format string, args ...any) {
	fmt.Fprintf(r.Config.Log, "%s  %s\n", time.Now().UTC().Format(time.TimeOnly), fmt.Sprintf(format, args...))
}

// part builds one organization and measures it: first while nothing runs, then the most visited pages while a backup does.
func (r *Result) part(ctx context.Context, dir, program, name string, size Size) (part Part, err error) {
	r.say("%s: writing %d entries of %d schedules", name, size.Entries, size.Schedules)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return part, err
	}
	began := time.Now()
	w, err := Build(ctx, dir, size)
	if err != nil {
		return part, err
	}
	defer w.Close()
	part = Part{Name: name, Size: size, Built: time.Since(began)}
	if fi, err := os.Stat(filepath.Join(w.Dir, "catalog.db")); err == nil {
		part.Bytes = fi.Size()
	}
	address, stop, err := serve(ctx, program, w.Dir)
	if err != nil {
		return part, err
	}
	defer func() { err = cmp.Or(err, stop()) }()
	b := NewBrowser(address, w.Session, w.Token, r.Config.Clients)
	paths, err := w.Paths()
	if err != nil {
		return part, err
	}
	deep, err := b.Descend(ctx, Deep, 30)
	if err != nil {
		return part, err
	}
	paths = append(append(paths, deep...), w.APIPaths()...)
	r.say("%s: %d addresses, each %d times alone and %d times with %d clients", name, len(paths), r.Config.Reps, r.Config.Reps, r.Config.Clients)
	if part.Pages, err = b.Measure(ctx, paths, r.Config.Reps, r.Config.Clients); err != nil {
		return part, err
	}
	if err := w.Busy(ctx); err != nil {
		return part, err
	}
	busy, err := b.Measure(ctx, []string{"/backups", "/logs", "/logs?status=running", "/logs/op_running00000000", "/databases", "/storage"}, r.Config.Reps, r.Config.Clients)
	for _, p := range busy {
		p.Path += " (a backup runs)"
		part.Pages = append(part.Pages, p)
	}
	return part, err
}

var listening = regexp.MustCompile(` on (http://\S+)`)

// serve starts the program on a data directory, as an operator does.
func serve(ctx context.Context, program, data string) (address string, stop func() error, err error) {
	cmd := exec.CommandContext(ctx, program, "serve", "--data", data, "--addr", "127.0.0.1:0")
	out, err := cmd.StdoutPipe()
	if err != nil {
		return "", nil, err
	}
	if err := cmd.Start(); err != nil {
		return "", nil, err
	}
	stop = func() error {
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			return err
		}
		return cmd.Wait()
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if found := listening.FindStringSubmatch(lines.Text()); found != nil {
			go io.Copy(io.Discard, out)
			return found[1], stop, nil
		}
	}
	return "", nil, fmt.Errorf("the server did not start: %w", cmp.Or(cmd.Wait(), lines.Err()))
}

// output is what a program prints, "unknown" if it fails.
func output(ctx context.Context, dir, program string, args ...string) string {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = dir
	out, err := cmd.Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(out))
}
