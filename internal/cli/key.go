package cli

import (
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/encrypt"
)

type keyCmd struct {
	New       keyNewCmd       `cmd:"" help:"Make a key that opens encrypted backups, and print its recipient: the public key to encrypt for."`
	Signer    keySignerCmd    `cmd:"" help:"Print the key by which the backups of a server are known: write it down, apart from the backups."`
	Recipient keyRecipientCmd `cmd:"" help:"Print the recipients of the keys in a file."`
}

type keyNewCmd struct {
	Output      string `aliases:"out" short:"o" placeholder:"FILE" help:"Write the key into this file, mode 0600, and print only the recipient. A file that is there is never replaced."`
	PostQuantum bool   `help:"A key that no quantum computer breaks. Its files need age 1.3 or newer, and it cannot be mixed with other recipients."`
}

func (cmd *keyNewCmd) Run(env *Env) error {
	id, err := encrypt.NewIdentity(cmd.PostQuantum)
	if err != nil {
		return err
	}
	made := struct {
		Recipient string `json:"recipient"`
		File      string `json:"file,omitempty"`
		Identity  string `json:"identity,omitempty"`
	}{Recipient: id.Recipient().String(), File: cmd.Output}
	text := id.File(time.Now())
	if cmd.Output == "" {
		made.Identity = id.Secret()
		return env.print(made, func(w ioWriter) {
			fmt.Fprint(w, text)
			fmt.Fprintf(env.Err, "Recipient: %s\nKeep the key where no backup is kept, and more than once: without it nobody opens what is encrypted for it.\n", made.Recipient)
		})
	}
	if err := writeSecretFile(cmd.Output, text); err != nil {
		return err
	}
	return env.print(made, func(w ioWriter) {
		fmt.Fprintln(w, made.Recipient)
		fmt.Fprintf(env.Err, "The key is in %s. Keep a copy where no backup is kept: without it nobody opens what is encrypted for it.\n", cmd.Output)
	})
}

// writeSecretFile makes a file of mode 0600 that is on the disk when it returns. It replaces nothing.
func writeSecretFile(path, text string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, os.ErrExist) {
		return safepoint.Errorf(safepoint.CodeConflict, "%s is there already.", path).
			WithHint("A key is never replaced: backups may exist that only it opens. Choose another name.")
	}
	if err != nil {
		return fileError(err, path)
	}
	_, err = f.WriteString(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fileError(errors.Join(err, os.Remove(path)), path)
	}
	return syncDir(filepath.Dir(path))
}

type keyRecipientCmd struct {
	File string `arg:"" help:"The file with the key; - is standard input."`
}

func (cmd *keyRecipientCmd) Run(env *Env) error {
	ids, err := readIdentityFile(cmd.File)
	if err != nil {
		return err
	}
	all := make([]string, len(ids))
	for i, id := range ids {
		all[i] = id.Recipient().String()
	}
	return env.print(map[string]any{"recipients": all}, func(w ioWriter) {
		for _, r := range all {
			fmt.Fprintln(w, r)
		}
	})
}

type keySignerCmd struct {
	File string `arg:"" type:"existingfile" help:"A signing key (PEM, private or public), such as signing.key of a data directory; or a backup file, which carries the key that signed it."`
}

func (cmd *keySignerCmd) Run(env *Env) error {
	private, public, err := readKey(cmd.File)
	if private != nil {
		public = private.Public().(ed25519.PublicKey)
	}
	if err != nil {
		b, berr := openFile(cmd.File, Trust{})
		if berr != nil {
			return err
		}
		defer b.Close()
		if public = b.Signer(); public == nil {
			return safepoint.Errorf(safepoint.CodeArchive, "%s is not signed.", cmd.File).
				WithHint("Backups of a server are; safepoint dump signs with --sign-key only.")
		}
	}
	signer := hex.EncodeToString(public)
	return env.print(map[string]any{"signer": signer}, func(w ioWriter) { fmt.Fprintln(w, signer) })
}
