package cli

import (
	"context"

	"github.com/safepoint-db/safepoint/internal/api/wire"
)

type auditCmd struct {
	Remote
	Who   string `help:"Only by people with this in their name."`
	What  string `help:"Only actions or objects with this in their name."`
	Limit int    `short:"n" default:"50" help:"At most this many."`
}

func (cmd *auditCmd) Run(ctx context.Context, env *Env) error {
	if cmd.Limit < 1 {
		return usagef("--limit must be 1 or more")
	}
	c, err := cmd.connect(ctx)
	if err != nil {
		return err
	}
	found, cursor := []wire.AuditEntry{}, ""
	for {
		page, err := c.Audit(ctx, cmd.Who, cmd.What, cursor, min(cmd.Limit-len(found), 200))
		if err != nil {
			return err
		}
		found = append(found, page.Items...)
		if cursor = page.Next; cursor == "" || len(found) >= cmd.Limit {
			break
		}
	}
	return env.print(found, func(w ioWriter) {
		var rows [][]string
		for _, e := range found {
			rows = append(rows, []string{exactly(e.At), e.ActorName, e.IP, e.Via, e.Action, joined(e.ObjectName, e.ObjectID), e.Outcome, e.Detail})
		}
		table(w, columns("at", "~who 2", "from 5", "via 6", "action", "~object 1", "outcome", "~detail 3"), rows)
	})
}
