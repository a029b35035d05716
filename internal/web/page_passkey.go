package web

import (
	"html/template"
	"net/url"

	"github.com/safepoint-db/safepoint"
)

const passkeyNewPath = "/profile/passkeys/new"

type passkeyView struct {
	F      *form
	ID     string
	Origin string
	None   *safepoint.Error // why there can be none here
}

// showPasskeyNew asks for a name; the rest is between the browser and the device. Whoever has not shown lately who they are does
// that first.
func showPasskeyNew(v *visit) (reply, error) {
	err := v.app.MayAddPasskey(v.ctx, v.actor)
	if safepoint.ErrorCode(err) == safepoint.CodeStepUp {
		return redirect("/stepup?next=" + url.QueryEscape(passkeyNewPath)), nil
	}
	if err != nil {
		return nil, err
	}
	return v.passkeyNew(newForm("name", v.t.browser(v.agent()))), nil
}

func (v *visit) passkeyNew(f *form) *page {
	d := passkeyView{F: f}
	at, err := v.site()
	if d.Origin = at.Origin; err != nil {
		d.None = safepoint.UserError(err)
	}
	return &page{Name: "passkey_new", Title: v.t.Say("Add a passkey"), Tab: "profile", Data: d, Passkey: true}
}

func doPasskeyNew(v *visit) (reply, error) {
	f := v.posted("passkey")
	at, err := v.site()
	if err == nil {
		_, err = v.app.AddPasskey(v.ctx, v.actor, v.session, at, v.value("name"), []byte(v.r.PostFormValue("passkey")))
	}
	if err != nil {
		return f.refused(v.passkeyNew(f), err)
	}
	return redirect("/profile?done=passkey-added"), nil
}

// passkey is the one that the address names.
func (v *visit) passkey() (safepoint.Passkey, error) {
	list, err := v.app.Passkeys(v.ctx, v.actor)
	if err != nil {
		return safepoint.Passkey{}, err
	}
	for _, p := range list {
		if p.ID == v.id() {
			return p, nil
		}
	}
	return safepoint.Passkey{}, safepoint.Errorf(safepoint.CodeNotFound, "This passkey is not here.")
}

func showPasskeyRename(v *visit) (reply, error) {
	p, err := v.passkey()
	if err != nil {
		return nil, err
	}
	return v.passkeyRename(newForm("name", p.Name)), nil
}

func (v *visit) passkeyRename(f *form) *page {
	return &page{Name: "passkey_rename", Title: v.t.Say("Rename the passkey"), Tab: "profile", Data: passkeyView{F: f, ID: v.id()}}
}

func doPasskeyRename(v *visit) (reply, error) {
	f := v.posted()
	if err := v.app.RenamePasskey(v.ctx, v.actor, v.id(), v.value("name")); err != nil {
		return f.refused(v.passkeyRename(f), err)
	}
	return redirect("/profile?done=saved"), nil
}

func showPasskeyRemove(v *visit) (reply, error) {
	p, err := v.passkey()
	if err != nil {
		return nil, err
	}
	return v.ask("profile", question{F: newForm(), Title: v.t.Say("Remove this passkey?"), Button: v.t.Say("Remove passkey"), Danger: true,
		Body: []template.HTML{
			v.t.HTML("You can no longer sign in with **{name}**. Other browsers in which you signed in with it are signed out. Your password stays as it is.", "name", properName(p.Name)),
			v.t.HTML("Your device keeps its part until you delete it there."),
		},
		Action: "/profile/passkeys/" + p.ID + "/remove", Back: "/profile"}), nil
}

func doPasskeyRemove(v *visit) (reply, error) {
	if err := v.app.RemovePasskey(v.ctx, v.actor, v.session, v.id()); err != nil {
		return nil, err
	}
	return redirect("/profile?done=passkey-removed"), nil
}
