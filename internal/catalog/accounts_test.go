package catalog

import (
	"sync"
	"testing"
	"time"

	"github.com/safepoint-db/safepoint"
)

func (f *fixture) user(email, hash string) safepoint.User {
	f.t.Helper()
	u, err := f.CreateUser(f.ctx, safepoint.User{Email: email, Name: email}, hash)
	f.ok(err)
	return u
}

func TestSetupHasOneWinner(t *testing.T) {
	f := newFixture(t)
	f.ok(f.SetSetupCode(f.ctx, "code", f.now.Add(30*time.Minute)))
	setup := func(code, email string) error {
		_, _, err := f.Setup(f.ctx, code, safepoint.User{Email: email, Name: email}, "hash", safepoint.Organization{Name: email, TimeZone: "UTC"})
		return err
	}
	f.refused(setup("other", "x@example.org"), safepoint.CodeForbidden, "wrong")
	f.now = f.now.Add(31 * time.Minute)
	f.refused(setup("code", "x@example.org"), safepoint.CodeForbidden, "30 minutes")
	f.ok(f.SetSetupCode(f.ctx, "code", f.now.Add(30*time.Minute)))

	var wg sync.WaitGroup
	errs := make([]error, 8)
	for i := range errs {
		wg.Go(func() { errs[i] = setup("code", string(rune('a'+i))+"@example.org") })
	}
	wg.Wait()
	won := 0
	for _, err := range errs {
		if err == nil {
			won++
		} else {
			f.refused(err, safepoint.CodeConflict, "set up already")
		}
	}
	var users, members int
	f.ok(f.db.QueryRow(`SELECT (SELECT count(*) FROM users), (SELECT count(*) FROM members)`).Scan(&users, &members))
	// The two organizations of the fixture have no member, as recovered ones: who wins becomes admin of both.
	if won != 1 || users != 1 || members != 2 {
		t.Errorf("%d won, %d users, %d members", won, users, members)
	}
}

func TestLastAdminStays(t *testing.T) {
	f := newFixture(t)
	ines, tomas, invited := f.user("ines@example.org", "h"), f.user("tomas@example.org", "h"), f.user("new@example.org", "")
	for u, role := range map[string]safepoint.Role{ines.ID: safepoint.RoleAdmin, tomas.ID: safepoint.RoleViewer, invited.ID: safepoint.RoleAdmin} {
		_, err := f.AddMember(f.ctx, "org_a", u, role)
		f.ok(err)
	}
	_, err := f.AddMember(f.ctx, "org_a", tomas.ID, safepoint.RoleAdmin)
	f.refused(err, safepoint.CodeInvalid, "already")
	f.refused(f.SetRole(f.ctx, "org_a", ines.ID, safepoint.RoleViewer), safepoint.CodeConflict, "at least one admin")
	f.refused(f.RemoveMember(f.ctx, "org_a", ines.ID), safepoint.CodeConflict, "at least one admin")
	f.refused(f.SetRole(f.ctx, "org_b", ines.ID, safepoint.RoleAdmin), safepoint.CodeNotFound, "member")
	f.ok(f.SetRole(f.ctx, "org_a", tomas.ID, safepoint.RoleAdmin))
	tok, err := f.CreateToken(f.ctx, safepoint.Token{OrganizationID: "org_a", UserID: ines.ID, Name: "t"}, "secret", f.now)
	f.ok(err)
	f.ok(f.RemoveMember(f.ctx, "org_a", ines.ID))
	_, _, err = f.TokenBySecret(f.ctx, "secret")
	f.refused(err, safepoint.CodeNotFound, "token")
	_, err = f.RevokeToken(f.ctx, "org_a", ines.ID, tok.ID)
	f.refused(err, safepoint.CodeNotFound, "token")
}

func TestLinksAreUsedOnce(t *testing.T) {
	f := newFixture(t)
	u := f.user("ines@example.org", "")
	f.ok(f.CreateLink(f.ctx, "first", LinkInvite, u.ID, f.now.Add(time.Hour)))
	f.ok(f.CreateLink(f.ctx, "second", LinkInvite, u.ID, f.now.Add(time.Hour)))
	_, err := f.LinkUser(f.ctx, "first", LinkInvite)
	f.refused(err, safepoint.CodeNotFound, "link") // a new invitation ends the one before
	_, err = f.UseLink(f.ctx, "second", LinkSignIn)
	f.refused(err, safepoint.CodeNotFound, "link")
	f.now = f.now.Add(time.Hour)
	_, err = f.LinkUser(f.ctx, "second", LinkInvite)
	f.refused(err, safepoint.CodeNotFound, "link")
	f.ok(f.CreateLink(f.ctx, "third", LinkInvite, u.ID, f.now.Add(time.Hour)))
	got, err := f.AcceptInvite(f.ctx, "third", "Ines Marlow", "hash")
	f.ok(err)
	if got.ID != u.ID || got.Name != "Ines Marlow" {
		t.Errorf("got %+v", got)
	}
	_, err = f.AcceptInvite(f.ctx, "third", "Mallory", "hash2")
	f.refused(err, safepoint.CodeNotFound, "link")
}

func TestPasswordChangeEndsOtherSessions(t *testing.T) {
	f := newFixture(t)
	u, other := f.user("ines@example.org", "h"), f.user("tomas@example.org", "h")
	for hash, user := range map[string]string{"mine": u.ID, "stolen": u.ID, "others": other.ID} {
		f.ok(f.CreateSession(f.ctx, Session{TokenHash: hash, UserID: user, CreatedAt: f.now, UsedAt: f.now, PasswordAt: f.now}))
	}
	f.ok(f.CreateLink(f.ctx, "link", LinkSignIn, u.ID, f.now.Add(time.Hour)))
	f.ok(f.SetPassword(f.ctx, u.ID, "h2", "mine"))
	for hash, want := range map[string]safepoint.Code{"mine": "", "stolen": safepoint.CodeNotFound, "others": ""} {
		if _, err := f.Session(f.ctx, hash); safepoint.ErrorCode(err) != want {
			t.Errorf("%s: %v", hash, err)
		}
	}
	_, err := f.UseLink(f.ctx, "link", LinkSignIn)
	f.refused(err, safepoint.CodeNotFound, "link")
	f.refused(f.ReenterSession(f.ctx, "others", u.ID, f.now), safepoint.CodeNotFound, "session")
	f.ok(f.DeleteOldSessions(f.ctx, f.now.Add(time.Second), f.now))
	_, err = f.Session(f.ctx, "mine")
	f.refused(err, safepoint.CodeNotFound, "session")
}
