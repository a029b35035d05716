package app

import (
	"cmp"
	"context"
	"crypto/rand"
	"strings"
	"time"

	"github.com/safepoint-db/safepoint"
)

// tokenPrefix lets people and scanners tell a leaked token from any other text.
const tokenPrefix = "sp_"

// loginTokenLife is how long a token made by the command line is good.
const loginTokenLife = 90 * 24 * time.Hour

// Tokens returns the actor's own tokens in the organization, newest first.
func (a *App) Tokens(ctx context.Context, by safepoint.Actor) ([]safepoint.Token, error) {
	if err := a.authorize(ctx, by, viewer, "token.read"); err != nil {
		return nil, err
	}
	return a.Catalog.Tokens(ctx, by.OrganizationID, by.UserID)
}

// CreateToken makes a token that acts as the actor, with the role of the moment, in the actor's organization.
// A zero ttl never ends. The secret is returned this once.
func (a *App) CreateToken(ctx context.Context, by safepoint.Actor, name string, ttl time.Duration) (t safepoint.Token, secret string, err error) {
	if err := a.authorize(ctx, by, viewer, "token.create"); err != nil {
		return t, "", err
	}
	if err := needSession(by); err != nil {
		return t, "", err
	}
	return a.createToken(ctx, by, name, ttl)
}

func (a *App) createToken(ctx context.Context, by safepoint.Actor, name string, ttl time.Duration) (t safepoint.Token, secret string, err error) {
	t = safepoint.Token{OrganizationID: by.OrganizationID, UserID: by.UserID, UserName: by.UserName}
	if t.Name, err = checkName("name", name); err != nil {
		return t, "", err
	}
	switch {
	case ttl < 0:
		return t, "", safepoint.Invalid("ttl", "Choose a time from now on.")
	case ttl > 0:
		t.ExpiresAt = a.Now().UTC().Add(ttl).Truncate(time.Millisecond)
	}
	secret = tokenPrefix + rand.Text()
	if t, err = a.Catalog.CreateToken(ctx, t, hashSecret(secret), by.SignedInAt); err != nil {
		return t, "", err
	}
	a.audit(ctx, by, act{action: "token.create", object: "token", id: t.ID, name: t.Name, outcome: done})
	return t, secret, nil
}

// RevokeToken ends one of the actor's own tokens at once.
func (a *App) RevokeToken(ctx context.Context, by safepoint.Actor, id string) error {
	if err := a.authorize(ctx, by, viewer, "token.revoke"); err != nil {
		return err
	}
	t, err := a.Catalog.RevokeToken(ctx, by.OrganizationID, by.UserID, id)
	if err != nil {
		return err
	}
	a.audit(ctx, by, act{action: "token.revoke", object: "token", id: id, name: t.Name, outcome: done})
	return nil
}

// TokenActor is who a token's secret stands for now. organizationID "" is the token's own; another is CodeNotFound.
// Actor.SignedInAt is when the password was entered to make the token, so that a token just made by signing in may
// download, and an old one may not.
func (a *App) TokenActor(ctx context.Context, secret, organizationID, ip string) (safepoint.Actor, error) {
	refused := safepoint.Errorf(safepoint.CodeUnauthorized, "This API token is unknown, revoked or too old.").WithHint("Make a new one in the console, or run safepoint login.")
	if !strings.HasPrefix(secret, tokenPrefix) {
		return safepoint.Actor{}, refused
	}
	t, passwordAt, err := a.Catalog.TokenBySecret(ctx, hashSecret(secret))
	if safepoint.ErrorCode(err) == safepoint.CodeNotFound {
		return safepoint.Actor{}, refused
	}
	if err != nil {
		return safepoint.Actor{}, err
	}
	now := a.Now()
	if !t.ExpiresAt.IsZero() && !now.Before(t.ExpiresAt) {
		return safepoint.Actor{}, refused
	}
	m, err := a.Catalog.Member(ctx, t.OrganizationID, t.UserID)
	if safepoint.ErrorCode(err) == safepoint.CodeNotFound {
		return safepoint.Actor{}, refused
	}
	if err != nil {
		return safepoint.Actor{}, err
	}
	if organizationID != "" && organizationID != t.OrganizationID {
		return safepoint.Actor{}, safepoint.Errorf(safepoint.CodeNotFound, "This organization is not here.")
	}
	if now.Sub(t.LastUsedAt) > touchEvery {
		if err := a.unlessFull(ctx, a.Catalog.TouchToken(ctx, t.ID, now)); err != nil {
			return safepoint.Actor{}, err
		}
	}
	by := actorOf(m.User, ip, "token", passwordAt)
	by.OrganizationID, by.Role = t.OrganizationID, m.Role
	return by, nil
}

// Login checks a password and makes a token of 90 days for the command line, in the organization of the user's that has
// this name or ID, "" being the first.
func (a *App) Login(ctx context.Context, email, password, organization, tokenName, ip string) (m safepoint.Membership, t safepoint.Token, secret string, err error) {
	u, err := a.checkSignIn(ctx, email, password, ip)
	if err != nil {
		return m, t, "", err
	}
	ms, err := a.Catalog.Memberships(ctx, u.ID)
	if err != nil {
		return m, t, "", err
	}
	by := actorOf(u, ip, "session", a.Now())
	if len(ms) == 0 && organization == "" {
		return m, t, "", a.authorize(ctx, by, viewer, "token.create")
	}
	if m, err = membershipIn(ms, organization); err != nil {
		return m, t, "", err
	}
	by.OrganizationID, by.Role = m.Organization.ID, m.Role
	t, secret, err = a.createToken(ctx, by, cmp.Or(tokenName, "Command line"), loginTokenLife)
	return m, t, secret, err
}

// membershipIn is the one in the organization that has this name or ID, the first where it is "". An ID comes before a
// name; several of the same name are CodeConflict, with their IDs.
func membershipIn(ms []safepoint.Membership, organization string) (m safepoint.Membership, err error) {
	if organization == "" {
		return ms[0], nil
	}
	var ids []string
	for _, x := range ms {
		if x.Organization.ID == organization {
			return x, nil
		}
		if strings.EqualFold(x.Organization.Name, organization) {
			m, ids = x, append(ids, x.Organization.ID)
		}
	}
	switch len(ids) {
	case 0:
		return m, safepoint.Errorf(safepoint.CodeNotFound, "This organization is not here.").
			WithHint("Leave the organization out for your first one. The console lists yours in the menu with your name.")
	case 1:
		return m, nil
	}
	return safepoint.Membership{}, safepoint.Errorf(safepoint.CodeConflict, "You are in %d organizations called %s.", len(ids), organization).
		WithHint("Name it by its ID: %s.", strings.Join(ids, ", "))
}
