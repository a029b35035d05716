package web

import (
	"cmp"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/language"
)

// form is what a person typed and what was wrong with it.
type form struct {
	Values  url.Values
	Errors  map[string]string // by input
	Problem *safepoint.Error  // what concerns no single input

	words *language.Language // of who posted it; nil means English
}

// newForm starts a form with values: name, value, name, value …
func newForm(pairs ...string) *form {
	f := &form{Values: url.Values{}, Errors: map[string]string{}}
	for i := 0; i+1 < len(pairs); i += 2 {
		f.Values.Set(pairs[i], pairs[i+1])
	}
	return f
}

// posted keeps what was typed. Passwords and other secrets are named in secret and never sent back.
func (v *visit) posted(secret ...string) *form {
	f := &form{Values: url.Values{}, Errors: map[string]string{}, words: v.t.Language}
	for k, vs := range v.r.PostForm {
		f.Values[k] = vs
	}
	for _, k := range secret {
		f.Values.Del(k)
	}
	return f
}

// port is the input "port": 0 for an empty one.
func (v *visit) port() (int, error) {
	p := v.value("port")
	if p == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(p)
	if err != nil || n < 1 || n > 65535 {
		return 0, safepoint.Invalid("port", "Enter a port between 1 and 65535.")
	}
	return n, nil
}

func (f *form) Get(name string) string { return f.Values.Get(name) }

// Is says whether an input has a value, for choices.
func (f *form) Is(name, value string) bool { return f.Values.Get(name) == value }

// Err is the sentence below an input.
func (f *form) Err(name string) string { return f.Errors[name] }

// aliases are inputs that the application calls otherwise.
var aliases = map[string]string{"old": "old_password", "ttl": "days"}

// refused puts err onto the form and answers p again with it; an error no form can show goes on as an error.
func (f *form) refused(p *page, err error) (reply, error) {
	var e *safepoint.Error
	if !errors.As(err, &e) {
		return nil, err
	}
	switch e.Code {
	case safepoint.CodeUnauthorized, safepoint.CodeForbidden, safepoint.CodeNotFound, safepoint.CodeInternal, safepoint.CodeStepUp:
		return nil, err
	}
	if user := safepoint.UserError(err); user.Field == "" {
		f.Problem = user
	} else {
		f.say(cmp.Or(aliases[user.Field], user.Field), user)
	}
	p.Status = status(err)
	return p, nil
}

// refusedAt puts err onto one input of the form, whatever its code, and answers p again with it.
func (f *form) refusedAt(p *page, name string, err error) (reply, error) {
	f.say(name, safepoint.UserError(err))
	p.Status = http.StatusUnprocessableEntity
	return p, nil
}

// say puts the words of an error below an input.
func (f *form) say(name string, e *safepoint.Error) {
	words := cmp.Or(f.words, language.English)
	f.Errors[name] = strings.TrimSpace(words.Message(e) + " " + words.Hint(e))
}

// wrongPassword shows a refused password at its input: there CodeUnauthorized does not mean that nobody is signed in.
func (f *form) wrongPassword(p *page, name string, err error) (reply, error) {
	switch safepoint.ErrorCode(err) {
	case safepoint.CodeUnauthorized, safepoint.CodePassword, safepoint.CodeStepUp:
		return f.refusedAt(p, name, err)
	}
	return f.refused(p, err)
}

// input is one labelled control for the "input" template.
type input struct {
	Name, Label, Type, Value, Error, Hint string
	Autocomplete, Placeholder, Inputmode  string
	Max                                   int
	Required, Optional, Mono, Focus       bool
	WithPasskey                           bool // a script sends it with a passkey
}

// languageInput is a list of languages for the "languages" template.
type languageInput struct {
	F         *form
	Languages []*language.Language
	None      string // the words for choosing none
}

func newLanguages(f *form, all []*language.Language, none string) languageInput {
	return languageInput{f, all, none}
}

// newInput describes an input of f: its name, its label, then options such as "type=email", "max=80", "required".
func newInput(f *form, name, label string, options ...string) input {
	in := input{Name: name, Label: label, Type: "text", Value: f.Get(name), Error: f.Err(name), Autocomplete: "off"}
	for _, o := range options {
		k, v, _ := strings.Cut(o, "=")
		switch k {
		case "type":
			in.Type = v
		case "hint":
			in.Hint = v
		case "auto":
			in.Autocomplete = v
		case "placeholder":
			in.Placeholder = v
		case "mode":
			in.Inputmode = v
		case "max":
			in.Max, _ = strconv.Atoi(v)
		case "required":
			in.Required = true
		case "optional":
			in.Optional = true
		case "mono":
			in.Mono = true
		case "focus":
			in.Focus = true
		case "with-passkey":
			in.WithPasskey = true
		}
	}
	if in.Type == "password" {
		in.Value = ""
	}
	return in
}

// Describes is the input's aria-describedby.
func (in input) Describes() string {
	var ids []string
	if in.Error != "" {
		ids = append(ids, "e-"+in.Name)
	}
	if in.Hint != "" {
		ids = append(ids, "h-"+in.Name)
	}
	return strings.Join(ids, " ")
}
