package web

import "cmp"

type organizationForm struct {
	F     *form
	Zones []string
}

func doOrganizationSwitch(v *visit) (reply, error) {
	if err := v.app.SwitchOrganization(v.ctx, v.actor, v.session, v.value("organization")); err != nil {
		return nil, err
	}
	return redirect("/backups"), nil
}

func showOrganizationNew(v *visit) (reply, error) {
	return v.organizationNew(newForm("time_zone", cmp.Or(v.org.TimeZone, "UTC"))), nil
}

func (v *visit) organizationNew(f *form) *page {
	return &page{Name: "organization_new", Title: v.t.Say("New organization"), Data: organizationForm{F: f, Zones: zones}}
}

func doOrganizationNew(v *visit) (reply, error) {
	f := v.posted()
	o, err := v.app.CreateOrganization(v.ctx, v.actor, v.value("name"), v.value("time_zone"))
	if err != nil {
		return f.refused(v.organizationNew(f), err)
	}
	if err := v.app.SwitchOrganization(v.ctx, v.actor, v.session, o.ID); err != nil {
		return nil, err
	}
	return redirect("/start?done=organization"), nil
}
