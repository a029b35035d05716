package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/api/wire"
	"github.com/safepoint-db/safepoint/internal/client"
)

// lookEvery is how often a follower looks at DB Logs. It asks instead of listening: one look tells everything that
// happened since the last one, however long ago that was, so neither a slow terminal nor a restart of the server makes
// it miss an entry or an end.
const lookEvery = time.Second

// follower prints each entry of DB Logs that is new to it, and again when its status has changed.
type follower struct {
	env    *Env
	c      *client.Client
	filter safepoint.OperationFilter
	seen   map[string]string // status by ID
	open   map[string]bool   // those of seen that have not ended
}

func newFollower(env *Env, c *client.Client, f safepoint.OperationFilter) *follower {
	return &follower{env: env, c: c, filter: f, seen: map[string]string{}, open: map[string]bool{}}
}

// run prints the newest entries, oldest first, at most limit, and what happens from then on until ctx ends.
func (f *follower) run(ctx context.Context, limit int) error {
	if err := f.begin(ctx, limit); err != nil {
		return quietly(ctx, err)
	}
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	return f.env.persist(ctx, f.c, func(answered func()) error {
		for {
			if err := f.look(ctx); err != nil {
				return err
			}
			answered()
			select {
			case <-ctx.Done():
				return context.Cause(ctx)
			case <-tick.C:
			}
		}
	})
}

// begin learns what is there, then prints the newest entries. In this order nothing that happens meanwhile is missed.
// Status and text of the filter are left to matches afterwards, because an entry may come to fit them long after newer
// ones were seen: a backup that fails, or gets its name.
func (f *follower) begin(ctx context.Context, limit int) error {
	for _, status := range []safepoint.Status{safepoint.StatusQueued, safepoint.StatusRunning} { // the way they go
		filter := safepoint.OperationFilter{Type: f.filter.Type, DatabaseID: f.filter.DatabaseID, Status: status, Limit: 200}
		for more := true; more; more = filter.Cursor != "" {
			page, err := f.c.Operations(ctx, filter)
			if err != nil {
				return err
			}
			f.remember(page.Items...)
			filter.Cursor = page.Next
		}
	}
	newest, err := f.page(ctx, "")
	if err != nil {
		return err
	}
	f.remember(newest.Items...)

	f.filter.Limit = min(limit, 200)
	page, err := f.c.Operations(ctx, f.filter)
	if err != nil {
		return err
	}
	f.remember(page.Items...)
	for _, o := range slices.Backward(page.Items) {
		if err := f.env.line(o); err != nil {
			return err
		}
	}
	return nil
}

// look prints what is new, oldest first: pages of the newest entries until one was seen before, and every open entry
// that these do not show.
func (f *follower) look(ctx context.Context) error {
	var news []wire.Operation
	looked := map[string]bool{}
	for cursor, known := "", false; !known; {
		page, err := f.page(ctx, cursor)
		if err != nil {
			return err
		}
		for _, o := range page.Items {
			_, seen := f.seen[o.ID]
			known = known || seen
			looked[o.ID] = true
			news = append(news, o)
		}
		if cursor = page.Next; cursor == "" {
			break
		}
	}
	slices.Reverse(news)
	for _, id := range slices.Sorted(maps.Keys(f.open)) {
		if looked[id] {
			continue
		}
		o, err := f.c.Operation(ctx, id)
		if safepoint.ErrorCode(err) == safepoint.CodeNotFound {
			delete(f.open, id)
			continue
		}
		if err != nil {
			return err
		}
		news = append(news, o)
	}
	for _, o := range news {
		if err := f.note(o); err != nil {
			return err
		}
	}
	return nil
}

// page is a page of DB Logs of the followed type and database, newest first.
func (f *follower) page(ctx context.Context, cursor string) (wire.OperationPage, error) {
	return f.c.Operations(ctx, safepoint.OperationFilter{Type: f.filter.Type, DatabaseID: f.filter.DatabaseID, Cursor: cursor, Limit: 50})
}

// note prints o where its status is news and it fits the filter.
func (f *follower) note(o wire.Operation) error {
	status, seen := f.seen[o.ID]
	f.remember(o)
	if seen && status == o.Status || !f.matches(o) {
		return nil
	}
	return f.env.line(o)
}

func (f *follower) remember(all ...wire.Operation) {
	for _, o := range all {
		f.seen[o.ID] = o.Status
		if o.Ended() {
			delete(f.open, o.ID)
		} else {
			f.open[o.ID] = true
		}
	}
}

// matches says whether o has the filter's status and text, as the server would.
func (f *follower) matches(o wire.Operation) bool {
	return (f.filter.Status == "" || f.filter.Status == safepoint.Status(o.Status)) &&
		strings.Contains(strings.ToLower(o.Name), strings.ToLower(f.filter.Text))
}

// line prints one entry on one line: JSON lines with --json.
func (env *Env) line(o wire.Operation) error {
	if env.JSON {
		return json.NewEncoder(env.Out).Encode(o)
	}
	text := fmt.Sprintf("%s  %s  %-7s  %-9s  %-9s  %s", exactly(o.CreatedAt), o.ID, title(o.Type), title(o.Trigger), title(o.Status), oneLine(o.DatabaseName))
	if o.Ended() {
		if o.DurationSeconds > 0 {
			text += "  took " + seconds(o.DurationSeconds)
		}
		if o.Size > 0 {
			text += "  " + bytesText(o.Size)
		}
		if why := failureText(o.Failure); why != "" {
			text += "  " + oneLine(why)
		}
	}
	_, err := fmt.Fprintln(env.Out, text)
	return err
}

// persist runs work, which never ends by itself, again and again while what ends it passes: a server that is restarted,
// a network that is away. work calls answered when the server has. Ctrl-C ends it without a word of complaint.
func (env *Env) persist(ctx context.Context, c *client.Client, work func(answered func()) error) error {
	wait, lost := time.Duration(0), false
	say := func(text string) {
		if !env.Quiet && !env.JSON {
			fmt.Fprintln(env.Err, "safepoint: "+text)
		}
	}
	for {
		err := work(func() {
			if lost {
				say(c.URL() + " answers again.")
			}
			wait, lost = 0, false
		})
		if ctx.Err() != nil || !client.Passing(err) {
			return quietly(ctx, err)
		}
		if !lost {
			say(shown(err).Message + " Trying again until it does; Ctrl-C ends this.")
		}
		lost = true
		wait = min(max(2*wait, lookEvery/4), 10*time.Second)
		select {
		case <-ctx.Done():
			return quietly(ctx, context.Cause(ctx))
		case <-time.After(wait):
		}
	}
}

// quietly is err; where a signal ended ctx it is that signal, which needs no words: the person at the terminal sent it.
func quietly(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return reported{context.Cause(ctx)}
	}
	return err
}
