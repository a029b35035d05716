package web

import (
	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/app"
)

type setupView struct {
	F     *form
	Zones []string
	Fresh bool // nobody has answered yet: the time zone is the browser's, where it says it
}

func showSetup(v *visit) (reply, error) {
	needed, err := v.app.SetupNeeded(v.ctx)
	if err != nil {
		return nil, err
	}
	if !needed {
		return redirect("/signin"), nil
	}
	return v.setupPage(setupView{F: newForm("code", v.r.URL.Query().Get("code"), "time_zone", "UTC"), Fresh: true}), nil
}

func (v *visit) setupPage(d setupView) *page {
	d.Zones = zones
	return &page{Name: "setup", Title: v.t.Say("Set up Safepoint"), Data: d}
}

func doSetup(v *visit) (reply, error) {
	f := v.posted("password", "password2")
	p := v.setupPage(setupView{F: f})
	in := app.Setup{Code: v.value("code"), Email: v.value("email"), Name: v.value("name"), Password: v.r.PostFormValue("password"),
		Organization: v.value("organization"), TimeZone: v.value("time_zone")}
	if in.Password != v.r.PostFormValue("password2") {
		return f.refused(p, safepoint.Invalid("password2", "The two passwords are not the same."))
	}
	session, err := v.app.Setup(v.ctx, in, v.ip(), v.agent())
	if safepoint.ErrorCode(err) == safepoint.CodeForbidden { // the setup code
		return f.refusedAt(p, "code", err)
	}
	if err != nil {
		return f.refused(p, err)
	}
	v.keepSession(session)
	return redirect("/start"), nil
}
