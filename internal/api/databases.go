package api

import (
	"context"
	"net/http"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/api/wire"
	"github.com/safepoint-db/safepoint/internal/app"
	"github.com/safepoint-db/safepoint/internal/engine"
)

// InDatabase is the input of every route of a database.
type InDatabase struct {
	InOrg
	Database string `path:"database" example:"db_k3jq7w2mfz5xv4na"`
}

type databaseRequest struct {
	InOrg
	Body wire.DatabaseInput
}

func (a *API) databaseRoutes() {
	const tag = "Databases"
	all, one := orgPrefix+"/databases", orgPrefix+"/databases/{database}"

	handle(a, op(http.MethodGet, all, "list-databases", "The databases", tag),
		func(ctx context.Context, by safepoint.Actor, _ *InOrg) (*body[wire.List[wire.Database]], error) {
			ds, err := a.cfg.App.Databases(ctx, by)
			if err != nil {
				return nil, err
			}
			known, err := a.cfg.App.DatabaseAnswers(ctx, by)
			return list(ds, err, func(d safepoint.Database) wire.Database { return connected(d, known) })
		})

	handle(a, with(http.StatusCreated, change(http.MethodPost, all, "create-database", "Add a database", tag)),
		func(ctx context.Context, by safepoint.Actor, in *databaseRequest) (*body[wire.Database], error) {
			d, err := a.cfg.App.CreateDatabase(ctx, by, databaseInput(in.Body))
			return reply(wire.FromDatabase(d), err)
		})

	handle(a, change(http.MethodPost, all+"/test", "try-database", "Test a database before it is added; nothing is stored", tag),
		func(ctx context.Context, by safepoint.Actor, in *databaseRequest) (*body[wire.DatabaseTest], error) {
			t, err := a.cfg.App.TryDatabase(ctx, by, databaseInput(in.Body))
			return reply(databaseTest(t), err)
		})

	handle(a, op(http.MethodGet, one, "get-database", "A database", tag),
		func(ctx context.Context, by safepoint.Actor, in *InDatabase) (*body[wire.Database], error) {
			d, err := a.cfg.App.Database(ctx, by, in.Database)
			if err != nil {
				return nil, err
			}
			known, err := a.cfg.App.DatabaseAnswers(ctx, by)
			return reply(connected(d, known), err)
		})

	type updateRequest struct {
		InDatabase
		Body wire.DatabaseInput
	}
	handle(a, change(http.MethodPut, one, "update-database", "Change a database; a password that is left out is kept", tag),
		func(ctx context.Context, by safepoint.Actor, in *updateRequest) (*body[wire.Database], error) {
			d, err := a.cfg.App.UpdateDatabase(ctx, by, in.Database, databaseInput(in.Body))
			return reply(wire.FromDatabase(d), err)
		})

	type removeRequest struct {
		InDatabase
		Gone string `query:"gone" doc:"The database's name, to confirm that its server is gone for good: what restores set aside there is given up. Refused while the server answers"`
	}
	handle(a, change(http.MethodDelete, one, "remove-database", "Remove a database; the database itself is not touched", tag),
		func(ctx context.Context, by safepoint.Actor, in *removeRequest) (*struct{}, error) {
			if in.Gone != "" {
				return nil, a.cfg.App.RemoveLostDatabase(ctx, by, in.Database, in.Gone)
			}
			return nil, a.cfg.App.RemoveDatabase(ctx, by, in.Database)
		})

	handle(a, change(http.MethodPost, one+"/test", "test-database", "Test a database: can it be backed up and restored?", tag),
		func(ctx context.Context, by safepoint.Actor, in *InDatabase) (*body[wire.DatabaseTest], error) {
			t, err := a.cfg.App.TestDatabase(ctx, by, in.Database)
			return reply(databaseTest(t), err)
		})

	handle(a, with(http.StatusAccepted, change(http.MethodPost, one+"/backup", "start-backup", "Start a manual backup", tag)),
		func(ctx context.Context, by safepoint.Actor, in *InDatabase) (*body[wire.Operation], error) {
			o, err := a.cfg.App.StartBackup(ctx, by, in.Database)
			return reply(wire.FromOperation(o), err)
		})
}

// connected is a database with what is known of its connection.
func connected(d safepoint.Database, known app.DatabaseAnswers) wire.Database {
	k, out := known.About(d), wire.FromDatabase(d)
	out.Connection = &wire.DatabaseConnection{
		State: string(k.State), Asking: k.Asking, AskedAt: k.AskedAt.UTC(), AnsweredAt: k.AnsweredAt.UTC(), TookSeconds: k.Took.Seconds(),
		Size: k.Info.Size, Tables: k.Info.Tables, DiskFree: k.Info.DiskFree, DiskTotal: k.Info.DiskTotal, Failure: wire.FromFailure(k.Failure),
	}
	return out
}

func databaseInput(in wire.DatabaseInput) app.DatabaseInput {
	return app.DatabaseInput{
		Name: in.Name, URL: in.URL, Engine: safepoint.Engine(in.Engine), Host: in.Host, User: in.User, DBName: in.DBName,
		Path: in.Path, Port: in.Port, Password: in.Password, TLS: safepoint.TLSMode(in.TLS), CACert: in.CACert, Version: in.Version,
		InstantSwitch: in.InstantSwitch,
	}
}

func databaseTest(t app.TestResult) wire.DatabaseTest {
	return wire.DatabaseTest{
		OK: t.OK, ServerVersion: t.Info.ServerVersion, Encoding: t.Info.Encoding, Size: t.Info.Size, Tables: t.Info.Tables,
		Tool: t.Info.Tool, Findings: findings(t.Findings), Failure: wire.FromFailure(t.Failure), TookSeconds: t.Took.Seconds(),
	}
}

func findings(fs []engine.Finding) []wire.Finding {
	return wire.Map(fs, func(f engine.Finding) wire.Finding {
		return wire.Finding{Blocker: f.Blocker, Code: string(f.Code), Message: f.Message, Hint: f.Hint}
	})
}
