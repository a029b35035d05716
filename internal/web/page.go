package web

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"sync"

	"github.com/safepoint-db/safepoint"
)

//go:embed templates
var templateFS embed.FS

// reply is what a handler answers with.
type reply interface{ write(*visit) error }

// redirect answers 303.
type redirect string

func (to redirect) write(v *visit) error {
	http.Redirect(v.w, v.r, string(to), http.StatusSeeOther)
	return nil
}

// page answers with a template. A template file defines "content", and where it is a dialog or is followed by a
// stream also "dialog" or "live".
type page struct {
	Name   string // the template file without ".html"
	Title  string // what the tab says
	State  string // leads the title: "70%", "1 failing"
	Icon   string // the icon's dot: "", "run", "bad" or "warn"
	Tab    string // the current tab
	Status int    // 0 means 200
	Data   any
	Live   bool   // a stream follows it
	Busy   bool   // something moves on it: without scripts it reloads itself
	Say    string // what a screen reader is told when it changes
}

// view is what every template gets; D is the page's own.
type view struct {
	*page
	Actor    safepoint.Actor
	Org      safepoint.Organization
	Orgs     []safepoint.Membership
	Admin    bool
	SignedIn bool
	T        clock
	Activity *activity
	Halted   *halted
	Stuck    []string // services that would not resume
	Fragment bool
	Path     string // of the page, with its query
	Done     string // what the last action did, in a sentence
	Version  string
	D        any
}

func (v *visit) view(p *page) view {
	return view{
		page: p, Actor: v.actor, Org: v.org, Orgs: v.orgs, Admin: v.admin(), SignedIn: v.actor.UserID != "",
		T: v.t, Activity: v.activity(), Halted: v.halted(), Stuck: v.state.Attention, Fragment: v.fragment(),
		Path: v.r.URL.RequestURI(), Done: done[v.r.URL.Query().Get("done")], Version: v.s.Version, D: p.Data,
	}
}

// done are the sentences a redirect may leave on the next page: the address carries the word, never the text.
var done = map[string]string{
	"saved":     "Your changes are saved.",
	"created":   "Created.",
	"removed":   "Removed.",
	"deleted":   "The backup was deleted.",
	"password":  "Your password is changed. Other sessions were signed out.",
	"revoked":   "The token no longer works.",
	"resumed":   "The service is running again.",
	"enabled":   "The schedule is enabled.",
	"disabled":  "The schedule is disabled. Existing backups are kept.",
	"cancelled": "Stopping. The unfinished file is removed.",
	"joined":    "The member was added.",
	"proven":    "The key is proven. New backups are encrypted for it.",
	"forgotten": "Safepoint keeps no copy of this key any more.",

	"encryption-on":  "New backups are encrypted.",
	"encryption-off": "New backups are not encrypted.",
}

func (p *page) write(v *visit) error {
	name := "base"
	if v.fragment() && v.s.pages[p.Name].Lookup("dialog") != nil {
		name = "dialog"
	}
	b, err := v.s.render(p.Name, name, v.view(p))
	if err != nil {
		return err
	}
	v.w.Header().Set("Content-Type", "text/html; charset=utf-8")
	v.w.Header().Set("Vary", "X-Fragment, Cookie")
	if p.Status != 0 {
		v.w.WriteHeader(p.Status)
	}
	v.w.Write(b)
	return nil
}

// render executes one template of a page to the end before anything is sent.
func (s *server) render(page, name string, data any) ([]byte, error) {
	var b bytes.Buffer
	if err := s.pages[page].ExecuteTemplate(&b, name, data); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// parsed are the embedded files, which are the same for every console of the process.
var parsed = sync.OnceValues(func() (*parts, error) {
	a, err := loadAssets()
	if err != nil {
		return nil, fmt.Errorf("load assets: %w", err)
	}
	pages, err := loadPages(a)
	if err != nil {
		return nil, fmt.Errorf("load templates: %w", err)
	}
	return &parts{a, pages}, nil
})

type parts struct {
	assets assets
	pages  map[string]*template.Template
}

// loadPages parses each page's templates into a set of its own, with the shared ones.
func loadPages(a assets) (map[string]*template.Template, error) {
	shared, err := template.New("").Option("missingkey=error").Funcs(funcs(a)).ParseFS(templateFS, "templates/shared/*.html")
	if err != nil {
		return nil, err
	}
	files, err := fs.Glob(templateFS, "templates/*.html")
	if err != nil {
		return nil, err
	}
	pages := map[string]*template.Template{}
	for _, f := range files {
		t, err := shared.Clone()
		if err != nil {
			return nil, err
		}
		if pages[strings.TrimSuffix(path.Base(f), ".html")], err = t.ParseFS(templateFS, f); err != nil {
			return nil, err
		}
	}
	return pages, nil
}

func funcs(a assets) template.FuncMap {
	return template.FuncMap{
		"asset": a.url, "size": size, "bytes": exactBytes, "count": count, "num": number, "lasted": lasted, "about": about,
		"input": newInput, "initials": initials, "shortkey": safepoint.ShortKey, "keyinput": newKeyInput, "join": join, "every": every, "add": func(a, b int) int { return a + b },
	}
}
