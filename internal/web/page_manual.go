package web

import (
	"strings"

	"github.com/safepoint-db/safepoint"
)

type manualView struct {
	F         *form
	Databases []safepoint.Database
	Note      string // what to expect: the last one's time and size, and the space there is
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
	var note []string
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
			last := ops.Operations[0]
			note = append(note, v.t.Say("The last one took {time} and {size}.", "time", v.t.Lasted(last.Duration(v.t.now)), "size", v.t.Size(last.Size)))
		}
	}
	if over.Space.Total > 0 {
		note = append(note, v.t.Say("The storage has {size} free.", "size", v.t.Size(over.Space.Free)))
	}
	d.Note = strings.Join(note, " ")
	return &page{Name: "manual", Title: v.t.Say("Manual Backup"), Tab: "backups", Data: d}, nil
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
