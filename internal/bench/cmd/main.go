// Command bench is what `make bench` runs; docs/benchmarks/README.md says how to read what it writes.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/safepoint-db/safepoint/internal/bench"
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
	flags.StringVar(&cfg.Only, "only", "dump,load,tables", "phases")
	flags.BoolVar(&cfg.Pure, "pure", false, "leave out the build with libzstd")
	flags.StringVar(&cfg.Match, "match", "", "only contenders whose key or name holds this")
	flags.StringVar(&cfg.WorkDir, "dir", "", "keep the cluster and its databases here for the next run")
	flags.StringVar(&cfg.Module, "module", ".", "the checkout whose program is measured, such as one of an earlier commit")
	out := flags.String("out", "docs/benchmarks", "folder of the report")
	flags.Parse(args)
	res, err := bench.Run(ctx, cfg)
	if res == nil || len(res.Rows) == 0 {
		return err
	}
	path, writeErr := bench.WriteReport(*out, res)
	if writeErr == nil {
		fmt.Fprintln(os.Stderr, "wrote", path)
	}
	return errors.Join(err, writeErr)
}
