package web

import (
	"html/template"

	"github.com/safepoint-db/safepoint"
)

func showUndo(v *visit) (reply, error) {
	op, err := v.app.Operation(v.ctx, v.actor, v.id())
	if err != nil {
		return nil, err
	}
	return v.undoQuestion(op, newForm())
}

func (v *visit) undoQuestion(op safepoint.Operation, f *form) (*page, error) {
	if !v.canUndo(op) {
		return nil, safepoint.Errorf(safepoint.CodeConflict, "This restore cannot be undone any more.").
			WithHint("Restore its safety backup instead: it is in DB Logs.")
	}
	since := op.ResumedAt // a restore that still makes its safety backup has not ended
	if !op.FinishedAt.IsZero() {
		since = op.FinishedAt
	}
	services, err := v.app.Services(v.ctx, v.actor)
	if err != nil {
		return nil, err
	}
	halts := v.t.HTML("All organization services are halted meanwhile and resume automatically.")
	if len(services) == 0 {
		halts = v.t.HTML("No service will be halted, because none is set up.")
	}
	return v.ask("logs", question{
		F: f, Title: v.t.Say("Undo this restore?"), Button: v.t.Say("Undo restore"), Danger: true,
		Body: []template.HTML{
			v.t.HTML("**{database}** goes back to what it was before the restore of {moment}.", "database", properName(op.DatabaseName), "moment", v.t.Minute(made(op))),
			v.t.HTML("**{time} of changes** made since then will be replaced. An undo makes no backup of them: to keep them, make a manual backup first.", "time", v.t.Lasted(v.t.now.Sub(since))),
			halts,
		},
		Action: "/restores/" + op.ID + "/undo", Back: "/restores/" + op.ID, Stay: v.t.Say("Keep the restore"),
	}), nil
}

func doUndo(v *visit) (reply, error) {
	undo, err := v.app.StartUndo(v.ctx, v.actor, v.id())
	if err == nil {
		return redirect("/restores/" + undo.ID), nil
	}
	op, operr := v.app.Operation(v.ctx, v.actor, v.id())
	if operr != nil {
		return nil, operr
	}
	f := v.posted()
	p, perr := v.undoQuestion(op, f)
	if perr != nil {
		return nil, perr
	}
	return f.refused(p, err)
}
