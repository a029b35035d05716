package web

import (
	"html/template"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/app"
)

func showDelete(v *visit) (reply, error) {
	pre, err := v.app.PreviewDelete(v.ctx, v.actor, v.id())
	if err != nil {
		return nil, err
	}
	return v.deleteQuestion(pre, newForm())
}

func (v *visit) deleteQuestion(pre app.DeletePreview, f *form) (*page, error) {
	b := pre.Backup
	if pre.InUseBy != nil {
		return nil, safepoint.Errorf(safepoint.CodeConflict, "%s is in use by a running restore.", b.Name).WithHint("Delete it when the restore is done.")
	}
	q := question{
		F: f, Title: v.t.Say("Delete this backup?"), Button: v.t.Say("Delete backup"), Danger: true,
		Body:   []template.HTML{v.t.HTML("**{file}** ({size}) will be removed for good. This cannot be undone.", "file", monoName(b.Name), "size", v.t.Size(b.Size))},
		Action: "/logs/" + b.ID + "/delete", Back: "/logs/" + b.ID,
	}
	if pre.Others > 0 {
		q.Body = append(q.Body, v.t.CountHTML(pre.Others, "{database} keeps {n} other backup. It is from {moment}.", "{database} keeps {n} other backups. The newest one is from {moment}.",
			"database", properName(b.DatabaseName), "moment", v.t.At(pre.Newest)))
	} else {
		q.Warn = v.t.Say("This is the only backup of {database}. Without it, you cannot restore this database.", "database", b.DatabaseName)
	}
	if pre.WayBackOf != nil {
		q.Body = append(q.Body, v.t.HTML("This backup is the way back from the restore of {moment}.", "moment", v.t.Minute(made(*pre.WayBackOf))))
	}
	if pre.NeedsTyping {
		q.Confirm = pre.Confirm
	}
	return v.ask("logs", q), nil
}

func doDelete(v *visit) (reply, error) {
	err := v.app.DeleteBackup(v.ctx, v.actor, v.id(), v.r.PostFormValue("confirm"))
	if err == nil {
		return redirect("/logs?done=deleted"), nil
	}
	pre, perr := v.app.PreviewDelete(v.ctx, v.actor, v.id())
	if perr != nil {
		return nil, perr
	}
	f := v.posted()
	p, perr := v.deleteQuestion(pre, f)
	if perr != nil {
		return nil, perr
	}
	return f.refused(p, err)
}
