package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"

	"github.com/safepoint-db/safepoint/internal/api/wire"
	"github.com/safepoint-db/safepoint/internal/client"
)

type stateCmd struct {
	Remote
	Follow bool `short:"f" help:"Go on and print each change, until Ctrl-C. A server that is restarted is waited for."`
}

func (cmd *stateCmd) Run(ctx context.Context, env *Env) error {
	c, err := cmd.connect(ctx)
	if err != nil {
		return err
	}
	if cmd.Follow {
		return cmd.follow(ctx, env, c)
	}
	s, err := c.State(ctx)
	if err != nil {
		return err
	}
	return env.print(s, func(w ioWriter) { fmt.Fprintln(w, stateLine(s)) })
}

// follow prints the state and each change of it. The stream begins with the state, so a new one misses nothing.
func (cmd *stateCmd) follow(ctx context.Context, env *Env, c *client.Client) error {
	var last *wire.State
	return env.persist(ctx, c, func(answered func()) error {
		return c.WatchState(ctx, func(s wire.State) error {
			answered()
			if last != nil && reflect.DeepEqual(*last, s) {
				return nil
			}
			last = &s
			if env.JSON {
				return json.NewEncoder(env.Out).Encode(s)
			}
			_, err := fmt.Fprintln(env.Out, stateLine(s))
			return err
		})
	})
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
