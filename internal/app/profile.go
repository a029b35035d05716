package app

import (
	"context"
	"slices"
	"time"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/catalog"
	"github.com/safepoint-db/safepoint/internal/language"
)

// SetDisplay stores how the actor wants to read the console. An empty Hours is "24", an empty Theme "system".
func (a *App) SetDisplay(ctx context.Context, by safepoint.Actor, d safepoint.Display) error {
	if err := a.authorize(ctx, by, anyone, "display.set"); err != nil {
		return err
	}
	if d.Theme == "" {
		d.Theme = "system"
	}
	if d.Hours == "" {
		d.Hours = "24"
	}
	if !slices.Contains([]string{"system", "light", "dark"}, d.Theme) {
		return safepoint.Invalid("theme", "Choose system, light or dark.")
	}
	if d.Hours != "24" && d.Hours != "12" {
		return safepoint.Invalid("hours", "Choose 24 or 12 hours.")
	}
	if err := checkLanguage(d.Language); err != nil {
		return err
	}
	return a.Catalog.SetDisplay(ctx, by.UserID, d)
}

// checkLanguage refuses a tag that the console does not speak. "" chooses none.
func checkLanguage(tag string) error {
	if tag == "" || slices.ContainsFunc(language.All(), func(l *language.Language) bool { return l.Tag == tag }) {
		return nil
	}
	return safepoint.Invalid("language", "The console does not speak %s.", tag)
}

// signInID names a session to its owner: too short a part of its token's hash to be of use to anybody else.
func signInID(s catalog.Session) string { return s.TokenHash[:min(16, len(s.TokenHash))] }

// SignIns returns the actor's sessions that are still good, the one used last first. session is the one that asks.
func (a *App) SignIns(ctx context.Context, by safepoint.Actor, session string) ([]safepoint.SignIn, error) {
	if err := a.authorize(ctx, by, anyone, "signin.read"); err != nil {
		return nil, err
	}
	if err := needSession(by); err != nil {
		return nil, err
	}
	ms, err := a.Catalog.Memberships(ctx, by.UserID)
	if err != nil {
		return nil, err
	}
	all, err := a.Catalog.Sessions(ctx, by.UserID)
	var list []safepoint.SignIn
	for _, s := range all {
		if a.sessionOver(s, ms, a.Now()) > 0 {
			continue
		}
		list = append(list, safepoint.SignIn{ID: signInID(s), CreatedAt: s.CreatedAt, UsedAt: s.UsedAt, IP: s.IP, Agent: s.Agent, This: s.TokenHash == hashSecret(session)})
	}
	return list, err
}

// EndSignIn signs the actor out in one browser.
func (a *App) EndSignIn(ctx context.Context, by safepoint.Actor, id string) error {
	if err := a.authorize(ctx, by, anyone, "signin.end"); err != nil {
		return err
	}
	if err := needSession(by); err != nil {
		return err
	}
	all, err := a.Catalog.Sessions(ctx, by.UserID)
	if err != nil {
		return err
	}
	for _, s := range all {
		if signInID(s) != id {
			continue
		}
		if err := a.Catalog.DeleteSession(ctx, s.TokenHash); err != nil {
			return err
		}
		a.audit(ctx, by, act{action: "signin.end", object: "user", id: by.UserID, name: by.Email, outcome: done, detail: "The one from " + s.IP + "."})
		return nil
	}
	return safepoint.Errorf(safepoint.CodeNotFound, "This session is not here.").WithHint("It may have ended by itself.")
}

// EndOtherSignIns signs the actor out in every browser but the one that asks.
func (a *App) EndOtherSignIns(ctx context.Context, by safepoint.Actor, session string) error {
	if err := a.authorize(ctx, by, anyone, "signin.end"); err != nil {
		return err
	}
	if err := needSession(by); err != nil {
		return err
	}
	n, err := a.Catalog.DeleteOtherSessions(ctx, by.UserID, hashSecret(session))
	if err != nil || n == 0 {
		return err
	}
	a.audit(ctx, by, act{action: "signin.end", object: "user", id: by.UserID, name: by.Email, outcome: done, detail: "All others."})
	return nil
}

// sessionOver says after how long a session has ended, 0 while it is good. The strictest of its user's organizations
// decides how long it may rest.
func (a *App) sessionOver(s catalog.Session, ms []safepoint.Membership, now time.Time) time.Duration {
	idle := time.Duration(0)
	for _, m := range ms {
		of := m.Organization.SessionIdle
		if of == 0 {
			of = a.SessionIdle
		}
		if idle == 0 || of < idle {
			idle = of
		}
	}
	if idle == 0 {
		idle = a.SessionIdle
	}
	switch {
	case now.Sub(s.CreatedAt) > a.SessionLife:
		return a.SessionLife
	case now.Sub(s.UsedAt) > idle:
		return idle
	}
	return 0
}
