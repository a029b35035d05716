package app

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net"
	"net/url"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/catalog"
	"github.com/safepoint-db/safepoint/internal/passkey"
)

// Site is where browsers reach the console. A passkey belongs to one.
type Site = passkey.Site

// mostPasskeys is how many passkeys a person may have.
const mostPasskeys = 20

// SiteAt is the site of a URL of the console. Where browsers have no passkeys its error says why, and what would help.
func SiteAt(address string) (Site, error) {
	s, err := passkey.SiteAt(address)
	switch {
	case errors.Is(err, passkey.ErrAddress):
		e := safepoint.Errorf(safepoint.CodeInvalid, "Passkeys need an address with a name, and this console is open at %s.", s.Host)
		if u, uerr := url.Parse(address); uerr == nil && net.ParseIP(s.Host).IsLoopback() {
			if u.Host = "localhost"; s.Port != "" {
				u.Host += ":" + s.Port
			}
			return s, e.WithHint("On this machine, open it at %s instead.", u.Scheme+"://"+u.Host)
		}
		return s, e.WithHint("Ask the operator for its name, or for one.")
	case errors.Is(err, passkey.ErrInsecure):
		return s, safepoint.Errorf(safepoint.CodeInvalid, "Passkeys need HTTPS, and this console is open without it.").WithHint("Ask the operator for a certificate.")
	}
	return s, err
}

// Passkeys returns the actor's passkeys, oldest first.
func (a *App) Passkeys(ctx context.Context, by safepoint.Actor) ([]safepoint.Passkey, error) {
	if err := a.ownPasskeys(ctx, by, "passkey.read"); err != nil {
		return nil, err
	}
	var list []safepoint.Passkey
	all, err := a.Catalog.Passkeys(ctx, by.UserID)
	for _, p := range all {
		list = append(list, p.Passkey)
	}
	return list, err
}

// ownPasskeys lets a person at a browser pass: nobody else has passkeys.
func (a *App) ownPasskeys(ctx context.Context, by safepoint.Actor, action string) error {
	if err := a.authorize(ctx, by, anyone, action); err != nil {
		return err
	}
	return needSession(by)
}

// MayAddPasskey is CodeStepUp for a person who must first show again who they are. AskNewPasskey asks it too.
func (a *App) MayAddPasskey(ctx context.Context, by safepoint.Actor) error {
	if err := a.ownPasskeys(ctx, by, "passkey.add"); err != nil {
		return err
	}
	if !a.recent(by) {
		return errStepUp("add a passkey")
	}
	return nil
}

// AskNewPasskey is the question for a new passkey, in JSON for the browser of a session. It needs a password entered, or a
// passkey used, in the last five minutes: CodeStepUp.
func (a *App) AskNewPasskey(ctx context.Context, by safepoint.Actor, session string, at Site) ([]byte, error) {
	if err := a.ownPasskeys(ctx, by, "passkey.add"); err != nil {
		return nil, err
	}
	if err := a.stepUp(ctx, by, act{action: "passkey.add", object: "user", id: by.UserID, name: by.Email}, "add a passkey"); err != nil {
		return nil, err
	}
	all, err := a.Catalog.Passkeys(ctx, by.UserID)
	if err != nil {
		return nil, err
	}
	return a.passkeys.AskNew(at, session, ownerOf(by), keysAt(at, all))
}

// AddPasskey stores a new passkey, with the browser's answer to AskNewPasskey.
func (a *App) AddPasskey(ctx context.Context, by safepoint.Actor, session string, at Site, name string, answer []byte) (safepoint.Passkey, error) {
	if err := a.ownPasskeys(ctx, by, "passkey.add"); err != nil {
		return safepoint.Passkey{}, err
	}
	name, err := checkName("name", name)
	if err != nil {
		return safepoint.Passkey{}, err
	}
	k, err := a.passkeys.New(at, session, ownerOf(by), answer)
	if errors.Is(err, passkey.ErrRefused) {
		a.audit(ctx, by, act{action: "passkey.add", object: "user", id: by.UserID, name: by.Email, outcome: failed})
		return safepoint.Passkey{}, safepoint.Errorf(safepoint.CodeConflict, "The passkey was not accepted.").WithHint("Try again. If your device made one, delete it there.").WithCause(err)
	}
	if err != nil {
		return safepoint.Passkey{}, err
	}
	p, err := a.Catalog.AddPasskey(ctx, catalog.Passkey{
		Passkey:      safepoint.Passkey{UserID: by.UserID, Name: name, Host: at.Host, Synced: k.Synced},
		CredentialID: k.ID, PublicKey: k.Public, SignCount: k.Count, Transports: k.Transports,
	}, mostPasskeys)
	if err != nil {
		return safepoint.Passkey{}, err
	}
	a.audit(ctx, by, act{action: "passkey.add", object: "passkey", id: p.ID, name: p.Name, outcome: done})
	return p.Passkey, nil
}

// RenamePasskey gives one of the actor's passkeys another name.
func (a *App) RenamePasskey(ctx context.Context, by safepoint.Actor, id, name string) error {
	if err := a.ownPasskeys(ctx, by, "passkey.rename"); err != nil {
		return err
	}
	name, err := checkName("name", name)
	if err != nil {
		return err
	}
	old, err := a.Catalog.RenamePasskey(ctx, by.UserID, id, name)
	if err != nil {
		return err
	}
	a.audit(ctx, by, act{action: "passkey.rename", object: "passkey", id: id, name: name, outcome: done, changes: changes("name", old, name)})
	return nil
}

// RemovePasskey removes one of the actor's passkeys, and ends the sessions that it began, but the one that asks.
func (a *App) RemovePasskey(ctx context.Context, by safepoint.Actor, session, id string) error {
	if err := a.ownPasskeys(ctx, by, "passkey.remove"); err != nil {
		return err
	}
	name, err := a.Catalog.RemovePasskey(ctx, by.UserID, id, hashSecret(session))
	if err != nil {
		return err
	}
	a.audit(ctx, by, act{action: "passkey.remove", object: "passkey", id: id, name: name, outcome: done})
	return nil
}

// AskPasskey is the question with which somebody signs in, in JSON for the browser that holds a secret. It is the same for
// everybody.
func (a *App) AskPasskey(_ context.Context, at Site, browser string) ([]byte, error) {
	return a.passkeys.Ask(at, browser, passkey.Owner{}, nil)
}

// SignInWithPasskey checks the browser's answer to AskPasskey and starts a session. Every answer that is not good gets the same
// refusal; who tries again and again waits, as with passwords.
func (a *App) SignInWithPasskey(ctx context.Context, at Site, browser string, answer []byte, ip, agent string) (session string, err error) {
	if err := a.throttle.try(a.Now(), "ip|"+ip, 30); err != nil {
		return "", err
	}
	given, err := passkey.Read(answer)
	if err != nil {
		return "", errPasskey(err)
	}
	id := sha256.Sum256(given.KeyID)
	pair := "passkey|" + hex.EncodeToString(id[:]) + "|" + ip
	if err := a.throttle.try(a.Now(), pair, 5); err != nil {
		return "", err
	}
	u, k, err := a.holder(ctx, given.KeyID)
	if err != nil {
		return "", err
	}
	by := actorOf(u, ip, "session", a.Now())
	if err := a.checkPasskey(ctx, at, browser, passkey.Owner{}, given, by, k); err != nil {
		if safepoint.ErrorCode(err) == safepoint.CodeUnauthorized {
			email := u.Email
			if u.ID == "" {
				email = "unknown passkey"
			}
			a.auditSignIn(ctx, u, email, ip, "passkey", failed)
		}
		return "", err
	}
	a.throttle.passed(pair)
	a.throttle.passed("ip|" + ip)
	session, err = a.startSession(ctx, u, k.ID, ip, agent)
	if safepoint.ErrorCode(err) == safepoint.CodeNotFound { // removed just now
		return "", errPasskey(err)
	}
	if err != nil {
		return "", err
	}
	a.auditSignIn(ctx, u, u.Email, ip, "passkey", done)
	return session, nil
}

// holder is whose passkey this is, nobody's where it is not known.
func (a *App) holder(ctx context.Context, credentialID []byte) (safepoint.User, catalog.Passkey, error) {
	k, err := a.Catalog.PasskeyByCredential(ctx, credentialID)
	if safepoint.ErrorCode(err) == safepoint.CodeNotFound {
		return safepoint.User{}, catalog.Passkey{}, nil
	}
	if err != nil {
		return safepoint.User{}, catalog.Passkey{}, err
	}
	u, _, err := a.Catalog.User(ctx, k.UserID)
	return u, k, err
}

// AskPasskeyAgain is the question with which a signed-in person shows again who they are, in JSON for the browser of their
// session. Only their own passkeys answer it.
func (a *App) AskPasskeyAgain(ctx context.Context, by safepoint.Actor, session string, at Site) ([]byte, error) {
	if err := a.ownPasskeys(ctx, by, "signin.again"); err != nil {
		return nil, err
	}
	all, err := a.Catalog.Passkeys(ctx, by.UserID)
	if err != nil {
		return nil, err
	}
	keys := keysAt(at, all)
	if len(keys) == 0 {
		return nil, safepoint.Errorf(safepoint.CodeNotFound, "You have no passkey for this address.").WithHint("Enter your password instead.")
	}
	return a.passkeys.Ask(at, session, ownerOf(by), keys)
}

// ReenterWithPasskey is Reenter with the browser's answer to AskPasskeyAgain. One that is not good is CodeInvalid, as a wrong
// password is.
func (a *App) ReenterWithPasskey(ctx context.Context, by safepoint.Actor, session string, at Site, answer []byte) error {
	if err := a.ownPasskeys(ctx, by, "signin.again"); err != nil {
		return err
	}
	tries := by.UserID + "|" + by.IP // with those of the password
	if err := a.throttle.try(a.Now(), tries, 5); err != nil {
		return err
	}
	again := act{action: "signin.again", object: "user", id: by.UserID, name: by.Email, outcome: failed, detail: "With a passkey."}
	given, err := passkey.Read(answer)
	if err == nil {
		var k catalog.Passkey
		if _, k, err = a.holder(ctx, given.KeyID); err != nil {
			return err
		}
		if k.UserID != by.UserID {
			k = catalog.Passkey{} // somebody else's is as good as none
		}
		err = a.checkPasskey(ctx, at, session, ownerOf(by), given, by, k)
	} else {
		err = errPasskey(err)
	}
	if err != nil {
		if safepoint.ErrorCode(err) != safepoint.CodeUnauthorized {
			return err
		}
		a.audit(ctx, by, again)
		return safepoint.Invalid("passkey", "This passkey was not accepted.").WithHint("Try again, or use your password.").WithCause(err)
	}
	a.throttle.passed(tries)
	if err := a.Catalog.ReenterSession(ctx, hashSecret(session), by.UserID, a.Now()); err != nil {
		return err
	}
	again.outcome = done
	a.audit(ctx, by, again)
	return nil
}

// checkPasskey checks an answer that was asked of one person, or of anybody, against a passkey of by's. What is not good is
// CodeUnauthorized. A passkey of which two devices showed up is not taken any more: one of them may be a thief's.
func (a *App) checkPasskey(ctx context.Context, at Site, browser string, asked passkey.Owner, given passkey.Answer, by safepoint.Actor, k catalog.Passkey) error {
	used, err := a.passkeys.Check(at, browser, asked, given, ownerOf(by), keyOf(k))
	if errors.Is(err, passkey.ErrRefused) {
		return errPasskey(err)
	}
	if err != nil {
		return err
	}
	if used.Copied && k.CopiedAt.IsZero() {
		if err := a.Catalog.DistrustPasskey(ctx, k.ID, a.Now()); err != nil {
			return err
		}
		a.auditEverywhere(ctx, by.UserID, by, act{action: "passkey.copied", object: "passkey", id: k.ID, name: k.Name, outcome: denied,
			detail: "Its device counted back: two devices may hold it."})
	}
	if used.Copied || !k.CopiedAt.IsZero() {
		return errPasskey(errors.New("two devices may hold it"))
	}
	err = a.Catalog.UsePasskey(ctx, k.ID, used.Count, a.Now())
	if safepoint.ErrorCode(err) == safepoint.CodeNotFound { // removed just now
		return errPasskey(err)
	}
	return err
}

// errPasskey is the one refusal of a passkey, whatever the reason, which is for the log.
func errPasskey(cause error) error {
	return safepoint.Errorf(safepoint.CodeUnauthorized, "This passkey was not accepted.").WithHint("Try again, or use your password.").WithCause(cause)
}

func ownerOf(by safepoint.Actor) passkey.Owner {
	return passkey.Owner{ID: by.UserID, Name: by.Email, Title: by.UserName}
}

func keyOf(p catalog.Passkey) passkey.Key {
	return passkey.Key{ID: p.CredentialID, Public: p.PublicKey, Count: p.SignCount, Synced: p.Synced, Transports: p.Transports}
}

// keysAt are the passkeys that were made at a site's host.
func keysAt(at Site, all []catalog.Passkey) (keys []passkey.Key) {
	for _, p := range all {
		if p.Host == at.Host {
			keys = append(keys, keyOf(p))
		}
	}
	return keys
}
