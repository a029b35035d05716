package web

import (
	"net/http"

	"github.com/safepoint-db/safepoint"
)

type signInView struct {
	F        *form
	Next     string
	Over     bool   // a session ran out
	Kept     bool   // what was typed is kept
	Link     string // a one-time link
	Passkeys string // the origin at which there are passkeys, "" for nowhere
}

func showSignIn(v *visit) (reply, error) {
	needed, err := v.app.SetupNeeded(v.ctx)
	if err != nil {
		return nil, err
	}
	if needed {
		return redirect("/setup"), nil
	}
	q := v.r.URL.Query()
	return v.signInPage(newForm(), signInView{Next: next(q.Get("next")), Over: q.Has("over"), Kept: q.Has("kept")}), nil
}

func (v *visit) signInPage(f *form, d signInView) *page {
	d.F, d.Passkeys = f, v.passkeyOrigin()
	return &page{Name: "signin", Title: v.t.Say("Sign in"), Data: d, Passkey: d.Passkeys != ""}
}

func doSignIn(v *visit) (reply, error) {
	to := next(v.r.PostFormValue("next"))
	var session string
	var err error
	if v.r.PostForm.Has("passkey") {
		session, err = v.signInWithPasskey()
	} else {
		session, err = v.app.SignIn(v.ctx, v.value("email"), v.r.PostFormValue("password"), v.ip(), v.agent())
	}
	if err != nil {
		f := v.posted("password", "passkey")
		return f.wrongSignIn(v.signInPage(f, signInView{Next: to}), err)
	}
	v.keepSession(session)
	return redirect(to), nil
}

// wrongSignIn says at the top of the form what was refused, and not which of address and password it was.
func (f *form) wrongSignIn(p *page, err error) (reply, error) {
	switch safepoint.ErrorCode(err) {
	case safepoint.CodeUnauthorized, safepoint.CodePassword, safepoint.CodeNotFound:
		f.Problem = safepoint.UserError(err)
		p.Status = http.StatusUnprocessableEntity
		return p, nil
	}
	return f.refused(p, err)
}

// showSignInLink only shows a button: a link that is fetched by a mail scanner or a preview must not sign anybody in.
func showSignInLink(v *visit) (reply, error) {
	return v.linkPage(newForm(), v.r.URL.Query().Get("token")), nil
}

func (v *visit) linkPage(f *form, link string) *page {
	return &page{Name: "signin_link", Title: v.t.Say("Sign in"), Data: signInView{F: f, Link: link}}
}

func doSignInLink(v *visit) (reply, error) {
	session, err := v.app.SignInWithLink(v.ctx, v.value("token"), v.ip(), v.agent())
	if err != nil {
		f := v.posted("token")
		return f.wrongSignIn(v.linkPage(f, ""), err)
	}
	v.keepSession(session)
	return redirect("/backups"), nil
}

func doSignOut(v *visit) (reply, error) {
	if v.session != "" {
		if err := v.app.SignOut(v.ctx, v.session); err != nil && safepoint.ErrorCode(err) != safepoint.CodeUnauthorized {
			return nil, err
		}
	}
	v.keepSession("")
	return redirect("/signin"), nil
}
