package cli

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"strings"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/encrypt"
	"github.com/safepoint-db/safepoint/internal/rebuild"
	"github.com/safepoint-db/safepoint/internal/server"
)

type recoverCmd struct {
	From         string   `required:"" type:"existingdir" placeholder:"DIR" help:"The folder with the backup files: the backups folder of the lost data directory, or a copy of it. It is only read."`
	Data         string   `type:"path" env:"SAFEPOINT_DATA" placeholder:"DIR" help:"The data directory to list them in: a new one, or one that no server uses now. Without it, the files are only looked at."`
	Organization string   `placeholder:"NAME" help:"What their organization is called, where the files do not say."`
	Admin        string   `placeholder:"EMAIL" help:"Who becomes admin of organizations that are added, in a data directory that has accounts already. In a new one it is the first account."`
	Key          []string `type:"existingfile" placeholder:"FILE" help:"The lost server's signing.key, or its public key (PEM): backups that it signed are trusted. The private key becomes the new data directory's own."`
	Trust        []string `placeholder:"SIGNER" help:"Trust the backups of this signer: the key as it is listed, or at least its first 16 digits, compared with what you wrote down."`
	Identity     []string `placeholder:"FILE" help:"Open encrypted backups with a key in this file; default: the file that $SAFEPOINT_IDENTITY_FILE names."`
	Quick        bool     `help:"Only read each file's table of contents. Damage inside a file is then found when it is restored."`
}

// Help is shown below the flags' summary.
func (cmd *recoverCmd) Run(ctx context.Context, env *Env) error {
	r := server.Rebuilding{From: cmd.From, DataDir: cmd.Data, Organization: cmd.Organization, Admin: cmd.Admin, Trust: cmd.Trust, Quick: cmd.Quick,
		Log: Logging{}.logger(env)}
	var err error
	if r.Identities, err = (Trust{Identity: cmd.Identity}).identities(); err != nil {
		return err
	}
	for _, path := range cmd.Key {
		private, public, err := readKey(path)
		if err != nil {
			return err
		}
		if private != nil {
			r.Signing, public = private, private.Public().(ed25519.PublicKey)
		}
		r.Keys = append(r.Keys, public)
	}
	m := env.meter(bytesText)
	r.Report = func(path string, done, total int64) { m.show("read "+path, done, total) }
	out, err := server.Rebuild(ctx, r)
	m.end()
	if err != nil {
		return err
	}
	if err := env.print(out, func(w ioWriter) { cmd.show(w, out) }); err != nil {
		return err
	}
	return cmd.verdict(out)
}

// verdict says that something of the folder is not listed. What was found is printed already.
func (cmd *recoverCmd) verdict(out server.Rebuilt) error {
	for _, f := range out.Files {
		switch f.Kind {
		case rebuild.Stranger, rebuild.Damaged, rebuild.Locked:
			return reported{safepoint.Errorf(safepoint.CodeNeedsOperator, "Not every backup of the folder could be listed.")}
		}
	}
	return nil
}

func (cmd *recoverCmd) show(w ioWriter, out server.Rebuilt) {
	var rows [][]string
	kinds, unproven := map[rebuild.Kind]int{}, 0
	for _, f := range out.Files {
		kinds[f.Kind]++
		name, database, at, why := f.Path, "", "", f.Why
		if op := f.Operation; op.ID != "" && (f.Kind == rebuild.Restorable || f.Kind == rebuild.Stranger) {
			name, database, at = op.Name, op.DatabaseName, when(op.StartedAt)
			if f.Added {
				why = "added"
			} else if f.Kind == rebuild.Restorable && cmd.Data != "" {
				why = "was listed already"
			}
			if !f.Proven {
				unproven++
				why = strings.TrimPrefix(why+", not read to its end", ", ")
			}
			if len(op.Recipients) > 0 {
				why += ", encrypted for " + encrypt.Short(op.Recipients[0])
			}
		}
		rows = append(rows, []string{string(f.Kind), database, at, bytesText(f.Size), name, why})
	}
	table(w, columns("what", "~database 1", "made at", ">size 2", "~name 3", "~why 4"), rows)
	if len(out.Signers) > 0 {
		fmt.Fprintln(w)
		rows = nil
		for _, s := range out.Signers {
			trusted := "not known here"
			if s.Trusted {
				trusted = "trusted"
			}
			rows = append(rows, []string{s.Key, grouped(s.Backups), when(s.First), when(s.Last), trusted})
		}
		table(w, columns("signed by", ">backups", "from 2", "to 1", "trust"), rows)
	}
	cmd.next(w, out, kinds, unproven)
}

// next says what to do now.
func (cmd *recoverCmd) next(w ioWriter, out server.Rebuilt, n map[rebuild.Kind]int, unproven int) {
	fmt.Fprintln(w)
	if n[rebuild.Stranger] > 0 {
		fmt.Fprintf(w, "%s not added: nobody has vouched for their signer. Compare the key with the one you wrote down (safepoint key signer), then add --trust KEY, or --key FILE with the lost signing.key.\n",
			are(n[rebuild.Stranger], "backup"))
	}
	if n[rebuild.Locked] > 0 {
		fmt.Fprintf(w, "%s encrypted: run this again with --identity FILE, the recovery key, to list them too.\n", are(n[rebuild.Locked], "file"))
	}
	if n[rebuild.Damaged] > 0 {
		fmt.Fprintf(w, "%s damaged: copy them again from where they were kept, if you can.\n", are(n[rebuild.Damaged], "file"))
	}
	if unproven > 0 {
		fmt.Fprintf(w, "%s not read to its end (--quick): damage inside would not have been found. Run this again without --quick to know, or test a restore.\n", are(unproven, "backup"))
	}
	if cmd.Data == "" {
		fmt.Fprintln(w, "Nothing was changed. To list them in a data directory, add --data DIR.")
		return
	}
	fmt.Fprintf(w, "Added: %s, %s, %s.\n", count(out.Added.Backups, "backup"), count(out.Added.Databases, "database"), count(out.Added.Organizations, "organization"))
	fmt.Fprintf(w, "This installation signs as %s: write it down.\n", out.Signer)
	if out.Setup {
		fmt.Fprintf(w, "Start the server (safepoint serve --data %s), and make the first account with the code it prints: it becomes admin of what was recovered.\n", cmd.Data)
	} else {
		fmt.Fprintf(w, "Start the server: safepoint serve --data %s\n", cmd.Data)
	}
	if out.Added.Databases > 0 {
		fmt.Fprintln(w, "Then add the connection of each database (Databases, Edit), its services and its schedules.")
	}
}

func are(n int, what string) string {
	if n == 1 {
		return "1 " + what + " was found that is"
	}
	return count(n, what) + " were found that are"
}
