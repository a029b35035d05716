package cli

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/archive"
	"github.com/safepoint-db/safepoint/internal/encrypt"
	"github.com/safepoint-db/safepoint/internal/engine"
)

type dumpCmd struct {
	From   string `required:"" placeholder:"URL" help:"postgres://user@host:port/name or sqlite:///path."`
	Output string `short:"o" required:"" placeholder:"FILE" help:"The backup file to make, such as shop.sql.zst."`
	Secret
	Jobs
	NewFile
}

func (cmd *dumpCmd) Run(ctx context.Context, env *Env) error {
	mindMemory()
	giveWay()
	if cmd.Output == "-" {
		return safepoint.Invalid("output", "A backup is written to a file, never to standard output.").
			WithHint("It is read again and checked before it gets its name. Choose a file, then copy it.")
	}
	file, err := cmd.file(env, cmd.Output)
	if err != nil {
		return err
	}
	var findings []engine.Finding
	e, t, err := cmd.target(ctx, env, cmd.From, func(e engine.Engine, t engine.Target) (err error) {
		findings, err = e.CanDump(ctx, t)
		return err
	})
	if err != nil {
		return err
	}
	if e, err = cmd.in(e); err != nil {
		return err
	}
	if err := env.blockers(findings); err != nil {
		return err
	}
	made, err := env.writeBackup(ctx, file, func(w *archive.Writer, opt engine.DumpOptions) error {
		return e.Dump(ctx, t, w, opt)
	})
	if err != nil {
		return err
	}
	return env.print(made, made.print)
}

// NewFile is how a backup file is made.
type NewFile struct {
	Recipients
	SignKey string `type:"existingfile" placeholder:"FILE" help:"Sign the file with this key: PEM, such as signing.key of a data directory."`
	Force   bool   `help:"Replace a file that is there."`
	Verify  bool   `help:"Decompress the whole file before it gets its name. Without it every byte is compared with what was written; the first 64 MiB of SQL and an eighth of the rest are decompressed."`
}

// file is the backup file to make at a path, once what is asked for it can be had.
func (f NewFile) file(env *Env, path string) (n newBackup, err error) {
	n = newBackup{path: path, force: f.Force, all: f.Verify}
	if f.SignKey != "" {
		if n.key, err = privateKey(f.SignKey); err != nil {
			return n, err
		}
	}
	if n.to, err = f.Recipients.parse(); err != nil {
		return n, err
	}
	return n, env.nameFits(path, n.to)
}

// nameFits refuses a name that says encrypted for a file that would not be, and notes the reverse.
func (env *Env) nameFits(path string, to []encrypt.Recipient) error {
	named := strings.HasSuffix(path, encrypt.Extension)
	switch {
	case named && len(to) == 0:
		return safepoint.Invalid("output", "%s ends in %s, and without --recipient the file would not be encrypted.", path, encrypt.Extension).
			WithHint("Name whom it is for with --recipient age1…, or choose a name that ends in %s.", safepoint.BackupExtension)
	case !named && len(to) > 0 && !env.JSON:
		fmt.Fprintf(env.Err, "note: encrypted files are usually named %s%s\n", path, encrypt.Extension)
	}
	return nil
}

// newBackup is a backup file to make.
type newBackup struct {
	path  string
	force bool
	all   bool               // of it is decompressed before it gets its name
	key   ed25519.PrivateKey // signs it; nil leaves it unsigned
	to    []encrypt.Recipient
}

// writeBackup makes a backup file out of what dump writes. Only when it was synced, read again and found whole does it
// get its name.
func (env *Env) writeBackup(ctx context.Context, n newBackup, dump func(*archive.Writer, engine.DumpOptions) error) (made fileFacts, err error) {
	out, err := createOutput(n.path, n.force)
	if err != nil {
		return made, err
	}
	defer out.abort()
	var dst io.Writer = out
	var sealing *encrypt.Writer
	if len(n.to) > 0 {
		if sealing, err = encrypt.NewWriter(out, n.to); err != nil {
			return made, fileError(err, n.path)
		}
		dst = sealing
	}
	w := archive.NewWriter(dst, archive.Header{Tool: "safepoint " + Version}, n.key)
	again, err := os.Open(out.Name())
	if err != nil {
		return made, fileError(err, n.path)
	}
	defer again.Close()
	var follower *archive.Follower // of what is not encrypted
	if sealing == nil {
		follower = w.Follow(ctx, again, n.all)
		defer follower.Stop()
	}
	m := env.meter(bytesText)
	err = dump(w, engine.DumpOptions{Report: showProgress(m, "dump", 0)})
	m.end()
	if err != nil {
		return made, fileError(fmt.Errorf("dump: %w", err), n.path)
	}
	sum, err := w.Close()
	if err == nil && sealing != nil {
		err = sealing.Close()
		sum.Size, sum.SHA256 = sealing.Size(), sealing.SHA256()
	}
	if err != nil {
		return made, fileError(fmt.Errorf("finish backup file: %w", err), n.path)
	}
	synced := make(chan error, 1)
	go func() { synced <- out.Sync() }() // the disk is at work while the file is read again
	made, err = env.readBack(ctx, again, n, sum, sealing, follower)
	if serr := <-synced; serr != nil {
		return made, fileError(serr, n.path)
	}
	if err != nil {
		return made, fmt.Errorf("read the backup file again: %w", err)
	}
	return made, out.commit()
}

// readBack reads what was written through a second file handle, as far as a follower has not read it yet, and compares
// it with what was meant to be written. An encrypted file is opened with its own key, which nobody else has and which is
// forgotten after that.
func (env *Env) readBack(ctx context.Context, again *os.File, n newBackup, sum archive.Summary, sealing *encrypt.Writer, follower *archive.Follower) (made fileFacts, err error) {
	trust := archive.Trust{Unsigned: n.key == nil}
	if n.key != nil {
		trust.Keys = []ed25519.PublicKey{n.key.Public().(ed25519.PublicKey)}
	}
	b := &backupFile{f: again, size: sum.Size}
	if sealing != nil {
		err = b.readWith(sealing.FileKey(), trust)
	} else {
		b.Reader, err = archive.Open(again, sum.Size, trust)
	}
	if err != nil {
		return made, err
	}
	sha := ""
	if follower != nil {
		sha, err = b.VerifyFollowed(follower)
	} else {
		sha, err = env.verify(ctx, b)
	}
	if err != nil {
		return made, err
	}
	if sha != sum.SHA256 {
		return made, safepoint.Errorf(safepoint.CodeArchive, "The file reads back with SHA-256 %s, but %s was written.", sha, sum.SHA256).
			WithHint("The disk does not keep what it is given.")
	}
	made = factsOf(n.path, b)
	made.SHA256, made.Whole = sha, true
	for _, r := range n.to {
		made.Encrypted.For = append(made.Encrypted.For, r.String())
	}
	return made, nil
}
