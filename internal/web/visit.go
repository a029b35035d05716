package web

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/app"
	"github.com/safepoint-db/safepoint/internal/language"
)

// visit is one request: who asks, in which organization, and what every page shows around its content.
type visit struct {
	s       *server
	w       http.ResponseWriter
	r       *http.Request
	ctx     context.Context
	app     App
	t       locale
	session string
	kept    bool // the page shows what was typed before the session ended

	actor   safepoint.Actor // zero for nobody
	org     safepoint.Organization
	state   safepoint.OrganizationState
	running []safepoint.Operation
	notices app.NoticeList
	orgs    []safepoint.Membership
}

// anonymous is a visit of nobody.
func (s *server) anonymous(w http.ResponseWriter, r *http.Request) *visit {
	return &visit{s: s, w: w, r: r, ctx: r.Context(), app: s.App, t: locale{Language: s.speak(r), now: s.Now(), loc: time.UTC}, session: sessionOf(r)}
}

// speak is the language of an answer: the first wanted that there is, else what suits the browser.
func (s *server) speak(r *http.Request, wanted ...string) *language.Language {
	return language.Choose(r.Header.Get("Accept-Language"), append([]string{s.Language}, wanted...)...)
}

// identify finds out who asks. Its error is CodeUnauthorized for nobody.
func (v *visit) identify() error {
	if v.session == "" {
		return safepoint.Errorf(safepoint.CodeUnauthorized, "Sign in to go on.")
	}
	var err error
	if v.actor, err = v.app.Session(v.ctx, v.session, v.ip()); err != nil {
		return err
	}
	v.t.Language, v.t.hours = v.s.speak(v.r, v.actor.Language), v.actor.Hours
	if v.orgs, err = v.app.Memberships(v.ctx, v.actor); err != nil {
		return err
	}
	if v.actor.OrganizationID == "" {
		return nil
	}
	if v.org, err = v.app.Organization(v.ctx, v.actor); err != nil {
		return err
	}
	if loc, err := time.LoadLocation(v.org.TimeZone); err == nil {
		v.t.loc = loc
	}
	v.t.Language = v.s.speak(v.r, v.actor.Language, v.org.Language)
	if v.state, err = v.app.State(v.ctx, v.actor); err != nil {
		return err
	}
	if v.running, err = v.app.Running(v.ctx, v.actor); err != nil {
		return err
	}
	v.notices, err = v.app.Notices(v.ctx, v.actor)
	return err
}

// serve answers a route: who may, the handler, and the one place where errors become pages.
func (s *server) serve(route Route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v := s.anonymous(w, r)
		if r.Method == http.MethodPost && route.Pattern != uploadPath { // an upload has a limit of its own
			r.Body = http.MaxBytesReader(w, r.Body, 1<<20)
		}
		answer, err := v.answer(route)
		if err == nil && answer != nil {
			err = answer.write(v)
		}
		if err != nil {
			s.refuse(v, err)
		}
	})
}

func (v *visit) answer(route Route) (reply, error) {
	if route.Who != Public {
		if err := v.identify(); err != nil {
			return nil, err
		}
		if v.actor.OrganizationID == "" && !strings.HasPrefix(route.Pattern, "/organization") {
			return redirect("/organizations/new"), nil
		}
		if route.Who == Admin && !v.admin() {
			return nil, errNeedsAdmin(v.actor)
		}
	}
	if v.r.Method == http.MethodPost {
		if err := v.r.ParseForm(); err != nil {
			return nil, safepoint.Errorf(safepoint.CodeInvalid, "The form could not be read.").WithCause(err)
		}
	}
	if word := v.r.PostForm.Get("once"); word != "" && len(word) <= 64 && v.session != "" {
		return v.s.sent.once(v.ctx, v.session+" "+v.r.URL.Path+" "+word, v.s.Now(), func() (reply, error) { return route.handle(v) })
	}
	return route.handle(v)
}

func (v *visit) admin() bool    { return v.actor.Role == safepoint.RoleAdmin }
func (v *visit) id() string     { return v.r.PathValue("id") }
func (v *visit) fragment() bool { return v.r.Header.Get("X-Fragment") == "dialog" }
func (v *visit) agent() string  { return v.r.UserAgent() }

// value is an input of the form without surrounding blanks. Passwords are read with FormValue.
func (v *visit) value(name string) string { return strings.TrimSpace(v.r.PostFormValue(name)) }

// proxied says whether the request came through a proxy that is believed.
func (v *visit) proxied() bool {
	host, _, err := net.SplitHostPort(v.r.RemoteAddr)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && v.s.trusts(ip)
}

func (s *server) trusts(ip netip.Addr) bool {
	for _, p := range s.TrustedProxies {
		if p.Contains(ip.Unmap()) {
			return true
		}
	}
	return false
}

// ip is the client's address: behind trusted proxies, the last one they were told that is not theirs.
func (v *visit) ip() string {
	host, _, err := net.SplitHostPort(v.r.RemoteAddr)
	if err != nil {
		host = v.r.RemoteAddr
	}
	if !v.proxied() {
		return host
	}
	hops := strings.Split(strings.Join(v.r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(hops) - 1; i >= 0; i-- {
		ip, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		if err != nil {
			break
		}
		if host = ip.Unmap().String(); !v.s.trusts(ip) {
			break
		}
	}
	return host
}

// secure says whether the browser reached us over HTTPS.
func (v *visit) secure() bool {
	return v.s.Secure || v.r.TLS != nil || v.proxied() && v.r.Header.Get("X-Forwarded-Proto") == "https"
}

// link is an address of the console for use outside it.
func (v *visit) link(path string) string {
	base := strings.TrimSuffix(v.s.BaseURL, "/")
	if base == "" {
		base = "http://" + v.r.Host
		if v.secure() {
			base = "https://" + v.r.Host
		}
	}
	return base + path
}

// next is the page to go to after signing in: a path of the console, never another site.
func next(s string) string {
	u, err := url.Parse(s)
	if err != nil || u.IsAbs() || u.Host != "" || !strings.HasPrefix(u.Path, "/") || strings.HasPrefix(s, "//") || strings.ContainsAny(s, "\\\r\n\t") {
		return "/backups"
	}
	return s
}
