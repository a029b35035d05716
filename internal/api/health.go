package api

import (
	"context"
	"net/http"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/api/wire"
	"github.com/safepoint-db/safepoint/internal/app"
)

func (a *API) healthRoutes() {
	const tag = "Health"
	type healthRequest struct {
		InOrg
		Days int `query:"days" enum:"30,90,365" default:"30" doc:"How far back the storage's totals go"`
	}
	handle(a, op(http.MethodGet, orgPrefix+"/health", "get-health", "How the databases' backups and their storage have fared", tag),
		func(ctx context.Context, by safepoint.Actor, in *healthRequest) (*body[wire.Health], error) {
			h, err := a.cfg.App.Health(ctx, by, app.HealthFilter{Days: in.Days, Counted: true})
			return reply(wire.Health{Days: h.Days, Databases: wire.Map(h.Databases, databaseHealth), Storage: storageHealth(h.Storage)}, err)
		})

	type oneRequest struct {
		InDatabase
		Days int `query:"days" enum:"30,90,365" default:"30" doc:"How far back to look"`
	}
	handle(a, op(http.MethodGet, orgPrefix+"/databases/{database}/health", "get-database-health", "How a database's backups have fared", tag),
		func(ctx context.Context, by safepoint.Actor, in *oneRequest) (*body[wire.DatabaseHealth], error) {
			h, err := a.cfg.App.DatabaseHealth(ctx, by, in.Database, in.Days)
			return reply(databaseHealth(h), err)
		})
}

func databaseHealth(h app.DatabaseHealth) wire.DatabaseHealth {
	return wire.DatabaseHealth{
		DatabaseID: h.Database.ID, DatabaseName: h.Database.Name, ProvenID: h.ProvenID, ProvenAt: h.ProvenAt.UTC(), VerifiedAt: h.VerifiedAt.UTC(),
		Size: h.Size, TookSeconds: h.Took.Seconds(), NextRun: h.NextRun.UTC(), Succeeded: h.Good, Failed: h.Failed, Missed: h.Missed,
		Runs: wire.Map(h.Runs, func(r app.HealthRun) wire.HealthRun {
			return wire.HealthRun{At: r.At.UTC(), Status: string(r.Status), Size: r.Size, TookSeconds: r.Took.Seconds()}
		}),
	}
}

func storageHealth(s app.StorageHealth) wire.StorageHealth {
	return wire.StorageHealth{
		Name: s.Name, SpaceFree: s.Space.Free, SpaceTotal: s.Space.Total, Bytes: s.Bytes, Shared: s.Shared,
		Forecast: string(s.Forecast.State), BytesPerDay: s.Forecast.PerDay, FullAt: s.Forecast.FullAt.UTC(),
		Totals: wire.Map(s.Totals, func(t app.DayTotal) wire.DayTotal {
			return wire.DayTotal{Day: t.Day.Format("2006-01-02"), Bytes: t.Bytes}
		}),
	}
}
