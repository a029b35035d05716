package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/safepoint-db/safepoint/internal/api/wire"
)

type noticesCmd struct {
	List    noticesListCmd    `cmd:"" default:"withargs" help:"List what wants a person, the worst first."`
	Dismiss noticesDismissCmd `cmd:"" help:"Dismiss a notice of missed runs, for everybody."`
}

type noticesListCmd struct {
	Remote
	Dismissed bool `help:"List what was dismissed in the last 30 days instead."`
}

func (cmd *noticesListCmd) Run(ctx context.Context, env *Env) error {
	c, err := cmd.connect(ctx)
	if err != nil {
		return err
	}
	l, err := c.Notices(ctx)
	if err != nil {
		return err
	}
	found := l.Items
	if cmd.Dismissed {
		found = l.Dismissed
	}
	return env.print(found, func(w ioWriter) {
		if len(found) == 0 {
			fmt.Fprintln(w, map[bool]string{false: "Nothing needs you.", true: "Nothing was dismissed in the last 30 days."}[cmd.Dismissed])
			return
		}
		for i, n := range found {
			if i > 0 {
				fmt.Fprintln(w)
			}
			printNotice(w, n)
		}
	})
}

// printNotice writes a notice with its reason and what to do: a sentence does not fit into a table.
func printNotice(w ioWriter, n wire.Notice) {
	urgency := "notice"
	if n.Urgent {
		urgency = "urgent"
	}
	fmt.Fprintf(w, "%s  %s\n", urgency, oneLine(n.Message))
	indented := func(s string) {
		if s != "" {
			fmt.Fprintf(w, "        %s\n", oneLine(s))
		}
	}
	if n.Why != nil {
		indented(strings.TrimSpace(n.Why.Message + " " + n.Why.Hint))
	}
	indented(n.Hint)
	switch {
	case n.DismissedBy != "":
		indented(fmt.Sprintf("Dismissed by %s, %s.", n.DismissedBy, when(n.DismissedAt)))
	case n.CanDismiss:
		indented("safepoint notices dismiss " + n.ID)
	case !n.Since.IsZero():
		indented("Since " + when(n.Since) + ".")
	}
}

type noticesDismissCmd struct {
	Remote
	ID string `arg:"" help:"The notice's ID, as the list shows it."`
}

func (cmd *noticesDismissCmd) Run(ctx context.Context, env *Env) error {
	c, err := cmd.connect(ctx)
	if err != nil {
		return err
	}
	if err := c.DismissNotice(ctx, cmd.ID); err != nil {
		return err
	}
	return env.print(map[string]string{"dismissed": cmd.ID}, func(w ioWriter) { fmt.Fprintf(w, "Dismissed %s for everybody.\n", cmd.ID) })
}
