package web

import "github.com/safepoint-db/safepoint/internal/app"

type storageView struct {
	Overview  app.Overview
	Used      int
	FreeLow   string
	Databases []storageLine
	More      int // databases beyond the ones that are shown
}

// storageLine is what one database keeps.
type storageLine struct {
	app.Stored
	Link    string
	Percent int // of all that is kept
}

// storageLines is how many databases the page shows: the largest.
const storageLines = 50

func showStorage(v *visit) (reply, error) {
	over, err := v.app.Overview(v.ctx, v.actor)
	if err != nil {
		return nil, err
	}
	d := storageView{Overview: over, Used: over.Space.Used(), FreeLow: over.Space.Low()}
	stored, err := v.app.StoredByDatabase(v.ctx, v.actor)
	if err != nil {
		return nil, err
	}
	for _, s := range stored[:min(len(stored), storageLines)] {
		l := storageLine{Stored: s, Link: "/logs?type=backup&status=succeeded&database=" + s.DatabaseID}
		if over.Bytes > 0 {
			l.Percent = int(min(s.Bytes*100/over.Bytes, 100))
		}
		d.Databases = append(d.Databases, l)
	}
	d.More = len(stored) - len(d.Databases)
	return &page{Name: "storage", Title: v.t.Say("Storage"), Tab: "storage", Live: true, Data: d}, nil
}
