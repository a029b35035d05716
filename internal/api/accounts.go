package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/api/wire"
)

type loginRequest struct {
	IP   remote
	Body wire.LoginInput
}

// remote resolves to the client's address.
type remote struct{ addr string }

func (r *remote) Resolve(ctx huma.Context) []error {
	r.addr = remoteIP(ctx.RemoteAddr())
	return nil
}

func (a *API) accountRoutes() {
	const tag = "Accounts"
	login := with(http.StatusCreated, op(http.MethodPost, Prefix+"/login", "login", "Make a token with e-mail and password", tag))
	login.Security = []map[string][]string{}
	login.Errors = []int{http.StatusUnauthorized, http.StatusUnprocessableEntity, http.StatusTooManyRequests}
	huma.Register(a.huma, login, func(ctx context.Context, in *loginRequest) (*body[wire.Login], error) {
		b := in.Body
		m, t, secret, err := a.cfg.App.Login(ctx, b.Email, b.Password, b.Organization, b.TokenName, in.IP.addr)
		if err != nil {
			return nil, a.fail(ctx, err)
		}
		return reply(wire.Login{Token: wire.FromToken(t), Secret: secret, Organization: wire.FromOrganization(m.Organization, m.Role)}, nil)
	})

	handle(a, op(http.MethodGet, Prefix+"/me", "get-me", "Who you are", tag),
		func(ctx context.Context, by safepoint.Actor, _ *struct{}) (*body[wire.Me], error) {
			o, err := a.cfg.App.Organization(ctx, by)
			return reply(wire.Me{UserID: by.UserID, Email: by.Email, Name: by.UserName, Organization: wire.FromOrganization(o, by.Role)}, err)
		})

	handle(a, op(http.MethodGet, Prefix+"/organizations", "list-organizations", "Your organizations", tag),
		func(ctx context.Context, by safepoint.Actor, _ *struct{}) (*body[wire.List[wire.Organization]], error) {
			ms, err := a.cfg.App.Memberships(ctx, by)
			return list(ms, err, func(m safepoint.Membership) wire.Organization {
				return wire.FromOrganization(m.Organization, m.Role)
			})
		})

	a.tokenRoutes(tag)
}

func (a *API) tokenRoutes(tag string) {
	handle(a, op(http.MethodGet, orgPrefix+"/tokens", "list-tokens", "Your API tokens", tag),
		func(ctx context.Context, by safepoint.Actor, _ *InOrg) (*body[wire.List[wire.Token]], error) {
			ts, err := a.cfg.App.Tokens(ctx, by)
			return list(ts, err, wire.FromToken)
		})

	type tokenRequest struct {
		InOrg
		Token string `path:"token" example:"tok_k3jq7w2mfz5xv4na"`
	}
	handle(a, with(http.StatusNoContent, op(http.MethodDelete, orgPrefix+"/tokens/{token}", "revoke-token", "Revoke one of your API tokens", tag)),
		func(ctx context.Context, by safepoint.Actor, in *tokenRequest) (*struct{}, error) {
			return nil, a.cfg.App.RevokeToken(ctx, by, in.Token)
		})
}
