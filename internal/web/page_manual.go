package web

import (
	"github.com/safepoint-db/safepoint"
)

type manualView struct {
	F         *form
	Databases []safepoint.Database
	Last      *safepoint.Operation
	LastTook  string
	Free      string
	Storage   string
}

func showManual(v *visit) (reply, error) {
	return v.manual(newForm("database", v.r.URL.Query().Get("database")))
}

func (v *visit) manual(f *form) (*page, error) {
	d := manualView{F: f}
	var err error
	if d.Databases, err = v.app.Databases(v.ctx, v.actor); err != nil {
		return nil, err
	}
	over, err := v.app.Overview(v.ctx, v.actor)
	if err != nil {
		return nil, err
	}
	d.Storage = over.StorageName
	if over.Space.Total > 0 {
		d.Free = v.t.Size(over.Space.Free)
	}
	chosen := f.Get("database")
	if chosen == "" && len(d.Databases) == 1 {
		chosen = d.Databases[0].ID
	}
	if chosen != "" {
		ops, err := v.app.Operations(v.ctx, v.actor, safepoint.OperationFilter{Type: safepoint.TypeBackup, Status: safepoint.StatusSucceeded, DatabaseID: chosen, Limit: 1})
		if err != nil {
			return nil, err
		}
		if len(ops.Operations) > 0 {
			d.Last = &ops.Operations[0]
			d.LastTook = v.t.Lasted(d.Last.Duration(v.t.now))
		}
	}
	return &page{Name: "manual", Title: "Manual Backup", Tab: "backups", Data: d}, nil
}

func doManual(v *visit) (reply, error) {
	op, err := v.app.StartBackup(v.ctx, v.actor, v.value("database"))
	if err != nil {
		f := v.posted()
		p, perr := v.manual(f)
		if perr != nil {
			return nil, perr
		}
		return f.refused(p, err)
	}
	return redirect("/logs/" + op.ID), nil
}
