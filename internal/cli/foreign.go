package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/archive"
	"github.com/safepoint-db/safepoint/internal/encrypt"
	"github.com/safepoint-db/safepoint/internal/engine"
	"github.com/safepoint-db/safepoint/internal/foreign"
	"github.com/safepoint-db/safepoint/internal/kinds"
	"github.com/safepoint-db/safepoint/internal/scratch"
)

// Foreign are the flags of every command that reads dumps that Safepoint did not make.
type Foreign struct {
	MaxSQL       sizeFlag `name:"max-sql" default:"1TiB" group:"Foreign dumps" help:"Stop when more SQL than this comes out of the file."`
	MaxRatio     int64    `default:"500" group:"Foreign dumps" help:"Stop when more than so many times as much SQL comes out as the file has bytes."`
	MaxStatement sizeFlag `default:"64MiB" group:"Foreign dumps" help:"Longest statement, which is held in memory; rows of COPY have no such limit."`
	MaxWindow    sizeFlag `default:"128MiB" group:"Foreign dumps" help:"Memory that a compressed file may ask for."`
	noOwner      bool     // leave out who owns what and who may do what; a flag of the command
	programs     []string // see Programs
	Temp         string   `type:"existingdir" placeholder:"DIR" group:"Foreign dumps" help:"Where a dump is converted before it is used; default: the system's folder for temporary files."`
}

// sizeFlag is a number of bytes: "64MiB", "1GiB", "1000000".
type sizeFlag int64

func (f Foreign) options(env *Env, m *meter) foreign.Options {
	return foreign.Options{
		Limits:  foreign.Limits{SQL: int64(f.MaxSQL), Ratio: f.MaxRatio, Statement: int(min(f.MaxStatement, 1<<30)), Window: int64(f.MaxWindow)},
		NoOwner: f.noOwner, Unpack: kinds.Unpack(f.programs), Temp: f.Temp,
		Report: func(done, total int64) { m.show("convert", done, total) },
	}
}

// open opens a backup file; or a dump that Safepoint did not make, converted into a backup file that goes when it is
// closed. Nothing is ever executed from an unfinished stream. A caller who wants a signature gets no foreign dump.
func (f Foreign) open(ctx context.Context, env *Env, path string, t Trust) (*backupFile, error) {
	b, err := openFile(path, t)
	if !isForeign(path, err) {
		return b, err
	}
	if len(t.Key) > 0 {
		return nil, safepoint.Errorf(safepoint.CodeArchive, "%s was not made by Safepoint: nobody has signed it.", path).
			WithHint("Use it only if you know where it comes from, and then without --key.")
	}
	dir, err := scratch.New(f.Temp)
	if err != nil {
		return nil, fileError(err, cmpPath(f.Temp))
	}
	converted := filepath.Join(dir.Path, "converted"+safepoint.BackupExtension)
	contents, _, err := f.convert(ctx, env, path, newBackup{path: converted})
	if err == nil {
		b, err = openFile(converted, Trust{})
	}
	if err != nil {
		return nil, errors.Join(err, dir.Remove())
	}
	b.foreign, b.gone = &contents, dir.Remove
	env.told(path, contents)
	return b, nil
}

func cmpPath(dir string) string {
	if dir == "" {
		return os.TempDir()
	}
	return dir
}

// isForeign says whether err is that of opening a file that may be a foreign dump.
func isForeign(path string, err error) bool {
	if err == nil {
		return false
	}
	info, serr := os.Stat(path)
	return errors.Is(err, archive.ErrNoContents) || path == "-" || serr == nil && info.IsDir()
}

// convert makes a backup file out of a foreign dump; path "-" is what comes through standard input.
func (f Foreign) convert(ctx context.Context, env *Env, path string, n newBackup) (c foreign.Contents, made fileFacts, err error) {
	m := env.meter(bytesText)
	defer m.end()
	opt := f.options(env, m)
	if path == "-" {
		dir, err := scratch.New(f.Temp)
		if err != nil {
			return c, made, fileError(err, cmpPath(f.Temp))
		}
		defer dir.Remove()
		if path, err = foreign.Spool(ctx, env.In, dir.Path, 0); err != nil {
			return c, made, fileError(err, cmpPath(f.Temp))
		}
	}
	info, err := os.Stat(path)
	if err != nil {
		return c, made, fileError(err, path)
	}
	opt.At = info.ModTime().UTC()
	made, err = env.writeBackup(ctx, n, func(w *archive.Writer, _ engine.DumpOptions) error {
		h := w.Header()
		h.Database = foreignName(info.Name())
		w.SetHeader(h)
		c, err = foreign.Convert(ctx, path, w, opt)
		return err
	})
	return c, made, fileError(err, path)
}

// foreignName is a dump's file name without what its containers add.
func foreignName(file string) string {
	for {
		ext := strings.ToLower(filepath.Ext(file))
		if ext == "" || !slices.Contains([]string{".gz", ".zst", ".bz2", ".xz", ".zip", ".tar", ".sql", ".dump", ".backup", ".pgdump"}, ext) || len(ext) == len(file) {
			return file
		}
		file = file[:len(file)-len(ext)]
	}
}

// told says on standard error what a foreign dump is and what was left out of it.
func (env *Env) told(path string, c foreign.Contents) {
	if env.JSON || env.Quiet {
		return
	}
	fmt.Fprintf(env.Err, "note: %s was not made by Safepoint (%s). It was converted and found whole; its statements are of unknown origin.\n", oneLine(path), c.Origin)
	for _, note := range c.Notes {
		fmt.Fprintf(env.Err, "note: %s\n", note)
	}
	if c.CodeCount > 0 {
		fmt.Fprintf(env.Err, "note: it brings code that the database will run later: %s\n", codeSummary(c))
	}
}

// codeSummary is "12 FUNCTION, 3 TRIGGER".
func codeSummary(c foreign.Contents) string {
	counts := map[string]int{}
	for _, o := range c.Code {
		counts[o.Kind]++
	}
	var parts []string
	for _, kind := range slices.Sorted(maps.Keys(counts)) {
		parts = append(parts, fmt.Sprintf("%d %s", counts[kind], kind))
	}
	if c.CodeCount > len(c.Code) {
		parts = append(parts, fmt.Sprintf("and %d more", c.CodeCount-len(c.Code)))
	}
	return strings.Join(parts, ", ")
}

// inspectForeign shows what a foreign dump holds, and every line of it that could not be used.
func (cmd *inspectCmd) inspectForeign(ctx context.Context, env *Env) error {
	m := env.meter(bytesText)
	cmd.Foreign.programs = cmd.PgBin
	opt := cmd.Foreign.options(env, m)
	opt.Look = true
	c, err := foreign.Convert(ctx, cmd.File, archive.NewWriter(io.Discard, archive.Header{}, nil), opt)
	m.end()
	if err != nil {
		return fileError(err, cmd.File)
	}
	type shown struct {
		File    string           `json:"file"`
		Foreign foreign.Contents `json:"foreign"`
	}
	return env.print(shown{cmd.File, c}, func(w ioWriter) { printForeign(w, cmd.File, c) })
}

func printForeign(w ioWriter, path string, c foreign.Contents) {
	facts(w, "File", path, "Made by", c.Origin+" (not by Safepoint)", "Server version", c.ServerVersion, "Encoding", c.Encoding,
		"Tables with rows", grouped(len(c.Tables)), "Rows", grouped(c.Rows), "SQL", bytesText(c.SQL),
		"Extensions", strings.Join(c.Extensions, ", "), "Owners", strings.Join(c.Owners, ", "), "Roles", strings.Join(c.Roles, ", "), "Code", codeSummary(c))
	for _, note := range c.Notes {
		fmt.Fprintf(w, "Note: %s\n", note)
	}
	for _, refused := range c.Refused {
		fmt.Fprintf(w, "Cannot be loaded: %s\n", refused)
	}
	fmt.Fprintln(w)
	var rows [][]string
	for _, kind := range slices.Sorted(maps.Keys(c.Statements)) {
		rows = append(rows, []string{kind, grouped(c.Statements[kind])})
	}
	table(w, columns("~statement", ">count"), rows)
	if len(c.Code) > 0 {
		fmt.Fprintln(w)
		rows = nil
		for _, o := range c.Code {
			rows = append(rows, []string{o.Kind, o.Name})
		}
		table(w, columns("code", "~name"), rows)
	}
	if len(c.Tables) > 0 {
		fmt.Fprintln(w)
		rows = nil
		for _, t := range c.Tables {
			rows = append(rows, []string{t.Schema + "." + t.Name, grouped(t.Rows)})
		}
		table(w, columns("~table", ">rows"), rows)
	}
}

// readsAsArchive says whether what is at path is one of ours after all: there is nothing to convert.
func readsAsArchive(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return false
	}
	if encrypt.Is(f) {
		return true
	}
	_, err = archive.Open(f, info.Size(), archive.Trust{Unsigned: true})
	return err == nil
}
