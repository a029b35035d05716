package wire

import (
	"time"

	"github.com/safepoint-db/safepoint"
)

// Encryption is whether and for whom the organization's backups are encrypted.
type Encryption struct {
	On         bool        `json:"on" doc:"New backups are encrypted"`
	Since      time.Time   `json:"since,omitzero"`
	Recipients []Recipient `json:"recipients" nullable:"false" doc:"Oldest first"`
}

func FromEncryption(e safepoint.Encryption) Encryption {
	return Encryption{On: e.On(), Since: utc(e.Since), Recipients: Map(e.Recipients, FromRecipient)}
}

// EncryptionInput turns encryption on or off.
type EncryptionInput struct {
	On      bool   `json:"on"`
	Confirm string `json:"confirm,omitempty" doc:"To turn it off: the organization's name, exactly" example:"Harbor Logistics"`
}

// Recipient is a public key of age. Its secret key opens the backups made for it, and is never part of this.
type Recipient struct {
	ID        string    `json:"id" example:"rcp_k3jq7w2mfz5xv4na"`
	Name      string    `json:"name" example:"Recovery key"`
	PublicKey string    `json:"public_key" example:"age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"`
	Active    bool      `json:"active" doc:"New backups are made for it, while encryption is on"`
	KeyKept   bool      `json:"key_kept" doc:"Safepoint keeps a sealed copy of the secret key: restores need no key"`
	CreatedAt time.Time `json:"created_at"`
	CreatedBy string    `json:"created_by,omitempty" example:"Rahel Odermatt"`
	ProvenAt  time.Time `json:"proven_at,omitzero" doc:"When the secret key was shown to be there; left out: not yet, and nothing is encrypted for it"`
	RetiredAt time.Time `json:"retired_at,omitzero" doc:"Since when new backups are not made for it any more"`
}

func FromRecipient(r safepoint.Recipient) Recipient {
	return Recipient{
		ID: r.ID, Name: r.Name, PublicKey: r.PublicKey, Active: r.Active(), KeyKept: r.Kept, CreatedAt: r.CreatedAt.UTC(),
		CreatedBy: r.CreatedByName, ProvenAt: utc(r.ProvenAt), RetiredAt: utc(r.RetiredAt),
	}
}

// RecipientInput adds a recipient: a public key of one's own, or a key that is made now.
type RecipientInput struct {
	Name      string `json:"name,omitempty" maxLength:"100" example:"Recovery key"`
	PublicKey string `json:"public_key,omitempty" maxLength:"4096" doc:"age1…; left out: a key is made, and returned this once" example:"age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"`
	KeepKey   bool   `json:"keep_key,omitempty" doc:"Of a key that is made: Safepoint keeps a sealed copy, so that restores need no key"`
}

// NewRecipient is a recipient that waits for its proof.
type NewRecipient struct {
	Recipient
	Identity  string `json:"identity,omitempty" doc:"The identity file of the key that was made. It is not shown again: keep it where no backup is kept"`
	Challenge string `json:"challenge" doc:"An age file as text: age -d -i KEY prints the word that proves the key"`
}

// Challenge is what a recipient's key must open.
type Challenge struct {
	Challenge string `json:"challenge" doc:"An age file as text: age -d -i KEY prints the word that proves the key"`
}

// ProofInput shows that the secret key of a recipient is there.
type ProofInput struct {
	Word     string `json:"word,omitempty" maxLength:"100" doc:"What age -d -i KEY prints of the challenge" example:"K3JQ-7W2M-FZ5X-V4NA"`
	Identity string `json:"identity,omitempty" maxLength:"65536" format:"password" writeOnly:"true" doc:"Or the key itself, which opens the challenge and is forgotten"`
}
