package safepoint

import "time"

// Encryption is whether and for whom an organization's backups are encrypted.
type Encryption struct {
	Since      time.Time   // since when new backups are encrypted; zero: they are not
	Recipients []Recipient // oldest first, also those that are not proven yet, and those no longer used
}

// On says whether new backups are encrypted.
func (e Encryption) On() bool { return !e.Since.IsZero() }

// Active are the recipients that new backups are encrypted for while encryption is on.
func (e Encryption) Active() []Recipient {
	var active []Recipient
	for _, r := range e.Recipients {
		if r.Active() {
			active = append(active, r)
		}
	}
	return active
}

// Recipient is a public key of age. Whoever has its secret key opens the backups that were made for it.
type Recipient struct {
	ID             string
	OrganizationID string
	Name           string
	PublicKey      string // "age1…"
	Kept           bool   // Safepoint keeps a sealed copy of the secret key: restores need no key
	CreatedAt      time.Time
	CreatedByName  string
	ProvenAt       time.Time // when somebody showed that the secret key is there; zero: no backup is encrypted for it yet
	RetiredAt      time.Time // since when new backups are no longer made for it; zero: they are
}

// ShortKey is how people tell one public key from another: its first and last characters.
func ShortKey(publicKey string) string {
	const head, tail = 10, 6
	if len(publicKey) <= head+tail+1 {
		return publicKey
	}
	return publicKey[:head] + "…" + publicKey[len(publicKey)-tail:]
}

// Active says that new backups are encrypted for r.
func (r Recipient) Active() bool { return !r.ProvenAt.IsZero() && r.RetiredAt.IsZero() }
