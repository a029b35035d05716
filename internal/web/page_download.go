package web

import (
	"io"
	"mime"
	"net/http"
	"net/url"
	"time"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/app"
)

// doDownload sends a backup's file, in ranges where the browser asks for them. A backup is all of the data, so the
// password must have been entered, or a passkey used, lately.
func doDownload(v *visit) (reply, error) {
	d, err := v.app.OpenDownloadPart(v.ctx, v.actor, v.id(), app.PartOf(v.r.Method, v.r.Header.Get("Range")))
	if safepoint.ErrorCode(err) == safepoint.CodeStepUp {
		return redirect("/stepup?next=" + url.QueryEscape(v.r.URL.Path)), nil
	}
	if err != nil {
		return nil, err
	}
	defer d.Close()
	// A big file takes longer than any deadline for a page.
	http.NewResponseController(v.w).SetWriteDeadline(time.Time{})
	h := v.w.Header()
	h.Set("Content-Type", "application/octet-stream")
	h.Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": d.Name}))
	if d.SHA256 != "" {
		h.Set("ETag", `"`+d.SHA256+`"`)
	}
	http.ServeContent(v.w, v.r, d.Name, d.ModTime, io.NewSectionReader(d, 0, d.Size()))
	return nil, nil
}

type stepUpView struct {
	F        *form
	Next     string
	About    string // "keys": who can open backups; "passkey": a new one; "": a download
	Back     string // where to go instead
	Passkeys string // the origin at which the person has passkeys, "" for none
}

func showStepUp(v *visit) (reply, error) {
	return v.stepUp(newForm(), v.r.URL.Query().Get("next"))
}

func (v *visit) stepUp(f *form, to string) (*page, error) {
	d := stepUpView{F: f, Next: next(to), Back: "/logs"}
	p := &page{Name: "stepup", Title: v.t.Say("Confirm that it is you"), Tab: "logs"}
	switch d.Next {
	case encryptionPath:
		d.About, d.Back, p.Tab = "keys", encryptionPath, "settings"
	case passkeyNewPath:
		d.About, d.Back, p.Tab = "passkey", "/profile", "profile"
	}
	has, err := v.hasPasskey()
	if has {
		d.Passkeys, p.Passkey = v.passkeyOrigin(), true
	}
	p.Data = d
	return p, err
}

func doStepUp(v *visit) (reply, error) {
	to := next(v.r.PostFormValue("next"))
	var err error
	if v.r.PostForm.Has("passkey") {
		var at app.Site
		if at, err = v.site(); err == nil {
			err = v.app.ReenterWithPasskey(v.ctx, v.actor, v.session, at, []byte(v.r.PostFormValue("passkey")))
		}
	} else {
		err = v.app.Reenter(v.ctx, v.actor, v.session, v.r.PostFormValue("password"))
	}
	if err == nil {
		return redirect(to), nil
	}
	f := v.posted("password", "passkey")
	p, perr := v.stepUp(f, to)
	if perr != nil {
		return nil, perr
	}
	if e := safepoint.UserError(err); e.Field == "passkey" { // which has no input of its own
		f.Problem = e
		p.Status = http.StatusUnprocessableEntity
		return p, nil
	}
	return f.wrongPassword(p, "password", err)
}
