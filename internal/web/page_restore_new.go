package web

import (
	"strings"
	"time"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/app"
	"github.com/safepoint-db/safepoint/internal/engine"
)

type restoreNewView struct {
	F        *form
	P        app.RestorePreview
	At       string // the backup's moment
	Now      string
	Changes  string
	Blockers []engine.Finding
	Notes    []engine.Finding
	Names    string // services
	Guard    string // about how long the safety backup takes
	Halted   string // about how long services are halted
	Free     string
	Keeps    string // the undo window
}

func showRestoreNew(v *visit) (reply, error) { return v.restoreNew(newForm()) }

func (v *visit) restoreNew(f *form) (*page, error) {
	pre, err := v.app.PreviewRestore(v.ctx, v.actor, v.id())
	if err != nil {
		return nil, err
	}
	d := restoreNewView{F: f, P: pre, At: v.t.Weekday(made(pre.Backup)), Now: v.t.Weekday(v.t.now), Changes: lasted(pre.Changes), Keeps: window(v.org.UndoWindow)}
	switch {
	case !pre.At.IsZero():
		d.At = v.t.Weekday(pre.At)
	case pre.Backup.Upload != nil:
		d.At, d.Changes = "as the uploaded file has it", "An unknown amount"
	}
	for _, x := range pre.Findings {
		if x.Blocker {
			d.Blockers = append(d.Blockers, x)
		} else {
			d.Notes = append(d.Notes, x)
		}
	}
	var names []string
	for _, s := range pre.Services {
		names = append(names, s.Name)
	}
	d.Names = strings.Join(names, ", ")
	if e := pre.Estimates[safepoint.StepGuard]; e > 0 {
		d.Guard = title(about(e))
	}
	var closed time.Duration
	for _, s := range []safepoint.Step{safepoint.StepHalt, safepoint.StepGuard, safepoint.StepSwitch, safepoint.StepResume} {
		closed += pre.Estimates[s]
	}
	if closed > 0 {
		d.Halted = title(about(closed))
	}
	if pre.Space.Total > 0 {
		d.Free = size(pre.Space.Free)
	}
	return &page{Name: "restore_new", Title: "Restore " + pre.Database.Name, Tab: "logs", Data: d}, nil
}

func doRestoreNew(v *visit) (reply, error) {
	op, err := v.app.StartRestore(v.ctx, v.actor, v.id(), app.RestoreInput{
		Confirm: v.r.PostFormValue("confirm"), Keys: v.r.PostFormValue("identity"), Mode: safepoint.RestoreMode(v.value("mode")),
	})
	if err == nil {
		return redirect("/restores/" + op.ID), nil
	}
	f := v.posted("identity")
	p, perr := v.restoreNew(f)
	if perr != nil {
		return nil, perr
	}
	return f.refused(p, atKey(err, p.Data.(restoreNewView).P.NeedsKey))
}
