package web

import (
	"html/template"

	"github.com/safepoint-db/safepoint"
)

func showCancel(v *visit) (reply, error) {
	op, err := v.app.Operation(v.ctx, v.actor, v.id())
	if err != nil {
		return nil, err
	}
	return v.cancelQuestion(op, newForm())
}

func (v *visit) cancelQuestion(op safepoint.Operation, f *form) (*page, error) {
	if op.Status.Ended() {
		return nil, safepoint.Errorf(safepoint.CodeConflict, "%s has ended already.", op.Name).WithHint("Nothing was cancelled. See DB Logs.")
	}
	if !cancellable(op) {
		return nil, safepoint.Errorf(safepoint.CodeConflict, "Too late to cancel: the switch takes a few seconds.").WithHint("When it is done, the restore can be undone.")
	}
	q := question{F: f, Title: v.t.Say("Cancel this backup?"), Button: v.t.Say("Cancel backup"), Stay: v.t.Say("Keep going"), Action: "/logs/" + op.ID + "/cancel", Back: pathOf(op),
		Body: []template.HTML{v.t.HTML("The unfinished file is removed. The schedule is not changed.")}}
	if op.Type == safepoint.TypeRestore {
		q.Title, q.Button, q.Stay, q.Danger = v.t.Say("Cancel this restore?"), v.t.Say("Cancel restore"), v.t.Say("Keep restoring"), true
		database := properName(op.DatabaseName)
		switch {
		case op.NewName != "":
			q.Body = []template.HTML{v.t.HTML("What was loaded is thrown away. **{database}** is not touched.", "database", database)}
		case op.Mode == safepoint.RestoreInPlace:
			q.Body = []template.HTML{v.t.HTML("What was loaded is taken back and services resume. **{database}** stays as it is now. The safety backup is kept.", "database", database)}
		default:
			q.Body = []template.HTML{v.t.HTML("The staging copy is thrown away and services resume. **{database}** stays as it is now. A safety backup that was made is kept.", "database", database)}
		}
	}
	return v.ask("logs", q), nil
}

func doCancel(v *visit) (reply, error) {
	op, err := v.app.Cancel(v.ctx, v.actor, v.id())
	if err == nil {
		return redirect(pathOf(op)), nil
	}
	op, operr := v.app.Operation(v.ctx, v.actor, v.id())
	if operr != nil {
		return nil, operr
	}
	f := v.posted()
	p, perr := v.cancelQuestion(op, f)
	if perr != nil {
		return nil, perr
	}
	return f.refused(p, err)
}
