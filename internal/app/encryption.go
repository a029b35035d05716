package app

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/subtle"
	"fmt"
	"io"
	"strings"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/catalog"
	"github.com/safepoint-db/safepoint/internal/encrypt"
)

// RecipientInput is whom new backups shall be encrypted for. Without a public key Safepoint makes a key.
type RecipientInput struct {
	Name      string
	PublicKey string // "age1…"; "" makes a key
	Keep      bool   // of a key that is made: Safepoint keeps a sealed copy, so that restores need no key
}

// NewRecipient is a recipient that waits to be proven.
type NewRecipient struct {
	safepoint.Recipient
	IdentityFile string // the file of the key that was made, shown this once; "" for a public key of one's own
	Challenge    string // an age file as text, which holds the word that proves the key
}

// Proof shows that the secret key of a recipient is there: the word in its challenge, or the key, which is used once
// and forgotten.
type Proof struct {
	Word     string
	Identity string // what an identity file holds
}

// Encryption says whether and for whom the organization's backups are encrypted.
func (a *App) Encryption(ctx context.Context, by safepoint.Actor) (safepoint.Encryption, error) {
	if err := a.authorize(ctx, by, viewer, "encryption.read"); err != nil {
		return safepoint.Encryption{}, err
	}
	return a.Catalog.Encryption(ctx, by.OrganizationID)
}

// AddRecipient begins the way to encrypted backups, or to a new key for them: it stores a recipient that is not used
// before ProveRecipient. It needs a password entered lately: CodeStepUp.
func (a *App) AddRecipient(ctx context.Context, by safepoint.Actor, in RecipientInput) (NewRecipient, error) {
	e := act{action: "encryption.recipient.add", object: "recipient", outcome: done}
	if err := a.dangerous(ctx, by, &e, "add a recipient"); err != nil {
		return NewRecipient{}, err
	}
	n := NewRecipient{Recipient: safepoint.Recipient{ID: safepoint.NewID(safepoint.RecipientPrefix), OrganizationID: by.OrganizationID, CreatedByName: by.UserName}}
	var err error
	if in.Name == "" {
		in.Name = "Recovery key"
	}
	if n.Name, err = checkName("name", in.Name); err != nil {
		return NewRecipient{}, err
	}
	to, sealed, err := a.recipientOf(&n, in)
	if err != nil {
		return NewRecipient{}, err
	}
	n.PublicKey = to.String()
	if err := a.fitsOthers(ctx, by.OrganizationID, to); err != nil {
		return NewRecipient{}, err
	}
	ch, err := challenge(to)
	if err != nil {
		return NewRecipient{}, err
	}
	if n.Challenge, err = encrypt.Armor(ch.Sealed); err != nil {
		return NewRecipient{}, err
	}
	if n.Recipient, err = a.Catalog.AddRecipient(ctx, n.Recipient, sealed, ch); err != nil {
		return NewRecipient{}, err
	}
	e.id, e.name, e.detail = n.ID, n.Name, encrypt.Short(n.PublicKey)+", not proven yet."
	a.audit(ctx, by, e)
	a.changed(by.OrganizationID, "encryption", n.ID)
	return n, nil
}

// recipientOf is the public key that was given, or that of a key made now, whose file goes into n.
func (a *App) recipientOf(n *NewRecipient, in RecipientInput) (to encrypt.Recipient, sealed []byte, err error) {
	if strings.TrimSpace(in.PublicKey) != "" {
		if to, err = encrypt.ParseRecipient(in.PublicKey); err != nil {
			e := safepoint.UserError(err)
			e.Field = "public_key"
			return to, nil, e
		}
		return to, nil, nil
	}
	id, err := encrypt.NewIdentity(false)
	if err != nil {
		return to, nil, err
	}
	n.IdentityFile = id.File(a.Now().UTC())
	if in.Keep {
		sealed = a.Keys.Seal(catalog.RecipientPlace(n.OrganizationID, n.ID), id.Secret())
	}
	return id.Recipient(), sealed, nil
}

// fitsOthers refuses a recipient that cannot be used beside those that are.
func (a *App) fitsOthers(ctx context.Context, orgID string, to encrypt.Recipient) error {
	enc, err := a.Catalog.Encryption(ctx, orgID)
	if err != nil {
		return err
	}
	for _, r := range enc.Active() {
		other, err := encrypt.ParseRecipient(r.PublicKey)
		if err != nil {
			return fmt.Errorf("recipient %s: %w", r.ID, err)
		}
		if other.PostQuantum() != to.PostQuantum() {
			return safepoint.Invalid("public_key", "Post-quantum recipients (age1pq1…) and others (age1…) cannot be used for the same file.").
				WithHint("To change from one kind to the other, turn encryption off, remove the recipients, and begin with the new one.")
		}
	}
	return nil
}

// challenge is a word that nobody can guess, encrypted for a recipient.
func challenge(to encrypt.Recipient) (catalog.Challenge, error) {
	text := rand.Text()
	word := text[:4] + "-" + text[4:8] + "-" + text[8:12] + "-" + text[12:16] // 80 bits
	var b bytes.Buffer
	w, err := encrypt.NewWriter(&b, []encrypt.Recipient{to})
	if err != nil {
		return catalog.Challenge{}, err
	}
	if _, err := io.WriteString(w, word+"\n"); err != nil {
		return catalog.Challenge{}, err
	}
	if err := w.Close(); err != nil {
		return catalog.Challenge{}, err
	}
	return catalog.Challenge{Sealed: b.Bytes(), WordHash: hashSecret(word)}, nil
}

// Challenge returns the challenge of a recipient that is not proven yet, as text that age -d reads.
func (a *App) Challenge(ctx context.Context, by safepoint.Actor, id string) (string, error) {
	if err := a.authorize(ctx, by, admin, "encryption.challenge"); err != nil {
		return "", err
	}
	_, ch, err := a.Catalog.Recipient(ctx, by.OrganizationID, id)
	if err != nil {
		return "", err
	}
	if ch.Sealed == nil {
		return "", safepoint.Errorf(safepoint.CodeConflict, "The key of this recipient was proven already.")
	}
	return encrypt.Armor(ch.Sealed)
}

// ProveRecipient takes the proof that the secret key of a recipient is there. New backups are encrypted for it from
// then on, and encryption is on if it was off. A wrong proof is a mistake in the field "word" or "identity".
func (a *App) ProveRecipient(ctx context.Context, by safepoint.Actor, id string, p Proof) (safepoint.Encryption, error) {
	if err := a.authorize(ctx, by, admin, "encryption.recipient.prove"); err != nil {
		return safepoint.Encryption{}, err
	}
	r, ch, err := a.Catalog.Recipient(ctx, by.OrganizationID, id)
	if err != nil {
		return safepoint.Encryption{}, err
	}
	if ch.Sealed == nil {
		return safepoint.Encryption{}, safepoint.Errorf(safepoint.CodeConflict, "The key of this recipient was proven already.")
	}
	e := act{action: "encryption.recipient.prove", object: "recipient", id: r.ID, name: r.Name, outcome: done}
	if err := p.check(r, ch); err != nil {
		e.outcome, e.detail = failed, safepoint.UserError(err).Message
		a.audit(ctx, by, e)
		return safepoint.Encryption{}, err
	}
	to, err := encrypt.ParseRecipient(r.PublicKey)
	if err != nil {
		return safepoint.Encryption{}, err
	}
	a.mu.Lock() // of two proofs at once, the second one sees the recipient of the first
	err = a.fitsOthers(ctx, by.OrganizationID, to)
	if err == nil {
		err = a.Catalog.ProveRecipient(ctx, by.OrganizationID, id)
	}
	a.mu.Unlock()
	if err != nil {
		return safepoint.Encryption{}, err
	}
	e.detail = "New backups are encrypted for " + encrypt.Short(r.PublicKey) + "."
	a.audit(ctx, by, e)
	a.changed(by.OrganizationID, "encryption", id)
	return a.Catalog.Encryption(ctx, by.OrganizationID)
}

// check compares the word, or the one that the key finds in the challenge, with the one that was chosen.
func (p Proof) check(r safepoint.Recipient, ch catalog.Challenge) error {
	word := strings.ToUpper(strings.TrimSpace(p.Word))
	if strings.TrimSpace(p.Identity) != "" {
		ids, err := encrypt.ParseIdentities(p.Identity)
		if err != nil {
			return err
		}
		in, n, err := encrypt.Open(bytes.NewReader(ch.Sealed), int64(len(ch.Sealed)), ids)
		if safepoint.ErrorCode(err) == safepoint.CodeKey {
			return safepoint.Invalid("identity", "This is not the key of %s.", encrypt.Short(r.PublicKey)).
				WithHint("Encryption was not changed. Take the key that belongs to this recipient.")
		}
		if err != nil {
			return err
		}
		text, err := io.ReadAll(io.NewSectionReader(in, 0, n))
		if err != nil {
			return err
		}
		word = strings.TrimSpace(string(text))
	}
	if word == "" {
		return safepoint.Invalid("word", "Enter the word that the key finds, or the key itself.")
	}
	if subtle.ConstantTimeCompare([]byte(hashSecret(word)), []byte(ch.WordHash)) != 1 {
		return safepoint.Invalid("word", "This is not the word. Encryption was not changed.").
			WithHint("Decrypt the challenge with age -d -i KEY, and enter what it prints.")
	}
	return nil
}

// RemoveRecipient ends the use of a recipient for new backups. Backups that were made for it stay readable with its key,
// a kept one too. The last one stays while encryption is on.
func (a *App) RemoveRecipient(ctx context.Context, by safepoint.Actor, id string) error {
	e := act{action: "encryption.recipient.remove", object: "recipient", id: id, outcome: done}
	if err := a.dangerous(ctx, by, &e, "remove a recipient"); err != nil {
		return err
	}
	r, _, err := a.Catalog.Recipient(ctx, by.OrganizationID, id)
	if err != nil {
		return err
	}
	if err := a.Catalog.RetireRecipient(ctx, by.OrganizationID, id); err != nil {
		return err
	}
	e.name, e.detail = r.Name, encrypt.Short(r.PublicKey)+"."
	a.audit(ctx, by, e)
	a.changed(by.OrganizationID, "encryption", id)
	return nil
}

// ForgetKey destroys the copy of a secret key that Safepoint keeps. From then on backups made for it are restored only
// by who brings the key.
func (a *App) ForgetKey(ctx context.Context, by safepoint.Actor, id string) error {
	e := act{action: "encryption.key.forget", object: "recipient", id: id, outcome: done}
	if err := a.dangerous(ctx, by, &e, "make Safepoint forget a key"); err != nil {
		return err
	}
	r, _, err := a.Catalog.Recipient(ctx, by.OrganizationID, id)
	switch {
	case err != nil:
		return err
	case !r.Kept:
		return safepoint.Errorf(safepoint.CodeConflict, "Safepoint keeps no copy of this key.")
	case r.ProvenAt.IsZero():
		return safepoint.Errorf(safepoint.CodeConflict, "Nobody has shown yet that this key is anywhere else.").
			WithHint("Prove it first, or remove the recipient.")
	}
	if err := a.Catalog.SetSealedIdentity(ctx, by.OrganizationID, id, nil); err != nil {
		return err
	}
	e.name, e.detail = r.Name, encrypt.Short(r.PublicKey)+"."
	a.audit(ctx, by, e)
	a.changed(by.OrganizationID, "encryption", id)
	return nil
}

// SetEncryption turns the encryption of new backups on for the recipients that were proven, or off once the
// organization's name was typed. Backups that are there stay as they are.
func (a *App) SetEncryption(ctx context.Context, by safepoint.Actor, on bool, confirm string) (safepoint.Encryption, error) {
	e := act{action: "encryption.off", object: "organization", id: by.OrganizationID, outcome: done}
	what := "turn encryption off"
	if on {
		e.action, what = "encryption.on", "turn encryption on"
	}
	if err := a.dangerous(ctx, by, &e, what); err != nil {
		return safepoint.Encryption{}, err
	}
	o, err := a.Catalog.Organization(ctx, by.OrganizationID)
	if err != nil {
		return safepoint.Encryption{}, err
	}
	if !on && !typed(confirm, o.Name) {
		return safepoint.Encryption{}, safepoint.Invalid("confirm", "Type %s exactly as shown. Encryption stays on.", o.Name)
	}
	if err := a.Catalog.SetEncryption(ctx, by.OrganizationID, on); err != nil {
		return safepoint.Encryption{}, err
	}
	e.name = o.Name
	a.audit(ctx, by, e)
	a.changed(by.OrganizationID, "encryption", by.OrganizationID)
	return a.Catalog.Encryption(ctx, by.OrganizationID)
}

// dangerous lets an admin pass who entered the password, or used a passkey, in the last five minutes: CodeStepUp otherwise. A
// refusal is written to the audit log.
func (a *App) dangerous(ctx context.Context, by safepoint.Actor, e *act, what string) error {
	if err := a.authorize(ctx, by, admin, e.action); err != nil {
		return err
	}
	return a.stepUp(ctx, by, *e, what)
}

// stepUp refuses what was not asked for with a password entered, or a passkey used, in the last five minutes, and audits that.
func (a *App) stepUp(ctx context.Context, by safepoint.Actor, e act, what string) error {
	if a.recent(by) {
		return nil
	}
	e.outcome = denied
	a.audit(ctx, by, e)
	return errStepUp(what)
}

// recent says whether the password was entered, or a passkey used, in the last five minutes.
func (a *App) recent(by safepoint.Actor) bool {
	return !by.SignedInAt.IsZero() && a.Now().Sub(by.SignedInAt) <= stepUpLife
}

func errStepUp(what string) error {
	return safepoint.Errorf(safepoint.CodeStepUp, "Enter your password again to %s.", what)
}
