// Package bench measures our dump and load beside what others run, on the same database in the same run, and writes
// down everything that is needed to judge the figures and to repeat them.
//
// Every contender is a shell command. Its wall time, the processor time of its processes and of the server, the peak
// memory, the size of what it made, and what anybody else used of the machine meanwhile are taken from the kernel.
// Repetitions are interleaved; only medians within one run are compared.
package bench

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/safepoint-db/safepoint/internal/pgserver"
)

// Config says what is measured. The zero value is the whole benchmark.
type Config struct {
	Size     float64 // of the database; 1 (the default) is more than 2 GB
	Reps     int     // repetitions of dumps; default 5
	RepsLoad int     // of loads; default 3
	Jobs     int     // connections of everybody who can use several; default 2
	Tables   int     // of the phase tables; default 10,000
	Only     string  // phases, such as "dump,tables"; default all
	Pure     bool    // leave out the build with libzstd
	Match    string  // contenders whose key or name holds this, and no others; "" is all
	WorkDir  string  // keeps the cluster and its databases for the next run; "" is a temporary folder
	Module   string  // folder of our module's source; default "."
	Log      io.Writer
}

// Row is one run of one contender.
type Row struct {
	Contender string    `json:"contender"`
	Phase     Phase     `json:"phase"`
	Rep       int       `json:"rep"` // from 1
	At        time.Time `json:"at"`
	Usage
	Size int64 `json:"size_bytes,omitempty"` // of what a dump made
}

// Result is what Run found out.
type Result struct {
	Config     Config
	At         time.Time
	Machine    Machine
	Contenders []Contender
	Rows       []Row
	Equal      []string // what was compared with the source and found the same
	Took       time.Duration
	Unfinished string // why the run ended before its end; "" if it did not
}

// bench is a run that goes on.
type bench struct {
	Config
	cluster *pgserver.Cluster
	dir     string // where contenders work
	env     []string
	cgo     bool
	phases  map[Phase]bool
	want    string // content of the source, "" until asked for
	result  *Result
}

// Run measures. Rows that were measured are in the result also when it ends with an error.
func Run(ctx context.Context, cfg Config) (res *Result, err error) {
	cfg.Size, cfg.Reps, cfg.RepsLoad = cmp.Or(cfg.Size, 1), cmp.Or(cfg.Reps, 5), cmp.Or(cfg.RepsLoad, 3)
	cfg.Jobs, cfg.Tables = cmp.Or(cfg.Jobs, 2), cmp.Or(cfg.Tables, 10_000)
	cfg.Only, cfg.Module = cmp.Or(cfg.Only, "dump,load,tables"), cmp.Or(cfg.Module, ".")
	if cfg.Log == nil {
		cfg.Log = io.Discard
	}
	b := &bench{Config: cfg, result: &Result{Config: cfg, At: time.Now().UTC()}}
	if b.phases, err = phases(cfg.Only); err != nil {
		return nil, err
	}
	defer func() {
		b.result.Took = time.Since(b.result.At)
		if err != nil {
			b.result.Unfinished = err.Error()
		}
	}()
	folder := cfg.WorkDir
	if folder == "" {
		if folder, err = os.MkdirTemp("/var/tmp", "safepoint-bench-"); err != nil {
			return nil, err
		}
		defer os.RemoveAll(folder)
	}
	if err := b.start(ctx, folder); err != nil {
		return b.result, err
	}
	defer b.cluster.Stop()
	return b.result, b.measure(ctx)
}

// Settings are what the server runs with besides its defaults. fsync stays on.
func settings(tables int) map[string]string {
	s := map[string]string{
		"shared_buffers":  strconv.FormatInt(min(2<<30, memoryTotal()/4)>>20, 10) + "MB",
		"max_connections": "100", "dynamic_shared_memory_type": "posix", "log_min_messages": "warning",
	}
	// A dump locks every table, as pg_dump does.
	if slots := tables * 3 / 100; slots > 64 {
		s["max_locks_per_transaction"] = strconv.Itoa(slots)
	}
	return s
}

func (b *bench) start(ctx context.Context, folder string) error {
	// The server runs as another user where we are root, and must reach its folder.
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	if err := os.Chmod(folder, 0o755); err != nil {
		return err
	}
	folder, err := filepath.Abs(folder)
	if err != nil {
		return err
	}
	b.dir = filepath.Join(folder, "work")
	if err := os.MkdirAll(b.dir, 0o755); err != nil {
		return err
	}
	if err := b.programs(ctx); err != nil {
		return err
	}
	tables := 0
	if b.phases[Tables] {
		tables = b.Tables
	}
	opt := pgserver.Options{Durable: true, Settings: settings(tables)}
	if b.cluster, err = pgserver.Start(ctx, filepath.Join(folder, "cluster"), opt); err != nil {
		return err
	}
	b.env = append(os.Environ(), "PATH="+b.cluster.BinDir+":"+os.Getenv("PATH"), "LC_ALL=C.UTF-8",
		"PGHOST="+b.cluster.Socket, "PGPORT="+strconv.Itoa(b.cluster.Port), "PGUSER="+b.cluster.User, "PGDATABASE=postgres")
	b.result.Contenders = b.wanted()
	if b.phases[Dump] || b.phases[Load] {
		if err := Generate(ctx, b.cluster, source, b.Size, b.say); err != nil {
			return err
		}
	}
	if b.phases[Tables] {
		if err := GenerateTables(ctx, b.cluster, tinySource, b.Tables, b.say); err != nil {
			return err
		}
	}
	b.result.Machine, err = b.machine(ctx, folder, opt.Settings)
	return err
}

// programs builds ours from the source, and puts this program's own part beside it.
func (b *bench) programs(ctx context.Context) error {
	for _, tool := range []string{"zstd", "unzip"} {
		if _, err := exec.LookPath(tool); err != nil {
			return fmt.Errorf("%s is not installed: apt-get install zstd unzip", tool)
		}
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	if err := relink(self, filepath.Join(b.dir, "bench")); err != nil {
		return err
	}
	if err := writeKey(filepath.Join(b.dir, keyFile)); err != nil {
		return err
	}
	b.cgo = !b.Pure && b.hasLibzstd(ctx)
	for name, cgo := range map[string]string{"safepoint": "0", "safepoint-cgo": "1"} {
		if cgo == "1" && !b.cgo {
			continue
		}
		b.say("building %s", name)
		build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", filepath.Join(b.dir, name), "./cmd/safepoint")
		build.Dir, build.Env = b.Module, append(os.Environ(), "CGO_ENABLED="+cgo)
		if out, err := build.CombinedOutput(); err != nil {
			return fmt.Errorf("build %s: %w\n%s", name, err, out)
		}
	}
	return nil
}

// keyFile signs our backup files, as a server does.
const keyFile = "signing.key"

func writeKey(path string) error {
	_, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return err
	}
	return os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600)
}

// hasLibzstd says whether a build with cgo is another program than one without: a compiler is there, and a package
// that compiles zstd's C code is used.
func (b *bench) hasLibzstd(ctx context.Context) bool {
	list := exec.CommandContext(ctx, "go", "list", "-deps", "-f", "{{if .CgoFiles}}{{.ImportPath}} {{.CgoFiles}}{{end}}", "./cmd/safepoint")
	list.Dir, list.Env = b.Module, append(os.Environ(), "CGO_ENABLED=1")
	out, err := list.Output()
	if _, missing := exec.LookPath(cmp.Or(os.Getenv("CC"), "gcc")); err != nil || missing != nil {
		return false
	}
	return strings.Contains(string(out), "zstd")
}

// wanted are the contenders of this run; a filter does not leave out the limit, which costs little and is in no one's way.
func (b *bench) wanted() (out []Contender) {
	for _, c := range contenders(b.Jobs, b.cgo) {
		if b.phases[c.Phase] && (b.Match == "" || strings.Contains(c.Key+" "+c.Name, b.Match)) {
			out = append(out, c)
		}
	}
	return out
}

// measure runs the phases one after another, and within each the contenders in turn, from another one each time.
func (b *bench) measure(ctx context.Context) error {
	for _, phase := range []Phase{Dump, Load, Tables} {
		var all []Contender
		for _, c := range b.result.Contenders {
			if c.Phase == phase {
				all = append(all, c)
			}
		}
		if len(all) == 0 {
			continue
		}
		reps := b.Reps
		if phase == Load {
			reps = b.RepsLoad
		}
		if phase == Dump {
			if err := b.warm(ctx); err != nil {
				return err
			}
		}
		for rep := 1; rep <= reps; rep++ {
			first := (rep - 1) * len(all) / reps
			for _, c := range append(slices.Clone(all[first:]), all[:first]...) {
				if c.Once && rep > 1 {
					continue
				}
				if err := b.one(ctx, c, rep); err != nil {
					return fmt.Errorf("%s %s, repetition %d: %w", phase, c.Key, rep, err)
				}
			}
		}
	}
	return nil
}

// warm reads the source once, so that the first contender finds the cache as the others do.
func (b *bench) warm(ctx context.Context) error {
	_, err := run(ctx, b.cluster, b.dir, "./bench limit -jobs 1 "+source, "", b.env)
	return err
}

// one prepares, measures and checks one run.
func (b *bench) one(ctx context.Context, c Contender, rep int) error {
	if c.Input != "" {
		if err := b.input(ctx, c); err != nil {
			return err
		}
	}
	if c.Phase == Load {
		if err := b.freshTarget(ctx); err != nil {
			return err
		}
		defer b.dropTarget(context.WithoutCancel(ctx))
	}
	if c.Output != "" {
		if err := os.RemoveAll(filepath.Join(b.dir, c.Output)); err != nil {
			return err
		}
	}
	if err := b.settle(ctx); err != nil {
		return err
	}
	row := Row{Contender: c.Key, Phase: c.Phase, Rep: rep, At: time.Now().UTC()}
	var err error
	if row.Usage, err = run(ctx, b.cluster, b.dir, c.Command, c.Process, b.env); err != nil {
		return err
	}
	if c.Output != "" {
		row.Size = sizeOf(filepath.Join(b.dir, c.Output))
	}
	b.result.Rows = append(b.result.Rows, row)
	b.say("%-6s %d  %-34s %6.1f s  client %5.1f + server %5.1f CPU-s  peak %4d MiB  %5d MB  others %.0f %%",
		c.Phase, rep, c.Name, row.Wall, row.ClientCPU, row.ServerCPU, row.Peak>>20, row.Size/1e6, row.Foreign*100)
	if c.Checks && rep == 1 {
		return b.check(ctx, c)
	}
	return nil
}

// settle gives each run the same start: nothing waits to be written, by the server or by the kernel.
func (b *bench) settle(ctx context.Context) error {
	if err := b.cluster.Exec(ctx, "postgres", "CHECKPOINT"); err != nil {
		return err
	}
	syscall.Sync()
	return nil
}

func (b *bench) freshTarget(ctx context.Context) error {
	if err := b.dropTarget(ctx); err != nil {
		return err
	}
	return b.cluster.Exec(ctx, "postgres", "CREATE DATABASE "+target+" TEMPLATE template0")
}

func (b *bench) dropTarget(ctx context.Context) error {
	return b.cluster.Exec(ctx, "postgres", "DROP DATABASE IF EXISTS "+target+" WITH (FORCE)")
}

// input makes what a load reads, unless the dumps of this run have left it.
func (b *bench) input(ctx context.Context, load Contender) error {
	for _, c := range contenders(b.Jobs, b.cgo) {
		if c.Phase != Dump || c.Key != load.Input {
			continue
		}
		path := filepath.Join(b.dir, c.Output)
		if made, err := os.Stat(path); err == nil && made.ModTime().After(b.result.At) {
			return nil
		}
		b.say("making %s for %s", c.Output, load.Name)
		if err := os.RemoveAll(path); err != nil {
			return err
		}
		_, err := run(ctx, b.cluster, b.dir, c.Command, "", b.env)
		return err
	}
	return fmt.Errorf("no dump makes the input %q of %s", load.Input, load.Key)
}

func (b *bench) say(format string, args ...any) {
	fmt.Fprintf(b.Log, "%s  %s\n", time.Now().UTC().Format(time.TimeOnly), fmt.Sprintf(format, args...))
}

// relink makes link point to path.
func relink(path, link string) error {
	if err := os.Remove(link); err != nil && !os.IsNotExist(err) {
		return err
	}
	return os.Symlink(path, link)
}

// sizeOf is the size of a file, or of all files in a folder, in bytes.
func sizeOf(path string) (n int64) {
	filepath.WalkDir(path, func(_ string, d os.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			if fi, err := d.Info(); err == nil {
				n += fi.Size()
			}
		}
		return nil
	})
	return n
}

// writeRows writes the machine and then the rows as JSON lines.
func writeRows(w io.Writer, r *Result) error {
	enc := json.NewEncoder(w)
	if err := enc.Encode(map[string]any{"machine": r.Machine, "at": r.At, "size": r.Config.Size, "jobs": r.Config.Jobs, "tables": r.Config.Tables}); err != nil {
		return err
	}
	for _, row := range r.Rows {
		if err := enc.Encode(row); err != nil {
			return err
		}
	}
	return nil
}
