package catalog

import (
	"bytes"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Trusted are the keys, besides this installation's own, whose archives are taken for its own: an operator vouched for
// them when the log of backups was made anew.
func (k *Keys) Trusted() []ed25519.PublicKey { return k.trusted }

// readTrusted reads the public keys in a data directory's file, none if it is not there.
func readTrusted(dir string) ([]ed25519.PublicKey, error) {
	path := filepath.Join(dir, TrustedKeysFile)
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular() || info.Mode().Perm()&0o022 != 0:
		return nil, fmt.Errorf("%s may be written by others (mode %04o): run chmod 600 %s", path, info.Mode().Perm(), path)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var keys []ed25519.PublicKey
	for rest := text; len(bytes.TrimSpace(rest)) > 0; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return nil, fmt.Errorf("%s holds something that is no key in PEM form", path)
		}
		parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
		key, ok := parsed.(ed25519.PublicKey)
		if err != nil || !ok {
			return nil, fmt.Errorf("%s holds something that is no Ed25519 key", path)
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// Trust adds keys to those whose archives are taken for this installation's own, durably, unless it is among them. It
// is the operator's word, and nobody else's.
func (k *Keys) Trust(dir string, keys ...ed25519.PublicKey) error {
	all := k.trusted
	for _, key := range keys {
		known := key.Equal(k.Public())
		for _, t := range all {
			known = known || t.Equal(key)
		}
		if !known {
			all = append(all, key)
		}
	}
	if len(all) == len(k.trusted) {
		return nil
	}
	var text bytes.Buffer
	for _, key := range all {
		der, err := x509.MarshalPKIXPublicKey(key)
		if err != nil {
			return fmt.Errorf("store trusted keys: %w", err)
		}
		pem.Encode(&text, &pem.Block{Type: "PUBLIC KEY", Bytes: der})
	}
	path := filepath.Join(dir, TrustedKeysFile)
	f, err := os.CreateTemp(dir, ".new-*.keys") // mode 0600
	if err != nil {
		return fmt.Errorf("store trusted keys: %w", err)
	}
	defer os.Remove(f.Name())
	_, err = f.Write(text.Bytes())
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err == nil {
		err = syncDir(dir)
	}
	if err != nil {
		return fmt.Errorf("store trusted keys: %w", err)
	}
	k.trusted = all
	return nil
}

// PlaceSigningKey makes private the signing key of a data directory that has none, and says whether it did.
func PlaceSigningKey(dir string, private ed25519.PrivateKey) (bool, error) {
	path := filepath.Join(dir, SigningKeyFile)
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return false, fmt.Errorf("store signing key: %w", err)
	}
	if err := writeKeyFile(path, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})); err != nil {
		return false, fmt.Errorf("store signing key: %w", err)
	}
	return true, syncDir(dir)
}
