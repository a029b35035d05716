package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/archive"
)

type inspectCmd struct {
	File   string `arg:"" help:"The backup file."`
	Tables bool   `help:"List the tables."`
	Trust
	Foreign
	Programs
}

func (cmd *inspectCmd) Run(ctx context.Context, env *Env) error {
	b, err := openFile(cmd.File, cmd.Trust)
	if safepoint.ErrorCode(err) == safepoint.CodeKey && !cmd.anyIdentity() {
		return env.locked(cmd.File, false)
	}
	if isForeign(cmd.File, err) && len(cmd.Key) == 0 {
		return cmd.inspectForeign(ctx, env)
	}
	if err != nil {
		return err
	}
	defer b.Close()
	if cmd.Tables {
		tables := b.Reader.Tables()
		return env.print(tableFactsOf(tables), func(w ioWriter) { printTables(w, tables) })
	}
	type contents struct {
		fileFacts
		Header      archive.Header      `json:"header"`
		Entries     []archive.Entry     `json:"entries"`
		Fingerprint archive.Fingerprint `json:"fingerprint"`
	}
	entries := make([]archive.Entry, 0, b.Len())
	for _, e := range b.Entries() {
		entries = append(entries, e)
	}
	c := contents{factsOf(cmd.File, b), b.Header(), entries, b.Fingerprint()}
	return env.print(c, func(w ioWriter) {
		c.fileFacts.print(w)
		fmt.Fprintln(w)
		var rows [][]string
		for _, e := range c.Entries {
			rows = append(rows, []string{string(e.Section), e.Kind, entryObject(e), number(e.Rows), bytesText(e.Length), bytesText(e.RawLength)})
		}
		table(w, columns("section 2", "kind 3", "~object", ">rows", ">compressed 4", ">sql 1"), rows)
	})
}

// entryObject is what a frame is about: its table, or the first of what it makes.
func entryObject(e archive.Entry) string {
	if e.Table != "" {
		name := e.Table
		if e.Schema != "" {
			name = e.Schema + "." + e.Table
		}
		if e.Slice > 0 {
			name += fmt.Sprintf(" (slice %d)", e.Slice)
		}
		return name
	}
	const shown = 3
	if len(e.Objects) > shown {
		return strings.Join(e.Objects[:shown], ", ") + fmt.Sprintf(" and %d more", len(e.Objects)-shown)
	}
	return strings.Join(e.Objects, ", ")
}
