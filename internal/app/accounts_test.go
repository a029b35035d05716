package app

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/argon2"

	"github.com/safepoint-db/safepoint"
)

func weakHash(password string) string {
	salt, b64 := []byte("0123456789abcdef"), base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=8192,t=1,p=1$%s$%s", argon2.Version, b64.EncodeToString(salt),
		b64.EncodeToString(argon2.IDKey([]byte(password), salt, 1, 8192, 1, 32)))
}

// session signs a member of newWorld in and returns the browser's secret with its actor.
func (w *world) session(name, ip string) (string, safepoint.Actor) {
	w.t.Helper()
	s, err := w.SignIn(w.ctx, emailOf(name), password, ip, "test")
	w.ok(err)
	by, err := w.Session(w.ctx, s, ip)
	w.ok(err)
	return s, by
}

func TestFirstRun(t *testing.T) {
	w := newWorld(t)
	w.sql(`PRAGMA foreign_keys = OFF; DELETE FROM users`)
	if needed, err := w.SetupNeeded(w.ctx); err != nil || !needed {
		t.Fatalf("needed %v, %v", needed, err)
	}
	code, err := w.NewSetupCode(w.ctx)
	w.ok(err)
	in := Setup{Code: code, Email: "Ines@Example.org", Name: "Ines", Password: password, Organization: "Harborline", TimeZone: "Europe/Berlin"}
	for field, change := range map[string]func(*Setup){
		"email":        func(s *Setup) { s.Email = "ines" },
		"name":         func(s *Setup) { s.Name = " " },
		"password":     func(s *Setup) { s.Password = "short" },
		"organization": func(s *Setup) { s.Organization = "" },
		"time_zone":    func(s *Setup) { s.TimeZone = "Mars/Olympus" },
	} {
		bad := in
		change(&bad)
		_, err := w.Setup(w.ctx, bad, "192.0.2.9", "test")
		if e := safepoint.UserError(errOr(err)); e.Code != safepoint.CodeInvalid || e.Field != field {
			t.Errorf("%s: %+v", field, e)
		}
	}
	bad := in
	bad.Code = "AAAAA"
	_, err = w.Setup(w.ctx, bad, "192.0.2.10", "test")
	w.refused(err, safepoint.CodeForbidden, "wrong")

	// A code typed in lower case without dashes is the code; of two browsers at once, one wins.
	in.Code = strings.ToLower(strings.ReplaceAll(code, "-", ""))
	var wg sync.WaitGroup
	var sessions [2]string
	var errs [2]error
	for i := range 2 {
		wg.Go(func() { sessions[i], errs[i] = w.Setup(w.ctx, in, "192.0.2.11", "test") })
	}
	wg.Wait()
	if (errs[0] == nil) == (errs[1] == nil) {
		t.Fatalf("got %v and %v", errs[0], errs[1])
	}
	w.refused(errors.Join(errs[0], errs[1]), safepoint.CodeConflict, "set up already")
	by, err := w.Session(w.ctx, sessions[0]+sessions[1], "192.0.2.11")
	w.ok(err)
	if by.Email != "ines@example.org" || by.Role != safepoint.RoleAdmin || by.OrganizationID == "" {
		t.Errorf("signed in as %+v", by)
	}
	if needed, err := w.SetupNeeded(w.ctx); err != nil || needed {
		t.Errorf("needed %v, %v", needed, err)
	}
	_, err = w.Setup(w.ctx, in, "192.0.2.11", "test")
	w.refused(err, safepoint.CodeConflict, "set up already")
}

func TestSignInGivesNothingAway(t *testing.T) {
	w := newWorld(t)
	_, wrong := w.SignIn(w.ctx, emailOf("Ines Marlow"), "not the password", "198.51.100.1", "test")
	_, unknown := w.SignIn(w.ctx, "nobody@example.org", "not the password", "198.51.100.2", "test")
	_, invited := w.SignIn(w.ctx, "ours-root@example.org", "", "198.51.100.3", "test")
	for _, err := range []error{wrong, unknown, invited} {
		w.refused(err, safepoint.CodeUnauthorized, "do not belong together")
		if err.Error() != wrong.Error() {
			t.Errorf("%q differs from %q", err, wrong)
		}
	}
	w.audited(w.admin, "Root|signin|ours-root@example.org|failed")

	// The time must not tell either. A clock would tell of a busy machine: what is counted is what the time is spent on.
	// argon2id fills its memory in as many passes as the hash says, so that two refusals that take equally much of it, with
	// hashes of equal cost, take equally long.
	w.sql(`UPDATE users SET password_hash = $1 WHERE id = $2`, argonHash(password), w.admin.UserID)
	spent := func(email, ip string) uint64 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := w.SignIn(w.ctx, email, "not the password", ip, "test")
		runtime.ReadMemStats(&after)
		w.refused(err, safepoint.CodeUnauthorized, "do not belong together")
		return after.TotalAlloc - before.TotalAlloc
	}
	const memory = argonMemory << 10
	known := spent(emailOf("Ines Marlow"), "198.51.100.4")
	for _, email := range []string{"nobody@example.org", "ours-root@example.org"} {
		if other := spent(email, "198.51.100.5"); known < memory || other < known-memory/4 || other > known+memory/4 {
			t.Errorf("%s is refused with %d bytes, somebody with a password with %d; the hash alone takes %d", email, other, known, memory)
		}
	}
	users, err := parseHash(argonHash(password))
	w.ok(err)
	fake, err := parseHash(nobody())
	w.ok(err)
	if fake.memory != users.memory || fake.time != users.time || fake.threads != users.threads || len(fake.key) != len(users.key) || len(fake.salt) != len(users.salt) {
		t.Errorf("the hash of nobody costs %+v, that of a user %+v", fake, users)
	}
}

func TestGuessingIsSlowedDown(t *testing.T) {
	w := newWorld(t)
	guess := func(ip string) error {
		_, err := w.SignIn(w.ctx, emailOf("Ines Marlow"), "a wrong password", ip, "test")
		return err
	}
	for range 5 {
		w.refused(guess("198.51.100.1"), safepoint.CodeUnauthorized, "")
	}
	w.refused(guess("198.51.100.1"), safepoint.CodeTooMany, "1 second.")
	if _, err := w.SignIn(w.ctx, emailOf("Ines Marlow"), password, "198.51.100.1", "test"); safepoint.ErrorCode(err) != safepoint.CodeTooMany {
		t.Errorf("the right password passes while others must wait: %v", err)
	}
	// Nobody is locked out by what others do elsewhere.
	if _, err := w.SignIn(w.ctx, emailOf("Ines Marlow"), password, "198.51.100.77", "test"); err != nil {
		t.Error(err)
	}
	tried := 0
	for start := w.Now(); w.Now().Sub(start) < 12*time.Hour; w.pass(time.Minute) {
		if safepoint.ErrorCode(guess("198.51.100.1")) == safepoint.CodeUnauthorized {
			tried++
		}
	}
	if tried > 12*4+12 {
		t.Errorf("%d guesses in 12 hours", tried)
	}
	w.pass(time.Hour + time.Minute)
	w.refused(guess("198.51.100.1"), safepoint.CodeUnauthorized, "")
}

func TestThrottleStaysSmall(t *testing.T) {
	var th throttle
	now := time.Now()
	for range 10 {
		th.try(now, "slow", 5)
	}
	for i := range 3 * throttleKeys {
		th.try(now, strings.Repeat("k", i%7)+time.Duration(i).String(), 5)
	}
	if len(th.keys) > throttleKeys {
		t.Errorf("%d keys are kept", len(th.keys))
	}
	if safepoint.ErrorCode(th.try(now, "slow", 5)) != safepoint.CodeTooMany {
		t.Error("who was slowed down is forgotten under a flood of made-up keys")
	}
}

func TestSessions(t *testing.T) {
	w := newWorld(t)
	first, _ := w.session("Ines Marlow", "192.0.2.1")
	second, _ := w.session("Ines Marlow", "192.0.2.1")
	if first == second {
		t.Error("two sign-ins share a session")
	}
	var stored int
	for _, table := range []string{"sessions", "links", "tokens"} {
		if strings.Contains(w.dump(table), first) {
			stored++
		}
	}
	if stored > 0 || !strings.Contains(w.dump("sessions"), hashSecret(first)) {
		t.Error("the session's secret itself is stored")
	}

	// Used every few hours it goes on; not used for more than eight it ends; it never lasts a week.
	for range 20 {
		w.pass(8 * time.Hour)
		if _, err := w.Session(w.ctx, first, "192.0.2.1"); err != nil {
			t.Fatal(err)
		}
	}
	w.pass(8 * time.Hour)
	_, err := w.Session(w.ctx, first, "192.0.2.1")
	w.ok(err)
	w.pass(time.Hour)
	_, err = w.Session(w.ctx, first, "192.0.2.1")
	w.refused(err, safepoint.CodeUnauthorized, "signed out after 7 days")
	third, _ := w.session("Ines Marlow", "192.0.2.1")
	w.pass(8*time.Hour + time.Second)
	_, err = w.Session(w.ctx, third, "192.0.2.1")
	w.refused(err, safepoint.CodeUnauthorized, "signed out after 8 hours")

	s, by := w.session("Ines Marlow", "192.0.2.1")
	w.ok(w.SignOut(w.ctx, s))
	w.audited(by, "Ines Marlow|signout|ines.marlow@example.org|succeeded")
	_, err = w.Session(w.ctx, s, "192.0.2.1")
	w.refused(err, safepoint.CodeUnauthorized, "not signed in")
	w.ok(w.SignOut(w.ctx, s))
}

func TestRolesActAtOnce(t *testing.T) {
	w := newWorld(t)
	s, by := w.session("Vera Lind", "192.0.2.1")
	if by.Role != safepoint.RoleViewer {
		t.Fatalf("got %+v", by)
	}
	w.ok(w.SetRole(w.ctx, w.admin, by.UserID, safepoint.RoleAdmin))
	if by, _ = w.Session(w.ctx, s, ""); by.Role != safepoint.RoleAdmin {
		t.Errorf("got %+v", by)
	}
	_, secret, err := w.CreateToken(w.ctx, by, "cli", 0)
	w.ok(err)
	w.ok(w.SetRole(w.ctx, w.admin, by.UserID, safepoint.RoleViewer))
	if tok, err := w.TokenActor(w.ctx, secret, "", ""); err != nil || tok.Role != safepoint.RoleViewer {
		t.Errorf("the token acts as %+v, %v", tok, err)
	}
	_, err = w.Catalog.AddMember(w.ctx, w.foreign.OrganizationID, by.UserID, safepoint.RoleAdmin)
	w.ok(err)
	w.ok(w.SwitchOrganization(w.ctx, by, s, w.foreign.OrganizationID))
	if by, _ = w.Session(w.ctx, s, ""); by.OrganizationID != w.foreign.OrganizationID || by.Role != safepoint.RoleAdmin {
		t.Errorf("after the switch: %+v", by)
	}
	w.ok(w.RemoveMember(w.ctx, w.foreign, by.UserID))
	if by, _ = w.Session(w.ctx, s, ""); by.OrganizationID != w.admin.OrganizationID || by.Role != safepoint.RoleViewer {
		t.Errorf("after the membership ended: %+v", by)
	}
	w.ok(w.RemoveMember(w.ctx, w.admin, by.UserID))
	if by, err = w.Session(w.ctx, s, ""); err != nil || by.OrganizationID != "" || by.Role != "" {
		t.Errorf("in no organization: %+v, %v", by, err)
	}
	_, err = w.TokenActor(w.ctx, secret, "", "")
	w.refused(err, safepoint.CodeUnauthorized, "unknown, revoked")
}

func TestChangePassword(t *testing.T) {
	w := newWorld(t)
	mine, by := w.session("Ines Marlow", "192.0.2.1")
	stolen, _ := w.session("Ines Marlow", "203.0.113.5")
	const next = "another few words 7"
	w.refused(w.ChangePassword(w.ctx, by, mine, "wrong", next), safepoint.CodeInvalid, "not your password")
	w.refused(w.ChangePassword(w.ctx, by, mine, password, "ines.marlow26"), safepoint.CodeInvalid, "mostly your name")
	w.refused(w.ChangePassword(w.ctx, by, mine, password, password), safepoint.CodeInvalid, "already")
	w.ok(w.ChangePassword(w.ctx, by, mine, password, next))
	w.audited(by, "Ines Marlow|password.change|ines.marlow@example.org|succeeded")
	_, err := w.Session(w.ctx, mine, "")
	w.ok(err)
	_, err = w.Session(w.ctx, stolen, "")
	w.refused(err, safepoint.CodeUnauthorized, "")
	_, err = w.SignIn(w.ctx, by.Email, password, "192.0.2.1", "")
	w.refused(err, safepoint.CodeUnauthorized, "")
	_, err = w.SignIn(w.ctx, by.Email, next, "192.0.2.1", "")
	w.ok(err)
}

func TestPasswords(t *testing.T) {
	for text, ok := range map[string]bool{
		"elevenchars": false, "twelve chars": true, "password1234": false, "PASSWORD1234": false, "aaaaaaaaaaaaaa": false,
		"abcabcabcabcabc": false, "abcdefghijklmn": false, "123456789012": false, "ines@example.org": false, "InesMarlow2026": false,
		"ines likes long walks": true, strings.Repeat("long ", 25) + "end": true, strings.Repeat("x1", 65): false,
		"zwölf Zeichen": true, "日本語日本語日本語日本語": false, "with\x00nul inside": false, "bad\xff utf-8 text": false,
	} {
		if err := checkNewPassword(text, "ines@example.org", "Ines Marlow"); (err == nil) != ok {
			t.Errorf("%q: %v", text, err)
		}
	}
	hash := argonHash("x")
	p, err := parseHash(hash)
	if err != nil || p.memory < 19*1024 || p.time < 2 || p.threads != 1 || len(p.salt) < 16 || len(p.key) < 32 {
		t.Errorf("%s: %+v, %v", hash, p, err)
	}
	if argonHash("x") == hash {
		t.Error("two hashes share a salt")
	}
	if !isWeak(strings.Replace(hash, "t=2", "t=1", 1)) || isWeak(hash) || isWeak("") {
		t.Error("weak hashes are not told from strong ones")
	}
}

func TestWeakHashesAreReplacedAtSignIn(t *testing.T) {
	w := newWorld(t)
	// An argon2id hash of the password with one pass less, as an older version might have stored it.
	w.sql(`UPDATE users SET password_hash = $1 WHERE id = $2`, weakHash(password), w.admin.UserID)
	w.session("Ines Marlow", "192.0.2.1")
	if _, hash, err := w.Catalog.User(w.ctx, w.admin.UserID); err != nil || isWeak(hash) {
		t.Errorf("still weak: %s, %v", hash, err)
	}
	w.session("Ines Marlow", "192.0.2.1")
}

func TestHashingWaitsItsTurn(t *testing.T) {
	w := newWorld(t)
	w.hashing <- struct{}{}
	w.hashing <- struct{}{}
	ctx, cancel := context.WithCancel(w.ctx)
	cancel()
	if _, err := w.SignIn(ctx, emailOf("Ines Marlow"), password, "192.0.2.1", ""); !errors.Is(err, context.Canceled) {
		t.Errorf("a third hash at once: %v", err)
	}
}

func TestLinks(t *testing.T) {
	w := newWorld(t)
	link, err := w.NewSignInLink(w.ctx, w.admin.UserID, time.Hour)
	w.ok(err)
	s, err := w.SignInWithLink(w.ctx, link, "192.0.2.1", "")
	w.ok(err)
	if by, err := w.Session(w.ctx, s, ""); err != nil || by.UserID != w.admin.UserID {
		t.Errorf("signed in as %+v, %v", by, err)
	}
	_, err = w.SignInWithLink(w.ctx, link, "192.0.2.1", "")
	w.refused(err, safepoint.CodeUnauthorized, "used already")
}

func TestInvitations(t *testing.T) {
	w := newWorld(t)
	m, first, err := w.InviteMember(w.ctx, w.admin, MemberInput{Email: "New@Example.org", Name: "Nora", Role: safepoint.RoleViewer})
	w.ok(err)
	if m.User.Email != "new@example.org" || first == "" {
		t.Fatalf("got %+v, %q", m, first)
	}
	w.pass(time.Second)
	// Another organization adds the same person: it must not get a link with which it would become that person here.
	_, theirs, err := w.InviteMember(w.ctx, w.foreign, MemberInput{Email: "new@example.org", Role: safepoint.RoleAdmin})
	w.ok(err)
	if theirs != "" {
		t.Error("another organization got a link")
	}
	_, link, err := w.InviteMember(w.ctx, w.admin, MemberInput{Email: "new@example.org", Role: safepoint.RoleViewer})
	w.ok(err)
	_, err = w.AcceptInvite(w.ctx, first, "Nora", password, "192.0.2.1", "")
	w.refused(err, safepoint.CodeUnauthorized, "used already")
	_, err = w.AcceptInvite(w.ctx, link, "Nora", "short", "192.0.2.1", "")
	w.refused(err, safepoint.CodeInvalid, "12 characters")
	s, err := w.AcceptInvite(w.ctx, link, "Nora Quist", password, "192.0.2.1", "")
	w.ok(err)
	if by, err := w.Session(w.ctx, s, ""); err != nil || by.UserName != "Nora Quist" || by.OrganizationID != w.admin.OrganizationID || by.Role != safepoint.RoleViewer {
		t.Errorf("signed in as %+v, %v", by, err)
	}
	_, err = w.AcceptInvite(w.ctx, link, "Nora", password, "192.0.2.1", "")
	w.refused(err, safepoint.CodeUnauthorized, "used already")
	_, _, err = w.InviteMember(w.ctx, w.admin, MemberInput{Email: "new@example.org", Role: safepoint.RoleViewer})
	w.refused(err, safepoint.CodeInvalid, "member already")

	_, late, err := w.InviteMember(w.ctx, w.admin, MemberInput{Email: "late@example.org", Role: safepoint.RoleViewer})
	w.ok(err)
	w.pass(inviteLife)
	_, err = w.AcceptInvite(w.ctx, late, "Late", password, "192.0.2.1", "")
	w.refused(err, safepoint.CodeUnauthorized, "too old")
}

func TestTokens(t *testing.T) {
	w := newWorld(t)
	m, tok, secret, err := w.Login(w.ctx, w.admin.Email, password, "", "", "192.0.2.1")
	w.ok(err)
	if m.Organization.ID != w.admin.OrganizationID || tok.Name != "Command line" || !strings.HasPrefix(secret, "sp_") {
		t.Errorf("got %+v, %+v", m, tok)
	}
	if strings.Contains(w.dump("tokens"), strings.TrimPrefix(secret, "sp_")) {
		t.Error("the token's secret is stored")
	}
	by, err := w.TokenActor(w.ctx, secret, "", "192.0.2.3")
	w.ok(err)
	if by.Via != "token" || by.UserID != w.admin.UserID || by.IP != "192.0.2.3" || by.Role != safepoint.RoleAdmin {
		t.Errorf("acts as %+v", by)
	}
	_, err = w.TokenActor(w.ctx, secret, w.admin.OrganizationID, "")
	w.ok(err)
	_, err = w.TokenActor(w.ctx, secret, w.foreign.OrganizationID, "")
	w.refused(err, safepoint.CodeNotFound, "organization")
	_, _, err = w.CreateToken(w.ctx, by, "child", 0)
	w.refused(err, safepoint.CodeForbidden, "API token may not")
	w.refused(w.ChangePassword(w.ctx, by, "", password, "other words 12"), safepoint.CodeForbidden, "API token may not")
	_, _, _, err = w.Login(w.ctx, w.admin.Email, password, w.foreign.OrganizationID, "", "192.0.2.1")
	w.refused(err, safepoint.CodeNotFound, "organization")

	// An organization can be named, in any case of letters, as long as only one of the caller's is called so.
	second, err := w.CreateOrganization(w.ctx, w.admin, "Second Office", "UTC")
	w.ok(err)
	m, _, _, err = w.Login(w.ctx, w.admin.Email, password, "second office", "", "192.0.2.1")
	w.ok(err)
	if m.Organization.ID != second.ID {
		t.Errorf("signed in to %+v", m.Organization)
	}
	_, err = w.CreateOrganization(w.ctx, w.foreign, "Elsewhere", "UTC") // of somebody else
	w.ok(err)
	_, _, _, err = w.Login(w.ctx, w.admin.Email, password, "Elsewhere", "", "192.0.2.1")
	w.refused(err, safepoint.CodeNotFound, "organization")
	third, err := w.CreateOrganization(w.ctx, w.admin, "Second office", "UTC")
	w.ok(err)
	_, _, _, err = w.Login(w.ctx, w.admin.Email, password, "Second Office", "", "192.0.2.1")
	w.refused(err, safepoint.CodeConflict, "2 organizations called Second Office")
	if hint := safepoint.UserError(err).Hint; !strings.Contains(hint, second.ID) || !strings.Contains(hint, third.ID) {
		t.Errorf("the hint is %q", hint)
	}
	m, _, _, err = w.Login(w.ctx, w.admin.Email, password, third.ID, "", "192.0.2.1")
	w.ok(err)
	if m.Organization.ID != third.ID {
		t.Errorf("signed in to %+v", m.Organization)
	}

	// "Last used" is written at most once a minute.
	used := func() time.Time {
		all, err := w.Tokens(w.ctx, w.admin)
		w.ok(err)
		return all[0].LastUsedAt
	}
	at := used()
	w.pass(59 * time.Second)
	_, err = w.TokenActor(w.ctx, secret, "", "")
	w.ok(err)
	if !used().Equal(at) {
		t.Error("written again within a minute")
	}
	w.pass(2 * time.Second)
	_, err = w.TokenActor(w.ctx, secret, "", "")
	w.ok(err)
	if !used().Equal(w.Now()) {
		t.Errorf("last used %v", used())
	}

	w.refused(w.RevokeToken(w.ctx, w.viewer, tok.ID), safepoint.CodeNotFound, "token")
	w.pass(loginTokenLife)
	_, err = w.TokenActor(w.ctx, secret, "", "")
	w.refused(err, safepoint.CodeUnauthorized, "too old")
	w.ok(w.RevokeToken(w.ctx, w.admin, tok.ID))
	w.audited(w.admin, "Ines Marlow|token.revoke|Command line|succeeded")
	_, err = w.TokenActor(w.ctx, "sp_nonsense", "", "")
	w.refused(err, safepoint.CodeUnauthorized, "unknown")
}
