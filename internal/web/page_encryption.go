package web

import (
	"encoding/base64"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/app"
)

const encryptionPath = "/settings/encryption"

type recipientRow struct {
	safepoint.Recipient
	Short   string
	Added   string
	State   string // of its pill
	Label   string
	Waiting bool // its key is not proven yet
	Last    bool // the only one that new backups are made for
}

type encryptionView struct {
	F      *form
	On     bool
	Since  string
	Active int
	Rows   []recipientRow
}

func showEncryption(v *visit) (reply, error) {
	return v.encryption(newForm("source", "make", "name", v.t.Say("Recovery key"), "keep", "1"))
}

func (v *visit) encryption(f *form) (*page, error) {
	e, err := v.app.Encryption(v.ctx, v.actor)
	if err != nil {
		return nil, err
	}
	d := encryptionView{F: f, On: e.On(), Active: len(e.Active())}
	if e.On() {
		d.Since = v.t.Full(e.Since)
	}
	for _, r := range e.Recipients {
		row := recipientRow{Recipient: r, Short: safepoint.ShortKey(r.PublicKey), Added: v.t.Ago(r.CreatedAt), State: "off", Label: v.t.Say("Not used any more")}
		switch {
		case r.Active():
			row.State, row.Label, row.Last = "ok", v.t.Say("In use"), e.On() && d.Active == 1
			if !e.On() {
				row.State, row.Label = "off", v.t.Say("Proven")
			}
		case r.ProvenAt.IsZero():
			row.State, row.Label, row.Waiting = "warn", v.t.Say("Not proven yet"), true
		}
		d.Rows = append(d.Rows, row)
	}
	return &page{Name: "encryption", Title: v.t.Say("Encryption"), Tab: "settings", Data: d}, nil
}

// stepUpFirst sends a person whose password was not entered lately to enter it, and back to the settings. Other errors
// are shown on p.
func (f *form) stepUpFirst(p *page, err error) (reply, error) {
	if safepoint.ErrorCode(err) == safepoint.CodeStepUp {
		return redirect("/stepup?next=" + url.QueryEscape(encryptionPath)), nil
	}
	return f.refused(p, err)
}

// keyInput asks for the key of an encrypted backup.
type keyInput struct {
	Recipients []string // of the backup
	Error      string
}

func newKeyInput(f *form, recipients []string) keyInput {
	return keyInput{recipients, f.Err("identity")}
}

// atKey puts what is wrong with a key, or that it is missing, where the key is entered, if it is.
func atKey(err error, asked bool) error {
	if user := safepoint.UserError(err); asked && user.Code == safepoint.CodeKey {
		user.Field = "identity"
		return user
	}
	return err
}

// needsKey says whether Safepoint keeps none of the keys that open an encrypted backup.
func (v *visit) needsKey(op safepoint.Operation) (bool, error) {
	if len(op.Recipients) == 0 {
		return false, nil
	}
	e, err := v.app.Encryption(v.ctx, v.actor)
	for _, r := range e.Recipients {
		if r.Kept && slices.Contains(op.Recipients, r.PublicKey) {
			return false, err
		}
	}
	return true, err
}

func doRecipientAdd(v *visit) (reply, error) {
	f := v.posted()
	if strings.Contains(strings.ToUpper(f.Get("public_key")), "SECRET-KEY") {
		f.Values.Del("public_key") // entered where it does not belong: it is refused, and not sent back
	}
	in := app.RecipientInput{Name: v.value("name"), Keep: v.value("keep") == "1"}
	p, err := v.encryption(f)
	if err != nil {
		return nil, err
	}
	if v.value("source") == "own" {
		if in.PublicKey = v.value("public_key"); in.PublicKey == "" {
			return f.refused(p, safepoint.Invalid("public_key", "Enter the recipient: it begins with age1."))
		}
	}
	n, err := v.app.AddRecipient(v.ctx, v.actor, in)
	if err != nil {
		return f.stepUpFirst(p, err)
	}
	answer := v.recipient(newForm(), n.Recipient, n.Challenge)
	if n.IdentityFile != "" {
		d := answer.Data.(recipientView)
		d.Key = n.IdentityFile
		// Made by us, in base64: nothing of it can leave the attribute.
		d.File = template.URL("data:text/plain;charset=utf-8;base64," + base64.StdEncoding.EncodeToString([]byte(n.IdentityFile)))
		d.FileName = safepoint.FileSafe(v.org.Name) + "-recovery.key"
		answer.Data = d
	}
	answer.Status = http.StatusCreated
	return answer, nil
}

type recipientView struct {
	F         *form
	R         safepoint.Recipient
	Short     string
	Challenge string
	Key       string       // the identity file, on the one page that shows it
	File      template.URL // the same, to be saved
	FileName  string
}

func (v *visit) recipient(f *form, r safepoint.Recipient, challenge string) *page {
	return &page{Name: "encryption_recipient", Title: v.t.Say("Prove {name}", "name", r.Name), Tab: "settings",
		Data: recipientView{F: f, R: r, Short: safepoint.ShortKey(r.PublicKey), Challenge: challenge}}
}

func showRecipient(v *visit) (reply, error) { return v.unproven(newForm()) }

// unproven is the page on which a recipient is proven, without its key: that was shown once.
func (v *visit) unproven(f *form) (*page, error) {
	r, err := v.findRecipient()
	if err != nil {
		return nil, err
	}
	challenge, err := v.app.Challenge(v.ctx, v.actor, r.ID)
	if err != nil {
		return nil, err
	}
	return v.recipient(f, r, challenge), nil
}

func (v *visit) findRecipient() (safepoint.Recipient, error) {
	e, err := v.app.Encryption(v.ctx, v.actor)
	if err != nil {
		return safepoint.Recipient{}, err
	}
	for _, r := range e.Recipients {
		if r.ID == v.id() {
			return r, nil
		}
	}
	return safepoint.Recipient{}, safepoint.Errorf(safepoint.CodeNotFound, "This recipient is not here.")
}

func doRecipientProve(v *visit) (reply, error) {
	_, err := v.app.ProveRecipient(v.ctx, v.actor, v.id(), app.Proof{Word: v.value("word"), Identity: v.r.PostFormValue("identity")})
	if err == nil {
		return redirect(encryptionPath + "?done=proven"), nil
	}
	f := v.posted("identity")
	p, perr := v.unproven(f)
	if perr != nil {
		return nil, perr
	}
	return f.refused(p, err)
}

func showRecipientRemove(v *visit) (reply, error) { return v.removeRecipient(newForm()) }

func (v *visit) removeRecipient(f *form) (*page, error) {
	r, err := v.findRecipient()
	if err != nil {
		return nil, err
	}
	q := question{F: f, Title: v.t.Say("Remove this recipient?"), Button: v.t.Say("Remove recipient"), Danger: true,
		Body: []template.HTML{
			v.t.HTML("**{name}** will no longer open new backups.", "name", properName(r.Name)),
			v.t.HTML("Backups that were made for it still open with its key: keep the key as long as you keep them."),
		},
		Action: encryptionPath + "/" + r.ID + "/remove", Back: encryptionPath}
	if r.ProvenAt.IsZero() {
		q.Body = []template.HTML{v.t.HTML("**{name}** was never proven, so no backup was made for it.", "name", properName(r.Name))}
	}
	return v.ask("settings", q), nil
}

func doRecipientRemove(v *visit) (reply, error) {
	f := v.posted()
	p, err := v.removeRecipient(f)
	if err != nil {
		return nil, err
	}
	if err := v.app.RemoveRecipient(v.ctx, v.actor, v.id()); err != nil {
		return f.stepUpFirst(p, err)
	}
	return redirect(encryptionPath + "?done=removed"), nil
}

func showKeyForget(v *visit) (reply, error) { return v.forgetKey(newForm()) }

func (v *visit) forgetKey(f *form) (*page, error) {
	r, err := v.findRecipient()
	if err != nil {
		return nil, err
	}
	return v.ask("settings", question{F: f, Title: v.t.Say("Forget this key?"), Button: v.t.Say("Forget the key"), Danger: true,
		Body: []template.HTML{
			v.t.HTML("The key of **{name}** will not be kept by Safepoint any more.", "name", properName(r.Name)),
			v.t.HTML("From then on, whoever restores a backup made for it brings the key. Backups, safety backups and undo need no key."),
			v.t.HTML("Without the key nobody opens these backups, ever. There is no other way in."),
		},
		Action: encryptionPath + "/" + r.ID + "/forget", Back: encryptionPath}), nil
}

func doKeyForget(v *visit) (reply, error) {
	f := v.posted()
	p, err := v.forgetKey(f)
	if err != nil {
		return nil, err
	}
	if err := v.app.ForgetKey(v.ctx, v.actor, v.id()); err != nil {
		return f.stepUpFirst(p, err)
	}
	return redirect(encryptionPath + "?done=forgotten"), nil
}

func showEncryptionOff(v *visit) (reply, error) { return v.encryptionOff(newForm()) }

func (v *visit) encryptionOff(f *form) (*page, error) {
	if _, err := v.app.Encryption(v.ctx, v.actor); err != nil {
		return nil, err
	}
	return v.ask("settings", question{F: f, Title: v.t.Say("Turn encryption off?"), Button: v.t.Say("Turn encryption off"), Danger: true,
		Body: []template.HTML{
			v.t.HTML("**{organization}** will store new backups in the clear: who can read the storage can read your data.", "organization", properName(v.org.Name)),
			v.t.HTML("Backups that are there stay encrypted, and still need their keys."),
		}, Confirm: v.org.Name,
		Action: encryptionPath + "/off", Back: encryptionPath}), nil
}

func doEncryptionOff(v *visit) (reply, error) {
	f := v.posted()
	p, err := v.encryptionOff(f)
	if err != nil {
		return nil, err
	}
	if _, err := v.app.SetEncryption(v.ctx, v.actor, false, v.r.PostFormValue("confirm")); err != nil {
		return f.stepUpFirst(p, err)
	}
	return redirect(encryptionPath + "?done=encryption-off"), nil
}

func doEncryptionOn(v *visit) (reply, error) {
	f := newForm("source", "make", "name", v.t.Say("Recovery key"), "keep", "1")
	p, err := v.encryption(f)
	if err != nil {
		return nil, err
	}
	if _, err := v.app.SetEncryption(v.ctx, v.actor, true, ""); err != nil {
		return f.stepUpFirst(p, err)
	}
	return redirect(encryptionPath + "?done=encryption-on"), nil
}
