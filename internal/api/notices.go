package api

import (
	"context"
	"net/http"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/api/wire"
	"github.com/safepoint-db/safepoint/internal/app"
)

func (a *API) noticeRoutes() {
	const tag = "Notices"
	handle(a, op(http.MethodGet, orgPrefix+"/notices", "list-notices", "What needs a person, the worst first", tag),
		func(ctx context.Context, by safepoint.Actor, _ *InOrg) (*body[wire.Notices], error) {
			l, err := a.cfg.App.Notices(ctx, by)
			return reply(wire.Notices{Items: wire.Map(l.Open, notice), Dismissed: wire.Map(l.Dismissed, notice)}, err)
		})

	type dismissRequest struct {
		InOrg
		Notice string `path:"notice" example:"missed:sch_k3jq7w2mfz5xv4na"`
	}
	handle(a, with(http.StatusNoContent, change(http.MethodPost, orgPrefix+"/notices/{notice}/dismiss", "dismiss-notice", "Dismiss a notice of missed runs, for everybody", tag)),
		func(ctx context.Context, by safepoint.Actor, in *dismissRequest) (*struct{}, error) {
			return nil, a.cfg.App.DismissNotice(ctx, by, in.Notice)
		})
}

func notice(n app.Notice) wire.Notice {
	return wire.Notice{
		ID: n.ID, Kind: string(n.Kind), Urgent: n.Urgent, Message: n.Said.Message, Hint: n.Said.Hint, Why: wire.FromFailure(n.Why), Since: n.Since.UTC(),
		DatabaseID: n.DatabaseID, ScheduleID: n.ScheduleID, OperationID: n.OperationID, Runs: n.Runs, Newest: n.Newest.UTC(),
		SpaceFree: n.Space.Free, SpaceTotal: n.Space.Total, CanDismiss: n.CanDismiss(), DismissedBy: n.DismissedBy, DismissedAt: n.DismissedAt.UTC(),
	}
}
