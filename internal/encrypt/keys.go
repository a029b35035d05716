package encrypt

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"strings"
	"time"

	"filippo.io/age"
	"filippo.io/age/armor"

	"github.com/safepoint-db/safepoint"
)

const (
	secretPrefix = "AGE-SECRET-KEY-"
	maxKeyFile   = 1 << 20 // bytes
	// maxWorkFactor bounds what a passphrase may cost to check: 2^20 takes 1 GiB. age chooses 18 by itself.
	maxWorkFactor = 20
)

// Recipient is a public key: files can be encrypted for it, and only its identity opens them.
type Recipient struct {
	text string
	r    age.Recipient
}

// ParseRecipient reads a public key: age1… (X25519) or age1pq1… (post-quantum). Space around it is forgiven.
func ParseRecipient(text string) (Recipient, error) {
	text = strings.TrimSpace(text)
	if strings.Contains(strings.ToUpper(text), secretPrefix) {
		return Recipient{}, safepoint.Invalid("recipient", "This is a secret key, not a recipient. It was not stored.").
			WithHint("A recipient begins with age1. safepoint key recipient FILE, or age-keygen -y FILE, prints that of a key.")
	}
	var r age.Recipient
	var err error
	if strings.HasPrefix(text, "age1pq1") {
		r, err = age.ParseHybridRecipient(text)
	} else {
		r, err = age.ParseX25519Recipient(text)
	}
	if err != nil {
		return Recipient{}, safepoint.Invalid("recipient", "This is not a recipient of age: it begins with age1 and was copied whole.").
			WithHint("safepoint key new makes a key and prints its recipient.")
	}
	return Recipient{text, r}, nil
}

// ParseRecipients reads several, which must fit together and be different: see CheckRecipients.
func ParseRecipients(texts []string) ([]Recipient, error) {
	out := make([]Recipient, 0, len(texts))
	for _, t := range texts {
		r, err := ParseRecipient(t)
		if err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	return out, CheckRecipients(out)
}

// CheckRecipients refuses a recipient named twice, and post-quantum beside classic ones: a file that one quantum
// computer opens by its weakest recipient is not post-quantum.
func CheckRecipients(rs []Recipient) error {
	seen := map[string]bool{}
	for _, r := range rs {
		if seen[r.text] {
			return safepoint.Invalid("recipient", "%s is named twice.", r.Short())
		}
		seen[r.text] = true
		if r.PostQuantum() != rs[0].PostQuantum() {
			return safepoint.Invalid("recipient", "Post-quantum recipients (age1pq1…) and others (age1…) cannot be used for the same file.").
				WithHint("Use one kind: all recipients of a file open the whole of it.")
		}
	}
	return nil
}

// String is the public key in full.
func (r Recipient) String() string { return r.text }

// PostQuantum says that no quantum computer opens what is encrypted for r. age 1.3 or newer reads such files.
func (r Recipient) PostQuantum() bool { return strings.HasPrefix(r.text, "age1pq1") }

// Short is how people tell one recipient from another: its first and last characters.
func (r Recipient) Short() string { return Short(r.text) }

// Short shortens a public key for people.
func Short(recipient string) string { return safepoint.ShortKey(recipient) }

// Identity is a secret key. Printing it in any way gives its recipient only; Secret gives the key.
type Identity struct {
	id        age.Identity
	recipient string // "" of a passphrase
	secret    string
}

// NewIdentity makes a key: X25519, which every age reads, or a post-quantum one, which needs age 1.3 or newer.
func NewIdentity(postQuantum bool) (Identity, error) {
	if postQuantum {
		id, err := age.GenerateHybridIdentity()
		if err != nil {
			return Identity{}, fmt.Errorf("make key: %w", err)
		}
		return Identity{id, id.Recipient().String(), id.String()}, nil
	}
	id, err := age.GenerateX25519Identity()
	if err != nil {
		return Identity{}, fmt.Errorf("make key: %w", err)
	}
	return Identity{id, id.Recipient().String(), id.String()}, nil
}

// ParseIdentities reads what an identity file holds: a key per line, as safepoint key new and age-keygen write it.
// No error ever repeats any of it.
func ParseIdentities(text string) ([]Identity, error) {
	var out []Identity
	sc := bufio.NewScanner(strings.NewReader(text))
	sc.Buffer(nil, maxKeyFile)
	for n := 1; sc.Scan(); n++ {
		line := strings.TrimSpace(strings.TrimPrefix(sc.Text(), "\ufeff"))
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		id, err := parseIdentity(line)
		if err != nil {
			return nil, notAKey(fmt.Sprintf("Line %d is no key of age.", n), line)
		}
		out = append(out, id)
	}
	if sc.Err() != nil || len(out) == 0 {
		return nil, notAKey("There is no key in this.", "")
	}
	return out, nil
}

// parseIdentity reads one key. Its error says nothing, for it might say the key.
func parseIdentity(line string) (Identity, error) {
	if strings.HasPrefix(line, secretPrefix+"PQ-1") {
		id, err := age.ParseHybridIdentity(line)
		if err != nil {
			return Identity{}, errNoKey
		}
		return Identity{id, id.Recipient().String(), id.String()}, nil
	}
	id, err := age.ParseX25519Identity(line)
	if err != nil {
		return Identity{}, errNoKey
	}
	return Identity{id, id.Recipient().String(), id.String()}, nil
}

var errNoKey = safepoint.Errorf(safepoint.CodeInvalid, "not a key of age")

func notAKey(what, line string) error {
	hint := "A key is one line that begins with AGE-SECRET-KEY, copied whole. safepoint key new makes one."
	switch {
	case strings.HasPrefix(line, "age1"):
		hint = "It is a recipient, which encrypts. What opens a file is its secret key: a line that begins with AGE-SECRET-KEY."
	case strings.HasPrefix(line, "-----BEGIN OPENSSH"), strings.HasPrefix(line, "-----BEGIN RSA"):
		hint = "SSH keys are not read here. Decrypt with age itself: age -d -i KEY FILE."
	}
	return safepoint.Invalid("identity", "%s", what).Hinted(hint)
}

// ReadIdentities reads an identity file. One that is itself encrypted with a passphrase (age -p) is opened with what
// passphrase returns; nil refuses it.
func ReadIdentities(r io.Reader, passphrase func() (string, error)) ([]Identity, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxKeyFile+1))
	if err != nil {
		return nil, fmt.Errorf("read identity file: %w", err)
	}
	if len(data) > maxKeyFile {
		return nil, notAKey("This file is too long for a key.", "")
	}
	var sealed io.Reader
	switch trimmed := bytes.TrimSpace(data); {
	case bytes.HasPrefix(data, []byte(Magic)):
		sealed = bytes.NewReader(data)
	case bytes.HasPrefix(trimmed, []byte(armorStart)):
		sealed = armor.NewReader(bytes.NewReader(trimmed))
	default:
		return ParseIdentities(string(data))
	}
	if passphrase == nil {
		return nil, safepoint.Invalid("identity", "This identity file is protected by a passphrase.").
			WithHint("Decrypt it first: age -d FILE.")
	}
	p, err := passphrase()
	if err != nil {
		return nil, err
	}
	id, err := Passphrase(p)
	if err != nil {
		return nil, err
	}
	plain, err := age.Decrypt(sealed, id.id)
	if err == nil {
		data, err = io.ReadAll(io.LimitReader(plain, maxKeyFile))
	}
	if err != nil {
		return nil, safepoint.Errorf(safepoint.CodeKey, "The passphrase does not open the identity file, or the file is damaged.").
			WithHint("Try again, with the passphrase that protects the key.")
	}
	return ParseIdentities(string(data))
}

// Passphrase is what opens a file that was encrypted with one (age -p). Safepoint never writes such files.
func Passphrase(p string) (Identity, error) {
	id, err := age.NewScryptIdentity(p)
	if err != nil {
		return Identity{}, safepoint.Invalid("passphrase", "A passphrase cannot be empty.")
	}
	id.SetMaxWorkFactor(maxWorkFactor)
	return Identity{id: id}, nil
}

// Recipient is the public key of id. Only a passphrase has none.
func (id Identity) Recipient() Recipient {
	r, err := ParseRecipient(id.recipient)
	if err != nil {
		return Recipient{}
	}
	return r
}

// Secret is the key itself, one line. Whoever asks for it keeps it out of logs, errors and arguments.
func (id Identity) Secret() string { return id.secret }

// File is the content of an identity file, as age-keygen writes it.
func (id Identity) File(created time.Time) string {
	return fmt.Sprintf("# created: %s\n# public key: %s\n%s\n", created.Format(time.RFC3339), id.recipient, id.secret)
}

// Format prints the recipient only, whatever the verb: a key in a log is a key lost.
func (id Identity) Format(f fmt.State, _ rune) {
	if id.recipient == "" {
		io.WriteString(f, "a passphrase")
		return
	}
	io.WriteString(f, "the key of "+Short(id.recipient))
}

// MarshalText refuses: no encoder writes a key by accident.
func (id Identity) MarshalText() ([]byte, error) {
	return nil, fmt.Errorf("a key is not to be encoded")
}

// Armor writes an encrypted file as text, to be pasted: age -d reads it too.
func Armor(file []byte) (string, error) {
	var b strings.Builder
	w := armor.NewWriter(&b)
	if _, err := w.Write(file); err != nil {
		return "", err
	}
	if err := w.Close(); err != nil {
		return "", err
	}
	return b.String(), nil
}

// Unarmor opens a small encrypted file that Armor wrote, with any of the identities.
func Unarmor(text string, with []Identity) ([]byte, error) {
	file, err := io.ReadAll(io.LimitReader(armor.NewReader(strings.NewReader(text)), maxKeyFile))
	if err != nil {
		return nil, altered("its armor is not what was written", err)
	}
	in, n, err := Open(bytes.NewReader(file), int64(len(file)), with)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(io.NewSectionReader(in, 0, n))
}
