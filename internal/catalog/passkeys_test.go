package catalog

import (
	"sync"
	"testing"
	"time"

	"github.com/safepoint-db/safepoint"
)

func (f *fixture) passkey(userID, name, credential string) Passkey {
	f.t.Helper()
	p, err := f.AddPasskey(f.ctx, Passkey{Passkey: safepoint.Passkey{UserID: userID, Name: name, Host: "backup.example", Synced: true},
		CredentialID: []byte(credential), PublicKey: []byte{0, 1}, SignCount: 7, Transports: []string{"internal", "usb"}}, 20)
	f.ok(err)
	return p
}

func TestPasskeysAreKept(t *testing.T) {
	f := newFixture(t)
	ines, tomas := f.user("ines@example.org", "h"), f.user("tomas@example.org", "h")
	p := f.passkey(ines.ID, "Laptop", "one")
	f.passkey(tomas.ID, "Phone", "two")
	_, err := f.AddPasskey(f.ctx, Passkey{Passkey: safepoint.Passkey{UserID: tomas.ID}, CredentialID: []byte("one"), PublicKey: []byte{1}}, 20)
	f.refused(err, safepoint.CodeConflict, "already")
	got, err := f.PasskeyByCredential(f.ctx, []byte("one"))
	f.ok(err)
	if got.ID != p.ID || got.UserID != ines.ID || got.SignCount != 7 || !got.Synced || len(got.Transports) != 2 || string(got.PublicKey) != "\x00\x01" || !got.CreatedAt.Equal(f.now) {
		t.Errorf("%+v", got)
	}
	_, err = f.PasskeyByCredential(f.ctx, []byte("three"))
	f.refused(err, safepoint.CodeNotFound, "passkey")

	f.now = f.now.Add(time.Minute)
	f.ok(f.UsePasskey(f.ctx, p.ID, 9, f.now))
	f.ok(f.UsePasskey(f.ctx, p.ID, 8, f.now)) // an earlier answer that came later
	f.ok(f.DistrustPasskey(f.ctx, p.ID, f.now))
	got, err = f.PasskeyByCredential(f.ctx, []byte("one"))
	f.ok(err)
	if got.SignCount != 9 || !got.LastUsedAt.Equal(f.now) || !got.CopiedAt.Equal(f.now) {
		t.Errorf("%+v", got)
	}
	f.refused(f.UsePasskey(f.ctx, "pky_none", 1, f.now), safepoint.CodeNotFound, "passkey")

	_, err = f.RenamePasskey(f.ctx, tomas.ID, p.ID, "mine")
	f.refused(err, safepoint.CodeNotFound, "passkey")
	_, err = f.RemovePasskey(f.ctx, tomas.ID, p.ID, "")
	f.refused(err, safepoint.CodeNotFound, "passkey")
	old, err := f.RenamePasskey(f.ctx, ines.ID, p.ID, "Desk")
	f.ok(err)
	list, err := f.Passkeys(f.ctx, ines.ID)
	f.ok(err)
	if old != "Laptop" || len(list) != 1 || list[0].Name != "Desk" {
		t.Errorf("%q, %+v", old, list)
	}
}

// TestPasskeyEndsItsSessions: with a passkey go the sessions that it began, and no other can begin.
func TestPasskeyEndsItsSessions(t *testing.T) {
	f := newFixture(t)
	ines, tomas := f.user("ines@example.org", "h"), f.user("tomas@example.org", "h")
	p := f.passkey(ines.ID, "Laptop", "one")
	begin := func(userID, hash, passkeyID string) error {
		return f.CreateSession(f.ctx, Session{TokenHash: hash, UserID: userID, CreatedAt: f.now, UsedAt: f.now, PasswordAt: f.now, PasskeyID: passkeyID})
	}
	for hash, key := range map[string]string{"password": "", "asks": p.ID, "other": p.ID} {
		f.ok(begin(ines.ID, hash, key))
	}
	f.refused(begin(tomas.ID, "stolen", p.ID), safepoint.CodeNotFound, "passkey")
	name, err := f.RemovePasskey(f.ctx, ines.ID, p.ID, "asks")
	f.ok(err)
	f.refused(begin(ines.ID, "late", p.ID), safepoint.CodeNotFound, "passkey")
	sessions, err := f.Sessions(f.ctx, ines.ID)
	f.ok(err)
	if name != "Laptop" || len(sessions) != 2 || sessions[0].TokenHash != "asks" || sessions[1].TokenHash != "password" {
		t.Errorf("%q, %+v", name, sessions)
	}
}

// TestMostPasskeys: of many added at once, no more are kept than there may be.
func TestMostPasskeys(t *testing.T) {
	f := newFixture(t)
	ines := f.user("ines@example.org", "h")
	var wg sync.WaitGroup
	errs := make([]error, 8)
	for i := range errs {
		wg.Go(func() {
			_, errs[i] = f.AddPasskey(f.ctx, Passkey{Passkey: safepoint.Passkey{UserID: ines.ID}, CredentialID: []byte{byte(i)}, PublicKey: []byte{1}}, 3)
		})
	}
	wg.Wait()
	kept := 0
	for _, err := range errs {
		if err == nil {
			kept++
		} else {
			f.refused(err, safepoint.CodeConflict, "3 passkeys")
		}
	}
	if kept != 3 {
		t.Errorf("%d are kept", kept)
	}
}

// TestPasskeysGoWithTheAccount: nothing of them stays when their user is removed.
func TestPasskeysGoWithTheAccount(t *testing.T) {
	f := newFixture(t)
	ines := f.user("ines@example.org", "h")
	f.passkey(ines.ID, "Laptop", "one")
	f.sql(`DELETE FROM users WHERE id = $1`, ines.ID)
	_, err := f.PasskeyByCredential(f.ctx, []byte("one"))
	f.refused(err, safepoint.CodeNotFound, "passkey")
}
