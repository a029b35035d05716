package api

import (
	"cmp"
	"context"
	"net/http"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/api/wire"
	"github.com/safepoint-db/safepoint/internal/app"
)

// InSchedule is the input of every route of a schedule.
type InSchedule struct {
	InOrg
	Schedule string `path:"schedule" example:"sch_k3jq7w2mfz5xv4na"`
}

func (a *API) scheduleRoutes() {
	const tag = "Schedules"
	all, one := orgPrefix+"/schedules", orgPrefix+"/schedules/{schedule}"

	type listRequest struct {
		InOrg
		Text     string `query:"text" doc:"Part of the name of the schedule or of its database"`
		State    string `query:"state" enum:"failing,waiting,good,disabled" doc:"How its runs have fared"`
		Database string `query:"database" doc:"A database's ID"`
		Cursor   string `query:"cursor" doc:"next of another page"`
		Limit    int    `query:"limit" minimum:"0" maximum:"200" doc:"0 means 50"`
	}
	handle(a, op(http.MethodGet, all, "list-schedules", "The schedules, active ones first, then by name", tag),
		func(ctx context.Context, by safepoint.Actor, in *listRequest) (*body[wire.SchedulePage], error) {
			l, err := a.cfg.App.ScheduleList(ctx, by, app.ScheduleFilter{
				Text: in.Text, Show: app.ScheduleState(in.State), DatabaseID: in.Database, After: in.Cursor, Limit: cmp.Or(in.Limit, 50), Bare: true,
			})
			return reply(wire.SchedulePage{Items: wire.Map(l.Cards, scheduleCard), Next: l.Next, Total: l.Found, All: l.All}, err)
		})

	type createRequest struct {
		InOrg
		Body wire.ScheduleInput
	}
	handle(a, with(http.StatusCreated, change(http.MethodPost, all, "create-schedule", "Create a schedule", tag)),
		func(ctx context.Context, by safepoint.Actor, in *createRequest) (*body[wire.Schedule], error) {
			input, err := scheduleInput(in.Body)
			if err != nil {
				return nil, err
			}
			s, err := a.cfg.App.CreateSchedule(ctx, by, input)
			return a.card(ctx, by, s, err)
		})

	handle(a, op(http.MethodGet, one, "get-schedule", "A schedule", tag),
		func(ctx context.Context, by safepoint.Actor, in *InSchedule) (*body[wire.Schedule], error) {
			return a.card(ctx, by, safepoint.Schedule{ID: in.Schedule}, nil)
		})

	type updateRequest struct {
		InSchedule
		Body wire.ScheduleInput
	}
	handle(a, change(http.MethodPut, one, "update-schedule", "Change name, description and interval", tag),
		func(ctx context.Context, by safepoint.Actor, in *updateRequest) (*body[wire.Schedule], error) {
			input, err := scheduleInput(in.Body)
			if err != nil {
				return nil, err
			}
			s, err := a.cfg.App.UpdateSchedule(ctx, by, in.Schedule, input)
			return a.card(ctx, by, s, err)
		})

	handle(a, change(http.MethodPost, one+"/disable", "disable-schedule", "Disable a schedule: nothing of it runs any more", tag),
		func(ctx context.Context, by safepoint.Actor, in *InSchedule) (*body[wire.Schedule], error) {
			s, err := a.cfg.App.DisableSchedule(ctx, by, in.Schedule)
			return a.card(ctx, by, s, err)
		})

	handle(a, change(http.MethodPost, one+"/enable", "enable-schedule", "Enable a schedule again", tag),
		func(ctx context.Context, by safepoint.Actor, in *InSchedule) (*body[wire.Schedule], error) {
			s, err := a.cfg.App.EnableSchedule(ctx, by, in.Schedule)
			return a.card(ctx, by, s, err)
		})
}

// card answers with the schedule as it now stands, next run included.
func (a *API) card(ctx context.Context, by safepoint.Actor, s safepoint.Schedule, err error) (*body[wire.Schedule], error) {
	if err != nil {
		return nil, err
	}
	c, err := a.cfg.App.Schedule(ctx, by, s.ID)
	return reply(scheduleCard(c), err)
}

func scheduleCard(c app.ScheduleCard) wire.Schedule {
	w := wire.FromSchedule(c.Schedule)
	w.DatabaseName = c.Database.Name
	if !c.NextRun.IsZero() {
		w.NextRun = c.NextRun.UTC()
	}
	w.LastRun, w.LastGood = wire.FromOperationOrNil(c.LastRun), wire.FromOperationOrNil(c.LastGood)
	w.Running, w.OnlyOne = wire.FromOperationOrNil(c.Running), c.OnlyOne
	return w
}

func scheduleInput(in wire.ScheduleInput) (app.ScheduleInput, error) {
	interval, err := safepoint.ParseInterval(in.Interval)
	return app.ScheduleInput{
		Name: in.Name, Description: in.Description, Interval: interval, DatabaseID: in.DatabaseID,
		FirstRun: in.FirstRun, Version: in.Version,
	}, err
}
