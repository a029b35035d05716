package web

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"embed"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"path"
	"regexp"
	"strings"
	"sync"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/engine"
	"github.com/safepoint-db/safepoint/internal/language"
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
// stream also "dialog" or "live", in <div id="live">.
type page struct {
	Name    string // the template file without ".html"
	Title   string // what the tab says
	State   string // leads the title: "70%", "1 failing"
	Icon    string // the icon's dot: "", "run", "bad" or "warn"
	Tab     string // the current tab
	Status  int    // 0 means 200
	Data    any
	Live    bool   // a stream follows it
	Busy    bool   // something moves on it: without scripts it reloads itself
	Passkey bool   // it may ask the browser for one
	Say     string // what a screen reader is told when it changes
}

// view is what every template gets; D is the page's own.
type view struct {
	*page
	Actor    safepoint.Actor
	Org      safepoint.Organization
	Orgs     []safepoint.Membership
	Admin    bool
	SignedIn bool
	T        locale
	Activity *activity
	Halted   *halted
	Notice   *noticeBar
	Fragment bool
	Path     string // of the page, with its query
	Done     string // what the last action did, in a sentence
	Version  string
	Support  template.HTML // whom to ask for help, "" for nobody
	Guide    *guideNote    // the guide through the first run, until it is done with
	Once     string        // a word of this page's form alone: see repeats
	D        any
}

func (v *visit) view(p *page) view {
	notice := v.noticeBar()
	if notice != nil && p.Icon == "" {
		p.Icon = notice.Look
	}
	return view{
		page: p, Actor: v.actor, Org: v.org, Orgs: v.orgs, Admin: v.admin(), SignedIn: v.actor.UserID != "",
		T: v.t, Activity: v.activity(), Halted: v.halted(), Notice: notice, Guide: v.guideNote(p), Fragment: v.fragment(),
		Path: v.r.URL.RequestURI(), Done: v.done(), Version: v.s.Version, Support: supportContact(v.s.Support), Once: rand.Text(), D: p.Data,
	}
}

// done are the sentences a redirect may leave on the next page: the address carries the word, never the text.
var done = map[string]string{
	"saved":             language.Mark("Your changes are saved."),
	"connected":         language.Mark("The database is connected."),
	"scheduled":         language.Mark("The schedule is created."),
	"organization":      language.Mark("The organization is created, and you work in it now."),
	"service":           language.Mark("The service is added. Restores halt it from now on."),
	"removed":           language.Mark("Removed."),
	"deleted":           language.Mark("The backup was deleted."),
	"password":          language.Mark("Your password is changed. Other sessions were signed out."),
	"signed-out":        language.Mark("That browser is signed out."),
	"signed-out-others": language.Mark("All other browsers are signed out."),
	"guided":            language.Mark("The guide is put away. You find everything under the tabs."),
	"revoked":           language.Mark("The token no longer works."),
	"passkey-added":     language.Mark("The passkey is added. You can sign in with it from now on."),
	"passkey-removed":   language.Mark("The passkey is removed. Delete it on your device too."),
	"resumed":           language.Mark("The service is running again."),
	"enabled":           language.Mark("The schedule is enabled."),
	"disabled":          language.Mark("The schedule is disabled. Existing backups are kept."),
	"dismissed":         language.Mark("The notice is dismissed for everybody. It is listed below, with your name."),
	"cancelled":         language.Mark("Stopping. The unfinished file is removed."),
	"joined":            language.Mark("The member was added."),
	"proven":            language.Mark("The key is proven. New backups are encrypted for it."),
	"forgotten":         language.Mark("Safepoint keeps no copy of this key any more."),

	"encryption-on":  language.Mark("New backups are encrypted."),
	"encryption-off": language.Mark("New backups are not encrypted."),
}

// done is what the last action did, in a sentence, or "".
func (v *visit) done() string {
	if v.kept {
		return v.t.Say("You are signed in again. What you typed is still here, and not saved yet.")
	}
	sentence, ok := done[v.r.URL.Query().Get("done")]
	if !ok {
		return ""
	}
	return v.t.Say(sentence)
}

func (p *page) write(v *visit) error {
	v.restoreKept(p)
	v.showAccount()
	parts := []string{"top", p.Name + "/content", "bottom"}
	if v.fragment() && hasDialog(v.t.Language, p.Name) {
		parts = []string{p.Name + "/dialog"}
	}
	text := newBuffer()
	defer buffers.Put(text)
	if err := render(text, v.t.Language, v.view(p), parts...); err != nil {
		return err
	}
	b := text.Bytes()
	v.w.Header().Set("Content-Type", "text/html; charset=utf-8")
	v.w.Header().Set("Vary", "X-Fragment, Cookie, Accept-Encoding, Accept-Language, Sec-Fetch-Site")
	answer, compressed := packed{plain: b}, v.mayCompress()
	if compressed {
		answer = pack(b, forPages)
	}
	v.send(answer, cmp.Or(p.Status, http.StatusOK), compressed)
	return nil
}

func hasDialog(l *language.Language, page string) bool {
	t, err := templatesIn(l)
	return err == nil && t.Lookup(page+"/dialog") != nil
}

// render executes templates one after another to the end, into b, before anything is sent.
func render(b *bytes.Buffer, l *language.Language, data any, names ...string) error {
	t, err := templatesIn(l)
	for _, name := range names {
		if err == nil {
			err = t.ExecuteTemplate(b, name, data)
		}
	}
	return err
}

// buffers are used for one page after another: a long list is more than a hundred thousand bytes.
var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// newBuffer is an empty one of buffers. Whoever puts it back keeps none of its bytes.
func newBuffer() *bytes.Buffer {
	b := buffers.Get().(*bytes.Buffer)
	b.Reset()
	return b
}

// embedded are the static files, which are the same for every console of the process.
var embedded = sync.OnceValues(loadAssets)

// spoken are the templates by the tag of the language they are in, parsed when they are first asked for.
var spoken sync.Map

// templatesIn are the templates in a language.
func templatesIn(l *language.Language) (*template.Template, error) {
	parse, _ := spoken.LoadOrStore(l.Tag, sync.OnceValues(func() (*template.Template, error) {
		a, err := embedded()
		if err != nil {
			return nil, fmt.Errorf("load assets: %w", err)
		}
		t, err := loadTemplates(a, l)
		if err != nil {
			return nil, fmt.Errorf("load templates: %w", err)
		}
		return t, nil
	}))
	return parse.(func() (*template.Template, error))()
}

// loadTemplates parses the templates of all pages into one set, with the shared ones. What the file of a page defines,
// such as "content" of logs.html, is called "logs/content" there, so that each page can have its own.
func loadTemplates(a assets, l *language.Language) (*template.Template, error) {
	set, err := template.New("").Option("missingkey=error").Funcs(funcs(a, l)).ParseFS(templateFS, "templates/shared/*.html")
	if err != nil {
		return nil, err
	}
	files, err := fs.Glob(templateFS, "templates/*.html")
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		text, err := templateFS.ReadFile(file)
		if err != nil {
			return nil, err
		}
		page := strings.TrimSuffix(path.Base(file), ".html")
		if _, err := set.New(page + "/").Parse(ownNames(page, string(text))); err != nil {
			return nil, err
		}
	}
	return set, nil
}

var defined, called = regexp.MustCompile(`(\{\{-?\s*define\s+")([^"]+)`), regexp.MustCompile(`(\{\{-?\s*template\s+")([^"]+)`)

// ownNames puts the page's name before those of the templates that its file defines.
func ownNames(page, text string) string {
	own := map[string]bool{}
	for _, found := range defined.FindAllStringSubmatch(text, -1) {
		own[found[2]] = true
	}
	text = defined.ReplaceAllString(text, "${1}"+page+"/${2}")
	return called.ReplaceAllStringFunc(text, func(call string) string {
		found := called.FindStringSubmatch(call)
		if own[found[2]] {
			return found[1] + page + "/" + found[2]
		}
		return call
	})
}

func funcs(a assets, l *language.Language) template.FuncMap {
	return template.FuncMap{
		"t": l.HTML, "tn": l.CountHTML, "say": l.Say, "name": properName, "mono": monoName, "icon": icon,
		"num": l.Number, "size": l.Size, "bytes": l.Bytes, "about": l.About, "every": locale{Language: l}.every,
		"message": worder(l.Message), "hint": worder(l.Hint),
		"asset": a.url, "input": newInput, "languages": newLanguages, "keyinput": newKeyInput, "initials": initials, "shortkey": safepoint.ShortKey, "add": func(a, b int) int { return a + b },
	}
}

// icon shows a symbol of icons.html, for the template "i". A row of DB Logs has seven, and a name that a template puts into an
// address by itself takes twice as long.
func icon(name string) template.HTML {
	return template.HTML(`<svg class="i" aria-hidden="true"><use href="#i-` + template.HTMLEscapeString(name) + `"/></svg>`)
}

// properName is a name that a browser must not translate.
func properName(s string) template.HTML {
	return template.HTML(`<span translate="no">` + template.HTMLEscapeString(s) + `</span>`)
}

// worder says one part of what went wrong: of an error, of the record of one, or of a finding.
func worder(say func(*safepoint.Error) string) func(any) (string, error) {
	return func(problem any) (string, error) {
		switch p := problem.(type) {
		case *safepoint.Error:
			return say(p), nil
		case *safepoint.Failure:
			return say(p.Failed()), nil
		case engine.Finding:
			return say(p.Failed()), nil
		}
		return "", fmt.Errorf("%T says nothing about what went wrong", problem)
	}
}
