package web

import (
	"fmt"

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
		F: f, Title: "Delete this backup?", Bold: b.Name, Mono: true, Button: "Delete backup", Danger: true,
		Lead:   []string{fmt.Sprintf("(%s) will be removed for good. This cannot be undone.", v.t.Size(b.Size))},
		Action: "/logs/" + b.ID + "/delete", Back: "/logs/" + b.ID,
	}
	switch {
	case pre.Others == 1:
		q.More = append(q.More, fmt.Sprintf("%s keeps 1 other backup, from %s.", b.DatabaseName, v.t.At(pre.Newest)))
	case pre.Others > 1:
		q.More = append(q.More, fmt.Sprintf("%s keeps %s other backups. The newest one is from %s.", b.DatabaseName, v.t.Number(pre.Others), v.t.At(pre.Newest)))
	default:
		q.Warn = "This is the only backup of " + b.DatabaseName + ". Without it, you cannot restore this database."
	}
	if pre.WayBackOf != nil {
		q.More = append(q.More, "This backup is the way back from the restore of "+v.t.Minute(made(*pre.WayBackOf))+".")
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
