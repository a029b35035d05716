package web

import "github.com/safepoint-db/safepoint/internal/app"

type storageView struct {
	Overview  app.Overview
	Used      int
	FreeLow   string
	Databases []storageLine
}

// storageLine is what one database keeps.
type storageLine struct {
	Name, Link string
	Backups    int
}

func showStorage(v *visit) (reply, error) {
	over, err := v.app.Overview(v.ctx, v.actor)
	if err != nil {
		return nil, err
	}
	d := storageView{Overview: over, Used: used(over.Space.Free, over.Space.Total), FreeLow: freeState(over.Space.Free, over.Space.Total)}
	cards, err := v.app.Schedules(v.ctx, v.actor)
	if err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	for _, c := range cards {
		if !seen[c.DatabaseID] {
			seen[c.DatabaseID] = true
			d.Databases = append(d.Databases, storageLine{c.Database.Name, "/logs?type=backup&status=succeeded&database=" + c.DatabaseID, c.Backups})
		}
	}
	return &page{Name: "storage", Title: v.t.Say("Storage"), Tab: "storage", Live: true, Data: d}, nil
}
