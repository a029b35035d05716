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
// password must have been entered lately.
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
	F    *form
	Next string
	Keys bool // it is about who can open backups, not about a download
}

func showStepUp(v *visit) (reply, error) {
	return v.stepUp(newForm(), v.r.URL.Query().Get("next")), nil
}

func (v *visit) stepUp(f *form, to string) *page {
	return &page{Name: "stepup", Title: v.t.Say("Enter your password again"), Tab: "logs", Data: stepUpView{F: f, Next: next(to), Keys: next(to) == encryptionPath}}
}

func doStepUp(v *visit) (reply, error) {
	to := next(v.r.PostFormValue("next"))
	if err := v.app.Reenter(v.ctx, v.actor, v.session, v.r.PostFormValue("password")); err != nil {
		f := v.posted("password")
		return f.wrongPassword(v.stepUp(f, to), "password", err)
	}
	return redirect(to), nil
}
