package catalog

import (
	"context"
	"crypto/cipher"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/crypto/chacha20poly1305"
)

// Files of the data directory that hold keys. Whoever keeps a copy of the backups keeps a copy of these elsewhere.
const (
	SealingKeyFile = "sealing.key" // opens the secrets in the catalog
	SigningKeyFile = "signing.key" // signs archives; PEM, PKCS #8

	TrustedKeysFile = "trusted.keys" // public keys that signed archives before; PEM, PKIX. None is needed
)

// sealVersion is the first byte of everything sealed.
const sealVersion = 1

// Keys are the keys of one installation. They never leave the process, and are never logged.
type Keys struct {
	aead    cipher.AEAD
	check   string
	signing ed25519.PrivateKey
	trusted []ed25519.PublicKey
}

// OpenKeys reads the keys in dir, or makes them at the first start: files of mode 0600. It refuses key files that
// others may read; and it makes no new key where the catalog already holds what only the old one opens.
func (c *Catalog) OpenKeys(ctx context.Context, dir string) (*Keys, error) {
	check, signing, sealed, err := c.keyCheck(ctx)
	if err != nil {
		return nil, fmt.Errorf("open keys: %w", err)
	}
	backups, err := c.anyBackup(ctx)
	if err != nil {
		return nil, fmt.Errorf("open keys: %w", err)
	}
	k := &Keys{}
	if err := k.openSealing(filepath.Join(dir, SealingKeyFile), check, sealed); err != nil {
		return nil, fmt.Errorf("open sealing key: %w", err)
	}
	if err := k.openSigning(filepath.Join(dir, SigningKeyFile), signing, backups); err != nil {
		return nil, fmt.Errorf("open signing key: %w", err)
	}
	if k.trusted, err = readTrusted(dir); err != nil {
		return nil, fmt.Errorf("open trusted keys: %w", err)
	}
	if err := syncDir(dir); err != nil {
		return nil, fmt.Errorf("open keys: %w", err)
	}
	if err := c.setKeyCheck(ctx, k.check, k.publicKey()); err != nil {
		return nil, fmt.Errorf("open keys: %w", err)
	}
	return k, nil
}

func (k *Keys) openSealing(path, check string, sealed bool) error {
	text, err := readKeyFile(path, sealed, "The catalog holds sealed passwords that only this key opens")
	if err != nil {
		return err
	}
	if text == nil {
		raw := make([]byte, chacha20poly1305.KeySize)
		rand.Read(raw)
		text = []byte(base64.StdEncoding.EncodeToString(raw) + "\n")
		if err := writeKeyFile(path, text); err != nil {
			return err
		}
	}
	raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(text)))
	if err != nil || len(raw) != chacha20poly1305.KeySize {
		return fmt.Errorf("%s is not a sealing key of Safepoint: restore it from your copy", path)
	}
	if k.aead, err = chacha20poly1305.NewX(raw); err != nil {
		return err
	}
	mac := hmac.New(sha256.New, raw)
	mac.Write([]byte("safepoint sealing key check v1"))
	k.check = hex.EncodeToString(mac.Sum(nil)[:16])
	if sealed && check != "" && check != k.check {
		return fmt.Errorf("%s is not the key that sealed the passwords in this catalog: put the one that belongs to it back", path)
	}
	return nil
}

func (k *Keys) openSigning(path, public string, backups bool) error {
	text, err := readKeyFile(path, backups && public != "", "Backups exist that are signed with this key, and without it none could be trusted")
	if err != nil {
		return err
	}
	if text == nil {
		_, private, err := ed25519.GenerateKey(nil)
		if err != nil {
			return err
		}
		der, err := x509.MarshalPKCS8PrivateKey(private)
		if err != nil {
			return err
		}
		text = pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
		if err := writeKeyFile(path, text); err != nil {
			return err
		}
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return fmt.Errorf("%s is not a PEM file: restore it from your copy", path)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	private, ok := parsed.(ed25519.PrivateKey)
	if err != nil || !ok {
		return fmt.Errorf("%s is not an Ed25519 key: restore it from your copy", path)
	}
	k.signing = private
	if backups && public != "" && public != anyKey && public != k.publicKey() {
		return fmt.Errorf("%s is not the key that signed the backups in this catalog: put the one that belongs to it back", path)
	}
	return nil
}

// anyKey stands for whatever signing key is there.
const anyKey = "any"

// readKeyFile returns a key file's content; nil if it is not there and may be made. needed says why it may not.
func readKeyFile(path string, must bool, needed string) ([]byte, error) {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && must:
		return nil, fmt.Errorf("%s is missing. %s: put it back from your copy of the data directory. No new key was made", path, needed)
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s is not a regular file", path)
	case info.Mode().Perm()&0o077 != 0:
		return nil, fmt.Errorf("%s may be read or written by others (mode %04o): run chmod 600 %s", path, info.Mode().Perm(), path)
	}
	return os.ReadFile(path)
}

// writeKeyFile makes a new key file that is whole or not there, also after a power cut.
func writeKeyFile(path string, text []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*.key") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	if _, err := f.Write(text); err != nil {
		f.Close()
		return err
	}
	if err := f.Sync(); err != nil {
		f.Close()
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Link(f.Name(), path) // fails if another process was quicker
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// Signing is the key with which this installation signs archives.
func (k *Keys) Signing() ed25519.PrivateKey { return k.signing }

// Public is the key by which archives of this installation are known.
func (k *Keys) Public() ed25519.PublicKey { return k.signing.Public().(ed25519.PublicKey) }

func (k *Keys) publicKey() string { return base64.StdEncoding.EncodeToString(k.Public()) }

// Place is where a sealed value is kept. What was sealed for one place does not open at another.
type Place struct{ OrganizationID, Table, Row, Column string }

// DatabasePlace is where a database's password is kept.
func DatabasePlace(orgID, id string) Place { return Place{orgID, "databases", id, "sealed_password"} }

// ServicePlace is where a service's secret is kept.
func ServicePlace(orgID, id string) Place { return Place{orgID, "services", id, "sealed_secret"} }

// RecipientPlace is where the secret key of a recipient is kept.
func RecipientPlace(orgID, id string) Place {
	return Place{orgID, "recipients", id, "sealed_identity"}
}

func (p Place) data() []byte {
	var b []byte
	for _, s := range []string{p.OrganizationID, p.Table, p.Row, p.Column} {
		b = binary.BigEndian.AppendUint32(b, uint32(len(s)))
		b = append(b, s...)
	}
	return b
}

// Seal encrypts a secret for one place. An empty secret is nothing to seal: nil.
func (k *Keys) Seal(p Place, secret string) []byte {
	if secret == "" {
		return nil
	}
	nonce := make([]byte, chacha20poly1305.NonceSizeX)
	rand.Read(nonce)
	return k.aead.Seal(append([]byte{sealVersion}, nonce...), nonce, []byte(secret), p.data())
}

// Unseal decrypts what Seal made for the same place; nil is "". An error says only that it does not open.
func (k *Keys) Unseal(p Place, sealed []byte) (string, error) {
	if len(sealed) == 0 {
		return "", nil
	}
	if len(sealed) < 1+chacha20poly1305.NonceSizeX || sealed[0] != sealVersion {
		return "", fmt.Errorf("unseal %s %s: not a sealed value", p.Table, p.Row)
	}
	nonce, text := sealed[1:1+chacha20poly1305.NonceSizeX], sealed[1+chacha20poly1305.NonceSizeX:]
	secret, err := k.aead.Open(nil, nonce, text, p.data())
	if err != nil {
		return "", fmt.Errorf("unseal %s %s: it was altered, moved, or sealed with another key", p.Table, p.Row)
	}
	return string(secret), nil
}
