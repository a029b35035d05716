package cli

import (
	"context"
	"fmt"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/engine"
)

// loadSchema loads chosen tables into a new schema of a database that may hold others.
func (cmd *loadCmd) loadSchema(ctx context.Context, env *Env, e engine.Engine, t engine.Target, b *backupFile) error {
	l, ok := e.(engine.SchemaLoader)
	if !ok {
		return safepoint.Invalid("schema", "%s has no schemas.", t.Engine.Label()).WithHint("Load the tables into a new file.")
	}
	if _, err := env.verifyBytes(ctx, b); err != nil {
		return err
	}
	m := env.meter(bytesText)
	err := l.LoadSchema(ctx, t, b.Reader, cmd.Schema, engine.LoadOptions{
		Report: showProgress(m, "load", b.Summary().RawSize), AllowOlderServer: cmd.AllowOlderServer,
	})
	m.end()
	if err != nil {
		return fmt.Errorf("load: %w", err)
	}
	f := factsOf(cmd.File, b)
	type loaded struct {
		fileFacts
		Into   string `json:"into"`
		Schema string `json:"schema"`
	}
	return env.print(loaded{f, t.Name, cmd.Schema}, func(w ioWriter) {
		fmt.Fprintf(w, "Loaded %s, %s into the schema %s of %s: the same as when the backup was made.\n",
			count(f.Tables, "table"), count(f.Rows, "row"), oneLine(cmd.Schema), t.Name)
	})
}
