package web

import (
	"crypto/rand"
	"net/http"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/app"
)

// The cookie that ties a sign-in with a passkey to the browser that asked for it. It is not a session, and lasts as long as the
// question; its names are as the session's.
const (
	secureAsking = "__Host-safepoint-asking"
	plainAsking  = "safepoint-asking"
	askingAge    = 10 * 60 // seconds
)

// site is where passkeys are good: at the configured address, or else at the request's own, as for requests that change
// something. Its error says why there can be none.
func (v *visit) site() (app.Site, error) { return app.SiteAt(v.link("/")) }

// passkeyOrigin is the origin at which a page may ask for passkeys, "" where there can be none.
func (v *visit) passkeyOrigin() string {
	s, err := v.site()
	if err != nil {
		return ""
	}
	return s.Origin
}

// asking is the browser's secret, "" where it has none.
func (v *visit) asking() string {
	c, err := v.r.Cookie(v.askingName())
	if err != nil {
		return ""
	}
	return c.Value
}

func (v *visit) askingName() string {
	if v.secure() {
		return secureAsking
	}
	return plainAsking
}

// keepAsking hands the browser's secret to it; "" takes it back.
func (v *visit) keepAsking(secret string) {
	c := &http.Cookie{Name: v.askingName(), Value: secret, Path: "/", MaxAge: askingAge, HttpOnly: true, Secure: v.secure(), SameSite: http.SameSiteStrictMode}
	if secret == "" {
		c.MaxAge = -1
	}
	http.SetCookie(v.w, c)
}

// question answers a script with what it asks the browser for.
func (v *visit) question(ask func(app.Site) ([]byte, error)) (reply, error) {
	at, err := v.site()
	if err != nil {
		return nil, err
	}
	b, err := ask(at)
	if err != nil {
		return nil, err
	}
	v.w.Header().Set("Content-Type", "application/json")
	_, err = v.w.Write(b)
	return nil, err
}

func askSignIn(v *visit) (reply, error) {
	secret := v.asking()
	if secret == "" {
		secret = rand.Text()
	}
	return v.question(func(at app.Site) ([]byte, error) {
		v.keepAsking(secret)
		return v.app.AskPasskey(v.ctx, at, secret)
	})
}

func askStepUp(v *visit) (reply, error) {
	return v.question(func(at app.Site) ([]byte, error) { return v.app.AskPasskeyAgain(v.ctx, v.actor, v.session, at) })
}

func askPasskeyNew(v *visit) (reply, error) {
	return v.question(func(at app.Site) ([]byte, error) { return v.app.AskNewPasskey(v.ctx, v.actor, v.session, at) })
}

// signInWithPasskey checks the answer of the browser that asked, and starts a session.
func (v *visit) signInWithPasskey() (session string, err error) {
	at, err := v.site()
	if err != nil {
		return "", err
	}
	session, err = v.app.SignInWithPasskey(v.ctx, at, v.asking(), []byte(v.r.PostFormValue("passkey")), v.ip(), v.agent())
	if err == nil {
		v.keepAsking("")
	}
	return session, err
}

// hasPasskey says whether the person can use a passkey at this address.
func (v *visit) hasPasskey() (bool, error) {
	at, err := v.site()
	if err != nil {
		return false, nil
	}
	list, err := v.app.Passkeys(v.ctx, v.actor)
	for _, p := range list {
		if p.Host == at.Host && p.CopiedAt.IsZero() {
			return true, err
		}
	}
	return false, err
}

// passkeyRow is one passkey of the profile.
type passkeyRow struct {
	safepoint.Passkey
	Made, Used string
	Elsewhere  bool // it was made at another address
	Copied     bool
}

// passkeyList is the profile's section.
type passkeyList struct {
	Rows   []passkeyRow
	Origin string
	None   *safepoint.Error // why there can be none here
}

func (v *visit) passkeys() (l passkeyList, err error) {
	list, err := v.app.Passkeys(v.ctx, v.actor)
	if err != nil {
		return l, err
	}
	at, serr := v.site()
	if l.Origin = at.Origin; serr != nil {
		l.None = safepoint.UserError(serr)
	}
	for _, p := range list {
		l.Rows = append(l.Rows, passkeyRow{Passkey: p, Made: v.t.Ago(p.CreatedAt), Used: v.t.Ago(p.LastUsedAt),
			Elsewhere: serr == nil && p.Host != at.Host, Copied: !p.CopiedAt.IsZero()})
	}
	return l, nil
}
