// Package web is the console's pages: what an organization's admins see and do in a browser.
//
// Every page is HTML from the server and works without scripts; two small ES modules open dialogs in place and keep
// pages live. Everything a page shows or does goes through App: this package decides nothing but words and layout.
package web

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/safepoint-db/safepoint/internal/language"
)

// Config is what the console needs. App is required; everything else has a default.
type Config struct {
	App     App
	Version string       // shown at the foot of Settings
	Log     *slog.Logger // nil means slog.Default()
	// Secure says that browsers reach the console over HTTPS, so cookies are __Host- and Secure. A request that came
	// over TLS, or of which a trusted proxy says so, counts as secure by itself.
	Secure bool
	// BaseURL is how browsers reach the console, such as "https://backup.example.org", for links that leave it
	// (invitations). "" takes the request's own host.
	BaseURL string
	// Support is whom people may ask for help: words, a mail address or a URL. "" names nobody.
	Support string
	// TrustedProxies are the addresses whose X-Forwarded-For and X-Forwarded-Proto are believed.
	TrustedProxies []netip.Prefix
	// Stopping is closed when the server stops: streams end then, so that it can drain. nil never ends them.
	Stopping <-chan struct{}
	// Language is the tag of the one language that everybody is spoken to in. "" means the reader's own.
	Language string
	// Now is the clock. nil means time.Now.
	Now func() time.Time
}

type server struct {
	Config
	assets assets
	mux    *http.ServeMux
	live   *http.ServeMux // the live pages only, to find the one a stream is about
	beat   time.Duration  // between two signs of life on a stream
	sent   repeats
}

// New returns the console. It is mounted at "/" beside the API.
func New(c Config) (http.Handler, error) {
	s, err := newServer(c)
	if err != nil {
		return nil, err
	}
	guard := http.NewCrossOriginProtection()
	if origin := strings.TrimSuffix(c.BaseURL, "/"); origin != "" {
		if err := guard.AddTrustedOrigin(origin); err != nil {
			return nil, fmt.Errorf("base URL %q: %w", c.BaseURL, err)
		}
	}
	guard.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.refuse(s.anonymous(w, r), errCrossOrigin)
	}))
	return secureHeaders(guard.Handler(s.mux)), nil
}

func newServer(c Config) (*server, error) {
	if c.App == nil {
		return nil, fmt.Errorf("web: Config.App is missing")
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	s := &server{Config: c, mux: http.NewServeMux(), live: http.NewServeMux(), beat: 5 * time.Second}
	var err error
	if s.assets, err = embedded(); err != nil {
		return nil, err
	}
	for _, l := range language.All() { // a broken template is found now, in whatever language
		if _, err := templatesIn(l); err != nil {
			return nil, err
		}
	}
	for _, route := range Routes() {
		s.mux.Handle(route.Method+" "+route.Pattern, s.serve(route))
		if route.Live {
			s.live.Handle(route.Method+" "+route.Pattern, liveRoute{route})
		}
	}
	return s, nil
}

// secureHeaders sets what every answer of the console carries.
func secureHeaders(next http.Handler) http.Handler {
	const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
		"form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Permissions-Policy", "camera=(), microphone=(), geolocation=(), payment=(), usb=()")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}
