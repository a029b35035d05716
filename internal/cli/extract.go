package cli

import (
	"bufio"
	"context"
	"fmt"
	"io"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/archive"
	"github.com/safepoint-db/safepoint/internal/engine"
	"github.com/safepoint-db/safepoint/internal/kinds"
)

// Choice are the flags that choose tables of a backup file.
type Choice struct {
	Table        []string `short:"t" sep:"none" placeholder:"NAME" help:"A table: orders, app.orders or app.*; once for each."`
	NoOwner      bool     `help:"With --table: leave the tables to whoever loads them. Of a dump that Safepoint did not make: leave out owners and rights."`
	NoPrivileges bool     `help:"With --table: leave grants out."`
	Triggers     bool     `help:"With --table: also triggers whose functions nothing else needs, with those functions."`
}

type extractCmd struct {
	File string `arg:"" help:"The backup file."`
	Choice
	Output     string `aliases:"out" short:"o" placeholder:"FILE" help:"Where the SQL goes; default: standard output."`
	Archive    bool   `help:"Make a backup file of the chosen tables, instead of SQL. It is not signed."`
	DataOnly   bool   `xor:"only" help:"Rows without definitions."`
	SchemaOnly bool   `xor:"only" help:"Definitions without rows."`
	Force      bool   `help:"Replace a file that is there."`
	Trust
}

func (cmd *extractCmd) Run(ctx context.Context, env *Env) error {
	if cmd.Archive && (cmd.Output == "" || cmd.Output == "-") {
		return usagef("--archive needs --output FILE")
	}
	b, err := openFile(cmd.File, cmd.Trust)
	if err != nil {
		return err
	}
	defer b.Close()
	s := cmd.selection()
	s.DataOnly, s.SchemaOnly = cmd.DataOnly, cmd.SchemaOnly
	picked, err := env.pick(ctx, b.Reader, cmd.Table, s)
	if err != nil {
		return err
	}
	write := func(w io.Writer) error { return env.writeSQL(ctx, picked.Reader, w) }
	if cmd.Archive {
		write = func(w io.Writer) error {
			if _, err := picked.Reader.Verify(ctx, nil); err != nil {
				return err
			}
			_, err := picked.Reader.CopyTo(w)
			return err
		}
	}
	if cmd.Output == "" || cmd.Output == "-" {
		return write(env.Out)
	}
	out, err := createOutput(cmd.Output, cmd.Force)
	if err != nil {
		return err
	}
	defer out.abort()
	if err := write(out); err != nil {
		return fileError(err, cmd.Output)
	}
	if err := out.commit(); err != nil {
		return err
	}
	type extracted struct {
		File   string   `json:"file"`
		Tables []string `json:"tables"`
		Rows   int64    `json:"rows"`
		Notes  []string `json:"notes"`
	}
	sum := picked.Reader.Summary()
	return env.print(extracted{cmd.Output, picked.Tables, sum.Rows, picked.Notes}, func(w ioWriter) {
		fmt.Fprintf(w, "%s holds %s, %s.\n", oneLine(cmd.Output), count(len(picked.Tables), "table"), count(sum.Rows, "row"))
	})
}

func (c Choice) selection() engine.Selection {
	return engine.Selection{NoOwner: c.NoOwner, NoPrivileges: c.NoPrivileges, Triggers: c.Triggers}
}

// pick takes tables out of a backup file, and says what stays behind.
func (env *Env) pick(ctx context.Context, r *archive.Reader, tables []string, s engine.Selection) (picked engine.Picked, err error) {
	if s.Tables, err = engine.ParsePatterns(tables); err != nil {
		return picked, err
	}
	e, ok := kinds.Engine(r.Header().Engine)
	picker, can := e.(engine.Picker)
	if !ok || !can {
		return picked, safepoint.Errorf(safepoint.CodeInvalid, "Tables cannot be taken out of a backup of %s.", r.Header().Engine.Label()).
			WithHint("Load all of it with safepoint load.")
	}
	if picked, err = picker.Pick(ctx, r, s); err != nil {
		return picked, err
	}
	for _, note := range picked.Notes {
		if !env.Quiet && !env.JSON {
			fmt.Fprintln(env.Err, oneLine(note))
		}
	}
	return picked, nil
}

// writeSQL writes an archive's script with a meter.
func (env *Env) writeSQL(ctx context.Context, r *archive.Reader, w io.Writer) error {
	m := env.meter(bytesText)
	defer m.end()
	out := bufio.NewWriterSize(w, 128<<10)
	c := &countingWriter{w: out, total: r.Summary().RawSize, m: m}
	if err := r.WriteSQL(ctx, c); err != nil {
		return err
	}
	return out.Flush()
}

// countingWriter shows how far writing has got.
type countingWriter struct {
	w           io.Writer
	done, total int64
	m           *meter
}

func (c *countingWriter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.done += int64(n)
	c.m.show("extract", c.done, c.total)
	return n, err
}

// printTables lists the tables of a backup file.
func printTables(w ioWriter, tables []archive.Table) {
	var rows [][]string
	for _, t := range tables {
		rows = append(rows, []string{t.Plain(), grouped(t.Rows), bytesText(t.Length), bytesText(t.RawLength)})
	}
	table(w, columns("~table", ">rows", ">compressed 2", ">sql 1"), rows)
}

// tableFacts is a table of a backup file as JSON.
type tableFacts struct {
	Name    string `json:"name"`
	Rows    int64  `json:"rows"`
	Size    int64  `json:"size"`
	RawSize int64  `json:"raw_size"`
}

func tableFactsOf(tables []archive.Table) []tableFacts {
	list := make([]tableFacts, len(tables))
	for i, t := range tables {
		list[i] = tableFacts{t.Plain(), t.Rows, t.Length, t.RawLength}
	}
	return list
}

// only narrows an open file to the chosen tables, if any were chosen.
func (env *Env) only(ctx context.Context, b *backupFile, c Choice) error {
	if len(c.Table) == 0 {
		if c.NoOwner && b.foreign == nil || c.NoPrivileges || c.Triggers {
			return usagef("--no-owner, --no-privileges and --triggers need --table")
		}
		return nil
	}
	picked, err := env.pick(ctx, b.Reader, c.Table, c.selection())
	if err != nil {
		return err
	}
	b.Reader, b.part = picked.Reader, true
	return nil
}
