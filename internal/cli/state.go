package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/safepoint-db/safepoint/internal/api/wire"
)

type stateCmd struct {
	Remote
	Follow bool `short:"f" help:"Go on and print each change."`
}

func (cmd *stateCmd) Run(ctx context.Context, env *Env) error {
	c, err := cmd.connect(ctx)
	if err != nil {
		return err
	}
	if cmd.Follow {
		return c.WatchState(ctx, func(s wire.State) error {
			if env.JSON {
				return json.NewEncoder(env.Out).Encode(s)
			}
			_, err := fmt.Fprintln(env.Out, stateLine(s))
			return err
		})
	}
	s, err := c.State(ctx)
	if err != nil {
		return err
	}
	return env.print(s, func(w ioWriter) { fmt.Fprintln(w, stateLine(s)) })
}

func stateLine(s wire.State) string {
	line := s.State
	if !s.Since.IsZero() {
		line += " since " + when(s.Since)
	}
	if s.Reason != "" {
		line += ": " + s.Reason
	}
	if !s.Until.IsZero() {
		line += " (until about " + when(s.Until) + ")"
	}
	if len(s.Attention) > 0 {
		line += "; could not be resumed: " + strings.Join(s.Attention, ", ")
	}
	return oneLine(line)
}
