package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/api/wire"
)

type scheduleCmd struct {
	List    scheduleListCmd    `cmd:"" help:"List the schedules."`
	View    scheduleViewCmd    `cmd:"" help:"View a schedule's details."`
	Create  scheduleCreateCmd  `cmd:"" help:"Create a schedule."`
	Edit    scheduleEditCmd    `cmd:"" help:"Change name, description or interval."`
	Disable scheduleDisableCmd `cmd:"" help:"Disable a schedule: nothing of it runs any more."`
	Enable  scheduleEnableCmd  `cmd:"" help:"Enable a schedule again."`
}

type scheduleListCmd struct{ Remote }

func (cmd *scheduleListCmd) Run(ctx context.Context, env *Env) error {
	c, err := cmd.connect(ctx)
	if err != nil {
		return err
	}
	all, err := c.Schedules(ctx)
	if err != nil {
		return err
	}
	return env.print(all, func(w ioWriter) {
		var rows [][]string
		for _, s := range all {
			rows = append(rows, []string{s.ID, s.Name, s.DatabaseName, trueFalse(s.IsActive), everyText(s.Interval), when(s.NextRun), lastRun(s)})
		}
		table(w, columns("id", "~name", "~database 3", "is active", "interval 2", "next run 1", "~last run 4"), rows)
	})
}

func lastRun(s wire.Schedule) string {
	if s.LastRun == nil {
		return ""
	}
	return title(s.LastRun.Status) + ", " + when(s.LastRun.CreatedAt)
}

func (env *Env) printSchedule(s wire.Schedule) error {
	return env.print(s, func(w ioWriter) {
		facts(w, "ID", s.ID, "Name", s.Name, "Description", s.Description, "Is Active", trueFalse(s.IsActive), "Backup After Every", everyText(s.Interval),
			"Database", s.DatabaseName, "Created At", exactly(s.CreatedAt), "Created By", s.CreatedBy, "Next run", when(s.NextRun),
			"Last run", lastRun(s), "Disabled At", exactly(s.DisabledAt), "Disabled By", s.DisabledBy)
	})
}

type scheduleViewCmd struct {
	Remote
	Schedule string `arg:"" help:"The schedule, by name or ID." complete:"schedule"`
}

func (cmd *scheduleViewCmd) Run(ctx context.Context, env *Env) error {
	_, s, err := found(ctx, cmd.Remote, cmd.Schedule, findSchedule)
	if err != nil {
		return err
	}
	return env.printSchedule(s)
}

type scheduleCreateCmd struct {
	Remote
	Name        string    `arg:"" help:"What the schedule is called."`
	Database    string    `required:"" help:"The database it backs up, by name or ID." complete:"database"`
	Interval    string    `required:"" enum:"8h,12h,24h,3d,7d" help:"Backup after every: ${enum}."`
	Description string    `help:"What it is for."`
	FirstRun    time.Time `help:"When the first run falls, such as 2026-11-23T02:00:00+01:00; default: now."`
}

func (cmd *scheduleCreateCmd) Run(ctx context.Context, env *Env) error {
	c, d, err := found(ctx, cmd.Remote, cmd.Database, findDatabase)
	if err != nil {
		return err
	}
	s, err := c.CreateSchedule(ctx, wire.ScheduleInput{
		Name: cmd.Name, Description: cmd.Description, Interval: cmd.Interval, DatabaseID: d.ID, FirstRun: cmd.FirstRun,
	})
	if err != nil {
		return err
	}
	return env.printSchedule(s)
}

type scheduleEditCmd struct {
	Remote
	Schedule    string  `arg:"" help:"The schedule, by name or ID." complete:"schedule"`
	Name        *string `help:"Its new name."`
	Description *string `help:"Its new description."`
	Interval    *string `help:"Backup after every: 8h, 12h, 24h, 3d, 7d."`
}

func (cmd *scheduleEditCmd) Run(ctx context.Context, env *Env) error {
	c, s, err := found(ctx, cmd.Remote, cmd.Schedule, findSchedule)
	if err != nil {
		return err
	}
	in := wire.ScheduleInput{Name: s.Name, Description: s.Description, Interval: s.Interval, Version: s.Version}
	set(&in.Name, cmd.Name)
	set(&in.Description, cmd.Description)
	if cmd.Interval != nil {
		interval, err := safepoint.ParseInterval(*cmd.Interval)
		if err != nil {
			return err
		}
		in.Interval = interval.Slug()
	}
	s, err = c.UpdateSchedule(ctx, s.ID, in)
	if err != nil {
		return err
	}
	return env.printSchedule(s)
}

// set overwrites dst where a value was given.
func set[T any](dst *T, given *T) {
	if given != nil {
		*dst = *given
	}
}

type scheduleDisableCmd struct {
	Remote
	Schedule string `arg:"" help:"The schedule, by name or ID." complete:"schedule"`
	Yes      bool   `short:"y" help:"Do not ask."`
}

func (cmd *scheduleDisableCmd) Run(ctx context.Context, env *Env) error {
	c, s, err := found(ctx, cmd.Remote, cmd.Schedule, findSchedule)
	if err != nil {
		return err
	}
	question := fmt.Sprintf("Disable this schedule? %s will no longer be backed up every %s.\nExisting backups are kept, and you can enable the schedule again at any time.", s.Name, everyText(s.Interval))
	if s.OnlyOne {
		question = fmt.Sprintf("This is the only schedule for %s. Nothing else will back it up.\n%s", s.DatabaseName, question)
	}
	if err := env.confirm(cmd.Yes, question); err != nil {
		return err
	}
	if s, err = c.DisableSchedule(ctx, s.ID); err != nil {
		return err
	}
	return env.printSchedule(s)
}

type scheduleEnableCmd struct {
	Remote
	Schedule string `arg:"" help:"The schedule, by name or ID." complete:"schedule"`
}

func (cmd *scheduleEnableCmd) Run(ctx context.Context, env *Env) error {
	c, s, err := found(ctx, cmd.Remote, cmd.Schedule, findSchedule)
	if err != nil {
		return err
	}
	if s, err = c.EnableSchedule(ctx, s.ID); err != nil {
		return err
	}
	return env.printSchedule(s)
}
