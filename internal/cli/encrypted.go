package cli

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/safepoint-db/safepoint"
	"github.com/safepoint-db/safepoint/internal/encrypt"
)

// identityVariable names a file with keys, for commands without --identity. The key itself is in no variable and no argument.
const identityVariable = "SAFEPOINT_IDENTITY_FILE"

const secretKeyPrefix = "AGE-SECRET-KEY-"

// Recipients are whom a backup file is encrypted for.
type Recipients struct {
	Recipient []string `placeholder:"age1…" help:"Encrypt the backup file with age for this public key; can be repeated, and any one of the keys opens the file."`
}

func (r Recipients) parse() ([]encrypt.Recipient, error) { return encrypt.ParseRecipients(r.Recipient) }

// identities are the keys in the files that were named: by --identity, else by the environment.
func (t Trust) identities() ([]encrypt.Identity, error) {
	files := t.Identity
	if len(files) == 0 {
		if path := os.Getenv(identityVariable); path != "" {
			files = []string{path}
		}
	}
	var out []encrypt.Identity
	for _, path := range files {
		ids, err := readIdentityFile(path)
		if err != nil {
			return nil, err
		}
		out = append(out, ids...)
	}
	return out, nil
}

// anyIdentity says whether a key was named at all.
func (t Trust) anyIdentity() bool { return len(t.Identity) > 0 || os.Getenv(identityVariable) != "" }

// readIdentityFile reads the keys in a file; one that a passphrase protects is opened with the one asked for.
func readIdentityFile(path string) ([]encrypt.Identity, error) {
	if strings.Contains(strings.ToUpper(path), secretKeyPrefix) {
		return nil, safepoint.Invalid("identity", "This is a key, and a file that holds it is wanted.").
			WithHint("What stands on a command line is seen by others on this machine and kept by your shell. Put the key into a file of mode 0600.")
	}
	f := os.Stdin
	if path != "-" {
		var err error
		if f, err = os.Open(path); err != nil {
			return nil, fileError(err, path)
		}
		defer f.Close()
	}
	var ask func() (string, error)
	if person := (&Env{In: os.Stdin, Err: os.Stderr}); path != "-" && person.terminal() {
		ask = func() (string, error) { return person.askSecret("Passphrase of " + path + ": ") }
	}
	ids, err := encrypt.ReadIdentities(f, ask)
	if err != nil {
		return nil, fileError(fmt.Errorf("read %s: %w", path, err), path)
	}
	return ids, nil
}

// unlock finds what opens an encrypted file: the keys that were given or, for a file with a passphrase, what a person
// at the terminal enters.
func (t Trust) unlock(f *os.File, size int64) (encrypt.FileKey, []encrypt.Identity, error) {
	info, err := encrypt.Inspect(f, size)
	if err != nil {
		return encrypt.FileKey{}, nil, err
	}
	ids, err := t.identities()
	if err != nil {
		return encrypt.FileKey{}, nil, err
	}
	if person := (&Env{In: os.Stdin, Err: os.Stderr}); len(ids) == 0 && info.Passphrase() && person.terminal() {
		p, err := person.askSecret("Passphrase of " + f.Name() + ": ")
		if err != nil {
			return encrypt.FileKey{}, nil, err
		}
		id, err := encrypt.Passphrase(p)
		if err != nil {
			return encrypt.FileKey{}, nil, err
		}
		ids = append(ids, id)
	}
	if len(ids) == 0 {
		return encrypt.FileKey{}, nil, noIdentity(info)
	}
	key, err := encrypt.Unlock(f, size, ids)
	return key, ids, err
}

// noIdentity says that a file is encrypted and no key was given.
func noIdentity(info encrypt.Info) error {
	return safepoint.Errorf(safepoint.CodeKey, "The file is encrypted %s, and no key was given.", forWhom(info)).
		WithHint("Name the file that holds one of their keys with --identity FILE, or in %s.", identityVariable)
}

// forWhom is "for 2 recipients (X25519)".
func forWhom(info encrypt.Info) string {
	if info.Passphrase() {
		return "with a passphrase"
	}
	return fmt.Sprintf("for %s (%s)", count(info.Recipients, "recipient"), strings.Join(unique(info.Kinds), ", "))
}

func unique(all []string) (out []string) {
	seen := map[string]bool{}
	for _, s := range all {
		if !seen[s] {
			out = append(out, s)
		}
		seen[s] = true
	}
	return out
}

// lockedFacts is what can be known of an encrypted file without a key.
type lockedFacts struct {
	File      string          `json:"file"`
	Size      int64           `json:"size"`
	SHA256    string          `json:"sha256,omitempty"`
	Encrypted *encryptedFacts `json:"encrypted"`
	Opened    bool            `json:"opened"` // false: whether it is whole, and what it holds, is not known
}

// encryptedFacts is how a file is encrypted.
type encryptedFacts struct {
	Recipients int      `json:"recipients"` // how many keys open it
	Kinds      []string `json:"kinds"`
	For        []string `json:"for,omitempty"` // public keys, known to who made the file only
}

func encryptedOf(f io.ReaderAt, size int64) *encryptedFacts {
	info, err := encrypt.Inspect(f, size)
	if err != nil {
		return nil
	}
	return &encryptedFacts{Recipients: info.Recipients, Kinds: info.Kinds}
}

func (e *encryptedFacts) text() string {
	if e == nil {
		return ""
	}
	text := forWhom(encrypt.Info{Recipients: e.Recipients, Kinds: e.Kinds})
	if len(e.For) > 0 {
		short := make([]string, len(e.For))
		for i, r := range e.For {
			short[i] = encrypt.Short(r)
		}
		text += ": " + strings.Join(short, ", ")
	}
	return "with age, " + text
}

// locked prints what can be known of an encrypted file whose key was not given: with its SHA-256 if sum is set.
func (env *Env) locked(path string, sum bool) error {
	f, err := os.Open(path)
	if err != nil {
		return fileError(err, path)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return fileError(err, path)
	}
	l := lockedFacts{File: path, Size: info.Size(), Encrypted: encryptedOf(f, info.Size())}
	if sum {
		if l.SHA256, err = env.sum(f, info.Size()); err != nil {
			return err
		}
	}
	return env.print(l, func(w ioWriter) {
		facts(w, "File", path, "File Size", exactSize(l.Size), "Encrypted", l.Encrypted.text(), "SHA-256", l.SHA256,
			"Not known", "what it holds, who made it, and whether it is whole: that takes one of its keys (--identity FILE)")
	})
}

// sum is the SHA-256 of a file as it lies on the disk.
func (env *Env) sum(f io.ReaderAt, size int64) (string, error) {
	m := env.meter(bytesText)
	defer m.end()
	h := sha256.New()
	buf := make([]byte, 1<<20)
	r := io.NewSectionReader(f, 0, size)
	for done := int64(0); ; {
		n, err := r.Read(buf)
		h.Write(buf[:n])
		done += int64(n)
		m.show("sum", done, size)
		if err == io.EOF {
			return hex.EncodeToString(h.Sum(nil)), nil
		}
		if err != nil {
			return "", fmt.Errorf("read backup file: %w", err)
		}
	}
}
