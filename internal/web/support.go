package web

import (
	"html/template"
	"net/mail"
	"net/url"
	"strings"
)

// supportContact is whom to ask for help, as a link where it is a mail address or a URL.
func supportContact(contact string) template.HTML {
	contact = strings.TrimSpace(contact)
	text := template.HTMLEscapeString(contact)
	if u, err := url.Parse(contact); err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != "" {
		return template.HTML(`<a href="` + template.HTMLEscapeString(u.String()) + `" rel="noreferrer" translate="no">` + text + `</a>`)
	}
	if a, err := mail.ParseAddress(contact); err == nil && a.Address == contact {
		return template.HTML(`<a href="` + template.HTMLEscapeString((&url.URL{Scheme: "mailto", Opaque: url.PathEscape(contact)}).String()) + `" translate="no">` + text + `</a>`)
	}
	return template.HTML(text)
}
