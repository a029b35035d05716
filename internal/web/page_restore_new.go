package web

import (
	"html/template"
	"time"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/app"
	"github.com/safepoint-db/safepoint/internal/engine"
	"github.com/safepoint-db/safepoint/internal/language"
)

type restoreNewView struct {
	F        *form
	P        app.RestorePreview
	At       string // the backup's moment
	Now      string
	Changes  string // how long changes were made that will be replaced
	Unknown  bool   // nobody knows how long
	Blockers []engine.Finding
	Notes    []engine.Finding
	Names    string // services
	Guard    string // about how long the safety backup takes
	Halted   string // about how long services are halted
	Free     string
	Keeps    string // the undo window
	Ways     []way  // to choose from
	Mode     safepoint.RestoreMode

	Preflight preflightView
	Days      []pointDay    // other moments to go back to
	BusyLink  template.HTML // what is under way
}

// way is a mode that may be chosen.
type way struct {
	Mode   safepoint.RestoreMode
	Name   string
	Text   string
	Halted string // about how long services are halted by it
}

var wayTexts = map[safepoint.RestoreMode]string{
	safepoint.RestoreGuarded: language.Mark("The safety backup is made while services are halted, before anything is replaced."),
	safepoint.RestoreInstant: language.Mark("Services are halted for the switch alone. The safety backup is made right after, of the earlier database, which is kept unchanged until then."),
}

func showRestoreNew(v *visit) (reply, error) { return v.restoreNew(newForm()) }

func (v *visit) restoreNew(f *form) (*page, error) {
	pre, err := v.app.PreviewRestore(v.ctx, v.actor, v.id())
	if err != nil {
		return nil, err
	}
	d := restoreNewView{F: f, P: pre, At: v.t.Weekday(made(pre.Backup)), Now: v.t.Weekday(v.t.now), Changes: v.t.Lasted(pre.Changes), Keeps: v.t.window(v.org.UndoWindow)}
	switch {
	case !pre.At.IsZero():
		d.At = v.t.Weekday(pre.At)
	case pre.Backup.Upload != nil:
		d.At, d.Unknown = v.t.Say("As the uploaded file has it"), true
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
	d.Names = v.t.List(names)
	if e := pre.Estimates[safepoint.StepGuard]; e > 0 {
		d.Guard = v.t.Say("It takes {time}.", "time", v.t.About(e))
	}
	if known := pre.HaltTimes[pre.Mode]; known > 0 {
		d.Halted = v.t.Say("They are halted for {time}.", "time", roughly(v.t, known))
	}
	if d.Mode = safepoint.RestoreMode(f.Get("mode")); d.Mode == "" {
		d.Mode = pre.Mode
	}
	for _, m := range pre.Modes {
		if w := (way{Mode: m, Name: v.t.Say(ways[m]), Text: v.t.Say(wayTexts[m]), Halted: v.t.Say("How long services are halted is not known yet.")}); len(pre.Modes) > 1 {
			if known := pre.HaltTimes[m]; known > 0 {
				w.Halted = v.t.Say("They are halted for {time}.", "time", roughly(v.t, known))
			}
			d.Ways = append(d.Ways, w)
		}
	}
	if pre.Space.Total > 0 {
		d.Free = v.t.Size(pre.Space.Free)
	}
	if pre.Busy != nil {
		d.BusyLink = link(pathOf(*pre.Busy), pre.Busy.Name)
	}
	if d.Days, err = v.otherPoints(pre.Backup); err != nil {
		return nil, err
	}
	d.Preflight = v.preflight(pre)
	return &page{Name: "restore_new", Title: v.t.Say("Restore {database}", "database", pre.Database.Name), Tab: "logs", Data: d}, nil
}

// otherPoints are the restore points of a backup's database, each a restore of its own. The backup is marked.
func (v *visit) otherPoints(chosen safepoint.Operation) ([]pointDay, error) {
	schedules, err := v.app.DatabaseSchedules(v.ctx, v.actor, chosen.DatabaseID)
	if err != nil {
		return nil, err
	}
	days, err := v.points(chosen.DatabaseID, schedules)
	if err != nil {
		return nil, err
	}
	for _, day := range days {
		for i := range day.Points {
			switch p := &day.Points[i]; {
			case p.ID == chosen.ID:
				p.Kind = "this"
			case p.Kind == "":
				p.Link += "/restore"
			}
		}
	}
	return days, nil
}

// roughly is About, also of a time that may be far below a minute.
func roughly(c locale, d time.Duration) string {
	if d < time.Minute {
		return c.Say("about {time}", "time", c.Lasted(d))
	}
	return c.About(d)
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
