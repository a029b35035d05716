package cli

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/api/wire"
	"github.com/safepoint-db/safepoint/internal/client"
	"github.com/safepoint-db/safepoint/internal/encrypt"
)

type encryptionCmd struct {
	Show   encryptionShowCmd   `cmd:"" default:"1" help:"Whether and for whom backups are encrypted."`
	Add    encryptionAddCmd    `cmd:"" help:"Add a recipient: the key in a file, or a public key. It is used once it was proven."`
	Prove  encryptionProveCmd  `cmd:"" help:"Prove that a recipient's key is here. Encryption is on from then on."`
	Remove encryptionRemoveCmd `cmd:"" help:"Make new backups no longer for a recipient."`
	Forget encryptionForgetCmd `cmd:"" help:"Make the server forget its copy of a recipient's key."`
	On     encryptionOnCmd     `cmd:"" help:"Encrypt new backups for the proven recipients."`
	Off    encryptionOffCmd    `cmd:"" help:"Do not encrypt new backups."`
}

type encryptionShowCmd struct{ Remote }

func (cmd *encryptionShowCmd) Run(ctx context.Context, env *Env) error {
	c, err := cmd.connect(ctx)
	if err != nil {
		return err
	}
	e, err := c.Encryption(ctx)
	if err != nil {
		return err
	}
	return env.print(e, func(w ioWriter) { printEncryption(w, e) })
}

func printEncryption(w ioWriter, e wire.Encryption) {
	state := "New backups are not encrypted."
	if e.On {
		state = "New backups are encrypted, since " + when(e.Since) + "."
	}
	fmt.Fprintln(w, state)
	if len(e.Recipients) == 0 {
		return
	}
	var rows [][]string
	for _, r := range e.Recipients {
		use := "waits for its proof"
		switch {
		case !r.RetiredAt.IsZero():
			use = "removed " + when(r.RetiredAt)
		case r.Active:
			use = "used"
		}
		rows = append(rows, []string{r.ID, r.Name, encrypt.Short(r.PublicKey), use, yesNo(r.KeyKept)})
	}
	fmt.Fprintln(w)
	table(w, columns("id", "~name", "recipient", "use", "key kept 1"), rows)
}

type encryptionAddCmd struct {
	Remote
	Lately
	Name      string `default:"Recovery key" help:"What it is called."`
	Identity  string `placeholder:"FILE" xor:"key" help:"The file with the key: its recipient is added and proven at once. The key does not leave this machine."`
	PublicKey string `name:"recipient" placeholder:"age1…" xor:"key" help:"The public key of a key that is elsewhere: it is proven later."`
}

func (cmd *encryptionAddCmd) Run(ctx context.Context, env *Env) error {
	var id encrypt.Identity
	to := cmd.PublicKey
	switch {
	case cmd.Identity != "":
		ids, err := readIdentityFile(cmd.Identity)
		if err != nil {
			return err
		}
		if len(ids) != 1 {
			return safepoint.Invalid("identity", "%s holds %s: add them one by one.", cmd.Identity, count(len(ids), "key"))
		}
		id, to = ids[0], ids[0].Recipient().String()
	case to == "":
		return usagef("name the key's file with --identity, or its recipient with --recipient; safepoint key new makes a key")
	}
	c, err := cmd.connect(ctx)
	if err != nil {
		return err
	}
	var n wire.NewRecipient
	err = cmd.again(ctx, env, c, func(fresh *client.Client) (err error) {
		c = fresh // the token that was used before is revoked
		n, err = c.AddRecipient(ctx, wire.RecipientInput{Name: cmd.Name, PublicKey: to})
		return err
	})
	if err != nil {
		return err
	}
	if cmd.Identity == "" {
		return env.print(n, func(w ioWriter) {
			fmt.Fprintln(w, n.Challenge)
			fmt.Fprintf(env.Err, "Prove the key with what age -d -i KEY prints of this: safepoint encryption prove %s WORD\n", n.ID)
		})
	}
	return env.prove(ctx, c, n.ID, n.Challenge, id)
}

// prove opens the challenge with the key, here, and sends the word that was in it.
func (env *Env) prove(ctx context.Context, c *client.Client, recipient, challenge string, ids ...encrypt.Identity) error {
	word, err := encrypt.Unarmor(challenge, ids)
	if err != nil {
		return err
	}
	e, err := c.ProveRecipient(ctx, recipient, wire.ProofInput{Word: strings.TrimSpace(string(word))})
	if err != nil {
		return err
	}
	return env.print(e, func(w ioWriter) { printEncryption(w, e) })
}

type encryptionProveCmd struct {
	Remote
	ID       string `arg:"" help:"The recipient." complete:"recipient"`
	Word     string `arg:"" optional:"" help:"What age -d -i KEY printed of the challenge."`
	Identity string `placeholder:"FILE" help:"Or the file with the key, which opens the challenge here and does not leave this machine."`
}

func (cmd *encryptionProveCmd) Run(ctx context.Context, env *Env) error {
	c, err := cmd.connect(ctx)
	if err != nil {
		return err
	}
	if cmd.Word != "" {
		e, err := c.ProveRecipient(ctx, cmd.ID, wire.ProofInput{Word: cmd.Word})
		if err != nil {
			return err
		}
		return env.print(e, func(w ioWriter) { printEncryption(w, e) })
	}
	challenge, err := c.Challenge(ctx, cmd.ID)
	if err != nil {
		return err
	}
	if cmd.Identity == "" {
		return env.print(wire.Challenge{Challenge: challenge}, func(w ioWriter) { fmt.Fprintln(w, challenge) })
	}
	ids, err := readIdentityFile(cmd.Identity)
	if err != nil {
		return err
	}
	return env.prove(ctx, c, cmd.ID, challenge, ids...)
}

type encryptionRemoveCmd struct {
	Remote
	Lately
	ID  string `arg:"" help:"The recipient." complete:"recipient"`
	Yes bool   `short:"y" help:"Do not ask."`
}

func (cmd *encryptionRemoveCmd) Run(ctx context.Context, env *Env) error {
	c, err := cmd.connect(ctx)
	if err != nil {
		return err
	}
	if err := env.confirm(cmd.Yes, "Make new backups no longer for "+cmd.ID+"? Backups made for it still need its key."); err != nil {
		return err
	}
	if err := cmd.again(ctx, env, c, func(c *client.Client) error { return c.RemoveRecipient(ctx, cmd.ID) }); err != nil {
		return err
	}
	return env.print(map[string]string{"removed": cmd.ID}, func(w ioWriter) { fmt.Fprintf(w, "New backups are not made for %s any more.\n", cmd.ID) })
}

type encryptionForgetCmd struct {
	Remote
	Lately
	ID  string `arg:"" help:"The recipient." complete:"recipient"`
	Yes bool   `short:"y" help:"Do not ask."`
}

func (cmd *encryptionForgetCmd) Run(ctx context.Context, env *Env) error {
	c, err := cmd.connect(ctx)
	if err != nil {
		return err
	}
	if err := env.confirm(cmd.Yes, "Make the server forget its copy of the key? From then on nobody restores a backup made for it without bringing the key."); err != nil {
		return err
	}
	if err := cmd.again(ctx, env, c, func(c *client.Client) error { return c.ForgetKey(ctx, cmd.ID) }); err != nil {
		return err
	}
	return env.print(map[string]string{"forgotten": cmd.ID}, func(w ioWriter) { fmt.Fprintf(w, "The server keeps no copy of the key of %s.\n", cmd.ID) })
}

type encryptionOnCmd struct {
	Remote
	Lately
}

func (cmd *encryptionOnCmd) Run(ctx context.Context, env *Env) error {
	return env.setEncryption(ctx, cmd.Remote, cmd.Lately, wire.EncryptionInput{On: true})
}

type encryptionOffCmd struct {
	Remote
	Lately
	Confirm string `placeholder:"NAME" help:"The organization's name, exactly."`
}

func (cmd *encryptionOffCmd) Run(ctx context.Context, env *Env) error {
	c, err := cmd.connect(ctx)
	if err != nil {
		return err
	}
	name, err := organizationName(ctx, c)
	if err != nil {
		return err
	}
	confirm, err := env.confirmName(cmd.Confirm, name, "New backups will not be encrypted: who can read the storage can read your data.")
	if err != nil {
		return err
	}
	return env.setEncryption(ctx, cmd.Remote, cmd.Lately, wire.EncryptionInput{Confirm: confirm})
}

// organizationName is what the organization that c is about is called.
func organizationName(ctx context.Context, c *client.Client) (string, error) {
	id, err := c.Organization(ctx)
	if err != nil {
		return "", err
	}
	all, err := c.Organizations(ctx)
	for _, o := range all {
		if o.ID == id {
			return o.Name, nil
		}
	}
	return id, err
}

func (env *Env) setEncryption(ctx context.Context, r Remote, l Lately, in wire.EncryptionInput) error {
	c, err := r.connect(ctx)
	if err != nil {
		return err
	}
	var e wire.Encryption
	err = l.again(ctx, env, c, func(c *client.Client) (err error) {
		e, err = c.SetEncryption(ctx, in)
		return err
	})
	if err != nil {
		return err
	}
	return env.print(e, func(w ioWriter) { printEncryption(w, e) })
}

// identityText is what the identity files hold, for a server that restores an encrypted backup with it: "" where none
// was named. A file that a passphrase protects is opened here.
func identityText(files []string) (string, error) {
	t := Trust{Identity: files}
	if len(files) == 0 && os.Getenv(identityVariable) == "" {
		return "", nil
	}
	ids, err := t.identities()
	var b strings.Builder
	for _, id := range ids {
		fmt.Fprintln(&b, id.Secret())
	}
	return b.String(), err
}
