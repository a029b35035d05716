package gate

import (
	"context"
	"encoding/json"
	"html/template"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// maxHeld is how many requests wait at once for the end of a halt (Config.Hold); further ones are answered with 503.
const maxHeld = 1000

// Middleware lets requests through to next and counts them until next returns, and answers them by itself while the
// gate is closed. Health checks of a load balancer that shall go on to see the application belong outside of it.
func (g *Gate) Middleware(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		working, leave := g.admit(r.Context())
		if leave == nil {
			g.refuse(w, r)
			return
		}
		defer leave()
		next.ServeHTTP(w, r.WithContext(working))
	})
}

// admit is Enter that waits no longer than Config.Hold, and not with too many others; leave is nil if the gate stayed closed.
func (g *Gate) admit(ctx context.Context) (working context.Context, leave func()) {
	waiting, cancel := context.WithTimeout(ctx, g.cfg.Hold)
	defer cancel()
	held := false
	working, leave, _ = g.enter(waiting, ctx, func() bool {
		if !held && g.cfg.Hold > 0 && g.held < maxHeld {
			g.held++
			held = true
		}
		return held
	})
	if held {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.held--
	}
	return working, leave
}

// refuse answers a request during a halt.
func (g *Gate) refuse(w http.ResponseWriter, r *http.Request) {
	s := g.State()
	retry := g.cfg.RetryAfter
	if left := s.Until.Sub(g.cfg.Now()); !s.Until.IsZero() && left > 0 {
		retry = left
	}
	seconds := int((retry + time.Second - 1) / time.Second)
	w.Header().Set("Retry-After", strconv.Itoa(seconds))
	w.Header().Set("Cache-Control", "no-store")
	if g.cfg.Page != nil {
		g.cfg.Page(w, r, s)
		return
	}
	accept := r.Header.Get("Accept")
	switch {
	case strings.Contains(accept, "text/html"):
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
		w.WriteHeader(http.StatusServiceUnavailable)
		// A form that was sent must be sent again by its user, so only pages that were asked for come back by themselves.
		page.Execute(w, map[string]any{"Reason": s.Reason, "Seconds": seconds, "Reload": r.Method == http.MethodGet})
	case strings.Contains(accept, "json"):
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusServiceUnavailable)
		json.NewEncoder(w).Encode(map[string]any{"error": "halted", "message": "Back in a moment.", "reason": s.Reason, "retry_after_seconds": seconds})
	default:
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.WriteHeader(http.StatusServiceUnavailable)
		io.WriteString(w, "Back in a moment. "+s.Reason+"\n")
	}
}

var page = template.Must(template.New("page").Parse(`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>Back in a moment</title>
{{if .Reload}}<meta http-equiv="refresh" content="{{.Seconds}}">{{end}}<style>
body{margin:0;min-height:100vh;display:grid;place-items:center;font:1rem/1.5 system-ui,sans-serif;background:#f6f7f9;color:#1c2230}
main{padding:2rem;max-width:32rem}h1{font-size:1.5rem;margin:0 0 .5rem}p{margin:.25rem 0}
@media (prefers-color-scheme:dark){body{background:#14181f;color:#e8ebf0}}
</style></head><body><main><h1>Back in a moment</h1><p>This page is being looked after and will be back shortly.</p>{{with .Reason}}<p>{{.}}</p>{{end}}</main></body></html>
`))
