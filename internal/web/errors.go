package web

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/safepoint-db/safepoint"
)

var errCrossOrigin = safepoint.Errorf(safepoint.CodeForbidden, "This request came from another site. Nothing was done.").
	WithHint("Open the console itself and try there.")

func errNeedsAdmin(a safepoint.Actor) error {
	return safepoint.Errorf(safepoint.CodeForbidden, "This needs an Organization Admin. You are signed in as %s, a Viewer.", a.UserName)
}

// statuses turns a code into an HTTP status: the console's one table.
var statuses = map[safepoint.Code]int{
	safepoint.CodeInvalid: 422, safepoint.CodeUnauthorized: 401, safepoint.CodeForbidden: 403, safepoint.CodeNotFound: 404,
	safepoint.CodeConflict: 409, safepoint.CodeStepUp: 403, safepoint.CodeTooMany: 429, safepoint.CodeInternal: 500,
}

func status(err error) int {
	if n, ok := statuses[safepoint.ErrorCode(err)]; ok {
		return n
	}
	return http.StatusUnprocessableEntity // something outside said no: a database, a disk, a service
}

type problem struct {
	Title, Message, Hint, Reference string
	Status                          int
	Back                            string // where to go on
	Link, LinkText                  string // to what it was about, "" for none
}

// refuse renders an error. Whoever is not signed in is asked to, and comes back to the page.
func (s *server) refuse(v *visit, err error) {
	code := safepoint.ErrorCode(err)
	if errors.Is(err, context.Canceled) && v.ctx.Err() != nil {
		return // the browser went away
	}
	if code == safepoint.CodeUnauthorized {
		v.askToSignIn()
		return
	}
	user := safepoint.UserError(err)
	p := problem{Message: v.t.Message(user), Hint: v.t.Hint(user), Status: status(err), Back: "/backups"}
	switch p.Status {
	case http.StatusForbidden:
		p.Title = v.t.Say("You may not do this")
	case http.StatusNotFound:
		p.Title, p.Message = v.t.Say("Not found"), cmp.Or(p.Message, v.t.Say("There is no such page."))
		p.Hint = cmp.Or(p.Hint, v.t.Say("It may have been deleted: see the audit log."))
	case http.StatusConflict:
		p.Title = v.t.Say("This cannot be done now")
	case http.StatusTooManyRequests:
		p.Title = v.t.Say("Too many tries")
	case http.StatusInternalServerError:
		p.Reference = safepoint.NewID("e")
		p.Title, p.Hint = v.t.Say("Something broke on our side"), ""
		p.Message = v.t.Say("Reference {reference}. Backups go on as planned.", "reference", p.Reference)
		s.Log.Error("page failed", "reference", p.Reference, "method", v.r.Method, "path", v.r.URL.Path, "error", err)
	default:
		p.Title = v.t.Say("This did not work")
	}
	if code.ForOperator() {
		s.Log.Warn("page did not work", "method", v.r.Method, "path", v.r.URL.Path, "error", err)
	}
	if p.Status != http.StatusNotFound && p.Status != http.StatusInternalServerError {
		p.Link, p.LinkText = wayBack(v.t, v.r.URL.Path)
	}
	answer := &page{Name: "problem", Title: p.Title, Status: p.Status, Data: p}
	if err := answer.write(v); err != nil {
		s.Log.Error("page failed", "path", v.r.URL.Path, "error", err)
		http.Error(v.w, p.Title, p.Status)
	}
}

// wayBack leads from an address at which something could not be done to the page of what it was about.
func wayBack(c locale, path string) (link, text string) {
	parts := strings.Split(path, "/") // "", what, which, and what was to be done
	if len(parts) < 4 || parts[2] == "upload" {
		return "", ""
	}
	link = "/" + parts[1] + "/" + parts[2]
	switch {
	case parts[1] == "logs" && parts[3] == "tables.sql":
		return link + "/tables", c.Say("Back to the tables")
	case parts[1] == "logs":
		return link, c.Say("Back to this entry")
	case parts[1] == "restores":
		return link, c.Say("Back to this restore")
	case parts[1] == "backups":
		return link, c.Say("Back to this schedule")
	case parts[1] == "databases":
		return link, c.Say("Back to this database")
	case parts[1] == "services":
		return link, c.Say("Back to this service")
	}
	return "", ""
}

func (v *visit) askToSignIn() {
	v.actor = safepoint.Actor{}
	if v.r.URL.Path == "/events" {
		v.endStream()
		return
	}
	q := url.Values{}
	if v.r.Method == http.MethodGet {
		q.Set("next", v.r.URL.RequestURI())
	}
	if v.session != "" {
		v.keepSession("")
		q.Set("over", "1")
		if page := v.keep(); page != "" {
			q.Set("next", page)
			q.Set("kept", "1")
		}
	}
	to := "/signin"
	if len(q) > 0 {
		to += "?" + q.Encode()
	}
	redirect(to).write(v)
}

func notFound(v *visit) (reply, error) {
	// The tabs stay where somebody is signed in; for nobody the page stands alone.
	if err := v.identify(); err != nil {
		v.actor = safepoint.Actor{}
	}
	return nil, safepoint.Errorf(safepoint.CodeNotFound, "There is no such page.").WithHint("Check the address, or start from DB Backup.")
}
