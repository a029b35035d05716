package app

import (
	"context"
	"crypto/rand"
	"slices"
	"strings"
	"time"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/catalog"
)

const (
	setupLife  = 30 * time.Minute
	touchEvery = time.Minute // how often "last used" of a session or a token is written
	stepUpLife = 5 * time.Minute
)

// SetupNeeded says whether there is no account yet.
func (a *App) SetupNeeded(ctx context.Context) (bool, error) {
	any, err := a.Catalog.AnyUser(ctx)
	return !any, err
}

// NewSetupCode makes the code with which the first admin is made, good once and for 30 minutes. Only its hash is kept:
// the server prints it. An earlier code ends.
func (a *App) NewSetupCode(ctx context.Context) (string, error) {
	text := rand.Text()
	code := strings.Join([]string{text[:5], text[5:10], text[10:15], text[15:20], text[20:]}, "-")
	return code, a.Catalog.SetSetupCode(ctx, setupHash(code), a.Now().Add(setupLife))
}

// setupHash ignores what people add or lose when they type a code.
func setupHash(code string) string {
	return hashSecret(strings.NewReplacer("-", "", " ", "").Replace(strings.ToUpper(strings.TrimSpace(code))))
}

// Setup makes the first admin and the first organization, and signs the admin in. Of two who try at once, one wins.
func (a *App) Setup(ctx context.Context, in Setup, ip, agent string) (session string, err error) {
	if err := a.throttle.try(a.Now(), "setup|"+ip, 10); err != nil {
		return "", err
	}
	code := setupHash(in.Code)
	if err := a.Catalog.CheckSetupCode(ctx, code); err != nil {
		return "", err
	}
	u, err := newUser(in.Email, in.Name, in.Password)
	if err != nil {
		return "", err
	}
	o, err := newOrganization(in.Organization, in.TimeZone)
	if err != nil {
		return "", err
	}
	hash, err := a.hashPassword(ctx, in.Password)
	if err != nil {
		return "", err
	}
	if u, o, err = a.Catalog.Setup(ctx, code, u, hash, o); err != nil {
		return "", err
	}
	a.throttle.passed("setup|" + ip)
	a.audit(ctx, safepoint.Actor{UserID: u.ID, UserName: u.Name, OrganizationID: o.ID, IP: ip, Via: "session"},
		act{action: "setup", object: "organization", id: o.ID, name: o.Name, outcome: done})
	return a.startSession(ctx, u, "", ip, agent)
}

// newUser checks what a person entered for a new account.
func newUser(email, name, password string) (u safepoint.User, err error) {
	if u.Email, err = checkEmail(email); err != nil {
		return u, err
	}
	if u.Name, err = checkName("name", name); err != nil {
		return u, err
	}
	return u, checkNewPassword(password, u.Email, u.Name)
}

// SignIn checks a password and starts a session. A wrong password and an unknown address give one answer, after the
// same time.
func (a *App) SignIn(ctx context.Context, email, password, ip, agent string) (session string, err error) {
	u, err := a.checkSignIn(ctx, email, password, ip)
	if err != nil {
		return "", err
	}
	return a.startSession(ctx, u, "", ip, agent)
}

func (a *App) checkSignIn(ctx context.Context, email, password, ip string) (safepoint.User, error) {
	email = strings.ToLower(strings.TrimSpace(email))
	pair, now := email+"|"+ip, a.Now()
	if err := a.throttle.try(now, "ip|"+ip, 30); err != nil {
		return safepoint.User{}, err
	}
	if err := a.throttle.try(now, pair, 5); err != nil {
		return safepoint.User{}, err
	}
	u, hash, err := a.Catalog.UserByEmail(ctx, email)
	if err != nil && safepoint.ErrorCode(err) != safepoint.CodeNotFound {
		return safepoint.User{}, err
	}
	ok, err := a.checkPassword(ctx, hash, password)
	if err != nil {
		return safepoint.User{}, err
	}
	if !ok {
		a.auditSignIn(ctx, u, email, ip, "password", failed)
		return safepoint.User{}, safepoint.Errorf(safepoint.CodeUnauthorized, "This address and password do not belong together.").
			WithHint("Check both and try again.")
	}
	a.throttle.passed(pair)
	a.throttle.passed("ip|" + ip)
	if isWeak(hash) {
		if stronger, err := a.hashPassword(ctx, password); err == nil {
			if err := a.Catalog.UpgradePassword(ctx, u.ID, hash, stronger); err != nil {
				a.Log.WarnContext(ctx, "password hash was not upgraded", "user", u.ID, "error", err)
			}
		}
	}
	a.auditSignIn(ctx, u, email, ip, "password", done)
	return u, nil
}

// auditSignIn writes a sign-in into the log of each organization of the user, so that its admins see it; that of
// somebody unknown into none's.
func (a *App) auditSignIn(ctx context.Context, u safepoint.User, email, ip, how, outcome string) {
	by := safepoint.Actor{UserID: u.ID, UserName: u.Name, IP: ip, Via: "session"}
	if u.ID == "" {
		by.UserName = shorten(email, 100)
	}
	a.auditEverywhere(ctx, u.ID, by, act{action: "signin", object: "user", id: u.ID, name: shorten(email, 100), outcome: outcome, detail: "With a " + how + "."})
}

// auditEverywhere writes an act into the log of each organization of the user whom it is about; of nobody's member into none's.
func (a *App) auditEverywhere(ctx context.Context, userID string, by safepoint.Actor, e act) {
	ms, err := a.Catalog.Memberships(context.WithoutCancel(ctx), userID)
	if err != nil || len(ms) == 0 {
		a.audit(ctx, by, e)
	}
	for _, m := range ms {
		by.OrganizationID = m.Organization.ID
		a.audit(ctx, by, e)
	}
}

// startSession makes a new session: whatever token the browser had before is not used any more. passkeyID is the passkey that
// was used, "" for none: with it the session ends.
func (a *App) startSession(ctx context.Context, u safepoint.User, passkeyID, ip, agent string) (string, error) {
	ms, err := a.Catalog.Memberships(ctx, u.ID)
	if err != nil {
		return "", err
	}
	now := a.Now()
	s := catalog.Session{UserID: u.ID, CreatedAt: now, UsedAt: now, PasswordAt: now, IP: ip, Agent: shorten(agent, 200), PasskeyID: passkeyID}
	if len(ms) > 0 {
		s.OrganizationID = ms[0].Organization.ID
	}
	// An organization may let its sessions rest longer than others: only use finds out that one has ended before.
	if err := a.Catalog.DeleteOldSessions(ctx, now.Add(-max(a.SessionIdle, a.SessionLife)), now.Add(-a.SessionLife)); err != nil {
		return "", err
	}
	token := newSecret()
	s.TokenHash = hashSecret(token)
	return token, a.Catalog.CreateSession(ctx, s)
}

// NewSignInLink makes the secret part of a link that signs a user in once, for the demo.
func (a *App) NewSignInLink(ctx context.Context, userID string, ttl time.Duration) (link string, err error) {
	link = newSecret()
	return link, a.Catalog.CreateLink(ctx, hashSecret(link), catalog.LinkSignIn, userID, a.Now().Add(ttl))
}

// SignInWithLink uses a link of NewSignInLink up and starts a session.
func (a *App) SignInWithLink(ctx context.Context, link, ip, agent string) (session string, err error) {
	u, err := a.Catalog.UseLink(ctx, hashSecret(link), catalog.LinkSignIn)
	if err != nil {
		return "", linkError(err)
	}
	a.auditSignIn(ctx, u, u.Email, ip, "link", done)
	return a.startSession(ctx, u, "", ip, agent)
}

// AcceptInvite uses an invitation up: its user gets the name and password chosen, and a session.
func (a *App) AcceptInvite(ctx context.Context, link, name, password, ip, agent string) (session string, err error) {
	hash := hashSecret(link)
	u, err := a.Catalog.LinkUser(ctx, hash, catalog.LinkInvite)
	if err != nil {
		return "", linkError(err)
	}
	if u, err = acceptedUser(u, name, password); err != nil {
		return "", err
	}
	passwordHash, err := a.hashPassword(ctx, password)
	if err != nil {
		return "", err
	}
	if u, err = a.Catalog.AcceptInvite(ctx, hash, u.Name, passwordHash); err != nil {
		return "", linkError(err)
	}
	a.auditSignIn(ctx, u, u.Email, ip, "invitation", done)
	return a.startSession(ctx, u, "", ip, agent)
}

func acceptedUser(u safepoint.User, name, password string) (safepoint.User, error) {
	checked, err := newUser(u.Email, name, password)
	u.Name = checked.Name
	return u, err
}

func linkError(err error) error {
	if safepoint.ErrorCode(err) == safepoint.CodeNotFound {
		return safepoint.Errorf(safepoint.CodeUnauthorized, "This link was used already, or is too old.").
			WithHint("Ask for a new one, or sign in with your password.")
	}
	return err
}

// SignOut ends a session. One that has ended already is no error.
func (a *App) SignOut(ctx context.Context, session string) error {
	hash := hashSecret(session)
	s, err := a.Catalog.Session(ctx, hash)
	if safepoint.ErrorCode(err) == safepoint.CodeNotFound {
		return nil
	}
	if err != nil {
		return err
	}
	if err := a.Catalog.DeleteSession(ctx, hash); err != nil {
		return err
	}
	u, _, err := a.Catalog.User(ctx, s.UserID)
	if err != nil {
		return err
	}
	a.audit(ctx, safepoint.Actor{UserID: u.ID, UserName: u.Name, OrganizationID: s.OrganizationID, IP: s.IP, Via: "session"},
		act{action: "signout", object: "user", id: u.ID, name: u.Email, outcome: done})
	return nil
}

// Session is who a session's token stands for now, with the role of this moment. CodeUnauthorized if it has ended.
// Actor.OrganizationID is "" for somebody who is in no organization.
func (a *App) Session(ctx context.Context, session, ip string) (safepoint.Actor, error) {
	hash := hashSecret(session)
	s, err := a.Catalog.Session(ctx, hash)
	if safepoint.ErrorCode(err) == safepoint.CodeNotFound {
		return safepoint.Actor{}, safepoint.Errorf(safepoint.CodeUnauthorized, "You are not signed in.").WithHint("Sign in to go on.")
	}
	if err != nil {
		return safepoint.Actor{}, err
	}
	now := a.Now()
	ms, err := a.Catalog.Memberships(ctx, s.UserID)
	if err != nil {
		return safepoint.Actor{}, err
	}
	if over := a.sessionOver(s, ms, now); over > 0 {
		if err := a.Catalog.DeleteSession(ctx, hash); err != nil {
			return safepoint.Actor{}, err
		}
		return safepoint.Actor{}, safepoint.Errorf(safepoint.CodeUnauthorized, "You were signed out after %s.", inSpan(over)).WithHint("Sign in to go on.")
	}
	u, _, err := a.Catalog.User(ctx, s.UserID)
	if err != nil {
		return safepoint.Actor{}, err
	}
	if now.Sub(s.UsedAt) > touchEvery {
		if err := a.unlessFull(ctx, a.Catalog.TouchSession(ctx, hash, now)); err != nil {
			return safepoint.Actor{}, err
		}
	}
	by := actorOf(u, ip, "session", s.PasswordAt)
	placeAmong(&by, ms, s.OrganizationID)
	return by, nil
}

// unlessFull lets a disk without room pass: that the time of a visit is not recorded must keep nobody from looking.
func (a *App) unlessFull(ctx context.Context, err error) error {
	if safepoint.ErrorCode(err) != safepoint.CodeSpace {
		return err
	}
	a.Log.WarnContext(ctx, "when a session or token was last used is not recorded", "error", err)
	return nil
}

func actorOf(u safepoint.User, ip, via string, passwordAt time.Time) safepoint.Actor {
	return safepoint.Actor{UserID: u.ID, UserName: u.Name, Email: u.Email, Display: u.Display, IP: ip, Via: via, SignedInAt: passwordAt}
}

// placeAmong sets an actor's organization and role: the one wanted, or where that membership has ended another of theirs.
func placeAmong(by *safepoint.Actor, ms []safepoint.Membership, wanted string) {
	if len(ms) == 0 {
		return
	}
	i := max(0, slices.IndexFunc(ms, func(m safepoint.Membership) bool { return m.Organization.ID == wanted }))
	by.OrganizationID, by.Role = ms[i].Organization.ID, ms[i].Role
}

// Reenter checks the password of a signed-in user again: the step-up before a download. ReenterWithPasskey does it too.
func (a *App) Reenter(ctx context.Context, by safepoint.Actor, session, password string) error {
	if err := a.authorize(ctx, by, anyone, "signin.again"); err != nil {
		return err
	}
	if err := a.checkOwnPassword(ctx, by, "password", password); err != nil {
		return err
	}
	if err := a.Catalog.ReenterSession(ctx, hashSecret(session), by.UserID, a.Now()); err != nil {
		return err
	}
	a.audit(ctx, by, act{action: "signin.again", object: "user", id: by.UserID, name: by.Email, outcome: done})
	return nil
}

// checkOwnPassword checks the password of a signed-in user; field is where it was entered.
func (a *App) checkOwnPassword(ctx context.Context, by safepoint.Actor, field, password string) error {
	key := by.UserID + "|" + by.IP
	if err := a.throttle.try(a.Now(), key, 5); err != nil {
		return err
	}
	_, hash, err := a.Catalog.User(ctx, by.UserID)
	if err != nil {
		return err
	}
	ok, err := a.checkPassword(ctx, hash, password)
	if err != nil {
		return err
	}
	if !ok {
		a.audit(ctx, by, act{action: "signin.again", object: "user", id: by.UserID, name: by.Email, outcome: failed})
		return safepoint.Invalid(field, "This is not your password.")
	}
	a.throttle.passed(key)
	return nil
}

// ChangePassword stores a new password and ends the user's other sessions and links.
func (a *App) ChangePassword(ctx context.Context, by safepoint.Actor, session, old, new string) error {
	if err := a.authorize(ctx, by, anyone, "password.change"); err != nil {
		return err
	}
	if err := needSession(by); err != nil {
		return err
	}
	if err := a.checkOwnPassword(ctx, by, "old", old); err != nil {
		return err
	}
	if err := checkNewPassword(new, by.Email, by.UserName); err != nil {
		return err
	}
	if new == old {
		return safepoint.Invalid("password", "This is the password you have already.")
	}
	hash, err := a.hashPassword(ctx, new)
	if err != nil {
		return err
	}
	if err := a.Catalog.SetPassword(ctx, by.UserID, hash, hashSecret(session)); err != nil {
		return err
	}
	a.audit(ctx, by, act{action: "password.change", object: "user", id: by.UserID, name: by.Email, outcome: done})
	return nil
}

// Memberships returns the organizations of the actor: for a token, the token's only.
func (a *App) Memberships(ctx context.Context, by safepoint.Actor) ([]safepoint.Membership, error) {
	if err := a.authorize(ctx, by, anyone, "membership.read"); err != nil {
		return nil, err
	}
	ms, err := a.Catalog.Memberships(ctx, by.UserID)
	if by.Via == "token" {
		ms = slices.DeleteFunc(ms, func(m safepoint.Membership) bool { return m.Organization.ID != by.OrganizationID })
	}
	return ms, err
}

// SwitchOrganization makes a session look at another organization of its user.
func (a *App) SwitchOrganization(ctx context.Context, by safepoint.Actor, session, organizationID string) error {
	if err := a.authorize(ctx, by, anyone, "organization.switch"); err != nil {
		return err
	}
	if _, err := a.Catalog.Member(ctx, organizationID, by.UserID); err != nil {
		return notHere(err, "organization")
	}
	return a.Catalog.SetSessionOrganization(ctx, hashSecret(session), by.UserID, organizationID)
}
