// Command bench is what `make bench` runs; docs/benchmarks/README.md says how to read what it writes.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/safepoint-db/safepoint/internal/bench"
	"github.com/safepoint-db/safepoint/internal/bench/pages"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if ok, err := bench.Helper(ctx, args); ok {
		return err
	}
	var cfg bench.Config
	cfg.Log = os.Stderr
	flags := flag.NewFlagSet("bench", flag.ExitOnError)
	flags.Float64Var(&cfg.Size, "size", 1, "of the database; 1 is more than 2 GB")
	flags.IntVar(&cfg.Reps, "reps", 5, "repetitions of dumps")
	flags.IntVar(&cfg.RepsLoad, "reps-load", 3, "repetitions of loads")
	flags.IntVar(&cfg.Jobs, "jobs", 2, "connections of everybody who can use several")
	flags.IntVar(&cfg.Tables, "tables", 10000, "tables of the phase tables")
	only := flags.String("only", "dump,load,tables,pages", "phases; pages is the console's, the others are of dumps and loads")
	asked := flags.Int("asked", 100, "how often each page is asked for in the phase pages")
	entries := flags.Int("entries", 1_000_000, "entries of DB Logs and of the audit log in the phase pages")
	flags.BoolVar(&cfg.Pure, "pure", false, "leave out the build with libzstd")
	flags.StringVar(&cfg.Match, "match", "", "only contenders whose key or name holds this")
	flags.StringVar(&cfg.WorkDir, "dir", "", "keep the cluster and its databases here for the next run")
	flags.StringVar(&cfg.Module, "module", ".", "the checkout whose program is measured, such as one of an earlier commit")
	out := flags.String("out", "docs/benchmarks", "folder of the report")
	flags.Parse(args)
	phases := strings.Split(*only, ",")
	var failed error
	if i := slices.Index(phases, "pages"); i >= 0 {
		failed = measurePages(ctx, pages.Config{Entries: *entries, Reps: *asked, Module: cfg.Module, Log: os.Stderr}, *out)
		if phases = slices.Delete(phases, i, i+1); len(phases) == 0 {
			return failed
		}
	}
	cfg.Only = strings.Join(phases, ",")
	return errors.Join(failed, measureDumps(ctx, cfg, *out))
}

// measurePages measures the console.
func measurePages(ctx context.Context, cfg pages.Config, out string) error {
	res, err := pages.Run(ctx, cfg)
	if len(res.Parts) == 0 {
		return err
	}
	path, writeErr := res.Write(out)
	if writeErr == nil {
		fmt.Fprintln(os.Stderr, "wrote", path)
	}
	for _, g := range res.Goals() {
		fmt.Fprintln(os.Stderr, map[bool]string{true: "met:   ", false: "MISSED:"}[g.Met], g.Text)
	}
	return errors.Join(err, writeErr)
}

// measureDumps measures dumps and loads beside the peers.
func measureDumps(ctx context.Context, cfg bench.Config, out string) error {
	res, err := bench.Run(ctx, cfg)
	if res == nil || len(res.Rows) == 0 {
		return err
	}
	path, writeErr := bench.WriteReport(out, res)
	if writeErr == nil {
		fmt.Fprintln(os.Stderr, "wrote", path)
	}
	return errors.Join(err, writeErr)
}
