package web

import "html/template"

// question is a dialog that asks one thing: what happens, and a button that says it.
type question struct {
	F            *form
	Title        string
	Warn         string          // said first
	Body         []template.HTML // paragraphs, each of whole sentences, with the name in bold: v.t.HTML("**{name}** …", "name", properName(name))
	Button       string
	Danger       bool
	Action, Back string
	Stay         string // the other button; "" is Cancel
	Confirm      string // what must be typed, "" for nothing
	Hidden       map[string]string
	Page         bool // the answer is a page, also where the question was a dialog
}

func (v *visit) ask(tab string, q question) *page {
	if q.F == nil {
		q.F = newForm()
	}
	if q.Stay == "" {
		q.Stay = v.t.Say("Cancel")
	}
	return &page{Name: "question", Title: q.Title, Tab: tab, Data: q}
}

// monoName is a name that a browser must not translate, in the face of file names and identifiers.
func monoName(s string) template.HTML {
	return template.HTML(`<span class="mono" translate="no">` + template.HTMLEscapeString(s) + `</span>`)
}
