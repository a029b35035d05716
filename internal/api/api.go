// Package api serves the REST API, version 1: JSON in and out, one method of app behind each route, and an OpenAPI
// 3.1 document generated from the same declarations.
//
// Only bearer tokens are accepted, never the console's cookie: a page of another site cannot make a browser call it.
package api

import (
	"context"
	"encoding/json"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/api/wire"
	"github.com/safepoint-db/safepoint/internal/app"
)

// Prefix is where the API lives.
const Prefix = "/api/v1"

// orgPrefix is where everything that belongs to one organization lives.
const orgPrefix = Prefix + "/organizations/{organization}"

// Config is what the API needs. App is required.
type Config struct {
	App     *app.App
	Log     *slog.Logger // nil discards
	Version string       // of the program; "" means "dev"
}

// API is the API's http.Handler, for everything below Prefix and for /openapi.json. A request's RemoteAddr must be
// the client's own: whoever mounts the API resolves proxies first.
type API struct {
	cfg  Config
	mux  *http.ServeMux
	huma huma.API
	doc  []byte
}

// New declares every route.
func New(cfg Config) *API {
	claimErrors()
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Version == "" {
		cfg.Version = "dev"
	}
	a := &API{cfg: cfg, mux: http.NewServeMux()}
	a.huma = humago.New(a.mux, a.humaConfig())
	a.huma.UseMiddleware(a.authenticate)

	a.accountRoutes()
	a.organizationRoutes()
	a.encryptionRoutes()
	a.stateRoutes()
	a.databaseRoutes()
	a.storageRoutes()
	a.serviceRoutes()
	a.scheduleRoutes()
	a.operationRoutes()
	a.noticeRoutes()
	a.healthRoutes()

	a.document()
	a.mux.HandleFunc("GET /openapi.json", a.serveDocument)
	a.mux.HandleFunc("/", a.serveUnknown)
	return a
}

func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	a.mux.ServeHTTP(w, r)
}

func (a *API) humaConfig() huma.Config {
	c := huma.DefaultConfig("Safepoint", a.cfg.Version)
	c.OpenAPIPath, c.DocsPath, c.SchemasPath = "", "", "" // the document is served by serveDocument
	c.CreateHooks = nil                                   // no "$schema" in answers
	c.Info.Description = description
	c.Info.License = &huma.License{Name: "Apache-2.0", Identifier: "Apache-2.0"}
	c.Servers = []*huma.Server{{URL: "/"}}
	c.RejectUnknownQueryParameters = true
	c.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		"token": {Type: "http", Scheme: "bearer", Description: "An API token (`sp_…`), from `POST /api/v1/login`, the console's profile page or `safepoint login`."},
	}
	c.Security = []map[string][]string{{"token": {}}}
	return c
}

const description = `Back up databases, see every backup and restore in one log, and restore any of them.

Times are RFC 3339 in UTC, sizes are bytes, intervals are ` + "`8h`, `12h`, `24h`, `3d`, `7d`" + `. Every error is
` + "`application/problem+json`" + ` with a stable ` + "`code`" + `. What belongs to another organization is answered with 404.`

// serveUnknown answers everything that no route takes. A known path with another method gets 405 and what it allows.
func (a *API) serveUnknown(w http.ResponseWriter, r *http.Request) {
	p := problemOf(safepoint.Errorf(safepoint.CodeNotFound, "There is nothing at this address.").
		WithHint("GET /openapi.json lists every address."))
	if allowed := a.allowed(r); len(allowed) > 0 {
		w.Header().Set("Allow", strings.Join(allowed, ", "))
		p.Status = http.StatusMethodNotAllowed
		p.Title = r.Method + " is not possible here."
		p.Hint = "Possible: " + strings.Join(allowed, ", ") + "."
	}
	writeProblem(w, p)
}

// allowed are the methods that r's path does have.
func (a *API) allowed(r *http.Request) (methods []string) {
	for _, m := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
		probe := &http.Request{Method: m, URL: r.URL, Host: r.Host}
		if _, pattern := a.mux.Handler(probe); pattern != "/" && pattern != "" {
			methods = append(methods, m)
		}
	}
	return methods
}

func writeProblem(w http.ResponseWriter, p *problem) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(p.Status)
	json.NewEncoder(w).Encode(p.Problem)
}

// authenticate finds out who asks, before anything of the request is read.
func (a *API) authenticate(ctx huma.Context, next func(huma.Context)) {
	if isPublic(ctx.Operation()) {
		next(ctx)
		return
	}
	by, err := a.actor(ctx)
	if err != nil {
		if safepoint.ErrorCode(err) == safepoint.CodeUnauthorized {
			ctx.SetHeader("WWW-Authenticate", `Bearer realm="safepoint"`)
		}
		huma.WriteErr(a.huma, ctx, Status(err), "", a.fail(ctx.Context(), err))
		return
	}
	next(huma.WithValue(ctx, actorKey{}, by))
}

func (a *API) actor(ctx huma.Context) (safepoint.Actor, error) {
	scheme, secret, _ := strings.Cut(ctx.Header("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") || secret == "" {
		return safepoint.Actor{}, safepoint.Errorf(safepoint.CodeUnauthorized, "You are not signed in.").
			WithHint("Send an API token as \"Authorization: Bearer …\"; \"safepoint login\" makes one.")
	}
	return a.cfg.App.TokenActor(ctx.Context(), strings.TrimSpace(secret), ctx.Param("organization"), remoteIP(ctx.RemoteAddr()))
}

type actorKey struct{}

func isPublic(op *huma.Operation) bool { return op.Security != nil && len(op.Security) == 0 }

// remoteIP is the address without its port.
func remoteIP(addr string) string {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return addr
	}
	return host
}

// body is an answer that is one JSON value.
type body[T any] struct{ Body T }

func reply[T any](v T, err error) (*body[T], error) {
	if err != nil {
		return nil, err
	}
	return &body[T]{v}, nil
}

// list is the answer of a list, each item turned into its JSON.
func list[A, B any](items []A, err error, fn func(A) B) (*body[wire.List[B]], error) {
	if err != nil {
		return nil, err
	}
	return &body[wire.List[B]]{wire.List[B]{Items: wire.Map(items, fn)}}, nil
}

// InOrg is the input of every route below an organization. It and its like are exported because huma passes over
// embedded structs whose names are not.
type InOrg struct {
	Organization string `path:"organization" doc:"The organization's ID" example:"org_k3jq7w2mfz5xv4na"`
}

// handle declares one route whose handler knows who asks.
func handle[I, O any](a *API, op huma.Operation, fn func(ctx context.Context, by safepoint.Actor, in *I) (*O, error)) {
	op.Errors = append([]int{http.StatusUnauthorized, http.StatusNotFound}, op.Errors...)
	huma.Register(a.huma, op, func(ctx context.Context, in *I) (*O, error) {
		out, err := fn(ctx, ctx.Value(actorKey{}).(safepoint.Actor), in)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		return out, nil
	})
}

// op describes a route. Its OperationID is its stable name, such as "list-databases".
func op(method, path, id, summary, tag string) huma.Operation {
	return huma.Operation{Method: method, Path: path, OperationID: id, Summary: summary, Tags: []string{tag}}
}

// change describes a route that only admins may use and that can be refused.
func change(method, path, id, summary, tag string) huma.Operation {
	o := op(method, path, id, summary, tag)
	o.Description = "Needs the role admin."
	o.Errors = []int{http.StatusForbidden, http.StatusConflict, http.StatusUnprocessableEntity}
	switch method {
	case http.MethodDelete:
		o.DefaultStatus = http.StatusNoContent
	}
	return o
}

// with returns o with another status of success.
func with(status int, o huma.Operation) huma.Operation {
	o.DefaultStatus = status
	return o
}

// Route is one route of the API.
type Route struct {
	Method, Path string
	ID           string
	Summary      string
	Public       bool // needs no token
}

// Routes lists every route, by path and method.
func (a *API) Routes() []Route {
	var out []Route
	for path, item := range a.huma.OpenAPI().Paths {
		for _, o := range []*huma.Operation{item.Get, item.Post, item.Put, item.Patch, item.Delete} {
			if o != nil {
				out = append(out, Route{Method: o.Method, Path: path, ID: o.OperationID, Summary: o.Summary, Public: isPublic(o)})
			}
		}
	}
	slices.SortFunc(out, func(x, y Route) int {
		return strings.Compare(x.Path+" "+x.Method, y.Path+" "+y.Method)
	})
	return out
}

// document writes the OpenAPI document once: it cannot change any more.
func (a *API) document() {
	doc, err := json.MarshalIndent(a.huma.OpenAPI(), "", "  ")
	if err != nil {
		panic("api: the OpenAPI document cannot be written: " + err.Error())
	}
	a.doc = doc
}

// Document is the OpenAPI 3.1 document, as JSON.
func (a *API) Document() []byte { return a.doc }

func (a *API) serveDocument(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/openapi+json;version=3.1")
	w.Header().Set("Access-Control-Allow-Origin", "*") // it holds nothing that is not public
	w.Write(a.doc)
}
