package app

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/passkey/passkeytest"
)

// console is where the browsers of these tests are.
var console = Site{Host: "backup.example", Origin: "https://backup.example"}

const here = "192.0.2.1"

// addPasskey has a device make a passkey for by.
func (w *world) addPasskey(by safepoint.Actor, d *passkeytest.Device, name string) safepoint.Passkey {
	w.t.Helper()
	asked, err := w.AskNewPasskey(w.ctx, by, "session", console)
	w.ok(err)
	answer, err := d.Create(asked, console.Origin)
	w.ok(err)
	p, err := w.AddPasskey(w.ctx, by, "session", console, name, answer)
	w.ok(err)
	return p
}

// answer has a device answer the question of a sign-in in a browser.
func (w *world) answer(d *passkeytest.Device, browser string) []byte {
	w.t.Helper()
	asked, err := w.AskPasskey(w.ctx, console, browser)
	w.ok(err)
	answer, err := d.Get(asked, console.Origin)
	w.ok(err)
	return answer
}

func (w *world) signIn(d *passkeytest.Device) (string, error) {
	w.t.Helper()
	return w.SignInWithPasskey(w.ctx, console, "browser", w.answer(d, "browser"), here, "Firefox")
}

// TestPasskeys: what a person does with a passkey, from adding to removing it.
func TestPasskeys(t *testing.T) {
	w, d := newWorld(t), &passkeytest.Device{}
	p := w.addPasskey(w.admin, d, " Laptop ")
	w.audited(w.admin, "Ines Marlow|passkey.add|Laptop|succeeded")
	if p.Name != "Laptop" || p.Host != console.Host || p.UserID != w.admin.UserID || !p.LastUsedAt.IsZero() {
		t.Errorf("added %+v", p)
	}
	w.pass(time.Hour)
	s, err := w.signIn(d)
	w.ok(err)
	w.audited(w.admin, "Ines Marlow|signin|"+emailOf("Ines Marlow")+"|succeeded")
	by, err := w.Session(w.ctx, s, here)
	w.ok(err)
	if by.UserID != w.admin.UserID || !by.SignedInAt.Equal(w.Now()) || by.Role != safepoint.RoleAdmin {
		t.Errorf("signed in as %+v", by)
	}
	list, err := w.Passkeys(w.ctx, by)
	w.ok(err)
	if len(list) != 1 || !list[0].LastUsedAt.Equal(w.Now()) {
		t.Errorf("%+v", list)
	}

	// It is as good as the password where that is asked for again, and only in the session that asked.
	w.pass(6 * time.Minute)
	by, err = w.Session(w.ctx, s, here)
	w.ok(err)
	w.refused(w.MayAddPasskey(w.ctx, by), safepoint.CodeStepUp, "password again")
	_, err = w.AskNewPasskey(w.ctx, by, s, console)
	w.refused(err, safepoint.CodeStepUp, "password again")
	again := func(session string) error {
		asked, err := w.AskPasskeyAgain(w.ctx, by, s, console)
		w.ok(err)
		answer, err := d.Get(asked, console.Origin)
		w.ok(err)
		return w.ReenterWithPasskey(w.ctx, by, session, console, answer)
	}
	w.refused(again("another"), safepoint.CodeInvalid, "not accepted")
	w.audited(w.admin, "Ines Marlow|signin.again|"+emailOf("Ines Marlow")+"|failed")
	w.ok(again(s))
	by, err = w.Session(w.ctx, s, here)
	w.ok(err)
	w.ok(w.MayAddPasskey(w.ctx, by))

	w.ok(w.RenamePasskey(w.ctx, by, p.ID, "Desk"))
	w.audited(w.admin, "Ines Marlow|passkey.rename|Desk|succeeded")
	w.refused(w.RenamePasskey(w.ctx, by, p.ID, ""), safepoint.CodeInvalid, "name")

	// With it go the sessions that it began, but the one that asks.
	other, err := w.signIn(d)
	w.ok(err)
	answer := w.answer(d, "browser")
	w.ok(w.RemovePasskey(w.ctx, by, s, p.ID))
	w.audited(w.admin, "Ines Marlow|passkey.remove|Desk|succeeded")
	_, err = w.Session(w.ctx, s, here)
	w.ok(err)
	_, err = w.Session(w.ctx, other, here)
	w.refused(err, safepoint.CodeUnauthorized, "not signed in")
	_, err = w.SignInWithPasskey(w.ctx, console, "browser", answer, here, "")
	w.refused(err, safepoint.CodeUnauthorized, "not accepted")
	if _, err := w.SignIn(w.ctx, emailOf("Ines Marlow"), password, here, ""); err != nil {
		t.Errorf("the password is no way back: %v", err)
	}
}

// TestResetPassword: after it, only the new password leads to the account.
func TestResetPassword(t *testing.T) {
	w, d := newWorld(t), &passkeytest.Device{}
	w.addPasskey(w.admin, d, "Laptop")
	mine, by := w.session("Ines Marlow", here)
	const next = "another few words 7"
	_, err := ResetPassword(w.ctx, w.Catalog, "nobody@example.org", next)
	w.refused(err, safepoint.CodeNotFound, "Nobody here")
	_, err = ResetPassword(w.ctx, w.Catalog, by.Email, "short")
	w.refused(err, safepoint.CodeInvalid, "")
	_, err = w.Session(w.ctx, mine, here)
	w.ok(err) // nothing was changed so far
	u, err := ResetPassword(w.ctx, w.Catalog, " "+strings.ToUpper(by.Email), next)
	w.ok(err)
	if u.ID != by.UserID {
		t.Errorf("reset %+v", u)
	}
	w.audited(w.admin, "Operator|password.reset|"+by.Email+"|succeeded")
	_, err = w.Session(w.ctx, mine, here)
	w.refused(err, safepoint.CodeUnauthorized, "not signed in")
	_, err = w.signIn(d)
	w.refused(err, safepoint.CodeUnauthorized, "not accepted")
	_, err = w.SignIn(w.ctx, by.Email, password, here, "")
	w.refused(err, safepoint.CodeUnauthorized, "")
	_, err = w.SignIn(w.ctx, by.Email, next, here, "")
	w.ok(err)
}

// TestPasskeysAreOnesOwn: nobody else's passkey is there, in whatever organization, and a token has none.
func TestPasskeysAreOnesOwn(t *testing.T) {
	w, mine, hers, his := newWorld(t), &passkeytest.Device{}, &passkeytest.Device{}, &passkeytest.Device{}
	p := w.addPasskey(w.admin, mine, "Laptop")
	w.addPasskey(w.viewer, hers, "Phone")
	w.addPasskey(w.foreign, his, "Key")
	for _, by := range []safepoint.Actor{w.viewer, w.foreign} { // of the same organization, and of another
		w.refused(w.RenamePasskey(w.ctx, by, p.ID, "x"), safepoint.CodeNotFound, "not here")
		w.refused(w.RemovePasskey(w.ctx, by, "", p.ID), safepoint.CodeNotFound, "not here")
		list, err := w.Passkeys(w.ctx, by)
		w.ok(err)
		if len(list) != 1 || list[0].ID == p.ID {
			t.Errorf("%s sees %+v", by.UserName, list)
		}
	}
	// A colleague's passkey does not show who the admin is, though it answers the question that it was asked.
	s, _ := w.session("Ines Marlow", here)
	asked, err := w.AskPasskeyAgain(w.ctx, w.admin, s, console)
	w.ok(err)
	if _, err := hers.Get(asked, console.Origin); err == nil {
		t.Error("the question is put to everybody's passkeys")
	}
	any := w.answer(hers, s)
	w.refused(w.ReenterWithPasskey(w.ctx, w.admin, s, console, any), safepoint.CodeInvalid, "not accepted")
	// One device, one passkey: the same one cannot be a second person's.
	asked, err = w.AskNewPasskey(w.ctx, w.viewer, "session", console)
	w.ok(err)
	answer, err := his.Create(asked, console.Origin)
	w.ok(err)
	_, err = w.AddPasskey(w.ctx, w.admin, "session", console, "x", answer)
	w.refused(err, safepoint.CodeConflict, "not accepted")
	w.audited(w.admin, "Ines Marlow|passkey.add|"+emailOf("Ines Marlow")+"|failed")

	token := w.admin
	token.Via = "token"
	_, err = w.Passkeys(w.ctx, token)
	w.refused(err, safepoint.CodeForbidden, "token")
	_, err = w.AskNewPasskey(w.ctx, token, "", console)
	w.refused(err, safepoint.CodeForbidden, "token")
	w.refused(w.RemovePasskey(w.ctx, token, "", p.ID), safepoint.CodeForbidden, "token")
}

// TestPasskeySignInGivesNothingAway: whatever is wrong with an answer, the refusal is the same.
func TestPasskeySignInGivesNothingAway(t *testing.T) {
	w, d := newWorld(t), &passkeytest.Device{}
	w.addPasskey(w.admin, d, "Laptop")
	stranger := &passkeytest.Device{}
	p := w.addPasskey(w.viewer, stranger, "Gone")
	w.ok(w.RemovePasskey(w.ctx, w.viewer, "", p.ID))
	used := w.answer(d, "browser")
	_, err := w.SignInWithPasskey(w.ctx, console, "browser", used, "198.51.100.200", "")
	w.ok(err)
	late := w.answer(d, "browser")
	w.pass(6 * time.Minute)
	elsewhere := func() []byte {
		asked, err := w.AskPasskey(w.ctx, console, "browser")
		w.ok(err)
		answer, err := d.Get(asked, "https://backup.example.evil.example")
		w.ok(err)
		return answer
	}
	refusal := ""
	n := 0
	for what, answer := range map[string][]byte{
		"unknown": w.answer(stranger, "browser"), "given before": used, "too late": late, "another browser's": w.answer(d, "other"),
		"of another site": elsewhere(), "nothing": nil, "no answer": []byte(`{"id":"x","type":"public-key"}`),
	} {
		n++
		_, err := w.SignInWithPasskey(w.ctx, console, "browser", answer, fmt.Sprintf("198.51.100.%d", n), "")
		w.refused(err, safepoint.CodeUnauthorized, "This passkey was not accepted.")
		e := safepoint.UserError(errOr(err))
		if said := e.Message + e.Hint; refusal == "" {
			refusal = said
		} else if said != refusal {
			t.Errorf("%s: %q differs from %q", what, said, refusal)
		}
	}
	w.audited(w.admin, "Ines Marlow|signin|"+emailOf("Ines Marlow")+"|failed")
	if _, err := w.signIn(d); err != nil {
		t.Error(err)
	}
}

// TestPasskeyGuessesAreSlowedDown, with those of passwords: 30 failures from an address, 5 with a passkey or on a session.
func TestPasskeyGuessesAreSlowedDown(t *testing.T) {
	w, d := newWorld(t), &passkeytest.Device{}
	w.addPasskey(w.admin, d, "Laptop")
	bad := w.answer(d, "other")
	for range 5 {
		_, err := w.SignInWithPasskey(w.ctx, console, "browser", bad, "198.51.100.1", "")
		w.refused(err, safepoint.CodeUnauthorized, "")
	}
	_, err := w.SignInWithPasskey(w.ctx, console, "browser", w.answer(d, "browser"), "198.51.100.1", "")
	w.refused(err, safepoint.CodeTooMany, "Try again in")
	for range 25 {
		w.SignInWithPasskey(w.ctx, console, "browser", nil, "198.51.100.2", "")
		w.SignIn(w.ctx, "nobody@example.org", "x", "198.51.100.2", "")
	}
	_, err = w.SignInWithPasskey(w.ctx, console, "browser", w.answer(d, "browser"), "198.51.100.2", "")
	w.refused(err, safepoint.CodeTooMany, "Try again in")
	s, by := w.session("Ines Marlow", "198.51.100.3")
	for range 5 {
		w.refused(w.ReenterWithPasskey(w.ctx, by, s, console, bad), safepoint.CodeInvalid, "")
	}
	w.refused(w.Reenter(w.ctx, by, s, password), safepoint.CodeTooMany, "Try again in")
}

// TestCopiedPasskeyIsNotTaken: once two devices showed up with one passkey, neither signs in with it.
func TestCopiedPasskeyIsNotTaken(t *testing.T) {
	w, d := newWorld(t), &passkeytest.Device{}
	w.addPasskey(w.admin, d, "Laptop")
	copied := *d
	for range 3 {
		_, err := w.signIn(d)
		w.ok(err)
	}
	_, err := w.signIn(&copied)
	w.refused(err, safepoint.CodeUnauthorized, "not accepted")
	if lines := strings.Join(w.lines(w.admin, 2), "\n"); !strings.Contains(lines, "Ines Marlow|passkey.copied|Laptop|denied") {
		t.Errorf("the audit log says %s", lines)
	}
	_, err = w.signIn(d)
	w.refused(err, safepoint.CodeUnauthorized, "not accepted")
	list, err := w.Passkeys(w.ctx, w.admin)
	w.ok(err)
	if list[0].CopiedAt.IsZero() {
		t.Errorf("%+v", list[0])
	}
}

func TestPasskeysAreNotWithoutEnd(t *testing.T) {
	w := newWorld(t)
	for i := range mostPasskeys {
		w.addPasskey(w.admin, &passkeytest.Device{}, fmt.Sprint(i))
	}
	d := &passkeytest.Device{}
	asked, err := w.AskNewPasskey(w.ctx, w.admin, "session", console)
	w.ok(err)
	answer, err := d.Create(asked, console.Origin)
	w.ok(err)
	_, err = w.AddPasskey(w.ctx, w.admin, "session", console, "one more", answer)
	w.refused(err, safepoint.CodeConflict, "20 passkeys")
}

// TestSiteAt: where there can be no passkeys, it is said what would help.
func TestSiteAt(t *testing.T) {
	for address, hint := range map[string]string{
		"http://127.0.0.1:8333": "http://localhost:8333", "http://[::1]": "http://localhost", "https://10.0.0.7": "operator", "http://backup.example": "certificate",
	} {
		_, err := SiteAt(address)
		if e := safepoint.UserError(errOr(err)); e.Code != safepoint.CodeInvalid || !strings.Contains(e.Hint, hint) {
			t.Errorf("%s: %+v", address, e)
		}
	}
	if s, err := SiteAt("https://backup.example/"); err != nil || s != console {
		t.Errorf("%+v, %v", s, err)
	}
}
