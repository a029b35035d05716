package web

import (
	"strconv"
	"time"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/app"
	"github.com/safepoint-db/safepoint/internal/language"
)

type settingsView struct {
	F         *form
	Zones     []string
	Languages []*language.Language
	Language  string // the organization's, in itself; "" for none
	Idle      []idleChoice
	IdleFor   string
	Undo      string
}

// idleChoice is a time without use after which people are signed out.
type idleChoice struct {
	Seconds string
	Label   string
}

func showSettings(*visit) (reply, error) { return redirect("/settings/general"), nil }

func (v *visit) settings(name, title string, f *form) *page {
	d := settingsView{F: f, Zones: zones, Languages: language.All(), Undo: v.t.window(v.org.UndoWindow), IdleFor: v.idle(v.org.SessionIdle)}
	if l := language.Find(v.org.Language); l != nil {
		d.Language = l.Name
	}
	for _, idle := range []time.Duration{0, 15 * time.Minute, time.Hour, 8 * time.Hour, 24 * time.Hour, 7 * 24 * time.Hour} {
		d.Idle = append(d.Idle, idleChoice{seconds(idle), v.idle(idle)})
	}
	return &page{Name: name, Title: title, Tab: "settings", Data: d}
}

func seconds(d time.Duration) string { return strconv.FormatInt(int64(d/time.Second), 10) }

// idle words a time without use after which people are signed out.
func (v *visit) idle(d time.Duration) string {
	if d == 0 {
		return v.t.Say("As the operator set it (8 hours unless changed)")
	}
	if d >= time.Hour {
		return v.t.window(d)
	}
	return v.t.Lasted(d)
}

func showSettingsGeneral(v *visit) (reply, error) {
	return v.settingsGeneral(newForm("name", v.org.Name, "time_zone", v.org.TimeZone, "language", v.org.Language)), nil
}

func (v *visit) settingsGeneral(f *form) *page {
	return v.settings("settings_general", v.t.Say("Settings"), f)
}

func doSettingsGeneral(v *visit) (reply, error) {
	f := v.posted()
	name, zone, tag := v.value("name"), v.value("time_zone"), v.value("language")
	if _, err := v.app.UpdateOrganization(v.ctx, v.actor, app.OrganizationChange{Name: &name, TimeZone: &zone, Language: &tag}); err != nil {
		return f.refused(v.settingsGeneral(f), err)
	}
	return redirect("/settings/general?done=saved"), nil
}

func showSettingsSecurity(v *visit) (reply, error) {
	return v.settingsSecurity(newForm("session_idle", seconds(v.org.SessionIdle))), nil
}

func (v *visit) settingsSecurity(f *form) *page {
	return v.settings("settings_security", v.t.Say("Security"), f)
}

func doSettingsSecurity(v *visit) (reply, error) {
	f := v.posted()
	p := v.settingsSecurity(f)
	n, err := strconv.ParseInt(v.value("session_idle"), 10, 32)
	if err != nil {
		return f.refused(p, safepoint.Invalid("session_idle", "Choose a time from the list."))
	}
	idle := time.Duration(n) * time.Second
	if _, err := v.app.UpdateOrganization(v.ctx, v.actor, app.OrganizationChange{SessionIdle: &idle}); err != nil {
		return f.refused(p, err)
	}
	return redirect("/settings/security?done=saved"), nil
}

func showSettingsRetention(v *visit) (reply, error) {
	return v.settingsRetention(newForm("undo_window", strconv.Itoa(int(v.org.UndoWindow/time.Hour)))), nil
}

func (v *visit) settingsRetention(f *form) *page {
	return v.settings("settings_retention", v.t.Say("Retention"), f)
}

func doSettingsRetention(v *visit) (reply, error) {
	f := v.posted()
	p := v.settingsRetention(f)
	hours, err := strconv.Atoi(v.value("undo_window"))
	if err != nil || hours < 0 || hours > 24*30 {
		return f.refused(p, safepoint.Invalid("undo_window", "Enter a number of hours between 0 and 720."))
	}
	undo := time.Duration(hours) * time.Hour
	if _, err := v.app.UpdateOrganization(v.ctx, v.actor, app.OrganizationChange{UndoWindow: &undo}); err != nil {
		return f.refused(p, err)
	}
	return redirect("/settings/retention?done=saved"), nil
}
