package web

import (
	"strconv"
	"time"

	"github.com/safepoint-db/safepoint"
)

type settingsView struct {
	F     *form
	Zones []string
	Undo  string
}

func showSettings(v *visit) (reply, error) {
	return v.settings(newForm("name", v.org.Name, "time_zone", v.org.TimeZone, "undo_window", strconv.Itoa(int(v.org.UndoWindow/time.Hour)))), nil
}

func (v *visit) settings(f *form) *page {
	return &page{Name: "settings", Title: v.t.Say("Settings"), Tab: "settings", Data: settingsView{F: f, Zones: zones, Undo: v.t.window(v.org.UndoWindow)}}
}

func doSettings(v *visit) (reply, error) {
	f := v.posted()
	p := v.settings(f)
	hours, err := strconv.Atoi(v.value("undo_window"))
	if err != nil || hours < 0 || hours > 24*30 {
		return f.refused(p, safepoint.Invalid("undo_window", "Enter a number of hours between 0 and 720."))
	}
	if _, err := v.app.UpdateOrganization(v.ctx, v.actor, v.value("name"), v.value("time_zone"), time.Duration(hours)*time.Hour); err != nil {
		return f.refused(p, err)
	}
	return redirect("/settings?done=saved"), nil
}
