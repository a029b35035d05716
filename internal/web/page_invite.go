package web

import "github.com/safepoint-db/safepoint"

func showInvite(v *visit) (reply, error) {
	return v.invitePage(newForm(), v.r.URL.Query().Get("token")), nil
}

func (v *visit) invitePage(f *form, link string) *page {
	return &page{Name: "invite", Title: v.t.Say("Join"), Data: signInView{F: f, Link: link}}
}

func doInvite(v *visit) (reply, error) {
	f := v.posted("password", "password2")
	p := v.invitePage(f, v.value("token"))
	if v.r.PostFormValue("password") != v.r.PostFormValue("password2") {
		return f.refused(p, safepoint.Invalid("password2", "The two passwords are not the same."))
	}
	session, err := v.app.AcceptInvite(v.ctx, v.value("token"), v.value("name"), v.r.PostFormValue("password"), v.ip(), v.agent())
	if err != nil {
		return f.wrongSignIn(p, err)
	}
	v.keepSession(session)
	return redirect("/backups"), nil
}
