package api

import (
	"context"
	"net/http"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/api/wire"
	"github.com/safepoint-db/safepoint/internal/app"
)

// InStorage is the input of every route of a storage.
type InStorage struct {
	InOrg
	Storage string `path:"storage" example:"local"`
}

func (a *API) storageRoutes() {
	const tag = "Storage"
	all, one := orgPrefix+"/storage", orgPrefix+"/storage/{storage}"

	handle(a, op(http.MethodGet, all, "list-storage", "Where backups are kept", tag),
		func(ctx context.Context, by safepoint.Actor, _ *InOrg) (*body[wire.List[wire.Storage]], error) {
			s, err := a.cfg.App.Storages(ctx, by)
			return list(s, err, storageUse)
		})

	handle(a, op(http.MethodGet, one, "get-storage", "A storage, and what fills it", tag),
		func(ctx context.Context, by safepoint.Actor, in *InStorage) (*body[wire.Storage], error) {
			s, err := a.cfg.App.StorageUse(ctx, by, in.Storage)
			if err != nil {
				return nil, err
			}
			held, err := a.cfg.App.StoredByDatabase(ctx, by)
			out := storageUse(s)
			out.Databases = wire.Map(held, func(h app.Stored) wire.Held {
				return wire.Held{DatabaseID: h.DatabaseID, DatabaseName: h.Name, Removed: h.Removed, Backups: h.Backups, Bytes: h.Bytes}
			})
			return reply(out, err)
		})

	handle(a, change(http.MethodPost, one+"/test", "test-storage", "Test a storage: write a small object, read it back, remove it", tag),
		func(ctx context.Context, by safepoint.Actor, in *InStorage) (*body[wire.StorageTest], error) {
			t, err := a.cfg.App.TestStorage(ctx, by, in.Storage)
			return reply(wire.StorageTest{OK: t.OK, Size: t.Size, WroteSeconds: t.Wrote.Seconds(), ReadSeconds: t.Read.Seconds(),
				RemovedSeconds: t.Removed.Seconds(), Failure: wire.FromFailure(t.Failure)}, err)
		})
}

func storageUse(s app.StorageUse) wire.Storage {
	return wire.Storage{ID: s.ID, Name: s.Name, Backups: s.Backups, Bytes: s.Bytes, SpaceFree: s.Space.Free, SpaceTotal: s.Space.Total}
}
