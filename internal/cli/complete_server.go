package cli

import (
	"context"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/api/wire"
	"github.com/safepoint-db/safepoint/internal/client"
)

// patience is how long a person who pressed the tab key waits for the server.
const patience = 5 * time.Second

// lists are what the server has of each kind that a complete tag names. cur is what was typed of it.
var lists = map[string]func(ctx context.Context, c *client.Client, cur string) ([]candidate, error){
	"database": func(ctx context.Context, c *client.Client, cur string) ([]candidate, error) {
		all, err := c.Databases(ctx)
		return named(all, cur, err, func(d wire.Database) (id, name, help string) {
			return d.ID, d.Name, strings.TrimSpace(safepoint.Engine(d.Engine).Label() + " " + d.ServerVersion)
		})
	},
	"schedule": func(ctx context.Context, c *client.Client, cur string) ([]candidate, error) {
		all, err := c.Schedules(ctx)
		return named(all, cur, err, func(s wire.Schedule) (id, name, help string) {
			return s.ID, s.Name, s.DatabaseName + ", every " + everyText(s.Interval)
		})
	},
	"service": func(ctx context.Context, c *client.Client, cur string) ([]candidate, error) {
		all, err := c.Services(ctx)
		return named(all, cur, err, func(s wire.Service) (id, name, help string) { return s.ID, s.Name, s.Kind })
	},
	"storage": func(ctx context.Context, c *client.Client, cur string) ([]candidate, error) {
		all, err := c.Storages(ctx)
		return named(all, cur, err, func(s wire.Storage) (id, name, help string) { return s.ID, s.Name, "" })
	},
	"organization": func(ctx context.Context, c *client.Client, cur string) ([]candidate, error) {
		all, err := c.Organizations(ctx)
		return named(all, cur, err, func(o wire.Organization) (id, name, help string) { return o.ID, o.Name, o.Role })
	},
	"recipient": func(ctx context.Context, c *client.Client, _ string) (found []candidate, err error) {
		e, err := c.Encryption(ctx)
		for _, r := range e.Recipients {
			found = append(found, candidate{r.ID, r.Name})
		}
		return found, err
	},
	"entry":   operationsThat(safepoint.OperationFilter{}, func(wire.Operation) bool { return true }),
	"running": operationsThat(safepoint.OperationFilter{}, func(o wire.Operation) bool { return !o.Ended() }),
	"backup": operationsThat(safepoint.OperationFilter{Type: safepoint.TypeBackup, Status: safepoint.StatusSucceeded},
		func(o wire.Operation) bool { return o.DeletedAt.IsZero() }),
	"restore": operationsThat(safepoint.OperationFilter{Type: safepoint.TypeRestore}, func(wire.Operation) bool { return true }),
	"undo": operationsThat(safepoint.OperationFilter{Type: safepoint.TypeRestore, Status: safepoint.StatusSucceeded},
		func(o wire.Operation) bool {
			return o.Trigger != string(safepoint.TriggerUndo) && o.UndoneByID == "" && o.UndoUntil.After(time.Now())
		}),
}

// named are the names of what there is; the IDs where an ID was begun.
func named[T any](all []T, cur string, err error, words func(T) (id, name, help string)) (found []candidate, _ error) {
	for _, v := range all {
		id, name, help := words(v)
		if cur != "" && strings.HasPrefix(id, cur) {
			found = append(found, candidate{id, name})
		} else {
			found = append(found, candidate{name, help})
		}
	}
	return found, err
}

// operationsThat are the newest entries of DB Logs that fit: their IDs, or names where a name was begun.
func operationsThat(f safepoint.OperationFilter, fits func(wire.Operation) bool) func(context.Context, *client.Client, string) ([]candidate, error) {
	return func(ctx context.Context, c *client.Client, cur string) (found []candidate, err error) {
		prefix := safepoint.OperationPrefix + "_"
		byName := !strings.HasPrefix(prefix, cur) && !strings.HasPrefix(cur, prefix)
		f := f
		f.Limit = 100
		if byName {
			f.Text = cur
		}
		page, err := c.Operations(ctx, f)
		for _, o := range page.Items {
			help := strings.Join([]string{title(o.Status), o.DatabaseName, when(o.CreatedAt)}, ", ")
			switch {
			case !fits(o), byName && slices.ContainsFunc(found, func(c candidate) bool { return c.text == o.Name }):
			case byName:
				found = append(found, candidate{o.Name, help})
			default:
				found = append(found, candidate{o.ID, title(o.Type) + " " + help})
			}
		}
		return found, err
	}
}

// ask asks the server that the line names, or the one that was signed in to last.
func (l *typed) ask(ctx context.Context, list func(context.Context, *client.Client, string) ([]candidate, error), cur string) []candidate {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	r := Remote{URL: l.remote("url"), Token: l.remote("token"), Organization: l.remote("organization")}
	c, err := r.connect(ctx)
	if err != nil {
		return nil
	}
	found, err := list(ctx, c, cur)
	if err != nil {
		return nil
	}
	return found
}

// remote is a flag of Remote: as it was typed, or as the environment has it.
func (l *typed) remote(name string) string {
	if v, ok := l.given[name]; ok {
		return v
	}
	for _, f := range l.flags() {
		if f.Name == name {
			for _, env := range f.Envs {
				if v := os.Getenv(env); v != "" {
					return v
				}
			}
		}
	}
	return ""
}
