package cli

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"os"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/archive"
	"github.com/safepoint-db/safepoint/internal/engine"
)

type dumpCmd struct {
	From   string `required:"" placeholder:"URL" help:"postgres://user@host:port/name or sqlite:///path."`
	Output string `short:"o" required:"" placeholder:"FILE" help:"The backup file to make, such as shop.sql.zst."`
	Secret
	Jobs
	SignKey string `type:"existingfile" placeholder:"FILE" help:"Sign the file with this key: PEM, such as signing.key of a data directory."`
	Force   bool   `help:"Replace a file that is there."`
}

func (cmd *dumpCmd) Run(ctx context.Context, env *Env) error {
	if cmd.Output == "-" {
		return safepoint.Invalid("output", "A backup is written to a file, never to standard output.").
			WithHint("It is read again and checked before it gets its name. Choose a file, then copy it.")
	}
	var key ed25519.PrivateKey
	if cmd.SignKey != "" {
		var err error
		if key, _, err = readKey(cmd.SignKey); err != nil {
			return err
		}
		if key == nil {
			return safepoint.Errorf(safepoint.CodeInvalid, "%s is a public key: signing needs the private one.", cmd.SignKey)
		}
	}
	e, t, _, err := cmd.target(ctx, env, cmd.From)
	if err != nil {
		return err
	}
	if e, err = cmd.in(e); err != nil {
		return err
	}
	findings, err := e.CanDump(ctx, t)
	if err != nil {
		return err
	}
	if err := env.blockers(findings); err != nil {
		return err
	}
	made, err := env.writeBackup(ctx, cmd.Output, cmd.Force, key, func(w *archive.Writer, opt engine.DumpOptions) error {
		return e.Dump(ctx, t, w, opt)
	})
	if err != nil {
		return err
	}
	return env.print(made, made.print)
}

// writeBackup makes a backup file out of what dump writes. Only when it was synced, read again and found whole does it
// get its name.
func (env *Env) writeBackup(ctx context.Context, path string, force bool, key ed25519.PrivateKey,
	dump func(*archive.Writer, engine.DumpOptions) error) (made fileFacts, err error) {
	out, err := createOutput(path, force)
	if err != nil {
		return made, err
	}
	defer out.abort()
	w := archive.NewWriter(out, archive.Header{Tool: "safepoint " + Version}, key)
	m := env.meter(bytesText)
	err = dump(w, engine.DumpOptions{Report: showProgress(m, "dump", 0)})
	m.end()
	if err != nil {
		return made, fileError(fmt.Errorf("dump: %w", err), path)
	}
	sum, err := w.Close()
	if err != nil {
		return made, fileError(fmt.Errorf("finish backup file: %w", err), path)
	}
	if err := out.Sync(); err != nil {
		return made, fileError(err, path)
	}
	if made, err = env.readBack(ctx, out.File, path, sum, key); err != nil {
		return made, fmt.Errorf("read the backup file again: %w", err)
	}
	return made, out.commit()
}

// readBack reads what was written through a second file handle and compares it with what was meant to be written.
func (env *Env) readBack(ctx context.Context, f *os.File, path string, sum archive.Summary, key ed25519.PrivateKey) (fileFacts, error) {
	again, err := os.Open(f.Name())
	if err != nil {
		return fileFacts{}, err
	}
	trust := archive.Trust{Unsigned: key == nil}
	if key != nil {
		trust.Keys = []ed25519.PublicKey{key.Public().(ed25519.PublicKey)}
	}
	r, err := archive.Open(again, sum.Size, trust)
	if err != nil {
		again.Close()
		return fileFacts{}, err
	}
	b := &backupFile{Reader: r, f: again, size: sum.Size}
	defer b.Close()
	sha, err := env.verify(ctx, b)
	if err != nil {
		return fileFacts{}, err
	}
	if sha != sum.SHA256 {
		return fileFacts{}, safepoint.Errorf(safepoint.CodeArchive, "The file reads back with SHA-256 %s, but %s was written.", sha, sum.SHA256).
			WithHint("The disk does not keep what it is given.")
	}
	made := factsOf(path, b)
	made.SHA256, made.Whole = sha, true
	return made, nil
}
