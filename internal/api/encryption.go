package api

import (
	"context"
	"net/http"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/api/wire"
	"github.com/safepoint-db/safepoint/internal/app"
)

func (a *API) encryptionRoutes() {
	const tag = "Encryption"
	const at = orgPrefix + "/encryption"
	lately := " The token must have been made with a password entered in the last five minutes: `step_up` otherwise."

	handle(a, op(http.MethodGet, at, "get-encryption", "Whether and for whom backups are encrypted", tag),
		func(ctx context.Context, by safepoint.Actor, _ *InOrg) (*body[wire.Encryption], error) {
			e, err := a.cfg.App.Encryption(ctx, by)
			return reply(wire.FromEncryption(e), err)
		})

	type setRequest struct {
		InOrg
		Body wire.EncryptionInput
	}
	set := change(http.MethodPut, at, "set-encryption", "Turn the encryption of new backups on or off", tag)
	set.Description += lately
	handle(a, set, func(ctx context.Context, by safepoint.Actor, in *setRequest) (*body[wire.Encryption], error) {
		e, err := a.cfg.App.SetEncryption(ctx, by, in.Body.On, in.Body.Confirm)
		return reply(wire.FromEncryption(e), err)
	})

	type addRequest struct {
		InOrg
		Body wire.RecipientInput
	}
	add := with(http.StatusCreated, change(http.MethodPost, at+"/recipients", "add-recipient", "Add a recipient, which is used once its key was proven", tag))
	add.Description += lately
	handle(a, add, func(ctx context.Context, by safepoint.Actor, in *addRequest) (*body[wire.NewRecipient], error) {
		n, err := a.cfg.App.AddRecipient(ctx, by, app.RecipientInput{Name: in.Body.Name, PublicKey: in.Body.PublicKey, Keep: in.Body.KeepKey})
		return reply(wire.NewRecipient{Recipient: wire.FromRecipient(n.Recipient), Identity: n.IdentityFile, Challenge: n.Challenge}, err)
	})
	a.recipientRoutes(tag, at+"/recipients/{recipient}", lately)
}

func (a *API) recipientRoutes(tag, one, lately string) {
	type InRecipient struct {
		InOrg
		Recipient string `path:"recipient" example:"rcp_k3jq7w2mfz5xv4na"`
	}
	handle(a, change(http.MethodGet, one+"/challenge", "get-challenge", "What the recipient's key must open to be proven", tag),
		func(ctx context.Context, by safepoint.Actor, in *InRecipient) (*body[wire.Challenge], error) {
			text, err := a.cfg.App.Challenge(ctx, by, in.Recipient)
			return reply(wire.Challenge{Challenge: text}, err)
		})

	type proveRequest struct {
		InRecipient
		Body wire.ProofInput
	}
	handle(a, change(http.MethodPost, one+"/proof", "prove-recipient", "Prove that the recipient's key is there; encryption is on from then on", tag),
		func(ctx context.Context, by safepoint.Actor, in *proveRequest) (*body[wire.Encryption], error) {
			e, err := a.cfg.App.ProveRecipient(ctx, by, in.Recipient, app.Proof{Word: in.Body.Word, Identity: in.Body.Identity})
			return reply(wire.FromEncryption(e), err)
		})

	remove := change(http.MethodDelete, one, "remove-recipient", "Make new backups no longer for this recipient", tag)
	remove.Description += lately
	handle(a, remove, func(ctx context.Context, by safepoint.Actor, in *InRecipient) (*struct{}, error) {
		return nil, a.cfg.App.RemoveRecipient(ctx, by, in.Recipient)
	})

	forget := change(http.MethodDelete, one+"/key", "forget-key", "Forget the kept copy of the recipient's key", tag)
	forget.Description += lately + " From then on backups made for it are restored only by who brings the key."
	handle(a, forget, func(ctx context.Context, by safepoint.Actor, in *InRecipient) (*struct{}, error) {
		return nil, a.cfg.App.ForgetKey(ctx, by, in.Recipient)
	})
}
