package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/safepoint-db/safepoint/internal/halt"
)

func (s *Storefront) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.page)
	mux.HandleFunc("GET /healthz", s.health)
	mux.HandleFunc("POST /safepoint/halt", s.call("safepoint.halt", func(_ context.Context, why halt.Request) error { return s.halt(why) }))
	mux.HandleFunc("POST /safepoint/resume", s.call("safepoint.resume", func(ctx context.Context, _ halt.Request) error { return s.resume(ctx) }))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Cache-Control", "no-store")
		mux.ServeHTTP(w, r)
	})
}

// caller remembers what was called, so that an old call cannot be played again.
type caller struct {
	mu     sync.Mutex
	newest int64           // the latest timestamp, in seconds, of a call that was carried out
	seen   map[string]bool // IDs of the calls of that second
	last   string          // the ID of the last one
}

// call answers a signed call of one type with 204 once act has done it. The signature and the age of the call are
// checked; a call that is older than one carried out already is refused. The same call again is carried out again, which
// changes nothing, unless another came in between.
func (s *Storefront) call(kind string, act func(context.Context, halt.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 64<<10))
		if err != nil {
			http.Error(w, "The message is too large.", http.StatusRequestEntityTooLarge)
			return
		}
		if err := s.verifier.Verify(body, r.Header); err != nil {
			http.Error(w, "The signature is missing, wrong or too old.", http.StatusUnauthorized)
			return
		}
		var message struct {
			Type string       `json:"type"`
			Data halt.Request `json:"data"`
		}
		if err := json.Unmarshal(body, &message); err != nil || message.Type != kind {
			http.Error(w, "This address takes messages of the type "+kind+".", http.StatusBadRequest)
			return
		}
		s.calls.mu.Lock()
		defer s.calls.mu.Unlock()
		if !s.calls.fresh(r.Header) {
			http.Error(w, "This call was carried out before.", http.StatusConflict)
			return
		}
		if err := act(r.Context(), message.Data); err != nil {
			http.Error(w, "It could not be done.", http.StatusInternalServerError)
			return
		}
		s.calls.done(r.Header)
		w.WriteHeader(http.StatusNoContent)
	}
}

// fresh says whether a call is newer than those carried out, or is the last of them again. c.mu is held.
func (c *caller) fresh(h http.Header) bool {
	at, err := strconv.ParseInt(h.Get(standardwebhooks.HeaderWebhookTimestamp), 10, 64)
	id := h.Get(standardwebhooks.HeaderWebhookID)
	return err == nil && (at > c.newest || at == c.newest && (id == c.last || !c.seen[id]))
}

// done remembers a call that was carried out. c.mu is held.
func (c *caller) done(h http.Header) {
	at, _ := strconv.ParseInt(h.Get(standardwebhooks.HeaderWebhookTimestamp), 10, 64)
	if at > c.newest || c.seen == nil {
		c.newest, c.seen = at, map[string]bool{}
	}
	c.last = h.Get(standardwebhooks.HeaderWebhookID)
	c.seen[c.last] = true
}

func (s *Storefront) health(w http.ResponseWriter, r *http.Request) {
	status, total, last := s.condition()
	w.Header().Set("Content-Type", "application/json")
	switch status.Condition {
	case halt.Halted:
		w.WriteHeader(http.StatusServiceUnavailable)
	case halt.Failing:
		w.WriteHeader(http.StatusInternalServerError)
	}
	json.NewEncoder(w).Encode(struct {
		Condition halt.Condition `json:"condition"`
		Detail    string         `json:"detail"`
		Orders    int64          `json:"orders_saved"`
		Last      string         `json:"last_order"`
	}{status.Condition, status.Detail, total, last})
}

// totals is what the page shows.
type totals struct {
	Shop          string
	Orders, Today int
	Revenue       string
	Latest        []latest
	Halted        bool
	Name, Until   string
}

type latest struct{ Number, Customer, City, Amount, At string }

func (s *Storefront) page(w http.ResponseWriter, r *http.Request) {
	t, retry, err := s.totals(r.Context())
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	switch {
	case err != nil:
		w.WriteHeader(http.StatusInternalServerError)
		pageTemplate.ExecuteTemplate(w, "error", t)
	case t.Halted:
		w.Header().Set("Retry-After", strconv.Itoa(retry))
		w.WriteHeader(http.StatusServiceUnavailable)
		pageTemplate.ExecuteTemplate(w, "halted", t)
	default:
		pageTemplate.ExecuteTemplate(w, "shop", t)
	}
}

// totals reads the shop, or says that it is halted and after how many seconds to try again.
func (s *Storefront) totals(ctx context.Context) (t totals, retry int, err error) {
	s.use.RLock()
	defer s.use.RUnlock()
	t.Shop = ShopName
	if s.db == nil {
		if s.halted == nil {
			return t, 0, errors.New("the storefront has ended")
		}
		t.Halted, t.Name, retry = true, s.halted.OrganizationName, 10
		if t.Name == "" {
			t.Name = ShopName
		}
		if until, err := time.Parse(time.RFC3339, s.halted.Until); err == nil {
			t.Until = until.Local().Format("15:04 MST")
			retry = max(5, int(time.Until(until).Seconds())+1)
		}
		return t, retry, nil
	}
	var cents int64
	err = s.db.QueryRowContext(ctx, `SELECT (SELECT count(*) FROM orders), count(*), coalesce(sum(total_cents), 0) FROM orders WHERE placed_at >= date('now')`).
		Scan(&t.Orders, &t.Today, &cents)
	if err != nil {
		return t, 0, err
	}
	t.Revenue = euros(cents)
	rows, err := s.db.QueryContext(ctx, `SELECT o.number, c.name, c.city, o.total_cents, substr(o.placed_at, 12) FROM orders o JOIN customers c ON c.id = o.customer_id ORDER BY o.id DESC LIMIT 8`)
	if err != nil {
		return t, 0, err
	}
	defer rows.Close()
	for rows.Next() {
		var l latest
		var cents int64
		if err := rows.Scan(&l.Number, &l.Customer, &l.City, &cents, &l.At); err != nil {
			return t, 0, err
		}
		l.Amount = euros(cents)
		t.Latest = append(t.Latest, l)
	}
	return t, 0, rows.Err()
}

func euros(cents int64) string { return fmt.Sprintf("€ %d.%02d", cents/100, cents%100) }

var pageTemplate = template.Must(template.New("").Parse(`
{{define "head"}}<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta http-equiv="refresh" content="2"><title>{{.Shop}}</title>
<style>body{font:16px/1.5 system-ui,sans-serif;max-width:42rem;margin:3rem auto;padding:0 1rem;color:#1f2328;background:#fffdf9}
h1{font-size:1.6rem}dl{display:flex;gap:2.5rem}dt{color:#59636e}dd{margin:0;font-size:1.5rem}
table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:.3rem .6rem .3rem 0;border-bottom:1px solid #e5e0d8}</style>
<main><h1>{{.Shop}}</h1>{{end}}
{{define "shop"}}{{template "head" .}}
<dl><div><dt>Orders</dt><dd>{{.Orders}}</dd></div><div><dt>Today</dt><dd>{{.Today}}</dd></div><div><dt>Sold today</dt><dd>{{.Revenue}}</dd></div></dl>
<table><thead><tr><th>Order</th><th>Customer</th><th>City</th><th>Amount</th><th>Time (UTC)</th></tr></thead>
<tbody>{{range .Latest}}<tr><td>{{.Number}}</td><td>{{.Customer}}</td><td>{{.City}}</td><td>{{.Amount}}</td><td>{{.At}}</td></tr>{{end}}</tbody></table></main></html>{{end}}
{{define "halted"}}{{template "head" .}}
<p><strong>Back soon.</strong> {{.Name}} is being restored from a backup and should be here again {{with .Until}}at about {{.}}{{else}}shortly{{end}}. Changes made just before may be missing then.</p></main></html>{{end}}
{{define "error"}}{{template "head" .}}
<p>The shop cannot be read at the moment. Please try again.</p></main></html>{{end}}
`))
