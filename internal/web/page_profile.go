package web

import (
	"cmp"
	"html/template"
	"net/http"
	"strconv"
	"time"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/language"
)

type tokenRow struct {
	safepoint.Token
	Used, Expires string
}

// signInRow is one browser in which the person is signed in.
type signInRow struct {
	safepoint.SignIn
	Browser, Since, Used string
}

type profileView struct {
	Display   *form
	Languages []*language.Language
	SignIns   []signInRow
	Passkeys  passkeyList
	Password  *form
	Token     *form
	Tokens    []tokenRow
	Secret    string // of a token just made: shown once
	Themes    []string
}

func showProfile(v *visit) (reply, error) { return v.profile() }

func (v *visit) profile() (*page, error) {
	list, err := v.app.Tokens(v.ctx, v.actor)
	if err != nil {
		return nil, err
	}
	signIns, err := v.app.SignIns(v.ctx, v.actor, v.session)
	if err != nil {
		return nil, err
	}
	keys, err := v.passkeys()
	if err != nil {
		return nil, err
	}
	d := profileView{Passkeys: keys, Display: newForm("theme", cmp.Or(v.actor.Theme, "system"), "language", v.actor.Language, "hours", cmp.Or(v.actor.Hours, "24")),
		Languages: language.All(), Password: newForm(), Token: newForm("days", "90"), Themes: []string{"system", "light", "dark"}}
	for _, s := range signIns {
		d.SignIns = append(d.SignIns, signInRow{s, v.t.browser(s.Agent), v.t.Ago(s.CreatedAt), v.t.Ago(s.UsedAt)})
	}
	for _, t := range list {
		row := tokenRow{Token: t, Used: v.t.Ago(t.LastUsedAt), Expires: v.t.Say("never")}
		if !t.ExpiresAt.IsZero() {
			row.Expires = v.t.Ago(t.ExpiresAt)
		}
		d.Tokens = append(d.Tokens, row)
	}
	return &page{Name: "profile", Title: v.t.Say("Profile"), Tab: "profile", Data: d, Passkey: keys.None == nil}, nil
}

func doPassword(v *visit) (reply, error) {
	f := v.posted("old_password", "new_password", "new_password2")
	p, err := v.profile()
	if err != nil {
		return nil, err
	}
	d := p.Data.(profileView)
	d.Password = f
	p.Data = d
	fresh := v.r.PostFormValue("new_password")
	if fresh != v.r.PostFormValue("new_password2") {
		return f.refused(p, safepoint.Invalid("new_password2", "The two passwords are not the same."))
	}
	if err := v.app.ChangePassword(v.ctx, v.actor, v.session, v.r.PostFormValue("old_password"), fresh); err != nil {
		answer, err := f.wrongPassword(p, "old_password", err)
		if text, ok := f.Errors["password"]; ok { // the application's word for the new one
			delete(f.Errors, "password")
			f.Errors["new_password"] = text
		}
		return answer, err
	}
	return redirect("/profile?done=password"), nil
}

func doDisplay(v *visit) (reply, error) {
	if err := v.app.SetDisplay(v.ctx, v.actor, safepoint.Display{Theme: v.value("theme"), Language: v.value("language"), Hours: v.value("hours")}); err != nil {
		return nil, err
	}
	return redirect("/profile?done=saved"), nil
}

// doSignInEnd signs the person out in one browser; in this one like the button does.
func doSignInEnd(v *visit) (reply, error) {
	signIns, err := v.app.SignIns(v.ctx, v.actor, v.session)
	if err != nil {
		return nil, err
	}
	for _, s := range signIns {
		if s.ID == v.id() && s.This {
			return doSignOut(v)
		}
	}
	if err := v.app.EndSignIn(v.ctx, v.actor, v.id()); err != nil {
		return nil, err
	}
	return redirect("/profile?done=signed-out"), nil
}

func doSignInsEnd(v *visit) (reply, error) {
	if err := v.app.EndOtherSignIns(v.ctx, v.actor, v.session); err != nil {
		return nil, err
	}
	return redirect("/profile?done=signed-out-others"), nil
}

func doTokenNew(v *visit) (reply, error) {
	f := v.posted()
	days, err := strconv.Atoi(v.value("days"))
	if err != nil || days < 0 || days > 3650 {
		err = safepoint.Invalid("days", "Enter a number of days between 0 and 3650; 0 means it never expires.")
	}
	var secret string
	if err == nil {
		_, secret, err = v.app.CreateToken(v.ctx, v.actor, v.value("name"), time.Duration(days)*24*time.Hour)
	}
	p, perr := v.profile()
	if perr != nil {
		return nil, perr
	}
	d := p.Data.(profileView)
	if err != nil {
		d.Token = f
		p.Data = d
		return f.refused(p, err)
	}
	d.Secret, p.Status = secret, http.StatusCreated
	p.Data = d
	return p, nil
}

func showTokenRevoke(v *visit) (reply, error) { return v.tokenQuestion(newForm()) }

func (v *visit) tokenQuestion(f *form) (*page, error) {
	list, err := v.app.Tokens(v.ctx, v.actor)
	if err != nil {
		return nil, err
	}
	for _, t := range list {
		if t.ID == v.id() {
			return v.ask("profile", question{F: f, Title: v.t.Say("Revoke this token?"), Button: v.t.Say("Revoke token"), Danger: true,
				Body:   []template.HTML{v.t.HTML("**{name}** stops working at once. Programs that use it are refused.", "name", properName(t.Name))},
				Action: "/profile/tokens/" + t.ID + "/revoke", Back: "/profile"}), nil
		}
	}
	return nil, safepoint.Errorf(safepoint.CodeNotFound, "This token is not here.")
}

func doTokenRevoke(v *visit) (reply, error) {
	if err := v.app.RevokeToken(v.ctx, v.actor, v.id()); err != nil {
		return nil, err
	}
	return redirect("/profile?done=revoked"), nil
}
